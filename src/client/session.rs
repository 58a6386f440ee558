//! A conversation as the client sees it: who one is, what has been read, and what is still to be said. Pure: no socket,
//! no clock, no randomness of its own.
//!
//! # A line typed arrives once
//!
//! The network may break at any moment; the room still shows every line that was typed once, in order. Why:
//!
//! 1. *Nothing is lost.* A line is kept until it is settled: until something was read that the server can only have said
//!    after hearing it (see [`owed`](super::owed)). What is not settled is sent again over the next connection.
//! 2. *Nothing public is doubled.* The client counts the bytes of public lines, and so knows the position up to which it
//!    has read. It comes back with that position, and the server shows all from there before `--- resumed`. What the
//!    room heard of the old connection is in there, for the server forgets the rest when its owner comes back. So at
//!    `--- resumed`, what was not seen was not heard, and only that is sent again.
//! 3. *Order holds*, since a connection's lines are heard in order, and lines are sent again from the oldest on.
//!
//! A half line at a break does not count as read; the server says it again.
//!
//! What cannot be promised:
//!
//! - *Answers and whispers* are for one connection alone and have no position: those under way at a break are lost. So
//!   commands that were not settled are sent again; asking twice does no harm, but a whisper of one's own may arrive
//!   twice. It is never lost without a word: its own line `--- [you to …]`, or an error, always comes.
//! - *A session that cannot be resumed* (the server was started anew, or the name now belongs to another): the client
//!   joins anew and sends what it has not seen. Such a line may have been heard before; it is better said twice than lost.
//!   The same goes for lines that may stand in what `--- missed` leaves out.
//! - *A server of another kind* has no sessions: what is under way at a break may be lost.

use std::collections::VecDeque;

use super::owed::{Manner, Owed};
use crate::protocol::command::is_exit;
use crate::protocol::name::{MAX_CHARS, Name};
use crate::protocol::notice::{Answer, Received};
use crate::protocol::text::sanitise;

/// How a server of ours greets everyone, after `--- `.
pub const WELCOME: &str = "welcome to gotcp";

/// The last thing a client says.
const EXIT: &str = "!exit";

/// What the tag adds to a name: `#` and six digits.
const TAG_CHARS: usize = 7;

/// Tags that are tried before the name itself is given up.
const MAX_TAGS: u32 = 8;

/// One's part of a conversation, over as many connections as it takes.
///
/// ```text
///           ┌────────────── connected, with a ticket ──────────────> Resuming ── resumed ──┐
///           │                                                            │ refused         v
///   Down ───┴─ connected ──> Unknown ── greeted ──> Naming <─────────────┘── named ─────> Live
///                               └────── not greeted ─────────────────────────────────────> Plain
/// ```
///
/// From every state a break leads back to `Down`. Lines are said in `Live` and `Plain` only; before, they wait.
pub struct Session {
    phase: Phase,
    /// The name as the room knows it at this point of what was read.
    name: String,
    wanted: Wanted,
    /// What to say before anything else.
    hello: Option<String>,
    ticket: Option<Ticket>,
    /// The name under which the ticket was shown.
    claimed: String,
    /// Other names under which it may be known: a `!nick` may have been heard.
    aliases: VecDeque<String>,
    owed: Owed,
    leaving: Leaving,
    /// Whether this was ever in a room.
    has_joined: bool,
    /// Whether the room was told that one is gone, on the way to `resumed`: who then speaks by one's name is another.
    is_replaced: bool,
    /// Why the name cannot be had, while another one has to be found.
    refused: Option<String>,
    /// The last error that came before one was let in.
    complaint: Option<String>,
}

/// What to come back with.
struct Ticket {
    token: String,
    /// How far the room was read; unknown after a line too long to be read.
    position: Option<u64>,
}

/// A name as its owner wants it.
struct Wanted {
    base: Name,
    /// Where tags come from; none for a bare name.
    tags: Option<Tags>,
    tries: u32,
}

/// A source of tags.
pub type Tags = Box<dyn FnMut() -> u32 + Send>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Down,
    Unknown,
    Naming,
    Resuming,
    Live,
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
    /// Whether it was said before one came.
    pub is_history: bool,
    /// What else it means.
    pub news: Option<News>,
}

