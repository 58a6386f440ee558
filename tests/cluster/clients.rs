//! Clients that talk while servers and engines die: every line typed is shown once, in one order, to all.

use std::fs::{self, File};
use std::io::Write;
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::support::address::free_address;
use crate::support::nats::Engine;
use crate::support::server::{Server, gotcp};

/// How long everything may take to come to rest in the end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Servers on fixed addresses that share a room.
struct Room {
    log: String,
    addresses: Vec<SocketAddr>,
    servers: Vec<Option<Server>>,
}

impl Room {
    fn start(engines: &[&Engine], count: usize) -> Room {
        let hosts: Vec<String> = engines.iter().map(|engine| engine.address().to_string()).collect();
        let addresses = (0..count).map(|_| free_address()).collect();
        let servers = (0..count).map(|_| None).collect();
        let mut room = Room { log: format!("--grace 60s --log nats://{}/lab", hosts.join(",")), addresses, servers };
        (0..count).for_each(|at| room.serve(at));
        room
    }

    fn serve(&mut self, at: usize) {
        self.servers[at] = Some(Server::start_shared(&self.addresses[at].to_string(), &self.log));
    }

    fn kill(&mut self, at: usize) {
        if let Some(server) = self.servers[at].take() {
            server.signal(Signal::SIGKILL);
            server.wait();
        }
    }

    /// The servers, as a client is told of them, from one on.
    fn list(&self, from: usize) -> String {
        let count = self.addresses.len();
        let addresses: Vec<String> = (0..count).map(|at| self.addresses[(from + at) % count].to_string()).collect();
        addresses.join(",")
    }
}

/// A client in a pipe.
struct Talker {
    child: Child,
    stdin: Option<ChildStdin>,
    name: String,
    folder: TempDir,
}

impl Talker {
    fn start(room: &Room, number: usize) -> Talker {
        let folder = TempDir::new().expect("a folder");
        let name = format!("t{number}");
        let output = File::create(folder.path().join("output")).expect("a file");
        let list = room.list(number);
        let args = ["client", "--server", &list, "--username", &name, "--no-tag", "--history"];
        let mut command = gotcp(args);
        command.stdin(Stdio::piped()).stdout(output).stderr(Stdio::null()).env("XDG_STATE_HOME", folder.path());
        let mut child = command.spawn().expect("the program starts");
        let stdin = child.stdin.take();
        Talker { child, stdin, name, folder }
    }

    fn say(&mut self, line: usize) {
        let stdin = self.stdin.as_mut().expect("it is open");
        writeln!(stdin, "<{line}>").expect("the client reads");
    }

    /// What it has shown of what everybody said.
    fn shown(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.path().join("output")).expect("a file");
        text.lines().filter(|line| line.contains(": <")).map(ToOwned::to_owned).collect()
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lets some clients talk while things go wrong, a step for each line that each says; then everybody has to have read the
/// same, every line once.
fn talk(room: &mut Room, lines: usize, mut go_wrong: impl FnMut(&mut Room, usize)) {
    let mut talkers: Vec<Talker> = (0..4).map(|number| Talker::start(room, number)).collect();
    for line in 0..lines {
        go_wrong(room, line);
        for talker in &mut talkers {
            talker.say(line);
        }
        thread::sleep(Duration::from_millis(50));
    }
    let started = Instant::now();
    loop {
        let shown: Vec<usize> = talkers.iter().map(|talker| talker.shown().len()).collect();
        if shown.iter().all(|&count| count >= talkers.len() * lines) {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "not everything was shown: {shown:?} of {}", talkers.len() * lines);
        thread::sleep(Duration::from_millis(50));
    }
    let said = talkers[0].shown();
    for talker in &talkers {
        let shown = talker.shown();
        let differs = shown.iter().zip(&said).position(|(one, other)| one != other);
        assert!(
            differs.is_none() && shown.len() == said.len(),
            "{} has read {} lines, not {}; they differ at {differs:?}",
            talker.name,
            shown.len(),
            said.len()
        );
        let start = format!("{}: <", talker.name);
        let mine: Vec<&str> = said.iter().filter_map(|line| line.strip_prefix(&start)?.strip_suffix('>')).collect();
        let all: Vec<String> = (0..lines).map(|line| line.to_string()).collect();
        assert_eq!(mine, all, "{}: every line once, in the order in which it was typed", talker.name);
    }
}

/// Servers are killed at random and started again while people talk.
#[test]
fn servers_die_while_people_talk() {
    let Some(engine) = Engine::start() else { return };
    let mut room = Room::start(&[&engine], 3);
    let mut rng = Rng::new();
    talk(&mut room, 300, |room, line| {
        if line % 40 == 20 {
            room.kill(rng.usize(0..3));
        } else if line % 40 == 39 {
            for at in 0..3 {
                if room.servers[at].is_none() {
                    room.serve(at);
                }
            }
        }
    });
}

/// Of three engines that keep a room, one at a time is killed or stopped, the one that speaks for all among them.
#[test]
fn engines_die_while_people_talk() {
    let Some(mut engines) = Engine::start_cluster(3) else { return };
    let mut room = Room::start(&engines.iter().collect::<Vec<_>>(), 2);
    talk(&mut room, 600, |_, line| match line % 200 {
        20 => engines[line / 200].kill(),
        80 => engines[line / 200].restart(),
        140 => engines[line / 200].signal(Signal::SIGSTOP),
        180 => engines[line / 200].signal(Signal::SIGCONT),
        _ => {}
    });
}
