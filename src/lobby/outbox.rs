//! One reader's cursor and asides: what to write next, and how much of it was taken.

use std::collections::VecDeque;

use crate::room::scrollback::Scrollback;

/// Asides that are due at the same position share a buffer of up to this many bytes, so that what was taken is freed
/// soon.
const CHUNK: usize = 4 * 1024;

/// What is still to be written to one reader, without a copy of it.
///
/// ```text
///   scrollback   ── taken ── cursor ───────── due ─────── due ────── until/end
///                              │ public bytes  │  public   │  public    │
///   written                    └───────────────┴─ aside ───┴─ aside ────┘
/// ```
///
/// The reader is owed (has still to be sent) the scrollback from `cursor` to `until`, or as far as it goes, and its
/// asides: lines for it alone, each written when the cursor has come to the position at which it is due. These
/// positions are starts of lines, so an aside is never inside one.
///
/// Invariant: `cursor <= until`; asides are in the order in which they are due, and `taken` is less than the length of
/// the first one. Most readers have been sent everything most of the time: then there are no `asides` at all, and a
/// reader costs two positions and a pointer.
#[derive(Debug, Default)]
pub struct Outbox {
    cursor: u64,
    until: u64,
    asides: Option<Box<Asides>>,
}

/// What waits for one reader alone; at least one line.
#[derive(Debug)]
struct Asides {
    queue: VecDeque<Aside>,
    /// How much of the first one was taken.
    taken: usize,
    /// How many bytes there are, what was taken included.
    bytes: usize,
}

/// Whole lines for one reader alone.
#[derive(Debug)]
struct Aside {
    due: u64,
    text: Vec<u8>,
}

impl Default for Asides {
    fn default() -> Asides {
        // Hardly ever more, for a moment; but of a crowd that comes all of them are there at once.
        Asides { queue: VecDeque::with_capacity(2), taken: 0, bytes: 0 }
    }
}

impl Outbox {
    /// From now on this reader is owed what everyone reads, from `position` on.
    pub fn follow(&mut self, position: u64) {
        self.cursor = position;
        self.until = u64::MAX;
        self.check();
    }

    /// This reader is owed nothing that is said after `position`.
    pub fn follow_until(&mut self, position: u64) {
        self.until = self.until.min(position);
        self.check();
    }

    /// Adds lines for this reader alone, each with its LF, due at a position not before any other aside's.
    pub fn add_aside(&mut self, due: u64, lines: &[u8]) {
        let Asides { queue, bytes, .. } = &mut **self.asides.get_or_insert_default();
        *bytes += lines.len();
        match queue.back_mut() {
            Some(last) if last.due == due && last.text.len() + lines.len() <= CHUNK => {
                last.text.extend_from_slice(lines);
            }
            _ => queue.push_back(Aside { due, text: lines.to_vec() }),
        }
        self.check();
    }

    /// Adds lines for this reader alone, due after all that it is owed so far.
    pub fn add_aside_at_end(&mut self, scrollback: &Scrollback, lines: &[u8]) {
        self.add_aside(self.limit(scrollback), lines);
    }

    /// How many bytes of asides are kept, what was taken of the first one included.
    #[must_use]
    pub fn aside_bytes(&self) -> usize {
        self.asides.as_ref().map_or(0, |asides| asides.bytes)
    }

    /// How many bytes the oldest public byte that this reader is still owed is behind the end of the scrollback.
    #[must_use]
    pub fn behind(&self, scrollback: &Scrollback) -> u64 {
        if self.cursor < self.limit(scrollback) { scrollback.end() - self.cursor } else { 0 }
    }

    /// Whether there is anything to write.
    #[must_use]
    pub fn is_pending(&self, scrollback: &Scrollback) -> bool {
        self.cursor < self.limit(scrollback) || self.asides.is_some()
    }

    /// Whether there is anything to write but public lines from `position` on.
    #[must_use]
    pub fn owes_more_than(&self, position: u64) -> bool {
        self.asides.is_some() || self.cursor < self.until.min(position)
    }

    /// What to write next, in order, as slices of the scrollback and of the asides.
    #[must_use]
    pub fn chunks<'a>(&'a self, scrollback: &'a Scrollback) -> Chunks<'a> {
        let asides = self.asides.as_deref();
        let taken = asides.map_or(0, |asides| asides.taken);
        Chunks { scrollback, asides, next: 0, taken, cursor: self.cursor, limit: self.limit(scrollback) }
    }

    /// Moves on by `count` bytes of what [`Outbox::chunks`] gave.
    pub fn take(&mut self, scrollback: &Scrollback, mut count: usize) {
        while count > 0 {
            let chunk = self.chunks(scrollback).next().expect("no more is taken than there was");
            let step = count.min(chunk.len());
            count -= step;
            match &mut self.asides {
                Some(asides) if asides.queue[0].due <= self.cursor => {
                    asides.taken += step;
                    if asides.taken == asides.queue[0].text.len() {
                        asides.bytes -= std::mem::take(&mut asides.taken);
                        asides.queue.pop_front();
                        self.asides.take_if(|asides| asides.queue.is_empty());
                    }
                }
                _ => self.cursor += step as u64,
            }
        }
        self.check();
    }

