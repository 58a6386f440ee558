//! WebSocket for browsers, and the page that speaks it: a socket around a socket.
//!
//! ```text
//!            ┌── GET /ws ─────────────────────> Open ── greeted
//!            ├── GET / ───> the page, and an end
//!   Unknown ─┤
//!            └── anything else, or silence ──> Plain ── greeted
//! ```
//!
//! A WebSocket carries the same stream of bytes as a plain connection, both ways; the borders of its messages mean nothing.
//! So positions are what they are everywhere, and what is said goes out as it does to everybody: slices of the scrollback
//! in one write, behind a header.

pub mod frames;
pub mod http;

use std::io::{self, ErrorKind, IoSlice};
use std::rc::Rc;

use super::Socket;
use super::unsent::Unsent;
use crate::lobby::client::Link;
use frames::{Control, Decoder, Fault, Opcode};
use http::{MAX_REQUEST, Policy, Request};

/// The most text in one frame of the server. Of one that the socket does not take whole, the rest is kept.
const MAX_FRAME: usize = 16 * 1024 - 4;
/// The most slices of one write.
const MAX_SLICES: usize = 17;
/// How many frames may say nothing between two pings of ours.
const MAX_EMPTY: u32 = 1000;

/// A socket that speaks WebSocket, if the peer does.
#[derive(Debug)]
pub struct Web<S> {
    socket: S,
    layer: Layer,
}

#[derive(Debug)]
enum Layer {
    /// Nothing.
    Plain,
    /// The same; but this was read before that was known.
    Late(Vec<u8>),
    /// It is not known yet.
    Unknown(Unknown),
    /// A request that was answered: this is left of the answer.
    Answered(Unsent),
    /// WebSocket.
    Open(Box<Session>),
}

#[derive(Debug)]
struct Unknown {
    policy: Rc<Policy>,
    /// What was read.
    held: Vec<u8>,
    /// Whether there was silence after the end of a TLS handshake. Only the next one counts: the first may have begun with it.
    was_silent: bool,
}

/// The server's end of a WebSocket.
#[derive(Debug, Default)]
struct Session {
    decoder: Decoder,
    /// What is framed and the socket has not taken.
    outgoing: Unsent,
    /// The answer to the latest ping, if it is not on its way.
    pong: Option<Vec<u8>>,
    /// How many frames have said nothing since our last ping.
    empty: u32,
    /// Whether the peer has broken the rules: then nothing of it is looked at any more.
    has_failed: bool,
    /// Whether the peer has said that it will send nothing more.
    has_peer_ended: bool,
    /// Whether the peer was told that nothing more comes.
    has_ended: bool,
}

impl<S: Socket> Web<S> {
    /// A connection that was just accepted, on a server with this policy for browsers, if it has one.
    pub fn new(socket: S, policy: Option<&Rc<Policy>>) -> Web<S> {
        let unknown =
            |policy| Layer::Unknown(Unknown { policy: Rc::clone(policy), held: Vec::new(), was_silent: false });
        Web { socket, layer: policy.map_or(Layer::Plain, unknown) }
    }

    /// The socket inside.
    pub fn inner(&self) -> &S {
        &self.socket
    }

    /// Reads the first bytes, until they say what is spoken.
    fn read_first(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Layer::Unknown(Unknown { policy, held, .. }) = &mut self.layer else { unreachable!("it is known") };
        let before = held.len();
        buffer[..before].copy_from_slice(held);
        let count = self.socket.read(&mut buffer[before..])?;
        let bytes = &mut buffer[..before + count];
        let Some(link) = self.socket.link() else { unreachable!("what is read has come over some link") };
        match http::look_at(bytes, link, policy) {
            Request::Unfinished if count > 0 => *held = bytes.to_vec(),
            Request::Unfinished | Request::Foreign => {
                self.layer = Layer::Plain;
                return Ok(before + count);
            }
            Request::Answered(answer) => {
                let mut outgoing = Unsent::default();
                outgoing.push(answer.as_bytes());
                self.layer = Layer::Answered(outgoing);
            }
            Request::Upgraded(answer, length) => {
                let mut session = Session::default();
                session.outgoing.push(answer.as_bytes());
                let rest = bytes.len() - length;
                bytes.copy_within(length.., 0);
                let outcome = session.take(&mut buffer[..rest]);
                // As in `Session::read`.
                let _ = session.flush(&mut self.socket);
                self.layer = Layer::Open(Box::new(session));
                return outcome;
            }
        }
        Err(ErrorKind::Interrupted.into())
    }
}

impl<S: Socket> Socket for Web<S> {
    fn link(&self) -> Option<Link> {
        match &self.layer {
            Layer::Plain | Layer::Late(_) | Layer::Open(_) => self.socket.link(),
            Layer::Unknown(_) => None,
            Layer::Answered(_) => Some(Link::Answered),
        }
    }

    fn assume_plain(&mut self) {
        self.socket.assume_plain();
        if let Layer::Unknown(unknown) = &mut self.layer {
            let is_silent = match self.socket.link() {
                None => false,
                Some(Link::Tls) => std::mem::replace(&mut unknown.was_silent, true),
                Some(_) => true,
            };
            if is_silent {
                let held = std::mem::take(&mut unknown.held);
                self.layer = if held.is_empty() { Layer::Plain } else { Layer::Late(held) };
            }
        }
    }

    fn is_costly(&self) -> bool {
        self.socket.is_costly()
    }

    fn least_buffer(&self) -> usize {
        let ours = if let Layer::Unknown(_) | Layer::Late(_) = self.layer { MAX_REQUEST } else { 0 };
        self.socket.least_buffer() + ours
    }

