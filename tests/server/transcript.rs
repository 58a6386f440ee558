//! `--transcript FILE`: the conversation on disk, and back from it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::support::peer::{PATIENCE, Peer, WELCOME, numbered, retry};
use crate::support::server::Server;
#[cfg(target_os = "linux")]
use crate::support::skip::skipped;
use nix::sys::signal::Signal;

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

/// After a restart newcomers see the last lines of the transcript, which is continued. They see whole lines that a
/// server writes, and nothing else that is in the file.
#[test]
fn history_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("transcript");
    let server = start(&path, "");
    let mut bob = server.join("bob");
    bob.send("one\n안녕\n!exit\n");
    bob.rest();
    server.stop();
    let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    for text in ["eve: \x1b[2J", "two words: hi", "--- session 0b9189 at 7", "*** eve is an operator", "eve: \u{202e}"]
    {
        writeln!(file, "2026-11-22T21:04:05Z {text}").unwrap();
    }
    file.write_all(b"eve: hi\n2026-11-22T21:04:05Z eve: \xff\n2026-11-22T21:04:05Z * eve waves\n").unwrap();
    file.write_all(b"2026-11-22T21:04:05Z eve: torn").unwrap();

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
        "* eve waves",
        "--- you are alice; 1 online; !help lists the commands",
        "*** alice joined",
    ]);
    server.stop();
    let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
    let joined = text.lines().find(|line| line.contains("alice joined")).expect("it is continued");
    assert!(joined.starts_with("20") && joined.len() == "2026-11-22T21:04:05Z *** alice joined".len(), "{joined}");

    // The torn line was ended, and still is no history.
    let server = start(&path, "--history 3");
    let mut carol = server.connect();
    carol.say("carol");
    let lines = carol.skip_to("*** carol joined");
    assert_eq!(lines[2..5], ["* eve waves", "*** alice joined", "*** the server is shutting down"]);
}

/// A torn last line is ended as soon as the file is opened, so that nothing else is written in the middle of it.
#[test]
fn a_torn_line_is_ended_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("transcript");
    fs::write(&path, "2026-11-22T21:04:05Z bob: to").unwrap();
    let _server = start(&path, "");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("2026-11-22T21:04:05Z bob: to") && text.ends_with('\n'), "{text:?}");
}

/// Only the end of a large transcript is read. Where that begins in the middle of a line, the rest of the line is no
/// history: here mallory has said what looks like a line of alice's.
#[test]
fn history_begins_with_a_whole_line() {
    const TAIL: usize = 1024 * 1024;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("transcript");
    let filler = "no line of a transcript\n".repeat(50_000);
    let forged = "2026-11-22T21:04:05Z alice: I resign\n2026-11-22T21:04:05Z bob: hi\n";
    let tail = forged.to_owned() + &filler[filler.len() - (TAIL - forged.len())..];
    fs::write(&path, "2026-11-22T21:04:05Z mallory: ".to_owned() + &tail).unwrap();
    let server = start(&path, "");
    let mut carol = server.connect();
    carol.say("carol");
    let lines = carol.skip_to("*** carol joined");
    assert_eq!(lines[1..3], ["--- the last line before you came:", "bob: hi"], "{lines:?}");
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

/// After the file was moved away, SIGHUP makes the server go on in a new one, and every line is in exactly one of them.
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

/// Where the file cannot be opened again, lines go to the old one, and it is tried again until it works; the console
/// says so, once each. No line is lost.
#[test]
#[cfg(target_os = "linux")]
fn rotation_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("transcript");
    let old = folder.path().join("transcript.1");
    let mut server = start(&path, "--rate 0 -q");
    let mut bob = server.join("bob");
    fs::rename(&path, &old).unwrap();
    let (limit, _) = server.descriptor_limits();
    server.limit_descriptors(server.free_descriptor());
    server.signal(Signal::SIGHUP);
    let news = server.find_on_console("[!] ");
    assert!(news.starts_with(&format!("[!] cannot open the transcript {} again: ", path.display())), "{news}");
    let mut said = 0;
    let mut say = |bob: &mut Peer| {
        bob.say(&format!("{said}"));
        bob.expect(&format!("bob: {said}"));
        said += 1;
    };
    // For longer than it takes to try again.
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(2500) {
        say(&mut bob);
        thread::sleep(Duration::from_millis(10));
    }
    retry(|| lines_of(&old).contains(&"bob: 0".to_owned()).then_some(()));
    assert!(!path.exists());

    server.limit_descriptors(limit);
    let news = server.console_line();
    assert_eq!(news, format!("[!] the transcript {} is open again, as a new file", path.display()));
    say(&mut bob);
    assert_eq!(server.stop(), ["[O] shutting down; 1 connections to end"]);
    let (before, after) = (lines_of(&old), lines_of(&path));
    let numbers = before.iter().chain(&after).filter_map(|line| line.strip_prefix("bob: ")?.parse::<usize>().ok());
    assert!(numbers.eq(0..said), "{} and {} lines", before.len(), after.len());
    assert!(after.contains(&format!("bob: {}", said - 1)));
}

