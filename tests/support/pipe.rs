//! Sockets without a network: the test says what arrives, and how much is taken.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::time::Duration;

use gotcp::room::place::Place;
use gotcp::server::reactor::Reactor;
use gotcp::server::transport::Socket;
use mio::Token;

/// One connection as the network sees it.
#[derive(Default)]
#[allow(clippy::struct_excessive_bools)] // Each is a fact of its own about the connection.
pub struct Pipe {
    /// What has arrived at the server and waits to be read.
    pub to_server: VecDeque<u8>,
    /// Whether the peer will send nothing more.
    pub ended: bool,
    /// Whether the connection has broken, as far as the server can tell.
    pub reset: bool,
    /// How many bytes the server may write before its socket takes no more.
    pub window: usize,
    /// The most that one read or write moves.
    pub grain: usize,
    /// Whether the server was told that the socket takes no more, and has not been told otherwise.
    pub refused: bool,
    /// What the server has written.
    pub from_server: Vec<u8>,
    /// How many bytes the server has read.
    pub consumed: usize,
    /// Whether the server will write nothing more.
    pub finished: bool,
    /// Whether the server has closed it.
    pub closed: bool,
}

impl Pipe {
    /// Connects to a server that has room for it. `wrap` makes the server's socket of its end.
    pub fn connect<S: Socket>(
        self,
        reactor: &mut Reactor<S>,
        now: Duration,
        wrap: impl FnOnce(Wire) -> S,
    ) -> (Token, Rc<RefCell<Pipe>>) {
        let pipe = Rc::new(RefCell::new(self));
        let socket = wrap(Wire(Rc::clone(&pipe)));
        let token = reactor.admit(Place::LOCALHOST, now, |_| Ok::<_, ()>(socket));
        (token.expect("this socket opens").expect("there is room"), pipe)
    }
}

/// The server's end of a pipe: a socket.
pub struct Wire(Rc<RefCell<Pipe>>);

impl Socket for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let pipe = &mut *self.0.borrow_mut();
        let count = buffer.len().min(pipe.to_server.len()).min(pipe.grain);
        if count > 0 {
            buffer.iter_mut().zip(pipe.to_server.drain(..count)).for_each(|(to, from)| *to = from);
            pipe.consumed += count;
            return Ok(count);
        }
        match (pipe.reset, pipe.ended) {
            (true, _) => Err(io::ErrorKind::ConnectionReset.into()),
            (false, true) => Ok(0),
            (false, false) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let pipe = &mut *self.0.borrow_mut();
        assert!(!pipe.finished, "nothing is written after the end");
        assert!(slices.iter().any(|slice| !slice.is_empty()), "an empty write is never tried");
        if pipe.reset {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if pipe.window == 0 {
            pipe.refused = true;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let limit = pipe.window.min(pipe.grain);
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter()).copied().take(limit).collect();
        pipe.window -= bytes.len();
        pipe.from_server.extend_from_slice(&bytes);
        Ok(bytes.len())
    }

    fn is_sent(&mut self) -> io::Result<bool> {
        Ok(true)
    }

    fn shut_down_writing(&mut self) -> io::Result<()> {
        self.0.borrow_mut().finished = true;
        Ok(())
    }

    fn abort(&mut self) {
        self.0.borrow_mut().finished = true;
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.0.borrow_mut().closed = true;
    }
}
