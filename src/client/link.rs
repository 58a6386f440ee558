//! The connection: made, read from, written to, and made again.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};
use socket2::{SockRef, TcpKeepalive};

use super::backoff::Backoff;
use super::hub::Hub;
use super::session::{News, Session};
use crate::cli::resolve;
use crate::protocol::line::{Line, LineBuffer};
use crate::protocol::text::sanitise;

/// The longest line that is read, its end included. A longer one is not shown.
const MAX_LINE: usize = 1024 * 1024;

/// Time to make a connection to one address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Time for a server to greet. One that has not by then is of another kind, and is spoken to all the same.
///
/// Until then the name is all that is said: if it were refused, a server of ours would take the next line for a name.
const GREETING_TIMEOUT: Duration = Duration::from_secs(1);

/// A server that owes an answer and says nothing for so long cannot be reached any more. (If that is wrong, nothing is
/// lost: the client comes back.)
const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);

/// When the system asks whether the peer is still there, though nobody says anything.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Time that one who leaves gives the server to say goodbye, where nobody reads along any more.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);

/// Where the conversation goes.
pub trait Listener {
    /// Something to show, in order.
    ///
    /// # Errors
    /// Fails when nobody reads along any more.
    fn show(&mut self, spoken: &[Spoken]) -> io::Result<()>;

    /// The user has another name now.
    fn renamed(&mut self);

    /// The name cannot be had. Answers whether the user may choose another one.
    fn refused(&mut self, why: &str) -> bool;
}

/// Something to show.
#[derive(Debug, PartialEq, Eq)]
pub enum Spoken {
    /// A line from the server, harmless and without its end.
    Line {
        /// The line.
        text: String,
        /// Whether it was said before the user came.
        is_history: bool,
        /// The user's name by then.
        own: Arc<str>,
    },
    /// Something that the client itself has to say.
    Note(String),
}

/// Stays in touch with a server until the user has left.
///
/// # Errors
/// Fails when the first connection does not lead into the room, when a later one breaks and is not to be replaced, and
/// when a name cannot be had and no other one is chosen.
pub fn stay(address: &str, reconnect: bool, hub: &Hub, listener: &mut impl Listener) -> anyhow::Result<()> {
    let mut backoff = Backoff::default();
    loop {
        match connect(address, CONNECT_TIMEOUT) {
            Ok(stream) => {
                let end = converse(&stream, hub, listener);
                if hub.with(|session| session.is_over()) {
                    return Ok(());
                }
                let has_joined = hub.with(|session| session.has_joined());
                match end {
                    End::Refused(why) if !has_joined || !reconnect => bail!("{why}"),
                    End::Refused(why) => {
                        let _ = listener.show(&[Spoken::Note(format!("{why}; trying again"))]);
                    }
                    End::Broken { why, .. } if !has_joined => bail!("{address}: {why}"),
                    End::Broken { why, .. } if !reconnect => bail!("lost the connection to {address} ({why})"),
                    End::Broken { why, was_open: true } => {
                        backoff = Backoff::default();
                        let note = format!("lost the connection to {address} ({why}); trying again");
                        let _ = listener.show(&[Spoken::Note(note)]);
                    }
                    End::Broken { .. } => {}
                }
            }
            Err(error) if !hub.with(|session| session.has_joined()) => return Err(error),
            Err(_) => {}
        }
        if hub.wait_until(Some(backoff.next(super::random())), Session::may_go) {
            return Ok(());
        }
    }
}

/// Connects to the first address behind a name that can be reached within `timeout`.
///
/// # Errors
/// Names the address, and says why it cannot be reached.
pub fn connect(address: &str, timeout: Duration) -> anyhow::Result<TcpStream> {
    let mut result = Err(io::Error::from(ErrorKind::AddrNotAvailable));
    for candidate in resolve(address)? {
        result = TcpStream::connect_timeout(&candidate, timeout);
        if result.is_ok() {
            break;
        }
    }
    let stream = result.map_err(|error| anyhow!("cannot connect to {address}: {}", reason(&error)))?;
    // Neither is worth failing for: without them, lines are slower and a dead network is noticed later.
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(&stream)
        .set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 3));
    Ok(stream)
}

/// How a conversation over one connection ended.
enum End {
    Broken {
        why: String,
        /// Whether the user could speak before.
        was_open: bool,
    },
    /// There is no name to go on under.
    Refused(String),
}

