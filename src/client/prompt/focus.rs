//! Whether the user looks at the terminal, as far as it says so; and notices on their desktop while they do not.
//!
//! A terminal that is asked to says whenever it is looked at, or no longer. It says so with two sequences that rustyline
//! takes for keys it does not know, without telling which. So they are taken in turn; and any other key shows that the
//! user is there.

use std::env;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Asks a terminal to say when it is looked at. [`super::modes`] takes it back.
pub const ASK: &str = "\x1b[?1004h";

/// Some terminals begin with how things stand, which is no change.
const FIRST: Duration = Duration::from_millis(500);
/// The pause between two notices.
const PAUSE: Duration = Duration::from_secs(5);
/// The longest notice, in characters.
const MAX_NOTICE: usize = 200;

/// What is known of where the user looks.
#[derive(Debug, Default)]
pub struct Focus(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Since when the terminal is to say so.
    asked: Option<Instant>,
    is_away: bool,
    noticed: Option<Instant>,
}

impl Focus {
    /// Whether the terminal has yet to be asked, which is done now.
    pub fn is_new(&self, now: Instant) -> bool {
        self.lock().asked.replace(now).is_none()
    }

    /// The terminal is somebody else's for a while.
    pub fn leave(&self) {
        *self.lock() = State::default();
    }

    /// A key was pressed, or the terminal said something that looks like one nobody knows.
    pub fn key(&self, is_unknown: bool, now: Instant) {
        let mut state = self.lock();
        let is_first = state.asked.is_some_and(|asked| now < asked + FIRST);
        state.is_away = is_unknown && !state.is_away && !is_first;
    }

    /// Whether the user looks elsewhere.
    pub fn is_away(&self) -> bool {
        self.lock().is_away
    }

    /// Whether the user is to be told on the desktop of something that was said.
    pub fn wants_notice(&self, now: Instant) -> bool {
        let mut state = self.lock();
        let is_due = state.is_away && state.noticed.is_none_or(|noticed| now >= noticed + PAUSE);
        if is_due {
            state.noticed = Some(now);
        }
        is_due
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What shows a text on the desktop, in the words of this terminal: `OSC 777` where `OSC 9` is none of them. Nothing for a
/// terminal that would print either.
#[must_use]
pub fn notice(text: &str) -> String {
    let term = env::var("TERM").unwrap_or_default();
    spelled(text, &term, env::var_os("VTE_VERSION").is_some())
}

fn spelled(text: &str, term: &str, is_vte: bool) -> String {
    let text: String = text.chars().take(MAX_NOTICE).collect();
    match term {
        "" | "dumb" | "linux" => String::new(),
        _ if is_vte || ["foot", "rxvt"].iter().any(|start| term.starts_with(start)) => {
            format!("\x1b]777;notify;gotcp;{text}\x1b\\")
        }
        _ => format!("\x1b]9;{text}\x1b\\"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the terminal says is taken in turn, but for what it says at first; a key shows that the user is there. Of
    /// many mentions one is a notice.
    #[test]
    fn knows_who_looks_away() {
        let (focus, start) = (Focus::default(), Instant::now());
        assert!(focus.is_new(start) && !focus.is_new(start));
        let at = |seconds| start + Duration::from_secs(seconds);
        focus.key(true, start);
        assert!(!focus.wants_notice(at(1)));
        focus.key(true, at(2));
        assert!(focus.wants_notice(at(3)) && !focus.wants_notice(at(4)) && focus.wants_notice(at(9)));
        focus.key(true, at(10));
        assert!(!focus.wants_notice(at(20)));
        focus.key(true, at(21));
        focus.key(false, at(22));
        assert!(!focus.wants_notice(at(30)));
        focus.leave();
        assert!(focus.is_new(at(40)));
    }

    /// Every terminal is told in its own words, or not at all.
    #[test]
    fn speaks_to_terminals() {
        assert_eq!(spelled("bob: hi", "xterm-256color", false), "\x1b]9;bob: hi\x1b\\");
        assert_eq!(spelled("bob: hi", "foot", false), "\x1b]777;notify;gotcp;bob: hi\x1b\\");
        assert_eq!(spelled("bob: hi", "xterm-256color", true), "\x1b]777;notify;gotcp;bob: hi\x1b\\");
        assert_eq!(spelled("bob: hi", "linux", false), "");
        assert_eq!(spelled(&"x".repeat(999), "xterm", false).len(), MAX_NOTICE + 6);
    }
}
