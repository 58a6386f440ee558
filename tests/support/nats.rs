//! What tests do with engines.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

pub use super::engine::Engine;
use super::server::Server;

impl Engine {
    /// Starts a server that has its room here.
    #[track_caller]
    pub fn serve(&self, options: &str) -> Server {
        Server::start_shared("127.0.0.1:0", &format!("--log nats://{}/lab {options}", self.address()))
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.id().cast_signed()), signal).expect("it runs");
    }

    /// Puts a message into it.
    pub fn publish(&self, subject: &str, message: &[u8]) {
        let mut socket = TcpStream::connect(self.address()).expect("it listens");
        let head = format!("CONNECT {{\"verbose\":false}}\r\nPUB {subject} {}\r\n", message.len());
        let all = [head.as_bytes(), message, b"\r\nPING\r\n"].concat();
        socket.write_all(&all).expect("it listens");
        let mut answers = BufReader::new(socket).lines().map_while(Result::ok);
        assert!(answers.any(|line| line == "PONG"), "it has taken the message");
    }

    /// The sequence of the first message that the stream of the room still has.
    pub fn first_sequence(&self) -> u64 {
        let mut socket = TcpStream::connect(self.monitor()).expect("it tells");
        socket.write_all(b"GET /jsz?streams=true HTTP/1.0\r\n\r\n").expect("it listens");
        let mut text = String::new();
        socket.read_to_string(&mut text).expect("it answers");
        let stream = text.split("\"gotcp-lab\"").nth(1).expect("there is a stream");
        let number = stream.split("\"first_seq\": ").nth(1).expect("it has a first message");
        number.split(',').next().and_then(|number| number.parse().ok()).expect("a number")
    }
}
