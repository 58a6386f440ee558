//! Backpressure: senders wait for a reader that is slow but fair, and for no other. Time is simulated.

use std::cell::RefCell;
use std::convert::identity;
use std::rc::Rc;
use std::time::Duration;

use crate::support::pipe::{Pipe, Wire};
use gotcp::lobby::Lobby;
use gotcp::lobby::access::AccessLimits;
use gotcp::lobby::limits::Limits;
use gotcp::lobby::rate_limit::Rate;
use gotcp::lobby::secret::Keys;
use gotcp::server::reactor::Reactor;
use mio::Token;

const STALL: Duration = Duration::from_secs(30);
const STEP: Duration = Duration::from_millis(10);
const LINE: &[u8] = b"0123456789012345678901234567890123456789012345678901234567890\n";

/// A reader that takes 64 KiB a second is waited for: it is never disconnected, however fast the others could send, and
/// in the end it has read everything that they have.
#[test]
fn a_fair_reader_is_waited_for() {
    let mut room = Bench::new();
    let (quick, fair) = (room.enter("quick"), room.enter("fair"));
    let sender = room.enter("sender");
    for _ in 0..3000 {
        room.send_without_pause(sender);
        room.take(quick, usize::MAX);
        room.take(fair, 700);
        room.take(sender, usize::MAX);
        room.step();
    }
    let sent = room.consumed(sender);
    assert!(sent > 1_000_000, "the sender was slowed down, not stopped: {sent} bytes");
    assert!(sent < 3_000_000, "the sender was slowed down: {sent} bytes");
    room.stop_sending(sender);
    for _ in 0..1000 {
        for reader in [quick, fair, sender] {
            room.take(reader, usize::MAX);
        }
        room.step();
    }
    assert_eq!(room.said_to(fair), room.said_to(quick));
    assert!(!room.said_to(quick).contains("read too slowly"));
}

/// A reader that takes nothing is waited for during some seconds, once, and only by those who fill the log; then it is
/// disconnected, between two lines.
#[test]
fn an_idle_reader_is_not_waited_for_long() {
    let mut room = Bench::new();
    let (quick, idle) = (room.enter("quick"), room.enter("idle"));
    let (sender, calm) = (room.enter("sender"), room.enter("calm"));
    let (mut longest, mut waited, mut before) = (Duration::ZERO, Duration::ZERO, 0);
    for step in 0..1000 {
        room.send_without_pause(sender);
        if step % 10 == 0 {
            room.send(calm, &format!("calmly {step}\n"));
        }
        for reader in [quick, sender, calm] {
            room.take(reader, usize::MAX);
        }
        room.step();
        if step % 10 == 2 {
            let calm_line = format!("calm: calmly {}\n", step - 2);
            assert!(room.said_to(quick).contains(&calm_line), "after two turns, in step {step}");
        }
        let consumed = room.consumed(sender);
        waited = if consumed == before { waited + STEP } else { Duration::ZERO };
        (longest, before) = (longest.max(waited), consumed);
    }
    assert!((Duration::from_secs(1)..Duration::from_secs(6)).contains(&longest), "{longest:?}");
    assert!(room.said_to(quick).contains("*** idle left (read too slowly)\n"));
    assert!(!room.said_to(quick).contains("*** quick left"));
    // What it gets, once it takes anything at all, ends with whole lines.
    room.take(idle, usize::MAX);
    room.step();
    assert!(room.said_to(idle).ends_with("\n--- error: you read too slowly\n"), "{}", room.said_to(idle));
}

/// A reader that takes what it reads in large gulps with seconds between them, which is what the kernel makes of a
/// steady reader, is waited for, too.
#[test]
fn a_fair_reader_may_take_large_gulps() {
    let mut room = Bench::new();
    let (quick, fair, sender) = (room.enter("quick"), room.enter("fair"), room.enter("sender"));
    for step in 1..6000 {
        room.send_without_pause(sender);
        room.take(quick, usize::MAX);
        room.take(sender, usize::MAX);
        if step % 470 == 0 {
            room.take(fair, 330_000);
        }
        room.step();
    }
    assert!(room.consumed(sender) > 2_000_000, "{}", room.consumed(sender));
    assert!(!room.said_to(quick).contains("read too slowly"));
}

