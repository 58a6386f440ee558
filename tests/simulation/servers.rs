//! Several servers share a room, over a log that delays, repeats and reorders what they propose.
//!
//! People type, whisper and take names at any server; visitors who are as plain as `nc` come and go; connections are cut;
//! servers crash and come back from an old checkpoint, stop for longer than their lease and go on, and are cut off from
//! the log. Whatever happens, every server makes the same room of the same log, every line typed is read once, in one
//! order, by everybody who came back in time, and nobody stays in the room who is not there.
//!
//! `GOTCP_SEED=17 cargo test --test simulation servers` runs one seed again; `GOTCP_SEEDS=1000000` runs that many.

use std::cell::RefCell;
use std::collections::{HashSet, VecDeque};
use std::convert::identity;
use std::rc::Rc;
use std::time::Duration;

use super::people::{ACCESS, Connection, Heard, Person};
use crate::support::pipe::{Pipe, Wire};
use crate::support::seeds;
use fastrand::Rng;
use gotcp::client::session::Phase;
use gotcp::lobby::Lobby;
use gotcp::lobby::letters::{Delivery, Letter};
use gotcp::lobby::limits::Limits;
use gotcp::lobby::pulse::LEASE;
use gotcp::lobby::rate_limit::Rate;
use gotcp::lobby::secret::Keys;
use gotcp::room::Room;
use gotcp::room::scrollback::Scrollback;
use gotcp::room::servers::ServerId;
use gotcp::room::turn::Turn;
use gotcp::server::reactor::Reactor;
use mio::Token;

/// Seeds in an ordinary run.
const SEEDS: u64 = 200;
/// Steps of one seed in which things go wrong.
const STEPS: usize = 400;
/// How long a letter may take to be answered.
const ANSWER_TIME: Duration = Duration::from_secs(5);
/// More than is said in one seed, so that the whole conversation can be compared.
const SCROLLBACK: usize = 4 * 1024 * 1024;

/// Every line typed is read exactly once, in order, wherever it was typed and read; all servers make the same room.
#[test]
fn several_servers_are_one_room() {
    let mut tally = Tally::default();
    let count = seeds::each(SEEDS, "simulation servers", |seed| tally.add(&World::new(seed).run()));
    if count < SEEDS {
        return;
    }
    println!("{count} seeds: {tally:?}");
    // Schedules in which nothing goes wrong would prove nothing.
    let Tally { typed, whispered, cuts, crashes, stops, partitions, gone, lost_rooms, repeats, contested, resumed } =
        tally;
    let counts = [typed, whispered, cuts, crashes, stops, partitions, gone, lost_rooms, repeats, contested, resumed];
    assert!(counts.iter().all(|&count| count > 50));
}

/// After the log was out of reach for everybody, all leases look over; but nobody who is there is taken for gone.
#[test]
fn nobody_is_judged_after_an_outage() {
    for seed in 0..20 {
        let mut world = World::new(seed);
        world.chances =
            Chances { crash: 0.0, stop: 0.0, part: 0.0, cut: 0.0, arrive: 0.9, read_log: 0.9, ..world.chances };
        let run = |world: &mut World, time: Duration| {
            let until = world.now + time;
            while world.now < until {
                world.step();
                world.now += Duration::from_millis(100);
            }
        };
        run(&mut world, 3 * LEASE);
        let (arrive, read_log) = (world.chances.arrive, world.chances.read_log);
        (world.chances.arrive, world.chances.read_log) = (0.0, 0.0);
        run(&mut world, 3 * LEASE);
        // What the others say reaches the log again some seconds before what this one says.
        world.sites[0].is_parted = true;
        (world.chances.arrive, world.chances.read_log) = (arrive, read_log);
        run(&mut world, LEASE / 4);
        world.sites[0].is_parted = false;
        run(&mut world, 3 * LEASE);
        assert_eq!((world.tally.gone, world.tally.lost_rooms), (0, 0), "seed {seed}");
    }
}

/// How often the interesting things happened.
#[derive(Debug, Default)]
struct Tally {
    typed: usize,
    whispered: usize,
    cuts: usize,
    crashes: usize,
    stops: usize,
    partitions: usize,
    /// Servers that the others have taken for gone.
    gone: usize,
    /// Of those, servers that were not.
    lost_rooms: usize,
    /// Turns that reached the log more than once.
    repeats: usize,
    /// Names that two wanted at a time.
    contested: usize,
    resumed: usize,
}

