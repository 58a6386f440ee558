//! What is typed at the terminal in which the server runs.

use std::io::{self, BufRead, IsTerminal};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Duration;

/// How many lines wait at most until the loop has time for them. Then the terminal waits.
const WAITING: usize = 16;

/// How long to wait before reading again where the terminal belongs to another program, or has nothing more to say.
const PAUSE: Duration = Duration::from_secs(1);

/// Lines from the terminal, read by a thread of their own.
#[derive(Debug)]
pub struct Terminal(Receiver<Vec<u8>>);

impl Terminal {
    /// The terminal at the standard input; `None` if that is something else. `wake` is called when there is a line.
    ///
    /// # Errors
    /// Where the system cannot start another thread.
    pub fn open(wake: impl Fn() + Send + 'static) -> io::Result<Option<Terminal>> {
        if !io::stdin().is_terminal() {
            return Ok(None);
        }
        let (lines, receiver) = sync_channel(WAITING);
        thread::Builder::new().name("terminal".into()).spawn(move || {
            survive_in_background();
            let mut input = io::stdin().lock();
            loop {
                let mut line = Vec::new();
                match input.read_until(b'\n', &mut line) {
                    Ok(count) if count > 0 => {
                        if lines.send(line).is_err() {
                            return;
                        }
                        wake();
                    }
                    _ => thread::sleep(PAUSE),
                }
            }
        })?;
        Ok(Some(Terminal(receiver)))
    }

    /// The next line, if there is one.
    pub fn next(&mut self) -> Option<Vec<u8>> {
        self.0.try_recv().ok()
    }
}

/// A program in the background of a shell that reads from the terminal is stopped by SIGTTIN. Where that is blocked,
/// reading fails instead.
fn survive_in_background() {
    #[cfg(unix)]
    {
        use nix::sys::signal::{SigSet, Signal};
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGTTIN);
        // If the system refuses, the server is stopped like any other program.
        let _ = signals.thread_block();
    }
}
