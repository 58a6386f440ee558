//! A log in a file, which no other server has.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use super::{Log, time_of_day};
use crate::lobby::limits::Limits;
use crate::lobby::{Lobby, Random};
use crate::log::disk::{Answer, Disk, Query, Recovered};
use crate::protocol::notice::LONGEST_NOTICE;
use crate::room::Room;
use crate::room::scrollback::Scrollback;
use crate::room::turn::Turn;
use crate::server::clock::Clock;
use crate::server::console::Console;

/// How far positions skip ahead if what was said last may be missing, in bytes: so no position means two things.
const SKIP: u64 = 1 << 40;
/// A checkpoint is due this long after something has happened...
const CHECKPOINT_TIME: Duration = Duration::from_secs(60);
/// ...or once this many bytes of entries have come since the last one. Reading them takes well under a second.
const CHECKPOINT_BYTES: usize = 16 * 1024 * 1024;

/// The log of a room in a file.
///
/// Turns are applied when they are committed to the disk. What came of them, the lines that everybody reads, is recorded
/// beside them, to be searched and to be read by people.
#[derive(Debug)]
pub struct FileLog {
    disk: Disk,
    path: PathBuf,
    /// When the first entry after the last checkpoint was applied, and how many bytes of them there are.
    since_checkpoint: Option<(Duration, usize)>,
    is_failing: bool,
}

impl FileLog {
    /// Opens the log in a file, and makes the room that it has kept. `wake` is called on another thread whenever there
    /// is something to be applied.
    ///
    /// # Errors
    /// Where the file is not such a log, belongs to another server or cannot be read or written; it is left as it was.
    pub fn open(
        path: &Path,
        keep: Duration,
        limits: Limits,
        random: Random,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> anyhow::Result<(FileLog, Lobby, Clock)> {
        let (mut disk, recovered) = Disk::open(path, limits.scrollback, keep, wake)?;
        let room = recover(&mut disk, recovered, limits.scrollback);
        let room = room.with_context(|| format!("cannot read the log {}", path.display()))?;
        disk.checkpoint(room.scrollback().end(), room.checkpoint());
        let clock = Clock::new(room.now());
        let lobby = Lobby::with_log(room, limits, random, clock.now());
        let log = FileLog { disk, path: path.to_owned(), since_checkpoint: None, is_failing: false };
        Ok((log, lobby, clock))
    }

    fn checkpoint_at(&self) -> Option<Duration> {
        let (since, bytes) = self.since_checkpoint?;
        Some(if bytes >= CHECKPOINT_BYTES { since } else { since + CHECKPOINT_TIME })
    }
}

impl Log for FileLog {
    fn apply(&mut self, lobby: &mut Lobby, now: Duration) -> anyhow::Result<()> {
        while let Some(turn) = self.disk.committed() {
            let from = lobby.room().scrollback().end();
            lobby.apply(&turn, now).with_context(|| format!("cannot go on with the log {}", self.path.display()))?;
            record(&mut self.disk, lobby.room(), from);
            self.since_checkpoint.get_or_insert((now, 0)).1 += turn.len();
        }
        while let Some(Answer { id, lines }) = self.disk.answer() {
            let lines: Vec<_> = lines.into_iter().map(|line| (time_of_day(line.at), line.text)).collect();
            lobby.answer(id, &lines, now);
        }
        Ok(())
    }

    fn submit(&mut self, lobby: &mut Lobby, now: Duration, console: &mut Console) {
        while let Some(turn) = lobby.next_turn() {
            self.disk.submit(turn);
        }
        for question in lobby.take_questions() {
            self.disk.ask(question.asker, Query { words: question.words, lines: question.lines });
        }
        if self.checkpoint_at().is_some_and(|at| at <= now) {
            self.since_checkpoint = None;
            self.disk.checkpoint(lobby.room().scrollback().end(), lobby.room().checkpoint());
        }
        if let Some(error) = self.disk.error() {
            self.is_failing = true;
            console.trouble(format_args!("cannot write to the log {}: {error}", self.path.display()));
        } else if self.is_failing && self.disk.waiting().is_none() {
            self.is_failing = false;
            console.status(format_args!("the log {} is written again", self.path.display()));
        }
    }

    fn waiting(&self) -> Option<Duration> {
        self.disk.waiting()
    }

    fn wake_at(&self) -> Option<Duration> {
        self.checkpoint_at()
    }

    fn is_behind(&self) -> bool {
        self.disk.is_behind()
    }

    fn close(mut self: Box<Self>, lobby: &Lobby, patience: Duration, console: &mut Console) {
        self.disk.checkpoint(lobby.room().scrollback().end(), lobby.room().checkpoint());
        if let Err(error) = self.disk.close(patience) {
            console.trouble(format_args!("the log {} was not closed in order: {error:#}", self.path.display()));
        }
    }
}

/// Makes the room that a log has kept: from its checkpoint, what was said before, and the entries after it.
fn recover(disk: &mut Disk, recovered: Recovered, scrollback: usize) -> anyhow::Result<Room> {
    let turns: Vec<Turn<'_>> = recovered.turns.iter().map(|turn| Turn::decode(turn)).collect::<Result<_, _>>()?;
    // A turn of a server with a larger scrollback may be longer than any of this one's.
    let longest = turns.iter().map(|turn| turn.longest_text).max().unwrap_or(0).saturating_add(LONGEST_NOTICE);
    let scrollback = Scrollback::new(scrollback.max(longest.saturating_mul(4)))?;
    let mut room = match recovered.checkpoint {
        Some(checkpoint) => Room::restore(&checkpoint, scrollback, &recovered.said)?,
        None => Room::with_scrollback(scrollback),
    };
    for turn in &turns {
        let from = room.scrollback().end();
        room.apply_turn(turn)?;
        record(disk, &room, from);
    }
    if !recovered.is_complete {
        room.skip_ahead(SKIP)?;
    }
    Ok(room)
}

/// Records what was said from a position on.
fn record(disk: &mut Disk, room: &Room, from: u64) {
    let text: Vec<u8> = room.scrollback().pieces(from, room.scrollback().end()).flatten().copied().collect();
    if !text.is_empty() {
        disk.record(from, room.now(), String::from_utf8(text).expect("whole lines that were sanitised"));
    }
}
