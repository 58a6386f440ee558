//! The conversation on disk: one more cursor.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use super::background::{Background, RETRY};
use super::console::Console;
use crate::lobby::Lobby;
use crate::protocol::text::sanitise;
use crate::room::scrollback::Scrollback;

/// How much is made ready for the disk ahead of it, in bytes. What comes after that stays in the scrollback.
const MAX_WAITING: usize = 256 * 1024;
/// How much of an old transcript is looked through for history, in bytes.
const TAIL: u64 = 1024 * 1024;
/// The length of `2026-11-22T21:04:05Z `.
const STAMP: usize = 21;

/// A file to which every public line is written, each with the time at which it was: UTC, to the second.
///
/// It reads the scrollback as any reader does, from a position that is its own. A disk that stands still holds nobody
/// up: the transcript falls behind, and what it falls behind by is the scrollback's to keep.
#[derive(Debug)]
pub struct Transcript {
    path: PathBuf,
    output: Background,
    reopen: Arc<AtomicBool>,
    waiting: Vec<u8>,
    cursor: u64,
    /// How many bytes have been lost since the disk failed, if it does.
    lost: Option<u64>,
}

impl Transcript {
    /// Opens a transcript, readable by nobody else if it is new, and lets the room remember the last lines of it.
    ///
    /// # Errors
    /// Where the file cannot be opened or read.
    pub fn open(path: &Path, lobby: &mut Lobby, history: usize) -> io::Result<Transcript> {
        let (mut file, torn) = open(path)?;
        for line in last_lines(&mut file, history)? {
            lobby.remember(sanitise(&line).as_bytes());
        }
        let reopen = Arc::new(AtomicBool::new(false));
        let output = Output { path: path.to_owned(), file, reopen: Arc::clone(&reopen), torn };
        Ok(Transcript {
            path: path.to_owned(),
            output: Background::new("transcript", output)?,
            reopen,
            waiting: Vec::new(),
            cursor: lobby.room().scrollback().end(),
            lost: None,
        })
    }

    /// From the next line on, writes to a new file of the same name: the old one has been moved away.
    pub fn reopen(&mut self) {
        self.reopen.store(true, Ordering::Relaxed);
    }

    /// Takes what was said since this was called last. To be called once a turn.
    pub fn flush(&mut self, log: &Scrollback, console: &mut Console) {
        while let Some((length, outcome)) = self.output.outcome() {
            self.note(length, outcome, console);
        }
        if self.cursor < log.start() {
            let kept = log.line_start_from(log.start());
            console.trouble(format_args!("the transcript lacks {} bytes: its disk is too slow", kept - self.cursor));
            self.cursor = kept;
        }
        if self.cursor < log.end() && self.waiting.len() < MAX_WAITING {
            self.copy(log);
        }
        self.output.offer(&mut self.waiting);
    }

    /// When to call [`Transcript::flush`] again though nothing happens.
    #[must_use]
    pub fn wake_at(&self, now: Duration) -> Option<Duration> {
        self.is_behind().then_some(now + RETRY)
    }

    /// Whether there is more to be written.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        !self.waiting.is_empty() || self.output.is_busy()
    }

    /// Makes lines ready to be written, as many as there may be.
    fn copy(&mut self, log: &Scrollback) {
        let stamp = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        while self.cursor < log.end() && self.waiting.len() < MAX_WAITING {
            write!(self.waiting, "{stamp} ").expect("memory takes everything");
            let end = log.line_end(self.cursor);
            log.pieces(self.cursor, end).for_each(|piece| self.waiting.extend_from_slice(piece));
            self.cursor = end;
        }
    }

    /// Says once that the disk fails, and once that it does no more.
    fn note(&mut self, length: usize, outcome: io::Result<()>, console: &mut Console) {
        let path = self.path.display();
        match (outcome, &mut self.lost) {
            (Ok(()), None) => {}
            (Ok(()), Some(lost)) => {
                console.trouble(format_args!("the transcript {path} is written again; about {lost} bytes are lost"));
                self.lost = None;
            }
            (Err(_), Some(lost)) => *lost += length as u64,
            (Err(error), lost) => {
                console.trouble(format_args!("cannot write the transcript {path}: {error}"));
                *lost = Some(length as u64);
            }
        }
    }
}

/// What the thread writes to.
struct Output {
    path: PathBuf,
    file: File,
    reopen: Arc<AtomicBool>,
    /// Whether the file ends within a line, one that could not be written to its end.
    torn: bool,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    /// Writes whole lines, beginning a new one where the last was torn.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.reopen.swap(false, Ordering::Relaxed) {
            (self.file, self.torn) = open(&self.path)?;
        }
        if self.torn {
            self.file.write_all(b"\n")?;
        }
        self.torn = true;
        self.file.write_all(bytes)?;
        self.torn = false;
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Opens a transcript to be written on; answers whether it ends within a line, as one does whose server was killed.
fn open(path: &Path) -> io::Result<(File, bool)> {
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
    Ok((file, last != *b"\n"))
}

/// The last lines of a transcript, without their times. Lines that are not a transcript's are left out. A pipe has none.
fn last_lines(file: &mut File, count: usize) -> io::Result<Vec<Vec<u8>>> {
    let length = file.metadata()?.len();
    if length == 0 {
        return Ok(Vec::new());
    }
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail)?;
    let mut lines: Vec<Vec<u8>> = tail
        .split_inclusive(|&byte| byte == b'\n')
        .rev()
        .filter_map(|line| said(line.strip_suffix(b"\n")?))
        .take(count)
        .map(<[u8]>::to_vec)
        .collect();
    lines.reverse();
    Ok(lines)
}

/// What was said in a line of a transcript.
fn said(line: &[u8]) -> Option<&[u8]> {
    let (stamp, text) = line.split_at_checked(STAMP)?;
    humantime::parse_rfc3339(str::from_utf8(stamp.strip_suffix(b" ")?).ok()?).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only what a transcript's line says is taken for something that was said.
    #[test]
    fn reads_its_own_lines() {
        assert_eq!(said(b"2026-11-22T21:04:05Z carol#0b9189: hi"), Some(&b"carol#0b9189: hi"[..]));
        assert_eq!(said(b"2026-11-22T21:04:05Z "), Some(&b""[..]));
        for line in ["", "carol: hi", "2026-11-22T21:04:05Zcarol: hi", "2026-13-22T21:04:05Z carol: hi"] {
            assert_eq!(said(line.as_bytes()), None, "{line}");
        }
    }
}
