//! One connection, as the lobby sees it.

use std::time::Duration;

use super::access::Entrance;
use super::backpressure::Blocked;
use super::outbox::Outbox;
use super::rate_limit::Bucket;
use crate::protocol::name::Name;
use crate::room::place::Place;
use crate::room::roster::Seat;
use crate::room::session::SessionToken;

/// One connection, from its first byte to its last.
///
/// ```text
///   Nameless ── name accepted ──> Member ── left, disconnected, replaced ──> Closing ── all delivered ──> gone
///       └──────────────── turned away, no name in time, left ──────────────────┘
/// ```
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)] // Each is a fact of its own about the connection.
pub struct Client {
    /// Where it comes from.
    pub place: Place,
    /// How far it has come.
    pub state: State,
    /// What is to be written to it.
    pub outbox: Outbox,
    /// Set while its socket takes no more.
    pub blocked: Option<Box<Blocked>>,
    /// Its rate limit: how many lines it may still send.
    pub lines_left: Bucket,
    /// How many bytes it may still say while the others wait for a reader.
    pub bytes_left: Bucket,
    /// Who has whispered to its owner last.
    pub whisperer: Option<Box<Name>>,
    /// What its owner can come back with.
    pub token: Option<Box<SessionToken>>,
    /// How many lines of its session have been taken: the number of the latest one. Meaningless without a session.
    pub heard: u64,
    /// Which connection it is: no other one ever has this number.
    pub serial: u64,
    /// The number of the latest seat that there was when it came.
    pub came_after: u64,
    /// How many of its proposals are not decided yet.
    pub undecided: u32,
    /// Whether no line of it may be processed before all of those are decided.
    pub is_held_up: bool,
    /// How it was received.
    pub entrance: Entrance,
    /// How its bytes come, once that is known.
    pub link: Option<Link>,
    /// Whether it has said the password of the room.
    pub has_password: bool,
    /// How many wrong passwords it has said.
    pub wrong_passwords: u8,
    /// Whether it was told that it sends too fast, and has not slowed down since.
    pub was_told_to_slow_down: bool,
    /// Whether something that it sent waits to be processed.
    pub is_waiting: bool,
    /// Whether the answer to `!who` waits until there is room for it.
    pub awaits_names: bool,
    /// Whether it waits for what the log answers.
    pub awaits_log: bool,
    /// Whether nothing can be delivered to it any more.
    pub is_unreachable: bool,
    /// How many of its first lines were refused.
    pub refused: u8,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has not sent its name.
    Nameless {
        /// When it has to have sent it.
        deadline: Duration,
    },
    /// It speaks for someone in the room.
    Member(Seat),
    /// Its input is no longer processed, and it is gone once everything is delivered.
    Closing,
}

/// How the bytes of a connection come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// As they are.
    Plain,
    /// Encrypted.
    Tls,
    /// There is no conversation: the transport has answered the peer itself.
    Answered,
}

/// How a connection's input ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// In order: the peer will send nothing more, but may still read.
    Closed,
    /// By a fault: the peer can no longer be reached.
    Lost,
}

impl Client {
    /// A connection that has just come in.
    #[must_use]
    pub fn new(serial: u64, came_after: u64, place: Place, state: State, entrance: Entrance) -> Client {
        Client {
            place,
            state,
            outbox: Outbox::default(),
            blocked: None,
            lines_left: Bucket::default(),
            bytes_left: Bucket::default(),
            whisperer: None,
            token: None,
            heard: 0,
            serial,
            came_after,
            undecided: 0,
            is_held_up: false,
            entrance,
            link: None,
            has_password: false,
            wrong_passwords: 0,
            was_told_to_slow_down: false,
            is_waiting: false,
            awaits_names: false,
            awaits_log: false,
            is_unreachable: false,
            refused: 0,
        }
    }

    /// Whether nobody else can read what is said over it: it is encrypted, or comes from this machine.
    #[must_use]
    pub fn is_confidential(&self) -> bool {
        self.link == Some(Link::Tls) || self.place.is_loopback()
    }
}
