//! What is shown above the prompt, and how it gets there.
//!
//! Only the thread that reads keys writes to the terminal, so nothing ever tears: what is to be shown waits here, and
//! every time the prompt is drawn, it is drawn behind what waits, in one write. When something comes while nobody
//! types, the *bell-ringer* makes rustyline draw its prompt. (Its external printer could show the text, too, but it does
//! so by itself where it believes that no prompt is up, and then hits the row that is just being wiped.)
//!
//! Nobody waits for the screen: whoever shows something leaves it here. What waits is bounded; the oldest goes first, and
//! it is said how much.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::Write;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use anstream::adapter::strip_str;
use rustyline::ExternalPrinter;

use super::rows::height;
use super::unheard::Unheard;

/// Bytes that may wait.
const MAX_WAITING: usize = 16 * 1024 * 1024;

/// Bytes that are drawn in one go, about: so much that a burst is shown at once, so little that keys are not kept waiting.
const BATCH: usize = 64 * 1024;

/// Bytes of what was drawn last that are kept, to be drawn again: more than a screen of text.
const RECENT: usize = 64 * 1024;

/// What rustyline is given to print, to make it draw the prompt. It has wiped it by then, and stands at its left upper
/// corner. A printed text has to end a line, so this one goes up first.
const RING: &str = "\x1b[A\n";

/// How long the end of a ring is waited for that may go to the terminal directly.
const RING_TIME: Duration = Duration::from_millis(5);

/// How long rustyline may take to draw. In some modes (a search, a key of several) it does not draw at all.
const DRAWING_TIME: Duration = Duration::from_millis(800);

/// What waits to be shown.
#[derive(Default)]
pub struct Screen {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<String>,
    bytes: usize,
    /// What was drawn last.
    recent: String,
    /// Lines that were given up.
    lost: usize,
    /// What the terminal is told besides, that takes no room on it.
    aside: String,
    /// What the user has sent meanwhile.
    unheard: Unheard,
    /// Whether less of that is to be shown than is.
    is_stale: bool,
    prompt: Prompt,
    /// Whether rustyline was asked to draw since it last did.
    is_rung: bool,
    /// Whether it is being asked just now.
    is_ringing: bool,
}

/// What is on the screen below.
#[derive(Default)]
enum Prompt {
    /// None just now.
    #[default]
    Down,
    /// One that waits for keys.
    Up,
    /// None any more: this is where to write.
    Closed(Box<dyn Write + Send>),
}

impl Screen {
    /// Shows whole lines as soon as it can be done.
    pub fn show(&self, lines: String) {
        self.show_heard(lines, |_| false);
    }

    /// Shows whole lines, by which some of what the user has sent is `heard`.
    pub fn show_heard(&self, lines: String, heard: impl FnOnce(&mut Unheard) -> bool) {
        let mut state = self.lock();
        state.is_stale |= heard(&mut state.unheard);
        if let Prompt::Closed(out) = &mut state.prompt {
            // Where the terminal is gone, nobody is left to tell.
            let _ = out.write_all(lines.as_bytes()).and_then(|()| out.flush());
            return;
        }
        if !lines.is_empty() {
            state.bytes += lines.len();
            state.waiting.push_back(lines);
        }
        while state.bytes > MAX_WAITING {
            let Some(oldest) = state.waiting.pop_front() else { break };
            state.bytes -= oldest.len();
            state.lost += oldest.matches('\n').count();
        }
        self.changed.notify_all();
    }

    /// Tells the terminal something that takes no room on it, when a prompt is drawn.
    pub fn tell(&self, aside: String) {
        self.lock().aside = aside;
    }

    /// The user, who is called `own`, sends a line.
    pub fn send(&self, text: &str, literal: bool, own: &str) {
        self.lock().unheard.send(text, literal, own);
    }

    /// Whether the server is known to have heard all that the user has sent.
    pub fn is_heard(&self) -> bool {
        self.lock().unheard.is_empty()
    }

    /// What the user has sent and the room has not said, in at most `limit` rows.
    #[must_use]
    pub fn unheard(&self, columns: usize, limit: usize) -> Vec<String> {
        self.lock().unheard.rows(columns, limit)
    }

