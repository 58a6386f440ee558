//! What may be a name, and when two names look alike.

use std::fmt;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_security::skeleton;

/// The longest name, in characters.
pub const MAX_CHARS: usize = 32;

/// The longest name, in bytes: no character has more than four.
pub const MAX_BYTES: usize = MAX_CHARS * 4;

/// The most marks (vowel signs, points) that may follow one letter, counted in canonical decomposition.
const MAX_MARKS: usize = 4;

/// A name that fits the wire: 1 to [`MAX_CHARS`] letters and digits of any script and `_ - . #`, the first a letter, a
/// digit or `_`. So no name looks like the start of a notice, and it is clear where `NAME: ` ends and the text begins.
///
/// Letters and digits are what Unicode calls alphabetic or numeric. That includes vowel signs and other marks, but only
/// after a letter or digit, at most four on one, and none of them twice: a mark drawn over itself cannot be
/// seen. It includes no character that is invisible (`Default_Ignorable_Code_Point`). So the Hangul fillers are not
/// allowed. Neither are conjoining Hangul vowels and finals, which have no width unless they form a syllable; the
/// syllables themselves are letters.
///
/// A name keeps its look: a later version may know other confusables, and must not find that two people of an older log
/// have the same name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Name {
    text: CompactString,
    look: Look,
}

/// Why something is not a name. Displayed, it completes the sentence `--- error: bad name: `.
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
    /// A character that no name may have.
    Character(char),
    /// A mark that follows no letter or digit, or one that has too many marks, or has this one already.
    Mark(char),
}

impl Name {
    /// Reads a name; spaces around it are ignored. Anything longer than [`MAX_BYTES`] is refused without being read.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Name, BadName> {
        let bytes = bytes.trim_ascii();
        if bytes.len() > MAX_BYTES {
            return Err(BadName::TooLong);
        }
        let text = str::from_utf8(bytes).map_err(|_| BadName::NotUtf8)?;
        let first = text.chars().next().ok_or(BadName::Empty)?;
        if let Some(c) = text.chars().find(|&c| !may_be_in_name(c)) {
            return Err(BadName::Character(c));
        }
        if matches!(first, '-' | '.' | '#') || is_combining_mark(first) {
            return Err(BadName::Start);
        }
        if text.chars().count() > MAX_CHARS {
            return Err(BadName::TooLong);
        }
        check_marks(text)?;
        Ok(Name { text: text.into(), look: Look::of(text) })
    }

    /// Whether a text is a name as it is shown, with nothing around it.
    #[must_use]
    pub fn is_one(text: &str) -> bool {
        Name::parse(text.as_bytes()).is_ok_and(|name| name.as_str() == text)
    }

    /// The name as it is shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What this name looks like.
    #[must_use]
    pub fn look(&self) -> &Look {
        &self.look
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What a name looks like: two names are alike exactly if their looks are equal.
///
/// Two characters are alike if Unicode lists them as confusable (TR 39, section 4), or if they are the two cases of one
/// letter; and so on from character to character: Cyrillic `Б`, `б`, and the digit 6, which looks like `б`, have one
/// look.
///
/// There is one exception. If the two cases of a letter look like two ordinary letters that differ, the confusables
/// count, and the cases do not: Greek `Ν` looks like n and `ν` like v, and n and v are not alike. Ordinary letters are
/// those that Unicode advises for identifiers (TR 39, `Identifier_Status`). Tests list all letters whose cases have
/// different looks for this reason: of Greek `Β Γ Η Ν Σ Υ`, of Armenian `Յ Պ Ռ`, and rare ones.
///
/// Of ASCII these are alike: the two cases of each letter, `i l 1 |`, `o 0`, and `m` and `rn`.
///
/// `_ - . #` are their own looks, and marks stay with their letters: the look of `carol#77a1f0` is that of `carol`,
/// `#`, and that of `77a1f0`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Look(CompactString);

impl Look {
    /// The look of any text. The cost grows with its length: do not ask for that of a text longer than [`MAX_BYTES`].
    #[must_use]
    pub fn of(text: &str) -> Look {
        if text.bytes().all(|b| b.is_ascii() && may_be_in_name(b.into())) {
            return Look(look_of_ascii(text));
        }
        let mut look = fold(text);
        // Each character settles on its own, within two rounds: a test tries them all. Only `CASES` looks at more than
        // one, and each of its rules removes a mark or a character that no other rule brings back.
        loop {
            let again = fold(&look);
            if again == look {
                return Look(look);
            }
            look = again;
        }
    }

    /// The look as text, to be compared with others.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadName::Empty => write!(f, "the name is empty"),
            BadName::TooLong => write!(f, "it is longer than {MAX_CHARS} characters"),
            BadName::NotUtf8 => write!(f, "it is not UTF-8"),
            BadName::Start => write!(f, "it must start with a letter, a digit or _"),
            BadName::Mark(c) => write!(f, "the mark U+{:04X} cannot stand where it is", u32::from(*c)),
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
        // The Hangul fillers are letters to Unicode, but invisible. Conjoining vowels and finals, from 1161 and from
        // D7B0 on, have no width of their own.
        '\u{115f}'..='\u{11ff}' | '\u{3164}' | '\u{d7b0}'..='\u{d7ff}' | '\u{ffa0}' => false,
        c => c.is_alphanumeric(),
    }
}

