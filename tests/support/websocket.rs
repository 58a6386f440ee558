//! A client that speaks WebSocket, by frames made by hand.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::peer::PATIENCE;

/// The bits of a frame's first byte.
pub const FINAL: u8 = 0x80;
pub const CONTINUATION: u8 = 0;
pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// A stream on which WebSocket is spoken: plain, or in TLS.
pub struct WebPeer<S = TcpStream> {
    stream: BufReader<S>,
    /// What has come in data frames and was not looked at.
    text: Vec<u8>,
    /// The control frames that have come between them.
    pub controls: Vec<(u8, Vec<u8>)>,
}

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
    pub fn connect(address: SocketAddr) -> WebPeer {
        let socket = TcpStream::connect(address).expect("the server accepts");
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        WebPeer::over(socket, address)
    }

    /// Connects, says a name, and reads on to the line that tells everyone.
    #[track_caller]
    pub fn join(address: SocketAddr, name: &str) -> WebPeer {
        let mut peer = WebPeer::connect(address);
        peer.say(name);
        peer.skip_to(&format!("*** {name} joined"));
        peer
    }
}

impl<S: Read + Write> WebPeer<S> {
    /// Is upgraded on a connection.
    #[track_caller]
    pub fn over(mut stream: S, host: SocketAddr) -> WebPeer<S> {
        stream.write_all(upgrade(&host.to_string()).as_bytes()).expect("the server reads");
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(stream.read_line(&mut head).expect("the server answers") > 0, "{head}");
        }
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(head.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{head}");
        WebPeer { stream, text: Vec::new(), controls: Vec::new() }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).expect("the server reads");
    }

    /// Sends a line as one message.
    pub fn say(&mut self, line: &str) {
        self.send(&frame(FINAL | BINARY, format!("{line}\n").as_bytes()));
    }

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

    /// The next line without its LF; `None` once the server has closed the WebSocket.
    pub fn try_line(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(end) = self.text.iter().position(|byte| *byte == b'\n') {
                let line = self.text.drain(..=end).take(end).collect();
                return Ok(Some(String::from_utf8(line).expect("the server sends UTF-8")));
            }
            match self.next_frame()? {
                (BINARY, text) => self.text.extend(text),
                (CLOSE, body) => {
                    self.controls.push((CLOSE, body));
                    assert!(self.text.is_empty(), "the last line is torn");
                    return Ok(None);
                }
                control => self.controls.push(control),
            }
        }
    }

    /// The next line.
    #[track_caller]
    pub fn line(&mut self) -> String {
        self.try_line().expect("a line comes").expect("the server has closed")
    }

    /// Reads the next line, which has to be this one.
    #[track_caller]
    pub fn expect(&mut self, line: &str) {
        assert_eq!(self.line(), line);
    }

    /// Reads on to this line.
    #[track_caller]
    pub fn skip_to(&mut self, line: &str) {
        while self.line() != line {}
    }

    /// Reads on to a line that starts like this; returns it.
    #[track_caller]
    pub fn skip_to_start(&mut self, start: &str) -> String {
        loop {
            let line = self.line();
            if line.starts_with(start) {
                return line;
            }
        }
    }

    /// Reads on to the end, which the server has to announce; returns the lines before it, and the status.
    #[track_caller]
    pub fn rest(&mut self) -> (Vec<String>, u16) {
        let mut lines = Vec::new();
        loop {
            match self.try_line() {
                Ok(Some(line)) => lines.push(line),
                Ok(None) => break,
                Err(error) => panic!("{error} instead of the end, after {lines:?}"),
            }
        }
        let (_, body) = self.controls.last().expect("it was announced");
        (lines, u16::from_be_bytes([body[0], body[1]]))
    }

    /// What is below.
    pub fn into_inner(self) -> S {
        self.stream.into_inner()
    }
}
