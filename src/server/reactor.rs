//! One turn of the loop, apart from the waiting: which connections to read, which to write to, and which are gone.

use std::collections::VecDeque;
use std::time::Duration;

use mio::Token;

use super::connection::{Connection, Ending, Reading};
use super::deadlines::Deadlines;
use super::slots::{self, Slots};
use super::transport::{LARGEST_BUFFER, Socket};
use crate::lobby::access::Entrance;
use crate::lobby::{ClientId, Lobby, Readiness};
use crate::room::place::Place;

/// How long a peer may take to close its side once everything was sent to it.
pub const LINGER: Duration = Duration::from_secs(1);

/// How long a peer that has said nothing is not greeted, where it might speak something else.
pub const SILENCE: Duration = Duration::from_millis(200);

/// The time between two signs of life: some proxies close what is silent for a minute.
pub const HEARTBEAT: Duration = Duration::from_secs(45);

/// How many steps of handshakes are taken in one turn: each costs as much as sending to twenty people.
const COSTLY_STEPS: usize = 64;

/// The pause between two waves, for each reader: eight times what a wave costs.
const PAUSE_PER_READER: Duration = Duration::from_micros(40);
/// So many bytes to say end a pause: a larger write is not cheaper.
const FULL_WAVE: u64 = 64 * 1024;
/// The poll waits for whole milliseconds, and rather longer than it was told: the longest pause is shorter by that, so
/// that nobody waits longer than was promised.
const POLL_GRAIN: Duration = Duration::from_millis(1);

/// A lobby and its connections.
///
/// Sockets are a trait, [`Socket`], and readiness and the time are arguments, so that a test can run any schedule.
#[derive(Debug)]
pub struct Reactor<S> {
    /// What the lines of the connections mean.
    pub lobby: Lobby,
    connections: Slots<Connection<S>>,
    /// The buffer into which every socket is read.
    scratch: Vec<u8>,
    /// How much of one connection is read in one turn, in bytes.
    read_budget: usize,
    /// By when connections of which it is not known what they speak are taken for plain ones.
    silent: Deadlines,
    /// By when they are given up.
    unopened: Deadlines,
    /// When connections have to show that they are alive.
    quiet: Deadlines,
    /// Connections that may have something to be read or processed.
    to_read: VecDeque<Token>,
    /// Connections that may have something to be written, apart from public lines.
    to_write: Vec<Token>,
    /// The position up to which every connection has been written to once.
    flushed: u64,
    /// The longest pause between two waves.
    gather: Duration,
    /// When the next wave may begin.
    next_wave: Duration,
    /// Whether the latest turn had a wave.
    has_waved: bool,
    /// By when the network has to have taken what was written last.
    sending: Deadlines,
    /// By when the peer has to have closed its side then.
    lingering: Deadlines,
    /// How long the network may take for the last bytes.
    send_timeout: Duration,
    /// Connections with nothing left to do.
    over: Vec<Token>,
}

impl<S: Socket> Reactor<S> {
    /// No connections yet. At most `read_budget` bytes are read from each of them in one turn, so that a flood does not
    /// keep the others waiting. A line waits for others, to be written with them, for at most `gather`. When a connection
    /// ends, the network may take `send_timeout` for its last bytes.
    #[must_use]
    pub fn new(lobby: Lobby, read_budget: usize, gather: Duration, send_timeout: Duration) -> Reactor<S> {
        let end = lobby.room().scrollback().end();
        Reactor {
            lobby,
            connections: Slots::default(),
            scratch: vec![0; read_budget.max(LARGEST_BUFFER)],
            read_budget,
            silent: Deadlines::default(),
            unopened: Deadlines::default(),
            quiet: Deadlines::default(),
            to_read: VecDeque::new(),
            to_write: Vec::new(),
            flushed: end,
            gather,
            next_wave: Duration::ZERO,
            has_waved: false,
            sending: Deadlines::default(),
            lingering: Deadlines::default(),
            send_timeout,
            over: Vec::new(),
        }
    }

    /// A new connection from a place. `open` registers its socket for events with the token that it is given. `None` if
    /// the connection is closed at once.
    ///
    /// # Errors
    /// Those of `open`.
    pub fn admit<E>(
        &mut self,
        place: Place,
        now: Duration,
        open: impl FnOnce(Token) -> Result<S, E>,
    ) -> Result<Option<Token>, E> {
        let entrance = self.lobby.entrance(place, now);
        if entrance == Entrance::Shut {
            self.lobby.note_shut();
            return Ok(None);
        }
        let token = self.connections.try_insert(|token| open(token).map(Connection::new))?;
        self.lobby.enter(client(token), place, entrance, now);
        let connection = self.connections.get_mut(token).expect("it was just inserted");
        connection.greet(client(token), &mut self.lobby, now);
        if !connection.is_greeted {
            self.silent.set(now + SILENCE, token, &self.connections);
            self.unopened.set(now + self.lobby.login_timeout(), token, &self.connections);
            self.quiet.set(now + HEARTBEAT, token, &self.connections);
        }
        self.to_read.push_back(token);
        Ok(Some(token))
    }

