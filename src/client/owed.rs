//! The lines that somebody typed and the room has not been seen to hear.

use std::collections::VecDeque;

use crate::protocol::command::Command;
use crate::protocol::notice::Received;

/// Bytes that are sent before a fence follows, where nothing else asks for one.
const FENCE_EVERY: usize = 16 * 1024;

/// Bytes that may be owed before whoever types in bulk has to wait.
const ENOUGH: usize = 256 * 1024;

const _: () = assert!(FENCE_EVERY < ENOUGH, "whoever waits, waits for a fence that was sent");

/// What asks a server how far it has come: a [`fence`](Owed).
const FENCE: &str = "!session";

/// The lines that the room still has to hear, oldest first.
///
/// ```text
///   lines   | sent, not seen to come back | not sent over this connection |
///           0                            sent                        lines.len()
/// ```
///
/// A server hears a connection's lines in order, and everybody reads what came of them in that order. So whatever tells
/// the fate of one line settles all that were sent before it. A message or an action is settled when it comes back. Of
/// a command, or of a line that the server finds too long, nothing needs to come back that could be told from anything
/// else: a *fence* follows them, a `!session` whose answer comes when all before it has been heard.
///
/// Invariant: `sent <= lines.len()`, and `bytes` is what all `lines` take on the wire.
#[derive(Debug, Default)]
pub struct Owed {
    lines: VecDeque<Line>,
    sent: usize,
    bytes: usize,
    /// Bytes sent since the last fence.
    unfenced: usize,
    /// Whether something was sent since the last fence that does not come back.
    doubtful: bool,
    /// Whether a fence is wanted for its own sake: for what its answer says.
    fence_wanted: bool,
    /// Whether nothing more will be added.
    closed: bool,
}

/// One line, as a server of ours is to read it.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    text: String,
    origin: Origin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// As it was typed.
    Typed,
    /// Meant word for word, so that a `!` before it may have been doubled.
    Literal,
    /// Nobody's: a fence.
    Added,
}

/// Whose manner of speaking to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// A server of ours, which hears commands.
    Ours,
    /// Any other server: it hears words only, and says nothing of what it has heard.
    Plain,
}

impl Owed {
    /// Adds a line, where it says anything at all.
    pub fn push(&mut self, text: String) {
        if Command::parse(&text) != Command::Nothing {
            self.add(Line { text, origin: Origin::Typed });
        }
    }

    /// Adds a line that is no command, whatever it looks like.
    pub fn push_literal(&mut self, text: String) {
        if Command::parse(&text) == Command::Nothing {
            return;
        }
        let text = if text.starts_with('!') { format!("!{text}") } else { text };
        self.add(Line { text, origin: Origin::Literal });
    }

    /// The next line to send, which counts as sent from now on; for a server of another kind, as heard.
    pub fn next(&mut self, manner: Manner) -> Option<String> {
        match manner {
            Manner::Ours => self.next_for_ours(),
            Manner::Plain => self.next_for_plain(),
        }
    }

    /// Settles what a public line of one's own shows to have been heard.
    pub fn settle_echo(&mut self, echo: &Received<'_>) {
        // Not up to the next fence only: what was heard before a break comes back, but the answers to fences are lost.
        let mut sent = self.lines.iter().take(self.sent);
        if let Some(index) = sent.position(|line| line.comes_back_as(echo)) {
            self.settle_through(index);
        }
    }

    /// Settles what the news shows that a line longer than `limit` bytes was dropped.
    pub fn settle_too_long(&mut self, limit: usize) {
        if let Some(index) = self.lines.iter().take(self.sent).position(|line| line.len() > limit) {
            self.settle_through(index);
        }
    }

    /// Settles what the answer to a fence shows to have been heard. Answers whether somebody typed that fence.
    pub fn settle_fence(&mut self) -> bool {
        let Some(index) = self.lines.iter().take(self.sent).position(Line::is_fence) else { return false };
        let was_typed = self.lines[index].origin == Origin::Typed;
        self.settle_through(index);
        was_typed
    }

    /// Asks for a fence though nothing else does.
    pub fn want_fence(&mut self) {
        self.fence_wanted = true;
    }

    /// Whether a fence was asked for and has not been sent.
    #[must_use]
    pub fn is_fence_wanted(&self) -> bool {
        self.fence_wanted
    }

    /// Nothing more will be added: a fence is to follow the last line, whatever it is.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Everything has to be sent again, over another connection. New fences will follow where they are needed.
    pub fn resend(&mut self) {
        self.lines.retain(|line| line.origin != Origin::Added);
        self.bytes = self.lines.iter().map(Line::len).sum();
        self.sent = 0;
        self.begin_stretch();
        self.check();
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Owed::default();
    }

