//! Large numbers of clients.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;

use mio::{Events, Interest, Poll, Token};

use super::peer::{PATIENCE, Peer, loopback};

/// Joins `count` clients at once, which read everything until all of them have read `end`, and then leave together.
pub fn storm(address: SocketAddr, count: usize, end: &[u8]) {
    let mut sockets: Vec<TcpStream> = (0..count).map(|_| TcpStream::connect(address).expect("it accepts")).collect();
    for (i, socket) in sockets.iter_mut().enumerate() {
        socket.write_all(format!("storm{i}\n").as_bytes()).unwrap();
        socket.set_nonblocking(true).unwrap();
    }
    let mut poll = Poll::new().unwrap();
    let mut members: Vec<_> = sockets.into_iter().map(|s| (mio::net::TcpStream::from_std(s), Vec::new())).collect();
    for (i, (socket, _)) in members.iter_mut().enumerate() {
        poll.registry().register(socket, Token(i), Interest::READABLE).unwrap();
    }
    let mut events = Events::with_capacity(1024);
    let mut scratch = vec![0; 256 * 1024];
    let mut listening = count;
    while listening > 0 {
        poll.poll(&mut events, Some(PATIENCE)).unwrap();
        assert!(!events.is_empty(), "{listening} of {count} hear nothing more");
        for event in &events {
            let (socket, tail) = &mut members[event.token().0];
            loop {
                match socket.read(&mut scratch) {
                    Ok(0) => panic!("the server has closed"),
                    Ok(count) => {
                        tail.extend_from_slice(&scratch[..count]);
                        tail.drain(..tail.len().saturating_sub(end.len()));
                        listening -= usize::from(tail == end);
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }
}

/// Lets `count` clients come and go, in every possible way.
pub fn churn(address: SocketAddr, count: usize) {
    const THREADS: usize = 4;
    let come_and_go = |i: usize, peer: &mut Peer| match i / THREADS % 4 {
        0 => {}
        1 => peer.stream().shutdown(std::net::Shutdown::Both).unwrap_or_default(),
        2 => {
            peer.send(format!("churn{i}\nhello\n!exit\n"));
            assert_eq!(peer.rest().last().unwrap(), &format!("*** churn{i} left"));
        }
        _ => {
            peer.send(format!("churn{i}\n!session\n"));
            peer.skip_to_start("--- session ");
        }
    };
    thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                for i in (thread..count).step_by(THREADS) {
                    // From several addresses: a port that was just in use cannot be used again at once.
                    let source = loopback(u8::try_from(2 + i % 16).expect("it is small"));
                    let mut peer = Peer::connect_from(source, address);
                    come_and_go(i, &mut peer);
                    if i % 3 == 0 {
                        peer.reset();
                    }
                }
            });
        }
    });
}
