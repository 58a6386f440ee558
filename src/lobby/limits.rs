//! The limits of a server, together, and how they follow from each other.

use std::time::Duration;

use super::access::AccessLimits;
use super::rate_limit::Rate;
use super::secret::Keys;
use crate::protocol::name::MAX_BYTES;
use crate::protocol::notice::LONGEST_NOTICE;

/// A client for which this many bytes of private lines wait gets no more whispers.
pub const MAX_PRIVATE: usize = 256 * 1024;
/// Nothing that a client sends is processed while this many bytes of private lines wait for it. Larger than
/// [`MAX_PRIVATE`], so that whispers alone keep nobody from speaking.
pub const MAX_ANSWERS: usize = 2 * MAX_PRIVATE;
/// The same limit while [`MAX_PRIVATE_TOTAL`] is reached.
pub const MAX_ANSWERS_UNDER_PRESSURE: usize = 4 * 1024;
/// While this many bytes of private lines wait for all connections together, long answers wait, too.
pub const MAX_PRIVATE_TOTAL: usize = 64 * 1024 * 1024;
/// While this many bytes of private lines wait for all connections together, nobody gets a whisper: the rest is for
/// answers.
pub const MAX_WHISPERS_TOTAL: usize = MAX_PRIVATE_TOTAL / 4 * 3;
/// After this many refused names a connection is closed.
pub const MAX_REFUSED: u8 = 10;
/// After this many wrong passwords a connection is closed.
pub const MAX_WRONG_PASSWORDS: u8 = 3;
/// What a wrong password costs, in lines.
pub const WRONG_PASSWORD_COST: u32 = 50;
/// The longest reason that an operator can give, in bytes.
pub const MAX_REASON: usize = 256;
/// How many connections at a time are told that the server is full; others are closed at once.
pub const MAX_TURNED_AWAY: usize = 64;
/// The rate of a place is this many times that of one connection.
pub const PLACE_SHARE: u32 = 5;

/// The longest line where several servers share a room, in bytes, its LF included: each has to have room for what the
/// others take.
pub const SHARED_MAX_LINE: usize = 64 * 1024;
/// The smallest scrollback there, in bytes: a quarter of it takes the longest line of any server.
pub const SHARED_SCROLLBACK: usize = (4 * Limits::longest_outcome(SHARED_MAX_LINE)).next_power_of_two();

/// A byte that is replaced becomes U+FFFD, which has three bytes.
const GROWTH: usize = 3;

const _: () = assert!(MAX_PRIVATE < MAX_ANSWERS && MAX_ANSWERS < MAX_WHISPERS_TOTAL);

/// The limits that a server is started with.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of the scrollback; rounded up to a power of two.
    pub scrollback: usize,
    /// Longest line of input, in bytes, its LF included.
    pub max_line: usize,
    /// Lines that a newcomer is shown.
    pub history: usize,
    /// How fast one connection may send lines.
    pub rate: Rate,
    /// Time to send a name.
    pub login_timeout: Duration,
    /// Time that a reader may take nothing while something waits for it.
    pub stall_timeout: Duration,
    /// Time that someone whose connection broke has to come back before the room is told.
    pub grace: Duration,
    /// Time that a name is reserved for someone with a session who has left.
    pub reserve: Duration,
    /// How many may come.
    pub access: AccessLimits,
    /// What it takes to come in, and to be an operator.
    pub keys: Keys,
}

impl Limits {
    /// The smallest scrollback with which one turn can append at least one line: four times the longest one, since a
    /// turn appends at most a quarter.
    #[must_use]
    pub fn smallest_scrollback(&self) -> usize {
        (4 * self.longest_utterance()).next_power_of_two()
    }

    /// The most that one line of input can append.
    #[must_use]
    pub fn longest_utterance(&self) -> usize {
        Limits::longest_outcome(self.max_line)
    }

    /// The most that a line of `length` bytes can append: a message, and the news that its sender has left.
    #[must_use]
    pub const fn longest_outcome(length: usize) -> usize {
        GROWTH * length + MAX_BYTES + LONGEST_NOTICE
    }
}
