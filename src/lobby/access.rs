//! Who may come in: how many connections there may be, in all and from one place, and how fast one place may send.

use std::collections::HashMap;
use std::time::Duration;

use super::limits::{MAX_TURNED_AWAY, PLACE_SHARE};
use super::rate_limit::{Buckets, Rate};
use crate::protocol::notice::Error;
use crate::room::place::Place;

/// How many may come.
#[derive(Clone, Copy, Debug)]
pub struct AccessLimits {
    /// Connections in all, and people in the room.
    pub clients: usize,
    /// The same from one place.
    pub per_place: usize,
    /// Whether this machine itself counts as a place.
    pub count_loopback: bool,
}

/// How a new connection is received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entrance {
    /// It may come in.
    Open,
    /// There are too many: it is told so, and closed.
    Closed(TooMany),
    /// Nobody may come from there: it is told so, and closed.
    Banned,
    /// It is closed at once: too many others are being told already.
    Shut,
}

/// Where there are too many already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooMany {
    /// On this server.
    Here,
    /// At the place that somebody comes from.
    There,
}

/// Who is connected, counted by place.
#[derive(Debug)]
pub struct Access {
    limits: AccessLimits,
    rate: Rate,
    connected: usize,
    turned_away: usize,
    places: HashMap<Place, usize>,
    buckets: Buckets<Place>,
}

impl Access {
    /// Nobody yet. `rate` is the limit of one connection.
    #[must_use]
    pub fn new(limits: AccessLimits, rate: Rate) -> Access {
        Access {
            limits,
            rate: rate.times(PLACE_SHARE),
            connected: 0,
            turned_away: 0,
            places: HashMap::new(),
            buckets: Buckets::default(),
        }
    }

    /// How to receive a connection from a place, if nobody, or somebody, is banned there.
    #[must_use]
    pub fn entrance(&self, place: Place, is_banned: bool) -> Entrance {
        let here = self.places.get(&place).copied().unwrap_or(0);
        match self.refusal(place, self.connected, here) {
            None if !is_banned => Entrance::Open,
            _ if self.turned_away >= MAX_TURNED_AWAY => Entrance::Shut,
            Some(too_many) => Entrance::Closed(too_many),
            None => Entrance::Banned,
        }
    }

    /// A connection has come in.
    pub fn enter(&mut self, place: Place) {
        self.connected += 1;
        *self.places.entry(place).or_default() += 1;
    }

    /// A connection is told that it may not come in.
    pub fn turn_away(&mut self) {
        self.turned_away += 1;
    }

    /// A connection that had come in has gone.
    pub fn leave(&mut self, place: Place) {
        self.connected -= 1;
        let count = self.places.get_mut(&place).expect("it has come in");
        *count -= 1;
        if *count == 0 {
            self.places.remove(&place);
        }
    }

    /// A connection that was turned away has gone.
    pub fn leave_turned_away(&mut self) {
        self.turned_away -= 1;
    }

    /// When a place may send its next line.
    #[must_use]
    pub fn ready_at(&self, place: Place) -> Duration {
        if self.is_exempt(place) { Duration::ZERO } else { self.buckets.get(&place).ready_at(&self.rate) }
    }

    /// Counts lines against the rate of their place.
    pub fn charge(&mut self, place: Place, lines: u32, now: Duration) {
        if !self.is_exempt(place) {
            self.buckets.entry(place, now).charge(&self.rate, lines, now);
        }
    }

    /// Whether a place has slowed down.
    #[must_use]
    pub fn has_recovered(&self, place: Place, now: Duration) -> bool {
        self.is_exempt(place) || self.buckets.get(&place).has_recovered(&self.rate, now)
    }

    fn is_exempt(&self, place: Place) -> bool {
        self.rate.is_unlimited() || self.is_trusted(place)
    }

    /// Whether neither limits nor bans hold for a place.
    #[must_use]
    pub fn is_trusted(&self, place: Place) -> bool {
        place.is_loopback() && !self.limits.count_loopback
    }

    /// Why nobody may come in from a place, if there are so many in all, and so many of them from there; `None` if they
    /// may. To join, those who are away count, too: the room still has them, and they may come back at any moment.
    #[must_use]
    pub fn refusal(&self, place: Place, in_all: usize, from_there: usize) -> Option<TooMany> {
        if in_all >= self.limits.clients {
            return Some(TooMany::Here);
        }
        let is_full = !self.is_trusted(place) && from_there >= self.limits.per_place;
        is_full.then_some(TooMany::There)
    }

    /// What somebody is told then.
    #[must_use]
    pub fn error(&self, too_many: TooMany) -> Error<'static> {
        match too_many {
            TooMany::Here => Error::Full(self.limits.clients),
            TooMany::There => Error::TooManyFromAddress(self.limits.per_place),
        }
    }
}
