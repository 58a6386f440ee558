//! Whispers for people at other servers. Their text is not in the log: they go from server to server.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::client::State;
use super::commands::Whisper;
use super::limits::{MAX_PRIVATE, MAX_WHISPERS_TOTAL};
use super::proposals::Caller;
use super::{ClientId, Lobby};
use crate::protocol::name::Name;
use crate::protocol::notice::{Error, Private};
use crate::protocol::text::is_harmless;
use crate::room::roster::Seat;
use crate::room::servers::ServerId;

/// A whisper on its way to another server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// Who whispers.
    pub from: Name,
    /// Who is to read it.
    pub reader: Seat,
    /// What.
    pub text: Box<str>,
    /// It must not be read before what so many turns of the log have come to.
    pub after: u64,
}

/// A letter that was not sent yet: to which server it goes, and the number under which its answer is expected.
pub type Outgoing = (ServerId, u64, Letter);

/// What became of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Delivery {
    /// It will be read, unless the connection of its reader breaks.
    Taken,
    /// Its reader has too much to read.
    ReadsTooSlowly,
    /// Its reader is not there, or nobody has answered.
    Unreachable,
}

/// Letters under way.
#[derive(Debug, Default)]
pub(super) struct Letters {
    /// Those that were not sent yet.
    new: Vec<Outgoing>,
    /// Who waits for an answer, by number.
    awaited: BTreeMap<u64, (Option<Caller>, Name, Box<str>)>,
    last: u64,
}

impl Letters {
    /// Forgets all of them: those who wait are gone. Numbers are not used again.
    pub fn clear(&mut self) {
        self.new.clear();
        self.awaited.clear();
    }

    /// How many answers a connection waits for.
    pub fn awaited_by(&self, serial: u64) -> usize {
        self.awaited.values().filter(|(caller, ..)| caller.is_some_and(|caller| caller.serial == serial)).count()
    }
}

impl Lobby {
    /// The letters that are to be sent.
    pub fn take_letters(&mut self) -> Vec<Outgoing> {
        std::mem::take(&mut self.letters.new)
    }

    /// Passes a whisper on to another server. What its sender asks next waits for the answer.
    pub(super) fn send_letter(&mut self, caller: Option<ClientId>, to: ServerId, whisper: Whisper) {
        let Whisper { from, to: name, reader, text } = whisper;
        // The turn that says it was processed is not over yet.
        let after = self.room.digest().turns() + 1;
        let letters = &mut self.letters;
        letters.last += 1;
        letters.new.push((to, letters.last, Letter { from, reader, text: text.clone(), after }));
        let number = letters.last;
        let caller = caller.map(|id| self.await_decision(id));
        self.letters.awaited.insert(number, (caller, name, text));
    }

    /// A letter is answered. Every letter has to be, at the latest when nobody has done so for a while.
    pub fn letter_answered(&mut self, number: u64, delivery: Delivery) {
        let Some((caller, to, text)) = self.letters.awaited.remove(&number) else { return };
        if let Some(id) = caller.and_then(|caller| self.decided(caller)) {
            self.tell_delivery(id, &to, &text, delivery);
        }
    }

    /// Gives a letter from another server to its reader.
    pub fn deliver(&mut self, letter: &Letter) -> Delivery {
        let Letter { from, reader, text, .. } = letter;
        if is_harmless(from.as_str()) && is_harmless(text) {
            self.hand_over(from, *reader, text)
        } else {
            Delivery::Unreachable
        }
    }

    /// Gives a whisper to its reader, if they are here.
    pub(super) fn hand_over(&mut self, from: &Name, reader: Seat, text: &str) -> Delivery {
        let is_reader = |id: &ClientId| self.client(*id).state == State::Member(reader);
        let Some(id) = self.connection_of(reader.person).filter(is_reader) else { return Delivery::Unreachable };
        if self.client(id).outbox.aside_bytes() >= MAX_PRIVATE || self.private_bytes >= MAX_WHISPERS_TOTAL {
            return Delivery::ReadsTooSlowly;
        }
        self.tell(id, Private::WhisperFrom { from: from.as_str(), text });
        self.client_mut(id).whisperer = Some(Box::new(from.clone()));
        Delivery::Taken
    }

    /// Tells whoever whispered what became of it.
    pub(super) fn tell_delivery(&mut self, id: ClientId, to: &Name, text: &str, delivery: Delivery) {
        let to = to.as_str();
        self.tell(
            id,
            match delivery {
                Delivery::Taken => Private::WhisperTo { to, text },
                Delivery::ReadsTooSlowly => Private::Error(Error::ReadsTooSlowly(to)),
                Delivery::Unreachable => Private::Error(Error::Unreachable(to)),
            },
        );
    }
}
