//! Flood control: a token bucket whose time is an argument.

use std::time::Duration;

/// How fast one sender may go on: `burst` lines at once, then `rate` lines a second.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// What one line costs: the time in which a line's worth flows back. Zero: no limit.
    interval: Duration,
    /// How much a full bucket holds, in that time.
    depth: Duration,
}

impl Limit {
    /// `rate` lines a second (0: no limit) after `burst` lines at once.
    #[must_use]
    pub fn new(rate: u32, burst: u32) -> Limit {
        let interval = if rate == 0 { Duration::ZERO } else { Duration::from_secs(1) / rate };
        Limit { interval, depth: interval * burst.max(1) }
    }
}

/// One sender's bucket, kept as the moment when it will be full again. That is all there is to it: a full bucket's
/// moment has passed, and each line moves it on by what a line costs (the generic cell rate algorithm, ITU-T I.371).
#[derive(Debug, Default)]
pub struct Pace {
    /// In nanoseconds, of which 64 bits last for centuries.
    full_at: u64,
}

impl Pace {
    /// When the next line may be heard; not later than `now` where that is at once.
    #[must_use]
    pub fn ready_at(&self, limit: &Limit) -> Duration {
        (self.full_at() + limit.interval).saturating_sub(limit.depth)
    }

    /// Counts one line that was heard.
    pub fn heard(&mut self, limit: &Limit, now: Duration) {
        let full_at = self.full_at().max(now) + limit.interval;
        self.full_at = u64::try_from(full_at.as_nanos()).unwrap_or(u64::MAX);
    }

    /// Whether the sender has slowed down: half of the bucket is full again.
    #[must_use]
    pub fn has_recovered(&self, limit: &Limit, now: Duration) -> bool {
        self.full_at().saturating_sub(now) <= limit.depth / 2
    }

    fn full_at(&self) -> Duration {
        Duration::from_nanos(self.full_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn heard_by(pace: &mut Pace, limit: &Limit, now: Duration) -> u32 {
        let mut count = 0;
        while count < 10_000 && pace.ready_at(limit) <= now {
            pace.heard(limit, now);
            count += 1;
        }
        count
    }

    /// A burst passes at once, then lines flow at the rate, and a rest fills the bucket again but not more.
    #[test]
    fn bursts_then_flows() {
        let limit = Limit::new(20, 1000);
        let mut pace = Pace::default();
        assert_eq!(heard_by(&mut pace, &limit, SECOND), 1000);
        assert!(!pace.has_recovered(&limit, SECOND));
        assert_eq!(heard_by(&mut pace, &limit, 2 * SECOND), 20);
        assert_eq!(heard_by(&mut pace, &limit, 3 * SECOND), 20);
        assert!(pace.has_recovered(&limit, 28 * SECOND));
        assert_eq!(heard_by(&mut pace, &limit, 1000 * SECOND), 1000);
    }

    /// Rate 0 never delays anybody.
    #[test]
    fn no_limit() {
        assert_eq!(heard_by(&mut Pace::default(), &Limit::new(0, 1), SECOND), 10_000);
    }
}
