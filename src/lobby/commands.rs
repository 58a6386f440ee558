//! What the lines of a member mean.

use std::time::Duration;

use super::client::State;
use super::limits::{MAX_PRIVATE, MAX_PRIVATE_TOTAL, MAX_WHISPERS_TOTAL};
use super::proposals::Purpose;
use super::questions::{DEFAULT_HISTORY, MAX_HISTORY};
use super::rate_limit::cost_of;
use super::{ClientId, Lobby};
use crate::protocol::command::Command;
use crate::protocol::name::{BadName, MAX_BYTES, Name};
use crate::protocol::notice::{self, Error, Private};
use crate::protocol::text::sanitise;
use crate::room::entry::{Act, Farewell, Outcome};
use crate::room::roster::{Found, PersonKey, Presence, Seat};
use crate::room::session::SessionToken;

/// A whisper on its way.
#[derive(Debug)]
pub(super) struct Whisper {
    pub from: Name,
    pub to: Name,
    pub reader: Seat,
    pub text: Box<str>,
}

/// The longest line of names, in bytes, unless one name is longer.
const NAMES_WIDTH: usize = 96;

impl Lobby {
    /// Processes a line of a member.
    pub(super) fn handle_command(&mut self, id: ClientId, seat: Seat, line: &[u8], now: Duration) {
        let text = sanitise(line);
        match Command::parse(&text) {
            Command::Nothing => {}
            Command::Say(text) => self.speak(id, seat, Act::Say(text), text.len(), now),
            Command::Me(text) => self.speak(id, seat, Act::Me(text), text.len(), now),
            Command::Msg { to, text } => self.whisper(id, seat, to, text, now),
            Command::Reply(text) => match self.client(id).whisperer.clone() {
                Some(name) => self.whisper(id, seat, name.as_str(), text, now),
                None => self.tell(id, Private::Error(Error::NoWhisper)),
            },
            Command::Nick(name) => self.rename(id, seat, name, now),
            Command::Who => self.ask_for_names(id, now),
            Command::Help => {
                let is_operator = self.room.roster().person(seat.person).is_operator;
                notice::help(self.proposals.is_some(), is_operator).for_each(|line| self.tell(id, line));
            }
            Command::History(lines) => {
                self.ask_for_history(id, lines.unwrap_or(DEFAULT_HISTORY).min(MAX_HISTORY), now);
            }
            Command::Search(words) => self.ask_for_lines_with(id, words, now),
            Command::Operator(word) => self.become_operator(id, seat, word, now),
            Command::Order(order) => self.take_order(id, seat, order, now),
            Command::Password(_) => self.tell(id, Private::Error(Error::PasswordNotNow)),
            Command::Session => self.open_session(id, seat, now),
            Command::Exit(words) => self.act(id, seat, Purpose::Dismiss, Act::Leave(Farewell::Words(words)), now),
            Command::Usage(usage) => self.tell(id, Private::Error(Error::Usage(usage))),
            Command::Unknown(word) => self.tell(id, Private::Error(Error::UnknownCommand(word))),
        }
    }

    fn speak(&mut self, id: ClientId, seat: Seat, act: Act<'_>, bytes: usize, now: Duration) {
        self.charge_bytes(id, self.room.roster().person(seat.person).name.as_str().len() + bytes, now);
        self.act(id, seat, Purpose::Nothing, act, now);
    }

    /// A whisper is entered as processed first, and sent only if that entry took effect: so it arrives at most once.
    fn whisper(&mut self, id: ClientId, seat: Seat, to: &str, text: &str, now: Duration) {
        let muted_until = self.room.roster().person(seat.person).muted_until;
        if muted_until > now {
            return self.tell_muted(id, muted_until, now);
        }
        if to.len() > MAX_BYTES {
            return self.tell(id, Private::Error(Error::BadName(BadName::TooLong)));
        }
        let person = match self.room.roster().find(to) {
            Found::Person(person) => person,
            Found::Nobody => return self.tell(id, Private::Error(Error::NobodyCalled(to))),
            Found::Several => return self.tell(id, Private::Error(Error::SeveralCalled(to))),
        };
        let name = |lobby: &Lobby, person| lobby.room.roster().person(person).name.clone();
        let to = name(self, person);
        match self.connection_of(person) {
            Some(target) => {
                let waiting = self.client(target).outbox.aside_bytes();
                if waiting >= MAX_PRIVATE || self.private_bytes >= MAX_WHISPERS_TOTAL {
                    return self.tell(id, Private::Error(Error::ReadsTooSlowly(to.as_str())));
                }
            }
            None if self.is_elsewhere(person) => {}
            None => return self.tell(id, Private::Error(Error::Unreachable(to.as_str()))),
        }
        let reader = Seat { person, number: self.room.roster().person(person).seat };
        let whisper = Whisper { from: name(self, seat.person), to, reader, text: text.into() };
        self.act(id, seat, Purpose::Whisper(Box::new(whisper)), Act::Heard, now);
    }

