//! The conversation on disk: one more reader of the scrollback.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::background::{Background, Outcome, POLL, RETRY};
use super::console::Console;
use crate::lobby::Lobby;
use crate::protocol::name::Name;
use crate::protocol::notice::Public;
use crate::protocol::received::Received;
use crate::protocol::text::{is_blank, sanitise};
use crate::room::scrollback::Scrollback;

/// How many bytes are prepared for the disk in advance. What comes after that stays in the scrollback.
const MAX_WAITING: usize = 256 * 1024;
/// How long senders wait for a disk that takes nothing.
const STANDSTILL: Duration = Duration::from_secs(30);
/// While lines wait in the scrollback, the disk is checked again after the time that it has already taken for its
/// present batch, divided by this. So checking adds little to the wait.
const PART: u32 = 8;
/// The shortest time between two such checks.
const QUICK_POLL: Duration = Duration::from_millis(1);

/// How much of an old transcript is searched for history, in bytes.
const TAIL: u64 = 1024 * 1024;
/// The length of `2026-11-22T21:04:05Z `.
const STAMP: usize = 21;
/// The end of a line that was torn, by a power failure for example: CAN, the control character for *disregard what
/// precedes*. No line of a server contains it, so the torn one is not taken for history.
const TORN: &[u8] = b"\x18\n";

/// A file to which every public line is written, each with the time at which it was said: UTC, to the second.
///
/// It reads the scrollback like any other reader, from a position of its own. While its disk makes progress, however slow,
/// senders wait for it and no line is lost. A disk that has taken nothing for 30 s is not waited for any longer: then the
/// transcript loses what the scrollback can no longer keep, and the operator is told how much.
#[derive(Debug)]
pub struct Transcript {
    path: PathBuf,
    disk: Background,
    /// Lines with their times, ready to be written.
    waiting: Vec<u8>,
    /// The position in the scrollback up to which lines were copied to `waiting`.
    cursor: u64,
    /// Whether the scrollback has lines beyond that.
    lags: bool,
    /// When the disk last took something, or was first given something.
    progress: Duration,
    /// Whether the last attempt to write failed.
    failing: bool,
    /// How many bytes the scrollback could not keep since the disk last took something.
    lost: u64,
    /// When to open the file again, if that was asked for and has not been done.
    reopen_at: Option<Duration>,
    /// Whether the last attempt to open it again failed.
    failing_to_reopen: bool,
}

impl Transcript {
    /// Opens a transcript, readable by nobody else if it is new, and adds its last lines to the room's scrollback.
    ///
    /// # Errors
    /// Where the file cannot be opened or read.
    pub fn open(path: &Path, lobby: &mut Lobby, history: usize) -> io::Result<Transcript> {
        let mut file = open(path)?;
        for line in last_lines(&mut file.file, history)? {
            lobby.remember(line.as_bytes());
        }
        Ok(Transcript {
            path: path.to_owned(),
            disk: Background::new("transcript", Box::new(file))?,
            waiting: Vec::new(),
            cursor: lobby.room().scrollback().end(),
            lags: false,
            progress: Duration::ZERO,
            failing: false,
            lost: 0,
            reopen_at: None,
            failing_to_reopen: false,
        })
    }

    /// Opens the file again, as soon as possible: the old one was moved away. Until the new one is open, lines are written
    /// to the old one.
    pub fn reopen(&mut self) {
        self.reopen_at = Some(Duration::ZERO);
    }

    /// Takes what was said since the last call. Called once a turn.
    pub fn flush(&mut self, log: &Scrollback, now: Duration, console: &mut Console) {
        while let Some(outcome) = self.disk.outcome(now) {
            self.note(outcome, now, console);
        }
        if self.reopen_at.is_some_and(|at| at <= now) && !self.disk.is_busy() {
            self.reopen_at = None;
            let path = self.path.clone();
            self.disk.replace(Box::new(move || Ok(Box::new(open(&path)?))));
        }
        if !self.is_behind() {
            self.progress = now;
        }
        self.disk.offer(&mut self.waiting, now);
        self.copy(log, console);
        self.disk.offer(&mut self.waiting, now);
        self.lags = self.cursor < log.end();
    }

    /// The position that senders must not overwrite: that of the first line that is not copied yet. `None` if the
    /// transcript has caught up, or its disk has taken nothing for 30 s.
    #[must_use]
    pub fn holds_back(&self, now: Duration) -> Option<u64> {
        (self.lags && now < self.progress + STANDSTILL).then_some(self.cursor)
    }

    /// When to call [`Transcript::flush`] again even if nothing happens.
    #[must_use]
    pub fn wake_at(&self, now: Duration) -> Option<Duration> {
        if self.disk.is_busy() {
            let soon = if self.lags { now.saturating_sub(self.progress) / PART } else { POLL };
            return Some(now + soon.clamp(QUICK_POLL, POLL));
        }
        self.disk.retry_at().into_iter().chain(self.reopen_at).min()
    }

