//! A line typed arrives once, on real sockets: clients talk to a server through a proxy that cuts at random.
//!
//! `GOTCP_SEED=17 cargo test --test client proxy` cuts as seed 17 says, as far as threads and the kernel let it.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::seeds;
use crate::support::server::{Server, gotcp};
use fastrand::Rng;
use socket2::SockRef;

/// People who type.
const PEOPLE: usize = 4;
/// Lines that each of them types.
const LINES: usize = 150;
/// Between two lines.
const PAUSE: Duration = Duration::from_millis(20);
/// By when everything has to be over.
const PATIENCE: Duration = Duration::from_secs(60);

/// Every line of everyone is in the conversation once, in order, and everyone reads all of it from their coming on.
#[test]
fn a_line_typed_arrives_once() {
    seeds::each(1, "client proxy", |seed| {
        let server = Server::start("--rate 0 --history 0");
        let mut observer = server.join("observer");
        let proxy = Proxy::start(server.address, seed);
        let people: Vec<Child> = (0..PEOPLE).map(|person| typist(person, proxy.address)).collect();
        let read: Vec<String> = people.into_iter().map(everything_read).collect();
        assert!(proxy.cuts.load(Ordering::Relaxed) >= PEOPLE, "the network broke");
        observer.half_close();
        let said = observer.rest();
        for (person, read) in read.iter().enumerate() {
            let mine: Vec<&str> = said
                .iter()
                .filter_map(|line| line.split_once(&format!(": <{person}.")))
                .map(|(_, rest)| rest)
                .collect();
            let typed: Vec<String> = (0..LINES).map(|line| format!("{line}>")).collect();
            assert_eq!(mine, typed, "person {person}");
            let read: Vec<&str> = read.lines().collect();
            let from = said.iter().position(|line| line == read[0]).expect("what was read was said");
            assert_eq!(read, said[from..from + read.len()], "person {person} reads what was said");
            assert!(read.iter().any(|line| line.ends_with(&format!("<{person}.{}>", LINES - 1))));
        }
        println!("{} cuts", proxy.cuts.load(Ordering::Relaxed));
    });
}

/// A client in a pipe into which somebody types.
fn typist(person: usize, address: SocketAddr) -> Child {
    let address = address.to_string();
    let name = format!("p{person}");
    let mut child = gotcp(["client", "--server", &address, "--username", &name])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let mut input = child.stdin.take().expect("it is piped");
    thread::spawn(move || {
        for line in 0..LINES {
            writeln!(input, "<{person}.{line}>").expect("the client reads");
            thread::sleep(PAUSE);
        }
    });
    child
}

/// What a client has printed once it has ended, in order.
fn everything_read(mut child: Child) -> String {
    let mut stdout = child.stdout.take().expect("it is piped");
    let reader = thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).expect("UTF-8");
        text
    });
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("it is ours") {
            break status;
        }
        if started.elapsed() > PATIENCE {
            child.kill().expect("it is ours");
            panic!("the client does not end");
        }
        thread::sleep(Duration::from_millis(10));
    };
    assert!(status.success(), "{status}");
    reader.join().expect("it reads")
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
    let mut left = rng.usize(500..6_000);
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
