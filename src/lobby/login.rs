//! What the first line of a connection means: a name, or a session to resume.

use std::time::Duration;

use super::event::Event;
use super::limits::{MAX_REFUSED, MAX_WRONG_PASSWORDS, WRONG_PASSWORD_COST};
use super::proposals::Purpose;
use super::rate_limit::JOIN_COST;
use super::{ClientId, Lobby};
use crate::protocol::command::Command;
use crate::protocol::name::Name;
use crate::protocol::notice::{CONNECTION_LOST, Error, Private};
use crate::protocol::text::sanitise;
use crate::room::entry::{Act, Change, Farewell, Outcome};
use crate::room::roster::Seat;
use crate::room::session::{SessionId, SessionToken};

/// What a returning connection sends: `!resume TOKEN@POSITION`.
#[derive(Debug)]
pub(super) struct Resume {
    pub token: SessionToken,
    position: u64,
}

impl Lobby {
    /// Processes a line of a connection that has no name.
    pub(super) fn log_in(&mut self, id: ClientId, line: &[u8], now: Duration) {
        if let Some(server) = meant_for(line) {
            self.refuse(id, Error::NotA(server));
            return self.dismiss(id);
        }
        match Command::parse(&sanitise(line)) {
            Command::Nothing => return,
            Command::Exit(_) => return self.dismiss(id),
            Command::Password(word) => return self.try_password(id, word, now),
            _ => {}
        }
        if self.limits.keys.password.is_some() && !self.client(id).has_password {
            // Nothing for the console: clients of ours say the name before they have read that there is a password.
            self.tell(id, Private::Error(Error::PasswordFirst));
            return self.count_refusal(id);
        }
        if let Some(claim) = line.strip_prefix(b"!resume ") {
            return match Resume::parse(claim) {
                Some(resume) => self.resume(id, resume, now),
                None => self.refuse_login(id, Error::BadSession),
            };
        }
        match Name::parse(line) {
            Ok(name) => self.join(id, name, now),
            Err(reason) => self.refuse_login(id, Error::BadName(reason)),
        }
    }

    /// A right word is not answered. Wrong ones cost, so that nobody can try many.
    fn try_password(&mut self, id: ClientId, word: &str, now: Duration) {
        let Some(secret) = &self.limits.keys.password else { return self.refuse_login(id, Error::NoPassword) };
        let is_right = secret.is(word);
        if !self.client(id).is_confidential() {
            self.refuse(id, Error::PasswordInPlain);
            return self.dismiss(id);
        }
        if is_right {
            self.client_mut(id).has_password = true;
            return;
        }
        self.charge(id, WRONG_PASSWORD_COST - 1, now);
        self.refuse(id, Error::WrongPassword);
        let client = self.client_mut(id);
        client.wrong_passwords += 1;
        if client.wrong_passwords == MAX_WRONG_PASSWORDS {
            self.dismiss(id);
        }
    }

    fn refuse_login(&mut self, id: ClientId, error: Error<'_>) {
        self.refuse(id, error);
        self.count_refusal(id);
    }

    fn count_refusal(&mut self, id: ClientId) {
        let client = self.client_mut(id);
        client.refused += 1;
        if client.refused == MAX_REFUSED {
            self.refuse(id, Error::TooManyNames);
            self.dismiss(id);
        }
    }

    fn join(&mut self, id: ClientId, name: Name, now: Duration) {
        let place = self.client(id).place;
        // Those at other servers take no place at this one.
        let in_all = if self.is_shared { 0 } else { self.room.roster().online() };
        if let Some(too_many) = self.access.refusal(place, in_all, self.room.roster().present_from(place)) {
            self.refuse(id, self.access.error(too_many));
            return self.dismiss(id);
        }
        self.propose(Some(id), Purpose::Join(name.clone()), Change::Join { name, place }, now);
    }

    /// What came of a name.
    pub(super) fn joined(&mut self, id: Option<ClientId>, name: &Name, outcome: Outcome, now: Duration) {
        match (outcome, id) {
            (Outcome::Joined(seat, span), Some(id)) => {
                self.charge(id, JOIN_COST - 1, now);
                let online = self.room.roster().online();
                self.events.push(Event::Joined(Some(id), span.clone(), online));
                self.welcome(id, seat, span.start, name, online);
            }
            (Outcome::Joined(seat, _), None) => {
                let act = Act::Leave(Farewell::Reason(CONNECTION_LOST));
                self.propose(None, Purpose::Nothing, Change::Act { seat, line: 0, act }, now);
            }
            (Outcome::NameTaken, Some(id)) => self.refuse_login(id, Error::NameTaken(name.as_str())),
            (Outcome::Banned, Some(id)) => self.refuse_banned(id, now),
            (Outcome::NameReserved, Some(id)) => self.refuse_login(id, Error::NameReserved(name.as_str())),
            _ => {}
        }
    }