/// A disk that takes nothing is reported once, and the chat goes on; once it takes something again, that is reported,
/// and nothing is lost.
#[test]
#[cfg(target_os = "linux")]
fn a_failing_disk_is_survived() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("transcript");
    symlink("/dev/full", &path).unwrap();
    let mut server = start(&path, "-q");
    let mut bob = server.join("bob");
    let lines: Vec<String> = (0..20).map(|i| format!("bob: line {i}")).collect();
    for line in &lines {
        bob.say(&line["bob: ".len()..]);
        bob.expect(line);
    }
    let complaint = server.find_on_console("[!] ");
    assert!(complaint.starts_with(&format!("[!] cannot write the transcript {}: No space left", path.display())));
    fs::remove_file(&path).unwrap();
    server.signal(Signal::SIGHUP);
    let news = server.find_on_console("[!] ");
    assert_eq!(news, format!("[!] the transcript {} is written again", path.display()));
    assert!(!server.stop().iter().any(|line| line.starts_with("[!]")), "once is enough");
    let written = lines_of(&path);
    assert_eq!(written[0], "*** bob joined");
    assert_eq!(written[1..=lines.len()], lines);
}

/// A disk that is full takes what it can; where there is room again the transcript goes on from there, and nothing is
/// lost.
#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_survived() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(folder.path()) else {
        skipped("tests/server/transcript.rs: this needs the right to mount a file system");
        return;
    };
    let ballast = folder.path().join("ballast");
    fs::write(&ballast, vec![0; 96 * 1024]).unwrap();
    let path = folder.path().join("transcript");
    let mut server = start(&path, "--rate 0 -q");
    let mut bob = server.join("bob");
    let lines: Vec<String> = (0..60).map(|i| format!("bob: {i} {}", "x".repeat(1000))).collect();
    for line in &lines {
        bob.say(&line["bob: ".len()..]);
        bob.expect(line);
    }
    server.find_on_console("[!] cannot write the transcript");
    fs::remove_file(&ballast).unwrap();
    server.find_on_console("is written again");
    server.stop();
    let written = lines_of(&path);
    assert_eq!(written[1..=lines.len()], lines);
    assert_eq!(written[lines.len() + 1..], ["*** the server is shutting down"]);
    drop(disk);
}

/// A limit on the size of files (`ulimit -f`) is an error like any other, not the end of the server.
#[test]
#[cfg(target_os = "linux")]
fn a_limit_on_the_size_of_files_is_survived() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("transcript");
    let mut server = start(&path, "-q");
    let mut bob = server.join("bob");
    server.limit_file_size(100);
    let lines: Vec<String> = (0..20).map(|i| format!("bob: line {i}")).collect();
    for line in &lines {
        bob.say(&line["bob: ".len()..]);
        bob.expect(line);
    }
    server.find_on_console("[!] cannot write the transcript");
    server.limit_file_size(u64::MAX);
    server.find_on_console("is written again");
    server.stop();
    assert_eq!(lines_of(&path)[1..=lines.len()], lines);
}

