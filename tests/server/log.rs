//! The room in a file: it survives its server, whatever becomes of that.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::support::address::free_address;
use crate::support::peer::{PATIENCE, Peer, WELCOME, numbered, retry};
use crate::support::server::{Server, gotcp, lines_of};
use crate::support::session::Session;
use crate::support::skip::skipped;

/// A file for a log, and the servers that have it one after the other, all at the same address.
struct Room {
    folder: TempDir,
    address: SocketAddr,
}

impl Room {
    fn new() -> Room {
        Room { folder: TempDir::new().expect("a folder"), address: free_address() }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("room.db")
    }

    fn serve(&self, options: &str) -> Server {
        let options = format!("--log {} {options}", self.file().display());
        Server::start_on(&self.address.to_string(), &options)
    }

    /// What `gotcp log` prints, without the times.
    fn printed(&self, args: &[&str]) -> Vec<String> {
        let file = self.file();
        let output = gotcp(["log", file.to_str().unwrap()].into_iter().chain(args.iter().copied())).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| line["2026-11-27T21:04:05Z ".len()..].to_owned()).collect()
    }
}

/// Kills a server, without a word to anyone.
fn kill(server: Server) {
    server.signal(Signal::SIGKILL);
    server.wait();
}

/// Comes back, and reads up to the answer; returns what was missed, and the answer.
fn resume(address: SocketAddr, line: &str) -> (Peer, Vec<String>, String) {
    let mut peer = Peer::connect(address);
    peer.expect(WELCOME);
    peer.say(line);
    let mut missed = Vec::new();
    loop {
        match peer.line() {
            answer if answer.starts_with("--- resumed as ") => return (peer, missed, answer),
            line => missed.push(line),
        }
    }
}

/// After a kill positions go on, sessions resume with the right counts, names are still had, and newcomers get their
/// history. Whoever has no session is said to have left.
#[test]
fn the_room_goes_on_after_a_kill() {
    let room = Room::new();
    let server = room.serve("");
    let mut carol = server.join("carol");
    let session = Session::open(&mut carol);
    let (back, heard) = (session.claim(), session.heard);
    assert_eq!(heard, 0);
    carol.say("one");
    carol.say("two");
    carol.skip_to("carol: two");
    let mut bob = server.join("bob");
    bob.say("hello");
    carol.skip_to("bob: hello");
    kill(server);

    let server = room.serve("");
    let mut other = server.connect();
    other.say("carol");
    other.skip_to("--- error: the name carol is taken");
    let (mut carol, missed, answer) = resume(server.address, &back);
    assert_eq!(missed, ["carol: one", "carol: two", "*** bob joined", "bob: hello", "*** bob left (connection lost)"]);
    assert_eq!(answer, "--- resumed as carol, 2 heard");
    carol.say("three");
    carol.skip_to("carol: three");
    assert_eq!(Session::open(&mut carol).heard, 4, "three, and this question");
    let mut dave = server.connect();
    dave.say("dave");
    dave.skip_to("--- the last 7 lines before you came:");
    dave.expect_all(["*** carol joined", "carol: one", "carol: two"]);
    assert_eq!(fs::metadata(room.file()).unwrap().permissions().mode() & 0o777, 0o600);
}

/// A server that is stopped says so; those with a session come back to the next one and miss nothing, and nobody is said
/// to have left.
#[test]
fn a_stop_is_an_upgrade() {
    let room = Room::new();
    let server = room.serve("");
    let mut carol = server.join("carol");
    let back = Session::open(&mut carol).claim();
    carol.say("before");
    carol.skip_to("carol: before");
    server.stop();
    let rest = carol.rest();
    assert!(rest[0].starts_with("--- session ") && rest[0].ends_with(", 1 heard"), "{rest:?}");
    assert_eq!(rest[1..], ["*** the server is shutting down"]);

    let server = room.serve("");
    let (_, missed, answer) = resume(server.address, &back);
    assert_eq!(missed, ["carol: before", "*** the server is shutting down"]);
    assert_eq!(answer, "--- resumed as carol, 1 heard");
    server.stop();
    let said = ["*** carol joined", "carol: before", "*** the server is shutting down"];
    assert_eq!(room.printed(&[])[..3], said);
    assert_eq!(room.printed(&[]).last().unwrap(), said[2]);
}

