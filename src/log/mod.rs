//! Where the log of a room is kept if it is not in memory. Knows nothing of rooms: turns are bytes to it.

pub mod disk;
mod file;
#[cfg(feature = "nats")]
pub mod jetstream;
pub mod nats;
pub mod print;
pub mod search;
