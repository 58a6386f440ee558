//! What is measured: how each server is started, what it has to be told, and what it says.

use std::env;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use gotcp::protocol::notice::{Private, Public};
use rustls::ClientConfig;

/// Bytes of text in a message.
pub const PAYLOAD: usize = 64;
/// How many clients send.
pub const SENDERS: usize = 10;
/// The lines that gotcp shows to a newcomer by default.
const HISTORY: usize = 20;

/// A server that sends every client what any client says.
pub trait Subject {
    /// Its name in reports.
    fn name(&self) -> &'static str;

    /// How it is started, so that it listens on `address`. Limits that would only disturb the measurement are lifted.
    fn command(&self, address: SocketAddr, clients: usize) -> Command;

    /// What a client sends first.
    fn hello(&self, client: usize) -> Vec<u8>;

    /// How many bytes the first client, the second and so on receive until all of them have joined, with the news of
    /// later ones. `None` if that is unknown: then joining is over once nothing more arrives.
    fn greeting(&self, clients: usize) -> Option<Vec<u64>>;

    /// What `sender` sends to say something.
    fn said(&self, sender: usize, text: &str) -> String;

    /// What everyone receives then.
    fn heard(&self, sender: usize, text: &str) -> String;

    /// Whether this is someone else's server: it may fail, and is given less to do because it takes longer.
    fn is_foreign(&self) -> bool {
        false
    }

    /// Whether a client receives anything as soon as it has joined.
    fn answers_hello(&self) -> bool {
        true
    }

    /// Whether everyone receives the same bytes.
    fn has_one_order(&self) -> bool {
        true
    }

    /// Whether a sender receives everything, too. If not, the senders have connections of their own.
    fn senders_listen(&self) -> bool {
        true
    }

    /// How it is spoken to.
    fn link(&self) -> Link {
        Link::Plain
    }

    /// What a client sends once it has been greeted.
    fn thanks(&self) -> &'static [u8] {
        b""
    }
}

/// How the bytes of a connection come.
#[derive(Clone)]
#[allow(dead_code)] // Only the crate `compare` has servers of every kind.
pub enum Link {
    /// As they are.
    Plain,
    /// In TLS.
    Tls(Arc<ClientConfig>),
    /// In WebSocket frames.
    Web,
}

/// Line `number` of all lines, which `sender` says.
pub fn text(sender: usize, number: u64) -> String {
    let text = format!("{sender} {number:09} {:.<1$}", "", PAYLOAD - 12);
    debug_assert_eq!(text.len(), PAYLOAD);
    text
}

/// The bare loop: the cost of the kernel alone.
pub struct Floor;

impl Subject for Floor {
    fn name(&self) -> &'static str {
        "floor"
    }

    fn command(&self, address: SocketAddr, _clients: usize) -> Command {
        let mut command = Command::new(env::current_exe().expect("this program is a file"));
        command.args(["--floor", &address.to_string()]);
        command
    }

    fn hello(&self, client: usize) -> Vec<u8> {
        joined(client).into_bytes()
    }

    fn greeting(&self, clients: usize) -> Option<Vec<u64>> {
        Some((0..clients).map(|client| news(clients - client)).collect())
    }

    fn said(&self, sender: usize, text: &str) -> String {
        self.heard(sender, text)
    }

    fn heard(&self, sender: usize, text: &str) -> String {
        format!("{}: {text}\n", name(sender))
    }
}

/// This project's server.
pub struct Gotcp {
    /// The program to measure.
    pub program: PathBuf,
    /// Its name in reports.
    pub name: &'static str,
    /// Further options, made anew for each start.
    pub options: Box<dyn Fn() -> Vec<OsString>>,
    /// How it is spoken to.
    pub link: Link,
}

impl Gotcp {
    /// As it is without further options.
    pub fn new(program: impl Into<PathBuf>) -> Gotcp {
        Gotcp { program: program.into(), name: "gotcp", options: Box::new(Vec::new), link: Link::Plain }
    }
}

impl Subject for Gotcp {
    fn name(&self) -> &'static str {
        self.name
    }

    fn link(&self) -> Link {
        self.link.clone()
    }

    fn command(&self, address: SocketAddr, clients: usize) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["server", "--listen", &address.to_string(), "--rate", "0"]);
        command.args(["--max-clients", &(clients + 100).to_string()]);
        command.args((self.options)());
        command
    }

    fn hello(&self, client: usize) -> Vec<u8> {
        format!("{}\n", name(client)).into_bytes()
    }

    fn greeting(&self, clients: usize) -> Option<Vec<u64>> {
        let greeted = |client: usize| {
            let shown = client.min(HISTORY);
            let name = name(0);
            let said = [
                format!("{}\n", Private::Welcome),
                if shown > 0 { format!("{}\n", Private::History { lines: shown }) } else { String::new() },
                format!("{}\n", Private::Named { name: &name, online: client + 1 }),
            ];
            said.iter().map(|line| line.len() as u64).sum::<u64>() + news(clients - client + shown)
        };
        Some((0..clients).map(greeted).collect())
    }

    fn said(&self, _sender: usize, text: &str) -> String {
        format!("{text}\n")
    }

    fn heard(&self, sender: usize, text: &str) -> String {
        Floor.heard(sender, text)
    }
}

/// Names are equally long, so that the bytes that are due can be counted.
fn name(client: usize) -> String {
    format!("c{client:05}")
}

fn joined(client: usize) -> String {
    format!("{}\n", Public::Joined(&name(client)))
}

/// The bytes of the news that so many clients have joined.
fn news(clients: usize) -> u64 {
    (clients * joined(0).len()) as u64
}
