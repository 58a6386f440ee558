//! The log in a file, written on a thread of its own: the loop never waits for a disk.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions, TryLockError};
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, bail};

pub use super::file::Recovered;
use super::file::{Batch, Checkpoint, LogFile, Said, open_for_reading};
use super::search::last_lines;
pub use super::search::{PastLine, Query};

/// How long after an error it is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// What was said is written with the next turn, or after this time.
const SAID_DELAY: Duration = Duration::from_millis(500);
/// How often what is too old is deleted.
const FORGET_TIME: Duration = Duration::from_secs(60 * 60);
/// The pause before the rest of it is deleted, if there is much.
const FORGET_PAUSE: Duration = Duration::from_millis(100);
/// How long one search may take. What it has not come to by then is not found.
const SEARCH_TIME: Duration = Duration::from_secs(2);

/// A log in a file.
///
/// ```text
///   submit ──> turns ──┐                        ┌──> committed
///   record ──> said ───┼──> one transaction ────┤
///   checkpoint ────────┘    on the thread       └──> error, and again after a second
/// ```
///
/// Everything that waits when the thread has time goes into one transaction. Turns are numbered: after an error the thread
/// opens the file anew and looks which number is the last one in it, so a commit that failed after it was written is not
/// written twice.
#[derive(Debug)]
pub struct Disk {
    jobs: Sender<Job>,
    done: Receiver<Done>,
    /// When each turn that is not committed was submitted.
    waiting: VecDeque<Instant>,
    committed: VecDeque<Vec<u8>>,
    answers: VecDeque<Answer>,
    error: Option<String>,
    /// The number of the last turn that was given back.
    applied: i64,
    /// Held for as long as this server has the file.
    _lock: File,
}

/// What was found.
#[derive(Debug)]
pub struct Answer {
    /// Who asked.
    pub id: u64,
    /// The lines, without their LF, oldest first.
    pub lines: Vec<PastLine>,
}

enum Job {
    Turn(Vec<u8>),
    Said(Said),
    Checkpoint(Checkpoint),
    Ask(u64, Query),
    Close,
}

enum Done {
    Committed(Vec<Vec<u8>>),
    Answered(Answer),
    Failed(String),
    Closed,
}

