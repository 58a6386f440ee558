//! A socket without a network: the fuzzer says what arrives, and how much is taken.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Read};
use std::rc::Rc;

use gotcp::server::transport::Socket;

/// What is between a server and its peer.
#[derive(Default)]
pub struct Ends {
    /// What has arrived at the server.
    pub to_server: VecDeque<u8>,
    /// What the server has written.
    pub from_server: VecDeque<u8>,
    /// How many bytes it may write before its socket takes no more.
    pub window: usize,
}

/// The server's end: a socket.
pub struct Wire(pub Rc<RefCell<Ends>>);

impl Socket for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let arrived = &mut self.0.borrow_mut().to_server;
        match arrived.read(buffer)? {
            0 => Err(ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let Ends { from_server, window, .. } = &mut *self.0.borrow_mut();
        let before = *window;
        for byte in slices.iter().flat_map(|slice| slice.iter()) {
            if *window > 0 {
                from_server.push_back(*byte);
                *window -= 1;
            }
        }
        if before == *window { Err(ErrorKind::WouldBlock.into()) } else { Ok(before - *window) }
    }

    fn is_sent(&mut self) -> io::Result<bool> {
        Ok(true)
    }

    fn shut_down_writing(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn abort(&mut self) {}
}
