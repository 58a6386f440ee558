//! A line typed arrives once: client sessions and the server, driven together over a network that breaks.
//!
//! People type; connections are cut at any byte, in either direction or both, noticed at once, late or never; readers
//! stall and are evicted; graces run out; and in half of the schedules the room has a log that takes its time, and the
//! server dies with whatever the log does not have yet. Whatever happens, everyone who came back in time reads the same conversation,
//! and every line that was typed is in it once; whispers and new names arrive once, too.
//!
//! `GOTCP_SEED=17 cargo test --test simulation sessions` runs one seed again; `GOTCP_SEEDS=1000000` runs that many.

use std::cell::RefCell;
use std::collections::{HashSet, VecDeque};
use std::convert::identity;
use std::rc::Rc;
use std::time::Duration;

use super::people::{ACCESS, Connection, Heard, Person};
use crate::support::pipe::{Pipe, Wire};
use crate::support::seeds;
use fastrand::Rng;
use gotcp::client::session::Phase;
use gotcp::lobby::limits::Limits;
use gotcp::lobby::rate_limit::Rate;
use gotcp::lobby::secret::Keys;
use gotcp::lobby::{Lobby, Random};
use gotcp::room::Room;
use gotcp::room::scrollback::Scrollback;
use gotcp::room::turn::Turn;
use gotcp::server::reactor::Reactor;
use mio::Token;

/// Seeds in an ordinary run.
const SEEDS: u64 = 500;
/// Who is whispered to. Nothing breaks this connection: a whisper that is under way at a break is lost.
const LISTENER: usize = 0;
/// Steps of one seed in which the network breaks.
const STEPS: usize = 500;

/// Every line typed is read exactly once, in order, by everyone who stayed or came back in time; where that was not
/// possible, everyone concerned was told.
#[test]
fn a_line_typed_arrives_once() {
    let mut tally = Tally::default();
    let count = seeds::each(SEEDS, "simulation sessions", |seed| tally.add(&World::new(seed).run()));
    if count < SEEDS {
        return;
    }
    println!("{count} seeds: {tally:?}");
    // Schedules in which nothing goes wrong would prove nothing.
    let Tally { typed, whispers, renames, cuts, crashes, resumed, rejoined, missed, given_up } = tally;
    let counts = [typed, whispers, renames, cuts, crashes, resumed, rejoined, missed, given_up];
    assert!(counts.iter().all(|&count| count > 100));
}

/// Where the tokens of a server come from.
fn tokens(rng: &mut Rng) -> Random {
    let mut rng = rng.fork();
    Box::new(move || rng.u128(..))
}

/// How often the interesting things happened.
#[derive(Debug, Default)]
struct Tally {
    typed: usize,
    whispers: usize,
    renames: usize,
    cuts: usize,
    crashes: usize,
    resumed: usize,
    rejoined: usize,
    missed: usize,
    given_up: usize,
}

impl Tally {
    fn add(&mut self, other: &Tally) {
        self.typed += other.typed;
        self.whispers += other.whispers;
        self.renames += other.renames;
        self.cuts += other.cuts;
        self.crashes += other.crashes;
        self.resumed += other.resumed;
        self.rejoined += other.rejoined;
        self.missed += other.missed;
        self.given_up += other.given_up;
    }
}

/// How likely everything is, drawn anew for each seed.
struct Chances {
    type_line: f64,
    deliver: f64,
    read: f64,
    cut: f64,
    reconnect: f64,
    wait: f64,
    gulp: usize,
    commit: f64,
    checkpoint: f64,
    crash: f64,
}

/// A log that lasts. What is submitted is durable some time later, and comes back then, in order.
#[derive(Default)]
struct Log {
    submitted: VecDeque<Vec<u8>>,
    /// The room at some moment.
    checkpoint: Option<Vec<u8>>,
    /// What has become durable since then, and since ever.
    turns: Vec<Vec<u8>>,
    all: Vec<Vec<u8>>,
}

