//! What is local to one server: its connections, what each of them still has to be sent, and how much each may do.
//! Pure: no socket, no clock, and the random bits are an argument.
//!
//! A connection is a cursor in the room's log. [`Lobby`] takes lines and the time as arguments and gives bytes back as
//! slices: a server (or a test) tells it what arrived on which connection and asks it what to write next. It proposes
//! whatever everybody is to see to the [room](crate::room) as an entry, and tells those concerned what came of it.
//! Times are counted from any fixed moment.
//!
//! In reading order: [`client`] is one connection, [`outbox`] its cursor. `login` and `commands` are what its lines
//! mean, `orders` what those of operators do, and `proposals` what becomes of them. [`access`] says who may come in,
//! [`rate_limit`] how fast one may send, `backpressure` what happens to slow readers, and [`limits`] how much there may
//! be of everything. [`stats`] counts. Where several servers share a room, [`pulse`] tells which of them live, and
//! [`letters`] are whispers between them. This file has the life of a connection.

pub mod access;
mod backpressure;
pub mod client;
mod commands;
pub mod event;
pub mod letters;
pub mod limits;
mod login;
mod orders;
pub mod outbox;
mod proposals;
pub mod pulse;
pub mod questions;
pub mod rate_limit;
pub mod secret;
pub mod stats;

use std::collections::{BTreeSet, TryReserveError, VecDeque};
use std::fmt;
use std::time::Duration;

use crate::protocol::command::Command;
use crate::protocol::line::Line;
use crate::protocol::notice::{CONNECTION_LOST, Error, Private, READ_TOO_SLOWLY};
use crate::room::Room;
use crate::room::entry::{Act, Change, Farewell};
use crate::room::place::Place;
use crate::room::roster::{PersonKey, Seat};
use crate::room::scrollback::Scrollback;
use crate::room::servers::ServerId;
use crate::room::session::SessionId;
use access::{Access, Entrance};
use backpressure::{Backpressure, TRICKLE, TRICKLE_RATE, Watermarks};
use client::{Client, End, Link, State};
use event::Event;
use letters::Letters;
use limits::{Limits, MAX_ANSWERS, MAX_ANSWERS_UNDER_PRESSURE, MAX_PRIVATE_TOTAL};
use outbox::{Chunks, Outbox};
use proposals::{Proposals, Purpose};
use pulse::Pulse;
use questions::Questions;
use rate_limit::{Buckets, JOIN_COST, cost_of};
use stats::Counts;

/// A connection's number: small, and reused once the connection is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(pub usize);

/// Where the lobby's random bits come from.
pub type Random = Box<dyn FnMut() -> u128 + Send>;

/// The connections of a room.
pub struct Lobby {
    limits: Limits,
    room: Room,
    /// What is not decided yet; `None` where the log is in memory, which decides at once.
    proposals: Option<Proposals>,
    /// The run of this server.
    server: ServerId,
    /// Whether other servers have the same log.
    is_shared: bool,
    pulse: Pulse,
    letters: Letters,
    access: Access,
    clients: Vec<Option<Client>>,
    /// How many connections there have been.
    serials: u64,
    /// Over which connection someone is here, by [`PersonKey::index`].
    connections: Vec<Option<ClientId>>,
    /// How many lines the owners of sessions may send who are not connected at the moment.
    sessions: Buckets<SessionId>,
    random: Random,
    backpressure: Backpressure,
    /// What is to happen, and when, unless something else happens first.
    deadlines: BTreeSet<(Duration, Due)>,
    /// Connections to which something happened that is not in the scrollback.
    touched: Vec<ClientId>,
    /// Connections that wait for the answer to `!who`.
    awaiting_names: VecDeque<ClientId>,
    questions: Questions,
    /// What happened, for the operator.
    events: Vec<Event>,
    counts: Counts,
    /// Where the scrollback ended when the server started.
    began_at: u64,
    /// How many bytes of asides all connections have together.
    private_bytes: usize,
    /// Where the scrollback ended when this turn began.
    turn_start: u64,
    /// Whether the server is about to stop: no more lines are processed.
    is_stopping: bool,
    /// Whether everybody was told that the log cannot be reached.
    is_out_of_reach: bool,
    /// When [`Lobby::end_turn`] has something to do even if nothing happens.
    wake_at: Option<Duration>,
}

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// A connection has to have sent its name.
    Login(ClientId),
    /// Someone whose connection broke has to be back.
    GiveUp(Seat),
    /// The room is to be told that someone was disconnected because they read too slowly.
    Leave(Seat),
}

