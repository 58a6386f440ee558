//! What the operator sees: a line each, on stdout.

use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use super::background::{Background, RETRY};
use crate::lobby::ClientId;
use crate::lobby::event::Event;
use crate::protocol::notice::PUBLIC;
use crate::room::scrollback::Scrollback;

/// How many bytes wait at most for an output that stands still; what comes after that is dropped and counted.
const MAX_WAITING: usize = 256 * 1024;

/// How many bytes are handed over at once, whenever that was done last.
const BATCH: usize = MAX_WAITING / 4;

/// How long lines are gathered before they are handed over. The first one after some quiet is not kept waiting; but to wake
/// a thread for each line costs as much as telling it to several people.
const GATHER_TIME: Duration = Duration::from_millis(10);

/// The operator's console. It never holds the loop up.
#[derive(Debug)]
pub struct Console {
    output: Background,
    verbosity: Verbosity,
    waiting: Vec<u8>,
    dropped: usize,
    closed: bool,
    /// Until when lines are gathered.
    gathers_until: Duration,
}

/// Where a public line stands in the log.
type Span = Range<u64>;

const TAKES_ALL: &str = "memory takes everything";

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verbosity {
    Trouble,
    Comings,
    All,
}

impl Console {
    /// A console on stdout. `quiet` counts the `-q`.
    ///
    /// # Errors
    /// Where the system has no thread left to write it.
    pub fn new(quiet: u8) -> io::Result<Console> {
        Console::on(io::stdout(), quiet)
    }

    fn on(output: impl Write + Send + 'static, quiet: u8) -> io::Result<Console> {
        let verbosity = match quiet {
            0 => Verbosity::All,
            1 => Verbosity::Comings,
            _ => Verbosity::Trouble,
        };
        let output = Background::new("console", output)?;
        Ok(Console { output, verbosity, waiting: Vec::new(), dropped: 0, closed: false, gathers_until: Duration::ZERO })
    }

    /// The server itself: it starts, it stops.
    pub fn status(&mut self, what: fmt::Arguments<'_>) {
        self.print(Verbosity::Comings, 'O', what);
    }

    /// Something that the operator may have to see to.
    pub fn trouble(&mut self, what: fmt::Arguments<'_>) {
        self.print(Verbosity::Trouble, '!', what);
    }

    /// Something that happened in the room. `peer` finds out who is at the other end of a connection.
    pub fn event(&mut self, event: &Event, log: &Scrollback, peer: impl Fn(ClientId) -> Option<SocketAddr>) {
        if self.verbosity < Verbosity::Comings || (self.verbosity < Verbosity::All && matches!(event, Event::Said(_))) {
            return;
        }
        let from = |id: ClientId| FromPeer(peer(id));
        match event {
            Event::Said(span) => self.print_line(Verbosity::All, '~', log, span.clone(), format_args!("")),
            Event::Joined(id, span, online) => {
                self.print_notice('+', log, span, format_args!("{} ({online} online)", from(*id)));
            }
            Event::Left(span, online) => self.print_notice('-', log, span, format_args!(" ({online} online)")),
            Event::Renamed(span) => self.print_notice('~', log, span, format_args!("")),
            Event::Broke(name) => {
                self.print(Verbosity::Comings, '-', format_args!("{name} has lost the connection; the name is kept"));
            }
            Event::Returned(id, name) => {
                self.print(Verbosity::Comings, '+', format_args!("{name} is back{}", from(*id)));
            }
            Event::Refused(id, why) => {
                self.print(Verbosity::Comings, '-', format_args!("refused{}: {why}", from(*id)));
            }
        }
    }

    /// Hands over what waits, if it is time to. To be called once a turn.
    pub fn flush(&mut self, now: Duration) {
        while let Some((_, outcome)) = self.output.outcome() {
            if outcome.is_err() {
                self.closed = true;
                self.waiting = Vec::new();
            }
        }
        if self.dropped > 0 && self.waiting.len() < MAX_WAITING / 2 {
            let dropped = std::mem::take(&mut self.dropped);
            self.trouble(format_args!("{dropped} lines were not shown: this console was too slow"));
        }
        let is_time = now >= self.gathers_until || self.waiting.len() >= BATCH;
        if is_time && !self.waiting.is_empty() {
            self.output.offer(&mut self.waiting);
            if self.waiting.is_empty() {
                self.gathers_until = now + GATHER_TIME;
            }
        }
    }

    /// When to call [`Console::flush`] again though nothing happens.
    #[must_use]
    pub fn wake_at(&self, now: Duration) -> Option<Duration> {
        if !self.waiting.is_empty() && now < self.gathers_until {
            return Some(self.gathers_until);
        }
        self.is_behind().then_some(now + RETRY)
    }

    /// Whether there is more to be written.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        !self.closed && (!self.waiting.is_empty() || self.dropped > 0 || self.output.is_busy())
    }

    /// Whether a line may be written now.
    fn admits(&mut self, verbosity: Verbosity) -> bool {
        let is_wanted = verbosity <= self.verbosity && !self.closed;
        let fits = self.waiting.len() <= MAX_WAITING;
        self.dropped += usize::from(is_wanted && !fits);
        is_wanted && fits
    }

    fn print(&mut self, verbosity: Verbosity, mark: char, what: fmt::Arguments<'_>) {
        if self.admits(verbosity) {
            writeln!(self.waiting, "[{mark}] {what}").expect(TAKES_ALL);
        }
    }

    /// A public line as it stands in the log, which lets no terminal escape in, with something after it.
    fn print_line(
        &mut self,
        verbosity: Verbosity,
        mark: char,
        log: &Scrollback,
        span: Span,
        after: fmt::Arguments<'_>,
    ) {
        if self.admits(verbosity) {
            write!(self.waiting, "[{mark}] ").expect(TAKES_ALL);
            log.pieces(span.start, span.end - 1).for_each(|piece| self.waiting.extend_from_slice(piece));
            writeln!(self.waiting, "{after}").expect(TAKES_ALL);
        }
    }

    /// A notice without the stars before it.
    fn print_notice(&mut self, mark: char, log: &Scrollback, span: &Span, after: fmt::Arguments<'_>) {
        let span = span.start + PUBLIC.len() as u64..span.end;
        self.print_line(Verbosity::Comings, mark, log, span, after);
    }
}

/// ` from ADDRESS`, or nothing where the connection is gone already.
struct FromPeer(Option<SocketAddr>);

impl fmt::Display for FromPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |peer| write!(f, " from {peer}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first line after some quiet is handed over at once; those that follow are gathered for a moment, and then the
    /// loop is to come back for them.
    #[test]
    fn gathers_lines_for_a_moment() {
        let mut console = Console::on(io::sink(), 0).unwrap();
        let start = Duration::from_secs(7);
        console.status(format_args!("one"));
        console.flush(start);
        assert!(console.waiting.is_empty() && console.is_behind());
        console.status(format_args!("two"));
        console.status(format_args!("three"));
        console.flush(start + GATHER_TIME / 2);
        assert_eq!(console.waiting, b"[O] two\n[O] three\n");
        assert_eq!(console.wake_at(start + GATHER_TIME / 2), Some(start + GATHER_TIME));
        // However long the thread takes for the first.
        while !console.waiting.is_empty() {
            console.flush(start + GATHER_TIME);
        }
        while console.is_behind() {
            console.flush(start + GATHER_TIME);
        }
        assert_eq!(console.wake_at(start + GATHER_TIME), None);
    }
}
