//! A socket, its readiness and its lines; what they mean is the lobby's business.

use std::io::{self, IoSlice};
use std::time::Duration;

use super::transport::{MAX_SLICES, Socket};
use crate::lobby::client::End;
use crate::lobby::{ClientId, Lobby, Readiness};
use crate::protocol::line::LineBuffer;

/// One connection.
///
/// Events only ever set `readable` and `writable`; only the socket's own `WouldBlock` clears them. Edge-triggered
/// readiness requires that.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)] // Each is a fact of its own about the socket.
pub struct Connection<S> {
    socket: S,
    /// What was read and has not been processed: at most one unfinished line, and whole lines that have to wait.
    input: LineBuffer,
    /// Whether it is known how its bytes come, and it was greeted.
    pub(super) is_greeted: bool,
    /// Whether it is on the list of connections to be read.
    pub(super) queued: bool,
    readable: bool,
    writable: bool,
    /// How the input ended, once all of it has been read.
    end: Option<End>,
    /// Whether a write has failed: what the peer sent before can still be read.
    broken: bool,
    /// How far the end of the connection has come.
    pub(super) ending: Ending,
}

/// How far the end of a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// There may be more to be written.
    No,
    /// Everything is written, and the network has not taken all of it yet.
    Sending,
    /// The writing side is shut down, or the connection aborted.
    Finished,
}

/// What came of reading a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// There may be more.
    Unread,
    /// There is more, but none of it may be processed now.
    Waiting,
    /// There is nothing more until the next event.
    Drained,
}

impl<S: Socket> Connection<S> {
    /// A connection that was just accepted. Its readiness is unknown, so reading and writing are tried.
    pub fn new(socket: S) -> Connection<S> {
        Connection {
            socket,
            input: LineBuffer::default(),
            is_greeted: false,
            queued: true,
            readable: true,
            writable: true,
            end: None,
            broken: false,
            ending: Ending::No,
        }
    }

    /// What is at the other end.
    pub fn socket(&self) -> &S {
        &self.socket
    }

    /// The socket, once the connection is over.
    pub fn into_socket(self) -> S {
        self.socket
    }

    /// Notes what an event says.
    pub fn note(&mut self, readable: bool, writable: bool) {
        self.readable |= readable;
        self.writable |= writable && !self.broken;
    }

    /// Whether and when what was read may be processed.
    pub fn readiness(&self, id: ClientId, lobby: &mut Lobby, now: Duration) -> Readiness {
        let unfinished = || self.end.and(self.input.unfinished());
        let pending = self.input.pending(lobby.max_line()).or_else(unfinished);
        let is_at_end = self.end.is_some() && pending.is_none();
        match lobby.readiness(id, pending, now) {
            Readiness::Now if is_at_end && !lobby.is_settled(id) => Readiness::Later,
            readiness => readiness,
        }
    }

    /// Greets the peer, if it is known how its bytes come and it has not been greeted.
    pub fn greet(&mut self, id: ClientId, lobby: &mut Lobby, now: Duration) {
        if !self.is_greeted
            && let Some(link) = self.socket.link()
        {
            self.is_greeted = true;
            lobby.greet(id, link, now);
        }
    }

    /// Has it say that it is alive, if it is of a kind that has to. Returns whether it is, or that is not known.
    pub fn keep_alive(&mut self) -> bool {
        !self.is_greeted || self.socket.keep_alive()
    }

    /// The peer has said nothing for a while, and waits to be greeted.
    pub fn assume_plain(&mut self) {
        self.socket.assume_plain();
        self.readable = true;
    }