/// Senders wait for a slow disk: it gets every line, and their lines are processed as fast as it takes them. A pipe
/// that is read slowly stands in for the disk.
#[test]
fn a_slow_disk_is_waited_for() {
    const SENDERS: usize = 4;
    const LINES: usize = 2000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("transcript");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let server = start(&path, "--rate 0 --history 0 --max-line 4096 --scrollback 256KiB -q");
    let mut pipe = fs::File::open(&path).unwrap();
    let reading = thread::spawn(move || {
        let mut written = Vec::new();
        let mut part = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = pipe.read(&mut part) {
            written.extend_from_slice(&part[..count]);
            thread::sleep(Duration::from_millis(4));
        }
        String::from_utf8(written).unwrap()
    });
    let mut bob = server.join("bob");
    let text = format!(" {}", "x".repeat(1000));
    let sending: Vec<_> = (0..SENDERS)
        .map(|i| {
            let peer = server.join(&format!("sender{i}"));
            let mut stream = peer.stream().try_clone().unwrap();
            let lines = numbered(LINES, &text);
            let sending = thread::spawn(move || stream.write_all(lines.as_bytes()).unwrap());
            let mut peer = peer;
            let reading = thread::spawn(move || while peer.line() != "*** the server is shutting down" {});
            (sending, reading)
        })
        .collect();
    let mut heard = vec!["*** bob joined".to_owned()];
    while heard.iter().filter(|line| line.starts_with("sender")).count() < SENDERS * LINES {
        heard.push(bob.line());
    }
    let console = server.stop();
    assert!(!console.iter().any(|line| line.starts_with("[!]")), "{console:?}");
    heard.push(bob.line());
    for (sending, reading) in sending {
        sending.join().unwrap();
        reading.join().unwrap();
    }
    let written = reading.join().unwrap();
    let written: Vec<&str> = written.lines().map(|line| line.split_once(' ').unwrap().1).collect();
    assert!(written == heard, "{} lines were said, {} are written", heard.len(), written.len());
}

/// A disk that takes nothing for 30 s delays senders for that time and no longer. What the scrollback can no longer
/// keep is reported as missing, exactly; the rest is written in whole lines once the disk goes on. A pipe that nobody
/// reads stands in for the disk.
#[test]
fn a_disk_that_stands_still_holds_nobody_up_for_long() {
    const LINES: usize = 3000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("transcript");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let mut server = start(&path, "--rate 0 --history 0 --max-line 4096 --scrollback 256KiB -q");
    let mut bob = server.join("bob");
    bob.stream().set_read_timeout(Some(2 * PATIENCE)).unwrap();
    let text = "x".repeat(1000);
    let started = Instant::now();
    for i in 0..LINES {
        bob.say(&format!("{i} {text}"));
        bob.expect(&format!("bob: {i} {text}"));
    }
    assert!(started.elapsed() > Duration::from_secs(29), "it is waited for");
    server.find_on_console("is losing lines: its disk is too slow");

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
    assert!(numbers.is_sorted() && numbers.len() < LINES, "in order, and not all of it");
    assert_eq!((numbers[0], numbers[numbers.len() - 1]), (0, LINES - 1));
    let lost = (0..LINES).filter(|i| numbers.binary_search(i).is_err()).map(|i| format!("bob: {i} {text}\n").len());
    let lost: usize = lost.sum();
    let path = path.display();
    assert_eq!(server.console_line(), format!("[!] the transcript {path} lacks {lost} bytes: its disk was too slow"));
}

/// What is not written when the server ends is reported, too.
#[test]
fn what_is_lost_at_the_end_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("transcript");
    symlink("/dev/full", &path).unwrap();
    let mut server = start(&path, "-q --drain 0s");
    let mut bob = server.join("bob");
    server.find_on_console("[!] cannot write the transcript");
    bob.say("hi");
    bob.expect("bob: hi");
    let console = server.stop();
    let missing =
        "2026-11-22T21:04:05Z ".len() * 3 + "*** bob joined\nbob: hi\n*** the server is shutting down\n".len();
    let missing = format!("[!] the transcript {} lacks its last {missing} bytes: its disk is too slow", path.display());
    assert_eq!(console.last(), Some(&missing));
}

/// A file system in memory with room for 128 KiB, removed when this is dropped.
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

/// What is said in a transcript, without the times. Lines without a time are left out.
fn lines_of(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.ends_with('\n'), "the last line is torn");
    let is_time = |time: &str| humantime::parse_rfc3339(time).is_ok();
    text.lines()
        .filter_map(|line| line.split_once(' ').filter(|(time, _)| is_time(time)))
        .map(|(_, text)| text.into())
        .collect()
}
