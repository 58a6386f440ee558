//! The bots of PROTOCOL.md, as they stand there.

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::support::address::free_address;
use crate::support::server::Server;
use crate::support::skip::skipped;

/// A bot that runs, and does not outlive its test.
struct Bot(Child);

impl Bot {
    /// Starts the bot that joins as `name`, with only the address changed. `None` if there is no Python.
    fn start(name: &str, server: SocketAddr) -> Option<Bot> {
        let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/PROTOCOL.md")).unwrap();
        let mut blocks = text.split("```python\n").skip(1).map(|block| block.split("```").next().unwrap());
        let source = blocks.find(|source| source.contains(name)).expect("the bot is in the document");
        let source = source.replace("7777", &server.port().to_string());
        let child = Command::new("python3").args(["-c", &source]).stdin(Stdio::null()).spawn();
        if child.is_err() {
            skipped("tests/server/bots.rs: there is no python3");
        }
        child.ok().map(Bot)
    }
}

impl Drop for Bot {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The simple bot skips what was said before it came, and answers once.
#[test]
fn the_simple_bot_answers() {
    let server = Server::start("");
    let mut alice = server.join("alice");
    alice.say("ping");
    alice.skip_to("alice: ping");
    let Some(_bot) = Bot::start("pingbot", server.address) else { return };
    alice.skip_to("*** pingbot joined");
    alice.say("hello");
    alice.say("ping");
    alice.expect_all(["alice: hello", "alice: ping", "pingbot: pong, alice"]);
    alice.say("!msg pingbot ping");
    alice.expect("--- [you to pingbot] ping");
    alice.say("bye");
    alice.expect("alice: bye");
}

/// The other bot comes back to a server that was killed and started anew, and answers what was said meanwhile, once.
#[test]
fn the_other_bot_resumes() {
    let (folder, address) = (TempDir::new().unwrap(), free_address());
    let options = format!("--log {}", folder.path().join("room.db").display());
    let serve = || Server::start_on(&address.to_string(), &options);
    let mut server = serve();
    let mut alice = server.join("alice");
    let Some(_bot) = Bot::start("pongbot", address) else { return };
    alice.skip_to("*** pongbot joined");
    // Once it has answered, it has a session.
    alice.say("ping");
    alice.skip_to("pongbot: pong, alice");
    let mut pings = 1;
    for round in 0..5 {
        for _ in 0..3 {
            alice.say("ping");
        }
        pings += 3;
        if round < 4 {
            (0..3).for_each(|_| drop(alice.skip_to("alice: ping")));
            server.signal(Signal::SIGKILL);
            server.wait();
            server = serve();
            alice = server.join(&format!("alice{round}"));
            alice.say("!nick alice");
            alice.skip_to(&format!("*** alice{round} is now alice"));
        }
    }
    let printed = || {
        let output = crate::support::server::gotcp(["log", folder.path().join("room.db").to_str().unwrap()]).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    let answers = || printed().matches("pongbot: pong, alice").count();
    crate::support::peer::retry(|| (answers() >= pings).then_some(()));
    alice.say("the end");
    alice.skip_to("alice: the end");
    assert_eq!((answers(), printed().matches("*** pongbot").count()), (pings, 1));
}
