//! Looking back: the last lines that were said, or those of them that hold certain words.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::file::time;

/// What to look for: the last `lines` lines that hold all `words`, in any case.
#[derive(Debug)]
pub struct Query {
    /// The words; without any, every line is meant.
    pub words: Vec<String>,
    /// How many lines at most.
    pub lines: usize,
}

/// A line that was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastLine {
    /// When, since the UNIX epoch.
    pub at: Duration,
    /// What everybody read, without the LF.
    pub text: String,
}

/// What is found, oldest first: as far back as `patience` allows.
///
/// # Errors
/// Where the file cannot be read.
pub fn last_lines(file: &Connection, query: &Query, patience: Duration) -> anyhow::Result<Vec<PastLine>> {
    let until = Instant::now() + patience;
    let words: Vec<String> = query.words.iter().map(|word| word.to_lowercase()).collect();
    let mut found = Vec::new();
    let mut rows = file.prepare("SELECT at, text FROM said ORDER BY position DESC")?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        let at = time(row.get(0)?);
        let text = row.get_ref(1)?.as_str()?;
        let lines = text.lines().rev().filter(|line| holds_all(line, &words));
        found.extend(lines.take(query.lines - found.len()).map(|line| PastLine { at, text: line.into() }));
        if found.len() == query.lines || Instant::now() > until {
            break;
        }
    }
    found.reverse();
    Ok(found)
}

/// Whether a line holds all these words, which are in lower case.
#[must_use]
pub fn holds_all(line: &str, words: &[String]) -> bool {
    words.is_empty() || {
        let line = line.to_lowercase();
        words.iter().all(|word| line.contains(word.as_str()))
    }
}
