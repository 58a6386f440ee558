//! A connection to a server, as it is or in TLS, that never waits.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown};

use mio::net::TcpStream;
use rustls::{ClientConnection, StreamOwned};

/// What the conversation goes over.
pub enum Stream {
    /// Plain text.
    Plain(TcpStream),
    /// TLS, its handshake done.
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    /// Whether nobody can read along.
    #[must_use]
    pub fn is_confidential(&self) -> bool {
        match self {
            Stream::Plain(socket) => socket.peer_addr().is_ok_and(|peer| is_this_machine(peer.ip())),
            Stream::Tls(_) => true,
        }
    }

    /// Reads what has arrived. 0 bytes are the end.
    ///
    /// # Errors
    /// `WouldBlock` if nothing has; any other ends the connection.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.read(buffer),
            Stream::Tls(tls) => tls.read(buffer),
        }
    }

    /// Takes bytes to be sent; returns how many.
    ///
    /// # Errors
    /// `WouldBlock` if none can be taken now; any other ends the connection.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.write(bytes),
            Stream::Tls(tls) => match tls.write(bytes)? {
                0 => Err(ErrorKind::WouldBlock.into()),
                count => Ok(count),
            },
        }
    }

    /// Sends what was taken.
    ///
    /// # Errors
    /// `WouldBlock` if not all of it can be sent now; any other ends the connection.
    pub fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(_) => Ok(()),
            Stream::Tls(tls) => {
                while tls.conn.wants_write() {
                    tls.conn.write_tls(&mut tls.sock)?;
                }
                Ok(())
            }
        }
    }

    /// Says that nothing more will be sent.
    pub fn finish(&mut self) {
        let socket = match self {
            Stream::Plain(socket) => socket,
            Stream::Tls(tls) => {
                tls.conn.send_close_notify();
                // If the network does not take it now, the end of what was sent says it as well.
                let _ = tls.conn.write_tls(&mut tls.sock);
                &mut tls.sock
            }
        };
        // A connection that is gone has nobody to tell.
        let _ = socket.shutdown(Shutdown::Write);
    }
}

fn is_this_machine(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}
