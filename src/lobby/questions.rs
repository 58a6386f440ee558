//! `!history` and `!search`: questions that only a log that lasts can answer, and not at once.

use std::mem;
use std::time::Duration;

use super::limits::{MAX_PRIVATE, MAX_PRIVATE_TOTAL};
use super::rate_limit::cost_of;
use super::{ClientId, Lobby};
use crate::protocol::notice::{Error, Private};

/// The lines that `!history` shows unless it is told how many.
pub const DEFAULT_HISTORY: usize = 20;
/// The most lines that `!history` shows.
pub const MAX_HISTORY: usize = 1000;
/// The most lines that `!search` finds.
const MAX_FOUND: usize = 50;
/// What looking back costs, in lines, besides its answer.
const HISTORY_COST: u32 = 10;
/// What a search costs: it may read all that the log has.
const SEARCH_COST: u32 = 50;

/// What someone asks the log.
#[derive(Debug)]
pub struct Question {
    /// Which connection asks: its [`Client::serial`](super::client::Client::serial).
    pub asker: u64,
    /// Of the lines that hold all these words, in any case...
    pub words: Vec<String>,
    /// ...so many, the last ones.
    pub lines: usize,
}

/// Questions that are not answered yet.
#[derive(Debug, Default)]
pub(super) struct Questions {
    /// Those that the log has not been asked yet.
    new: Vec<Question>,
    /// Whose they and the others are.
    askers: Vec<(u64, ClientId)>,
}

impl Lobby {
    /// What the log is to be asked: nothing while too many private lines wait to be written.
    pub fn take_questions(&mut self) -> Vec<Question> {
        if self.private_bytes < MAX_PRIVATE_TOTAL { mem::take(&mut self.questions.new) } else { Vec::new() }
    }

    /// Answers a question: lines, oldest first, each with the time of day at which it was said. Of a long answer only the
    /// end is told, as much as may wait for one reader.
    pub fn answer(&mut self, asker: u64, lines: &[(String, String)], now: Duration) {
        let Some(index) = self.questions.askers.iter().position(|&(serial, _)| serial == asker) else { return };
        let (_, id) = self.questions.askers.swap_remove(index);
        match &mut self.clients[id.0] {
            Some(client) if client.serial == asker => client.awaits_log = false,
            _ => return,
        }
        if self.is_closing(id) {
            return;
        }
        let before = self.client(id).outbox.aside_bytes();
        let mut room = MAX_PRIVATE;
        let fitting = lines.iter().rev().take_while(|(time, line)| {
            room = room.saturating_sub(time.len() + line.len() + Private::PAST_FRAME);
            room > 0
        });
        let first = lines.len() - fitting.count();
        for (time, line) in &lines[first..] {
            self.tell(id, Private::Past { time, line });
        }
        if lines.is_empty() {
            self.tell(id, Private::NothingFound);
        }
        self.charge(id, cost_of(self.client(id).outbox.aside_bytes() - before) - 1, now);
    }

    pub(super) fn ask_for_history(&mut self, id: ClientId, lines: usize, now: Duration) {
        self.ask(id, Vec::new(), lines, HISTORY_COST, now);
    }

    pub(super) fn ask_for_lines_with(&mut self, id: ClientId, words: &str, now: Duration) {
        self.ask(id, words.split_whitespace().map(Into::into).collect(), MAX_FOUND, SEARCH_COST, now);
    }

    fn ask(&mut self, id: ClientId, words: Vec<String>, lines: usize, cost: u32, now: Duration) {
        if self.proposals.is_none() {
            return self.tell(id, Private::Error(Error::NoLog));
        }
        self.charge(id, cost - 1, now);
        let client = self.client_mut(id);
        client.awaits_log = true;
        let asker = client.serial;
        self.questions.new.push(Question { asker, words, lines });
        self.questions.askers.push((asker, id));
    }
}
