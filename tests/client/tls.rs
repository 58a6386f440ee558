//! The client and TLS: whom it trusts, from the first time on, and what it never does.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::pipe::{Client, Ended};
use crate::support::address::free_address;
use crate::support::fake_server::FakeServer;
use crate::support::pty::Setup;
use crate::support::server::{Server, gotcp};
use crate::support::tls::Certificate;
use tempfile::TempDir;

/// A user: somewhere to keep things.
pub struct User(TempDir);

impl User {
    pub fn new() -> User {
        User(TempDir::new().unwrap())
    }

    /// Starts a client.
    fn start(&self, args: &[&str]) -> Client {
        let who = ["--username", "carol", "--no-tag"];
        Client::at_home(self.0.path(), &[&who, args].concat(), (Stdio::piped(), Stdio::piped()))
    }

    /// Says `hello`, and leaves.
    pub fn greet(&self, args: &[&str]) -> Ended {
        let mut command = gotcp(["client", "--username", "carol", "--no-tag"].into_iter().chain(args.iter().copied()));
        command
            .env("XDG_STATE_HOME", self.0.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It may have turned back before it reads anything.
        let _ = child.stdin.take().unwrap().write_all(b"hello\n");
        let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ended { status, stdout: text(stdout), stderr: text(stderr) }
    }

    pub fn known(&self) -> String {
        fs::read_to_string(self.0.path().join("gotcp/known-servers")).unwrap_or_default()
    }
}

/// The key that a server says it has.
pub fn key_of(server: &mut Server) -> String {
    let line = server.find_on_console("its key is ");
    line.split("its key is ").nth(1).unwrap().to_owned()
}

pub fn assert_heard(ended: &Ended) {
    assert!(ended.status.success() && ended.stdout.contains("carol: hello\n"), "{ended:?}");
}

/// The first time, the key is told and remembered; then it has to be the same, and TLS is spoken even if nobody asks for it.
/// Another key is refused, with both and with what to do, which then works.
#[test]
fn keys_are_remembered() {
    let (user, certificate) = (User::new(), Certificate::new());
    let address = free_address().to_string();
    let mut server = Server::start_on(&address, &certificate.options("offered"));
    let old = key_of(&mut server);
    let first = user.greet(&["--server", &format!("tls://{address}")]);
    assert_heard(&first);
    assert!(first.stderr.contains(&format!("its key {old} is remembered")), "{first:?}");
    assert_eq!(user.known(), format!("{address} {old}\n"));
    let again = user.greet(&["--server", &address]);
    assert_heard(&again);
    assert!(!again.stderr.contains("key"), "{again:?}");
    server.stop();

    certificate.renew();
    let mut server = Server::start_on(&address, &certificate.options("offered"));
    let new = key_of(&mut server);
    let refused = user.greet(&["--server", &address]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(refused.stderr.contains(&format!("the key {new}, and not {old}")), "{refused:?}");
    let advice = format!("--pin {new}");
    assert!(refused.stderr.contains(&advice) && refused.stderr.lines().count() == 1, "{refused:?}");
    assert_eq!(refused.stdout, "");
    assert_heard(&user.greet(&["--server", &address, "--pin", &new]));
    assert_heard(&user.greet(&["--server", &address]));
    let wrong = user.greet(&["--server", &address, "--pin", &old]);
    assert_eq!(wrong.status.code(), Some(1), "{wrong:?}");
    // Nobody in the room has seen any of those who turned back.
    let console = server.stop().join("\n");
    assert_eq!(console.matches("carol joined").count(), 2, "{console}");
}

/// Where the system's roots vouch for a server, its key may change; but it must go on being vouched for.
#[test]
fn roots_vouch_for_servers() {
    let (user, certificate) = (User::new(), Certificate::new());
    let address = free_address().to_string();
    let server = Server::start_on(&address, &certificate.options("required"));
    let greet = |roots: &Certificate| {
        let mut command = gotcp(["client", "--server", &format!("tls://{address}"), "--username", "carol", "--no-tag"]);
        command.env("SSL_CERT_FILE", roots.file()).env("SSL_CERT_DIR", "/nowhere").env("XDG_STATE_HOME", user.0.path());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"hello\n").unwrap();
        child.wait_with_output().unwrap()
    };
    assert!(greet(&certificate).status.success());
    assert_eq!(user.known(), format!("{address} roots\n"));
    server.stop();
    certificate.renew();
    let _server = Server::start_on(&address, &certificate.options("required"));
    assert!(greet(&certificate).status.success());
    let other = greet(&Certificate::new());
    let text = String::from_utf8_lossy(&other.stderr);
    assert!(!other.status.success() && text.contains("nobody vouches for it as they did before"), "{text}");
}

/// A server once met with TLS is not spoken to without, whoever sits in between says so; and one that never spoke it is not
/// taken for one that does.
#[test]
fn tls_is_not_given_up() {
    let (user, certificate) = (User::new(), Certificate::new());
    let address = free_address().to_string();
    let plain = Server::start_on(&address, "");
    let refused = user.greet(&["--server", &format!("tls://{address}")]);
    assert!(refused.stderr.contains("does not speak TLS") && refused.status.code() == Some(1), "{refused:?}");
    plain.stop();
    let safe = Server::start_on(&address, &certificate.options("offered"));
    assert_heard(&user.greet(&["--server", &format!("tls://{address}")]));
    safe.stop();
    let plain = Server::start_on(&address, "");
    let refused = user.greet(&["--server", &address]);
    assert!(refused.stderr.contains("it once did") && refused.status.code() == Some(1), "{refused:?}");
    assert!(!plain.stop().join("\n").contains("carol"));

    let locked = user.0.path().join("gotcp/known-servers");
    fs::write(&locked, format!("{address} SHA256:half\n")).unwrap();
    let refused = user.greet(&["--server", &address]);
    assert!(refused.stderr.contains("known-servers is damaged") && refused.status.code() == Some(1), "{refused:?}");
}

/// A man in the middle reads nothing: with a key of his own he is refused at the first time if the key is pinned, and later in
/// any case, also in the middle of a conversation; what was typed is not sent to him.
#[test]
fn the_man_in_the_middle_reads_nothing() {
    let (user, certificate, his) = (User::new(), Certificate::new(), Certificate::new());
    let mut server = Server::start(&certificate.options("offered"));
    let key = key_of(&mut server);
    let man = Server::start(&his.options("offered"));
    let relay = Relay::start(server.address);
    let address = relay.address.to_string();
    let mut client = user.start(&["--server", &address, "--pin", &key]);
    client.write("hello\n");
    client.read_to("carol: hello\n");
    relay.lead_to(man.address);
    client.write("secret\n");
    let ended = client.wait();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.stderr.contains(&format!("and not {key}")), "{ended:?}");
    let refused = user.greet(&["--server", &address]);
    assert!(refused.stderr.contains(&format!("and not {key}")), "{refused:?}");
    assert!(!man.stop().join("\n").contains("carol"));
}