impl Log {
    /// The next turn becomes durable.
    fn commit(&mut self) -> Option<Vec<u8>> {
        let turn = self.submitted.pop_front()?;
        self.turns.push(turn.clone());
        self.all.push(turn.clone());
        Some(turn)
    }

    /// The room that these turns make.
    fn replay(mut room: Room, turns: &[Vec<u8>]) -> Room {
        for turn in turns {
            let (turn, before) =
                (Turn::decode(turn).expect("the log gives back what it was given"), room.digest().turns());
            room.apply_turn(&turn).expect("the log gives back what it was given");
            assert_eq!(room.digest().turns(), before + 1, "each turn is there once");
        }
        room
    }
}

struct World {
    rng: Rng,
    chances: Chances,
    limits: Limits,
    read_budget: usize,
    gather: Duration,
    reactor: Reactor<Wire>,
    /// `None` where the log is in memory.
    log: Option<Log>,
    now: Duration,
    said: Vec<String>,
    end: u64,
    /// Where what was said ended at the log's checkpoint.
    end_at_checkpoint: usize,
    /// Who is here, by what the room was told.
    here: HashSet<String>,
    /// Connections that the client has given up, and which the server has yet to notice.
    ghosts: Vec<(Token, Rc<RefCell<Pipe>>)>,
    people: Vec<Person>,
    tally: Tally,
}

impl World {
    fn new(seed: u64) -> World {
        let mut rng = Rng::with_seed(seed);
        let mut chance = |most: f64| rng.f64() * most;
        let chances = Chances {
            type_line: chance(0.5),
            deliver: 0.1 + chance(0.9),
            read: 0.1 + chance(0.9),
            cut: chance(0.03),
            reconnect: 0.05 + chance(0.5),
            wait: chance(0.05),
            commit: 0.02 + chance(0.98),
            checkpoint: chance(0.05),
            crash: chance(0.01),
            gulp: 64 << rng.usize(0..8),
        };
        let millis = Duration::from_millis;
        let mut limits = Limits {
            scrollback: 0,
            max_line: 256,
            history: rng.usize(0..4),
            rate: if rng.bool() { Rate::new(0, 1) } else { Rate::new(rng.u32(20..200), rng.u32(5..50)) },
            login_timeout: millis(20_000),
            stall_timeout: millis(rng.u64(300..5000)),
            grace: millis(rng.u64(0..5000)),
            reserve: millis(rng.u64(0..20_000)),
            access: ACCESS,
            keys: Keys::default(),
        };
        limits.scrollback = limits.smallest_scrollback() << rng.u32(0..3);
        let now = Duration::from_secs(1000);
        let log = rng.bool().then(Log::default);
        let room = Room::new(limits.scrollback).expect("memory");
        let lobby = if log.is_some() {
            Lobby::with_log(room, limits.clone(), tokens(&mut rng), now)
        } else {
            Lobby::new(limits.clone(), tokens(&mut rng)).expect("memory")
        };
        let gather = Duration::from_millis(if rng.bool() { 0 } else { rng.u64(0..100) });
        let read_budget = 1 << rng.usize(4..10);
        let reactor = Reactor::new(lobby, read_budget, gather, limits.stall_timeout);
        let people = (0..rng.usize(2..8)).map(|number| Person::new(number, &mut rng)).collect();
        World {
            rng,
            chances,
            limits,
            read_budget,
            gather,
            reactor,
            log,
            now,
            said: Vec::new(),
            end: 0,
            end_at_checkpoint: 0,
            here: HashSet::new(),
            ghosts: Vec::new(),
            people,
            tally: Tally::default(),
        }
    }

    fn run(mut self) -> Tally {
        for _ in 0..STEPS {
            for at in 0..self.people.len() {
                self.something_happens_to(at);
            }
            self.the_network_notices();
            if self.happens(self.chances.wait) {
                self.now += Duration::from_millis(self.rng.u64(0..3000));
            }
            self.now += Duration::from_millis(self.rng.u64(0..10));
            self.turn();
            if self.log.is_some() && self.happens(self.chances.crash) {
                self.crash();
            }
        }
        self.chances.commit = 1.0;
        self.calm_down();
        self.judge();
        self.tally
    }

