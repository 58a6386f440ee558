//! Accepting, and what to do when that fails.

use std::collections::HashMap;
use std::io::{self, IoSlice, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr};
use std::time::Duration;

use anyhow::Context;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockRef, TcpKeepalive, Type};

use super::connection::Socket;
use crate::cli;
use crate::protocol::notice::Error;

/// How many may be told at a time that there is no place for them.
pub const TURNED_AWAY: usize = 64;
/// How many connections may wait to be accepted; the kernel may allow fewer.
const BACKLOG: i32 = 4096;
/// How long accepting pauses when it fails, as it does for want of descriptors. No event tells when some are free.
const PAUSE: Duration = Duration::from_millis(100);
/// How much a socket holds of what it has not sent yet, in bytes. The kernel's own limit is megabytes.
const UNSENT: u32 = 128 * 1024;
/// How long a reader that is let go, having taken nothing for the stall timeout, may take for its farewell.
const FAREWELL: Duration = Duration::from_secs(5);
/// A silent peer is probed after this time...
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
/// ...and then so often...
const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);
/// ...and so many times.
const KEEPALIVE_PROBES: u32 = 3;

/// The listening socket and who has come through it.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    limits: Limits,
    /// How many are connected, and how many from each place. Those that were turned away do not count.
    clients: usize,
    places: HashMap<Place, usize>,
    /// How many are only being told that there is no place for them.
    turned_away: usize,
    /// Whether somebody may be waiting to be accepted.
    ready: bool,
    /// Until when accepting pauses.
    paused_until: Option<Duration>,
}

/// How many may be connected at a time.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// In all.
    pub clients: usize,
    /// From one place.
    pub per_place: usize,
    /// Whether this machine itself counts as a place.
    pub count_loopback: bool,
}

/// Where connections are counted together: an IPv4 address, or the /64 of an IPv6 one, which is what one site has.
type Place = u64;

/// Somebody who has come: a connection's socket, and how it is counted.
///
/// There may be very many. The parts of the address take less room than the address, which has more to say of IPv6 than
/// anybody asks here.
#[derive(Debug)]
pub struct Peer {
    socket: TcpStream,
    ip: IpAddr,
    port: u16,
    /// Whether it has a place of its own, or is only told that there is none.
    counted: bool,
}

impl Listener {
    /// Listens on the first of an address's meanings on which that is possible.
    ///
    /// # Errors
    /// Names the address and says why not.
    pub fn bind(address: &str, limits: Limits, stall_timeout: Duration) -> anyhow::Result<Listener> {
        let mut outcome = Err(io::ErrorKind::AddrNotAvailable.into());
        for address in cli::resolve(address)? {
            outcome = open(address, stall_timeout);
            if outcome.is_ok() {
                break;
            }
        }
        let socket = outcome.with_context(|| format!("cannot listen on {address}"))?;
        Ok(Listener {
            socket,
            limits,
            clients: 0,
            places: HashMap::new(),
            turned_away: 0,
            ready: true,
            paused_until: None,
        })
    }

    /// The address that it listens on.
    ///
    /// # Errors
    /// Where the system does not tell.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Notes that somebody may be waiting.
    pub fn note(&mut self) {
        self.ready = true;
    }

    /// When to try again, whatever happens.
    #[must_use]
    pub fn wake_at(&self) -> Option<Duration> {
        self.paused_until.or(self.ready.then_some(Duration::ZERO))
    }

    /// Somebody who is waiting, if there is anybody, and why they have to be turned away, if so. They count until
    /// [`Listener::release`].
    ///
    /// # Errors
    /// What keeps anybody from being accepted; said once, not every time that it is tried again after a pause.
    pub fn accept(&mut self, now: Duration) -> io::Result<Option<(Peer, Option<Error<'static>>)>> {
        if !self.ready || self.paused_until.is_some_and(|until| until > now) {
            return Ok(None);
        }
        loop {
            match self.socket.accept() {
                Ok((socket, address)) => {
                    self.paused_until = None;
                    let refusal = self.refusal(address.ip());
                    if refusal.is_none() {
                        self.clients += 1;
                        *self.places.entry(place(address.ip())).or_default() += 1;
                    } else if self.turned_away == TURNED_AWAY {
                        // Too many to tell them why: dropping the socket closes it.
                        continue;
                    } else {
                        self.turned_away += 1;
                    }
                    let counted = refusal.is_none();
                    return Ok(Some((Peer { socket, ip: address.ip(), port: address.port(), counted }, refusal)));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.ready = false;
                    self.paused_until = None;
                    return Ok(None);
                }
                // The peer has given up meanwhile, or a signal came: the next one may do better.
                Err(error) if is_passing(error.kind()) => {}
                Err(error) => {
                    let is_news = self.paused_until.replace(now + PAUSE).is_none();
                    return if is_news { Err(error) } else { Ok(None) };
                }
            }
        }
    }

