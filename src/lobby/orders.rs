//! What operators say, over a connection or at the terminal of the server.

use std::time::Duration;

use super::client::State;
use super::event::Event;
use super::limits::{MAX_REASON, WRONG_PASSWORD_COST};
use super::proposals::Purpose;
use super::{ClientId, Lobby};
use crate::protocol::command::{Command, Order};
use crate::protocol::name::Name;
use crate::protocol::notice::{self, Error, Private};
use crate::protocol::text::sanitise;
use crate::room::entry::{Act, Change, Entry, FOR_GOOD, Outcome, Rule};
use crate::room::place::Place;
use crate::room::roster::{Found, Seat};

/// The longest line that a terminal gives, in bytes (`N_TTY_BUF_SIZE` of Linux).
const MAX_CONSOLE_LINE: usize = 4096;

/// The reason where none is given.
const NO_REASON: &str = "by an operator";

/// An order on its way.
#[derive(Debug)]
pub(super) struct Given {
    /// What the operator is called; at the terminal of the server, nothing.
    by: Option<Name>,
    /// What they did, for the operator of the server.
    what: String,
    /// What they are told, besides what everybody reads.
    answer: Option<String>,
}

/// What the one whom an order concerns is told, at whichever server they are.
#[derive(Debug)]
pub(super) enum Telling {
    Nothing,
    Kicked { reason: String },
    Banned { term: String, reason: String },
    Muted { term: String },
    Unmuted,
}

impl Telling {
    /// What comes of an entry.
    pub fn of(entry: &Entry<'_>) -> Telling {
        let (Change::Rule(rule) | Change::Act { act: Act::Rule(rule), .. }) = &entry.change else {
            return Telling::Nothing;
        };
        match *rule {
            Rule::Kick { reason, .. } => Telling::Kicked { reason: reason.into() },
            Rule::Ban { term, reason, .. } => Telling::Banned { term: term.into(), reason: reason.into() },
            Rule::Mute { until, .. } if until.is_zero() => Telling::Unmuted,
            Rule::Mute { until, .. } => Telling::Muted { term: term_until(until, entry.at) },
            Rule::Unban { .. } | Rule::Notice(_) => Telling::Nothing,
        }
    }
}

impl Lobby {
    /// Processes `!operator`. Wrong words cost, so that nobody can try many.
    pub(super) fn become_operator(&mut self, id: ClientId, seat: Seat, word: &str, now: Duration) {
        if !self.client(id).is_confidential() {
            return self.tell(id, Private::Error(Error::PasswordInPlain));
        }
        if self.limits.keys.operator_password.as_ref().is_some_and(|secret| secret.is(word)) {
            return self.act(id, seat, Purpose::Promote, Act::BecomeOperator, now);
        }
        self.charge(id, WRONG_PASSWORD_COST - 1, now);
        self.refuse(id, Error::WrongPassword);
    }

    /// Someone is an operator.
    pub(super) fn promoted(&mut self, caller: Option<ClientId>, outcome: &Outcome) {
        if let Some(id) = caller
            && *outcome == Outcome::Done
            && let Some(name) = self.name_of(id)
        {
            self.tell(id, Private::Operator);
            self.events.push(Event::Ruled(format!("{name} is an operator")));
        }
    }

    /// Processes what an operator says; others are told that they are none.
    pub(super) fn take_order(&mut self, id: ClientId, seat: Seat, order: Order<'_>, now: Duration) {
        if self.room.roster().person(seat.person).is_operator {
            self.give(Some(id), order, now);
        } else {
            self.tell(id, Private::Error(Error::NotAnOperator));
        }
    }

    /// Whether a line that was typed at the terminal of the server may be processed in this turn.
    #[must_use]
    pub fn has_room_for_console(&self) -> bool {
        !self.is_stopping && self.has_room_for(self.longest_console_line())
    }

    fn longest_console_line(&self) -> usize {
        MAX_CONSOLE_LINE.min(self.limits.max_line)
    }

