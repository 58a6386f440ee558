//! The client in a pipe: the built program without a terminal.

use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::support::NOWHERE;
use crate::support::fake_server::{FakeServer, SOON};
use crate::support::server::Server;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The client, which does not outlive its test.
pub struct Client(Child);

impl Client {
    /// Starts a client of the server at `address`, under the name `carol`.
    pub fn start(address: &str, args: &[&str]) -> Client {
        let who = ["--username", "carol", "--no-tag", "--server", address];
        Client::with(&[&who, args].concat())
    }

    fn with(args: &[&str]) -> Client {
        Client::with_output(args, (Stdio::piped(), Stdio::piped()))
    }

    /// With somewhere to go for standard output and standard error.
    fn with_output(args: &[&str], outputs: (Stdio, Stdio)) -> Client {
        Client::at_home(Path::new(NOWHERE), args, outputs)
    }

    /// With a place for what it keeps.
    pub fn at_home(home: &Path, args: &[&str], (stdout, stderr): (Stdio, Stdio)) -> Client {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gotcp"));
        command.arg("client").args(args).env_remove("GOTCP_USERNAME").env_remove("GOTCP_SERVER");
        command.env("XDG_STATE_HOME", home);
        command.stdin(Stdio::piped()).stdout(stdout).stderr(stderr);
        Client(command.spawn().unwrap())
    }

    /// Writes to it. It may have ended already; then how it did tells.
    pub fn write(&mut self, text: &str) {
        match self.0.stdin.as_mut().unwrap().write_all(text.as_bytes()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            outcome => outcome.unwrap(),
        }
    }

    /// Reads standard output up to this.
    pub fn read_to(&mut self, end: &str) -> String {
        let mut read = Vec::new();
        while !read.ends_with(end.as_bytes()) {
            let mut byte = [0];
            self.0.stdout.as_mut().unwrap().read_exact(&mut byte).unwrap();
            read.extend_from_slice(&byte);
        }
        String::from_utf8(read).unwrap()
    }

    pub fn end_input(&mut self) {
        drop(self.0.stdin.take());
    }

    /// Kills it, without a word to anyone.
    pub fn kill(mut self) -> Ended {
        self.0.kill().unwrap();
        self.wait()
    }

    /// Ends the input, and waits for the client to end.
    pub fn finish(&mut self) -> Ended {
        self.end_input();
        self.wait()
    }

