//! Whatever a stranger sends first, the room reads no more of it than that someone joined, and nobody is harmed.
#![no_main]

use std::time::Duration;

use gotcp::lobby::access::{AccessLimits, Entrance};
use gotcp::lobby::client::Link;
use gotcp::lobby::limits::Limits;
use gotcp::lobby::rate_limit::Rate;
use gotcp::lobby::secret::Keys;
use gotcp::lobby::{ClientId, Lobby};
use gotcp::protocol::line::LineBuffer;
use gotcp::protocol::name::Name;
use gotcp::room::place::Place;
use libfuzzer_sys::fuzz_target;

const CAROL: ClientId = ClientId(0);
const STRANGER: ClientId = ClientId(1);
const NOW: Duration = Duration::from_secs(1);

fuzz_target!(|bytes: &[u8]| {
    let mut lobby = Lobby::new(limits(), Box::new(|| 7)).expect("memory");
    lobby.enter(CAROL, Place::LOCALHOST, Entrance::Open, NOW);
    lobby.greet(CAROL, Link::Plain, NOW);
    send(&mut lobby, CAROL, b"carol\nhi\n!session\n");
    let answer = read(&mut lobby, CAROL);
    assert!(answer.ends_with("--- session 00000000000000000000000000000007 at 27, 0 heard\n"), "{answer}");

    lobby.enter(STRANGER, Place::of([192, 0, 2, 1].into()), Entrance::Open, NOW);
    lobby.greet(STRANGER, Link::Plain, NOW);
    // One line only: what a member may say is another matter.
    let first = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    send(&mut lobby, STRANGER, &[first, b"\n"].concat());
    let answer = read(&mut lobby, STRANGER);
    let (welcome, answer) = answer.split_once('\n').expect("everyone is greeted");
    assert_eq!(welcome, "--- welcome to gotcp: your first line is your name");

    let carol_reads = read(&mut lobby, CAROL);
    let online = lobby.room().roster().online();
    if answer.ends_with("--- resumed as carol, 0 heard\n") {
        assert_eq!(carol_reads, "--- error: resumed elsewhere\n");
        assert!(lobby.is_done(CAROL) && online == 1, "carol goes on over the other connection");
    } else if carol_reads.is_empty() {
        assert!(answer.is_empty() || answer.starts_with("--- error: "), "{answer}");
        assert_eq!(online, 1);
    } else {
        let name = carol_reads.strip_prefix("*** ").and_then(|rest| rest.strip_suffix(" joined\n"));
        let name = name.expect("that is all");
        assert!(Name::parse(name.as_bytes()).is_ok_and(|name| name.as_str().as_bytes() == first.trim_ascii()));
        assert!(answer.ends_with(&carol_reads));
        assert_eq!(online, 2);
    }
    lobby.end_turn(NOW);
    lobby.check();
});

fn send(lobby: &mut Lobby, id: ClientId, bytes: &[u8]) {
    let mut buffer = LineBuffer::default();
    let mut lines = buffer.split(bytes, lobby.max_line());
    while let Some(line) = lines.next_if(|line| lobby.may_handle(id, line, NOW)) {
        lobby.handle_line(id, line, NOW);
    }
    drop(lines);
    assert!(lobby.is_closing(id) || !buffer.has_line(), "nothing else holds up a line here");
}

fn read(lobby: &mut Lobby, id: ClientId) -> String {
    let bytes: Vec<u8> = lobby.chunks(id).flatten().copied().collect();
    lobby.take(id, bytes.len(), NOW);
    String::from_utf8(bytes).expect("all that is said is UTF-8")
}

fn limits() -> Limits {
    let second = Duration::from_secs(1);
    let limits = Limits {
        scrollback: 0,
        max_line: 128,
        history: 2,
        rate: Rate::new(0, 1),
        login_timeout: second,
        stall_timeout: second,
        grace: second,
        reserve: second,
        access: AccessLimits { clients: 2, per_place: 1, count_loopback: true },
        keys: Keys::default(),
    };
    Limits { scrollback: limits.smallest_scrollback(), ..limits }
}
