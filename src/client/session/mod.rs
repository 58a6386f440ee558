//! A conversation as the client sees it: the user's name, what has been read, and what is still to be said. Pure: no
//! socket, no clock, no randomness of its own.
//!
//! # A line typed arrives once
//!
//! The network may break at any moment; the room still shows every line that was typed once, in order. This rests on two
//! counts. The client counts the bytes of public lines that it has read: its position. The server counts the lines of
//! this session that it has heard, and says so when asked (`!session`) and when the client comes back (`!resume`).
//!
//! 1. *Nothing is lost.* A line is kept until the server's count has passed it (see [`unacked`]); a position tells the
//!    server where to go on.
//! 2. *Nothing is doubled.* After a break, the server says how many lines it has heard, and the client sends the others
//!    only.
//! 3. *Order holds*, since a connection's lines are heard in order, and lines are sent again from the oldest on.
//!
//! Half a line at a break does not count, in either direction.
//!
//! What cannot be promised:
//!
//! - *Private lines* have no position: answers and whispers to the user that are under way at a break are lost.
//! - *A session that cannot be resumed* (the server was started anew): the client joins anew and sends what it does not
//!   know to be heard. Such a line may have been heard before; it is better said twice than lost.
//! - *A server of another kind* has no sessions: what is under way at a break may be lost.

pub mod unacked;

use crate::protocol::command::Command;
use crate::protocol::name::Name;
use crate::protocol::received::{Answer, Received};
use crate::protocol::text::sanitise;
use unacked::{ASK, Unacked};

use super::wanted::{Tags, Wanted};

/// The last thing a client says.
const EXIT: &str = "!exit";

/// Looks like a space, and is none to a server that reads a name.
const NO_BREAK_SPACE: char = '\u{a0}';

/// The user's part of a conversation, over as many connections as it takes.
///
/// ```text
///                              ┌── with a ticket ──> Resuming ── resumed ──────────────────┐
///                              │                        │ refused                          v
///   Down ── connected ──> Unknown ── greeted ──> Naming <┘── named ──> Opening ── told ──> Live
///                              └──── not greeted ────────────────────────────────────────> Plain
/// ```
///
/// From every state a break leads back to `Down`. Lines are sent in `Live` and `Plain` only; before, they wait.
pub struct Session {
    phase: Phase,
    /// The name as the room knows it at this point of what was read.
    name: String,
    wanted: Wanted,
    /// What to send before anything else.
    hello: Option<String>,
    /// What to come back with: a token, and how far the room was read, in bytes. None where that is not known.
    ticket: Option<(String, u64)>,
    unacked: Unacked,
    leaving: Leaving,
    /// What to leave with.
    farewell: String,
    /// Whether this was ever in a room.
    has_joined: bool,
    /// Whether a server of another kind has said anything over this connection.
    has_heard: bool,
    /// Why the name cannot be had, while another one has to be found.
    refused: Option<String>,
}

/// Where a conversation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// There is no connection.
    Down,
    /// Nothing tells yet what kind of server it is.
    Unknown,
    /// The server has the name, or needs one.
    Naming,
    /// The server shows what was missed.
    Resuming,
    /// The user is in the room, and has no session yet.
    Opening,
    /// The user is in the room.
    Live,
    /// The server is of another kind.
    Plain,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Leaving {
    No,
    /// Once everything was heard.
    InOrder,
    /// At once.
    Now,
    /// It was said.
    Said,
}

/// What to do with the way out to the server.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Send this line.
    Send(String),
    /// Nothing to send for now.
    Wait,
    /// Nothing more will be sent.
    Close,
}

/// What a line from the server is to the user.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Whether it is for people, and not between the client and the server.
    pub is_shown: bool,
    /// Whether it was said before the user came.
    pub is_history: bool,
    /// What else it means.
    pub news: Option<News>,
}

/// Something that happened to the session.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// The user is back, and nothing was lost.
    Resumed,
    /// The user is back, but as a newcomer.
    Rejoined,
    /// The name cannot be had; another one is needed.
    Refused(String),
    /// The server does not let the user in, and says why.
    Complaint(String),
    /// Another client of this session has taken over; this one has to end.
    Replaced,
}

impl Session {
    /// A session that has not begun, for somebody who wants to be called `base`, with a tag if there are `tags`.
    #[must_use]
    pub fn new(base: Name, tags: Option<Tags>) -> Session {
        let mut wanted = Wanted::new(base, tags);
        Session {
            phase: Phase::Down,
            name: wanted.form(),
            wanted,
            hello: None,
            ticket: None,
            unacked: Unacked::default(),
            leaving: Leaving::No,
            farewell: EXIT.into(),
            has_joined: false,
            has_heard: false,
            refused: None,
        }
    }

