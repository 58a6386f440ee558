//! Slow readers: who is waited for, who is not, and who is disconnected.
//!
//! A reader whose socket takes no more is *blocked*. Its cursor stays where it is while the room goes on, and the
//! scrollback keeps what it still has to read, up to a point:
//!
//! ```text
//!   end ── high ─────────────────── evict ───────────── capacity - 1
//!    │ fine │ backpressure, as long as │ disconnected: one turn │
//!    │      │ the reader is fair       │ could overwrite it     │
//! ```
//!
//! - *A fair reader is waited for.* Beyond `high` those who fill the log wait for it. Someone who says a line now and
//!   then does not notice: everybody may still say 4 KiB a second, out of what is left up to `evict`. So a fair reader
//!   never gets that far.
//! - *Any other reader is not waited for*, once its first 5 s are over. It costs nobody anything. Beyond `evict`, or
//!   once it has taken nothing for the stall timeout, it is disconnected, between two lines.
//!
//! A turn appends at most a quarter of the scrollback. So the line that a reader is in the middle of is still there at
//! the end of the turn in which it fell behind `evict`.

use std::time::Duration;

use super::client::State;
use super::rate_limit::Rate;
use super::{ClientId, Due, Event, Lobby};
use crate::protocol::notice::{Error, Private};

/// How long a reader counts as fair after its socket has refused more for the first time. What the kernel took on its
/// behalf before that says nothing about it, and the kernel at the other end does not ask for more before a good part
/// of its buffer is free: a reader that had read quickly and then read 70 kB/s was seen to take nothing for 4.7 s.
/// Nobody waits for it in that time unless it is more than `high` behind.
const DOUBT: Duration = Duration::from_secs(5);
/// What a reader has to take to be fair...
const FAIR_BYTES: u32 = 64 * 1024;
/// ...in this time.
const FAIR_TIME: Duration = Duration::from_secs(1);
/// How long a reader stays fair at most after it has taken something. It is longer than [`FAIR_TIME`] for the same
/// reason.
const FAIR_AHEAD: Duration = Duration::from_secs(8);
/// What everyone may say while a reader is waited for, in bytes a second, and as much at once. A longer line has to wait for
/// the end of the backpressure: it fills the log.
pub const TRICKLE: u32 = 4 * 1024;
/// The same, as a limit.
pub const TRICKLE_RATE: Rate = Rate::new(TRICKLE, TRICKLE);

/// How far a reader may be behind, in bytes, for a scrollback of a given capacity.
#[derive(Clone, Copy, Debug)]
pub struct Watermarks {
    /// The most that one turn appends.
    pub turn: u64,
    /// If a fair reader is behind by more than this, it is waited for.
    pub high: u64,
    /// A reader that is behind by more than this is disconnected.
    pub evict: u64,
}

impl Watermarks {
    /// For a scrollback of `capacity` bytes.
    #[must_use]
    pub fn new(capacity: usize) -> Watermarks {
        let turn = capacity as u64 / 4;
        let evict = capacity as u64 - 1 - turn;
        Watermarks { turn, high: evict - turn, evict }
    }
}

/// Who is blocked, and what follows from it for this turn.
#[derive(Debug)]
pub struct Backpressure {
    /// How far a reader may be behind.
    pub watermarks: Watermarks,
    /// What this turn may append.
    pub budget: u64,
    /// Whether a fair reader is more than `high` behind.
    pub is_on: bool,
    /// How far behind the slowest of the fair readers is.
    farthest: u64,
    /// A position that must not be overwritten although no connection is there: that of the transcript.
    held: Option<u64>,
    blocked: Vec<ClientId>,
}

/// A reader whose socket takes no more for now.
#[derive(Debug)]
pub struct Blocked {
    /// When it last took anything.
    progress: Duration,
    /// Until when it counts as fair. Every byte that it takes extends that.
    fair_until: Duration,
}

impl Backpressure {
    /// Nobody is blocked yet.
    #[must_use]
    pub fn new(watermarks: Watermarks) -> Backpressure {
        Backpressure { watermarks, budget: watermarks.turn, is_on: false, farthest: 0, held: None, blocked: Vec::new() }
    }
}

impl Blocked {
    fn new(now: Duration) -> Blocked {
        Blocked { progress: now, fair_until: now + DOUBT }
    }

    fn take(&mut self, count: usize, now: Duration) {
        self.progress = now;
        let bytes = u32::try_from(count).unwrap_or(u32::MAX);
        let earned = FAIR_TIME * bytes / FAIR_BYTES;
        self.fair_until = (self.fair_until.max(now) + earned).min(now + FAIR_AHEAD);
    }
}

impl Lobby {
    /// A socket took `count` bytes of what [`Lobby::chunks`] gave.
    pub fn take(&mut self, id: ClientId, count: usize, now: Duration) {
        self.counts.sent += count as u64;
        self.change_outbox(id, |outbox, scrollback| outbox.take(scrollback, count));
        let client = self.clients[id.0].as_mut().expect(super::KNOWN);
        if let Some(blocked) = &mut client.blocked {
            blocked.take(count, now);
            if !client.outbox.is_pending(self.room.scrollback()) {
                client.blocked = None;
            }
        }
    }

