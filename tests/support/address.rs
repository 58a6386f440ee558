//! Addresses to listen on.

use std::net::{SocketAddr, TcpListener};

/// A port on which nobody listened a moment ago.
pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("there is a free port")
}
