//! A draft that is taller than half the screen: a part of it is drawn, around the cursor. Pure.
//!
//! rustyline knows nothing of that. It wipes as many rows as the whole draft takes, and then moves up by as many as there
//! are below the cursor. Both stop at the margin of what scrolls. So a window sets that margin, and stands at a place of
//! the screen that is known: behind what was shown last, which is drawn anew with it.

use super::rows::{Layout, height};

/// The rows that a window has at least: a head, the cursor's and one below.
const MIN_HEIGHT: usize = 3;

/// Lets all rows scroll again, and wipes them. The first one goes by itself: some terminals keep a screen that is wiped as
/// a whole above it.
pub const LEAVE: &str = "\x1b[r\x1b[2H\x1b[J\x1b[H\x1b[2K";

/// The part of a draft that is drawn.
#[derive(Debug, PartialEq, Eq)]
pub struct Window {
    /// The prompt, or what stands for it and for the rows above.
    pub head: String,
    /// What is typed.
    pub body: String,
    /// The rows of the screen that are left for other things.
    pub above: usize,
    /// The rows that it takes itself.
    height: usize,
    /// The row of the cursor, among these.
    cursor: usize,
    /// Whether rustyline is going to move the cursor up: the draft has rows below it.
    goes_up: bool,
    /// Whether rustyline is going to end a row before.
    goes_down: bool,
}

impl Window {
    /// A window for what is typed before the cursor and behind it, on a screen of so many columns and rows. `None` where
    /// all of it may be drawn.
    #[must_use]
    pub fn of(prompt: &str, before: &str, after: &str, (columns, rows): (usize, usize)) -> Option<Window> {
        let height = (rows / 2).max(MIN_HEIGHT);
        let text = format!("{prompt}{before}{after}");
        let layout = Layout::of(&text, columns);
        if layout.rows() <= height || rows <= height {
            return None;
        }
        let cursor = Layout::of(&text[..prompt.len() + before.len()], columns).rows() - 1;
        let first = cursor.saturating_sub((height - 2) / 2).min(layout.rows() - (height - 1));
        let (head, body) = if first == 0 {
            let prompt = Layout::of(prompt, columns).broken(prompt, 0);
            let shown = layout.some(&text, 0..height);
            let at = prompt.len().min(shown.len());
            (shown[..at].to_owned(), shown[at..].to_owned())
        } else {
            let head = format!("{}…", Layout::of(prompt, columns - 1).some(prompt, 0..1));
            (head, format!("\n{}", layout.some(&text, first..first + height - 1)))
        };
        Some(Window {
            head,
            body,
            above: rows - height,
            height,
            cursor: cursor - first + usize::from(first > 0),
            goes_up: cursor + 1 < layout.rows(),
            goes_down: layout.ends_full(&text),
        })
    }

    /// What makes room for it, before all else is drawn anew.
    #[must_use]
    pub fn room(&self) -> String {
        "\n".repeat(self.height - 1)
    }

    /// What to draw, on a screen that was just left, behind `lines` with their ends: `painted` is the window itself.
    #[must_use]
    pub fn behind(&self, lines: &str, painted: &str, columns: usize) -> String {
        // Of more, it makes no difference how much more.
        let taken: usize = lines.lines().rev().take(self.above + 1).map(|line| height(line, columns).max(1)).sum();
        let room = if taken > self.above { self.room() } else { String::new() };
        let top = taken.min(self.above) + 1;
        let (cursor, bottom) = (top + self.cursor, self.above + self.height);
        let (margins, end) = if self.goes_up {
            (format!("{cursor};{bottom}"), cursor)
        } else {
            // The line end that follows Enter must not scroll, or some terminals keep what scrolls.
            (format!("1;{}", bottom - 1), cursor - usize::from(self.goes_down))
        };
        format!("{room}\x1b[{top}H{painted}\x1b[{margins}r\x1b[{end}H")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(before: &str, after: &str) -> Option<(String, usize, bool, bool)> {
        let window = Window::of("> ", before, after, (6, 10))?;
        assert_eq!(window.above, 5);
        Some((format!("{}{}", window.head, window.body), window.cursor, window.goes_up, window.goes_down))
    }

    /// What fits on half the screen is drawn whole; of anything else, that half, with the cursor in it.
    #[test]
    fn shows_what_is_around_the_cursor() {
        assert_eq!(window("1\n2\n3\n4\n5", ""), None);
        let shown = |text: &str, cursor, goes_up| Some((text.into(), cursor, goes_up, false));
        assert_eq!(window("1\n2\n3\n4\n5\n6", ""), shown("> …\n3\n4\n5\n6", 4, false));
        assert_eq!(window("1\n2\n3\n4\n5\n", "6"), shown("> …\n3\n4\n5\n6", 4, false));
        assert_eq!(window("1\n2\n3\n4", "\n5\n6"), shown("> …\n3\n4\n5\n6", 2, true));
        assert_eq!(window("1\n", "2\n3\n4\n5\n6"), shown("> 1\n2\n3\n4\n5", 1, true));
        assert_eq!(window("", "1\n2\n3\n4\n5\n6"), shown("> 1\n2\n3\n4\n5", 0, true));
        let full = window("1234567890123456789012345678", "");
        assert_eq!(full, Some(("> …\n123456\n789012\n345678\n".into(), 4, false, true)));
    }

    /// The cursor is never on the last row while there is more below, however low the screen.
    #[test]
    fn stops_above_what_follows() {
        for rows in 0..9 {
            for lines in 1..12 {
                for (before, after) in (0..lines).map(|n| ("x\n".repeat(n), "x\n".repeat(lines - n))) {
                    let Some(window) = Window::of("> ", &before, &after, (20, rows)) else { continue };
                    let drawn = format!("{}{}", window.head, window.body).lines().count();
                    assert!(window.height + window.above == rows && drawn <= window.height, "{window:?}");
                    assert!(window.cursor + usize::from(window.goes_up) < window.height, "{window:?}");
                }
            }
        }
    }
}
