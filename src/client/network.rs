//! The network thread: it owns the session and its connection, makes it, and makes it again.
//!
//! Everything that moves passes one [`mio::Poll`]: the socket, and word from other threads. So nothing here waits for
//! anything else, except for the system while it looks up an address.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail, ensure};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};
use rustls::StreamOwned;
use socket2::{SockRef, TcpKeepalive};

use super::handle::{Command, Handle, Status};
use super::kept::{Keeper, SAVE_TIME};
use super::rounds::Rounds;
use super::session::{News, Phase, Session};
use super::stream::Stream;
use super::trust::Mistrust;
use super::{Server, Start, panics};
use crate::address::Address;
use crate::protocol::line::{Line, LineBuffer};
use crate::protocol::text::sanitise;

/// The longest line that is read, its end included. A longer one is not shown.
const MAX_LINE: usize = 1024 * 1024;

/// Bytes that are read, or made ready to be sent, in one go, about.
const CHUNK: usize = 64 * 1024;

/// Time to make a connection to one address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The same where there are other servers.
const SHORT_CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Time for a server to say anything. One that has not by then is of another kind, and is spoken to all the same, unless
/// there are other servers.
const GREETING_TIMEOUT: Duration = Duration::from_secs(5);

/// A server that owes an answer and says nothing for so long cannot be reached any more. (If that is wrong, nothing is
/// lost: the client comes back.)
const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);

/// When the system asks whether the peer is still there, though nobody says anything.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// How often the server is asked whether it has heard what was sent last, at most: a question counts as a line, too.
const ASK_INTERVAL: Duration = Duration::from_secs(1);

/// How long a connection has to last for the next one to be tried without delay.
const LASTING: Duration = Duration::from_secs(10);

/// How long a client that is only waiting for its last lines to be heard waits for a server that says nothing.
const PATIENCE: Duration = Duration::from_secs(20);

/// Time that a leaving client gives the server to say goodbye, where nobody reads along any more.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);

/// What somebody is told who cannot be asked.
const NO_PASSWORD: &str = "this room has a password; say it with --password-file FILE, or in GOTCP_PASSWORD";

/// What begins what was said since an earlier client of the session.
const SINCE: &str = "--- since you were here:";

const SOCKET: Token = Token(0);
const WAKE: Token = Token(1);

/// Where the conversation goes. Nothing here may wait.
pub trait Listener {
    /// Something to show, in order.
    fn show(&mut self, spoken: Vec<Spoken>);

    /// Whether all of it was shown.
    fn is_shown(&self) -> bool;

    /// Whether there is room for more to show. If not, the handle is to be [woken](Handle::wake) once there is.
    fn has_room(&self) -> bool {
        true
    }

    /// So many lines of the user were heard, of all that they have sent.
    fn settled(&mut self, _lines: u64) {}

    /// The user has another name now, or needs one.
    fn renamed(&mut self) {}

    /// The name cannot be had. Returns whether the user may choose another one.
    fn refused(&mut self, _why: &str) -> bool {
        false
    }

