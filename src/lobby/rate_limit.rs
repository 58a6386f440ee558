//! Rate limits: token buckets whose time is an argument.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

/// What joining costs, in lines.
pub const JOIN_COST: u32 = 10;

/// A line costs one more for each whole block of this many bytes.
const BYTES_PER_LINE: usize = 1024;

/// A sender counts as having slowed down this long after its bucket was full again, or after the time of one unit if
/// that is longer.
const RECOVERY: Duration = Duration::from_millis(100);

/// What a line of this many bytes costs its sender, in lines.
#[must_use]
pub fn cost_of(bytes: usize) -> u32 {
    1 + u32::try_from(bytes / BYTES_PER_LINE).unwrap_or(u32::MAX - 1)
}

/// A rate limit: `burst` units at once, then `rate` units a second.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// The time in which one unit flows back. Zero: no limit.
    interval: Duration,
    /// What a full bucket holds, as the time in which it flows back.
    depth: Duration,
}

impl Rate {
    /// `rate` units a second (0: no limit) after `burst` units at once.
    #[must_use]
    pub const fn new(rate: u32, burst: u32) -> Rate {
        if rate == 0 {
            return Rate { interval: Duration::ZERO, depth: Duration::ZERO };
        }
        // In nanoseconds, so that high rates lose nothing to rounding.
        let depth = Duration::from_nanos(1_000_000_000 * burst as u64 / rate as u64);
        Rate { interval: Duration::from_nanos(1_000_000_000 / rate as u64), depth }
    }

    /// Whether nothing is ever delayed.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        self.interval.is_zero()
    }

    /// The limit for `count` senders together: `count` times the rate and the burst.
    #[must_use]
    pub fn times(&self, count: u32) -> Rate {
        Rate { interval: self.interval / count, depth: self.depth }
    }
}

/// One token bucket, kept as the moment when it will be full again (the generic cell rate algorithm, ITU-T I.371). For
/// a full bucket that moment has passed; each unit moves it on by one interval. What costs more than the bucket holds
/// passes, and is waited for afterwards.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bucket {
    /// In nanoseconds, of which 64 bits last for centuries.
    full_at: u64,
}

impl Bucket {
    /// When the next unit may pass: a moment in the past if it may pass now.
    #[must_use]
    pub fn ready_at(self, rate: &Rate) -> Duration {
        (self.full_at() + rate.interval).saturating_sub(rate.depth)
    }

    /// When `units` of them may pass together. More than the bucket holds never may.
    #[must_use]
    pub fn ready_for(self, rate: &Rate, units: usize) -> Duration {
        let needed = rate.interval.saturating_mul(u32::try_from(units).unwrap_or(u32::MAX));
        (self.full_at() + needed).saturating_sub(rate.depth)
    }

    /// Takes `units` out of it.
    pub fn charge(&mut self, rate: &Rate, units: u32, now: Duration) {
        self.set(self.full_at().max(now) + rate.interval.saturating_mul(units));
    }

    /// Of two buckets, the one that is full later.
    #[must_use]
    pub fn later(self, other: Bucket) -> Bucket {
        Bucket { full_at: self.full_at.max(other.full_at) }
    }

    /// Limits what is missing to what it can hold: it is empty at worst, and not in debt.
    pub fn forgive(&mut self, rate: &Rate, now: Duration) {
        self.set(self.full_at().min(now + rate.depth));
    }

    /// Whether it is full, and so no different from a new one.
    #[must_use]
    pub fn is_full(self, now: Duration) -> bool {
        self.full_at() <= now
    }

    /// Whether the sender has slowed down.
    #[must_use]
    pub fn has_recovered(self, rate: &Rate, now: Duration) -> bool {
        self.full_at() + rate.interval.max(RECOVERY) <= now
    }

    fn full_at(self) -> Duration {
        Duration::from_nanos(self.full_at)
    }

    fn set(&mut self, full_at: Duration) {
        self.full_at = u64::try_from(full_at.as_nanos()).unwrap_or(u64::MAX);
    }
}

