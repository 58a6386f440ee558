//! A whole server but for its sockets: people come from several places, send every command, break, stall and come back,
//! in any order and at any time. Every reader's public bytes are a part of the one conversation, from the position that
//! the server named; each answer counts exactly the lines that were handled; no two people have names that look alike;
//! and nobody is left hanging.
#![no_main]

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use gotcp::lobby::access::AccessLimits;
use gotcp::lobby::client::{End, Link};
use gotcp::lobby::event::Event;
use gotcp::lobby::limits::Limits;
use gotcp::lobby::rate_limit::Rate;
use gotcp::lobby::secret::Keys;
use gotcp::lobby::{ClientId, Lobby, Readiness};
use gotcp::protocol::command::Command;
use gotcp::protocol::line::{Line, LineBuffer};
use gotcp::protocol::text::sanitise;
use gotcp::room::place::Place;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

/// Connections that there may be at a time, those included that are turned away.
const CONNECTIONS: usize = 6;
/// Names that are asked for, many of which look like others.
const NAMES: [&str; 16] = [
    "n0",
    "nO",
    "NO",
    "bob",
    "BOB",
    "b\u{43e}b",
    "bob#1",
    "bob#l",
    "alice",
    "AIice",
    "m",
    "rn",
    "Борис",
    "борис",
    "6opиc",
    "박",
];

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    /// Whether there is a rate limit.
    is_limited: bool,
    steps: Vec<Step<'a>>,
}

#[derive(Arbitrary, Debug)]
enum Step<'a> {
    /// Someone connects, from one of several places.
    Enter(u8, u8),
    /// Bytes arrive.
    Send(u8, Typed<'a>),
    /// A socket takes more.
    Widen(u8, u16),
    /// The input ends in order.
    End(u8),
    /// The connection breaks.
    Lose(u8),
    /// A transcript has read everything and goes no further, or it no longer reads.
    Hold(bool),
    /// Time goes by, and the server looks at its sockets.
    Turn(u16),
}

#[derive(Arbitrary, Debug)]
enum Typed<'a> {
    Raw(&'a [u8]),
    Name(u8),
    Say(u8),
    Whisper(Mark, u8, u8),
    Nick(Mark, u8),
    Me(Mark, u8),
    Exit(Mark, u8),
    Who(Mark),
    Help(Mark),
    Session,
    /// Comes back with a session that was given out, and a position that may be wrong.
    Resume(u8, i16),
    Unknown(Mark),
    Escaped(Mark),
    Blank,
    TooLong,
}

/// What a command begins with.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Mark {
    Exclamation,
    Slash,
}

/// One connection, with what the lobby does not see of it.
#[derive(Default)]
struct Connection {
    inbox: VecDeque<u8>,
    buffer: LineBuffer,
    window: usize,
    /// Whether nothing more arrives, and how that came about.
    end: Option<End>,
    is_lost: bool,
    /// Whether it has joined or resumed.
    is_member: bool,
    /// The token of its session.
    session: Option<String>,
    /// The ends of the answers about sessions that are due, in order.
    answers: VecDeque<String>,
    got: Vec<u8>,
    /// How much of `got` was looked at.
    checked: usize,
    /// The position up to which it has read, once it can know that.
    position: Option<u64>,
}

/// What is known of a session.
#[derive(Debug)]
struct Session {
    /// How many lines were handled since it was opened.
    handled: u64,
    /// Whether its owner has left for good.
    has_ended: bool,
    /// The last position that was told.
    position: u64,
}

struct Driver {
    lobby: Lobby,
    connections: [Option<Connection>; CONNECTIONS],
    now: Duration,
    /// Everything that was said.
    log: Vec<u8>,
    /// From where on a transcript still has to read.
    held: Option<u64>,
    sessions: HashMap<String, Session>,
    /// The tokens that were told, in order.
    told: Vec<String>,
}

fuzz_target!(|input: Input| {
    let mut last = 0;
    let tokens = move || {
        last += 1;
        last
    };
    let mut driver = Driver {
        lobby: Lobby::new(limits(input.is_limited), Box::new(tokens)).expect("memory"),
        connections: Default::default(),
        now: Duration::from_secs(1000),
        log: Vec::new(),
        held: None,
        sessions: HashMap::new(),
        told: Vec::new(),
    };
    for step in input.steps {
        driver.step(step);
    }
    // Once everybody reads and nothing more is processed, every connection comes to an end.
    driver.hold(false);
    let end = driver.lobby.room().scrollback().end();
    for (index, connection) in driver.connections.iter_mut().enumerate() {
        if let Some(connection) = connection
            && !driver.lobby.is_closing(ClientId(index))
            && let Some(token) = &connection.session
        {
            let handled = driver.sessions[token].handled;
            connection.answers.push_back(format!("--- session {token} at {end}, {handled} heard"));
        }
    }
    driver.lobby.shut_down(driver.now);
    for connection in driver.connections.iter_mut().flatten() {
        connection.window = usize::MAX;
    }
    for _ in 0..3 {
        driver.turn(Duration::ZERO);
    }
    assert!(driver.connections.iter().all(Option::is_none), "a connection is left hanging");
});

