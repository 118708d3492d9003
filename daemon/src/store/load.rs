//! Turns a freshly opened database into a mirror that keeps its invariants: reads every small record and repairs contradictions.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, RwLock};

use scened_common::domain::{ModelId, VideoId};

use super::disk::{Disk, Space};
use super::migrations::FORMAT;
use super::mirror::{Entry, Mirror};
use super::record::{self, Damage};
use super::side::{Progress, SideFile};
use super::transaction::{Inner, State, Writer, lock};
use super::{DamagedRecord, JobRecord, OpenReport, StoreError, VideoState, keys};
use crate::machine::clock::now_ms;

/// A start discards a longer change log: rebuilding an index is as quick as catching up with it.
const MAX_CHANGES: u64 = 100_000;

/// The content of the small keyspaces.
#[derive(Default)]
pub(super) struct Loaded {
    pub(super) state: Option<State>,
    mirror: Mirror,
    damaged: Vec<(&'static str, Vec<u8>, Option<VideoId>, Damage)>,
    max_id: u64,
    max_generation: u64,
}

impl Loaded {
    /// Returns a store without content that continues where a lost one ended, so that neither ids nor generations are used twice.
    pub(super) fn fresh(known: Progress) -> Self {
        Self {
            state: Some(State {
                format: FORMAT,
                generation: known.generation,
                next_id: known.next_id.max(1),
                log_floor: known.generation,
                n_videos: 0,
            }),
            ..Self::default()
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.max_id == 0 && self.damaged.is_empty()
    }
}

/// Reads state, videos, jobs and markers. **Errors**: fjall's errors about blocks it cannot read.
pub(super) fn load(disk: &Disk) -> fjall::Result<Loaded> {
    let mut loaded = Loaded::default();
    if let Some(bytes) = disk.meta.keyspace.get(keys::STATE)? {
        match record::unseal_json(keys::STATE, &bytes) {
            Ok(state) => loaded.state = Some(state),
            Err(damage) => loaded.damaged.push((disk.meta.name, keys::STATE.to_vec(), None, damage)),
        }
    }
    each(&disk.videos, |key, bytes| {
        let Some(id) = keys::parse_video(key) else {
            return loaded.damaged.push((disk.videos.name, key.to_vec(), None, bad_key()));
        };
        loaded.max_id = loaded.max_id.max(id.0);
        match record::unseal_video(id, key, bytes) {
            Ok((record, _)) if loaded.mirror.at(&record.path).is_some() => {
                let damage = Damage::Content("two videos have one path".to_owned());
                loaded.damaged.push((disk.videos.name, key.to_vec(), Some(id), damage));
            }
            Ok((record, indexed_as)) => loaded.mirror.put(Entry {
                record: Arc::new(record),
                indexed_as,
            }),
            Err(damage) => loaded.damaged.push((disk.videos.name, key.to_vec(), Some(id), damage)),
        }
    })?;
    each(&disk.jobs, |key, bytes| match keys::parse_video(key) {
        Some(id) => match record::unseal_job(id, key, bytes) {
            Ok(job) => {
                loaded.mirror.jobs.insert(id, job);
            }
            Err(damage) => loaded.damaged.push((disk.jobs.name, key.to_vec(), Some(id), damage)),
        },
        None => loaded.damaged.push((disk.jobs.name, key.to_vec(), None, bad_key())),
    })?;
    each(&disk.indexed, |key, bytes| {
        let parsed = keys::parse_model(key).and_then(|(model, rest)| Some((model, keys::parse_video(rest)?)));
        match parsed {
            Some((model, id)) => match record::unseal_json(key, bytes) {
                Ok(n_scenes) => loaded.mirror.set_indexed(&model, id, Some(n_scenes)),
                Err(damage) => loaded.damaged.push((disk.indexed.name, key.to_vec(), Some(id), damage)),
            },
            None => loaded.damaged.push((disk.indexed.name, key.to_vec(), None, bad_key())),
        }
    })?;
    if let Some(guard) = disk.changes.keyspace.last_key_value() {
        loaded.max_generation = keys::parse_generation(&guard.key()?).unwrap_or(0);
    }
    Ok(loaded)
}

fn each(space: &Space, mut use_pair: impl FnMut(&[u8], &[u8])) -> fjall::Result<()> {
    for guard in space.keyspace.iter() {
        let (key, value) = guard.into_inner()?;
        use_pair(&key, &value);
    }
    Ok(())
}

fn bad_key() -> Damage {
    Damage::Content("its key makes no sense".to_owned())
}

/// The findings from which the state of the store is settled.
struct Inventory {
    state: Option<State>,
    n_videos: u64,
    n_damaged_videos: u64,
    max_id: u64,
    max_generation: u64,
}

impl Inventory {
    fn settled(&self, known: Progress, report: &mut OpenReport) -> State {
        // A lost state record is rebuilt from the records it summed up. The change log is not trusted then.
        let mut settled = self.state.unwrap_or(State {
            format: FORMAT,
            generation: self.max_generation.max(known.generation),
            next_id: 1,
            log_floor: self.max_generation.max(known.generation),
            n_videos: 0,
        });
        settled.format = FORMAT;
        settled.next_id = settled.next_id.max(self.max_id + 1).max(known.next_id);
        let stored = self.state.map_or(self.max_generation, |state| state.generation);
        if known.generation > stored {
            report.lost_changes = known.generation - stored;
            tracing::error!(
                lost = report.lost_changes,
                "the store lost its last changes: its journal was damaged; a scan of the folders finds what is missing"
            );
            settled.generation = known.generation;
            settled.log_floor = known.generation;
        }
        let n_lost = settled.n_videos.saturating_sub(self.n_videos + self.n_damaged_videos);
        if n_lost > 0 {
            report.lost_changes += n_lost;
            tracing::error!(n_lost, "videos are missing from the store; a walk over the folders finds them");
        }
        if n_lost + self.n_damaged_videos > 0 {
            // Data derived from the store may hold scenes of videos whose loss no other record reports.
            settled.generation += 1;
            settled.log_floor = settled.generation;
        }
        settled.n_videos = self.n_videos;
        if settled.generation - settled.log_floor.min(settled.generation) > MAX_CHANGES {
            settled.log_floor = settled.generation;
        }
        settled
    }
}

/// Settles generation and ids, builds the store, and repairs the damage that `load` found, in one batch.
pub(super) fn finish(disk: Disk, loaded: Loaded, side: SideFile, known: Progress, report: &mut OpenReport) -> Result<Inner, StoreError> {
    let Loaded {
        state,
        mirror,
        damaged,
        max_id,
        max_generation,
    } = loaded;
    let n_damaged_videos = damaged.iter().filter(|(keyspace, ..)| *keyspace == disk.videos.name).count() as u64;
    let inventory = Inventory {
        state,
        n_videos: mirror.n_videos(),
        n_damaged_videos,
        max_id,
        max_generation,
    };
    let settled = inventory.settled(known, report);
    report.n_damaged = damaged.len();

    let inner = Inner {
        disk,
        mirror: RwLock::new(mirror),
        writer: Mutex::new(Writer {
            state: state.unwrap_or(State { format: 0, ..settled }),
            side,
        }),
        visible: Mutex::new(settled),
        hooks: RwLock::default(),
        damage: Mutex::default(),
        unreadable: Mutex::default(),
        settings_turn: Mutex::default(),
        broken: std::sync::OnceLock::new(),
        fatal_hooks: RwLock::default(),
    };
    for (keyspace, _, video, damage) in &damaged {
        tracing::error!(keyspace, video = video.map(tracing::field::display), %damage, "record set aside");
        lock(&inner.damage).found.push(DamagedRecord {
            keyspace,
            video: *video,
            reason: damage.to_string(),
        });
    }
    let is_new = report.fresh;
    let without_vectors = inner.write("repair the store", |transaction| {
        transaction.state = settled;
        if is_new {
            // The state of a fresh store equals its settled one, and so would not be written.
            let state = record::seal_json(keys::STATE, &settled)?;
            transaction.insert(&transaction.inner.disk.meta, keys::STATE, state);
        }
        repair(transaction, &damaged)
    })?;
    report.n_damaged += without_vectors.len();
    lock(&inner.damage)
        .found
        .extend(without_vectors.into_iter().map(|video| DamagedRecord {
            keyspace: "vectors",
            video: Some(video),
            reason: "an indexed video has none".to_owned(),
        }));
    inner.settle_settings(report)?;
    Ok(inner)
}

fn set_aside(
    transaction: &mut super::transaction::Transaction<'_>,
    damaged: &[(&'static str, Vec<u8>, Option<VideoId>, Damage)],
) -> Result<(), StoreError> {
    let inner = transaction.inner;
    let disk = &inner.disk;
    for (name, key, video, _) in damaged {
        let Some(space) = disk.space(name) else { continue };
        if *name != disk.meta.name {
            transaction.set_aside(space, key)?;
        }
        if *name == disk.videos.name {
            // Its path is lost: the next walk finds the file as a new one. Its other records are removed below as orphans.
            continue;
        }
        if let Some(entry) = video.and_then(|id| transaction.entry(id)) {
            transaction.queue_again(&entry, now_ms())?;
        }
    }
    Ok(())
}

fn repair(
    transaction: &mut super::transaction::Transaction<'_>,
    damaged: &[(&'static str, Vec<u8>, Option<VideoId>, Damage)],
) -> Result<Vec<VideoId>, StoreError> {
    let inner = transaction.inner;
    let mut without_vectors = Vec::new();
    let disk = &inner.disk;
    set_aside(transaction, damaged)?;
    let (videos, jobs, markers) = {
        let mirror = inner.mirror();
        let videos: Vec<_> = mirror.all();
        let jobs: BTreeSet<VideoId> = mirror.jobs.keys().copied().collect();
        let markers: Vec<(ModelId, VideoId, u32)> = mirror
            .models
            .iter()
            .flat_map(|(model, videos)| videos.iter().map(|(id, n)| (model.clone(), *id, *n)))
            .collect();
        (videos, jobs, markers)
    };
    for video in &videos {
        let has_job = transaction.job(video.id).is_some();
        match (video.state, has_job) {
            (VideoState::Pending, false) => {
                let job = JobRecord {
                    video: video.id,
                    queued_at_ms: now_ms(),
                    attempts: 0,
                    n_deaths: 0,
                    kind: super::JobKind::Index,
                };
                transaction.put_job(video.id, Some(job))?;
            }
            (VideoState::Indexed | VideoState::Failed, true) if jobs.contains(&video.id) => transaction.put_job(video.id, None)?,
            _ => {}
        }
    }
    for video in videos.iter().filter(|video| video.state == VideoState::Failed) {
        // The reason of the failure is lost: another attempt finds it.
        if transaction.incident(video)?.is_none()
            && let Some(entry) = transaction.entry(video.id)
        {
            transaction.queue_again(&entry, now_ms())?;
        }
    }
    for video in videos
        .iter()
        .filter(|video| video.state == VideoState::Indexed && video.n_scenes > 0)
    {
        // If only one model's vectors are missing, the pipeline makes them from the keyframe pictures.
        if inner.mirror().models_of(video.id).is_empty()
            && let Some(entry) = transaction
                .entry(video.id)
                .filter(|entry| entry.record.state == VideoState::Indexed)
        {
            transaction.queue_again(&entry, now_ms())?;
            without_vectors.push(video.id);
        }
    }
    if !without_vectors.is_empty() {
        tracing::error!(n = without_vectors.len(), "indexed videos have no vectors; they are queued again");
    }
    let known: BTreeSet<VideoId> = videos.iter().map(|video| video.id).collect();
    for id in jobs.difference(&known) {
        transaction.put_job(*id, None)?;
    }
    for (model, id, n_scenes) in markers {
        if !known.contains(&id) {
            transaction.delete_vectors(&model, id, 0..n_scenes)?;
            transaction.put_indexed_marker(&model, id, None)?;
            transaction.remove(&disk.scenes, &keys::video(id));
            transaction.remove(&disk.incidents, &keys::video(id));
        }
    }
    Ok(without_vectors)
}
