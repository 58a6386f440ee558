//! Measures the pure parts, without sockets: what a line costs once, and what it costs for each receiver.
//!
//! `cargo bench --bench pieces` prints times for one call, and below them lines (items) and bytes a second.

use std::time::Duration;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use gotcp::lobby::access::{AccessLimits, Entrance};
use gotcp::lobby::client::Link;
use gotcp::lobby::limits::Limits;
use gotcp::lobby::outbox::Outbox;
use gotcp::lobby::rate_limit::Rate;
use gotcp::lobby::secret::Keys;
use gotcp::lobby::{ClientId, Lobby};
use gotcp::protocol::line::{Line, LineBuffer};
use gotcp::protocol::name::Look;
use gotcp::protocol::text;
use gotcp::room::place::Place;
use gotcp::room::scrollback::Scrollback;

const NOW: Duration = Duration::from_secs(1);
const SENDER: ClientId = ClientId(0);
const RING: usize = 8 * 1024 * 1024;
const MAX_LINE: usize = 65_536;
/// The most that one read brings.
const READ: usize = 64 * 1024;

const ASCII: &str = "The quick brown fox jumps over the lazy dog, and over it again..";
const KOREAN: &str = "다람쥐 헌 쳇바퀴에 타고파, 오늘도 또";

fn main() {
    divan::main();
}

/// Cutting one full read into lines.
#[divan::bench(args = [16, 64, 1024])]
fn split(bencher: Bencher<'_, '_>, length: usize) {
    let input = [b"x".repeat(length - 1), b"\n".to_vec()].concat().repeat(READ / length);
    let mut buffer = LineBuffer::default();
    bencher.counter(BytesCount::of_slice(&input)).counter(ItemsCount::new(READ / length)).bench_local(|| {
        let mut lines = buffer.split(black_box(&input), MAX_LINE);
        while let Some(line) = lines.next() {
            black_box(line);
        }
    });
}

/// Sanitising a line that is harmless already.
#[divan::bench(args = [ASCII, KOREAN], sample_size = 1000)]
fn sanitise(bencher: Bencher<'_, '_>, line: &str) {
    bencher
        .counter(BytesCount::of_str(line))
        .counter(ItemsCount::new(1u32))
        .bench_local(|| black_box(text::sanitise(black_box(line.as_bytes()))).len());
}

/// Appending a line to the scrollback.
#[divan::bench(sample_size = 1000)]
fn append(bencher: Bencher<'_, '_>) {
    let mut log = Scrollback::new(RING).expect("memory");
    bencher
        .counter(BytesCount::of_str(ASCII))
        .counter(ItemsCount::new(1u32))
        .bench_local(|| log.append(black_box(&[b"carol#0b9189", b": ", ASCII.as_bytes()])));
}

/// Finding what to write to one receiver, and noting that it was taken: this many lines at a time.
#[divan::bench(args = [1, 1000], sample_size = 1000)]
fn flush(bencher: Bencher<'_, '_>, lines: usize) {
    let mut log = Scrollback::new(RING).expect("memory");
    for _ in 0..lines {
        log.append(&[ASCII.as_bytes()]);
    }
    bencher.counter(ItemsCount::new(lines)).with_inputs(|| reader(0)).bench_local_refs(|outbox| {
        let count = black_box(outbox.chunks(&log).map(<[u8]>::len).sum());
        outbox.take(&log, count);
    });
}

/// Finding the look of a name; ASCII has a fast path.
#[divan::bench(args = ["carol#0b9189", "Григорий#0b9189"], sample_size = 1000)]
fn look(bencher: Bencher<'_, '_>, name: &str) {
    bencher.bench_local(|| Look::of(black_box(name)));
}

/// One turn without the sockets: a member sends this many bytes of lines, and 1000 clients take them.
#[divan::bench(args = [64, READ])]
fn turn(bencher: Bencher<'_, '_>, bytes: usize) {
    const MEMBERS: usize = 1000;
    let mut lobby = lobby(MEMBERS);
    let mut buffer = LineBuffer::default();
    let input = format!("{}\n", &ASCII[1..]).repeat(bytes / ASCII.len());
    bencher.counter(ItemsCount::new(MEMBERS * bytes / ASCII.len())).bench_local(|| {
        let mut lines = buffer.split(black_box(input.as_bytes()), MAX_LINE);
        while let Some(line) = lines.next_if(|line| lobby.may_handle(SENDER, line, NOW)) {
            lobby.handle_line(SENDER, line, NOW);
        }
        drop(lines);
        assert!(!buffer.has_line(), "one turn has room for all of it");
        deliver(&mut lobby, MEMBERS);
    });
}

/// Looking among 10,000 people for a name that nobody has.
#[divan::bench]
fn find_nobody(bencher: Bencher<'_, '_>) {
    let mut lobby = lobby(10_000);
    bencher.bench_local(|| {
        lobby.handle_line(SENDER, Line::Whole(black_box(b"!msg nobody hello")), NOW);
        let count = lobby.chunks(SENDER).map(<[u8]>::len).sum();
        lobby.take(SENDER, count, NOW);
        lobby.drain_touched().for_each(drop);
    });
}

/// A lobby with this many members, who have read everything.
fn lobby(members: usize) -> Lobby {
    let mut lobby = Lobby::new(limits(), Box::new(|| 0)).expect("memory");
    for index in 0..members {
        let id = ClientId(index);
        lobby.enter(id, Place::LOCALHOST, Entrance::Open, NOW);
        lobby.greet(id, Link::Plain, NOW);
        lobby.handle_line(id, Line::Whole(format!("c{index}#0b9189").as_bytes()), NOW);
        deliver(&mut lobby, index + 1);
    }
    lobby
}

fn deliver(lobby: &mut Lobby, members: usize) {
    for id in (0..members).map(ClientId) {
        while lobby.is_pending(id) {
            let count = black_box(lobby.chunks(id).map(<[u8]>::len).sum());
            lobby.take(id, count, NOW);
        }
    }
    lobby.end_turn(NOW);
    lobby.clear_events();
    lobby.drain_touched().for_each(drop);
}

fn reader(from: u64) -> Outbox {
    let mut outbox = Outbox::default();
    outbox.follow(from);
    outbox
}

fn limits() -> Limits {
    Limits {
        scrollback: RING,
        max_line: MAX_LINE,
        history: 20,
        rate: Rate::new(0, 1),
        login_timeout: NOW * 30,
        stall_timeout: NOW * 30,
        grace: NOW * 30,
        reserve: NOW * 30,
        access: AccessLimits { clients: usize::MAX, per_place: usize::MAX, count_loopback: false },
        keys: Keys::default(),
    }
}
