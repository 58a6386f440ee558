//! What the operator sees: one line for each event, on stdout.

use std::env;
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, SystemTime};

use super::background::{Background, Outcome, Output, POLL};
use crate::lobby::ClientId;
use crate::lobby::event::Event;
use crate::protocol::notice::PUBLIC;
use crate::room::scrollback::Scrollback;

/// How many bytes wait at most for an output that is blocked or fails; lines beyond that are dropped and counted.
const MAX_WAITING: usize = 256 * 1024;

/// With this many bytes waiting, they are handed over even within [`GATHER_TIME`].
const BATCH: usize = MAX_WAITING / 4;

/// How long lines are gathered before they are handed over. The first line after a quiet time is handed over at once,
/// but waking the thread for each line costs as much as sending it to several people.
const GATHER_TIME: Duration = Duration::from_millis(10);

/// The operator's console. It never delays the server.
///
/// An output that fails for a while, as a file on a full disk does, is tried again until it works. Only an output that
/// is closed for good is given up.
#[derive(Debug)]
pub struct Console {
    output: Background,
    is_terminal: bool,
    /// Whether each line begins with the time.
    has_times: bool,
    verbosity: Verbosity,
    waiting: Vec<u8>,
    dropped: usize,
    closed: bool,
    /// Until when lines are gathered.
    gathers_until: Duration,
}

/// Where a public line stands in the log.
type Span = Range<u64>;

const CANNOT_FAIL: &str = "writing to a Vec cannot fail";

/// How much is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verbosity {
    Trouble,
    Comings,
    All,
}

impl Console {
    /// A console on stdout. `quiet` is how often `-q` was given. Lines begin with the time if that is asked for, or if they
    /// go to a file or a pipe, unless systemd keeps them, which notes the time itself.
    ///
    /// # Errors
    /// Where the system cannot start another thread.
    pub fn new(quiet: u8, with_times: bool) -> io::Result<Console> {
        let is_terminal = io::stdout().is_terminal();
        let has_times = with_times || !is_terminal && env::var_os("JOURNAL_STREAM").is_none();
        Console::on(Box::new(io::stdout()), is_terminal, has_times, quiet)
    }

    fn on(output: Output, is_terminal: bool, has_times: bool, quiet: u8) -> io::Result<Console> {
        Ok(Console {
            output: Background::new("console", output)?,
            is_terminal,
            has_times,
            verbosity: match quiet {
                0 => Verbosity::All,
                1 => Verbosity::Comings,
                _ => Verbosity::Trouble,
            },
            waiting: Vec::new(),
            dropped: 0,
            closed: false,
            gathers_until: Duration::ZERO,
        })
    }

    /// About the server itself: it starts, it stops.
    pub fn status(&mut self, what: fmt::Arguments<'_>) {
        self.print(Verbosity::Comings, 'O', what);
    }

    /// A problem that the operator may have to solve.
    pub fn trouble(&mut self, what: fmt::Arguments<'_>) {
        self.print(Verbosity::Trouble, '!', what);
    }

    /// Something that happened in the room. `peer` returns the address at the other end of a connection.
    pub fn event(&mut self, event: &Event, log: &Scrollback, peer: impl Fn(ClientId) -> Option<SocketAddr>) {
        if self.verbosity < Verbosity::Comings || (self.verbosity < Verbosity::All && matches!(event, Event::Said(_))) {
            return;
        }
        let from = |id: ClientId| FromPeer(peer(id));
        match event {
            Event::Said(span) => self.print_line(Verbosity::All, '~', log, span.clone(), format_args!("")),
            Event::Joined(id, span, online) => {
                let from = id.map_or(FromPeer(None), from);
                self.print_notice('+', log, span, format_args!("{from} ({online} online)"));
            }
            Event::Left(span, online) => self.print_notice('-', log, span, format_args!(" ({online} online)")),
            Event::Told(span) => self.print_notice('~', log, span, format_args!("")),
            Event::Broke(name) => {
                self.print(Verbosity::Comings, '-', format_args!("{name} has lost the connection; the name is kept"));
            }
            Event::Returned(id, name) => {
                self.print(Verbosity::Comings, '+', format_args!("{name} is back{}", from(*id)));
            }
            Event::Ruled(what) => self.print(Verbosity::Comings, 'O', format_args!("{what}")),
            Event::Answer(line) => self.print(Verbosity::Trouble, ' ', format_args!("{line}")),
            Event::Refused(id, why) => {
                self.print(Verbosity::Comings, '-', format_args!("refused{}: {why}", from(*id)));
            }
        }
    }

