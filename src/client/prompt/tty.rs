//! The terminal that the prompt is on.

use terminal_size::{Height, Width, terminal_size};

/// Its width and height, in columns and rows.
#[must_use]
pub fn size() -> (usize, usize) {
    terminal_size().map_or((80, 24), |(Width(columns), Height(rows))| (columns.max(1).into(), rows.max(1).into()))
}
