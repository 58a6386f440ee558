//! `--transcript FILE`: the conversation on disk, and back from it.
#![cfg(unix)]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime};

use nix::sys::signal::Signal;
use support::peer::{WELCOME, retry};
use support::server::Server;
#[cfg(target_os = "linux")]
use support::skip::skipped;

/// Every public line is in there with the second at which it was said, in UTC, and nothing that was said in private.
/// Nobody but its owner may read the file.
#[test]
fn every_public_line_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("transcript");
    let before = SystemTime::now() - Duration::from_secs(1);
    let server = start(&path, "");
    let mut bob = server.join("bob");
    let mut alice = server.join("alice");
    bob.send("hi \x1b[2J\n!me waves\n!msg alice psst\n!nick rob\n!exit\n");
    alice.skip_to("*** rob left");
    // It is written while the server runs, not only at the end.
    retry(|| fs::read_to_string(&path).unwrap().ends_with("Z *** rob left\n").then_some(()));
    server.stop();
    let said = [
        "*** bob joined",
        "*** alice joined",
        "bob: hi \u{fffd}[2J",
        "* bob waves",
        "*** bob is now rob",
        "*** rob left",
        "*** the server is shutting down",
    ];
    assert_eq!(lines_of(&path), said);
    for line in fs::read_to_string(&path).unwrap().lines() {
        let (time, _) = line.split_once(' ').unwrap();
        assert_eq!(time.len(), "2026-11-22T21:04:05Z".len(), "{line}");
        let time = humantime::parse_rfc3339(time).unwrap();
        assert!(before <= time && time <= SystemTime::now(), "{line}");
    }
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

/// After a restart newcomers see the last lines of the transcript, which is written on.
#[test]
fn history_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("transcript");
    let server = start(&path, "");
    let mut bob = server.join("bob");
    bob.send("one\n안녕\n!exit\n");
    bob.rest();
    server.stop();
    // What somebody else has put into the file is harmless, or no line of a transcript at all.
    let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"not a line of it\n2026-11-22T21:04:05Z eve: \x1b[2J\xff\n2026-11-22T21:04:05Z torn").unwrap();

    let server = start(&path, "--history 5");
    let mut alice = server.connect();
    alice.say("alice");
    alice.expect_all([
        WELCOME,
        "--- the last 5 lines before you came:",
        "bob: one",
        "bob: 안녕",
        "*** bob left",
        "*** the server is shutting down",
        "eve: \u{fffd}[2J\u{fffd}",
        "--- you are alice; 1 online; !help lists the commands",
        "*** alice joined",
    ]);
    server.stop();
    let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
    let joined = text.lines().find(|line| line.contains("alice joined")).expect("it is written on");
    assert!(joined.starts_with("20") && joined.len() == "2026-11-22T21:04:05Z *** alice joined".len(), "{joined}");
}

/// A history longer than the scrollback is shown as far as that goes.
#[test]
fn a_long_history_is_shortened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("transcript");
    let text = "x".repeat(50);
    let old: Vec<String> = (0..5000).map(|i| format!("2026-11-22T21:04:05Z bob: {i} {text}\n")).collect();
    fs::write(&path, old.concat()).unwrap();
    let server = start(&path, "--history 5000 --max-line 64 --scrollback 4KiB");
    let mut alice = server.connect();
    alice.say("alice");
    let lines = alice.skip_to("--- you are alice; 1 online; !help lists the commands");
    let shown = &lines[2..];
    assert!(!shown.is_empty() && shown.len() < 100, "{lines:?}");
    assert_eq!(shown.last().unwrap(), &format!("bob: 4999 {text}"));
    assert_eq!(lines[1], format!("--- the last {} lines before you came:", shown.len()));
}

/// Moved away and then told by SIGHUP, the server writes on to a new file, and no line is in neither or in both.
#[test]
fn it_can_be_rotated() {
    const LINES: usize = 3000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("transcript");
    let old = folder.path().join("transcript.1");
    let server = start(&path, "--rate 0");
    let mut bob = server.join("bob");
    let mut stream = bob.stream().try_clone().unwrap();
    let talking = thread::spawn(move || {
        for i in 0..LINES {
            writeln!(stream, "{i}").unwrap();
            if i % 100 == 0 {
                thread::sleep(Duration::from_millis(2));
            }
        }
    });
    bob.skip_to(&format!("bob: {}", LINES / 2));
    fs::rename(&path, &old).unwrap();
    server.signal(Signal::SIGHUP);
    bob.skip_to(&format!("bob: {}", LINES - 1));
    talking.join().unwrap();
    retry(|| {
        path.exists().then_some(()).or_else(|| {
            bob.say("is it there?");
            None
        })
    });
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    server.stop();
    let (before, after) = (lines_of(&old), lines_of(&path));
    assert!(!before.is_empty() && !after.is_empty());
    let numbers = before.iter().chain(&after).filter_map(|line| line.strip_prefix("bob: ")?.parse::<usize>().ok());
    assert!(numbers.eq(0..LINES), "{} and {} lines", before.len(), after.len());
}

