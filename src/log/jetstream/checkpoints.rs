//! Checkpoints: which to begin with, and which are no longer needed.

use std::time::{Duration, SystemTime};

use anyhow::{Context, ensure};
use async_nats::jetstream::object_store::{ObjectMetadata, ObjectStore};
use futures_util::TryStreamExt;
use tokio::io::AsyncReadExt;

use super::engine::Engine;

/// The room after a turn.
#[derive(Debug)]
pub struct Checkpoint {
    /// The place of that turn in the log.
    pub sequence: u64,
    /// Where what was said ended.
    pub position: u64,
    /// When it was taken, since the UNIX epoch.
    pub at: Duration,
    /// The room.
    pub room: Vec<u8>,
}

/// A checkpoint that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kept {
    sequence: u64,
    position: u64,
    /// When it was taken, in seconds since the UNIX epoch.
    at: u64,
}

/// Fetches the checkpoint to begin with, where the log has the turns from `first` to `last`.
pub async fn find(store: &ObjectStore, first: u64, last: u64, scrollback: u64) -> anyhow::Result<Option<Checkpoint>> {
    let kept = list(store).await?;
    let is_whole = first <= 1;
    let Some(found) = choose(&kept, first, last, scrollback) else {
        ensure!(is_whole, "what was said before turn {first} is missing in NATS, and no checkpoint has it");
        return Ok(None);
    };
    let mut object = store.get(name(found.sequence)).await.context("cannot read a checkpoint")?;
    let mut room = Vec::new();
    object.read_to_end(&mut room).await.context("cannot read a checkpoint")?;
    let Kept { sequence, position, at } = found;
    Ok(Some(Checkpoint { sequence, position, at: Duration::from_secs(at), room }))
}

/// Keeps a checkpoint, and deletes what is older than it has to be.
pub async fn keep(engine: &Engine, checkpoint: &Checkpoint) -> anyhow::Result<()> {
    let Checkpoint { sequence, position, at, room } = checkpoint;
    let description = Some(format!("{position} {}", at.as_secs()));
    let object = ObjectMetadata { name: name(*sequence), description, ..ObjectMetadata::default() };
    engine.checkpoints.put(object, &mut &room[..]).await.context("cannot keep a checkpoint")?;
    let kept = list(&engine.checkpoints).await?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let Some(oldest) = oldest_needed(&kept, now.saturating_sub(engine.keep).as_secs()) else { return Ok(()) };
    engine.stream.purge().sequence(oldest.sequence + 1).await.context("cannot delete what is old")?;
    for old in kept.iter().take_while(|kept| kept.sequence < oldest.sequence) {
        engine.checkpoints.delete(name(old.sequence)).await.context("cannot delete what is old")?;
    }
    Ok(())
}

/// The checkpoints that there are, the oldest first.
async fn list(store: &ObjectStore) -> anyhow::Result<Vec<Kept>> {
    let objects: Vec<_> = store.list().await?.try_collect().await?;
    let kept = objects.into_iter().filter(|object| !object.deleted).filter_map(|object| {
        let (position, at) = object.description.as_deref()?.split_once(' ')?;
        Some(Kept { sequence: object.name.parse().ok()?, position: position.parse().ok()?, at: at.parse().ok()? })
    });
    let mut kept: Vec<Kept> = kept.collect();
    kept.sort_unstable();
    Ok(kept)
}

/// The latest one since which enough was said to fill a scrollback; else the oldest one that the log goes on from, unless
/// the log has everything.
fn choose(kept: &[Kept], first: u64, last: u64, scrollback: u64) -> Option<Kept> {
    let goes_on = |kept: &&Kept| kept.sequence + 1 >= first && kept.sequence <= last;
    let newest = kept.iter().rfind(goes_on)?.position;
    let is_old = |kept: &&Kept| kept.position + scrollback <= newest;
    let old = kept.iter().filter(goes_on).rfind(is_old);
    old.or_else(|| kept.iter().find(goes_on).filter(|_| first > 1)).copied()
}

/// The oldest one that is needed: the latest that was taken before `before`, but never one of the last two.
fn oldest_needed(kept: &[Kept], before: u64) -> Option<Kept> {
    let (_, rest) = kept.split_last()?;
    rest.iter().rfind(|kept| kept.at < before).copied()
}

fn name(sequence: u64) -> String {
    format!("{sequence:020}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> Vec<Kept> {
        (1..=9).map(|n| Kept { sequence: n * 10, position: n * 1000, at: n * 60 }).collect()
    }

    fn chosen(first: u64, last: u64, scrollback: u64) -> Option<u64> {
        choose(&kept(), first, last, scrollback).map(|kept| kept.sequence)
    }

    /// A server begins far enough back to fill its scrollback, as long as the log goes on from there.
    #[test]
    fn begins_far_enough_back() {
        assert_eq!(chosen(1, 95, 0), Some(90));
        assert_eq!(chosen(1, 95, 1), Some(80));
        assert_eq!(chosen(1, 95, 8000), Some(10));
        assert_eq!(chosen(1, 95, 8001), None, "the log has everything");
        assert_eq!(chosen(31, 95, 8001), Some(30), "the oldest from which the log goes on");
        assert_eq!(chosen(32, 95, 8001), Some(40));
        assert_eq!(chosen(92, 95, 0), None, "there is a gap");
        assert_eq!(choose(&[], 1, 95, 0), None);
    }

    /// What is old is deleted, but the last two checkpoints stay, however old they are.
    #[test]
    fn the_last_two_stay() {
        let oldest = |before| oldest_needed(&kept(), before).map(|kept| kept.sequence);
        assert_eq!([60, 61, 300, u64::MAX].map(oldest), [None, Some(10), Some(40), Some(80)]);
        assert_eq!(oldest_needed(&kept()[..1], u64::MAX), None);
    }
}