    pub fn wait(&mut self) -> Ended {
        let deadline = Instant::now() + SOON;
        let status = loop {
            match self.0.try_wait().unwrap() {
                Some(status) => break status,
                None => assert!(Instant::now() < deadline, "the client does not end"),
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.0.stdout.take().map(|mut out| out.read_to_string(&mut stdout).unwrap());
        self.0.stderr.take().map(|mut out| out.read_to_string(&mut stderr).unwrap());
        Ended { status, stdout, stderr }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What is left of a client.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// Every line is sent, the conversation comes out on standard output, what is private on standard error; after the last
/// line the client leaves.
#[test]
fn a_conversation_flows_through() {
    let server = FakeServer::start();
    let mut client = Client::start(&server.address(), &[]);
    let (mut peer, name) = server.welcome();
    client.write("one\n\n!who\r\nlast");
    client.end_input();
    assert_eq!(peer.echo(&name), "one");
    peer.expect("!who");
    peer.send("--- 1 online:\n---   carol\n");
    assert_eq!(peer.echo(&name), "last");
    peer.expect("!exit");
    peer.expect_end();
    peer.send("*** carol left\n");
    peer.close();
    let output = client.finish();
    assert_eq!(output.stdout, "carol: one\ncarol: last\n*** carol left\n");
    let private = "--- you are carol; 1 online; !help lists the commands\n--- 1 online:\n---   carol\n";
    assert_eq!(output.stderr, private);
    assert_eq!(output.status.code(), Some(0));
}

/// `!exit` in the input ends it there, with words or without.
#[test]
fn exit_ends_the_input() {
    for exit in ["!EXIT", "!exit see you"] {
        let server = FakeServer::start();
        let mut client = Client::start(&server.address(), &[]);
        let (mut peer, name) = server.welcome();
        client.write(&format!("one\n{exit}\nnever\n"));
        assert_eq!(peer.echo(&name), "one");
        peer.expect(exit);
        peer.expect_end();
        peer.close();
        assert_eq!(client.finish().status.code(), Some(0));
    }
}

/// Nothing is said before the name is known to be one's own: it would be taken for another try at a name.
#[test]
fn nothing_is_said_under_a_refused_name() {
    let server = FakeServer::start();
    let mut client = Client::start(&server.address(), &[]);
    client.write("secret\n");
    let mut peer = server.accept();
    peer.send("--- welcome to gotcp: your first line is your name\n");
    peer.expect("carol");
    peer.send("--- error: the name carol is taken\n");
    peer.expect_end();
    let output = client.finish();
    assert_eq!(output.stderr, "gotcp: the name carol is taken\n");
    assert_eq!(output.status.code(), Some(1));
}

/// A closed standard output ends the client, quietly, and in order.
#[test]
fn a_closed_output_is_a_normal_end() {
    let server = FakeServer::start();
    let mut client = Client::start(&server.address(), &[]);
    let (mut peer, _) = server.welcome();
    drop(client.0.stdout.take());
    peer.send("bob: one\n");
    peer.expect("!exit");
    peer.close();
    let output = client.finish();
    assert_eq!(output.status.code(), Some(0));
    assert!(!output.stderr.contains("gotcp:"), "{output:?}");
}

/// A break is mended in a pipe, too: what was not heard is sent again, what came meanwhile goes out, and nothing is
/// said twice.
#[test]
fn a_break_is_mended() {
    let server = FakeServer::start();
    let mut client = Client::start(&server.address(), &[]);
    let (mut peer, name) = server.welcome();
    client.write("one\ntwo\nthree\n");
    assert_eq!(peer.echo(&name), "one");
    peer.expect("two");
    let heard = peer.heard.unwrap();
    peer.expect("three");
    peer.send("bob: hi\n--- error: you read too slowly\n");
    peer.close();
    client.write("four\n");
    client.end_input();
    let mut peer = server.accept();
    peer.resume(19, "carol: two\nbob: there\n", &name, heard);
    assert_eq!(peer.echo(&name), "three");
    assert_eq!(peer.echo(&name), "four");
    peer.expect("!exit");
    peer.expect_end();
    peer.close();
    let output = client.finish();
    assert_eq!(output.stdout, "carol: one\nbob: hi\ncarol: two\nbob: there\ncarol: three\ncarol: four\n");
    assert_eq!(output.status.code(), Some(0));
}

/// A session that is not known any more is begun anew, on the same connection.
#[test]
fn a_lost_session_is_begun_anew() {
    let server = FakeServer::start();
    let mut client = Client::start(&server.address(), &[]);
    let (mut peer, name) = server.welcome();
    client.write("one\n");
    peer.expect("one");
    peer.close();
    let mut peer = server.accept();
    peer.send("--- welcome to gotcp: your first line is your name\n");
    peer.expect("!resume t@0");
    peer.send("--- error: no such session; your first line is your name\n");
    peer.expect("carol");
    peer.send("--- you are carol; 1 online; !help lists the commands\n");
    peer.open_session();
    assert_eq!(peer.echo(&name), "one");
    client.end_input();
    peer.expect("!exit");
    peer.close();
    let output = client.finish();
    assert_eq!(output.stdout, "carol: one\n");
    assert!(output.stderr.contains("connected again, as a newcomer"));
}

/// After a break, a bare name may be held for a while by the connection that broke: it is tried again.
#[test]
fn a_name_held_by_the_broken_connection_is_waited_for() {
    let server = FakeServer::start();
    let mut client = Client::start(&server.address(), &[]);
    let mut peer = server.accept();
    peer.send("--- welcome to gotcp: your first line is your name\n");
    peer.expect("carol");
    peer.send("--- you are carol; 1 online; !help lists the commands\n");
    assert_eq!(peer.raw_line(), "!session");
    peer.close();
    let mut peer = server.accept();
    peer.send("--- welcome to gotcp: your first line is your name\n");
    peer.expect("carol");
    peer.send("--- error: the name carol is taken\n");
    peer.expect_end();
    let (mut peer, _) = server.welcome();
    client.end_input();
    peer.expect("!exit");
    peer.close();
    let output = client.finish();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.contains("the name carol is taken; trying again"), "{output:?}");
}

/// With `--no-reconnect` a break is the end.
#[test]
fn no_reconnect_ends_with_the_connection() {
    let server = FakeServer::start();
    let mut client = Client::start(&server.address(), &["--no-reconnect"]);
    let (peer, _) = server.welcome();
    peer.close();
    let output = client.wait();
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stderr.ends_with("(closed by the server)\n"), "{output:?}");
}

/// Where nobody listens, where the server is full, and where a name will not do, one line says so.
#[test]
fn a_failed_start_is_one_line() {
    let address = FakeServer::start().address();
    let output = Client::start(&address, &[]).finish();
    assert_eq!(output.status.code(), Some(1));
    let expected = format!("gotcp: cannot connect to {address}: connection refused; is a server running there?\n");
    assert_eq!(output.stderr, expected);

    let server = FakeServer::start();
    let mut client = Client::start(&server.address(), &[]);
    let mut peer = server.accept();
    peer.send("--- error: the server is full (9 connections); try again later\n");
    peer.expect("carol");
    peer.close();
    let output = client.finish();
    assert_eq!(output.status.code(), Some(1));
    let expected = format!("gotcp: {}: the server is full (9 connections); try again later\n", server.address());
    assert_eq!(output.stderr, expected);

    let output = Client::with(&["--username", "a b"]).finish();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(output.stderr, "gotcp: --username: it has a space in it\n");
}

/// A pipe faster than the room waits for it, in bounded memory, and everything arrives in order.
#[test]
fn a_fast_pipe_waits_for_the_room() {
    let server = FakeServer::start();
    let mut client = Client::start(&server.address(), &[]);
    let (mut peer, name) = server.welcome();
    let mut input = client.0.stdin.take().unwrap();
    let mut output = client.0.stdout.take().unwrap();
    let reader = std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
    let lines: Vec<_> = (0..20_000).map(|n| format!("{n} {}", "x".repeat(90))).collect();
    let all = lines.join("\n");
    let total = all.len();
    let typist = std::thread::spawn(move || input.write_all(all.as_bytes()));
    std::thread::sleep(Duration::from_millis(300));
    assert!(!typist.is_finished(), "{total} bytes are taken at once");
    let heard: Vec<_> = lines.iter().map(|_| peer.echo(&name)).collect();
    peer.expect("!exit");
    let position = peer.position;
    peer.close();
    typist.join().unwrap().unwrap();
    client.finish();
    assert_eq!(heard.len(), lines.len());
    assert_eq!(heard, lines);
    assert_eq!(reader.join().unwrap().unwrap(), position as u64);
}

/// The original's server greets nobody: one talks all the same, and leaves by closing one's side. As long as it has said
/// nothing, nothing that could be a name is sent as it is.
#[test]
fn talks_with_the_original_server() {
    let server = FakeServer::start();
    let mut client = Client::start(&server.address(), &[]);
    client.write("hello\n!who\n");
    let mut peer = server.accept();
    assert_eq!(peer.line(), "carol");
    assert_eq!(peer.echo("carol"), "hello\u{a0}");
    assert_eq!(peer.echo("carol"), "!who");
    peer.send("bob: hi\n");
    let before = client.read_to("bob: hi\n");
    client.write("hello\n");
    assert_eq!(peer.echo("carol"), "hello");
    client.end_input();
    peer.expect_end();
    peer.close();
    let output = client.finish();
    assert_eq!(before + &output.stdout, "carol: hello\u{a0}\ncarol: !who\nbob: hi\ncarol: hello\n");
    assert_eq!((output.stderr.as_str(), output.status.code()), ("", Some(0)));
}

/// A server that is slow to greet never takes a message for a name.
#[test]
fn messages_never_become_names() {
    for delay in [2, 7] {
        let server = FakeServer::start();
        let mut client = Client::start(&server.address(), &[]);
        client.write("secretword\n");
        let mut peer = server.accept();
        peer.expect("carol");
        std::thread::sleep(Duration::from_secs(delay));
        peer.send("--- welcome to gotcp: your first line is your name\n--- error: the name carol is taken\n");
        if delay > 5 {
            peer.expect("secretword\u{a0}");
        }
        peer.expect_end();
        let output = client.finish();
        assert_eq!(output.stderr, "gotcp: the name carol is taken\n");
        assert_eq!(output.status.code(), Some(1));
    }
}

/// Where the server does not say that it has heard the last lines, they are not taken for heard, be it one of ours that
/// has stopped or one that nobody knows. Where it never says anything, that is said.
#[test]
fn silence_is_no_confirmation() {
    let joined = std::thread::spawn(|| {
        let server = FakeServer::start();
        let mut client = Client::start(&server.address(), &[]);
        let (mut peer, _) = server.welcome();
        client.write("one\ntwo\n");
        client.end_input();
        while peer.raw_line() != "two" {}
        let output = client.finish();
        assert!(output.stderr.ends_with("\ngotcp: 2 lines were not confirmed\n"), "{output:?}");
        assert_eq!(output.status.code(), Some(1));
    });
    let silent = ["", "one\n"].map(|input| {
        std::thread::spawn(move || {
            let server = FakeServer::start();
            let mut client = Client::start(&server.address(), &[]);
            client.write(input);
            client.end_input();
            let _peer = server.accept();
            let output = client.finish();
            let no_answer = format!("gotcp: {}: no answer\n", server.address());
            let expected = if input.is_empty() { &no_answer } else { "gotcp: 1 line was not confirmed\n" };
            assert_eq!((output.stderr.as_str(), output.status.code()), (expected, Some(1)));
        })
    });
    for test in [joined].into_iter().chain(silent) {
        test.join().unwrap();
    }
}

/// A server that is no chat at all is not one to come back to: one line says what it said, made harmless.
#[test]
fn strangers_are_told_apart() {
    for (said, shown, why) in [
        ("HTTP/1.1 400 Bad \x1bRequest\r\n\r\n", "\n", "HTTP/1.1 400 Bad \u{fffd}Request"),
        ("SSH-2.0-OpenSSH_10\r\nInvalid SSH identification string.\r\n", "", "SSH-2.0-OpenSSH_10"),
        ("220 mail ready\n", "220 mail ready\n", "220 mail ready"),
    ] {
        let server = FakeServer::start();
        let mut client = Client::start(&server.address(), &[]);
        client.write("hi\n");
        let mut peer = server.accept();
        peer.expect("carol");
        peer.send(said);
        peer.close();
        let output = client.finish();
        let expected = format!("gotcp: {}: not a gotcp server (it says: {why})\n", server.address());
        assert_eq!((output.stderr, output.status.code()), (expected, Some(1)));
        assert!(output.stdout.starts_with(shown), "{:?}", output.stdout);
    }
    let server = FakeServer::start();
    let mut client = Client::start(&server.address(), &[]);
    server.accept().close();
    let output = client.wait();
    let expected = format!("gotcp: {}: closed by the server\n", server.address());
    assert_eq!((output.stderr, output.status.code()), (expected, Some(1)));
}

/// What cannot be done is said, and is an error in the end; what came of the connection and was mended is none.
#[test]
fn failed_commands_are_errors() {
    for (error, code) in [
        ("nobody here is called nobody", 1),
        ("a line longer than 65536 bytes was dropped", 1),
        ("you read too slowly", 0),
    ] {
        let server = FakeServer::start();
        let mut client = Client::start(&server.address(), &[]);
        let (mut peer, name) = server.welcome();
        client.write("!msg nobody hi\nlast\n");
        peer.expect("!msg nobody hi");
        peer.send(&format!("--- error: {error}\n"));
        client.end_input();
        assert_eq!(peer.echo(&name), "last");
        peer.expect("!exit");
        peer.close();
        let output = client.finish();
        assert!(output.stderr.ends_with(&format!("\n--- error: {error}\n")), "{output:?}");
        assert_eq!((output.stdout.as_str(), output.status.code()), ("carol: last\n", Some(code)));
    }
}

/// Where both outputs go to the same place, everything stands there in the order in which it came.
#[test]
fn outputs_in_one_place_keep_their_order() {
    let server = FakeServer::start();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut client = Client::with_output(
        &["--username", "carol", "--no-tag", "--server", &server.address()],
        (writer.try_clone().unwrap().into(), writer.into()),
    );
    let (mut peer, _) = server.welcome();
    let lines = "bob: 1\n--- 2\nbob: 3\nbob: 4\n--- 5\n--- 6\nbob: 7\n";
    peer.send(lines);
    client.end_input();
    peer.expect("!exit");
    peer.close();
    client.finish();
    let mut shown = String::new();
    reader.read_to_string(&mut shown).unwrap();
    assert_eq!(shown, format!("--- you are carol; 1 online; !help lists the commands\n{lines}"));
}

/// Whoever resumes the session elsewhere is not fought.
#[test]
fn a_session_resumed_elsewhere_ends_the_client() {
    let server = FakeServer::start();
    let mut client = Client::start(&server.address(), &[]);
    let (mut peer, _) = server.welcome();
    peer.send("--- error: resumed elsewhere\n");
    peer.close();
    let output = client.wait();
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stderr.ends_with("this session was resumed elsewhere\n"), "{output:?}");
}

/// Without a name on the command line, the user joins under the one that the machine knows; without any, the client says
/// what to do.
#[test]
fn the_login_name_is_the_name() {
    let server = FakeServer::start();
    let start = |user: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gotcp"));
        command.args(["client", "--no-tag", "--server", &server.address()]).env("XDG_STATE_HOME", NOWHERE);
        command.env_remove("GOTCP_USERNAME").env_remove("LOGNAME").env_remove("USERNAME").env("USER", user);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut client = Client(command.spawn().unwrap());
        client.write("hi\n");
        client.end_input();
        client
    };
    let mut client = start("dave");
    let (mut peer, name) = server.welcome();
    assert_eq!((name.as_str(), peer.echo("dave").as_str()), ("dave", "hi"));
    peer.expect("!exit");
    peer.close();
    assert_eq!(client.finish().status.code(), Some(0));
    for user in ["", "a b"] {
        let output = start(user).wait();
        assert_eq!(output.stderr, "gotcp: there is no name to join under; --username NAME says one\n");
        assert_eq!(output.status.code(), Some(1));
    }
}

