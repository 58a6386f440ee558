//! From a proposal to what came of it.
//!
//! Whatever everybody is to see goes to the log as an entry, and has an effect once the log has it, in the log's order. A
//! log in memory has it at once. Any other one takes a moment. What is to be done then, the [`Purpose`] of the proposal,
//! waits here:
//!
//! ```text
//!   decide ──> propose ──> entries ──> THE LOG ──> apply ──> settle
//!                 └── purpose ──> undecided ─────────────────^
//! ```
//!
//! The order that a connection sees is the same with every log: a line that may be answered by itself waits until
//! everything that the connection sent before is decided; and behind a name, a `!resume`, a `!nick` or an `!exit` every
//! line does.

use std::collections::VecDeque;
use std::mem;
use std::time::Duration;

use super::client::{Client, State};
use super::commands::Whisper;
use super::event::Event;
use super::login::Resume;
use super::orders::Given;
use super::{ClientId, Due, Lobby};
use crate::protocol::name::Name;
use crate::room::entry::{Change, Entry, Outcome, Unreadable};
use crate::room::roster::{Presence, Seat};
use crate::room::session::SessionId;

/// Proposals that are not decided yet.
#[derive(Debug, Default)]
pub(super) struct Proposals {
    /// Encoded entries that the log has not been given yet.
    entries: Vec<u8>,
    /// What they and those that the log has been given are for, in order.
    undecided: VecDeque<Undecided>,
    /// What all of them append at most, in bytes.
    pub(super) bytes: usize,
}

#[derive(Debug)]
struct Undecided {
    purpose: Purpose,
    caller: Option<Caller>,
    /// What the entry appends at most, in bytes.
    bytes: usize,
}

impl Proposals {
    /// Whether a connection newer than `serial` has asked to resume a session.
    pub fn has_later_resume(&self, session: &SessionId, serial: u64) -> bool {
        self.undecided.iter().any(|undecided| match (&undecided.purpose, undecided.caller) {
            (Purpose::Resume(resume), Some(caller)) => caller.serial > serial && resume.token.id() == *session,
            _ => false,
        })
    }

    /// Asserts the invariants: what all may append is the sum of what each may, and every connection knows how many
    /// proposals it waits for.
    pub fn check(&self, clients: &[Option<Client>]) {
        assert_eq!(self.bytes, self.undecided.iter().map(|undecided| undecided.bytes).sum::<usize>());
        for client in clients.iter().flatten() {
            let is_its = |undecided: &&Undecided| undecided.caller.is_some_and(|caller| caller.serial == client.serial);
            assert_eq!(self.undecided.iter().filter(is_its).count(), client.undecided as usize);
            assert!(!client.is_held_up || client.undecided > 0);
        }
    }
}

/// A connection, which may be gone by the time at which its proposal is decided, and another one have its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    id: ClientId,
    serial: u64,
}

/// What a proposal is for: what to do once it is decided, besides what everybody sees.
#[derive(Debug)]
pub(super) enum Purpose {
    /// Nothing.
    Nothing,
    /// The connection is that of a newcomer, or is told why not.
    Join(Name),
    /// The connection is that of the owner of a session, or is told why not.
    Resume(Box<Resume>),
    /// The connection is told why there is no new name, if there is none.
    Rename(Name),
    /// A whisper is passed on.
    Whisper(Box<Whisper>),
    /// The connection is told that it is an operator's.
    Promote,
    /// Those concerned are told what an operator decided.
    Order(Box<Given>),
    /// The connection is told how many of its lines were heard.
    TellSession,
    /// The connection ends, with everything up to here delivered.
    Dismiss,
    /// The same, and its owner is away.
    Break {
        /// The seat that they had.
        seat: Seat,
        /// Until when they may come back.
        back_by: Duration,
    },
    /// Everybody is away, and has until then to come back.
    StartAnew {
        /// Until when.
        back_by: Duration,
    },
    /// Every connection ends.
    ShutDown,
}

impl Purpose {
    /// Whether what the connection sends next has to wait for the decision, whatever it is.
    fn holds_up_lines(&self) -> bool {
        !matches!(self, Purpose::Nothing | Purpose::Whisper(_) | Purpose::TellSession | Purpose::Order(_))
    }
}

impl Lobby {
    /// The entries that were proposed since the last call, for the log; `None` if there are none.
    pub fn take_proposals(&mut self) -> Option<Vec<u8>> {
        let entries = &mut self.proposals.as_mut()?.entries;
        (!entries.is_empty()).then(|| mem::take(entries))
    }

