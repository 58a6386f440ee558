//! Where the threads of a client meet: the session, and word that it has changed.

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::session::{Next, Session};

/// Bytes that are sent in one go, about.
const BATCH: usize = 64 * 1024;

/// The session, shared. Whoever types, reads from the server and writes to it changes it; whoever waits for a change is
/// told of every one.
pub struct Hub {
    session: Mutex<Session>,
    changed: Condvar,
    /// The signal that asked to stop, or zero.
    signal: AtomicI32,
}

impl Hub {
    /// Shares a session.
    #[must_use]
    pub fn new(session: Session) -> Hub {
        Hub { session: Mutex::new(session), changed: Condvar::new(), signal: AtomicI32::new(0) }
    }

    /// Looks at the session, or changes it.
    pub fn with<T>(&self, f: impl FnOnce(&mut Session) -> T) -> T {
        let result = f(&mut self.lock());
        self.changed.notify_all();
        result
    }

    /// A signal asks to stop: the user leaves at once.
    pub fn stop_by(&self, signal: i32) {
        self.signal.store(signal, Ordering::Relaxed);
        self.with(Session::leave_now);
    }

    /// The signal that asked to stop, if any.
    #[must_use]
    pub fn stopped_by(&self) -> Option<i32> {
        Some(self.signal.load(Ordering::Relaxed)).filter(|&signal| signal != 0)
    }

    /// Waits until `done` holds, but not longer than `limit`. Answers whether it does.
    pub fn wait_until(&self, limit: Option<Duration>, mut done: impl FnMut(&Session) -> bool) -> bool {
        let deadline = limit.map(|limit| Instant::now() + limit);
        let mut session = self.lock();
        while !done(&session) {
            let Some(deadline) = deadline else {
                session = self.changed.wait(session).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            session = self.changed.wait_timeout(session, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Waits for something to send over the connection: some lines, or `None` once there will be no more.
    pub fn next_to_send(&self) -> Option<Vec<u8>> {
        let mut batch = Vec::new();
        let mut session = self.lock();
        while !session.is_down() {
            match session.next_to_send() {
                Next::Send(line) => {
                    batch.extend_from_slice(line.as_bytes());
                    batch.push(b'\n');
                }
                Next::Wait | Next::Close if !batch.is_empty() => return Some(batch),
                Next::Close => return None,
                Next::Wait => {
                    // Lines that were written to a server of another kind make room for more.
                    self.changed.notify_all();
                    session = self.changed.wait(session).unwrap_or_else(PoisonError::into_inner);
                }
            }
            if batch.len() >= BATCH {
                return Some(batch);
            }
        }
        None
    }

    /// A session is whole between any two of its calls, so one that a panic left behind is as good as any.
    fn lock(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
