//! One reader's cursor and asides: what to write next, and how much of it was taken.

use std::collections::VecDeque;
use std::time::Duration;

use super::scrollback::Scrollback;

/// How long a reader whose socket has just refused more is given the benefit of the doubt.
const BLINK: Duration = Duration::from_millis(200);
/// What a reader has to take to count as keeping up a fair pace...
const FAIR_BYTES: u32 = 64 * 1024;
/// ...for so long, and this is also the most that it can have in hand.
const FAIR_TIME: Duration = Duration::from_secs(1);

/// What one reader is still owed, without a copy of it.
///
/// ```text
///   scrollback   ── taken ── cursor ───────── due ─────── due ────── until/end
///                              │ public bytes  │  public   │  public    │
///   written                    └───────────────┴─ aside ───┴─ aside ────┘
/// ```
///
/// The reader is owed the scrollback from `cursor` to `until`, or as far as it goes, and each aside at its place:
/// when the cursor has come to the position at which it is due. Positions at which something is due are starts of
/// lines, so an aside never stands within one.
///
/// Invariant: `cursor <= until`; asides are in the order in which they are due, and `taken` is less than the length of
/// the first one. Most readers most of the time have got everything: then there are no `asides` at all, and a reader
/// costs two positions.
#[derive(Debug, Default)]
pub struct Outbox {
    cursor: u64,
    until: u64,
    asides: Option<Box<Asides>>,
    blocked: Option<Box<Blocked>>,
}

/// What waits for one reader alone; at least one line.
#[derive(Debug, Default)]
struct Asides {
    queue: VecDeque<Aside>,
    /// How much of the first one was taken.
    taken: usize,
    /// How many bytes there are, those included.
    bytes: usize,
}

/// Lines for one reader alone.
#[derive(Debug)]
struct Aside {
    due: u64,
    text: Vec<u8>,
}

/// A reader whose socket takes no more for now.
#[derive(Debug)]
struct Blocked {
    /// When it last took anything.
    progress: Duration,
    /// Until when it counts as keeping up a fair pace. Every byte that it takes moves that on.
    fair_until: Duration,
}

impl Outbox {
    /// From now on this reader is owed what everyone hears, from `position` on.
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
            Some(last) if last.due == due => last.text.extend_from_slice(lines),
            _ => queue.push_back(Aside { due, text: lines.to_vec() }),
        }
        self.check();
    }

    /// Adds lines for this reader alone, due after all that it is owed so far.
    pub fn add_aside_at_end(&mut self, log: &Scrollback, lines: &[u8]) {
        self.add_aside(self.limit(log), lines);
    }

    /// How many bytes of asides wait.
    #[must_use]
    pub fn aside_bytes(&self) -> usize {
        self.asides.as_ref().map_or(0, |asides| asides.bytes - asides.taken)
    }

    /// How far back in the scrollback the oldest byte lies that this reader is still owed, in bytes.
    #[must_use]
    pub fn behind(&self, log: &Scrollback) -> u64 {
        if self.cursor < self.limit(log) { log.end() - self.cursor } else { 0 }
    }

    /// Whether there is anything to write.
    #[must_use]
    pub fn is_pending(&self, log: &Scrollback) -> bool {
        self.cursor < self.limit(log) || self.asides.is_some()
    }

    /// What to write next, in order, as slices of the scrollback and of the asides.
    #[must_use]
    pub fn chunks<'a>(&'a self, log: &'a Scrollback) -> Chunks<'a> {
        let asides = self.asides.as_deref();
        let taken = asides.map_or(0, |asides| asides.taken);
        Chunks { log, asides, next: 0, taken, cursor: self.cursor, limit: self.limit(log) }
    }

    /// Moves on by `count` bytes of what [`Outbox::chunks`] gave.
    pub fn take(&mut self, log: &Scrollback, mut count: usize, now: Duration) {
        if let Some(blocked) = &mut self.blocked {
            blocked.progress = now;
            let bought = FAIR_TIME * u32::try_from(count).unwrap_or(FAIR_BYTES) / FAIR_BYTES;
            blocked.fair_until = (blocked.fair_until.max(now) + bought).min(now + FAIR_TIME);
        }
        while count > 0 {
            let chunk = self.chunks(log).next().expect("no more is taken than there was");
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
        if !self.is_pending(log) {
            self.blocked = None;
        }
        self.check();
    }

    /// The socket takes no more for now. Answers whether that is news.
    pub fn block(&mut self, now: Duration) -> bool {
        let is_news = self.blocked.is_none();
        self.blocked.get_or_insert_with(|| Box::new(Blocked { progress: now, fair_until: now + BLINK }));
        is_news
    }

    /// Until when a blocked reader counts as keeping up a fair pace.
    #[must_use]
    pub fn fair_until(&self) -> Option<Duration> {
        self.blocked.as_ref().map(|blocked| blocked.fair_until)
    }

    /// When a blocked reader last took anything, or was given another chance.
    #[must_use]
    pub fn last_progress(&self) -> Option<Duration> {
        self.blocked.as_ref().map(|blocked| blocked.progress)
    }

    /// Ends this reader's part in the conversation between two lines: it is owed the rest of the line that it is in
    /// the middle of, then `farewell`, and nothing more. What it was in the middle of has to be kept still.
    pub fn let_go(&mut self, log: &Scrollback, farewell: &[u8], now: Duration) {
        let mut parting = Vec::new();
        if let Some(Asides { queue, taken: taken @ 1.., .. }) = self.asides.as_deref() {
            let (before, rest) = queue[0].text.split_at(*taken);
            let in_line = !before.ends_with(b"\n");
            let length = memchr::memchr(b'\n', rest).filter(|_| in_line).map_or(0, |at| at + 1);
            parting.extend_from_slice(&rest[..length]);
        } else if self.behind(log) > 0 && !log.is_line_start(self.cursor) {
            let end = log.line_end(self.cursor);
            log.pieces(self.cursor, end).for_each(|piece| parting.extend_from_slice(piece));
            self.cursor = end;
        }
        self.abandon();
        parting.extend_from_slice(farewell);
        self.add_aside(self.cursor, &parting);
        self.blocked = Some(Box::new(Blocked { progress: now, fair_until: Duration::ZERO }));
    }

    /// Nothing can be delivered any more.
    pub fn abandon(&mut self) {
        self.until = self.cursor;
        self.asides = None;
        self.blocked = None;
        self.check();
    }

    fn limit(&self, log: &Scrollback) -> u64 {
        self.until.min(log.end())
    }

    fn check(&self) {
        debug_assert!(self.cursor <= self.until);
        debug_assert!(self.asides.as_ref().is_none_or(|asides| asides.taken < asides.queue[0].text.len()));
    }
}

