//! What PROTOCOL.md promises, on real sockets: each test runs the built server and talks to it as `nc` would.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::address::free_address;
use crate::support::peer::{PATIENCE, Peer, WELCOME, loopback, numbered, retry};
use crate::support::server::{Server, gotcp, lines_of};
use crate::support::session::Session;
use nix::sys::signal::Signal;

// ---- Coming, talking, going ----

/// A newcomer is greeted; everyone is told of it and of what is said, the sender included.
#[test]
fn everyone_hears_everything() {
    let server = Server::start("");
    let mut alice = server.connect();
    alice.expect(WELCOME);
    alice.say("alice");
    alice.expect_all(["--- you are alice; 1 online; !help lists the commands", "*** alice joined"]);

    let mut bob = server.connect();
    bob.expect(WELCOME);
    bob.say("bob");
    bob.expect_all([
        "--- the last line before you came:",
        "*** alice joined",
        "--- you are bob; 2 online; !help lists the commands",
        "*** bob joined",
    ]);
    alice.expect("*** bob joined");

    alice.say("hi");
    bob.say("안녕, alice");
    for peer in [&mut alice, &mut bob] {
        let mut lines = [peer.line(), peer.line()];
        lines.sort();
        assert_eq!(lines, ["alice: hi", "bob: 안녕, alice"]);
    }

    bob.say("!exit");
    assert_eq!(bob.rest(), ["*** bob left"]);
    alice.expect("*** bob left");
}

/// A name that is not allowed is refused with the reason, and another one may be tried on the same connection.
#[test]
fn a_bad_name_may_be_tried_again() {
    let server = Server::start("--history 0");
    let mut peer = server.connect();
    peer.expect(WELCOME);
    let long = "x".repeat(33);
    for (name, reason) in [
        ("two words", "it has a space in it"),
        ("colon:", "it may have letters, digits and _ - . # only, not U+003A"),
        ("***", "it may have letters, digits and _ - . # only, not U+002A"),
        ("\x1b[31mred", "it may have letters, digits and _ - . # only, not U+001B"),
        ("\u{345}", "it must start with a letter, a digit or _"),
        ("\u{93e}", "it must start with a letter, a digit or _"),
        ("-dash", "it must start with a letter, a digit or _"),
        (&long, "it is longer than 32 characters"),
    ] {
        peer.say(name);
        peer.expect(&format!("--- error: bad name: {reason}"));
    }
    peer.send(b"\xff\xfe\n");
    peer.expect("--- error: bad name: it is not UTF-8");
    let longest = "박".repeat(32);
    peer.say(&longest);
    peer.expect(&format!("--- you are {longest}; 1 online; !help lists the commands"));
    peer.expect(&format!("*** {longest} joined"));
}

/// No two people have names that look alike; the second is told that the name is taken and may choose another.
#[test]
fn look_alikes_are_taken() {
    let server = Server::start("--history 0");
    let _alice = server.join("alice");
    let mut other = server.connect();
    other.expect(WELCOME);
    for name in ["alice", "ALICE", "\u{430}lice", "aIice", "aiice", "AIice", "a1ice"] {
        other.say(name);
        other.expect(&format!("--- error: the name {name} is taken"));
    }
    let mut other = other.named("alicia");
    for name in ["Alic\u{435}", "AIice"] {
        other.say(&format!("!nick {name}"));
        other.expect(&format!("--- error: the name {name} is taken"));
    }
    // One's own name in another spelling is nobody else's.
    other.say("!nick Alicia");
    other.expect("*** alicia is now Alicia");
    other.say("!nick Alicia");
    other.expect("--- you are Alicia");
    let _isabella = server.join("isabella");
    let mut third = server.connect();
    third.send("IsabeIIa\n");
    third.expect_all([WELCOME, "--- error: the name IsabeIIa is taken"]);
}

/// No control character gets through, and harmless text is not changed.
#[test]
fn text_is_made_harmless() {
    let server = Server::start("--history 0");
    let mut bob = server.join("bob");
    for (sent, heard) in [
        (&b"\x1b[2J\x1b]0;owned\x07"[..], "\u{fffd}[2J\u{fffd}]0;owned\u{fffd}"),
        (b"nul \0 del \x7f bs \x08", "nul \u{fffd} del \u{fffd} bs \u{fffd}"),
        ("c1 \u{9b}31m".as_bytes(), "c1 \u{fffd}31m"),
        ("\u{202e}sdrawkcab \u{2066}x\u{2028}y".as_bytes(), "\u{fffd}sdrawkcab \u{fffd}x\u{fffd}y"),
        (b"broken \xff\xc3(", "broken \u{fffd}\u{fffd}("),
        ("tab\tand 👩‍👩‍👧 and שלום".as_bytes(), "tab\tand 👩‍👩‍👧 and שלום"),
    ] {
        bob.send([sent, b"\n"].concat());
        bob.expect(&format!("bob: {heard}"));
    }
    // The same goes for whispers and for what is quoted back.
    bob.send(b"!msg bob \x1b[5m\n!\x1b[5m\n!msg \x1b hi\n");
    bob.expect_all([
        "--- [bob to you] \u{fffd}[5m",
        "--- [you to bob] \u{fffd}[5m",
        "--- error: unknown command !\u{fffd}[5m; !help lists the commands, !!\u{fffd}[5m says the text \"!\u{fffd}[5m\"",
        "--- error: nobody here is called \u{fffd}",
    ]);
}