/// Something that happened to the session.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// One is in the room, for the first time.
    Joined,
    /// One is back where one was.
    Resumed,
    /// One is back, but as a newcomer.
    Rejoined,
    /// The name cannot be had; another one is needed.
    Refused(String),
    /// One has another name now.
    Renamed,
}

/// Reads a name that leaves room for its tag.
///
/// # Errors
/// Says what is wrong with it.
pub fn parse_name(text: &str, tagged: bool) -> Result<Name, String> {
    let name = Name::parse(text.as_bytes()).map_err(|reason| reason.to_string())?;
    let limit = MAX_CHARS - TAG_CHARS;
    if tagged && name.as_str().chars().count() > limit {
        return Err(format!("it is longer than {limit} characters, which is what its tag leaves room for"));
    }
    Ok(name)
}

impl Session {
    /// A session that has not begun, for somebody who wants to be called `base`, with a tag if there are `tags`.
    #[must_use]
    pub fn new(base: Name, tags: Option<Tags>) -> Session {
        let mut wanted = Wanted { base, tags, tries: 0 };
        Session {
            phase: Phase::Down,
            name: wanted.next(),
            wanted,
            hello: None,
            ticket: None,
            claimed: String::new(),
            aliases: VecDeque::new(),
            owed: Owed::default(),
            leaving: Leaving::No,
            has_joined: false,
            is_replaced: false,
            refused: None,
            complaint: None,
        }
    }

    // ---- What the network does ----

    /// A connection is there. It begins with a name, or with the claim to one.
    pub fn connected(&mut self) {
        self.complaint = None;
        self.wanted.tries = 0;
        self.aliases = self.owed.names_asked_for().map(str::to_owned).collect();
        if !self.claim(self.name.clone()) {
            self.join_anew(Phase::Unknown);
        }
    }

    /// The connection is gone. A name that could not be had over it may be free by the next one: the one who had it may
    /// have been oneself, a moment before.
    pub fn broke(&mut self) {
        self.phase = Phase::Down;
        self.hello = None;
        self.refused = None;
    }

    /// The server had the time to greet, and has not: it is one of another kind.
    pub fn not_greeted(&mut self) -> Option<News> {
        (self.phase == Phase::Unknown).then(|| self.settle_in(Phase::Plain))
    }

    /// A line has arrived that took `length` bytes on the wire, its end included.
    pub fn heard(&mut self, line: &str, length: usize) -> Heard {
        let received = Received::parse(line);
        if let Received::Private(text) = received {
            return self.told(text);
        }
        // A server of ours speaks of itself first.
        let news = self.not_greeted();
        if let Some(Ticket { position: Some(position), .. }) = &mut self.ticket {
            *position += length as u64;
        }
        let mut heard = Heard { is_shown: true, is_history: self.phase == Phase::Naming, news };
        match received {
            _ if heard.is_history => {}
            Received::Message { name, .. } | Received::Action { name, .. }
                if name == self.name && !self.is_replaced =>
            {
                self.owed.settle_echo(&received);
            }
            Received::Public(text) => heard.news = self.room_changed(text).or(heard.news),
            _ => {}
        }
        heard
    }

    /// A line has arrived that was too long to be read. Nobody knows how many bytes it took.
    pub fn heard_too_long(&mut self) {
        if let Some(ticket) = &mut self.ticket {
            ticket.position = None;
            self.owed.want_fence();
        }
    }

    /// What to send next.
    pub fn next_to_send(&mut self) -> Next {
        if let Some(hello) = self.hello.take() {
            return Next::Send(hello);
        }
        let manner = match self.phase {
            _ if self.leaving == Leaving::Now => Manner::Ours,
            Phase::Live => Manner::Ours,
            Phase::Plain => Manner::Plain,
            _ => return Next::Wait,
        };
        if self.leaving == Leaving::Said {
            return Next::Close;
        }
        // A line that was heard before there is a ticket would be said again by a newcomer if the connection broke now.
        let waits_for_ticket = self.phase == Phase::Live && self.ticket.is_none() && !self.owed.is_fence_wanted();
        if waits_for_ticket && self.leaving != Leaving::Now {
            return Next::Wait;
        }
        if let Some(line) = self.owed.next(manner) {
            return Next::Send(line);
        }
        if self.leaving == Leaving::No || !self.owed.is_empty() {
            return Next::Wait;
        }
        self.leaving = Leaving::Said;
        if self.phase == Phase::Plain { Next::Close } else { Next::Send(EXIT.into()) }
    }