    /// Somebody has gone.
    pub fn release(&mut self, peer: &Peer) {
        if !peer.counted {
            self.turned_away -= 1;
            return;
        }
        self.clients -= 1;
        let place = place(peer.ip);
        if let Some(count) = self.places.get_mut(&place) {
            *count -= 1;
            if *count == 0 {
                self.places.remove(&place);
            }
        }
    }

    fn refusal(&self, address: IpAddr) -> Option<Error<'static>> {
        let Limits { clients, per_place, count_loopback } = self.limits;
        if self.clients >= clients {
            return Some(Error::Full(clients));
        }
        let here = self.places.get(&place(address)).copied().unwrap_or(0);
        let counts = count_loopback || !address.to_canonical().is_loopback();
        (counts && here >= per_place).then_some(Error::TooManyFromAddress(per_place))
    }
}

impl mio::event::Source for Listener {
    fn register(&mut self, registry: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        self.socket.register(registry, token, interest)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        self.socket.reregister(registry, token, interest)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.socket.deregister(registry)
    }
}

impl Peer {
    /// Who is at the other end.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (self.ip, self.port).into()
    }

    /// Makes its events come with a token.
    ///
    /// # Errors
    /// Where the system refuses; it is given back then.
    pub fn register(mut self, registry: &Registry, token: Token) -> Result<Peer, (Peer, io::Error)> {
        match registry.register(&mut self.socket, token, Interest::READABLE | Interest::WRITABLE) {
            Ok(()) => Ok(self),
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
            // Nearly always; and a plain write is the shorter way through the kernel.
            [slice] => self.socket.write(slice),
            _ => self.socket.write_vectored(slices),
        }
    }

    fn shut_down_writing(&mut self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    fn abort(&mut self) {
        // Where the system refuses, the peer is told less.
        let _ = SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
    }
}

/// Sets what a connection needs to be safe to leave open. Linux hands it on from the listening socket.
///
/// # Errors
/// Where the system refuses.
pub fn tune(socket: &SockRef<'_>, stall_timeout: Duration) -> io::Result<()> {
    // One write a turn is as much as there is: nothing is gained by waiting for more.
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY);
    #[cfg(not(windows))]
    let keepalive = keepalive.with_retries(KEEPALIVE_PROBES);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    {
        // What a peer leaves unacknowledged for so long ends the connection; and with keepalive on, so does its silence.
        // A cable may be cut just before something is said to a peer that was about to be probed: then both times add up.
        socket.set_tcp_user_timeout(Some(stall_timeout + FAREWELL))?;
        socket.set_tcp_notsent_lowat(UNSENT)?;
    }
    #[cfg(not(target_os = "linux"))]
    let _ = stall_timeout;
    Ok(())
}

fn open(address: SocketAddr, stall_timeout: Duration) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    // A restarted server gets its port although old connections linger. (On Windows it would get one in use, too.)
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

fn place(address: IpAddr) -> Place {
    match address.to_canonical() {
        // No IPv6 address that is in use begins with 32 zero bits, so the two kinds do not meet.
        IpAddr::V4(address) => u64::from(u32::from(address)),
        IpAddr::V6(Ipv6Addr::LOCALHOST) => u64::from(u32::from(Ipv4Addr::LOCALHOST)),
        IpAddr::V6(address) => u64::try_from(u128::from(address) >> 64).expect("half of 128 bits"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One site counts as one place, however many addresses it has.
    #[test]
    fn addresses_are_counted_by_place() {
        let place = |text: &str| place(text.parse().unwrap());
        assert_eq!(place("192.0.2.1"), place("::ffff:192.0.2.1"));
        assert_ne!(place("192.0.2.1"), place("192.0.2.2"));
        assert_eq!(place("2001:db8:1:2::1"), place("2001:db8:1:2:ffff::9"));
        assert_ne!(place("2001:db8:1:2::1"), place("2001:db8:1:3::1"));
        assert_eq!(place("::1"), place("127.0.0.1"));
    }

    /// On Linux a connection is tuned because the socket is on which it was accepted.
    #[test]
    #[cfg(target_os = "linux")]
    fn connections_inherit_what_is_set() {
        let limits = Limits { clients: 1, per_place: 1, count_loopback: true };
        let mut listener = Listener::bind("127.0.0.1:0", limits, Duration::from_secs(30)).unwrap();
        let _client = std::net::TcpStream::connect(listener.local_address().unwrap()).unwrap();
        let peer = loop {
            listener.note();
            if let Some((peer, None)) = listener.accept(Duration::ZERO).unwrap() {
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
