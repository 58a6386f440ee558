//! The whole server without its sockets, run through seeded schedules: people come, talk, stall, are cut off and leave,
//! while bytes arrive cut anywhere and sockets take as many as they like.
//!
//! Each seed draws its own limits and its own chances of everything, with a ring of a few kilobytes and lines of a few
//! bytes, so that wrapping, backpressure and disconnecting happen all the time. Every command is sent. After every turn
//! each reader's bytes are compared with a plain list of the lines that were said.
//!
//! `GOTCP_SEED=17 cargo test --test simulation readers` runs one seed again; `GOTCP_SEEDS=1000000` runs that many.

#![allow(clippy::struct_excessive_bools)] // Each is a fact of its own about somebody.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::convert::identity;
use std::rc::Rc;
use std::time::Duration;

use crate::support::pipe::{Pipe, Wire};
use crate::support::seeds;
use fastrand::Rng;
use gotcp::lobby::access::AccessLimits;
use gotcp::lobby::limits::Limits;
use gotcp::lobby::rate_limit::Rate;
use gotcp::lobby::secret::Keys;
use gotcp::lobby::{ClientId, Lobby};
use gotcp::server::reactor::Reactor;
use gotcp::server::slots;
use mio::Token;

/// Seeds in an ordinary run.
const SEEDS: u64 = 2000;
/// Steps of one seed in which faults happen.
const STEPS: usize = 400;
/// People of one seed at most.
const CLIENTS: usize = 24;

/// Nothing is lost, doubled, reordered or torn, whatever happens; and once the faults stop, everybody reads everything.
#[test]
fn every_reader_gets_what_it_is_owed() {
    let mut tally = Tally::default();
    let count = seeds::each(SEEDS, "simulation readers", |seed| tally.add(&World::new(seed).run()));
    if count < SEEDS {
        return;
    }
    println!("{count} seeds: {tally:?}");
    // Schedules in which nothing goes wrong would prove nothing.
    let Tally { lines, wraps, evicted, resets, slowed, whispers, renames } = tally;
    assert!([lines, wraps, evicted, resets, slowed, whispers, renames].iter().all(|&count| count > 1000));
}

/// How often the interesting things happened.
#[derive(Debug, Default)]
struct Tally {
    lines: u64,
    wraps: u64,
    evicted: u64,
    resets: u64,
    slowed: u64,
    whispers: u64,
    renames: u64,
}

impl Tally {
    fn add(&mut self, other: &Tally) {
        self.lines += other.lines;
        self.wraps += other.wraps;
        self.evicted += other.evicted;
        self.resets += other.resets;
        self.slowed += other.slowed;
        self.whispers += other.whispers;
        self.renames += other.renames;
    }
}

/// How likely everything is, drawn anew for each seed.
struct Chances {
    connect: f64,
    speak: f64,
    deliver: f64,
    read: f64,
    leave: f64,
    reset: f64,
    wait: f64,
    /// The most that a reader takes at a time.
    gulp: usize,
}

/// A client that talks and listens, and knows exactly what to expect.
struct Client {
    /// What it joined as. Any other name that it takes begins with this, and an `n`.
    name: String,
    token: Token,
    pipe: Rc<RefCell<Pipe>>,
    /// Bytes that are on their way to the server.
    outgoing: VecDeque<u8>,
    /// Everything that was sent: where it ends, and what everyone will read of it, if anything.
    sent: Vec<(usize, Option<String>)>,
    sent_bytes: usize,
    /// How many of `sent` the room is known to have processed.
    heard: usize,
    /// Whether no more is sent.
    silent: bool,
    /// Which of `sent` ask for a session. Whoever has one may be disconnected without leaving.
    sessions: Vec<usize>,
    /// How many of those were answered.
    answered: usize,
    /// The numbers of the last whispers that came, by sender.
    whispers: HashMap<String, usize>,
    /// How much of `from_server` was looked at.
    checked: usize,
    /// Which line of the conversation comes next.
    next: Option<usize>,
    history: usize,
    greeted: bool,
    evicted: bool,
    slowed: u64,
    /// Since when its socket has taken nothing.
    refused_since: Option<Duration>,
    /// Since when something waits to be written to it, its socket being ready, and how many lines were said by then.
    waits_since: Option<(Duration, usize)>,
    /// Whether that was for so long that the server may have given up.
    stuck: bool,
    lines: usize,
    /// The number of the last of its own lines, or of the answers to them, that came back.
    order: usize,
}

