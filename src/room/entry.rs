//! What may happen to a room: entries, and what became of them.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::digest::Sum;
use super::place::Place;
use super::roster::{Presence, Seat};
use super::servers::ServerId;
use super::session::SessionId;
use crate::protocol::name::Name;
use crate::protocol::notice::LONGEST_NOTICE;
use crate::protocol::text::is_harmless;

/// One change of a room.
///
/// An entry carries everything that [`Room::apply`](super::Room::apply) needs and that could differ from server to server
/// or from one moment to the next: the time, text that has been sanitised, what a name looks like, moments at which
/// something expires. So whoever applies the same entries in the same order has the same room.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry<'a> {
    /// When it was proposed, counted from a moment that is the same for all entries of a log. The room's own time is
    /// the latest of all entries so far, since clocks can step back.
    pub at: Duration,
    /// What happens.
    #[serde(borrow)]
    pub change: Change<'a>,
}

/// What happens.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
        /// The number of the latest seat that the server knew of when the connection came. If the session's owner has
        /// come back at another server since, the connection is older than that.
        after: u64,
    },
    /// Someone did something.
    Act {
        /// Over which connection. Only a person's latest seat acts; what comes from an older one has no effect.
        seat: Seat,
        /// The number of the line that caused it, counted from the opening of the session. Meaningless without a
        /// session.
        line: u64,
        /// What.
        #[serde(borrow)]
        act: Act<'a>,
    },
    /// The grace of someone away is over.
    GiveUp {
        /// The seat that person had.
        seat: Seat,
    },
    /// The server stops.
    ShutDown,
    /// Whoever sits at a server decides something.
    Rule(#[serde(borrow)] Rule<'a>),
    /// The server that this comes from lives.
    Beat {
        /// What it has come to...
        sum: Sum,
        /// ...after so many turns.
        turns: u64,
    },
    /// A server is gone for ever, and nobody is connected to it any more: they are away, and those without a session have
    /// no grace.
    ServerGone {
        /// Which one.
        server: ServerId,
        /// How many signs of life it had given when that was judged. If there are more by now, it lives; but a server that
        /// says it of itself is right.
        beats: u64,
        /// Until then those with a session may come back, and the room is not told.
        back_by: Duration,
        /// Until when their names are reserved, once the grace is over.
        reserved_until: Duration,
    },
    /// Sessions of people who have left before this moment are no longer remembered.
    Forget {
        /// The moment.
        before: Duration,
    },
}

impl Change<'_> {
    /// The most that this appends to what was said, in bytes. What happens at a start, before anyone reads, does not count.
    #[must_use]
    pub fn longest_line(&self) -> usize {
        match self {
            Change::Act { act: Act::Say(text) | Act::Me(text) | Act::Leave(Farewell::Words(text)), .. } => {
                LONGEST_NOTICE + text.len()
            }
            Change::Act { act: Act::Rule(rule), .. } | Change::Rule(rule) => LONGEST_NOTICE + rule.text().len(),
            Change::Act { act: Act::OpenSession(_) | Act::Heard | Act::Break { .. } | Act::BecomeOperator, .. }
            | Change::Beat { .. }
            | Change::ServerGone { .. }
            | Change::Forget { .. } => 0,
            _ => LONGEST_NOTICE,
        }
    }
}

