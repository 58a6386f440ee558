//! Accepting, and what to do when that fails.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockRef, TcpKeepalive, Type};

use super::connection::Socket;
use crate::address::ListenAddress;

/// How many connections may wait to be accepted; the kernel may allow fewer.
const BACKLOG: i32 = 4096;
/// How long accepting pauses after it has failed, for example because descriptors ran out. No event tells when some are
/// free.
const PAUSE: Duration = Duration::from_millis(100);
/// How many unsent bytes a socket holds. The kernel's default is megabytes.
const UNSENT: u32 = 128 * 1024;
/// How long a reader that is disconnected after the stall timeout may take to read its last line.
const FAREWELL: Duration = Duration::from_secs(5);
/// The longest time for which the kernel waits for an acknowledgement: it counts milliseconds in 31 bits.
const MAX_USER_TIMEOUT: Duration = Duration::from_secs(24 * 24 * 60 * 60);
/// The events of a connection.
const INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE);
/// A silent peer is probed after this time...
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
/// ...then once in this time...
const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);
/// ...and this many times.
const KEEPALIVE_PROBES: u32 = 3;

/// The listening socket.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    /// Whether connections may be waiting to be accepted.
    ready: bool,
    /// Until when accepting pauses.
    paused_until: Option<Duration>,
}

/// Where others reach a server that listens on `address`, if that is every address of this machine. Those that lead
/// nowhere outside are left out.
#[must_use]
pub fn reachable_at(address: SocketAddr) -> Vec<SocketAddr> {
    if !address.ip().is_unspecified() {
        return Vec::new();
    }
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let outside = interfaces.iter().filter(|interface| !interface.is_loopback() && !interface.is_link_local());
    let addresses = outside.map(if_addrs::Interface::ip).filter(|ip| ip.is_ipv4() || address.is_ipv6());
    addresses.map(|ip| SocketAddr::new(ip, address.port())).collect()
}

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

impl Listener {
    /// Listens on the first of the addresses that a name stands for on which that is possible.
    ///
    /// # Errors
    /// Names the address and says why not.
    pub fn bind(address: &ListenAddress, stall_timeout: Duration) -> anyhow::Result<Listener> {
        let mut outcome = Err(io::ErrorKind::AddrNotAvailable.into());
        for address in address.resolve()? {
            outcome = open(address, stall_timeout);
            if outcome.is_ok() {
                break;
            }
        }
        let socket = outcome.with_context(|| format!("cannot listen on {address}"))?;
        Ok(Listener { socket, ready: true, paused_until: None })
    }

    /// Registers it for events, with a token.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.socket, token, Interest::READABLE)
    }

    /// The address that it listens on.
    ///
    /// # Errors
    /// Where the system does not tell.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Notes that connections may be waiting.
    pub fn note(&mut self) {
        self.ready = true;
    }

    /// When to try to accept again even if nothing happens.
    #[must_use]
    pub fn wake_at(&self) -> Option<Duration> {
        self.paused_until.or(self.ready.then_some(Duration::ZERO))
    }

    /// Accepts a connection, if one is waiting.
    ///
    /// # Errors
    /// Why accepting fails. Returned once, not after every pause.
    pub fn accept(&mut self, now: Duration) -> io::Result<Option<Peer>> {
        if !self.ready || self.paused_until.is_some_and(|until| until > now) {
            return Ok(None);
        }
        loop {
            match self.socket.accept() {
                Ok((socket, address)) => {
                    self.paused_until = None;
                    return Ok(Some(Peer { socket, address, events: None, awaits_sent: false }));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.ready = false;
                    self.paused_until = None;
                    return Ok(None);
                }
                // The peer has given up meanwhile, or a signal came: try the next one.
                Err(error) if is_passing(error.kind()) => {}
                Err(error) => {
                    let is_news = self.paused_until.replace(now + PAUSE).is_none();
                    return if is_news { Err(error) } else { Ok(None) };
                }
            }
        }
    }
}

impl Peer {
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
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY);
    #[cfg(not(windows))]
    let keepalive = keepalive.with_retries(KEEPALIVE_PROBES);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    {
        // Data that is unacknowledged for this long ends the connection; with keepalive on, so does silence for this
        // long. If something is sent just before a silent peer would have been probed, both times add up.
        socket.set_tcp_user_timeout(Some((stall_timeout + FAREWELL).min(MAX_USER_TIMEOUT)))?;
        socket.set_tcp_notsent_lowat(UNSENT)?;
    }
    #[cfg(not(target_os = "linux"))]
    let _ = stall_timeout;
    Ok(())
}

fn open(address: SocketAddr, stall_timeout: Duration) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        // Every address of this machine, those of IPv4 as well. On some systems that is not the default.
        socket.set_only_v6(false)?;
    }
    // A restarted server gets its port although old connections linger. (On Windows this option would let it take a
    // port in use, too.)
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    tune(&SockRef::from(&socket), stall_timeout)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

fn is_passing(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(kind, Interrupted | ConnectionAborted | ConnectionReset)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE_AFTER);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), KEEPALIVE_EVERY);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), KEEPALIVE_PROBES);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(35)));
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), UNSENT);
    }
}