/// Reads and writes at the same time, as long as the connection lasts.
fn converse(stream: &TcpStream, hub: &Hub, listener: &mut impl Listener) -> End {
    hub.with(Session::connected);
    thread::scope(|scope| {
        scope.spawn(|| write(stream, hub));
        let own = hub.with(|session| session.name().into());
        let end = Reader { stream, hub, listener, own, farewell_by: None }.read();
        let was_refused = hub.with(|session| session.refused().is_some());
        hub.with(Session::broke);
        if was_refused {
            listener.renamed();
        }
        // So that the writer, too, comes to its end.
        let _ = stream.shutdown(Shutdown::Both);
        end
    })
}

fn write(mut stream: &TcpStream, hub: &Hub) {
    while let Some(batch) = hub.next_to_send() {
        if stream.write_all(&batch).is_err() {
            // The reader will find the same, after what there is still to be read.
            return;
        }
    }
    let _ = stream.shutdown(Shutdown::Write);
}

/// The reading half of one connection.
struct Reader<'a, L> {
    stream: &'a TcpStream,
    hub: &'a Hub,
    listener: &'a mut L,
    own: Arc<str>,
    /// When to stop waiting for the server to close, where nobody reads along any more.
    farewell_by: Option<Instant>,
}

impl<L: Listener> Reader<'_, L> {
    fn read(mut self) -> End {
        let greeting_by = Instant::now() + GREETING_TIMEOUT;
        let mut buffer = LineBuffer::default();
        let mut chunk = vec![0; 64 * 1024];
        loop {
            let is_unknown = self.hub.with(|session| session.is_unknown());
            let deadline = self.farewell_by.or(is_unknown.then_some(greeting_by));
            let wait = deadline.map_or(SILENCE_TIMEOUT, |at| at.saturating_duration_since(Instant::now()));
            if wait.is_zero() {
                if self.farewell_by.is_some() {
                    return self.broken("not closed by the server");
                }
                self.give_up_greeting();
                continue;
            }
            if let Err(error) = self.stream.set_read_timeout(Some(wait)) {
                return self.broken(&reason(&error));
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => return self.broken("closed by the server"),
                Ok(count) => {
                    if let Some(why) = self.hear(&mut buffer, &chunk[..count]) {
                        return End::Refused(why);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if deadline.is_none() && self.hub.with(|session| session.awaits_answer()) {
                        return self.broken("no answer");
                    }
                }
                Err(error) => return self.broken(&reason(&error)),
            }
        }
    }

    /// Deals with what has arrived. Answers why there is no name to go on under, if there is none.
    fn hear(&mut self, buffer: &mut LineBuffer, input: &[u8]) -> Option<String> {
        let mut lines = buffer.split(input, MAX_LINE);
        let mut spoken = Vec::new();
        let mut refused = None;
        let name = Arc::clone(&self.own);
        self.hub.with(|session| {
            while let Some(line) = lines.next() {
                let Line::Whole(bytes) = line else {
                    session.heard_too_long();
                    spoken.push(Spoken::Note(format!("a line longer than {MAX_LINE} bytes is not shown")));
                    continue;
                };
                let text = sanitise(bytes);
                let heard = session.heard(&text, bytes.len() + 1);
                if heard.is_shown {
                    let own = Arc::clone(&self.own);
                    spoken.push(Spoken::Line { text: text.into_owned(), is_history: heard.is_history, own });
                }
                if let Some(item) = heard.news {
                    self.own = session.name().into();
                    match item {
                        News::Resumed => spoken.push(Spoken::Note("connected again".into())),
                        News::Rejoined => spoken.push(Spoken::Note("connected again, as a newcomer".into())),
                        News::Refused(why) => refused = Some(why),
                        News::Joined | News::Renamed => {}
                    }
                }
            }
        });
        self.show(&spoken);
        if self.own != name {
            self.listener.renamed();
        }
        refused.filter(|why| !self.listener.refused(why))
    }

    /// The server is of another kind. What can be told of it by then is that one may speak.
    fn give_up_greeting(&mut self) {
        if self.hub.with(Session::not_greeted) == Some(News::Rejoined) {
            self.show(&[Spoken::Note("connected again".into())]);
        }
    }

    fn show(&mut self, spoken: &[Spoken]) {
        if self.farewell_by.is_none() && self.listener.show(spoken).is_err() {
            self.hub.with(Session::leave_now);
            self.farewell_by = Some(Instant::now() + FAREWELL_TIMEOUT);
        }
    }

    fn broken(&self, why: &str) -> End {
        let (was_open, complaint) =
            self.hub.with(|session| (session.is_open(), session.complaint().map(str::to_owned)));
        End::Broken { why: complaint.unwrap_or_else(|| why.into()), was_open }
    }
}

/// Why a connection failed, for people.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused; is a server running there?".into(),
        ErrorKind::TimedOut | ErrorKind::WouldBlock => "no answer".into(),
        ErrorKind::ConnectionReset => "connection reset".into(),
        _ => error.to_string(),
    }
}
