//! WebSocket, as much of it as a client needs to be measured.

use std::io::{self, ErrorKind, Read, Write};

/// Asks a server to speak WebSocket, and waits until it does.
pub fn upgrade(stream: &mut (impl Read + Write), host: &str) -> io::Result<()> {
    write!(
        stream,
        "GET /ws HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    // A byte at a time: what follows is for somebody else.
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        answer.push(byte[0]);
    }
    if answer.starts_with(b"HTTP/1.1 101 ") { Ok(()) } else { Err(ErrorKind::InvalidData.into()) }
}

/// A message. Its mask changes nothing.
pub fn framed(text: &[u8]) -> Vec<u8> {
    let length = u8::try_from(text.len()).ok().filter(|length| *length < 126).expect("lines are short");
    [&[0x82, 0x80 | length, 0, 0, 0, 0], text].concat()
}

/// A stream of which the frames are taken off.
pub struct Web<S> {
    /// What they come from.
    pub socket: S,
    /// What has come of a header.
    header: Vec<u8>,
    /// How much is left of the frame.
    left: usize,
}

impl<S: Read> Web<S> {
    /// A stream that has been upgraded.
    pub fn new(socket: S) -> Web<S> {
        Web { socket, header: Vec::new(), left: 0 }
    }

    /// Reads text; `Interrupted` if nothing but a header has come.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.socket.read(buffer)?;
        if count == 0 {
            return Ok(0);
        }
        let (mut at, mut text) = (0, 0);
        while at < count {
            if self.left == 0 {
                self.header.push(buffer[at]);
                at += 1;
                self.left = match self.header[..] {
                    [0x82, 126, high, low] => usize::from(u16::from_be_bytes([high, low])),
                    [0x82, short] if short != 126 => usize::from(short),
                    [] | [0x82] | [0x82, 126] | [0x82, 126, _] => continue,
                    _ => return Err(ErrorKind::InvalidData.into()),
                };
                self.header.clear();
                continue;
            }
            let piece = self.left.min(count - at);
            buffer.copy_within(at..at + piece, text);
            (at, text, self.left) = (at + piece, text + piece, self.left - piece);
        }
        if text == 0 { Err(ErrorKind::Interrupted.into()) } else { Ok(text) }
    }
}
