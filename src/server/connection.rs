//! A socket and its readiness; what is said over it is the room's business.

use std::io::{self, IoSlice};
use std::time::Duration;

use crate::room::{Attention, Id, Room};

/// How many slices one write gathers at most.
const MAX_SLICES: usize = 16;

/// What a connection needs of its socket, which must not block. A test has sockets of its own.
pub trait Socket {
    /// Takes bytes that have arrived: none only at the end of input.
    ///
    /// # Errors
    /// `WouldBlock` where nothing has arrived; any other one is the end of the connection.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Gives bytes away; answers how many.
    ///
    /// # Errors
    /// `WouldBlock` where none are taken now; any other one is the end of the connection.
    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Ends the writing side, what was written being still delivered.
    ///
    /// # Errors
    /// Where there is no peer any more.
    fn shut_down_writing(&mut self) -> io::Result<()>;

    /// Lets the connection end as a broken one when it is closed, for a peer that has not got everything: no torn line
    /// is to look like a last one.
    fn abort(&mut self);
}

/// One connection.
///
/// Events only ever set `readable` and `writable`; only the socket's own `WouldBlock` clears them. That is what edge
/// triggered readiness asks for.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)] // Each is a fact of its own about the socket.
pub struct Connection<S> {
    socket: S,
    /// Whether it is on the list of connections to be read.
    pub(super) queued: bool,
    readable: bool,
    writable: bool,
    /// Whether all input has been read.
    ended: bool,
    /// Whether a write has failed: what the peer sent before can still be read.
    broken: bool,
    /// Whether the writing side has been shut down, everything being delivered.
    pub(super) finished: bool,
}

/// What a connection is in for after it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// There may be more, now or once it may be listened to.
    Unread,
    /// There is nothing more until the next event.
    Drained,
}

impl<S: Socket> Connection<S> {
    /// A connection that was just accepted. Nothing is known of it yet, so reading and writing are tried.
    pub fn new(socket: S) -> Connection<S> {
        Connection {
            socket,
            queued: true,
            readable: true,
            writable: true,
            ended: false,
            broken: false,
            finished: false,
        }
    }

    /// What is at the other end.
    pub fn socket(&self) -> &S {
        &self.socket
    }

    /// What is left of it.
    pub fn into_socket(self) -> S {
        self.socket
    }

    /// Notes what an event says.
    pub fn note(&mut self, readable: bool, writable: bool) {
        self.readable |= readable;
        self.writable |= writable && !self.broken;
    }

    /// Reads what has arrived, as far as the room listens, and no more than fits into `scratch`: that is the most that
    /// one connection is read in one turn.
    pub fn read(&mut self, id: Id, room: &mut Room, scratch: &mut [u8], now: Duration) -> Reading {
        let mut budget = scratch.len();
        loop {
            let attention = room.attention(id, now);
            if matches!(attention, Attention::Later | Attention::At(_)) {
                return Reading::Unread;
            }
            if room.is_waiting(id) {
                room.hear(id, &[], now);
                continue;
            }
            if !self.readable {
                return Reading::Drained;
            }
            if budget == 0 {
                return Reading::Unread;
            }
            match self.socket.read(&mut scratch[..budget]) {
                Ok(0) => {
                    self.readable = false;
                    self.ended = true;
                    if self.broken { room.lose(id, now) } else { room.end_input(id, now) }
                }
                Ok(count) => {
                    budget -= count;
                    if attention == Attention::Now {
                        room.hear(id, &scratch[..count], now);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable = false,
                Err(_) => {
                    self.readable = false;
                    self.writable = false;
                    self.broken = true;
                    self.ended = true;
                    room.lose(id, now);
                }
            }
        }
    }

    /// Writes what the room owes, until that is all or the socket takes no more.
    pub fn write(&mut self, id: Id, room: &mut Room, now: Duration) {
        while self.writable && room.is_pending(id) {
            match self.write_some(id, room) {
                Ok(count) => room.take(id, count, now),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.writable = false;
                    room.block(id, now);
                }
                Err(_) => {
                    self.writable = false;
                    self.broken = true;
                    self.readable = true;
                    room.cut_off(id);
                }
            }
        }
    }

    /// Whether there is something to read, or the end of it to be noticed.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.readable
    }

    /// Ends the writing side, everything being delivered. Answers whether the peer still has to end its own: closing
    /// before that would reset the connection, and the peer could lose what it has not read.
    pub fn finish(&mut self) -> bool {
        self.finished = true;
        !self.is_over() && self.socket.shut_down_writing().is_ok()
    }

    /// Ends the connection with something undelivered, and lets the peer know.
    pub fn abort(&mut self) {
        self.finished = true;
        self.socket.abort();
    }

    /// Whether nothing more can come from the peer.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.ended || self.broken
    }

    fn write_some(&mut self, id: Id, room: &Room) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let mut count = 0;
        for (slice, chunk) in slices.iter_mut().zip(room.chunks(id)) {
            *slice = IoSlice::new(chunk);
            count += 1;
        }
        self.socket.write(&slices[..count])
    }
}
