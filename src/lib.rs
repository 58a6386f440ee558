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
//!
//! # The files, in reading order
//!
//! | where | what |
//! |---|---|
//! | [`protocol`] | what a line is: pure, used by both halves |
//! | `protocol/line.rs` | bytes in, lines out |
//! | `protocol/text.rs` | what may be in a line |
//! | `protocol/name.rs` | what may be a name, and when two names look alike |
//! | `protocol/command.rs` | `!` commands |
//! | `protocol/notice.rs` | every sentence that the server can say |
//! | `protocol/received.rs` | how a client reads them |
//! | [`room`] | who is here and what was said: pure, no socket, no clock, no randomness |
//! | `room/scrollback.rs` | the log |
//! | `room/outbox.rs` | the cursor, and the asides |
//! | `room/pace.rs` | flood control |
//! | `room/roster.rs` | names and sessions |
//! | `room/guest.rs` | one connection, as the room sees it |
//! | `room/limits.rs` | how much there may be of everything |
//! | `room/mod.rs` | what happens to a connection |
//! | `room/hearing.rs` | what a line means |
//! | [`server`] | the only place that knows mio |
//! | `server/slots.rs` | a slab whose tokens carry a generation |
//! | `server/connection.rs` | a socket and its readiness |
//! | `server/exchange.rs` | the turn of the loop, apart from the waiting |
//! | `server/mod.rs` | the loop |
//! | `server/listener.rs` | accepting, and what to do when that fails |
//! | `server/signals.rs` | what the operator asks |
//! | `server/background.rs` | writing without waiting |
//! | `server/console.rs` | what the operator sees |
//! | `server/transcript.rs` | the conversation on disk |
//! | [`client`] | one mio thread and rustyline; knows nothing of `room` and `server`. Its own front page maps its files |
//!
//! Imports run one way: `main` → [`cli`], [`server`], [`client`]; `server` → `room` → `protocol`; `client` → `protocol`.
//! ARCHITECTURE.md says what was decided, against what, and why; PROTOCOL.md says what is on the wire.

pub mod cli;
pub mod client;
pub mod lobby;
pub mod protocol;
pub mod room;
pub mod server;
