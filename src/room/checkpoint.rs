//! A room as bytes: what a log keeps in place of all entries so far.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Room;
use super::bans::Bans;
use super::digest::{Digest, Sum};
use super::entry::{FORMAT, Unreadable};
use super::roster::{Person, PersonKey, Roster};
use super::scrollback::Scrollback;
use super::servers::Servers;

/// More than anything in a room comes to, so that what goes on counting from a checkpoint never overflows.
const MAX_COUNT: u64 = 1 << 62;

/// All that entries have made of a room, but for what was said: the log keeps that by itself.
#[derive(Serialize, Deserialize)]
struct Checkpoint<P, B, S> {
    now: Duration,
    end: u64,
    seats: u64,
    people: P,
    /// Those who have gone and whose names are reserved.
    reserved: Vec<PersonKey>,
    bans: B,
    servers: S,
    /// What all turns so far have come to, and how many they were.
    digest: (u64, Sum),
}

impl Room {
    /// The room as bytes, the same for every room to which the same entries were applied.
    #[must_use]
    pub fn checkpoint(&self) -> Vec<u8> {
        let checkpoint = Checkpoint {
            now: self.now,
            end: self.scrollback.end(),
            seats: self.roster.seats(),
            people: self.roster.people().collect::<Vec<_>>(),
            reserved: self.roster.reserved(),
            bans: &self.bans,
            servers: &self.servers,
            digest: (self.digest.turns(), self.digest.sum()),
        };
        let mut bytes = vec![FORMAT];
        postcard::to_io(&checkpoint, &mut bytes).expect("a vector takes everything");
        bytes
    }

    /// The room of a checkpoint. `said` is what was said last before it, whole lines; of that, `scrollback` has room for
    /// the end.
    ///
    /// # Errors
    /// Where it is not what [`Room::checkpoint`] returned.
    pub fn restore(checkpoint: &[u8], mut scrollback: Scrollback, said: &[u8]) -> Result<Room, Unreadable> {
        let bytes = checkpoint.strip_prefix(&[FORMAT]).ok_or(Unreadable)?;
        let checkpoint: Checkpoint<Vec<(PersonKey, Person)>, Bans, Servers> =
            postcard::from_bytes(bytes).map_err(|_| Unreadable)?;
        let (turns, sum) = checkpoint.digest;
        if [checkpoint.end, checkpoint.seats, turns].into_iter().any(|count| count > MAX_COUNT) {
            return Err(Unreadable);
        }
        scrollback.restore(checkpoint.end, said);
        let roster = Roster::restore(checkpoint.people, &checkpoint.reserved, checkpoint.seats).ok_or(Unreadable)?;
        Ok(Room {
            roster,
            bans: checkpoint.bans,
            servers: checkpoint.servers,
            digest: Digest::restore(turns, sum),
            now: checkpoint.now,
            turn_start: scrollback.end(),
            scrollback,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A checkpoint from which nothing could be counted on is damaged.
    #[test]
    fn counts_have_a_bound() {
        let restored = |end: u64, seats: u64, turns: u64| {
            let checkpoint = Checkpoint {
                now: Duration::ZERO,
                end,
                seats,
                people: Vec::<(PersonKey, Person)>::new(),
                reserved: Vec::new(),
                bans: Bans::default(),
                servers: Servers::default(),
                digest: (turns, Digest::default().sum()),
            };
            let bytes = postcard::to_io(&checkpoint, vec![FORMAT]).unwrap();
            Room::restore(&bytes, Scrollback::new(1024).unwrap(), b"").is_ok()
        };
        assert!(restored(MAX_COUNT, MAX_COUNT, MAX_COUNT));
        for (end, seats, turns) in [(u64::MAX, 0, 0), (0, u64::MAX, 0), (0, 0, u64::MAX)] {
            assert!(!restored(end, seats, turns));
        }
    }
}
