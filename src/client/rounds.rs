//! Which of several servers to try next, and when: each of them once, and then a wait. Pure: randomness is an argument.

use std::time::Duration;

use super::backoff::Backoff;

/// The rounds of a client through its servers.
#[derive(Debug)]
pub struct Rounds {
    count: usize,
    current: usize,
    /// Tries until the next wait, the one that is under way included.
    left: usize,
    backoff: Backoff,
}

impl Rounds {
    /// Begins with the first of this many servers.
    #[must_use]
    pub fn new(count: usize) -> Rounds {
        Rounds { count, current: 0, left: count, backoff: Backoff::default() }
    }

    /// Whether there is more than one server.
    #[must_use]
    pub fn has_others(&self) -> bool {
        self.count > 1
    }

    /// The server whose turn it is.
    #[must_use]
    pub fn current(&self) -> usize {
        self.current
    }

    /// Whether it is the last one of its round.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.left == 1
    }

    /// It was worth trying: waits are short again.
    pub fn succeeded(&mut self) {
        self.backoff = Backoff::default();
    }

    /// It was there for long: where there are others, none of them, nor itself, has to wait once it is gone.
    pub fn lasted(&mut self) {
        self.succeeded();
        self.left = if self.has_others() { self.count + 1 } else { 1 };
    }

    /// What it said, all of them would say: this round is over.
    pub fn spoke_for_all(&mut self) {
        self.left = 1;
    }

    /// Goes on to the next server. Returns how long to wait before it is tried, of which 32 random bits decide.
    pub fn next(&mut self, random: u32) -> Duration {
        self.current = (self.current + 1) % self.count;
        self.left -= 1;
        if self.left > 0 {
            return Duration::ZERO;
        }
        self.left = self.count;
        self.backoff.next(random)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The servers and waits, in milliseconds, of the next tries.
    fn tries(rounds: &mut Rounds, count: usize) -> Vec<(usize, u128)> {
        let mut next = || {
            let wait = rounds.next(0).as_millis();
            (rounds.current(), wait)
        };
        (0..count).map(|_| next()).collect()
    }

    /// Each server is tried once without a wait; waits stand between rounds, and double.
    #[test]
    fn each_is_tried_once_between_waits() {
        let mut rounds = Rounds::new(3);
        assert_eq!((rounds.current(), rounds.is_last()), (0, false));
        assert_eq!(tries(&mut rounds, 2), [(1, 0), (2, 0)]);
        assert!(rounds.is_last());
        assert_eq!(tries(&mut rounds, 6), [(0, 500), (1, 0), (2, 0), (0, 1000), (1, 0), (2, 0)]);
    }

    /// After a connection that lasted, all are tried at once, that one last. One that did not is a try like any other.
    #[test]
    fn a_break_begins_a_round() {
        let mut rounds = Rounds::new(2);
        tries(&mut rounds, 3);
        rounds.lasted();
        assert_eq!(tries(&mut rounds, 3), [(0, 0), (1, 0), (0, 500)]);
        rounds.succeeded();
        assert_eq!(tries(&mut rounds, 3), [(1, 0), (0, 500), (1, 0)]);
    }

    /// A single server always has its waits.
    #[test]
    fn a_single_server_is_waited_for() {
        let mut rounds = Rounds::new(1);
        assert!(rounds.is_last() && !rounds.has_others());
        rounds.lasted();
        assert_eq!(tries(&mut rounds, 3), [(0, 500), (0, 1000), (0, 2000)]);
    }

    /// What one says for all ends the round.
    #[test]
    fn one_may_speak_for_all() {
        let mut rounds = Rounds::new(3);
        rounds.spoke_for_all();
        assert_eq!(tries(&mut rounds, 3), [(1, 500), (2, 0), (0, 0)]);
    }
}
