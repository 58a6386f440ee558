//! Connections of browsers in a turn of the loop: what depends on the time.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use crate::support::pipe::{Pipe, Wire};
use crate::support::websocket::{BINARY, CLOSE, FINAL, frame, upgrade};
use gotcp::lobby::Lobby;
use gotcp::lobby::access::AccessLimits;
use gotcp::lobby::limits::Limits;
use gotcp::lobby::rate_limit::Rate;
use gotcp::lobby::secret::Keys;
use gotcp::server::reactor::{HEARTBEAT, Reactor, SILENCE};
use gotcp::server::transport::web::Web;
use gotcp::server::transport::web::http::Policy;
use mio::Token;

const WELCOME: &[u8] = b"--- welcome to gotcp: your first line is your name\n";
const PING: &[u8] = &[0x89, 0];

struct World {
    reactor: Reactor<Web<Wire>>,
    policy: Rc<Policy>,
    now: Duration,
}

impl World {
    fn new() -> World {
        let seconds = Duration::from_secs;
        let limits = Limits {
            scrollback: 1 << 20,
            max_line: 1024,
            history: 0,
            rate: Rate::new(0, 1),
            login_timeout: seconds(1000),
            stall_timeout: seconds(1000),
            grace: seconds(0),
            reserve: seconds(0),
            access: AccessLimits { clients: 10, per_place: 10, count_loopback: false },
            keys: Keys::default(),
        };
        let lobby = Lobby::new(limits, Box::new(|| 1)).expect("memory");
        let reactor = Reactor::new(lobby, 1024, Duration::ZERO, seconds(10));
        World { reactor, policy: Rc::new(Policy { hosts: Vec::new(), is_tls_required: false }), now: seconds(1000) }
    }

    fn connect(&mut self) -> (Rc<RefCell<Pipe>>, Token) {
        let pipe = Pipe { window: 1 << 20, grain: 1 << 20, ..Pipe::default() };
        let wrap = |wire| Web::new(wire, Some(&self.policy));
        let (token, pipe) = pipe.connect(&mut self.reactor, self.now, wrap);
        self.reactor.note(token, true, true);
        (pipe, token)
    }

    /// Time passes, and nothing arrives: the turns are those that the reactor asks for.
    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        for _ in 0..1000 {
            self.reactor.turn(self.now, self.now);
            match self.reactor.wake_at(self.now) {
                Some(at) if at <= end => self.now = self.now.max(at),
                _ => {
                    self.now = end;
                    return;
                }
            }
        }
        panic!("the reactor never rests");
    }
}

fn taken(pipe: &Rc<RefCell<Pipe>>) -> Vec<u8> {
    std::mem::take(&mut pipe.borrow_mut().from_server)
}

/// Whoever has said that nothing more comes from them, and reads slowly, is sent whole frames and a close all the same,
/// wherever in a frame their socket takes no more.
#[test]
fn whoever_has_ended_is_sent_the_rest() {
    for window in 1..1200 {
        let mut world = World::new();
        let (web, token) = world.connect();
        web.borrow_mut().to_server.extend(upgrade("localhost").bytes());
        world.wait(Duration::ZERO);
        taken(&web);
        web.borrow_mut().window = window;
        let said = format!("carol\n{}\n", "x".repeat(1000));
        let close = frame(FINAL | CLOSE, &1001_u16.to_be_bytes());
        web.borrow_mut().to_server.extend([frame(FINAL | BINARY, said.as_bytes()), close].concat());
        web.borrow_mut().ended = true;
        world.reactor.note(token, true, false);
        world.wait(Duration::ZERO);
        web.borrow_mut().window = 1 << 20;
        world.reactor.note(token, false, true);
        world.wait(Duration::ZERO);
        let sent = taken(&web);
        assert!(sent.ends_with(&[0x88, 2, 0x03, 0xe8]), "after {window} bytes: {} bytes", sent.len());
        assert!(sent.windows(12).any(|bytes| bytes == b"*** carol le"), "{}", String::from_utf8_lossy(&sent));
        assert!(web.borrow().finished);
    }
}

/// Whoever says nothing is greeted after a moment; whoever speaks WebSocket at once, and then shows every 45 s that it is
/// alive, to whoever is between. Plain connections never do.
#[test]
fn browsers_show_that_they_are_alive() {
    let mut world = World::new();
    let (plain, _) = world.connect();
    let (web, _) = world.connect();
    web.borrow_mut().to_server.extend(upgrade("localhost").bytes());
    world.wait(Duration::ZERO);
    assert!(taken(&plain).is_empty());
    let greeted = taken(&web);
    assert!(greeted.starts_with(b"HTTP/1.1 101 ") && greeted.ends_with(&[&[0x82, 51], WELCOME].concat()));
    world.wait(SILENCE);
    assert_eq!(taken(&plain), WELCOME);
    for _ in 0..3 {
        world.wait(HEARTBEAT);
        assert_eq!(taken(&web), PING);
    }
    // If it takes nothing, there is nothing to keep alive, and nothing piles up.
    web.borrow_mut().window = 0;
    world.wait(10 * HEARTBEAT);
    web.borrow_mut().window = 1 << 20;
    world.wait(HEARTBEAT);
    assert!(taken(&web).len() <= 2 * PING.len());
    assert!(taken(&plain).is_empty());
}
