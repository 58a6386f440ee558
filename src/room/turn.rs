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
    /// The most that it appends to what was said, in bytes.
    pub longest_text: usize,
    /// The entries, encoded.
    entries: &'a [u8],
}

/// What stands before the entries, behind the [`FORMAT`].
#[derive(Serialize, Deserialize)]
struct Header {
    server: ServerId,
    number: u64,
    longest_text: usize,
}

impl<'a> Turn<'a> {
    /// Encodes a turn: postcard behind one [`FORMAT`] byte. `entries` are those that [`Entry::encode`] has appended, and
    /// `longest_text` is the sum of what each [appends at most](super::entry::Change::longest_line).
    #[must_use]
    pub fn encode(server: ServerId, number: u64, longest_text: usize, entries: &[u8]) -> Vec<u8> {
        let header = Header { server, number, longest_text };
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
        let (header, entries) = postcard::take_from_bytes(bytes).map_err(|_| Unreadable)?;
        let Header { server, number, longest_text } = header;
        Ok(Turn { server, number, longest_text, entries })
    }

    /// The entries, in order, up to the first one that cannot be read, that no server can have made, or that appends more
    /// than the turn says.
    pub fn entries(&self) -> impl Iterator<Item = Result<Entry<'a>, Unreadable>> + use<'a> {
        let (mut rest, mut room) = (self.entries, self.longest_text);
        iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let decoded: Option<(Entry<'a>, &[u8])> = postcard::take_from_bytes(rest).ok();
            let sound = decoded.filter(|(entry, _)| entry.is_sound()).and_then(|(entry, others)| {
                room = room.checked_sub(entry.change.longest_line())?;
                Some((entry, others))
            });
            rest = sound.as_ref().map_or(&[], |&(_, others)| others);
            Some(sound.map(|(entry, _)| entry).ok_or(Unreadable))
        })
    }
}
