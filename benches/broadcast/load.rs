//! The load generator: thousands of clients in one thread, which count and compare every byte they receive.

use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustls::{ClientConnection, StreamOwned};

use super::subject::{Link, PAYLOAD, SENDERS, Subject, text};
use super::web::{self, Web, framed};

/// How many may be connecting without an answer: fewer than fit into a listening socket's queue.
const KNOCKING: usize = 1000;
/// If nothing happens for so long, something is lost.
const PATIENCE: Duration = Duration::from_secs(20);
/// A crowd that has not joined after so long is too large for its server.
const JOINING: Duration = Duration::from_secs(60);
/// If nothing happens for so long, a server with an unknown greeting has sent all of it.
const QUIET: Duration = Duration::from_secs(3);
/// The pause between two looks at the kernel's list of events, to which the server's writes add.
const BREATH: Duration = Duration::from_micros(20);

/// How lines are said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As fast as the server takes them, by all senders at once.
    Flood,
    /// The next one when everyone has received the last one.
    OneByOne,
    /// One each so long, by the senders in turn.
    Every(Duration),
}

/// The clients of one server.
///
/// Everyone has to receive the same bytes. So the first to receive something writes it to `log`, everyone else's bytes
/// are compared with that, and in the end the log is compared with what was said. With a server that does not promise
/// that, only the lines are counted.
pub struct Load<'a> {
    subject: &'a dyn Subject,
    poll: Poll,
    events: Events,
    clients: Vec<Client>,
    /// The first so many clients have to receive what is said.
    listeners: usize,
    log: Vec<u8>,
    buffer: Box<[u8]>,
}

struct Client {
    socket: Socket,
    /// Bytes (or lines, see [`Load`]) that it has received in this part of the run.
    heard: u64,
    to_say: Vec<u8>,
    said: usize,
}

/// A client's connection.
enum Socket {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    Web(Web<TcpStream>),
}

impl<'a> Load<'a> {
    /// Joins as a crowd: no client waits for another, as long as no more than [`KNOCKING`] wait for an answer. Returns
    /// when everyone has been told that everyone has joined.
    pub fn join(subject: &'a dyn Subject, address: std::net::SocketAddr, listeners: usize) -> anyhow::Result<Self> {
        let mut load = Load {
            subject,
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            clients: Vec::with_capacity(listeners + SENDERS),
            listeners,
            log: Vec::new(),
            buffer: vec![0; 256 * 1024].into(),
        };
        let greeting = subject.greeting(listeners);
        let (expected, patience) = match &greeting {
            Some(bytes) => (bytes.iter().sum::<u64>(), PATIENCE),
            None => (u64::MAX, QUIET),
        };
        let (mut answered, mut heard) = (0, 0);
        let start = Instant::now();
        let mut last_news = start;
        while load.clients.len() < listeners || heard < expected {
            ensure!(start.elapsed() < JOINING, "so many clients cannot join within {} s", JOINING.as_secs());
            let may_knock = load.clients.len() < listeners && load.clients.len() < answered + KNOCKING;
            if may_knock {
                load.connect(address, &subject.hello(load.clients.len()))?;
                if !subject.answers_hello() {
                    answered += 1;
                }
                last_news = Instant::now();
                continue;
            }
            load.receive(QUIET, |client, _, bytes| {
                answered += usize::from(client.heard == 0);
                heard += bytes.len() as u64;
                last_news = Instant::now();
                Ok(bytes.len() as u64)
            })?;
            if last_news.elapsed() >= patience {
                ensure!(expected == u64::MAX, "only {heard} of {expected} bytes of greetings have arrived");
                break;
            }
        }
        if let Some(mut expected) = greeting {
            let mut heard: Vec<u64> = load.clients.iter().map(|client| client.heard).collect();
            heard.sort_unstable();
            expected.sort_unstable();
            ensure!(heard == expected, "a client was greeted with too few bytes or too many");
        }
        if !subject.senders_listen() {
            for _ in 0..SENDERS {
                load.connect(address, b"")?;
            }
            // What the others are told about them is not measured.
            let mut last_news = Instant::now();
            while last_news.elapsed() < QUIET {
                load.receive(QUIET, |_, _, _| {
                    last_news = Instant::now();
                    Ok(0)
                })?;
            }
        }
        for client in &mut load.clients {
            client.heard = 0;
            client.prepare(subject.thanks());
            client.speak()?;
        }
        Ok(load)
    }