    /// Notes that a socket may have become readable or writable.
    pub fn note(&mut self, token: Token, readable: bool, writable: bool) {
        // The event may be for a connection that is gone.
        if let Some(connection) = self.connections.get_mut(token) {
            connection.note(readable, writable);
            self.to_write.push(token);
            self.queue(token);
        }
    }

    /// Runs one turn: reads, writes to everyone once, and ends the turn.
    ///
    /// `looked_at` is a moment before the sockets were polled. Deadlines are compared with it and not with `now`:
    /// whatever a peer did before it has been seen, so nobody is disconnected although their input was waiting.
    pub fn turn(&mut self, looked_at: Duration, now: Duration) {
        self.read(now);
        self.greet_silent(looked_at, now);
        self.keep_alive(now);
        self.flush(now);
        self.lobby.end_turn(looked_at);
    }

    /// When the next turn has to begin even if nothing happens. The latest one ended at `now`.
    pub fn wake_at(&mut self, now: Duration) -> Option<Duration> {
        if std::mem::take(&mut self.has_waved) {
            self.next_wave = now + self.pause();
        }
        let unread = self.to_read.iter().filter_map(|&token| {
            let connection = self.connections.get_mut(token)?;
            match connection.readiness(client(token), &mut self.lobby, now) {
                Readiness::Now | Readiness::Never => Some(now),
                Readiness::At(at) => Some(at),
                Readiness::Later => None,
            }
        });
        let unread = unread.min();
        for list in [&mut self.silent, &mut self.unopened] {
            let connections = &mut self.connections;
            let is_unopened = |connection: &mut Connection<S>| !connection.is_greeted;
            list.drop_while(|token| !connections.get_mut(token).is_some_and(is_unopened));
        }
        let wave = (self.flushed < self.lobby.room().scrollback().end()).then_some(self.next_wave);
        self.quiet.drop_while(|token| !self.connections.contains(token));
        let ends = [&self.silent, &self.unopened, &self.quiet, &self.sending, &self.lingering].map(Deadlines::first);
        [unread, wave, self.lobby.wake_at()].into_iter().chain(ends).flatten().min()
    }

    /// Frees the slots of connections that have ended, and hands their sockets over. It is done here and nowhere else,
    /// so that within a turn a token means one connection.
    pub fn reap(&mut self, now: Duration, mut gone: impl FnMut(S)) {
        while let Some(token) = self.sending.next_due(now) {
            if let Some(connection) = self.connections.get_mut(token)
                && connection.ending == Ending::Sending
            {
                connection.abort();
                self.over.push(token);
            }
        }
        while let Some(token) = self.lingering.next_due(now) {
            self.over.push(token);
        }
        for token in self.over.drain(..) {
            if let Some(connection) = self.connections.remove(token) {
                self.lobby.forget(client(token));
                gone(connection.into_socket());
            }
        }
    }

    /// Aborts every connection that has not been sent everything. There is no time left to wait.
    pub fn abort(&mut self) {
        for connection in self.connections.iter_mut().filter(|connection| connection.ending != Ending::Finished) {
            connection.abort();
        }
    }

