//! What the tests have in common. Each of them uses only a part of it.
#![allow(dead_code)]

/// A home for files in which none can be made: clients keep nothing there, as in a container.
pub const NOWHERE: &str = "/proc/self/nowhere";

pub mod address;
#[cfg(unix)]
pub mod engine;
pub mod pipe;
pub mod seeds;
pub mod skip;

#[cfg(unix)]
pub mod crowd;
#[cfg(unix)]
pub mod fake_server;
#[cfg(unix)]
pub mod nats;
#[cfg(unix)]
pub mod peer;
#[cfg(unix)]
pub mod pty;
#[cfg(unix)]
pub mod server;
#[cfg(unix)]
pub mod session;
#[cfg(unix)]
pub mod svg;
#[cfg(unix)]
pub mod tls;
#[cfg(unix)]
pub mod websocket;

#[cfg(target_os = "linux")]
pub mod network;
#[cfg(target_os = "linux")]
pub mod process;
