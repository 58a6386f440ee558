//! What the user has sent and the room has not said yet: shown dim, above the prompt. Pure.
//!
//! What comes of a line shows by what the room says. Where that looks otherwise than what was typed, the server's count
//! of lines tells, a moment later. So this only decides what is dim; that a line arrives once is the session's business.

use std::collections::VecDeque;

use super::super::render::NOTE_START;
use super::rows::Layout;
use crate::protocol::command::Command;
use crate::protocol::received::Received;
use crate::protocol::text::sanitise;

/// Lines that are shown; of more, only the number.
const MAX_SHOWN: usize = 5;

/// The lines that the server is not known to have heard, oldest first.
#[derive(Debug, Default)]
pub struct Unheard {
    lines: VecDeque<Line>,
    /// How many lines came before these.
    settled: u64,
}

#[derive(Debug)]
struct Line {
    /// What the room will say, or, of a command, what was typed. Nothing that is secret.
    shown: String,
    is_command: bool,
    /// Whether the room has said it, or answered.
    is_heard: bool,
}

impl Unheard {
    /// The user, who is called `own`, sends a line: `literal` if it is text whatever it looks like. Blank ones are none.
    pub fn send(&mut self, text: &str, literal: bool, own: &str) {
        let text = sanitise(text.as_bytes());
        let command = Command::parse(&text);
        let (shown, is_command) = match command {
            Command::Nothing => return,
            _ if literal => (format!("{own}: {text}"), false),
            Command::Say(said) => (format!("{own}: {said}"), false),
            Command::Me(done) => (format!("* {own} {done}"), false),
            Command::Password(_) | Command::Operator(_) => (String::new(), true),
            _ => (text.into_owned(), true),
        };
        self.lines.push_back(Line { shown, is_command, is_heard: false });
    }

    /// The room says a line, or the server does. Returns whether anything is heard by it.
    pub fn hear(&mut self, line: &str) -> bool {
        let first = self.lines.iter().position(|line| !line.is_heard);
        let heard = match Received::parse(line) {
            Received::Message { .. } | Received::Action { .. } => {
                self.lines.iter().position(|waiting| !waiting.is_heard && !waiting.is_command && waiting.shown == line)
            }
            Received::Public(_) | Received::Private(_) => first.filter(|&first| self.lines[first].is_command),
            Received::Other(_) => None,
        };
        let Some(heard) = heard else { return false };
        self.lines.range_mut(..=heard).for_each(|line| line.is_heard = true);
        true
    }

    /// The server has heard so many lines, of all that were ever sent. Returns whether that is news.
    pub fn settle(&mut self, settled: u64) -> bool {
        let news = settled.saturating_sub(self.settled);
        let news = usize::try_from(news).unwrap_or(usize::MAX).min(self.lines.len());
        self.settled += news as u64;
        self.lines.drain(..news).filter(|line| !line.is_heard).count() > 0
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The rows to show, at most `limit`, each on a screen of so many columns.
    #[must_use]
    pub fn rows(&self, columns: usize, limit: usize) -> Vec<String> {
        let waiting: Vec<_> = self.lines.iter().filter(|line| !line.is_heard && !line.shown.is_empty()).collect();
        let shown = if waiting.len() <= MAX_SHOWN.min(limit) { waiting.len() } else { MAX_SHOWN.min(limit.max(1) - 1) };
        let mut rows: Vec<_> = waiting[..shown].iter().map(|line| one_row(&line.shown, columns)).collect();
        if shown < waiting.len() && limit > 0 {
            rows.push(one_row(&format!("… {} more wait", waiting.len() - shown), columns));
        }
        rows
    }
}

/// As much of a line as fits on one row, under what others say.
fn one_row(line: &str, columns: usize) -> String {
    let line = format!("{}{line}", " ".repeat(NOTE_START));
    // A row that is filled is followed by another one, to some terminals.
    match Layout::of(&line, columns.max(2) - 1) {
        layout if layout.rows() == 1 => line,
        _ => format!("{}…", Layout::of(&line, columns.max(3) - 2).some(&line, 0..1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(lines: &[&str]) -> Unheard {
        let mut unheard = Unheard::default();
        for line in lines {
            unheard.send(line, false, "me");
        }
        unheard
    }

    fn shown(unheard: &Unheard) -> Vec<String> {
        unheard.rows(30, 9).iter().map(|row| row.trim_start().to_owned()).collect()
    }

    /// What the room says of a line takes it away, with all before it; so does an answer to a command.
    #[test]
    fn what_is_heard_goes() {
        let mut unheard = sent(&["hi", "!who", " ", "!me waves", "!!x", "!password word", "hi"]);
        assert_eq!(shown(&unheard), ["me: hi", "!who", "* me waves", "me: !x", "me: hi"]);
        assert!(!unheard.hear("bob: hi") && !unheard.hear("--- 1 online:"));
        assert!(unheard.hear("me: hi") && unheard.hear("--- 1 online:") && !unheard.hear("---   me"));
        assert_eq!(shown(&unheard), ["* me waves", "me: !x", "me: hi"]);
        assert!(unheard.hear("me: !x"));
        assert_eq!(shown(&unheard), ["me: hi"]);
    }

    /// The server's count takes away what the room says otherwise, and nothing twice.
    #[test]
    fn what_is_counted_goes() {
        let mut unheard = sent(&["a", "b", "c"]);
        assert!(unheard.hear("me: a") && !unheard.settle(1) && unheard.settle(2) && !unheard.settle(2));
        assert_eq!(shown(&unheard), ["me: c"]);
        assert!(unheard.settle(9));
        unheard.send("d", true, "me");
        assert!(!unheard.settle(3) && unheard.settle(4));
    }

    /// Many lines are a number, and a long one is cut.
    #[test]
    fn takes_few_rows() {
        let unheard = sent(&["1", "2", "3", "4", "5", "6", "7"]);
        assert_eq!(shown(&unheard), ["me: 1", "me: 2", "me: 3", "me: 4", "me: 5", "… 2 more wait"]);
        assert_eq!(unheard.rows(30, 2), ["      me: 1", "      … 6 more wait"]);
        assert_eq!(unheard.rows(30, 0), [""; 0]);
        assert_eq!(sent(&["12345678"]).rows(16, 9), ["      me: 1234…"]);
        assert_eq!(sent(&["12345"]).rows(17, 9), ["      me: 12345"]);
    }
}