    // ---- What the user does ----

    /// A line was typed.
    pub fn say(&mut self, line: &[u8]) {
        if is_exit(line) {
            self.leave();
        } else {
            self.owed.push(sanitise(line).into_owned());
        }
    }

    /// A line is to be said as it is, even if it looks like a command.
    pub fn say_literally(&mut self, line: &[u8]) {
        self.owed.push_literal(sanitise(line).into_owned());
    }

    /// Another name than the one that cannot be had.
    pub fn choose(&mut self, base: Name) {
        self.wanted.base = base;
        self.wanted.tries = 0;
        self.refused = None;
        self.name = self.wanted.next();
        if self.phase == Phase::Naming {
            self.hello = Some(self.name.clone());
        }
    }

    /// The user leaves, once everything that was typed has been heard.
    pub fn leave(&mut self) {
        self.leaving = self.leaving.max(Leaving::InOrder);
        self.owed.close();
    }

    /// The user leaves at once.
    pub fn leave_now(&mut self) {
        self.leaving = self.leaving.max(Leaving::Now);
        self.owed.clear();
    }

    // ---- How things stand ----

    /// One's name, as the room knows it or will.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether a connection is there, and one may speak over it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Live | Phase::Plain)
    }

    /// Whether there is a connection at all.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.phase == Phase::Down
    }

    /// Whether nothing tells yet what kind of server it is.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.phase == Phase::Unknown
    }

    /// Whether the server has something to answer.
    #[must_use]
    pub fn awaits_answer(&self) -> bool {
        match self.phase {
            Phase::Down | Phase::Unknown | Phase::Plain => false,
            Phase::Naming => self.refused.is_none(),
            Phase::Resuming => true,
            Phase::Live => self.owed.awaits_answer(),
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

    /// What the server had against one who was not let in.
    #[must_use]
    pub fn complaint(&self) -> Option<&str> {
        self.complaint.as_deref()
    }

    /// Whether the user wants to leave.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.leaving != Leaving::No
    }

    /// Whether nothing keeps the user any more.
    #[must_use]
    pub fn may_go(&self) -> bool {
        self.leaving > Leaving::InOrder || self.leaving == Leaving::InOrder && self.owed.is_empty()
    }

    /// Whether all is said, the farewell included.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.leaving == Leaving::Said
    }

    /// How many typed lines have not been seen to be heard.
    #[must_use]
    pub fn unheard(&self) -> usize {
        self.owed.len()
    }

    /// Whether whoever types in bulk has to wait.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.owed.is_enough()
    }

    // ---- Helpers ----

    fn told(&mut self, text: &str) -> Heard {
        let shown = Heard { is_shown: true, ..Heard::default() };
        let hidden = Heard::default();
        if text.starts_with(WELCOME) {
            if matches!(self.phase, Phase::Unknown | Phase::Plain) {
                self.phase = Phase::Naming;
            }
            return hidden;
        }
        let is_outside = matches!(self.phase, Phase::Unknown | Phase::Naming | Phase::Resuming);
        match Answer::parse(text) {
            Some(Answer::Named(name)) => {
                name.clone_into(&mut self.name);
                let news = self.settle_in(Phase::Live);
                self.owed.want_fence();
                Heard { news: Some(news), ..shown }
            }
            Some(Answer::Session { token, position }) => {
                self.ticket = Some(Ticket { token: token.into(), position: Some(position) });
                Heard { is_shown: self.owed.settle_fence(), ..hidden }
            }
            Some(Answer::Resumed) => {
                self.settle_in(Phase::Live);
                self.name = std::mem::take(&mut self.claimed);
                self.is_replaced = false;
                self.owed.resend();
                Heard { news: Some(News::Resumed), ..hidden }
            }
            Some(Answer::Missed(bytes)) => {
                if let Some(Ticket { position: Some(position), .. }) = &mut self.ticket {
                    *position = position.saturating_add(bytes);
                }
                shown
            }
            Some(Answer::LineTooLong(limit)) => {
                self.owed.settle_too_long(limit);
                shown
            }
            Some(Answer::BadSession) if is_outside => {
                let alias = self.aliases.pop_front();
                if !alias.is_some_and(|alias| self.claim(alias)) {
                    self.join_anew(Phase::Naming);
                }
                hidden
            }
            Some(Answer::NameTaken) if is_outside => match self.wanted.retry() {
                Some(name) => {
                    self.name = name;
                    self.join_anew(Phase::Naming);
                    hidden
                }
                None => self.refuse(format!("the name {} is taken", self.name)),
            },
            Some(Answer::BadName(reason)) if is_outside => {
                self.refuse(format!("the name {} will not do: {reason}", self.name))
            }
            _ if is_outside && text.starts_with("error: ") => {
                self.complaint = Some(text["error: ".len()..].into());
                Heard { is_shown: self.has_joined, ..shown }
            }
            _ => shown,
        }
    }

    fn room_changed(&mut self, text: &str) -> Option<News> {
        let of_me = text.strip_prefix(self.name.as_str())?;
        if let Some(new) = of_me.strip_prefix(" is now ") {
            new.clone_into(&mut self.name);
            return Some(News::Renamed);
        }
        if self.phase == Phase::Resuming && of_me.starts_with(" left") {
            self.is_replaced = true;
        }
        None
    }

    fn refuse(&mut self, why: String) -> Heard {
        self.ticket = None;
        self.phase = Phase::Naming;
        self.refused = Some(why.clone());
        Heard { news: Some(News::Refused(why)), ..Heard::default() }
    }

    /// Comes back under a name. Answers whether there is a way back.
    fn claim(&mut self, name: String) -> bool {
        let Some(Ticket { token, position: Some(position) }) = &self.ticket else { return false };
        let hello = format!("{name} {token}@{position}");
        self.claimed = name;
        self.begin(Phase::Resuming, hello);
        true
    }

    /// Joins as one who was never here.
    fn join_anew(&mut self, phase: Phase) {
        self.ticket = None;
        self.is_replaced = false;
        self.owed.resend();
        self.begin(phase, self.name.clone());
    }

    fn begin(&mut self, phase: Phase, hello: String) {
        self.phase = phase;
        self.hello = Some(hello);
    }

    fn settle_in(&mut self, phase: Phase) -> News {
        self.phase = phase;
        self.wanted.tries = 0;
        if std::mem::replace(&mut self.has_joined, true) { News::Rejoined } else { News::Joined }
    }
}

