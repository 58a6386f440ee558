//! gotcp, a small real-time chat over TCP.
//!
//! # The idea
//!
//! *The room is a log; a connection is a cursor.* Whatever everybody can see, who came, what was said, who is called what,
//! is an entry in one log. What an entry says is appended to one byte ring, the scrollback, at an absolute position. A
//! connection holds no copy of what it still has to be sent, only a position, and a short queue of asides: lines for it
//! alone, each due at a position.
//!
//! ```text
//!   a line arrives ──> decide ──> propose(entry) ──> THE LOG ──> apply(entry) ──> scrollback, roster ──> cursors
//!                      the lobby:                    memory,     the room:
//!                      limits, rights                a file,     no clock, no randomness
//!                                                    or NATS
//!
//!   ┌────────────────────────────────────────────┐
//!   │ … bob: hi │ carol: hello │ *** dan joined │ end
//!   └─────────────▲──────────────▲───────────────▲
//!                 │              │               └── carol, bob: everything is written
//!                 │              └── dan: the history, then what is new
//!                 └── eve reads slowly: nobody waits for her
//! ```
//!
//! Broadcast, history, slow readers, coming back after a break, the transcript: each is only a question of where a
//! cursor starts and how far behind it may fall. And there is one order, since there is one log, also where several
//! servers share it.
//!
//! # The files, in reading order
//!
//! | where | what |
//! |---|---|
//! | [`protocol`] | what a line is: pure, used by both halves |
//! | `protocol/line.rs` | bytes in, lines out |
//! | `protocol/text.rs` | what may be in a line |
//! | `protocol/name.rs` | what may be a name, and when two names look alike |
//! | `protocol/command.rs` | `!` commands, in one table |
//! | `protocol/notice.rs` | every sentence that the server can say |
//! | `protocol/received.rs` | how a client reads them |
//! | [`room`] | what everybody sees: entries, and what they do. Pure |
//! | `room/entry.rs` | what may happen to a room |
//! | `room/mod.rs` | `apply`, the only function that changes it |
//! | `room/checkpoint.rs` | the room as bytes, in place of all entries so far |
//! | `room/scrollback.rs` | what was said: the ring buffer |
//! | `room/roster.rs`, `room/people.rs` | who is here, and who may come back |
//! | `room/bans.rs` | who may not come back |
//! | `room/turn.rs`, `room/servers.rs` | what a server gives to the log at once; which servers there are |
//! | `room/digest.rs` | whether they have all made the same room |
//! | `room/session.rs`, `room/place.rs` | the secret of a session; where connections come from |
//! | [`lobby`] | what is local to one server: connections and their limits. Pure |
//! | `lobby/client.rs` | one connection |
//! | `lobby/outbox.rs` | its cursor, and its asides |
//! | `lobby/mod.rs` | what happens to a connection |
//! | `lobby/login.rs`, `lobby/secret.rs` | its first lines: a password, a name, or a session to resume |
//! | `lobby/commands.rs`, `lobby/orders.rs` | its other lines; what operators say |
//! | `lobby/proposals.rs` | from a proposal to what came of it |
//! | `lobby/questions.rs` | what only a log that lasts can answer |
//! | `lobby/pulse.rs`, `lobby/letters.rs` | where servers share a room: which of them live; whispers between them |
//! | `lobby/access.rs`, `lobby/rate_limit.rs` | how many may come; how fast they may send |
//! | `lobby/backpressure.rs` | slow readers |
//! | `lobby/limits.rs` | how much there may be of everything |
//! | `lobby/event.rs`, `lobby/stats.rs` | what an operator wants to know, and to count |
//! | [`log`] | where turns are kept if not in memory: bytes to it |
//! | `log/disk.rs` | the thread that commits |
//! | `log/file.rs` | the database: its tables, and what survives what |
//! | `log/search.rs`, `log/print.rs` | looking back; `gotcp log` |
//! | `log/nats.rs` | where a room is that several servers share |
//! | `log/jetstream/` | its log, with the feature `nats`: the thread, what it finds in NATS, what it does there |
//! | [`server`] | the only place that knows mio, apart from the client's network thread |
//! | `server/slots.rs` | a slab whose tokens carry a generation |
//! | `server/deadlines.rs` | what is due for connections, and when |
//! | `server/connection.rs` | a socket, its readiness and its lines |
//! | `server/reactor.rs` | one turn of the loop, apart from the waiting |
//! | `server/mod.rs` | the loop |
//! | `server/transport/mod.rs` | what connections need of a socket: sockets around sockets |
//! | `server/transport/plain.rs` | TCP as it is |
//! | `server/transport/web/` | WebSocket, and the page, for those who have a browser |
//! | `server/transport/held.rs` | what a layer has read before it was known what the peer speaks |
//! | `server/transport/unsent.rs` | what a layer has taken, and the socket below has not |
//! | `server/transport/tls/` | TLS, without buffers of its own, for those who speak it; where the key is from |
//! | `server/listener.rs` | accepting, and what to do when that fails |
//! | `server/signals.rs` | what the operator asks |
//! | `server/journal/`, `server/clock.rs` | the log, between the lobby and where it is kept; the time |
//! | `server/background.rs` | writing without waiting |
//! | `server/console.rs`, `server/terminal.rs` | what the operator sees, and types |
//! | `server/metrics.rs` | what monitoring reads |
//! | `server/transcript.rs` | the conversation on disk |
//! | [`client`] | one network thread and rustyline; knows nothing of `room`, `lobby` and `server`. Its own front page maps its files |
//!
//! For both halves, `address.rs` reads addresses as people write them, `fingerprint.rs` tells keys apart, `password.rs` reads
//! a word from a file, and `state.rs` knows where to keep things; `cli.rs` has the options.
//!
//! Imports run one way: `main` → [`cli`], [`server`], [`client`]; `server` → `log`, `lobby` → `room` → `protocol`;
//! `client` → `protocol`. ARCHITECTURE.md says what was decided, against what, and why; PROTOCOL.md says what is on the wire.

pub mod address;
pub mod cli;
pub mod client;
pub mod fingerprint;
pub mod lobby;
pub mod log;
mod password;
pub mod protocol;
pub mod room;
pub mod server;
mod state;
