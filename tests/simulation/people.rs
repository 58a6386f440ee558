//! People at clients, in simulated time: what they type, what they are shown, and whether that is right.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use crate::support::pipe::Pipe;
use fastrand::Rng;
use gotcp::client::session::{News, Phase, Session};
use gotcp::lobby::access::AccessLimits;
use gotcp::protocol::line::{Line, LineBuffer};
use gotcp::protocol::name::Name;
use mio::Token;

/// Somebody at a client.
pub struct Person {
    pub session: Session,
    /// The connection that the client believes in.
    pub line: Option<Connection>,
    pub typed: Vec<String>,
    /// How many whispers to the listener were typed, and how many new names.
    pub whispers: usize,
    pub names: usize,
    /// The whispers that came.
    pub whispered: Vec<String>,
    /// What was shown of the room, in order.
    pub shown: Vec<Shown>,
    /// Whether this connection's history has been announced, and the greeting not yet come.
    pub has_history: bool,
    /// Whether some lines may be there twice, because the session or a part of the conversation is gone.
    pub may_double: bool,
}

/// What a person sees.
#[derive(Debug, PartialEq, Eq)]
pub enum Shown {
    /// A line of the room.
    Line(String),
    /// This many bytes are missing here.
    Missed(usize),
    /// The client has joined as a newcomer: it does not know what was said in between.
    Anew,
}

pub struct Connection {
    /// At which server, where there are several.
    pub server: usize,
    pub token: Token,
    pub pipe: Rc<RefCell<Pipe>>,
    pub outgoing: VecDeque<u8>,
    /// How much of what the server has written has arrived.
    pub arrived: usize,
    pub input: LineBuffer,
}

/// How often something happened in what was read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heard {
    pub resumed: usize,
    pub rejoined: usize,
    pub missed: usize,
}

/// Places for everybody: how many may come is not what is tried here.
pub const ACCESS: AccessLimits = AccessLimits { clients: 1000, per_place: 1000, count_loopback: false };

impl Connection {
    pub fn new(server: usize, token: Token, pipe: Rc<RefCell<Pipe>>) -> Connection {
        Connection { server, token, pipe, outgoing: VecDeque::new(), arrived: 0, input: LineBuffer::default() }
    }

    /// Some of what the client has sent arrives at the server. Returns whether any did.
    pub fn deliver(&mut self, count: usize) -> bool {
        let count = count.min(self.outgoing.len());
        self.pipe.borrow_mut().to_server.extend(self.outgoing.drain(..count));
        count > 0
    }

    /// Some of what the server has written arrives at the client, and whether that was the end.
    pub fn receive(&mut self, count: usize) -> (Vec<u8>, bool) {
        let pipe = self.pipe.borrow();
        let to = (self.arrived + count).min(pipe.from_server.len());
        let bytes = pipe.from_server[self.arrived..to].to_vec();
        self.arrived = to;
        (bytes, to == pipe.from_server.len() && (pipe.finished || pipe.closed))
    }
}

impl Person {
    pub fn new(number: usize, rng: &mut Rng) -> Person {
        let name = Name::parse(format!("p{number}").as_bytes()).expect("this is a name");
        let mut rng = rng.fork();
        let session = Session::new(name, Some(Box::new(move || rng.u32(..))));
        Person {
            session,
            line: None,
            typed: Vec::new(),
            whispers: 0,
            names: 0,
            whispered: Vec::new(),
            shown: Vec::new(),
            has_history: false,
            may_double: false,
        }
    }

    /// Whether somebody of that name is connected, and the server has neither ended that connection nor is about to.
    pub fn is_back(&self, name: &str) -> bool {
        let is_sound = |line: &Connection| {
            let pipe = line.pipe.borrow();
            !pipe.finished && !pipe.closed && !pipe.refused
        };
        self.session.status().name == name
            && self.session.status().phase == Phase::Joined
            && self.line.as_ref().is_some_and(is_sound)
    }

    /// Asks how far the server has come, if that is open.
    pub fn ask(&mut self) {
        if self.session.is_ask_due() {
            self.session.ask();
        }
    }

    /// Puts on the way what the session wants to send. Returns whether there was anything.
    pub fn send(&mut self) -> bool {
        let Some(line) = &mut self.line else { return false };
        let mut any = false;
        while let Some(text) = self.session.next_to_send() {
            line.outgoing.extend(text.bytes().chain([b'\n']));
            any = true;
        }
        any
    }

    /// Types a numbered line.
    pub fn type_line(&mut self, at: usize, rng: &mut Rng) {
        let text = format!("<{at}.{}> {}", self.typed.len(), "x".repeat(rng.usize(0..60)));
        self.session.say(text.as_bytes(), false);
        self.typed.push(text);
    }

