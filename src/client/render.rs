//! What a line looks like: colours, the time, the day, who is meant. Pure.

use std::fmt::Write as _;
use std::ops::Range;

use anstyle::{AnsiColor, Effects, Style};
use jiff::civil::{Date, DateTime};

use super::wrap::width;
use crate::protocol::received::{Answer, Received};

/// The colours of other people's names. Red is for errors, and black and white are somebody's background.
const PALETTE: [AnsiColor; 10] = [
    AnsiColor::Green,
    AnsiColor::Yellow,
    AnsiColor::Blue,
    AnsiColor::Magenta,
    AnsiColor::Cyan,
    AnsiColor::BrightGreen,
    AnsiColor::BrightYellow,
    AnsiColor::BrightBlue,
    AnsiColor::BrightMagenta,
    AnsiColor::BrightCyan,
];

const DIM: Style = Style::new().effects(Effects::DIMMED);
const OWN: Style = Style::new().effects(Effects::BOLD);
const ERROR: Style = AnsiColor::Red.on_default().effects(Effects::BOLD);
const WHISPER: Style = AnsiColor::Magenta.on_default().effects(Effects::BOLD);
const MENTION: Style = Style::new().effects(Effects::BOLD.insert(Effects::INVERT));

/// What stands where the time would, before a line that was said nobody knows when.
const NO_TIME: &str = "     ";

/// The column at which begins what is behind a time.
pub const NOTE_START: usize = NO_TIME.len() + 1;

/// How lines are to look.
#[derive(Debug)]
pub struct Renderer {
    /// Whether there are colours.
    pub colors: bool,
    /// Whether the bell may ring.
    pub bell: bool,
    /// The day of the line before.
    pub day: Option<Date>,
}

impl Renderer {
    /// A line from the server as a person named `own` likes to read it at the local time `now`: after its time, or a
    /// blank where it was said before one came; and before it the day, where that is another one than before.
    pub fn stamped(&mut self, line: &str, own: &str, is_history: bool, now: DateTime) -> String {
        let mut out = self.day_change(now.date());
        let time = if is_history { NO_TIME.into() } else { now.strftime("%H:%M").to_string() };
        self.paint(&mut out, DIM, &time);
        out.push(' ');
        out.push_str(&self.line(line, own, is_history));
        if self.bell && !is_history && is_for(line, own) {
            out.push('\x07');
        }
        out.push('\n');
        out
    }

    /// A line from the server without a time, a bell and an end.
    #[must_use]
    pub fn line(&self, line: &str, own: &str, is_history: bool) -> String {
        let mut out = String::with_capacity(line.len() + 32);
        let listener = Some(own).filter(|_| !is_history);
        match Received::parse(line) {
            Received::Message { name, text } => {
                self.paint_name(&mut out, name, own);
                out.push_str(": ");
                self.paint_words(&mut out, text, listener.filter(|own| *own != name));
            }
            Received::Action { name, text } => {
                out.push_str("* ");
                self.paint_name(&mut out, name, own);
                out.push(' ');
                self.paint_words(&mut out, text, listener.filter(|own| *own != name));
            }
            Received::Private(text) if text.starts_with("error: ") => self.paint(&mut out, ERROR, line),
            Received::Private(text) if text.starts_with('[') => self.paint(&mut out, WHISPER, line),
            Received::Public(_) | Received::Private(_) => self.paint(&mut out, DIM, line),
            Received::Other(_) => out.push_str(line),
        }
        out
    }

    /// What the client itself has to say.
    #[must_use]
    pub fn note(&self, text: &str) -> String {
        let mut out = String::new();
        self.paint(&mut out, DIM, &format!("gotcp: {text}"));
        out.push('\n');
        out
    }

    /// The same after its time.
    #[must_use]
    pub fn stamped_note(&self, text: &str, now: DateTime) -> String {
        let mut out = String::new();
        self.paint(&mut out, DIM, &format!("{} gotcp: {text}", now.strftime("%H:%M")));
        out.push('\n');
        out
    }

    /// What the user has sent and the room has not said.
    #[must_use]
    pub fn unheard(&self, row: &str) -> String {
        let mut out = String::new();
        self.paint(&mut out, DIM, row);
        out.push('\n');
        out
    }

    /// The prompt: the same characters, coloured.
    #[must_use]
    pub fn prompt(&self, prompt: &str) -> String {
        let mut out = String::new();
        self.paint(&mut out, OWN, prompt);
        out
    }