    fn happens(&mut self, chance: f64) -> bool {
        self.rng.f64() < chance
    }

    fn something_happens_to(&mut self, at: usize) {
        if self.happens(self.chances.type_line) {
            self.people[at].type_line(at, &mut self.rng);
            self.tally.typed += 1;
            // Lines that say the same, and lines that do not come back, must not confuse anybody.
            match self.rng.u8(0..25) {
                0 => self.people[at].session.say(b"!who", false),
                1 => self.people[at].session.say(b"!nonsense", false),
                2 => self.people[at].session.say(&[b'y'; 300], false),
                3 => self.people[at].session.say(b"!me waves", false),
                4..8 if at != LISTENER && self.people[LISTENER].session.status().phase == Phase::Joined => {
                    self.whisper(at);
                }
                8 if at != LISTENER => {
                    let person = &mut self.people[at];
                    person.session.say(format!("!nick p{at}n{}", person.names).as_bytes(), false);
                    person.names += 1;
                    self.tally.renames += 1;
                }
                _ => {}
            }
        }
        if self.people[at].line.is_none() {
            if self.happens(self.chances.reconnect) {
                self.connect(at);
            }
            return;
        }
        if self.rng.u8(0..4) == 0 {
            self.people[at].ask();
        }
        self.people[at].send();
        if self.happens(self.chances.deliver) {
            let count = self.rng.usize(0..2000);
            self.deliver(at, count);
        }
        if self.happens(self.chances.read) {
            let count = self.rng.usize(0..=self.chances.gulp);
            self.receive(at, count);
        }
        if at == LISTENER {
            self.receive(at, usize::MAX / 2);
        } else if self.happens(self.chances.cut) {
            self.cut(at);
        }
    }

    fn whisper(&mut self, at: usize) {
        self.people[at].whisper(at, LISTENER);
        self.tally.whispers += 1;
    }

    fn connect(&mut self, at: usize) {
        let grain = 1 << self.rng.usize(0..12);
        let pipe = Pipe { window: self.chances.gulp, grain, ..Pipe::default() };
        let (token, pipe) = pipe.connect(&mut self.reactor, self.now, identity);
        self.people[at].connected(Connection::new(0, token, pipe));
    }

    /// Some of what the client has sent arrives at the server.
    fn deliver(&mut self, at: usize, count: usize) {
        let Some(line) = &mut self.people[at].line else { return };
        if line.deliver(count) {
            self.reactor.note(line.token, true, false);
        }
    }

    /// Some of what the server has written arrives at the client, which makes room for more. Returns whether any did.
    fn receive(&mut self, at: usize, count: usize) -> bool {
        let person = &mut self.people[at];
        let Some(line) = &mut person.line else { return false };
        let (bytes, is_over) = line.receive(count);
        {
            let pipe = &mut *line.pipe.borrow_mut();
            pipe.window = pipe.window.max(count);
            if pipe.window > 0 && std::mem::take(&mut pipe.refused) {
                self.reactor.note(line.token, false, true);
            }
        }
        let Heard { resumed, rejoined, missed } = person.hear(&bytes);
        self.tally.resumed += resumed;
        self.tally.rejoined += rejoined;
        self.tally.missed += missed;
        if is_over {
            // The server has ended the connection; the client ends its side, too.
            let line = person.line.take().expect("it was there");
            line.pipe.borrow_mut().ended = true;
            self.reactor.note(line.token, true, false);
            person.session.broke();
        }
        !bytes.is_empty()
    }