/// The grace begins anew with the server; after it those who did not come back have left, and their names are reserved.
#[test]
fn the_grace_begins_anew() {
    let room = Room::new();
    let server = room.serve("--grace 1h");
    let mut carol = server.join("carol");
    let back = Session::open(&mut carol).claim();
    carol.say("here");
    carol.skip_to("carol: here");
    kill(server);
    let server = room.serve("--grace 1s");
    let mut bob = server.join("bob");
    bob.skip_to("*** carol left (connection lost)");
    let mut other = server.connect();
    other.say("carol");
    other.skip_to("--- error: the name carol belongs to someone who is away");
    kill(server);
    let server = room.serve("");
    let (mut carol, missed, answer) = resume(server.address, &back);
    assert_eq!(answer, "--- resumed as carol, 1 heard");
    let left = "*** bob left (connection lost)";
    // She may be quicker than his grace is over.
    if missed.last().unwrap() != left {
        carol.skip_to(left);
    }
}

/// `!history` and `!search` look back in what the file has, beyond what the server keeps in memory.
#[test]
fn people_can_look_back() {
    let room = Room::new();
    let server = room.serve("--rate 0 --max-line 1000 --scrollback 16KiB --history 0");
    let mut carol = server.join("carol");
    carol.say("A needle in the Heuhaufen: Ärger");
    let straw = "straw ".repeat(100);
    for i in 0..100 {
        carol.say(&format!("{i} {straw}"));
    }
    carol.say("!search ärger needle");
    let found = carol.skip_to_start("--- [");
    assert!(found.ends_with("] carol: A needle in the Heuhaufen: Ärger"), "{found}");
    carol.say("!search nothing of it");
    carol.expect("--- nothing found");
    carol.say("!history 2");
    for i in [98, 99] {
        let line = carol.line();
        let (time, line) = line.strip_prefix("--- [").unwrap().split_once("] ").unwrap();
        assert!(time.len() == 5 && line.starts_with(&format!("carol: {i} straw")), "{time} {line}");
    }
    carol.say("!history 5000");
    let lines: Vec<String> = (0..102).map(|_| carol.line()).collect();
    assert!(lines[0].ends_with("] *** carol joined") && lines[101].contains("] carol: 99 straw"));
    carol.say("!history none");
    carol.expect("--- error: usage: !history [N]");
    let plain = Server::start("");
    let mut bob = plain.join("bob");
    bob.say("!history");
    bob.expect("--- error: this server keeps no log");
}

/// `gotcp log` prints what was said, since a time if it is told one, and goes on if it is told to, beside the server.
#[test]
fn the_conversation_can_be_printed() {
    let room = Room::new();
    let server = room.serve("");
    let mut carol = server.join("carol");
    carol.say("one");
    carol.skip_to("carol: one");
    retry(|| (room.printed(&[]) == ["*** carol joined", "carol: one"]).then_some(()));
    assert_eq!(room.printed(&["--since", "1h"]), ["*** carol joined", "carol: one"]);
    assert_eq!(room.printed(&["--since", "2100-01-01"]), [""; 0]);
    let file = room.file();
    let follow = ["log", file.to_str().unwrap(), "--follow"];
    let mut child = gotcp(follow).stdout(Stdio::piped()).spawn().unwrap();
    let printed = lines_of(child.stdout.take().unwrap());
    carol.say("two");
    let next = || printed.recv_timeout(PATIENCE).unwrap();
    assert!([next(), next(), next()].iter().zip(["joined", "one", "two"]).all(|(line, end)| line.ends_with(end)));
    child.kill().unwrap();
    child.wait().unwrap();
}

/// What was said longer ago than `--keep` goes, and so do sessions that nobody came back to.
#[test]
fn old_lines_go() {
    let room = Room::new();
    let server = room.serve("--grace 0s");
    let mut carol = server.join("carol");
    let back = Session::open(&mut carol).claim();
    carol.say("old");
    carol.skip_to("carol: old");
    let mut bob = server.join("bob");
    drop(carol);
    bob.skip_to("*** carol left (connection lost)");
    server.stop();
    assert!(room.printed(&[]).contains(&"carol: old".to_owned()));
    thread::sleep(Duration::from_secs(2));
    let server = room.serve("--keep 1s");
    retry(|| (!room.printed(&[]).contains(&"carol: old".to_owned())).then_some(()));
    let mut carol = server.connect();
    carol.expect(WELCOME);
    retry(|| {
        carol.say(&back);
        let line = carol.line();
        (line == "--- error: no such session; your first line is your name").then_some(())
    });
}