    /// The room has a password: one that is not known, or, if there is a reason, another one than the one that is. Returns
    /// whether the user may be asked.
    fn locked(&mut self, _why: Option<&str>) -> bool {
        false
    }
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

/// Starts the thread, which stays in touch with the server until the user has left. The handle tells its
/// [result](Handle::result): an error when the first connection does not lead into the room, when a later one breaks and
/// is not to be replaced, and when a name cannot be had and no other one is chosen.
///
/// # Errors
/// Fails where the system has no means left for it.
pub fn start(reconnect: bool, start: Start, listener: Box<dyn Listener + Send>) -> anyhow::Result<Handle> {
    let Start { servers, session, keeper, trouble } = start;
    let poll = Poll::new().context("cannot start")?;
    let waker = Waker::new(poll.registry(), WAKE).context("cannot start")?;
    let own: Arc<str> = session.status().name.as_str().into();
    let handle = Handle::new(waker, &own);
    let (shared, heard_at) = (handle.clone(), Instant::now());
    let mut network = Network {
        poll,
        rounds: Rounds::new(servers.len()),
        servers,
        failures: Vec::new(),
        has_told_refusal: false,
        session,
        keeper,
        handle: shared,
        listener,
        own,
        heard_at,
        nobody_listens: false,
        is_impatient: false,
    };
    let run = move || {
        if let Some(trouble) = trouble {
            network.note(trouble);
        }
        let result = panics::catch(|| network.stay(reconnect));
        network.handle.finish(result);
        network.listener.renamed();
    };
    thread::Builder::new().name("network".into()).spawn(run).context("cannot start")?;
    Ok(handle)
}

struct Network {
    poll: Poll,
    servers: Vec<Server>,
    /// Whose turn it is.
    rounds: Rounds,
    /// Why those that were tried did not let in a user who was never in.
    failures: Vec<String>,
    /// Whether it was said, since the last break, that another server did not let the user in.
    has_told_refusal: bool,
    session: Session,
    /// Where the session is kept for the next client.
    keeper: Option<Keeper>,
    handle: Handle,
    listener: Box<dyn Listener + Send>,
    /// The user's name, as it was last told to the listener.
    own: Arc<str>,
    /// When the server has said something, or the user that they leave.
    heard_at: Instant,
    /// Whether nobody reads along any more.
    nobody_listens: bool,
    /// Whether the user wants the next try now.
    is_impatient: bool,
}

/// What a socket may be ready for: it is until it has said otherwise.
struct Ready {
    to_read: bool,
    to_write: bool,
}

/// One connection.
#[allow(clippy::struct_excessive_bools)] // Each is a fact of its own about the connection.
struct Connection {
    stream: Stream,
    since: Instant,
    ready: Ready,
    input: LineBuffer,
    /// What is on its way to the server, and how much of it is gone.
    output: Vec<u8>,
    written: usize,
    /// Whether nothing more will be sent.
    is_finished: bool,
    /// Since when the server has owed an answer and said nothing.
    silent_since: Instant,
    /// From when on the server may be asked what it has heard.
    ask_at: Instant,
    /// Why the server did not let the user in.
    complaint: Option<String>,
    has_resumed: bool,
}

/// How a conversation over one connection ended.
enum End {
    Broken(String),
    /// There is no name to go on under.
    Refused(String),
    /// There is no way in, or none any more.
    Barred(String),
    /// The user has left, and the server does not say what it has heard.
    Silent,
}

impl Network {
    fn stay(&mut self, reconnect: bool) -> anyhow::Result<()> {
        loop {
            match self.connect() {
                Ok(Some(stream)) => {
                    if self.talk(stream, reconnect)? {
                        return Ok(());
                    }
                }
                Ok(None) => {}
                Err(error) => self.fail(error)?,
            }
            let until = Instant::now() + self.rounds.next(super::random());
            self.is_impatient = false;
            while !self.may_go() && (self.session.status().is_locked || Instant::now() < until && !self.is_impatient) {
                self.wait(Some(until).filter(|_| !self.session.status().is_locked), None)?;
            }
            if self.may_go() {
                return self.outcome();
            }
        }
    }

    /// Talks over a connection as long as it lasts. Returns whether that was all.
    fn talk(&mut self, stream: Stream, reconnect: bool) -> anyhow::Result<bool> {
        let mut connection = Connection::new(stream);
        let end = self.converse(&mut connection);
        let was_open = matches!(self.session.status().phase, Phase::Joined | Phase::Plain);
        let has_joined = self.session.status().has_joined;
        self.session.broke();
        self.tell_name();
        let complaint = connection.complaint.take().filter(|_| !(was_open && has_joined));
        if self.session.is_over() && complaint.is_none() && !matches!(end, End::Silent) {
            self.forget();
            return Ok(true);
        }
        if connection.since.elapsed() >= LASTING {
            self.rounds.lasted();
        } else if connection.has_resumed {
            self.rounds.succeeded();
        }
        let end = match (end, complaint) {
            (End::Broken(_), Some(complaint)) => End::Broken(complaint),
            (end, _) => end,
        };
        match end {
            End::Silent => return self.outcome().map(|()| true),
            End::Barred(why) => {
                // Where the way back is barred, the session may be good another time.
                if was_open {
                    self.forget();
                }
                bail!("{}: {why}", self.address())
            }
            End::Refused(why) if !has_joined || !reconnect => bail!("{why}"),
            End::Refused(why) => {
                self.note(format!("{why}; trying again"));
                self.rounds.spoke_for_all();
            }
            // The server does not wait for ever for a password to be typed.
            End::Broken(_) if self.session.status().is_locked => {}
            End::Broken(why) if !has_joined => self.fail(anyhow!("{}: {why}", self.address()))?,
            End::Broken(why) if !reconnect => bail!("lost the connection to {} ({why})", self.address()),
            End::Broken(why) if was_open => {
                self.has_told_refusal = false;
                let next = if self.rounds.has_others() { "trying the next server" } else { "trying again" };
                self.note(format!("lost the connection to {} ({why}); {next}", self.address()));
            }
            End::Broken(_) => {}
        }
        Ok(false)
    }