impl Tally {
    fn add(&mut self, other: &Tally) {
        self.typed += other.typed;
        self.whispered += other.whispered;
        self.cuts += other.cuts;
        self.crashes += other.crashes;
        self.stops += other.stops;
        self.partitions += other.partitions;
        self.gone += other.gone;
        self.lost_rooms += other.lost_rooms;
        self.repeats += other.repeats;
        self.contested += other.contested;
        self.resumed += other.resumed;
    }
}

/// How likely everything is, drawn anew for each seed.
struct Chances {
    type_line: f64,
    deliver: f64,
    cut: f64,
    reconnect: f64,
    visit: f64,
    arrive: f64,
    repeat: f64,
    read_log: f64,
    checkpoint: f64,
    crash: f64,
    stop: f64,
    part: f64,
    mend: f64,
    wait: f64,
}

/// One server.
struct Site {
    /// `None` while it is down.
    reactor: Option<Reactor<Wire>>,
    /// Whether it does nothing for now, and does not know it.
    is_stopped: bool,
    /// Whether it cannot reach the log.
    is_parted: bool,
    /// How far it has read the log.
    read: usize,
    server: ServerId,
    /// Its turn that has not come out of the log.
    under_way: Option<Vec<u8>>,
    /// Letters that have come, and wait for the log; with where the answer goes.
    letters: Vec<(Letter, ServerId, u64)>,
}

/// What goes from server to server.
enum Mail {
    Letter { from: ServerId, to: ServerId, number: u64, letter: Letter },
    Answer { to: ServerId, number: u64, delivery: Delivery },
}

/// Somebody with nothing but `nc`.
struct Visitor {
    name: String,
    site: usize,
    token: Token,
    pipe: Rc<RefCell<Pipe>>,
}

struct World {
    rng: Rng,
    chances: Chances,
    limits: Limits,
    now: Duration,
    sites: Vec<Site>,
    /// The log, and what is on its way to it.
    log: Vec<Vec<u8>>,
    proposed: Vec<Vec<u8>>,
    /// The room that the log makes, and where what was said ended after each turn.
    truth: Room,
    ends: Vec<u64>,
    checkpoints: Vec<(usize, Vec<u8>)>,
    mail: VecDeque<Mail>,
    /// Letters that nobody may have answered by then.
    awaited: VecDeque<(Duration, ServerId, u64)>,
    people: Vec<Person>,
    visitors: Vec<Visitor>,
    visits: usize,
    tally: Tally,
}

impl World {
    fn new(seed: u64) -> World {
        let mut rng = Rng::with_seed(seed);
        let mut chance = |most: f64| rng.f64() * most;
        let chances = Chances {
            type_line: chance(0.4),
            deliver: 0.2 + chance(0.8),
            cut: chance(0.02),
            reconnect: 0.1 + chance(0.5),
            visit: chance(0.1),
            arrive: 0.05 + chance(0.95),
            repeat: chance(0.3),
            read_log: 0.2 + chance(0.8),
            checkpoint: chance(0.02),
            crash: chance(0.01),
            stop: chance(0.01),
            part: chance(0.01),
            mend: 0.01 + chance(0.05),
            wait: chance(0.2),
        };
        let limits = Limits {
            scrollback: SCROLLBACK,
            max_line: 256,
            history: rng.usize(0..4),
            rate: Rate::new(0, 1),
            login_timeout: Duration::from_secs(1000),
            stall_timeout: Duration::from_secs(1000),
            grace: Duration::from_secs(rng.u64(0..60)),
            reserve: Duration::from_secs(3600),
            access: ACCESS,
            keys: Keys::default(),
        };
        let people = (0..rng.usize(2..6)).map(|number| Person::new(number, &mut rng)).collect();
        let truth = Room::new(SCROLLBACK).expect("memory");
        let mut world = World {
            chances,
            limits,
            now: Duration::from_secs(1000),
            sites: Vec::new(),
            log: Vec::new(),
            proposed: Vec::new(),
            truth,
            ends: Vec::new(),
            checkpoints: Vec::new(),
            mail: VecDeque::new(),
            awaited: VecDeque::new(),
            people,
            visitors: Vec::new(),
            visits: 0,
            tally: Tally::default(),
            rng,
        };
        for _ in 0..world.rng.usize(2..=5) {
            world.sites.push(Site::down());
        }
        (0..world.sites.len()).for_each(|site| world.start(site));
        world
    }