impl Disk {
    /// Opens the log in a file, or makes it, and reads what is in it; of what was said, the last `scrollback` bytes. What
    /// was said longer ago than `keep` is deleted now and then. `wake` is called on another thread when there is
    /// something to be taken from here.
    ///
    /// # Errors
    /// Where the file cannot be opened, is something else, or belongs to another server; it is left as it was.
    pub fn open(
        path: &Path,
        scrollback: usize,
        keep: Duration,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> anyhow::Result<(Disk, Recovered)> {
        let open = || -> anyhow::Result<_> {
            let lock = lock(path)?;
            let mut file = LogFile::open(path)?;
            let recovered = file.recover(scrollback)?;
            let written = file.last_turn()?;
            Ok((lock, file, written, recovered))
        };
        let (lock, file, written, recovered) =
            open().with_context(|| format!("cannot open the log {}", path.display()))?;
        let (jobs, to_do) = channel();
        let (report, done) = channel();
        let report = Reporter { report, wake: Arc::new(wake) };
        let (questions, to_answer) = channel();
        let reader = Reader { path: path.to_owned(), report: report.clone() };
        let writer = Writer {
            path: path.to_owned(),
            file: Some(file),
            keep,
            forget_at: Instant::now(),
            written,
            submitted: written,
            batch: Batch::default(),
            said_since: None,
            waiting_questions: Vec::new(),
            questions,
            report,
        };
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| thread::Builder::new().name(name.into()).spawn(run);
        spawn("log", Box::new(move || writer.run(&to_do))).context("cannot start a thread")?;
        spawn("log-reader", Box::new(move || reader.run(&to_answer))).context("cannot start a thread")?;
        let disk = Disk {
            jobs,
            done,
            waiting: VecDeque::new(),
            committed: VecDeque::new(),
            answers: VecDeque::new(),
            error: None,
            applied: written,
            _lock: lock,
        };
        Ok((disk, recovered))
    }

    /// Hands over the entries of one turn.
    pub fn submit(&mut self, entries: Vec<u8>) {
        self.waiting.push_back(Instant::now());
        self.give(Job::Turn(entries));
    }

    /// The entries of the next turn that is committed, as they were submitted.
    pub fn committed(&mut self) -> Option<Vec<u8>> {
        self.poll();
        let entries = self.committed.pop_front()?;
        self.applied += 1;
        Some(entries)
    }

    /// Records what came of the turns that [`Disk::committed`] has returned: whole lines, and when they were said.
    pub fn record(&mut self, position: u64, at: Duration, text: String) {
        self.give(Job::Said(Said { position, at, text }));
    }

    /// Keeps the room as it is after all the turns that [`Disk::committed`] has returned, in place of them; what was said
    /// ends at `position`.
    pub fn checkpoint(&mut self, position: u64, room: Vec<u8>) {
        self.give(Job::Checkpoint(Checkpoint { seq: self.applied, position, room }));
    }

    /// Looks for something in what was recorded so far; see [`Disk::answer`].
    pub fn ask(&mut self, id: u64, query: Query) {
        self.give(Job::Ask(id, query));
    }

    /// What was found.
    pub fn answer(&mut self) -> Option<Answer> {
        self.poll();
        self.answers.pop_front()
    }

    /// For how long the oldest turn that is not committed has waited for that.
    #[must_use]
    pub fn waiting(&self) -> Option<Duration> {
        self.waiting.front().map(Instant::elapsed)
    }

    /// Whether there is a turn that [`Disk::committed`] has not returned.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        !self.waiting.is_empty() || !self.committed.is_empty()
    }

    /// What went wrong since the last call.
    pub fn error(&mut self) -> Option<String> {
        self.poll();
        self.error.take()
    }

    /// Writes what waits, and closes the file in order.
    ///
    /// # Errors
    /// Where that fails or takes longer than `patience`.
    pub fn close(self, patience: Duration) -> anyhow::Result<()> {
        let until = Instant::now() + patience;
        self.give(Job::Close);
        loop {
            match self.done.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Done::Closed) => return Ok(()),
                Ok(Done::Failed(error)) => bail!(error),
                Ok(_) => {}
                Err(_) => bail!("the disk is too slow"),
            }
        }
    }

    fn give(&self, job: Job) {
        self.jobs.send(job).expect("the thread lives until it is told to close");
    }

    fn poll(&mut self) {
        while let Ok(done) = self.done.try_recv() {
            match done {
                Done::Committed(turns) => {
                    self.waiting.drain(..turns.len());
                    self.committed.extend(turns);
                }
                Done::Answered(answer) => self.answers.push_back(answer),
                Done::Failed(error) => self.error = Some(error),
                Done::Closed => {}
            }
        }
    }
}

/// Makes sure that no other server has the log. The file itself has SQLite's locks, which let others read.
fn lock(path: &Path) -> anyhow::Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(PathBuf::from(name))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!("another server has it"),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

/// Tells the loop what came of its jobs.
#[derive(Clone)]
struct Reporter {
    report: Sender<Done>,
    wake: Arc<dyn Fn() + Send + Sync>,
}

impl Reporter {
    fn tell(&self, done: Done) {
        // Nobody listens any more once the server has lost its patience.
        if self.report.send(done).is_ok() {
            (self.wake)();
        }
    }
}

/// The thread that writes.
struct Writer {
    path: PathBuf,
    /// `None` after an error.
    file: Option<LogFile>,
    keep: Duration,
    forget_at: Instant,
    /// The numbers of the last turn that is in the file, and of the last one that was submitted.
    written: i64,
    submitted: i64,
    batch: Batch,
    /// Since when something that was said waits.
    said_since: Option<Instant>,
    /// Questions that wait until everything before them is written.
    waiting_questions: Vec<(u64, Query)>,
    questions: Sender<(u64, Query)>,
    report: Reporter,
}

