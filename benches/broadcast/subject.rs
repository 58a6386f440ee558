//! Who is measured: how each is started, what it has to be told and what it says.

use std::env;
use std::fmt;
use std::net::SocketAddr;
use std::process::Command;

use clap::ValueEnum;
use gotcp::protocol::notice::{Private, Public};

/// How many bytes of text a message has.
pub const PAYLOAD: usize = 64;
/// How many speak.
pub const SENDERS: usize = 10;
/// The lines that gotcp shows to a newcomer unless it is told otherwise.
const HISTORY: usize = 20;

/// A server that tells everyone what anyone says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Subject {
    /// The bare loop: what the kernel charges.
    Floor,
    /// This project.
    Gotcp,
    /// Redis Pub/Sub.
    Redis,
    /// NATS.
    Nats,
    /// The chat mode of ncat.
    Ncat,
}

/// What a server says to a client when it joins.
pub enum Greeting {
    /// So many bytes to the client that joins as the first, the second, ...; the news of later ones included.
    Bytes(Vec<u64>),
    /// Nobody knows: it is over once it is quiet.
    Anything,
}

impl Subject {
    /// How it is started, so that it listens on `address`; the options are those that take away limits, which only
    /// get in the way of a measurement.
    pub fn command(self, address: SocketAddr, clients: usize) -> Command {
        let (host, port, room) = (address.ip().to_string(), address.port().to_string(), (clients + 100).to_string());
        match self {
            Subject::Floor => {
                let mut command = Command::new(env::current_exe().expect("this program is a file"));
                command.args(["--floor", &address.to_string()]);
                command
            }
            Subject::Gotcp => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_gotcp"));
                command.args(["server", "--listen", &address.to_string(), "--rate", "0", "--max-clients", &room]);
                command
            }
            Subject::Redis => {
                let mut command = Command::new("redis-server");
                command.args(["--bind", &host, "--port", &port, "--maxclients", &room, "--tcp-backlog", "4096"]);
                command.args(["--save", "", "--client-output-buffer-limit", "pubsub 0 0 0"]);
                command
            }
            Subject::Nats => {
                let mut command = Command::new("nats-server");
                command.args(["--addr", &host, "--port", &port]);
                command
            }
            Subject::Ncat => {
                let mut command = Command::new("ncat");
                command.args(["--listen", "--chat", "--max-conns", &room, &host, &port]);
                command
            }
        }
    }

    /// Whether everybody hears the same bytes. NATS orders the lines of each sender alone, and ncat marks pieces, not
    /// lines, with who sent them.
    pub fn has_one_order(self) -> bool {
        !matches!(self, Subject::Nats | Subject::Ncat)
    }

    /// Whether who speaks hears everyone, too; else the speakers need connections of their own.
    pub fn speakers_listen(self) -> bool {
        !matches!(self, Subject::Redis | Subject::Ncat)
    }

    /// What a client sends first.
    pub fn hello(self, client: usize) -> Vec<u8> {
        let hello = match self {
            Subject::Floor => joined(client),
            Subject::Gotcp => format!("{}\n", name(client)),
            Subject::Redis => "SUBSCRIBE room\r\n".into(),
            Subject::Nats => "CONNECT {\"verbose\":false}\r\nSUB room 1\r\n".into(),
            Subject::Ncat => String::new(),
        };
        hello.into_bytes()
    }

    /// What a client sends once it has been greeted. NATS asks everybody, two seconds after they came, for a sign of
    /// life, and then for some minutes no more.
    pub fn thanks(self) -> &'static [u8] {
        if self == Subject::Nats { b"PONG\r\n" } else { b"" }
    }

    /// What `clients` clients are told until all of them have joined.
    pub fn greeting(self, clients: usize) -> Greeting {
        let news = |first: usize| ((clients - first) * joined(0).len()) as u64;
        let greeted = |rank: usize| {
            let shown = rank.min(HISTORY);
            let name = name(0);
            let said = [
                format!("{}\n", Private::Welcome),
                if shown > 0 { format!("{}\n", Private::History { lines: shown }) } else { String::new() },
                format!("{}\n", Private::Named { name: &name, online: rank + 1 }),
            ];
            said.iter().map(|line| line.len() as u64).sum::<u64>() + news(rank - shown)
        };
        match self {
            Subject::Floor => Greeting::Bytes((0..clients).map(news).collect()),
            Subject::Gotcp => Greeting::Bytes((0..clients).map(greeted).collect()),
            Subject::Redis => {
                let answer = "*3\r\n$9\r\nsubscribe\r\n$4\r\nroom\r\n:1\r\n";
                Greeting::Bytes(vec![answer.len() as u64; clients])
            }
            Subject::Nats | Subject::Ncat => Greeting::Anything,
        }
    }

    /// What `sender` sends to say something.
    pub fn said(self, sender: usize, text: &str) -> String {
        match self {
            Subject::Floor => self.heard(sender, text),
            Subject::Gotcp | Subject::Ncat => format!("{text}\n"),
            Subject::Redis => format!("*3\r\n$7\r\nPUBLISH\r\n$4\r\nroom\r\n${}\r\n{text}\r\n", text.len()),
            Subject::Nats => format!("PUB room {}\r\n{text}\r\n", text.len()),
        }
    }

    /// What everyone hears then.
    pub fn heard(self, sender: usize, text: &str) -> String {
        match self {
            Subject::Floor | Subject::Gotcp => format!("{}: {text}\n", name(sender)),
            Subject::Redis => format!("*3\r\n$7\r\nmessage\r\n$4\r\nroom\r\n${}\r\n{text}\r\n", text.len()),
            Subject::Nats => format!("MSG room 1 {}\r\n{text}\r\n", text.len()),
            Subject::Ncat => format!("<user?> {text}\n"),
        }
    }

    /// The line whose number is `number`, of those that `sender` says.
    pub fn text(sender: usize, number: u64) -> String {
        let text = format!("{sender} {number:09} {:.<1$}", "", PAYLOAD - 12);
        debug_assert_eq!(text.len(), PAYLOAD);
        text
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Subject::Floor => "floor",
            Subject::Gotcp => "gotcp",
            Subject::Redis => "Redis",
            Subject::Nats => "NATS",
            Subject::Ncat => "ncat",
        })
    }
}

/// Names are equally long, so that it can be told how many bytes are due.
fn name(client: usize) -> String {
    format!("c{client:05}")
}

fn joined(client: usize) -> String {
    format!("{}\n", Public::Joined(&name(client)))
}
