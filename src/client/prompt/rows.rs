//! Where a prompt, and what is typed behind it, stand on a screen. Pure.

use std::ops::Range;

use rustyline::GraphemeClusterMode;
use unicode_segmentation::UnicodeSegmentation;

/// Columns between tab stops, as rustyline has them by default.
const TAB_STOP: usize = 8;

/// A text on a screen of a certain width, from the left edge on. It wraps as rustyline does: a character that does not
/// fit begins a row, and a row that is filled to the last column is followed by another one even if that is empty.
#[derive(Debug)]
pub struct Layout {
    rows: Vec<Row>,
}

/// Where in the text a row stands.
#[derive(Debug, Default)]
struct Row {
    start: usize,
    end: usize,
    /// The columns that are taken.
    width: usize,
    /// Whether no line end began it.
    is_wrapped: bool,
}

impl Layout {
    /// Lays a text out.
    #[must_use]
    pub fn of(text: &str, columns: usize) -> Layout {
        let mode = GraphemeClusterMode::from_env();
        let mut rows = Vec::new();
        let mut row = Row::default();
        for (index, grapheme) in text.grapheme_indices(true) {
            row.end = index;
            if grapheme == "\n" {
                let next = Row { start: index + 1, end: index + 1, ..Row::default() };
                rows.push(std::mem::replace(&mut row, next));
                continue;
            }
            let width = if grapheme == "\t" { TAB_STOP - row.width % TAB_STOP } else { mode.width(grapheme).into() };
            if row.width + width > columns {
                rows.push(std::mem::replace(&mut row, Row { start: index, is_wrapped: true, ..Row::default() }));
            }
            row.width += width;
            row.end = index + grapheme.len();
        }
        let is_full = row.width == columns;
        rows.push(row);
        if is_full {
            rows.push(Row { start: text.len(), end: text.len(), ..Row::default() });
        }
        Layout { rows }
    }

    /// How many rows it takes.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// The text of some of the rows, with a line end between any two.
    #[must_use]
    pub fn some(&self, text: &str, rows: Range<usize>) -> String {
        let rows: Vec<_> = self.rows[rows].iter().map(|row| &text[row.start..row.end]).collect();
        rows.join("\n")
    }

    /// Whether rustyline ends the row before the last one itself: it was filled to the last column.
    #[must_use]
    pub fn ends_full(&self, text: &str) -> bool {
        self.rows.len() > 1 && self.rows.last().is_some_and(|row| row.width == 0) && !text.ends_with('\n')
    }

    /// The text with a line end wherever it wraps, so that the terminal takes its rows for lines of their own, and does
    /// not join them again when it becomes wider. `skip` bytes are left out at the start.
    #[must_use]
    pub fn broken(&self, text: &str, skip: usize) -> String {
        let mut out = String::with_capacity(text.len() + self.rows.len());
        let mut from = skip;
        for wrap in self.rows.iter().filter(|row| row.is_wrapped && row.start >= skip).map(|row| row.start) {
            out.push_str(&text[from..wrap]);
            out.push('\n');
            from = wrap;
        }
        out.push_str(&text[from..]);
        out
    }
}

/// How many rows lines take that each have an end. A terminal begins no row for a line that just fills one.
#[must_use]
pub fn height(lines: &str, columns: usize) -> usize {
    let height = |line| {
        let layout = Layout::of(line, columns);
        layout.rows() - usize::from(layout.ends_full(line))
    };
    lines.lines().map(height).sum()
}

/// A text that is as wide as another one, and does not tell what that says.
#[must_use]
pub fn mask(text: &str) -> String {
    let mode = GraphemeClusterMode::from_env();
    let mask = |grapheme| if grapheme == "\n" { "\n".into() } else { "*".repeat(mode.width(grapheme).into()) };
    text.graphemes(true).map(mask).collect()
}

/// What wipes so many rows above the cursor and leaves it where they began.
#[must_use]
pub fn wipe(rows: usize) -> String {
    "\x1b[A\x1b[2K".repeat(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows are counted by what is seen: wide characters, wrapping at the edge, full rows, tabs and line ends.
    #[test]
    fn counts_rows() {
        for (text, columns, expected) in [
            ("", 10, 1),
            ("> hello", 10, 1),
            ("> 4567890", 10, 1),
            ("> 34567890", 10, 2),
            ("> 345678901", 10, 2),
            ("> 한글한글", 10, 2),
            ("> 한글한글x", 10, 2),
            (">한글한글한", 10, 2),
            ("> a\nb\nc", 10, 3),
            ("> a\n\nc", 10, 3),
            (">\tx", 10, 1),
            (">\tx\tx", 10, 2),
            ("e\u{301}e\u{301}e\u{301}", 4, 1),
        ] {
            assert_eq!(Layout::of(text, columns).rows(), expected, "{text:?}");
        }
    }

    /// A line end stands wherever the text wraps, and nowhere else.
    #[test]
    fn breaks_where_it_wraps() {
        for (text, skip, expected) in [
            ("> hello", 2, "hello"),
            ("> 345678", 2, "345678"),
            ("> 3456789", 2, "345678\n9"),
            ("> 3456\n3456789", 2, "3456\n3456789"),
            (">한글한글", 1, "한글한\n글"),
            ("1234567890> abc", 12, "abc"),
            ("12345678> abc", 0, "12345678\n> abc"),
        ] {
            assert_eq!(Layout::of(text, 8).broken(text, skip), expected, "{text:?}");
        }
    }
}
