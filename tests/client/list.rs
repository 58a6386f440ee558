//! A list of servers that show the same room: which one is taken, and that nothing is lost on the way from one to another.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::pipe::Client;
use crate::support::address::free_address;
use crate::support::fake_server::FakeServer;
use crate::support::peer::retry;
use crate::support::pty::Setup;
use crate::support::server::{Server, gotcp};
use crate::support::tls::Certificate;
use crate::tls::{User, assert_heard, key_of};
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

/// Time in which a client is in a room behind a server that says nothing to those who connect, or greets nobody.
const PASSED_OVER: Duration = Duration::from_secs(7);

/// A server that cannot be reached, or lets nobody in, is passed over for the next one; one line says where the user is.
#[test]
fn the_next_one_is_taken_at_the_start() {
    let (full, good) = (FakeServer::start(), FakeServer::start());
    let list = format!("{},{},{}", free_address(), full.address(), good.address());
    let mut client = Client::start(&list, &[]);
    client.write("one\n");
    let mut peer = full.accept();
    peer.send("--- error: the server is full (9 connections); try again later\n");
    peer.expect("carol");
    peer.close();
    let (mut peer, name) = good.welcome();
    assert_eq!(peer.echo(&name), "one");
    client.end_input();
    peer.expect("!exit");
    peer.close();
    let output = client.finish();
    assert_eq!((output.stdout.as_str(), output.status.code()), ("carol: one\n", Some(0)));
    let private = "--- you are carol; 1 online; !help lists the commands\n";
    assert_eq!(output.stderr, format!("{private}gotcp: connected to {}\n", good.address()));
}

/// Where none lets the user in, one line says why for each, and none was tried twice.
#[test]
fn where_none_lets_in_each_is_named() {
    let (dead, full) = (free_address(), FakeServer::start());
    let mut client = Client::start(&format!("{},{dead}", full.address()), &[]);
    let mut peer = full.accept();
    peer.send("--- error: the server is full (9 connections); try again later\n");
    peer.expect("carol");
    peer.close();
    let output = client.finish();
    let full = format!("{}: the server is full (9 connections); try again later", full.address());
    assert_eq!(output.stderr, format!("gotcp: {full}; cannot connect to {dead}: connection refused\n"));
    assert_eq!(output.status.code(), Some(1));
}

/// When a server stops in the middle of a conversation, the client resumes at the next, where it was, and says there once
/// what was not heard; and so on, round the list.
#[test]
fn a_conversation_goes_on_at_the_next() {
    let (one, two) = (FakeServer::start(), FakeServer::start());
    let mut client = Client::start(&format!("{},{},{}", one.address(), free_address(), two.address()), &[]);
    let (mut peer, name) = one.welcome();
    client.write("one\ntwo\nthree\n");
    assert_eq!(peer.echo(&name), "one");
    peer.expect("two");
    let heard = peer.heard.unwrap();
    peer.expect("three");
    peer.send("*** the server is shutting down\n");
    peer.close();
    client.write("four\n");
    let mut peer = two.accept();
    peer.resume(11 + 32, "carol: two\n", &name, heard);
    assert_eq!(peer.echo(&name), "three");
    assert_eq!(peer.echo(&name), "four");
    let (position, heard) = (peer.position, peer.heard.unwrap());
    peer.close();
    client.write("five\n");
    client.end_input();
    let mut peer = one.accept();
    peer.resume(position, "bob: hi\n", &name, heard);
    assert_eq!(peer.echo(&name), "five");
    peer.expect("!exit");
    peer.close();
    let output = client.finish();
    let said =
        "carol: one\n*** the server is shutting down\ncarol: two\ncarol: three\ncarol: four\nbob: hi\ncarol: five\n";
    assert_eq!((output.stdout.as_str(), output.status.code()), (said, Some(0)));
    let [one, two] = [one.address(), two.address()];
    let lost =
        |server| format!("gotcp: lost the connection to {server} (closed by the server); trying the next server\n");
    let to = |server| format!("gotcp: connected again to {server}\n");
    assert!(output.stderr.ends_with(&[lost(&one), to(&two), lost(&two), to(&one)].concat()), "{}", output.stderr);
}

