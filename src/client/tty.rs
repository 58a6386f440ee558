//! The terminal that the prompt is on, and what is known of it.

use std::env;
use std::fs::OpenOptions;
use std::io::{IsTerminal, Write, stdout};

use terminal_size::{Width, terminal_size};

/// Where to write to it.
#[must_use]
pub fn writer() -> Box<dyn Write + Send> {
    if !stdout().is_terminal()
        && let Ok(terminal) = OpenOptions::new().write(true).open("/dev/tty")
    {
        return Box::new(terminal);
    }
    Box::new(stdout())
}

/// Its width.
#[must_use]
pub fn columns() -> usize {
    terminal_size().map_or(80, |(Width(columns), _)| usize::from(columns.max(1)))
}

/// Whether this is known to be a terminal that wraps its lines again when it becomes narrower. One that is thought to
/// and does not would lose lines above the prompt; the other way round, a row of the old prompt stays behind.
#[must_use]
pub fn wraps_again() -> bool {
    let is_set = |name: &&str| env::var_os(name).is_some();
    let multiplexed = env::var_os("STY").is_some() && env::var_os("TMUX").is_none();
    let programs = ["Apple_Terminal", "ghostty", "iTerm.app", "vscode", "WezTerm"];
    let is_program = env::var("TERM_PROGRAM").is_ok_and(|program| programs.contains(&program.as_str()));
    let marks = ["ALACRITTY_WINDOW_ID", "KITTY_WINDOW_ID", "KONSOLE_VERSION", "TMUX", "VTE_VERSION", "WT_SESSION"];
    !multiplexed && (is_program || marks.iter().any(is_set))
}
