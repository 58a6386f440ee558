//! What arrives on a port for browsers, cut anywhere: what is not for them comes out as it went in; of frames comes out what is
//! in them; and whatever a peer sends, and however little its socket takes, what it is sent are whole frames of what was
//! written.
#![no_main]

#[path = "wire.rs"]
mod wire;

use std::cell::RefCell;
use std::io::{self, ErrorKind, IoSlice};
use std::rc::Rc;

use gotcp::lobby::client::Link;
use gotcp::server::transport::Socket;
use gotcp::server::transport::web::Web;
use gotcp::server::transport::web::http::{Policy, Request, look_at};
use libfuzzer_sys::{arbitrary, fuzz_target};
use wire::{Ends, Wire};

const UPGRADE: &[u8] = b"GET /ws HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

#[derive(Debug, arbitrary::Arbitrary)]
struct Input {
    /// Lengths of what arrives at once, and of what the socket takes then.
    cuts: Vec<(u8, u8)>,
    what: What,
}

#[derive(Debug, arbitrary::Arbitrary)]
enum What {
    Bytes(Vec<u8>),
    /// Anything, after the handshake.
    Upgraded(Vec<u8>),
    /// Frames that keep to the rules.
    Frames(Vec<Piece>),
}

#[derive(Debug, arbitrary::Arbitrary)]
enum Piece {
    /// A message, in parts.
    Text(Vec<Vec<u8>>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
}

fuzz_target!(|input: Input| {
    let Input { cuts, what } = input;
    let policy = Rc::new(Policy { hosts: Vec::new(), is_tls_required: false });
    let mut expected = Vec::new();
    let bytes = match &what {
        What::Bytes(bytes) => bytes.clone(),
        What::Upgraded(bytes) => [UPGRADE, bytes].concat(),
        What::Frames(pieces) => {
            let frames = pieces.iter().take(500).map(|piece| frames_of(piece, &mut expected));
            [UPGRADE.to_vec()].into_iter().chain(frames).collect::<Vec<_>>().concat()
        }
    };
    let mut peer = Peer { ends: Rc::default(), server: None, text: Vec::new(), said: Vec::new(), has_failed: false };
    peer.server = Some(Web::new(Wire(Rc::clone(&peer.ends)), Some(&policy)));
    let mut cuts = cuts.into_iter().chain(std::iter::repeat((u8::MAX, u8::MAX)));
    let mut rest = &bytes[..];
    while !rest.is_empty() && !peer.has_failed {
        let (length, window) = cuts.next().expect("it is endless");
        let piece;
        (piece, rest) = rest.split_at((usize::from(length) + 1).min(rest.len()));
        peer.turn(piece, usize::from(window));
    }
    peer.turn(b"", usize::MAX / 2);
    match what {
        What::Bytes(bytes) => match look_at(&bytes, Link::Plain, &policy) {
            Request::Answered(_) | Request::Upgraded(..) => {}
            Request::Unfinished | Request::Foreign if peer.text.is_empty() => {
                peer.server().assume_plain();
                peer.turn(b"", 0);
                assert_eq!(peer.text, bytes);
            }
            Request::Unfinished | Request::Foreign => assert_eq!(peer.text, bytes),
        },
        What::Upgraded(_) => peer.check_what_was_sent(),
        What::Frames(_) => {
            assert!(!peer.has_failed);
            assert_eq!(peer.text, expected);
            peer.check_what_was_sent();
        }
    }
});

/// Both ends of a connection.
struct Peer {
    ends: Rc<RefCell<Ends>>,
    server: Option<Web<Wire>>,
    /// What the server has read.
    text: Vec<u8>,
    /// What the server has said.
    said: Vec<u8>,
    has_failed: bool,
}

impl Peer {
    fn server(&mut self) -> &mut Web<Wire> {
        self.server.as_mut().expect("it is there")
    }

    /// Something arrives, the socket takes so many bytes, and the server reads and writes.
    fn turn(&mut self, bytes: &[u8], window: usize) {
        self.ends.borrow_mut().to_server.extend(bytes);
        self.ends.borrow_mut().window = window;
        let server = self.server.as_mut().expect("it is there");
        loop {
            let mut buffer = vec![0; server.least_buffer().max(64)];
            match server.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => self.text.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => {
                    self.has_failed = true;
                    break;
                }
            }
        }
        if server.link() == Some(Link::Plain) && !self.has_failed {
            let (number, filler) = (self.said.len().to_string(), "x".repeat(self.said.len() % 700));
            let line = ["*** ", &number, &filler, "\n"].map(str::as_bytes);
            let count: io::Result<usize> = server.write(&line.map(IoSlice::new));
            if let Ok(count) = count {
                self.said.extend_from_slice(&line.concat()[..count]);
            }
            server.keep_alive();
        }
        if server.is_behind() {
            let _ = server.flush();
        }
    }

    /// Behind the answer to the handshake come whole frames, and in them what was said.
    fn check_what_was_sent(&mut self) {
        let server = self.server();
        if server.link() == Some(Link::Plain) {
            let _ = server.is_sent();
        }
        let sent: Vec<u8> = self.ends.borrow().from_server.iter().copied().collect();
        let head = sent.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("it was answered") + 4;
        let (mut rest, mut text, mut is_closed) = (&sent[head..], Vec::new(), false);
        while let [first, short, tail @ ..] = rest {
            assert!(!is_closed, "nothing follows a close");
            let (length, tail) = match *short {
                0x7e => (usize::from(u16::from_be_bytes([tail[0], tail[1]])), &tail[2..]),
                short => (usize::from(short), tail),
            };
            match first {
                0x82 => text.extend_from_slice(&tail[..length]),
                0x88 => is_closed = true,
                0x89 | 0x8a => assert!(length < 126),
                other => panic!("a frame that begins with {other:#x}"),
            }
            rest = &tail[length..];
        }
        assert!(rest.is_empty(), "a frame is cut off");
        assert!(text == self.said, "something else was sent than was said");
    }
}

/// A piece as frames; adds the text in it.
fn frames_of(piece: &Piece, text: &mut Vec<u8>) -> Vec<u8> {
    match piece {
        Piece::Ping(body) => frame(0x89, &body[..body.len().min(125)]),
        Piece::Pong(body) => frame(0x8a, &body[..body.len().min(125)]),
        Piece::Text(parts) => {
            let mut bytes = Vec::new();
            for (index, part) in parts.iter().enumerate() {
                text.extend_from_slice(part);
                let opcode = if index == 0 { 2 } else { 0 };
                let last = if index + 1 == parts.len() { 0x80 } else { 0 };
                bytes.extend(frame(opcode | last, part));
            }
            bytes
        }
    }
}

fn frame(first: u8, text: &[u8]) -> Vec<u8> {
    let mask = [1, 2, 3, 4];
    let mut bytes = vec![first];
    match u16::try_from(text.len()).expect("the fuzzer's inputs are short") {
        short @ 0..126 => bytes.push(0x80 | u8::try_from(short).expect("it is short")),
        length => {
            bytes.push(0xfe);
            bytes.extend(length.to_be_bytes());
        }
    }
    bytes.extend(mask);
    bytes.extend(text.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}