    /// Sends `lines` lines and waits until everyone has received them. Returns how long each delivery took from the
    /// moment at which the line was due, whether it was sent then or later. (Where a read ends within a line, its delay
    /// is not among them.)
    pub fn say(&mut self, lines: u64, pace: Pace) -> anyhow::Result<Vec<Duration>> {
        let line = self.subject.heard(0, &text(0, 0));
        let one_order = self.subject.has_one_order();
        let count =
            |bytes: &[u8]| if one_order { bytes.len() } else { memchr::memchr_iter(b'\n', bytes).count() } as u64;
        let length = count(line.as_bytes());
        let to_hear = lines * length;
        let mut missing = to_hear * self.listeners as u64;
        self.log.clear();
        let start = Instant::now();
        let mut last_news = start;
        let mut said = 0;
        let mut delays = Vec::new();
        if pace == Pace::Flood {
            for number in 0..lines {
                self.prepare(number);
            }
            said = lines;
            for index in self.senders() {
                self.clients[index].speak()?;
            }
        }
        while missing > 0 {
            let is_time = match pace {
                Pace::Flood => false,
                Pace::OneByOne => missing == (lines - said) * length * self.listeners as u64,
                Pace::Every(interval) => start.elapsed() >= interval * u32::try_from(said)?,
            };
            if is_time && said < lines {
                let index = self.prepare(said);
                self.clients[index].speak()?;
                said += 1;
            }
            let timeout = match pace {
                Pace::Every(interval) => (interval * u32::try_from(said)?).saturating_sub(start.elapsed()),
                _ => QUIET,
            };
            let (listeners, mut log) = (self.listeners, std::mem::take(&mut self.log));
            self.receive(timeout, |client, index, bytes| {
                last_news = Instant::now();
                if index >= listeners {
                    return Ok(0);
                }
                if one_order {
                    compare(&mut log, client.heard, bytes)?;
                }
                if let Pace::Every(interval) = pace {
                    delays.extend(numbers(bytes).map(|number| last_news - (start + interval * number)));
                }
                let count = count(bytes);
                missing = missing.checked_sub(count).context("more has arrived than was said")?;
                Ok(count)
            })?;
            self.log = log;
            ensure!(last_news.elapsed() < PATIENCE, "{missing} bytes (or lines) have not arrived");
        }
        ensure!(
            self.clients[..self.listeners].iter().all(|client| client.heard == to_hear),
            "one client has received too little, another too much"
        );
        self.clients.iter_mut().for_each(|client| client.heard = 0);
        if one_order {
            self.check_log(lines, line.len())?;
        }
        Ok(delays)
    }

    /// The log has every line that was said, once, and each sender's lines in order.
    fn check_log(&self, lines: u64, length: usize) -> anyhow::Result<()> {
        let mut next: [u64; SENDERS] = std::array::from_fn(|sender| sender as u64);
        let text_at = self.subject.heard(0, &text(0, 0)).find("0 0000").context("the text is in there")?;
        for heard in self.log.chunks(length) {
            let sender = usize::from(heard[text_at].wrapping_sub(b'0'));
            let number = next.get_mut(sender).context("a line of an unknown sender")?;
            let text = text(sender, *number);
            if heard != self.subject.heard(sender, &text).as_bytes() {
                bail!("received {:?} instead of {text:?}", String::from_utf8_lossy(heard));
            }
            *number += SENDERS as u64;
        }
        debug_assert_eq!(PAYLOAD, text(0, 0).len());
        ensure!(next.iter().all(|&number| number >= lines), "a sender's last lines are missing");
        Ok(())
    }

    /// Gives the next sender line `number` to send, and returns who that is.
    fn prepare(&mut self, number: u64) -> usize {
        let sender = usize::try_from(number).expect("it is small") % SENDERS;
        let line = self.subject.said(sender, &text(sender, number));
        let index = self.senders().start + sender;
        self.clients[index].prepare(line.as_bytes());
        index
    }

    fn senders(&self) -> std::ops::Range<usize> {
        let first = if self.subject.senders_listen() { 0 } else { self.listeners };
        first..first + SENDERS
    }