    /// The names that were asked for and may have been given, the latest first.
    pub fn names_asked_for(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().take(self.sent).rev().filter_map(|line| match Command::parse(&line.text) {
            Command::Nick(name) => Some(name),
            _ => None,
        })
    }

    /// How many lines there are that somebody typed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.iter().filter(|line| line.origin != Origin::Added).count()
    }

    /// Whether nothing is owed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Whether something was sent and is still to be answered.
    #[must_use]
    pub fn awaits_answer(&self) -> bool {
        self.sent > 0
    }

    /// Whether whoever types in bulk has to wait.
    #[must_use]
    pub fn is_enough(&self) -> bool {
        self.bytes >= ENOUGH
    }

    fn add(&mut self, line: Line) {
        self.bytes += line.len();
        self.lines.push_back(line);
    }

    fn next_for_ours(&mut self) -> Option<String> {
        if self.is_fence_due() {
            let fence = Line { text: FENCE.into(), origin: Origin::Added };
            self.bytes += fence.len();
            self.lines.insert(self.sent, fence);
        }
        let line = self.lines.get(self.sent)?;
        let text = line.text.clone();
        if line.is_fence() {
            self.begin_stretch();
        } else {
            self.unfenced += line.len();
            self.doubtful |= !line.comes_back();
        }
        self.sent += 1;
        self.check();
        Some(text)
    }

    fn next_for_plain(&mut self) -> Option<String> {
        self.sent = 0;
        loop {
            let line = self.lines.pop_front()?;
            self.bytes -= line.len();
            match line.origin {
                Origin::Typed => return Some(line.text),
                Origin::Literal => return Some(line.text.strip_prefix("!").unwrap_or(&line.text).into()),
                Origin::Added => {}
            }
        }
    }

    fn is_fence_due(&self) -> bool {
        let last_is_fence = self.sent > 0 && self.lines[self.sent - 1].is_fence();
        let idle = self.sent == self.lines.len();
        self.fence_wanted
            || !last_is_fence
                && self.sent > 0
                && (self.unfenced >= FENCE_EVERY || idle && (self.doubtful || self.closed))
    }

    /// A fence was just sent, or nothing was sent at all.
    fn begin_stretch(&mut self) {
        self.unfenced = 0;
        self.doubtful = false;
        self.fence_wanted = false;
    }

    fn settle_through(&mut self, index: usize) {
        self.bytes -= self.lines.drain(..=index).map(|line| line.len()).sum::<usize>();
        self.sent -= index + 1;
        if self.sent == 0 {
            self.unfenced = 0;
            self.doubtful = false;
        }
        self.check();
    }

    fn check(&self) {
        debug_assert!(self.sent <= self.lines.len());
        debug_assert_eq!(self.lines.is_empty(), self.bytes == 0);
    }
}

impl Line {
    /// What it takes on the wire.
    fn len(&self) -> usize {
        self.text.len() + 1
    }

    fn is_fence(&self) -> bool {
        Command::parse(&self.text) == Command::Session
    }

    /// Whether everybody hears it, unless it is too long.
    fn comes_back(&self) -> bool {
        matches!(Command::parse(&self.text), Command::Say(_) | Command::Me(_))
    }

