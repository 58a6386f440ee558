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
//! So positions are what they are everywhere, and what is said goes out as it does to everybody, in one write: if it is
//! much, slices of the scrollback behind headers.

pub mod frames;
pub mod http;

use std::io::{self, ErrorKind, IoSlice};
use std::rc::Rc;

use super::held::Held;
use super::unsent::Unsent;
use super::{MAX_SLICES, Socket, is_passing};
use crate::lobby::client::Link;
use frames::{Control, Decoder, Fault, Opcode};
use http::{MAX_REQUEST, Policy, Request};

/// The most text in one frame: with its header it fits into one record of TLS. So much may have to be kept, too, of a frame
/// that the socket takes only a part of.
const MAX_TEXT: usize = (1 << 14) - 4;
/// Up to so many bytes of text are copied behind their header: the kernel takes one piece for less than two.
const SMALL: usize = 4096;
/// The most frames in one write.
const MAX_FRAMES: usize = 32;
/// The most slices in one write: for each frame its header, and what a border between two of them cuts in two.
const MAX_PARTS: usize = 2 * MAX_FRAMES + MAX_SLICES;
/// The status of an end in order (RFC 6455, 7.4.1).
const NORMAL: u16 = 1000;
/// How many frames may say nothing in the time between two pings of ours.
const MAX_EMPTY: u32 = 1000;

/// A socket that speaks WebSocket, if the peer does.
#[derive(Debug)]
pub struct Web<S> {
    socket: S,
    layer: Layer,
}

#[derive(Debug)]
enum Layer {
    /// Nothing. This was read before that was known.
    Plain(Held),
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
    held: Held,
    /// Whether the peer has been silent for a while since the end of a TLS handshake. Only the second such time counts: the
    /// first may have begun before that end.
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
    /// How many frames have said nothing since our last ping was due.
    empty: u32,
    /// How the peer has broken the rules, if it has: then nothing of it is looked at any more.
    fault: Option<Fault>,
    /// Whether the peer has said that it will send nothing more.
    has_peer_ended: bool,
    /// Whether the peer was told that nothing more comes.
    has_ended: bool,
}

impl<S: Socket> Web<S> {
    /// A connection that was just accepted, on a server with this policy for browsers, if it has one.
    pub fn new(socket: S, policy: Option<&Rc<Policy>>) -> Web<S> {
        let unknown =
            |policy| Layer::Unknown(Unknown { policy: Rc::clone(policy), held: Held::default(), was_silent: false });
        Web { socket, layer: policy.map_or(Layer::Plain(Held::default()), unknown) }
    }

    /// The socket inside.
    pub fn inner(&self) -> &S {
        &self.socket
    }

    /// Reads the first bytes, until they say what is spoken.
    fn read_first(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Layer::Unknown(Unknown { policy, held, .. }) = &mut self.layer else { unreachable!("it is known") };
        let (bytes, count) = held.read_on(&mut self.socket, buffer)?;
        let Some(link) = self.socket.link() else { unreachable!("what is read has come over some link") };
        match http::look_at(bytes, link, policy) {
            Request::Unfinished if count > 0 => held.hold(bytes),
            Request::Unfinished | Request::Foreign => {
                let length = bytes.len();
                self.layer = Layer::Plain(Held::default());
                return Ok(length);
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
                let outcome = session.take(&mut bytes[..rest]);
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
            Layer::Plain(_) | Layer::Open(_) => self.socket.link(),
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
            // Whoever has begun a request has only not come to its end.
            if is_silent && unknown.held.len() < http::START.len() {
                self.layer = Layer::Plain(std::mem::take(&mut unknown.held));
            }
        }
    }

    fn is_costly(&self) -> bool {
        self.socket.is_costly()
    }

    fn least_buffer(&self) -> usize {
        let ours = match &self.layer {
            Layer::Unknown(_) => MAX_REQUEST,
            Layer::Plain(held) => held.len(),
            Layer::Answered(_) | Layer::Open(_) => 0,
        };
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
            Layer::Plain(held) => held.read(&mut self.socket, buffer),
            Layer::Answered(_) => self.socket.read(buffer),
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
            session.end(NORMAL);
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
        let outcome = match self.fault {
            Some(fault) => Err(self.fail(fault)),
            None => match socket.read(buffer)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => self.take(&mut buffer[..count]),
            },
        };
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
        self.fault = outcome.err();
        match (text, self.fault) {
            (0, Some(fault)) => Err(self.fail(fault)),
            (0, None) if !self.has_peer_ended => Err(ErrorKind::Interrupted.into()),
            // What came before a fault counts first, and what comes of it is sent; then the next read fails.
            (text, _) => Ok(text),
        }
    }