/// How far somebody's stay has come, as the conversation tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stay {
    Here,
    Left {
        /// Whether they left of their own accord.
        in_order: bool,
    },
}

struct World {
    rng: Rng,
    chances: Chances,
    limits: Limits,
    capacity: u64,
    read_budget: usize,
    gather: Duration,
    reactor: Reactor<Wire>,
    now: Duration,
    /// The conversation, as a plain list of lines, and where each starts.
    said: Vec<String>,
    starts: Vec<u64>,
    end: u64,
    /// Who came, by the name they joined as, and the line that said so.
    stays: HashMap<String, (Stay, usize)>,
    /// Who has which name by now.
    names: HashMap<String, String>,
    clients: Vec<Client>,
    tally: Tally,
}

impl World {
    fn new(seed: u64) -> World {
        let mut rng = Rng::with_seed(seed);
        let mut chance = |most: f64| rng.f64() * most;
        let chances = Chances {
            connect: chance(0.2),
            speak: chance(1.0),
            deliver: chance(1.0),
            read: chance(1.0),
            leave: chance(0.02),
            reset: chance(0.02),
            wait: chance(0.1),
            gulp: 1 << rng.usize(1..12),
        };
        let millis = Duration::from_millis;
        let mut limits = Limits {
            scrollback: 0,
            max_line: rng.usize(24..64),
            history: rng.usize(0..8),
            rate: if rng.bool() { Rate::new(0, 1) } else { Rate::new(rng.u32(5..200), rng.u32(1..20)) },
            login_timeout: millis(rng.u64(500..5000)),
            stall_timeout: millis(rng.u64(100..3000)),
            grace: millis(rng.u64(0..2000)),
            reserve: millis(rng.u64(0..2000)),
            access: AccessLimits {
                clients: CLIENTS,
                per_place: CLIENTS,
                // Then all of them share the limit of one place.
                count_loopback: rng.bool(),
            },
            keys: Keys::default(),
        };
        limits.scrollback = limits.smallest_scrollback() << rng.u32(0..2);
        let read_budget = 1 << rng.usize(2..9);
        let gather = millis(if rng.bool() { 0 } else { rng.u64(0..100) });
        let tokens = Box::new({
            let mut rng = rng.fork();
            move || rng.u128(..)
        });
        let lobby = Lobby::new(limits.clone(), tokens).expect("memory");
        let reactor = Reactor::new(lobby, read_budget, gather, limits.stall_timeout);
        World {
            rng,
            chances,
            capacity: reactor.lobby.room().scrollback().capacity() as u64,
            limits,
            read_budget,
            gather,
            reactor,
            now: Duration::from_secs(1000),
            said: Vec::new(),
            starts: Vec::new(),
            end: 0,
            stays: HashMap::new(),
            names: HashMap::new(),
            clients: Vec::new(),
            tally: Tally::default(),
        }
    }

    fn run(mut self) -> Tally {
        for _ in 0..STEPS {
            self.something_happens();
            self.turn();
        }
        self.calm_down();
        self.everybody_leaves();
        self.tally.lines = self.said.len() as u64;
        self.tally.wraps = self.end / self.capacity;
        self.tally
    }

    // ---- What happens ----

    fn happens(&mut self, chance: f64) -> bool {
        self.rng.f64() < chance
    }

    fn something_happens(&mut self) {
        if self.clients.len() < CLIENTS && self.happens(self.chances.connect) {
            self.connect();
        }
        for at in 0..self.clients.len() {
            if self.clients[at].pipe.borrow().closed {
                continue;
            }
            if self.happens(self.chances.speak) && !self.clients[at].silent {
                self.speak(at);
            }
            if self.happens(self.chances.deliver) {
                let most = self.clients[at].outgoing.len();
                let count = self.rng.usize(0..=most);
                self.deliver(at, count);
            }
            if self.happens(self.chances.read) {
                let window = self.rng.usize(0..=self.chances.gulp);
                self.open_window(at, window);
            }
            if self.happens(self.chances.leave) {
                self.leave(at);
            }
            if self.happens(self.chances.reset) {
                self.reset(at);
            }
        }
        if self.happens(self.chances.wait) {
            self.now += Duration::from_millis(self.rng.u64(0..2000));
        }
        self.now += Duration::from_micros(self.rng.u64(0..5000));
    }