/// What was recorded of one conversation is worth nothing in another.
#[test]
fn conversations_cannot_be_replayed() {
    let certificate = Certificate::new();
    let mut server = Server::start(&certificate.options("required"));
    let relay = Relay::start(server.address);
    assert_heard(&User::new().greet(&["--server", &format!("tls://{}", relay.address)]));
    server.find_on_console("carol left");
    let mut socket = TcpStream::connect(server.address).unwrap();
    let _ = socket.write_all(&relay.recorded());
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    let console = server.stop().join("\n");
    assert!(!console.contains("carol joined") && !console.contains("hello"), "{console}");
}

/// A password is read from a file or the environment in a pipe, and asked for without echo at a terminal; wrong ones end a
/// pipe. It is nowhere afterwards.
#[test]
fn passwords_are_said() {
    let user = User::new();
    let file = user.0.path().join("word");
    fs::write(&file, "open sesame\n").unwrap();
    let file = file.to_str().unwrap();
    let server = Server::start(&format!("--password-file {file}"));
    let address = server.address.to_string();
    assert_heard(&user.greet(&["--server", &address, "--password-file", file]));
    let without = user.greet(&["--server", &address]);
    assert!(without.stderr.contains("--password-file FILE, or in GOTCP_PASSWORD"), "{without:?}");
    assert_eq!((without.status.code(), without.stdout.as_str()), (Some(1), ""));
    let mut command = gotcp(["client", "--server", &address, "--username", "carol", "--no-tag"]);
    let wrong = command.env("GOTCP_PASSWORD", "open").output().unwrap();
    assert_eq!(wrong.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("wrong password"), "{wrong:?}");

    let mut setup = Setup::new(&address);
    let mut terminal = setup.start();
    terminal.wait_for_prompt("Its password: ");
    terminal.press("open");
    terminal.wait_for("Its password: ****");
    terminal.press("\r");
    terminal.wait_for("wrong password; type another one");
    terminal.press("open sesame\r");
    terminal.wait_for_prompt("You(carol)> ");
    terminal.press("!operator sesame\r");
    terminal.wait_for("error: wrong password");
    terminal.press(" a sesame with a space before it\r");
    terminal.wait_for("carol:  a sesame");
    terminal.press("last\r");
    terminal.wait_for("carol: last");
    terminal.press("\x04");
    assert!(terminal.end().success());
    assert!(!terminal.text().contains("open"), "{}", terminal.text());
    let history = fs::read_to_string(setup.home.path().join("gotcp/history")).unwrap();
    assert!(history.contains("last") && !history.contains("sesame"), "{history}");
}

