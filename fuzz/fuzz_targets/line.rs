//! However input is cut, and however early the caller stops, its lines are those of a plain split.
#![no_main]

use gotcp::protocol::line::{Line, LineBuffer, Lines};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    max_line: u8,
    /// How many bytes arrive, and how many lines are taken of them at most.
    steps: Vec<(u8, u8)>,
    bytes: &'a [u8],
}

fuzz_target!(|input: Input| {
    let max_line = usize::from(input.max_line).max(1);
    let mut buffer = LineBuffer::default();
    let mut taken = Vec::new();
    let mut rest = input.bytes;
    for (count, lines) in input.steps {
        let (chunk, later) = rest.split_at(usize::from(count).min(rest.len()));
        rest = later;
        take(buffer.split(chunk, max_line), usize::from(lines), &mut taken);
    }
    // As the server does it: no line is asked for unless there is one.
    drop(buffer.split(rest, max_line));
    while buffer.has_line() {
        take(buffer.split(&[], max_line), 1, &mut taken);
    }
    taken.extend(buffer.finish().map(Some));
    assert_eq!(taken, plain_split(input.bytes, max_line));
});

/// Takes this many lines at most; `None` stands for one that was too long.
fn take(mut lines: Lines<'_>, limit: usize, taken: &mut Vec<Option<Vec<u8>>>) {
    for _ in 0..limit {
        match lines.next() {
            Some(Line::Whole(line)) => taken.push(Some(line.to_vec())),
            Some(Line::TooLong) => taken.push(None),
            None => return,
        }
    }
}

fn plain_split(bytes: &[u8], max_line: usize) -> Vec<Option<Vec<u8>>> {
    let mut lines: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').collect();
    let last = lines.pop().expect("a split has at least one part");
    let within = |line: &[u8]| line.len() < max_line;
    let mut taken: Vec<_> =
        lines.into_iter().map(|line| within(line).then(|| line.strip_suffix(b"\r").unwrap_or(line).to_vec())).collect();
    if !last.is_empty() {
        taken.push(within(last).then(|| last.to_vec()));
    }
    taken
}
