//! The floor: a loop that does nothing but the same reads and writes of the same bytes.
//!
//! All connections share one ring, and in each turn a connection is written all that is new to it. What is read goes
//! into the ring as it is, up to the last whole line: no names, no limits, no notices, no disconnects. That is the cost
//! of the kernel alone, for work that a chat server cannot avoid.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

const LISTENER: Token = Token(usize::MAX);
/// As in the server that is compared with it: the size of the ring, and what is read from a connection in one turn.
const RING: usize = 8 * 1024 * 1024;
const READ: usize = 64 * 1024;
/// Nothing more is read while a reader is this far behind.
const MAX_LAG: u64 = RING as u64 / 2;

struct Connection {
    socket: TcpStream,
    /// How far it has been written; `None` until it has said something.
    cursor: Option<u64>,
    /// The start of a line whose end has not arrived yet.
    unfinished: Vec<u8>,
    readable: bool,
    writable: bool,
}

/// Serves until the process is killed.
pub fn serve(address: SocketAddr) -> io::Result<Infallible> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(32 * 1024);
    let std_listener = std::net::TcpListener::bind(address)?;
    std_listener.set_nonblocking(true)?;
    socket2::SockRef::from(&std_listener).listen(4096)?;
    let mut listener = TcpListener::from_std(std_listener);
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;

    let mut connections: Vec<Connection> = Vec::new();
    let mut ring = vec![0; RING].into_boxed_slice();
    let mut scratch = vec![0; READ];
    let mut end: u64 = 0;
    let mut slowest: u64 = 0;
    let mut to_read: VecDeque<usize> = VecDeque::new();
    loop {
        let is_open = end - slowest < MAX_LAG;
        poll.poll(&mut events, (is_open && !to_read.is_empty()).then_some(std::time::Duration::ZERO))?;
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut socket, _)) = listener.accept() {
                    socket.set_nodelay(true)?;
                    let token = Token(connections.len());
                    poll.registry().register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
                    connections.push(Connection {
                        socket,
                        cursor: None,
                        unfinished: Vec::new(),
                        readable: false,
                        writable: true,
                    });
                }
                continue;
            }
            let connection = &mut connections[event.token().0];
            connection.writable |= event.is_writable();
            if event.is_readable() && !std::mem::replace(&mut connection.readable, true) {
                to_read.push_back(event.token().0);
            }
        }
        for _ in 0..to_read.len() {
            if end - slowest >= MAX_LAG {
                break;
            }
            let index = to_read.pop_front().expect("it was counted");
            let connection = &mut connections[index];
            match connection.socket.read(&mut scratch) {
                Ok(count @ 1..) => {
                    connection.cursor.get_or_insert(end);
                    let whole = memchr::memrchr(b'\n', &scratch[..count]).map_or(0, |at| at + 1);
                    for piece in [&connection.unfinished, &scratch[..whole]] {
                        let at = index_of(end);
                        let (before, after) = piece.split_at(piece.len().min(RING - at));
                        ring[at..at + before.len()].copy_from_slice(before);
                        ring[..after.len()].copy_from_slice(after);
                        end += piece.len() as u64;
                    }
                    connection.unfinished = scratch[whole..count].to_vec();
                    to_read.push_back(index);
                }
                _ => connection.readable = false,
            }
        }
        slowest = end;
        for connection in &mut connections {
            let Some(cursor) = &mut connection.cursor else { continue };
            while connection.writable && *cursor < end {
                let at = index_of(*cursor);
                let length = usize::try_from(end - *cursor).expect("it is in the ring").min(RING - at);
                match connection.socket.write(&ring[at..at + length]) {
                    Ok(count) => *cursor += count as u64,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => connection.writable = false,
                    // It is gone, and is written nothing more.
                    Err(_) => *cursor = u64::MAX,
                }
            }
            slowest = slowest.min(*cursor);
        }
    }
}

fn index_of(position: u64) -> usize {
    usize::try_from(position % RING as u64).expect("it is in the ring")
}
