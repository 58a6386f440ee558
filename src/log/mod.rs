//! Where the log of a room is kept if it is not in memory. Knows nothing of rooms: entries are bytes to it.

pub mod disk;
mod file;
pub mod print;
mod search;