    /// The connection is cut: what is in transit is lost from some byte on. The client notices now; the server notices
    /// now, later, or not at all.
    fn cut(&mut self, at: usize) {
        self.tally.cuts += 1;
        let some = self.rng.usize(0..200);
        if self.rng.bool() {
            self.deliver(at, some);
        }
        let person = &mut self.people[at];
        let Some(line) = person.line.take() else { return };
        if self.rng.bool() {
            line.pipe.borrow_mut().to_server.clear();
        }
        // Nothing more is taken from the server, whatever it writes.
        line.pipe.borrow_mut().window = 0;
        self.ghosts.push((line.token, line.pipe));
        person.session.broke();
    }

    /// The server notices some of the breaks.
    fn the_network_notices(&mut self) {
        let chance = self.chances.reconnect / 4.0;
        let (rng, reactor) = (&mut self.rng, &mut self.reactor);
        self.ghosts.retain(|(token, pipe)| {
            let is_noticed = rng.f64() < chance;
            if is_noticed {
                pipe.borrow_mut().reset = true;
                reactor.note(*token, true, true);
            }
            !is_noticed
        });
    }

    /// The server dies with everything that is not in the log, and another one takes its place. The last that it wrote
    /// may arrive or not.
    fn crash(&mut self) {
        self.tally.crashes += 1;
        for at in 0..self.people.len() {
            let count = if at == LISTENER { usize::MAX / 2 } else { self.rng.usize(0..2000) };
            self.receive(at, count);
            if self.people[at].line.take().is_some() {
                self.people[at].session.broke();
            }
        }
        self.ghosts.clear();
        let log = self.log.as_mut().expect("only a room with a log survives");
        // Some of it became durable, and the server did not live to know.
        for _ in 0..self.rng.usize(0..=log.submitted.len()) {
            log.commit();
        }
        log.submitted.clear();
        let scrollback = Scrollback::new(self.limits.scrollback).expect("memory");
        let said: String = self.said.iter().flat_map(|line| [line, "\n"]).collect();
        let room = match &log.checkpoint {
            None => Room::with_scrollback(scrollback),
            Some(checkpoint) => {
                let end = self.end_at_checkpoint;
                Room::restore(checkpoint, scrollback, &said.as_bytes()[..end]).expect("it was made by a room")
            }
        };
        let room = Log::replay(room, &log.turns);
        room.roster().check();
        let (start, end) = (room.scrollback().start(), room.scrollback().end());
        assert!(end >= self.end, "something that was shown is not in the log");
        let kept: Vec<u8> = room.scrollback().pieces(start, self.end.max(start)).flatten().copied().collect();
        assert!(said.as_bytes().ends_with(&kept), "what was shown is said at the same place");
        // Clocks step back.
        self.now = self.now.saturating_sub(Duration::from_millis(self.rng.u64(0..1000))).max(room.now());
        let lobby = Lobby::with_log(room, self.limits.clone(), tokens(&mut self.rng), self.now);
        self.reactor = Reactor::new(lobby, self.read_budget, self.gather, self.limits.stall_timeout);
    }

    /// The log gives back what is durable, in one piece or several.
    fn commit(&mut self) {
        let Some(log) = &mut self.log else { return };
        while self.rng.f64() < self.chances.commit
            && let Some(turn) = log.commit()
        {
            self.reactor.lobby.apply(&turn, self.now).expect("the log gives back what it was given");
            if self.rng.f64() < self.chances.checkpoint {
                let room = self.reactor.lobby.room();
                (log.checkpoint, log.turns) = (Some(room.checkpoint()), Vec::new());
                self.end_at_checkpoint = usize::try_from(room.scrollback().end()).expect("a short conversation");
            }
        }
    }

    fn turn(&mut self) {
        self.commit();
        self.reactor.turn(self.now, self.now);
        if let Some(log) = &mut self.log {
            log.submitted.extend(std::iter::from_fn(|| self.reactor.lobby.next_turn()));
        }
        self.reactor.reap(self.now, drop);
        self.reactor.lobby.check();
        let log = self.reactor.lobby.room().scrollback();
        let bytes = log.pieces(self.end, log.end()).flatten().copied().collect();
        self.end = log.end();
        let text = String::from_utf8(bytes).expect("what is said is UTF-8");
        for line in text.split_terminator('\n') {
            self.account(line);
            self.said.push(line.to_owned());
        }
    }