/// What someone does.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
    /// Becomes an operator.
    BecomeOperator,
    /// Decides something as an operator.
    Rule(Rule<'a>),
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

/// What an operator decides.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Rule<'a> {
    /// Someone is disconnected, and their session is over.
    Kick {
        /// Who.
        name: Name,
        /// Why.
        reason: &'a str,
    },
    /// The same, and nobody may come from where they are.
    Ban {
        /// Who.
        name: Name,
        /// Where from, unless nobody is to be kept out.
        place: Option<Place>,
        /// For how long, in words.
        term: &'a str,
        /// Until when; [`FOR_GOOD`] is never reached.
        until: Duration,
        /// Why.
        reason: &'a str,
    },
    /// A ban is lifted.
    Unban {
        /// Its number.
        ban: u64,
    },
    /// Nothing that someone says is heard.
    Mute {
        /// Who.
        name: Name,
        /// Until when; [`FOR_GOOD`] is never reached, and zero is over at once.
        until: Duration,
    },
    /// Everybody is told something.
    Notice(&'a str),
}

/// The moment that is never reached.
pub const FOR_GOOD: Duration = Duration::MAX;

impl Rule<'_> {
    /// The text that everybody reads of it, besides names and what the server itself says.
    fn text(&self) -> &str {
        match self {
            Rule::Kick { reason, .. } | Rule::Ban { reason, .. } => reason,
            Rule::Notice(text) => text,
            Rule::Unban { .. } | Rule::Mute { .. } => "",
        }
    }
}

/// How someone leaves.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
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
    /// The owner of the session has come back elsewhere meanwhile.
    Overtaken,
    /// Nobody may come from there.
    Banned,
    /// Nothing that this one says is heard until then.
    Muted(Duration),
    /// An operator has disconnected someone, who had this seat.
    Expelled(Seat, Range<u64>),
    /// An operator has muted someone, or let them speak again.
    Silenced(Seat),
    /// An operator has told everybody something.
    Noticed(Range<u64>),
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
    /// The room was told that the server stops.
    ShuttingDown(Range<u64>),
    /// A server is gone, and everybody who was there is away.
    ServerGone(ServerId),
    /// Another server has made another room of the same entries, and was first to say so: something is wrong here.
    Diverged,
    /// It took effect, and there is nothing to say about it.
    Done,
}

/// How entries are encoded: the first byte of everything that a log keeps. A server that finds another one was started on
/// the log of another version.
pub const FORMAT: u8 = 3;

/// Something in a log that this version cannot read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is damaged, or was written by another version of gotcp")
    }
}

impl std::error::Error for Unreadable {}

/// Why a server cannot go on with its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// Something in it cannot be read.
    Unreadable,
    /// Another server has made another room of it.
    Diverged,
}

impl From<Unreadable> for Unusable {
    fn from(Unreadable: Unreadable) -> Unusable {
        Unusable::Unreadable
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unusable::Unreadable => Unreadable.fmt(f),
            Unusable::Diverged => f.write_str("another server has made another room of it: are they of one version?"),
        }
    }
}

impl std::error::Error for Unusable {}

/// No entry is of a later time than this, the end of the year 9999, so that no sum of times overflows.
const LATEST: Duration = Duration::from_secs(253_402_300_800);

impl Entry<'_> {
    /// Whether a server can have made it: what is in it for people to read is harmless, and its time is one.
    pub(super) fn is_sound(&self) -> bool {
        let is_name = |name: &Name| is_harmless(name.as_str()) && !name.as_str().contains(char::is_whitespace);
        let is_sound = match &self.change {
            Change::Join { name, .. } | Change::Act { act: Act::Rename(name), .. } => is_name(name),
            Change::Rule(rule) | Change::Act { act: Act::Rule(rule), .. } => match rule {
                Rule::Kick { name, reason } => is_name(name) && is_harmless(reason),
                Rule::Ban { name, term, reason, .. } => is_name(name) && is_harmless(term) && is_harmless(reason),
                Rule::Mute { name, .. } => is_name(name),
                Rule::Notice(text) => is_harmless(text),
                Rule::Unban { .. } => true,
            },
            Change::Act { act: Act::Say(text) | Act::Me(text), .. }
            | Change::Act { act: Act::Leave(Farewell::Words(text) | Farewell::Reason(text)), .. } => is_harmless(text),
            _ => true,
        };
        is_sound && self.at < LATEST
    }

    /// Appends the entry, encoded, to others that make a [`Turn`](super::turn::Turn).
    pub fn encode(&self, entries: &mut Vec<u8>) {
        postcard::to_io(self, entries)
            .expect("a vector takes everything, and an entry has nothing that cannot be encoded");
    }
}