    fn connect(&mut self, address: std::net::SocketAddr, hello: &[u8]) -> anyhow::Result<()> {
        let mut socket = std::net::TcpStream::connect_timeout(&address, PATIENCE).context("cannot connect")?;
        socket.set_nodelay(true)?;
        let link = self.subject.link();
        let mut tls = None;
        match &link {
            Link::Plain => socket.write_all(hello)?,
            Link::Tls(config) => {
                let mut connection = ClientConnection::new(config.clone(), "localhost".try_into()?)?;
                connection.complete_io(&mut socket)?;
                connection.writer().write_all(hello)?;
                connection.write_tls(&mut socket)?;
                tls = Some(connection);
            }
            Link::Web => {
                web::upgrade(&mut socket, &address.to_string())?;
                socket.write_all(&framed(hello))?;
            }
        }
        socket.set_nonblocking(true)?;
        let mut socket = TcpStream::from_std(socket);
        let token = Token(self.clients.len());
        self.poll.registry().register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
        let socket = match (link, tls) {
            (Link::Web, _) => Socket::Web(Web::new(socket)),
            (_, Some(connection)) => Socket::Tls(Box::new(StreamOwned::new(connection, socket))),
            (_, None) => Socket::Plain(socket),
        };
        self.clients.push(Client { socket, heard: 0, to_say: Vec::new(), said: 0 });
        Ok(())
    }

    /// Waits for events without ever sleeping: waking this process would count as the server's work.
    fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        let start = Instant::now();
        loop {
            match self.poll.poll(&mut self.events, Some(Duration::ZERO)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => self.events.clear(),
                outcome => outcome?,
            }
            let looked = start.elapsed();
            if !self.events.is_empty() || looked >= timeout {
                return Ok(());
            }
            while start.elapsed() < looked + BREATH {
                std::hint::spin_loop();
            }
        }
    }

    /// Reads and writes as much as possible, after waiting for at most `timeout`. `hear` is given a client as it was
    /// before, its number, and what it received, and returns how much that is.
    fn receive(
        &mut self,
        timeout: Duration,
        mut hear: impl FnMut(&Client, usize, &[u8]) -> anyhow::Result<u64>,
    ) -> anyhow::Result<()> {
        self.wait(timeout)?;
        for event in &self.events {
            let index = event.token().0;
            let client = &mut self.clients[index];
            if event.is_writable() {
                client.speak()?;
            }
            while event.is_readable() {
                match client.socket.read(&mut self.buffer) {
                    Ok(0) => bail!("the server has disconnected client {index}"),
                    Ok(count) => {
                        client.heard += hear(client, index, &self.buffer[..count])?;
                        // A short read has emptied the socket, but not what was decrypted.
                        let is_short = match client.socket {
                            Socket::Plain(_) => count < self.buffer.len(),
                            Socket::Web(_) => count < self.buffer.len() / 2,
                            Socket::Tls(_) => false,
                        };
                        if is_short {
                            break;
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(error).with_context(|| format!("client {index} cannot read")),
                }
            }
        }
        Ok(())
    }
}

impl Client {
    /// Gives it something to send.
    fn prepare(&mut self, bytes: &[u8]) {
        match self.socket {
            Socket::Web(_) if !bytes.is_empty() => self.to_say.extend(framed(bytes)),
            _ => self.to_say.extend_from_slice(bytes),
        }
    }

    /// Sends what there is to send, as much as the socket takes.
    fn speak(&mut self) -> io::Result<()> {
        while self.said < self.to_say.len() {
            match self.socket.write(&self.to_say[self.said..]) {
                Ok(count) => self.said += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        match self.socket.flush() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
        self.to_say = Vec::new();
        self.said = 0;
        Ok(())
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Plain(socket) => socket.read(buffer),
            Socket::Tls(tls) => tls.read(buffer),
            Socket::Web(web) => web.read(buffer),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Plain(socket) => socket.write(bytes),
            Socket::Tls(tls) => tls.write(bytes),
            Socket::Web(web) => web.socket.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Socket::Plain(socket) => socket.flush(),
            Socket::Tls(tls) => tls.flush(),
            Socket::Web(web) => web.socket.flush(),
        }
    }
}

/// The numbers of the lines in what was received: the nine digits before the dots.
fn numbers(bytes: &[u8]) -> impl Iterator<Item = u32> {
    let ends = memchr::memmem::find_iter(bytes, b" ....");
    ends.filter_map(|end| str::from_utf8(&bytes[end.checked_sub(9)?..end]).ok()?.parse().ok())
}

/// Compares what a client has received from position `at` on with what others have received there, or writes it down.
fn compare(log: &mut Vec<u8>, at: u64, bytes: &[u8]) -> anyhow::Result<()> {
    let at = usize::try_from(at)?;
    let (known, new) = bytes.split_at(bytes.len().min(log.len() - at));
    ensure!(log[at..at + known.len()] == *known, "two clients have received different bytes");
    log.extend_from_slice(new);
    Ok(())
}
