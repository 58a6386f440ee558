//! Servers and engines that die, stop, and come back.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::nats::Engine;
use crate::support::peer::{Peer, WELCOME, retry};
use crate::support::server::Server;
use crate::support::session::Session;

/// After so long without a sign of life a server is gone, and a little later the room knows.
const LEASE: Duration = Duration::from_secs(20);

/// Kills a server, without a word to anyone.
fn kill(server: Server) {
    server.signal(Signal::SIGKILL);
    server.wait();
}

/// When a server dies, a session goes on at another one with everything that was said, and nobody is said to have left; but
/// who has no session has left, after the lease.
#[test]
fn a_server_dies() {
    let Some(engine) = Engine::start() else { return };
    let (one, two) = (engine.serve("--grace 60s"), engine.serve("--grace 60s"));
    let mut watcher = two.join("watcher");
    let mut alice = one.join("alice");
    let session = Session::open(&mut alice);
    let _bob = one.join("bob");
    watcher.skip_to("*** bob joined");
    // It judges nobody before it has lived for a lease itself.
    thread::sleep(LEASE);
    alice.say("last words");
    watcher.expect("alice: last words");
    let died = Instant::now();
    kill(one);
    let mut again = session.resume(&two);
    again.skip_to("--- resumed as alice, 1 heard");
    again.say("still here");
    watcher.expect("alice: still here");
    watcher.expect("*** bob left (connection lost)");
    assert!(died.elapsed() + Duration::from_secs(3) > LEASE, "after {:?}", died.elapsed());
    again.say("and now");
    watcher.expect("alice: and now");
}

/// A server that was stopped for longer than its lease finds its people away when it goes on. They are told to come again,
/// and it is a server as before.
#[test]
fn a_server_sleeps() {
    let Some(engine) = Engine::start() else { return };
    let (mut one, two) = (engine.serve("--grace 60s"), engine.serve("--grace 60s"));
    let mut watcher = two.join("watcher");
    let mut alice = one.join("alice");
    let session = Session::open(&mut alice);
    let mut bob = one.join("bob");
    watcher.skip_to("*** bob joined");
    thread::sleep(LEASE);
    one.signal(Signal::SIGSTOP);
    bob.say("said into the void");
    watcher.expect("*** bob left (connection lost)");
    one.signal(Signal::SIGCONT);
    let behind = "--- error: this server was behind the room; come again";
    assert_eq!(bob.rest().last().map(String::as_str), Some(behind));
    assert_eq!(alice.rest().last().map(String::as_str), Some(behind));
    one.find_on_console("took this one for gone");
    let mut again = session.resume(&one);
    again.skip_to("--- resumed as alice, 0 heard");
    again.say("here I am");
    watcher.expect("alice: here I am");
    let mut bob = one.join("bob");
    bob.say("me, too");
    watcher.expect_all(["*** bob joined", "bob: me, too"]);
}

/// While the engine is away nobody is shown anything new, people are told, and nothing that they say is lost.
#[test]
fn the_engine_is_away() {
    let Some(mut engine) = Engine::start() else { return };
    let (mut one, two) = (engine.serve(""), engine.serve(""));
    let (mut alice, mut bob) = (one.join("alice"), two.join("bob"));
    alice.skip_to("*** bob joined");
    engine.kill();
    for i in 0..10 {
        alice.say(&format!("a{i}"));
        bob.say(&format!("b{i}"));
    }
    for peer in [&mut alice, &mut bob] {
        peer.expect("--- notice: the room is out of reach; your lines wait, none is lost");
    }
    one.find_on_console("is out of reach: ");
    thread::sleep(Duration::from_secs(8));
    engine.restart();
    let mut said = [&mut alice, &mut bob].map(|peer| {
        let mut said = Vec::new();
        while said.len() < 21 {
            said.push(peer.line());
        }
        said
    });
    for said in &mut said {
        let index = said.iter().position(|line| line == "--- notice: the room is back").expect("they are told");
        said.remove(index);
    }
    assert_eq!(said[0], said[1]);
    for (name, start) in [("alice", "alice: a"), ("bob", "bob: b")] {
        let numbers: Vec<&str> = said[0].iter().filter_map(|line| line.strip_prefix(start)).collect();
        assert_eq!(numbers, (0..10).map(|i| i.to_string()).collect::<Vec<_>>(), "{name}");
    }
    one.find_on_console("is back");
}

/// An engine that comes back without what it had kept, or with an older copy of it, is not gone on with: a server that has
/// shown more ends with an error, and the next start is a room of its own.
#[test]
fn the_engine_forgets() {
    for (is_older, has_other) in [(false, false), (false, true), (true, true)] {
        let Some(mut engine) = Engine::start() else { return };
        let mut one = engine.serve("");
        let mut alice = one.join("alice");
        alice.say("kept");
        alice.expect("alice: kept");
        engine.kill();
        let copy = engine.copy_of_store();
        engine.restart();
        for i in 0..20 {
            alice.say(&format!("{i}"));
            alice.skip_to(&format!("alice: {i}"));
        }
        engine.kill();
        engine.replace_store(is_older.then_some(copy));
        engine.restart();
        let two = has_other.then(|| engine.serve(""));
        let (status, console) = {
            drop(one.find_on_console("is out of reach"));
            one.wait()
        };
        assert_eq!(status.code(), Some(1), "{console:?}");
        two.unwrap_or_else(|| engine.serve("")).join("bob");
    }
}

