//! NATS as it is found: the connection, the stream, and whether it is ours.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use async_nats::datetime::DateTime;
use async_nats::jetstream::context::{CreateStreamErrorKind, GetStreamError, GetStreamErrorKind};
use async_nats::jetstream::object_store::{self, ObjectStore};
use async_nats::jetstream::stream::{Config, DiscardPolicy, Info, Stream};
use async_nats::jetstream::{Context, ErrorCode};
use async_nats::{Client, ConnectErrorKind, ConnectOptions, ServerAddr};

use super::Recovered;
use super::checkpoints;
use crate::log::nats::{Login, NatsPlace};

/// How many engines keep a room, if there are so many.
const REPLICAS: usize = 3;
/// The least that one message may have, in bytes: a turn is at most 64 KiB and one entry long.
const MIN_PAYLOAD: usize = 512 * 1024;
/// How long one request may take; then it is tried again.
const REQUEST_TIME: Duration = Duration::from_secs(2);
/// How long it is tried to connect at the start.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// The time between two signs of life; an engine that misses two is left for another one.
const PING: Duration = Duration::from_secs(2);
/// How long engines may take to elect one that speaks for all.
const ELECTION_TIME: Duration = Duration::from_secs(10);
/// How long they may take to agree on what the stream has.
const SETTLING_TIME: Duration = Duration::from_secs(2);
/// How long after a failure it is tried again.
pub const RETRY: Duration = Duration::from_millis(250);
/// What tells a stream of ours from others.
const DESCRIPTION: &str = "a room of gotcp";

/// What there is of a room in NATS.
pub struct Engine {
    pub client: Client,
    pub context: Context,
    pub stream: Stream,
    pub checkpoints: ObjectStore,
    pub room: String,
    pub keep: Duration,
    /// When the stream was made.
    created: DateTime,
}

impl Engine {
    /// Connects, and finds the room or makes it.
    pub async fn open(place: &NatsPlace, keep: Duration) -> anyhow::Result<Engine> {
        let client = connect(place).await?;
        let info = client.server_info();
        ensure!(info.jetstream, "this NATS keeps nothing: it has to run with JetStream (-js)");
        ensure!(
            info.max_payload >= MIN_PAYLOAD,
            "this NATS takes messages of {} bytes, and {MIN_PAYLOAD} are needed: see max_payload",
            info.max_payload
        );
        let mut context = async_nats::jetstream::new(client.clone());
        context.set_timeout(REQUEST_TIME);
        let name = format!("gotcp-{}", place.room);
        let stream = find(&context, &name, &subject(&place.room), info.cluster.is_some()).await?;
        let replicas = stream.cached_info().config.num_replicas;
        let created = stream.cached_info().created;
        let checkpoints = checkpoint_store(&context, &name, replicas).await?;
        Ok(Engine { created, client, context, stream, checkpoints, room: place.room.clone(), keep })
    }

    /// Whether the stream is still the one that was opened, and has what was read of it `last`: a turn, and its place.
    pub async fn has_all(&self, last: Option<(u64, &[u8])>) -> anyhow::Result<bool> {
        let Some(mut info) = self.info().await? else { return Ok(false) };
        let Some((sequence, turn)) = last else { return Ok(info.created == self.created) };
        if info.state.last_sequence < sequence {
            // Another engine may be about to speak for the stream, and not know of it yet.
            tokio::time::sleep(SETTLING_TIME).await;
            let Some(again) = self.info().await? else { return Ok(false) };
            info = again;
        }
        if info.created != self.created || info.state.last_sequence < sequence {
            return Ok(false);
        }
        if info.state.first_sequence > sequence {
            // What is old is deleted.
            return Ok(true);
        }
        let kept = self.stream.get_raw_message(sequence).await.context("NATS gives nothing")?;
        Ok(kept.payload[..] == *turn)
    }