impl Wanted {
    fn next(&mut self) -> String {
        match &mut self.tags {
            Some(tags) => format!("{}#{:06x}", self.base, tags() & 0xff_ffff),
            None => self.base.to_string(),
        }
    }

    /// Another form of the name, now that one is taken; `None` where there is no other.
    fn retry(&mut self) -> Option<String> {
        self.tries += 1;
        (self.tags.is_some() && self.tries < MAX_TAGS).then(|| self.next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GREETING: &str = "--- welcome to gotcp: your first line is your name";

    /// Somebody called `carol`, with the tags 1, 2, 3 … or none.
    fn carol(tagged: bool) -> Session {
        let mut tag = 0;
        let tags = tagged.then(|| -> Tags {
            Box::new(move || {
                tag += 1;
                tag
            })
        });
        Session::new(Name::parse(b"carol").unwrap(), tags)
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

    /// In the room as `carol`, with the session `t`, the room read up to 100.
    fn in_room() -> Session {
        let mut session = carol(false);
        session.connected();
        hear(&mut session, &[GREETING, "--- you are carol; 1 online; !help lists the commands"]);
        assert_eq!(sent(&mut session), ["carol", "!session"]);
        hear(&mut session, &["--- session t at 100"]);
        session
    }

    /// A name needs room for its tag, if it gets one.
    #[test]
    fn names_leave_room_for_a_tag() {
        let name = "x".repeat(25);
        assert!(parse_name(&name, true).is_ok() && parse_name(&format!("{name}x"), false).is_ok());
        assert!(parse_name(&format!("{name}x"), true).unwrap_err().contains("25 characters"));
        assert!(parse_name("a b", true).is_err());
    }

    /// Before the server has said who it is, the name is all that is said; then nothing before one is let in.
    #[test]
    fn lines_wait_for_a_name() {
        let mut session = carol(false);
        session.say(b"hello");
        session.connected();
        assert_eq!(sent(&mut session), ["carol"]);
        assert_eq!(hear(&mut session, &[GREETING]), [Heard::default()]);
        assert_eq!(sent(&mut session), [""; 0]);
        let heard =
            hear(&mut session, &["bob: before", "--- you are carol; 2 online; !help lists the commands", "bob: now"]);
        assert_eq!(heard.iter().map(|heard| heard.is_history).collect::<Vec<_>>(), [true, false, false]);
        assert_eq!(heard[1].news, Some(News::Joined));
        assert_eq!(sent(&mut session), ["!session"]);
        hear(&mut session, &["--- session t at 0"]);
        assert_eq!(sent(&mut session), ["hello"]);
    }

    /// Taken names are tried again with other tags, but not for ever.
    #[test]
    fn taken_names_get_new_tags() {
        let mut session = carol(true);
        session.connected();
        hear(&mut session, &[GREETING]);
        assert_eq!(sent(&mut session), ["carol#000001"]);
        for tag in 2..=MAX_TAGS {
            assert_eq!(hear(&mut session, &["--- error: the name carol is taken"]), [Heard::default()]);
            assert_eq!(sent(&mut session), [format!("carol#{tag:06x}")]);
        }
        let heard = hear(&mut session, &["--- error: the name carol is taken"]);
        assert!(matches!(heard[0].news, Some(News::Refused(_))), "{heard:?}");
    }

    /// A bare name that is taken, or no name at all to the server, waits for another one.
    #[test]
    fn refused_names_are_chosen_anew() {
        for (line, why) in [
            ("--- error: the name carol is taken", "the name carol is taken"),
            ("--- error: bad name: it is empty", "the name carol will not do: it is empty"),
        ] {
            let mut session = carol(false);
            session.connected();
            session.say(b"hello");
            sent(&mut session);
            let heard = hear(&mut session, &[GREETING, line]);
            assert_eq!(heard[1].news, Some(News::Refused(why.into())));
            assert_eq!(session.refused(), Some(why));
            assert_eq!(sent(&mut session), [""; 0]);
            session.choose(Name::parse(b"zoe").unwrap());
            assert_eq!(session.refused(), None);
            assert_eq!(sent(&mut session), ["zoe"]);
        }
    }

    /// In the room, an answer to `!nick` is an answer like any other.
    #[test]
    fn errors_in_the_room_are_shown() {
        let mut session = in_room();
        for line in ["--- error: the name bob is taken", "--- error: bad name: it is empty", "--- 2 online:"] {
            assert_eq!(hear(&mut session, &[line]), [Heard { is_shown: true, ..Heard::default() }]);
        }
    }

    /// What was read is counted in public bytes, from where the session was opened, and over what was missed.
    #[test]
    fn positions_are_counted() {
        let mut session = in_room();
        hear(
            &mut session,
            &["bob: hi", "--- 3 online:", "*** bob left", "--- missed 1000 bytes: more than the server keeps"],
        );
        session.broke();
        session.connected();
        assert_eq!(sent(&mut session), [format!("carol t@{}", 100 + 8 + 13 + 1000)]);
    }

    /// After a line too long to be read, nobody knows the position until the server has told it.
    #[test]
    fn unread_lines_lose_the_position() {
        let mut session = in_room();
        session.heard_too_long();
        assert_eq!(sent(&mut session), ["!session"]);
        session.broke();
        session.connected();
        assert_eq!(sent(&mut session), ["carol"]);

        let mut session = in_room();
        session.heard_too_long();
        sent(&mut session);
        assert_eq!(hear(&mut session, &["--- session t at 5000"]), [Heard::default()]);
        session.broke();
        session.connected();
        assert_eq!(sent(&mut session), ["carol t@5000"]);
    }

    /// What did not come back is sent again after `--- resumed`, and what was typed meanwhile goes out then.
    #[test]
    fn resumes() {
        let mut session = in_room();
        session.say(b"one");
        session.say(b"two");
        assert_eq!(sent(&mut session), ["one", "two"]);
        session.broke();
        session.say(b"three");
        session.connected();
        assert_eq!(sent(&mut session), ["carol t@100"]);
        let heard = hear(&mut session, &[GREETING, "carol: one", "--- resumed"]);
        assert_eq!(heard[1], Heard { is_shown: true, ..Heard::default() });
        assert_eq!(heard[2], Heard { news: Some(News::Resumed), ..Heard::default() });
        assert_eq!(sent(&mut session), ["two", "three"]);
    }

    /// Once the room was told that one is gone, whoever speaks by one's name is somebody else.
    #[test]
    fn another_may_have_had_the_name() {
        let mut session = in_room();
        session.say(b"one");
        sent(&mut session);
        session.broke();
        session.connected();
        sent(&mut session);
        hear(&mut session, &["*** carol left (connection lost)", "*** carol joined", "carol: one", "--- resumed"]);
        assert_eq!(sent(&mut session), ["one"]);
        hear(&mut session, &["*** carol joined", "carol: one"]);
        assert_eq!(session.unheard(), 0);
    }

    /// A new name is one's own from where the room hears of it; if that is lost in a break, both names are tried.
    #[test]
    fn follows_a_new_name() {
        let mut session = in_room();
        session.say(b"!nick zoe");
        session.say(b"one");
        sent(&mut session);
        assert_eq!(hear(&mut session, &["*** carol is now zoe"])[0].news, Some(News::Renamed));
        hear(&mut session, &["zoe: one"]);
        assert_eq!((session.name(), session.unheard()), ("zoe", 0));

        let mut session = in_room();
        session.say(b"!nick zoe");
        sent(&mut session);
        session.broke();
        session.connected();
        assert_eq!(sent(&mut session), ["carol t@100"]);
        hear(&mut session, &["--- error: no such session; your first line is your name"]);
        assert_eq!(sent(&mut session), ["zoe t@100"]);
        hear(&mut session, &["*** carol is now zoe", "--- resumed"]);
        assert_eq!(session.name(), "zoe");
    }

    /// Where there is no way back, one joins anew, under one's name, and says again what was not seen.
    #[test]
    fn joins_anew_where_there_is_no_way_back() {
        let mut session = in_room();
        session.say(b"one");
        sent(&mut session);
        session.broke();
        session.connected();
        sent(&mut session);
        hear(&mut session, &["--- error: no such session; your first line is your name"]);
        assert_eq!(sent(&mut session), ["carol"]);
        let heard = hear(&mut session, &["--- you are carol; 1 online; !help lists the commands"]);
        assert_eq!(heard[0].news, Some(News::Rejoined));
        assert_eq!(sent(&mut session), ["!session"]);
        hear(&mut session, &["--- session u at 7"]);
        assert_eq!(sent(&mut session), ["one"]);
    }

    /// One leaves when all was heard, or at once.
    #[test]
    fn leaves() {
        let mut session = in_room();
        session.say(b"one");
        session.say(b"!EXIT");
        assert_eq!(sent(&mut session), ["one", "!session"]);
        assert!(!session.may_go());
        hear(&mut session, &["carol: one", "--- session t at 110"]);
        assert!(session.may_go());
        assert_eq!(sent(&mut session), ["!exit"]);
        assert_eq!((session.next_to_send(), session.is_over()), (Next::Close, true));

        let mut session = in_room();
        session.say(b"one");
        session.leave_now();
        assert_eq!(sent(&mut session), ["!exit"]);
    }

    /// A server that does not greet gets what is typed as it is typed, and one leaves it without a word.
    #[test]
    fn other_servers_are_spoken_to_plainly() {
        let mut session = carol(false);
        session.connected();
        session.say(b"!who");
        session.say_literally(b"!x");
        assert_eq!(sent(&mut session), ["carol"]);
        assert_eq!(session.not_greeted(), Some(News::Joined));
        assert_eq!(sent(&mut session), ["!who", "!x"]);
        hear(&mut session, &["carol: !who"]);
        session.leave();
        assert_eq!((session.next_to_send(), session.is_over()), (Next::Close, true));

        let mut session = carol(false);
        session.connected();
        assert_eq!(hear(&mut session, &["bob: hi"])[0].news, Some(News::Joined));
        assert!(session.is_open());
    }

    /// After a break, a name that could not be had is tried again.
    #[test]
    fn refused_names_are_tried_again() {
        let mut session = carol(false);
        session.connected();
        hear(&mut session, &[GREETING, "--- error: the name carol is taken"]);
        session.broke();
        assert_eq!(session.refused(), None);
        session.connected();
        assert_eq!(sent(&mut session), ["carol"]);
    }

    /// What the server had against one is kept where one was not let in.
    #[test]
    fn complaints_are_kept() {
        let mut session = carol(false);
        session.connected();
        hear(&mut session, &["--- error: the server is full (9 connections); try again later"]);
        assert_eq!(session.complaint(), Some("the server is full (9 connections); try again later"));
        session.broke();
        session.connected();
        assert_eq!(session.complaint(), None);
    }
}