/// LF ends a line, a CR before it does not count, a lone CR ends nothing, and blank lines say nothing.
#[test]
fn lines_end_where_they_should() {
    let server = Server::start("--history 0");
    let mut peer = server.connect();
    peer.send("\n\r\n  \nbob\r\n");
    peer.expect(WELCOME);
    peer.expect("--- you are bob; 1 online; !help lists the commands");
    peer.expect("*** bob joined");
    peer.send("one\r\ntwo\rstill two\n\n\r\n \t \n  three \n");
    peer.expect_all(["bob: one", "bob: two\u{fffd}still two", "bob:   three "]);
    // However the bytes are split on the way.
    for byte in "안녕\r\n".bytes() {
        peer.send([byte]);
        thread::sleep(Duration::from_millis(2));
    }
    peer.expect("bob: 안녕");
}

/// A line over the limit is dropped to its LF, its sender is told at once, and the connection stays.
#[test]
fn an_over_long_line_is_dropped() {
    let server = Server::start("--history 0 --max-line 64");
    let mut bob = server.join("bob");
    let told = "--- error: a line longer than 64 bytes was dropped";
    let longest = "x".repeat(63);
    bob.say(&longest);
    bob.expect(&format!("bob: {longest}"));
    bob.say(&"y".repeat(64));
    bob.expect(told);
    bob.say("still here");
    bob.expect("bob: still here");
    // The sender is told before the line has ended; the rest of it is not a line of its own.
    bob.send("z".repeat(100_000));
    bob.expect(told);
    bob.send("z".repeat(100_000));
    bob.say("");
    bob.say("and now");
    bob.expect("bob: and now");
}

/// Lines in the same packet as the name are processed, all of them.
#[test]
fn lines_sent_with_the_name_are_heard() {
    let server = Server::start("--history 0");
    let mut bob = server.connect();
    bob.send("bob\none\ntwo\n!exit\nnever heard\n");
    let all = [
        WELCOME,
        "--- you are bob; 1 online; !help lists the commands",
        "*** bob joined",
        "bob: one",
        "bob: two",
        "*** bob left",
    ];
    assert_eq!(bob.rest(), all);
}

/// The last line counts even without a LF, and it may be the name.
#[test]
fn a_last_line_needs_no_end() {
    let server = Server::start("--history 0");
    let mut alice = server.join("alice");
    let mut bob = server.connect();
    bob.send("bob\none\nlast");
    bob.half_close();
    assert_eq!(bob.rest()[2..], ["*** bob joined", "bob: one", "bob: last", "*** bob left"]);
    alice.expect_all(["*** bob joined", "bob: one", "bob: last", "*** bob left"]);
    let mut carol = server.connect();
    carol.send("carol");
    carol.half_close();
    assert_eq!(carol.rest()[2..], ["*** carol joined", "*** carol left"]);
    alice.expect_all(["*** carol joined", "*** carol left"]);
}

/// The end of input is a half-close: everything that the client sent is delivered, and so is everything that it has
/// still to be sent.
#[test]
fn a_half_close_loses_nothing() {
    const LINES: usize = 20_000;
    let server = Server::start("--history 0 --rate 0");
    let mut alice = server.join("alice");
    let mut bob = Peer::connect_narrow(server.address).named("bob");
    let text = "x".repeat(80);
    let sending = {
        let stream = bob.stream().try_clone().unwrap();
        let text = text.clone();
        thread::spawn(move || {
            let lines = numbered(LINES, &format!(" {text}"));
            (&stream).write_all(lines.as_bytes()).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
        })
    };
    sending.join().unwrap();
    let mut expected: Vec<String> = (0..LINES).map(|i| format!("bob: {i} {text}")).collect();
    expected.push("*** bob left".into());
    // Bob has not read a byte of it yet.
    assert_eq!(bob.rest(), expected);
    alice.expect("*** bob joined");
    for line in expected {
        alice.expect(&line);
    }
}

/// A client that leaves with unprocessed input is still sent everything: the server does not reset a connection by
/// closing it too soon.
#[test]
fn what_comes_after_an_exit_harms_nothing() {
    let server = Server::start("--history 0 --rate 0");
    let mut alice = server.join("alice");
    let mut bob = Peer::connect_narrow(server.address).named("bob");
    alice.send(numbered(100, &"x".repeat(1000)));
    alice.skip_to(&format!("alice: 99{}", "x".repeat(1000)));
    let mut stream = bob.stream().try_clone().unwrap();
    let sending = thread::spawn(move || {
        stream.write_all(b"!exit\n").unwrap();
        // The write may fail in the middle, when the server has waited long enough.
        let _ = stream.write_all(&vec![b'x'; 2_000_000]);
    });
    alice.skip_to("*** bob left");
    let owed: Vec<String> = (0..100).map(|i| format!("alice: {i}{}", "x".repeat(1000))).collect();
    assert_eq!(bob.skip_to("*** bob left"), owed);
    assert_eq!(bob.rest(), [""; 0]);
    sending.join().unwrap();
}