    fn is_behind(&self) -> bool {
        let is_ours = match &self.layer {
            Layer::Open(session) => session.is_behind(),
            Layer::Answered(answer) => !answer.is_empty(),
            _ => false,
        };
        is_ours || self.socket.is_behind()
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.layer {
            Layer::Open(session) => session.flush(&mut self.socket)?,
            Layer::Answered(answer) => answer.flush(&mut self.socket)?,
            _ => {}
        }
        self.socket.flush()
    }

    fn keep_alive(&mut self) -> bool {
        let Layer::Open(session) = &mut self.layer else { return false };
        session.ping();
        true
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.layer {
            Layer::Plain | Layer::Answered(_) => self.socket.read(buffer),
            Layer::Late(bytes) => {
                let count = bytes.len();
                buffer[..count].copy_from_slice(bytes);
                self.layer = Layer::Plain;
                Ok(count)
            }
            Layer::Unknown(_) => self.read_first(buffer),
            Layer::Open(session) => session.read(&mut self.socket, buffer),
        }
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match &mut self.layer {
            Layer::Open(session) => session.write(&mut self.socket, slices),
            _ => self.socket.write(slices),
        }
    }

    fn is_sent(&mut self) -> io::Result<bool> {
        if let Layer::Open(session) = &mut self.layer {
            session.end();
        }
        match self.flush() {
            Ok(()) => self.socket.is_sent(),
            Err(error) if is_passing(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn shut_down_writing(&mut self) -> io::Result<()> {
        self.socket.shut_down_writing()
    }

    fn abort(&mut self) {
        self.socket.abort();
    }
}

impl Session {
    /// Reads once, and returns how many bytes of text came of it.
    ///
    /// # Errors
    /// Those of the socket; `Interrupted` if no text came of it; `UnexpectedEof` if the peer was cut off; `InvalidData` if
    /// it does not keep to the rules.
    fn read(&mut self, socket: &mut impl Socket, buffer: &mut [u8]) -> io::Result<usize> {
        if self.has_peer_ended {
            return Ok(0);
        }
        if self.has_failed {
            return Err(ErrorKind::InvalidData.into());
        }
        let count = socket.read(buffer)?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let outcome = self.take(&mut buffer[..count]);
        // If that cannot be written, it is the next write that fails: what has arrived counts first.
        let _ = self.flush(socket);
        outcome
    }

    /// Takes what has arrived, and moves the text in it to the beginning; returns how much that is.
    fn take(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let Session { pong, empty, has_peer_ended, .. } = self;
        let (text, outcome) = self.decoder.decode(bytes, |control| match control {
            Control::Close => *has_peer_ended = true,
            Control::Nothing => *empty += 1,
            Control::Ping(body) => {
                *empty += 1;
                *pong = Some(body);
            }
        });
        let outcome = outcome.and(if self.empty > MAX_EMPTY { Err(Fault::Policy) } else { Ok(()) });
        if let Err(fault) = outcome {
            self.has_failed = true;
            self.has_ended = true;
            self.outgoing.push(&frames::control(Opcode::Close, &(fault as u16).to_be_bytes()));
        }
        match text {
            // What came before counts first; then the next read fails.
            0 if self.has_failed => Err(ErrorKind::InvalidData.into()),
            0 if !self.has_peer_ended => Err(ErrorKind::Interrupted.into()),
            text => Ok(text),
        }
    }

    /// Writes a frame of text at most; returns how much text that is. What the socket does not take of it is kept: once its
    /// header is out, all of it is owed, whatever becomes of the connection.
    ///
    /// # Errors
    /// Those of the socket, if it took nothing.
    fn write(&mut self, socket: &mut impl Socket, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.flush(socket)?;
        let length = slices.iter().map(|slice| slice.len()).sum::<usize>().min(MAX_FRAME);
        let (header, header_length) = frames::header(Opcode::Binary, u16::try_from(length).expect("a frame is short"));
        let mut frame = [IoSlice::new(&[]); MAX_SLICES];
        frame[0] = IoSlice::new(&header[..header_length]);
        let (mut count, mut left) = (1, length);
        for (part, slice) in frame[1..].iter_mut().zip(slices) {
            *part = IoSlice::new(&slice[..slice.len().min(left)]);
            left -= part.len();
            count += 1;
            if left == 0 {
                break;
            }
        }
        let frame = &mut frame[..count];
        let written = socket.write(frame)?;
        let mut rest = frame;
        IoSlice::advance_slices(&mut rest, written);
        for slice in rest {
            self.outgoing.push(slice);
        }
        Ok(length)
    }

    /// Whether something is framed that the socket has not taken.
    fn is_behind(&self) -> bool {
        !self.outgoing.is_empty() || self.pong.is_some()
    }

    fn flush(&mut self, socket: &mut impl Socket) -> io::Result<()> {
        self.outgoing.flush(socket)?;
        // Of several pings only the latest has to be answered (RFC 6455, 5.5.3): so they take no memory.
        if let Some(body) = self.pong.take()
            && !self.has_ended
        {
            self.outgoing.push(&frames::control(Opcode::Pong, &body));
            self.outgoing.flush(socket)?;
        }
        Ok(())
    }

    /// Says that the connection is alive, to whoever is between and closes those that are silent. If something is on its
    /// way, nothing has to be said.
    fn ping(&mut self) {
        self.empty = 0;
        if !self.is_behind() && !self.has_ended {
            self.outgoing.push(&frames::control(Opcode::Ping, b""));
        }
    }

    /// Tells the peer that nothing more comes.
    fn end(&mut self) {
        if !std::mem::replace(&mut self.has_ended, true) {
            self.outgoing.push(&frames::control(Opcode::Close, &1000_u16.to_be_bytes()));
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