    /// Ends this reader's part in the conversation between two lines: it is owed the rest of the line that it is in the
    /// middle of, then `farewell`, and nothing more. That line must still be in the scrollback.
    pub fn cut_short(&mut self, scrollback: &Scrollback, farewell: &[u8]) {
        let mut last = Vec::new();
        if let Some(Asides { queue, taken: taken @ 1.., .. }) = self.asides.as_deref() {
            let (before, rest) = queue[0].text.split_at(*taken);
            let is_within_line = !before.ends_with(b"\n");
            let length = memchr::memchr(b'\n', rest).filter(|_| is_within_line).map_or(0, |at| at + 1);
            last.extend_from_slice(&rest[..length]);
        } else if self.behind(scrollback) > 0 && !scrollback.is_line_start(self.cursor) {
            let end = scrollback.line_end(self.cursor);
            scrollback.pieces(self.cursor, end).for_each(|piece| last.extend_from_slice(piece));
            self.cursor = end;
        }
        self.abandon();
        last.extend_from_slice(farewell);
        self.add_aside(self.cursor, &last);
    }

    /// Nothing can be delivered any more.
    pub fn abandon(&mut self) {
        self.until = self.cursor;
        self.asides = None;
        self.check();
    }

    fn limit(&self, scrollback: &Scrollback) -> u64 {
        self.until.min(scrollback.end())
    }

    fn check(&self) {
        debug_assert!(self.cursor <= self.until);
        debug_assert!(self.asides.as_ref().is_none_or(|asides| asides.taken < asides.queue[0].text.len()));
    }
}

/// What one reader is owed, piece by piece.
#[derive(Debug)]
pub struct Chunks<'a> {
    scrollback: &'a Scrollback,
    asides: Option<&'a Asides>,
    next: usize,
    taken: usize,
    cursor: u64,
    limit: u64,
}

impl<'a> Iterator for Chunks<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let aside = self.asides.and_then(|asides| asides.queue.get(self.next));
        if let Some(aside) = aside.filter(|aside| aside.due <= self.cursor) {
            self.next += 1;
            return Some(&aside.text[std::mem::take(&mut self.taken)..]);
        }
        let to = aside.map_or(self.limit, |aside| aside.due.min(self.limit));
        if self.cursor == to {
            return None;
        }
        let chunk = self.scrollback.contiguous(self.cursor, to);
        self.cursor += chunk.len() as u64;
        Some(chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(outbox: &Outbox, log: &Scrollback) -> String {
        let bytes: Vec<u8> = outbox.chunks(log).flatten().copied().collect();
        String::from_utf8(bytes).unwrap()
    }

    /// An outbox in a scrollback of some lines, with asides before, between and after them.
    fn example() -> (Scrollback, Outbox, &'static str) {
        let mut log = Scrollback::new(64).unwrap();
        let mut outbox = Outbox::default();
        log.append(&[b"never seen"]);
        outbox.add_aside(0, b"--- welcome\n");
        outbox.follow(log.end());
        outbox.add_aside(log.end(), b"--- hello\n");
        log.append(&[b"one"]);
        log.append(&[b"two"]);
        outbox.add_aside(log.end(), b"--- a\n");
        outbox.add_aside(log.end(), b"--- b\n");
        log.append(&[b"three"]);
        (log, outbox, "--- welcome\n--- hello\none\ntwo\n--- a\n--- b\nthree\n")
    }

    /// Public lines come in order, each aside at its place, however few bytes are taken at a time.
    #[test]
    fn asides_stand_where_they_are_due() {
        let (log, outbox, all) = example();
        assert_eq!(read(&outbox, &log), all);
        for step in 1..all.len() {
            let (log, mut outbox, _) = example();
            let mut seen = 0;
            while outbox.is_pending(&log) {
                assert_eq!(read(&outbox, &log), &all[seen..]);
                let count = step.min(all.len() - seen);
                outbox.take(&log, count);
                seen += count;
            }
            assert_eq!(seen, all.len());
        }
    }

    /// A reader that is cut short after any number of bytes gets the rest of its line, the farewell, and nothing else.
    #[test]
    fn is_cut_short_between_lines() {
        for taken in 0.."--- welcome\n--- hello\none\ntwo\n--- a\n--- b\nthree\n".len() {
            let (log, mut outbox, all) = example();
            outbox.take(&log, taken);
            outbox.cut_short(&log, b"--- bye\n");
            let rest = match all[..taken].rfind('\n').map_or(taken, |at| taken - at - 1) {
                0 => "",
                _ => all[taken..].split_inclusive('\n').next().unwrap(),
            };
            assert_eq!(read(&outbox, &log), format!("{rest}--- bye\n"), "after {taken} bytes");
        }
    }

    /// Nobody is owed what is said after they have left.
    #[test]
    fn is_owed_nothing_after_leaving() {
        let mut log = Scrollback::new(64).unwrap();
        let mut outbox = Outbox::default();
        log.append(&[b"before"]);
        assert!(!outbox.is_pending(&log), "nobody without a name reads anything");
        outbox.follow(log.end());
        log.append(&[b"during"]);
        outbox.follow_until(log.end());
        log.append(&[b"after"]);
        assert_eq!(read(&outbox, &log), "during\n");
    }

    /// Memory of asides is freed as they are taken, however many more come meanwhile.
    #[test]
    fn what_was_taken_is_freed() {
        let log = Scrollback::new(64).unwrap();
        let mut outbox = Outbox::default();
        outbox.follow(0);
        let line = [b"x".repeat(1000).as_slice(), b"\n"].concat();
        (0..50).for_each(|_| outbox.add_aside_at_end(&log, &line));
        for _ in 0..10_000 {
            outbox.add_aside_at_end(&log, &line);
            outbox.take(&log, line.len());
            let queue = &outbox.asides.as_ref().unwrap().queue;
            let allocated: usize = queue.iter().map(|aside| aside.text.capacity()).sum();
            assert!(outbox.aside_bytes() < 60 * line.len() && allocated < 120 * line.len());
        }
    }
}