/// Whether pending input may be processed, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Now.
    Now,
    /// Not before this moment.
    At(Duration),
    /// Not before something else has happened: another turn, or progress of some reader.
    Later,
    /// Never again: it is to be dropped.
    Never,
}

impl Lobby {
    /// The lobby of an empty room, whose log is in memory: whatever is proposed is decided at once. `limits.scrollback`
    /// has to be at least [`Limits::smallest_scrollback`].
    ///
    /// # Errors
    /// Where there is not enough memory for the scrollback.
    pub fn new(limits: Limits, random: Random) -> Result<Lobby, TryReserveError> {
        Ok(Lobby::with_room(Room::new(limits.scrollback)?, limits, random))
    }

    /// The lobby of a room that was read back from a log which no other server has. Whoever was there is gone, and that
    /// is the first thing that is proposed: [`Lobby::next_turn`] has what is to go to the log, and [`Lobby::apply`] takes
    /// what comes back.
    #[must_use]
    pub fn with_log(room: Room, limits: Limits, random: Random, now: Duration) -> Lobby {
        let mut lobby = Lobby::with_shared_log(room, limits, random);
        lobby.is_shared = false;
        let before: Vec<(ServerId, u64)> =
            lobby.room.servers().present().map(|(id, server)| (id, server.beats)).collect();
        for (server, beats) in before {
            lobby.give_up(server, beats, now);
        }
        lobby
    }

    /// The same, where other servers have the log, too.
    #[must_use]
    pub fn with_shared_log(room: Room, limits: Limits, random: Random) -> Lobby {
        let mut lobby = Lobby::with_room(room, limits, random);
        lobby.proposals = Some(Proposals::default());
        lobby.server = ServerId::new((lobby.random)());
        lobby.is_shared = true;
        let present: Vec<ServerId> = lobby.room.servers().present().map(|(id, _)| id).collect();
        lobby.look_after(|server| !present.contains(&server));
        lobby
    }

    fn with_room(room: Room, limits: Limits, random: Random) -> Lobby {
        debug_assert!(room.scrollback().capacity() >= limits.smallest_scrollback());
        Lobby {
            access: Access::new(limits.access, limits.rate),
            backpressure: Backpressure::new(Watermarks::new(room.scrollback().capacity())),
            limits,
            turn_start: room.scrollback().end(),
            began_at: room.scrollback().end(),
            counts: Counts::default(),
            room,
            proposals: None,
            server: ServerId::default(),
            is_shared: false,
            pulse: Pulse::default(),
            letters: Letters::default(),
            clients: Vec::new(),
            serials: 0,
            connections: Vec::new(),
            sessions: Buckets::default(),
            random,
            deadlines: BTreeSet::new(),
            touched: Vec::new(),
            awaiting_names: VecDeque::new(),
            questions: Questions::default(),
            events: Vec::new(),
            private_bytes: 0,
            is_stopping: false,
            is_out_of_reach: false,
            wake_at: None,
        }
    }

    /// Appends a line that was said before this room was opened to the scrollback. One that is too long is left out.
    pub fn remember(&mut self, line: &[u8]) {
        if line.len() < self.limits.longest_utterance() {
            self.room.remember(line);
            self.turn_start = self.room.scrollback().end();
        }
    }

    /// The room, to look at.
    #[must_use]
    pub fn room(&self) -> &Room {
        &self.room
    }

    /// The longest line of input, in bytes, its LF included.
    #[must_use]
    pub fn max_line(&self) -> usize {
        self.limits.max_line
    }

    // ---- A connection's way in and out ----

    /// How to receive a connection from a place.
    #[must_use]
    pub fn entrance(&self, place: Place, now: Duration) -> Entrance {
        self.access.entrance(place, self.room.bans().on(place, now).is_some())
    }