fn check_marks(text: &str) -> Result<(), BadName> {
    if text.is_ascii() {
        return Ok(());
    }
    let mut carries_marks = false;
    let mut marks: Vec<char> = Vec::new();
    for c in text.nfd() {
        if is_combining_mark(c) {
            if !carries_marks || marks.len() == MAX_MARKS || marks.contains(&c) {
                return Err(BadName::Mark(c));
            }
            marks.push(c);
        } else {
            carries_marks = c.is_alphanumeric();
            marks.clear();
        }
    }
    Ok(())
}

/// Looks of one case of a letter, as a character and a mark if it has one, and the look of the other case that takes
/// their place.
///
/// These are all cases where nothing but that letter has the look, apart from characters that Unicode advises against
/// in identifiers (TR 39, `Identifier_Status`): so no two ordinary letters fall together by it. A test derives the
/// list.
const CASES: [(char, Option<char>, &str); 17] = [
    ('b', Some('\u{304}'), "6"),
    ('b', Some('\u{314}'), "'b"),
    ('d', Some('\u{314}'), "'d"),
    ('d', Some('\u{328}'), "d\u{335}"),
    ('f', Some('\u{326}'), "f"),
    ('g', Some('\u{314}'), "g'"),
    ('k', Some('\u{314}'), "k'"),
    ('t', Some('\u{314}'), "'t"),
    ('t', Some('\u{328}'), "t"),
    ('y', Some('\u{314}'), "'y"),
    ('ʓ', None, "3"),
    ('ϼ', None, "f"),
    ('ᛜ', None, "o"),
    ('∂', Some('\u{335}'), "d\u{335}"),
    ('∇', None, "o"),
    ('≡', None, "ξ"),
    ('ꓤ', None, "u"),
];

/// What [`fold`] gives for the ASCII characters of names.
fn look_of_ascii(text: &str) -> CompactString {
    let mut look = CompactString::with_capacity(text.len());
    for b in text.bytes() {
        match b.to_ascii_lowercase() {
            b'm' => look.push_str("rn"),
            b => look.push(fold_char(b.into())),
        }
    }
    look
}

/// One round on the way to a look: the appearance, and in it what [`CASES`] lists.
fn fold(text: &str) -> CompactString {
    let appearance = appearance(text);
    if appearance.is_ascii() { appearance } else { join_cases(&appearance) }
}

/// The skeleton of a text, with its case folded. Small letters alone would not do: where they look like no others,
/// their capitals may, as with Cyrillic `л` and Greek `λ`. What is ASCII by then is the look already.
fn appearance(text: &str) -> CompactString {
    let small: String = skeleton(text).map(fold_char).collect();
    let capital = |c: char| if c.is_ascii() { c } else { single(c.to_uppercase()).unwrap_or(c) };
    let capitals: String = small.chars().map(capital).collect();
    skeleton(&capitals).map(fold_char).nfd().collect()
}

/// Replaces what [`CASES`] lists. Other marks may stand between a letter and the mark of a rule.
fn join_cases(text: &str) -> CompactString {
    let mut joined = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let mut marks = String::new();
        while let Some(mark) = rest.next_if(|&c| is_combining_mark(c)) {
            marks.push(mark);
        }
        let case = CASES.iter().find(|(from, mark, _)| *from == c && mark.is_none_or(|mark| marks.contains(mark)));
        if let Some(&(_, mark, to)) = case {
            joined.push_str(to);
            joined.extend(marks.chars().filter(|&c| Some(c) != mark));
        } else {
            joined.push(c);
            joined.push_str(&marks);
        }
    }
    joined.nfd().collect()
}

/// Folds the case of a character of a skeleton.
fn fold_char(c: char) -> char {
    match c.to_ascii_lowercase() {
        'i' | '1' | '|' | 'ʟ' => 'l',
        '0' => 'o',
        // Small letters drawn as small capitals, mostly Cyrillic, and two more letters whose cases would have two
        // looks.
        'ᴀ' => 'a',
        'ʙ' => 'b',
        'ᴅ' => 'd',
        'ᴇ' | 'ꞓ' => 'e',
        'ɢ' => 'g',
        'ʜ' => 'h',
        'ᴊ' => 'j',
        'ĸ' => 'k',
        'ʍ' => 'm',
        'ɴ' => 'n',
        'ᴘ' => 'p',
        'Γ' => 'r',
        'ᴛ' => 't',
        c => single(c.to_lowercase()).unwrap_or(c),
    }
}

