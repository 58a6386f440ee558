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

/// A log that lasts.
///
/// What the lobby proposes goes to the log once a turn, and is applied when it comes out of it.
#[derive(Debug)]
pub enum Journal {
    /// This server's own, in a file.
    File(file::Journal),
    /// That of several servers, in NATS.
    #[cfg(feature = "nats")]
    Shared(Box<shared::Journal>),
}

impl Journal {
    /// Makes the room, with what its log has kept, unless that is in memory. `wake` is called on another thread whenever
    /// there is something to be applied.
    ///
    /// # Errors
    /// Where there is something else, it belongs to another server or cannot be read or written; it is left as it was.
    pub fn open(
        args: &ServerArgs,
        limits: Limits,
        random: Random,
        wake: impl Fn() + Send + Sync + 'static,
        console: &mut Console,
    ) -> anyhow::Result<(Option<Journal>, Lobby, Clock)> {
        match &args.log {
            LogPlace::Memory => {
                let lobby = Lobby::new(limits, random).ok();
                let no_memory = || format!("there is not enough memory for a scrollback of {}", args.scrollback);
                Ok((None, lobby.with_context(no_memory)?, Clock::new(Duration::ZERO)))
            }
            LogPlace::File(path) => {
                let (journal, lobby, clock) = file::Journal::open(path, args.keep, limits, random, wake)?;
                Ok((Some(Journal::File(journal)), lobby, clock))
            }
            #[cfg(feature = "nats")]
            LogPlace::Nats(place) => {
                let (journal, lobby, clock) = shared::Journal::open(place, args.keep, limits, random, wake, console)?;
                Ok((Some(Journal::Shared(Box::new(journal))), lobby, clock))
            }
            #[cfg(not(feature = "nats"))]
            LogPlace::Nats(_) => {
                let _ = console;
                let how = "this gotcp was built without NATS: build it with --features nats, or take the image";
                Err(WrongUsage(how.into()).into())
            }
        }
    }

    /// Applies what has come out of the log, and passes on what it has found.
    ///
    /// # Errors
    /// Where the log cannot be gone on with.
    pub fn apply(&mut self, lobby: &mut Lobby, now: Duration) -> anyhow::Result<()> {
        match self {
            Journal::File(journal) => journal.apply(lobby, now),
            #[cfg(feature = "nats")]
            Journal::Shared(journal) => journal.apply(lobby, now),
        }
    }

    /// Hands over what the lobby has proposed and asked in this turn, and tells everybody if the log does not take it.
    pub fn submit(&mut self, lobby: &mut Lobby, now: Duration, console: &mut Console) {
        match self {
            Journal::File(journal) => journal.submit(lobby, now, console),
            #[cfg(feature = "nats")]
            Journal::Shared(journal) => journal.submit(lobby, now, console),
        }
    }

    /// When the next turn of the loop has to begin even if nothing happens.
    #[must_use]
    pub fn wake_at(&self, now: Duration) -> Option<Duration> {
        match self {
            Journal::File(journal) => journal.wake_at(now),
            #[cfg(feature = "nats")]
            Journal::Shared(journal) => journal.wake_at(now),
        }
    }

    /// Whether something that was proposed is not applied.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        match self {
            Journal::File(journal) => journal.is_behind(),
            #[cfg(feature = "nats")]
            Journal::Shared(journal) => journal.is_behind(),
        }
    }

    /// Ends the log in order, within `patience`.
    pub fn close(self, lobby: &Lobby, patience: Duration, console: &mut Console) {
        match self {
            Journal::File(journal) => journal.close(lobby, patience, console),
            #[cfg(feature = "nats")]
            Journal::Shared(journal) => journal.close(patience),
        }
    }
}

/// Hours and minutes, where the server is.
fn time_of_day(at: Duration) -> String {
    let time = Timestamp::from_second(i64::try_from(at.as_secs()).unwrap_or(i64::MAX)).unwrap_or_default();
    time.to_zoned(TimeZone::system()).strftime("%H:%M").to_string()
}
