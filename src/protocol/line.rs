//! Bytes in, lines out.

use memchr::memchr;

/// What has arrived from one peer and has not been processed yet: whole lines that have to wait, and at most one
/// unfinished line after them.
///
/// Nothing is copied that need not be: while nothing is held, lines are slices of the bytes just read, and only an
/// unfinished line is copied. A buffer that holds nothing owns no memory, so an idle connection costs none.
///
/// ```text
///   held   | scanned: no LF in it | not scanned |
///          0                   scanned      held.len()
/// ```
///
/// Invariants: `scanned <= held.len()`. `skipping` only while the rest of an over-long line is being dropped.
/// `has_too_long` exactly while what is held has no LF, is over-long, and has not been reported.
#[derive(Debug, Default)]
pub struct LineBuffer {
    held: Vec<u8>,
    scanned: usize,
    skipping: bool,
    has_too_long: bool,
}

/// One line of input.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A line without its LF, and without a CR before that.
    Whole(&'a [u8]),
    /// A line over the limit. It is reported once, as soon as it is known to be too long; its bytes are dropped up to
    /// and including its LF.
    TooLong,
}

impl LineBuffer {
    /// Lines of what is held followed by `input`. A line may have `max_line` bytes, its LF included.
    ///
    /// A caller that stops early loses nothing: what [`Lines::next`] has not returned stays held.
    pub fn split<'a>(&'a mut self, input: &'a [u8], max_line: usize) -> Lines<'a> {
        let fresh = if self.held.is_empty() {
            input
        } else {
            self.held.extend_from_slice(input);
            &[]
        };
        Lines { buffer: self, fresh, at: 0, max_line }
    }

    /// Whether [`Lines::next`] has something to return without further input: a whole line, or the start of one that is
    /// already too long. While it has not, less than one line is held, however much has arrived.
    #[must_use]
    pub fn has_line(&self) -> bool {
        self.pending(usize::MAX).is_some()
    }

    /// What [`Lines::next`] would return, its LF included; nothing of an over-long line.
    #[must_use]
    pub fn pending(&self, max_line: usize) -> Option<&[u8]> {
        let whole = || memchr(b'\n', &self.held[self.scanned..]).map(|found| self.scanned + found + 1);
        let length = if self.has_too_long { Some(0) } else { whole() };
        length.map(|length| &self.held[..if length > max_line { 0 } else { length }])
    }

    /// An unfinished line, if that is all there is.
    #[must_use]
    pub fn unfinished(&self) -> Option<&[u8]> {
        (!self.held.is_empty() && !self.has_line()).then_some(&self.held)
    }

    /// Whether nothing is held, and no over-long line is being dropped: the buffer is as good as a new one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty() && !self.skipping
    }

    /// The last line, if the input ended without a LF; it is not too long. Only called when [`LineBuffer::has_line`] is
    /// false.
    pub fn finish(&mut self) -> Option<Vec<u8>> {
        debug_assert!(!self.has_line());
        let LineBuffer { held, skipping, .. } = std::mem::take(self);
        (!skipping && !held.is_empty()).then_some(held)
    }

    /// Searches what is held for a LF, so that an over-long line takes no memory even if no line is asked for: its
    /// start waits to be reported, and once it is reported, the rest is dropped.
    fn scan(&mut self, max_line: usize) {
        if memchr(b'\n', &self.held[self.scanned..]).is_none() {
            if self.skipping {
                self.held = Vec::new();
            }
            self.has_too_long = self.held.len() >= max_line;
            self.scanned = self.held.len();
        }
    }
}

/// The lines of one [`LineBuffer::split`]. Dropping it keeps the rest in the buffer.
#[derive(Debug)]
pub struct Lines<'a> {
    buffer: &'a mut LineBuffer,
    /// The bytes just read; empty if something was held, and they were appended to it.
    fresh: &'a [u8],
    /// How much of the source has been returned.
    at: usize,
    max_line: usize,
}