    fn day_change(&mut self, today: Date) -> String {
        let mut out = String::new();
        if self.day.replace(today).is_some_and(|day| day != today) {
            self.paint(&mut out, DIM, &today.strftime("%A, %-d %B %Y").to_string());
            out.push('\n');
        }
        out
    }

    /// A name in its colour; its tag is only there to tell it from others.
    fn paint_name(&self, out: &mut String, name: &str, own: &str) {
        let (base, tag) = split_tag(name);
        self.paint(out, if name == own { OWN } else { style_of(base) }, base);
        self.paint(out, DIM, tag);
    }

    /// What somebody says; the name of whoever listens stands out.
    fn paint_words(&self, out: &mut String, text: &str, listener: Option<&str>) {
        let mut from = 0;
        for mention in listener.map(|own| mentions(text, own)).unwrap_or_default() {
            out.push_str(&text[from..mention.start]);
            self.paint(out, MENTION, &text[mention.clone()]);
            from = mention.end;
        }
        out.push_str(&text[from..]);
    }

    fn paint(&self, out: &mut String, style: Style, text: &str) {
        if self.colors && !text.is_empty() {
            let _ = write!(out, "{style}{text}{style:#}");
        } else {
            out.push_str(text);
        }
    }
}

/// The column at which begins what a line says, behind its time.
#[must_use]
pub fn start(line: &str) -> usize {
    let behind = match Received::parse(line) {
        Received::Message { name, .. } => width(name) + ": ".len(),
        Received::Action { .. } => "* ".len(),
        Received::Public(_) | Received::Private(_) => "*** ".len(),
        Received::Other(_) => 0,
    };
    NOTE_START + behind
}

/// Whether a line is meant for one in particular: a whisper, or words of another that mention one's name.
#[must_use]
pub fn is_for(line: &str, own: &str) -> bool {
    match Received::parse(line) {
        Received::Message { name, text } | Received::Action { name, text } => {
            name != own && !mentions(text, own).is_empty()
        }
        Received::Private(text) => matches!(Answer::parse(text), Some(Answer::Whisper)),
        Received::Public(_) | Received::Other(_) => false,
    }
}

/// Where a text has a name in it, as a word of its own, with or without the name's tag, in any case.
#[must_use]
pub fn mentions(text: &str, own: &str) -> Vec<Range<usize>> {
    let (base, tag) = split_tag(own);
    let mut mentions = Vec::new();
    let mut from = 0;
    while let Some((start, _)) = text[from..].char_indices().next() {
        let start = from + start;
        let end = end_of(text, start, base).map(|end| end_of(text, end, tag).unwrap_or(end));
        match end.filter(|&end| end > start && !ends_in_name(&text[..start]) && !goes_on(&text[end..])) {
            Some(end) => {
                mentions.push(start..end);
                from = end;
            }
            None => from = start + text[start..].chars().next().map_or(1, char::len_utf8),
        }
    }
    mentions
}

/// Where a word ends that a text has at `start`, in any case.
fn end_of(text: &str, start: usize, word: &str) -> Option<usize> {
    let mut wanted = word.chars().flat_map(char::to_lowercase).peekable();
    let mut chars = text[start..].char_indices();
    loop {
        if wanted.peek().is_none() {
            return Some(start + chars.next().map_or(text.len() - start, |(at, _)| at));
        }
        let (_, char) = chars.next()?;
        if !char.to_lowercase().all(|char| wanted.next() == Some(char)) {
            return None;
        }
    }
}

/// A name, and the tag that its owner's client has added, with its `#`.
fn split_tag(name: &str) -> (&str, &str) {
    name.rfind('#').map_or((name, ""), |at| name.split_at(at))
}

/// Whether what follows makes a name longer: a letter or digit, or one behind the marks that a name may have in it. A
/// mark at the end of a word is a mark of the sentence. So `carol.` is carol, and neither `carol-ann` nor
/// `carol#77a1f0` is.
fn goes_on(text: &str) -> bool {
    text.trim_start_matches(['-', '.', '#']).starts_with(is_in_word)
}

fn ends_in_name(text: &str) -> bool {
    text.trim_end_matches(['-', '.', '#']).ends_with(is_in_word)
}

