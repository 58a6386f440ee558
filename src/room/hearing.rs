//! What a line means: the name, a message, a command, a session to resume.

use std::time::Duration;

use super::guest::Standing;
use super::limits::MAX_REFUSED;
use super::roster::{Found, Key, Presence, Token};
use super::{Due, Event, Id, Room};
use crate::protocol::command::{Command, is_exit};
use crate::protocol::name::Name;
use crate::protocol::notice::{self, Error, Private, Public};
use crate::protocol::text::sanitise;

/// How long a line of names gets before another one is begun, in bytes.
const NAMES_WIDTH: usize = 96;

/// What a connection says that comes back: `NAME TOKEN@POSITION`.
struct Claim {
    name: Name,
    token: Token,
    position: u64,
}

impl Room {
    /// Hears one line of input.
    pub(super) fn hear_line(&mut self, id: Id, line: &[u8], now: Duration) {
        match self.guest(id).standing {
            Standing::Nameless { .. } => self.hear_name(id, line),
            Standing::Member(key) => self.hear_member(id, key, line, now),
            Standing::Parting => {}
        }
    }

    fn hear_name(&mut self, id: Id, line: &[u8]) {
        if line.trim_ascii().is_empty() {
            return;
        }
        if is_exit(line) {
            return self.dismiss(id);
        }
        if let Some(claim) = Claim::parse(line) {
            if !self.resume(id, &claim) {
                self.refuse_name(id, Error::BadSession);
            }
            return;
        }
        if let Some(server) = meant_for(line) {
            self.refuse(id, Error::NotA(server));
            return self.dismiss(id);
        }
        match Name::parse(line) {
            Ok(name) if self.roster.like(&name.look()).is_some() => {
                self.refuse_name(id, Error::NameTaken(name.as_str()));
            }
            Ok(name) => self.join(id, name),
            Err(reason) => self.refuse_name(id, Error::BadName(reason)),
        }
    }

    fn refuse_name(&mut self, id: Id, error: Error<'_>) {
        self.refuse(id, error);
        let guest = self.guest_mut(id);
        guest.refused += 1;
        if guest.refused == MAX_REFUSED {
            self.refuse(id, Error::TooManyNames);
            self.dismiss(id);
        }
    }

    /// Takes someone in whom nobody here looks like: first the last lines, then the greeting, then the room goes on.
    fn join(&mut self, id: Id, name: Name) {
        let (from, lines) = self.log.last_lines(self.limits.history, self.oldest());
        let key = self.roster.add(name, id, None);
        self.seat(id, key, from);
        if lines > 0 {
            self.tell_at(id, from, Private::History { lines });
        }
        let name = self.roster.member(key).name.clone();
        self.tell(id, Private::Named { name: name.as_str(), online: self.roster.len() });
        self.announce_arrival(id, &name);
    }

    /// Takes someone back who shows the token that belongs to the name. Answers whether that was so.
    fn resume(&mut self, id: Id, claim: &Claim) -> bool {
        let Some(from) = self.place_to_resume(claim.position) else { return false };
        let here = self.roster.called(&claim.name);
        let key = match here {
            Some(key) => {
                let member = self.roster.member_mut(key);
                if !member.session.is_some_and(|session| session.is_equal(&claim.token)) {
                    return false;
                }
                match std::mem::replace(&mut member.presence, Presence::Here(id)) {
                    Presence::Here(ghost) => self.replace(ghost),
                    Presence::Away { back_by } => {
                        self.deadlines.remove(&(back_by, Due::Return(key)));
                    }
                    Presence::Leaving => unreachable!("who has a session is kept, not announced as gone"),
                }
                self.events.push(Event::Returned(id, claim.name.clone()));
                key
            }
            None if self.roster.like(&claim.name.look()).is_some() => return false,
            None => match self.roster.recall(&claim.name, &claim.token) {
                Some(session) => self.roster.add(claim.name.clone(), id, Some(session)),
                None => return false,
            },
        };
        self.seat(id, key, from);
        if from > claim.position {
            self.tell_at(id, from, Private::Missed { bytes: from - claim.position });
        }
        self.tell(id, Private::Resumed);
        if here.is_none() {
            self.announce_arrival(id, &claim.name);
        }
        true
    }

    /// Where a reader goes on that stopped at `position`: there, or at the oldest whole line if that is more recent.
    fn place_to_resume(&self, position: u64) -> Option<u64> {
        let oldest = self.oldest();
        if position > self.log.end() {
            None
        } else if position < oldest {
            Some(self.log.line_start_from(oldest))
        } else {
            self.log.is_line_start(position).then_some(position)
        }
    }

    /// The oldest position at which a reader may begin: what this turn may still append does not put it out of reach.
    fn oldest(&self) -> u64 {
        (self.turn_start + self.reach.turn).saturating_sub(self.reach.keep)
    }

    /// Makes a connection speak for a member, and read from `from` on.
    fn seat(&mut self, id: Id, key: Key, from: u64) {
        let guest = self.guests[id].as_mut().expect(super::KNOWN);
        if let Standing::Nameless { deadline } = std::mem::replace(&mut guest.standing, Standing::Member(key)) {
            self.deadlines.remove(&(deadline, Due::Name(id)));
        }
        guest.outbox.follow(from);
    }

