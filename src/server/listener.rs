//! Accepting, and what to do when that fails.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use mio::net::TcpListener;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockRef, Type};

use super::transport::plain::{Peer, probe_apart, tune};
use crate::address::ListenAddress;

/// How many connections may wait to be accepted; the kernel may allow fewer.
const BACKLOG: i32 = 4096;
/// How long accepting pauses after it has failed, for example because descriptors ran out. No event tells when some are
/// free.
const PAUSE: Duration = Duration::from_millis(100);
/// The listening socket.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    /// Whether connections may be waiting to be accepted.
    ready: bool,
    /// Until when accepting pauses.
    paused_until: Option<Duration>,
    /// How many connections there have been.
    accepted: u32,
    /// How long a reader may take nothing.
    stall_timeout: Duration,
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
        Ok(Listener { socket, ready: true, paused_until: None, accepted: 0, stall_timeout })
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
                    self.accepted = self.accepted.wrapping_add(1);
                    // If the system refuses, it is probed when all others are.
                    let _ = probe_apart(&SockRef::from(&socket), self.stall_timeout, self.accepted);
                    return Ok(Some(Peer::new(socket, address)));
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
