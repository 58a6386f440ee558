//! What an operator may want to count.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Lobby;
use crate::protocol::notice::Error;

/// How often something happened, by reason.
pub type Tally = BTreeMap<&'static str, u64>;

/// Why people are not let in, and why they are disconnected.
const TURNED_AWAY: [&str; 9] =
    ["full", "address", "silent", "names", "not_a_chat", "plain_text", "password", "banned", "shut"];
const EVICTED: [&str; 3] = ["slow", "kicked", "banned"];

/// What has happened since the server started.
#[derive(Clone, Debug)]
pub struct Counts {
    /// Lines that were processed.
    pub lines: u64,
    /// Bytes that sockets took.
    pub sent: u64,
    /// How often everybody was written to.
    pub waves: u64,
    /// Who was not let in, by reason; wrong passwords each count.
    pub turned_away: Tally,
    /// Who was disconnected, by reason.
    pub evicted: Tally,
}

/// How a server is doing.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// People in the room, those who are away for a moment included.
    pub members: usize,
    /// Connections, those without a name included.
    pub connections: usize,
    /// Bytes of public lines since the server started.
    pub said: u64,
    /// How far the slowest reader is behind, in bytes.
    pub lag: u64,
    /// What has happened.
    pub counts: Counts,
}

impl Default for Counts {
    fn default() -> Counts {
        let none = |reasons: &[&'static str]| reasons.iter().map(|&reason| (reason, 0)).collect();
        Counts { lines: 0, sent: 0, waves: 0, turned_away: none(&TURNED_AWAY), evicted: none(&EVICTED) }
    }
}

impl Counts {
    /// Somebody is told something before they are in the room.
    pub(super) fn refused(&mut self, error: &Error<'_>) {
        let reason = match error {
            Error::Full(_) => "full",
            Error::TooManyFromAddress(_) => "address",
            Error::NoName(_) => "silent",
            Error::TooManyNames => "names",
            Error::NotA(_) | Error::LineTooLong(_) => "not_a_chat",
            Error::TlsOnly | Error::PasswordInPlain => "plain_text",
            Error::WrongPassword => "password",
            Error::Banned { .. } => "banned",
            _ => return,
        };
        *self.turned_away.entry(reason).or_default() += 1;
    }

    /// A connection is ended that was in the room.
    pub(super) fn ended(&mut self, error: &Error<'_>) {
        let reason = match error {
            Error::ReadTooSlowly => "slow",
            Error::Kicked(_) => "kicked",
            Error::Banned { .. } => "banned",
            _ => return,
        };
        *self.evicted.entry(reason).or_default() += 1;
    }
}

impl Lobby {
    /// How the server is doing. Looks at every connection.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let scrollback = self.room.scrollback();
        let clients = || self.clients.iter().flatten();
        Stats {
            members: self.room.roster().online(),
            connections: clients().count(),
            said: scrollback.end() - self.began_at,
            lag: clients().map(|client| client.outbox.behind(scrollback)).max().unwrap_or(0),
            counts: self.counts.clone(),
        }
    }

    /// Everybody is written to.
    pub fn note_wave(&mut self) {
        self.counts.waves += 1;
    }

    /// A connection was closed without a word, since too many were told already that there is no place.
    pub fn note_shut(&mut self) {
        *self.counts.turned_away.entry("shut").or_default() += 1;
    }
}

impl Stats {
    /// For people, a line for each kind of thing.
    #[must_use]
    pub fn lines(&self) -> [String; 4] {
        let Stats { members, connections, said, lag, counts } = self;
        let Counts { lines, sent, waves, turned_away, evicted } = counts;
        [
            format!("{members} online over {connections} connections; the slowest reader is {lag} bytes behind"),
            format!("{lines} lines heard, {said} bytes said, {sent} bytes sent in {waves} waves"),
            format!("turned away: {}", list(turned_away)),
            format!("disconnected: {}", list(evicted)),
        ]
    }
}

fn list(tally: &Tally) -> String {
    let mut list = String::new();
    for (reason, count) in tally.iter().filter(|(_, count)| **count > 0) {
        let comma = if list.is_empty() { "" } else { ", " };
        // Writing to a string cannot fail.
        let _ = write!(list, "{comma}{count} {}", reason.replace('_', " "));
    }
    if list.is_empty() { "nobody".into() } else { list }
}
