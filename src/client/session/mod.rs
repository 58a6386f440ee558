//! A conversation as the client sees it: the user's name, what was read, and what is still to be said. Pure: no socket,
//! no clock, no randomness of its own.
//!
//! # A line typed arrives once
//!
//! The network may break at any moment; the room still shows every line that was typed once, in order. This rests on two
//! counts: the client's of the bytes of public lines that it has read, its position; and the server's of the lines of
//! this session that it has heard, which it tells when asked (`!session`) and when the client comes back (`!resume`).
//! A line is kept until the server's count has passed it (see [`unacked`]); after a break, exactly the others are sent
//! again, from the oldest on. Half a line at a break does not count, in either direction.
//!
//! What cannot be promised: answers and whispers to the user that are under way at a break are lost, since private lines
//! have no position. Where a session cannot be resumed (the server was started anew), the client joins anew and sends
//! what it does not know to be heard: better said twice than lost. A server of another kind has no sessions at all.

pub mod unacked;

use crate::protocol::command::Command;
use crate::protocol::name::Name;
use crate::protocol::received::{Answer, Received};
use crate::protocol::text::sanitise;
use unacked::{ASK, Unacked};

use super::wanted::{Tags, Wanted};

/// Looks like a space, and is none to a server that reads a name.
const NO_BREAK_SPACE: char = '\u{a0}';

/// How web and SSH servers begin.
const STRANGERS: [&str; 2] = ["HTTP/", "SSH-"];

/// The user's part of a conversation, over as many connections as it takes.
#[allow(clippy::struct_excessive_bools)] // Each is a fact of its own.
pub struct Session {
    status: Status,
    wanted: Wanted,
    /// What to send before anything else: the password, and then this.
    hello: Option<String>,
    key: Option<String>,
    /// The password of the room, if it is known.
    password: Option<String>,
    /// Whether nobody can read along on this connection.
    is_confidential: bool,
    /// What to come back with: a token, and how far the room was read, in bytes.
    ticket: Option<(String, u64)>,
    unacked: Unacked,
    leaving: Leaving,
    /// What to leave with.
    farewell: String,
    /// Whether a server of another kind has said anything over this connection.
    has_spoken: bool,
    /// Whether the session is to outlive this client.
    is_kept: bool,
    /// Whether the ticket is from an earlier client, and what was said since then has not begun to arrive.
    was_away: bool,
}

/// How things stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Where the conversation is.
    pub phase: Phase,
    /// The user's name, as the room knows it at this point of what was read, or will.
    pub name: String,
    /// Why another name is needed, if it is.
    pub refused: Option<String>,
    /// Whether a password is needed, and not known.
    pub is_locked: bool,
    /// Whether this was ever in a room.
    pub has_joined: bool,
}

/// Where a conversation is.
///
/// ```text
///   Down ── connected ──> Unknown ── greeted ──> Naming ── named, or resumed ──> Joined
///                            └── another kind of server, or none that greets ──> Plain
/// ```
///
/// From everywhere a break leads back to `Down`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// There is no connection.
    #[default]
    Down,
    /// Nothing tells yet what kind of server it is.
    Unknown,
    /// The server has the name or the ticket, or needs another name.
    Naming,
    /// The user is in the room. Lines are sent once there is a ticket.
    Joined,
    /// The server is of another kind. Lines are sent as they are.
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

/// What a line from the server is to the user.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Whether it is for people, and not between the client and the server.
    pub is_shown: bool,
    /// Whether it was said before the user came.
    pub is_history: bool,
    /// Whether it is the first that was said since an earlier client of this session.
    pub is_since: bool,
    /// What else it means.
    pub news: Option<News>,
}

/// Something that happened to the session.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// The user is back, and nothing was lost.
    Resumed,
    /// The user is back for the first time since an earlier client.
    Returned,
    /// The user is back, but as a newcomer.
    Rejoined,
    /// The name cannot be had; another one is needed.
    Refused(String),
    /// Why the user will not get in, should the server close now.
    Complaint(String),
    /// The room has a password: one that is not known, or, if there is a reason, another one than the one that is.
    Locked(Option<String>),
    /// Why there is no way in, or none any more; this client has to end.
    Barred(String),
}

