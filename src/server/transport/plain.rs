//! TCP, as it is.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::{SockRef, TcpKeepalive};

use super::Socket;

/// How many unsent bytes a socket holds. The kernel's default is megabytes.
const UNSENT: u32 = 128 * 1024;
/// How long a reader that is disconnected after the stall timeout may take to read its last line.
const FAREWELL: Duration = Duration::from_secs(5);
/// The longest time for which the kernel waits for an acknowledgement: it counts milliseconds in 31 bits.
const MAX_USER_TIMEOUT: Duration = Duration::from_secs(24 * 24 * 60 * 60);
/// The events of a connection.
const INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE);
/// A silent peer is probed after this time at the latest...
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
/// ...then once in this time or less...
const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);
/// ...and this many times: the network may lose two of them.
const KEEPALIVE_PROBES: u32 = 3;

/// The socket of a connection.
#[derive(Debug)]
pub struct Peer {
    socket: TcpStream,
    address: SocketAddr,
    /// Where its events come from, and with which token.
    events: Option<(Rc<Registry>, Token)>,
    /// Whether it was set to become writable once everything is sent.
    awaits_sent: bool,
}

impl Peer {
    /// A connection that was just accepted.
    #[must_use]
    pub fn new(socket: TcpStream, address: SocketAddr) -> Peer {
        Peer { socket, address, events: None, awaits_sent: false }
    }

    /// Who is at the other end.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Registers it for events, with a token.
    ///
    /// # Errors
    /// If the system refuses; the peer is returned, too.
    pub fn register(mut self, registry: &Rc<Registry>, token: Token) -> Result<Peer, (Peer, io::Error)> {
        match registry.register(&mut self.socket, token, INTEREST) {
            Ok(()) => Ok(Peer { events: Some((Rc::clone(registry), token)), ..self }),
            Err(error) => Err((self, error)),
        }
    }
}

impl Socket for Peer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.read(buffer)
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match slices {
            // Nearly always; and a plain write is cheaper in the kernel.
            [slice] => self.socket.write(slice),
            _ => self.socket.write_vectored(slices),
        }
    }

    /// On Linux a socket can be told to become writable only when nothing is left to be sent. Elsewhere the linger time
    /// has to suffice.
    fn is_sent(&mut self) -> io::Result<bool> {
        #[cfg(target_os = "linux")]
        if let Some((registry, token)) = &self.events
            && !std::mem::replace(&mut self.awaits_sent, true)
        {
            SockRef::from(&self.socket).set_tcp_notsent_lowat(1)?;
            // So that there is an event even if everything is sent already.
            registry.reregister(&mut self.socket, *token, INTEREST)?;
            return Ok(false);
        }
        Ok(true)
    }

    fn shut_down_writing(&mut self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    fn abort(&mut self) {
        // If the system refuses, the connection ends in order instead.
        let _ = SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
    }
}

/// Sets the options of a connection. On Linux accepted sockets inherit them from the listening socket.
///
/// # Errors
/// Where the system refuses.
pub fn tune(socket: &SockRef<'_>, stall_timeout: Duration) -> io::Result<()> {
    // There is at most one write a turn, so nothing is gained by waiting for more.
    socket.set_tcp_nodelay(true)?;
    let silence = stall_timeout + FAREWELL;
    let keepalive = keepalive(silence, 0);
    #[cfg(not(windows))]
    let keepalive = keepalive.with_retries(KEEPALIVE_PROBES);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    {
        // Data that is unacknowledged for this long ends the connection; and so does silence for this long, if a probe was
        // not answered. If something is sent just before a silent peer would have been probed, that time is added.
        socket.set_tcp_user_timeout(Some(silence.min(MAX_USER_TIMEOUT)))?;
        socket.set_tcp_notsent_lowat(UNSENT)?;
    }
    Ok(())
}

/// Has a connection probed at another time than those that came just before it: the probes of a crowd that has fallen
/// silent at once would be more than a network takes at once.
///
/// # Errors
/// Where the system refuses.
pub fn probe_apart(socket: &SockRef<'_>, stall_timeout: Duration, number: u32) -> io::Result<()> {
    socket.set_tcp_keepalive(&keepalive(stall_timeout + FAREWELL, number))
}

/// When a connection with this number is probed.
fn keepalive(silence: Duration, number: u32) -> TcpKeepalive {
    let (after, every) = probes(silence);
    let after = after.as_secs() - u64::from(number) % (after.as_secs() / 2 + 1);
    TcpKeepalive::new().with_time(Duration::from_secs(after)).with_interval(every)
}

/// After what time of silence a peer is probed, and how often from then on, so that all probes are sent before it has been
/// silent for too long.
fn probes(silence: Duration) -> (Duration, Duration) {
    const SECOND: Duration = Duration::from_secs(1);
    let every = (silence / (2 * KEEPALIVE_PROBES + 1)).clamp(SECOND, KEEPALIVE_EVERY);
    let after = silence.saturating_sub(KEEPALIVE_PROBES * every).clamp(SECOND, KEEPALIVE_AFTER);
    (after, every)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::listener::Listener;

    /// A peer is not given up because one probe, or two, were lost.
    #[test]
    fn a_silent_peer_is_probed_three_times() {
        let seconds = Duration::from_secs;
        assert_eq!(probes(seconds(35)), (seconds(20), seconds(5)));
        assert_eq!(probes(seconds(3600)), (seconds(60), seconds(10)));
        for silence in 4..200 {
            let (after, every) = probes(seconds(silence));
            assert!(after + KEEPALIVE_PROBES * every <= seconds(silence), "{silence}");
        }
    }

    /// On Linux a connection inherits the options of the socket on which it was accepted.
    #[test]
    #[cfg(target_os = "linux")]
    fn connections_inherit_what_is_set() {
        let mut listener = Listener::bind(&"127.0.0.1:0".parse().unwrap(), Duration::from_secs(30)).unwrap();
        let _client = std::net::TcpStream::connect(listener.local_address().unwrap()).unwrap();
        let peer = loop {
            listener.note();
            if let Some(peer) = listener.accept(Duration::ZERO).unwrap() {
                break peer;
            }
        };
        let socket = SockRef::from(&peer.socket);
        assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(19));
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(5));
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), KEEPALIVE_PROBES);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(35)));
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), UNSENT);
    }
}