    /// Hands over what waits, if it is time to. Called once a turn.
    pub fn flush(&mut self, now: Duration) {
        while let Some(outcome) = self.output.outcome(now) {
            if let Outcome::NotWritten(error) = outcome
                && is_closed(&error, self.is_terminal)
            {
                self.closed = true;
                self.waiting = Vec::new();
            }
        }
        if self.closed {
            return;
        }
        if self.dropped > 0 && self.waiting.len() < MAX_WAITING / 2 {
            let dropped = std::mem::take(&mut self.dropped);
            self.trouble(format_args!("{dropped} lines were not shown: this console took no more"));
        }
        if now >= self.gathers_until || self.waiting.len() >= BATCH {
            let had_lines = !self.waiting.is_empty();
            self.output.offer(&mut self.waiting, now);
            if had_lines && self.waiting.is_empty() {
                self.gathers_until = now + GATHER_TIME;
            }
        }
    }

    /// When to call [`Console::flush`] again even if nothing happens.
    #[must_use]
    pub fn wake_at(&self, now: Duration) -> Option<Duration> {
        if !self.is_behind() {
            return None;
        }
        if !self.waiting.is_empty() && now < self.gathers_until {
            return Some(self.gathers_until);
        }
        Some(self.output.retry_at().unwrap_or(now + POLL))
    }

    /// Whether there is more to be written.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        !self.closed && (!self.waiting.is_empty() || self.dropped > 0 || self.output.is_behind())
    }

    /// Whether a line is shown. Counts it as dropped if there is no room for it.
    fn admits(&mut self, verbosity: Verbosity) -> bool {
        let is_wanted = verbosity <= self.verbosity && !self.closed;
        let fits = self.waiting.len() <= MAX_WAITING;
        self.dropped += usize::from(is_wanted && !fits);
        is_wanted && fits
    }

    fn print(&mut self, verbosity: Verbosity, mark: char, what: fmt::Arguments<'_>) {
        if self.admits(verbosity) {
            self.begin(mark);
            writeln!(self.waiting, "{what}").expect(CANNOT_FAIL);
        }
    }

    fn begin(&mut self, mark: char) {
        if self.has_times {
            write!(self.waiting, "{} ", humantime::format_rfc3339_seconds(SystemTime::now())).expect(CANNOT_FAIL);
        }
        write!(self.waiting, "[{mark}] ").expect(CANNOT_FAIL);
    }

    /// Prints a public line from the log, which has no terminal escapes, and `after` behind it.
    fn print_line(
        &mut self,
        verbosity: Verbosity,
        mark: char,
        log: &Scrollback,
        span: Span,
        after: fmt::Arguments<'_>,
    ) {
        if self.admits(verbosity) {
            self.begin(mark);
            log.pieces(span.start, span.end - 1).for_each(|piece| self.waiting.extend_from_slice(piece));
            writeln!(self.waiting, "{after}").expect(CANNOT_FAIL);
        }
    }

    /// Prints a notice without its `*** `.
    fn print_notice(&mut self, mark: char, log: &Scrollback, span: &Span, after: fmt::Arguments<'_>) {
        let span = span.start + PUBLIC.len() as u64..span.end;
        self.print_line(Verbosity::Comings, mark, log, span, after);
    }
}

/// ` from ADDRESS`, or nothing where the connection is already gone.
struct FromPeer(Option<SocketAddr>);

impl fmt::Display for FromPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |peer| write!(f, " from {peer}"))
    }
}

/// Whether an output that fails with this error will never work again: its reader, its descriptor or its terminal is
/// gone.
fn is_closed(error: &io::Error, is_terminal: bool) -> bool {
    #[cfg(unix)]
    if let Some(code) = error.raw_os_error() {
        use nix::errno::Errno;
        let errno = Errno::from_raw(code);
        return matches!(errno, Errno::EPIPE | Errno::EBADF | Errno::ECONNRESET | Errno::ENOTCONN)
            // For a file this may be a temporary fault of the disk, or of the network.
            || errno == Errno::EIO && is_terminal;
    }
    is_terminal || error.kind() == io::ErrorKind::BrokenPipe
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first line after a quiet time is handed over at once; those that follow are gathered for a moment, at the end of
    /// which the loop has to call again.
    #[test]
    fn gathers_lines_for_a_moment() {
        let mut console = Console::on(Box::new(io::sink()), false, false, 0).unwrap();
        let start = Duration::from_secs(7);
        console.status(format_args!("one"));
        console.flush(start);
        assert!(console.waiting.is_empty() && console.is_behind());
        console.status(format_args!("two"));
        console.status(format_args!("three"));
        console.flush(start + GATHER_TIME / 2);
        assert_eq!(console.waiting, b"[O] two\n[O] three\n");
        assert_eq!(console.wake_at(start + GATHER_TIME / 2), Some(start + GATHER_TIME));
        while console.is_behind() {
            console.flush(start + GATHER_TIME);
        }
        assert_eq!(console.wake_at(start + GATHER_TIME), None);
    }
}
