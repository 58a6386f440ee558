//! The limits of a room, together, and how they follow from each other.

use std::time::Duration;

use super::pace;
use crate::protocol::name::MAX_BYTES;

/// A reader is let go when asides of this many bytes wait for it and its socket takes no more.
pub const MAX_ASIDE_BYTES: usize = 4 * 1024 * 1024;
/// Whoever has this many bytes of answers waiting is not listened to until some of them are taken.
pub const ASIDE_BACKLOG: usize = 64 * 1024;
/// After this many refused names a connection is turned away.
pub const MAX_REFUSED: u8 = 10;

/// One byte that is not let through becomes U+FFFD, which has three.
const GROWTH: usize = 3;
/// The longest public line that is not a message: two names and the words between them.
const LONGEST_NOTICE: usize = 2 * MAX_BYTES + 32;

const _: () = assert!(ASIDE_BACKLOG < MAX_ASIDE_BYTES, "whoever waits for answers is not let go for it");

/// What a room is told when it is opened.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of the ring; rounded up to a power of two.
    pub scrollback: usize,
    /// Longest line of input, in bytes, its LF included.
    pub max_line: usize,
    /// Lines that a newcomer is shown.
    pub history: usize,
    /// Flood control.
    pub pace: pace::Limit,
    /// Time to send a name.
    pub login_timeout: Duration,
    /// Time that a reader may take nothing while something waits for it.
    pub stall_timeout: Duration,
    /// Time that a name is kept for someone whose connection broke.
    pub grace: Duration,
}

impl Limits {
    /// The smallest ring in which one turn can say at least one line: four of the longest, and what goes with them.
    #[must_use]
    pub fn smallest_scrollback(&self) -> usize {
        (4 * self.longest_utterance()).next_power_of_two()
    }

    /// The most that hearing one line can append: a message, and the news that its sender has left.
    #[must_use]
    pub fn longest_utterance(&self) -> usize {
        GROWTH * self.max_line + MAX_BYTES + LONGEST_NOTICE
    }
}

/// How far a reader may be behind, in bytes, for a ring of a given capacity.
///
/// ```text
///   end ── brake ────────────── keep ──────────── capacity - 1
///    │  fine  │  senders wait for │ let go: one turn │
///    │        │  a fair reader    │ could lap it     │
/// ```
///
/// One turn appends less than a quarter of the ring. So a reader that the senders wait for is never let go, and one
/// that is let go has not been lapped: the rest of its line is still there.
#[derive(Clone, Copy, Debug)]
pub struct Reach {
    /// The most that one turn appends.
    pub turn: u64,
    /// Behind by more than this, a reader is let go.
    pub keep: u64,
    /// Behind by more than this, a reader that keeps up a fair pace is waited for.
    pub brake: u64,
}

impl Reach {
    /// For a ring of `capacity` bytes.
    #[must_use]
    pub fn new(capacity: usize) -> Reach {
        let turn = capacity as u64 / 4;
        let keep = capacity as u64 - 1 - turn;
        Reach { turn, keep, brake: keep - turn }
    }
}
