//! What is typed arrives once, on real sockets: clients talk to a server through a proxy that cuts at random.
//!
//! `GOTCP_SEED=17 cargo test --test client proxy` cuts as seed 17 says, as far as threads and the kernel let it.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::support::seeds;
use crate::support::server::{Server, gotcp, lines_of};
use fastrand::Rng;
use socket2::SockRef;

/// People who type. Those with an odd number are whispered to; the others change their names.
const PEOPLE: usize = 4;
/// Messages that each of them types.
const LINES: usize = 120;
/// After so many messages each, there is a whisper to someone, a new name, and `!who`.
const COMMANDS_EVERY: usize = 4;
/// Between two messages.
const PAUSE: Duration = Duration::from_millis(40);
/// By when everything has to be over.
const PATIENCE: Duration = Duration::from_secs(60);

/// Every message of everyone is in the conversation once, in order, and everyone reads all of it from their coming on.
/// Every new name is taken once. Every whisper arrives once, unless its reader's own connection broke meanwhile.
#[test]
fn what_is_typed_arrives_once() {
    seeds::each(1, "client proxy", |seed| {
        let server = Server::start("--rate 0 --history 0");
        let mut observer = server.join("observer");
        let proxy = Proxy::start(server.address, seed);
        let mut people: Vec<Client> = (0..PEOPLE).map(|person| Client::start(person, proxy.address)).collect();
        let mut all = Vec::new();
        while all.iter().filter(|line: &&String| line.ends_with(" joined")).count() < PEOPLE {
            all.push(observer.line());
        }
        let typists: Vec<_> = people.iter_mut().enumerate().map(|(person, client)| typist(person, client)).collect();
        let last = |line: &String| line.ends_with(&format!(".{}>", LINES - 1)) && !line.starts_with("--- ");
        while all.iter().filter(|&line| last(line)).count() < PEOPLE {
            all.push(observer.line());
        }
        // Only now, so that there is someone to whisper to until the last whisper.
        for typist in typists {
            let _ = typist.join();
        }
        let printed: Vec<_> = people.into_iter().map(Client::end).collect();
        assert!(proxy.cuts.load(Ordering::Relaxed) >= PEOPLE, "the network broke");
        observer.half_close();
        all.extend(observer.rest());
        let (whispers, said): (Vec<String>, Vec<String>) = all.into_iter().partition(|line| line.starts_with("--- "));
        for (person, (read, asides)) in printed.iter().enumerate() {
            assert_eq!(numbers(&said, &format!(": <{person}.")), numbered(1), "person {person}");
            judge_reading(person, read, &said);
            let came = numbers(&whispers, &format!(" to you] <{person}."));
            assert_eq!(came, numbered(COMMANDS_EVERY), "person {person}: whispers to the observer");
            judge_asides(asides);
            if person.is_multiple_of(2) {
                let names = numbers(&said, &format!(" is now z{person}-"));
                assert_eq!(names, numbered(COMMANDS_EVERY), "person {person}: new names");
            }
        }
        let is_whisper = |line: &&String| line.contains(" to you] ");
        let came = printed.iter().flat_map(|(_, asides)| asides).filter(is_whisper).count();
        assert!(came >= PEOPLE, "some whispers arrive");
        println!("{} cuts, {came} whispers arrived through the proxy", proxy.cuts.load(Ordering::Relaxed));
    });
}

/// Every so many of the numbers of the messages.
fn numbered(every: usize) -> Vec<usize> {
    (0..LINES).step_by(every).collect()
}

/// The numbers that stand in the lines behind this, in order.
fn numbers(lines: &[String], behind: &str) -> Vec<usize> {
    let numbers = lines.iter().filter_map(|line| line.split_once(behind));
    numbers.map(|(_, rest)| rest.trim_end_matches('>').parse().expect("a number")).collect()
}

/// What somebody read is what was said, in one piece, from their coming on.
fn judge_reading(person: usize, read: &[String], said: &[String]) {
    let from = said.iter().position(|line| *line == read[0]).expect("what was read was said");
    assert_eq!(read, &said[from..from + read.len()], "person {person} reads what was said");
    assert!(read.iter().any(|line| line.ends_with(&format!("<{person}.{}>", LINES - 1))));
}

/// Of what everyone whispered to somebody, each arrived once, in order; where one is missing, the connection broke.
/// `!who` was answered, never twice.
fn judge_asides(asides: &[String]) {
    let answers = asides.iter().filter(|line| line.ends_with(" online:")).count();
    assert!((1..=LINES / COMMANDS_EVERY).contains(&answers), "{answers} answers to !who");
    for sender in 0..PEOPLE {
        let (mut next, mut has_broken) = (0, false);
        for line in asides {
            has_broken |= line.starts_with("gotcp: lost the connection");
            let Some((_, number)) = line.split_once(&format!(" to you] <{sender}.")) else { continue };
            let number: usize = number.trim_end_matches('>').parse().expect("a number");
            assert!(number >= next, "{line}: twice, or out of order");
            assert!(number == next || has_broken, "{line}: the one before was lost without a break");
            (next, has_broken) = (number + COMMANDS_EVERY, false);
        }
    }
}