impl Session {
    /// A session that has not begun, for somebody who wants to be called `base`, with a tag if there are `tags`.
    #[must_use]
    pub fn new(base: Name, tags: Option<Tags>) -> Session {
        let mut wanted = Wanted::new(base, tags);
        Session {
            status: Status { name: wanted.form(), ..Status::default() },
            wanted,
            hello: None,
            key: None,
            password: None,
            is_confidential: false,
            ticket: None,
            unacked: Unacked::default(),
            leaving: Leaving::No,
            farewell: "!exit".into(),
            has_spoken: false,
            is_kept: false,
            was_away: false,
        }
    }

    /// This session is to outlive the client, and goes on where an earlier client has left it: under a name, with a token,
    /// at a position.
    pub fn keep(&mut self, earlier: Option<(String, String, u64)>) {
        self.is_kept = true;
        if let Some((name, token, position)) = earlier {
            self.status.name = name;
            self.ticket = Some((token, position));
            self.was_away = true;
        }
    }

    /// The password to say where one is asked for.
    pub fn use_password(&mut self, password: Option<String>) {
        self.password = password;
    }

    // ---- What the network does ----

    /// A connection is there, on which others can read along unless it is `confidential`. It begins with a name; but with
    /// nothing where there is a ticket, which no server of another kind must see.
    pub fn connected(&mut self, confidential: bool) {
        self.status.phase = Phase::Unknown;
        self.is_confidential = confidential;
        self.has_spoken = false;
        self.wanted.begin();
        if self.ticket.is_none() {
            self.join_anew();
        }
    }

    /// The connection is gone. A name that could not be had over it may be free by the next one: the one who had it may
    /// have been the user, a moment before.
    pub fn broke(&mut self) {
        (self.status.phase, self.hello, self.key, self.status.refused) = (Phase::Down, None, None, None);
    }

    /// The server had the time to greet, and has not, or says what none of ours says: it is one of another kind.
    pub fn not_greeted(&mut self) -> Option<News> {
        if self.status.phase != Phase::Unknown {
            return None;
        }
        if self.ticket.is_some() {
            self.join_anew();
        }
        self.status.phase = Phase::Plain;
        self.status.has_joined.then_some(News::Rejoined)
    }

    /// A line has arrived that took `length` bytes on the wire, its end included.
    pub fn heard(&mut self, line: &str, length: usize) -> Heard {
        let received = Received::parse(line);
        if let Received::Private(text) = received {
            return self.told(text);
        }
        let mut news = self.not_greeted();
        self.advance(length as u64);
        if let Received::Public(text) = received
            && let Some(new) = text.strip_prefix(&self.status.name).and_then(|rest| rest.strip_prefix(" is now "))
        {
            new.clone_into(&mut self.status.name);
        }
        let is_plain = self.status.phase == Phase::Plain;
        if is_plain {
            self.has_spoken = true;
            self.unacked.heard_all();
            // Whoever is in a room is spoken of there.
            let words = line.trim_start_matches(|c: char| !c.is_alphanumeric());
            self.status.has_joined |= words.starts_with(&self.status.name);
            if !self.status.has_joined {
                news = Some(News::Complaint(format!("not a gotcp server (it says: {line})")));
            }
        }
        let is_stranger = is_plain && STRANGERS.iter().any(|start| line.starts_with(start));
        let is_history = self.status.phase == Phase::Naming && self.ticket.is_none();
        let is_resuming = self.status.phase == Phase::Naming && self.ticket.is_some();
        let is_since = is_resuming && std::mem::take(&mut self.was_away);
        Heard { is_shown: !is_stranger, is_history, is_since, news }
    }

    /// A line has arrived that was too long to be read. Nobody knows how many bytes it took; should the connection break
    /// before the server has told, the end of what was said is the place to go on.
    pub fn heard_too_long(&mut self) {
        self.advance(u64::MAX);
        self.unacked.ask();
    }