    /// Whether there is more to be written.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.lags || !self.waiting.is_empty() || self.disk.is_behind()
    }

    /// Tells the operator how much could not be written. Called when there is no time left to wait for the disk.
    pub fn finish(&self, log: &Scrollback, console: &mut Console) {
        let missing = self.lost + log.end() - self.cursor + (self.waiting.len() + self.disk.unwritten()) as u64;
        if missing > 0 {
            let path = self.path.display();
            console.trouble(format_args!("the transcript {path} lacks its last {missing} bytes: its disk is too slow"));
        }
    }

    /// Copies lines to `waiting`, as many as may be prepared.
    fn copy(&mut self, log: &Scrollback, console: &mut Console) {
        self.skip_what_is_gone(log, console);
        let stamp = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        while self.cursor < log.end() && self.waiting.len() < MAX_WAITING {
            write!(self.waiting, "{stamp} ").expect("writing to a Vec cannot fail");
            let end = log.line_end(self.cursor);
            log.pieces(self.cursor, end).for_each(|piece| self.waiting.extend_from_slice(piece));
            self.cursor = end;
        }
    }

    /// If the scrollback no longer has the next line, goes on with the oldest whole one. The operator is told when that
    /// begins, and how much was lost once the disk takes something again.
    fn skip_what_is_gone(&mut self, log: &Scrollback, console: &mut Console) {
        let path = self.path.display();
        if self.cursor < log.start() {
            if self.lost == 0 {
                console.trouble(format_args!("the transcript {path} is losing lines: its disk is too slow"));
            }
            let kept = log.line_start_from(log.start());
            self.lost += kept - self.cursor;
            self.cursor = kept;
        }
        if self.lost > 0 && self.waiting.len() < MAX_WAITING {
            console.trouble(format_args!("the transcript {path} lacks {} bytes: its disk was too slow", self.lost));
            self.lost = 0;
        }
    }

    /// Notes what came of the disk's last job. The operator is told once when something begins to fail, and once when it
    /// works again.
    fn note(&mut self, outcome: Outcome, now: Duration, console: &mut Console) {
        let path = self.path.display();
        match outcome {
            Outcome::Written => {
                self.progress = now;
                if std::mem::take(&mut self.failing) {
                    console.trouble(format_args!("the transcript {path} is written again"));
                }
            }
            Outcome::NotWritten(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    console.trouble(format_args!("cannot write the transcript {path}: {error}; its lines wait"));
                }
            }
            Outcome::Replaced => {
                let reopened = format_args!("the transcript {path} is open again, as a new file");
                if std::mem::take(&mut self.failing_to_reopen) {
                    console.trouble(reopened);
                } else {
                    console.status(reopened);
                }
            }
            Outcome::NotReplaced(error) => {
                self.reopen_at.get_or_insert(now + RETRY);
                if !std::mem::replace(&mut self.failing_to_reopen, true) {
                    console.trouble(format_args!(
                        "cannot open the transcript {path} again: {error}; its lines go to the old file until that works"
                    ));
                }
            }
        }
    }
}

/// A transcript's file, and whether it ends with a torn line that could not be ended yet.
struct TranscriptFile {
    file: File,
    torn: bool,
}

impl TranscriptFile {
    fn end_torn_line(&mut self) -> io::Result<()> {
        if self.torn {
            self.file.write_all(TORN)?;
            self.torn = false;
        }
        Ok(())
    }
}

impl Write for TranscriptFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.end_torn_line()?;
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Opens a transcript to be continued. A torn last line is ended now, or, where the disk is full, before the next line.
fn open(path: &Path) -> io::Result<TranscriptFile> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    let mut last = [b'\n'];
    if file.metadata()?.len() > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    let mut file = TranscriptFile { file, torn: last != *b"\n" };
    // If this fails, it is tried again with the next line, and the operator is told why.
    let _ = file.end_torn_line();
    Ok(file)
}

/// The last lines of a transcript, without their times. Lines that no server writes are left out. A pipe has no last
/// lines.
fn last_lines(file: &mut File, count: usize) -> io::Result<Vec<String>> {
    let length = file.metadata()?.len();
    if length == 0 {
        return Ok(Vec::new());
    }
    let from = length.saturating_sub(TAIL);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail)?;
    // If there is more before the tail, its first line is not whole, and the rest of a line could look like a line of
    // somebody else.
    let lines: Vec<&[u8]> = tail.split_inclusive(|&byte| byte == b'\n').skip(usize::from(from > 0)).collect();
    let last = lines.iter().rev().filter_map(|line| said(line.strip_suffix(b"\n")?)).take(count);
    let mut last: Vec<String> = last.map(str::to_owned).collect();
    last.reverse();
    Ok(last)
}