    /// Types a numbered whisper.
    pub fn whisper(&mut self, at: usize, to: usize) {
        self.session.say(format!("!msg p{to} <{at}.{}>", self.whispers).as_bytes(), false);
        self.whispers += 1;
    }

    /// The client has a connection.
    pub fn connected(&mut self, line: Connection) {
        self.line = Some(line);
        self.has_history = false;
        self.session.connected(true);
    }

    /// Reads what has come over the connection.
    pub fn hear(&mut self, bytes: &[u8]) -> Heard {
        let mut count = Heard::default();
        let line = self.line.as_mut().expect("only someone connected reads anything");
        let mut lines = line.input.split(bytes, 1 << 20);
        while let Some(line) = lines.next() {
            let Line::Whole(line) = line else { panic!("no line is that long") };
            let text = str::from_utf8(line).expect("what is said is UTF-8");
            let is_public = !text.starts_with("--- ");
            let heard = self.session.heard(text, line.len() + 1);
            match heard.news {
                Some(News::Resumed | News::Returned) => count.resumed += 1,
                Some(News::Rejoined) => count.rejoined += 1,
                Some(News::Refused(why)) => panic!("{why}"),
                Some(News::Barred(_)) => panic!("nobody else has this session"),
                Some(News::Locked(_)) => panic!("there is no password"),
                Some(News::Complaint(_)) | None => {}
            }
            if let Some(rest) = text.strip_prefix("--- missed ") {
                let bytes = rest.split(' ').next().expect("a number follows").parse().expect("a number follows");
                count.missed += 1;
                self.shown.push(Shown::Missed(bytes));
            }
            self.may_double |= text.starts_with("--- error: no such session");
            // A newcomer's reading begins with the history, if there is any, and that comes before the greeting.
            let is_history = text.starts_with("--- the last ");
            if is_history || text.starts_with("--- you are ") && !std::mem::take(&mut self.has_history) {
                self.shown.push(Shown::Anew);
                self.has_history = is_history;
            }
            if let Some((_, whisper)) = text.split_once(" to you] ").filter(|_| text.starts_with("--- [")) {
                self.whispered.push(whisper.to_owned());
            }
            if is_public {
                self.shown.push(Shown::Line(text.to_owned()));
            }
        }
        count
    }

    /// Every line that was typed is there once, in order.
    pub fn judge_lines(&self, at: usize, said: &[String]) {
        let start = format!(": <{at}.");
        let mut firsts: Vec<usize> = Vec::new();
        for (_, rest) in said.iter().filter_map(|line| line.split_once(&start)) {
            let (number, _) = rest.split_once('>').expect("lines are numbered");
            let number: usize = number.parse().expect("lines are numbered");
            assert!(self.may_double || !firsts.contains(&number), "person {at}: line {number} is there twice");
            if !firsts.contains(&number) {
                firsts.push(number);
            }
        }
        let all: Vec<usize> = (0..self.typed.len()).collect();
        assert_eq!(firsts, all, "person {at}: every line is there, in the order in which it was typed");
    }

    /// Everything that was said is shown in order, without a gap that was not announced.
    pub fn judge_reading(&self, at: usize, said: &[String]) {
        let mut ends = Vec::new();
        for part in self.shown.split(|shown| *shown == Shown::Anew).filter(|part| !part.is_empty()) {
            assert!(matches!(part[0], Shown::Line(_)), "person {at} misses nothing before coming");
            // Where a newcomer's reading begins is not said. A line such as "carol joined" may have been said twice.
            ends = (0..said.len()).filter_map(|start| read(part, said, start)).collect();
            assert!(!ends.is_empty(), "person {at} reads what was said, in order, without a gap: {part:?}");
        }
        assert!(ends.contains(&said.len()), "person {at} has read everything");
    }
}

/// Where somebody is who has begun to read at a line, if everything shown from there on fits what was said.
fn read(shown: &[Shown], said: &[String], start: usize) -> Option<usize> {
    let mut next = start;
    for shown in shown {
        match shown {
            Shown::Line(line) => {
                if said.get(next) != Some(line) {
                    return None;
                }
                next += 1;
            }
            Shown::Missed(bytes) => {
                let mut skipped = 0;
                while skipped < *bytes {
                    skipped += said.get(next)?.len() + 1;
                    next += 1;
                }
                if skipped != *bytes {
                    return None;
                }
            }
            Shown::Anew => unreachable!("what is read here has no break in it"),
        }
    }
    Some(next)
}
