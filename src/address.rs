//! Addresses as people write them: `HOST:PORT`, `HOST` alone, or, to listen on, a port alone.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use anyhow::{Context, bail, ensure};

/// The port where none is said.
pub const PORT: u16 = 7777;

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: u16,
}

/// Where a client finds its server, and how it is spoken to: `HOST:PORT`, or `tls://HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAddress {
    /// Where it is.
    pub address: Address,
    /// Whether TLS is asked for.
    pub is_tls: bool,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// On this address.
    One(Address),
    /// On every address of this machine, at this port.
    Every(u16),
}

impl Address {
    /// The host, a name or an IP address.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The addresses that it stands for.
    ///
    /// # Errors
    /// If there is no such host; names it.
    pub fn resolve(&self) -> anyhow::Result<Vec<SocketAddr>> {
        let found = (self.host.as_str(), self.port).to_socket_addrs();
        let addresses: Vec<_> = found.with_context(|| format!("cannot find {self}"))?.collect();
        ensure!(!addresses.is_empty(), "cannot find {self}: it has no address");
        Ok(addresses)
    }
}

impl FromStr for Address {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Address> {
        Address::parse(text, PORT)
    }
}

impl Address {
    /// Reads an address of something that has a usual port.
    ///
    /// # Errors
    /// Where it is no address; says what one looks like.
    pub fn parse(text: &str, usual: u16) -> anyhow::Result<Address> {
        if text.parse::<Ipv6Addr>().is_ok() {
            return Ok(Address { host: text.into(), port: usual });
        }
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, rest)) => (host, Some(rest.strip_prefix(':').context("a colon has to stand before the port")?)),
            None => text.rsplit_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
        };
        let port = port.map_or(Ok(usual), parse_port)?;
        let is_host = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c == '/');
        ensure!(is_host, "it must be HOST or HOST:PORT, like chat.example or 192.168.1.5:7777");
        Ok(Address { host: host.into(), port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            return write!(f, "[{}]:{}", self.host, self.port);
        }
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl FromStr for ServerAddress {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<ServerAddress> {
        let rest = text.strip_prefix("tls://");
        Ok(ServerAddress { address: rest.unwrap_or(text).parse()?, is_tls: rest.is_some() })
    }
}

impl ListenAddress {
    /// The addresses to try, in order.
    ///
    /// # Errors
    /// If there is no such host; names it.
    pub fn resolve(&self) -> anyhow::Result<Vec<SocketAddr>> {
        match self {
            ListenAddress::One(address) => address.resolve(),
            // The first takes IPv4, too, where there is IPv6 at all.
            ListenAddress::Every(port) => {
                Ok(vec![(Ipv6Addr::UNSPECIFIED, *port).into(), (Ipv4Addr::UNSPECIFIED, *port).into()])
            }
        }
    }
}

impl FromStr for ListenAddress {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<ListenAddress> {
        let port = text.strip_prefix(':').unwrap_or(text);
        if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) {
            return parse_port(port).map(ListenAddress::Every);
        }
        text.parse().map(ListenAddress::One)
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::One(address) => address.fmt(f),
            ListenAddress::Every(port) => write!(f, "port {port}"),
        }
    }
}

fn parse_port(text: &str) -> anyhow::Result<u16> {
    match text.parse() {
        Ok(port) => Ok(port),
        Err(_) => bail!("{text:?} is not a port: a number up to 65535"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A host alone means the usual port; with one, both are taken, whatever the host looks like.
    #[test]
    fn a_port_may_be_left_out() {
        for (text, read) in [
            ("chat.example", "chat.example:7777"),
            ("chat.example:9000", "chat.example:9000"),
            ("192.168.1.5", "192.168.1.5:7777"),
            ("::1", "[::1]:7777"),
            ("[::1]", "[::1]:7777"),
            ("[::1]:9000", "[::1]:9000"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), read);
            let server: ServerAddress = format!("tls://{text}").parse().unwrap();
            assert_eq!((server.address.to_string().as_str(), server.is_tls), (read, true));
        }
        for text in ["", ":9000", "host:", "host:port", "host:65536", "host:-1", "[::1]9000", "a b", "http://host"] {
            assert!(text.parse::<Address>().is_err(), "{text:?}");
        }
    }

    /// A port alone means every address of this machine.
    #[test]
    fn a_port_alone_is_everywhere() {
        for text in [":9000", "9000"] {
            let address: ListenAddress = text.parse().unwrap();
            assert_eq!(address, ListenAddress::Every(9000));
            assert_eq!(address.resolve().unwrap().len(), 2);
        }
        assert_eq!("localhost".parse::<ListenAddress>().unwrap().to_string(), "localhost:7777");
        assert!(":".parse::<ListenAddress>().is_err() && "70000".parse::<ListenAddress>().is_err());
    }
}