    /// What to send next, if anything for now.
    pub fn next_to_send(&mut self) -> Option<String> {
        if let Some(first) = self.key.take().or_else(|| self.hello.take()) {
            return Some(first);
        }
        let is_plain = self.status.phase == Phase::Plain;
        let is_open = is_plain || self.status.phase == Phase::Joined && self.ticket.is_some();
        if self.leaving == Leaving::Now && self.status.phase == Phase::Unknown {
            self.leaving = Leaving::Said;
        }
        if self.leaving == Leaving::Said || !is_open && self.leaving != Leaving::Now {
            return None;
        }
        if self.leaving == Leaving::InOrder && self.is_ask_due() {
            self.unacked.ask();
        }
        let line = if is_plain { self.next_plain() } else { self.unacked.pop_unsent() };
        if line.is_some() || self.leaving == Leaving::No || !self.unacked.is_empty() {
            return line;
        }
        self.leaving = Leaving::Said;
        (!is_plain).then(|| std::mem::take(&mut self.farewell))
    }

    /// Whether something was sent, and the server is not asked whether it has heard it.
    #[must_use]
    pub fn is_ask_due(&self) -> bool {
        self.status.phase == Phase::Joined && self.unacked.is_unasked()
    }

    /// Asks how many lines the server has heard.
    pub fn ask(&mut self) {
        self.unacked.ask();
    }

    // ---- What the user does ----

    /// A line was typed. A `literal` one is text even if it looks like a command.
    pub fn say(&mut self, line: &[u8], literal: bool) {
        let line = sanitise(line);
        if !literal && Command::parse(&line).is_exit() {
            self.farewell = line.trim_ascii().into();
            self.leave();
        } else {
            self.unacked.push(line.into_owned(), literal);
        }
    }

    /// Another name than the one that cannot be had.
    pub fn choose(&mut self, base: Name) {
        self.wanted.choose(base);
        self.status.name = self.wanted.form();
        self.status.refused = None;
        if self.status.phase == Phase::Naming {
            self.join_anew();
        }
    }

    /// A password for a room that has one.
    pub fn unlock(&mut self, password: String) {
        (self.password, self.status.is_locked) = (Some(password), false);
        if self.status.phase == Phase::Naming {
            self.say_password();
        }
    }

    /// The user leaves, once everything that was typed has been heard.
    pub fn leave(&mut self) {
        self.leaving = self.leaving.max(Leaving::InOrder);
    }

    /// The user leaves at once.
    pub fn leave_now(&mut self) {
        self.leaving = self.leaving.max(Leaving::Now);
        self.unacked = Unacked::default();
    }

    // ---- How things stand ----

    /// How things stand.
    #[must_use]
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// What was typed, and the server is not known to have heard.
    #[must_use]
    pub fn unacked(&self) -> &Unacked {
        &self.unacked
    }

    /// What it takes to come back: the name, the token, and how far the room was read. `None` if there is no session, or
    /// that is not known.
    #[must_use]
    pub fn ticket(&self) -> Option<(&str, &str, u64)> {
        let (token, position) = self.ticket.as_ref().filter(|(_, position)| *position != u64::MAX)?;
        Some((&self.status.name, token, *position))
    }

    /// Whether the server may still turn out to be of another kind by saying nothing. One that gave us a ticket is not:
    /// it is only slow.
    #[must_use]
    pub fn awaits_greeting(&self) -> bool {
        self.status.phase == Phase::Unknown && self.ticket.is_none()
    }

    /// Whether the server has something to answer.
    #[must_use]
    pub fn awaits_answer(&self) -> bool {
        match self.status.phase {
            Phase::Down | Phase::Plain => false,
            Phase::Unknown => self.ticket.is_some(),
            Phase::Naming => self.status.refused.is_none() && !self.status.is_locked,
            Phase::Joined => self.ticket.is_none() || self.unacked.awaits_answer(),
        }
    }

