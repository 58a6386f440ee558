//! The log in NATS JetStream, which several servers share. The runtime of the NATS library has a thread of its own, which
//! knows no connection of ours: the loop never waits for the network.
//!
//! | what | where in NATS |
//! |---|---|
//! | turns, one in a message | stream `gotcp-ROOM`, subject `gotcp.ROOM.log` |
//! | checkpoints, named by the sequence of the last turn that they hold | object store `gotcp-ROOM` |
//! | letters to a server | subject `gotcp.ROOM.to.SERVER`, kept nowhere |
//!
//! ```text
//!   publish ──> the one turn under way ──> again until it is settled ──┐
//!                                                                      v
//!   poll <── 256 at most <── one consumer, in order <──────────── THE STREAM
//! ```

mod checkpoints;
mod engine;
mod tasks;

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use async_nats::Subject;
use bytes::Bytes;
use tokio::runtime;
use tokio::sync::{mpsc, watch};

pub use checkpoints::Checkpoint;

use super::nats::NatsPlace;
use engine::Engine;

/// How many turns that came out of the log wait to be applied. Beyond that no more are fetched.
const MAX_WAITING: usize = 256;
/// How long the engine may take until the room is there.
const PATIENCE: Duration = Duration::from_secs(15);

/// A log in NATS.
#[derive(Debug)]
pub struct JetStream {
    /// The turn under way.
    turn: watch::Sender<Option<Bytes>>,
    /// Since when.
    since: Option<Instant>,
    jobs: mpsc::UnboundedSender<Job>,
    done: mpsc::Receiver<Done>,
}

/// What there was when the log was opened.
#[derive(Debug)]
pub struct Recovered {
    /// The room at some moment; everything after it follows. `None` where everything follows.
    pub checkpoint: Option<Checkpoint>,
    /// The sequence of the last turn that there is.
    pub last: u64,
    /// How many engines keep the log.
    pub replicas: usize,
}

/// Something from the log, or about it.
#[derive(Debug)]
pub enum Done {
    /// The next turn.
    Turn {
        /// Its place in the log.
        sequence: u64,
        /// The turn.
        turn: Bytes,
    },
    /// Another server has sent a letter.
    Letter {
        /// What is in it.
        letter: Bytes,
        /// Where the answer goes.
        reply: Option<Subject>,
    },
    /// A letter of this server is answered; with nothing, if nobody has.
    Answer {
        /// Which one.
        number: u64,
        /// What the other server says.
        answer: Option<Bytes>,
    },
    /// Something went wrong, and is tried again.
    Trouble(String),
    /// Something went wrong that cannot be mended.
    Lost(String),
}

#[derive(Debug)]
enum Job {
    Listen(u64),
    Send { to: u64, number: u64, letter: Vec<u8> },
    Answer { reply: Subject, answer: Vec<u8> },
    Checkpoint(Checkpoint),
    Close(Sender<()>),
}

impl JetStream {
    /// Opens the log of a room, or makes it. The checkpoint is one that is so old that what was said since fills
    /// `scrollback` bytes, if there is one. What was said longer ago than `keep` is deleted now and then. `wake` is called
    /// on another thread when there is something to be taken from here.
    ///
    /// # Errors
    /// Where NATS cannot be reached, or what it has is something else or has a gap.
    pub fn open(
        place: &NatsPlace,
        scrollback: u64,
        keep: Duration,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> anyhow::Result<(JetStream, Recovered)> {
        let (turn, turns) = watch::channel(None);
        let (jobs, to_do) = mpsc::unbounded_channel();
        let (report, done) = mpsc::channel(MAX_WAITING);
        let report = Reporter { done: report, wake: Arc::new(wake) };
        let (opened, opening) = channel();
        let runtime = runtime::Builder::new_current_thread().enable_all().build().context("cannot start a runtime")?;
        let place_ = place.clone();
        let run = move || {
            runtime.block_on(async {
                let engine = async {
                    let engine = Engine::open(&place_, keep).await?;
                    let recovered = engine.recover(scrollback).await?;
                    anyhow::Ok((engine, recovered))
                };
                let engine = tokio::time::timeout(PATIENCE, engine).await;
                let engine = engine.unwrap_or_else(|_| Err(anyhow!("NATS does not answer")));
                match engine {
                    Ok((engine, recovered)) => {
                        let after = recovered.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.sequence);
                        if opened.send(Ok(recovered)).is_ok() {
                            tasks::run(engine, after, turns, to_do, report).await;
                        }
                    }
                    // Whoever waits for it is told; if nobody does, nobody needs it.
                    Err(error) => drop(opened.send(Err(error))),
                }
            });
        };
        thread::Builder::new().name("log".into()).spawn(run).context("cannot start a thread")?;
        let recovered = opening.recv().context("the thread of the log has ended")?;
        let recovered = recovered.with_context(|| format!("cannot open the log {place}"))?;
        Ok((JetStream { turn, since: None, jobs, done }, recovered))
    }

    /// Hands over a turn: the only one under way, until [`JetStream::settle`].
    pub fn publish(&mut self, turn: Vec<u8>) {
        self.since = Some(Instant::now());
        self.turn.send_replace(Some(turn.into()));
    }

    /// The turn under way has come out of the log, or is no longer wanted.
    pub fn settle(&mut self) {
        self.since = None;
        self.turn.send_replace(None);
    }

    /// For how long the turn under way has been so.
    #[must_use]
    pub fn waiting(&self) -> Option<Duration> {
        self.since.map(|since| since.elapsed())
    }

    /// The next thing that has happened.
    pub fn poll(&mut self) -> Option<Done> {
        self.done.try_recv().ok()
    }

    /// The same, waiting for it. `None` if the thread has ended.
    pub fn wait(&mut self) -> Option<Done> {
        self.done.blocking_recv()
    }

    /// Letters to this server are taken from now on, and to no other one.
    pub fn listen(&self, server: u64) {
        self.give(Job::Listen(server));
    }

    /// Sends a letter to another server. It is answered in any case.
    pub fn send(&self, to: u64, number: u64, letter: Vec<u8>) {
        self.give(Job::Send { to, number, letter });
    }

    /// Answers a letter.
    pub fn answer(&self, reply: Subject, answer: Vec<u8>) {
        self.give(Job::Answer { reply, answer });
    }

    /// Keeps the room as it is after a turn.
    pub fn checkpoint(&self, checkpoint: Checkpoint) {
        self.give(Job::Checkpoint(checkpoint));
    }

    /// Sends what was not sent yet, and ends the thread.
    pub fn close(self, patience: Duration) {
        let (closed, closing) = channel();
        self.give(Job::Close(closed));
        // Where the thread has ended or takes too long, nothing else can be done.
        let _ = closing.recv_timeout(patience);
    }

    fn give(&self, job: Job) {
        // Once the thread has ended, everybody has been told why.
        let _ = self.jobs.send(job);
    }
}

/// Tells the loop what has happened.
#[derive(Clone)]
struct Reporter {
    done: mpsc::Sender<Done>,
    wake: Arc<dyn Fn() + Send + Sync>,
}

impl Reporter {
    async fn tell(&self, done: Done) {
        // Nobody listens any more once the server ends.
        if self.done.send(done).await.is_ok() {
            (self.wake)();
        }
    }

    async fn trouble(&self, what: String) {
        self.tell(Done::Trouble(what)).await;
    }
}
