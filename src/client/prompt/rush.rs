//! A paste from a terminal that does not mark them: its keys come faster than anyone types. Pure, apart from [`Keys`],
//! which has rustyline's keys pass by here.
//!
//! Of a line that came so fast, Enter shows only by what follows whether it ends a paste of one line, or a line of a longer
//! paste. So it is *held* for a moment.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustyline::{Cmd, ConditionalEventHandler, Event, EventContext, KeyCode, KeyEvent, Modifiers, RepeatCount};

use super::focus::Focus;
use super::waker::Waker;

/// Nobody types two keys within this time, an Enter among them, and goes on as fast.
const FAST: Duration = Duration::from_millis(50);

/// What is known of the keys that came last.
#[derive(Debug, Default)]
pub struct Rush {
    last: Option<Instant>,
    /// Whether a line has ended since the keys have been coming fast.
    has_ended: bool,
    /// Since when an Enter is held.
    held: Option<Instant>,
}

/// A key, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// One that ends a line.
    Enter,
    /// One that is text in a paste.
    Text(char),
    /// Any other.
    Other,
}

/// What a key does.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// What it always does.
    Usual,
    /// Nothing, until it is known what follows.
    Held,
    /// It puts this text where the cursor is.
    Inserts(String),
}

impl Rush {
    /// What a key does that comes when `line` stands behind the prompt.
    pub fn key(&mut self, key: Key, line: &str, now: Instant) -> Effect {
        let is_fast = self.last.replace(now).is_some_and(|last| now.duration_since(last) < FAST);
        let was_held = self.held.take().is_some();
        self.has_ended = was_held || self.has_ended && is_fast;
        let end = if was_held { "\n" } else { "" };
        match key {
            Key::Text(c) if was_held || self.has_ended && c == '\t' => Effect::Inserts(format!("{end}{c}")),
            Key::Enter if self.has_ended && !line.is_empty() => Effect::Inserts(format!("{end}\n")),
            Key::Enter if is_fast && !line.is_empty() => {
                self.held = Some(now);
                Effect::Held
            }
            Key::Other if was_held => Effect::Inserts(end.into()),
            Key::Enter | Key::Text(_) | Key::Other => Effect::Usual,
        }
    }

    /// Whether an Enter was held long enough.
    #[must_use]
    pub fn is_due(&self, now: Instant) -> bool {
        self.held.is_some_and(|since| now.duration_since(since) >= FAST)
    }

    /// What is held has had its effect, or is not wanted any more.
    pub fn forget(&mut self) {
        self.held = None;
    }
}

/// Lets every key pass by a [`Rush`].
pub struct Keys {
    /// What is known of them.
    pub rush: Arc<Mutex<Rush>>,
    /// What is known of where the user looks.
    pub focus: Arc<Focus>,
    /// What ends a prompt whose Enter was held long enough.
    pub waker: Arc<Waker>,
}

/// The rush that is shared with the keys.
pub fn lock(rush: &Mutex<Rush>) -> MutexGuard<'_, Rush> {
    rush.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ConditionalEventHandler for Keys {
    fn handle(&self, event: &Event, _: RepeatCount, _: bool, context: &EventContext<'_>) -> Option<Cmd> {
        let Event::KeySeq(keys) = event else { return None };
        let is_unknown = matches!(keys.first()?, KeyEvent(KeyCode::UnknownEscSeq, _));
        self.focus.key(is_unknown, Instant::now());
        if is_unknown {
            return Some(Cmd::Noop);
        }
        let key = match keys.first()? {
            KeyEvent(KeyCode::Enter, Modifiers::NONE) | KeyEvent(KeyCode::Char('J' | 'M'), Modifiers::CTRL) => {
                Key::Enter
            }
            KeyEvent(KeyCode::Char(c), Modifiers::NONE) => Key::Text(*c),
            KeyEvent(KeyCode::Tab, Modifiers::NONE) => Key::Text('\t'),
            _ => Key::Other,
        };
        match lock(&self.rush).key(key, context.line(), Instant::now()) {
            Effect::Usual => None,
            Effect::Inserts(text) => Some(Cmd::Insert(1, text)),
            // Where a prompt cannot be woken, nothing can be held.
            Effect::Held if cfg!(not(unix)) => None,
            Effect::Held => {
                let (rush, waker) = (Arc::clone(&self.rush), Arc::clone(&self.waker));
                let wake = move || {
                    thread::sleep(FAST);
                    if lock(&rush).is_due(Instant::now()) {
                        waker.wake();
                    }
                };
                // Without a thread it is not held.
                thread::Builder::new().name("hold".into()).spawn(wake).is_ok().then_some(Cmd::Noop)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands behind the prompt after some keys, each so many milliseconds after the one before; what was sent; and
    /// whether an Enter is held.
    fn typed(keys: &[(u64, &str)]) -> (String, Vec<String>, bool) {
        let (mut rush, mut now) = (Rush::default(), Instant::now());
        let (mut line, mut sent) = (String::new(), Vec::new());
        for (wait, text) in keys {
            now += Duration::from_millis(*wait);
            if rush.is_due(now) {
                rush.forget();
                sent.push(std::mem::take(&mut line));
            }
            for c in text.chars() {
                let key = match c {
                    '\r' => Key::Enter,
                    '\x04' => Key::Other,
                    c => Key::Text(c),
                };
                match rush.key(key, &line, now) {
                    Effect::Usual if c == '\r' => sent.push(std::mem::take(&mut line)),
                    Effect::Usual if c != '\x04' => line.push(c),
                    Effect::Inserts(text) => line += &text,
                    Effect::Usual | Effect::Held => {}
                }
            }
        }
        (line, sent, rush.held.is_some())
    }

    /// Several lines that come at once stay behind the prompt; one does not, and nothing that is typed.
    #[test]
    fn tells_pastes_from_typing() {
        let still = |line: &str| (line.into(), Vec::new(), false);
        let sent = |lines: &[&str]| (String::new(), lines.iter().map(|&line| line.into()).collect(), false);
        assert_eq!(typed(&[(0, "one\r!who\r")]), still("one\n!who\n"));
        assert_eq!(typed(&[(0, "one\r!who")]), still("one\n!who"));
        assert_eq!(typed(&[(0, "one\r"), (9, "\r\t!"), (9, "who\r")]), still("one\n\n\t!who\n"));
        assert_eq!(typed(&[(0, "one\r\x04two")]), still("one\ntwo"));
        assert_eq!(typed(&[(0, "!who\r")]), ("!who".into(), Vec::new(), true));
        assert_eq!(typed(&[(0, "!who\r"), (60, "")]), sent(&["!who"]));
        assert_eq!(typed(&[(0, "h"), (90, "i"), (70, "\r"), (90, "y"), (55, "\r")]), sent(&["hi", "y"]));
        assert_eq!(typed(&[(0, "\r\r\r"), (99, "y"), (55, "\r")]), sent(&["", "", "", "y"]));
        assert_eq!(typed(&[(0, "a"), (99, "\r!who\rb")]), ("!who\nb".into(), vec!["a".into()], false));
        assert_eq!(typed(&[(0, "a\rb\r"), (99, "\r")]), sent(&["a\nb\n"]));
    }
}
