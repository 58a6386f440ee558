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
use std::time::Duration;

use super::client::{Client, State};
use super::commands::Whisper;
use super::event::Event;
use super::letters::Letters;
use super::login::Resume;
use super::orders::{Given, Telling};
use super::{ClientId, Due, Lobby};
use crate::protocol::name::Name;
use crate::protocol::notice::Error;
use crate::room::entry::{Change, Entry, Outcome, Unreadable, Unusable};
use crate::room::roster::{Presence, Seat};
use crate::room::session::SessionId;
use crate::room::turn::Turn;

/// The most that one turn of the log holds, and that it appends to what was said, in bytes, unless it is one entry.
const LONGEST_TURN: usize = 64 * 1024;

/// Proposals that are not decided yet.
#[derive(Debug, Default)]
pub(super) struct Proposals {
    /// Encoded entries that the log has not been given yet, as they make turns.
    turns: VecDeque<Pending>,
    /// The number of the next turn.
    number: u64,
    /// What they and those that the log has been given are for, in order.
    undecided: VecDeque<Undecided>,
    /// What all of them append at most, in bytes.
    pub(super) bytes: usize,
}

/// Entries for one turn.
#[derive(Debug, Default)]
struct Pending {
    entries: Vec<u8>,
    /// The most that they append, in bytes.
    text: usize,
}

#[derive(Debug)]
struct Undecided {
    purpose: Purpose,
    caller: Option<Caller>,
    /// What the entry appends at most, in bytes.
    bytes: usize,
}

impl Proposals {
    /// Adds an entry to those that the log is to be given.
    fn add(&mut self, entry: &Entry<'_>) {
        if self.turns.is_empty() {
            self.turns.push_back(Pending::default());
        }
        let Pending { entries, text } = self.turns.back_mut().expect("there is one");
        let (before, longest) = (entries.len(), entry.change.longest_line());
        entry.encode(entries);
        if before > 0 && entries.len().max(*text + longest) > LONGEST_TURN {
            let entries = entries.split_off(before);
            self.turns.push_back(Pending { entries, text: longest });
        } else {
            *text += longest;
        }
    }

    /// Forgets all of them: they are those of a server that is gone.
    pub fn clear(&mut self) {
        *self = Proposals::default();
    }

    /// Whether a connection newer than `serial` has asked to resume a session.
    pub fn has_later_resume(&self, session: &SessionId, serial: u64) -> bool {
        self.undecided.iter().any(|undecided| match (&undecided.purpose, undecided.caller) {
            (Purpose::Resume(resume), Some(caller)) => caller.serial > serial && resume.token.id() == *session,
            _ => false,
        })
    }

    /// Asserts the invariants: what all may append is the sum of what each may, and every connection knows how many
    /// decisions it waits for.
    pub fn check(&self, clients: &[Option<Client>], letters: &Letters) {
        assert_eq!(self.bytes, self.undecided.iter().map(|undecided| undecided.bytes).sum::<usize>());
        for client in clients.iter().flatten() {
            let is_its = |undecided: &&Undecided| undecided.caller.is_some_and(|caller| caller.serial == client.serial);
            let letters = letters.awaited_by(client.serial);
            assert_eq!(self.undecided.iter().filter(is_its).count() + letters, client.undecided as usize);
            assert!(!client.is_held_up || client.undecided > 0);
        }
    }
}

/// A connection, which may be gone by the time at which its proposal is decided, and another one have its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    id: ClientId,
    pub(super) serial: u64,
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
    /// The server lives, and has its log.
    Beat,
    /// Every connection ends.
    ShutDown,
    /// Nothing: another server has proposed it.
    Elsewhere,
}

impl Purpose {
    /// Whether what the connection sends next has to wait for the decision, whatever it is.
    fn holds_up_lines(&self) -> bool {
        !matches!(self, Purpose::Nothing | Purpose::Whisper(_) | Purpose::TellSession | Purpose::Order(_))
    }
}

impl Lobby {
    /// The next turn for the log, encoded, of what was proposed; `None` if there is nothing.
    pub fn next_turn(&mut self) -> Option<Vec<u8>> {
        let proposals = self.proposals.as_mut()?;
        let Pending { entries, text } = proposals.turns.pop_front()?;
        let turn = Turn::encode(self.server, proposals.number, text, &entries);
        proposals.number += 1;
        Some(turn)
    }

    /// Whether a turn of the log may be applied now: as long as readers are behind who read at a fair pace, what was said
    /// at other servers waits for them, too, until [`Lobby::stop_waiting`].
    ///
    /// # Errors
    /// Where it cannot be read, or is longer than any server's.
    pub fn has_room_to_apply(&self, turn: &[u8]) -> Result<bool, Unreadable> {
        let bytes = Turn::decode(turn)?.longest_text as u64;
        if bytes > self.backpressure.watermarks.turn {
            return Err(Unreadable);
        }
        let said = self.room.scrollback().end() - self.turn_start;
        Ok(said + bytes <= self.backpressure.budget)
    }