impl Writer {
    fn run(mut self, jobs: &Receiver<Job>) {
        loop {
            let quiet = self.forget_at.saturating_duration_since(Instant::now());
            let timeout = self.said_since.map_or(quiet, |since| SAID_DELAY.saturating_sub(since.elapsed()).min(quiet));
            let timeout = if self.file.is_some() { timeout } else { Duration::ZERO };
            let mut next = match jobs.recv_timeout(timeout) {
                Ok(job) => Some(job),
                Err(RecvTimeoutError::Timeout) => None,
                // The server is gone without a word.
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let mut is_closing = false;
            while let Some(job) = next {
                is_closing |= matches!(job, Job::Close);
                self.note(job);
                next = jobs.try_recv().ok();
            }
            if is_closing {
                let closed = self.write().and_then(|()| self.file.map_or(Ok(()), LogFile::close).map_err(Into::into));
                return self.report.tell(closed.map_or_else(|error| failed(&error), |()| Done::Closed));
            }
            if let Err(error) = self.work() {
                self.file = None;
                self.report.tell(failed(&error));
                thread::sleep(RETRY);
            }
        }
    }

    fn note(&mut self, job: Job) {
        match job {
            Job::Turn(entries) => {
                self.submitted += 1;
                self.batch.turns.push((self.submitted, entries));
            }
            Job::Said(said) => {
                self.said_since.get_or_insert_with(Instant::now);
                self.batch.said.push(said);
            }
            Job::Checkpoint(checkpoint) => self.batch.checkpoint = Some(checkpoint),
            Job::Ask(id, query) => self.waiting_questions.push((id, query)),
            Job::Close => {}
        }
    }

    /// Does what is due.
    fn work(&mut self) -> anyhow::Result<()> {
        let is_said_due = self.said_since.is_some_and(|since| since.elapsed() >= SAID_DELAY);
        let is_due = is_said_due || !self.batch.turns.is_empty() || self.batch.checkpoint.is_some();
        if is_due || !self.waiting_questions.is_empty() || self.file.is_none() {
            self.write()?;
            for question in self.waiting_questions.drain(..) {
                // The reader lives as long as this.
                let _ = self.questions.send(question);
            }
        }
        if self.forget_at <= Instant::now()
            && let Some(file) = &mut self.file
        {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let is_more = file.forget(now.saturating_sub(self.keep))?;
            self.forget_at = Instant::now() + if is_more { FORGET_PAUSE } else { FORGET_TIME };
        }
        Ok(())
    }

    /// Writes everything that waits.
    fn write(&mut self) -> anyhow::Result<()> {
        if self.file.is_none() {
            let file = LogFile::reopen(&self.path)?;
            self.written = file.last_turn()?;
            self.file = Some(file);
        }
        let file = self.file.as_mut().expect("it was opened");
        if self.batch.is_empty() {
            return Ok(());
        }
        file.write(&self.batch, self.written)?;
        self.written = self.submitted;
        self.said_since = None;
        let turns = mem::take(&mut self.batch).turns.into_iter().map(|(_, entries)| entries).collect();
        self.report.tell(Done::Committed(turns));
        Ok(())
    }
}

fn failed(error: &anyhow::Error) -> Done {
    Done::Failed(format!("{error:#}"))
}

/// The thread that looks things up, so that no commit waits for a search.
struct Reader {
    path: PathBuf,
    report: Reporter,
}

impl Reader {
    fn run(self, questions: &Receiver<(u64, Query)>) {
        for (id, query) in questions {
            let lines = open_for_reading(&self.path).and_then(|file| last_lines(&file, &query, SEARCH_TIME));
            match lines {
                Ok(lines) => self.report.tell(Done::Answered(Answer { id, lines })),
                Err(error) => {
                    self.report.tell(failed(&error.context("cannot look something up")));
                    self.report.tell(Done::Answered(Answer { id, lines: Vec::new() }));
                }
            }
        }
    }
}
