//! One connection, as the room sees it.

use std::time::Duration;

use super::outbox::Outbox;
use super::pace::Pace;
use super::roster::Key;
use crate::protocol::line::LineBuffer;

/// One connection, from its first byte to its last.
///
/// ```text
///   Nameless ── name accepted ──> Member ── left, let go, replaced ──> Parting ── all delivered ──> gone
///       └───────────────── turned away, no name in time, left ────────────┘
/// ```
#[derive(Debug, Default)]
pub struct Guest {
    /// What it sent and has not been heard, if there is any.
    pub input: Option<Box<LineBuffer>>,
    /// What it is owed.
    pub outbox: Outbox,
    /// How far it has come.
    pub standing: Standing,
    /// How fast it sends.
    pub pace: Pace,
    /// Whether it was told that it sends too fast, and has not slowed down since.
    pub told_to_slow_down: bool,
    /// Whether something that it sent waits to be heard.
    pub waiting: bool,
    /// Whether its input has ended, and how.
    pub end: Option<End>,
    /// Whether nothing can be delivered to it any more.
    pub deaf: bool,
    /// How many names of its choice were refused.
    pub refused: u8,
}

impl Guest {
    /// Whether a whole line waits to be heard.
    #[must_use]
    pub fn has_line(&self) -> bool {
        self.input.as_ref().is_some_and(|input| input.has_line())
    }
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has not said its name.
    Nameless {
        /// When it has to have said it.
        deadline: Duration,
    },
    /// It speaks for a member.
    Member(Key),
    /// It is not listened to any more, and gone once it has got what it is owed.
    Parting,
}

impl Default for Standing {
    fn default() -> Self {
        Standing::Nameless { deadline: Duration::MAX }
    }
}

/// How a connection's input ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// In order: the peer will send nothing more, but may still read.
    Closed,
    /// By a fault: the peer can no longer be reached.
    Lost,
}