    /// A whisper was entered as processed.
    pub(super) fn pass_on(&mut self, caller: Option<ClientId>, whisper: Whisper) {
        let Seat { person, number } = whisper.reader;
        let is_same = self.room.roster().get(person).is_some_and(|person| person.seat == number);
        if is_same && self.is_elsewhere(person) {
            let server = self.room.roster().person(person).server;
            return self.send_letter(caller, server, whisper);
        }
        let delivery = self.hand_over(&whisper.from, whisper.reader, &whisper.text);
        if let Some(id) = caller {
            self.tell_delivery(id, &whisper.to, &whisper.text, delivery);
        }
    }

    /// Whether someone is here, over a connection to another server.
    fn is_elsewhere(&self, person: PersonKey) -> bool {
        let person = self.room.roster().person(person);
        person.presence == Presence::Here && person.server != self.server
    }

    fn rename(&mut self, id: ClientId, seat: Seat, name: &str, now: Duration) {
        let name = match Name::parse(name.as_bytes()) {
            Ok(name) => name,
            Err(reason) => return self.tell(id, Private::Error(Error::BadName(reason))),
        };
        if name == self.room.roster().person(seat.person).name {
            return self.tell(id, Private::StillNamed(name.as_str()));
        }
        self.act(id, seat, Purpose::Rename(name.clone()), Act::Rename(name), now);
    }

    /// What came of another name.
    pub(super) fn renamed(&mut self, caller: Option<ClientId>, name: &Name, outcome: &Outcome) {
        let error = match outcome {
            Outcome::NameTaken => Error::NameTaken(name.as_str()),
            Outcome::NameReserved => Error::NameReserved(name.as_str()),
            _ => return,
        };
        if let Some(id) = caller {
            self.tell(id, Private::Error(error));
        }
    }

    /// Answers `!who`, or puts the answer off until fewer private bytes wait in total.
    fn ask_for_names(&mut self, id: ClientId, now: Duration) {
        if self.private_bytes >= MAX_PRIVATE_TOTAL {
            self.client_mut(id).awaits_names = true;
            self.awaiting_names.push_back(id);
        } else {
            self.tell_names(id, now);
        }
    }

    /// Gives the answers to `!who` that were put off, as far as there is room.
    pub(super) fn answer_waiting(&mut self, now: Duration) {
        while self.private_bytes < MAX_PRIVATE_TOTAL {
            let Some(id) = self.awaiting_names.pop_front() else { return };
            // The connection may be gone, and its number may be another one's.
            if let Some(client) = &mut self.clients[id.0]
                && std::mem::take(&mut client.awaits_names)
                && !self.is_closing(id)
            {
                self.tell_names(id, now);
            }
        }
    }

    /// Tells who is here. A long answer costs as much as a line of that length.
    fn tell_names(&mut self, id: ClientId, now: Duration) {
        let before = self.client(id).outbox.aside_bytes();
        self.tell(id, Private::Online(self.room.roster().online()));
        for line in &self.name_lines() {
            self.tell(id, Private::Names(line));
        }
        self.charge(id, cost_of(self.client(id).outbox.aside_bytes() - before) - 1, now);
    }

    /// The names of everybody who is here, in order, as many on a line as fit.
    pub(super) fn name_lines(&self) -> Vec<String> {
        let mut names: Vec<&str> = self.room.roster().names().collect();
        names.sort_unstable();
        let mut lines = vec![String::new()];
        for name in names {
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
        lines
    }

    fn open_session(&mut self, id: ClientId, seat: Seat, now: Duration) {
        let act = if self.client(id).token.is_none() {
            let token = SessionToken::new((self.random)());
            let session = token.id();
            let client = self.client_mut(id);
            (client.heard, client.token) = (0, Some(Box::new(token)));
            Act::OpenSession(session)
        } else {
            Act::Heard
        };
        self.act(id, seat, Purpose::TellSession, act, now);
    }

    /// Tells the owner of a session, if it is one, what to come back with and how many lines were heard.
    pub(super) fn tell_session(&mut self, id: ClientId, position: u64) {
        let State::Member(seat) = self.client(id).state else { return };
        let Some(session) = &self.room.roster().person(seat.person).session else { return };
        let heard = session.heard;
        if let Some(token) = self.client(id).token.as_ref().map(ToString::to_string) {
            self.tell_at(id, position, Private::Session { token: &token, position, heard });
        }
    }
}
