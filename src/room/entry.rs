//! What may happen to a room: entries, and what became of them.

use std::ops::Range;
use std::time::Duration;

use super::place::Place;
use super::roster::{Presence, Seat};
use super::session::SessionId;
use crate::protocol::name::Name;

/// One change of a room.
///
/// An entry carries everything that [`Room::apply`](super::Room::apply) needs and that could differ from server to server
/// or from one moment to the next: the time, text that has been sanitised, moments at which something expires. So
/// whoever applies the same entries in the same order has the same room.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// When it was proposed, counted from a moment that is the same for all entries of a log. The room's own time is
    /// the latest of all entries so far, since clocks can step back.
    pub at: Duration,
    /// What happens.
    pub change: Change<'a>,
}

/// What happens.
#[derive(Clone, Debug)]
pub enum Change<'a> {
    /// Someone comes.
    Join {
        /// The name asked for.
        name: Name,
        /// Where the connection comes from.
        place: Place,
    },
    /// The owner of a session comes back over another connection.
    Resume {
        /// The session.
        session: SessionId,
        /// Where the connection comes from.
        place: Place,
    },
    /// Someone did something.
    Act {
        /// Over which connection. Only a person's latest seat acts; what comes from an older one has no effect.
        seat: Seat,
        /// The number of the line that caused it, counted from the opening of the session. Meaningless without a
        /// session.
        line: u64,
        /// What.
        act: Act<'a>,
    },
    /// The grace of someone away is over.
    GiveUp {
        /// The seat that person had.
        seat: Seat,
    },
    /// The server stops.
    ShutDown,
}

/// What someone does.
#[derive(Clone, Debug)]
pub enum Act<'a> {
    /// Says something.
    Say(&'a str),
    /// Says something in the third person.
    Me(&'a str),
    /// Takes another name.
    Rename(Name),
    /// Opens a session, unless there is one.
    OpenSession(SessionId),
    /// Nothing that others see: the line was processed, and is counted.
    Heard,
    /// Leaves, and ends the session.
    Leave(Farewell<'a>),
    /// The connection broke, and there is a session to come back to.
    Break {
        /// Until then the owner may come back, and the room is not told.
        back_by: Duration,
        /// Until when the name is reserved for the owner of the session, once the grace is over.
        reserved_until: Duration,
    },
}

/// How someone leaves.
#[derive(Clone, Copy, Debug)]
pub enum Farewell<'a> {
    /// Of their own accord, with these last words, if any.
    Words(&'a str),
    /// For a reason that the server gives.
    Reason(&'a str),
}

/// What became of an entry. Ranges are positions of the public line about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It had no effect: what it relied on is no longer true.
    Void,
    /// The name is taken.
    NameTaken,
    /// The name is reserved for the owner of a session who has left.
    NameReserved,
    /// There is no such session, or its name has gone to someone else.
    NoSuchSession,
    /// Someone joined.
    Joined(Seat, Range<u64>),
    /// Someone is back.
    Resumed {
        /// The new seat.
        seat: Seat,
        /// The seat before.
        before: Seat,
        /// Whether that person was in the room until now.
        was: Presence,
        /// How many lines of the session have been processed.
        heard: u64,
        /// The line that tells the room of the return, if the room was told that they had left.
        joined: Option<Range<u64>>,
    },
    /// Someone said something.
    Said(Range<u64>),
    /// Someone has another name.
    Renamed(Range<u64>),
    /// Someone left.
    Left(Range<u64>),
    /// It took effect, and there is nothing to say about it.
    Done,
}
