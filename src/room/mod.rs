//! Who is here and what was said: pure, without a socket, a clock or a random number.
//!
//! The room is a log; a connection is a cursor. [`Room`] takes bytes and the time as arguments and gives bytes back as
//! slices: a server (or a test) tells it what arrived on which connection and asks it what to write next. Times are
//! counted from any fixed moment.
//!
//! In reading order: [`scrollback`] is the log, [`outbox`] the cursor. [`pace`] is flood control, [`roster`] knows names
//! and sessions, [`guest`] is one connection, [`limits`] says how much there may be of everything. Here is what happens
//! to a connection; what its lines mean is in `hearing`.

pub mod guest;
mod hearing;
pub mod limits;
pub mod outbox;
pub mod pace;
pub mod roster;
pub mod scrollback;

use std::collections::{BTreeSet, TryReserveError, VecDeque};
use std::fmt;
use std::ops::Range;
use std::time::Duration;

use guest::{End, Guest, Standing};
use limits::{ASIDE_BACKLOG, Limits, MAX_ASIDE_BYTES, Reach};
use outbox::Chunks;
use roster::{Key, Presence, Roster};
use scrollback::Scrollback;

use crate::protocol::line::{Line, LineBuffer};
use crate::protocol::name::Name;
use crate::protocol::notice::{CONNECTION_LOST, Error, Private, Public, READ_TOO_SLOWLY};

/// A connection's number. Whoever owns the connections gives them out: small ones, used again once forgotten.
pub type Id = usize;

/// How many entries a list keeps room for that is filled and emptied in every turn. A crowd may make it much longer for
/// once.
pub const SPARE: usize = 1024;

/// Where the room's random bits come from.
pub type Random = Box<dyn FnMut() -> u128 + Send>;

/// The room.
pub struct Room {
    limits: Limits,
    reach: Reach,
    log: Scrollback,
    guests: Vec<Option<Guest>>,
    roster: Roster,
    random: Random,
    /// When something ends unless something else happens first.
    deadlines: BTreeSet<(Duration, Due)>,
    /// Members who are gone and have not been announced yet, for want of room in this turn.
    departures: VecDeque<(Key, &'static str)>,
    /// Connections whose sockets take no more for now.
    blocked: Vec<Id>,
    /// Connections to which something happened that is not in the log.
    touched: Vec<Id>,
    /// What happened, for the operator.
    events: Vec<Event>,
    /// Where the log ended when this turn began.
    turn_start: u64,
    /// Whether senders have to wait for some reader.
    braked: bool,
    /// Where a reader stands who has no connection and is waited for.
    held_at: Option<u64>,
    /// When [`Room::end_turn`] has something to do though nothing happens.
    wake_at: Option<Duration>,
}

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Name(Id),
    Return(Key),
}

/// Whether a connection may be listened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attention {
    /// Now.
    Now,
    /// Not before this moment: it sends too fast.
    At(Duration),
    /// Not before something else has happened: another turn, or some reader's progress.
    Later,
    /// Never again.
    Never,
}

/// Something that happened, as an operator wants to know it. Positions are those of the public line about it, which is
/// kept at least until the end of the next turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Someone said or did something.
    Said(Range<u64>),
    /// Someone joined, over this connection; so many are here now.
    Joined(Id, Range<u64>, usize),
    /// Someone left; so many are still here.
    Left(Range<u64>, usize),
    /// Someone has another name.
    Renamed(Range<u64>),
    /// Someone's connection broke; the name is kept for a while.
    Broke(Name),
    /// Someone came back, over this connection.
    Returned(Id, Name),
    /// A connection was turned away, or asked to try again.
    Refused(Id, String),
}

impl Room {
    /// An empty room. `limits.scrollback` has to be at least [`Limits::smallest_scrollback`].
    ///
    /// # Errors
    /// Where there is not enough memory for the scrollback.
    pub fn new(limits: Limits, random: Random) -> Result<Room, TryReserveError> {
        debug_assert!(limits.scrollback >= limits.smallest_scrollback());
        let log = Scrollback::new(limits.scrollback)?;
        Ok(Room {
            reach: Reach::new(log.capacity()),
            limits,
            log,
            guests: Vec::new(),
            roster: Roster::default(),
            random,
            deadlines: BTreeSet::new(),
            departures: VecDeque::new(),
            blocked: Vec::new(),
            touched: Vec::new(),
            events: Vec::new(),
            turn_start: 0,
            braked: false,
            held_at: None,
            wake_at: None,
        })
    }

