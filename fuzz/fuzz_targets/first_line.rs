//! Whatever a stranger sends first, the room hears no more of it than that somebody came, and nobody in it is harmed.
#![no_main]

use std::time::Duration;

use gotcp::protocol::name::Name;
use gotcp::room::limits::Limits;
use gotcp::room::{Room, pace};
use libfuzzer_sys::fuzz_target;

const CAROL: usize = 0;
const STRANGER: usize = 1;
const NOW: Duration = Duration::from_secs(1);

fuzz_target!(|bytes: &[u8]| {
    let mut room = Room::new(limits(), Box::new(|| 7)).expect("memory");
    room.enter(CAROL, NOW);
    room.hear(CAROL, b"carol\nhi\n!session\n", NOW);
    let carols = read(&mut room, CAROL);
    assert!(carols.ends_with("--- session 00000000000000000000000000000007 at 27\n"), "{carols}");

    room.enter(STRANGER, NOW);
    // One line and no more: what a member may say is another matter.
    let first = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    room.hear(STRANGER, first, NOW);
    room.hear(STRANGER, b"\n", NOW);
    let answer = read(&mut room, STRANGER);
    let (welcome, answer) = answer.split_once('\n').expect("everyone is greeted");
    assert_eq!(welcome, "--- welcome to gotcp: your first line is your name");

    let heard = read(&mut room, CAROL);
    if answer.ends_with("--- resumed\n") {
        assert_eq!((heard.as_str(), room.is_done(CAROL)), ("", true), "carol is back, over the other connection");
    } else if heard.is_empty() {
        assert!(answer.is_empty() || answer.starts_with("--- error: "), "{answer}");
        assert_eq!(room.online(), 1);
    } else {
        let name = heard.strip_prefix("*** ").and_then(|rest| rest.strip_suffix(" joined\n")).expect("that is all");
        assert!(Name::parse(name.as_bytes()).is_ok_and(|name| name.as_str().as_bytes() == first.trim_ascii()));
        assert!(answer.ends_with(&heard));
        assert_eq!(room.online(), 2);
    }
    room.end_turn(NOW);
});

fn read(room: &mut Room, id: usize) -> String {
    let bytes: Vec<u8> = room.chunks(id).flatten().copied().collect();
    room.take(id, bytes.len(), NOW);
    String::from_utf8(bytes).expect("all that is said is UTF-8")
}

fn limits() -> Limits {
    let second = Duration::from_secs(1);
    let max_line = 128;
    let limits = Limits {
        scrollback: 0,
        max_line,
        history: 2,
        pace: pace::Limit::new(0, 1),
        login_timeout: second,
        stall_timeout: second,
        grace: second,
    };
    Limits { scrollback: limits.smallest_scrollback(), ..limits }
}
