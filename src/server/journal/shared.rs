//! A log in NATS, which other servers have as well.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use async_nats::Subject;
use bytes::Bytes;

use super::{Log, time_of_day};
use crate::lobby::letters::{Delivery, Letter};
use crate::lobby::limits::Limits;
use crate::lobby::questions::Question;
use crate::lobby::{Lobby, Random};
use crate::log::jetstream::{Checkpoint, Done, JetStream, Recovered};
use crate::log::nats::NatsPlace;
use crate::log::search::holds_all;
use crate::room::Room;
use crate::room::entry::Unusable;
use crate::room::scrollback::Scrollback;
use crate::room::servers::ServerId;
use crate::room::turn::Turn;
use crate::server::clock::Clock;
use crate::server::console::Console;

/// What others say is held back for readers who are behind, but the server itself is never further behind the log.
const MAX_BEHIND: Duration = Duration::from_secs(2);
/// A checkpoint is taken after so many bytes of turns...
const CHECKPOINT_BYTES: usize = 4 * 1024 * 1024;
/// ...or so long after the one before.
const CHECKPOINT_TIME: Duration = Duration::from_secs(60 * 60);
/// How many letters may wait for what the log has before them.
const MAX_LETTERS: usize = 1000;
/// How long one look back into the scrollback may take.
const SEARCH_TIME: Duration = Duration::from_millis(20);
/// At the start, a log that gives nothing for so long is given up.
const PATIENCE: Duration = Duration::from_secs(15);

/// The log of a room that several servers share.
///
/// One turn of this server is under way at a time; what is proposed meanwhile makes the next one. All turns, those of the
/// others too, are applied in the order in which they come out of the log.
#[derive(Debug)]
pub struct SharedLog {
    stream: JetStream,
    /// What it is called on the console.
    name: String,
    /// Which run of this server the others know.
    server: ServerId,
    /// This server's turn that has not come out of the log.
    under_way: Option<Vec<u8>>,
    /// A turn that has come out, for which there is no room yet, and its place.
    held: Option<(u64, Bytes)>,
    /// Since when the server is behind the log.
    behind_since: Option<Duration>,
    letters: VecDeque<(Letter, Option<Subject>)>,
    times: Times,
    rhythm: Rhythm,
    trouble: Option<String>,
    is_failing: bool,
    /// Whether the others have just taken this server for gone, so that it goes on as another one.
    was_taken_for_gone: bool,
}

/// When checkpoints are taken: it follows from the log, so that they are the same whoever takes them.
#[derive(Debug, Default)]
struct Rhythm {
    last: Option<Duration>,
    bytes: usize,
}

/// When what is in the scrollback was said, to the second.
#[derive(Debug, Default)]
struct Times(VecDeque<(u64, Duration)>);

impl SharedLog {
    /// Opens the log, and makes the room that it has kept.
    ///
    /// # Errors
    /// Where NATS cannot be reached, or has something else.
    pub fn open(
        place: &NatsPlace,
        keep: Duration,
        limits: Limits,
        random: Random,
        wake: impl Fn() + Send + Sync + 'static,
        console: &mut Console,
    ) -> anyhow::Result<(SharedLog, Lobby, Clock)> {
        let scrollback = Scrollback::new(limits.scrollback).context("there is not enough memory")?;
        let (mut stream, recovered) = JetStream::open(place, scrollback.capacity() as u64, keep, wake)?;
        let replicas = recovered.replicas;
        let (mut times, mut rhythm) = (Times::default(), Rhythm::default());
        let room = catch_up(&mut stream, recovered, scrollback, &mut times, &mut rhythm);
        let room = room.with_context(|| format!("cannot read the log {place}"))?;
        let copies = if replicas == 1 { "one copy".into() } else { format!("{replicas} copies") };
        console.status(format_args!("the room is {place}, in {copies}"));
        let clock = Clock::new(room.now());
        let lobby = Lobby::with_shared_log(room, limits, random);
        let server = lobby.server();
        stream.listen(server.number());
        let log = SharedLog {
            stream,
            name: place.to_string(),
            server,
            under_way: None,
            held: None,
            behind_since: None,
            letters: VecDeque::new(),
            times,
            rhythm,
            trouble: None,
            is_failing: false,
            was_taken_for_gone: false,
        };
        Ok((log, lobby, clock))
    }

