//! Other servers that send to everyone what anyone says.

use std::net::SocketAddr;
use std::process::Command;

use crate::subject::Subject;

/// Redis Pub/Sub.
pub struct Redis;

impl Subject for Redis {
    fn name(&self) -> &'static str {
        "Redis"
    }

    fn command(&self, address: SocketAddr, clients: usize) -> Command {
        let (host, port, room) = place(address, clients);
        let mut command = Command::new("redis-server");
        command.args(["--bind", &host, "--port", &port, "--maxclients", &room, "--tcp-backlog", "4096"]);
        command.args(["--save", "", "--client-output-buffer-limit", "pubsub 0 0 0"]);
        command
    }

    fn hello(&self, _client: usize) -> Vec<u8> {
        b"SUBSCRIBE room\r\n".to_vec()
    }

    fn greeting(&self, clients: usize) -> Option<Vec<u64>> {
        let answer = "*3\r\n$9\r\nsubscribe\r\n$4\r\nroom\r\n:1\r\n";
        Some(vec![answer.len() as u64; clients])
    }

    fn said(&self, _sender: usize, text: &str) -> String {
        format!("*3\r\n$7\r\nPUBLISH\r\n$4\r\nroom\r\n${}\r\n{text}\r\n", text.len())
    }

    fn heard(&self, _sender: usize, text: &str) -> String {
        format!("*3\r\n$7\r\nmessage\r\n$4\r\nroom\r\n${}\r\n{text}\r\n", text.len())
    }

    fn is_foreign(&self) -> bool {
        true
    }

    fn senders_listen(&self) -> bool {
        false
    }
}

/// NATS, which orders the lines of each sender alone.
pub struct Nats;

impl Subject for Nats {
    fn name(&self) -> &'static str {
        "NATS"
    }

    fn command(&self, address: SocketAddr, clients: usize) -> Command {
        let (host, port, _) = place(address, clients);
        let mut command = Command::new("nats-server");
        command.args(["--addr", &host, "--port", &port]);
        command
    }

    fn hello(&self, _client: usize) -> Vec<u8> {
        b"CONNECT {\"verbose\":false}\r\nSUB room 1\r\n".to_vec()
    }

    fn greeting(&self, _clients: usize) -> Option<Vec<u64>> {
        None
    }

    fn said(&self, _sender: usize, text: &str) -> String {
        format!("PUB room {}\r\n{text}\r\n", text.len())
    }

    fn heard(&self, _sender: usize, text: &str) -> String {
        format!("MSG room 1 {}\r\n{text}\r\n", text.len())
    }

    fn is_foreign(&self) -> bool {
        true
    }

    fn has_one_order(&self) -> bool {
        false
    }

    /// The answer to the first ping, two seconds after joining. The next one comes minutes later.
    fn thanks(&self) -> &'static [u8] {
        b"PONG\r\n"
    }
}

/// The chat mode of ncat, which marks pieces, not lines, with who sent them.
pub struct Ncat;

impl Subject for Ncat {
    fn name(&self) -> &'static str {
        "ncat"
    }

    fn command(&self, address: SocketAddr, clients: usize) -> Command {
        let (host, port, room) = place(address, clients);
        let mut command = Command::new("ncat");
        command.args(["--listen", "--chat", "--max-conns", &room, &host, &port]);
        command
    }

    fn hello(&self, _client: usize) -> Vec<u8> {
        Vec::new()
    }

    fn greeting(&self, _clients: usize) -> Option<Vec<u64>> {
        None
    }

    fn said(&self, _sender: usize, text: &str) -> String {
        format!("{text}\n")
    }

    fn heard(&self, _sender: usize, text: &str) -> String {
        format!("<user?> {text}\n")
    }

    fn is_foreign(&self) -> bool {
        true
    }

    fn answers_hello(&self) -> bool {
        false
    }

    fn has_one_order(&self) -> bool {
        false
    }

    fn senders_listen(&self) -> bool {
        false
    }
}

/// Host, port, and how many connections to allow.
fn place(address: SocketAddr, clients: usize) -> (String, String, String) {
    (address.ip().to_string(), address.port().to_string(), (clients + 100).to_string())
}
