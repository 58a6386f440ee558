//! What a log gives back may be damaged: then it is refused, or makes another room, but nothing panics, and nothing takes
//! memory without bound.
#![no_main]

use gotcp::room::Room;
use gotcp::room::entry::FORMAT;
use gotcp::room::scrollback::Scrollback;
use gotcp::room::turn::Turn;
use libfuzzer_sys::fuzz_target;

const SCROLLBACK: usize = 64 * 1024;

fuzz_target!(|input: (&[u8], &[u8], &str)| {
    let (checkpoint, turn, said) = input;
    let with_format = |bytes: &[u8]| [&[FORMAT], bytes].concat();
    let scrollback = || Scrollback::new(SCROLLBACK).expect("memory");
    let said: String = said.lines().flat_map(|line| [line, "\n"]).collect();
    let restored = Room::restore(&with_format(checkpoint), scrollback(), said.as_bytes());
    let is_restored = restored.is_ok();
    let mut room = restored.unwrap_or_else(|_| Room::with_scrollback(scrollback()));
    let bytes = with_format(turn);
    if let Ok(turn) = Turn::decode(&bytes) {
        room.begin_turn(&turn);
        for entry in turn.entries() {
            let Ok(entry) = entry else { break };
            let _ = room.apply(turn.server, entry);
            room.roster().check();
        }
        room.end_turn();
    }
    // Whatever came of it can be kept, and is the same room again.
    let kept = room.checkpoint();
    let again = Room::restore(&kept, scrollback(), b"").expect("a room made it");
    assert_eq!(again.checkpoint(), kept, "restored from the input: {is_restored}");
});