impl Lines<'_> {
    /// The next line, or `None` if no whole line is left. (Not an `Iterator`: a line borrows from the buffer.)
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Option<Line<'_>> {
        self.next_if(|_| true)
    }

    /// The next line, if there is one and `accept` takes it. That is shown the line with its LF, and nothing of an
    /// over-long one.
    pub fn next_if(&mut self, accept: impl FnOnce(&[u8]) -> bool) -> Option<Line<'_>> {
        self.buffer.has_too_long = false;
        let source = if self.buffer.held.is_empty() { self.fresh } else { &self.buffer.held };
        loop {
            let rest = &source[self.at..];
            let scanned = std::mem::take(&mut self.buffer.scanned);
            let Some(found) = memchr(b'\n', &rest[scanned..]) else {
                let too_long = !self.buffer.skipping && rest.len() >= self.max_line;
                if too_long && !accept(&[]) {
                    return None;
                }
                self.buffer.skipping |= too_long;
                if self.buffer.skipping {
                    self.at = source.len();
                } else {
                    self.buffer.scanned = rest.len();
                }
                return too_long.then_some(Line::TooLong);
            };
            let length = scanned + found + 1;
            if std::mem::take(&mut self.buffer.skipping) {
                self.at += length;
                continue;
            }
            let too_long = length > self.max_line;
            if !accept(if too_long { &[] } else { &rest[..length] }) {
                return None;
            }
            self.at += length;
            if too_long {
                return Some(Line::TooLong);
            }
            let line = &rest[..length - 1];
            return Some(Line::Whole(line.strip_suffix(b"\r").unwrap_or(line)));
        }
    }
}

impl Drop for Lines<'_> {
    fn drop(&mut self) {
        let buffer = &mut *self.buffer;
        if buffer.held.is_empty() {
            buffer.held.extend_from_slice(&self.fresh[self.at..]);
        } else if self.at == buffer.held.len() {
            buffer.held = Vec::new();
        } else {
            buffer.held.drain(..self.at);
        }
        buffer.scan(self.max_line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 8;

    /// Everything `chunks` say, with over-long lines as `<too long>`, and the last line in brackets.
    fn lines(chunks: &[&[u8]]) -> Vec<String> {
        let mut buffer = LineBuffer::default();
        let mut seen = Vec::new();
        for chunk in chunks {
            let mut lines = buffer.split(chunk, MAX);
            while let Some(line) = lines.next() {
                seen.push(match line {
                    Line::Whole(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                    Line::TooLong => "<too long>".into(),
                });
            }
        }
        seen.extend(buffer.finish().map(|last| format!("[{}]", String::from_utf8_lossy(&last))));
        seen
    }

    /// However the bytes are cut, the lines are the same.
    #[test]
    fn any_cut_gives_the_same_lines() {
        let input = b"one\ntwo\r\n\n\r\nlone\rcr\n1234567\n12345678\nmuch too long for this\nlast";
        let whole = lines(&[input]);
        assert_eq!(whole, ["one", "two", "", "", "lone\rcr", "1234567", "<too long>", "<too long>", "[last]"]);
        for first in 0..=input.len() {
            for second in first..=input.len() {
                let cut = [&input[..first], &input[first..second], &input[second..]];
                assert_eq!(lines(&cut), whole, "cut at {first} and {second}");
            }
        }
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(lines(&bytes), whole);
    }

    /// An over-long line is reported as soon as it is known to be one, not when it ends.
    #[test]
    fn too_long_is_said_at_once_and_once() {
        assert_eq!(lines(&[b"12345678"]), ["<too long>"]);
        assert_eq!(lines(&[b"12345678", b"9", b"\nok\n"]), ["<too long>", "ok"]);
        assert_eq!(lines(&[&b"12345678"[..]; 100]), ["<too long>"]);
    }

    /// A line without end takes no memory beyond what arrived at once, even while no line may be processed; and it is never
    /// taken for the last line.
    #[test]
    fn an_endless_line_takes_no_memory() {
        let mut buffer = LineBuffer::default();
        drop(buffer.split(b"12345", MAX));
        assert!(!buffer.has_line());
        drop(buffer.split(b"678", MAX));
        assert!(buffer.has_line(), "it is known to be too long, so nothing more needs to be read");
        assert_eq!(buffer.split(b"", MAX).next(), Some(Line::TooLong));
        for _ in 0..100 {
            drop(buffer.split(b"and so on, without end", MAX));
            assert_eq!((buffer.held.capacity(), buffer.has_line()), (0, false));
        }
        assert_eq!(buffer.finish(), None);
    }

    /// A caller that stops early finds the rest held, in order, and the memory is freed once all is processed.
    #[test]
    fn stopping_early_loses_nothing() {
        let mut buffer = LineBuffer::default();
        assert_eq!(buffer.split(b"a\nb\nc\nd", MAX).next(), Some(Line::Whole(b"a")));
        assert!(buffer.has_line());
        assert_eq!(buffer.split(b"d\n", MAX).next(), Some(Line::Whole(b"b")));
        let mut lines = buffer.split(b"", MAX);
        assert_eq!(lines.next(), Some(Line::Whole(b"c")));
        assert_eq!(lines.next(), Some(Line::Whole(b"dd")));
        assert_eq!(lines.next(), None);
        drop(lines);
        assert!(!buffer.has_line());
        assert_eq!(buffer.held.capacity(), 0);
    }
}