/// Everyone gets the same lines in the same order, even if several talk at the same time.
#[test]
fn there_is_one_order() {
    const PEERS: usize = 8;
    const LINES: usize = 300;
    let server = Server::start("--history 0");
    let mut peers: Vec<Peer> = (0..PEERS).map(|i| server.join(&format!("peer{i}"))).collect();
    let talking: Vec<_> = peers
        .iter()
        .enumerate()
        .map(|(i, peer)| {
            let mut stream = peer.stream().try_clone().unwrap();
            thread::spawn(move || (0..LINES).for_each(|n| writeln!(stream, "{i} {n}").unwrap()))
        })
        .collect();
    for thread in talking {
        thread.join().unwrap();
    }
    let heard: Vec<Vec<String>> = peers
        .iter_mut()
        .map(|peer| {
            let is_message = |line: &String| !line.starts_with('*');
            std::iter::repeat_with(|| peer.line()).filter(is_message).take(PEERS * LINES).collect()
        })
        .collect();
    assert!(heard.iter().all(|lines| *lines == heard[0]), "they differ");
    for i in 0..PEERS {
        let from_one: Vec<&String> = heard[0].iter().filter(|line| line.starts_with(&format!("peer{i}: "))).collect();
        let expected: Vec<String> = (0..LINES).map(|n| format!("peer{i}: {i} {n}")).collect();
        assert!(from_one.into_iter().eq(&expected), "peer{i} is heard out of order");
    }
}

// ---- Commands ----

/// Every command does what `!help` says, and an unknown one is reported.
#[test]
fn commands_are_understood() {
    let server = Server::start("--history 0");
    let mut bob = server.join("bob#77a1f0");
    let mut carol = server.join("carol#0b9189");
    bob.expect("*** carol#0b9189 joined");

    bob.say("!help");
    let help: Vec<String> = (0..8).map(|_| bob.line()).collect();
    for (line, command) in help.iter().zip(["!help", "!who", "!me", "!msg", "!reply", "!nick", "!exit", "!!"]) {
        assert!(line.starts_with(&format!("--- {command}")), "{line}");
    }
    bob.say("!WHO");
    bob.expect_all(["--- 2 online:", "---   bob#77a1f0, carol#0b9189"]);
    bob.say("!msg carol psst");
    bob.expect("--- [you to carol#0b9189] psst");
    carol.expect("--- [bob#77a1f0 to you] psst");
    bob.say("!msg dave psst");
    bob.expect("--- error: nobody here is called dave");
    bob.say("!x marks the spot");
    bob.expect("--- error: unknown command !x; !help lists the commands, !!x says the text \"!x\"");
    bob.say("!msg carol");
    bob.expect("--- error: usage: !msg NAME TEXT");
    bob.say("!nick two words");
    bob.expect("--- error: bad name: it has a space in it");

    bob.send("!me waves\n!!exit is a command\n/path/to/file\n!nick rob\nstill me\n!Exit\n");
    let public = [
        "* bob#77a1f0 waves",
        "bob#77a1f0: !exit is a command",
        "bob#77a1f0: /path/to/file",
        "*** bob#77a1f0 is now rob",
        "rob: still me",
        "*** rob left",
    ];
    assert_eq!(bob.rest(), public);
    // Carol was told nothing else: private lines stay private.
    carol.expect_all(public);
    // The name that was given up is free again.
    drop(server.join("bob#77a1f0"));
}

/// A name without its tag means someone only if it fits one person.
#[test]
fn a_name_without_its_tag_has_to_be_clear() {
    let server = Server::start("--history 0");
    let mut one = server.join("carol#000001");
    let mut two = server.join("Carol#000002");
    two.say("!msg carol psst");
    two.expect("--- error: more than one here is called carol; add the tag");
    two.say("!msg carol#000001 psst");
    two.expect("--- [you to carol#000001] psst");
    assert_eq!(one.skip_to("--- [Carol#000002 to you] psst"), ["*** Carol#000002 joined"]);
}

/// In a large room the answer to `!who` has lines of a readable length, with everybody in them.
#[test]
fn who_is_here_fits_the_screen() {
    let server = Server::start("--history 0");
    let mut names: Vec<String> = (0..500).map(|i| format!("somebody-called-{i}")).collect();
    let mut peers: Vec<Peer> = names.iter().map(|name| server.join(name)).collect();
    let last = peers.last_mut().unwrap();
    last.say("!who");
    last.expect("--- 500 online:");
    let mut listed = Vec::new();
    while listed.len() < 500 {
        let line = last.line();
        assert!(line.len() <= 110, "{line}");
        let line = line.strip_prefix("---   ").expect("a line of names");
        listed.extend(line.trim_end_matches(',').split(", ").map(str::to_owned));
    }
    names.sort();
    assert_eq!(listed, names);
}

/// `!exit` needs no name.
#[test]
fn who_has_no_name_can_leave() {
    let server = Server::start("");
    let mut peer = server.connect();
    peer.say("!exit");
    assert_eq!(peer.rest(), [WELCOME]);
}

// ---- History ----

/// A newcomer gets the last lines first, behind a private line, then the greeting, and then the room goes on.
#[test]
fn newcomers_see_the_last_lines() {
    let server = Server::start("--history 3");
    let mut alice = server.join("alice");
    alice.send("one\ntwo\nthree\n");
    alice.skip_to("alice: three");
    let mut bob = server.connect();
    bob.send("bob\nhello\n");
    bob.expect_all([
        WELCOME,
        "--- the last 3 lines before you came:",
        "alice: one",
        "alice: two",
        "alice: three",
        "--- you are bob; 2 online; !help lists the commands",
        "*** bob joined",
        "bob: hello",
    ]);
}

/// `--history 0` shows nothing of what was said before, and says nothing about it.
#[test]
fn history_can_be_off() {
    let server = Server::start("--history 0");
    let mut alice = server.join("alice");
    alice.say("one");
    alice.expect("alice: one");
    let mut bob = server.connect();
    bob.say("bob");
    bob.expect_all([WELCOME, "--- you are bob; 2 online; !help lists the commands", "*** bob joined"]);
}

// ---- A full server ----

