//! The whole room: whoever comes, says, breaks, stalls and comes back in whatever order and time, every reader's bytes
//! are a part of the one conversation, with private lines between its lines only, and nobody is left hanging.
#![no_main]

use std::collections::VecDeque;
use std::time::Duration;

use gotcp::room::limits::Limits;
use gotcp::room::{Attention, Room, pace};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

/// As many connections as there can be.
const PLACES: usize = 6;

#[derive(Arbitrary, Debug)]
enum Step<'a> {
    /// Somebody connects.
    Enter(u8),
    /// Bytes arrive.
    Send(u8, Line<'a>),
    /// A socket takes more.
    Widen(u8, u16),
    /// The input ends in order.
    End(u8),
    /// The connection breaks.
    Lose(u8),
    /// Time goes by, and the server looks at its sockets.
    Turn(u16),
}

#[derive(Arbitrary, Debug)]
enum Line<'a> {
    Raw(&'a [u8]),
    Name(u8),
    Say(u8),
    Whisper(u8, u8),
    Nick(u8),
    /// Comes back with a session that was given out.
    Claim(u8),
    Known(Known),
}

#[derive(Arbitrary, Debug)]
enum Known {
    Session,
    Exit,
    Who,
    Help,
}

/// One connection, with what the room does not see of it.
#[derive(Default)]
struct Guest {
    inbox: VecDeque<u8>,
    window: usize,
    got: Vec<u8>,
    ended: bool,
    lost: bool,
}

struct Driver {
    room: Room,
    guests: [Option<Guest>; PLACES],
    now: Duration,
    /// Everything that was said, as a list of bytes.
    log: Vec<u8>,
    claims: Vec<String>,
}

fuzz_target!(|steps: Vec<Step>| {
    let mut driver = Driver {
        room: Room::new(limits(), Box::new(tokens())).expect("memory"),
        guests: Default::default(),
        now: Duration::ZERO,
        log: Vec::new(),
        claims: Vec::new(),
    };
    for step in steps {
        driver.step(step);
    }
    // Once everybody reads, and nobody has more to say, everybody comes to an end.
    driver.room.shut_down();
    for guest in driver.guests.iter_mut().flatten() {
        guest.window = usize::MAX;
    }
    for _ in 0..3 {
        driver.turn(Duration::ZERO);
    }
    assert!(driver.guests.iter().all(Option::is_none), "somebody is left hanging");
});

impl Driver {
    fn step(&mut self, step: Step<'_>) {
        match step {
            Step::Enter(place) => {
                let id = usize::from(place) % PLACES;
                if self.guests[id].is_none() {
                    self.room.enter(id, self.now);
                    self.guests[id] = Some(Guest { window: 64, ..Guest::default() });
                }
            }
            Step::Send(place, line) => {
                let line = self.bytes(&line);
                if let Some(guest) = self.guest(place)
                    && !guest.ended
                {
                    guest.inbox.extend(line);
                }
            }
            Step::Widen(place, by) => {
                if let Some(guest) = self.guest(place) {
                    guest.window += usize::from(by);
                }
            }
            Step::End(place) => {
                if let Some(guest) = self.guest(place) {
                    guest.ended = true;
                }
            }
            Step::Lose(place) => {
                if let Some(guest) = self.guest(place) {
                    guest.ended = true;
                    guest.lost = true;
                }
            }
            Step::Turn(millis) => self.turn(Duration::from_millis(millis.into())),
        }
    }

    fn guest(&mut self, place: u8) -> Option<&mut Guest> {
        self.guests[usize::from(place) % PLACES].as_mut()
    }

    fn bytes(&self, line: &Line<'_>) -> Vec<u8> {
        let line = match line {
            Line::Raw(bytes) => return bytes.to_vec(),
            Line::Name(name) => format!("n{}", name % 8),
            Line::Say(length) => "x".repeat(usize::from(length % 40)),
            Line::Whisper(to, length) => format!("!msg n{} {}", to % 8, "w".repeat(usize::from(length % 40))),
            Line::Nick(name) => format!("!nick n{}", name % 8),
            Line::Claim(which) => match self.claims.len() {
                0 => "n0".into(),
                count => self.claims[usize::from(*which) % count].clone(),
            },
            Line::Known(Known::Session) => "!session".into(),
            Line::Known(Known::Exit) => "!exit".into(),
            Line::Known(Known::Who) => "!who".into(),
            Line::Known(Known::Help) => "!help".into(),
        };
        format!("{line}\n").into_bytes()
    }