    /// A new connection. It is told nothing before it is [greeted](Lobby::greet).
    pub fn enter(&mut self, id: ClientId, place: Place, entrance: Entrance, now: Duration) {
        if self.clients.len() <= id.0 {
            self.clients.resize_with(id.0 + 1, || None);
        }
        let deadline = now + self.limits.login_timeout;
        let is_open = entrance == Entrance::Open;
        let state = if is_open { State::Nameless { deadline } } else { State::Closing };
        self.serials += 1;
        let came_after = self.room.roster().seats();
        let before = self.clients[id.0].replace(Client::new(self.serials, came_after, place, state, entrance));
        debug_assert!(before.is_none(), "a number is given out once at a time");
        if is_open {
            self.access.enter(place);
            self.deadlines.insert((deadline, Due::Login(id)));
        } else {
            self.access.turn_away();
        }
    }

    /// It is known how the bytes of a connection come. It is greeted and has to send its name, or it is told why it may
    /// not come in. What was answered by the transport costs as much as joining.
    pub fn greet(&mut self, id: ClientId, link: Link, now: Duration) {
        let client = self.client_mut(id);
        client.link = Some(link);
        let (entrance, state) = (client.entrance, client.state);
        match entrance {
            _ if link == Link::Answered => {
                self.charge(id, JOIN_COST, now);
                self.dismiss(id);
            }
            // The time to send a name is over.
            Entrance::Open if state == State::Closing => {}
            Entrance::Open if link == Link::Plain && self.limits.keys.is_tls_required => {
                self.refuse(id, Error::TlsOnly);
                self.dismiss(id);
            }
            Entrance::Open => {
                self.tell(id, Private::Welcome);
                if self.limits.keys.password.is_some() {
                    self.tell(id, Private::PasswordNeeded);
                }
                if self.is_out_of_reach {
                    self.tell(id, Private::OutOfReach);
                }
            }
            Entrance::Closed(too_many) => self.refuse(id, self.access.error(too_many)),
            Entrance::Banned => self.refuse_banned(id, now),
            Entrance::Shut => unreachable!("it was closed at once"),
        }
    }

    /// How long a connection may take to send its name.
    #[must_use]
    pub fn login_timeout(&self) -> Duration {
        self.limits.login_timeout
    }

    /// Whether pending input of a connection may be processed, and when. `pending` is the next line, if there is a whole
    /// one, and nothing of one that is too long: a sender that is too fast is still read from until there is.
    pub fn readiness(&mut self, id: ClientId, pending: Option<&[u8]>, now: Duration) -> Readiness {
        let readiness = self.readiness_for(id, pending, now);
        self.client_mut(id).is_waiting = readiness != Readiness::Now;
        readiness
    }

    /// Whether a line may be processed in this turn.
    #[must_use]
    pub fn may_handle(&self, id: ClientId, line: &[u8], now: Duration) -> bool {
        self.readiness_for(id, Some(line), now) == Readiness::Now
    }

    /// Processes one line of input. Only called while [`Lobby::may_handle`] returns true.
    pub fn handle_line(&mut self, id: ClientId, line: Line<'_>, now: Duration) {
        let length = if let Line::Whole(bytes) = line { bytes.len() } else { self.limits.max_line };
        self.charge(id, cost_of(length), now);
        self.counts.lines += 1;
        match (self.client(id).state, line) {
            (State::Closing, _) => {}
            (State::Nameless { .. }, Line::Whole(line)) => self.log_in(id, line, now),
            (State::Nameless { .. }, Line::TooLong) => {
                // No name is that long, and what follows may be the body of an HTTP request.
                self.refuse(id, Error::LineTooLong(self.limits.max_line));
                self.dismiss(id);
            }
            (State::Member(seat), line) => {
                self.client_mut(id).heard += 1;
                match line {
                    Line::Whole(line) => self.handle_command(id, seat, line, now),
                    Line::TooLong => self.tell(id, Private::Error(Error::LineTooLong(self.limits.max_line))),
                }
            }
        }
    }