    /// How many connections there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.connections.len()
    }

    /// Whether there is no connection.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    /// The socket of a connection.
    #[must_use]
    pub fn socket(&self, id: ClientId) -> Option<&S> {
        self.connections.at(id.0).map(Connection::socket)
    }

    /// Reads from every connection on the list, each within its budget. Those with more to read stay on it, and those
    /// that had to wait come first: a turn appends only a limited amount, and the same connections must not use it up
    /// every time.
    fn read(&mut self, now: Duration) {
        let mut waiting = Vec::new();
        let mut costly = COSTLY_STEPS;
        for _ in 0..self.to_read.len() {
            let Some(token) = self.to_read.pop_front() else { break };
            let Some(connection) = self.connections.get_mut(token) else { continue };
            let room = (&mut self.scratch[..], self.read_budget);
            match connection.read(client(token), &mut self.lobby, room, &mut costly, now) {
                Reading::Unread => self.to_read.push_back(token),
                Reading::Waiting => waiting.push(token),
                Reading::Drained => connection.queued = false,
            }
            if connection.is_over() && (connection.ending != Ending::No || !connection.is_greeted) {
                self.over.push(token);
            }
            // A handshake has steps of its own.
            if connection.is_behind() {
                self.to_write.push(token);
            }
        }
        waiting.into_iter().rev().for_each(|token| self.to_read.push_front(token));
    }

    /// Greets those who wait for it, and gives up those who do not come to an end of their handshake, or whom nothing can
    /// be said to any more.
    fn greet_silent(&mut self, looked_at: Duration, now: Duration) {
        while let Some(token) = self.silent.next_due(looked_at) {
            if let Some(connection) = self.connections.get_mut(token)
                && !connection.is_greeted
            {
                connection.assume_plain();
                connection.greet(client(token), &mut self.lobby, now);
                if !connection.is_greeted {
                    self.silent.set(now + SILENCE, token, &self.connections);
                }
                self.queue(token);
            }
        }
        let given_up = if self.lobby.is_stopping() { Duration::MAX } else { looked_at };
        while let Some(token) = self.unopened.next_due(given_up) {
            if let Some(connection) = self.connections.get_mut(token)
                && !connection.is_greeted
            {
                connection.abort();
                self.lobby.lose(client(token));
                self.over.push(token);
            }
        }
    }

    /// Has connections show that they are alive.
    fn keep_alive(&mut self, now: Duration) {
        while let Some(token) = self.quiet.next_due(now) {
            if let Some(connection) = self.connections.get_mut(token)
                && connection.ending == Ending::No
                && connection.keep_alive()
            {
                self.to_write.push(token);
                self.quiet.set(now + HEARTBEAT, token, &self.connections);
            }
        }
    }

    /// Writes to every connection once if there are new public lines and it is time for the next wave. Otherwise it
    /// writes only to those that may have something to be written; and while new public lines wait for company, only to
    /// those of them that have more to be written than these.
    fn flush(&mut self, now: Duration) {
        self.to_write.extend(self.lobby.drain_touched().filter_map(|id| self.connections.token_at(id.0)));
        let mut tokens = std::mem::take(&mut self.to_write);
        let end = self.lobby.room().scrollback().end();
        if self.is_wave_due(end, now) {
            self.lobby.note_wave();
            self.flushed = end;
            self.has_waved = true;
            tokens.clear();
            for index in 0..self.connections.bound() {
                if let Some(token) = self.connections.token_at(index) {
                    self.flush_one(token, now);
                }
            }
        }
        for token in tokens.drain(..) {
            if self.flushed == end || self.lobby.owes_more_than(client(token), self.flushed) {
                self.flush_one(token, now);
            } else {
                self.queue(token);
            }
        }
        self.to_write = tokens;
    }

    /// Whether everybody is to be written what was said up to `end`.
    fn is_wave_due(&self, end: u64, now: Duration) -> bool {
        // A reader whose socket takes everything must not fall behind further than one that is blocked may.
        let is_full = end - self.flushed >= FULL_WAVE.min(self.lobby.longest_turn());
        self.flushed < end && (self.next_wave <= now || is_full || self.lobby.is_stopping())
    }

    /// The pause after a wave. What a wave costs, it costs whatever it carries: so the more readers there are, the more
    /// company a line is worth waiting for. Waves take about a ninth of the time, until the longest pause is too short for
    /// that; and where many come at once, those who come in a pause are told of in one wave.
    fn pause(&self) -> Duration {
        // Whoever has no name yet is sent nothing in a wave.
        let readers = u32::try_from(self.lobby.room().roster().online()).unwrap_or(u32::MAX);
        PAUSE_PER_READER.saturating_mul(readers).min(self.gather.saturating_sub(POLL_GRAIN))
    }

    /// Writes to one connection, and ends it once everything is written.
    fn flush_one(&mut self, token: Token, now: Duration) {
        let Some(connection) = self.connections.get_mut(token) else { return };
        let id = client(token);
        connection.write(id, &mut self.lobby, now);
        let is_next = match connection.ending {
            Ending::No => connection.is_greeted && self.lobby.is_done(id),
            Ending::Sending => connection.is_writable(),
            Ending::Finished => false,
        };
        if is_next {
            self.end(token, now);
        }
        self.queue(token);
    }

    /// Takes the end of a connection to which everything is written one step further.
    fn end(&mut self, token: Token, now: Duration) {
        let Some(connection) = self.connections.get_mut(token) else { return };
        let was_sending = connection.ending == Ending::Sending;
        if self.lobby.is_cut_off(client(token)) {
            connection.abort();
            self.over.push(token);
        } else if connection.finish() == Ending::Sending {
            if !was_sending {
                self.sending.set(now + self.send_timeout, token, &self.connections);
            }
        } else if connection.is_over() {
            self.over.push(token);
        } else {
            self.lingering.set(now + LINGER, token, &self.connections);
        }
    }

    /// Puts a connection on the list of those to be read, if there may be something to read.
    fn queue(&mut self, token: Token) {
        if let Some(connection) = self.connections.get_mut(token)
            && connection.is_readable()
            && !std::mem::replace(&mut connection.queued, true)
        {
            self.to_read.push_back(token);
        }
    }
}

/// The number that the lobby knows a connection by.
fn client(token: Token) -> ClientId {
    ClientId(slots::index(token))
}
