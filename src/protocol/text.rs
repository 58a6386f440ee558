//! What may be in a line: the sanitiser.

use std::borrow::Cow;

use memchr::memchr2;

/// What every forbidden character is replaced with.
pub const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// Makes a line harmless to every terminal that shows it.
///
/// Invalid UTF-8, control characters other than TAB (C0, DEL, C1), line and paragraph separators and bidirectional
/// overrides each become U+FFFD; everything else is unchanged. The result is at most three times as long as the
/// input, and sanitising it again changes nothing.
#[must_use]
pub fn sanitise(line: &[u8]) -> Cow<'_, str> {
    match simdutf8::basic::from_utf8(line) {
        Ok(text) if is_harmless(text) => Cow::Borrowed(text),
        Ok(text) => Cow::Owned(replace_forbidden(text)),
        Err(_) => Cow::Owned(replace_forbidden(&String::from_utf8_lossy(line))),
    }
}

/// Whether a line is blank: empty, or spaces and tabs only. Blank lines are ignored.
#[must_use]
pub fn is_blank(text: &str) -> bool {
    text.trim_ascii().is_empty()
}

/// Whether a character is allowed in no line, because it could move the cursor, end a line or reorder one.
#[must_use]
pub fn is_forbidden(c: char) -> bool {
    match c {
        '\t' => false,
        // Line and paragraph separators; bidirectional embeddings, overrides and isolates (Unicode UAX 9).
        '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        c => c.is_control(),
    }
}

/// Whether nothing in a text is forbidden.
#[must_use]
pub fn is_harmless(text: &str) -> bool {
    let bytes = text.as_bytes();
    // Counts all of them instead of stopping at the first: without an early exit the compiler uses vector instructions.
    if bytes.iter().filter(|b| b.is_ascii_control() && **b != b'\t').count() > 0 {
        return false;
    }
    // Beyond ASCII every forbidden character starts with one of two bytes: C1 with 0xC2, the rest with 0xE2.
    memchr2(0xc2, 0xe2, bytes).is_none_or(|first| !text[first..].contains(is_forbidden))
}

fn replace_forbidden(text: &str) -> String {
    text.chars().map(|c| if is_forbidden(c) { REPLACEMENT } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only forbidden characters are replaced, each by one character.
    #[test]
    fn replaces_forbidden_characters() {
        for (input, expected) in [
            (&b"plain text\twith a tab"[..], "plain text\twith a tab"),
            (b"\x1b[2Jgone\x07", "\u{fffd}[2Jgone\u{fffd}"),
            (b"del\x7f cr\r nul\0", "del\u{fffd} cr\u{fffd} nul\u{fffd}"),
            ("c1 \u{9b}31m, nbsp\u{a0}".as_bytes(), "c1 \u{fffd}31m, nbsp\u{a0}"),
            ("a\u{2028}b\u{2029}c\u{202e}d\u{2066}e".as_bytes(), "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}e"),
            ("“안녕” 👩‍👩‍👧 \u{200f}שלום".as_bytes(), "“안녕” 👩‍👩‍👧 \u{200f}שלום"),
            (b"\xff\xc3(\xe2\x80", "\u{fffd}\u{fffd}(\u{fffd}"),
        ] {
            assert_eq!(sanitise(input), expected);
        }
    }

    /// Every character is kept or replaced as [`is_forbidden`] says: the fast path agrees with the rule.
    #[test]
    fn fast_path_agrees_with_the_rule() {
        for c in '\0'..=char::MAX {
            let expected = if is_forbidden(c) { REPLACEMENT } else { c };
            assert_eq!(sanitise(format!("a{c}b").as_bytes()), format!("a{expected}b"), "{c:?}");
        }
    }

    /// Harmless text is not copied, and sanitised text is harmless.
    #[test]
    fn is_idempotent_and_borrows_what_is_clean() {
        assert!(matches!(sanitise("안녕, clean".as_bytes()), Cow::Borrowed(_)));
        let once = sanitise(b"\x1b\xff").into_owned();
        assert!(matches!(sanitise(once.as_bytes()), Cow::Borrowed(_)));
    }
}
