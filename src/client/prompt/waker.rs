//! Waking a prompt that waits for a key.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::super::signals;

/// How often a prompt is woken until it wakes.
const WAKE_INTERVAL: Duration = Duration::from_millis(20);

/// How long after an interrupt it may still be on its way to whoever watches signals.
const NOTICE_TIME: Duration = Duration::from_millis(250);

/// Gets a prompt to return before the user has typed anything.
#[derive(Default)]
pub struct Waker {
    is_asked: AtomicBool,
    interrupts: Mutex<Interrupts>,
}

/// The interrupts that a waker sends.
#[derive(Default)]
struct Interrupts {
    /// Whether there is no prompt any more to be woken.
    are_over: bool,
    last: Option<Instant>,
}

impl Waker {
    /// Wakes the prompt that is up, or else the next one.
    pub fn wake(self: &Arc<Self>) {
        if self.is_asked.swap(true, Ordering::SeqCst) {
            return;
        }
        let waker = Arc::clone(self);
        // Where there are no threads any more, it wakes at the next Enter.
        let _ = thread::Builder::new().name("waker".into()).spawn(move || {
            // An interrupt that comes before rustyline listens is lost on it.
            while waker.is_asked.load(Ordering::SeqCst) && waker.interrupt() {
                thread::sleep(WAKE_INTERVAL);
            }
        });
    }

    /// Answers whether there is a reason to wake, and takes it for known.
    pub fn acknowledge(&self) -> bool {
        self.is_asked.swap(false, Ordering::SeqCst)
    }

    /// There is no prompt any more: from now on, an interrupt is the user's.
    pub fn retire(&self) {
        self.interrupts().are_over = true;
    }

    /// Whether an interrupt that has just been noticed may be one of these.
    #[must_use]
    pub fn may_have_interrupted(&self) -> bool {
        self.interrupts().last.is_some_and(|at| at.elapsed() < NOTICE_TIME)
    }

    fn interrupt(&self) -> bool {
        let mut interrupts = self.interrupts();
        if !interrupts.are_over {
            interrupts.last = Some(Instant::now());
            signals::interrupt_self();
        }
        !interrupts.are_over
    }

    fn interrupts(&self) -> MutexGuard<'_, Interrupts> {
        self.interrupts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