impl Connection {
    /// The next line, or the last one if no more is to come.
    fn pending(&self, max_line: usize) -> Option<&[u8]> {
        let is_last = self.end.is_some() && self.inbox.is_empty();
        self.buffer.pending(max_line).or_else(|| self.buffer.unfinished().filter(|_| is_last))
    }
}

impl Driver {
    fn step(&mut self, step: Step<'_>) {
        match step {
            Step::Enter(which, place) => self.enter(usize::from(which) % CONNECTIONS, place),
            Step::Send(which, typed) => {
                let bytes = self.bytes(&typed);
                if let Some(connection) = self.connection(which)
                    && connection.end.is_none()
                {
                    connection.inbox.extend(bytes);
                }
            }
            Step::Widen(which, by) => {
                if let Some(connection) = self.connection(which) {
                    connection.window += usize::from(by);
                }
            }
            Step::End(which) => {
                if let Some(connection) = self.connection(which) {
                    connection.end.get_or_insert(End::Closed);
                }
            }
            Step::Lose(which) => {
                if let Some(connection) = self.connection(which) {
                    connection.end = Some(End::Lost);
                }
            }
            Step::Hold(holds) => self.hold(holds),
            Step::Turn(millis) => self.turn(Duration::from_millis(millis.into())),
        }
    }

    fn connection(&mut self, which: u8) -> Option<&mut Connection> {
        self.connections[usize::from(which) % CONNECTIONS].as_mut()
    }