    /// What the stream is like; `None` if there is none. While the engines elect one that speaks for all, there may seem
    /// to be none.
    async fn info(&self) -> anyhow::Result<Option<Info>> {
        let until = Instant::now() + ELECTION_TIME;
        loop {
            match self.context.get_stream(&self.stream.cached_info().config.name).await {
                Ok(stream) => return Ok(Some(stream.cached_info().clone())),
                Err(error) if !is_missing(&error) => return Err(error).context("NATS gives nothing"),
                Err(_) if Instant::now() > until => return Ok(None),
                Err(_) => {}
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// What there is to begin with.
    pub async fn recover(&self, scrollback: u64) -> anyhow::Result<Recovered> {
        let info = self.stream.get_info().await?;
        let (first, last) = (info.state.first_sequence, info.state.last_sequence);
        let checkpoint = checkpoints::find(&self.checkpoints, first, last, scrollback).await?;
        Ok(Recovered { checkpoint, last, replicas: info.config.num_replicas })
    }
}

/// Where turns go.
pub fn subject(room: &str) -> String {
    format!("gotcp.{room}.log")
}

/// Where letters to a server go.
pub fn mailbox(room: &str, server: u64) -> String {
    format!("gotcp.{room}.to.{server:016x}")
}

async fn connect(place: &NatsPlace) -> anyhow::Result<Client> {
    let scheme = if place.is_tls { "tls" } else { "nats" };
    let servers: Result<Vec<ServerAddr>, _> =
        place.servers.iter().map(|server| format!("{scheme}://{server}").parse()).collect();
    let mut options = ConnectOptions::new()
        .name("gotcp")
        .require_tls(place.is_tls)
        .request_timeout(Some(REQUEST_TIME))
        .connection_timeout(REQUEST_TIME)
        .ping_interval(PING)
        .reconnect_delay_callback(|_| RETRY);
    if let Some(path) = std::env::var_os("NATS_CREDS") {
        let credentials = options.credentials_file(&path).await;
        options = credentials.with_context(|| format!("cannot read the credentials {}", path.display()))?;
    }
    options = match &place.login {
        Login::Nobody => options,
        Login::Token(token) => options.token(token.clone()),
        Login::User(user, password) => options.user_and_password(user.clone(), password.clone()),
    };
    let servers = servers?;
    let until = Instant::now() + CONNECT_TIME;
    loop {
        match options.clone().connect(&servers[..]).await {
            Ok(client) => return Ok(client),
            // It may be about to start, like this server.
            Err(error)
                if matches!(error.kind(), ConnectErrorKind::Io | ConnectErrorKind::TimedOut)
                    && Instant::now() < until =>
            {
                tokio::time::sleep(RETRY).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Finds the stream, or makes it. While the engines elect one that speaks for all, there is no answer, or a wrong one.
async fn find(context: &Context, name: &str, subject: &str, is_cluster: bool) -> anyhow::Result<Stream> {
    let mut replicas = if is_cluster { REPLICAS } else { 1 };
    loop {
        match context.get_stream(name).await {
            Ok(stream) => return check(stream, name, subject),
            Err(error) if is_missing(&error) => {}
            Err(error) => {
                if let GetStreamErrorKind::JetStream(error) = error.kind() {
                    bail!("NATS refuses: {error}");
                }
                tokio::time::sleep(RETRY).await;
                continue;
            }
        }
        let config = Config {
            name: name.into(),
            subjects: vec![subject.into()],
            description: Some(DESCRIPTION.into()),
            num_replicas: replicas,
            // Nothing is said rather than something forgotten.
            discard: DiscardPolicy::New,
            ..Config::default()
        };
        match context.create_stream(config).await {
            Ok(stream) => return check(stream, name, subject),
            Err(error) => match error.kind() {
                CreateStreamErrorKind::JetStream(error)
                    if [ErrorCode::CLUSTER_NO_PEERS, ErrorCode::INSUFFICIENT_RESOURCES]
                        .contains(&error.error_code())
                        && replicas > 1 =>
                {
                    // A cluster of two.
                    replicas = 1;
                }
                CreateStreamErrorKind::JetStream(error) => bail!("NATS refuses to keep the room: {error}"),
                _ => tokio::time::sleep(RETRY).await,
            },
        }
    }
}

/// Whether there is no such stream.
fn is_missing(error: &GetStreamError) -> bool {
    matches!(error.kind(), GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

fn check(stream: Stream, name: &str, subject: &str) -> anyhow::Result<Stream> {
    let config = &stream.cached_info().config;
    ensure!(
        config.description.as_deref() == Some(DESCRIPTION) && config.subjects == [subject],
        "the stream {name} in NATS is not a room of gotcp"
    );
    Ok(stream)
}

async fn checkpoint_store(context: &Context, bucket: &str, replicas: usize) -> anyhow::Result<ObjectStore> {
    loop {
        if let Ok(store) = context.get_object_store(bucket).await {
            return Ok(store);
        }
        let config = object_store::Config {
            bucket: bucket.into(),
            description: Some(DESCRIPTION.into()),
            num_replicas: replicas,
            ..object_store::Config::default()
        };
        if let Ok(store) = context.create_object_store(config).await {
            return Ok(store);
        }
        tokio::time::sleep(RETRY).await;
    }
}