/// A file has one server at a time.
#[test]
fn a_file_has_one_server() {
    let room = Room::new();
    let _server = room.serve("");
    let error = refused(&room.file());
    assert_eq!(error, format!("gotcp: cannot open the log {}: another server has it\n", room.file().display()));
}

/// Whatever is no log of ours is refused in one line, with 1, and left as it was.
#[test]
fn other_files_are_left_alone() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("text"), "a text of mine\n".repeat(1000)).unwrap();
    fs::create_dir(path("folder")).unwrap();
    let other = rusqlite::Connection::open(path("other")).unwrap();
    other.execute_batch("CREATE TABLE mine (a)").unwrap();
    drop(other);
    let room = Room::new();
    room.serve("").stop();
    fs::copy(room.file(), path("newer")).unwrap();
    let newer = rusqlite::Connection::open(path("newer")).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    newer.close().unwrap();
    let whole = fs::read(room.file()).unwrap();
    fs::write(path("torn"), &whole[..5000]).unwrap();
    let mut damaged = whole;
    damaged[4096..8192].fill(0x5a);
    damaged[100..200].fill(0x5a);
    fs::write(path("damaged"), damaged).unwrap();
    for (name, why) in [
        ("text", "it is not the log of a gotcp server"),
        ("folder", ""),
        ("other", "it is not the log of a gotcp server"),
        ("newer", "it was written by a later version of gotcp (format 99; this one knows 1)"),
        ("torn", ""),
        ("damaged", ""),
        ("no/such/folder", "No such file or directory"),
    ] {
        let before = fs::read(path(name)).ok();
        let error = refused(&path(name));
        let start = format!("gotcp: cannot open the log {}: ", path(name).display());
        assert!(error.starts_with(&start) && error[start.len()..].contains(why), "{name}: {error}");
        assert_eq!(error.lines().count(), 1, "{name}: {error}");
        assert!(fs::read(path(name)).ok() == before, "{name} was changed");
    }
}