    /// Tells the peer how it has broken the rules, which is the last thing that it is told.
    fn fail(&mut self, fault: Fault) -> io::Error {
        self.end(fault as u16);
        ErrorKind::InvalidData.into()
    }

    /// Writes frames of text; returns how much text that is. If the socket takes only a part of a frame, the rest of it is
    /// kept: once its header is out, all of it is owed, whatever becomes of the connection.
    ///
    /// # Errors
    /// Those of the socket, if it took nothing.
    fn write(&mut self, socket: &mut impl Socket, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.flush(socket)?;
        let length: usize = slices.iter().map(|slice| slice.len()).sum();
        if length <= SMALL {
            self.write_copy(socket, slices, length)
        } else {
            self.write_slices(socket, slices, length)
        }
    }

    /// Writes one frame, copied into one piece.
    fn write_copy(&mut self, socket: &mut impl Socket, slices: &[IoSlice<'_>], length: usize) -> io::Result<usize> {
        let (header, mut end) = frames::header(Opcode::Binary, u16::try_from(length).expect("a frame is short"));
        let mut frame = [0; 4 + SMALL];
        frame[..4].copy_from_slice(&header);
        for slice in slices {
            frame[end..end + slice.len()].copy_from_slice(slice);
            end += slice.len();
        }
        let written = socket.write(&[IoSlice::new(&frame[..end])])?;
        self.outgoing.push(&frame[written..end]);
        Ok(length)
    }

    /// Writes frames whose text is not copied.
    fn write_slices(&mut self, socket: &mut impl Socket, slices: &[IoSlice<'_>], length: usize) -> io::Result<usize> {
        let frames = length.div_ceil(MAX_TEXT).min(MAX_FRAMES);
        let length_of = |frame: usize| (length - frame * MAX_TEXT).min(MAX_TEXT);
        let mut headers = [([0; 4], 0); MAX_FRAMES];
        for (frame, header) in headers[..frames].iter_mut().enumerate() {
            *header = frames::header(Opcode::Binary, u16::try_from(length_of(frame)).expect("a frame is short"));
        }
        let mut parts = [IoSlice::new(&[]); MAX_PARTS];
        let mut ends = [0; MAX_FRAMES];
        let mut count = 0;
        let mut rest = slices.iter().map(|slice| &**slice);
        let mut slice: &[u8] = &[];
        for frame in 0..frames {
            let (header, header_length) = &headers[frame];
            parts[count] = IoSlice::new(&header[..*header_length]);
            count += 1;
            let mut left = length_of(frame);
            while left > 0 {
                if slice.is_empty() {
                    slice = rest.next().expect("the lengths add up");
                    continue;
                }
                let (part, behind) = slice.split_at(left.min(slice.len()));
                parts[count] = IoSlice::new(part);
                count += 1;
                left -= part.len();
                slice = behind;
            }
            ends[frame] = count;
        }
        let written = socket.write(&parts[..count])?;
        let (mut text, mut whole) = (0, 0);
        for frame in 0..frames {
            if whole == written {
                break;
            }
            text += length_of(frame);
            whole += headers[frame].1 + length_of(frame);
            if whole > written {
                let mut unsent = &mut parts[..ends[frame]];
                IoSlice::advance_slices(&mut unsent, written);
                for part in unsent {
                    self.outgoing.push(part);
                }
                break;
            }
        }
        Ok(text)
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

    /// Tells the peer that nothing more comes, and why.
    fn end(&mut self, status: u16) {
        if !std::mem::replace(&mut self.has_ended, true) {
            self.outgoing.push(&frames::control(Opcode::Close, &status.to_be_bytes()));
        }
    }
}
