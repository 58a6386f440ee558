//! Where a room is that several servers share: `nats://HOST:4222[,HOST…]/ROOM`.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, ensure};

use crate::address::Address;

/// The port of NATS where none is said.
const PORT: u16 = 4222;
/// The longest name of a room, in bytes.
const MAX_ROOM: usize = 32;

/// Where the log of a shared room is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct NatsPlace {
    /// Servers of one NATS cluster, each one of which will do.
    pub servers: Vec<Address>,
    /// Whether they are spoken to over TLS.
    pub is_tls: bool,
    /// Who comes.
    pub login: Login,
    /// The name of the room.
    pub room: String,
}

/// How NATS is told who comes. A file of credentials is named by `NATS_CREDS` in the environment, as for NATS' own tools.
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    /// Not at all.
    Nobody,
    /// With a token.
    Token(String),
    /// With a name and a password.
    User(String, String),
}

impl FromStr for NatsPlace {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<NatsPlace> {
        let (scheme, rest) = text.split_once("://").context("it has no scheme")?;
        ensure!(["nats", "tls"].contains(&scheme), "it must begin with nats:// or tls://");
        let (hosts, room) = rest.rsplit_once('/').context("it must end with the name of a room: nats://HOST/ROOM")?;
        let is_in_name = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        ensure!(
            (1..=MAX_ROOM).contains(&room.len()) && room.chars().all(is_in_name),
            "the name of a room has at most {MAX_ROOM} letters, digits, - and _: nats://HOST/ROOM"
        );
        let (login, hosts) = hosts.rsplit_once('@').map_or((None, hosts), |(login, hosts)| (Some(login), hosts));
        let login = match login.map(|login| login.split_once(':').ok_or(login)) {
            None => Login::Nobody,
            Some(Err(token)) => Login::Token(token.into()),
            Some(Ok((user, password))) => Login::User(user.into(), password.into()),
        };
        let servers: anyhow::Result<_> = hosts.split(',').map(|host| Address::parse(host, PORT)).collect();
        Ok(NatsPlace { servers: servers?, is_tls: scheme == "tls", login, room: room.into() })
    }
}

/// Without what is secret.
impl fmt::Display for NatsPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers: Vec<String> = self.servers.iter().map(ToString::to_string).collect();
        write!(f, "{}://{}/{}", if self.is_tls { "tls" } else { "nats" }, servers.join(","), self.room)
    }
}

impl fmt::Debug for NatsPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hosts, a login and a room are read, and the login is not printed.
    #[test]
    fn reads_where_a_room_is() {
        for (text, printed, login) in [
            ("nats://a/lab", "nats://a:4222/lab", Login::Nobody),
            ("tls://a:1,[::1]/x-y_9", "tls://a:1,[::1]:4222/x-y_9", Login::Nobody),
            ("nats://s3cr3t@a,b/lab", "nats://a:4222,b:4222/lab", Login::Token("s3cr3t".into())),
            ("nats://bob:p@ss:/w@a/lab", "nats://a:4222/lab", Login::User("bob".into(), "p@ss:/w".into())),
        ] {
            let place: NatsPlace = text.parse().unwrap();
            assert!(place.to_string() == printed && place.login == login, "{text}");
            assert_eq!(format!("{place:?}"), printed);
        }
        for text in
            ["", "nats://", "nats://a", "nats://a/", "nats:///lab", "http://a/lab", "nats://a/l.b", "nats://a,/l"]
        {
            assert!(text.parse::<NatsPlace>().is_err(), "{text}");
        }
        assert!(format!("nats://a/{}", "x".repeat(33)).parse::<NatsPlace>().is_err());
    }
}
