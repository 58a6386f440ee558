//! What a line looks like: colours, the time, the day, who is meant. Pure.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Effects, Style};
use jiff::civil::{Date, DateTime};

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

const PLAIN: Style = Style::new();
const DIM: Style = Style::new().effects(Effects::DIMMED);
const OWN: Style = Style::new().effects(Effects::BOLD);
const ERROR: Style = AnsiColor::Red.on_default().effects(Effects::BOLD);
const WHISPER: Style = AnsiColor::Magenta.on_default().effects(Effects::BOLD);
const MENTION: Style = Style::new().effects(Effects::BOLD.insert(Effects::INVERT));

/// What stands where the time would, before a line that was said nobody knows when.
const NO_TIME: &str = "     ";

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
        let words = if !is_history && is_for(line, own) { MENTION } else { PLAIN };
        match Received::parse(line) {
            Received::Message { name, text } => {
                self.paint(&mut out, style_of(name, own), name);
                out.push_str(": ");
                self.paint(&mut out, words, text);
            }
            Received::Action { name, text } => {
                out.push_str("* ");
                self.paint(&mut out, style_of(name, own), name);
                out.push(' ');
                self.paint(&mut out, words, text);
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

    fn paint(&self, out: &mut String, style: Style, text: &str) {
        if self.colors && !style.is_plain() {
            let _ = write!(out, "{style}{text}{style:#}");
        } else {
            out.push_str(text);
        }
    }
}

/// Whether a line is meant for one in particular: a whisper, or words of another that mention one's name.
#[must_use]
pub fn is_for(line: &str, own: &str) -> bool {
    match Received::parse(line) {
        Received::Message { name, text } | Received::Action { name, text } => name != own && mentions(text, own),
        Received::Private(text) => matches!(Answer::parse(text), Some(Answer::Whisper)),
        Received::Public(_) | Received::Other(_) => false,
    }
}

/// Whether a text has a name in it, as a word of its own, with or without the name's tag, in any case.
#[must_use]
pub fn mentions(text: &str, own: &str) -> bool {
    let (text, own) = (text.to_lowercase(), own.to_lowercase());
    let (base, tag) = own.rfind('#').map_or((own.as_str(), ""), |at| own.split_at(at));
    if base.is_empty() {
        return false;
    }
    text.match_indices(base).any(|(start, _)| {
        let after = &text[start + base.len()..];
        let after = after.strip_prefix(tag).unwrap_or(after);
        !ends_in_name(&text[..start]) && !goes_on(after)
    })
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

/// One's own name, or the colour that another one always has.
fn style_of(name: &str, own: &str) -> Style {
    if name == own {
        return OWN;
    }
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
            assert!(mentions(text, "carol#0b9189"), "{text}");
        }
        for text in
            ["", "carolin", "xcarol", "carol#77a1f0", "carol-ann", "mary.carol", "carol_", "car ol", "carol#0b9189a"]
        {
            assert!(!mentions(text, "carol#0b9189"), "{text}");
        }
        assert!(mentions("박지성, 안녕", "박지성") && mentions("ΩMEGA!", "ωmega"));
        assert!(mentions("jean-luc.p?", "jean-luc.p") && !mentions("luc", "jean-luc.p"));
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
        assert_ne!(painted[1].replace('x', "hi carol"), painted[5]);
        for line in lines {
            assert_eq!(renderer(false).line(line, ME, false), line);
        }
        let colours: Vec<_> = (0..40).map(|n| style_of(&format!("user{n}"), "carol")).collect();
        assert!(PALETTE.iter().all(|colour| colours.contains(&colour.on_default())));
    }
}