    // ---- What the network does ----

    /// A connection is there. It begins with a name; but with nothing where there is a ticket, which no server of
    /// another kind must see.
    pub fn connected(&mut self) {
        self.phase = Phase::Unknown;
        self.has_heard = false;
        self.wanted.begin();
        self.hello = self.ticket.is_none().then(|| self.name.clone());
    }

    /// The connection is gone. A name that could not be had over it may be free by the next one: the one who had it may
    /// have been the user, a moment before.
    pub fn broke(&mut self) {
        self.phase = Phase::Down;
        self.hello = None;
        self.refused = None;
    }

    /// The server had the time to greet, and has not: it is one of another kind.
    pub fn not_greeted(&mut self) -> Option<News> {
        if self.phase != Phase::Unknown {
            return None;
        }
        if self.ticket.take().is_some() {
            self.hello = Some(self.name.clone());
        }
        self.unacked.begin(0);
        self.phase = Phase::Plain;
        self.has_joined.then_some(News::Rejoined)
    }

    /// A line has arrived that took `length` bytes on the wire, its end included.
    pub fn heard(&mut self, line: &str, length: usize) -> Heard {
        let received = Received::parse(line);
        if let Received::Private(text) = received {
            return self.told(text);
        }
        self.has_heard = true;
        // A server of ours greets before it says anything else.
        let news = self.not_greeted();
        self.advance(length as u64);
        if let Received::Public(text) = received
            && let Some(new) = text.strip_prefix(self.name.as_str()).and_then(|rest| rest.strip_prefix(" is now "))
        {
            new.clone_into(&mut self.name);
        }
        self.has_joined |= self.phase == Phase::Plain;
        Heard { is_shown: true, is_history: self.phase == Phase::Naming, news }
    }

    /// A line has arrived that was too long to be read. Nobody knows how many bytes it took.
    pub fn heard_too_long(&mut self) {
        self.ticket = None;
        self.unacked.ask();
    }

    /// What to send next.
    pub fn next_to_send(&mut self) -> Next {
        if let Some(hello) = self.hello.take() {
            return Next::Send(hello);
        }
        match (self.leaving, self.phase) {
            (Leaving::Said, _) => return Next::Close,
            (Leaving::Now, Phase::Unknown) => {
                self.leaving = Leaving::Said;
                return Next::Close;
            }
            (Leaving::InOrder, Phase::Live) if self.unacked.is_unasked() => self.unacked.ask(),
            (Leaving::Now, _) | (_, Phase::Plain | Phase::Live) => {}
            _ => return Next::Wait,
        }
        let line = if self.phase == Phase::Plain { self.next_plain() } else { self.unacked.pop_unsent() };
        if let Some(line) = line {
            return Next::Send(line);
        }
        if self.leaving == Leaving::No || !self.unacked.is_empty() {
            return Next::Wait;
        }
        self.leaving = Leaving::Said;
        if self.phase == Phase::Plain { Next::Close } else { Next::Send(std::mem::take(&mut self.farewell)) }
    }

    /// Asks how many lines the server has heard.
    pub fn ask(&mut self) {
        self.unacked.ask();
    }

    // ---- What the user does ----

    /// A line was typed.
    pub fn say(&mut self, line: &[u8]) {
        let line = sanitise(line);
        if Command::parse(&line).is_exit() {
            self.farewell = line.trim_ascii().into();
            self.leave();
        } else {
            self.unacked.push(line.into_owned(), false);
        }
    }

    /// A line is to be said as it is, even if it looks like a command.
    pub fn say_literally(&mut self, line: &[u8]) {
        self.unacked.push(sanitise(line).into_owned(), true);
    }

    /// Another name than the one that cannot be had.
    pub fn choose(&mut self, base: Name) {
        self.wanted.choose(base);
        self.refused = None;
        self.name = self.wanted.form();
        if self.phase == Phase::Naming {
            self.hello = Some(self.name.clone());
        }
    }

    /// The user leaves, once everything that was typed has been heard.
    pub fn leave(&mut self) {
        self.leaving = self.leaving.max(Leaving::InOrder);
    }

    /// The user leaves at once.
    pub fn leave_now(&mut self) {
        self.leaving = self.leaving.max(Leaving::Now);
        self.unacked.clear();
    }

    // ---- How things stand ----