/// What a server says that does not start with this log.
fn refused(file: &Path) -> String {
    let args = ["server", "--listen", "127.0.0.1:0", "--log", file.to_str().unwrap()];
    let output = gotcp(args).output().unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// While the disk is full senders wait and are told, and readers read what there is; once there is room, it goes on by
/// itself, nothing lost, nothing doubled.
#[test]
fn a_full_disk_is_waited_for() {
    let room = Room::new();
    let mount =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=512k", "tmpfs"]).arg(room.folder.path()).status();
    if !mount.is_ok_and(|status| status.success()) {
        return skipped("tests/server/log.rs: a full disk needs the right to mount one");
    }
    let _mounted = Mounted(room.folder.path().to_owned());
    let mut server = room.serve("--rate 0 --history 0");
    let mut carol = server.join("carol");
    let mut bob = server.join("bob");
    let ballast = room.folder.path().join("ballast");
    let mut file = fs::File::create(&ballast).unwrap();
    while file.write_all(&[7; 4096]).is_ok() {}
    let text = "x".repeat(1000);
    let count = 300;
    for i in 0..count {
        carol.say(&format!("{i} {text}"));
    }
    bob.skip_to("--- notice: the room is out of reach; your lines wait, none is lost");
    server.find_on_console("cannot write to the log");
    let mut late = server.connect();
    late.expect_all([WELCOME, "--- notice: the room is out of reach; your lines wait, none is lost"]);
    assert!(Command::new("mount").args(["-o", "remount,size=64m"]).arg(room.folder.path()).status().unwrap().success());
    server.find_on_console("is written again");
    let expected: Vec<String> = (0..count).map(|i| format!("carol: {i} {text}")).collect();
    let mut said = Vec::new();
    carol.say("the end");
    while said.last().is_none_or(|line| line != "carol: the end") {
        said.push(carol.skip_to_start("carol: "));
    }
    assert_eq!(said[..count], expected);
    bob.skip_to("--- notice: the room is back");
    kill(server);
    let server = room.serve("");
    retry(|| (room.printed(&[]).iter().filter(|line| line.starts_with("carol: ")).count() == count + 1).then_some(()));
    server.stop();
}

/// A file system that goes when the test does.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// One of our clients in a pipe.
struct Talker {
    child: Child,
    printed: Receiver<String>,
    shown: Vec<String>,
}

impl Talker {
    fn start(address: SocketAddr, name: &str) -> Talker {
        let address = address.to_string();
        let args = ["client", "--server", &address, "--username", name, "--no-tag"];
        let mut child = gotcp(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let printed = lines_of(child.stdout.take().unwrap());
        Talker { child, printed, shown: Vec::new() }
    }

    fn say(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Waits until it has shown this line.
    fn wait_for(&mut self, line: &str) {
        while self.shown.last().is_none_or(|last| last != line) {
            self.shown.push(self.printed.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{line} was not shown")));
        }
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two of our clients talk without a pause while their server is killed again and again: every line typed is shown to both
/// once, in one order, and nobody is said to have left.
#[test]
fn kills_lose_and_double_nothing() {
    let (kills, pause) = if std::env::var_os("GOTCP_TEST_FULL").is_some() { (100, 300) } else { (7, 700) };
    let room = Room::new();
    let mut server = room.serve("--rate 0");
    let mut talkers = [Talker::start(room.address, "carol"), Talker::start(room.address, "dave")];
    // Both are there, with a session.
    talkers[1].wait_for("*** dave joined");
    talkers[0].say("first");
    talkers[1].wait_for("carol: first");
    let mut random = fastrand::Rng::with_seed(7);
    let mut said = 0;
    for _ in 0..kills {
        let until = Instant::now() + Duration::from_millis(random.u64(50..2 * pause));
        while Instant::now() < until {
            for talker in &mut talkers {
                talker.say(&said.to_string());
            }
            said += 1;
            thread::sleep(Duration::from_millis(random.u64(0..4)));
        }
        kill(server);
        server = room.serve("--rate 0");
    }
    for talker in &mut talkers {
        talker.say("last");
    }
    for talker in &mut talkers {
        talker.wait_for("carol: last");
        if !talker.shown.contains(&"dave: last".to_owned()) {
            talker.wait_for("dave: last");
        }
    }
    let [carol, dave] = &talkers;
    let mut counts = HashMap::new();
    for line in &carol.shown {
        *counts.entry(line.as_str()).or_insert(0) += 1;
    }
    for name in ["carol", "dave"] {
        for i in 0..said {
            let line = format!("{name}: {i}");
            assert_eq!(counts.get(line.as_str()), Some(&1), "{line}");
        }
    }
    assert!(carol.shown.iter().all(|line| !line.contains(" left")), "somebody is said to have left");
    // One of them may have been shown a last line before the other one was.
    let common = carol.shown.len().min(dave.shown.len()) - 1;
    let start = |shown: &[String]| shown.iter().position(|line| line == "carol: first").unwrap();
    let (carol, dave) = (&carol.shown[start(&carol.shown)..], &dave.shown[start(&dave.shown)..]);
    assert_eq!(carol[..common.min(carol.len()).min(dave.len())], dave[..common.min(carol.len()).min(dave.len())]);
    eprintln!("{kills} kills, {} lines", 2 * said);
    server.stop();
}

/// Plain people on a socket, whose server is killed while they talk: what was shown to anyone is still what was said, at
/// the same place, when the next server tells it.
#[test]
fn what_was_shown_stays_said() {
    let room = Room::new();
    let mut server = room.serve("--rate 0");
    let mut carol = server.join("carol");
    let back = Session::open(&mut carol).claim();
    drop(carol);
    let mut shown: Vec<String> = Vec::new();
    for round in 0..10 {
        let mut eve = server.connect();
        eve.say(&format!("eve{round}"));
        eve.skip_to_start("--- you are eve");
        let talks = numbered(500, &format!(".{round}"));
        eve.send(talks);
        let mut input = BufReader::new(eve.stream().try_clone().unwrap());
        let mut line = String::new();
        for _ in 0..50 * round {
            line.clear();
            input.read_line(&mut line).unwrap();
            shown.push(line.trim_end().to_owned());
        }
        kill(server);
        server = room.serve("--rate 0");
        let (_, missed, _) = resume(server.address, &back);
        let mut rest = missed.iter();
        for line in &shown {
            assert!(rest.any(|said| said == line), "{line} was shown and is gone, or has another place");
        }
    }
    server.stop();
}
