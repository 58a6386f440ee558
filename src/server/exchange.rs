//! The connections of a room: who is to be read, who is to be written to, and who is gone.

use std::collections::VecDeque;
use std::time::Duration;

use mio::Token;

use super::connection::{Connection, Reading, Socket};
use super::slots::{self, Slots};
use crate::protocol::notice::Error;
use crate::room::{Attention, Id, Room, SPARE};

/// How long a peer that has been told everything may take to close its side.
pub const LINGER: Duration = Duration::from_secs(1);

/// A room and its connections: the turn of the loop, apart from the waiting.
///
/// It knows sockets only as [`Socket`], and readiness and the time only as what it is told, so that a test can put it
/// through any schedule.
#[derive(Debug)]
pub struct Exchange<S> {
    /// Who is here and what was said.
    pub room: Room,
    connections: Slots<Connection<S>>,
    /// What a socket is read into.
    scratch: Vec<u8>,
    /// Connections that may have something to read, or to be heard.
    to_read: VecDeque<Token>,
    /// Connections that may have something to be written, apart from what is said to everyone.
    to_write: Vec<Token>,
    /// Up to where everyone has been written to once.
    flushed: u64,
    /// Connections that have got everything, in the order in which they did, and when they will be closed at last.
    lingering: VecDeque<(Duration, Token)>,
    /// Connections with nothing left to do.
    over: Vec<Token>,
}

impl<S: Socket> Exchange<S> {
    /// No connections yet. One of them is read at most `read_budget` bytes a turn, so that nobody's flood keeps the
    /// others waiting.
    #[must_use]
    pub fn new(room: Room, read_budget: usize) -> Exchange<S> {
        Exchange {
            room,
            connections: Slots::default(),
            scratch: vec![0; read_budget],
            to_read: VecDeque::new(),
            to_write: Vec::new(),
            flushed: 0,
            lingering: VecDeque::new(),
            over: Vec::new(),
        }
    }

    /// Makes room for so many connections in advance, as [`Room::reserve`] does.
    pub fn reserve(&mut self, connections: usize) {
        self.connections.reserve(connections);
        self.room.reserve(connections);
    }

    /// A new connection, over the socket that `open` makes ready for events with its token. With a `refusal` it is
    /// only told that.
    ///
    /// # Errors
    /// Those of `open`.
    pub fn admit<E>(
        &mut self,
        refusal: Option<Error<'_>>,
        now: Duration,
        open: impl FnOnce(Token) -> Result<S, E>,
    ) -> Result<Token, E> {
        let token = self.connections.try_insert(|token| open(token).map(Connection::new))?;
        match refusal {
            None => self.room.enter(slots::index(token), now),
            Some(error) => self.room.turn_away(slots::index(token), error),
        }
        self.to_read.push_back(token);
        Ok(token)
    }

    /// Notes that a socket may have become readable or writable.
    pub fn note(&mut self, token: Token, readable: bool, writable: bool) {
        // Nothing for a connection that is gone.
        if let Some(connection) = self.connections.get_mut(token) {
            connection.note(readable, writable);
            self.to_write.push(token);
            self.queue(token);
        }
    }

    /// What has become possible is done: reading, then one flush for everyone, then the end of the turn.
    ///
    /// `looked_at` is a moment before the sockets were looked at. Deadlines are held against it and not against `now`:
    /// whatever a peer did before it has been seen, so nobody is thrown out for what there was no time to look at.
    pub fn turn(&mut self, looked_at: Duration, now: Duration) {
        self.read(now);
        self.flush(now);
        self.room.end_turn(looked_at);
    }

    /// When the next turn has to begin though nothing happens.
    pub fn wake_at(&mut self, now: Duration) -> Option<Duration> {
        let unread = self.to_read.iter().filter_map(|&token| {
            self.connections.get_mut(token)?;
            match self.room.attention(slots::index(token), now) {
                Attention::Now | Attention::Never => Some(now),
                Attention::At(at) => Some(at),
                Attention::Later => None,
            }
        });
        let unread = unread.min();
        let lingering = self.lingering.front().map(|&(at, _)| at);
        [unread, lingering, self.room.wake_at()].into_iter().flatten().min()
    }

    /// Frees the slots of connections that have ended, and hands their sockets over. It is done here and nowhere else,
    /// so that within a turn a token means one connection.
    pub fn reap(&mut self, now: Duration, mut gone: impl FnMut(S)) {
        while let Some((_, token)) = self.lingering.pop_front_if(|&mut (at, _)| at <= now) {
            self.over.push(token);
        }
        for token in self.over.drain(..) {
            if let Some(connection) = self.connections.remove(token) {
                self.room.forget(slots::index(token));
                gone(connection.into_socket());
            }
        }
    }

    /// Ends every connection that has not got everything. There is no time left to wait for it.
    pub fn abort(&mut self) {
        for connection in self.connections.iter_mut().filter(|connection| !connection.finished) {
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

    /// The socket of a connection, by the number that the room knows it by.
    #[must_use]
    pub fn socket(&self, id: Id) -> Option<&S> {
        self.connections.at(id).map(Connection::socket)
    }

    /// Reads from every connection that has something to say, each within its budget. What is left stays on the list.
    fn read(&mut self, now: Duration) {
        for _ in 0..self.to_read.len() {
            let Some(token) = self.to_read.pop_front() else { return };
            let Some(connection) = self.connections.get_mut(token) else { continue };
            match connection.read(slots::index(token), &mut self.room, &mut self.scratch, now) {
                Reading::Unread => self.to_read.push_back(token),
                Reading::Drained => connection.queued = false,
            }
            if connection.finished && connection.is_over() {
                self.over.push(token);
            }
        }
    }

    /// Writes to everyone, once, if anything was said to everyone; else to those for whom there may be something.
    fn flush(&mut self, now: Duration) {
        self.to_write.extend(self.room.drain_touched().filter_map(|id| self.connections.token_at(id)));
        let mut tokens = std::mem::take(&mut self.to_write);
        let end = self.room.log().end();
        if std::mem::replace(&mut self.flushed, end) < end {
            tokens.clear();
            for index in 0..self.connections.bound() {
                if let Some(token) = self.connections.token_at(index) {
                    self.flush_one(token, now);
                }
            }
        }
        for token in tokens.drain(..) {
            self.flush_one(token, now);
        }
        tokens.shrink_to(SPARE);
        self.to_write = tokens;
        self.to_read.shrink_to(SPARE);
    }

    /// Writes to one connection, and ends it once it has got everything.
    fn flush_one(&mut self, token: Token, now: Duration) {
        let Some(connection) = self.connections.get_mut(token) else { return };
        let id = slots::index(token);
        connection.write(id, &mut self.room, now);
        if !connection.finished && self.room.is_done(id) {
            if self.room.is_cut_off(id) {
                connection.abort();
                self.over.push(token);
            } else if connection.finish() {
                self.lingering.push_back((now + LINGER, token));
            } else {
                self.over.push(token);
            }
        }
        self.queue(token);
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
