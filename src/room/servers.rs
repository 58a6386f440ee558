//! The servers of a room: who puts entries into its log.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How many servers are remembered that are gone. What one of them still has on its way arrives long before that many
/// others have come and gone.
const MAX_GONE: usize = 1000;

/// One run of a server: random, and anew for each start. So what an earlier run still has on its way to the log is told
/// from what the present one says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ServerId(u64);

/// A server that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// How many of its turns the log has.
    pub turns: u64,
    /// How many signs of life the log has of it.
    pub beats: u64,
    /// When the last one came, or its first turn.
    pub seen: Duration,
}

/// The servers that are there, and those that are gone for ever.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Servers {
    present: BTreeMap<ServerId, Server>,
    gone: VecDeque<ServerId>,
}

impl ServerId {
    /// A run of a server, from random bits.
    #[must_use]
    pub fn new(random: u128) -> ServerId {
        ServerId(u64::try_from(random & u128::from(u64::MAX)).expect("half of 128 bits"))
    }

    /// The number itself.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }
}

impl Servers {
    /// Takes a turn of a server. Returns whether it is the one that is due: each takes effect once, in order, however
    /// often it reaches the log. With its first turn a server is there.
    pub fn take(&mut self, id: ServerId, number: u64, now: Duration) -> bool {
        if number == 0 && !self.present.contains_key(&id) && !self.gone.contains(&id) {
            self.present.insert(id, Server { turns: 1, beats: 0, seen: now });
            return true;
        }
        let due = self.present.get_mut(&id).filter(|server| server.turns == number);
        due.map(|server| server.turns = server.turns.saturating_add(1)).is_some()
    }

    /// Takes a sign of life.
    pub fn beat(&mut self, id: ServerId, now: Duration) {
        if let Some(server) = self.present.get_mut(&id) {
            server.beats = server.beats.saturating_add(1);
            server.seen = now;
        }
    }

    /// A server is gone for ever. Returns whether it was there.
    pub fn remove(&mut self, id: ServerId) -> bool {
        let was_there = self.present.remove(&id).is_some();
        if was_there {
            self.gone.push_back(id);
            if self.gone.len() > MAX_GONE {
                self.gone.pop_front();
            }
        }
        was_there
    }

    /// A server, if it is there.
    #[must_use]
    pub fn get(&self, id: ServerId) -> Option<&Server> {
        self.present.get(&id)
    }

    /// Those that are there, by number.
    pub fn present(&self) -> impl Iterator<Item = (ServerId, &Server)> {
        self.present.iter().map(|(&id, server)| (id, server))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(7);

    /// Every turn of a server is taken once, in order, and none once the server is gone.
    #[test]
    fn each_turn_is_taken_once() {
        let (mut servers, [a, b]) = (Servers::default(), [1, 2].map(ServerId::new));
        assert!(!servers.take(a, 1, NOW), "the first one comes first");
        for number in [0, 1, 2] {
            assert!(servers.take(a, number, NOW));
            assert!((0..=number).all(|number| !servers.take(a, number, NOW)) && !servers.take(a, number + 2, NOW));
        }
        assert!(servers.take(b, 0, NOW) && servers.remove(a) && !servers.remove(a));
        assert!(!servers.take(a, 3, NOW) && !servers.take(a, 0, NOW));
        assert_eq!(servers.present().map(|(id, _)| id).collect::<Vec<_>>(), [b]);
    }

    /// However many servers have been there, memory is bounded.
    #[test]
    fn those_gone_are_forgotten_one_day() {
        let mut servers = Servers::default();
        for id in (0..2 * MAX_GONE as u128).map(ServerId::new) {
            assert!(servers.take(id, 0, NOW) && servers.remove(id));
        }
        assert_eq!(servers.gone.len(), MAX_GONE);
    }
}