    /// Whether the user is leaving.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.leaving != Leaving::No
    }

    /// Whether nothing keeps the user any more: either they leave at once, or they have been in the room and all that they
    /// typed was heard.
    #[must_use]
    pub fn may_go(&self) -> bool {
        let is_heard = self.status.has_joined && self.unacked.is_empty();
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
            if matches!(self.status.phase, Phase::Unknown | Phase::Naming)
                && let Some(error) = text.strip_prefix("error: ")
            {
                let news = Some(News::Complaint(error.into()));
                return Heard { is_shown: self.status.has_joined, news, ..shown };
            }
            return shown;
        };
        let is_resuming = self.status.phase == Phase::Naming && self.ticket.is_some();
        match (answer, self.status.phase) {
            (Answer::Welcome, Phase::Unknown | Phase::Plain) => {
                self.status.phase = Phase::Naming;
                if self.ticket.is_some() {
                    self.introduce();
                }
            }
            // The name may have been sent before it was known that there is a password.
            (Answer::Welcome, _) | (Answer::PasswordFirst, Phase::Naming) => {}
            (Answer::PasswordNeeded, Phase::Naming) => return self.locked(None),
            (Answer::WrongPassword, Phase::Naming) => {
                (self.password, self.key, self.hello) = (None, None, None);
                return self.locked(Some("wrong password"));
            }
            (Answer::TlsOnly, Phase::Unknown) => {
                return barred("this room speaks TLS only; put tls:// before its address");
            }
            (Answer::ShownOut(why), _) => return barred(why),
            (Answer::Resumed { name, heard }, _) if is_resuming => {
                self.unacked.heard(heard);
                self.unacked.begin(heard);
                if self.ticket.as_ref().is_some_and(|(_, position)| *position == u64::MAX) {
                    self.unacked.ask();
                }
                let news = if self.enter(name) { News::Resumed } else { News::Returned };
                return Heard { news: Some(news), ..hidden };
            }
            (Answer::Missed(bytes), _) if is_resuming => {
                self.advance(bytes);
                return shown;
            }
            (Answer::BadSession, _) if is_resuming => self.join_anew(),
            (Answer::Named(name), Phase::Naming) => {
                self.hello = Some(ASK.into());
                // What was sent before this greeting came late was said under this name.
                self.unacked.heard_all();
                return Heard { news: self.enter(name).then_some(News::Rejoined), ..shown };
            }
            (Answer::NameTaken(why), Phase::Naming) => match self.wanted.retry() {
                Some(name) => {
                    self.status.name = name;
                    self.join_anew();
                }
                None => return self.refuse(why.into()),
            },
            (Answer::BadName(why), Phase::Naming) => {
                return self.refuse(format!("the name {} will not do: {why}", self.status.name));
            }
            (Answer::Session { token, position, heard }, Phase::Joined) => {
                if self.ticket.replace((token.into(), position)).is_some() {
                    return Heard { is_shown: self.unacked.heard(heard), ..hidden };
                }
                self.unacked.begin(heard);
                if self.is_kept {
                    // A session of which a line was heard has its name reserved.
                    self.unacked.ask();
                }
            }
            (Answer::ResumedElsewhere, Phase::Joined) => return barred("this session was resumed elsewhere"),
            _ => return shown,
        }
        hidden
    }

    fn advance(&mut self, bytes: u64) {
        if let Some((_, position)) = &mut self.ticket {
            *position = position.saturating_add(bytes);
        }
    }

    fn refuse(&mut self, why: String) -> Heard {
        self.status.refused = Some(why.clone());
        Heard { news: Some(News::Refused(why)), ..Heard::default() }
    }

    /// The room has a password, and it is not the one that was `said`, if any was.
    fn locked(&mut self, why: Option<&str>) -> Heard {
        if !self.is_confidential {
            return barred("this room has a password, and others can read along; put tls:// before its address");
        }
        if self.password.is_some() {
            self.say_password();
            return Heard::default();
        }
        self.status.is_locked = true;
        Heard { news: Some(News::Locked(why.map(str::to_owned))), ..Heard::default() }
    }

    /// Says the password, and then once more who is there.
    fn say_password(&mut self) {
        self.key = self.password.as_ref().map(|password| format!("!password {password}"));
        self.introduce();
    }

    /// Says who is there: by the ticket, or by the name.
    fn introduce(&mut self) {
        match &self.ticket {
            Some((token, position)) => self.hello = Some(format!("!resume {token}@{position}")),
            None => self.join_anew(),
        }
    }

    /// Joins as one who was never here.
    fn join_anew(&mut self) {
        self.ticket = None;
        self.hello = Some(self.status.name.clone());
        self.unacked.begin(0);
    }

    /// The user is in the room. Returns whether they were there before.
    fn enter(&mut self, name: &str) -> bool {
        self.status.phase = Phase::Joined;
        name.clone_into(&mut self.status.name);
        self.wanted.begin();
        std::mem::replace(&mut self.status.has_joined, true)
    }

    /// The next line to send to a server of another kind. One of ours that is only slow to greet may still refuse the
    /// name, and takes the next line for another one. So until the server has said anything, what could be a name is
    /// followed by a space that cannot be in one, and nothing is known to be heard.
    fn next_plain(&mut self) -> Option<String> {
        let mut line = self.unacked.pop_plain()?;
        if self.has_spoken {
            self.unacked.heard_all();
        } else if Name::parse(line.as_bytes()).is_ok() {
            line.push(NO_BREAK_SPACE);
        }
        Some(line)
    }
}