/// The character, if there is only one: folding case replaces one character by one.
fn single(mut chars: impl Iterator<Item = char>) -> Option<char> {
    chars.next().filter(|_| chars.next().is_none())
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
        assert_eq!(parse("a#b#0b9189").unwrap().as_str(), "a#b#0b9189");
    }

    /// Nothing that could forge another line, or is invisible, is a name; the error says why.
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

    /// A mark stands on a letter or digit, with few others, none of them twice.
    #[test]
    fn refuses_marks_that_cannot_be_told_apart() {
        for text in ["\u{345}", "\u{93e}", "\u{93e}\u{928}"] {
            assert_eq!(parse(text), Err(BadName::Start), "{text:?}");
        }
        for text in ["a_\u{345}", "a#\u{93e}", "न\u{93e}\u{93e}", "\u{1fb3}\u{345}"] {
            assert!(matches!(parse(text), Err(BadName::Mark(_))), "{text:?}");
        }
        let stack = "א\u{5b0}\u{5b1}\u{5b2}\u{5b3}";
        assert!(parse(stack).is_ok());
        assert_eq!(parse(&format!("{stack}\u{5b4}")), Err(BadName::Mark('\u{5b4}')));
    }

    /// No character of a name is invisible.
    #[test]
    fn nothing_invisible_is_in_a_name() {
        for c in ('\0'..=char::MAX).filter(|&c| may_be_in_name(c)) {
            assert!(skeleton(c.encode_utf8(&mut [0; 4])).next().is_some(), "{c:?}");
        }
        for c in "\u{34f}\u{17b4}\u{17b5}\u{180b}\u{3164}\u{fe0f}\u{e0061}\u{e0100}\u{1161}\u{11a8}\u{d7b0}".chars() {
            assert_eq!(parse(&format!("a{c}")), Err(BadName::Character(c)));
        }
    }

    /// Text longer than any name is refused for its length alone.
    #[test]
    fn overlong_names_are_not_looked_at() {
        let long = "\u{fdfa}".repeat(43);
        assert_eq!(parse(&long), Err(BadName::TooLong));
        assert_eq!(Name::parse(&[0xff; MAX_BYTES + 1]), Err(BadName::TooLong));
    }

    /// Names that a reader could confuse have one look; others do not.
    #[test]
    fn finds_look_alikes() {
        for names in [
            &["alice", "aiice", "AIice", "ALICE", "a1ice", "a|ice", "\u{430}lice"][..],
            &["isabella", "IsabeIIa", "1SABE11A"],
            &["carol#0b9189", "carol#ob9189", "CAROL#OB9l89"],
            &["modern", "rnodern", "MODERN", "RNODERN"],
            &["Ωmega", "ωMEGA"],
            &["Григорий", "григорий", "ГРИГОРИЙ"],
            &["Владимир", "ВЛАДИМИР", "владимир"],
            &["Борис", "борис", "БОРИС", "6орис"],
            &["Ðavíð", "ðavíð", "ÐAVÍÐ"],
            &["Ɓala", "ɓala", "ʼBala"],
            &["박", "\u{1107}\u{1161}\u{11a8}"],
        ] {
            for name in names {
                assert_eq!(Look::of(name), Look::of(names[0]), "{name} and {}", names[0]);
            }
        }
        for (a, b) in [
            ("alice", "alicia"),
            ("carol#0b9189", "carol#77a1f0"),
            ("박", "밖"),
            ("bob", "bоb2"),
            ("anna", "avva"),
            ("nora", "noya"),
        ] {
            assert_ne!(Look::of(a), Look::of(b), "{a} and {b}");
        }
    }

    /// Of ASCII only these look alike: the cases of a letter, `i l 1`, and `o 0`; and `m` is `rn`. The fast path agrees
    /// with the general rule.
    #[test]
    fn ascii_looks() {
        let mut classes = std::collections::BTreeMap::<_, String>::new();
        for c in ('\0'..='\x7f').filter(|&c| may_be_in_name(c)) {
            let text = c.to_string();
            let short = look_of_ascii(&text);
            assert_eq!(short, fold(&fold(&text)), "{c}");
            classes.entry(short).or_default().push(c);
        }
        let classes: Vec<&str> = classes.values().map(|class| &**class).filter(|class| class.len() != 1).collect();
        let expected = "Aa Bb Cc Dd Ee Ff Gg Hh Jj Kk 1ILil Nn 0Oo Pp Qq Rr Mm Ss Tt Uu Vv Ww Xx Yy Zz";
        assert_eq!(classes.join(" "), expected);
    }

    /// The list of cases is what its rule says: small letters take the look of their capitals if nothing else that is
    /// ordinary looks like them, and otherwise the other way round.
    #[test]
    fn cases_follow_their_rule() {
        use std::collections::BTreeMap;
        use unicode_security::GeneralSecurityProfile;

        let settled = |c: char| {
            let mut look = appearance(c.encode_utf8(&mut [0; 4]));
            while appearance(&look) != look {
                look = appearance(&look);
            }
            look
        };
        let scripts = ('\0'..='\u{33ff}').chain('\u{a000}'..='\u{abff}').chain('\u{f900}'..='\u{1ffff}');
        let mut alike = BTreeMap::<_, Vec<char>>::new();
        for c in scripts.filter(|&c| may_be_in_name(c)) {
            alike.entry(settled(c)).or_default().push(c);
        }
        let mut derived = Vec::new();
        for capital in alike.values().flatten().copied() {
            let Some(small) = single(capital.to_lowercase()).filter(|&small| small != capital) else { continue };
            let looks = [settled(small), settled(capital)];
            let is_free = |look: &CompactString| {
                alike[look].iter().all(|&c| c == small || c == capital || !c.identifier_allowed())
            };
            let [from, to] = match looks {
                [ref small, ref capital] if small == capital => continue,
                looks if is_free(&looks[0]) => looks,
                [small, capital] => [capital, small],
            };
            let mut parts = from.chars();
            let (letter, mark) = (parts.next().expect("a look is not empty"), parts.next());
            let fits = parts.next().is_none() && mark.is_none_or(is_combining_mark) && !is_combining_mark(letter);
            if is_free(&from) && fits && single(capital.to_string().nfd()).is_some() {
                derived.push((letter, mark, to));
            }
        }
        derived.sort_unstable();
        let listed: Vec<_> = CASES.iter().map(|&(letter, mark, to)| (letter, mark, CompactString::from(to))).collect();
        assert_eq!(derived, listed);
    }

    /// A look is found for every character, in a name or not, within two rounds, and is its own look; so it is for a
    /// letter with any two marks of the list of cases. So no text can make finding its look take long.
    #[test]
    fn looks_are_found_in_a_few_rounds() {
        let rounds = |text: &str| {
            let (mut look, mut rounds) = (fold(text), 1);
            while fold(&look) != look {
                (look, rounds) = (fold(&look), rounds + 1);
            }
            assert_eq!(Look::of(text).0, look);
            rounds
        };
        let all = '\0'..=char::MAX;
        let one = all.map(|c| rounds(c.encode_utf8(&mut [0; 4]))).max();
        let marks = || CASES.iter().filter_map(|case| case.1);
        let with_marks = CASES
            .iter()
            .flat_map(|case| marks().flat_map(move |one| marks().map(move |two| format!("{}{one}{two}", case.0))))
            .map(|text| rounds(&text))
            .max();
        assert_eq!((one, with_marks), (Some(2), Some(2)));
    }

    /// Of every character: its skeleton has the same look, a look is its own look, and borders stay where they are. Its
    /// other case has the same look, with the exceptions that are listed.
    #[test]
    fn a_look_is_one_form_of_all_that_look_alike() {
        let look = |text: &str| Look::of(text).0;
        let mut parted = String::new();
        for c in ('\0'..=char::MAX).filter(|&c| may_be_in_name(c)) {
            // Ideographs and syllables have neither case nor anything else of interest, and are most of the characters.
            if matches!(c, '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' | '\u{17000}'..='\u{18fff}' | '\u{20000}'..)
                && u32::from(c) % 64 != 0
            {
                continue;
            }
            let text = c.to_string();
            let expected = look(&text);
            assert_eq!(look(&skeleton(&text).collect::<String>()), expected, "{c:?}");
            assert_eq!(look(&expected), expected, "{c:?}");
            for border in ['#', '-', '.', '_'] {
                assert_eq!(look(&format!("{c}{border}{c}")), format!("{expected}{border}{expected}"), "{c:?}");
            }
            let is_whole = single(text.nfd()).is_some();
            for other in [single(c.to_lowercase()), single(c.to_uppercase())].into_iter().flatten() {
                if is_whole && look(other.encode_utf8(&mut [0; 4])) != expected {
                    parted.push(c);
                }
            }
        }
        let known = "ſƤƥƼƽɌɍ\u{345}ΒΓΗΝΣΥβγηνσυϐϬϭՅՊՌյպռᲄⳜⳝꞴꞵ𑢦𑢵𑢼𑣆𑣕𑣜";
        assert_eq!(parted, known);
    }
}