/// One connection too many is told that the server is full; once another one ends, there is room again.
#[test]
fn a_full_server_says_so() {
    let server = Server::start("--history 0 --max-clients 2");
    let mut alice = server.join("alice");
    let nameless = server.connect();
    let mut third = server.connect();
    third.say("carol");
    assert_eq!(third.rest(), ["--- error: the server is full (2 connections); try again later"]);
    drop(nameless);
    let mut carol = retry(|| {
        let mut carol = server.connect();
        (carol.line() == WELCOME).then_some(carol)
    })
    .named("carol");
    carol.say("hi");
    assert_eq!(alice.skip_to("carol: hi"), ["*** carol joined"]);
}

/// If `--max-per-ip` is given, it holds for this machine, too, for each of its addresses.
#[test]
fn one_address_has_so_many_places() {
    let server = Server::start("--history 0 --max-per-ip 2");
    let _one = server.join("one");
    let two = server.join("two");
    let error = "--- error: too many connections from your address (2)";
    assert_eq!(server.connect().rest(), [error]);
    let _other = Peer::connect_from(loopback(2), server.address).named("other");
    drop(two);
    retry(|| (server.connect().line() == WELCOME).then_some(()));
}

/// Without the option this machine may connect as often as it likes.
#[test]
fn loopback_is_exempt() {
    let server = Server::start("");
    let peers: Vec<Peer> = (0..300)
        .map(|_| {
            let mut peer = server.connect();
            peer.expect(WELCOME);
            peer
        })
        .collect();
    drop(peers);
}

/// The time for the name is counted from the start; a byte now and then does not extend it.
#[test]
fn a_name_has_to_come_in_time() {
    let server = Server::start("--login-timeout 1s");
    let started = Instant::now();
    let mut slow = server.connect();
    slow.expect(WELCOME);
    let trickling = {
        let mut stream = slow.stream().try_clone().unwrap();
        thread::spawn(move || {
            // This would take much longer than a test may. The write fails once the server has closed the connection.
            while started.elapsed() < 2 * PATIENCE && stream.write_all(b"x").is_ok() {
                thread::sleep(Duration::from_millis(100));
            }
        })
    };
    slow.expect("--- error: no name within 1s");
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert_eq!(slow.drain().0, b"");
    drop(slow);
    trickling.join().unwrap();
    assert!(started.elapsed() < PATIENCE, "the connection was closed");
}

// ---- Stopping ----

/// SIGINT and SIGTERM alike: everyone is told, every connection ends in order, and the exit code is 0.
#[test]
fn a_signal_ends_the_server_in_order() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut server = Server::start("--history 0 --rate 1 --burst 10");
        let mut alice = server.join("alice");
        let mut nameless = server.connect();
        nameless.expect(WELCOME);
        // Bob has sent more than was processed. Closing with that unread would reset his connection.
        let mut bob = server.join("bob");
        bob.send("too fast\n".repeat(5000));
        bob.skip_to("--- notice: you are sending too fast; your lines are delayed, none is lost");
        server.signal(signal);
        alice.skip_to("*** the server is shutting down");
        assert_eq!(alice.rest(), [""; 0]);
        bob.skip_to("*** the server is shutting down");
        assert_eq!(bob.rest(), [""; 0]);
        assert_eq!(nameless.rest(), [""; 0]);
        server.find_on_console("[O] shutting down; 3 connections to end");
        assert_eq!(server.wait().0.code(), Some(0));
    }
}