    /// Notes that a whole line is held back. If the reason is the rate limit, the sender is told, once until it slows
    /// down.
    pub fn hold_back(&mut self, id: ClientId, now: Duration) {
        let limit = self.limits.rate;
        let client = self.client(id);
        let is_too_fast = client.lines_left.ready_at(&limit) > now || self.access.ready_at(client.place) > now;
        if is_too_fast && !std::mem::replace(&mut self.client_mut(id).was_told_to_slow_down, true) {
            self.tell(id, Private::TooFast);
        }
    }

    /// The input of a connection has ended, and this came after its last LF. Only called while [`Lobby::may_handle`]
    /// returns true.
    pub fn handle_rest(&mut self, id: ClientId, end: End, rest: &[u8], now: Duration) {
        if end == End::Closed && self.client(id).token.is_none() {
            self.handle_line(id, Line::Whole(rest), now);
        }
    }

    /// The input of a connection has ended, and everything that it sent is decided.
    pub fn end_input(&mut self, id: ClientId, end: End, now: Duration) {
        match self.client(id).state {
            State::Member(seat) if self.client(id).token.is_some() => self.break_off(id, seat, now),
            State::Member(seat) => {
                let farewell = match end {
                    End::Closed => Farewell::Words(""),
                    End::Lost => Farewell::Reason(CONNECTION_LOST),
                };
                self.act(id, seat, Purpose::Dismiss, Act::Leave(farewell), now);
            }
            State::Nameless { .. } | State::Closing => self.dismiss(id),
        }
    }

    /// Nothing can be delivered to a connection any more, although what it sent may still have to be read.
    pub fn cut_off(&mut self, id: ClientId) {
        self.client_mut(id).is_unreachable = true;
        self.change_outbox(id, |outbox, _| outbox.abandon());
    }

    /// The peer can no longer be reached. What it sent is still processed, if it had a name or had asked for one.
    pub fn lose(&mut self, id: ClientId) {
        self.cut_off(id);
        if let State::Nameless { .. } = self.client(id).state
            && self.is_settled(id)
        {
            self.dismiss(id);
        }
        self.touched.push(id);
    }

    /// Whether a connection ends without having been sent everything.
    #[must_use]
    pub fn is_cut_off(&self, id: ClientId) -> bool {
        self.client(id).is_unreachable
    }

    /// Whether the input of a connection is no longer processed.
    #[must_use]
    pub fn is_closing(&self, id: ClientId) -> bool {
        self.client(id).state == State::Closing
    }

    /// Whether a connection is over: its input is no longer processed, and nothing is left to be written to it.
    #[must_use]
    pub fn is_done(&self, id: ClientId) -> bool {
        self.is_closing(id) && !self.is_pending(id)
    }

    /// The connection is gone, and its number may be given to another one.
    pub fn forget(&mut self, id: ClientId) {
        self.cut_off(id);
        let client = self.clients[id.0].take().expect(KNOWN);
        debug_assert_eq!(client.state, State::Closing);
        if client.entrance == Entrance::Open {
            self.access.leave(client.place);
        } else {
            self.access.leave_turned_away();
        }
    }

    /// The log has not taken anything for a while, or does again. Everybody is told, once.
    pub fn set_out_of_reach(&mut self, is_out: bool) {
        if std::mem::replace(&mut self.is_out_of_reach, is_out) != is_out {
            self.tell_everybody(if is_out { Private::OutOfReach } else { Private::BackInReach });
        }
    }

    /// Sessions that were not used since `before` are forgotten.
    pub fn forget_sessions(&mut self, before: Duration, now: Duration) {
        self.propose(None, Purpose::Nothing, Change::Forget { before }, now);
    }

    /// Everybody is told that the server is shutting down, and no more input is processed. Where the room goes on, only
    /// those who are here are told.
    pub fn shut_down(&mut self, now: Duration) {
        self.is_stopping = true;
        // So that the owners of sessions know what not to say again, wherever they go on.
        for id in self.open_connections() {
            if let State::Member(seat) = self.client(id).state
                && self.client(id).token.is_some()
            {
                self.act(id, seat, Purpose::Nothing, Act::Heard, now);
            }
        }
        if self.is_shared {
            // At once, since the log may be out of reach.
            self.tell_everybody(Private::RoomGoesOn);
            self.give_up(self.server, 0, now);
        } else {
            self.propose(None, Purpose::ShutDown, Change::ShutDown, now);
        }
    }