    fn connect(&mut self) {
        let grain = 1 << self.rng.usize(0..12);
        let window = self.rng.usize(0..=self.chances.gulp);
        let (token, pipe) = Pipe { window, grain, ..Pipe::default() }.connect(&mut self.reactor, self.now, identity);
        let name = format!("c{}", self.clients.len());
        let mut client = Client {
            name: name.clone(),
            token,
            pipe,
            outgoing: VecDeque::new(),
            sent: Vec::new(),
            sent_bytes: 0,
            heard: 0,
            silent: false,
            sessions: Vec::new(),
            answered: 0,
            whispers: HashMap::new(),
            checked: 0,
            next: None,
            history: 0,
            greeted: false,
            evicted: false,
            slowed: 0,
            refused_since: None,
            waits_since: None,
            stuck: false,
            lines: 0,
            order: 0,
        };
        if self.rng.u8(..) < 40 {
            client.send("no name\n", None);
        }
        client.send(&format!("{name}\n"), None);
        self.clients.push(client);
    }

    /// Sends a line of one kind or another, and notes what everyone will read of it.
    fn speak(&mut self, at: usize) {
        let filler = "x".repeat(self.rng.usize(0..self.limits.max_line / 2));
        let other = self.rng.usize(..self.clients.len());
        let client = &mut self.clients[at];
        // The name that it has by then is taken from the conversation.
        let (name, number) = ("NAME", client.sent.len());
        let text = format!("{number}{filler}");
        match self.rng.u8(0..20) {
            0 => client.send(&format!("!me {text}\n"), Some(format!("* {name} {text}"))),
            1 => client.send(&format!("!!{text}\n"), Some(format!("{name}: !{text}"))),
            2 => client.send(&format!("{text}\r\n"), Some(format!("{name}: {text}"))),
            3 => client.send(&format!("{text}\x1b\n"), Some(format!("{name}: {text}\u{fffd}"))),
            4 => client.send(&format!("!u{number}\n"), None),
            5 => client.send("\n", None),
            6 => client.send(&format!("{}\n", "y".repeat(self.limits.max_line)), None),
            7 => client.send("!help\n", None),
            8 => client.send("!who\n", None),
            9 if number % 4 == 0 => {
                client.sessions.push(number);
                client.send("!session\n", None);
            }
            10 => client.send(&format!("!msg c{other} {text}\n"), None),
            11 => client.send("/msg nobody psst\n", None),
            12 if number % 2 == 0 => client.send(&format!("!nick {}n{number}\n", client.name), None),
            13 => client.send(&format!("!nick {}\n", client.name), None),
            14 => client.send(&format!("//{number}\n"), Some(format!("{name}: /{number}"))),
            15 => client.send(&format!("/{number}\n"), Some(format!("{name}: /{number}"))),
            _ => client.send(&format!("{text}\n"), Some(format!("{name}: {text}"))),
        }
    }

    fn deliver(&mut self, at: usize, count: usize) {
        let client = &mut self.clients[at];
        if count > 0 && !client.pipe.borrow().reset {
            client.pipe.borrow_mut().to_server.extend(client.outgoing.drain(..count));
            self.reactor.note(client.token, true, false);
        }
    }

    /// The reader takes what is in its socket, so that there is room for this many more bytes.
    fn open_window(&mut self, at: usize, window: usize) {
        let client = &self.clients[at];
        let pipe = &mut *client.pipe.borrow_mut();
        pipe.window = pipe.window.max(window);
        // Edge-triggered: an event comes only if the socket had refused, and now takes something.
        if pipe.window > 0 && std::mem::take(&mut pipe.refused) {
            self.reactor.note(client.token, false, true);
        }
    }

    /// Sends a last line without its LF, or `!exit`, and ends the input once that is delivered.
    fn leave(&mut self, at: usize) {
        let exits = self.rng.bool();
        let client = &mut self.clients[at];
        if std::mem::replace(&mut client.silent, true) {
            return;
        }
        if exits {
            client.send("!exit see you\nnot heard\n", None);
        } else if client.sessions.is_empty() {
            let text = format!("{} last", client.sent.len());
            client.send(&text, Some(format!("NAME: {text}")));
        }
        let rest = client.outgoing.len();
        self.deliver(at, rest);
        let client = &self.clients[at];
        client.pipe.borrow_mut().ended = true;
        self.reactor.note(client.token, true, false);
    }

