//! Who may not come back.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::place::Place;

/// How many bans there are at most. Beyond that the oldest one is lifted.
pub const MAX_BANS: usize = 1000;

/// Nobody may come from a place, for a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ban {
    /// Whose doing it was.
    pub name: String,
    /// Where nobody may come from; `None` if only the session of that one is over.
    pub place: Option<Place>,
    /// Until when.
    pub until: Duration,
    /// Why.
    pub reason: String,
}

/// All bans, by number: the later, the higher.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Bans(BTreeMap<u64, Ban>);

impl Bans {
    /// Adds a ban under a number higher than those before. Those that are over by now are forgotten.
    pub fn add(&mut self, number: u64, ban: Ban, now: Duration) {
        self.0.retain(|_, ban| ban.until > now);
        if self.0.len() == MAX_BANS {
            self.0.pop_first();
        }
        self.0.insert(number, ban);
    }

    /// Lifts a ban. Returns whether there was one of that number.
    pub fn lift(&mut self, number: u64) -> bool {
        self.0.remove(&number).is_some()
    }

    /// The ban because of which nobody may come from a place; the one that lasts longest, if there are several.
    #[must_use]
    pub fn on(&self, place: Place, now: Duration) -> Option<&Ban> {
        let here = self.current(now).filter(|(_, ban)| ban.place == Some(place));
        here.map(|(_, ban)| ban).max_by_key(|ban| ban.until)
    }

    /// Those that are not over, the oldest first.
    pub fn current(&self, now: Duration) -> impl Iterator<Item = (u64, &Ban)> {
        self.0.iter().filter(move |(_, ban)| ban.until > now).map(|(&number, ban)| (number, ban))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(60 * 60);

    fn ban(place: Place, until: Duration) -> Ban {
        Ban { name: "bob".into(), place: Some(place), until, reason: "spam".into() }
    }

    /// A ban keeps its place out until it is over or lifted, and nobody else.
    #[test]
    fn a_ban_holds_for_its_place_and_time() {
        let (here, there) = (Place::of([192, 0, 2, 1].into()), Place::of([192, 0, 2, 2].into()));
        let mut bans = Bans::default();
        bans.add(7, ban(here, HOUR), Duration::ZERO);
        bans.add(8, ban(here, 2 * HOUR), Duration::ZERO);
        assert_eq!(bans.on(there, Duration::ZERO), None);
        assert_eq!(bans.on(here, HOUR).map(|ban| ban.until), Some(2 * HOUR));
        assert!(bans.lift(8) && !bans.lift(8));
        assert!(bans.on(here, HOUR.saturating_sub(Duration::from_secs(1))).is_some());
        assert_eq!(bans.on(here, HOUR), None);
    }

    /// However many bans there are, memory is bounded.
    #[test]
    fn the_oldest_ban_makes_room() {
        let mut bans = Bans::default();
        for number in 0..2 * MAX_BANS as u64 {
            bans.add(number, ban(Place::LOCALHOST, HOUR), Duration::ZERO);
        }
        assert_eq!(bans.current(Duration::ZERO).count(), MAX_BANS);
        assert!(bans.current(Duration::ZERO).all(|(number, _)| number >= MAX_BANS as u64));
    }
}
