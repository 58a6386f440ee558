//! How long to wait before trying again. Pure: randomness is an argument.

use std::time::Duration;

/// Before the first try.
const FIRST: Duration = Duration::from_millis(500);
/// Between tries, however many.
const LONGEST: Duration = Duration::from_secs(30);

/// The waits between tries: each up to half longer than it has to be, so that those who lost the same server do not
/// come back all at once, and the next one twice as long.
#[derive(Debug)]
pub struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff { next: FIRST }
    }
}

impl Backoff {
    /// The next wait, of which 32 random bits decide.
    pub fn next(&mut self, random: u32) -> Duration {
        let wait = self.next.mul_f64(1.0 + f64::from(random) / f64::from(u32::MAX) / 2.0).min(LONGEST);
        self.next = (self.next * 2).min(LONGEST);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits begin at half a second, double, differ by chance, and end at half a minute.
    #[test]
    fn doubles_up_to_a_limit() {
        let mut least = Backoff::default();
        let waits: Vec<_> = (0..8).map(|_| least.next(0).as_millis()).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
        let mut most = Backoff::default();
        assert_eq!(most.next(u32::MAX).as_millis(), 750);
        assert!((0..20).all(|_| most.next(u32::MAX) <= LONGEST));
    }
}
