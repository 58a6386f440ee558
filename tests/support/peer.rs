//! A client as plain as `nc`: a socket and lines.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

/// How long anything may take before a test gives up. It is never a part of what a test shows.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The first line that every connection is sent.
pub const WELCOME: &str = "--- welcome to gotcp: your first line is your name";

/// One connection to a server: over TCP as it is, or over a stream that makes something else of it.
pub struct Peer<S = TcpStream> {
    input: BufReader<S>,
}

impl Peer {
    /// Connects, and reads nothing yet.
    pub fn connect(address: SocketAddr) -> Peer {
        Peer::over(TcpStream::connect(address).expect("the server accepts"))
    }

    /// Connects from another address of this machine.
    pub fn connect_from(source: IpAddr, address: SocketAddr) -> Peer {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::new(source, 0).into()).unwrap();
        socket.connect(&address.into()).expect("the server accepts");
        Peer::over(socket.into())
    }

    /// Connects with a receive buffer as small as it gets, so that a reader that does not read is soon seen as one.
    pub fn connect_narrow(address: SocketAddr) -> Peer {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(&address.into()).expect("the server accepts");
        Peer::over(socket.into())
    }

    /// Takes a connection over that was made elsewhere.
    pub fn over(stream: TcpStream) -> Peer {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Peer::speaking(stream)
    }

    /// Connects, says its name, and reads on to the line that tells everyone.
    pub fn join(address: SocketAddr, name: &str) -> Peer {
        Peer::connect(address).named(name)
    }

    /// Reads to the end, or to a reset; returns the bytes and whether the end was in order.
    pub fn drain(&mut self) -> (Vec<u8>, bool) {
        let mut bytes = Vec::new();
        let outcome = self.input.read_to_end(&mut bytes);
        assert!(
            !matches!(&outcome, Err(error) if error.kind() == io::ErrorKind::WouldBlock),
            "the connection stayed open after {} bytes",
            bytes.len()
        );
        (bytes, outcome.is_ok())
    }

    /// Sends no more; what the server owes can still be read.
    pub fn half_close(&mut self) {
        self.stream().shutdown(Shutdown::Write).unwrap();
    }

    /// Breaks the connection: the server sees a reset.
    pub fn reset(self) {
        SockRef::from(self.input.get_ref()).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// The socket, to write to, or to set options of.
    pub fn stream(&self) -> &TcpStream {
        self.input.get_ref()
    }

    /// This end's address.
    pub fn address(&self) -> SocketAddr {
        self.stream().local_addr().unwrap()
    }
}

impl<S: Read + Write> Peer<S> {
    /// Takes a stream over.
    pub fn speaking(stream: S) -> Peer<S> {
        Peer { input: BufReader::new(stream) }
    }

    /// Says its name, and reads on to the line that tells everyone.
    pub fn named(mut self, name: &str) -> Peer<S> {
        self.say(name);
        self.skip_to(&format!("*** {name} joined"));
        self
    }

    /// Sends a line.
    pub fn say(&mut self, line: &str) {
        self.send(format!("{line}\n"));
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.input.get_mut().write_all(bytes.as_ref()).expect("the server reads");
    }

    /// The next line without its LF; `None` at the end.
    pub fn try_line(&mut self) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        self.input.read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(None);
        }
        let line = String::from_utf8(line).expect("the server sends UTF-8");
        Ok(Some(line.strip_suffix('\n').unwrap_or_else(|| panic!("the last line is torn: {line:?}")).to_owned()))
    }

    /// The next line.
    #[track_caller]
    pub fn line(&mut self) -> String {
        match self.try_line() {
            Ok(Some(line)) => line,
            Ok(None) => panic!("the server has closed"),
            Err(error) => panic!("no line came: {error}"),
        }
    }

    /// Reads the next line, which has to be this one.
    #[track_caller]
    pub fn expect(&mut self, line: &str) {
        assert_eq!(self.line(), line);
    }

    /// Reads these lines, one after the other and nothing between.
    #[track_caller]
    pub fn expect_all<'a>(&mut self, lines: impl IntoIterator<Item = &'a str>) {
        lines.into_iter().for_each(|line| self.expect(line));
    }

    /// Reads on to this line; returns what came before it.
    #[track_caller]
    pub fn skip_to(&mut self, line: &str) -> Vec<String> {
        let mut before = Vec::new();
        loop {
            let next = match self.try_line() {
                Ok(Some(next)) => next,
                outcome => panic!("{line:?} never came, but {outcome:?} after {before:?}"),
            };
            if next == line {
                return before;
            }
            before.push(next);
        }
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

    /// Everything up to the end, which has to be one in order: no reset, and no line torn.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            match self.try_line() {
                Ok(Some(line)) => lines.push(line),
                Ok(None) => return lines,
                Err(error) => panic!("{error} instead of the end, after {lines:?}"),
            }
        }
    }

    /// The socket and what was read ahead, to read large amounts from.
    pub fn reader(&mut self) -> &mut BufReader<S> {
        &mut self.input
    }

    /// The stream, to do something else with it.
    pub fn inner(&mut self) -> &mut S {
        self.input.get_mut()
    }

    /// The stream alone. What was read ahead is lost.
    pub fn into_inner(self) -> S {
        self.input.into_inner()
    }
}

/// This many lines, told apart by the numbers that they begin with, counted from 0.
pub fn numbered(count: usize, text: &str) -> String {
    (0..count).fold(String::new(), |lines, i| lines + &format!("{i}{text}\n"))
}

/// Another address of this machine.
pub fn loopback(last: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 0, last).into()
}

impl Write for &Peer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Tries until it works: what the test has just done reaches the server in its own time.
pub fn retry<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(outcome) = attempt() {
            return outcome;
        }
        assert!(started.elapsed() < PATIENCE, "it never came true");
        thread::sleep(Duration::from_millis(10));
    }
}
