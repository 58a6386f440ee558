//! No client costs the others anything: what the server does about those that are too fast, too slow, too many or
//! hostile, on real sockets.
//!
//! The sizes are those that an ordinary run has time for. Set `GOTCP_TEST_FULL` to let 100,000 come and go.

use std::io::{BufRead, Read, Write};
use std::sync::mpsc::{TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::crowd::{churn, storm};
use crate::support::peer::{Peer, WELCOME, loopback, numbered};
use crate::support::server::Server;
use crate::support::session::Session;
use nix::sys::signal::Signal;

const MIB: u64 = 1024 * 1024;
const TOO_FAST: &str = "--- notice: you are sending too fast; your lines are delayed, none is lost";
const TOO_SLOW: &str = "--- error: you read too slowly";

// ---- Too fast ----

/// A client that sends too fast is delayed: it is told so once, nothing is lost, and the others are not delayed.
#[test]
fn a_fast_sender_is_delayed_and_nobody_else() {
    let server = Server::start("--history 0 --rate 200 --burst 50");
    let mut alice = server.join("alice");
    let mut bob = server.join("bob");
    let started = Instant::now();
    bob.send(numbered(400, ""));
    alice.skip_to("bob: 0");
    alice.say("how are you?");
    let before: Vec<String> = (1..400).map(|i| format!("bob: {i}")).collect();
    let mut heard = alice.skip_to("bob: 399");
    assert!(started.elapsed() >= Duration::from_millis(1700), "350 lines at 200 a second");
    let answered = heard.iter().position(|line| line == "alice: how are you?").expect("alice is not delayed");
    heard.remove(answered);
    assert_eq!(heard, before[..398], "all of it, in order");

    // Once the sender has slowed down, the next delay is announced again.
    thread::sleep(Duration::from_millis(500));
    bob.send("again\n".repeat(200));
    bob.send("the end\n");
    let heard = bob.skip_to("bob: the end");
    let told = heard.iter().filter(|line| *line == TOO_FAST).count();
    assert_eq!(told, 2, "once for each spell");
}

/// With the defaults, pasting hundreds of lines is nothing unusual: they are not delayed, so there is no notice. A
/// thousand at once, of which joining was ten, are as much as there may be.
#[test]
fn a_paste_of_hundreds_of_lines_passes() {
    let server = Server::start("--history 0");
    let mut bob = server.join("bob");
    bob.send(numbered(990, ""));
    for i in 0..990 {
        bob.expect(&format!("bob: {i}"));
    }
    bob.send("more\n".repeat(200));
    bob.skip_to(TOO_FAST);
}

/// The lines of a sender that leaves while it is delayed are all processed, however it leaves.
#[test]
fn a_delayed_sender_is_heard_to_the_last_line() {
    let server = Server::start("--history 0 --rate 400 --burst 20");
    let lines = numbered(300, "");
    let heard: Vec<String> = (0..300).map(|i| format!("x: {i}")).collect();
    let mut alice = server.join("alice");

    let mut half_closing = server.join("x");
    half_closing.send(&lines);
    half_closing.half_close();
    alice.skip_to("*** x joined");
    assert_eq!(alice.skip_to("*** x left"), heard);
    assert_eq!(half_closing.rest().last().unwrap(), "*** x left");

    let mut exiting = server.join("x");
    exiting.send(format!("{lines}!exit\n"));
    alice.skip_to("*** x joined");
    assert_eq!(alice.skip_to("*** x left"), heard);

    // Closing with something unread, as this does, resets the connection.
    let mut closing = server.join("x");
    closing.send(&lines);
    closing.skip_to("x: 0");
    drop(closing);
    alice.skip_to("*** x joined");
    let left = alice.skip_to("*** x left (connection lost)");
    assert_eq!(left, heard);
}

/// A line without an end is dropped as it comes, even while its sender has to wait: it is kept nowhere.
#[test]
fn an_endless_line_takes_no_memory() {
    let server = Server::start("--history 0 --rate 1 --burst 5 -q");
    let bob = server.join("bob");
    let before = server.memory();
    let mut stream = bob.stream().try_clone().unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    let part = vec![b'x'; 64 * 1024];
    let started = Instant::now();
    let mut sent = 0;
    // It ends where the server reads no more.
    while started.elapsed() < Duration::from_secs(3) && stream.write_all(&part).is_ok() {
        sent += part.len();
    }
    let grown = server.memory().saturating_sub(before);
    assert!(sent > 1_000_000 && grown < 2 * MIB, "{grown} bytes more than before for {sent}");
}

// ---- Too slow ----

/// A reader that takes nothing for the stall timeout is disconnected; the room is told why, and so is the reader, after
/// a whole line.
#[test]
fn a_stalled_reader_is_let_go() {
    let server = Server::start("--history 0 --rate 0 --stall-timeout 2s");
    let (mut alice, mut stuck) = alice_and_stuck(&server);
    let before = Instant::now();
    let mut log = talk(&mut alice, 3_000_000);
    hear_to(&mut alice, "*** stuck left (read too slowly)", &mut log);
    assert!(before.elapsed() >= Duration::from_secs(2), "it had its time");
    assert_let_go(&mut stuck, &log);
}

/// A reader that the scrollback is about to overwrite is disconnected at once, long before it counts as stalled.
#[test]
fn a_reader_that_falls_off_the_scrollback_is_let_go() {
    let server = Server::start("--history 0 --rate 0 --max-line 4096 --scrollback 1MiB --stall-timeout 1h");
    let (mut alice, mut stuck) = alice_and_stuck(&server);
    let mut log = talk(&mut alice, 3_000_000);
    hear_to(&mut alice, "*** stuck left (read too slowly)", &mut log);
    assert_let_go(&mut stuck, &log);
}

/// A client that has left and reads the rest too slowly is disconnected like any other: it never gets what has
/// overwritten its part of the scrollback meanwhile.
#[test]
fn a_parting_reader_can_fall_off_too() {
    let server = Server::start("--history 0 --rate 0 --max-line 4096 --scrollback 1MiB --stall-timeout 1h");
    let (mut alice, mut stuck) = alice_and_stuck(&server);
    let mut log = talk(&mut alice, 700_000);
    stuck.say("!exit");
    hear_to(&mut alice, "*** stuck left", &mut log);
    log.extend(talk(&mut alice, 3_000_000));
    assert_let_go(&mut stuck, &log);
}

/// A reader that is stuck for good is closed in the end. It may find a line torn then, but never at what looks like an
/// end in order.
#[test]
fn a_torn_line_never_looks_whole() {
    let server = Server::start("--history 0 --rate 0 --stall-timeout 1s");
    let mut alice = server.join("alice");
    let descriptors = server.descriptors();
    let mut stuck = Peer::connect_narrow(server.address).named("stuck");
    alice.expect("*** stuck joined");
    let log = talk(&mut alice, 3_000_000);
    server.await_descriptors(descriptors);
    let (bytes, in_order) = stuck.drain();
    assert!(log.starts_with(&bytes), "these {} bytes were never said", bytes.len());
    assert!(!in_order || bytes.ends_with(b"\n"), "a line is torn, and the end in order");
}

/// What is whispered to someone who does not read is kept up to a limit; beyond it the whisper is refused to its
/// sender, and nobody is disconnected because of what others whisper. Every whisper that was confirmed arrives.
#[test]
fn whispers_to_a_slow_reader_are_refused() {
    let server = Server::start("--history 0 --rate 0 --stall-timeout 1h -q");
    let (mut alice, mut stuck) = alice_and_stuck(&server);
    let text = "x".repeat(60_000);
    let before = server.memory();
    let (mut sent, mut refused) = (0, 0);
    while refused < 100 {
        alice.say(&format!("!msg stuck {text}"));
        match alice.line().as_str() {
            "--- error: stuck reads too slowly; try again later" => refused += 1,
            line => {
                assert_eq!(line, format!("--- [you to stuck] {text}"));
                sent += 1;
            }
        }
    }
    assert!(sent >= 5 && server.memory() < before + 4 * MIB, "{sent} sent, from {before} to {}", server.memory());
    for _ in 0..sent {
        stuck.expect(&format!("--- [alice to you] {text}"));
    }
    stuck.say("here I am");
    alice.expect("stuck: here I am");
}

/// A client that keeps asking without reading the answers has to wait until it reads them; nothing is lost, and the
/// answers do not pile up.
#[test]
fn answers_wait_for_their_reader() {
    const QUESTIONS: usize = 30_000;
    let server = Server::start("--history 0 --rate 0");
    let mut bob = Peer::connect_narrow(server.address).named("bob");
    let before = server.memory();
    let mut stream = bob.stream().try_clone().unwrap();
    let asking = thread::spawn(move || stream.write_all("!help\n".repeat(QUESTIONS).as_bytes()).unwrap());
    thread::sleep(Duration::from_millis(500));
    let grown = server.memory().saturating_sub(before);
    assert!(grown < 4 * MIB, "{grown} bytes more than before");
    for _ in 0..QUESTIONS {
        help().for_each(|line| bob.expect(&line));
    }
    asking.join().unwrap();
}

// ---- Backpressure ----

/// A burst that readers can absorb disconnects nobody: 60 MB through a 4 MiB scrollback, as fast as the socket takes
/// it, to four readers that keep reading, arrives whole at all four, though two of them are slower than the sender.
#[test]
fn a_burst_arrives_whole() {
    const LINES: usize = 60_000;
    let server = Server::start("--history 0 --rate 0 --scrollback 4MiB -q");
    let readers: Vec<Peer> = (0..3).map(|i| server.join(&format!("reader{i}"))).collect();
    let mut sender = server.join("sender");
    let text = "x".repeat(990);
    let lines = numbered(LINES, &text);
    let mut stream = sender.stream().try_clone().unwrap();
    let sending = thread::spawn(move || stream.write_all(lines.as_bytes()).unwrap());
    let hear_all = |reader: &mut Peer, pause: Duration| {
        let mut line = Vec::new();
        for i in 0..LINES {
            let expected = format!("sender: {i}{text}\n");
            loop {
                line.clear();
                reader.reader().read_until(b'\n', &mut line).unwrap();
                if !line.starts_with(b"*** ") {
                    break;
                }
            }
            assert!(line == expected.as_bytes(), "line {i} is {:?}", String::from_utf8_lossy(&line));
            if i % 100 == 0 {
                thread::sleep(pause);
            }
        }
    };
    thread::scope(|scope| {
        for (i, mut reader) in (0..).zip(readers) {
            scope.spawn(move || hear_all(&mut reader, i * Duration::from_millis(3)));
        }
        hear_all(&mut sender, Duration::ZERO);
    });
    sending.join().unwrap();
}

/// A reader that reads nothing does not slow those who say a line now and then: while somebody fills the log, which
/// passes that reader by until it is disconnected, their lines arrive in less than a quarter of a second, 99 of 100.
#[test]
fn a_dead_reader_slows_nobody() {
    let server = Server::start("--history 0 --rate 0 --max-line 4096 --scrollback 1MiB -q");
    let (mut alice, stuck) = alice_and_stuck(&server);
    let mut bob = server.join("bob");
    let (stop, stopped) = channel::<()>();
    let mut stream = bob.stream().try_clone().unwrap();
    let talking = thread::spawn(move || {
        // About two megabytes a second.
        let line = format!("{}\n", "x".repeat(2000));
        while stopped.try_recv() == Err(TryRecvError::Empty) {
            stream.write_all(line.repeat(10).as_bytes()).unwrap();
            thread::sleep(Duration::from_millis(10));
        }
    });
    let reading = thread::spawn(move || while bob.line() != "alice: the end" {});
    let mut let_go = false;
    let mut took: Vec<Duration> = (0..300)
        .map(|i| {
            let line = format!("echo {i}");
            let said = Instant::now();
            alice.say(&line);
            let others = alice.skip_to(&format!("alice: {line}"));
            let took = said.elapsed();
            let_go |= others.iter().any(|line| line == "*** stuck left (read too slowly)");
            thread::sleep(Duration::from_millis(25));
            took
        })
        .collect();
    drop(stop);
    talking.join().unwrap();
    alice.say("the end");
    reading.join().unwrap();
    took.sort();
    let nearly_all = took[took.len() * 99 / 100];
    assert!(let_go, "the talk did pass it by");
    assert!(nearly_all < Duration::from_millis(250), "{nearly_all:?}; at worst {:?}", took.last());
    drop(stuck);
}

/// A reader at a steady 400 kB/s is waited for, however fast the others send: here with a scrollback of 1 MiB.
#[test]
fn a_steady_reader_is_waited_for() {
    const LINES: usize = 4000;
    let server = Server::start("--history 0 --rate 0 --max-line 4096 --scrollback 1MiB -q");
    let mut steady = server.join("steady");
    let mut alice = server.join("alice");
    let text = "x".repeat(1000);
    let mut stream = alice.stream().try_clone().unwrap();
    let lines = numbered(LINES, &text);
    let talking = thread::spawn(move || stream.write_all(lines.as_bytes()).unwrap());
    let reading = thread::spawn(move || alice.skip_to(&format!("alice: {}{}", LINES - 1, "x".repeat(1000))));
    steady.expect("*** alice joined");
    let started = Instant::now();
    for i in 0..LINES {
        steady.expect(&format!("alice: {i}{text}"));
        let due = started + Duration::from_micros(2500) * u32::try_from(i).unwrap();
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    talking.join().unwrap();
    reading.join().unwrap();
}

/// A client that says much and reads slowly delays nobody else: the lines of the others arrive within a tenth of a
/// second, half of them sooner.
#[test]
fn a_slow_flooder_slows_only_itself() {
    let server = Server::start("--history 0 --rate 0 --max-line 4096 --scrollback 1MiB -q");
    let mut alice = server.join("alice");
    let flooder = Peer::connect_narrow(server.address).named("flooder");
    let (stop, stopped) = channel::<()>();
    let (mut output, mut input) = (flooder.stream().try_clone().unwrap(), flooder.stream().try_clone().unwrap());
    let writing = thread::spawn(move || {
        let line = format!("{}\n", "x".repeat(2000));
        // Fails once the flooder is closed.
        while output.write_all(line.as_bytes()).is_ok() {}
    });
    let reading = thread::spawn(move || {
        let mut buffer = vec![0; 2000];
        while stopped.try_recv() == Err(TryRecvError::Empty) {
            assert_ne!(input.read(&mut buffer).unwrap(), 0, "it reads 100 kB/s, which is fair");
            thread::sleep(Duration::from_millis(20));
        }
    });
    let mut took: Vec<Duration> = (0..100)
        .map(|i| {
            thread::sleep(Duration::from_millis(50));
            let said = Instant::now();
            alice.say(&format!("echo {i}"));
            alice.skip_to(&format!("alice: echo {i}"));
            said.elapsed()
        })
        .collect();
    drop(stop);
    reading.join().unwrap();
    flooder.stream().shutdown(std::net::Shutdown::Both).unwrap();
    writing.join().unwrap();
    took.sort();
    assert!(took[50] < Duration::from_millis(100), "{:?}; at worst {:?}", took[50], took[99]);
}

// ---- Costs ----

/// With a small burst, too, sending too fast is announced once.
#[test]
fn a_spell_is_told_of_once() {
    let server = Server::start("--history 0 --rate 20 --burst 2");
    let mut bob = server.join("bob");
    bob.send(numbered(10, ""));
    let heard = bob.skip_to("bob: 9");
    assert_eq!(heard.iter().filter(|line| *line == TOO_FAST).count(), 1, "{heard:?}");
}

/// A line costs more the longer it is, and a blank one costs, too.
#[test]
fn every_line_costs() {
    let server = Server::start("--history 0 --rate 100 --burst 100");
    let mut bob = server.join("bob");
    for (flood, lines) in
        [("\n".repeat(300), 300), ("!help\n".repeat(100), 100), (format!("{}\n", "x".repeat(60_000)), 58)]
    {
        thread::sleep(Duration::from_secs(1));
        let started = Instant::now();
        // The sender has to wait for what the flood costs beyond the burst.
        bob.send(flood.repeat(2) + "done\n");
        bob.skip_to("bob: done");
        let least = Duration::from_millis(10) * (2 * lines - 100);
        assert!(started.elapsed() >= least, "{:?} for {lines} lines", started.elapsed());
    }
}

/// Leaving and coming back does not get anybody a new burst: the limit of an address outlives its connections.
#[test]
fn a_place_has_one_limit() {
    let server = Server::start("--history 0 --rate 20 --burst 100 --max-per-ip 10");
    let mut observer = Peer::connect_from(loopback(2), server.address).named("observer");
    let started = Instant::now();
    let mut count = 0;
    while started.elapsed() < Duration::from_secs(3) {
        let mut flooder = server.connect();
        flooder.send(format!("f{count}\n{}!exit\n", numbered(80, "")));
        flooder.rest();
        count += 1;
    }
    let seconds = usize::try_from(started.elapsed().as_secs()).unwrap() + 1;
    observer.say("the end");
    let heard = observer.skip_to("observer: the end");
    let said = heard.iter().filter(|line| line.starts_with('f')).count();
    assert!(count > 1 && said <= 500 + 100 * seconds, "{said} lines in {count} stays within {seconds} s");
}

/// Joining costs as much as ten lines, so nobody can fill the room with comings and goings.
#[test]
fn joining_costs() {
    let server = Server::start("--history 0 --rate 20 --burst 100 --max-per-ip 10");
    let mut observer = Peer::connect_from(loopback(2), server.address).named("observer");
    let started = Instant::now();
    let mut count: u64 = 0;
    while started.elapsed() < Duration::from_secs(2) {
        let mut visitor = server.connect();
        visitor.send(format!("f{count}\n!exit\n"));
        visitor.rest();
        count += 1;
    }
    let most = (500 + 100 * (started.elapsed().as_secs() + 1)) / 11 + 1;
    assert!((10..=most).contains(&count), "{count} came and went, of {most} that may");
    observer.say("hi");
    observer.skip_to("observer: hi");
}

/// The limit of a sender stays with its session: resuming does not get anybody a new burst either.
#[test]
fn a_session_has_one_limit() {
    let server = Server::start("--history 0 --rate 20 --burst 100");
    let mut observer = server.join("observer");
    let mut flooder = server.join("flooder");
    let token = Session::open(&mut flooder).token;
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(3) {
        let mut again = server.connect();
        again.send(format!("!resume {token}@{}\n{}", u64::MAX, numbered(80, "")));
        again.skip_to_start("--- resumed as flooder");
        thread::sleep(Duration::from_millis(20));
    }
    let seconds = usize::try_from(started.elapsed().as_secs()).unwrap() + 1;
    observer.say("the end");
    let heard = observer.skip_to("observer: the end");
    let said = heard.iter().filter(|line| line.starts_with("flooder: ")).count();
    assert!(said <= 100 + 20 * seconds, "{said} lines within {seconds} s");
}

/// Two hundred and fifty floods of blank lines, and fifty of whispers to names as long as a line may be, leave the
/// others' lines as quick as they were.
#[test]
fn cheap_lines_are_no_way_to_hold_up_others() {
    let server = Server::start("--history 0 -q");
    let mut alice = server.join("alice");
    let floods: Vec<Peer> = (0..300).map(|i| server.join(&format!("flood{i}"))).collect();
    alice.skip_to("*** flood299 joined");
    let flood = |index: usize| match index {
        0..250 => "\n".repeat(1_000_000),
        _ => format!("!msg {} x\n", "\u{fdfa}".repeat(21_800)).repeat(100),
    };
    for (index, peer) in floods.iter().enumerate() {
        let mut stream = peer.stream().try_clone().unwrap();
        // As much as the server takes; the rest waits until it is closed.
        thread::spawn(move || stream.write_all(flood(index).as_bytes()));
    }
    let mut took: Vec<Duration> = (0..100)
        .map(|i| {
            let said = Instant::now();
            alice.say(&format!("echo {i}"));
            alice.skip_to(&format!("alice: echo {i}"));
            thread::sleep(Duration::from_millis(20));
            said.elapsed()
        })
        .collect();
    took.sort();
    assert!(took[50] < Duration::from_millis(250), "{:?}; at worst {:?}", took[50], took[99]);
    floods.into_iter().for_each(Peer::reset);
}

// ---- Private lines ----

/// Whispers to a reader that is steady but far behind take no memory once they were read.
#[test]
fn whispers_to_one_who_is_behind_are_freed() {
    let server = Server::start("--history 0 --rate 0 -q");
    let mut alice = server.join("alice");
    let mut victim = Peer::connect_narrow(server.address).named("victim");
    let mut whisperers: Vec<Peer> = (0..3).map(|i| server.join(&format!("w{i}"))).collect();
    let (stop, stopped) = channel::<()>();
    let reading = thread::spawn(move || {
        let mut count = 0_u64;
        while stopped.try_recv() == Err(TryRecvError::Empty) {
            count += u64::from(victim.line().starts_with("--- [w"));
            if count.is_multiple_of(4) {
                thread::sleep(Duration::from_millis(1));
            }
        }
        (victim, count)
    });
    let before = server.memory();
    let text = "x".repeat(2000);
    let mut most = 0;
    let mut said = 0;
    for round in 0..1500 {
        alice.say(&format!("{round} {text}"));
        for whisperer in &mut whisperers {
            whisperer.say(&format!("!msg victim {text}"));
            whisperer.skip_to_start("--- ");
        }
        said += 3;
        if round % 100 == 0 {
            most = most.max(server.memory());
        }
        alice.skip_to(&format!("alice: {round} {text}"));
    }
    drop(stop);
    let (victim, count) = reading.join().unwrap();
    assert!(count > 100, "of {said} whispers {count} came");
    // The scrollback fills up with what alice says, too.
    assert!(most < before + 8 * MIB, "from {before} to {most} bytes");
    victim.reset();
}

/// Nobody is disconnected because of what others whisper, and every whisper that was confirmed arrives: here to a
/// client that reads as fast as it can, from twenty-six at once.
#[test]
fn whispers_that_were_sent_arrive() {
    let server = Server::start("--history 0 -q");
    let mut victim = server.join("victim");
    let mut victims_stream = victim.stream().try_clone().unwrap();
    let text = "x".repeat(65_000);
    let whisperers: Vec<_> = (0..26)
        .map(|i| {
            let mut peer = server.join(&format!("w{i}"));
            let text = text.clone();
            thread::spawn(move || {
                peer.send(format!("!msg victim {text}\n").repeat(10));
                (0..10).filter(|_| peer.skip_to_start("--- ").starts_with("--- [you to victim]")).count()
            })
        })
        .collect();
    let reading = thread::spawn(move || {
        let mut count = 0;
        loop {
            match victim.line() {
                line if line.starts_with("--- [w") => count += 1,
                line if line == "victim: that is all" => return count,
                line => assert!(!line.starts_with("--- error"), "{line}"),
            }
        }
    });
    let sent: usize = whisperers.into_iter().map(|thread| thread.join().unwrap()).sum();
    victims_stream.write_all(b"that is all\n").unwrap();
    assert_eq!(reading.join().unwrap(), sent);
    assert!(sent >= 4, "{sent} were sent");
}

/// What waits for all readers together is bounded: whispers to three hundred who do not read are refused beyond 48 MiB;
/// and `!who` is answered all the same.
#[test]
fn whispers_are_bounded_in_all() {
    let server = Server::start("--history 0 --rate 0 --stall-timeout 1h -q");
    let mut alice = server.join("alice");
    let stalled: Vec<Peer> = (0..300).map(|i| Peer::connect_narrow(server.address).named(&format!("s{i}"))).collect();
    alice.skip_to("*** s299 joined");
    let before = server.memory();
    let text = "x".repeat(60_000);
    let mut sent = 0;
    for reader in 0..300 {
        for _ in 0..20 {
            alice.say(&format!("!msg s{reader} {text}"));
            match alice.line() {
                line if line.ends_with("reads too slowly; try again later") => break,
                _ => sent += 1,
            }
        }
    }
    let grown = server.memory().saturating_sub(before);
    assert!(sent > 800 && grown < 64 * MIB, "{sent} were sent, {grown} bytes more than before");
    alice.say("!who");
    alice.expect("--- 301 online:");
    drop(stalled);
}

/// A long answer is neither cut short nor a reason to disconnect anybody, however slowly it is read.
#[test]
fn a_long_answer_arrives_whole() {
    let server = Server::start("--history 0 --rate 0 --stall-timeout 1h");
    let mut bob = Peer::connect_narrow(server.address).named("bob");
    let crowd: Vec<Peer> = (0..400).map(|i| server.join(&format!("somebody-with-a-long-name-{i}"))).collect();
    bob.send("!who\n".repeat(200));
    thread::sleep(Duration::from_millis(300));
    for _ in 0..200 {
        bob.skip_to("--- 401 online:");
        let names: usize = std::iter::repeat_with(|| bob.line())
            .take_while(|line| line.starts_with("---   "))
            .map(|line| line.matches("somebody").count())
            .take(134)
            .sum();
        assert_eq!(names, 400);
    }
    drop(crowd);
}

// ---- Too many ----

/// Out of descriptors the server waits without spinning, those who are connected talk on, and those who wait are let in
/// as soon as there is room, even if no other connection arrives.
#[test]
fn out_of_descriptors_others_wait_outside() {
    let mut server = Server::start("--history 0");
    let mut alice = server.join("alice");
    let mut bob = server.join("bob");
    server.limit_descriptors(server.free_descriptor());
    let mut outside: Vec<Peer> = ["carol", "dave", "erin"]
        .into_iter()
        .map(|name| {
            let mut peer = server.connect();
            peer.say(name);
            peer
        })
        .collect();
    // One of them does not wait.
    outside.pop().unwrap().reset();
    server.find_on_console("[!] cannot accept connections for now: ");
    server.assert_idle();
    alice.say("nobody else here?");
    assert_eq!(alice.skip_to("alice: nobody else here?"), ["*** bob joined"]);

    bob.say("!exit");
    bob.skip_to("*** bob left");
    let mut news = [alice.line(), alice.line()];
    news.sort();
    assert_eq!(news, ["*** bob left", "*** carol joined"]);
    server.assert_idle();
    server.limit_descriptors(1000);
    // The names of those that were reset meanwhile may or may not have been processed.
    alice.skip_to("*** dave joined");
    outside[1].skip_to("*** dave joined");
    let complaints = server.stop().iter().filter(|line| line.contains("cannot accept")).count();
    assert!(complaints <= 1, "said {complaints} more times; once a spell is enough");
}

/// Ten thousand may join at once. When they have left, no descriptor is left of them, and no memory that grows from one
/// storm to the next.
#[test]
fn a_storm_passes() {
    // Both ends are on this machine, each in a process of its own, and some descriptors have other uses.
    let allowed = usize::try_from(rlimit::increase_nofile_limit(u64::MAX).unwrap()).unwrap();
    let crowd = 10_000.min(allowed - 500);
    let server = Server::start("--history 0 --max-clients 11000 -q");
    let mut alice = server.join("alice");
    let descriptors = server.descriptors();
    let mut after_a_storm = || {
        let address = server.address;
        let storm = thread::spawn(move || storm(address, crowd, b"alice: the end\n"));
        (0..crowd).for_each(|_| assert!(alice.line().ends_with(" joined")));
        alice.say("the end");
        alice.expect("alice: the end");
        storm.join().unwrap();
        (0..crowd).for_each(|_| assert!(alice.line().contains(" left")));
        server.await_descriptors(descriptors);
        server.memory()
    };
    let before = after_a_storm();
    let after = after_a_storm();
    // Half a MiB of it is what was said meanwhile.
    assert!(after < before + 2 * MIB, "from {before} to {after} bytes");
    assert!(after < 24 * MIB, "{after} bytes, and nobody here");
}

/// A storm of connections to a full server is turned away without keeping those inside waiting.
#[test]
fn a_full_server_in_a_storm_is_quick() {
    let server = Server::start("--history 0 --max-clients 1 -q");
    let mut alice = server.join("alice");
    let address = server.address;
    let (stop, stopped) = channel::<()>();
    let storming = thread::spawn(move || {
        let mut count = 0;
        while count < 20_000 && stopped.try_recv() == Err(TryRecvError::Empty) {
            count += usize::from(std::net::TcpStream::connect(address).is_ok());
        }
        count
    });
    let mut took: Vec<Duration> = (0..50)
        .map(|i| {
            thread::sleep(Duration::from_millis(10));
            let said = Instant::now();
            alice.say(&format!("echo {i}"));
            alice.expect(&format!("alice: echo {i}"));
            said.elapsed()
        })
        .collect();
    drop(stop);
    assert!(storming.join().unwrap() > 100, "it was a storm");
    took.sort();
    assert!(took[25] < Duration::from_millis(250), "{:?}; at worst {:?}", took[25], took[49]);
}

/// However many connect and leave or are reset, with a name or without, no descriptor and no memory is left of them.
#[test]
fn churn_leaves_nothing_behind() {
    let count = if std::env::var_os("GOTCP_TEST_FULL").is_some() { 100_000 } else { 20_000 };
    let server = Server::start("--history 0 --rate 0 --grace 0s --scrollback 1MiB -q");
    let descriptors = server.descriptors();
    churn(server.address, count / 10);
    server.await_descriptors(descriptors);
    let before = server.memory();
    churn(server.address, count);
    server.await_descriptors(descriptors);
    let after = server.memory();
    // The scrollback fills up meanwhile, and so does what is remembered of 10,000 sessions.
    assert!(after < before + 4 * MIB, "from {before} to {after} bytes");
    server.join("bob");
}

// ---- Clocks ----

/// A server that was stopped for longer than every timeout disconnects nobody whose input was waiting in the socket, or
/// whose socket has room again.
#[test]
fn nobody_is_thrown_out_for_a_pause() {
    let server = Server::start("--history 0 --rate 0 --login-timeout 3s --stall-timeout 3s --grace 3s");
    let (mut alice, mut slow) = alice_and_stuck(&server);
    let mut carol = server.join("carol");
    let session = Session::open(&mut carol);
    let mut bob = server.connect();
    bob.expect(WELCOME);
    let mut log = b"*** carol joined\n".to_vec();
    alice.expect("*** carol joined");
    log.extend(talk(&mut alice, 2_000_000));
    carol.reset();

    server.signal(Signal::SIGSTOP);
    bob.say("bob");
    let mut carol = server.connect();
    carol.say(&session.claim());
    let mut dave = server.connect();
    dave.say("dave");
    // As much as the sockets held.
    let mut heard = vec![0; 100_000];
    slow.reader().read_exact(&mut heard).unwrap();
    thread::sleep(Duration::from_secs(4));
    server.signal(Signal::SIGCONT);

    heard.resize(log.len(), 0);
    slow.reader().read_exact(&mut heard[100_000..]).unwrap();
    assert!(heard == log, "the slow one lacks something");
    let mut news = [alice.line(), alice.line()];
    news.sort();
    assert_eq!(news, ["*** bob joined", "*** dave joined"]);
    carol.skip_to("--- resumed as carol, 0 heard");
    carol.say("all here");
    for peer in [&mut alice, &mut bob, &mut dave, &mut carol, &mut slow] {
        peer.skip_to("carol: all here");
    }
}

// ---- Away ----

/// Those who are away count: joining, asking for a session and disconnecting can neither take more names than the
/// limits allow, nor make the server forget anybody else's session.
#[test]
fn those_who_are_away_count() {
    let server = Server::start("--history 0 --rate 0 --max-clients 20 --max-per-ip 8 --grace 1h");
    let mut honest = Peer::connect_from(loopback(2), server.address).named("honest");
    let session = Session::open(&mut honest);
    honest.say("mine");
    honest.skip_to("honest: mine");
    honest.reset();
    let refused = (0..100)
        .filter(|i| {
            let mut peer = server.connect();
            peer.send(format!("m{i}\n!session\n"));
            let is_refused = peer.skip_to_start("--- ") == WELCOME
                && loop {
                    match peer.line() {
                        line if line.starts_with("--- session ") => break false,
                        line if line.starts_with("--- error: too many connections from your address (8)") => {
                            break true;
                        }
                        line => assert!(!line.starts_with("--- error"), "{line}"),
                    }
                };
            peer.reset();
            is_refused
        })
        .count();
    assert_eq!(refused, 92, "eight names are held");
    let mut honest = Peer::connect_from(loopback(2), server.address);
    honest.say(&session.claim());
    honest.skip_to_start("--- resumed as honest");
    honest.say("!who");
    honest.skip_to("--- 9 online:");
}

// ---- The end ----

/// What a slow reader still sends after the end, its own or the server's, is read and dropped as long as it goes on
/// reading: nothing that it has still to be sent is lost to a reset.
#[test]
fn typing_on_after_the_end_loses_nothing() {
    for by_signal in [false, true] {
        let server = Server::start("--history 0 --rate 0 --drain 20s");
        let mut alice = server.join("alice");
        let mut bob = Peer::connect_narrow(server.address).named("bob");
        let text = "x".repeat(1000);
        alice.send(numbered(100, &text));
        alice.skip_to(&format!("alice: 99{text}"));
        let mut stream = bob.stream().try_clone().unwrap();
        let (stop, stopped) = channel::<()>();
        if by_signal {
            server.signal(Signal::SIGTERM);
        } else {
            bob.say("!exit");
        }
        let typing = thread::spawn(move || {
            while stopped.try_recv() == Err(TryRecvError::Empty) {
                // Fails once the server has closed.
                let _ = stream.write_all(b"still typing\n");
                thread::sleep(Duration::from_millis(20));
            }
        });
        for i in 0..100 {
            bob.expect(&format!("alice: {i}{text}"));
            thread::sleep(Duration::from_millis(30));
        }
        let rest = bob.rest();
        assert_eq!(rest.last().unwrap(), if by_signal { "*** the server is shutting down" } else { "*** bob left" });
        drop(stop);
        typing.join().unwrap();
        if by_signal {
            drop(alice);
            assert_eq!(server.wait().0.code(), Some(0));
        }
    }
}

// ---- Strangers ----

/// A web browser, or a page that makes one send a form here, is turned away at its first line, and nothing of the
/// request is said in the room.
#[test]
fn a_browser_is_turned_away() {
    let server = Server::start("--history 0");
    let mut alice = server.join("alice");
    let refusal = "--- error: bad name: this is a chat, not a web server";
    for request in [
        "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 18\r\n\r\nmallory\r\nI am in\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "OPTIONS * HTTP/1.0\n\nmallory\nhello\n",
    ] {
        let mut browser = server.connect();
        browser.send(request);
        assert_eq!(browser.rest(), [WELCOME, refusal], "{request}");
    }
    alice.say("quiet here");
    alice.expect("alice: quiet here");
}

/// A first line that is too long ends the connection: what follows it may be the body of a request.
#[test]
fn an_over_long_first_line_ends_the_connection() {
    let server = Server::start("--history 0");
    let mut alice = server.join("alice");
    let mut browser = server.connect();
    browser.send(format!("POST /{} HTTP/1.1\r\nHost: x\r\n\r\nmallory\r\nI am in\r\n", "x".repeat(70_000)));
    assert_eq!(browser.rest(), [WELCOME, "--- error: a line longer than 65536 bytes was dropped"]);
    alice.say("quiet here");
    alice.expect("alice: quiet here");
}

/// An SSH client is turned away, although its greeting would be a valid name.
#[test]
fn a_scanner_is_turned_away() {
    let server = Server::start("--history 0");
    let mut alice = server.join("alice");
    let mut scanner = server.connect();
    scanner.send("SSH-2.0-OpenSSH_9.2p1\r\n\0\0\x05\x08\x14");
    assert_eq!(scanner.rest(), [WELCOME, "--- error: bad name: this is a chat, not an SSH server"]);
    alice.say("quiet here");
    alice.expect("alice: quiet here");
}

/// TLS or noise is refused or disconnected, and nothing of it is said in the room.
#[test]
fn noise_is_let_go() {
    let server = Server::start("--history 0 --login-timeout 1s");
    let mut alice = server.join("alice");
    // A TLS 1.2 ClientHello as openssl sends it, but for its random bytes and the list of ciphers.
    let mut hello = vec![0x16, 3, 1, 0, 0x2f, 1, 0, 0, 0x2b, 3, 3];
    hello.extend([0x5a; 32]);
    hello.extend([0, 0, 4, 0x13, 1, 0, 0xff, 1, 0]);
    let mut rng = fastrand::Rng::with_seed(7);
    let noise: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(1_000_000).collect();
    let no_line = vec![0x80; 1_000_000];
    for (stranger, bytes) in [("TLS", hello), ("noise", noise), ("no line", no_line)] {
        let mut peer = server.connect();
        // It may be turned away before it has sent everything.
        let _ = peer.stream().write_all(&bytes);
        let (answers, _) = peer.drain();
        assert!(answers.starts_with(WELCOME.as_bytes()), "{stranger}");
    }
    alice.say("quiet here");
    alice.expect("alice: quiet here");
}

/// Blank lines say nothing, even a million of them, with a name or without; and afterwards the server is idle.
#[test]
fn a_million_blank_lines_say_nothing() {
    let server = Server::start("--history 0 --rate 0");
    let mut alice = server.join("alice");
    let nothing = "\n".repeat(1_000_000);
    let mut nameless = server.connect();
    nameless.send(&nothing);
    alice.send(&nothing);
    alice.send("\r\n".repeat(100_000));
    alice.say("quiet here");
    alice.expect("alice: quiet here");
    server.assert_idle();
    nameless.named("bob");
    alice.expect("*** bob joined");
}

// ---- Helpers ----

/// One client that talks, and one that does not read; both have read the same so far.
fn alice_and_stuck(server: &Server) -> (Peer, Peer) {
    let mut alice = server.join("alice");
    let stuck = Peer::connect_narrow(server.address).named("stuck");
    alice.expect("*** stuck joined");
    (alice, stuck)
}

/// Alice says this many bytes, in lines of about 1000. Returns everything that she reads until the last of them.
fn talk(alice: &mut Peer, bytes: usize) -> Vec<u8> {
    let text = "x".repeat(1000);
    let lines = numbered(bytes / text.len(), &format!(" {text}"));
    let mut stream = alice.stream().try_clone().unwrap();
    let sending = thread::spawn(move || stream.write_all(lines.as_bytes()).unwrap());
    let mut log = Vec::new();
    hear_to(alice, &format!("alice: {} {text}", bytes / text.len() - 1), &mut log);
    sending.join().unwrap();
    log
}

/// Reads on to this line, unless it has been read already.
fn hear_to(peer: &mut Peer, line: &str, log: &mut Vec<u8>) {
    let line = format!("{line}\n").into_bytes();
    if log.split_inclusive(|&b| b == b'\n').any(|heard| heard == line) {
        return;
    }
    while !log.ends_with(&line) {
        assert_ne!(peer.reader().read_until(b'\n', log).expect("the server goes on"), 0, "the server has closed");
    }
}

/// The reader gets the beginning of what was said, in whole lines, then the error that it reads too slowly, then the
/// end.
#[track_caller]
fn assert_let_go(reader: &mut Peer, log: &[u8]) {
    let (bytes, in_order) = reader.drain();
    let lines = bytes.strip_suffix(format!("{TOO_SLOW}\n").as_bytes()).unwrap_or_else(|| {
        let end = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(60)..]);
        panic!("the last of {} bytes are {end:?}", bytes.len())
    });
    assert!(log.starts_with(lines) && lines.ends_with(b"\n"), "these {} bytes were never said", lines.len());
    assert!(lines.len() < log.len() / 2, "it can have got little of {} bytes, not {}", log.len(), lines.len());
    assert!(in_order, "the connection was reset");
}

fn help() -> impl Iterator<Item = String> {
    gotcp::protocol::notice::help(false, false).map(|line| line.to_string())
}
