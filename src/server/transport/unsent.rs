//! What a layer has taken, and the socket below has not.

use std::io::{self, IoSlice};

use super::Socket;

/// Bytes on their way. It has no memory while there are none.
#[derive(Debug, Default)]
pub struct Unsent {
    bytes: Vec<u8>,
    /// How many of them are sent.
    sent: usize,
}

impl Unsent {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sent == self.bytes.len()
    }

    /// Adds some at the end.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Writes them.
    ///
    /// # Errors
    /// Those of the socket, `WouldBlock` if it did not take all of them.
    pub fn flush(&mut self, socket: &mut impl Socket) -> io::Result<()> {
        while !self.is_empty() {
            self.sent += socket.write(&[IoSlice::new(&self.bytes[self.sent..])])?;
        }
        if self.sent > 0 {
            *self = Unsent::default();
        }
        Ok(())
    }
}
