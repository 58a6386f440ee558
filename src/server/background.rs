//! Writing without waiting: to a terminal, a pipe or a disk, each of which may block for as long as it likes.

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

/// How long to wait before checking again whether a slow output has taken what it was given.
pub const POLL: Duration = Duration::from_millis(100);
/// How long after an error the job is tried again.
pub const RETRY: Duration = Duration::from_secs(1);

/// How long to wait for an output that another program has made non-blocking.
const PAUSE: Duration = Duration::from_millis(10);

/// Where a thread writes to.
pub type Output = Box<dyn Write + Send>;
/// Opens another output; called on the thread.
pub type Open = Box<dyn FnOnce() -> io::Result<Output> + Send>;

/// An output with a thread of its own, so that the caller never waits for it.
///
/// The thread has one job at a time; the caller keeps everything else, and the limit on it. Nothing is lost by an error:
/// what could not be written is kept and offered again, from the byte at which it failed.
pub struct Background {
    jobs: Sender<Job>,
    done: Receiver<Done>,
    is_busy: bool,
    /// How many of the bytes that were handed over are not known to be written.
    unwritten: usize,
    /// What is left of a batch after an error, and when to try again.
    failed: Option<(Batch, Duration)>,
    /// A buffer that has been written, for the caller to fill again.
    spare: Vec<u8>,
}

/// What came of a job.
#[derive(Debug)]
pub enum Outcome {
    /// All that was offered is written.
    Written,
    /// Not all of it is written; the rest will be tried again.
    NotWritten(io::Error),
    /// There is a new output.
    Replaced,
    /// The output is still the old one.
    NotReplaced(io::Error),
}

/// Bytes on their way to the output: whole lines.
struct Batch {
    bytes: Vec<u8>,
    /// How many of them the output has taken.
    written: usize,
}

enum Job {
    Write(Batch),
    Replace(Open),
}

enum Done {
    Write(Batch, io::Result<()>),
    Replace(io::Result<()>),
}

impl Background {
    /// Starts the thread. `name` is what a debugger shows.
    ///
    /// # Errors
    /// Where the system cannot start another thread.
    pub fn new(name: &str, output: Output) -> io::Result<Background> {
        let (jobs, to_do) = channel();
        let (report, done) = channel();
        thread::Builder::new().name(name.into()).spawn(move || work(output, &to_do, &report))?;
        Ok(Background { jobs, done, is_busy: false, unwritten: 0, failed: None, spare: Vec::new() })
    }

    /// Hands over what is in `lines`, and leaves it empty, unless the thread is busy or an earlier batch has failed. A
    /// batch that has failed is tried again first, once it is time to.
    pub fn offer(&mut self, lines: &mut Vec<u8>, now: Duration) {
        if self.is_busy {
            return;
        }
        match self.failed.take() {
            Some((batch, at)) if at <= now => self.give(Job::Write(batch)),
            None if !lines.is_empty() => {
                let bytes = std::mem::replace(lines, std::mem::take(&mut self.spare));
                self.unwritten = bytes.len();
                self.give(Job::Write(Batch { bytes, written: 0 }));
            }
            failed => self.failed = failed,
        }
    }

    /// Opens another output, to which everything is written that is not written yet. If the old output has only a part
    /// of a line, the whole line is written to the new one. The thread must not be busy.
    pub fn replace(&mut self, open: Open) {
        debug_assert!(!self.is_busy);
        self.give(Job::Replace(open));
    }

    /// The outcome of the last job, returned once, when the thread is done with it.
    pub fn outcome(&mut self, now: Duration) -> Option<Outcome> {
        let done = self.done.try_recv().ok()?;
        self.is_busy = false;
        Some(match done {
            Done::Write(mut batch, Ok(())) => {
                self.unwritten = 0;
                batch.bytes.clear();
                self.spare = batch.bytes;
                Outcome::Written
            }
            Done::Write(batch, Err(error)) => {
                self.unwritten = batch.bytes.len() - batch.written;
                self.failed = Some((batch, now + RETRY));
                Outcome::NotWritten(error)
            }
            Done::Replace(Ok(())) => {
                if let Some((batch, at)) = &mut self.failed {
                    batch.begin_line_again();
                    *at = now;
                }
                Outcome::Replaced
            }
            Done::Replace(Err(error)) => Outcome::NotReplaced(error),
        })
    }

    /// Whether the thread has a job.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Whether there is a job under way, or one to be tried again.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.is_busy || self.failed.is_some()
    }

    /// How many of the bytes that were handed over may not be written.
    #[must_use]
    pub fn unwritten(&self) -> usize {
        self.unwritten
    }

    /// When to try a failed batch again.
    #[must_use]
    pub fn retry_at(&self) -> Option<Duration> {
        self.failed.as_ref().map(|&(_, at)| at)
    }

    fn give(&mut self, job: Job) {
        self.jobs.send(job).expect("the thread runs as long as it is given jobs");
        self.is_busy = true;
    }
}

impl fmt::Debug for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Background").field("is_busy", &self.is_busy).finish_non_exhaustive()
    }
}

