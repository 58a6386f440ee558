//! Whether a server answers, said by nothing but the exit code.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::address::Address;
use crate::protocol::notice::PRIVATE;
use crate::protocol::received::WELCOME;

/// Time for the greeting to come.
const PATIENCE: Duration = Duration::from_millis(2500);

/// Whether a server of ours greets at an address. It is left again without a word.
#[must_use]
pub fn is_greeted(address: &Address) -> bool {
    let greeting = format!("{PRIVATE}{WELCOME}");
    let deadline = Instant::now() + PATIENCE;
    let connect = |addresses: Vec<_>| addresses.iter().find_map(|at| TcpStream::connect_timeout(at, PATIENCE).ok());
    let Some(mut stream) = address.resolve().ok().and_then(connect) else { return false };
    let mut heard = Vec::new();
    let mut chunk = [0; 256];
    while heard.len() < greeting.len() {
        let left = deadline.saturating_duration_since(Instant::now());
        // A wait of no time at all is an error, and a time-out, too.
        if stream.set_read_timeout(Some(left)).is_err() {
            return false;
        }
        match stream.read(&mut chunk) {
            Ok(count) if count > 0 => heard.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            _ => return false,
        }
    }
    heard.starts_with(greeting.as_bytes())
}
