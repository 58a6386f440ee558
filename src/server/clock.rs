//! The time, as the server and its log count it.

use std::time::{Duration, Instant, SystemTime};

/// The time since the UNIX epoch, as it was known at the start; from then on it never steps, however the system's clock is
/// set. So deadlines that are in a log keep their meaning when the server is started anew.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    start_time: Duration,
}

impl Clock {
    /// A clock that shows the system's time, but at least `least`: what a log has already happened before.
    #[must_use]
    pub fn new(least: Duration) -> Clock {
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Clock { start: Instant::now(), start_time: time.max(least) }
    }

    /// The log shows that it is at least `least` somewhere else: from now on it is here, too.
    pub fn catch_up(&mut self, least: Duration) {
        self.start_time += least.saturating_sub(self.now());
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.start_time + self.start.elapsed()
    }
}
