//! When lines go out: at once, or with others.

use std::cell::RefCell;
use std::convert::identity;
use std::rc::Rc;
use std::time::Duration;

use crate::support::pipe::{Pipe, Wire};
use gotcp::lobby::Lobby;
use gotcp::lobby::access::AccessLimits;
use gotcp::lobby::limits::Limits;
use gotcp::lobby::rate_limit::Rate;
use gotcp::lobby::secret::Keys;
use gotcp::server::reactor::Reactor;
use mio::Token;

/// So many that the pause after a wave is 8 ms.
const PEOPLE: usize = 200;
const PAUSE: Duration = Duration::from_millis(8);
const GATHER: Duration = Duration::from_millis(20);

struct World {
    reactor: Reactor<Wire>,
    people: Vec<(Token, Rc<RefCell<Pipe>>)>,
    now: Duration,
}

impl World {
    /// Everybody is there, and it has been quiet for a while.
    fn new(gather: Duration) -> World {
        let hour = Duration::from_secs(3600);
        let limits = Limits {
            scrollback: 8 << 20,
            max_line: 1 << 17,
            history: 0,
            rate: Rate::new(0, 1),
            login_timeout: hour,
            stall_timeout: hour,
            grace: hour,
            reserve: hour,
            access: AccessLimits { clients: PEOPLE, per_place: PEOPLE, count_loopback: false },
            keys: Keys::default(),
        };
        let lobby = Lobby::new(limits, Box::new(|| 1)).expect("memory");
        let reactor = Reactor::new(lobby, 1 << 20, gather, hour);
        let mut world = World { reactor, people: Vec::new(), now: hour };
        for number in 0..PEOPLE {
            let pipe = Pipe { window: usize::MAX, grain: usize::MAX, ..Pipe::default() };
            world.people.push(pipe.connect(&mut world.reactor, world.now, identity));
            world.type_line(number, &format!("p{number}"));
        }
        for _ in 0..3 {
            world.turn(Duration::ZERO);
            world.now += Duration::from_secs(1);
        }
        world
    }

    /// The same, and a line has just been said.
    fn in_a_pause() -> World {
        let mut world = World::new(GATHER);
        world.type_line(0, "one");
        world.turn(Duration::ZERO);
        world
    }

    fn type_line(&mut self, person: usize, line: &str) {
        let (token, pipe) = &self.people[person];
        pipe.borrow_mut().to_server.extend(line.bytes().chain([b'\n']));
        self.reactor.note(*token, true, false);
    }

    /// A turn that takes so long. Returns in what time the next one begins if nothing happens.
    fn turn(&mut self, time: Duration) -> Option<Duration> {
        self.people.iter().for_each(|(_, pipe)| pipe.borrow_mut().from_server.clear());
        self.reactor.turn(self.now, self.now);
        self.now += time;
        self.reactor.wake_at(self.now).map(|at| at.saturating_sub(self.now))
    }

    /// What somebody was written in the latest turn.
    fn read(&self, person: usize) -> String {
        String::from_utf8(self.people[person].1.borrow().from_server.clone()).expect("what is said is UTF-8")
    }
}

/// The first line after a quiet time goes out at once. The next ones wait for each other until the pause is over; it
/// begins when the wave is over, however long that took.
#[test]
fn a_pause_begins_when_a_wave_is_over() {
    let mut world = World::new(GATHER);
    world.type_line(0, "one");
    assert_eq!(world.turn(Duration::from_millis(50)), None);
    assert_eq!(world.read(1), "p0: one\n");
    world.type_line(0, "two");
    assert_eq!(world.turn(Duration::ZERO), Some(PAUSE));
    assert_eq!(world.read(1), "");
    world.now += PAUSE / 2;
    world.type_line(1, "three");
    assert_eq!(world.turn(Duration::ZERO), Some(PAUSE / 2));
    assert_eq!(world.read(1), "");
    world.now += PAUSE / 2;
    assert_eq!(world.turn(Duration::ZERO), None);
    assert_eq!(world.read(1), "p0: two\np1: three\n");
}

/// A pause is no longer than a line may wait, however many there are.
#[test]
fn no_line_waits_longer_than_promised() {
    for millis in [0, 1, 3, 8] {
        let gather = Duration::from_millis(millis);
        let mut world = World::new(gather);
        world.type_line(0, "one");
        world.turn(Duration::from_millis(50));
        world.type_line(0, "two");
        match world.turn(Duration::ZERO) {
            Some(wait) => assert!(wait < gather && world.read(1).is_empty()),
            None => assert!(millis <= 1 && world.read(1) == "p0: two\n"),
        }
    }
}

/// What is for one alone never waits, and takes along what that one is owed besides.
#[test]
fn what_is_for_one_does_not_wait() {
    let mut world = World::in_a_pause();
    world.type_line(0, "two\n!msg p1 psst");
    assert_eq!(world.turn(Duration::ZERO), Some(PAUSE));
    assert_eq!(world.read(1), "p0: two\n--- [p0 to you] psst\n");
    assert_eq!(world.read(0), "p0: two\n--- [you to p1] psst\n");
    assert_eq!(world.read(2), "");
}

/// As much as one write carries well does not wait for more.
#[test]
fn much_to_say_ends_a_pause() {
    let mut world = World::in_a_pause();
    world.type_line(0, &"x".repeat(64 * 1024));
    assert_eq!(world.turn(Duration::ZERO), None);
    assert!(world.read(1).len() > 64 * 1024);
}

/// Whoever stops the server waits for nobody's company.
#[test]
fn a_stop_ends_a_pause() {
    let mut world = World::in_a_pause();
    world.type_line(0, "two");
    world.turn(Duration::ZERO);
    world.reactor.lobby.shut_down(world.now);
    world.turn(Duration::ZERO);
    assert!(world.read(1).starts_with("p0: two\n"), "{}", world.read(1));
}