    /// Makes room for so many connections in advance. Memory that nothing was written to costs nothing, whereas growing
    /// little by little leaves holes as large as what has grown.
    pub fn reserve(&mut self, connections: usize) {
        self.guests.reserve(connections);
        self.roster.reserve(connections);
    }

    /// Puts a line into the log that was said before this room was opened. One that is too long for it is left out.
    pub fn remember(&mut self, line: &[u8]) {
        if line.len() < self.limits.longest_utterance() {
            self.log.append(&[line]);
            self.turn_start = self.log.end();
        }
    }

    // ---- A connection's way in and out ----

    /// A new connection: it is greeted and has to say its name.
    pub fn enter(&mut self, id: Id, now: Duration) {
        let deadline = now + self.limits.login_timeout;
        self.deadlines.insert((deadline, Due::Name(id)));
        self.admit(id, Guest { standing: Standing::Nameless { deadline }, ..Guest::default() });
        self.tell(id, Private::Welcome);
    }

    /// A new connection for which there is no place: it is told so, and is then done.
    pub fn turn_away(&mut self, id: Id, error: Error<'_>) {
        self.admit(id, Guest { standing: Standing::Parting, ..Guest::default() });
        self.refuse(id, error);
    }

    /// Bytes have arrived. Their lines are heard as far as the room and the sender's pace allow; the rest is held, and
    /// heard when this is called again, be it with nothing new.
    pub fn hear(&mut self, id: Id, input: &[u8], now: Duration) {
        let mut buffer = self.guest_mut(id).input.take().map_or_else(LineBuffer::default, |buffer| *buffer);
        let mut lines = buffer.split(input, self.limits.max_line);
        while self.may_hear(id, now) {
            match lines.next() {
                Some(Line::Whole(line)) => self.hear_line(id, line, now),
                Some(Line::TooLong) => self.tell(id, Private::Error(Error::LineTooLong(self.limits.max_line))),
                None => break,
            }
        }
        drop(lines);
        let guest = self.guest_mut(id);
        if guest.standing == Standing::Parting {
            return;
        }
        guest.waiting = buffer.has_line();
        guest.input = (!buffer.is_empty()).then(|| Box::new(buffer));
        if guest.waiting {
            self.ask_to_slow_down(id, now);
        } else if guest.end.is_some() && self.is_open_to(id) {
            self.finish(id, now);
        }
    }

    /// The peer will send nothing more. What it sent is heard first.
    pub fn end_input(&mut self, id: Id, now: Duration) {
        self.guest_mut(id).end.get_or_insert(End::Closed);
        self.hear(id, &[], now);
    }

    /// The peer can no longer be reached. What it sent is heard first, if it had a name.
    pub fn lose(&mut self, id: Id, now: Duration) {
        self.cut_off(id);
        self.guest_mut(id).end = Some(End::Lost);
        self.touched.push(id);
        match self.guest(id).standing {
            Standing::Nameless { .. } => self.dismiss(id),
            Standing::Member(_) => self.hear(id, &[], now),
            Standing::Parting => {}
        }
    }

    /// Nothing can be delivered to a connection any more, though what it sent may still have to be read.
    pub fn cut_off(&mut self, id: Id) {
        let guest = self.guest_mut(id);
        guest.deaf = true;
        guest.outbox.abandon();
    }

    /// Whether a connection ends without having got everything.
    #[must_use]
    pub fn is_cut_off(&self, id: Id) -> bool {
        self.guest(id).deaf
    }

    /// Whether, and when, a connection may be listened to from which something waits to be read or heard. A sender that
    /// is too fast is still read from until a whole line waits.
    pub fn attention(&mut self, id: Id, now: Duration) -> Attention {
        let is_open = self.is_open_to(id);
        let guest = self.guests[id].as_mut().expect(KNOWN);
        let attention = match guest.pace.ready_at(&self.limits.pace) {
            _ if guest.standing == Standing::Parting => Attention::Never,
            _ if !is_open => Attention::Later,
            at if at > now && guest.has_line() => Attention::At(at),
            _ => Attention::Now,
        };
        guest.waiting = attention != Attention::Now;
        attention
    }