    /// A name belongs to one at a time, and speaks only while it is here.
    fn account(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["***", name, "joined"] => {
                assert!(self.here.insert(name.into()), "{name} joins while being here");
            }
            ["***", name, "left", ..] => {
                assert!(self.here.remove(name), "{name} leaves without being here");
                self.tally.given_up += usize::from(line.ends_with("(connection lost)"));
                assert!(
                    !self.people.iter().any(|person| person.is_back(name)),
                    "{name} is announced as gone, and is back"
                );
            }
            ["***", old, "is", "now", new] => {
                assert!(self.here.remove(old) && self.here.insert(new.into()), "{line}");
            }
            _ => {
                let name = words[usize::from(words[0] == "*")].trim_end_matches(':');
                assert!(self.here.contains(name), "{line}: from somebody who is not here");
            }
        }
    }

    /// The network holds. Everybody comes back, everything is sent and read.
    fn calm_down(&mut self) {
        for _ in 0..20_000 {
            let mut is_quiet = true;
            for at in 0..self.people.len() {
                if self.people[at].line.is_none() {
                    self.connect(at);
                }
                self.people[at].ask();
                is_quiet &= !self.people[at].send();
                self.deliver(at, usize::MAX);
                is_quiet &= !self.receive(at, usize::MAX / 2);
            }
            let end = self.end;
            self.turn();
            is_quiet &= end == self.end && self.log.as_ref().is_none_or(|log| log.submitted.is_empty());
            let written = |line: &Connection| line.arrived == line.pipe.borrow().from_server.len();
            is_quiet &= self.people.iter().all(|person| person.line.as_ref().is_some_and(written));
            match self.reactor.wake_at(self.now) {
                // Only where nothing else happens: a client that has just come is not to be late with its name.
                Some(at) if is_quiet => self.now = self.now.max(at),
                None if is_quiet && self.ghosts.is_empty() => return,
                _ => {}
            }
            self.the_network_notices();
        }
        panic!("the conversation does not come to rest");
    }

    /// What everybody read is what was said, and what was said is what was typed.
    fn judge(&mut self) {
        if let Some(log) = &self.log {
            // The same entries make the same room, through however many crashes and checkpoints.
            let room = Log::replay(Room::new(self.limits.scrollback).expect("memory"), &log.all);
            assert_eq!(room.checkpoint(), self.reactor.lobby.room().checkpoint());
        }
        for (at, person) in self.people.iter().enumerate() {
            assert_eq!(person.session.unacked().len(), 0, "person {at} has lines that were not processed");
            person.judge_reading(at, &self.said);
            person.judge_lines(at, &self.said);
            self.judge_commands(at, person);
        }
    }

    /// Every whisper came once, in order, and every new name was taken once.
    fn judge_commands(&self, at: usize, person: &Person) {
        let start = format!("<{at}.");
        let came: Vec<&String> =
            self.people[LISTENER].whispered.iter().filter(|text| text.starts_with(&start)).collect();
        let names = (0..person.names).map(|name| {
            let end = format!(" is now p{at}n{name}");
            self.said.iter().filter(|line| line.ends_with(&end)).count()
        });
        let names: Vec<usize> = names.collect();
        if person.may_double {
            return;
        }
        let typed: Vec<String> = (0..person.whispers).map(|number| format!("<{at}.{number}>")).collect();
        if self.tally.crashes == 0 {
            assert_eq!(came, typed.iter().collect::<Vec<_>>(), "person {at}: every whisper arrives once");
        } else {
            // A crash breaks the listener's connection, too. Then the last ones are lost, but none comes twice.
            let mut typed = typed.iter();
            assert!(came.iter().all(|text| typed.any(|one| one == *text)), "person {at}: a whisper arrives twice");
        }
        assert!(names.iter().all(|&count| count == 1), "person {at}: every name is taken once: {names:?}");
    }
}
