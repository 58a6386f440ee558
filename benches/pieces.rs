//! Measures the pure pieces, without a socket: what a line costs once, and what it costs again for each receiver.
//!
//! `cargo bench --bench pieces` prints times for one call, and below them lines (items) and bytes a second.

use std::time::Duration;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use gotcp::protocol::line::LineBuffer;
use gotcp::protocol::text;
use gotcp::room::limits::Limits;
use gotcp::room::outbox::Outbox;
use gotcp::room::pace::Limit;
use gotcp::room::scrollback::Scrollback;
use gotcp::room::{Id, Room};

const NOW: Duration = Duration::from_secs(1);
const RING: usize = 8 * 1024 * 1024;
const MAX_LINE: usize = 65_536;
/// What one read brings at most.
const READ: usize = 64 * 1024;

const ASCII: &str = "The quick brown fox jumps over the lazy dog, and over it again..";
const KOREAN: &str = "다람쥐 헌 쳇바퀴에 타고파, 오늘도 또";

fn main() {
    divan::main();
}

/// Cutting a full read into lines.
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

/// Making sure that a line is harmless.
#[divan::bench(args = [ASCII, KOREAN], sample_size = 1000)]
fn sanitise(bencher: Bencher<'_, '_>, line: &str) {
    bencher
        .counter(BytesCount::of_str(line))
        .counter(ItemsCount::new(1u32))
        .bench_local(|| black_box(text::sanitise(black_box(line.as_bytes()))).len());
}

/// Appending a line to the log.
#[divan::bench(sample_size = 1000)]
fn append(bencher: Bencher<'_, '_>) {
    let mut log = Scrollback::new(RING).expect("memory");
    bencher
        .counter(BytesCount::of_str(ASCII))
        .counter(ItemsCount::new(1u32))
        .bench_local(|| log.append(black_box(&[b"carol#0b9189", b": ", ASCII.as_bytes()])));
}

/// Finding what to write to one receiver, and noting that it was taken: so many lines at a time.
#[divan::bench(args = [1, 1000], sample_size = 1000)]
fn flush(bencher: Bencher<'_, '_>, lines: usize) {
    let mut log = Scrollback::new(RING).expect("memory");
    for _ in 0..lines {
        log.append(&[ASCII.as_bytes()]);
    }
    bencher.counter(ItemsCount::new(lines)).with_inputs(|| reader(0)).bench_local_refs(|outbox| {
        let count = black_box(outbox.chunks(&log).map(<[u8]>::len).sum());
        outbox.take(&log, count, NOW);
    });
}

/// A turn of a room without its sockets: so many bytes of lines from one member are heard and taken by 1000.
#[divan::bench(args = [64, READ])]
fn turn(bencher: Bencher<'_, '_>, bytes: usize) {
    const MEMBERS: usize = 1000;
    let mut room = room(MEMBERS);
    let input = format!("{}\n", &ASCII[1..]).repeat(bytes / ASCII.len());
    bencher.counter(ItemsCount::new(MEMBERS * bytes / ASCII.len())).bench_local(|| {
        room.hear(0, black_box(input.as_bytes()), NOW);
        deliver(&mut room, MEMBERS);
    });
}

/// Looking for somebody by a name without its tag whom 10,000 others are not.
#[divan::bench]
fn find_nobody(bencher: Bencher<'_, '_>) {
    let mut room = room(10_000);
    bencher.bench_local(|| {
        room.hear(0, black_box(b"!msg nobody hello\n"), NOW);
        let count = room.chunks(0).map(<[u8]>::len).sum();
        room.take(0, count, NOW);
        room.drain_touched().for_each(drop);
    });
}

/// A room of so many, who have heard everything.
fn room(members: usize) -> Room {
    let mut room = Room::new(limits(), Box::new(|| 0)).expect("memory");
    for id in 0..members {
        room.enter(id, NOW);
        room.hear(id, format!("c{id}#0b9189\n").as_bytes(), NOW);
        deliver(&mut room, id + 1);
    }
    room
}

fn deliver(room: &mut Room, members: Id) {
    for id in 0..members {
        while room.is_pending(id) {
            let count = black_box(room.chunks(id).map(<[u8]>::len).sum());
            room.take(id, count, NOW);
        }
    }
    room.end_turn(NOW);
    room.clear_events();
    room.drain_touched().for_each(drop);
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
        pace: Limit::new(0, 1),
        login_timeout: NOW * 30,
        stall_timeout: NOW * 30,
        grace: NOW * 30,
    }
}
