//! The file: a SQLite database, what is in it, and how it is read and written.
//!
//! | table | what |
//! |---|---|
//! | `said` | what everybody read: `text` is whole lines, each with its LF, that were said together at `at`, in milliseconds since 1970; `position` is that of the first byte |
//! | `turns` | what happened since the checkpoint: `entries` is one turn of the server, encoded |
//! | `checkpoint` | one row: the room after all turns up to `seq`, where what was said ended at `position` |
//! | `state` | one row: whether the file was `closed` in order, and under which `boot` of the machine it was opened last |
//!
//! *What survives what:* a commit is a write to the page cache (`synchronous=NORMAL`), so whatever was committed survives
//! the death of the process, however sudden. The loss of power may take the last commits along. The file says so itself:
//! it was not closed, and that under another boot.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

/// Marks the file as one of ours: `gotc`.
const APPLICATION_ID: i32 = i32::from_be_bytes(*b"gotc");
/// The version of the tables.
const VERSION: i32 = 1;
/// The write-ahead log may keep this many bytes once they are copied to the file.
const WAL_LIMIT: i64 = 64 * 1024 * 1024;
/// How many rows are deleted at once, so that no commit takes long.
const DELETE_ROWS: i64 = 1000;

const SCHEMA: &str = "
    CREATE TABLE said (position INTEGER PRIMARY KEY, at INTEGER NOT NULL, text TEXT NOT NULL);
    CREATE TABLE turns (seq INTEGER PRIMARY KEY, entries BLOB NOT NULL);
    CREATE TABLE checkpoint (
        id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL, position INTEGER NOT NULL, room BLOB NOT NULL
    );
    CREATE TABLE state (id INTEGER PRIMARY KEY CHECK (id = 1), closed INTEGER NOT NULL, boot TEXT);
    INSERT INTO state VALUES (1, 1, NULL);
";

/// The file, open for writing.
pub struct LogFile {
    connection: Connection,
}

/// What is to be written together.
#[derive(Debug, Default)]
pub struct Batch {
    /// Turns, each with its number.
    pub turns: Vec<(i64, Vec<u8>)>,
    /// What came of earlier ones.
    pub said: Vec<Said>,
    /// The room in place of the turns before.
    pub checkpoint: Option<Checkpoint>,
}

/// What was said together.
#[derive(Debug)]
pub struct Said {
    /// The position of the first byte.
    pub position: u64,
    /// When, since the UNIX epoch.
    pub at: Duration,
    /// Whole lines.
    pub text: String,
}

/// A room as bytes.
#[derive(Debug)]
pub struct Checkpoint {
    /// The number of the last turn that it holds.
    pub seq: i64,
    /// Where what was said ended.
    pub position: u64,
    /// The room.
    pub room: Vec<u8>,
}

/// What a file held when it was opened.
#[derive(Debug, Default)]
pub struct Recovered {
    /// The room at the last checkpoint, if there was one.
    pub checkpoint: Option<Vec<u8>>,
    /// What was said last before it: whole lines, as many as were asked for.
    pub said: Vec<u8>,
    /// What was committed after it, in order.
    pub turns: Vec<Vec<u8>>,
    /// Whether nothing that was committed can be missing. If false, positions have to skip ahead.
    pub is_complete: bool,
}

impl Batch {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.turns.is_empty() && self.said.is_empty() && self.checkpoint.is_none()
    }
}

impl LogFile {
    /// Opens the file, and makes it if there is none.
    ///
    /// # Errors
    /// Where it cannot be opened, or is something else. Then it is left as it was.
    pub fn open(path: &Path) -> anyhow::Result<LogFile> {
        if create(path)? {
            let connection = connect(path)?;
            connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
            connection.execute_batch(&format!(
                "BEGIN; {SCHEMA} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; COMMIT;"
            ))?;
        }
        LogFile::reopen(path)
    }