    fn comes_back_as(&self, echo: &Received<'_>) -> bool {
        match (Command::parse(&self.text), echo) {
            (Command::Say(ours), Received::Message { text, .. })
            | (Command::Me(ours), Received::Action { text, .. }) => ours == *text,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owing(lines: &[&str]) -> Owed {
        let mut owed = Owed::default();
        for line in lines {
            owed.push((*line).into());
        }
        owed
    }

    /// Everything there is to send.
    fn send_all(owed: &mut Owed, manner: Manner) -> Vec<String> {
        std::iter::from_fn(|| owed.next(manner)).collect()
    }

    fn said(text: &str) -> Received<'_> {
        Received::Message { name: "me", text }
    }

    /// What comes back is settled, with all before it; the rest is sent again, in order.
    #[test]
    fn what_did_not_come_back_is_sent_again() {
        let mut owed = owing(&["a", "!me waves", "b", " c ", "!!d"]);
        assert_eq!(send_all(&mut owed, Manner::Ours), ["a", "!me waves", "b", " c ", "!!d"]);
        owed.settle_echo(&Received::Action { name: "me", text: "waves" });
        owed.settle_echo(&said("b"));
        owed.resend();
        assert_eq!(send_all(&mut owed, Manner::Ours), [" c ", "!!d"]);
        owed.settle_echo(&said("!d"));
        assert!(owed.is_empty());
    }

    /// Lines that say the same are settled one at a time.
    #[test]
    fn same_lines_are_told_apart() {
        let mut owed = owing(&["ok", "ok", "ok"]);
        send_all(&mut owed, Manner::Ours);
        owed.settle_echo(&said("ok"));
        owed.settle_echo(&said("ok"));
        assert_eq!(owed.len(), 1);
    }

    /// What was not sent over this connection cannot come back over it.
    #[test]
    fn only_what_was_sent_is_settled() {
        let mut owed = owing(&["a", "b"]);
        owed.settle_echo(&said("a"));
        assert_eq!(owed.len(), 2);
        owed.next(Manner::Ours);
        owed.settle_echo(&said("b"));
        assert_eq!(owed.len(), 2);
    }

    /// One fence follows what need not come back, and its answer settles that and nothing behind it.
    #[test]
    fn commands_are_fenced() {
        let mut owed = owing(&["!who", "!nick zoe", "!nonsense", "a"]);
        assert_eq!(send_all(&mut owed, Manner::Ours), ["!who", "!nick zoe", "!nonsense", "a", FENCE]);
        assert_eq!(owed.names_asked_for().collect::<Vec<_>>(), ["zoe"]);
        owed.push("b".into());
        assert_eq!(send_all(&mut owed, Manner::Ours), ["b"]);
        assert!(!owed.settle_fence());
        assert_eq!(owed.len(), 1);
        owed.settle_echo(&said("b"));
        assert_eq!(send_all(&mut owed, Manner::Ours), [""; 0]);
    }

    /// A command that was seen to be heard by what came after it needs no fence any more.
    #[test]
    fn settled_commands_are_not_fenced() {
        let mut owed = owing(&["!who", "a"]);
        owed.next(Manner::Ours);
        owed.next(Manner::Ours);
        owed.settle_echo(&said("a"));
        assert_eq!(owed.next(Manner::Ours), None);
    }

    /// However much is sent, a fence is never far behind; so whoever waits for room waits for an answer that comes.
    #[test]
    fn bulk_is_fenced() {
        let mut owed = Owed::default();
        while !owed.is_enough() {
            owed.push("x".repeat(999));
        }
        let sent = send_all(&mut owed, Manner::Ours);
        let unfenced: Vec<_> = sent.split(|line| line == FENCE).map(|lines| lines.len() * 1000).collect();
        assert!(unfenced.len() > 10 && unfenced.iter().all(|&bytes| bytes < FENCE_EVERY + 1000), "{unfenced:?}");
        while owed.awaits_answer() && owed.lines.iter().any(Line::is_fence) {
            owed.settle_fence();
        }
        assert!(!owed.is_enough());
    }

    /// Before leaving, even what would come back is fenced: it might have been too long.
    #[test]
    fn the_last_line_is_fenced() {
        let mut owed = owing(&["a"]);
        owed.close();
        assert_eq!(send_all(&mut owed, Manner::Ours), ["a", FENCE]);
        owed.settle_fence();
        assert!(owed.is_empty());
        assert_eq!(owed.next(Manner::Ours), None);
    }

    /// A fence that somebody typed is told from one that was added.
    #[test]
    fn typed_fences_are_known() {
        let mut owed = owing(&["!session"]);
        owed.want_fence();
        assert_eq!(send_all(&mut owed, Manner::Ours), [FENCE, FENCE]);
        assert!(!owed.settle_fence());
        assert!(owed.settle_fence());
        assert!(!owed.settle_fence());
    }

    /// Nothing pasted is a command; blank lines are nothing at all.
    #[test]
    fn literal_lines_are_no_commands() {
        let mut owed = Owed::default();
        for line in ["!exit", "!!x", "", " ", "plain"] {
            owed.push_literal(line.into());
        }
        assert_eq!(send_all(&mut owed, Manner::Ours), ["!!exit", "!!!x", "plain"]);
        owed.settle_echo(&said("!exit"));
        assert_eq!(owed.len(), 2);
    }

    /// Another kind of server gets the words, no fences, and is not expected to answer.
    #[test]
    fn other_servers_get_plain_words() {
        let mut owed = owing(&["!who", "a"]);
        owed.push_literal("!b".into());
        owed.want_fence();
        assert_eq!(send_all(&mut owed, Manner::Plain), ["!who", "a", "!b"]);
        assert!(owed.is_empty() && !owed.is_enough());
    }
}