    fn reset(&mut self, at: usize) {
        let client = &mut self.clients[at];
        client.silent = true;
        client.pipe.borrow_mut().reset = true;
        self.tally.resets += 1;
        self.reactor.note(client.token, true, true);
    }

    // ---- One turn, and what must be true after it ----

    fn turn(&mut self) {
        let looked_at = self.now;
        self.now += Duration::from_micros(self.rng.u64(0..100));
        self.reactor.turn(looked_at, self.now);
        self.reactor.reap(looked_at, drop);
        self.reactor.lobby.check();
        self.hear();
        for at in 0..self.clients.len() {
            self.check(at);
        }
    }

    /// Takes over what was said in this turn, and checks that it is what was sent.
    fn hear(&mut self) {
        let log = self.reactor.lobby.room().scrollback();
        let bytes = log.pieces(self.end, log.end()).flatten().copied().collect();
        let text = String::from_utf8(bytes).expect("what is said is UTF-8");
        for line in text.split_inclusive('\n') {
            let start = self.end;
            self.end += line.len() as u64;
            let line = line.strip_suffix('\n').expect("what is said ends with LF");
            self.account(line);
            self.said.push(line.to_owned());
            self.starts.push(start);
        }
    }

    /// A public line was said: was it sent, is it the next of its sender, and is its sender here?
    fn account(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        if let ["***", name, "joined"] = words[..] {
            let before = self.stays.insert(name.into(), (Stay::Here, self.said.len()));
            assert_eq!(before, None, "{name} joins once");
            self.names.insert(name.into(), name.into());
            return;
        }
        let name = words[usize::from(words[0].starts_with('*'))].trim_end_matches(':');
        let owner = self.names.get(name).unwrap_or_else(|| panic!("{line}: nobody has that name")).clone();
        let (stay, _) = self.stays.get_mut(&owner).expect("someone with a name has joined");
        assert_eq!(*stay, Stay::Here, "{line}: from somebody who has left");
        match words[..] {
            ["***", _, "left" | "left:", ref reason @ ..] => {
                *stay = Stay::Left { in_order: reason.is_empty() || words[2] == "left:" };
                self.names.remove(name);
                return;
            }
            ["***", old, "is", "now", new] => {
                self.names.remove(old);
                let before = self.names.insert(new.into(), owner);
                assert_eq!(before, None, "{new} is one person's name");
                self.tally.renames += 1;
                return;
            }
            _ => {}
        }
        let client = &mut self.clients[owner[1..].parse::<usize>().expect("a client's number")];
        let unheard = &client.sent[client.heard..];
        let (skipped, expected) = unheard
            .iter()
            .enumerate()
            .find_map(|(at, (_, public))| public.as_ref().map(|public| (at, public)))
            .unwrap_or_else(|| panic!("{line}: never sent"));
        assert_eq!(line, expected.replacen("NAME", name, 1), "in the order in which it was sent");
        client.heard += skipped + 1;
    }