    /// A socket takes no more for now.
    pub fn block(&mut self, id: ClientId, now: Duration) {
        let client = self.client_mut(id);
        if client.blocked.is_none() {
            client.blocked = Some(Box::new(Blocked::new(now)));
            self.backpressure.blocked.push(id);
        }
    }

    /// Keeps the scrollback from `position` on, as for a fair reader, until this is called again; `None` keeps nothing.
    /// It takes effect at once.
    pub fn hold(&mut self, position: Option<u64>) {
        self.backpressure.held = position;
        self.set_budget();
    }

    /// Others have waited long enough for the readers that are far behind: they do not wait for those any more.
    pub fn stop_waiting(&mut self, now: Duration) {
        for &id in &self.backpressure.blocked {
            let Some(client) = &mut self.clients[id.0] else { continue };
            if let Some(blocked) = &mut client.blocked
                && client.outbox.behind(self.room.scrollback()) > self.backpressure.watermarks.high
            {
                blocked.fair_until = Duration::ZERO;
            }
        }
        self.watch_readers(now);
    }

    /// Checks the blocked readers: disconnects those that are too far behind or take nothing, and sets how much may be
    /// said in the next turn. Returns when that may change even if nothing happens.
    pub(super) fn watch_readers(&mut self, now: Duration) -> Option<Duration> {
        let evict = self.backpressure.watermarks.evict;
        let mut farthest = 0;
        let mut wake_at: Option<Duration> = None;
        let mut blocked = std::mem::take(&mut self.backpressure.blocked);
        blocked.retain(|&id| {
            let Some(client) = &mut self.clients[id.0] else { return false };
            let Some(&Blocked { progress, fair_until }) = client.blocked.as_deref() else { return false };
            let behind = client.outbox.behind(self.room.scrollback());
            let stalled_at = progress + self.limits.stall_timeout;
            if stalled_at <= now && client.state == State::Closing {
                self.cut_off(id);
                self.touched.push(id);
                return false;
            }
            if stalled_at <= now || behind > evict {
                self.evict(id, now);
                return true;
            }
            let mut next = stalled_at;
            if fair_until > now {
                farthest = farthest.max(behind);
                next = next.min(fair_until);
            }
            wake_at = Some(wake_at.map_or(next, |at| at.min(next)));
            true
        });
        self.backpressure.blocked.append(&mut blocked);
        self.backpressure.farthest = farthest;
        self.set_budget();
        wake_at
    }

    /// Sets what this turn may append, from how far behind the fair readers are.
    fn set_budget(&mut self) {
        let Watermarks { turn, high, evict } = self.backpressure.watermarks;
        let held = self.backpressure.held.map_or(0, |held| self.room.scrollback().end().saturating_sub(held));
        let farthest = self.backpressure.farthest.max(held);
        self.backpressure.is_on = farthest > high;
        let left = if farthest == 0 {
            turn
        } else if farthest > high {
            evict.saturating_sub(farthest)
        } else {
            // What is beyond `high` is reserved for those who say little, not for whoever is first.
            (high - farthest).max(self.limits.longest_utterance() as u64)
        };
        self.backpressure.budget = turn.min(left);
    }

    /// Disconnects a reader that reads too slowly.
    fn evict(&mut self, id: ClientId, now: Duration) {
        if let State::Member(seat) = self.client(id).state {
            if self.client(id).token.is_some() {
                self.break_off(id, seat, now);
            } else {
                self.deadlines.insert((now, Due::Leave(seat)));
            }
        }
        self.events.push(Event::Refused(id, Error::ReadTooSlowly.to_string()));
        self.end_with(id, Error::ReadTooSlowly, now);
    }

    /// Ends a connection with an error, between two lines, and drops whatever else was to be written.
    pub(super) fn end_with(&mut self, id: ClientId, error: Error<'_>, now: Duration) {
        self.counts.ended(&error);
        self.dismiss(id);
        let farewell = format!("{}\n", Private::Error(error));
        self.change_outbox(id, |outbox, scrollback| outbox.cut_short(scrollback, farewell.as_bytes()));
        let client = self.client_mut(id);
        if let Some(blocked) = &mut client.blocked {
            **blocked = Blocked { progress: now, fair_until: Duration::ZERO };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(7);

    /// A reader that takes nothing is fair for some seconds only; every 64 KiB that it takes make that a second longer,
    /// up to a limit.
    #[test]
    fn knows_a_fair_reader() {
        let mut blocked = Blocked::new(NOW);
        assert_eq!(blocked.fair_until, NOW + DOUBT);
        blocked.take(16 * 1024, NOW);
        assert_eq!(blocked.fair_until, NOW + DOUBT + FAIR_TIME / 4);
        blocked.take(16 * 1024 * 1024, NOW + FAIR_TIME);
        assert_eq!((blocked.progress, blocked.fair_until), (NOW + FAIR_TIME, NOW + FAIR_TIME + FAIR_AHEAD));
        let later = NOW + 60 * FAIR_TIME;
        blocked.take(64 * 1024, later);
        assert_eq!(blocked.fair_until, later + FAIR_TIME);
    }
}