/// A pipe prints what is said from now on; what was said before only where it is asked for.
#[test]
fn a_pipe_begins_now() {
    let server = Server::start("");
    let mut bob = server.join("bob");
    bob.say("before");
    bob.skip_to("bob: before");
    let run = |args: &[&str]| {
        let mut client = Client::start(&server.address.to_string(), args);
        client.write("hi\n");
        client.finish()
    };
    let output = run(&[]);
    assert_eq!(output.stdout, "*** carol joined\ncarol: hi\n*** carol left\n");
    assert_eq!(output.stderr, "--- you are carol; 2 online; !help lists the commands\n");
    let output = run(&["--history"]);
    assert!(output.stdout.starts_with("*** bob joined\nbob: before\n"), "{output:?}");
    assert!(output.stderr.starts_with("--- the last 5 lines before you came:\n"), "{output:?}");
}

/// A signal ends the client as signals do, after it has said `!exit`.
#[test]
fn a_signal_ends_in_order() {
    let server = FakeServer::start();
    let mut client = Client::start(&server.address(), &[]);
    let (mut peer, name) = server.welcome();
    client.write("one\n");
    assert_eq!(peer.echo(&name), "one");
    kill(Pid::from_raw(client.0.id().cast_signed()), Signal::SIGTERM).unwrap();
    peer.expect("!exit");
    peer.close();
    let status = client.finish().status;
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(Signal::SIGTERM as i32));
}

/// `--probe` says by its exit code alone whether a server of ours greets, and joins nothing.
#[test]
fn a_probe_says_nothing() {
    let server = FakeServer::start();
    let mut client = Client::start(&server.address(), &["--probe"]);
    let mut peer = server.accept();
    peer.send("--- welcome to gotcp: your first line is your name\n");
    peer.expect_end();
    let output = client.finish();
    assert_eq!((output.status.code(), output.stdout + &output.stderr), (Some(0), String::new()));

    let mut client = Client::start(&server.address(), &["--probe"]);
    server.accept().send("HTTP/1.1 400 Bad Request, and no greeting of any kind at all\n");
    assert_eq!(client.finish().status.code(), Some(1));
    let mut silent = Client::start(&server.address(), &["--probe"]);
    let _peer = server.accept();
    assert_eq!(silent.finish().status.code(), Some(1));
    let address = FakeServer::start().address();
    let output = Client::start(&address, &["--probe"]).finish();
    assert_eq!((output.status.code(), output.stderr), (Some(1), String::new()));
}
