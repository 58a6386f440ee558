//! Which servers speak TLS, and what they are known by: a file that grows by a line for each that is met.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Context;

use crate::fingerprint::Fingerprint;
use crate::state;

/// The file, in the directory of [`state`].
const FILE: &str = "known-servers";

/// What stands for a server whose certificate the system's roots vouch for.
const ROOTS: &str = "roots";

/// What a server that speaks TLS is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// By its key.
    Key(Fingerprint),
    /// By a certificate that the system's roots vouch for, whatever its key is.
    Roots,
}

/// What is known of one server, and where that is written down.
#[derive(Debug)]
pub struct Record {
    /// The server's address, as it stands in the file.
    server: String,
    known: Option<Known>,
    /// `None` where there is no place for such a file: then it is known only until the client ends.
    file: Option<PathBuf>,
}

impl Record {
    /// What the file says of the server at an address.
    ///
    /// # Errors
    /// If that cannot be read. It is better not to go there at all than to take it for a server that was never met.
    pub fn open(server: &str) -> anyhow::Result<Record> {
        let server = server.to_ascii_lowercase();
        let file = match state::directory() {
            Err(error) if state::has_no_place(&error) => return Ok(Record { server, known: None, file: None }),
            directory => directory.context("cannot read which servers are known")?.join(FILE),
        };
        let text = match fs::read_to_string(&file) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            text => text.with_context(|| format!("cannot read {}", file.display()))?,
        };
        let known = find(&text, &server).with_context(|| format!("{} is damaged", file.display()))?;
        Ok(Record { server, known, file: Some(file) })
    }

    /// What the server is known by; `None` if it was never met with TLS.
    #[must_use]
    pub fn known(&self) -> Option<Known> {
        self.known
    }

    /// Where that is written down, if anywhere.
    #[must_use]
    pub fn file(&self) -> Option<&PathBuf> {
        self.file.as_ref()
    }

    /// Remembers what the server is known by from now on.
    ///
    /// # Errors
    /// If that cannot be written down. It is remembered until the client ends.
    pub fn remember(&mut self, known: Known) -> io::Result<()> {
        self.known = Some(known);
        let Some(file) = &self.file else { return Ok(()) };
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        // In one write: other clients may have something to add at the same time.
        options.open(file)?.write_all(format!("{} {known}\n", self.server).as_bytes())
    }
}

/// What a file says of a server: its last line about it counts.
fn find(text: &str, server: &str) -> anyhow::Result<Option<Known>> {
    let mut lines = text.lines().filter_map(|line| line.trim().split_once(' '));
    let last = lines.rfind(|(of, _)| of.eq_ignore_ascii_case(server));
    last.map(|(_, known)| known.trim().parse()).transpose()
}

impl FromStr for Known {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Known> {
        if text == ROOTS { Ok(Known::Roots) } else { text.parse().map(Known::Key) }
    }
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Known::Key(key) => write!(f, "{key}"),
            Known::Roots => f.write_str(ROOTS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The last line about a server counts; what cannot be understood is not passed over.
    #[test]
    fn the_last_line_counts() {
        let one = format!("SHA256:{}", "A".repeat(43));
        let text = format!("host:7777 {one}\nother:7777 {one}\n\nHost:7777 roots\n");
        assert_eq!(find(&text, "host:7777").unwrap(), Some(Known::Roots));
        assert_eq!(find(&text, "other:7777").unwrap(), Some(one.parse().unwrap()));
        assert_eq!(find(&text, "host:777").unwrap(), None);
        assert!(find("host:7777 SHA256:half", "host:7777").is_err());
    }
}
