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
pub trait Journal {
    /// Applies what has come out of the log, and passes on what it has found.
    ///
    /// # Errors
    /// Where the log cannot be gone on with.
    fn apply(&mut self, lobby: &mut Lobby, now: Duration) -> anyhow::Result<()>;

    /// Hands over what the lobby has proposed and asked in this turn, and tells everybody if the log does not take it.
    fn submit(&mut self, lobby: &mut Lobby, now: Duration, console: &mut Console);

    /// When the next turn of the loop has to begin even if nothing happens.
    fn wake_at(&self, now: Duration) -> Option<Duration>;

    /// Whether something that was proposed is not applied.
    fn is_behind(&self) -> bool;

    /// Ends the log in order, within `patience`.
    fn close(self: Box<Self>, lobby: &Lobby, patience: Duration, console: &mut Console);
}

/// A room, its log unless that is in memory, and the time there.
pub type Opened = (Option<Box<dyn Journal>>, Lobby, Clock);

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
            let (journal, lobby, clock) = file::FileJournal::open(path, args.keep, limits, random, wake)?;
            Ok((Some(Box::new(journal)), lobby, clock))
        }
        #[cfg(feature = "nats")]
        LogPlace::Nats(place) => {
            let (journal, lobby, clock) = shared::SharedJournal::open(place, args.keep, limits, random, wake, console)?;
            Ok((Some(Box::new(journal)), lobby, clock))
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