    /// Processes a line that was typed at the terminal of the server: a command for operators, or a notice for everybody.
    /// What there is to answer is an [`Event::Answer`].
    pub fn handle_console(&mut self, line: &[u8], now: Duration) {
        let line = line.trim_ascii_end();
        let text = sanitise(&line[..line.len().min(self.longest_console_line())]);
        match Command::parse(&text) {
            Command::Nothing => {}
            Command::Order(order) => self.give(None, order, now),
            Command::Say(text) => self.give(None, Order::Notice(text), now),
            Command::Help => {
                let lines: Vec<_> = notice::help_for_console().collect();
                for line in lines {
                    self.answer_operator(None, line);
                }
            }
            Command::Who => {
                self.answer_operator(None, Private::Online(self.room.roster().online()));
                for line in self.name_lines() {
                    self.answer_operator(None, Private::Names(&line));
                }
            }
            Command::Usage(usage) => self.answer_operator(None, Private::Error(Error::Usage(usage))),
            _ => self.answer_operator(None, Private::Error(Error::NotHere)),
        }
    }

    fn give(&mut self, caller: Option<ClientId>, order: Order<'_>, now: Duration) {
        if let Order::Kick { reason, .. } | Order::Ban { reason, .. } = order
            && reason.len() > MAX_REASON
        {
            return self.answer_operator(caller, Private::Error(Error::ReasonTooLong(MAX_REASON)));
        }
        let reason = |reason: &str| if reason.is_empty() { NO_REASON.to_owned() } else { reason.to_owned() };
        match order {
            Order::Kick { name, reason: why } => {
                let (Some(name), reason) = (self.whom(caller, name), reason(why)) else { return };
                let what = format!("kicked {name} ({reason})");
                let rule = Rule::Kick { name, reason: &reason };
                self.rule(caller, rule, what, None, now);
            }
            Order::Ban { name, time, reason: why } => {
                let (Some(name), reason) = (self.whom(caller, name), reason(why)) else { return };
                let person = self.room.roster().called(&name).expect("that is whom the name stands for");
                let place = self.room.roster().person(person).place;
                let place = (!self.access.is_trusted(place)).then_some(place);
                let (until, term) = (end_of(time, now), term(time));
                let what = format!("banned {name} for {term} ({reason})");
                let rule = Rule::Ban { name, place, term: &term, until, reason: &reason };
                self.rule(caller, rule, what, None, now);
            }
            Order::Unban(what) => {
                let bans: Vec<u64> = self.bans_of(what, now);
                if bans.is_empty() {
                    self.answer_operator(caller, Private::Error(Error::NoSuchBan(what)));
                }
                let answer = format!("{what} is no longer banned");
                for (index, ban) in bans.into_iter().enumerate() {
                    let answer = (index == 0).then(|| answer.clone());
                    let done = format!("lifted a ban of {what}");
                    self.rule(caller, Rule::Unban { ban }, done, answer, now);
                }
            }
            Order::Bans => self.tell_bans(caller, now),
            Order::Stats => {
                for line in self.stats().lines() {
                    self.answer_operator(caller, Private::Ordered(&line));
                }
            }
            Order::Mute { name, time } => {
                let Some(name) = self.whom(caller, name) else { return };
                let term = term(time);
                let what = format!("muted {name} for {term}");
                let answer = format!("{name} is muted for {term}");
                let rule = Rule::Mute { name, until: end_of(time, now) };
                self.rule(caller, rule, what, Some(answer), now);
            }
            Order::Unmute(name) => {
                let Some(name) = self.whom(caller, name) else { return };
                let (what, answer) = (format!("let {name} speak again"), format!("{name} may speak again"));
                let rule = Rule::Mute { name, until: Duration::ZERO };
                self.rule(caller, rule, what, Some(answer), now);
            }
            Order::Notice(text) => {
                let what = format!("told everybody: {text}");
                self.rule(caller, Rule::Notice(text), what, None, now);
            }
        }
    }

    fn rule(&mut self, caller: Option<ClientId>, rule: Rule<'_>, what: String, answer: Option<String>, now: Duration) {
        let by = caller.and_then(|id| self.name_of(id));
        let purpose = Purpose::Order(Box::new(Given { by, what, answer }));
        match caller.map(|id| (id, self.client(id).state)) {
            Some((id, State::Member(seat))) => self.act(id, seat, purpose, Act::Rule(rule), now),
            _ => self.propose(None, purpose, Change::Rule(rule), now),
        }
    }

    /// What came of an order.
    pub(super) fn ordered(&mut self, caller: Option<ClientId>, given: Given, outcome: &Outcome) {
        let Given { by, what, answer } = given;
        match outcome {
            Outcome::Expelled(..) | Outcome::Silenced(_) | Outcome::Done | Outcome::Noticed(_) => {}
            _ => return,
        }
        let is_at_terminal = by.is_none();
        let by = by.map_or_else(|| "the operator".to_owned(), |name| name.as_str().to_owned());
        self.events.push(Event::Ruled(format!("{by} {what}")));
        if let Some(answer) = answer
            && (caller.is_some() || is_at_terminal)
        {
            self.answer_operator(caller, Private::Ordered(&answer));
        }
    }

