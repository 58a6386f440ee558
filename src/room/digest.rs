//! Whether all servers have made the same room of the same entries.

use std::collections::VecDeque;
use std::iter;

use sha2::{Digest as _, Sha256};

/// How many turns back digests are compared.
const RECENT: usize = 16 * 1024;

/// A number that follows from all that has happened to a room so far.
pub type Sum = u64;

/// What a room has come to, turn by turn.
///
/// Every server tells the others now and then what it has come to. The first that is told of a turn is taken for right,
/// so that of two that differ one stops.
#[derive(Debug, Default)]
pub struct Digest {
    turns: u64,
    sum: Sum,
    recent: VecDeque<Point>,
}

/// What the room had come to after a turn.
#[derive(Debug)]
struct Point {
    sum: Sum,
    /// What was told first.
    told: Option<Sum>,
}

impl Digest {
    /// That of a room of which only this is known.
    #[must_use]
    pub fn restore(turns: u64, sum: Sum) -> Digest {
        Digest { turns, sum, recent: VecDeque::new() }
    }

    /// How many turns there were.
    #[must_use]
    pub fn turns(&self) -> u64 {
        self.turns
    }

    /// What they have come to.
    #[must_use]
    pub fn sum(&self) -> Sum {
        self.sum
    }

    /// A turn has come to this: some numbers, and what everybody reads of it.
    pub fn add<'a>(&mut self, numbers: &[u64], text: impl Iterator<Item = &'a [u8]>) {
        let mut hash = Sha256::new();
        for number in iter::once(&self.sum).chain(numbers) {
            hash.update(number.to_le_bytes());
        }
        text.for_each(|piece| hash.update(piece));
        let hash: [u8; 32] = hash.finalize().into();
        let (first, _) = hash.split_first_chunk().expect("a hash is longer than that");
        self.sum = Sum::from_le_bytes(*first);
        self.turns = self.turns.saturating_add(1);
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(Point { sum: self.sum, told: None });
    }

    /// A server says what the first `turns` turns came to. Returns whether this is the right room, as far as is known.
    pub fn hear(&mut self, turns: u64, sum: Sum) -> bool {
        let back = self.turns.checked_sub(turns).and_then(|back| usize::try_from(back).ok());
        let index = back.and_then(|back| self.recent.len().checked_sub(back + 1));
        index.is_none_or(|index| {
            let point = &mut self.recent[index];
            *point.told.get_or_insert(sum) == point.sum
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(texts: &[&str]) -> Digest {
        let mut digest = Digest::default();
        for text in texts {
            digest.add(&[1], [text.as_bytes()].into_iter());
        }
        digest
    }

    /// Of two rooms that differ, the one that says so later is wrong; what is too old or still to come says nothing.
    #[test]
    fn the_first_that_is_told_is_right() {
        let (mut one, mut other) = (digest(&["a", "b", "c"]), digest(&["a", "x", "c"]));
        let sums = [one.sum(), other.sum()];
        assert_ne!(sums[0], sums[1], "a difference stays");
        for digest in [&mut one, &mut other] {
            assert!(digest.hear(0, 7) && digest.hear(4, 7) && digest.hear(u64::MAX, 7));
        }
        assert_eq!(sums.map(|sum| one.hear(3, sum)), [true, true]);
        assert_eq!(sums.map(|sum| other.hear(3, sum)), [false, false]);
    }
}