    /// Applies a turn that the log has, in the log's order. The log may have one twice: it takes effect once.
    ///
    /// # Errors
    /// Where it is not what [`Lobby::next_turn`] of some server has returned, or has led to another room there. What comes
    /// before has been applied.
    pub fn apply(&mut self, turn: &[u8], now: Duration) -> Result<(), Unusable> {
        let turn = Turn::decode(turn)?;
        if !self.room.begin_turn(&turn) {
            return Ok(());
        }
        let is_ours = turn.server == self.server;
        for entry in turn.entries() {
            let entry = entry?;
            let telling = Telling::of(&entry);
            let outcome = self.room.apply(turn.server, entry);
            if outcome == Outcome::Diverged {
                return Err(Unusable::Diverged);
            }
            let (caller, purpose) = if is_ours { self.next_undecided()? } else { (None, Purpose::Elsewhere) };
            self.settle(caller, purpose, telling, outcome, now);
        }
        self.room.end_turn();
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
            let telling = Telling::of(&entry);
            let outcome = self.room.apply(self.server, entry);
            return self.settle(caller, purpose, telling, outcome, now);
        };
        proposals.add(&entry);
        let bytes = entry.change.longest_line();
        proposals.bytes += bytes;
        let caller = caller.map(|id| {
            self.client_mut(id).is_held_up |= purpose.holds_up_lines();
            self.await_decision(id)
        });
        let undecided = &mut self.proposals.as_mut().expect("there is a log").undecided;
        undecided.push_back(Undecided { purpose, caller, bytes });
    }

    /// A connection waits for something until it is [decided](Lobby::decided).
    pub(super) fn await_decision(&mut self, id: ClientId) -> Caller {
        let client = self.client_mut(id);
        client.undecided += 1;
        Caller { id, serial: client.serial }
    }

    /// What the next entry of this server is for, and whose it is.
    fn next_undecided(&mut self) -> Result<(Option<ClientId>, Purpose), Unreadable> {
        let proposals = self.proposals.as_mut().ok_or(Unreadable)?;
        let Undecided { purpose, caller, bytes } = proposals.undecided.pop_front().ok_or(Unreadable)?;
        proposals.bytes -= bytes;
        Ok((caller.and_then(|caller| self.decided(caller)), purpose))
    }

    /// Something that a connection has waited for is decided. Returns the connection, unless it has gone or is going.
    pub(super) fn decided(&mut self, caller: Caller) -> Option<ClientId> {
        let client = self.clients[caller.id.0].as_mut().filter(|client| client.serial == caller.serial)?;
        client.undecided -= 1;
        client.is_held_up &= client.undecided > 0;
        (client.state != State::Closing).then_some(caller.id)
    }

    /// Does what is to be done once an entry is applied: for those here whom it concerns, and for the one who proposed it.
    fn settle(
        &mut self,
        caller: Option<ClientId>,
        purpose: Purpose,
        telling: Telling,
        outcome: Outcome,
        now: Duration,
    ) {
        if let (Outcome::Muted(until), Some(id)) = (&outcome, caller) {
            self.tell_muted(id, *until, now);
        }
        self.note(&outcome, telling, now);
        match purpose {
            Purpose::Join(name) => self.joined(caller, &name, outcome, now),
            Purpose::Resume(resume) => self.resumed(caller, &resume, outcome, now),
            Purpose::Rename(name) => self.renamed(caller, &name, &outcome),
            Purpose::Promote => self.promoted(caller, &outcome),
            Purpose::Order(given) => self.ordered(caller, *given, &outcome),
            Purpose::Whisper(whisper) if outcome == Outcome::Done => self.pass_on(caller, *whisper),
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
            Purpose::Beat => self.judge_servers(now),
            Purpose::ShutDown => {
                let Outcome::ShuttingDown(span) = outcome else { unreachable!("stopping came to {outcome:?}") };
                self.end_all(span.start);
            }
            Purpose::Elsewhere => {
                if let Outcome::Joined(_, span) | Outcome::Resumed { joined: Some(span), .. } = outcome {
                    self.events.push(Event::Joined(None, span, self.room.roster().online()));
                }
            }
        }
    }

    /// Does what is to be done at every server.
    fn note(&mut self, outcome: &Outcome, telling: Telling, now: Duration) {
        match outcome {
            Outcome::Said(span) => self.events.push(Event::Said(span.clone())),
            Outcome::Renamed(span) | Outcome::Noticed(span) => self.events.push(Event::Told(span.clone())),
            Outcome::Left(span) => self.events.push(Event::Left(span.clone(), self.room.roster().online())),
            Outcome::Expelled(seat, span) => {
                self.events.push(Event::Left(span.clone(), self.room.roster().online()));
                self.tell_concerned(*seat, telling, now);
            }
            Outcome::Silenced(seat) => self.tell_concerned(*seat, telling, now),
            Outcome::Resumed { seat, before, was, .. } => match was {
                Presence::Here => {
                    if let Some(other) = self.connection_of(seat.person) {
                        self.end_with(other, Error::ResumedElsewhere, now);
                    }
                }
                Presence::Away { back_by } => {
                    self.deadlines.remove(&(*back_by, Due::GiveUp(*before)));
                }
                Presence::Gone { .. } => {}
            },
            Outcome::ServerGone(server) if *server == self.server => self.leave_room(now),
            Outcome::ServerGone(server) => self.look_after(|at| at == *server),
            _ => {}
        }
    }

    fn dismiss_caller(&mut self, caller: Option<ClientId>) {
        if let Some(id) = caller {
            self.dismiss(id);
        }
    }
}