/// Buckets that outlive their connections. Full ones are forgotten now and then, at an amortised constant cost for each
/// one added.
#[derive(Debug)]
pub struct Buckets<K> {
    buckets: HashMap<K, Bucket>,
    /// At this many buckets the full ones are removed.
    sweep_at: usize,
}

/// With fewer buckets than this, it is not worth removing the full ones.
const MIN_SWEEP: usize = 1024;

impl<K> Default for Buckets<K> {
    fn default() -> Self {
        Buckets { buckets: HashMap::new(), sweep_at: MIN_SWEEP }
    }
}

impl<K: Eq + Hash> Buckets<K> {
    /// A copy of the bucket of `key`.
    #[must_use]
    pub fn get(&self, key: &K) -> Bucket {
        self.buckets.get(key).copied().unwrap_or_default()
    }

    /// The bucket of `key`, to be changed.
    pub fn entry(&mut self, key: K, now: Duration) -> &mut Bucket {
        if self.buckets.len() >= self.sweep_at {
            self.buckets.retain(|_, bucket| !bucket.is_full(now));
            self.sweep_at = (2 * self.buckets.len()).max(MIN_SWEEP);
        }
        self.buckets.entry(key).or_default()
    }

    /// Removes the bucket of `key`, and returns it.
    pub fn remove(&mut self, key: &K) -> Bucket {
        self.buckets.remove(key).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn passed(bucket: &mut Bucket, rate: &Rate, now: Duration) -> u32 {
        let mut count = 0;
        while count < 10_000 && bucket.ready_at(rate) <= now {
            bucket.charge(rate, 1, now);
            count += 1;
        }
        count
    }

    /// A burst passes at once, then lines flow at the rate, and a pause refills the bucket, but no further.
    #[test]
    fn bursts_then_flows() {
        let rate = Rate::new(20, 1000);
        let mut bucket = Bucket::default();
        assert_eq!(passed(&mut bucket, &rate, SECOND), 1000);
        assert!(!bucket.has_recovered(&rate, SECOND));
        assert_eq!(passed(&mut bucket, &rate, 2 * SECOND), 20);
        assert_eq!(passed(&mut bucket, &rate, 3 * SECOND), 20);
        assert!(bucket.has_recovered(&rate, 54 * SECOND));
        assert_eq!(passed(&mut bucket, &rate, 1000 * SECOND), 1000);
    }

    /// A cost beyond the burst passes, and becomes debt.
    #[test]
    fn a_high_cost_becomes_debt() {
        let rate = Rate::new(20, 10);
        let mut bucket = Bucket::default();
        bucket.charge(&rate, cost_of(64 * 1024), SECOND);
        assert_eq!(bucket.ready_at(&rate), SECOND + Duration::from_millis(50 * (65 - 10 + 1)));
        bucket.forgive(&rate, SECOND);
        assert_eq!(bucket.ready_at(&rate), SECOND + SECOND / 20);
    }

    /// Rate 0 never delays anybody.
    #[test]
    fn no_limit() {
        assert_eq!(passed(&mut Bucket::default(), &Rate::new(0, 1), SECOND), 10_000);
    }

    /// A sender that is delayed all the time never counts as having slowed down, however small the burst.
    #[test]
    fn a_spell_lasts_while_lines_wait() {
        for burst in [1, 2, 50] {
            let rate = Rate::new(20, burst);
            let (mut bucket, mut now) = (Bucket::default(), SECOND);
            for _ in 0..200 {
                now = now.max(bucket.ready_at(&rate));
                bucket.charge(&rate, 1, now);
                assert!(!bucket.has_recovered(&rate, now + Duration::from_millis(5)));
            }
        }
    }

    /// Full buckets are forgotten, and others kept.
    #[test]
    fn full_buckets_are_forgotten() {
        let rate = Rate::new(1, 1);
        let mut buckets = Buckets::default();
        buckets.entry(0, SECOND).charge(&rate, 1_000_000, SECOND);
        for key in 1..100_000 {
            let now = SECOND * key;
            buckets.entry(key, now).charge(&rate, 1, now);
        }
        assert!(buckets.buckets.len() <= MIN_SWEEP && !buckets.get(&0).is_full(SECOND * 100_000));
    }
}
