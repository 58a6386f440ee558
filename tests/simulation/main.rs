//! The server and the client without sockets and clocks: seeded schedules in simulated time.

mod backpressure;
#[cfg(unix)]
mod browsers;
mod people;
mod readers;
mod servers;
mod sessions;
#[path = "../support/mod.rs"]
mod support;
mod waves;