    /// Ends the connection of someone who is here over another one now. What it sent and was not heard is forgotten:
    /// its owner sends it again.
    fn replace(&mut self, ghost: Id) {
        self.guest_mut(ghost).outbox.abandon();
        self.dismiss(ghost);
    }

    fn announce_arrival(&mut self, id: Id, name: &Name) {
        let span = self.append(&Public::Joined(name.as_str()));
        self.events.push(Event::Joined(id, span, self.roster.len()));
    }

    fn hear_member(&mut self, id: Id, key: Key, line: &[u8], now: Duration) {
        let text = sanitise(line);
        let command = Command::parse(&text);
        // Clients ask for their session every now and then on their own account: that is not to delay their owners.
        if !matches!(command, Command::Nothing | Command::Session) {
            let limit = self.limits.pace;
            let guest = self.guest_mut(id);
            guest.told_to_slow_down &= !guest.pace.has_recovered(&limit, now);
            guest.pace.heard(&limit, now);
        }
        match command {
            Command::Nothing => {}
            Command::Say(text) => self.speak(key, &[b"", b": "], text),
            Command::Me(text) => self.speak(key, &[b"* ", b" "], text),
            Command::Msg { to, text } => self.whisper(id, key, to, text),
            Command::Nick(name) => self.rename(id, key, name),
            Command::Who => self.list_names(id),
            Command::Help => notice::help().for_each(|line| self.tell(id, line)),
            Command::Session => self.open_session(id, key),
            Command::Exit => {
                self.remove_member(key, None);
                self.dismiss(id);
            }
            Command::Usage(usage) => self.tell(id, Private::Error(Error::Usage(usage))),
            Command::Unknown(word) => self.tell(id, Private::Error(Error::UnknownCommand(word))),
        }
    }

    /// Everyone hears `text` with the speaker's name between the two `marks` before it.
    fn speak(&mut self, key: Key, marks: &[&[u8]; 2], text: &str) {
        let name = self.roster.member(key).name.as_str();
        let span = self.log.append(&[marks[0], name.as_bytes(), marks[1], text.as_bytes()]);
        self.events.push(Event::Said(span));
    }

    fn whisper(&mut self, id: Id, from: Key, to: &str, text: &str) {
        let target = match self.roster.find(to) {
            Found::Member(key) => self.roster.member(key),
            Found::Nobody => return self.tell(id, Private::Error(Error::NobodyCalled(to))),
            Found::Several => return self.tell(id, Private::Error(Error::SeveralCalled(to))),
        };
        let to = target.name.clone();
        let Presence::Here(target) = target.presence else {
            return self.tell(id, Private::Error(Error::Unreachable(to.as_str())));
        };
        let from = self.roster.member(from).name.clone();
        self.tell(target, Private::WhisperFrom { from: from.as_str(), text });
        self.tell(id, Private::WhisperTo { to: to.as_str(), text });
    }

    fn rename(&mut self, id: Id, key: Key, name: &str) {
        let name = match Name::parse(name.as_bytes()) {
            Ok(name) => name,
            Err(reason) => return self.tell(id, Private::Error(Error::BadName(reason))),
        };
        if name == self.roster.member(key).name {
            // A client that came back may ask again for what it has got already.
            return;
        }
        if self.roster.like(&name.look()).is_some_and(|owner| owner != key) {
            return self.tell(id, Private::Error(Error::NameTaken(name.as_str())));
        }
        let old = self.roster.rename(key, name.clone());
        let span = self.append(&Public::Renamed { old: old.as_str(), new: name.as_str() });
        self.events.push(Event::Renamed(span));
    }

    fn list_names(&mut self, id: Id) {
        let mut lines = vec![String::new()];
        for name in self.roster.names() {
            let line = lines.last_mut().expect("there is always one");
            if line.is_empty() {
                line.push_str(name);
            } else if line.len() + 2 + name.len() > NAMES_WIDTH {
                line.push(',');
                lines.push(name.to_owned());
            } else {
                line.push_str(", ");
                line.push_str(name);
            }
        }
        self.tell(id, Private::Online(self.roster.len()));
        for line in &lines {
            self.tell(id, Private::Names(line));
        }
    }

    fn open_session(&mut self, id: Id, key: Key) {
        let member = self.roster.member_mut(key);
        let token = *member.session.get_or_insert_with(|| Token::new((self.random)()));
        self.tell(id, Private::Session { token: &token.to_string(), position: self.log.end() });
    }
}

/// The kind of server that a first line is meant for, if it is not this one.
///
/// A web page can make a browser send any lines here, as the body of a request; and what looks for SSH greets first, with
/// what would be a name. Neither must be heard in the room.
fn meant_for(line: &[u8]) -> Option<&'static str> {
    if memchr::memmem::find(line, b" HTTP/").is_some() {
        return Some("a web server");
    }
    line.starts_with(b"SSH-2.0-").then_some("an SSH server")
}

impl Claim {
    fn parse(line: &[u8]) -> Option<Claim> {
        let (name, claim) = str::from_utf8(line).ok()?.trim_ascii().split_once(' ')?;
        let (token, position) = claim.split_once('@')?;
        Some(Claim {
            name: Name::parse(name.as_bytes()).ok()?,
            token: Token::parse(token)?,
            position: position.parse().ok()?,
        })
    }
}