    fn run(mut self) -> Tally {
        for _ in 0..STEPS {
            for at in 0..self.people.len() {
                self.something_happens_to(at);
            }
            self.visit();
            self.things_go_wrong();
            self.step();
            let wait = if self.happens(self.chances.wait) { 5000 } else { 50 };
            self.now += Duration::from_millis(self.rng.u64(0..wait));
        }
        self.calm_down();
        self.judge();
        self.tally
    }

    fn happens(&mut self, chance: f64) -> bool {
        self.rng.f64() < chance
    }

    // ---- Servers and their log ----

    /// A server starts, from some checkpoint or from the beginning.
    fn start(&mut self, at: usize) {
        let scrollback = Scrollback::new(SCROLLBACK).expect("memory");
        let checkpoint = self.rng.usize(0..=self.checkpoints.len());
        let (from, mut room) = match self.checkpoints.get(checkpoint) {
            Some((index, bytes)) => (*index, Room::restore(bytes, scrollback, b"").expect("a room made it")),
            None => (0, Room::with_scrollback(scrollback)),
        };
        for turn in &self.log[from..] {
            room.apply_turn(&Turn::decode(turn).expect("a server made it")).expect("all rooms are alike");
        }
        let mut rng = self.rng.fork();
        let lobby = Lobby::with_shared_log(room, self.limits.clone(), Box::new(move || rng.u128(..)));
        let server = lobby.server();
        let gather = Duration::from_millis(self.rng.u64(0..30));
        let reactor = Reactor::new(lobby, 1 << self.rng.usize(5..12), gather, self.limits.stall_timeout);
        self.sites[at] = Site { reactor: Some(reactor), read: self.log.len(), server, ..Site::down() };
    }

    fn things_go_wrong(&mut self) {
        for at in 0..self.sites.len() {
            if self.sites[at].reactor.is_none() {
                if self.happens(self.chances.mend) {
                    self.start(at);
                }
            } else if self.happens(self.chances.crash) {
                self.crash(at);
            } else if self.happens(if self.sites[at].is_stopped { self.chances.mend } else { self.chances.stop }) {
                self.sites[at].is_stopped ^= true;
                self.tally.stops += usize::from(self.sites[at].is_stopped);
            } else if self.happens(if self.sites[at].is_parted { self.chances.mend } else { self.chances.part }) {
                self.sites[at].is_parted ^= true;
                self.tally.partitions += usize::from(self.sites[at].is_parted);
            }
        }
    }

    /// A server dies. What it had proposed may be on its way all the same.
    fn crash(&mut self, at: usize) {
        self.tally.crashes += 1;
        self.sites[at] = Site::down();
        for person in 0..self.people.len() {
            if self.people[person].line.as_ref().is_some_and(|line| line.server == at) {
                let count = self.rng.usize(0..2000);
                self.receive(person, count);
                if self.people[person].line.take().is_some() {
                    self.people[person].session.broke();
                }
            }
        }
        self.visitors.retain(|visitor| visitor.site != at);
    }

    /// Every server that can runs a turn, and what is under way moves on.
    fn step(&mut self) {
        for at in 0..self.sites.len() {
            if self.sites[at].reactor.is_none() || self.sites[at].is_stopped {
                continue;
            }
            if !self.sites[at].is_parted {
                self.read_log(at);
                self.propose(at);
            }
            let site = &mut self.sites[at];
            let reactor = site.reactor.as_mut().expect("it is up");
            reactor.turn(self.now, self.now);
            reactor.reap(self.now, drop);
            reactor.lobby.check();
            for (to, number, letter) in reactor.lobby.take_letters() {
                self.mail.push_back(Mail::Letter { from: site.server, to, number, letter });
                self.awaited.push_back((self.now + ANSWER_TIME, site.server, number));
            }
        }
        self.order();
        self.carry_mail();
    }