    /// Reads and processes what has arrived, as far as the lobby takes it. What one connection may read in one turn is
    /// limited by `budget`, in bytes; and what all of them may do that costs far more, by the `costly` steps that are
    /// left.
    pub fn read(
        &mut self,
        id: ClientId,
        lobby: &mut Lobby,
        (scratch, mut budget): (&mut [u8], usize),
        costly: &mut usize,
        now: Duration,
    ) -> Reading {
        let mut left = Reading::Waiting;
        loop {
            match self.readiness(id, lobby, now) {
                Readiness::At(_) | Readiness::Later => {
                    if self.input.has_line() {
                        lobby.hold_back(id, now);
                    }
                    return left;
                }
                Readiness::Never => self.input = LineBuffer::default(),
                Readiness::Now if self.input.has_line() => {
                    self.process(id, &[], lobby, now);
                    left = Reading::Unread;
                    continue;
                }
                Readiness::Now => {
                    if let Some(end) = self.end {
                        if let Some(rest) = self.input.finish() {
                            lobby.handle_rest(id, end, &rest, now);
                            continue;
                        }
                        lobby.end_input(id, end, now);
                        return Reading::Drained;
                    }
                }
            }
            left = Reading::Unread;
            if !self.readable {
                return Reading::Drained;
            }
            if budget == 0 {
                return left;
            }
            if self.socket.is_costly() {
                match costly.checked_sub(1) {
                    Some(rest) => *costly = rest,
                    None => return Reading::Waiting,
                }
            }
            let outcome = self.socket.read(&mut scratch[..budget.max(self.socket.least_buffer())]);
            self.greet(id, lobby, now);
            match outcome {
                Ok(0) => {
                    self.readable = false;
                    self.end = Some(if self.broken { End::Lost } else { End::Closed });
                }
                Ok(count) => {
                    budget = budget.saturating_sub(count);
                    // Input after the end is dropped; but it has to be read, or closing would reset the connection.
                    if !lobby.is_closing(id) {
                        self.process(id, &scratch[..count], lobby, now);
                    }
                }
                // However often that happens, others get their turn.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => budget /= 2,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable = false,
                Err(_) => {
                    self.readable = false;
                    self.writable = false;
                    self.broken = true;
                    self.end = Some(End::Lost);
                    lobby.lose(id);
                }
            }
        }
    }

    /// Writes until everything is written or the socket takes no more.
    pub fn write(&mut self, id: ClientId, lobby: &mut Lobby, now: Duration) {
        while self.writable {
            let is_pending = self.is_greeted && lobby.is_pending(id);
            let outcome = if is_pending {
                self.write_some(id, lobby).map(|count| lobby.take(id, count, now))
            } else if self.socket.is_behind() {
                self.socket.flush()
            } else {
                return;
            };
            match outcome {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.writable = false;
                    if is_pending {
                        lobby.block(id, now);
                    }
                }
                Err(_) => {
                    // What the peer sent before can still be read.
                    self.readable = true;
                    self.writable = false;
                    self.broken = true;
                    lobby.cut_off(id);
                }
            }
        }
    }

    /// Whether the socket has taken bytes that it has not passed on yet.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.socket.is_behind()
    }

    /// Whether there may be input, or the end of it, to be read.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.readable
    }

    /// Whether the socket may take something.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.writable
    }

    /// Called when everything is written: shuts down the writing side as soon as the network has taken it. Closing
    /// before that would discard it if the peer sends anything more.
    pub fn finish(&mut self) -> Ending {
        self.ending = match self.socket.is_sent() {
            Ok(false) if !self.is_over() => {
                self.writable = false;
                Ending::Sending
            }
            _ => {
                // If that fails, the peer is gone.
                self.broken |= self.socket.shut_down_writing().is_err();
                Ending::Finished
            }
        };
        self.ending
    }

    /// Ends the connection with something undelivered: the peer sees a reset.
    pub fn abort(&mut self) {
        self.ending = Ending::Finished;
        self.socket.abort();
    }

    /// Whether nothing more can come from the peer, and nothing is kept here that it could still be sent. (What a socket has
    /// passed on, the kernel delivers.)
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.broken || self.end.is_some() && !self.socket.is_behind()
    }

    /// Passes lines to the lobby, as many as it takes now; the rest is kept.
    fn process(&mut self, id: ClientId, input: &[u8], lobby: &mut Lobby, now: Duration) {
        let mut lines = self.input.split(input, lobby.max_line());
        while let Some(line) = lines.next_if(|line| lobby.may_handle(id, line, now)) {
            lobby.handle_line(id, line, now);
        }
    }

    fn write_some(&mut self, id: ClientId, lobby: &Lobby) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let mut count = 0;
        for (slice, chunk) in slices.iter_mut().zip(lobby.chunks(id)) {
            *slice = IoSlice::new(chunk);
            count += 1;
        }
        self.socket.write(&slices[..count])
    }
}