impl Batch {
    /// Writes what the output does not have yet. If that fails, `written` says how far it came.
    fn write_to(&mut self, output: &mut Output) -> io::Result<()> {
        while self.written < self.bytes.len() {
            match until_ready(|| output.write(&self.bytes[self.written..]))? {
                0 => return Err(ErrorKind::WriteZero.into()),
                count => self.written += count,
            }
        }
        until_ready(|| output.flush())
    }

    /// Goes back to the start of the line that is written in part.
    fn begin_line_again(&mut self) {
        self.written = memchr::memrchr(b'\n', &self.bytes[..self.written]).map_or(0, |at| at + 1);
    }
}

fn work(mut output: Output, jobs: &Receiver<Job>, report: &Sender<Done>) {
    for job in jobs {
        let done = match job {
            Job::Write(mut batch) => {
                let outcome = batch.write_to(&mut output);
                Done::Write(batch, outcome)
            }
            Job::Replace(open) => Done::Replace(open().map(|opened| output = opened)),
        };
        // This fails only if the caller is gone.
        let _ = report.send(done);
    }
}

/// Makes a non-blocking output behave like a blocking one.
fn until_ready<T>(mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match attempt() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(PAUSE),
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};
    use std::time::Instant;

    use super::*;

    const NOW: Duration = Duration::from_secs(7);

    /// An output that takes this many bytes or fails with this error, write after write; then it takes everything.
    #[derive(Clone, Default)]
    struct Moody {
        moods: Arc<Mutex<VecDeque<Result<usize, ErrorKind>>>>,
        taken: Arc<Mutex<Vec<u8>>>,
    }

    impl Moody {
        fn new(moods: impl Into<VecDeque<Result<usize, ErrorKind>>>) -> Moody {
            Moody { moods: Arc::new(Mutex::new(moods.into())), ..Moody::default() }
        }

        fn text(&self) -> String {
            String::from_utf8(self.taken.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Moody {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = self.moods.lock().unwrap().pop_front().unwrap_or(Ok(bytes.len()))?;
            self.taken.lock().unwrap().extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn wait(background: &mut Background) -> Outcome {
        let started = Instant::now();
        loop {
            if let Some(outcome) = background.outcome(NOW) {
                return outcome;
            }
            assert!(started.elapsed() < Duration::from_secs(30), "the thread is not done");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// After an error the output gets the rest, no byte twice and none left out, and what comes later comes after it.
    #[test]
    fn goes_on_where_it_failed() {
        let output = Moody::new([Ok(2), Err(ErrorKind::StorageFull), Err(ErrorKind::Interrupted), Ok(1)]);
        let mut background = Background::new("test", Box::new(output.clone())).unwrap();
        let mut lines = b"one\ntwo\n".to_vec();
        background.offer(&mut lines, NOW);
        assert!(lines.is_empty());
        assert!(matches!(wait(&mut background), Outcome::NotWritten(error) if error.kind() == ErrorKind::StorageFull));
        lines.extend_from_slice(b"three\n");
        background.offer(&mut lines, NOW);
        assert_eq!(background.unwritten(), "e\ntwo\n".len());
        assert!(!background.is_busy(), "it is too early to try again");
        background.offer(&mut lines, NOW + RETRY);
        assert!(matches!(wait(&mut background), Outcome::Written));
        background.offer(&mut lines, NOW + RETRY);
        assert!(matches!(wait(&mut background), Outcome::Written));
        assert_eq!(output.text(), "one\ntwo\nthree\n");
        assert!(!background.is_behind() && background.unwritten() == 0);
    }

    /// An output that is not ready is waited for: that is not an error.
    #[test]
    fn waits_for_a_non_blocking_output() {
        let output = Moody::new([Ok(2), Err(ErrorKind::WouldBlock), Err(ErrorKind::WouldBlock)]);
        let mut background = Background::new("test", Box::new(output.clone())).unwrap();
        background.offer(&mut b"one\n".to_vec(), NOW);
        assert!(matches!(wait(&mut background), Outcome::Written));
        assert_eq!(output.text(), "one\n");
    }

    /// A new output begins with a whole line: the one that the old output has only in part. Where none can be opened,
    /// the old one goes on.
    #[test]
    fn a_new_output_begins_with_a_whole_line() {
        let old = Moody::new([Ok(6), Err(ErrorKind::StorageFull)]);
        let new = Moody::default();
        let mut background = Background::new("test", Box::new(old.clone())).unwrap();
        background.offer(&mut b"one\ntwo\nthree\n".to_vec(), NOW);
        assert!(matches!(wait(&mut background), Outcome::NotWritten(_)));
        background.replace(Box::new(|| Err(ErrorKind::PermissionDenied.into())));
        assert!(matches!(wait(&mut background), Outcome::NotReplaced(_)));
        let opened = Box::new(new.clone());
        background.replace(Box::new(move || Ok(opened)));
        assert!(matches!(wait(&mut background), Outcome::Replaced));
        background.offer(&mut Vec::new(), NOW);
        assert!(matches!(wait(&mut background), Outcome::Written));
        assert_eq!((old.text().as_str(), new.text().as_str()), ("one\ntw", "two\nthree\n"));
    }
}
