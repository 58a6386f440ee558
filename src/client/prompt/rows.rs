//! Where a prompt, and what is typed behind it, stand on a screen. Pure.

use rustyline::GraphemeClusterMode;
use unicode_segmentation::UnicodeSegmentation;

/// Columns between tab stops, as rustyline has them by default.
const TAB_STOP: usize = 8;

/// A text on a screen of a certain width, from the left edge on. It wraps as rustyline does: a character that does not
/// fit begins a row, and a row that is filled to the last column is followed by another one even if that is empty.
#[derive(Debug)]
pub struct Layout {
    /// The columns that are taken in each row.
    widths: Vec<usize>,
    /// Where in the text a row begins that no line end began.
    wraps: Vec<usize>,
}

impl Layout {
    /// Lays a text out.
    #[must_use]
    pub fn of(text: &str, columns: usize) -> Layout {
        let mode = GraphemeClusterMode::from_env();
        let mut layout = Layout { widths: Vec::new(), wraps: Vec::new() };
        let mut column = 0;
        for (index, grapheme) in text.grapheme_indices(true) {
            if grapheme == "\n" {
                layout.widths.push(std::mem::take(&mut column));
                continue;
            }
            let width = if grapheme == "\t" { TAB_STOP - column % TAB_STOP } else { mode.width(grapheme).into() };
            if column + width > columns {
                layout.widths.push(std::mem::take(&mut column));
                layout.wraps.push(index);
            }
            column += width;
        }
        layout.widths.push(column);
        if column == columns {
            layout.widths.push(0);
        }
        layout
    }

    /// How many rows it takes.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.widths.len()
    }

    /// The text with a line end wherever it wraps, so that the terminal takes its rows for lines of their own, and does
    /// not join them again when it becomes wider. `skip` bytes are left out at the start.
    #[must_use]
    pub fn broken(&self, text: &str, skip: usize) -> String {
        let mut out = String::with_capacity(text.len() + self.wraps.len());
        let mut from = skip;
        for &wrap in self.wraps.iter().filter(|&&wrap| wrap >= skip) {
            out.push_str(&text[from..wrap]);
            out.push('\n');
            from = wrap;
        }
        out.push_str(&text[from..]);
        out
    }
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
