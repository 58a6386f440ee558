//! What may be a name, and when two names look alike.

use std::fmt;

use compact_str::CompactString;
use unicode_security::skeleton;

/// The longest name, in characters.
pub const MAX_CHARS: usize = 32;

/// The longest name, in bytes: no character has more than four.
pub const MAX_BYTES: usize = MAX_CHARS * 4;

/// A name that fits the wire: 1 to [`MAX_CHARS`] letters and digits of any script and `_ - . #`, the first a letter, a
/// digit or `_`. So no name can be taken for the start of a notice, and `NAME: ` can be told from what follows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name(CompactString);

/// Why something is not a name. Its words finish the sentence `--- error: bad name: `.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadName {
    /// Nothing at all.
    Empty,
    /// More than [`MAX_CHARS`] characters.
    TooLong,
    /// Not UTF-8.
    NotUtf8,
    /// The first character is not a letter, a digit or `_`.
    Start,
    /// Some character is none of those that a name may have.
    Character(char),
}

impl Name {
    /// Reads a name; blanks around it do not count.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Name, BadName> {
        let text = str::from_utf8(bytes.trim_ascii()).map_err(|_| BadName::NotUtf8)?;
        let first = text.chars().next().ok_or(BadName::Empty)?;
        if let Some(c) = text.chars().find(|&c| !may_be_in_name(c)) {
            return Err(BadName::Character(c));
        }
        if matches!(first, '-' | '.' | '#') {
            return Err(BadName::Start);
        }
        if text.chars().count() > MAX_CHARS {
            return Err(BadName::TooLong);
        }
        Ok(Name(text.into()))
    }

    /// Whether a text is a name as it is shown, with nothing around it.
    #[must_use]
    pub fn is_one(text: &str) -> bool {
        Name::parse(text.as_bytes()).is_ok_and(|name| name.as_str() == text)
    }

    /// The name as it is shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without its tag: the part before the last `#`.
    #[must_use]
    pub fn base(&self) -> &str {
        self.0.rsplit_once('#').map_or(&*self.0, |(base, _)| base)
    }

    /// What this name looks like.
    #[must_use]
    pub fn look(&self) -> Look {
        Look::of(&self.0)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a name looks like: two names are alike when they share either of two forms.
///
/// Both are confusable skeletons (Unicode TR 39, section 4) without case. They differ in what is done first: `folded`
/// finds `ALICE` and `alice` alike, whose capital I and small l no skeleton would tell apart otherwise; `shown` finds
/// `AIice` (with a capital I) and `Alice` alike, which a fold of the case would have told apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Look {
    /// Case folded first.
    pub folded: Box<str>,
    /// Skeleton first, where that gives another form than `folded`.
    pub shown: Option<Box<str>>,
}

impl Look {
    /// The look of any text.
    #[must_use]
    pub fn of(text: &str) -> Look {
        let folded = skeleton_without_case(&text.to_lowercase());
        let shown = skeleton_without_case(text);
        Look { shown: (shown != folded).then_some(shown), folded }
    }

    /// Both forms, the second only where it differs.
    pub fn forms(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&*self.folded).chain(self.shown.as_deref())
    }

    /// Whether two names look alike.
    #[must_use]
    pub fn is_like(&self, other: &Look) -> bool {
        self.forms().any(|form| other.forms().any(|theirs| form == theirs))
    }
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadName::Empty => write!(f, "it is empty"),
            BadName::TooLong => write!(f, "it is longer than {MAX_CHARS} characters"),
            BadName::NotUtf8 => write!(f, "it is not UTF-8"),
            BadName::Start => write!(f, "it must start with a letter, a digit or _"),
            BadName::Character(' ') => write!(f, "it has a space in it"),
            BadName::Character(c) => {
                write!(f, "it may have letters, digits and _ - . # only, not U+{:04X}", u32::from(*c))
            }
        }
    }
}

impl std::error::Error for BadName {}

fn may_be_in_name(c: char) -> bool {
    match c {
        '_' | '-' | '.' | '#' => true,
        // The Hangul fillers are letters to Unicode and nothing at all to the eye.
        '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' => false,
        c => c.is_alphanumeric(),
    }
}

fn skeleton_without_case(text: &str) -> Box<str> {
    skeleton(text).flat_map(char::to_lowercase).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Name, BadName> {
        Name::parse(text.as_bytes())
    }

    /// Letters and digits of any script make a name, with tags and the like.
    #[test]
    fn accepts_names() {
        for name in ["a", "_", "7up", "carol#0b9189", "jean-luc.p", "박지성", "Ωmega", "नाम", &"x".repeat(32)]
        {
            assert_eq!(parse(name).unwrap().as_str(), name);
        }
        assert_eq!(parse(" carol\t").unwrap().as_str(), "carol");
        assert_eq!(parse("a#b#0b9189").unwrap().base(), "a#b");
    }

    /// Whatever could forge another line, or cannot be seen, is no name; the reason says so.
    #[test]
    fn refuses_everything_else() {
        for (text, why) in [
            ("", BadName::Empty),
            ("  ", BadName::Empty),
            ("a b", BadName::Character(' ')),
            ("a:", BadName::Character(':')),
            ("*** x", BadName::Character('*')),
            ("!exit", BadName::Character('!')),
            ("-dash", BadName::Start),
            (".dot", BadName::Start),
            ("#tag", BadName::Start),
            ("\u{3164}", BadName::Character('\u{3164}')),
            ("zero\u{200b}width", BadName::Character('\u{200b}')),
            ("esc\x1b", BadName::Character('\x1b')),
        ] {
            assert_eq!(parse(text), Err(why), "{text:?}");
        }
        assert_eq!(parse(&"x".repeat(33)), Err(BadName::TooLong));
        assert_eq!(Name::parse(b"\xff"), Err(BadName::NotUtf8));
    }

    /// Two names that a reader could take for each other look alike; others do not.
    #[test]
    fn finds_look_alikes() {
        let alike = |a: &str, b: &str| Look::of(a).is_like(&Look::of(b));
        for (a, b) in [
            ("alice", "ALICE"),
            ("alice", "\u{430}lice"),
            ("Alice", "AIice"),
            ("carol#0b9189", "carol#ob9189"),
            ("modern", "rnodern"),
            ("Ωmega", "ωMEGA"),
        ] {
            assert!(alike(a, b) && alike(b, a), "{a} and {b}");
        }
        for (a, b) in [("alice", "alicia"), ("carol#0b9189", "carol#77a1f0"), ("박", "밖"), ("bob", "bоb2")] {
            assert!(!alike(a, b), "{a} and {b}");
        }
    }
}
