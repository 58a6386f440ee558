//! Whether a server answers, said by nothing but the exit code.

use std::io::{ErrorKind, Read};
use std::time::{Duration, Instant};

use super::link::connect;
use super::session::WELCOME;
use crate::protocol::notice::PRIVATE;

/// Time for the greeting to come.
const PATIENCE: Duration = Duration::from_millis(2500);

/// Whether a server of ours greets at an address. It is left again without a word.
#[must_use]
pub fn is_greeted(address: &str) -> bool {
    let greeting = format!("{PRIVATE}{WELCOME}");
    let deadline = Instant::now() + PATIENCE;
    let Ok(mut stream) = connect(address, PATIENCE) else { return false };
    let mut heard = Vec::new();
    let mut chunk = [0; 256];
    while heard.len() < greeting.len() {
        let left = deadline.saturating_duration_since(Instant::now());
        // A wait of nothing at all is no valid one, and a time-out, too.
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