/// A stuck reader delays the end by `--drain` and no more, and does not affect the others.
#[test]
fn a_stuck_reader_delays_the_end_for_so_long_only() {
    let server = Server::start("--history 0 --rate 0 --drain 1s");
    let (mut alice, _stuck) = with_a_stuck_reader(&server);
    let asked = Instant::now();
    server.signal(Signal::SIGTERM);
    alice.skip_to("*** the server is shutting down");
    assert_eq!(alice.rest(), [""; 0]);
    let (status, _) = server.wait();
    assert_eq!(status.code(), Some(0));
    let took = asked.elapsed();
    assert!(took >= Duration::from_secs(1), "somebody is stuck, and the server waited only {took:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
}

/// A second signal ends the server at once, even if a reader is stuck.
#[test]
fn a_second_signal_ends_it_at_once() {
    let server = Server::start("--history 0 --rate 0 --drain 10m");
    let (mut alice, _stuck) = with_a_stuck_reader(&server);
    server.signal(Signal::SIGINT);
    alice.skip_to("*** the server is shutting down");
    alice.rest();
    server.signal(Signal::SIGINT);
    let (status, _) = server.wait();
    assert_eq!(status.code(), Some(1));
}

/// A restarted server gets its port at once, although connections of the previous one linger.
#[test]
fn the_port_is_free_after_a_restart() {
    let server = Server::start("");
    let address = server.address;
    let mut alice = server.join("alice");
    server.signal(Signal::SIGTERM);
    // The server closes first, so it is on its side that the connection lingers.
    alice.skip_to("*** the server is shutting down");
    alice.rest();
    drop(alice);
    assert_eq!(server.wait().0.code(), Some(0));
    let server = Server::start_on(&address.to_string(), "");
    server.join("alice");
}

// ---- The console ----

/// The operator sees what happens, one line for each event, and no terminal escapes from users.
#[test]
fn the_console_shows_what_happens() {
    let mut server = Server::start("--history 0");
    let mut bob = server.connect();
    let address = bob.address();
    bob.send("no name\nbob\nhi \x1b[2J\n!me waves\n!nick rob\n!exit\n");
    bob.rest();
    drop(bob);
    for line in [
        format!("[-] refused from {address}: bad name: it has a space in it"),
        format!("[+] bob joined from {address} (1 online)"),
        "[~] bob: hi \u{fffd}[2J".into(),
        "[~] * bob waves".into(),
        "[~] bob is now rob".into(),
        "[-] rob left (0 online)".into(),
    ] {
        assert_eq!(server.console_line(), line);
    }
    let mut carol = server.join("carol");
    carol.say("!session");
    carol.skip_to_start("--- session ");
    carol.reset();
    server.expect_console("[+] carol joined from ");
    assert_eq!(server.console_line(), "[-] carol has lost the connection; the name is kept");
    assert_eq!(server.stop(), ["[O] shutting down; 0 connections to end"]);
}

/// `-q` leaves out what was said, `-qq` all but trouble.
#[test]
fn the_console_can_be_quiet() {
    let mut server = Server::start("--history 0 -q");
    let mut bob = server.join("bob");
    bob.send("hi\n!me waves\n!exit\n");
    bob.rest();
    server.expect_console("[+] bob joined from ");
    assert_eq!(server.console_line(), "[-] bob left (0 online)");
    server.stop();

    let address = free_address();
    let listen = address.to_string();
    let child = gotcp(["server", "-qq", "--listen", &listen]).stdout(Stdio::piped()).spawn().unwrap();
    let server = Server::watch(child, address);
    let mut bob = server.join("bob");
    bob.send("hi\n!exit\n");
    bob.rest();
    assert_eq!(server.stop(), [""; 0]);
}

/// A reply goes to who has whispered last, whatever others say meanwhile.
#[test]
fn whispers_are_replied_to() {
    let server = Server::start("");
    let [mut carol, mut bob, mut dave] = ["carol", "bob#77a1f0", "dave"].map(|name| server.join(name));
    carol.say("!reply hello?");
    carol.skip_to("--- error: nobody has told you anything");
    dave.say("!msg carol first");
    dave.skip_to("--- [you to carol] first");
    bob.say("!msg carol psst");
    bob.skip_to("--- [you to carol] psst");
    dave.say("aloud");
    carol.skip_to("dave: aloud");
    carol.say("/reply what is it?");
    carol.skip_to("--- [you to bob#77a1f0] what is it?");
    bob.skip_to("--- [carol to you] what is it?");
    bob.say("!reply nothing");
    carol.skip_to("--- [bob#77a1f0 to you] nothing");
    bob.say("!exit");
    carol.skip_to("*** bob#77a1f0 left");
    carol.say("!reply bye");
    carol.skip_to("--- error: nobody here is called bob#77a1f0");
}

/// The program, as systemd would start it: its console has no times.
fn timeless<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = gotcp(args);
    command.env("JOURNAL_STREAM", "8:1");
    command
}

/// A console that nobody reads delays nothing. When it is read again, it says how many lines it dropped: with those
/// that it shows, that makes every line that was said.
#[test]
fn a_full_console_drops_lines_and_counts_them() {
    const LINES: usize = 30_000;
    let address = free_address();
    let listen = address.to_string();
    let args = ["server", "--listen", &listen, "--history", "0", "--rate", "0"];
    let mut child = timeless(args).stdout(Stdio::piped()).spawn().unwrap();
    let stdout = child.stdout.take().unwrap();
    let server = Server::watch(child, address);
    let mut bob = server.join("bob");
    let text = "x".repeat(60);
    let lines = numbered(LINES, &format!(" {text}"));
    let mut stream = bob.stream().try_clone().unwrap();
    let sending = thread::spawn(move || stream.write_all(lines.as_bytes()).unwrap());
    for i in 0..LINES {
        bob.expect(&format!("bob: {i} {text}"));
    }
    sending.join().unwrap();

    let (mut shown, mut dropped) = (0, 0);
    let console = lines_of(stdout);
    while shown + dropped < LINES {
        let line = console.recv_timeout(PATIENCE).expect("every line is shown or counted");
        shown += usize::from(line.starts_with("[~] "));
        if let Some(rest) = line.strip_prefix("[!] ") {
            dropped += rest
                .strip_suffix(" lines were not shown: this console took no more")
                .unwrap()
                .parse::<usize>()
                .unwrap();
        }
    }
    assert_eq!(shown + dropped, LINES);
    assert!(dropped > 0, "a full pipe takes no {LINES} lines");
    bob.say("still here");
    bob.expect("bob: still here");
}