    /// First the history, then the greeting, then the room goes on with the notice of the arrival, at `joined`.
    fn welcome(&mut self, id: ClientId, seat: Seat, joined: u64, name: &Name, online: usize) {
        let oldest = self.oldest();
        let (from, lines) = self.room.scrollback().last_lines(joined, self.limits.history, oldest.min(joined));
        self.seat(id, seat, from);
        if lines > 0 {
            self.tell_at(id, from, Private::History { lines });
        }
        self.tell_at(id, joined, Private::Named { name: name.as_str(), online });
    }

    fn resume(&mut self, id: ClientId, resume: Resume, now: Duration) {
        let session = resume.token.id();
        if self.has_moved_on(id, &session) {
            return self.end_with(id, Error::ResumedElsewhere, now);
        }
        // What the previous connection has sent is counted up to now; nothing that comes from it later is.
        if let Some(person) = self.room.roster().owner_of(&session)
            && let Some(other) = self.connection_of(person)
        {
            let seat = Seat { person, number: self.room.roster().person(person).seat };
            self.act(other, seat, Purpose::Nothing, Act::Heard, now);
            self.keep_bucket(other, now);
        }
        let place = self.client(id).place;
        let after = self.client(id).came_after;
        self.propose(Some(id), Purpose::Resume(Box::new(resume)), Change::Resume { session, place, after }, now);
    }

    /// Whether the owner of a session has come back over a connection that is newer than this one: what this one asks was
    /// sent before, and has only waited longer.
    fn has_moved_on(&self, id: ClientId, session: &SessionId) -> bool {
        let serial = self.client(id).serial;
        let person = self.room.roster().owner_of(session);
        let holder = person.and_then(|person| self.connection_of(person));
        let is_newer = holder.is_some_and(|holder| self.client(holder).serial > serial);
        is_newer || self.proposals.as_ref().is_some_and(|proposals| proposals.has_later_resume(session, serial))
    }

    /// What came of coming back.
    pub(super) fn resumed(&mut self, id: Option<ClientId>, resume: &Resume, outcome: Outcome, now: Duration) {
        let Outcome::Resumed { seat, heard, joined, .. } = outcome else {
            return match id {
                Some(id) if outcome == Outcome::Banned => self.refuse_banned(id, now),
                Some(id) if outcome == Outcome::Overtaken => self.end_with(id, Error::WasBehind, now),
                Some(id) => self.refuse_login(id, Error::BadSession),
                None => {}
            };
        };
        let &Resume { token, position } = resume;
        let Some(id) = id else {
            let (back_by, reserved_until) = (now + self.limits.grace, now + self.limits.reserve);
            let act = Act::Break { back_by, reserved_until };
            let purpose = Purpose::Break { seat, back_by };
            return self.propose(None, purpose, Change::Act { seat, line: 0, act }, now);
        };
        let lines_left = self.sessions.remove(&token.id());
        let client = self.client_mut(id);
        client.heard = heard;
        client.lines_left = client.lines_left.later(lines_left);
        client.token = Some(Box::new(token));
        self.charge(id, JOIN_COST - 1, now);

        let end = joined.as_ref().map_or(self.room.scrollback().end(), |span| span.start);
        let since = self.room.roster().person(seat.person).since;
        let from = self.place_to_resume(position.max(since), end);
        self.seat(id, seat, from);
        if from > position {
            self.tell_at(id, from, Private::Missed { bytes: from - position });
        }
        let name = self.room.roster().person(seat.person).name.clone();
        self.tell_at(id, end, Private::Resumed { name: name.as_str(), heard });
        self.events.push(match joined {
            Some(span) => Event::Joined(Some(id), span, self.room.roster().online()),
            None => Event::Returned(id, name),
        });
    }

    /// Where a reader that stopped at `position` goes on: there, or at the next start of a line that is kept. A
    /// position beyond the end is taken for the end.
    fn place_to_resume(&self, position: u64, end: u64) -> u64 {
        self.room.scrollback().line_start_from(position.clamp(self.oldest().min(end), end))
    }

    /// The oldest position at which a reader may begin, so that what this turn may still append cannot get it
    /// disconnected.
    fn oldest(&self) -> u64 {
        let watermarks = self.backpressure.watermarks;
        (self.turn_start + watermarks.turn).saturating_sub(watermarks.evict).max(self.room.scrollback().start())
    }
}

/// The kind of server that a first line is meant for, if it is another kind.
///
/// A web page can make a browser send any lines here, as the body of a request; and an SSH scanner sends its greeting
/// first, which would be a valid name. Neither must be said in the room.
fn meant_for(line: &[u8]) -> Option<&'static str> {
    if memchr::memmem::find(line, b" HTTP/").is_some() {
        return Some("a web server");
    }
    line.starts_with(b"SSH-2.0-").then_some("an SSH server")
}

impl Resume {
    fn parse(claim: &[u8]) -> Option<Resume> {
        let (token, position) = str::from_utf8(claim).ok()?.trim_ascii().split_once('@')?;
        let is_number = !position.is_empty() && position.bytes().all(|byte| byte.is_ascii_digit());
        // A number too large for a position is beyond the end, like any other large one.
        let position = is_number.then(|| position.parse().unwrap_or(u64::MAX))?;
        Some(Resume { token: SessionToken::parse(token)?, position })
    }
}
