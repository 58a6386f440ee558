//! What a line is. Pure, and used by both halves.
//!
//! The wire is UTF-8 lines ended by LF. [`mod@line`] cuts bytes into lines, [`text`] makes a line harmless, [`name`] says
//! what may be a name, [`command`] reads what a user means, and [`notice`] holds every sentence the server can say.
//! PROTOCOL.md says the same for people who write clients.

pub mod command;
pub mod line;
pub mod name;
pub mod notice;
pub(crate) mod received;
pub mod text;
