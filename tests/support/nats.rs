//! Engines: NATS servers with JetStream, as processes of their own.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::peer::PATIENCE;
use super::server::{Server, free_address};
use super::skip::skipped;

/// One engine. It is ended when the test is over.
pub struct Engine {
    folder: TempDir,
    args: Vec<String>,
    address: SocketAddr,
    /// Where it tells how it is doing.
    monitor: SocketAddr,
    child: Option<Child>,
}

impl Engine {
    /// Starts an engine; `None`, and that is said, where there is no nats-server.
    pub fn start() -> Option<Engine> {
        let folder = TempDir::new().expect("a folder");
        let config = "jetstream { max_mem: 64MB, max_file: 1GB }\n";
        Engine::configured(folder, config, free_address())
    }

    /// Starts engines that are one cluster.
    pub fn start_cluster(count: usize) -> Option<Vec<Engine>> {
        let routes: Vec<SocketAddr> = (0..count).map(|_| free_address()).collect();
        let others: Vec<String> = routes.iter().map(|address| format!("\"nats://{address}\"")).collect();
        let engines = routes.iter().enumerate().map(|(number, route)| {
            let config = format!(
                "server_name: n{number}\njetstream {{ max_mem: 64MB, max_file: 1GB }}\n\
                 cluster {{ name: lab, listen: \"{route}\", routes: [{}] }}\n",
                others.join(", ")
            );
            Engine::configured(TempDir::new().expect("a folder"), &config, free_address())
        });
        engines.collect()
    }

    /// Starts an engine with this in its configuration.
    pub fn configured(folder: TempDir, config: &str, address: SocketAddr) -> Option<Engine> {
        let file = folder.path().join("nats.conf");
        let monitor = free_address();
        fs::write(&file, format!("listen: \"{address}\"\nhttp: \"{monitor}\"\n{config}")).expect("a file");
        let store = folder.path().join("store");
        let args = ["-c", &file.display().to_string(), "-sd", &store.display().to_string()].map(ToOwned::to_owned);
        let mut engine = Engine { folder, args: args.into(), address, monitor, child: None };
        engine.run().then_some(engine)
    }

    /// Starts it again, with what it has kept.
    pub fn restart(&mut self) {
        assert!(self.run(), "it was there before");
    }

    fn run(&mut self) -> bool {
        let log = fs::File::options().create(true).append(true).open(self.folder.path().join("log")).expect("a file");
        let command =
            Command::new(program()).args(&self.args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        let Ok(child) = command else {
            skipped("several servers share no room here: there is no nats-server");
            return false;
        };
        self.child = Some(child);
        let started = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            assert!(started.elapsed() < PATIENCE, "no engine listens on {}: {}", self.address, self.log());
            thread::sleep(Duration::from_millis(10));
        }
        true
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        kill(Pid::from_raw(child.id().cast_signed()), signal).expect("it runs");
    }

    /// Kills it, without a word to anyone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Both fail only where it has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts a server that has its room here.
    #[track_caller]
    pub fn serve(&self, options: &str) -> Server {
        Server::start_shared("127.0.0.1:0", &format!("--log nats://{}/lab {options}", self.address))
    }

    /// A copy of what it has kept.
    pub fn copy_of_store(&self) -> TempDir {
        let copy = TempDir::new().expect("a folder");
        copy_folder(&self.folder.path().join("store"), copy.path());
        copy
    }

    /// Replaces what it has kept by something else, or nothing.
    pub fn replace_store(&self, copy: Option<TempDir>) {
        let store = self.folder.path().join("store");
        fs::remove_dir_all(&store).expect("a folder");
        if let Some(copy) = copy {
            copy_folder(copy.path(), &store);
        }
    }

    /// Puts a message into it.
    pub fn publish(&self, subject: &str, message: &[u8]) {
        let mut socket = TcpStream::connect(self.address).expect("it listens");
        let head = format!("CONNECT {{\"verbose\":false}}\r\nPUB {subject} {}\r\n", message.len());
        let all = [head.as_bytes(), message, b"\r\nPING\r\n"].concat();
        socket.write_all(&all).expect("it listens");
        let mut answers = BufReader::new(socket).lines().map_while(Result::ok);
        assert!(answers.any(|line| line == "PONG"), "it has taken the message");
    }

    /// The sequence of the first message that the stream of the room still has.
    pub fn first_sequence(&self) -> u64 {
        let mut socket = TcpStream::connect(self.monitor).expect("it tells");
        socket.write_all(b"GET /jsz?streams=true HTTP/1.0\r\n\r\n").expect("it listens");
        let mut text = String::new();
        socket.read_to_string(&mut text).expect("it answers");
        let stream = text.split("\"gotcp-lab\"").nth(1).expect("there is a stream");
        let number = stream.split("\"first_seq\": ").nth(1).expect("it has a first message");
        number.split(',').next().and_then(|number| number.parse().ok()).expect("a number")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.kill();
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("a file");
        }
    }
}

/// The program: the one that `GOTCP_NATS_SERVER` names, or any.
fn program() -> PathBuf {
    let named = env::var_os("GOTCP_NATS_SERVER").filter(|name| !name.is_empty());
    named.map_or_else(|| "nats-server".into(), PathBuf::from)
}