    /// A server applies what the log has, one turn after the other.
    fn read_log(&mut self, at: usize) {
        while self.sites[at].read < self.log.len() && self.happens(self.chances.read_log) {
            let site = &mut self.sites[at];
            let turn = &self.log[site.read];
            let lobby = &mut site.reactor.as_mut().expect("it is up").lobby;
            if !lobby.has_room_to_apply(turn).expect("a server made it") {
                lobby.stop_waiting(self.now);
                break;
            }
            lobby.apply(turn, self.now).expect("all rooms are alike");
            assert_eq!(lobby.room().scrollback().end(), self.ends[site.read], "turn {} at server {at}", site.read);
            site.read += 1;
            if site.under_way.as_deref() == Some(&turn[..]) {
                site.under_way = None;
            }
            if site.server != lobby.server() {
                site.server = lobby.server();
                site.under_way = None;
                self.tally.lost_rooms += 1;
            }
        }
        let site = &mut self.sites[at];
        let lobby = &mut site.reactor.as_mut().expect("it is up").lobby;
        let turns = lobby.room().digest().turns();
        for (letter, from, number) in std::mem::take(&mut site.letters) {
            if letter.after > turns {
                site.letters.push((letter, from, number));
            } else {
                self.mail.push_back(Mail::Answer { to: from, number, delivery: lobby.deliver(&letter) });
            }
        }
    }

    fn propose(&mut self, at: usize) {
        let site = &mut self.sites[at];
        if site.under_way.is_none() {
            site.under_way = site.reactor.as_mut().expect("it is up").lobby.next_turn();
            self.proposed.extend(site.under_way.clone());
        } else if self.rng.f64() < self.chances.repeat {
            self.proposed.extend(site.under_way.clone());
        }
    }

    /// Some of what was proposed reaches the log, in any order, some of it twice.
    fn order(&mut self) {
        while !self.proposed.is_empty() && self.happens(self.chances.arrive) {
            let index = self.rng.usize(0..self.proposed.len());
            let turn = if self.happens(self.chances.repeat / 4.0) {
                self.proposed[index].clone()
            } else {
                self.proposed.swap_remove(index)
            };
            let before: Vec<_> = self.truth.servers().present().map(|(id, server)| (id, server.seen)).collect();
            let turns = self.truth.digest().turns();
            self.truth.apply_turn(&Turn::decode(&turn).expect("a server made it")).expect("there is only one truth");
            self.truth.roster().check();
            self.tally.repeats += usize::from(self.truth.digest().turns() == turns);
            for (_, seen) in before.into_iter().filter(|(id, _)| self.truth.servers().get(*id).is_none()) {
                assert!(seen + LEASE < self.truth.now(), "a server is gone that has just shown that it lives");
                self.tally.gone += 1;
            }
            self.ends.push(self.truth.scrollback().end());
            self.log.push(turn);
            if self.happens(self.chances.checkpoint) {
                self.checkpoints.push((self.log.len(), self.truth.checkpoint()));
            }
        }
        // What is on its way does not live for ever.
        while self.proposed.len() > 50 {
            let index = self.rng.usize(0..self.proposed.len());
            self.proposed.swap_remove(index);
        }
    }

    /// Letters and their answers come late, or not at all; then nobody has answered.
    fn carry_mail(&mut self) {
        for _ in 0..self.mail.len() {
            let mail = self.mail.pop_front().expect("they were counted");
            if self.rng.u8(0..4) == 0 {
                self.mail.push_back(mail);
                continue;
            }
            if self.rng.u8(0..50) == 0 {
                continue;
            }
            match mail {
                Mail::Letter { from, to, number, letter } => {
                    if let Some(at) = self.site_of(to) {
                        self.sites[at].letters.push((letter, from, number));
                    }
                }
                Mail::Answer { to, number, delivery } => self.answer(to, number, delivery),
            }
        }
        while let Some((_, to, number)) = self.awaited.pop_front_if(|(at, ..)| *at <= self.now) {
            self.answer(to, number, Delivery::Unreachable);
        }
    }

    fn answer(&mut self, to: ServerId, number: u64, delivery: Delivery) {
        if let Some(at) = self.site_of(to) {
            let reactor = self.sites[at].reactor.as_mut().expect("it is up");
            reactor.lobby.letter_answered(number, delivery);
        }
    }

    fn site_of(&self, server: ServerId) -> Option<usize> {
        self.sites.iter().position(|site| site.reactor.is_some() && site.server == server)
    }

    // ---- People ----