/// Whoever is shown out does not come back by themselves.
#[test]
fn who_is_shown_out_stays_out() {
    let server = FakeServer::start();
    let user = User::new();
    let mut client = user.start(&["--server", &server.address()]);
    let (mut peer, name) = server.welcome();
    client.write("hello\n");
    assert_eq!(peer.echo(&name), "hello");
    peer.send("--- error: you were kicked (too loud)\n");
    peer.close();
    let ended = client.wait();
    assert!(ended.stderr.contains("you were kicked (too loud)") && ended.status.code() == Some(1), "{ended:?}");
}

/// The file with what is known is its owner's alone, and grows by whole lines.
#[test]
fn what_is_known_is_private() {
    let (user, certificate) = (User::new(), Certificate::new());
    let servers: Vec<Server> = (0..3).map(|_| Server::start(&certificate.options("required"))).collect();
    thread::scope(|scope| {
        for address in servers.iter().map(|server| format!("tls://{}", server.address)) {
            let user = &user;
            scope.spawn(move || assert_heard(&user.greet(&["--server", &address])));
        }
    });
    assert_eq!(user.known().lines().filter(|line| line.contains(" SHA256:")).count(), 3, "{}", user.known());
    let mode = fs::metadata(user.0.path().join("gotcp/known-servers")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

/// `--probe` speaks TLS where it is asked to, and takes a server that speaks nothing else for one that answers.
#[test]
fn probes_answer() {
    let certificate = Certificate::new();
    let server = Server::start(&certificate.options("required"));
    for address in [server.address.to_string(), format!("tls://{}", server.address)] {
        assert!(gotcp(["client", "--probe", "--server", &address]).status().unwrap().success(), "{address}");
    }
    assert!(!gotcp(["client", "--probe", "--server", "tls://127.0.0.1:1"]).status().unwrap().success());
}

/// Something between a client and a server, that records, and can lead elsewhere.
struct Relay {
    address: SocketAddr,
    shared: Arc<Mutex<Relayed>>,
}

struct Relayed {
    leads_to: SocketAddr,
    open: Vec<TcpStream>,
    recorded: Vec<u8>,
}

impl Relay {
    fn start(leads_to: SocketAddr) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Mutex::new(Relayed { leads_to, open: vec![], recorded: vec![] }));
        let relayed = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let mut state = relayed.lock().unwrap();
                let Ok(server) = TcpStream::connect(state.leads_to) else { continue };
                state.open.extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
                drop(state);
                let (from_client, to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let record = Arc::clone(&relayed);
                thread::spawn(move || {
                    copy(from_client, to_server, |bytes| record.lock().unwrap().recorded.extend(bytes));
                });
                thread::spawn(move || copy(server, client, |_| ()));
            }
        });
        Relay { address, shared }
    }

    /// Cuts what is open, and leads elsewhere from now on.
    fn lead_to(&self, address: SocketAddr) {
        let mut state = self.shared.lock().unwrap();
        state.leads_to = address;
        for socket in state.open.drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// What clients have sent.
    fn recorded(&self) -> Vec<u8> {
        thread::sleep(Duration::from_millis(100));
        self.shared.lock().unwrap().recorded.clone()
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream, mut record: impl FnMut(&[u8])) {
    let mut chunk = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut chunk) {
        record(&chunk[..count]);
        if to.write_all(&chunk[..count]).is_err() {
            return;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