    /// There was no way in at this server. That is an error once it is so at all of them, for a user who was never in; and
    /// in any case if none of them is who it should be.
    fn fail(&mut self, error: anyhow::Error) -> anyhow::Result<()> {
        let mut why = format!("{error:#}");
        let is_mistrusted = error.is::<Mistrust>();
        let server = &mut self.servers[self.rounds.current()];
        let is_known = std::mem::replace(&mut server.is_mistrusted, is_mistrusted);
        if is_mistrusted {
            if self.servers.iter().all(|server| server.is_mistrusted) {
                return Err(error);
            }
            let short = format!("{} has another key", self.address());
            let note = std::mem::replace(&mut why, short);
            if !is_known {
                self.note(note);
            }
        }
        if self.session.status().has_joined {
            return Ok(());
        }
        self.failures.push(why);
        ensure!(!self.rounds.is_last(), self.failures.join("; "));
        Ok(())
    }

    fn address(&self) -> &Address {
        &self.servers[self.rounds.current()].address
    }

    /// Connects to the first address behind the name that can be reached; `None` if the user leaves meanwhile.
    fn connect(&mut self) -> anyhow::Result<Option<Stream>> {
        let mut result = Err(io::Error::from(ErrorKind::AddrNotAvailable));
        for candidate in self.address().resolve()? {
            result = self.connect_to(candidate);
            if result.is_ok() {
                break;
            }
        }
        match result {
            Ok(Some(socket)) => self.secure(socket),
            Ok(None) => Ok(None),
            Err(error) => {
                let is_guess = error.kind() == ErrorKind::ConnectionRefused && !self.rounds.has_others();
                let guess = if is_guess { "; is a server running there?" } else { "" };
                Err(anyhow!("cannot connect to {}: {}{guess}", self.address(), reason(&error)))
            }
        }
    }

    /// Puts TLS around a connection, where it is spoken; `None` if the user leaves meanwhile.
    fn secure(&mut self, mut socket: TcpStream) -> anyhow::Result<Option<Stream>> {
        let current = self.rounds.current();
        let Some(trust) = &self.servers[current].trust else { return Ok(Some(Stream::Plain(socket))) };
        let was_met = trust.written_in();
        let mut handshake = trust.begin()?;
        let until = Instant::now() + self.connect_timeout();
        while handshake.connection.is_handshaking() {
            let error = match handshake.connection.complete_io(&mut socket) {
                Ok(_) => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < until => {
                    self.wait(Some(until), None)?;
                    if self.may_go() {
                        return Ok(None);
                    }
                    continue;
                }
                Err(error) => error,
            };
            if let Some(mistrust) = self.servers[current].trust.as_ref().and_then(|trust| trust.mistrust(&handshake)) {
                return Err(mistrust.into());
            }
            let hint = was_met.map(|file| format!("; it once did: if that is over, take it out of {file}"));
            bail!("{} does not speak TLS ({}){}", self.address(), reason(&error), hint.unwrap_or_default());
        }
        let server = &mut self.servers[current];
        server.is_mistrusted = false;
        if let Some(note) = server.trust.as_mut().and_then(|trust| trust.accept(&handshake)) {
            self.note(note);
        }
        Ok(Some(Stream::Tls(Box::new(StreamOwned::new(handshake.connection, socket)))))
    }

    fn connect_timeout(&self) -> Duration {
        if self.rounds.has_others() { SHORT_CONNECT_TIMEOUT } else { CONNECT_TIMEOUT }
    }