    fn something_happens_to(&mut self, at: usize) {
        if self.happens(self.chances.type_line) {
            self.people[at].type_line(at, &mut self.rng);
            self.tally.typed += 1;
            match self.rng.u8(0..20) {
                0 => self.people[at].session.say(b"!who", false),
                1..5 => {
                    let to = self.rng.usize(0..self.people.len());
                    self.people[at].whisper(at, to);
                }
                _ => {}
            }
        }
        if self.people[at].line.is_none() {
            if self.happens(self.chances.reconnect) {
                self.connect(at);
            }
            return;
        }
        if self.rng.u8(0..4) == 0 {
            self.people[at].ask();
        }
        self.people[at].send();
        if self.happens(self.chances.deliver) {
            let count = self.rng.usize(0..2000);
            self.deliver(at, count);
        }
        if self.happens(self.chances.deliver) {
            let count = self.rng.usize(0..4000);
            self.receive(at, count);
        }
        let server = self.people[at].line.as_ref().map(|line| line.server);
        let is_stuck = server.is_some_and(|server| self.sites[server].is_stopped || self.sites[server].is_parted);
        if self.happens(if is_stuck { 0.1 } else { self.chances.cut }) {
            self.cut(at);
        }
    }

    /// Connects to any server that is up.
    fn connect(&mut self, at: usize) {
        let Some((server, reactor)) = up(&mut self.sites, &mut self.rng) else { return };
        let (token, pipe) = admit(reactor, self.now, 1 << self.rng.usize(4..12));
        self.people[at].connected(Connection::new(server, token, pipe));
    }

    fn deliver(&mut self, at: usize, count: usize) {
        let Some(line) = &mut self.people[at].line else { return };
        if let Some(reactor) = &mut self.sites[line.server].reactor
            && line.deliver(count)
        {
            reactor.note(line.token, true, false);
        }
    }

    /// Some of what the server has written arrives. Returns whether any did.
    fn receive(&mut self, at: usize, count: usize) -> bool {
        let person = &mut self.people[at];
        let Some(line) = &mut person.line else { return false };
        let (bytes, is_over) = line.receive(count);
        let Heard { resumed, .. } = person.hear(&bytes);
        self.tally.resumed += resumed;
        if is_over {
            self.hang_up(at);
        }
        !bytes.is_empty()
    }

    /// What is in transit is lost from some byte on, and both sides notice sooner or later.
    fn cut(&mut self, at: usize) {
        self.tally.cuts += 1;
        let some = self.rng.usize(0..200);
        self.deliver(at, some);
        self.hang_up(at);
    }

    fn hang_up(&mut self, at: usize) {
        let person = &mut self.people[at];
        let Some(line) = person.line.take() else { return };
        line.pipe.borrow_mut().reset = true;
        if let Some(reactor) = &mut self.sites[line.server].reactor {
            reactor.note(line.token, true, true);
        }
        person.session.broke();
    }

    /// Somebody comes with `nc`, under a name that others want, too, or goes.
    fn visit(&mut self) {
        if self.happens(self.chances.visit) && self.visitors.len() < 10 {
            let name = if self.rng.bool() {
                self.tally.contested += 1;
                format!("w{}", self.rng.u8(0..3))
            } else {
                self.visits += 1;
                format!("v{}", self.visits)
            };
            if let Some((site, reactor)) = up(&mut self.sites, &mut self.rng) {
                let (token, pipe) = admit(reactor, self.now, 4096);
                pipe.borrow_mut().to_server.extend(format!("{name}\n").bytes());
                reactor.note(token, true, false);
                self.visitors.push(Visitor { name, site, token, pipe });
            }
        }
        if self.happens(self.chances.visit / 2.0) && !self.visitors.is_empty() {
            let visitor = self.visitors.swap_remove(self.rng.usize(0..self.visitors.len()));
            visitor.pipe.borrow_mut().ended = true;
            if let Some(reactor) = &mut self.sites[visitor.site].reactor {
                reactor.note(visitor.token, true, true);
            }
        }
    }

    // ---- The end ----

