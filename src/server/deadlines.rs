//! Moments at which something is due for a connection, each list for one kind of thing.

use std::collections::VecDeque;
use std::time::Duration;

use mio::Token;

use super::slots::Slots;

/// Deadlines that all lie equally far ahead when they are set: so they are in order, and nothing has to be searched.
///
/// Those of connections that are gone stay until they are due, unless there are too many of them.
#[derive(Debug, Default)]
pub struct Deadlines(VecDeque<(Duration, Token)>);

/// How many deadlines of connections that are gone a list may always have.
const SLACK: usize = 64;

impl Deadlines {
    /// Sets one, not earlier than those before.
    pub fn set<T>(&mut self, at: Duration, token: Token, connections: &Slots<T>) {
        if self.0.len() >= 2 * connections.len() + SLACK {
            self.0.retain(|&(_, token)| connections.contains(token));
        }
        self.0.push_back((at, token));
    }

    /// Takes the next one that is due.
    pub fn next_due(&mut self, now: Duration) -> Option<Token> {
        self.0.pop_front_if(|&mut (at, _)| at <= now).map(|(_, token)| token)
    }

    /// Drops those at the front that have become void.
    pub fn drop_while(&mut self, mut is_void: impl FnMut(Token) -> bool) {
        while self.0.pop_front_if(|&mut (_, token)| is_void(token)).is_some() {}
    }

    /// When the next one is due.
    #[must_use]
    pub fn first(&self) -> Option<Duration> {
        self.0.front().map(|&(at, _)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However many connections come and go, no more deadlines are kept than twice as many as there are connections, and a few.
    #[test]
    fn the_gone_are_forgotten() {
        let (mut slots, mut deadlines) = (Slots::default(), Deadlines::default());
        let connect = |slots: &mut Slots<()>| slots.try_insert(|_| Ok::<_, ()>(())).unwrap();
        let stays = connect(&mut slots);
        deadlines.set(Duration::ZERO, stays, &slots);
        for second in 1..10_000 {
            let token = connect(&mut slots);
            deadlines.set(Duration::from_secs(second), token, &slots);
            slots.remove(token);
            assert!(deadlines.0.len() <= SLACK + 4, "{}", deadlines.0.len());
        }
        assert_eq!(deadlines.next_due(Duration::ZERO), Some(stays));
        assert_eq!(deadlines.next_due(Duration::ZERO), None);
    }
}