    /// Tells the one whom an order concerned, if they are here.
    pub(super) fn tell_concerned(&mut self, seat: Seat, telling: Telling, now: Duration) {
        let Some(id) = self.connection_of(seat.person) else { return };
        match telling {
            Telling::Nothing => {}
            Telling::Kicked { reason } => self.end_with(id, Error::Kicked(&reason), now),
            Telling::Banned { term, reason } => self.end_with(id, Error::Banned { term: &term, reason: &reason }, now),
            Telling::Muted { term } => self.tell(id, Private::Muted(&term)),
            Telling::Unmuted => self.tell(id, Private::Unmuted),
        }
    }

    /// Someone who is muted has said something.
    pub(super) fn tell_muted(&mut self, id: ClientId, until: Duration, now: Duration) {
        self.tell(id, Private::Muted(&term_until(until, now)));
    }

    /// Tells a connection why nobody may come from where it is.
    pub(super) fn refuse_banned(&mut self, id: ClientId, now: Duration) {
        if let Some(ban) = self.room.bans().on(self.client(id).place, now) {
            let (term, reason) = (term_until(ban.until, now), ban.reason.clone());
            self.refuse(id, Error::Banned { term: &term, reason: &reason });
        }
        self.dismiss(id);
    }

    fn tell_bans(&mut self, caller: Option<ClientId>, now: Duration) {
        let bans = self.room.bans().current(now).map(|(_, ban)| {
            let from = ban.place.map_or(String::new(), |place| format!(" from {place}"));
            format!("{}{from} for {} ({})", ban.name, term_until(ban.until, now), ban.reason)
        });
        let bans: Vec<String> = bans.collect();
        if bans.is_empty() {
            return self.answer_operator(caller, Private::Ordered("nobody is banned"));
        }
        self.answer_operator(caller, Private::Ordered(&format!("{} banned:", bans.len())));
        for ban in bans {
            self.answer_operator(caller, Private::Ordered(&ban));
        }
    }

    /// The numbers of the bans of a name or an address.
    fn bans_of(&self, what: &str, now: Duration) -> Vec<u64> {
        let place = what.parse().ok().map(Place::of);
        let bans = self.room.bans().current(now).filter(|(_, ban)| {
            let is_name = ban.name.eq_ignore_ascii_case(what)
                || ban.name.split('#').next().is_some_and(|name| name.eq_ignore_ascii_case(what));
            let is_place = ban.place.is_some_and(|of| Some(of) == place || of.to_string() == what);
            is_name || is_place
        });
        bans.map(|(number, _)| number).collect()
    }

    /// Whom a typed name stands for; if nobody, the operator is told so.
    fn whom(&mut self, caller: Option<ClientId>, typed: &str) -> Option<Name> {
        match self.room.roster().find(typed) {
            Found::Person(person) => return Some(self.room.roster().person(person).name.clone()),
            Found::Nobody => self.answer_operator(caller, Private::Error(Error::NobodyCalled(typed))),
            Found::Several => self.answer_operator(caller, Private::Error(Error::SeveralCalled(typed))),
        }
        None
    }

    fn name_of(&self, id: ClientId) -> Option<Name> {
        let State::Member(seat) = self.client(id).state else { return None };
        Some(self.room.roster().person(seat.person).name.clone())
    }

    fn answer_operator(&mut self, caller: Option<ClientId>, notice: Private<'_>) {
        match caller {
            Some(id) => self.tell(id, notice),
            None => self.events.push(Event::Answer(notice.to_string())),
        }
    }
}

fn end_of(time: Option<Duration>, now: Duration) -> Duration {
    time.and_then(|time| now.checked_add(time)).unwrap_or(FOR_GOOD)
}

/// How long something lasts, in words.
fn term(time: Option<Duration>) -> String {
    time.map_or_else(|| "good".to_owned(), |time| humantime::format_duration(time).to_string())
}

/// How long something still lasts, in words, to the second.
fn term_until(until: Duration, now: Duration) -> String {
    if until == FOR_GOOD {
        return term(None);
    }
    let left = until.saturating_sub(now);
    term(Some(Duration::from_secs(left.as_secs() + u64::from(left.subsec_nanos() > 0))))
}