/// Long lines do not use up what is kept for those who say little: while twenty senders of long lines wait for a fair
/// reader, and while they wait for one that has stopped, a short line now and then is heard at once.
#[test]
fn senders_of_long_lines_leave_room_for_others() {
    for gulp in [700, 0] {
        let mut room = Bench::with(1024 * 1024, 16 * 1024);
        let (quick, slow, calm) = (room.enter("quick"), room.enter("slow"), room.enter("calm"));
        let senders: Vec<usize> = (0..20).map(|i| room.enter(&format!("sender{i}"))).collect();
        let long = format!("{}\n", "x".repeat(12_000));
        for step in 0..1000 {
            for &sender in &senders {
                if room.pending(sender) < long.len() {
                    room.send(sender, &long.repeat(4));
                }
                room.take(sender, usize::MAX);
            }
            if step % 10 == 0 {
                room.send(calm, &format!("calmly {step}\n"));
            }
            room.take(quick, usize::MAX);
            room.take(calm, usize::MAX);
            room.take(slow, gulp);
            room.step();
            if step % 10 == 2 {
                let calm_line = format!("calm: calmly {}\n", step - 2);
                assert!(room.said_to(quick).contains(&calm_line), "after two turns, in step {step}, gulp {gulp}");
                room.forget(quick);
            }
        }
    }
}

/// A server with a small ring, and people whose reading is the test's to say.
struct Bench {
    reactor: Reactor<Wire>,
    people: Vec<(Token, Rc<RefCell<Pipe>>)>,
    now: Duration,
}

impl Bench {
    fn new() -> Bench {
        Bench::with(256 * 1024, 1024)
    }

    fn with(scrollback: usize, max_line: usize) -> Bench {
        let limits = Limits {
            scrollback,
            max_line,
            history: 0,
            rate: Rate::new(0, 1),
            login_timeout: Duration::from_secs(30),
            stall_timeout: STALL,
            grace: Duration::from_secs(30),
            reserve: Duration::from_secs(30),
            access: AccessLimits { clients: 30, per_place: 30, count_loopback: false },
            keys: Keys::default(),
        };
        let lobby = Lobby::new(limits, Box::new(|| 0)).expect("memory");
        Bench { reactor: Reactor::new(lobby, 64 * 1024, Duration::ZERO, STALL), people: vec![], now: STEP }
    }

    /// A new client, whose socket takes as much as a kernel does for a client that does not read.
    fn enter(&mut self, name: &str) -> usize {
        let to_server = format!("{name}\n").into_bytes().into();
        let pipe = Pipe { to_server, window: 4096, grain: usize::MAX, ..Pipe::default() };
        self.people.push(pipe.connect(&mut self.reactor, self.now, identity));
        self.step();
        self.people.len() - 1
    }

    fn send(&mut self, sender: usize, text: &str) {
        let (token, pipe) = &self.people[sender];
        pipe.borrow_mut().to_server.extend(text.bytes());
        self.reactor.note(*token, true, false);
    }

    /// Keeps more input waiting than the server reads.
    fn send_without_pause(&mut self, sender: usize) {
        let (token, pipe) = &self.people[sender];
        let input = &mut pipe.borrow_mut().to_server;
        if input.len() < 64 * 1024 {
            input.extend(LINE.repeat(2048));
            self.reactor.note(*token, true, false);
        }
    }

    fn stop_sending(&mut self, sender: usize) {
        self.people[sender].1.borrow_mut().to_server.clear();
    }

    /// A reader takes this many bytes.
    fn take(&mut self, reader: usize, count: usize) {
        let (token, pipe) = &self.people[reader];
        let pipe = &mut *pipe.borrow_mut();
        pipe.window = pipe.window.saturating_add(count).min(1 << 30);
        if std::mem::take(&mut pipe.refused) {
            self.reactor.note(*token, false, true);
        }
    }

    fn step(&mut self) {
        self.reactor.turn(self.now, self.now);
        self.reactor.reap(self.now, drop);
        self.now += STEP;
    }

    /// How much the server has not read yet of what a sender has sent.
    fn pending(&self, sender: usize) -> usize {
        self.people[sender].1.borrow().to_server.len()
    }

    /// Forgets what a reader has got, so that it need not be looked through again.
    fn forget(&self, reader: usize) {
        self.people[reader].1.borrow_mut().from_server.clear();
    }

    fn consumed(&self, sender: usize) -> usize {
        self.people[sender].1.borrow().consumed
    }

    /// What a reader has got since it came, without its greeting.
    fn said_to(&self, reader: usize) -> String {
        let text = String::from_utf8(self.people[reader].1.borrow().from_server.clone()).expect("UTF-8");
        let from = text.find("sender: ").unwrap_or(0);
        text[from..].to_owned()
    }
}