    fn check(&mut self, at: usize) {
        let pipe = Rc::clone(&self.clients[at].pipe);
        let pipe = pipe.borrow();
        let client = &mut self.clients[at];
        client.refused_since = pipe.refused.then(|| client.refused_since.unwrap_or(self.now));
        client.stuck |= client.refused_since.is_some_and(|since| since + self.limits.stall_timeout <= self.now);
        // All of it is UTF-8, but its last character may have been cut in two.
        let bytes = &pipe.from_server[client.checked..];
        let valid = std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
        let mut partial = std::str::from_utf8(&bytes[..valid]).expect("so much is valid");
        while let Some((line, rest)) = partial.split_once('\n') {
            client.checked += line.len() + 1;
            partial = rest;
            client.read(
                line,
                &Conversation { said: &self.said, starts: &self.starts, end: self.end, stays: &self.stays },
            );
        }
        if !partial.is_empty() {
            let public = client.next.and_then(|next| self.said.get(next)).is_some_and(|line| line.starts_with(partial));
            let private = "--- ".starts_with(partial) || partial.starts_with("--- ");
            let history = client.next.is_none() && client.history > 0;
            assert!(public || private || history, "{}: {partial:?} is torn", client.name);
            assert!(!pipe.closed || pipe.reset || client.stuck, "{}: closed within a line", client.name);
        }
        let id = ClientId(slots::index(client.token));
        if !pipe.closed && !pipe.reset && !pipe.refused && self.reactor.lobby.is_pending(id) {
            // What is appended at the end of a turn is written in the next one, which follows at once; and public lines may
            // wait for company, but not longer than promised.
            client.waits_since.take_if(|(_, said)| client.next.is_none_or(|next| next >= *said));
            let (since, _) = *client.waits_since.get_or_insert((self.now, self.said.len()));
            assert!(self.now <= since + self.gather, "{}: waits for too long", client.name);
            let latest = if self.reactor.lobby.owes_more_than(id, 0) { self.now } else { since + self.gather };
            let next_turn = self.reactor.wake_at(self.now);
            assert!(next_turn.is_some_and(|at| at <= latest), "{}: forgotten, its socket being ready", client.name);
        } else {
            client.waits_since = None;
        }
        // What was read and not processed is held in memory: at most one read and one line.
        let unheard = client.sent[client.heard..].iter().find(|(_, public)| public.is_some());
        if let Some(&(end, _)) = unheard.filter(|_| client.greeted && !pipe.closed) {
            let listened_to = !self.reactor.lobby.is_closing(id);
            let held = pipe.consumed.saturating_sub(end);
            let bound = self.read_budget + self.limits.max_line;
            assert!(!listened_to || held <= bound, "{}: {held} bytes held", client.name);
        }
    }

    // ---- The end ----

    /// The faults stop: everyone who is still here has to reach the end of the conversation, with nothing but the
    /// events of the sockets and the deadlines that the server has named.
    fn calm_down(&mut self) {
        for at in 0..self.clients.len() {
            let rest = self.clients[at].outgoing.len();
            self.deliver(at, rest);
        }
        self.settle();
        for client in &self.clients {
            let pipe = client.pipe.borrow();
            if pipe.closed || pipe.reset || client.evicted {
                continue;
            }
            assert_eq!(client.checked, pipe.from_server.len(), "{}: a line is unfinished", client.name);
            assert_eq!(client.next, Some(self.said.len()), "{}: has not read everything", client.name);
            let unsaid = client.sent[client.heard..].iter().find(|(_, public)| public.is_some());
            assert_eq!(unsaid, None, "{}: was not processed to the end", client.name);
        }
    }

    /// Turn after turn, with every reader taking everything, until the server says that there is nothing left to do.
    fn settle(&mut self) {
        for _ in 0..20_000 {
            for at in 0..self.clients.len() {
                self.open_window(at, usize::MAX / 2);
            }
            self.turn();
            match self.reactor.wake_at(self.now) {
                _ if self.clients.iter().any(|client| client.pipe.borrow().refused) => {}
                Some(at) => self.now = self.now.max(at),
                None => return,
            }
        }
        panic!("the server does not come to rest");
    }

    /// Everybody ends their input; then nobody is here, and everybody who joined was seen to leave.
    fn everybody_leaves(&mut self) {
        for at in 0..self.clients.len() {
            self.leave(at);
        }
        self.settle();
        assert!(self.reactor.is_empty(), "{} connections are left over", self.reactor.len());
        assert_eq!(self.reactor.lobby.room().roster().online(), 0);
        for (name, (stay, _)) in &self.stays {
            assert_ne!(*stay, Stay::Here, "{name}");
        }
        for client in &self.clients {
            let left_in_order =
                self.stays.get(&client.name).is_some_and(|(stay, _)| *stay == Stay::Left { in_order: true });
            let unsaid = client.sent[client.heard..].iter().find(|(_, public)| public.is_some());
            assert!(!left_in_order || unsaid.is_none(), "{}: {unsaid:?} was not processed", client.name);
            self.tally.evicted += u64::from(client.evicted);
            self.tally.slowed += client.slowed;
            self.tally.whispers += client.whispers.len() as u64;
        }
    }
}

/// What was said so far.
struct Conversation<'a> {
    said: &'a [String],
    starts: &'a [u64],
    end: u64,
    stays: &'a HashMap<String, (Stay, usize)>,
}