/// What one reader is owed, piece by piece.
#[derive(Debug)]
pub struct Chunks<'a> {
    log: &'a Scrollback,
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
        let chunk = self.log.contiguous(self.cursor, to);
        self.cursor += chunk.len() as u64;
        Some(chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(7);

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
                outbox.take(&log, count, NOW);
                seen += count;
            }
            assert_eq!(seen, all.len());
        }
    }

    /// Who is let go after any number of bytes gets the rest of its line, the farewell, and nothing else.
    #[test]
    fn is_let_go_between_lines() {
        for taken in 0.."--- welcome\n--- hello\none\ntwo\n--- a\n--- b\nthree\n".len() {
            let (log, mut outbox, all) = example();
            outbox.take(&log, taken, NOW);
            outbox.let_go(&log, b"--- bye\n", NOW);
            let rest = match all[..taken].rfind('\n').map_or(taken, |at| taken - at - 1) {
                0 => "",
                _ => all[taken..].split_inclusive('\n').next().unwrap(),
            };
            assert_eq!(read(&outbox, &log), format!("{rest}--- bye\n"), "after {taken} bytes");
        }
    }

    /// Nobody is owed what is said after the end of their part.
    #[test]
    fn is_owed_nothing_after_leaving() {
        let mut log = Scrollback::new(64).unwrap();
        let mut outbox = Outbox::default();
        log.append(&[b"before"]);
        assert!(!outbox.is_pending(&log), "nobody without a name hears anything");
        outbox.follow(log.end());
        log.append(&[b"during"]);
        outbox.follow_until(log.end());
        log.append(&[b"after"]);
        assert_eq!(read(&outbox, &log), "during\n");
    }

    /// A reader that takes nothing is fair for a blink only; every 64 KiB that it takes make that a second longer.
    #[test]
    fn knows_a_fair_pace() {
        let mut log = Scrollback::new(256 * 1024).unwrap();
        let mut outbox = Outbox::default();
        outbox.follow(0);
        log.append(&[b"x".repeat(200_000).as_slice()]);
        assert!(outbox.block(NOW));
        assert!(!outbox.block(NOW + BLINK));
        assert_eq!(outbox.fair_until(), Some(NOW + BLINK));
        outbox.take(&log, FAIR_BYTES as usize / 4, NOW);
        assert_eq!(outbox.fair_until(), Some(NOW + BLINK + FAIR_TIME / 4));
        outbox.take(&log, FAIR_BYTES as usize, NOW + BLINK);
        assert_eq!(outbox.fair_until(), Some(NOW + BLINK + FAIR_TIME), "no more than that in hand");
        assert_eq!(outbox.last_progress(), Some(NOW + BLINK));
        outbox.take(&log, 200_001 - FAIR_BYTES as usize / 4 * 5, NOW + BLINK);
        assert_eq!(outbox.last_progress(), None, "all is taken");
    }
}
