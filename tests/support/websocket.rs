//! A client that speaks WebSocket, by frames made by hand.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::peer::{PATIENCE, Peer};

/// The bits of a frame's first byte.
pub const FINAL: u8 = 0x80;
pub const CONTINUATION: u8 = 0;
pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// What is written becomes messages, and what is read has been in some. The end of it is a close.
pub struct WebSocket<S> {
    stream: BufReader<S>,
    /// What has come in a data frame and was not read.
    text: Vec<u8>,
    /// The control frames that have come between them.
    pub controls: Vec<(u8, Vec<u8>)>,
}

/// A client that speaks WebSocket.
pub type WebPeer<S = TcpStream> = Peer<WebSocket<S>>;

/// The request that a page of the server itself makes.
pub fn upgrade(host: &str) -> String {
    format!(
        "GET /ws HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
}

/// A client's frame: its first byte, and what it holds, which is masked.
pub fn frame(first: u8, text: &[u8]) -> Vec<u8> {
    let mask = [0xa5, 0x0f, 0x5a, 0xc3];
    let mut bytes = vec![first];
    match u16::try_from(text.len()) {
        Ok(short) if short < 126 => bytes.push(0x80 | u8::try_from(short).unwrap()),
        Ok(length) => {
            bytes.push(0xfe);
            bytes.extend(length.to_be_bytes());
        }
        Err(_) => {
            bytes.push(0xff);
            bytes.extend((text.len() as u64).to_be_bytes());
        }
    }
    bytes.extend(mask);
    bytes.extend(text.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

impl WebPeer {
    /// Connects, and is upgraded.
    #[track_caller]
    pub fn upgraded(address: SocketAddr) -> WebPeer {
        let socket = TcpStream::connect(address).expect("the server accepts");
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        WebPeer::upgrade(socket, address)
    }
}

impl<S: Read + Write> WebPeer<S> {
    /// Is upgraded on a connection.
    #[track_caller]
    pub fn upgrade(mut stream: S, host: SocketAddr) -> WebPeer<S> {
        stream.write_all(upgrade(&host.to_string()).as_bytes()).expect("the server reads");
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(stream.read_line(&mut head).expect("the server answers") > 0, "{head}");
        }
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(head.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{head}");
        Peer::speaking(WebSocket { stream, text: Vec::new(), controls: Vec::new() })
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.inner().stream.get_mut().write_all(bytes).expect("the server reads");
    }

    /// Reads on to the end, which the server has to announce; returns the lines before it, and the status.
    #[track_caller]
    pub fn end(&mut self) -> (Vec<String>, u16) {
        let lines = self.rest();
        let (_, body) = self.inner().controls.last().expect("it was announced");
        (lines, u16::from_be_bytes([body[0], body[1]]))
    }
}

impl<S: Read> WebSocket<S> {
    /// The next frame: what it is, and what it holds.
    pub fn next_frame(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut head = [0; 2];
        self.stream.read_exact(&mut head)?;
        assert_eq!(head[0] & 0xf0, FINAL, "the server sends whole messages");
        assert_eq!(head[1] & 0x80, 0, "a server's frames are not masked");
        let mut length = usize::from(head[1]);
        if length == 126 {
            let mut bytes = [0; 2];
            self.stream.read_exact(&mut bytes)?;
            length = usize::from(u16::from_be_bytes(bytes));
        }
        assert!(length < 64 * 1024, "a frame of {length} bytes");
        let mut text = vec![0; length];
        self.stream.read_exact(&mut text)?;
        Ok((head[0] & 0x0f, text))
    }

    /// What is below. What was read ahead is lost.
    pub fn into_stream(self) -> S {
        self.stream.into_inner()
    }
}

impl<S: Read> Read for WebSocket<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.text.is_empty() {
            match self.next_frame()? {
                (BINARY, text) => self.text = text,
                control => {
                    let is_end = control.0 == CLOSE;
                    self.controls.push(control);
                    if is_end {
                        return Ok(0);
                    }
                }
            }
        }
        let count = buffer.len().min(self.text.len());
        buffer.iter_mut().zip(self.text.drain(..count)).for_each(|(to, from)| *to = from);
        Ok(count)
    }
}

impl<S: Write> Write for WebSocket<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.get_mut().write_all(&frame(FINAL | BINARY, bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