    /// Applies entries that the log has, in its order.
    ///
    /// # Errors
    /// Where they are not what [`Lobby::take_proposals`] returned. Those before have been applied.
    pub fn apply(&mut self, entries: &[u8], now: Duration) -> Result<(), Unreadable> {
        for entry in Entry::decode(entries) {
            let outcome = self.room.apply(entry?);
            let proposals = self.proposals.as_mut().ok_or(Unreadable)?;
            let Undecided { purpose, caller, bytes } = proposals.undecided.pop_front().ok_or(Unreadable)?;
            proposals.bytes -= bytes;
            let caller = caller.and_then(|caller| self.decided(caller));
            self.settle(caller, purpose, outcome, now);
        }
        Ok(())
    }

    /// Whether everything that a connection has sent is decided.
    #[must_use]
    pub fn is_settled(&self, id: ClientId) -> bool {
        self.client(id).undecided == 0
    }

    /// Proposes a change to the log, on behalf of a connection if there is one. Nothing else makes a line that everybody
    /// sees.
    pub(super) fn propose(&mut self, caller: Option<ClientId>, purpose: Purpose, change: Change<'_>, now: Duration) {
        let entry = Entry { at: now, change };
        let Some(proposals) = &mut self.proposals else {
            let outcome = self.room.apply(entry);
            return self.settle(caller, purpose, outcome, now);
        };
        entry.encode(&mut proposals.entries);
        let bytes = entry.change.longest_line();
        proposals.bytes += bytes;
        let caller = caller.map(|id| {
            let client = self.clients[id.0].as_mut().expect(super::KNOWN);
            client.undecided += 1;
            client.is_held_up |= purpose.holds_up_lines();
            Caller { id, serial: client.serial }
        });
        proposals.undecided.push_back(Undecided { purpose, caller, bytes });
    }

    /// One proposal of a connection is decided. Returns the connection, unless it has gone or is going.
    fn decided(&mut self, caller: Caller) -> Option<ClientId> {
        let client = self.clients[caller.id.0].as_mut().filter(|client| client.serial == caller.serial)?;
        client.undecided -= 1;
        client.is_held_up &= client.undecided > 0;
        (client.state != State::Closing).then_some(caller.id)
    }

    /// Does what is to be done once a proposal is decided.
    fn settle(&mut self, caller: Option<ClientId>, purpose: Purpose, outcome: Outcome, now: Duration) {
        match &outcome {
            Outcome::Said(span) => self.events.push(Event::Said(span.clone())),
            Outcome::Renamed(span) | Outcome::Noticed(span) => self.events.push(Event::Told(span.clone())),
            Outcome::Muted(until) => {
                if let Some(id) = caller {
                    self.tell_muted(id, *until, now);
                }
            }
            Outcome::Left(span) | Outcome::Expelled(_, span) => {
                self.events.push(Event::Left(span.clone(), self.room.roster().online()));
            }
            _ => {}
        }
        match purpose {
            Purpose::Join(name) => self.joined(caller, &name, outcome, now),
            Purpose::Resume(resume) => self.resumed(caller, &resume, outcome, now),
            Purpose::Rename(name) => self.renamed(caller, &name, &outcome),
            Purpose::Promote => self.promoted(caller, &outcome),
            Purpose::Order(given) => self.ordered(caller, *given, &outcome, now),
            Purpose::Whisper(whisper) if outcome == Outcome::Done => self.pass_on(caller, &whisper),
            Purpose::Nothing | Purpose::Whisper(_) => {}
            Purpose::TellSession => {
                if let Some(id) = caller {
                    self.tell_session(id, self.room.scrollback().end());
                }
            }
            Purpose::Dismiss => self.dismiss_caller(caller),
            Purpose::Break { seat, back_by } => {
                if outcome == Outcome::Done {
                    self.deadlines.insert((back_by, Due::GiveUp(seat)));
                    self.events.push(Event::Broke(self.room.roster().person(seat.person).name.clone()));
                }
                self.dismiss_caller(caller);
            }
            Purpose::StartAnew { back_by } => {
                let is_away = |presence: &Presence| matches!(presence, Presence::Away { .. });
                let people = self.room.roster().people().filter(|(_, person)| is_away(&person.presence));
                let seats = people.map(|(key, person)| Seat { person: key, number: person.seat });
                self.deadlines.extend(seats.map(|seat| (back_by, Due::GiveUp(seat))));
            }
            Purpose::ShutDown => self.end_all(outcome),
        }
    }

    fn dismiss_caller(&mut self, caller: Option<ClientId>) {
        if let Some(id) = caller {
            self.dismiss(id);
        }
    }
}