    /// Everything works again, for long enough that whoever is gone is known to be.
    fn calm_down(&mut self) {
        for at in 0..self.sites.len() {
            if self.sites[at].reactor.is_none() {
                self.start(at);
            }
            (self.sites[at].is_stopped, self.sites[at].is_parted) = (false, false);
        }
        (self.chances.read_log, self.chances.arrive, self.chances.repeat) = (1.0, 0.9, 0.1);
        (self.chances.type_line, self.chances.cut, self.chances.reconnect) = (0.0, 0.0, 1.0);
        let until = self.now + 4 * LEASE + 2 * self.limits.grace;
        for _ in 0..100_000 {
            for at in 0..self.people.len() {
                self.something_happens_to(at);
                self.people[at].ask();
                self.people[at].send();
                self.deliver(at, usize::MAX);
                self.receive(at, usize::MAX / 2);
            }
            self.step();
            self.now += Duration::from_millis(100);
            let is_heard = |person: &Person| {
                person.session.status().phase == Phase::Joined
                    && person.session.unacked().is_empty()
                    && person.line.as_ref().is_some_and(|line| line.arrived == line.pipe.borrow().from_server.len())
            };
            let is_read = self.sites.iter().all(|site| site.read == self.log.len());
            if self.now >= until && is_read && self.people.iter().all(is_heard) {
                return;
            }
        }
        let reads: Vec<usize> = self.sites.iter().map(|site| site.read).collect();
        let waiting = self.people.iter().map(|person| (person.session.status().phase, person.session.unacked().len()));
        let waiting: Vec<_> = waiting.collect();
        panic!("the conversation does not come to rest: {} turns, {reads:?} read; {waiting:?}", self.log.len());
    }

    fn judge(&mut self) {
        let scrollback = self.truth.scrollback();
        let text: Vec<u8> = scrollback.pieces(0, scrollback.end()).flatten().copied().collect();
        let said: Vec<String> =
            String::from_utf8(text).expect("what is said is UTF-8").lines().map(ToOwned::to_owned).collect();
        for site in &self.sites {
            let room = site.reactor.as_ref().expect("all are up").lobby.room();
            assert_eq!(room.checkpoint(), self.truth.checkpoint(), "all servers have made the same room");
        }
        account(&said);
        for (at, person) in self.people.iter().enumerate() {
            person.judge_reading(at, &said);
            person.judge_lines(at, &said);
        }
        let whispered: Vec<&String> = self.people.iter().flat_map(|person| &person.whispered).collect();
        self.tally.whispered += whispered.len();
        let once: HashSet<&String> = whispered.iter().copied().collect();
        if !self.people.iter().any(|person| person.may_double) {
            assert_eq!(once.len(), whispered.len(), "a whisper arrives at most once");
        }
        // Who is in the room is connected, or somebody who was refused a name: nobody is a ghost.
        let here: HashSet<&str> = self.truth.roster().names().collect();
        let names: HashSet<String> = self.people.iter().map(|person| person.session.status().name.clone()).collect();
        let visitors: HashSet<&str> = self.visitors.iter().map(|visitor| visitor.name.as_str()).collect();
        for name in here {
            assert!(names.contains(name) || visitors.contains(name), "{name} is a ghost");
        }
        let present: HashSet<ServerId> = self.truth.servers().present().map(|(id, _)| id).collect();
        let up: HashSet<ServerId> = self.sites.iter().map(|site| site.server).collect();
        assert_eq!(present, up, "those servers are there that are up, and no others");
    }
}

impl Site {
    fn down() -> Site {
        Site {
            reactor: None,
            is_stopped: false,
            is_parted: false,
            read: 0,
            server: ServerId::default(),
            under_way: None,
            letters: Vec::new(),
        }
    }
}

/// Any server that is up and does not stand still.
fn up<'a>(sites: &'a mut [Site], rng: &mut Rng) -> Option<(usize, &'a mut Reactor<Wire>)> {
    let up: Vec<usize> = (0..sites.len()).filter(|&at| sites[at].reactor.is_some() && !sites[at].is_stopped).collect();
    let &at = up.get(rng.usize(0..up.len().max(1)))?;
    sites[at].reactor.as_mut().map(|reactor| (at, reactor))
}

fn admit(reactor: &mut Reactor<Wire>, now: Duration, grain: usize) -> (Token, Rc<RefCell<Pipe>>) {
    Pipe { window: usize::MAX, grain, ..Pipe::default() }.connect(reactor, now, identity)
}

/// A name belongs to one at a time, and speaks only while it is here.
fn account(said: &[String]) {
    let mut here: HashSet<&str> = HashSet::new();
    for line in said {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["***", name, "joined"] => assert!(here.insert(name), "{name} joins while being here"),
            ["***", name, "left", ..] => assert!(here.remove(name), "{name} leaves without being here"),
            _ => {
                let name = words[0].trim_end_matches(':');
                assert!(here.contains(name), "{line}: from somebody who is not here");
            }
        }
    }
}