    // ---- What is to be written ----

    /// What to write next to a connection, in order.
    #[must_use]
    pub fn chunks(&self, id: ClientId) -> Chunks<'_> {
        self.client(id).outbox.chunks(self.room.scrollback())
    }

    /// Whether there is anything to write to it.
    #[must_use]
    pub fn is_pending(&self, id: ClientId) -> bool {
        self.client(id).outbox.is_pending(self.room.scrollback())
    }

    /// Whether it is owed anything but public lines from `position` on; or is to be ended, which does not wait, either.
    /// `false` for one that is gone.
    #[must_use]
    pub fn owes_more_than(&self, id: ClientId, position: u64) -> bool {
        let client = self.clients.get(id.0).and_then(Option::as_ref);
        client.is_some_and(|client| client.state == State::Closing || client.outbox.owes_more_than(position))
    }

    /// The most that one turn appends, in bytes.
    #[must_use]
    pub fn longest_turn(&self) -> u64 {
        self.backpressure.watermarks.turn
    }

    /// Whether the server is about to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.is_stopping
    }

    // ---- The turn ----

    /// Ends a turn: handles deadlines that have passed, and readers that are too far behind.
    ///
    /// `now` must not be later than the moment at which the turn began to poll its sockets: whatever was sent before
    /// then has been processed.
    pub fn end_turn(&mut self, now: Duration) {
        let end = self.room.scrollback().end();
        debug_assert!(end - self.turn_start <= self.backpressure.watermarks.turn);
        let progress = self.watch_readers(now);
        // What is appended from here on is written in the next turn, and counts towards it. So however much is said in
        // each turn, there is always room for the notices of who has left.
        self.turn_start = end;
        let deadline = self.expire(now);
        let beat = self.beat(now);
        self.answer_waiting(now);
        let is_news = self.turn_start < self.room.scrollback().end() || !self.touched.is_empty();
        self.wake_at = [deadline, beat, progress, is_news.then_some(now)].into_iter().flatten().min();
    }

    /// When [`Lobby::end_turn`] has to be called even if nothing happens.
    #[must_use]
    pub fn wake_at(&self) -> Option<Duration> {
        self.wake_at
    }

    /// Connections to which something happened that is not in the scrollback, some of them more than once.
    pub fn drain_touched(&mut self) -> impl Iterator<Item = ClientId> {
        self.touched.drain(..)
    }

    /// What happened since [`Lobby::clear_events`].
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Forgets what happened.
    pub fn clear_events(&mut self) {
        // What a crowd makes happen at once takes more than its names.
        self.events = Vec::new();
    }

    /// Asserts the invariants.
    ///
    /// # Panics
    /// If one is broken.
    pub fn check(&self) {
        self.room.roster().check();
        let clients = || self.clients.iter().flatten();
        assert_eq!(self.private_bytes, clients().map(|client| client.outbox.aside_bytes()).sum::<usize>());
        if let Some(proposals) = &self.proposals {
            proposals.check(&self.clients, &self.letters);
        }
        for (index, client) in self.clients.iter().enumerate() {
            if let Some(Client { state: State::Member(seat), .. }) = client {
                assert_eq!(self.connections[seat.person.index()], Some(ClientId(index)));
                assert_eq!(self.room.roster().person(seat.person).seat, seat.number);
            }
        }
    }

    // ---- Helpers ----

    fn client(&self, id: ClientId) -> &Client {
        self.clients[id.0].as_ref().expect(KNOWN)
    }

    fn client_mut(&mut self, id: ClientId) -> &mut Client {
        self.clients[id.0].as_mut().expect(KNOWN)
    }

    /// Proposes what a member does with the line that is being processed.
    fn act(&mut self, id: ClientId, seat: Seat, purpose: Purpose, act: Act<'_>, now: Duration) {
        let line = self.client(id).heard;
        self.propose(Some(id), purpose, Change::Act { seat, line, act }, now);
    }

    /// Connections whose input is processed.
    fn open_connections(&self) -> Vec<ClientId> {
        let open = |client: &Option<Client>| client.as_ref().is_some_and(|client| client.state != State::Closing);
        (0..self.clients.len()).filter(|&index| open(&self.clients[index])).map(ClientId).collect()
    }

    fn readiness_for(&self, id: ClientId, pending: Option<&[u8]>, now: Duration) -> Readiness {
        let client = self.client(id);
        if client.state == State::Closing {
            return Readiness::Never;
        }
        let must_wait = |line: &[u8]| client.is_held_up || client.undecided > 0 && Command::may_be_answered(line);
        if self.is_stopping || client.awaits_names || client.awaits_log || pending.is_some_and(must_wait) {
            return Readiness::Later;
        }
        let answers = if self.private_bytes < MAX_PRIVATE_TOTAL { MAX_ANSWERS } else { MAX_ANSWERS_UNDER_PRESSURE };
        let length = pending.map_or(0, <[u8]>::len);
        if !self.has_room_for(length) || client.outbox.aside_bytes() > answers {
            return Readiness::Later;
        }
        let mut at = client.lines_left.ready_at(&self.limits.rate).max(self.access.ready_at(client.place));
        if self.backpressure.is_on && matches!(client.state, State::Member(_)) {
            if length > TRICKLE as usize {
                return Readiness::Later;
            }
            at = at.max(client.bytes_left.ready_for(&TRICKLE_RATE, length));
        }
        // Those of whom it is not known what they want may cost as much as a whole line.
        if at > now && (pending.is_some() || client.link.is_none()) { Readiness::At(at) } else { Readiness::Now }
    }

    /// Whether this turn may append the most that a line of `length` bytes can lead to.
    fn has_room_for(&self, length: usize) -> bool {
        let said = self.room.scrollback().end() - self.turn_start;
        let undecided = self.proposals.as_ref().map_or(0, |proposals| proposals.bytes);
        said + (undecided + Limits::longest_outcome(length)) as u64 <= self.backpressure.budget
    }

    /// Counts lines against the rates of their sender and of its place.
    fn charge(&mut self, id: ClientId, lines: u32, now: Duration) {
        let limit = self.limits.rate;
        if limit.is_unlimited() {
            return;
        }
        let place = self.client(id).place;
        let place_has_recovered = self.access.has_recovered(place, now);
        let client = self.client_mut(id);
        client.was_told_to_slow_down &= !(place_has_recovered && client.lines_left.has_recovered(&limit, now));
        client.lines_left.charge(&limit, lines, now);
        self.access.charge(place, lines, now);
    }

    /// Counts public bytes against what their sender may say while the others wait for a reader.
    fn charge_bytes(&mut self, id: ClientId, bytes: usize, now: Duration) {
        let is_on = self.backpressure.is_on;
        let bucket = &mut self.client_mut(id).bytes_left;
        bucket.charge(&TRICKLE_RATE, u32::try_from(bytes).unwrap_or(u32::MAX), now);
        if !is_on {
            // What was said while nobody had to wait does not count.
            bucket.forgive(&TRICKLE_RATE, now);
        }
    }

    fn change_outbox(&mut self, id: ClientId, change: impl FnOnce(&mut Outbox, &Scrollback)) {
        let outbox = &mut self.clients[id.0].as_mut().expect(KNOWN).outbox;
        let before = outbox.aside_bytes();
        change(outbox, self.room.scrollback());
        self.private_bytes = self.private_bytes - before + outbox.aside_bytes();
    }

    /// Tells one connection something, due at a position that it has not passed yet.
    fn tell_at(&mut self, id: ClientId, due: u64, notice: Private<'_>) {
        self.change_outbox(id, |outbox, _| outbox.add_aside(due, format!("{notice}\n").as_bytes()));
        self.touched.push(id);
    }

    /// Tells one connection something, due after everything that it still has to be sent.
    fn tell(&mut self, id: ClientId, notice: Private<'_>) {
        if !self.client(id).is_unreachable {
            let line = format!("{notice}\n");
            self.change_outbox(id, |outbox, scrollback| outbox.add_aside_at_end(scrollback, line.as_bytes()));
            if self.touched.last() != Some(&id) {
                self.touched.push(id);
            }
        }
    }

    /// Tells all connections something that are told anything.
    fn tell_everybody(&mut self, notice: Private<'_>) {
        for id in self.open_connections() {
            if self.client(id).link.is_some() {
                self.tell(id, notice);
            }
        }
    }

    /// Reports a mistake to the connection and to the operator.
    fn refuse(&mut self, id: ClientId, error: Error<'_>) {
        self.counts.refused(&error);
        self.tell(id, Private::Error(error));
        self.events.push(Event::Refused(id, error.to_string()));
    }

    /// The connection over which someone is here, if they are.
    fn connection_of(&self, person: PersonKey) -> Option<ClientId> {
        self.connections.get(person.index()).copied().flatten()
    }

    /// Makes a connection that of a person in the room, who reads from `position` on.
    fn seat(&mut self, id: ClientId, seat: Seat, position: u64) {
        let client = self.client_mut(id);
        client.outbox.follow(position);
        if let State::Nameless { deadline } = std::mem::replace(&mut client.state, State::Member(seat)) {
            self.deadlines.remove(&(deadline, Due::Login(id)));
        }
        let index = seat.person.index();
        if self.connections.len() <= index {
            self.connections.resize(index + 1, None);
        }
        self.connections[index] = Some(id);
    }

    /// Stops processing the input of a connection; it is still sent everything up to now.
    fn dismiss(&mut self, id: ClientId) {
        let end = self.room.scrollback().end();
        let client = self.client_mut(id);
        let state = std::mem::replace(&mut client.state, State::Closing);
        client.outbox.follow_until(end);
        self.touched.push(id);
        match state {
            State::Nameless { deadline } => {
                self.deadlines.remove(&(deadline, Due::Login(id)));
            }
            State::Member(seat) if self.connection_of(seat.person) == Some(id) => {
                self.connections[seat.person.index()] = None;
            }
            State::Member(_) | State::Closing => {}
        }
    }

    /// Keeps the name of someone with a session whose connection is gone.
    fn break_off(&mut self, id: ClientId, seat: Seat, now: Duration) {
        let back_by = now + self.limits.grace;
        let reserved_until = now + self.limits.reserve;
        self.keep_bucket(id, now);
        self.act(id, seat, Purpose::Break { seat, back_by }, Act::Break { back_by, reserved_until }, now);
    }

    /// Keeps the rate limit of a session for the connection over which its owner comes back.
    fn keep_bucket(&mut self, id: ClientId, now: Duration) {
        let client = self.client(id);
        if let Some(token) = &client.token {
            let bucket = client.lines_left;
            *self.sessions.entry(token.id(), now) = bucket;
        }
    }

    /// Handles what is due, as far as this turn has room for it. Returns when the next deadline is.
    fn expire(&mut self, now: Duration) -> Option<Duration> {
        loop {
            let &(at, due) = self.deadlines.first()?;
            if at > now {
                return Some(at);
            }
            if !self.has_room_for(0) {
                // There will be some as soon as readers have caught up.
                return (self.backpressure.budget == self.backpressure.watermarks.turn).then_some(now);
            }
            self.deadlines.pop_first();
            match due {
                Due::Login(id) => self.expire_login(id, now),
                Due::GiveUp(seat) => self.propose(None, Purpose::Nothing, Change::GiveUp { seat }, now),
                Due::Leave(seat) => {
                    let act = Act::Leave(Farewell::Reason(READ_TOO_SLOWLY));
                    self.propose(None, Purpose::Nothing, Change::Act { seat, line: 0, act }, now);
                }
            }
        }
    }

    /// A name has not come in time, unless input of that connection waits to be processed: then it gets more time.
    fn expire_login(&mut self, id: ClientId, now: Duration) {
        let deadline = now + self.limits.login_timeout;
        let client = self.client_mut(id);
        if client.is_waiting || client.undecided > 0 {
            client.state = State::Nameless { deadline };
            self.deadlines.insert((deadline, Due::Login(id)));
            return;
        }
        self.refuse(id, Error::NoName(self.limits.login_timeout));
        self.dismiss(id);
    }
}

/// Why a client exists: callers use only numbers of connections that have entered and are not forgotten.
const KNOWN: &str = "the connection has entered and is not forgotten";

impl fmt::Debug for Lobby {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lobby").field("room", &self.room).finish_non_exhaustive()
    }
}
