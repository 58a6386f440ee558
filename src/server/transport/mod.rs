//! From sockets to the bytes of the protocol.
//!
//! Each layer is a socket around a socket. It looks at the first bytes that arrive, and is nothing more than what it wraps
//! if they are not for it:
//!
//! ```text
//!   plain::Peer ── tls::Tls ── web::Web ──── the bytes of the protocol
//!   TCP            TLS, or     WebSocket,
//!                  nothing     or nothing
//! ```
//!
//! A plain client waits to be greeted; one that speaks TLS or HTTP speaks first. So a server that takes either waits a
//! moment before it greets.

mod held;
pub mod plain;
pub mod tls;
mod unsent;
pub mod web;

use std::io::{self, IoSlice};

use crate::lobby::client::Link;

/// The socket of a connection of the server.
pub type Transport = web::Web<tls::Tls<plain::Peer>>;

/// The largest buffer that a layer needs for reading, in bytes: see [`Socket::least_buffer`].
pub const LARGEST_BUFFER: usize = tls::session::RECORD + web::http::MAX_REQUEST;

/// How many slices one write of a connection has at most.
pub const MAX_SLICES: usize = 16;

/// What a connection needs of its socket, which must not block. Tests have sockets of their own.
pub trait Socket {
    /// How its bytes come, once that is known. Before, nothing can be written.
    fn link(&self) -> Option<Link> {
        Some(Link::Plain)
    }

    /// The peer has said nothing for a while: it is one that waits to be greeted. Called again until it is known.
    fn assume_plain(&mut self) {}

    /// Whether the next read may cost as much as thousands of others.
    fn is_costly(&self) -> bool {
        false
    }

    /// The smallest buffer into which it can read, in bytes.
    fn least_buffer(&self) -> usize {
        1
    }

    /// Whether it has taken bytes that it has not passed on yet.
    fn is_behind(&self) -> bool {
        false
    }

    /// Passes on what it has taken.
    ///
    /// # Errors
    /// `WouldBlock` if not all of it is taken now; any other error ends the connection.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Has it say something that means nothing, so that whoever is between sees that it is alive. Returns whether it is of a
    /// kind for which that has to be done.
    fn keep_alive(&mut self) -> bool {
        false
    }

    /// Reads bytes that have arrived; returns 0 only at the end of input.
    ///
    /// # Errors
    /// `WouldBlock` if nothing has arrived, `Interrupted` if it is to be called again; any other error ends the
    /// connection.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes bytes; returns how many the socket took. A connection gives a layer at most [`MAX_SLICES`], and a layer may
    /// give the one below it more.
    ///
    /// # Errors
    /// `WouldBlock` if it takes none now; any other error ends the connection.
    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Says that nothing more comes, where a layer has words for that; nothing may be written afterwards. Returns whether the
    /// network has taken everything that was written. If not, the socket becomes writable once it has.
    ///
    /// # Errors
    /// Where there is no peer any more.
    fn is_sent(&mut self) -> io::Result<bool>;

    /// Ends the writing side; what was written is still delivered.
    ///
    /// # Errors
    /// Where there is no peer any more.
    fn shut_down_writing(&mut self) -> io::Result<()>;

    /// Makes closing the socket reset the connection, for a peer that has not been sent everything: a torn line must
    /// not look like a last one.
    fn abort(&mut self);
}

/// Whether a socket that refuses now may do it later.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
