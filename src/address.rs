//! Addresses as people write them: `HOST:PORT`, `HOST` alone, or, to listen on, a port alone.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use anyhow::{Context, anyhow, bail, ensure};

/// The port where none is said.
pub const PORT: u16 = 7777;

/// What stands before the servers of a client that are spoken to in TLS.
const TLS: &str = "tls://";

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: u16,
}

/// Where a client finds a room, and how it is spoken to: `HOST:PORT`, or `tls://HOST:PORT`, and more of them after commas,
/// if several servers show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerList {
    /// Where they are: at least one, none twice.
    pub addresses: Vec<Address>,
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

impl ServerList {
    /// What the room is known by: the same in whatever order its servers are given.
    #[must_use]
    pub fn room(&self) -> String {
        let mut addresses: Vec<_> = self.addresses.iter().map(Address::to_string).collect();
        addresses.sort();
        addresses.join(",")
    }
}

impl FromStr for ServerList {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<ServerList> {
        let rest = text.strip_prefix(TLS);
        let mut list = ServerList { addresses: Vec::new(), is_tls: rest.is_some() };
        for entry in rest.unwrap_or(text).split(',') {
            ensure!(!entry.starts_with(TLS), "{TLS} stands once, before the first server, and is for all of them");
            let named = |error| if text.contains(',') { anyhow!("{entry:?}: {error}") } else { error };
            let address: Address = entry.parse().map_err(named)?;
            ensure!(!list.addresses.contains(&address), "{address} is in the list twice");
            list.addresses.push(address);
        }
        Ok(list)
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
            let servers: ServerList = format!("tls://{text}").parse().unwrap();
            assert_eq!((servers.room().as_str(), servers.is_tls), (read, true));
        }
        for text in ["", ":9000", "host:", "host:port", "host:65536", "host:-1", "[::1]9000", "a b", "http://host"] {
            assert!(text.parse::<Address>().is_err(), "{text:?}");
        }
    }

    /// A list has servers in any of their forms, in the order in which they are tried. A room is the same in any order.
    #[test]
    fn lists_have_several_servers() {
        let list: ServerList = "tls://host,::1,[::1]:9000,10.0.0.1:1".parse().unwrap();
        let addresses: Vec<_> = list.addresses.iter().map(Address::to_string).collect();
        assert_eq!((addresses.join(" ").as_str(), list.is_tls), ("host:7777 [::1]:7777 [::1]:9000 10.0.0.1:1", true));
        let other: ServerList = "[::1]:9000,10.0.0.1:1,host:7777,[::1]".parse().unwrap();
        assert_eq!(other.room(), list.room());
        for (text, why) in [
            ("a,", "\"\": it must be HOST"),
            (",a", "\"\": it must be HOST"),
            ("a,b:x,c", "\"b:x\": \"x\" is not a port"),
            ("a, b", "\" b\": it must be HOST"),
            ("a,b,a:7777", "a:7777 is in the list twice"),
            ("tls://a,tls://b", "tls:// stands once"),
            ("a,tls://b", "tls:// stands once"),
            (":9000", "it must be HOST or HOST:PORT"),
        ] {
            let error = text.parse::<ServerList>().unwrap_err().to_string();
            assert!(error.starts_with(why), "{text:?}: {error}");
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