    /// The user's name, as the room knows it or will.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the conversation is.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// What was typed, and the server is not known to have heard.
    #[must_use]
    pub fn unacked(&self) -> &Unacked {
        &self.unacked
    }

    /// Whether the server has something to answer.
    #[must_use]
    pub fn awaits_answer(&self) -> bool {
        match self.phase {
            Phase::Down | Phase::Unknown | Phase::Plain => false,
            Phase::Naming => self.refused.is_none(),
            Phase::Resuming | Phase::Opening => true,
            Phase::Live => self.unacked.awaits_answer(),
        }
    }

    /// Whether this was ever in a room.
    #[must_use]
    pub fn has_joined(&self) -> bool {
        self.has_joined
    }

    /// Why another name is needed, if it is.
    #[must_use]
    pub fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    /// Whether nothing keeps the user any more: either they leave at once, or they have been in the room and all that they
    /// typed was heard.
    #[must_use]
    pub fn may_go(&self) -> bool {
        let is_heard = self.has_joined && self.unacked.is_empty();
        self.leaving > Leaving::InOrder || self.leaving == Leaving::InOrder && is_heard
    }

    /// Whether all is said, the farewell included.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.leaving == Leaving::Said
    }

    // ---- Helpers ----

    fn told(&mut self, text: &str) -> Heard {
        let shown = Heard { is_shown: true, ..Heard::default() };
        let hidden = Heard::default();
        let Some(answer) = Answer::parse(text) else {
            if matches!(self.phase, Phase::Unknown | Phase::Naming | Phase::Resuming)
                && let Some(error) = text.strip_prefix("error: ")
            {
                let news = Some(News::Complaint(error.into()));
                return Heard { is_shown: self.has_joined, news, ..shown };
            }
            return shown;
        };
        match (answer, self.phase) {
            (Answer::Welcome, Phase::Unknown | Phase::Plain) => self.greeted(),
            (Answer::Welcome, _) => {}
            (Answer::Named(name), Phase::Naming) => {
                name.clone_into(&mut self.name);
                self.hello = Some(ASK.into());
                return Heard { news: self.enter(Phase::Opening), ..shown };
            }
            (Answer::Session { token, position, heard }, Phase::Opening | Phase::Live) => {
                self.ticket = Some((token.into(), position));
                if self.phase == Phase::Live {
                    return Heard { is_shown: self.unacked.heard(heard), ..hidden };
                }
                self.unacked.begin(heard);
                self.phase = Phase::Live;
            }
            (Answer::Resumed { name, heard }, Phase::Resuming) => {
                name.clone_into(&mut self.name);
                self.unacked.resume(heard);
                if self.ticket.is_none() {
                    self.unacked.ask();
                }
                self.enter(Phase::Live);
                return Heard { news: Some(News::Resumed), ..hidden };
            }
            (Answer::Missed(bytes), Phase::Resuming) => {
                self.advance(bytes);
                return shown;
            }
            (Answer::BadSession, Phase::Resuming) => self.join_anew(),
            (Answer::NameTaken(why), Phase::Naming) => match self.wanted.retry() {
                Some(name) => {
                    self.name = name;
                    self.join_anew();
                }
                None => return self.refuse(why.into()),
            },
            (Answer::BadName(why), Phase::Naming) => {
                return self.refuse(format!("the name {} will not do: {why}", self.name));
            }
            (Answer::ResumedElsewhere, Phase::Opening | Phase::Live) => {
                return Heard { news: Some(News::Replaced), ..hidden };
            }
            _ => return shown,
        }
        hidden
    }

    fn greeted(&mut self) {
        self.phase = Phase::Naming;
        if let Some((token, position)) = &self.ticket {
            self.phase = Phase::Resuming;
            self.hello = Some(format!("!resume {token}@{position}"));
        }
    }

    fn advance(&mut self, bytes: u64) {
        if let Some((_, position)) = &mut self.ticket {
            *position = position.saturating_add(bytes);
        }
    }

    fn refuse(&mut self, why: String) -> Heard {
        self.refused = Some(why.clone());
        Heard { news: Some(News::Refused(why)), ..Heard::default() }
    }

    /// Joins as one who was never here.
    fn join_anew(&mut self) {
        self.ticket = None;
        self.phase = Phase::Naming;
        self.hello = Some(self.name.clone());
    }

    fn enter(&mut self, phase: Phase) -> Option<News> {
        self.phase = phase;
        self.wanted.begin();
        std::mem::replace(&mut self.has_joined, true).then_some(News::Rejoined)
    }

    /// The next line to send to a server of another kind. One of ours that is only slow to greet may still refuse the
    /// name, and takes the next line for another one. So until the server has said anything, what could be a name is
    /// followed by a space that cannot be in one.
    fn next_plain(&mut self) -> Option<String> {
        let mut line = self.unacked.pop_plain()?;
        if !self.has_heard && Name::parse(line.as_bytes()).is_ok() {
            line.push(NO_BREAK_SPACE);
        }
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GREETING: &str = "--- welcome to gotcp: your first line is your name";
    const NAMED: &str = "--- you are carol; 1 online; !help lists the commands";
    const TAKEN: &str = "--- error: the name carol is taken";
    const NO_SESSION: &str = "--- error: no such session; your first line is your name";

    /// Somebody called `carol`, who has just connected, and typed these lines.
    fn carol(typed: &[&str]) -> Session {
        let mut session = Session::new(Name::parse(b"carol").unwrap(), None);
        for line in typed {
            session.say(line.as_bytes());
        }
        session.connected();
        assert_eq!(sent(&mut session), ["carol"]);
        session
    }

    /// In the room, with the session `t`, the room read up to 100. The lines are sent.
    fn in_room(typed: &[&str]) -> Session {
        let mut session = carol(typed);
        hear(&mut session, &[GREETING, NAMED]);
        assert_eq!(sent(&mut session), [ASK]);
        hear(&mut session, &["--- session t at 100, 0 heard"]);
        assert_eq!(sent(&mut session), typed);
        session
    }

    /// Everything there is to send.
    fn sent(session: &mut Session) -> Vec<String> {
        std::iter::from_fn(|| match session.next_to_send() {
            Next::Send(line) => Some(line),
            Next::Wait | Next::Close => None,
        })
        .collect()
    }

    fn hear(session: &mut Session, lines: &[&str]) -> Vec<Heard> {
        lines.iter().map(|line| session.heard(line, line.len() + 1)).collect()
    }

    /// What the next connection begins with.
    fn reconnect(session: &mut Session) -> Vec<String> {
        session.broke();
        session.connected();
        assert_eq!(session.hello.is_some(), session.ticket.is_none(), "no token before the greeting");
        hear(session, &[GREETING]);
        sent(session)
    }

    /// Before the server has said what it is, the name is all that is sent; then nothing before there is a session.
    #[test]
    fn lines_wait_for_a_session() {
        let mut session = carol(&["hello"]);
        let heard = hear(&mut session, &[GREETING, "bob: before", NAMED, "bob: now"]);
        assert_eq!(heard.iter().map(|heard| heard.is_history).collect::<Vec<_>>(), [false, true, false, false]);
        assert_eq!(sent(&mut session), [ASK]);
        hear(&mut session, &["--- session t at 0, 0 heard"]);
        assert_eq!(sent(&mut session), ["hello"]);
    }

    /// A name that cannot be had is chosen anew, or tried again after a break.
    #[test]
    fn refused_names_are_chosen_anew() {
        let away = "--- error: the name carol belongs to someone who is away";
        for line in [TAKEN, away, "--- error: bad name: it is empty"] {
            let mut session = carol(&["hello"]);
            hear(&mut session, &[GREETING, line]);
            assert_eq!((sent(&mut session), session.refused().is_some()), (vec![], true));
            session.choose(Name::parse(b"zoe").unwrap());
            assert_eq!((sent(&mut session), session.refused()), (vec!["zoe".into()], None));
            hear(&mut session, &[line]);
            assert_eq!((reconnect(&mut session), session.refused()), (vec!["zoe".into()], None));
        }
    }

    /// In the room, errors are shown like any answer, but for the one that says that the session has gone elsewhere.
    #[test]
    fn errors_in_the_room_are_shown() {
        let mut session = in_room(&[]);
        for line in [TAKEN, "--- error: bad name: it is empty", NO_SESSION, "--- 2 online:", "--- you are carol"] {
            assert_eq!(hear(&mut session, &[line]), [Heard { is_shown: true, ..Heard::default() }]);
        }
        assert_eq!(hear(&mut session, &["--- error: resumed elsewhere"])[0].news, Some(News::Replaced));
        let heard = hear(&mut carol(&[]), &["--- error: the server is full"]);
        assert_eq!(heard[0].news, Some(News::Complaint("the server is full".into())));
    }

    /// What was read is counted in public bytes, from where the session was opened, and over what was missed. After a
    /// line too long to be read, nobody knows the position until the server has told it.
    #[test]
    fn positions_are_counted() {
        let mut session = in_room(&[]);
        hear(&mut session, &["bob: hi", "--- 3 online:", "*** bob left"]);
        assert_eq!(reconnect(&mut session), [format!("!resume t@{}", 100 + 8 + 13)]);
        hear(&mut session, &["--- missed 1000 bytes: more than the server keeps", "bob: hi"]);
        assert_eq!(reconnect(&mut session), [format!("!resume t@{}", 121 + 1008)]);
        session.heard_too_long();
        hear(&mut session, &["--- resumed as carol, 0 heard"]);
        assert_eq!(sent(&mut session), [ASK]);
        assert_eq!(hear(&mut session, &["--- session t at 5000, 1 heard"]), [Heard::default()]);
        assert_eq!(reconnect(&mut session), ["!resume t@5000"]);
        session.heard_too_long();
        assert_eq!(reconnect(&mut session), ["carol"]);
    }

    /// What the server has not heard is sent again, be it message, command or whisper, and what was typed meanwhile
    /// follows; the name is the one that the server says.
    #[test]
    fn resumes() {
        let mut session = in_room(&["one", "!nick zoe", "!msg bob psst", "!who"]);
        session.say(b"three");
        assert_eq!(reconnect(&mut session), ["!resume t@100"]);
        let heard = hear(&mut session, &["carol: one", "--- resumed as zoe, 2 heard"]);
        assert_eq!(heard[1], Heard { news: Some(News::Resumed), ..Heard::default() });
        assert_eq!((session.name(), session.unacked.len()), ("zoe", 3));
        assert_eq!(sent(&mut session), ["!msg bob psst", "!who", "three"]);
        session.ask();
        assert_eq!(sent(&mut session), [ASK]);
        assert_eq!(hear(&mut session, &["--- session t at 200, 6 heard"]), [Heard::default()]);
        assert_eq!(session.unacked.len(), 0);
    }

    /// Where there is no way back, the client joins anew, and says again what it does not know to be heard.
    #[test]
    fn joins_anew_where_there_is_no_way_back() {
        let mut session = in_room(&["one", "two"]);
        session.ask();
        assert_eq!(sent(&mut session), [ASK]);
        hear(&mut session, &["--- session t at 100, 1 heard"]);
        reconnect(&mut session);
        hear(&mut session, &[NO_SESSION]);
        assert_eq!(sent(&mut session), ["carol"]);
        assert_eq!(hear(&mut session, &[NAMED])[0].news, Some(News::Rejoined));
        assert_eq!(sent(&mut session), [ASK]);
        hear(&mut session, &["--- session u at 7, 0 heard"]);
        assert_eq!(sent(&mut session), ["two"]);
    }

    /// The client leaves once all was heard, with the user's last words, or at once.
    #[test]
    fn leaves() {
        let mut session = in_room(&["one"]);
        session.say(b"!EXIT bye");
        assert_eq!((sent(&mut session), session.may_go()), (vec![ASK.into()], false));
        hear(&mut session, &["carol: one", "--- session t at 110, 2 heard"]);
        assert_eq!((session.may_go(), sent(&mut session)), (true, vec!["!EXIT bye".into()]));
        assert_eq!((session.next_to_send(), session.is_over()), (Next::Close, true));
        for (mut session, expected) in [(in_room(&["one"]), vec!["!exit".to_owned()]), (carol(&["one"]), vec![])] {
            session.leave_now();
            assert_eq!((sent(&mut session), session.is_over()), (expected, true));
        }
    }

    /// A server that does not greet gets what is typed as it is typed, but never a name for a message.
    #[test]
    fn other_servers_are_spoken_to_plainly() {
        let mut session = carol(&["!who", "secret", "two words"]);
        session.say_literally(b"!x");
        session.not_greeted();
        assert_eq!(sent(&mut session), ["!who", "secret\u{a0}", "two words", "!x"]);
        assert!(!session.has_joined() && session.unacked.is_empty());
        hear(&mut session, &["carol: !who"]);
        session.say(b"secret");
        assert_eq!(sent(&mut session), ["secret"]);
        session.leave();
        assert_eq!((session.next_to_send(), session.is_over()), (Next::Close, true));

        let mut session = in_room(&["one"]);
        session.broke();
        session.connected();
        assert_eq!(sent(&mut session), [""; 0], "it may be no server of ours any more");
        assert_eq!(hear(&mut session, &["bob: hi"])[0].news, Some(News::Rejoined));
        assert_eq!(sent(&mut session), ["carol", "one"]);
    }
}
