//! However input is cut, and however early its reader stops, its lines are those of a plain split.
#![no_main]

use gotcp::protocol::line::{Line, LineBuffer, Lines};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    max_line: u8,
    /// How many bytes arrive, and how many lines are read of them at most.
    steps: Vec<(u8, u8)>,
    bytes: &'a [u8],
}

fuzz_target!(|input: Input| {
    let max_line = usize::from(input.max_line).max(1);
    let mut buffer = LineBuffer::default();
    let mut heard = Vec::new();
    let mut rest = input.bytes;
    for (count, lines) in input.steps {
        let (chunk, later) = rest.split_at(usize::from(count).min(rest.len()));
        rest = later;
        hear(buffer.split(chunk, max_line), usize::from(lines), &mut heard);
    }
    hear(buffer.split(rest, max_line), usize::MAX, &mut heard);
    assert!(!buffer.has_line());
    heard.extend(buffer.finish().map(Some));
    assert_eq!(heard, plain_split(input.bytes, max_line));
});

/// Reads this many lines at most; `None` stands for one that was too long.
fn hear(mut lines: Lines<'_>, limit: usize, heard: &mut Vec<Option<Vec<u8>>>) {
    for _ in 0..limit {
        match lines.next() {
            Some(Line::Whole(line)) => heard.push(Some(line.to_vec())),
            Some(Line::TooLong) => heard.push(None),
            None => return,
        }
    }
}

fn plain_split(bytes: &[u8], max_line: usize) -> Vec<Option<Vec<u8>>> {
    let mut lines: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').collect();
    let last = lines.pop().expect("a split has at least one part");
    let within = |line: &[u8]| line.len() < max_line;
    let mut heard: Vec<_> =
        lines.into_iter().map(|line| within(line).then(|| line.strip_suffix(b"\r").unwrap_or(line).to_vec())).collect();
    if !last.is_empty() {
        heard.push(within(last).then(|| last.to_vec()));
    }
    heard
}
