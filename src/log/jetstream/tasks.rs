//! What goes on at the same time: one turn is published, the others are read, letters come and go.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::{Request, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::checkpoints;
use super::engine::{Engine, RETRY, mailbox, subject};
use super::{Done, Job, Reporter};

/// A turn that has not come out of the log for so long after the log has taken it is given to it again.
const REPEAT: Duration = Duration::from_secs(5);
/// How long another server may take to answer a letter.
const ANSWER_TIME: Duration = Duration::from_secs(5);
/// How often the engine shows that it has nothing new.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// How long the engine remembers a reader that is gone.
const FORGET_TIME: Duration = Duration::from_secs(30);

/// Reads turns `after` a sequence, and does what it is told, until it is told to close.
pub async fn run(
    engine: Engine,
    after: u64,
    turns: watch::Receiver<Option<Bytes>>,
    mut jobs: mpsc::UnboundedReceiver<Job>,
    report: Reporter,
) {
    let engine = Arc::new(engine);
    tokio::spawn(read(Arc::clone(&engine), after + 1, report.clone()));
    tokio::spawn(publish(Arc::clone(&engine), turns, report.clone()));
    let mut listener: Option<JoinHandle<()>> = None;
    while let Some(job) = jobs.recv().await {
        match job {
            Job::Listen(server) => {
                if let Some(before) = listener.take() {
                    before.abort();
                }
                match engine.client.subscribe(mailbox(&engine.room, server)).await {
                    Ok(letters) => listener = Some(tokio::spawn(listen(letters, report.clone()))),
                    Err(error) => report.trouble(format!("cannot receive letters: {error}")).await,
                }
            }
            Job::Send { to, number, letter } => {
                tokio::spawn(send(Arc::clone(&engine), to, number, letter, report.clone()));
            }
            Job::Answer { reply, answer } => {
                // If the answer is lost, the other server waits for it no longer than it can.
                let _ = engine.client.publish(reply, answer.into()).await;
            }
            Job::Checkpoint(checkpoint) => {
                let (engine, report) = (Arc::clone(&engine), report.clone());
                tokio::spawn(async move {
                    if let Err(error) = checkpoints::keep(&engine, &checkpoint).await {
                        report.trouble(format!("{error:#}")).await;
                    }
                });
            }
            Job::Close(closed) => {
                let _ = engine.client.flush().await;
                // Whoever waited for it may have lost patience.
                let _ = closed.send(());
                return;
            }
        }
    }
}

/// Gives the turn under way to the log, again and again until it is settled.
async fn publish(engine: Arc<Engine>, mut turns: watch::Receiver<Option<Bytes>>, report: Reporter) {
    loop {
        let turn = turns.borrow_and_update().clone();
        let again = async {
            let Some(turn) = turn else { return std::future::pending().await };
            match publish_once(&engine, turn).await {
                Ok(()) => tokio::time::sleep(REPEAT).await,
                Err(error) => {
                    report.trouble(format!("{error:#}")).await;
                    tokio::time::sleep(RETRY).await;
                }
            }
        };
        tokio::select! {
            biased;
            change = turns.changed() => if change.is_err() { return },
            () = again => {}
        }
    }
}

/// Gives a turn to the log.
async fn publish_once(engine: &Engine, turn: Bytes) -> anyhow::Result<()> {
    let ack = engine.context.publish(subject(&engine.room), turn).await.context("NATS takes nothing")?;
    ack.await.context("NATS takes nothing")?;
    Ok(())
}

/// Reads the log from a place on, for ever.
async fn read(engine: Arc<Engine>, from: u64, report: Reporter) {
    let (mut next, mut last) = (from, None);
    loop {
        match read_on(&engine, &mut next, &mut last, &report).await {
            Ok(()) => {}
            Err(error) if error.is::<Lost>() => return report.tell(Done::Lost(error.to_string())).await,
            Err(error) => report.trouble(format!("{error:#}")).await,
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Reads the log until something goes wrong.
async fn read_on(engine: &Engine, next: &mut u64, last: &mut Option<Bytes>, report: &Reporter) -> anyhow::Result<()> {
    if !engine.has_all(last.as_ref().map(|turn| (*next - 1, &turn[..]))).await? {
        bail!(Lost("what was said is missing in NATS: the stream is gone, was made anew, or is an older copy".into()));
    }
    let config = pull::Config {
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: *next },
        ack_policy: AckPolicy::None,
        memory_storage: true,
        num_replicas: 1,
        inactive_threshold: FORGET_TIME,
        ..pull::Config::default()
    };
    let consumer = engine.stream.create_consumer(config).await.context("NATS gives nothing")?;
    let messages = consumer.stream().heartbeat(HEARTBEAT).messages().await.context("NATS gives nothing")?;
    let mut messages = pin!(messages);
    while let Some(message) = messages.next().await {
        let message = message.context("NATS gives nothing")?;
        let Ok(info) = message.info() else { bail!("NATS gives something without a place") };
        let sequence = info.stream_sequence;
        if sequence > *next {
            bail!(Lost(format!("turns {next} to {} are missing in NATS", sequence - 1)));
        }
        if sequence == *next {
            *next += 1;
            let turn = message.message.payload.clone();
            *last = Some(turn.clone());
            report.tell(Done::Turn { sequence, turn }).await;
        }
    }
    Ok(())
}

/// The log cannot be gone on with: some of it is gone.
#[derive(Debug)]
struct Lost(String);

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Lost {}

async fn listen(mut letters: Subscriber, report: Reporter) {
    while let Some(message) = letters.next().await {
        report.tell(Done::Letter { letter: message.payload, reply: message.reply }).await;
    }
}

async fn send(engine: Arc<Engine>, to: u64, number: u64, letter: Vec<u8>, report: Reporter) {
    let request = Request::new().payload(letter.into()).timeout(Some(ANSWER_TIME));
    let answer = engine.client.send_request(mailbox(&engine.room, to), request).await;
    let answer = answer.ok().map(|message| message.payload);
    report.tell(Done::Answer { number, answer }).await;
}
