//! Several servers and one room: real processes, with real engines between them.
#![cfg(all(unix, feature = "nats"))]

mod clients;
mod failures;
mod room;
mod setup;
#[path = "../support/mod.rs"]
mod support;