/// What was said in a line of a transcript, if a server can have written it.
fn said(line: &[u8]) -> Option<&str> {
    let (stamp, text) = str::from_utf8(line).ok()?.split_at_checked(STAMP)?;
    humantime::parse_rfc3339(stamp.strip_suffix(' ')?).ok()?;
    let is_harmless = sanitise(text.as_bytes()) == text;
    let is_public = match Received::parse(text) {
        Received::Message { name, text } | Received::Action { name, text } => Name::is_one(name) && !is_blank(text),
        Received::Public(_) => Public::parse(text).is_some(),
        Received::Private(_) | Received::Other(_) => false,
    };
    (is_harmless && is_public).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only what a server writes is taken for something that was said.
    #[test]
    fn reads_its_own_lines() {
        for text in [
            "carol#0b9189: hi",
            "carol#0b9189:  spaces ",
            "bob: *** alice left",
            "* bob waves",
            "*** bob joined",
            "*** bob left (connection lost)",
            "*** bob left: see you",
            "*** bob is now rob",
            "*** the server is shutting down",
        ] {
            assert_eq!(said(format!("2026-11-22T21:04:05Z {text}").as_bytes()), Some(text));
        }
        for line in [
            "",
            "carol: hi",
            "2026-11-22T21:04:05Z ",
            "2026-11-22T21:04:05Zcarol: hi",
            "2026-13-22T21:04:05Z carol: hi",
            "2026-11-22T21:04:05Z carol",
            "2026-11-22T21:04:05Z carol:hi",
            "2026-11-22T21:04:05Z carol: ",
            "2026-11-22T21:04:05Z -carol: hi",
            "2026-11-22T21:04:05Z carol: \x1b[2J",
            "2026-11-22T21:04:05Z carol: torn\x18",
            "2026-11-22T21:04:05Z two words: hi",
            "2026-11-22T21:04:05Z * bob",
            "2026-11-22T21:04:05Z * -bob waves",
            "2026-11-22T21:04:05Z *** bob will be back",
            "2026-11-22T21:04:05Z --- session 0b9189 at 7",
        ] {
            assert_eq!(said(line.as_bytes()), None, "{line:?}");
        }
        assert_eq!(said(b"2026-11-22T21:04:05Z carol: \xff"), None);
    }

    /// Senders wait for a disk as long as it takes something every 30 s, and no longer. A pipe that nobody reads stands
    /// in for the disk.
    #[test]
    #[cfg(unix)]
    fn senders_wait_for_a_disk_that_makes_progress() {
        use std::thread;
        use std::time::Instant;

        use crate::lobby::access::AccessLimits;
        use crate::lobby::limits::Limits;
        use crate::lobby::rate_limit::Rate;
        use crate::lobby::secret::Keys;

        let limits = Limits {
            scrollback: 8 * 1024 * 1024,
            max_line: 64 * 1024,
            history: 0,
            rate: Rate::new(0, 1),
            login_timeout: STANDSTILL,
            stall_timeout: STANDSTILL,
            grace: STANDSTILL,
            reserve: STANDSTILL,
            access: AccessLimits { clients: 1, per_place: 1, count_loopback: false },
            keys: Keys::default(),
        };
        let mut lobby = Lobby::new(limits, Box::new(|| 0)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let mut console = Console::new(2, false).unwrap();
        let mut transcript = Transcript::open(&path, &mut lobby, 0).unwrap();
        let start = Duration::from_secs(7);
        transcript.flush(lobby.room().scrollback(), start, &mut console);
        assert_eq!(transcript.holds_back(start), None);
        let line = format!("bob: {}", "x".repeat(1000));
        for _ in 0..2000 {
            lobby.remember(line.as_bytes());
        }
        transcript.flush(lobby.room().scrollback(), start, &mut console);
        let cursor = transcript.holds_back(start).expect("two megabytes are more than is prepared");
        assert!(lobby.room().scrollback().is_line_start(cursor) && cursor < lobby.room().scrollback().end());
        assert_eq!(transcript.wake_at(start), Some(start + QUICK_POLL));
        let nearly = STANDSTILL * 99 / 100;
        let just_before = start + nearly;
        assert_eq!(transcript.holds_back(just_before), Some(cursor));
        assert_eq!(transcript.holds_back(start + STANDSTILL), None);

        // It takes all of the first batch after all: that gives it another 30 s.
        let mut pipe = File::open(&path).unwrap();
        let mut part = vec![0; MAX_WAITING];
        pipe.read_exact(&mut part).unwrap();
        let started = Instant::now();
        while transcript.holds_back(just_before).is_none_or(|position| position == cursor) {
            assert!(started.elapsed() < STANDSTILL, "the disk has taken what it was given");
            thread::sleep(QUICK_POLL);
            transcript.flush(lobby.room().scrollback(), just_before, &mut console);
        }
        assert!(transcript.holds_back(just_before + nearly).is_some());
        // The rest is read, so that the thread is done and nobody has to wait.
        let reading = thread::spawn(move || io::copy(&mut pipe, &mut io::sink()));
        while transcript.is_behind() {
            assert!(started.elapsed() < STANDSTILL, "everything is read");
            thread::sleep(QUICK_POLL);
            transcript.flush(lobby.room().scrollback(), just_before, &mut console);
        }
        assert_eq!(transcript.holds_back(just_before), None);
        drop(transcript);
        reading.join().unwrap().unwrap();
    }
}