/// A disk that takes nothing is complained of once and the chat goes on; once it takes something again, that is said,
/// with how much is lost.
#[test]
#[cfg(target_os = "linux")]
fn a_failing_disk_is_survived() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("transcript");
    symlink("/dev/full", &path).unwrap();
    let mut server = start(&path, "-q");
    let mut bob = server.join("bob");
    for i in 0..20 {
        bob.say(&format!("line {i}"));
        bob.expect(&format!("bob: line {i}"));
    }
    let complaint = server.find_on_console("[!] ");
    assert!(complaint.starts_with(&format!("[!] cannot write the transcript {}: No space left", path.display())));
    fs::remove_file(&path).unwrap();
    server.signal(Signal::SIGHUP);
    retry(|| {
        bob.say("and now?");
        bob.expect("bob: and now?");
        path.exists().then_some(())
    });
    let news = server.find_on_console("[!] ");
    assert!(news.starts_with(&format!("[!] the transcript {} is written again; about ", path.display())), "{news}");
    bob.say("the end");
    bob.expect("bob: the end");
    assert!(!server.stop().iter().any(|line| line.starts_with("[!]")), "once is enough");
    let lines = lines_of(&path);
    assert!(lines.contains(&"bob: the end".into()), "{lines:?}");
}

/// A disk that is full takes what it can; where there is room again the transcript goes on with a whole line.
#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_survived() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(folder.path()) else {
        skipped("tests/transcript.rs: this needs the right to mount a file system");
        return;
    };
    let ballast = folder.path().join("ballast");
    fs::write(&ballast, vec![0; 96 * 1024]).unwrap();
    let path = folder.path().join("transcript");
    let mut server = start(&path, "--rate 0 -q");
    let mut bob = server.join("bob");
    let text = "x".repeat(1000);
    for i in 0..100 {
        bob.say(&format!("{i} {text}"));
        bob.expect(&format!("bob: {i} {text}"));
    }
    server.find_on_console("[!] cannot write the transcript");
    fs::remove_file(&ballast).unwrap();
    bob.say("there is room");
    bob.expect("bob: there is room");
    server.find_on_console("is written again; about ");
    server.stop();
    let lines = lines_of(&path);
    assert_eq!(lines[lines.len() - 2..], ["bob: there is room", "*** the server is shutting down"]);
    drop(disk);
}

/// A disk that stands still holds nobody up. What the scrollback has passed by meanwhile is said to be missing; the rest is
/// written in whole lines once the disk goes on. A pipe that nobody reads is such a disk.
#[test]
fn a_disk_that_stands_still_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("transcript");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let mut server = start(&path, "--rate 0 --history 0 --max-line 4096 --scrollback 256KiB -q");
    let mut bob = server.join("bob");
    let text = "x".repeat(1000);
    for i in 0..3000 {
        bob.say(&format!("{i} {text}"));
        bob.expect(&format!("bob: {i} {text}"));
    }
    server.find_on_console("[!] the transcript lacks ");

    let mut pipe = BufReader::new(fs::File::open(&path).unwrap()).lines();
    bob.say("the end");
    bob.expect("bob: the end");
    let mut written = Vec::new();
    while written.last().is_none_or(|line| line != "bob: the end") {
        let line = pipe.next().unwrap().unwrap();
        written.push(line.split_once(' ').unwrap().1.to_owned());
    }
    let number = |line: &String| line.strip_prefix("bob: ")?.strip_suffix(&text)?.trim_end().parse::<usize>().ok();
    let numbers: Vec<usize> =
        written[1..written.len() - 1].iter().map(|line| number(line).expect("a whole line")).collect();
    assert_eq!(written[0], "*** bob joined");
    assert!(numbers.is_sorted() && numbers.len() < 3000, "in order, and not all of it");
    assert_eq!((numbers[0], numbers[numbers.len() - 1]), (0, 2999));
}

/// A file system in memory with room for 128 KiB, gone when this is.
struct SmallDisk<'a>(&'a Path);

impl SmallDisk<'_> {
    fn mount(folder: &Path) -> Option<SmallDisk<'_>> {
        let args = ["-t", "tmpfs", "-o", "size=128k", "tmpfs"];
        let output = Command::new("mount").args(args).arg(folder).output().ok()?;
        output.status.success().then_some(SmallDisk(folder))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

/// A server with this transcript.
#[track_caller]
fn start(path: &Path, options: &str) -> Server {
    Server::start(&format!("--transcript {} {options}", path.display()))
}

/// What is said in a transcript, without the times. A line that was torn by a full disk, or has no time, is left out.
fn lines_of(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.ends_with('\n'), "the last line is torn");
    let is_time = |time: &str| humantime::parse_rfc3339(time).is_ok();
    text.lines()
        .filter_map(|line| line.split_once(' ').filter(|(time, _)| is_time(time)))
        .map(|(_, text)| text.into())
        .collect()
}
