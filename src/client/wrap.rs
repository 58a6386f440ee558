//! Long lines, wrapped at words and indented under the text. Pure.

use rustyline::GraphemeClusterMode;
use unicode_segmentation::UnicodeSegmentation;

/// Columns that a tab takes at most.
const TAB: usize = 8;

/// Lines that may be painted, on rows of so many columns, each but the first one of a line indented. A word that is longer
/// than a row, as an address may be, is for the terminal to wrap: so it is copied in one piece. Only one with wide
/// characters, whose languages have few spaces, ends where the row does.
#[must_use]
pub fn wrapped(lines: &str, columns: usize, indent: usize) -> String {
    let mode = GraphemeClusterMode::from_env();
    // Under a long name there would be no room.
    let indent = if indent > columns / 2 { 0 } else { indent };
    let mut out = Rows { text: String::with_capacity(lines.len() * 5 / 4), column: 0, columns, indent };
    for line in lines.split_inclusive('\n') {
        if line.len() <= columns {
            out.text.push_str(line);
        } else {
            out.column = 0;
            out.wrap(line, mode);
        }
    }
    out.text
}

/// The columns that a text takes.
#[must_use]
pub fn width(text: &str) -> usize {
    pieces(text, GraphemeClusterMode::from_env()).iter().map(|(_, width)| width).sum()
}

/// The characters of a text and the escape sequences between them, each with its width.
fn pieces(text: &str, mode: GraphemeClusterMode) -> Vec<(&str, usize)> {
    let mut is_escaped = false;
    let piece = |grapheme| {
        let begins = grapheme == "\x1b";
        let width = if is_escaped || begins { 0 } else { mode.width(grapheme).into() };
        is_escaped = begins || is_escaped && grapheme != "m";
        (grapheme, if grapheme == "\t" { TAB } else { width })
    };
    text.graphemes(true).map(piece).collect()
}

struct Rows {
    text: String,
    /// The columns that are taken in the last row.
    column: usize,
    columns: usize,
    indent: usize,
}

impl Rows {
    fn wrap(&mut self, line: &str, mode: GraphemeClusterMode) {
        let mut gap = 0;
        for word in line.split(' ') {
            if !word.is_empty() {
                self.word(&pieces(word, mode), gap);
                gap = 0;
            }
            gap += 1;
        }
    }

    /// A word, after a gap of so many columns where it does not begin a row.
    fn word(&mut self, pieces: &[(&str, usize)], gap: usize) {
        let (columns, indent) = (self.columns, self.indent);
        let width: usize = pieces.iter().map(|(_, width)| width).sum();
        let is_broken = width > columns - indent && pieces.iter().any(|(_, width)| *width == 2);
        if self.column + gap + width <= columns || (is_broken || width > columns) && self.column + gap < columns {
            self.text.push_str(&" ".repeat(gap));
            self.column += gap;
        } else {
            // What is too long under the text may fit from the left edge on.
            self.begin(if width > columns - indent { 0 } else { indent });
        }
        for (piece, width) in pieces {
            if is_broken && self.column + width > columns {
                self.begin(indent);
            }
            self.text.push_str(piece);
            self.column += width;
        }
        while self.column > columns {
            self.column -= columns;
        }
    }

    fn begin(&mut self, indent: usize) {
        self.text.push('\n');
        self.text.push_str(&" ".repeat(indent));
        self.column = indent;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows end between words, and no sooner than they must; what others would copy in one piece stays one.
    #[test]
    fn wraps_at_words() {
        for (line, expected) in [
            ("bob: hi\n", "bob: hi\n"),
            ("bob: 12345678901\n", "bob: 12345678901\n"),
            ("bob: one two three\n", "bob: one two\n     three\n"),
            ("bob: one  two   three", "bob: one  two\n     three"),
            ("bob: one two thr\x07\n", "bob: one two thr\x07\n"),
            ("bob: \x1b[1mone two\x1b[0m thr x", "bob: \x1b[1mone two\x1b[0m thr\n     x"),
            ("bob: see 123456789012345 ok", "bob: see\n123456789012345\n     ok"),
            ("bob: see 12345678901234567890 ok then", "bob: see 12345678901234567890 ok\n     then"),
            ("bob: 한국어 한국어 한국어", "bob: 한국어\n     한국어\n     한국어"),
            ("bob: 漢字漢字漢字漢字", "bob: 漢字漢字漢\n     字漢字"),
            (
                "bob: e\u{301}e\u{301}e\u{301} e\u{301}e\u{301}e\u{301} e\u{301}e\u{301}e\u{301}",
                "bob: e\u{301}e\u{301}e\u{301} e\u{301}e\u{301}e\u{301} e\u{301}e\u{301}e\u{301}",
            ),
            ("Monday\nbob: one two three\n", "Monday\nbob: one two\n     three\n"),
            ("      bob: one two\n", "      bob: one\n     two\n"),
        ] {
            assert_eq!(wrapped(line, 16, 5), expected, "{line:?}");
        }
        assert_eq!(wrapped("a long name: one two", 16, 13), "a long name: one\ntwo");
    }

    /// Nothing is lost but spaces, and no row is too long but for a word that is, whatever the width.
    #[test]
    fn loses_nothing() {
        let line = "12:34 bob: some words, a-longer-word, 한국어 mit Umlauten ä, 👍 and https://example.org/a/path\n";
        for columns in 1..120 {
            for indent in 0..30 {
                let rows = wrapped(line, columns, indent);
                assert_eq!(rows.replace([' ', '\n'], ""), line.replace([' ', '\n'], ""));
                let is_fit = |row: &str| columns < 60 || width(row) <= columns;
                assert!(rows.lines().all(is_fit), "{columns} {indent} {rows}");
            }
        }
    }
}