/// At a prompt it is the same: one line for the break, and one for where the user is now. What is half typed stays.
#[test]
fn the_prompt_says_where_one_is() {
    let (one, two) = (FakeServer::start(), FakeServer::start());
    let list = format!("{},{},{}", one.address(), free_address(), two.address());
    let mut user = Setup::new(&list).size(120, 24).start();
    let (mut peer, name) = one.welcome();
    user.wait_for(&format!("connected to {}", one.address()));
    user.press("heard\r");
    assert_eq!(peer.echo(&name), "heard");
    let heard = peer.heard.unwrap();
    user.press("not heard\r");
    peer.expect("not heard");
    user.press("half");
    user.wait_for_prompt("You(carol)> half");
    peer.close();
    let mut peer = two.accept();
    peer.resume(13, "", &name, heard);
    assert_eq!(peer.echo(&name), "not heard");
    user.wait_for(&format!("connected again to {}", two.address()));
    user.wait_for_prompt("You(carol)> half");
    let text = user.text();
    assert_eq!(text.matches("lost the connection to ").count(), 1, "{text}");
    user.press("\x15\x04");
    peer.expect("!exit");
    peer.close();
    assert!(user.end().success());
    user.wait_for(&format!("closing the connection to {}", two.address()));
}

/// After a break, one line says why a server does not let the user in again, however often; once another one does, that
/// was no failure.
#[test]
fn a_refusal_is_no_failure() {
    let (one, full) = (FakeServer::start(), FakeServer::start());
    let mut client = Client::start(&format!("{},{}", one.address(), full.address()), &[]);
    let (mut peer, name) = one.welcome();
    client.write("one\n");
    assert_eq!(peer.echo(&name), "one");
    let heard = peer.heard.unwrap();
    peer.close();
    for server in [&full, &one, &full] {
        let mut peer = server.accept();
        peer.send("--- error: the server is full (9 connections); try again later\n");
        peer.close();
    }
    let mut peer = one.accept();
    peer.resume(11, "", &name, heard);
    client.end_input();
    peer.expect("!exit");
    peer.close();
    let output = client.finish();
    let [one, full] = [one.address(), full.address()];
    let lost = format!("gotcp: lost the connection to {one} (closed by the server); trying the next server\n");
    let told = format!("gotcp: {full}: the server is full (9 connections); try again later\n");
    let back = format!("gotcp: connected again to {one}\n");
    assert!(output.stderr.ends_with(&(lost + &told + &back)), "{output:?}");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

/// With `--no-reconnect` a break is the end, whatever other servers there are.
#[test]
fn no_reconnect_ends_with_the_connection() {
    let (one, two) = (FakeServer::start(), FakeServer::start());
    let mut client = Client::start(&format!("{},{}", one.address(), two.address()), &["--no-reconnect"]);
    let (peer, _) = one.welcome();
    peer.close();
    let output = client.wait();
    let lost = format!("lost the connection to {} (closed by the server)\n", one.address());
    assert!(output.stderr.ends_with(&lost) && output.status.code() == Some(1), "{output:?}");
}

/// A server that nobody gets through to, and one that takes connections and greets nobody, hold up the others for seconds
/// only, be it at the start or later.
#[test]
fn one_that_hangs_holds_nobody_up() {
    let hanging = Hanging::start();
    thread::scope(|scope| {
        scope.spawn(|| {
            let good = FakeServer::start();
            let _client = Client::start(&format!("{},{}", hanging.address, good.address()), &[]);
            let started = Instant::now();
            good.welcome();
            assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
        });
        scope.spawn(|| {
            let (silent, good) = (FakeServer::start(), FakeServer::start());
            let _client = Client::start(&format!("{},{}", silent.address(), good.address()), &[]);
            let _peer = silent.accept();
            let started = Instant::now();
            good.welcome();
            assert!(started.elapsed() < PASSED_OVER, "{:?}", started.elapsed());
        });
        scope.spawn(|| {
            let (one, silent, two) = (FakeServer::start(), FakeServer::start(), FakeServer::start());
            let _client = Client::start(&format!("{},{},{}", one.address(), silent.address(), two.address()), &[]);
            let (peer, name) = one.welcome();
            peer.close();
            let mut silent = silent.accept();
            let started = Instant::now();
            two.accept().resume(0, "", &name, 0);
            assert!(started.elapsed() < PASSED_OVER, "{:?}", started.elapsed());
            silent.expect_end();
        });
    });
}

/// A session is kept for the room: a client that was killed is who it was when it is given the same servers again, in
/// whatever order.
#[test]
fn a_session_belongs_to_the_list() {
    let (home, server, dead) = (TempDir::new().unwrap(), Server::start(""), free_address());
    let mut bob = server.join("bob");
    let start = |list: &str| {
        let args = ["--username", "carol", "--server", list];
        Client::at_home(home.path(), &args, (Stdio::piped(), Stdio::piped()))
    };
    let carol = start(&format!("{dead},{}", server.address));
    let name = bob.skip_to_start("*** carol#").trim_end_matches(" joined").replace("*** ", "");
    let sessions = home.path().join("gotcp/sessions");
    retry(|| {
        let files = std::fs::read_dir(&sessions).ok()?;
        files.flatten().find(|file| file.file_name().to_str().is_some_and(|name| !name.contains('.')))
    });
    carol.kill();
    bob.say("meanwhile");
    let mut carol = start(&format!("{},{dead}", server.address));
    carol.write("here again\n");
    bob.skip_to(&format!("{name}: here again"));
    carol.read_to("bob: meanwhile\n");
    let ended = carol.finish();
    let note = format!("gotcp: you are {name}, as before\ngotcp: connected to {}\n", server.address);
    assert!(ended.stderr.ends_with(&note), "{ended:?}");
}

/// `--probe` is content with one server that answers, of a list in the environment.
#[test]
fn one_that_answers_is_enough_for_a_probe() {
    let (server, dead) = (Server::start(""), free_address());
    let probe = |list: &str| gotcp(["client", "--probe"]).env("GOTCP_SERVER", list).output().unwrap();
    for (list, code) in [
        (format!("{dead},{}", server.address), 0),
        (format!("{},{dead}", server.address), 0),
        (format!("{dead},{}", free_address()), 1),
    ] {
        let output = probe(&list);
        assert_eq!((output.status.code(), output.stdout, output.stderr), (Some(code), vec![], vec![]), "{list}");
    }
}

/// Each server has a key of its own to be known by. One that has another key is not spoken to: the user is told, and the
/// next one is taken; if all have, that is the end.
#[test]
fn trust_is_in_each_server() {
    let (user, certificates) = (User::new(), [Certificate::new(), Certificate::new()]);
    let addresses = [free_address().to_string(), free_address().to_string()];
    let start = |n: usize| Server::start_on(&addresses[n], &certificates[n].options("offered"));
    let mut servers = [start(0), start(1)];
    let list = format!("tls://{}", addresses.join(","));
    let first = user.greet(&["--server", &list]);
    assert_heard(&first);
    assert_heard(&user.greet(&["--server", &format!("tls://{}", addresses[1])]));
    let keys = servers.each_mut().map(key_of);
    assert_eq!(user.known(), format!("{} {}\n{} {}\n", addresses[0], keys[0], addresses[1], keys[1]));

    let [one, two] = servers;
    one.stop();
    certificates[0].renew();
    let one = start(0);
    let passed_over = user.greet(&["--server", &list]);
    assert_heard(&passed_over);
    let advice = format!("accept it with --server {} --pin SHA256:", addresses[0]);
    assert!(passed_over.stderr.starts_with(&format!("gotcp: {} has the key", addresses[0])), "{passed_over:?}");
    assert!(passed_over.stderr.contains(&advice), "{passed_over:?}");
    two.stop();
    let refused = user.greet(&["--server", &list]);
    let dead = format!("{} has another key; cannot connect to {}", addresses[0], addresses[1]);
    assert!(refused.stderr.contains(&dead) && refused.status.code() == Some(1), "{refused:?}");
    certificates[1].renew();
    let two = start(1);
    let refused = user.greet(&["--server", &list]);
    assert!(refused.stderr.contains(&format!("gotcp: {} has the key", addresses[1])), "{refused:?}");
    assert_eq!((refused.status.code(), refused.stderr.lines().count()), (Some(1), 2), "{refused:?}");
    assert!(!(one.stop().join("\n") + &two.stop().join("\n")).contains("carol"));
}

/// What is known or said of one server's key protects all: where one was met with TLS, the others are not spoken to
/// without, and a `--pin` is the key that each of them must have.
#[test]
fn none_is_less_safe_than_another() {
    let (user, certificate) = (User::new(), Certificate::new());
    let mut one = Server::start(&certificate.options("offered"));
    let (key, first) = (key_of(&mut one), one.address);
    assert_heard(&user.greet(&["--server", &format!("tls://{first}")]));
    one.stop();
    let plain = Server::start("");
    let refused = user.greet(&["--server", &format!("{first},{}", plain.address)]);
    assert!(refused.stderr.contains("does not speak TLS") && refused.status.code() == Some(1), "{refused:?}");
    assert!(!plain.stop().join("\n").contains("carol"));

    let (alike, other) = (Server::start(&certificate.options("offered")), Certificate::new());
    let other = Server::start(&other.options("offered"));
    let list = format!("{first},{},{}", other.address, alike.address);
    let pinned = User::new().greet(&["--server", &list, "--pin", &key]);
    assert_heard(&pinned);
    assert!(pinned.stderr.contains(&format!("{} has the key", other.address)), "{pinned:?}");
    assert!(!other.stop().join("\n").contains("carol"));
}

/// Every line of a pipe arrives once, in order, while the servers of the room come and go; and the client reads all that
/// is said, in the same order.
#[test]
fn servers_may_come_and_go() {
    const LINES: usize = 600;
    let server = Server::start("--rate 0 --history 0");
    let mut bob = server.join("bob");
    let mut doors = [(); 3].map(|()| Door::new(server.address));
    doors[0].open();
    let list = doors.each_ref().map(|door| door.address.to_string()).join(",");
    let mut client = Client::start(&list, &[]);
    bob.skip_to("*** carol joined");
    client.write("0\n");
    bob.expect("carol: 0");
    thread::scope(|scope| {
        let doors = &mut doors;
        scope.spawn(move || {
            let mut before = 0;
            for next in [1, 0, 2, 1, 2, 0, 1, 0, 2] {
                thread::sleep(Duration::from_millis(600));
                doors[next].open();
                doors[before].shut();
                before = next;
            }
        });
        scope.spawn(|| {
            for line in 1..LINES {
                client.write(&format!("{line}\n"));
                thread::sleep(Duration::from_millis(10));
            }
        });
        for line in 1..LINES {
            bob.expect(&format!("carol: {line}"));
        }
    });
    let ended = client.finish();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let said: Vec<String> = (0..LINES).map(|line| format!("carol: {line}\n")).collect();
    assert_eq!(ended.stdout, format!("*** carol joined\n{}*** carol left\n", said.concat()));
    let count = |part| ended.stderr.matches(part).count();
    assert!(count("lost the connection") >= 5, "{ended:?}");
    assert_eq!(count("lost the connection"), count("connected again to"), "{ended:?}");
}

/// A server that takes no connection, nor refuses any: the kernel has as many for it as it keeps.
struct Hanging {
    address: SocketAddr,
    _listener: Socket,
    _waiting: Vec<TcpStream>,
}

impl Hanging {
    fn start() -> Hanging {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok();
        let waiting: Vec<_> = std::iter::from_fn(connect).collect();
        Hanging { address, _listener: listener, _waiting: waiting }
    }
}

/// One of several ways to a server, as if it were a server of its own that shows the same room. It is shut at first.
struct Door {
    address: SocketAddr,
    leads_to: SocketAddr,
    /// Whether it is to be shut, and the thread that keeps it open.
    keeper: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
    sockets: Arc<Mutex<Vec<TcpStream>>>,
}

impl Door {
    fn new(leads_to: SocketAddr) -> Door {
        Door { address: free_address(), leads_to, keeper: None, sockets: Arc::default() }
    }

    fn open(&mut self) {
        let listener = TcpListener::bind(self.address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let (is_shut, sockets, leads_to) = (Arc::new(AtomicBool::new(false)), Arc::clone(&self.sockets), self.leads_to);
        let is_over = Arc::clone(&is_shut);
        let keep = move || {
            while !is_over.load(Ordering::SeqCst) {
                match listener.accept() {
                    Ok((client, _)) => lead(&client, leads_to, &sockets),
                    Err(_) => thread::sleep(Duration::from_millis(2)),
                }
            }
        };
        self.keeper = Some((is_shut, thread::spawn(keep)));
    }

    /// Shuts it, and breaks what goes through it.
    fn shut(&mut self) {
        let (is_shut, keeper) = self.keeper.take().expect("it is open");
        is_shut.store(true, Ordering::SeqCst);
        keeper.join().unwrap();
        for socket in self.sockets.lock().unwrap().drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

fn lead(client: &TcpStream, leads_to: SocketAddr, sockets: &Mutex<Vec<TcpStream>>) {
    client.set_nonblocking(false).unwrap();
    let server = TcpStream::connect(leads_to).unwrap();
    let clone = |socket: &TcpStream| socket.try_clone().unwrap();
    for (mut from, mut to) in [(clone(client), clone(&server)), (clone(&server), clone(client))] {
        thread::spawn(move || {
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
    }
    sockets.lock().unwrap().extend([clone(client), server]);
}
