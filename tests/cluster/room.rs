//! What people see of a room that several servers share: one room.

use std::fs;

use tempfile::TempDir;

use crate::support::nats::Engine;
use crate::support::peer::{Peer, WELCOME, loopback};
use crate::support::session::Session;

/// Everybody reads the same lines in the same order, wherever they are; whoever comes reads what was said before, at any
/// server; and all are here.
#[test]
fn is_one_room() {
    let Some(engine) = Engine::start() else { return };
    let (one, two) = (engine.serve(""), engine.serve(""));
    let (mut alice, mut bob) = (one.join("alice"), two.join("bob"));
    alice.skip_to("*** bob joined");
    for i in 0..50 {
        alice.say(&format!("a{i}"));
        bob.say(&format!("b{i}"));
    }
    let read = |peer: &mut Peer| -> Vec<String> { (0..100).map(|_| peer.line()).collect() };
    let said = read(&mut alice);
    assert_eq!(read(&mut bob), said);
    for (who, start) in [("alice: a", "a"), ("bob: b", "b")] {
        let theirs: Vec<&str> = said.iter().filter_map(|line| line.strip_prefix(who)).collect();
        assert_eq!(theirs, (0..50).map(|i| i.to_string()).collect::<Vec<_>>(), "{start}");
    }
    let three = engine.serve("");
    let mut carol = three.connect();
    drop(carol.line());
    carol.say("carol");
    carol.expect("--- the last 20 lines before you came:");
    carol.expect_all(said[80..].iter().map(String::as_str));
}

/// `!who`, `!msg`, `!reply`, `!nick` and the history work across servers.
#[test]
fn commands_work_across_servers() {
    let Some(engine) = Engine::start() else { return };
    let (one, two) = (engine.serve(""), engine.serve(""));
    let (mut alice, mut bob) = (one.join("alice"), two.join("bob"));
    alice.skip_to("*** bob joined");
    bob.say("!who");
    bob.expect_all(["--- 2 online:", "---   alice, bob"]);
    bob.say("!nick Alice");
    bob.expect("--- error: the name Alice is taken");
    bob.say("!nick zoe");
    bob.expect("*** bob is now zoe");
    alice.expect("*** bob is now zoe");
    for (text, number) in ["one", "two", "three"].into_iter().zip(1..) {
        alice.say(&format!("!msg zoe {text}"));
        alice.expect(&format!("--- [you to zoe] {text}"));
        bob.expect(&format!("--- [alice to you] {text}"));
        bob.say(&format!("!reply {number}"));
        bob.expect(&format!("--- [you to alice] {number}"));
        alice.expect(&format!("--- [zoe to you] {number}"));
    }
    alice.say("!msg zoe last");
    alice.say("and then this");
    for (peer, whisper) in [(&mut alice, "--- [you to zoe] last"), (&mut bob, "--- [alice to you] last")] {
        let mut lines = [peer.line(), peer.line()];
        lines.sort();
        assert_eq!(lines, [whisper, "alice: and then this"]);
    }
    alice.say("!history 2");
    let times_and_lines = [alice.line(), alice.line()];
    let lines = times_and_lines.each_ref().map(|line| line.split_once("] ").expect("a time").1);
    assert_eq!(lines, ["*** bob is now zoe", "alice: and then this"]);
    bob.say("!search THIS then");
    assert!(bob.line().ends_with("] alice: and then this"));
}

/// Operators of one server decide about people at another one, who are told why.
#[test]
fn operators_decide_everywhere() {
    let Some(engine) = Engine::start() else { return };
    let folder = TempDir::new().unwrap();
    let word = folder.path().join("word");
    fs::write(&word, "root\n").unwrap();
    let options = format!("--history 0 --max-per-ip 100 --operator-password-file {}", word.display());
    let (one, two) = (engine.serve(&options), engine.serve(&options));
    let mut root = one.join("root");
    root.say("!operator root");
    root.expect("--- you are an operator");
    let mut bob = Peer::connect_from(loopback(2), two.address).named("bob");
    root.skip_to("*** bob joined");
    root.say("!mute bob 10m");
    root.expect("--- bob is muted for 10m");
    bob.expect("--- notice: you are muted for 10m");
    root.say("!unmute bob");
    root.expect("--- bob may speak again");
    bob.expect("--- notice: you may speak again");
    root.say("!kick bob loud");
    root.expect("*** bob was kicked (loud)");
    assert_eq!(bob.rest(), ["--- error: you were kicked (loud)"]);
    let mut bob = Peer::connect_from(loopback(2), two.address).named("bob");
    root.skip_to("*** bob joined");
    root.say("!ban bob 1h spam");
    root.skip_to("*** bob was banned for 1h (spam)");
    assert_eq!(bob.rest(), ["--- error: you are banned for 1h (spam)"]);
    let mut bob = Peer::connect_from(loopback(2), two.address);
    assert!(bob.line().starts_with("--- error: you are banned for"), "a ban holds at every server");
    root.say("!notice all is well");
    two.join("zoe").say("!exit");
    root.skip_to("*** notice: all is well");
}

/// A session goes on at another server, from the byte at which it stopped, and the first connection ends.
#[test]
fn sessions_move_on() {
    let Some(engine) = Engine::start() else { return };
    let (one, two) = (engine.serve(""), engine.serve(""));
    let mut alice = one.join("alice");
    let session = Session::open(&mut alice);
    alice.say("first");
    alice.expect("alice: first");
    let mut bob = two.join("bob");
    bob.say("hello");
    bob.expect("bob: hello");
    let mut again = session.resume(&two);
    again.expect_all(["alice: first", "*** bob joined", "bob: hello", "--- resumed as alice, 1 heard"]);
    assert_eq!(alice.rest().last().map(String::as_str), Some("--- error: resumed elsewhere"));
    again.say("second");
    again.expect("alice: second");
    bob.expect("alice: second");
    again.reset();
    let mut again = session.resume(&one);
    again.skip_to("--- resumed as alice, 2 heard");
}

/// However often two people claim a name at two servers at the same time, one of them gets it.
#[test]
fn a_name_has_one_owner() {
    let Some(engine) = Engine::start() else { return };
    let servers = [engine.serve(""), engine.serve("")];
    let times = if std::env::var_os("GOTCP_TEST_FULL").is_some() { 1000 } else { 100 };
    let mut won = [0, 0];
    for i in 0..times {
        let name = format!("name{i}");
        let mut peers = servers.each_ref().map(|server| server.connect());
        for peer in &mut peers {
            peer.expect(WELCOME);
        }
        for peer in &mut peers {
            peer.say(&name);
        }
        let taken = format!("--- error: the name {name} is taken");
        let has_it = peers.each_mut().map(|peer| {
            loop {
                let line = peer.line();
                if line.starts_with("--- you are ") {
                    break true;
                }
                if line == taken {
                    break false;
                }
            }
        });
        assert_ne!(has_it[0], has_it[1], "{name}: {has_it:?}");
        won[usize::from(has_it[1])] += 1;
    }
    println!("{won:?} names went to either server");
}