    fn enter(&mut self, index: usize, place: u8) {
        if self.connections[index].is_none() {
            let place = match place % 3 {
                0 => Place::LOCALHOST,
                1 => Place::of([192, 0, 2, 1].into()),
                _ => Place::of([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into()),
            };
            let entrance = self.lobby.entrance(place, self.now);
            self.lobby.enter(ClientId(index), place, entrance, self.now);
            self.lobby.greet(ClientId(index), Link::Plain, self.now);
            self.connections[index] = Some(Connection { window: 64, ..Connection::default() });
        }
    }

    fn hold(&mut self, holds: bool) {
        self.held = holds.then(|| self.lobby.room().scrollback().end());
        self.lobby.hold(self.held);
    }

    fn bytes(&self, typed: &Typed<'_>) -> Vec<u8> {
        let name = |number: u8| NAMES[usize::from(number) % NAMES.len()];
        let words = |count: u8| "x".repeat(usize::from(count % 24));
        let mark = |mark: Mark| match mark {
            Mark::Exclamation => '!',
            Mark::Slash => '/',
        };
        let line = match *typed {
            Typed::Raw(bytes) => return bytes.to_vec(),
            Typed::Name(number) => name(number).into(),
            Typed::Say(count) => words(count),
            Typed::Whisper(m, to, count) => format!("{}msg {} {}", mark(m), name(to), words(count)),
            Typed::Nick(m, number) => format!("{}nick {}", mark(m), name(number)),
            Typed::Me(m, count) => format!("{}me {}", mark(m), words(count)),
            Typed::Exit(m, count) => format!("{}exit {}", mark(m), words(count)),
            Typed::Who(m) => format!("{}who", mark(m)),
            Typed::Help(m) => format!("{}help", mark(m)),
            Typed::Session => "!session".into(),
            Typed::Resume(which, offset) => match self.told.len() {
                0 => "!resume 0@0".into(),
                count => {
                    let token = &self.told[usize::from(which) % count];
                    format!("!resume {token}@{}", self.sessions[token].position.saturating_add_signed(offset.into()))
                }
            },
            Typed::Unknown(m) => format!("{}x", mark(m)),
            Typed::Escaped(m) => format!("{0}{0}who", mark(m)),
            Typed::Blank => " ".into(),
            Typed::TooLong => "y".repeat(self.lobby.max_line()),
        };
        format!("{line}\n").into_bytes()
    }

    /// One turn, as the server does it.
    fn turn(&mut self, time: Duration) {
        self.now += time;
        for index in 0..CONNECTIONS {
            if let Some(mut connection) = self.connections[index].take() {
                self.read(ClientId(index), &mut connection);
                self.connections[index] = Some(connection);
            }
        }
        self.copy_log();
        assert!(self.lobby.drain_touched().all(|id| id.0 < CONNECTIONS));
        (0..CONNECTIONS).for_each(|index| self.write(index));
        self.lobby.end_turn(self.now);
        self.copy_log();
        self.lobby.check();
        self.lobby.clear_events();
        let scrollback = self.lobby.room().scrollback();
        assert!(self.held.is_none_or(|held| scrollback.end() - held < scrollback.capacity() as u64), "overwritten");
        for index in 0..CONNECTIONS {
            self.write(index);
            let id = ClientId(index);
            if self.connections[index].is_some() && self.lobby.is_done(id) {
                let connection = self.connections[index].take().expect("it is there");
                let got = String::from_utf8_lossy(&connection.got);
                assert!(self.lobby.is_cut_off(id) || got.ends_with('\n'), "torn: {got}");
                self.lobby.forget(id);
                self.check_reading(&connection);
            }
        }
        self.lobby.check();
    }

    // ---- What a connection sends ----

    /// Hands over what has arrived, as far as the lobby takes it.
    fn read(&mut self, id: ClientId, connection: &mut Connection) {
        loop {
            match self.lobby.readiness(id, connection.pending(self.lobby.max_line()), self.now) {
                Readiness::At(_) | Readiness::Later => {
                    if connection.buffer.has_line() {
                        self.lobby.hold_back(id, self.now);
                    }
                    return;
                }
                Readiness::Never => connection.buffer = LineBuffer::default(),
                Readiness::Now if connection.buffer.has_line() => {
                    self.process(id, connection, &[]);
                    continue;
                }
                Readiness::Now => {}
            }
            let bytes: Vec<u8> = connection.inbox.drain(..).collect();
            if !bytes.is_empty() {
                if !self.lobby.is_closing(id) {
                    self.process(id, connection, &bytes);
                }
                continue;
            }
            let Some(end) = connection.end else { return };
            if end == End::Lost && !std::mem::replace(&mut connection.is_lost, true) {
                connection.window = 0;
                self.lobby.lose(id);
            }
            if !self.lobby.is_closing(id) {
                self.end_input(id, connection, end);
            }
            return;
        }
    }

    fn process(&mut self, id: ClientId, connection: &mut Connection, bytes: &[u8]) {
        let mut buffer = std::mem::take(&mut connection.buffer);
        let mut lines = buffer.split(bytes, self.lobby.max_line());
        while let Some(line) = lines.next_if(|line| self.lobby.may_handle(id, line, self.now)) {
            let text = match &line {
                Line::Whole(text) => Some(text.to_vec()),
                Line::TooLong => None,
            };
            let end = self.lobby.room().scrollback().end();
            self.lobby.handle_line(id, line, self.now);
            self.account(id, connection, text.as_deref(), end);
        }
        drop(lines);
        connection.buffer = buffer;
    }

    fn end_input(&mut self, id: ClientId, connection: &mut Connection, end: End) {
        let rest = connection.buffer.finish();
        let position = self.lobby.room().scrollback().end();
        if let Some(rest) = &rest {
            self.lobby.handle_rest(id, end, rest, self.now);
        }
        if !self.lobby.is_closing(id) {
            self.lobby.end_input(id, end, self.now);
        }
        // A session counts lines that end with LF only: the rest is sent again.
        if end == End::Closed && connection.session.is_none() && rest.is_some() {
            self.account(id, connection, rest.as_deref(), position);
        }
        assert!(self.lobby.is_closing(id));
    }

    /// Notes what a line that was handled means for what is to be answered. `None`: it was too long. `end` is where the
    /// scrollback ended before.
    fn account(&mut self, id: ClientId, connection: &mut Connection, line: Option<&[u8]>, end: u64) {
        if !connection.is_member {
            let is_this = |event: &Event| match event {
                Event::Joined(of, ..) => *of == Some(id),
                Event::Returned(of, _) => *of == id,
                _ => false,
            };
            // A number may have been another connection's, but not since the events were cleared.
            connection.is_member = self.lobby.events().iter().any(is_this);
            if connection.is_member
                && let Some(claim) = line.and_then(|line| line.strip_prefix(b"!resume "))
            {
                self.account_for_resuming(connection, claim, end);
            }
            return;
        }
        let text = sanitise(line.unwrap_or_default());
        let command = line.map(|_| Command::parse(&text));
        let token = match &connection.session {
            Some(token) => {
                self.sessions.get_mut(token).expect("it was opened").handled += 1;
                token.clone()
            }
            None if command == Some(Command::Session) => {
                let token = format!("{:032x}", self.sessions.len() + 1);
                self.sessions.insert(token.clone(), Session { handled: 0, has_ended: false, position: end });
                connection.session = Some(token.clone());
                token
            }
            None => return,
        };
        let session = self.sessions.get_mut(&token).expect("it was opened");
        session.has_ended |= matches!(command, Some(Command::Exit(_)));
        if command == Some(Command::Session) {
            connection.answers.push_back(format!("--- session {token} at {end}, {} heard", session.handled));
        }
    }

    fn account_for_resuming(&self, connection: &mut Connection, claim: &[u8], end: u64) {
        let claim = std::str::from_utf8(claim).expect("a claim that is good is ASCII").trim_ascii();
        let (token, position) = claim.split_once('@').expect("both are there");
        let token = token.to_ascii_lowercase();
        let session = &self.sessions[&token];
        assert!(!session.has_ended, "a session that has ended cannot be resumed");
        connection.answers.push_back(format!(", {} heard", session.handled));
        connection.position = Some(position.parse().unwrap_or(u64::MAX).min(end));
        connection.session = Some(token);
    }

    // ---- What a connection gets ----

    fn write(&mut self, index: usize) {
        let id = ClientId(index);
        let Some(mut connection) = self.connections[index].take() else { return };
        while self.lobby.is_pending(id) {
            let before = connection.got.len();
            connection.got.extend(self.lobby.chunks(id).flatten().copied().take(connection.window));
            let count = connection.got.len() - before;
            connection.window -= count;
            if count == 0 {
                self.lobby.block(id, self.now);
                break;
            }
            self.lobby.take(id, count, self.now);
        }
        self.look_at(&mut connection);
        self.connections[index] = Some(connection);
    }

    /// Looks at the lines that a connection has got: public ones move its position on, and answers are as expected.
    fn look_at(&mut self, connection: &mut Connection) {
        while let Some(length) = connection.got[connection.checked..].iter().position(|&byte| byte == b'\n') {
            let line = &connection.got[connection.checked..connection.checked + length];
            let line = std::str::from_utf8(line).expect("all that is said is UTF-8");
            connection.checked += length + 1;
            if let Some(rest) = line.strip_prefix("--- session ") {
                assert_eq!(Some(line), connection.answers.pop_front().as_deref());
                let (token, rest) = rest.split_once(" at ").expect("as it was expected");
                let position = rest.split_once(',').and_then(|(position, _)| position.parse().ok());
                assert!(connection.position.is_none_or(|position_read| Some(position_read) == position), "{line}");
                connection.position = position;
                self.sessions.get_mut(token).expect("it was opened").position = position.expect("a number");
                self.told.push(token.into());
            } else if line.starts_with("--- resumed as ") {
                let expected = connection.answers.pop_front().expect("one is due");
                assert!(line.ends_with(&expected), "{line} and {expected}");
            } else if let Some(missed) = line.strip_prefix("--- missed ") {
                let bytes: u64 = missed.split(' ').next().and_then(|bytes| bytes.parse().ok()).expect("a number");
                connection.position = connection.position.map(|position| position + bytes);
            } else if !line.starts_with("--- ")
                && let Some(position) = &mut connection.position
            {
                let start = usize::try_from(*position).expect("a position");
                assert!(self.log[start..].starts_with(line.as_bytes()), "{line:?} is not at {start}");
                *position += length as u64 + 1;
            }
        }
    }

    /// Copies what was said since the last time.
    fn copy_log(&mut self) {
        let scrollback = self.lobby.room().scrollback();
        let pieces = scrollback.pieces(self.log.len() as u64, scrollback.end());
        pieces.for_each(|piece| self.log.extend_from_slice(piece));
    }

    /// What a connection got that is gone: private lines, and without those a part of what was said.
    fn check_reading(&self, connection: &Connection) {
        let public: Vec<u8> = connection
            .got
            .split_inclusive(|&byte| byte == b'\n')
            .filter(|line| !b"--- ".starts_with(&line[..line.len().min(4)]))
            .flatten()
            .copied()
            .collect();
        let is_part = memchr::memmem::find(&self.log, &public).is_some();
        assert!(is_part, "{}", String::from_utf8_lossy(&connection.got));
    }
}

fn limits(is_limited: bool) -> Limits {
    let second = Duration::from_secs(1);
    let limits = Limits {
        scrollback: 0,
        max_line: 64,
        history: 3,
        rate: if is_limited { Rate::new(10, 20) } else { Rate::new(0, 1) },
        login_timeout: 10 * second,
        stall_timeout: 10 * second,
        grace: 5 * second,
        reserve: 20 * second,
        access: AccessLimits { clients: CONNECTIONS - 1, per_place: 3, count_loopback: is_limited },
        keys: Keys::default(),
    };
    Limits { scrollback: limits.smallest_scrollback(), ..limits }
}