/// What no server has put into the log stops those who read it, with an error, and never with a panic.
#[test]
fn the_log_has_something_else() {
    let late = [b"\x03\xb9\x60\x00".as_slice(), &[255; 9], b"\x01\x05\x06\x00\x00"].concat();
    for message in [b"rubbish".to_vec(), late] {
        let Some(engine) = Engine::start() else { return };
        let one = engine.serve("");
        let _alice = one.join("alice");
        engine.publish("gotcp.lab.log", &message);
        let (status, _) = one.wait();
        assert_eq!(status.code(), Some(1));
    }
}

/// An engine that stops answering is noticed, too, although its connections stay.
#[test]
fn the_engine_sleeps() {
    let Some(engine) = Engine::start() else { return };
    let one = engine.serve("");
    let mut alice = one.join("alice");
    engine.signal(Signal::SIGSTOP);
    alice.say("into the void");
    alice.expect("--- notice: the room is out of reach; your lines wait, none is lost");
    thread::sleep(Duration::from_secs(10));
    engine.signal(Signal::SIGCONT);
    let mut lines = [alice.line(), alice.line()];
    lines.sort();
    assert_eq!(lines, ["--- notice: the room is back", "alice: into the void"]);
}

/// One of several servers is stopped in order: its people are told that the room goes on, the others read nothing of it, and
/// a session goes on at once.
#[test]
fn a_server_is_stopped() {
    let Some(engine) = Engine::start() else { return };
    let (one, two) = (engine.serve(""), engine.serve(""));
    let mut watcher = two.join("watcher");
    let mut alice = one.join("alice");
    let session = Session::open(&mut alice);
    let mut bob = one.join("bob");
    watcher.skip_to("*** bob joined");
    alice.say("before the end");
    alice.skip_to("alice: before the end");
    one.stop();
    let rest = alice.rest();
    let goes_on = "--- notice: this server is shutting down; the room goes on";
    assert!(rest.iter().any(|line| line == goes_on), "{rest:?}");
    assert!(
        rest.last().is_some_and(|line| line.starts_with("--- session ") && line.ends_with(", 1 heard")),
        "{rest:?}"
    );
    assert!(bob.rest().iter().any(|line| line == goes_on));
    watcher.expect_all(["alice: before the end", "*** bob left (connection lost)"]);
    let mut again = session.resume(&two);
    again.skip_to("--- resumed as alice, 1 heard");
    again.say("after it");
    watcher.expect("alice: after it");
}

/// However much is said at one server, and however little is read at another one, memory is bounded at both. Who reads
/// slowly there is disconnected, and others miss nothing.
#[test]
#[cfg(target_os = "linux")]
fn memory_is_bounded() {
    let Some(engine) = Engine::start() else { return };
    let (one, two) = (engine.serve("--rate 0"), engine.serve("--rate 0"));
    let mut stalled = Peer::connect_narrow(two.address);
    stalled.say("stalled");
    stalled.skip_to("*** stalled joined");
    let mut reader = two.join("reader");
    let mut writer = one.join("writer");
    let (lines, line) = (4000, "x".repeat(20_000));
    thread::scope(|scope| {
        let (mut input, line) = (writer.stream().try_clone().expect("a socket"), &line);
        scope.spawn(move || {
            for i in 0..lines {
                input.write_all(format!("{i} {line}\n").as_bytes()).expect("the server reads");
            }
        });
        scope.spawn(|| drop(writer.skip_to_start(&format!("writer: {} ", lines - 1))));
        for i in 0..lines {
            assert!(reader.skip_to_start("writer: ").starts_with(&format!("writer: {i} ")), "line {i}");
        }
    });
    let memory = [&one, &two].map(|server| server.memory() / 1024 / 1024);
    assert!(memory.iter().all(|&mebibytes| mebibytes < 96), "{memory:?} MiB");
    println!("{memory:?} MiB");
    let rest = stalled.rest();
    assert_eq!(rest.last().map(String::as_str), Some("--- error: you read too slowly"));
}

/// Whoever starts late, or again, has the same room: from a checkpoint, once what is old is deleted from the log.
#[test]
fn a_server_starts_late() {
    let Some(engine) = Engine::start() else { return };
    let options = "--scrollback 1MiB --rate 0 --keep 1s --history 3 --grace 60s";
    let one = engine.serve(options);
    let mut alice = one.join("alice");
    let session = Session::open(&mut alice);
    let mut writer = Peer::connect(one.address);
    writer.expect(WELCOME);
    writer.say("writer");
    let line = "x".repeat(60_000);
    let lines = 80 * 5;
    for i in 0..lines {
        if i == lines - 80 {
            // By the next checkpoint, the others are older than what is to be kept.
            thread::sleep(Duration::from_secs(3));
        }
        writer.say(&format!("{i} {line}"));
        writer.skip_to_start(&format!("writer: {i} "));
        drop(alice.skip_to_start(&format!("writer: {i} ")));
    }
    let mut last = Vec::new();
    retry(|| (engine.first_sequence() > 1).then_some(()));
    let two = engine.serve(options);
    let mut bob = two.connect();
    bob.expect(WELCOME);
    bob.say("bob");
    bob.expect("--- the last 3 lines before you came:");
    for i in lines - 3..lines {
        last.push(bob.line());
        assert_eq!(last[last.len() - 1], format!("writer: {i} {line}"));
    }
    bob.skip_to("*** bob joined");
    bob.say("!who");
    bob.expect_all(["--- 3 online:", "---   alice, bob, writer"]);
    alice.reset();
    let mut again = session.resume(&two);
    let missed = again.line();
    assert!(missed.starts_with("--- missed "), "{missed}");
    again.skip_to_start("--- resumed as alice, ");
}