fn barred(why: &str) -> Heard {
    Heard { news: Some(News::Barred(why.to_owned())), ..Heard::default() }
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
            session.say(line.as_bytes(), false);
        }
        session.connected(true);
        assert_eq!(sent(&mut session), ["carol"]);
        session
    }

    /// In the room, with the session `t`, the room read up to 100. The lines are sent.
    fn in_room(typed: &[&str]) -> Session {
        let mut session = carol(typed);
        assert_eq!(exchange(&mut session, &[GREETING, NAMED]), [ASK]);
        assert_eq!(exchange(&mut session, &["--- session t at 100, 0 heard"]), typed);
        session
    }

    fn sent(session: &mut Session) -> Vec<String> {
        std::iter::from_fn(|| session.next_to_send()).collect()
    }

    fn hear(session: &mut Session, lines: &[&str]) -> Vec<Heard> {
        lines.iter().map(|line| session.heard(line, line.len() + 1)).collect()
    }

    /// What is sent after these lines.
    fn exchange(session: &mut Session, lines: &[&str]) -> Vec<String> {
        hear(session, lines);
        sent(session)
    }

    /// What the next connection begins with.
    fn reconnect(session: &mut Session) -> Vec<String> {
        session.broke();
        session.connected(true);
        assert_eq!(session.hello.is_some(), session.ticket.is_none(), "no token before the greeting");
        exchange(session, &[GREETING])
    }

    /// Before the server has said what it is, the name is all that is sent; then nothing before there is a session.
    #[test]
    fn lines_wait_for_a_session() {
        let mut session = carol(&["hello"]);
        let heard = hear(&mut session, &[GREETING, "bob: before", NAMED, "bob: now"]);
        assert_eq!(heard.iter().map(|heard| heard.is_history).collect::<Vec<_>>(), [false, true, false, false]);
        assert_eq!(sent(&mut session), [ASK]);
        assert_eq!(exchange(&mut session, &["--- session t at 0, 0 heard"]), ["hello"]);
    }

    const LOCKED: &str = "--- this room has a password: say !password WORD, then your name";

    /// A password is said before the name, which was sent too early, and before the ticket. Where it is not known, or
    /// wrong, the user is asked.
    #[test]
    fn passwords_are_said_first() {
        let early = "--- error: say !password WORD first";
        let mut session = carol(&["hello"]);
        let heard = hear(&mut session, &[GREETING, LOCKED, early]);
        assert_eq!((heard[1].news.as_ref(), session.status.is_locked), (Some(&News::Locked(None)), true));
        assert_eq!((sent(&mut session).len(), session.awaits_answer(), heard[2].is_shown), (0, false, false));
        session.unlock("sesam".into());
        assert_eq!(
            (sent(&mut session), session.status.is_locked),
            (vec!["!password sesam".into(), "carol".into()], false)
        );
        let heard = hear(&mut session, &["--- error: wrong password", early]);
        assert_eq!(heard[0].news, Some(News::Locked(Some("wrong password".into()))));
        session.unlock("sesame".into());
        assert_eq!(sent(&mut session), ["!password sesame", "carol"]);
        assert_eq!(exchange(&mut session, &[NAMED]), [ASK]);
        hear(&mut session, &["--- session t at 100, 0 heard"]);
        session.broke();
        session.connected(true);
        assert_eq!(exchange(&mut session, &[GREETING, LOCKED]), ["!password sesame", "!resume t@100"]);
    }

    /// A password is not said where others can read along.
    #[test]
    fn passwords_are_kept_from_others() {
        let mut session = carol(&[]);
        session.use_password(Some("sesame".into()));
        session.broke();
        session.connected(false);
        let heard = hear(&mut session, &[GREETING, LOCKED]);
        assert!(matches!(&heard[1].news, Some(News::Barred(why)) if why.contains("tls://")), "{heard:?}");
        assert_eq!(sent(&mut session), ["carol"]);
    }

    /// A name that cannot be had is chosen anew, or tried again after a break.
    #[test]
    fn refused_names_are_chosen_anew() {
        let away = "--- error: the name carol belongs to someone who is away";
        for line in [TAKEN, away, "--- error: bad name: it is empty"] {
            let mut session = carol(&["hello"]);
            assert_eq!((exchange(&mut session, &[GREETING, line]).len(), session.status.refused.is_some()), (0, true));
            session.choose(Name::parse(b"zoe").unwrap());
            assert_eq!((sent(&mut session), &session.status.refused), (vec!["zoe".into()], &None));
            hear(&mut session, &[line]);
            assert_eq!((reconnect(&mut session), &session.status.refused), (vec!["zoe".into()], &None));
        }
    }

    /// In the room, errors are shown like any answer, but for the one that says that the session has gone elsewhere.
    #[test]
    fn errors_in_the_room_are_shown() {
        let mut session = in_room(&[]);
        for line in [TAKEN, "--- error: bad name: it is empty", NO_SESSION, "--- 2 online:", "--- you are carol"] {
            assert_eq!(hear(&mut session, &[line]), [Heard { is_shown: true, ..Heard::default() }]);
        }
        for line in ["resumed elsewhere", "you were kicked (spam)", "you are banned for 1h (spam)"] {
            let heard = hear(&mut session, &[&format!("--- error: {line}")]);
            assert!(matches!(&heard[0].news, Some(News::Barred(why)) if why.ends_with(line)), "{heard:?}");
        }
        let heard = hear(&mut carol(&[]), &["--- error: the server is full"]);
        assert_eq!(heard[0].news, Some(News::Complaint("the server is full".into())));
    }

    /// What was read is counted in public bytes, from where the session was opened, and over what was missed. After a
    /// line too long to be read, the place to go on is the end until the server has told it.
    #[test]
    fn positions_are_counted() {
        let mut session = in_room(&[]);
        hear(&mut session, &["bob: hi", "--- 3 online:", "*** bob left"]);
        assert_eq!(reconnect(&mut session), [format!("!resume t@{}", 100 + 8 + 13)]);
        hear(&mut session, &["--- missed 1000 bytes: more than the server keeps", "bob: hi"]);
        assert_eq!(reconnect(&mut session), [format!("!resume t@{}", 121 + 1008)]);
        session.heard_too_long();
        assert_eq!(exchange(&mut session, &["--- resumed as carol, 0 heard"]), [ASK]);
        assert_eq!(hear(&mut session, &["--- session t at 5000, 1 heard"]), [Heard::default()]);
        assert_eq!(reconnect(&mut session), ["!resume t@5000"]);
        session.heard_too_long();
        assert_eq!(reconnect(&mut session), [format!("!resume t@{}", u64::MAX)]);
    }

    /// What the server has not heard is sent again, be it message, command or whisper, and what was typed meanwhile
    /// follows; the name is the one that the server says.
    #[test]
    fn resumes() {
        let mut session = in_room(&["one", "!nick zoe", "!msg bob psst", "!who"]);
        session.say(b"three", false);
        assert_eq!(reconnect(&mut session), ["!resume t@100"]);
        let heard = hear(&mut session, &["carol: one", "--- resumed as zoe, 2 heard"]);
        assert_eq!(heard[1], Heard { news: Some(News::Resumed), ..Heard::default() });
        assert_eq!((session.status.name.as_str(), session.unacked.len()), ("zoe", 3));
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
        assert_eq!(exchange(&mut session, &["--- session t at 100, 1 heard"]), [ASK]);
        reconnect(&mut session);
        assert_eq!(exchange(&mut session, &[NO_SESSION]), ["carol"]);
        assert_eq!(hear(&mut session, &[NAMED])[0].news, Some(News::Rejoined));
        assert_eq!(exchange(&mut session, &["--- session u at 7, 0 heard"]), [ASK, "two"]);
    }

    /// The client leaves once all was heard, with the user's last words, or at once.
    #[test]
    fn leaves() {
        let mut session = in_room(&["one"]);
        session.say(b"!EXIT bye", false);
        assert_eq!((sent(&mut session), session.may_go()), (vec![ASK.into()], false));
        hear(&mut session, &["carol: one", "--- session t at 110, 2 heard"]);
        assert_eq!((session.may_go(), sent(&mut session), session.is_over()), (true, vec!["!EXIT bye".into()], true));
        for (mut session, expected) in [(in_room(&["one"]), vec!["!exit".to_owned()]), (carol(&["one"]), vec![])] {
            session.leave_now();
            assert_eq!((sent(&mut session), session.is_over()), (expected, true));
        }
    }

    /// A server that does not greet gets what is typed as it is typed, but never a name for a message. What it may not
    /// have heard is sent again over the next connection.
    #[test]
    fn other_servers_are_spoken_to_plainly() {
        let mut session = carol(&["!who", "secret"]);
        session.say(b"!x", true);
        for _ in 0..2 {
            session.not_greeted();
            assert_eq!(sent(&mut session), ["!who", "secret\u{a0}", "!x"]);
            assert_eq!((session.status.has_joined, session.unacked.len()), (false, 3));
            session.broke();
            session.connected(true);
            assert_eq!(sent(&mut session), ["carol"]);
        }
        let complaint = "not a gotcp server (it says: HTTP/1.1 400)".into();
        let heard = hear(&mut session, &["HTTP/1.1 400", "carol: !who"]);
        assert_eq!(heard[0], Heard { news: Some(News::Complaint(complaint)), ..Heard::default() });
        assert_eq!(heard[1], Heard { is_shown: true, ..Heard::default() });
        session.leave();
        assert_eq!((sent(&mut session), session.is_over()), (vec!["!who".into(), "secret".into(), "!x".into()], true));

        let mut session = in_room(&["one"]);
        session.broke();
        session.connected(true);
        assert_eq!(
            (sent(&mut session).len(), session.awaits_greeting()),
            (0, false),
            "it may be a server of ours, only slow"
        );
        assert_eq!(hear(&mut session, &["bob: hi"])[0].news, Some(News::Rejoined));
        assert_eq!(sent(&mut session), ["carol", "one"]);
    }

    /// A server of ours that greets late has taken the lines for what they are if it takes the name, and not otherwise.
    #[test]
    fn late_greetings_double_nothing() {
        for (line, again) in [(NAMED, false), (TAKEN, true)] {
            let mut session = carol(&["secret"]);
            session.not_greeted();
            assert_eq!(sent(&mut session), ["secret\u{a0}"]);
            hear(&mut session, &[GREETING, line]);
            if again {
                session.choose(Name::parse(b"zoe").unwrap());
                assert_eq!(sent(&mut session), ["zoe"]);
                hear(&mut session, &["--- you are zoe; 1 online; !help"]);
            }
            assert_eq!(exchange(&mut session, &["--- session t at 0, 0 heard"]).contains(&"secret".into()), again);
        }
    }
}