    /// Applies a turn that has come out of the log.
    fn apply_turn(&mut self, sequence: u64, turn: &[u8], lobby: &mut Lobby, now: Duration) -> Result<(), Unusable> {
        let from = lobby.room().scrollback().end();
        lobby.apply(turn, now)?;
        self.times.note(lobby.room(), from);
        if self.under_way.as_deref() == Some(turn) {
            self.settle();
        }
        if self.server != lobby.server() {
            self.server = lobby.server();
            self.settle();
            self.stream.listen(self.server.number());
            self.was_taken_for_gone = true;
        }
        if self.rhythm.is_due(lobby.room(), turn.len())
            && lobby.room().servers().present().next().is_some_and(|(first, _)| first == self.server)
        {
            let (position, at) = (lobby.room().scrollback().end(), lobby.room().now());
            self.stream.checkpoint(Checkpoint { sequence, position, at, room: lobby.room().checkpoint() });
        }
        Ok(())
    }

    /// There is no room for a turn, since readers are behind. Returns whether there is after all, because they have been
    /// waited for long enough.
    fn waits_no_longer(&mut self, lobby: &mut Lobby, turn: &[u8], now: Duration) -> bool {
        if *self.behind_since.get_or_insert(now) + MAX_BEHIND > now {
            return false;
        }
        self.behind_since = Some(now);
        lobby.stop_waiting(now);
        lobby.has_room_to_apply(turn).is_ok_and(|has_room| has_room)
    }

    fn settle(&mut self) {
        self.under_way = None;
        self.stream.settle();
    }

    /// The next turn that has come out of the log, and its place. What else has happened is noted.
    fn receive(&mut self, lobby: &mut Lobby) -> anyhow::Result<Option<(u64, Bytes)>> {
        if self.held.is_some() {
            return Ok(self.held.take());
        }
        while let Some(done) = self.stream.poll() {
            match done {
                Done::Turn { sequence, turn } => return Ok(Some((sequence, turn))),
                Done::Letter { letter, reply } if self.letters.len() < MAX_LETTERS => {
                    // What cannot be read is not answered.
                    self.letters.extend(postcard::from_bytes(&letter).ok().map(|letter| (letter, reply)));
                }
                Done::Letter { .. } => {}
                Done::Answer { number, answer } => {
                    let delivery = answer.and_then(|answer| postcard::from_bytes(&answer).ok());
                    lobby.letter_answered(number, delivery.unwrap_or(Delivery::Unreachable));
                }
                Done::Trouble(trouble) => self.trouble = Some(trouble),
                Done::Lost(why) => bail!(why),
            }
        }
        self.behind_since = None;
        Ok(None)
    }

    /// Gives letters to their readers once what the log has before them is applied.
    fn deliver(&mut self, lobby: &mut Lobby) {
        let turns = lobby.room().digest().turns();
        for (letter, reply) in std::mem::take(&mut self.letters) {
            if letter.after > turns {
                self.letters.push_back((letter, reply));
                continue;
            }
            let delivery = lobby.deliver(&letter);
            if let Some(reply) = reply {
                self.stream.answer(reply, postcard::to_stdvec(&delivery).expect("a vector takes everything"));
            }
        }
    }

    /// What the scrollback has of what was asked for, oldest first, with the time of day.
    fn look_back(&self, scrollback: &Scrollback, question: &Question) -> Vec<(String, String)> {
        let until = Instant::now() + SEARCH_TIME;
        let words: Vec<String> = question.words.iter().map(|word| word.to_lowercase()).collect();
        let oldest = scrollback.line_start_from(scrollback.start());
        let mut end = scrollback.end();
        let mut found = Vec::new();
        while found.len() < question.lines && Instant::now() < until {
            let (start, count) = scrollback.last_lines(end, 1, oldest);
            if count == 0 {
                break;
            }
            let line: Vec<u8> = scrollback.pieces(start, end - 1).flatten().copied().collect();
            let line = String::from_utf8(line).expect("lines that were sanitised");
            if holds_all(&line, &words) {
                found.push((time_of_day(self.times.at(start)), line));
            }
            end = start;
        }
        found.reverse();
        found
    }
}

impl Log for SharedLog {
    fn apply(&mut self, lobby: &mut Lobby, now: Duration) -> anyhow::Result<()> {
        let trouble = format!("cannot go on with the log {}", self.name);
        while let Some((sequence, turn)) = self.receive(lobby).with_context(|| trouble.clone())? {
            let has_room = lobby.has_room_to_apply(&turn).with_context(|| trouble.clone())?;
            if has_room || self.waits_no_longer(lobby, &turn, now) {
                self.apply_turn(sequence, &turn, lobby, now).with_context(|| trouble.clone())?;
            } else {
                self.held = Some((sequence, turn));
                break;
            }
        }
        self.deliver(lobby);
        Ok(())
    }

