//! What happened, as an operator wants to know it.

use std::ops::Range;

use super::ClientId;
use crate::protocol::name::Name;

/// Something that happened. Positions are those of the public line about it, which is kept at least until the end of the
/// next turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Someone said or did something.
    Said(Range<u64>),
    /// Someone joined, over this connection or at another server; this many are here now.
    Joined(Option<ClientId>, Range<u64>, usize),
    /// Someone left; this many are still here.
    Left(Range<u64>, usize),
    /// Everybody was told something else: another name, or a notice.
    Told(Range<u64>),
    /// Someone's connection broke; the name is kept for a while.
    Broke(Name),
    /// Someone came back over this connection.
    Returned(ClientId, Name),
    /// An operator has decided something; this says who and what.
    Ruled(String),
    /// What was typed at the terminal of the server is answered.
    Answer(String),
    /// A connection was turned away, disconnected, or asked to try again.
    Refused(ClientId, String),
}
