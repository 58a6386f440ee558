//! The typed lines that the server is not known to have heard.

use std::collections::VecDeque;

use crate::protocol::command::Command;

/// Asks the server for a session, and how many lines of it the server has heard.
pub const ASK: &str = "!session";

/// Bytes that are sent before the server is asked how much of them it has heard.
const ASK_EVERY: usize = 16 * 1024;

/// Bytes that may wait here before whoever types in bulk has to pause.
const ENOUGH: usize = 256 * 1024;

const _: () = assert!(ASK_EVERY < ENOUGH, "a pause ends with an answer, so the question must have been sent");

/// The lines that the server is not known to have heard, oldest first. Those that were sent are numbered `acked + 1` and
/// so on, as the server counts them.
///
/// ```text
///   acked | sent over this connection | not sent over this connection |
///         0                         sent                        lines.len()
/// ```
#[derive(Debug, Default)]
pub struct Unacked {
    lines: VecDeque<Line>,
    sent: usize,
    /// What all `lines` take on the wire, about.
    bytes: usize,
    /// How many lines of this session the server is known to have heard.
    acked: u64,
    /// How many typed lines there were before these.
    settled: u64,
    /// The number of the [`ASK`] whose answer is waited for, if above `acked`. Only this line can be `Ours`.
    asked: u64,
    /// Bytes sent since the last [`ASK`]; [`ASK_EVERY`] where it is time for the next one.
    unasked: usize,
}

#[derive(Debug)]
struct Line {
    text: String,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It may be a command.
    Typed,
    /// It is text whatever it looks like.
    Literal,
    /// Nobody typed it: an [`ASK`].
    Ours,
}

impl Unacked {
    /// Adds a line, unless it is blank. A `literal` one is text even if it looks like a command.
    pub fn push(&mut self, text: String, literal: bool) {
        if Command::parse(&text) != Command::Nothing {
            let kind = if literal { Kind::Literal } else { Kind::Typed };
            self.insert(self.lines.len(), Line { text, kind });
        }
    }

    /// The next line to send to a server that counts lines.
    pub fn pop_unsent(&mut self) -> Option<String> {
        if !self.awaits_answer() && self.unasked >= ASK_EVERY {
            self.insert(self.sent, Line { text: ASK.into(), kind: Kind::Ours });
        }
        let line = self.lines.get(self.sent)?;
        let text = line.on_the_wire();
        self.sent += 1;
        self.unasked += text.len() + 1;
        if line.asks() && !self.awaits_answer() {
            (self.asked, self.unasked) = (self.acked + self.sent as u64, 0);
        }
        Some(text)
    }

    /// The next line to send to any other server, which never says what it has heard.
    pub fn pop_plain(&mut self) -> Option<String> {
        let text = self.lines.get(self.sent)?.text.clone();
        self.sent += 1;
        Some(text)
    }

    /// Asks for the count with the next line, unless the answer to such a question is under way.
    pub fn ask(&mut self) {
        self.unasked = ASK_EVERY;
    }

    /// The server has heard `count` lines of this session. Returns whether it says so because the user asked.
    pub fn heard(&mut self, count: u64) -> bool {
        let news = usize::try_from(count.saturating_sub(self.acked)).unwrap_or(usize::MAX).min(self.sent);
        let was_typed = news > 0 && self.lines[news - 1].kind != Kind::Ours && self.lines[news - 1].asks();
        for line in self.lines.drain(..news) {
            self.bytes -= line.len();
            self.settled += u64::from(line.kind != Kind::Ours);
        }
        self.sent -= news;
        self.acked += news as u64;
        was_typed
    }

    /// Everything that was sent was heard.
    pub fn heard_all(&mut self) {
        self.heard(u64::MAX);
    }

    /// Over a new connection, the server has heard `count` lines of this session or of a new one: all lines are sent
    /// again.
    pub fn begin(&mut self, count: u64) {
        if let Some(line) = self.ours().and_then(|at| self.lines.remove(at)) {
            self.bytes -= line.len();
        }
        (self.sent, self.unasked, self.acked, self.asked) = (0, 0, count, count);
    }

    /// How many typed lines the server is known to have heard, in all sessions.
    #[must_use]
    pub fn settled(&self) -> u64 {
        self.settled
    }

