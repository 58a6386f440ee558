//! The built server as a process of its own.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::peer::{PATIENCE, Peer};

/// A running server, which is ended when the test is over.
pub struct Server {
    child: Child,
    console: Receiver<String>,
    /// Whether the test has asked how it ended.
    awaited: bool,
    /// Where it listens.
    pub address: SocketAddr,
}

/// The program, with these arguments.
pub fn gotcp<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gotcp"));
    command.args(args).stdin(Stdio::null()).env("XDG_STATE_HOME", super::NOWHERE);
    for name in ["GOTCP_LISTEN", "GOTCP_LOG", "GOTCP_SERVER", "GOTCP_USERNAME", "NATS_CREDS"] {
        command.env_remove(name);
    }
    command
}

impl Server {
    /// Starts a server on a free port, with these options, separated by spaces.
    #[track_caller]
    pub fn start(options: &str) -> Server {
        Server::start_on("127.0.0.1:0", options)
    }

    /// Starts a server on an address, with these options, separated by spaces.
    #[track_caller]
    pub fn start_on(address: &str, options: &str) -> Server {
        let mut server = Server::spawn(address, options);
        let line = server.expect_console("[O] listening on ");
        server.address = line["[O] listening on ".len()..].parse().expect("an address");
        server
    }

    /// Starts a server that shares its room with others, on an address.
    #[track_caller]
    pub fn start_shared(address: &str, options: &str) -> Server {
        let mut server = Server::spawn(address, options);
        server.expect_console("[O] the room is nats://");
        let line = server.expect_console("[O] listening on ");
        server.address = line["[O] listening on ".len()..].parse().expect("an address");
        server
    }

    fn spawn(address: &str, options: &str) -> Server {
        let args = ["server", "--listen", address].into_iter().chain(options.split_whitespace());
        let mut child = gotcp(args).stdout(Stdio::piped()).spawn().expect("the program starts");
        let console = console_of(child.stdout.take().expect("it is piped"));
        Server { child, console, awaited: false, address: ([127, 0, 0, 1], 0).into() }
    }

    /// Watches over a server that was started in another way and listens on `address`.
    pub fn watch(child: Child, address: SocketAddr) -> Server {
        let started = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(started.elapsed() < PATIENCE, "nobody listens on {address}");
            thread::sleep(std::time::Duration::from_millis(10));
        }
        Server { child, console: channel().1, awaited: false, address }
    }

    /// Connects and joins.
    #[track_caller]
    pub fn join(&self, name: &str) -> Peer {
        Peer::join(self.address, name)
    }

    /// Connects.
    #[track_caller]
    pub fn connect(&self) -> Peer {
        Peer::connect(self.address)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("it runs");
    }

    /// The next line on its console.
    #[track_caller]
    pub fn console_line(&mut self) -> String {
        self.console.recv_timeout(PATIENCE).expect("the console says something")
    }

    /// The next line on its console, which has to start like this.
    #[track_caller]
    pub fn expect_console(&mut self, start: &str) -> String {
        let line = self.console_line();
        assert!(line.starts_with(start), "the console says {line:?}, not {start:?}");
        line
    }

    /// The next line on its console that contains this.
    #[track_caller]
    pub fn find_on_console(&mut self, part: &str) -> String {
        let mut others = Vec::new();
        loop {
            match self.console.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(part) => return line,
                Ok(line) => others.push(line),
                Err(error) => panic!("{error}: the console never said {part:?}, but {others:?}"),
            }
        }
    }

    /// Waits for it to end; returns its exit status, and what was left on the console.
    #[track_caller]
    pub fn wait(mut self) -> (ExitStatus, Vec<String>) {
        let status = self.wait_for_end();
        let mut lines = Vec::new();
        loop {
            match self.console.recv_timeout(PATIENCE) {
                Ok(line) => lines.push(line),
                Err(RecvTimeoutError::Disconnected) => return (status, lines),
                Err(RecvTimeoutError::Timeout) => panic!("somebody keeps the console open"),
            }
        }
    }

    /// Asks it to stop, waits, and returns what was left on the console.
    #[track_caller]
    pub fn stop(self) -> Vec<String> {
        self.signal(Signal::SIGTERM);
        let (status, console) = self.wait();
        assert_eq!(status.code(), Some(0), "{console:?}");
        console
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it can be waited for").is_none()
    }

    #[track_caller]
    fn wait_for_end(&mut self) -> ExitStatus {
        self.awaited = true;
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                return status;
            }
            assert!(started.elapsed() < PATIENCE, "the server does not end");
            thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let has_died = !self.awaited && !self.is_running();
        assert!(!has_died || thread::panicking(), "the server has died: {:?}", self.child.wait());
        // Both fail only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of a server's console in a pipe, without the time that each begins with.
fn console_of(output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    let lines = lines_of(output);
    thread::spawn(move || {
        for line in lines {
            let (time, line) = line.split_once(' ').expect("a time and more");
            assert!(time.len() == 20 && time.ends_with('Z'), "{time:?} is no time");
            let _ = sender.send(line.to_owned());
        }
    });
    receiver
}

/// The lines of some output, as they come.
pub fn lines_of(output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines() {
            let Ok(line) = line else { return };
            // Where the test is over nobody listens any more, but the pipe has to be kept empty all the same.
            let _ = sender.send(line);
        }
    });
    receiver
}
