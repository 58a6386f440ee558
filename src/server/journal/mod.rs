//! The room's log, between the lobby and where it is kept.

mod file;
#[cfg(feature = "nats")]
mod shared;

use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::clock::Clock;
use super::console::Console;
#[cfg(not(feature = "nats"))]
use crate::cli::WrongUsage;
use crate::cli::{LogPlace, ServerArgs};
use crate::lobby::limits::Limits;
use crate::lobby::{Lobby, Random};

/// Once the log has taken nothing for so long, the people in the room are told.
const OUT_OF_REACH: Duration = Duration::from_secs(2);
/// How often sessions that nobody comes back to are forgotten.
const FORGET_TIME: Duration = Duration::from_secs(60 * 60);

/// The log of a room, where it lasts.
///
/// What the lobby proposes goes to the log once a turn, and is applied when it comes out of it.
pub struct Journal {
    log: Box<dyn Log>,
    keep: Duration,
    forget_at: Duration,
}

/// A log that lasts, as its kinds differ.
pub trait Log {
    /// Applies what has come out of the log, and passes on what it has found.
    ///
    /// # Errors
    /// Where the log cannot be gone on with.
    fn apply(&mut self, lobby: &mut Lobby, now: Duration) -> anyhow::Result<()>;

    /// Hands over what the lobby has proposed and asked in this turn.
    fn submit(&mut self, lobby: &mut Lobby, now: Duration, console: &mut Console);

    /// For how long the oldest turn that the log was given has not come out of it.
    fn waiting(&self) -> Option<Duration>;

    /// When [`Log::submit`] is to be called again even if nothing happens.
    fn wake_at(&self) -> Option<Duration>;

    /// Whether something that was proposed is not applied.
    fn is_behind(&self) -> bool;

    /// Ends the log in order, within `patience`.
    fn close(self: Box<Self>, lobby: &Lobby, patience: Duration, console: &mut Console);
}

impl Journal {
    fn new(log: Box<dyn Log>, keep: Duration, now: Duration) -> Journal {
        Journal { log, keep, forget_at: now }
    }

    /// Applies what has come out of the log, and passes on what it has found.
    ///
    /// # Errors
    /// Where the log cannot be gone on with.
    pub fn apply(&mut self, lobby: &mut Lobby, now: Duration) -> anyhow::Result<()> {
        self.log.apply(lobby, now)
    }

    /// Hands over what the lobby has proposed and asked in this turn, and tells everybody if the log does not take it.
    pub fn submit(&mut self, lobby: &mut Lobby, now: Duration, console: &mut Console) {
        if self.forget_at <= now {
            self.forget_at = now + FORGET_TIME;
            lobby.forget_sessions(now.saturating_sub(self.keep), now);
        }
        self.log.submit(lobby, now, console);
        lobby.set_out_of_reach(self.log.waiting().is_some_and(|time| time >= OUT_OF_REACH));
    }

    /// When the next turn of the loop has to begin even if nothing happens.
    #[must_use]
    pub fn wake_at(&self, now: Duration) -> Option<Duration> {
        let left = self.log.waiting().and_then(|time| OUT_OF_REACH.checked_sub(time));
        [self.log.wake_at(), left.map(|left| now + left), Some(self.forget_at)].into_iter().flatten().min()
    }

    /// Whether something that was proposed is not applied.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.log.is_behind()
    }

    /// Ends the log in order, within `patience`.
    pub fn close(self, lobby: &Lobby, patience: Duration, console: &mut Console) {
        self.log.close(lobby, patience, console);
    }
}

/// A room, its log unless that is in memory, and the time there.
pub type Opened = (Option<Journal>, Lobby, Clock);

/// Makes the room, with what its log has kept. `wake` is called on another thread whenever there is something to be
/// applied.
///
/// # Errors
/// Where there is something else, it belongs to another server or cannot be read or written; it is left as it was.
pub fn open(
    args: &ServerArgs,
    limits: Limits,
    random: Random,
    wake: impl Fn() + Send + Sync + 'static,
    #[cfg_attr(not(feature = "nats"), allow(unused_variables))] console: &mut Console,
) -> anyhow::Result<Opened> {
    match &args.log {
        LogPlace::Memory => {
            let lobby = Lobby::new(limits, random).ok();
            let no_memory = || format!("there is not enough memory for a scrollback of {}", args.scrollback);
            Ok((None, lobby.with_context(no_memory)?, Clock::new(Duration::ZERO)))
        }
        LogPlace::File(path) => {
            let (log, lobby, clock) = file::FileLog::open(path, args.keep, limits, random, wake)?;
            Ok((Some(Journal::new(Box::new(log), args.keep, clock.now())), lobby, clock))
        }
        #[cfg(feature = "nats")]
        LogPlace::Nats(place) => {
            let (log, lobby, clock) = shared::SharedLog::open(place, args.keep, limits, random, wake, console)?;
            Ok((Some(Journal::new(Box::new(log), args.keep, clock.now())), lobby, clock))
        }
        #[cfg(not(feature = "nats"))]
        LogPlace::Nats(_) => {
            let how = "this gotcp was built without NATS: build it with --features nats, or take the image";
            Err(WrongUsage(how.into()).into())
        }
    }
}

/// Hours and minutes, where the server is.
fn time_of_day(at: Duration) -> String {
    let time = Timestamp::from_second(i64::try_from(at.as_secs()).unwrap_or(i64::MAX)).unwrap_or_default();
    time.to_zoned(TimeZone::system()).strftime("%H:%M").to_string()
}
