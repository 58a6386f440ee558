//! gotcp, a small real-time chat over TCP.
//!
//! # The idea
//!
//! *The room is a log; a connection is a cursor.* Every line that everyone may see is appended once to one byte ring, the
//! scrollback, at an absolute position. A connection holds no copy of what it still has to be sent, only a position, and
//! a short queue of asides: lines for it alone, each due at a position.
//!
//! ```text
//!   what people send                    the room                                what people read
//!
//!   carol ── line ──┐   ┌────────────────────────────────────────────┐
//!   bob ──── line ──┼──>│ … bob: hi │ carol: hello │ *** dan joined │ end
//!   dan ──── line ──┘   └─────────────▲──────────────▲───────────────▲
//!                                     │              │               └── carol, bob: all is written
//!                                     │              └── dan: the history, then what is new
//!                                     └── eve reads slowly: nobody waits for her
//! ```
//!
//! Broadcast, history, slow readers, coming back after a break, the transcript: each is only a matter of where a cursor
//! starts and how far behind it may fall. And there is one order, since there is one log.

pub mod cli;
pub mod client;
pub mod protocol;
pub mod room;
pub mod server;
