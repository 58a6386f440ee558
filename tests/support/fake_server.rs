//! A server of which the test writes every line itself.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// Time for anything to happen that is bound to.
pub const SOON: Duration = Duration::from_secs(30);

/// A server on a free port of this machine's own.
pub struct FakeServer {
    listener: TcpListener,
}

impl FakeServer {
    pub fn start() -> FakeServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        FakeServer { listener }
    }

    pub fn address(&self) -> String {
        self.listener.local_addr().unwrap().to_string()
    }

    /// The next client.
    pub fn accept(&self) -> Peer {
        let deadline = Instant::now() + SOON;
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false).unwrap();
                    stream.set_read_timeout(Some(SOON)).unwrap();
                    stream.set_write_timeout(Some(SOON)).unwrap();
                    let reader = BufReader::new(stream.try_clone().unwrap());
                    return Peer { reader, stream, position: 0, heard: None };
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(error) => panic!("no client came: {error}"),
            }
        }
    }

    /// The next client, in the room under the name that is answered, and with the session `t` at position 0.
    pub fn welcome(&self) -> (Peer, String) {
        let mut peer = self.accept();
        peer.send("--- welcome to gotcp: your first line is your name\n");
        let name = peer.line();
        peer.send(&format!("--- you are {name}; 1 online; !help lists the commands\n"));
        peer.open_session();
        (peer, name)
    }
}

/// One client.
pub struct Peer {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
    /// Bytes that were said to everyone.
    pub position: usize,
    /// Lines that the client has sent in this session; none before there is one.
    pub heard: Option<u64>,
}

impl Peer {
    /// The next line from the client, whatever it is.
    pub fn raw_line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).expect("the client says something");
        assert!(line.ends_with('\n'), "the client ends its line: {line:?}");
        line.truncate(line.len() - 1);
        self.heard = self.heard.map(|heard| heard + 1);
        line
    }

    /// The next line from the client, which may ask before how far it has come.
    pub fn line(&mut self) -> String {
        loop {
            match self.raw_line() {
                line if line == "!session" => self.tell_session(),
                line => return line,
            }
        }
    }

    pub fn expect(&mut self, line: &str) {
        assert_eq!(self.line(), line);
    }

    /// The client sends nothing any more.
    pub fn expect_end(&mut self) {
        let mut rest = String::new();
        // A client that is gone for good may reset the connection.
        let _ = self.reader.read_line(&mut rest);
        assert_eq!(rest, "");
    }

    /// The client says nothing for now, though it may ask how far it has come.
    pub fn expect_silence(&mut self, time: Duration) {
        self.stream.set_read_timeout(Some(time)).unwrap();
        let mut line = String::new();
        while self.reader.read_line(&mut line).is_ok() {
            assert_eq!(std::mem::take(&mut line), "!session\n", "the client says something");
            self.heard = self.heard.map(|heard| heard + 1);
            self.tell_session();
        }
        assert_eq!(line, "");
        self.stream.set_read_timeout(Some(SOON)).unwrap();
    }

    pub fn send(&mut self, text: &str) {
        let public = text.split_inclusive('\n').filter(|line| !line.starts_with("--- "));
        self.position += public.map(str::len).sum::<usize>();
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    /// Answers the client's `!session`, which has to come now.
    pub fn open_session(&mut self) {
        assert_eq!(self.raw_line(), "!session");
        self.heard.get_or_insert(0);
        self.tell_session();
    }

    fn tell_session(&mut self) {
        let heard = self.heard.expect("there is a session");
        self.send(&format!("--- session t at {}, {heard} heard\n", self.position));
    }

    /// Greets a client that comes back, which has to send its position, and tells it `missed` and that the server has
    /// heard this many lines.
    pub fn resume(&mut self, position: usize, missed: &str, name: &str, heard: u64) {
        self.send("--- welcome to gotcp: your first line is your name\n");
        assert_eq!(self.raw_line(), format!("!resume t@{position}"));
        self.position = position;
        self.heard = Some(heard);
        self.send(&format!("{missed}--- resumed as {name}, {heard} heard\n"));
    }

    /// Says a line of the client's for everyone to hear.
    pub fn echo(&mut self, name: &str) -> String {
        let text = self.line();
        self.send(&format!("{name}: {text}\n"));
        text
    }

    /// Sends nothing more, as a server that has said goodbye.
    pub fn close(self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}
