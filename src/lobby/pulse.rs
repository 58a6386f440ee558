//! Servers that share a room: which of them live, and what becomes of the people of one that does not.
//!
//! Every server enters a sign of life into the log every [`BEAT`]. One of which the log has had none for a [`LEASE`] is
//! gone: whoever sees it says so, as an entry. Both are judged by the log's own times, and only by a server whose own
//! signs of life have come back for a lease: after the log was out of reach, everybody's lease looks over.

use std::time::Duration;

use super::client::State;
use super::proposals::Purpose;
use super::{ClientId, Due, Lobby};
use crate::protocol::notice::Error;
use crate::room::entry::Change;
use crate::room::roster::{Presence, Seat};
use crate::room::servers::ServerId;

/// The time between two signs of life.
pub const BEAT: Duration = Duration::from_secs(2);
/// A server that has given none for so long is gone.
pub const LEASE: Duration = Duration::from_secs(20);
/// A sign of life that takes longer than this to come back shows that the log was out of reach.
const SOUND: Duration = Duration::from_secs(10);

/// The signs of life of this server.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// When the next one is due.
    next: Duration,
    /// When the one was given that has not come back.
    given: Option<Duration>,
    /// Since when they have all come back soon.
    sound_since: Option<Duration>,
}

impl Lobby {
    /// The run of this server.
    #[must_use]
    pub fn server(&self) -> ServerId {
        self.server
    }

    /// Gives a sign of life if one is due. Returns when the next one is.
    pub(super) fn beat(&mut self, now: Duration) -> Option<Duration> {
        if !self.is_shared || self.is_stopping {
            return None;
        }
        let pulse = &mut self.pulse;
        if let Some(given) = pulse.given {
            if given + SOUND <= now {
                pulse.sound_since = None;
            }
            return Some(given + SOUND).filter(|_| pulse.sound_since.is_some());
        }
        if pulse.next > now {
            return Some(pulse.next);
        }
        (pulse.next, pulse.given) = (now + BEAT, Some(now));
        let (sum, turns) = (self.room.digest().sum(), self.room.digest().turns());
        self.propose(None, Purpose::Beat, Change::Beat { sum, turns }, now);
        Some(now + SOUND)
    }

    /// A sign of life has come back. Says of servers that have given none for a lease that they are gone.
    pub(super) fn judge_servers(&mut self, now: Duration) {
        let pulse = &mut self.pulse;
        if pulse.given.take().is_some_and(|given| given + SOUND <= now) {
            pulse.sound_since = None;
        }
        if *pulse.sound_since.get_or_insert(now) + LEASE > now {
            return;
        }
        let log_now = self.room.now();
        let servers = self.room.servers().present();
        let silent = servers.filter(|(id, server)| *id != self.server && server.seen + LEASE < log_now);
        let silent: Vec<(ServerId, u64)> = silent.map(|(id, server)| (id, server.beats)).collect();
        for (server, beats) in silent {
            self.give_up(server, beats, now);
        }
    }

    /// Says of a server that it is gone.
    pub(super) fn give_up(&mut self, server: ServerId, beats: u64, now: Duration) {
        let (back_by, reserved_until) = (now + self.limits.grace, now + self.limits.reserve);
        let change = Change::ServerGone { server, beats, back_by, reserved_until };
        self.propose(None, Purpose::Nothing, change, now);
    }

    /// People who are away at a server that is gone are everybody's to wait for.
    pub(super) fn look_after(&mut self, is_gone: impl Fn(ServerId) -> bool) {
        let away = self.room.roster().people().filter_map(|(key, person)| match person.presence {
            Presence::Away { back_by } if is_gone(person.server) => {
                Some((back_by, Due::GiveUp(Seat { person: key, number: person.seat })))
            }
            _ => None,
        });
        self.deadlines.extend(away);
    }

    /// The log says that this server is gone: because it said so itself, or because nothing was heard of it for too long.
    /// Then all who were here are away for everybody else, and what they sent last has no effect. Their connections end:
    /// who has a session comes back and says again what was not heard. The server goes on as another one.
    pub(super) fn leave_room(&mut self, now: Duration) {
        if self.is_stopping {
            return self.end_all(self.room.scrollback().end());
        }
        self.server = ServerId::new((self.random)());
        self.proposals.as_mut().expect("only a log says that").clear();
        self.pulse = Pulse::default();
        self.letters.clear();
        let server = self.server;
        for id in (0..self.clients.len()).map(ClientId) {
            let Some(client) = &mut self.clients[id.0] else { continue };
            let was_concerned = client.undecided > 0 || matches!(client.state, State::Member(_));
            (client.undecided, client.is_held_up) = (0, false);
            if was_concerned && client.state != State::Closing {
                self.end_with(id, Error::WasBehind, now);
            }
        }
        self.look_after(|at| at != server);
    }

    /// The server ends every connection.
    pub(super) fn end_all(&mut self, position: u64) {
        for id in self.open_connections() {
            self.tell_session(id, position);
            self.dismiss(id);
        }
    }
}