    /// How many typed lines there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len() - usize::from(self.ours().is_some())
    }

    /// Whether there is no line, typed or ours.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Whether all lines were sent, and the server has not been asked what became of them.
    #[must_use]
    pub fn is_unasked(&self) -> bool {
        self.sent == self.lines.len() && self.sent > 0 && !self.awaits_answer()
    }

    /// Whether the server was asked and has not answered.
    #[must_use]
    pub fn awaits_answer(&self) -> bool {
        self.asked > self.acked
    }

    /// Whether whoever types in bulk has to pause.
    #[must_use]
    pub fn is_enough(&self) -> bool {
        self.bytes >= ENOUGH
    }

    fn ours(&self) -> Option<usize> {
        let at = usize::try_from(self.asked.checked_sub(self.acked + 1)?).ok()?;
        self.lines.get(at).is_some_and(|line| line.kind == Kind::Ours).then_some(at)
    }

    fn insert(&mut self, at: usize, line: Line) {
        self.bytes += line.len();
        self.lines.insert(at, line);
    }
}

impl Line {
    fn len(&self) -> usize {
        self.text.len() + 1
    }

    fn asks(&self) -> bool {
        self.kind != Kind::Literal && Command::parse(&self.text) == Command::Session
    }

    /// What a server of ours has to read: text that looks like a command has its first character doubled.
    fn on_the_wire(&self) -> String {
        let is_command = Command::parse(&self.text) != Command::Say(&self.text);
        let doubled = if self.kind == Kind::Literal && is_command { &self.text[..1] } else { "" };
        format!("{doubled}{}", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(lines: &[&str], literal: bool) -> Unacked {
        let mut unacked = Unacked::default();
        for &line in lines {
            unacked.push(line.into(), literal);
        }
        unacked
    }

    fn send_all(unacked: &mut Unacked) -> Vec<String> {
        std::iter::from_fn(|| unacked.pop_unsent()).collect()
    }

    /// What the server has heard goes; after a break the rest is sent again, without our own question. It never hears
    /// what was not sent.
    #[test]
    fn what_was_not_heard_is_sent_again() {
        let mut unacked = typed(&["a", "!who", "b"], false);
        send_all(&mut unacked);
        unacked.ask();
        assert_eq!(send_all(&mut unacked), [ASK]);
        assert_eq!((unacked.heard(1), unacked.len()), (false, 2));
        unacked.heard(2);
        unacked.begin(2);
        assert_eq!((send_all(&mut unacked), unacked.len()), (vec!["b".into()], 1));
        unacked.push("c".into(), false);
        unacked.heard_all();
        assert_eq!((send_all(&mut unacked), unacked.acked, unacked.bytes), (vec!["c".into()], 3, 2));
    }

    /// However much is sent, a question is never far behind, and there is one at a time.
    #[test]
    fn bulk_is_asked_about() {
        let mut unacked = typed(&["x".repeat(999).as_str(); 263], false);
        assert!(unacked.is_enough());
        let sent = send_all(&mut unacked);
        let at = sent.iter().position(|line| line == ASK).unwrap();
        assert_eq!((at, sent.len()), (ASK_EVERY.div_ceil(1000), 264));
        assert!(!unacked.heard(at as u64 + 1) && !unacked.is_enough());
        assert_eq!(send_all(&mut unacked), [ASK]);
    }

    /// The answer to a question that the user typed is told from the answer to ours.
    #[test]
    fn typed_questions_are_known() {
        let mut unacked = typed(&[ASK], false);
        assert_eq!(send_all(&mut unacked), [ASK]);
        assert!(unacked.heard(1));
        unacked.ask();
        unacked.push(ASK.into(), false);
        assert_eq!((send_all(&mut unacked), unacked.len()), (vec![ASK.into(), ASK.into()], 1));
        assert!(!unacked.heard(2) && unacked.heard(3));
    }

    /// Nothing literal is a command for a server of ours, and blank lines are nothing at all; others get the words.
    #[test]
    fn literal_lines_are_no_commands() {
        let mut unacked = typed(&["!exit", "!!x", "", " ", "plain"], true);
        assert_eq!(send_all(&mut unacked), ["!!exit", "!!!x", "plain"]);
        unacked.begin(0);
        assert_eq!(std::iter::from_fn(|| unacked.pop_plain()).collect::<Vec<_>>(), ["!exit", "!!x", "plain"]);
    }
}