    /// Opens the file, which there is.
    ///
    /// # Errors
    /// As with [`LogFile::open`].
    pub fn reopen(path: &Path) -> anyhow::Result<LogFile> {
        let connection = connect(path)?;
        check(&connection)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "journal_size_limit", WAL_LIMIT)?;
        Ok(LogFile { connection })
    }

    /// Reads what is to be made a room again, with the last `scrollback` bytes of what was said, and notes that the file
    /// is open.
    ///
    /// # Errors
    /// Where the file cannot be read or written.
    pub fn recover(&mut self, scrollback: usize) -> anyhow::Result<Recovered> {
        let boot = boot();
        let (closed, last_boot): (bool, Option<String>) =
            self.connection.query_row("SELECT closed, boot FROM state", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let checkpoint: Option<(i64, i64, Vec<u8>)> = self
            .connection
            .query_row("SELECT seq, position, room FROM checkpoint", [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .optional()?;
        let (seq, position) = checkpoint.as_ref().map_or((0, 0), |&(seq, position, _)| (seq, position));
        let turns = self.turns_after(seq)?;
        let said = self.said_before(position, scrollback)?;
        // After a loss of power, positions must not be given out again. So it has to be on the disk itself that the file is
        // open, before anything is said.
        self.connection.pragma_update(None, "synchronous", "FULL")?;
        let transaction = self.connection.transaction()?;
        // It will be recorded again when the turns are applied again.
        transaction.execute("DELETE FROM said WHERE position >= ?", [position])?;
        transaction.execute("UPDATE state SET closed = 0, boot = ?", [&boot])?;
        transaction.commit()?;
        self.connection.pragma_update(None, "synchronous", "NORMAL")?;
        Ok(Recovered {
            checkpoint: checkpoint.map(|(_, _, room)| room),
            said,
            turns,
            is_complete: closed || boot.is_some() && boot == last_boot,
        })
    }

    /// The number of the last turn that is in the file, or was before a checkpoint.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn last_turn(&self) -> rusqlite::Result<i64> {
        let last = "SELECT max((SELECT coalesce(max(seq), 0) FROM turns), coalesce((SELECT seq FROM checkpoint), 0))";
        self.connection.query_row(last, [], |row| row.get(0))
    }

    /// Writes everything, or nothing of it. Turns up to number `written` are in the file already.
    ///
    /// # Errors
    /// Where it cannot be written. It may have been written all the same.
    pub fn write(&mut self, batch: &Batch, written: i64) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached("INSERT INTO turns VALUES (?, ?)")?;
            for (seq, entries) in batch.turns.iter().filter(|&&(seq, _)| seq > written) {
                insert.execute(params![seq, entries])?;
            }
            let mut insert = transaction.prepare_cached("INSERT OR REPLACE INTO said VALUES (?, ?, ?)")?;
            for Said { position, at, text } in &batch.said {
                insert.execute(params![integer(*position), milliseconds(*at), text])?;
            }
            if let Some(Checkpoint { seq, position, room }) = &batch.checkpoint {
                let mut insert = transaction.prepare_cached("INSERT OR REPLACE INTO checkpoint VALUES (1, ?, ?, ?)")?;
                insert.execute(params![seq, integer(*position), room])?;
                transaction.prepare_cached("DELETE FROM turns WHERE seq <= ?")?.execute([seq])?;
            }
        }
        transaction.commit()
    }

    /// Deletes some of what was said before a moment. Returns whether there is more.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn forget(&mut self, before: Duration) -> rusqlite::Result<bool> {
        let oldest = "SELECT position FROM said ORDER BY position LIMIT ?";
        let delete = format!("DELETE FROM said WHERE at < ? AND position IN ({oldest})");
        let deleted = self.connection.execute(&delete, params![milliseconds(before), DELETE_ROWS])?;
        self.connection.execute_batch(&format!("PRAGMA incremental_vacuum({DELETE_ROWS})"))?;
        Ok(i64::try_from(deleted) == Ok(DELETE_ROWS))
    }

    /// Notes that the file was closed in order, and closes it.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn close(self) -> rusqlite::Result<()> {
        self.connection.execute("UPDATE state SET closed = 1", [])?;
        // That is when SQLite copies everything to the file, and waits for the disk.
        self.connection.close().map_err(|(_, error)| error)
    }

    fn turns_after(&self, seq: i64) -> rusqlite::Result<Vec<Vec<u8>>> {
        let mut rows = self.connection.prepare("SELECT entries FROM turns WHERE seq > ? ORDER BY seq")?;
        rows.query_map([seq], |row| row.get(0))?.collect()
    }

    /// What was said last before a position: whole lines, about so many bytes.
    fn said_before(&self, position: i64, bytes: usize) -> rusqlite::Result<Vec<u8>> {
        let mut rows = self.connection.prepare("SELECT text FROM said WHERE position < ? ORDER BY position DESC")?;
        let mut texts: Vec<String> = Vec::new();
        let mut length = 0;
        let mut rows = rows.query([position])?;
        while length < bytes
            && let Some(row) = rows.next()?
        {
            let text: String = row.get(0)?;
            length += text.len();
            texts.push(text);
        }
        Ok(texts.iter().rev().flat_map(|text| text.bytes()).collect())
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
}

/// Opens the file for reading beside a server that writes it.
///
/// # Errors
/// Where it cannot be opened, or is something else.
pub fn open_for_reading(path: &Path) -> anyhow::Result<Connection> {
    // SQLite's own words for a file that is not there do not say so.
    fs::metadata(path)?;
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    check(&connection)?;
    Ok(connection)
}

/// A time in the unit of the file.
pub fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// A time of the file.
pub fn time(milliseconds: i64) -> Duration {
    Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0))
}

/// Makes an empty file that nobody else can read. Returns whether there was nothing before.
fn create(path: &Path) -> anyhow::Result<bool> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let metadata = options.open(path)?.metadata()?;
    if !metadata.is_file() {
        bail!("it is not a file");
    }
    Ok(metadata.len() == 0)
}

/// Makes sure that the file is one of ours, and of this version.
fn check(connection: &Connection) -> anyhow::Result<()> {
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let id = number("application_id").context("it is not the log of a gotcp server")?;
    if id != APPLICATION_ID {
        bail!("it is not the log of a gotcp server");
    }
    let version = number("user_version")?;
    if version != VERSION {
        bail!("it was written by a later version of gotcp (format {version}; this one knows {VERSION})");
    }
    Ok(())
}

/// What tells this boot of the machine from others, where the system says so.
fn boot() -> Option<String> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").ok().map(|id| id.trim().to_owned())
}

fn integer(position: u64) -> i64 {
    i64::try_from(position).expect("positions last for centuries")
}