fn is_in_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The colour that a name always has, whatever its tag is this time.
fn style_of(name: &str) -> Style {
    // FNV-1a: the same in every run and on every machine, which the standard library's hashes do not promise.
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let index = usize::try_from((hash >> 32) % PALETTE.len() as u64).unwrap_or_default();
    PALETTE[index].on_default()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn renderer(colors: bool) -> Renderer {
        Renderer { colors, bell: true, day: None }
    }

    fn stamp(renderer: &mut Renderer, line: &str, day: i8, hour: i8) -> String {
        renderer.stamped(line, ME, false, date(2026, 11, day).at(hour, 5, 0, 0))
    }

    const ME: &str = "carol#0b9189";

    /// A name is mentioned as a word, with its own tag or none, in any case; not as a part of another word or name.
    #[test]
    fn finds_mentions() {
        for text in [
            "carol",
            "Carol?",
            "hi CAROL#0B9189!",
            "@carol.",
            "is it carol's",
            "carol, bob",
            "(carol)",
            "ask carol...",
            "carol#0b9189: hi",
            "carolin and carol",
            "carol#",
        ] {
            assert!(!mentions(text, ME).is_empty(), "{text}");
        }
        for text in
            ["", "carolin", "xcarol", "carol#77a1f0", "carol-ann", "mary.carol", "carol_", "car ol", "carol#0b9189a"]
        {
            assert!(mentions(text, ME).is_empty(), "{text}");
        }
        assert_eq!(mentions("박지성, 안녕, 박지성", "박지성"), [0..9, 19..28]);
        assert_eq!(mentions("ΩMEGA! ωmega", "ωmega"), [0..6, 8..14]);
        assert_eq!(mentions("so, Carol#0b9189: CAROL", ME), [4..16, 18..23]);
        assert_eq!((mentions("jean-luc.p?", "jean-luc.p").len(), mentions("luc", "jean-luc.p").len()), (1, 0));
    }

    /// Others' mentions and whispers are for one; one's own lines, replies to oneself and the room's news are not.
    #[test]
    fn knows_what_is_for_one() {
        for (line, expected) in [
            ("bob: hi carol", true),
            ("* bob waves at carol", true),
            ("--- [bob to you] psst", true),
            ("--- [you to bob] carol says psst", false),
            ("carol#0b9189: i am carol", false),
            ("bob: hi all", false),
            ("*** carol left", false),
            ("--- error: carol", false),
        ] {
            assert_eq!(is_for(line, "carol#0b9189"), expected, "{line}");
        }
    }

    /// Each line has its time; a new day is announced; the bell rings for what is for one.
    #[test]
    fn stamps_lines() {
        let mut plain = renderer(false);
        assert_eq!(stamp(&mut plain, "bob: hi", 23, 9), "09:05 bob: hi\n");
        assert_eq!(stamp(&mut plain, "bob: hi carol", 23, 23), "23:05 bob: hi carol\x07\n");
        assert_eq!(stamp(&mut plain, "bob: hi", 24, 0), "Tuesday, 24 November 2026\n00:05 bob: hi\n");
        assert_eq!(stamp(&mut plain, "bob: hi", 24, 0), "00:05 bob: hi\n");
        let mut silent = Renderer { bell: false, ..renderer(false) };
        assert_eq!(stamp(&mut silent, "bob: hi carol", 23, 9), "09:05 bob: hi carol\n");
    }

    /// What was said before one came has no time, since nobody knows it, and rings no bell.
    #[test]
    fn history_is_quiet() {
        let now = date(2026, 11, 23).at(9, 5, 0, 0);
        assert_eq!(renderer(false).stamped("bob: hi carol", ME, true, now), "      bob: hi carol\n");
    }

    /// Colours tell apart oneself, others, errors, whispers and notices; a name keeps its colour; without colours the
    /// line is as it came.
    #[test]
    fn colours_tell_lines_apart() {
        let lines =
            ["carol#0b9189: x", "bob: x", "--- error: x", "--- [bob to you] x", "*** bob joined", "bob: hi carol"];
        let painted = lines.map(|line| renderer(true).line(line, ME, false));
        let starts: Vec<_> = (0..5).map(|n| painted[n].split_once(&lines[n][..3]).unwrap().0).collect();
        for (index, start) in starts.iter().enumerate() {
            assert!(!starts[..index].contains(start), "{starts:?}");
        }
        assert_eq!(painted[1].replace('x', &format!("hi {MENTION}carol{MENTION:#}")), painted[5]);
        let tagged = |tag: &str| renderer(true).line(&format!("bob{tag}: x"), ME, false);
        assert_eq!(tagged("#77a1f0"), tagged("").replace(": x", &format!("{DIM}#77a1f0{DIM:#}: x")));
        for line in lines {
            assert_eq!(renderer(false).line(line, ME, false), line);
        }
        let colours: Vec<_> = (0..40).map(|n| style_of(&format!("user{n}"))).collect();
        assert!(PALETTE.iter().all(|colour| colours.contains(&colour.on_default())));
    }
}