/// A server whose console was closed goes on.
#[test]
fn a_closed_console_stops_nobody() {
    let address = free_address();
    let listen = address.to_string();
    let mut child = gotcp(["server", "--listen", &listen, "--history", "0"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let server = Server::watch(child, address);
    let mut bob = server.join("bob");
    for i in 0..100 {
        bob.say(&format!("line {i}"));
        bob.expect(&format!("bob: line {i}"));
    }
    server.stop();
}

/// A console that cannot be written for a while goes on once it can, from where it stopped: here a file that may not
/// grow, which is what a full disk is like.
#[test]
#[cfg(target_os = "linux")]
fn a_console_on_a_full_disk_goes_on() {
    const LINES: usize = 100;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("console");
    let address = free_address();
    let args = ["server", "--listen", &address.to_string(), "--history", "0"];
    let child = timeless(args).stdout(std::fs::File::create(&path).unwrap()).spawn().unwrap();
    let server = Server::watch(child, address);
    let mut bob = server.join("bob");
    server.limit_file_size(200);
    for i in 0..LINES {
        bob.say(&format!("line {i}"));
        bob.expect(&format!("bob: line {i}"));
    }
    retry(|| (std::fs::metadata(&path).unwrap().len() == 200).then_some(()));
    server.limit_file_size(u64::MAX);
    retry(|| {
        std::fs::read_to_string(&path).unwrap().ends_with(&format!("[~] bob: line {}\n", LINES - 1)).then_some(())
    });
    let console = std::fs::read_to_string(&path).unwrap();
    let said = console.lines().filter_map(|line| line.strip_prefix("[~] bob: line ")?.parse::<usize>().ok());
    assert!(said.eq(0..LINES), "{console}");
}

/// A console that another program has made non-blocking works as well: every line is shown or counted.
#[test]
fn a_non_blocking_console_goes_on() {
    const LINES: usize = 30_000;
    let address = free_address();
    let (ours, theirs) = UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    let args = ["server", "--listen", &address.to_string(), "--history", "0", "--rate", "0"];
    let child = timeless(args).stdout(OwnedFd::from(theirs)).spawn().unwrap();
    let server = Server::watch(child, address);
    let mut bob = server.join("bob");
    let lines = numbered(LINES, "");
    let mut stream = bob.stream().try_clone().unwrap();
    let sending = thread::spawn(move || stream.write_all(lines.as_bytes()).unwrap());
    for i in 0..LINES {
        bob.expect(&format!("bob: {i}"));
    }
    sending.join().unwrap();
    let console = lines_of(ours);
    let mut seen = 0;
    while seen < LINES {
        let line = console.recv_timeout(PATIENCE).expect("every line is shown or counted");
        seen += usize::from(line.starts_with("[~] "));
        if let Some(rest) = line.strip_prefix("[!] ") {
            seen += rest.split_once(' ').unwrap().0.parse::<usize>().unwrap();
        }
    }
    assert_eq!(seen, LINES);
}

/// Closing the terminal in which a server runs ends it in order. The kernel and a shell may both say that it is closed.
#[test]
fn a_closed_terminal_ends_the_server_in_order() {
    let address = free_address();
    let (pty, pts) = pty_process::blocking::open().unwrap();
    let command = pty_process::blocking::Command::new(env!("CARGO_BIN_EXE_gotcp"));
    let child =
        command.args(["server", "--listen", &address.to_string(), "--rate", "0", "--drain", "10m"]).spawn(pts).unwrap();
    let server = Server::watch(child, address);
    let (mut alice, stuck) = with_a_stuck_reader(&server);
    drop(pty);
    alice.skip_to("*** the server is shutting down");
    assert_eq!(alice.rest(), [""; 0]);
    server.signal(Signal::SIGHUP);
    drop(stuck);
    assert_eq!(server.wait().0.code(), Some(0));
}

// ---- Sessions: a line typed arrives once ----

/// A session's position is where the reader is: from there on it counts the bytes of every public line.
#[test]
fn a_session_says_where_its_reader_is() {
    let server = Server::start("--history 0");
    let mut bob = server.join("bob");
    let mut carol = server.join("carol");
    let first = Session::open(&mut carol);
    assert_eq!(first.position, "*** bob joined\n*** carol joined\n".len() as u64);
    bob.say("hi");
    carol.expect("bob: hi");
    carol.say("!who");
    carol.expect_all(["--- 2 online:", "---   bob, carol"]);
    let second = Session::open(&mut carol);
    assert_eq!(second.position, first.position + "bob: hi\n".len() as u64);
    assert_eq!(second.token, first.token);
    // Everyone has a different token.
    assert_ne!(Session::open(&mut bob).token, first.token);
}

/// Someone who comes back within the grace period has missed nothing, and nobody else notices.
#[test]
fn who_comes_back_has_missed_nothing() {
    let server = Server::start("--history 0");
    let mut bob = server.join("bob");
    let mut carol = server.join("carol");
    let session = Session::open(&mut carol);
    carol.reset();
    bob.send("one\ntwo\n");
    bob.expect_all(["*** carol joined", "bob: one", "bob: two"]);
    bob.say("!msg carol psst");
    bob.skip_to_start("--- error: carol has lost the connection");
    // The name is kept.
    let mut thief = server.connect();
    thief.say("carol");
    thief.expect_all([WELCOME, "--- error: the name carol is taken"]);

    let mut carol = session.resume(&server);
    carol.expect_all(["bob: one", "bob: two", "--- resumed as carol, 0 heard"]);
    carol.say("back");
    carol.expect("carol: back");
    bob.expect("carol: back");
}

/// An old connection that is still open is replaced: it is told so, between two lines, and nobody else notices.
#[test]
fn a_connection_that_hangs_is_replaced() {
    let server = Server::start("--history 0");
    let mut bob = server.join("bob");
    let mut hanging = server.join("carol");
    let session = Session::open(&mut hanging);
    bob.send("one\n");
    hanging.expect("bob: one");
    let mut carol = session.resume(&server);
    carol.expect_all(["bob: one", "--- resumed as carol, 0 heard"]);
    assert_eq!(hanging.rest(), ["--- error: resumed elsewhere"]);
    carol.say("me again");
    bob.expect_all(["*** carol joined", "bob: one", "carol: me again"]);
}

/// Every line after the first `!session` counts, whatever it is, over all connections of the session: the count is told
/// when asked for, and on coming back.
#[test]
fn every_line_of_a_session_counts() {
    let server = Server::start("--history 0 --max-line 64");
    let mut carol = server.join("carol");
    carol.say("not counted");
    assert_eq!(Session::open(&mut carol).heard, 0);
    carol.send(format!("one\n\n!who\n!nonsense\n{}\n!msg nobody x\n", "y".repeat(100)));
    assert_eq!(Session::open(&mut carol).heard, 7, "the question counts, too");
    carol.say("!nick zoe");
    let session = Session::open(&mut carol);
    assert_eq!(session.heard, 9);
    carol.send("half a line, which does not count");
    carol.reset();
    let mut carol = session.resume(&server);
    carol.expect("--- resumed as zoe, 9 heard");
    carol.say("ten");
    carol.expect("zoe: ten");
    assert_eq!(Session::open(&mut carol).heard, 11);
}

/// A name that belongs to a session is reserved for its owner for a time after they have left, but not if the session
/// was never used.
#[test]
fn a_name_is_reserved() {
    let server = Server::start("--history 0 --grace 0s --reserve 2s");
    let mut bob = server.join("bob");
    let mut carol = server.join("carol");
    Session::open(&mut carol);
    carol.reset();
    bob.skip_to("*** carol left (connection lost)");
    let mut carol = server.join("carol");
    let session = Session::open(&mut carol);
    carol.say("mine");
    carol.expect("carol: mine");
    carol.reset();
    bob.skip_to("*** carol left (connection lost)");
    let mut thief = server.connect();
    thief.send("Carol\n");
    thief.expect_all([WELCOME, "--- error: the name Carol belongs to someone who is away"]);
    bob.send("!nick carol\n");
    bob.expect("--- error: the name carol belongs to someone who is away");
    let mut carol = session.resume(&server);
    carol.skip_to("*** carol joined");
    carol.reset();
    retry(|| {
        let mut other = server.connect();
        other.say("Carol");
        other.expect(WELCOME);
        other.line().starts_with("--- you are Carol;").then_some(())
    });
    bob.skip_to("*** Carol joined");
}

/// The room is told that someone who does not come back has left when the grace period is over, and not before.
#[test]
fn the_grace_runs_out() {
    let server = Server::start("--history 0 --grace 1s");
    let mut bob = server.join("bob");
    let mut carol = server.join("carol");
    Session::open(&mut carol);
    let broke = Instant::now();
    carol.reset();
    bob.expect_all(["*** carol joined", "*** carol left (connection lost)"]);
    assert!(broke.elapsed() >= Duration::from_secs(1));
    // Any end without `!exit` is a break; without a session it is not.
    let mut carol = server.join("carol");
    Session::open(&mut carol);
    carol.half_close();
    carol.rest();
    bob.expect_all(["*** carol joined", "*** carol left (connection lost)"]);
    let mut dave = server.join("dave");
    dave.half_close();
    assert_eq!(dave.rest(), ["*** dave left"]);
    bob.expect_all(["*** dave joined", "*** dave left"]);
    server.join("erin").reset();
    bob.expect_all(["*** erin joined", "*** erin left (connection lost)"]);
}

/// After the grace a session still misses nothing, but the room is told of the return.
#[test]
fn a_late_return_misses_nothing() {
    let server = Server::start("--history 0 --grace 0s");
    let mut bob = server.join("bob");
    let mut carol = server.join("carol");
    let session = Session::open(&mut carol);
    carol.reset();
    bob.skip_to("*** carol left (connection lost)");
    bob.send("one\n");
    let mut carol = session.resume(&server);
    carol.expect_all([
        "*** carol left (connection lost)",
        "bob: one",
        "--- resumed as carol, 0 heard",
        "*** carol joined",
    ]);
    bob.expect_all(["bob: one", "*** carol joined"]);
    // But not while somebody else has the name.
    carol.reset();
    bob.skip_to("*** carol left (connection lost)");
    let mut other = server.join("Carol");
    let mut late = session.resume(&server);
    late.expect("--- error: no such session; your first line is your name");
    other.say("I am Carol");
    other.expect("Carol: I am Carol");
}

/// Someone who missed more than the server keeps is told how much, and goes on from the oldest whole line.
#[test]
fn what_is_not_kept_is_said_to_be_missed() {
    let server = Server::start("--history 0 --rate 0 --max-line 64 --scrollback 4KiB");
    let mut bob = server.join("bob");
    let mut carol = server.join("carol");
    let session = Session::open(&mut carol);
    let before = session.position;
    carol.reset();
    bob.expect("*** carol joined");
    let mut log = String::new();
    for i in 0..300 {
        bob.say(&format!("line {i}"));
        let line = bob.line();
        log += &line;
        log.push('\n');
    }
    let mut carol = session.resume(&server);
    let line = carol.line();
    let missed =
        line.strip_prefix("--- missed ").and_then(|rest| rest.strip_suffix(" bytes: more than the server keeps"));
    let missed: usize = missed.unwrap_or_else(|| panic!("{line}")).parse().unwrap();
    let heard = carol.skip_to("--- resumed as carol, 0 heard");
    assert!(!heard.is_empty() && missed > 0, "{missed}: {heard:?}");
    assert!(heard.iter().map(String::as_str).eq(log[missed..].lines()), "{missed} after {before}: {heard:?}");
}

/// A token that is wrong in any way is refused in one private line and harms nobody.
#[test]
fn a_wrong_token_harms_nobody() {
    let server = Server::start("--history 0");
    let mut bob = server.join("bob");
    let mut carol = server.join("carol");
    let Session { token, position, .. } = Session::open(&mut carol);
    let other = "0".repeat(32);
    let refused = "--- error: no such session; your first line is your name";
    for claim in [
        format!("{other}@{position}"),
        format!("{token}@-1"),
        format!("{token}@"),
        token.clone(),
        format!("{}@{position}", &token[1..]),
        format!("+{}@{position}", &token[1..]),
        format!("{}@{position}", "é".repeat(16)),
        format!("{token}@{position} and more"),
        format!("carol {token}@{position}"),
    ] {
        let mut thief = server.connect();
        thief.say(&format!("!resume {claim}"));
        thief.expect_all([WELCOME, refused]);
        // Another name may be tried, up to the limit on refusals.
        thief.send("!exit\n");
        assert_eq!(thief.rest(), [""; 0], "{claim}");
    }
    carol.say("still me");
    carol.expect("carol: still me");
    bob.skip_to("carol: still me");
}

/// A token that is right is never refused for its position: what cannot be served is missed, and what lies beyond the
/// end is taken for the end.
#[test]
fn a_position_is_never_refused() {
    let server = Server::start("--history 0");
    let mut bob = server.join("bob");
    bob.say("before carol came");
    let mut carol = server.join("carol");
    let Session { token, position, .. } = Session::open(&mut carol);
    let before = position - "*** carol joined\n".len() as u64;
    bob.say("one");
    carol.expect("bob: one");
    let missed = |bytes| format!("--- missed {bytes} bytes: more than the server keeps");
    for (heard, (position, expected)) in (0..).zip([
        (position.to_string(), vec!["bob: one".into()]),
        ((position + 1).to_string(), vec![missed(8)]),
        // What was said before one came is nobody's to read again.
        ("0".into(), vec![missed(before), "*** carol joined".into(), "bob: one".into()]),
        ((position + 1000).to_string(), vec![]),
        (u64::MAX.to_string(), vec![]),
        ("9".repeat(40), vec![]),
    ]) {
        let mut carol = server.connect();
        carol.say(&format!("!resume {token}@{position}"));
        carol.expect(WELCOME);
        carol.expect_all(expected.iter().map(String::as_str));
        carol.expect(&format!("--- resumed as carol, {heard} heard"));
        carol.say("!who");
        carol.expect("--- 2 online:");
    }
}

/// A server that is stopped says once more how many lines it has heard of a session, so that none is said again to the next
/// one.
#[test]
fn a_stop_says_what_was_heard() {
    let server = Server::start("--history 0");
    let mut bob = server.join("bob");
    let mut carol = server.join("carol");
    let session = Session::open(&mut carol);
    bob.expect("*** carol joined");
    carol.send("one\n!help\n\ntwo\n");
    bob.expect_all(["carol: one", "carol: two"]);
    carol.skip_to("carol: two");
    server.signal(Signal::SIGTERM);
    let position = session.position + "carol: one\ncarol: two\n".len() as u64;
    let answer = format!("--- session {} at {position}, 4 heard", session.token);
    assert_eq!(carol.rest(), [answer.as_str(), "*** the server is shutting down"]);
    assert_eq!(bob.rest(), ["*** the server is shutting down"]);
}

/// Guessing is no use: after ten refusals the connection is closed.
#[test]
fn guessing_is_cut_short() {
    let server = Server::start("");
    let mut thief = server.connect();
    let guess = format!("!resume {}@0\n", "0".repeat(32));
    thief.send(guess.repeat(100));
    let answers = thief.rest();
    let refused = answers.iter().filter(|line| line.starts_with("--- error: no such session")).count();
    assert_eq!(refused, 10);
    assert_eq!(answers.last().unwrap(), "--- error: too many bad names");
}

/// `!exit` ends the session with the connection: nobody comes back from that.
#[test]
fn an_exit_ends_the_session() {
    let server = Server::start("--history 0");
    let mut carol = server.join("carol");
    let session = Session::open(&mut carol);
    carol.say("!exit");
    assert_eq!(carol.rest(), ["*** carol left"]);
    session.resume(&server).expect("--- error: no such session; your first line is your name");
}

/// What a broken connection had sent, and was not processed yet, is forgotten when its owner comes back: the count says
/// from where to send again.
#[test]
fn what_was_not_heard_is_forgotten() {
    let server = Server::start("--history 0 --rate 20 --burst 20");
    let mut bob = server.join("bob");
    let mut hanging = server.join("carol");
    let session = Session::open(&mut hanging);
    hanging.send(numbered(1000, ""));
    hanging.skip_to("--- notice: you are sending too fast; your lines are delayed, none is lost");
    let mut carol = session.resume(&server);
    let mut seen = 0;
    let answer = loop {
        let line = carol.line();
        if line.starts_with("--- resumed as ") {
            break line;
        }
        seen += usize::from(line.starts_with("carol: "));
    };
    assert_eq!(answer, format!("--- resumed as carol, {seen} heard"));
    carol.say("again");
    let mut after = carol.skip_to("carol: again");
    after.retain(|line| !line.starts_with("--- notice: "));
    assert_eq!(after, [""; 0], "{seen} were heard, then the connection was replaced");
    bob.skip_to("carol: again");
}

// ---- Helpers ----

/// One client that reads, and one that does not, for which more waits than any socket takes.
fn with_a_stuck_reader(server: &Server) -> (Peer, Peer) {
    let stuck = Peer::connect_narrow(server.address).named("stuck");
    let mut alice = server.join("alice");
    let mut stream = alice.stream().try_clone().unwrap();
    let line = format!("{}\n", "x".repeat(60_000));
    let sending = thread::spawn(move || (0..50).for_each(|_| stream.write_all(line.as_bytes()).unwrap()));
    let mut heard = 0;
    while heard < 50 {
        heard += usize::from(alice.line().starts_with("alice: "));
    }
    sending.join().unwrap();
    (alice, stuck)
}