    /// Whether nothing waits to be shown.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().waiting.is_empty()
    }

    /// What the terminal is told besides.
    #[must_use]
    pub fn aside(&self) -> String {
        std::mem::take(&mut self.lock().aside)
    }

    /// A prompt is about to be drawn: what is to be drawn before it.
    #[must_use]
    pub fn draw(&self) -> String {
        let mut state = self.lock();
        state.prompt = Prompt::Up;
        (state.is_rung, state.is_stale) = (false, false);
        self.changed.notify_all();
        let drawn = state.take(BATCH);
        state.remember(&drawn);
        drawn
    }

    /// The lines that were drawn last, as many as fit on so many rows.
    #[must_use]
    pub fn recent(&self, rows: usize, columns: usize) -> String {
        let state = self.lock();
        let (mut start, mut taken) = (state.recent.len(), 0);
        for line in state.recent.split_inclusive('\n').rev() {
            let shown = strip_str(line.trim_end_matches('\n')).to_string();
            taken += height(&shown, columns).max(1);
            if taken > rows {
                break;
            }
            start -= line.len();
        }
        state.recent[start..].replace('\x07', "")
    }

    /// The prompt is gone from the screen.
    pub fn prompt_is_down(&self) {
        let mut state = self.lock();
        state.prompt = Prompt::Down;
        // A ring that found no prompt goes to the terminal, where it does no harm before there is one again. One that
        // waits for rustyline may wait on, and is why this does not last for ever.
        drop(self.changed.wait_timeout_while(state, RING_TIME, |state| state.is_ringing));
    }

    /// There will be no prompt any more: all that is shown goes to `out` from now on.
    pub fn close(&self, mut out: Box<dyn Write + Send>) {
        let mut state = self.lock();
        let rest = state.take(usize::MAX);
        let _ = out.write_all(rest.as_bytes()).and_then(|()| out.flush());
        state.prompt = Prompt::Closed(out);
        self.changed.notify_all();
    }

    /// Makes rustyline draw when something waits and nobody types, and calls `wake` where it does not. Returns once the
    /// screen is closed.
    pub fn ring(&self, mut printer: impl ExternalPrinter + Send, wake: impl Fn()) {
        let (bell, rings) = mpsc::channel();
        thread::scope(|scope| {
            // A ring that comes before the last one was taken has to wait for rustyline, which may have to be woken.
            scope.spawn(move || {
                for () in rings {
                    // Without rustyline, the screen is about to be closed.
                    let _ = printer.print(RING.into());
                    self.lock().is_ringing = false;
                    self.changed.notify_all();
                }
            });
            let ring = || {
                let _ = bell.send(());
            };
            self.watch(ring, wake);
            drop(bell);
        });
    }

    /// Calls `ring` when rustyline is to draw, and `wake` where it does not.
    fn watch(&self, ring: impl Fn(), wake: impl Fn()) {
        loop {
            let waits = |state: &mut State| match state.prompt {
                Prompt::Closed(_) => false,
                Prompt::Up => state.waiting.is_empty() && !state.is_stale || state.is_rung,
                Prompt::Down => true,
            };
            let mut state = self.changed.wait_while(self.lock(), waits).unwrap_or_else(PoisonError::into_inner);
            if matches!(state.prompt, Prompt::Closed(_)) {
                return;
            }
            state.is_rung = true;
            state.is_ringing = true;
            drop(state);
            ring();
            let is_awaited = |state: &mut State| state.is_rung && matches!(state.prompt, Prompt::Up);
            let drawn = self.changed.wait_timeout_while(self.lock(), DRAWING_TIME, is_awaited);
            if drawn.unwrap_or_else(PoisonError::into_inner).1.timed_out() {
                wake();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn remember(&mut self, drawn: &str) {
        self.recent.push_str(drawn);
        if self.recent.len() > 2 * RECENT {
            let from = self.recent.ceil_char_boundary(self.recent.len() - RECENT);
            let from = self.recent[from..].find('\n').map_or(self.recent.len(), |end| from + end + 1);
            self.recent.drain(..from);
        }
    }

    /// About so many bytes of what waits.
    fn take(&mut self, limit: usize) -> String {
        let mut taken = String::new();
        if self.lost > 0 {
            let _ = writeln!(taken, "gotcp: {} lines are not shown: the screen could not keep up", self.lost);
            self.lost = 0;
        }
        while taken.len() < limit {
            let Some(lines) = self.waiting.pop_front() else { break };
            self.bytes -= lines.len();
            taken.push_str(&lines);
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is shown comes out once, in order, batch by batch.
    #[test]
    fn keeps_the_order() {
        let screen = Screen::default();
        let lines: Vec<_> = (0..20_000).map(|n| format!("line {n}\n")).collect();
        for line in &lines {
            screen.show(line.clone());
        }
        let batches: Vec<_> = std::iter::from_fn(|| Some(screen.draw()).filter(|batch| !batch.is_empty())).collect();
        assert!(batches.iter().all(|batch| batch.len() < BATCH + 100));
        assert_eq!(batches.concat(), lines.concat());
    }

    /// As many of the last lines as fit are drawn again, without their bells; the memory of them is bounded.
    #[test]
    fn remembers_a_screen() {
        let screen = Screen::default();
        screen.show("first\n\x1b[1msecond\x1b[0m\n1234567\x07\nlast\n".into());
        assert_eq!((screen.recent(9, 6), screen.draw().len()), (String::new(), 35));
        assert_eq!(screen.recent(9, 6), "first\n\x1b[1msecond\x1b[0m\n1234567\nlast\n");
        assert_eq!(screen.recent(3, 6), "1234567\nlast\n");
        assert_eq!(screen.recent(2, 6), "last\n");
        for _ in 0..10 {
            screen.show(format!("{}\n", "한".repeat(9999)));
            let _ = screen.draw();
        }
        assert!(screen.lock().recent.len() <= 2 * RECENT && screen.recent(999, 80).ends_with("한\n"));
    }

    /// What nobody looks at stays within bounds; the newest is kept, and it is said how much is not.
    #[test]
    fn is_bounded_and_says_so() {
        let screen = Screen::default();
        let line = format!("{}\n", "x".repeat(1023));
        for _ in 0..MAX_WAITING / 1024 + 7 {
            screen.show(line.clone());
        }
        screen.show("the last\n".into());
        assert!(screen.lock().bytes <= MAX_WAITING);
        let mut all = String::new();
        while screen.lock().bytes > 0 {
            all += &screen.draw();
        }
        assert!(all.starts_with("gotcp: 8 lines are not shown"));
        assert!(all.ends_with("the last\n"));
        assert_eq!(all.lines().count(), MAX_WAITING / 1024 + 1);
    }

    /// The bell-ringer rings once for what waits, again only after the prompt was drawn, and ends with the screen. It wakes
    /// a prompt that does not draw.
    #[test]
    fn rings_once_per_drawing() {
        struct Printer(std::sync::mpsc::Sender<String>);
        impl ExternalPrinter for Printer {
            fn print(&mut self, text: String) -> rustyline::Result<()> {
                let _ = self.0.send(text);
                Ok(())
            }
        }
        let screen = Screen::default();
        let (rung, rings) = std::sync::mpsc::channel();
        let (woken, wakes) = std::sync::mpsc::channel();
        let second = Duration::from_secs(1);
        std::thread::scope(|scope| {
            scope.spawn(|| screen.ring(Printer(rung), || woken.send(()).unwrap()));
            assert_eq!(screen.draw(), "");
            screen.show("a\n".into());
            screen.show("b\n".into());
            assert_eq!(rings.recv_timeout(10 * second).unwrap(), RING);
            assert!(rings.recv_timeout(second / 20).is_err());
            assert_eq!(screen.draw(), "a\nb\n");
            screen.prompt_is_down();
            screen.show("c\n".into());
            assert!(rings.recv_timeout(second / 20).is_err());
            assert_eq!(screen.draw(), "c\n");
            screen.show("d\n".into());
            assert_eq!(rings.recv_timeout(10 * second).unwrap(), RING);
            wakes.recv_timeout(10 * second).unwrap();
            screen.close(Box::new(std::io::sink()));
        });
        assert!(wakes.try_recv().is_err());
    }

    /// A prompt is woken also where it has not taken the last ring, so that the next one has to wait.
    #[test]
    fn a_ring_that_is_not_taken_keeps_nobody() {
        struct Printer(std::sync::mpsc::SyncSender<String>);
        impl ExternalPrinter for Printer {
            fn print(&mut self, text: String) -> rustyline::Result<()> {
                let _ = self.0.send(text);
                Ok(())
            }
        }
        let screen = Screen::default();
        let (rung, rings) = std::sync::mpsc::sync_channel(0);
        let (woken, wakes) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| screen.ring(Printer(rung), || woken.send(()).unwrap()));
            assert_eq!(screen.draw(), "");
            screen.show("a\n".into());
            wakes.recv_timeout(Duration::from_secs(10)).unwrap();
            drop(rings);
            screen.close(Box::new(std::io::sink()));
        });
    }
}