/// A client in a pipe, and what it prints.
struct Client {
    child: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

impl Client {
    fn start(person: usize, address: SocketAddr) -> Client {
        let (address, name) = (address.to_string(), format!("p{person}"));
        let mut child = gotcp(["client", "--server", &address, "--username", &name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stdout = lines_of(child.stdout.take().expect("it is piped"));
        let stderr = lines_of(child.stderr.take().expect("it is piped"));
        Client { child, stdout, stderr }
    }

    /// Waits for its end; returns what it has printed to standard output and to standard error.
    fn end(mut self) -> (Vec<String>, Vec<String>) {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                break status;
            }
            if started.elapsed() > PATIENCE {
                self.child.kill().expect("it is ours");
                panic!("the client does not end");
            }
            thread::sleep(Duration::from_millis(10));
        };
        let (stdout, stderr): (_, Vec<String>) = (self.stdout.iter().collect(), self.stderr.iter().collect());
        // A whisper to someone whose connection is broken fails, and a command that fails makes the client end with 1.
        let has_failed = stderr.iter().any(|line| line.starts_with("--- error: "));
        assert_eq!(status.code(), Some(i32::from(has_failed)), "{stderr:#?}");
        (stdout, stderr)
    }
}

/// Types, and hands back what it typed into, which is still open.
fn typist(person: usize, client: &mut Client) -> JoinHandle<ChildStdin> {
    let mut input = client.child.stdin.take().expect("it is piped");
    thread::spawn(move || {
        for line in 0..LINES {
            let mut text = format!("<{person}.{line}>\n");
            if line.is_multiple_of(COMMANDS_EVERY) {
                let reader = (person + 1 + person % 2) % PEOPLE;
                let whisper = format!("<{person}.{line}>\n");
                let name = if person.is_multiple_of(2) { format!("!nick z{person}-{line}\n") } else { String::new() };
                text = format!("!msg observer {whisper}{name}!msg p{reader} {whisper}!who\n{text}");
            }
            input.write_all(text.as_bytes()).expect("the client reads");
            thread::sleep(PAUSE);
        }
        input
    })
}

/// Carries bytes to and from a server, and cuts the connection after some, now in one way, now in another.
struct Proxy {
    address: SocketAddr,
    cuts: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Proxy {
    fn start(server: SocketAddr, seed: u64) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let (cuts, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (counter, stopped) = (Arc::clone(&cuts), Arc::clone(&stop));
        let mut rng = Rng::with_seed(seed);
        thread::spawn(move || {
            for client in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(server)) else { continue };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (from, to) = (from.try_clone().expect("a clone"), to.try_clone().expect("a clone"));
                    let (counter, mut rng) = (Arc::clone(&counter), rng.fork());
                    thread::spawn(move || carry(&from, &to, &mut rng, &counter));
                }
            }
        });
        Proxy { address, cuts, stop }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

/// Carries some bytes, or all of them up to their end, in pieces of any size.
fn carry(mut from: &TcpStream, mut to: &TcpStream, rng: &mut Rng, cuts: &AtomicUsize) {
    // A client that never got in gives up, as it should: so much goes through that it does.
    let mut left = rng.usize(500..9_000);
    let mut buffer = [0; 600];
    loop {
        let size = rng.usize(1..=buffer.len());
        match from.read(&mut buffer[..size]) {
            Ok(0) => {
                let _ = to.shutdown(Shutdown::Write);
                return;
            }
            Ok(count) if count < left && to.write_all(&buffer[..count]).is_ok() => left -= count,
            outcome => {
                if let Ok(count) = outcome {
                    let _ = to.write_all(&buffer[..count.min(left)]);
                    cuts.fetch_add(1, Ordering::Relaxed);
                }
                return cut(from, to, rng);
            }
        }
    }
}

/// Breaks both connections, each with or without its peer being told.
fn cut(from: &TcpStream, to: &TcpStream, rng: &mut Rng) {
    for side in [from, to] {
        // A reset: what is under way is lost, and who it is under way to is told.
        let _ = SockRef::from(side).set_linger(Some(Duration::ZERO));
        if rng.bool() {
            // The other direction of this side still hangs there for a while.
            thread::sleep(Duration::from_millis(rng.u64(0..300)));
        }
        let _ = side.shutdown(Shutdown::Both);
    }
}