    /// One turn, as the server does it.
    fn turn(&mut self, time: Duration) {
        self.now += time;
        for id in 0..PLACES {
            self.read(id);
        }
        self.note();
        let touched: Vec<usize> = self.room.drain_touched().collect();
        assert!(touched.into_iter().all(|id| id < PLACES));
        for id in 0..PLACES {
            self.write(id);
        }
        self.room.end_turn(self.now);
        self.note();
        self.room.clear_events();
        for id in 0..PLACES {
            self.write(id);
            if self.guests[id].is_some() && self.room.is_done(id) {
                self.room.forget(id);
                let guest = self.guests[id].take().expect("it is there");
                self.check(&guest);
            }
        }
    }

    fn read(&mut self, id: usize) {
        let Some(guest) = &mut self.guests[id] else { return };
        loop {
            let attention = self.room.attention(id, self.now);
            if matches!(attention, Attention::Later | Attention::At(_)) {
                return;
            }
            if self.room.is_waiting(id) {
                self.room.hear(id, &[], self.now);
            } else if guest.inbox.is_empty() {
                break;
            } else {
                let bytes: Vec<u8> = guest.inbox.drain(..).collect();
                if attention == Attention::Now {
                    self.room.hear(id, &bytes, self.now);
                }
            }
        }
        if guest.lost {
            self.room.lose(id, self.now);
            guest.lost = false;
            guest.window = 0;
        } else if guest.ended {
            self.room.end_input(id, self.now);
        }
    }

    fn write(&mut self, id: usize) {
        let Some(guest) = &mut self.guests[id] else { return };
        while self.room.is_pending(id) {
            let before = guest.got.len();
            guest.got.extend(self.room.chunks(id).flatten().copied().take(guest.window));
            let count = guest.got.len() - before;
            guest.window -= count;
            if count == 0 {
                self.room.block(id, self.now);
                break;
            }
            self.room.take(id, count, self.now);
        }
        let lines = String::from_utf8_lossy(&guest.got).into_owned();
        self.remember_claim(&lines);
    }

    /// Keeps what the last session was given out for.
    fn remember_claim(&mut self, lines: &str) {
        let name = lines.lines().filter_map(|line| line.strip_prefix("--- you are ")?.split_once(';')).next_back();
        let session =
            lines.lines().filter_map(|line| line.strip_prefix("--- session ")?.split_once(" at ")).next_back();
        if let (Some((name, _)), Some((token, position))) = (name, session) {
            let claim = format!("{name} {token}@{position}");
            if self.claims.last() != Some(&claim) {
                self.claims.push(claim);
            }
        }
    }

    /// Copies what was said since the last time.
    fn note(&mut self) {
        let log = self.room.log();
        log.pieces(self.log.len() as u64, log.end()).for_each(|piece| self.log.extend_from_slice(piece));
    }

    /// What somebody got who is gone: lines for them alone, and without those a part of what was said.
    fn check(&self, guest: &Guest) {
        let public: Vec<u8> = guest
            .got
            .split_inclusive(|&b| b == b'\n')
            .filter(|line| !b"--- ".starts_with(&line[..line.len().min(4)]))
            .flatten()
            .copied()
            .collect();
        assert!(memchr::memmem::find(&self.log, &public).is_some(), "{}", String::from_utf8_lossy(&guest.got));
    }
}

fn tokens() -> impl FnMut() -> u128 {
    let mut last = 0;
    move || {
        last += 1;
        last
    }
}

fn limits() -> Limits {
    let second = Duration::from_secs(1);
    let limits = Limits {
        scrollback: 0,
        max_line: 32,
        history: 3,
        pace: pace::Limit::new(10, 20),
        login_timeout: 10 * second,
        stall_timeout: 10 * second,
        grace: 5 * second,
    };
    Limits { scrollback: limits.smallest_scrollback(), ..limits }
}