    fn connect_to(&mut self, address: SocketAddr) -> io::Result<Option<TcpStream>> {
        let mut stream = TcpStream::connect(address)?;
        self.poll.registry().register(&mut stream, SOCKET, Interest::READABLE | Interest::WRITABLE)?;
        let until = Instant::now() + self.connect_timeout();
        loop {
            self.wait(Some(until), None)?;
            if self.may_go() {
                return Ok(None);
            }
            if let Some(error) = stream.take_error()? {
                return Err(error);
            }
            match stream.peer_addr() {
                Ok(_) => break,
                Err(error) if error.kind() != ErrorKind::NotConnected => return Err(error),
                Err(_) if Instant::now() >= until => return Err(ErrorKind::TimedOut.into()),
                Err(_) => {}
            }
        }
        // Neither is worth failing for: without them, lines are slower and a dead network is noticed later.
        let _ = stream.set_nodelay(true);
        let _ = SockRef::from(&stream)
            .set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 3));
        Ok(Some(stream))
    }

    /// Reads and writes as long as the connection lasts.
    fn converse(&mut self, connection: &mut Connection) -> End {
        self.session.connected(connection.stream.is_confidential());
        let mut farewell_by = None;
        let mut chunk = vec![0; CHUNK];
        loop {
            if self.nobody_listens {
                farewell_by = farewell_by.or(Some(Instant::now() + FAREWELL_TIMEOUT));
            }
            let now = Instant::now();
            if self.greeting_ends(connection).is_some_and(|end| now >= end) {
                if self.rounds.has_others() {
                    return End::Broken("no answer".into());
                }
                self.give_up_greeting();
            }
            if self.session.is_ask_due() && now >= connection.ask_at {
                self.session.ask();
                connection.ask_at = now + ASK_INTERVAL;
            }
            if !self.session.awaits_answer() {
                connection.silent_since = now;
            } else if now >= connection.silent_since + SILENCE_TIMEOUT {
                return End::Broken("no answer".into());
            }
            if farewell_by.is_some_and(|by| now >= by) {
                return End::Broken("not closed by the server".into());
            }
            if self.is_out_of_patience() {
                return End::Silent;
            }
            let may_read = connection.ready.to_read && self.listener.has_room();
            let end = self.send(connection).err().map(|error| End::Broken(reason(&error)));
            let end = if may_read { self.receive(connection, &mut chunk) } else { end };
            if let Some(end) = end {
                return end;
            }
            let until = if connection.ready.to_read && self.listener.has_room() {
                Some(now)
            } else {
                let greeting = self.greeting_ends(connection);
                let ask = self.session.is_ask_due().then_some(connection.ask_at);
                let silence = self.session.awaits_answer().then(|| connection.silent_since + SILENCE_TIMEOUT);
                [greeting, ask, silence, farewell_by].into_iter().flatten().min()
            };
            if let Err(error) = self.wait(until, Some(connection)) {
                return End::Broken(reason(&error));
            }
        }
    }

    /// Writes what there is to be sent, as far as the socket takes it.
    fn send(&mut self, connection: &mut Connection) -> io::Result<()> {
        while connection.ready.to_write && !connection.is_finished {
            if connection.written == connection.output.len() {
                connection.written = 0;
                connection.output.clear();
                self.fill(&mut connection.output);
            }
            let left = &connection.output[connection.written..];
            let outcome =
                if left.is_empty() { connection.stream.flush().map(|()| 0) } else { connection.stream.write(left) };
            match outcome {
                Ok(0) => {
                    if self.session.is_over() {
                        connection.is_finished = true;
                        connection.stream.finish();
                    }
                    return Ok(());
                }
                Ok(count) => connection.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => connection.ready.to_write = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn fill(&mut self, output: &mut Vec<u8>) {
        while output.len() < CHUNK
            && let Some(line) = self.session.next_to_send()
        {
            output.extend_from_slice(line.as_bytes());
            output.push(b'\n');
        }
    }

    /// Reads once, and deals with what has arrived.
    fn receive(&mut self, connection: &mut Connection, chunk: &mut [u8]) -> Option<End> {
        match connection.stream.read(chunk) {
            Ok(0) => Some("closed by the server".into()),
            Ok(count) => {
                connection.silent_since = Instant::now();
                self.heard_at = connection.silent_since;
                return self.hear(connection, &chunk[..count]);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                connection.ready.to_read = false;
                None
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => None,
            Err(error) => Some(reason(&error)),
        }
        .map(End::Broken)
    }

    fn hear(&mut self, connection: &mut Connection, input: &[u8]) -> Option<End> {
        self.keep();
        let mut lines = connection.input.split(input, MAX_LINE);
        let mut spoken = Vec::new();
        let mut own = Arc::clone(&self.own);
        let mut end = None;
        while let Some(line) = lines.next() {
            let Line::Whole(bytes) = line else {
                self.session.heard_too_long();
                spoken.push(Spoken::Note(format!("a line longer than {MAX_LINE} bytes is not shown")));
                continue;
            };
            let text = sanitise(bytes);
            let was_in = self.session.status().has_joined;
            let heard = self.session.heard(&text, bytes.len() + 1);
            if *own != *self.session.status().name {
                own = self.session.status().name.as_str().into();
            }
            if heard.is_since {
                spoken.push(Spoken::Line { text: SINCE.into(), is_history: false, own: Arc::clone(&own) });
            }
            // Where one of several servers does not let the user in, the next one may: nothing that was typed has failed.
            let is_aside = was_in && self.rounds.has_others() && matches!(heard.news, Some(News::Complaint(_)));
            if heard.is_shown && !is_aside {
                let (text, own) = (text.into_owned(), Arc::clone(&own));
                spoken.push(Spoken::Line { text, is_history: heard.is_history, own });
            }
            match heard.news {
                Some(News::Resumed) => {
                    connection.has_resumed = true;
                    spoken.push(Spoken::Note(format!("connected again{}", self.where_to())));
                }
                Some(News::Returned) => {
                    connection.has_resumed = true;
                    spoken.push(Spoken::Note(format!("you are {own}, as before")));
                }
                Some(News::Rejoined) => {
                    spoken.push(Spoken::Note(format!("connected again{}, as a newcomer", self.where_to())));
                }
                Some(News::Complaint(why)) => {
                    if is_aside && !std::mem::replace(&mut self.has_told_refusal, true) {
                        spoken.push(Spoken::Note(format!("{}: {why}", self.address())));
                    }
                    connection.complaint.get_or_insert(why);
                }
                Some(News::Refused(why)) => end = Some(End::Refused(why)),
                Some(News::Barred(why)) => end = Some(End::Barred(why)),
                Some(News::Locked(why)) if !self.listener.locked(why.as_deref()) => {
                    let why = why.unwrap_or_else(|| NO_PASSWORD.into());
                    end = end.or(Some(End::Barred(why)));
                }
                Some(News::Locked(_)) | None => {}
            }
            if !was_in && self.session.status().has_joined && self.rounds.has_others() {
                spoken.push(Spoken::Note(format!("connected to {}", self.address())));
            }
        }
        drop(lines);
        self.listener.show(spoken);
        self.tell_name();
        self.keep();
        match end {
            Some(End::Refused(why)) if self.listener.refused(&why) => None,
            end => end,
        }
    }

    /// When nobody waits any longer for the server to say anything. One that knows the session may take its time, unless
    /// there are others that know it, too.
    fn greeting_ends(&self, connection: &Connection) -> Option<Instant> {
        let is_silent = self.session.status().phase == Phase::Unknown && !connection.ready.to_read;
        let is_awaited = if self.rounds.has_others() { is_silent } else { self.session.awaits_greeting() };
        is_awaited.then(|| connection.since + GREETING_TIMEOUT)
    }

    /// The server is of another kind. What can be told of it by then is that the user may speak.
    fn give_up_greeting(&mut self) {
        if self.session.not_greeted() == Some(News::Rejoined) {
            self.note("connected again".into());
        }
    }

    /// What a user is told of where they are, who might not know.
    fn where_to(&self) -> String {
        if self.rounds.has_others() { format!(" to {}", self.address()) } else { String::new() }
    }

    /// When nobody waits any longer for what was typed last to be heard.
    fn patience_ends(&self) -> Option<Instant> {
        self.session.is_leaving().then(|| self.heard_at + PATIENCE)
    }

    fn is_out_of_patience(&self) -> bool {
        self.patience_ends().is_some_and(|end| Instant::now() >= end)
    }

    fn may_go(&self) -> bool {
        self.session.may_go() || self.is_out_of_patience()
    }

    /// What came of it for a user who may go.
    fn outcome(&self) -> anyhow::Result<()> {
        self.status().confirmed()?;
        let was_never_in = self.is_out_of_patience() && !self.session.status().has_joined;
        ensure!(!was_never_in, "{}: no answer", self.address());
        Ok(())
    }

    /// Keeps the session for the next client, up to what was shown.
    fn keep(&mut self) {
        let Some(keeper) = &mut self.keeper else { return };
        if self.listener.is_shown()
            && let Some((name, token, position)) = self.session.ticket()
        {
            keeper.note(name, token, position);
        }
        if let Err(error) = keeper.save() {
            self.note(format!("the session cannot be kept: {error}"));
        }
    }

    /// When there is something to be kept, or what was read last may have been shown.
    fn keep_at(&self) -> Option<Instant> {
        let keeper = self.keeper.as_ref()?;
        let is_noted = self.session.ticket().is_none_or(|(name, token, position)| keeper.has(name, token, position));
        keeper.save_at().or_else(|| (!is_noted).then(|| Instant::now() + SAVE_TIME))
    }

    /// The session is over: nobody comes back to it.
    fn forget(&mut self) {
        // If the file stays, the server does not know its session any more, and nothing comes of it.
        let _ = self.keeper.take().map(|mut keeper| keeper.forget());
    }

    fn note(&mut self, text: String) {
        self.listener.show(vec![Spoken::Note(text)]);
    }

    /// Tells the listener of a new name, or that one is needed.
    fn tell_name(&mut self) {
        let status = self.status();
        self.listener.settled(self.session.unacked().settled());
        let is_new = self.handle.publish(status);
        if is_new {
            self.own = self.session.status().name.as_str().into();
            self.listener.renamed();
        }
    }

    fn status(&self) -> Status {
        Status {
            session: self.session.status().clone(),
            is_full: self.session.unacked().is_enough(),
            unheard: self.session.unacked().len(),
            server: self.rounds.current(),
        }
    }

    /// Waits until something happens, `until` at the latest, and does what the user asks.
    fn wait(&mut self, until: Option<Instant>, connection: Option<&mut Connection>) -> io::Result<()> {
        self.tell_name();
        let mut events = Events::with_capacity(8);
        self.keep();
        let save_at = self.keep_at();
        let timeout = until
            .into_iter()
            .chain(self.patience_ends())
            .chain(save_at)
            .min()
            .map(|at| at.saturating_duration_since(Instant::now()));
        match self.poll.poll(&mut events, timeout) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        if let Some(connection) = connection {
            for event in events.iter().filter(|event| event.token() == SOCKET) {
                connection.ready.to_read |= event.is_readable() || event.is_read_closed() || event.is_error();
                connection.ready.to_write |= event.is_writable() || event.is_error();
            }
        }
        for command in self.handle.take_commands() {
            match command {
                Command::Say(line) => self.session.say(&line, false),
                Command::SayLiterally(line) => self.session.say(&line, true),
                Command::Choose(name) => self.session.choose(name),
                Command::Connect => self.is_impatient = true,
                Command::Unlock(password) => self.session.unlock(password),
                Command::Leave => {
                    self.session.leave();
                    self.heard_at = Instant::now();
                }
                Command::LeaveNow => self.session.leave_now(),
                Command::Abandon => {
                    self.session.leave_now();
                    self.nobody_listens = true;
                }
            }
        }
        Ok(())
    }
}

impl Connection {
    fn new(stream: Stream) -> Connection {
        let now = Instant::now();
        Connection {
            stream,
            since: now,
            ready: Ready { to_read: true, to_write: true },
            input: LineBuffer::default(),
            output: Vec::new(),
            written: 0,
            is_finished: false,
            silent_since: now,
            ask_at: now,
            complaint: None,
            has_resumed: false,
        }
    }
}

/// Why a connection failed, for people.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused".into(),
        ErrorKind::TimedOut | ErrorKind::WouldBlock => "no answer".into(),
        ErrorKind::ConnectionReset => "connection reset".into(),
        ErrorKind::UnexpectedEof => "cut off".into(),
        _ => error.to_string(),
    }
}
