//! `gotcp log`: prints the conversation in a file.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use rusqlite::params;

use super::file::{milliseconds, open_for_reading, time};
use crate::cli::LogArgs;

/// How often the file is looked at again with `--follow`.
const FOLLOW_TIME: Duration = Duration::from_millis(200);

/// Prints what was said, one line each, as in a transcript: the time in UTC, and the line.
///
/// # Errors
/// Where the file cannot be read, or the output cannot be written.
pub fn run(args: &LogArgs) -> anyhow::Result<ExitCode> {
    let cannot = || format!("cannot read the log {}", args.file.display());
    let file = open_for_reading(&args.file).with_context(cannot)?;
    let mut rows =
        file.prepare("SELECT position, at, text FROM said WHERE position > ? AND at >= ? ORDER BY position")?;
    let since = milliseconds(args.since.unwrap_or_default());
    let mut output = BufWriter::new(io::stdout().lock());
    let mut last: i64 = -1;
    loop {
        let mut new = rows.query(params![last, since])?;
        while let Some(row) = new.next().with_context(cannot)? {
            last = row.get(0)?;
            let at = SystemTime::UNIX_EPOCH + time(row.get(1)?);
            for line in row.get_ref(2)?.as_str()?.lines() {
                if is_closed(writeln!(output, "{} {line}", humantime::format_rfc3339_seconds(at)))? {
                    return Ok(ExitCode::SUCCESS);
                }
            }
        }
        if is_closed(output.flush())? || !args.follow {
            return Ok(ExitCode::SUCCESS);
        }
        thread::sleep(FOLLOW_TIME);
    }
}

/// Whether nobody reads the output any more, which is a normal end.
fn is_closed(outcome: io::Result<()>) -> anyhow::Result<bool> {
    match outcome {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(true),
        outcome => outcome.map(|()| false).context("cannot write"),
    }
}
