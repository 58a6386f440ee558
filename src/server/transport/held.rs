//! What a layer has read before it was known what the peer speaks.

use std::io;

use super::Socket;

/// The first bytes of a connection.
#[derive(Debug, Default)]
pub struct Held(Vec<u8>);

impl Held {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Reads more, behind them. Returns all of them, and how many have come.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn read_on<'a>(&self, socket: &mut impl Socket, buffer: &'a mut [u8]) -> io::Result<(&'a mut [u8], usize)> {
        let before = self.0.len();
        buffer[..before].copy_from_slice(&self.0);
        let count = socket.read(&mut buffer[before..])?;
        Ok((&mut buffer[..before + count], count))
    }

    /// Holds these from now on.
    pub fn hold(&mut self, bytes: &[u8]) {
        self.0 = bytes.to_vec();
    }

    /// Reads as if nothing had been held: first what is.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn read(&mut self, socket: &mut impl Socket, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() {
            return socket.read(buffer);
        }
        let bytes = std::mem::take(&mut self.0);
        buffer[..bytes.len()].copy_from_slice(&bytes);
        Ok(bytes.len())
    }
}