impl Client {
    fn send(&mut self, text: &str, public: Option<String>) {
        self.outgoing.extend(text.bytes());
        self.sent_bytes += text.len();
        self.sent.push((self.sent_bytes, public));
    }

    /// A whole line has come: is it what comes next?
    fn read(&mut self, line: &str, conversation: &Conversation<'_>) {
        assert!(!self.evicted, "{}: {line:?} after the farewell", self.name);
        self.lines += 1;
        if let Some(text) = line.strip_prefix("--- ") {
            return self.read_private(text, conversation);
        }
        assert!(self.lines > 1, "{}: {line:?} before the welcome", self.name);
        let next = self.next.unwrap_or_else(|| self.first_line(conversation));
        assert_eq!(line, conversation.said[next], "{}: as it was said, and in its place", self.name);
        self.next = Some(next + 1);
        let own = line.split_once(": ").or_else(|| line.strip_prefix("* ")?.split_once(' '));
        if let Some((_, text)) = own.filter(|(name, _)| self.is_called(name)) {
            self.in_order(text.trim_start_matches(['!', '/']));
        }
    }

    fn read_private(&mut self, text: &str, conversation: &Conversation<'_>) {
        if text == "error: you read too slowly" {
            self.evicted = true;
        } else if self.lines == 1 {
            assert_eq!(text, "welcome to gotcp: your first line is your name");
        } else if let Some(rest) = text.strip_suffix(" before you came:") {
            let count = rest.strip_prefix("the last ").expect("that is how it begins");
            self.history = count.split_once(' ').map_or(1, |(count, _)| count.parse().expect("a number"));
        } else if let Some(rest) = text.strip_prefix("you are ").filter(|rest| rest.contains(';')) {
            assert!(rest.starts_with(&format!("{};", self.name)));
            let joined = conversation.stays[&self.name].1;
            let next = if self.history > 0 { self.next } else { Some(joined) };
            assert_eq!(next, Some(joined), "{}: greeted just before its arrival is announced", self.name);
            self.next = next;
            self.greeted = true;
        } else if let Some(rest) = text.strip_prefix("session ") {
            let (_, rest) = rest.split_once(" at ").expect("that is how it goes on");
            let (position, heard) = rest.strip_suffix(" heard").and_then(|rest| rest.split_once(", ")).expect("both");
            let asked = self.sessions[self.answered] - self.sessions[0];
            assert_eq!(heard.parse::<usize>().expect("a number"), asked, "{}: every line counts", self.name);
            self.answered += 1;
            let next = self.next.expect("a client with a session has a name");
            let expected = conversation.starts.get(next).copied().unwrap_or(conversation.end);
            assert_eq!(position.parse::<u64>().expect("a number"), expected, "{}: due where it says", self.name);
        } else if let Some(rest) = text.strip_prefix("error: unknown command !u") {
            self.in_order(rest);
        } else if let Some((from, text)) = text.strip_prefix('[').and_then(|rest| rest.split_once(" to you] ")) {
            let last = self.whispers.entry(from.into()).or_default();
            let number = number_of(text);
            assert!(number > *last, "{}: {from} whispers {number} after {last}", self.name);
            *last = number;
        } else if let Some((_, text)) = text.strip_prefix("[you to ").and_then(|rest| rest.split_once("] ")) {
            self.in_order(text);
        } else if text.starts_with("notice: you are sending too fast") {
            self.slowed += 1;
        }
    }

    /// Where the history that was announced begins: as many lines before the arrival as there are, up to the limit and
    /// to what is kept.
    fn first_line(&self, Conversation { stays, .. }: &Conversation<'_>) -> usize {
        assert!(self.history > 0, "{}: nobody reads anything before having a name", self.name);
        stays[&self.name].1 - self.history
    }

    /// What comes back of what was sent comes in the order in which it was sent, whether to everyone or to the sender.
    fn in_order(&mut self, text: &str) {
        let number = number_of(text);
        assert!(number > self.order, "{}: {number} after {}", self.name, self.order);
        self.order = number;
    }

    /// Whether a name is one that this client has, had or will have.
    fn is_called(&self, name: &str) -> bool {
        name.strip_prefix(&self.name).is_some_and(|rest| rest.is_empty() || rest.starts_with('n'))
    }
}

/// The number that a text begins with.
fn number_of(text: &str) -> usize {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..digits].parse().expect("lines are numbered")
}
