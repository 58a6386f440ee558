//! A turn: what a server gives to the log at once, as bytes.

use std::iter;

use serde::{Deserialize, Serialize};

use super::entry::{Entry, FORMAT, Unreadable};
use super::servers::ServerId;

/// Some entries of one server, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn<'a> {
    /// Whose they are.
    pub server: ServerId,
    /// The how manyeth turn of that server it is, from 0.
    pub number: u64,
    /// The entries, encoded.
    entries: &'a [u8],
}

/// What stands before the entries, behind the [`FORMAT`].
#[derive(Serialize, Deserialize)]
struct Header {
    server: ServerId,
    number: u64,
}

impl<'a> Turn<'a> {
    /// Encodes a turn: postcard behind one [`FORMAT`] byte. `entries` are those that [`Entry::encode`] has appended.
    #[must_use]
    pub fn encode(server: ServerId, number: u64, entries: &[u8]) -> Vec<u8> {
        let header = Header { server, number };
        let mut bytes = vec![FORMAT];
        postcard::to_io(&header, &mut bytes).expect("a vector takes everything");
        bytes.extend_from_slice(entries);
        bytes
    }

    /// Reads what [`Turn::encode`] has made.
    ///
    /// # Errors
    /// Where it is something else.
    pub fn decode(bytes: &'a [u8]) -> Result<Turn<'a>, Unreadable> {
        let bytes = bytes.strip_prefix(&[FORMAT]).ok_or(Unreadable)?;
        let (Header { server, number }, entries) = postcard::take_from_bytes(bytes).map_err(|_| Unreadable)?;
        Ok(Turn { server, number, entries })
    }

    /// The most that it appends to what was said, in bytes.
    ///
    /// # Errors
    /// Where something in it cannot be read.
    pub fn longest_text(&self) -> Result<usize, Unreadable> {
        self.entries().map(|entry| Ok(entry?.change.longest_line())).sum()
    }

    /// The entries, in order, up to the first one that cannot be read.
    pub fn entries(&self) -> impl Iterator<Item = Result<Entry<'a>, Unreadable>> + use<'a> {
        let mut rest = self.entries;
        iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let decoded = postcard::take_from_bytes::<Entry<'_>>(rest).map_err(|_| Unreadable);
            let decoded = decoded.and_then(|decoded| if decoded.0.is_sound() { Ok(decoded) } else { Err(Unreadable) });
            rest = decoded.as_ref().map_or(&[], |&(_, others)| others);
            Some(decoded.map(|(entry, _)| entry))
        })
    }
}
