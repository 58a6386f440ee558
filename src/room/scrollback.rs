//! The ring: everything that was said, as far back as it is kept.

use std::collections::TryReserveError;
use std::ops::Range;

use memchr::{memchr, memrchr};

/// The conversation as one byte ring at absolute positions.
///
/// Every public line is appended once, whole, and stays where it is until the ring wraps round and overwrites it:
///
/// ```text
///    position   0 . . . . . . start ─────────── cursor ────── end
///                             │  every reader's cursor is in here │
///    ring       [ newer bytes ──> end │ start ──> older bytes     ]
///                               position & mask
/// ```
///
/// Positions only grow and are never reused: a `u64` lasts for centuries. The ring's own index is taken from them in
/// one place, at the last moment.
///
/// Invariant: `end - start < capacity`, and `end` is the start of a line. The one byte kept before `start` tells whether
/// a line begins there. The ring has grown as far as it was ever written to: to `end`, or to `capacity`. What came
/// before `begin` was never in it, but for the end of a line.
#[derive(Debug)]
pub struct Scrollback {
    ring: Vec<u8>,
    capacity: usize,
    begin: u64,
    end: u64,
}

impl Scrollback {
    /// An empty ring of `capacity` bytes, rounded up to a power of two. All of it is reserved here, but pages that were
    /// never written to take no memory.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub fn new(capacity: usize) -> Result<Scrollback, TryReserveError> {
        let capacity = capacity.checked_next_power_of_two().unwrap_or(usize::MAX);
        let mut ring = Vec::new();
        ring.try_reserve_exact(capacity)?;
        Ok(Scrollback { ring, capacity, begin: 0, end: 0 })
    }

    /// Fills an empty ring: whatever is said next is said at `end`, and `said`, whole lines, was said last before it. Of
    /// that, as many whole lines are kept as there is room for.
    pub fn restore(&mut self, end: u64, said: &[u8]) {
        debug_assert!(self.end == 0 && self.ring.is_empty());
        let room = (self.capacity - 1).min(usize::try_from(end).unwrap_or(usize::MAX));
        let cut = said.len().saturating_sub(room);
        let from = if cut == 0 { 0 } else { memchr(b'\n', &said[cut - 1..]).map_or(said.len(), |at| cut + at) };
        self.begin = end - (said.len() - from) as u64;
        self.end = self.begin;
        // Whatever comes before them ends with a line.
        self.ring.resize(usize::try_from(self.begin).unwrap_or(usize::MAX).min(self.capacity), b'\n');
        self.put(&said[from..]);
    }

    /// The oldest position that is kept. It may be in the middle of a line.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.end.saturating_sub(self.capacity as u64 - 1).max(self.begin)
    }

    /// The position of whatever is said next.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The size of the ring in bytes: one more than it keeps at most.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Appends one line, given in pieces, and its LF; returns where it is. A line must be shorter than the ring.
    pub fn append(&mut self, pieces: &[&[u8]]) -> Range<u64> {
        let from = self.end;
        debug_assert!(pieces.iter().map(|piece| piece.len()).sum::<usize>() + 1 < self.capacity);
        for piece in pieces {
            self.put(piece);
        }
        self.put(b"\n");
        from..self.end
    }

    /// The bytes from `from` to `to`, or only up to where the ring wraps. Both positions have to be kept, and `from <=
    /// to`.
    #[must_use]
    pub fn contiguous(&self, from: u64, to: u64) -> &[u8] {
        debug_assert!(self.start() <= from && from <= to && to <= self.end);
        let at = self.index(from);
        let length = usize::try_from(to - from).expect("no two kept positions are a ring apart");
        &self.ring[at..(at + length).min(self.capacity)]
    }

    /// The bytes from `from` to `to`, in one piece or, where the ring wraps, in two.
    pub fn pieces(&self, from: u64, to: u64) -> impl Iterator<Item = &[u8]> {
        let first = self.contiguous(from, to);
        [first, self.contiguous(from + first.len() as u64, to)].into_iter()
    }

    /// Whether a line starts at a position that is kept.
    #[must_use]
    pub fn is_line_start(&self, position: u64) -> bool {
        debug_assert!(self.start() <= position && position <= self.end);
        position == 0 || self.ring[self.index(position - 1)] == b'\n'
    }

    /// The start of the first line that starts at `position` or after it.
    #[must_use]
    pub fn line_start_from(&self, position: u64) -> u64 {
        if self.is_line_start(position) { position } else { self.line_end(position) }
    }

    /// The start of the line after the one that `position` is in.
    #[must_use]
    pub fn line_end(&self, position: u64) -> u64 {
        let mut at = position;
        while at < self.end {
            let piece = self.contiguous(at, self.end);
            match memchr(b'\n', piece) {
                Some(found) => return at + found as u64 + 1,
                None => at += piece.len() as u64,
            }
        }
        at
    }

    /// The position from which the last `lines` lines before `end` can be read, and how many they are: fewer where
    /// `oldest` comes first. Both positions have to be kept, and a line has to start at `end`.
    #[must_use]
    pub fn last_lines(&self, end: u64, lines: usize, oldest: u64) -> (u64, usize) {
        let mut position = end;
        for count in 0..lines {
            match self.line_start_before(position, oldest) {
                Some(start) => position = start,
                None => return (position, count),
            }
        }
        (position, lines)
    }

    /// The start of the line that ends at `position`, if it is not before `oldest`.
    fn line_start_before(&self, position: u64, oldest: u64) -> Option<u64> {
        let mut to = position.checked_sub(1)?;
        while to > oldest {
            let in_one_piece = self.index(to - 1) as u64 + 1;
            let from = oldest.max(to.saturating_sub(in_one_piece));
            match memrchr(b'\n', self.contiguous(from, to)) {
                Some(found) => return Some(from + found as u64 + 1),
                None => to = from,
            }
        }
        (position > oldest && self.is_line_start(oldest)).then_some(oldest)
    }

    fn put(&mut self, bytes: &[u8]) {
        let at = self.index(self.end);
        let (before, after) = bytes.split_at(bytes.len().min(self.capacity - at));
        if at == self.ring.len() {
            self.ring.extend_from_slice(before);
        } else {
            self.ring[at..at + before.len()].copy_from_slice(before);
        }
        self.ring[..after.len()].copy_from_slice(after);
        self.end += bytes.len() as u64;
    }

    /// Where a position lies in the ring: the only place where an absolute position is masked.
    #[allow(clippy::cast_possible_truncation)] // The mask leaves fewer bits than a usize has.
    fn index(&self, position: u64) -> usize {
        (position & (self.capacity as u64 - 1)) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever was appended last is read back as it was, across every wrap.
    #[test]
    fn keeps_the_end_of_what_was_said() {
        let mut log = Scrollback::new(50).unwrap();
        assert_eq!(log.capacity(), 64);
        let mut all = Vec::new();
        for i in 0..200 {
            let line = format!("{i}: {}", "x".repeat(i % 23));
            log.append(&[line.as_bytes()]);
            all.extend_from_slice(format!("{line}\n").as_bytes());
            assert_eq!(log.end(), all.len() as u64);
            assert_eq!(log.start(), all.len().saturating_sub(63) as u64);
            for from in log.start()..=log.end() {
                let from_ = usize::try_from(from).unwrap();
                assert_eq!(log.pieces(from, log.end()).flatten().copied().collect::<Vec<u8>>(), &all[from_..]);
                let starts = from_ == 0 || all[from_ - 1] == b'\n';
                assert_eq!(log.is_line_start(from), starts, "{from}");
                let next = all[from_..].iter().position(|&b| b == b'\n').map_or(all.len(), |at| from_ + at + 1);
                assert_eq!(log.line_end(from), next as u64);
                assert_eq!(log.line_start_from(from), if starts { from } else { next as u64 });
            }
        }
    }

    /// A ring that was filled from a log goes on as the one that was lost would have, with as many whole lines as it has
    /// room for.
    #[test]
    fn goes_on_where_another_one_ended() {
        let lines: Vec<String> = (0..40).map(|i| format!("{i}: {}\n", "x".repeat(i % 7))).collect();
        for (count, before) in (0..40).flat_map(|count| [0, 3, 64, 1000].map(|before| (count, before))) {
            let mut all = lines[..count].concat();
            let mut log = Scrollback::new(64).unwrap();
            log.restore(before + all.len() as u64, all.as_bytes());
            let first = usize::try_from(log.start() - before).unwrap();
            let whole = (0..=all.len()).find(|&at| all.len() - at < 64 && (at == 0 || all[..at].ends_with('\n')));
            assert_eq!((Some(first), log.is_line_start(log.start())), (whole, true));
            for line in &lines {
                log.append(&[line.trim_end_matches('\n').as_bytes()]);
                all.push_str(line);
                let kept: Vec<u8> = log.pieces(log.start(), log.end()).flatten().copied().collect();
                assert_eq!(log.end(), before + all.len() as u64);
                assert_eq!(kept, &all.as_bytes()[first.max(all.len().saturating_sub(63))..]);
            }
        }
    }

    /// More memory than any machine has is refused with an error, not a panic.
    #[test]
    fn memory_may_be_refused() {
        assert!(Scrollback::new(usize::MAX / 2).is_err() && Scrollback::new(usize::MAX).is_err());
    }

    /// The last lines are found wherever the ring wraps, and none from before the oldest position asked for.
    #[test]
    fn finds_the_last_lines() {
        let mut log = Scrollback::new(64).unwrap();
        assert_eq!(log.last_lines(0, 3, 0), (0, 0));
        let mut starts = vec![];
        for i in 0..100 {
            starts.push(log.end());
            log.append(&[b"line ", b"x".repeat(i % 11).as_slice()]);
            for oldest in log.start()..=log.end() {
                let kept: Vec<u64> = starts.iter().copied().filter(|&s| s >= oldest).collect();
                for lines in 0..12 {
                    let count = lines.min(kept.len());
                    let from = if count == 0 { log.end() } else { kept[kept.len() - count] };
                    assert_eq!(log.last_lines(log.end(), lines, oldest), (from, count), "{lines} lines from {oldest}");
                }
            }
        }
    }
}
