//! TLS for those who speak it: a socket around a socket.
//!
//! ```text
//!            ┌── a ClientHello ──────────────> Tls ── handshake done ──> greeted
//!   Unknown ─┤
//!            └── anything else, or silence ──> Plain ─────────────────> greeted
//! ```

pub mod certificate;
pub mod session;

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::sync::Arc;

use rustls::ServerConfig;

use super::Socket;
use super::held::Held;
use crate::lobby::client::Link;
use session::{RECORD, Scratch, Session};

/// What all connections of a server with TLS share.
#[derive(Debug)]
pub struct Terms {
    /// The certificate, and what is spoken. It may be replaced: then later connections have another one.
    config: RefCell<Arc<ServerConfig>>,
    /// Room for what is on its way through one connection at a time.
    scratch: RefCell<Scratch>,
}

impl Terms {
    /// Terms with this certificate.
    #[must_use]
    pub fn new(config: Arc<ServerConfig>) -> Rc<Terms> {
        Rc::new(Terms { config: RefCell::new(config), scratch: RefCell::default() })
    }

    /// From now on connections have another certificate.
    pub fn replace(&self, config: Arc<ServerConfig>) {
        self.config.replace(config);
    }
}

/// A socket that speaks TLS, if the peer does.
#[derive(Debug)]
pub struct Tls<S> {
    socket: S,
    layer: Layer,
}

#[derive(Debug)]
enum Layer {
    /// Nothing. This was read before that was known.
    Plain(Held),
    /// It is not known yet; this was read.
    Unknown(Held, Rc<Terms>),
    /// TLS.
    Tls(Box<Session>, Rc<Terms>),
}

/// What the first bytes of a connection say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sniffed {
    /// They may be the first ones of a `ClientHello`.
    Unknown,
    /// They are no `ClientHello`.
    Plain,
    /// They are the first ones of a `ClientHello`.
    Tls,
}

/// Tells a TLS `ClientHello` (RFC 8446, 4.1.2 and 5.1) from everything else: a record of type 22 with a version that begins
/// with 3, and in it, behind its length, a message of type 1. No name begins like that.
#[must_use]
pub fn sniff(bytes: &[u8]) -> Sniffed {
    let expected = [Some(0x16), Some(0x03), None, None, None, Some(0x01)];
    let fits = expected.iter().zip(bytes).all(|(expected, byte)| expected.is_none_or(|expected| expected == *byte));
    match fits {
        false => Sniffed::Plain,
        true if bytes.len() < expected.len() => Sniffed::Unknown,
        true => Sniffed::Tls,
    }
}

impl<S: Socket> Tls<S> {
    /// A connection that was just accepted, on a server with these terms for TLS, if it has any.
    pub fn new(socket: S, terms: Option<&Rc<Terms>>) -> Tls<S> {
        let layer =
            terms.map_or(Layer::Plain(Held::default()), |terms| Layer::Unknown(Held::default(), Rc::clone(terms)));
        Tls { socket, layer }
    }

    /// The socket inside.
    pub fn inner(&self) -> &S {
        &self.socket
    }

    /// Reads the first bytes, until they say what is spoken.
    fn read_first(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Layer::Unknown(held, terms) = &mut self.layer else { unreachable!("it is known") };
        let (bytes, count) = held.read_on(&mut self.socket, buffer)?;
        match sniff(bytes) {
            Sniffed::Unknown if count > 0 => {
                held.hold(bytes);
                Err(io::ErrorKind::Interrupted.into())
            }
            Sniffed::Tls => {
                let config = Arc::clone(&terms.config.borrow());
                let session = Session::new(config, bytes.to_vec())?;
                self.layer = Layer::Tls(Box::new(session), Rc::clone(terms));
                Err(io::ErrorKind::Interrupted.into())
            }
            Sniffed::Plain | Sniffed::Unknown => {
                let length = bytes.len();
                self.layer = Layer::Plain(Held::default());
                Ok(length)
            }
        }
    }
}

impl<S: Socket> Socket for Tls<S> {
    fn link(&self) -> Option<Link> {
        match &self.layer {
            Layer::Plain(_) => Some(Link::Plain),
            Layer::Unknown(..) => None,
            Layer::Tls(session, _) => session.is_open().then_some(Link::Tls),
        }
    }

    fn assume_plain(&mut self) {
        if let Layer::Unknown(held, _) = &mut self.layer {
            self.layer = Layer::Plain(std::mem::take(held));
        }
    }

    fn is_costly(&self) -> bool {
        matches!(&self.layer, Layer::Tls(session, _) if !session.is_open())
    }

    fn least_buffer(&self) -> usize {
        match &self.layer {
            Layer::Plain(held) => held.len().max(1),
            _ => RECORD,
        }
    }

    fn is_behind(&self) -> bool {
        matches!(&self.layer, Layer::Tls(session, _) if session.is_behind())
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.layer {
            Layer::Tls(session, _) => session.flush(&mut self.socket),
            _ => Ok(()),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.layer {
            Layer::Plain(held) => held.read(&mut self.socket, buffer),
            Layer::Unknown(..) => self.read_first(buffer),
            Layer::Tls(session, terms) => session.read(&mut self.socket, &mut terms.scratch.borrow_mut(), buffer),
        }
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match &mut self.layer {
            Layer::Tls(session, terms) => session.write(&mut self.socket, &mut terms.scratch.borrow_mut(), slices),
            _ => self.socket.write(slices),
        }
    }

    fn is_sent(&mut self) -> io::Result<bool> {
        if let Layer::Tls(session, _) = &mut self.layer
            && !session.end(&mut self.socket)?
        {
            return Ok(false);
        }
        self.socket.is_sent()
    }

    fn shut_down_writing(&mut self) -> io::Result<()> {
        self.socket.shut_down_writing()
    }

    fn abort(&mut self) {
        self.socket.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A `ClientHello` is recognised once six bytes of it are there, and nothing that a person could type is taken for one.
    #[test]
    fn hellos_are_recognised() {
        let hello = [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00];
        for length in 0..6 {
            assert_eq!(sniff(&hello[..length]), Sniffed::Unknown);
        }
        assert_eq!(sniff(&hello[..6]), Sniffed::Tls);
        assert_eq!(sniff(&hello), Sniffed::Tls);
        for bytes in
            [&b"carol\n"[..], b"\n", b"GET / HTTP/1.1", b"\x16\x02", b"\x16\x03\x03\x00\x05\x02", b"\x80\x2e\x01"]
        {
            assert_eq!(sniff(bytes), Sniffed::Plain, "{bytes:?}");
        }
    }
}