    /// Whether something that was read from a connection waits to be heard: a whole line, or the end.
    #[must_use]
    pub fn is_waiting(&self, id: Id) -> bool {
        let guest = self.guest(id);
        guest.standing != Standing::Parting && (guest.end.is_some() || guest.has_line())
    }

    /// Whether a connection has had its part: it is not listened to any more and has got all that it is owed.
    #[must_use]
    pub fn is_done(&self, id: Id) -> bool {
        let guest = self.guest(id);
        guest.standing == Standing::Parting && !guest.outbox.is_pending(&self.log)
    }

    /// The connection is no more, and its number may be given to another one.
    pub fn forget(&mut self, id: Id) {
        let guest = self.guests[id].take().expect(KNOWN);
        debug_assert_eq!(guest.standing, Standing::Parting);
    }

    /// Everybody is told that the server is shutting down, and is listened to no more.
    pub fn shut_down(&mut self) {
        self.append(&Public::ShuttingDown);
        for id in 0..self.guests.len() {
            if let Some(Standing::Nameless { .. } | Standing::Member(_)) = self.guests[id].as_ref().map(|g| g.standing)
            {
                self.dismiss(id);
            }
        }
    }

    // ---- What a connection is owed ----

    /// What to write next to a connection, in order.
    #[must_use]
    pub fn chunks(&self, id: Id) -> Chunks<'_> {
        self.guest(id).outbox.chunks(&self.log)
    }

    /// Its socket took `count` bytes of that.
    pub fn take(&mut self, id: Id, count: usize, now: Duration) {
        self.guests[id].as_mut().expect(KNOWN).outbox.take(&self.log, count, now);
    }

    /// Its socket takes no more for now.
    pub fn block(&mut self, id: Id, now: Duration) {
        if self.guest_mut(id).outbox.block(now) {
            self.blocked.push(id);
        }
    }

    /// Whether there is anything to write to it.
    #[must_use]
    pub fn is_pending(&self, id: Id) -> bool {
        self.guest(id).outbox.is_pending(&self.log)
    }

    // ---- The turn ----

    /// Ends a turn: deals with what has taken too long, and with readers that are too far behind.
    ///
    /// `now` must not be later than the moment at which the turn began to look at its sockets: whoever had done
    /// something before then has been heard.
    pub fn end_turn(&mut self, now: Duration) {
        debug_assert!(self.log.end() - self.turn_start <= self.reach.turn);
        self.touched.shrink_to(SPARE);
        let progress = self.watch_readers(now);
        // What comes now is for the next turn to write, and counts as its own. So however much is said in each turn,
        // there is always room for who leaves.
        self.turn_start = self.log.end();
        self.announce_departures();
        let deadline = self.expire(now);
        let is_news = self.turn_start < self.log.end() || !self.touched.is_empty() || !self.departures.is_empty();
        let soon = is_news.then_some(now);
        self.wake_at = [deadline, progress, soon].into_iter().flatten().min();
    }

    /// Makes senders wait when they are too far ahead of `position`, as they do for a reader at a fair pace. To be called
    /// once a turn.
    pub fn hold_back(&mut self, position: Option<u64>) {
        self.held_at = position;
    }

    /// When [`Room::end_turn`] has to be called though nothing happens.
    #[must_use]
    pub fn wake_at(&self) -> Option<Duration> {
        self.wake_at
    }

    /// Connections to which something happened that is not in the log, some of them more than once.
    pub fn drain_touched(&mut self) -> impl Iterator<Item = Id> {
        self.touched.drain(..)
    }

    /// What happened since [`Room::clear_events`].
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Forgets what happened.
    pub fn clear_events(&mut self) {
        self.events.clear();
        self.events.shrink_to(SPARE);
    }

    /// What was said.
    #[must_use]
    pub fn log(&self) -> &Scrollback {
        &self.log
    }

    /// How many are here, those included whose connections broke a moment ago.
    #[must_use]
    pub fn online(&self) -> usize {
        self.roster.len()
    }

    // ---- Helpers ----

    fn guest(&self, id: Id) -> &Guest {
        self.guests[id].as_ref().expect(KNOWN)
    }

    fn guest_mut(&mut self, id: Id) -> &mut Guest {
        self.guests[id].as_mut().expect(KNOWN)
    }

    fn admit(&mut self, id: Id, guest: Guest) {
        if self.guests.len() <= id {
            self.guests.resize_with(id + 1, || None);
        }
        let before = self.guests[id].replace(guest);
        debug_assert!(before.is_none(), "a number is given out once at a time");
    }

    /// Whether this turn may append what hearing one more line can take.
    fn has_room(&self) -> bool {
        self.log.end() - self.turn_start + self.limits.longest_utterance() as u64 <= self.reach.turn
    }

    /// Appends a public sentence; answers where it stands.
    fn append(&mut self, notice: &Public<'_>) -> Range<u64> {
        self.log.append(&[notice.to_string().as_bytes()])
    }

    /// Tells one connection something, due at a position that it has yet to come to.
    fn tell_at(&mut self, id: Id, due: u64, notice: Private<'_>) {
        self.guest_mut(id).outbox.add_aside(due, format!("{notice}\n").as_bytes());
    }

    /// Tells one connection something, due after all that was said so far and that it is owed.
    fn tell(&mut self, id: Id, notice: Private<'_>) {
        let guest = self.guests[id].as_mut().expect(KNOWN);
        if !guest.deaf {
            guest.outbox.add_aside_at_end(&self.log, format!("{notice}\n").as_bytes());
            self.touched.push(id);
        }
    }

    /// Reports a mistake to the connection and to the operator.
    fn refuse(&mut self, id: Id, error: Error<'_>) {
        self.tell(id, Private::Error(error));
        self.events.push(Event::Refused(id, error.to_string()));
    }

    /// Whether this turn may hear one more line from a connection. Those outside are let in even while those inside
    /// have to wait for some reader.
    fn is_open_to(&self, id: Id) -> bool {
        let guest = self.guest(id);
        let is_ahead = self.held_at.is_some_and(|position| self.log.end() - position > self.reach.brake);
        let braked = (self.braked || is_ahead) && matches!(guest.standing, Standing::Member(_));
        self.has_room() && !braked && guest.outbox.aside_bytes() <= ASIDE_BACKLOG
    }

    fn may_hear(&self, id: Id, now: Duration) -> bool {
        let guest = self.guest(id);
        guest.standing != Standing::Parting && guest.pace.ready_at(&self.limits.pace) <= now && self.is_open_to(id)
    }

    /// Says, once a spell, that lines are delayed; if it is the sender's pace that delays them.
    fn ask_to_slow_down(&mut self, id: Id, now: Duration) {
        let guest = self.guests[id].as_mut().expect(KNOWN);
        let limit = &self.limits.pace;
        if guest.pace.ready_at(limit) > now && !std::mem::replace(&mut guest.told_to_slow_down, true) {
            self.tell(id, Private::TooFast);
        }
    }

    /// The input has ended and every whole line of it was heard.
    fn finish(&mut self, id: Id, now: Duration) {
        let guest = self.guest_mut(id);
        let lost = guest.end == Some(End::Lost);
        let rest = guest.input.take().and_then(|mut buffer| buffer.finish());
        if let Some(line) = rest.filter(|_| !lost && !self.has_session(id)) {
            self.hear_line(id, &line, now);
        }
        let Standing::Member(key) = self.guest(id).standing else {
            return self.dismiss(id);
        };
        if self.has_session(id) {
            self.keep_name(key, now);
        } else {
            self.remove_member(key, lost.then_some(CONNECTION_LOST));
        }
        self.dismiss(id);
    }

    /// Whether someone speaks here who can come back: whose end of input is not the end of what they have to say.
    fn has_session(&self, id: Id) -> bool {
        matches!(self.guest(id).standing, Standing::Member(key) if self.roster.member(key).session.is_some())
    }

    /// Listens to a connection no more; it still gets what it is owed so far.
    fn dismiss(&mut self, id: Id) {
        let end = self.log.end();
        let guest = self.guests[id].as_mut().expect(KNOWN);
        if let Standing::Nameless { deadline } = guest.standing {
            self.deadlines.remove(&(deadline, Due::Name(id)));
        }
        guest.standing = Standing::Parting;
        guest.input = None;
        guest.outbox.follow_until(end);
        self.touched.push(id);
    }

    /// Keeps the name of someone whose connection broke.
    fn keep_name(&mut self, key: Key, now: Duration) {
        let back_by = now + self.limits.grace;
        let member = self.roster.member_mut(key);
        member.presence = Presence::Away { back_by };
        self.events.push(Event::Broke(member.name.clone()));
        self.deadlines.insert((back_by, Due::Return(key)));
    }

    /// Someone is no longer here, and the room hears it.
    fn remove_member(&mut self, key: Key, reason: Option<&str>) {
        let member = self.roster.remove(key);
        let name = member.name.as_str();
        let span = match reason {
            None => self.append(&Public::Left(name)),
            Some(reason) => self.append(&Public::LeftBecause(name, reason)),
        };
        self.events.push(Event::Left(span, self.roster.len()));
    }

    /// Says who is gone, as far as this turn has room for it.
    fn announce_departures(&mut self) {
        while self.has_room() {
            let Some((key, reason)) = self.departures.pop_front() else { break };
            self.remove_member(key, Some(reason));
        }
    }

    /// Ends what should have ended by now. Answers when the next thing will.
    fn expire(&mut self, now: Duration) -> Option<Duration> {
        loop {
            let &(at, due) = self.deadlines.first()?;
            if at > now {
                return Some(at);
            }
            if !self.has_room() {
                return Some(now);
            }
            self.deadlines.pop_first();
            match due {
                Due::Name(id) => self.expire_name(id, now),
                Due::Return(key) => {
                    let member = self.roster.member(key);
                    if let Some(session) = member.session {
                        let name = member.name.clone();
                        self.roster.remember(name, session);
                    }
                    self.remove_member(key, Some(CONNECTION_LOST));
                }
            }
        }
    }

    /// A name has not come in time, unless it has, and nobody had the time to listen.
    fn expire_name(&mut self, id: Id, now: Duration) {
        let guest = self.guests[id].as_mut().expect(KNOWN);
        if guest.waiting {
            let deadline = now + self.limits.login_timeout;
            guest.standing = Standing::Nameless { deadline };
            self.deadlines.insert((deadline, Due::Name(id)));
            return;
        }
        self.refuse(id, Error::NoName(self.limits.login_timeout));
        self.dismiss(id);
    }

    /// Looks after the readers whose sockets take no more: lets go who is too far behind or takes nothing, and decides
    /// whether senders have to wait. Answers when that may change by itself.
    fn watch_readers(&mut self, now: Duration) -> Option<Duration> {
        self.braked = false;
        let mut wake_at: Option<Duration> = None;
        let mut blocked = std::mem::take(&mut self.blocked);
        blocked.retain(|&id| {
            let Some(Guest { outbox, standing, deaf, .. }) = &mut self.guests[id] else { return false };
            let (Some(progress), Some(fair_until)) = (outbox.last_progress(), outbox.fair_until()) else {
                return false;
            };
            let behind = outbox.behind(&self.log);
            let stalled_at = progress + self.limits.stall_timeout;
            if stalled_at <= now && *standing == Standing::Parting {
                *deaf = true;
                outbox.abandon();
                self.touched.push(id);
                return false;
            }
            if stalled_at <= now || behind > self.reach.keep || outbox.aside_bytes() > MAX_ASIDE_BYTES {
                self.let_go(id, now);
                return true;
            }
            let mut next = stalled_at;
            if behind > self.reach.brake && fair_until > now {
                self.braked = true;
                next = next.min(fair_until);
            }
            wake_at = Some(wake_at.map_or(next, |at| at.min(next)));
            true
        });
        self.blocked.append(&mut blocked);
        wake_at
    }

    /// Lets a reader go who reads too slowly.
    fn let_go(&mut self, id: Id, now: Duration) {
        let standing = self.guest(id).standing;
        if let Standing::Member(key) = standing {
            if self.has_session(id) {
                self.keep_name(key, now);
            } else {
                self.roster.member_mut(key).presence = Presence::Leaving;
                self.departures.push_back((key, READ_TOO_SLOWLY));
            }
        }
        self.dismiss(id);
        self.events.push(Event::Refused(id, Error::ReadTooSlowly.to_string()));
        let farewell = format!("{}\n", Private::Error(Error::ReadTooSlowly));
        let guest = self.guests[id].as_mut().expect(KNOWN);
        guest.outbox.let_go(&self.log, farewell.as_bytes(), now);
    }
}

/// Why a guest is there: only numbers of connections that have entered and are not forgotten are used.
const KNOWN: &str = "the connection has entered and is not forgotten";

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").field("online", &self.roster.len()).field("end", &self.log.end()).finish_non_exhaustive()
    }
}
