//! The server on real sockets: each test runs the built binary and talks to it as `nc` would.
#![cfg(unix)]

mod bots;
mod conversation;
#[cfg(target_os = "linux")]
mod limits;
mod log;
mod metrics;
#[cfg(target_os = "linux")]
mod network;
mod operators;
#[path = "../support/mod.rs"]
mod support;
mod tls;
mod transcript;
mod web;
