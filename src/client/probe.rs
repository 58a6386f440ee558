//! Whether a server answers, said by nothing but the exit code.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustls::StreamOwned;

use super::trust::Trust;
use crate::address::Address;
use crate::cli::ClientArgs;
use crate::protocol::notice::{ERROR, PRIVATE};
use crate::protocol::received::{TLS_ONLY, WELCOME};

/// Time for the greeting to come.
const PATIENCE: Duration = Duration::from_millis(2500);

/// Whether a server of ours greets, or wants to be spoken to in TLS; of several one is enough. It is left again without a
/// word.
///
/// # Errors
/// Where it cannot be read whom to trust.
pub fn is_answered(args: &ClientArgs) -> anyhow::Result<bool> {
    let trust = Trust::open(&args.server, args.pin)?;
    for (address, trust) in args.server.addresses.iter().zip(&trust) {
        if answers(address, trust.as_ref())? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn answers(address: &Address, trust: Option<&Trust>) -> anyhow::Result<bool> {
    let deadline = Instant::now() + PATIENCE;
    let connect = |addresses: Vec<_>| addresses.iter().find_map(|at| TcpStream::connect_timeout(at, PATIENCE).ok());
    let Some(mut socket) = address.resolve().ok().and_then(connect) else { return Ok(false) };
    Ok(match trust {
        None => is_greeted(&mut socket, |socket| socket, deadline),
        Some(trust) => {
            let mut tls = StreamOwned::new(trust.begin()?.connection, socket);
            is_greeted(&mut tls, |tls| &tls.sock, deadline)
        }
    })
}

fn is_greeted<S: Read>(stream: &mut S, socket: impl Fn(&S) -> &TcpStream, deadline: Instant) -> bool {
    let greetings = [format!("{PRIVATE}{WELCOME}"), format!("{ERROR}{TLS_ONLY}\n")];
    let mut heard = Vec::new();
    let mut chunk = [0; 256];
    while greetings.iter().any(|greeting| greeting.len() > heard.len() && greeting.as_bytes().starts_with(&heard)) {
        let left = deadline.saturating_duration_since(Instant::now());
        // A wait of no time at all is an error, and a time-out, too.
        if socket(stream).set_read_timeout(Some(left)).is_err() {
            return false;
        }
        match stream.read(&mut chunk) {
            Ok(count) if count > 0 => heard.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            _ => return false,
        }
    }
    greetings.iter().any(|greeting| heard.starts_with(greeting.as_bytes()))
}