    fn submit(&mut self, lobby: &mut Lobby, now: Duration, console: &mut Console) {
        if self.under_way.is_none()
            && let Some(turn) = lobby.next_turn()
        {
            self.under_way = Some(turn.clone());
            self.stream.publish(turn);
        }
        for (to, number, letter) in lobby.take_letters() {
            let letter = postcard::to_stdvec(&letter).expect("a vector takes everything");
            self.stream.send(to.number(), number, letter);
        }
        for question in lobby.take_questions() {
            let lines = self.look_back(lobby.room().scrollback(), &question);
            lobby.answer(question.asker, &lines, now);
        }
        if let Some(trouble) = self.trouble.take()
            && !std::mem::replace(&mut self.is_failing, true)
        {
            console.trouble(format_args!("the log {} is out of reach: {trouble}", self.name));
        } else if self.is_failing && self.stream.waiting().is_none() {
            self.is_failing = false;
            console.status(format_args!("the log {} is back", self.name));
        }
        if std::mem::take(&mut self.was_taken_for_gone) {
            console.trouble(format_args!("the other servers took this one for gone; who was here has to come again"));
        }
    }

    fn waiting(&self) -> Option<Duration> {
        self.stream.waiting()
    }

    fn wake_at(&self) -> Option<Duration> {
        self.behind_since.map(|since| since + MAX_BEHIND)
    }

    fn is_behind(&self) -> bool {
        self.under_way.is_some() || self.held.is_some()
    }

    fn close(self: Box<Self>, _: &Lobby, patience: Duration, _: &mut Console) {
        self.stream.close(patience);
    }
}

/// Makes the room that the log has kept.
fn catch_up(
    stream: &mut JetStream,
    recovered: Recovered,
    scrollback: Scrollback,
    times: &mut Times,
    rhythm: &mut Rhythm,
) -> anyhow::Result<Room> {
    let (mut room, mut at) = match recovered.checkpoint {
        Some(checkpoint) => (Room::restore(&checkpoint.room, scrollback, b"")?, checkpoint.sequence),
        None => (Room::with_scrollback(scrollback), 0),
    };
    if at > 0 {
        rhythm.last = Some(room.now());
    }
    let mut progress = Instant::now();
    while at < recovered.last {
        match stream.wait().context("the thread of the log has ended")? {
            Done::Turn { sequence, turn } => {
                (at, progress) = (sequence, Instant::now());
                let from = room.scrollback().end();
                room.apply_turn(&Turn::decode(&turn)?)?;
                times.note(&room, from);
                rhythm.is_due(&room, turn.len());
            }
            Done::Lost(why) => bail!(why),
            Done::Trouble(trouble) if progress.elapsed() > PATIENCE => bail!(trouble),
            Done::Trouble(_) | Done::Letter { .. } | Done::Answer { .. } => {}
        }
    }
    Ok(room)
}

impl Rhythm {
    /// A turn of so many bytes was applied. Returns whether a checkpoint is to be taken now.
    fn is_due(&mut self, room: &Room, bytes: usize) -> bool {
        self.bytes += bytes;
        let last = *self.last.get_or_insert(room.now());
        let is_due = self.bytes >= CHECKPOINT_BYTES || room.now() >= last + CHECKPOINT_TIME;
        if is_due {
            *self = Rhythm { last: Some(room.now()), bytes: 0 };
        }
        is_due
    }
}

impl Times {
    /// What was said from a position on was said now.
    fn note(&mut self, room: &Room, from: u64) {
        let is_new = self.0.back().is_none_or(|(_, at)| at.as_secs() != room.now().as_secs());
        if is_new && from < room.scrollback().end() {
            self.0.push_back((from, room.now()));
        }
        while self.0.get(1).is_some_and(|&(position, _)| position <= room.scrollback().start()) {
            self.0.pop_front();
        }
    }

    /// When what is at a position was said.
    fn at(&self, position: u64) -> Duration {
        let after = self.0.partition_point(|&(from, _)| from <= position);
        after.checked_sub(1).map_or(Duration::ZERO, |index| self.0[index].1)
    }
}
