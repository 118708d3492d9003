//! One writer at a time: collects the changes of a call, commits them as one synced batch, then makes them visible to readers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, RwLock, TryLockError};
use std::time::Instant;

use fjall::PersistMode;
use scened_common::domain::{ModelId, VideoId};
use serde::{Deserialize, Serialize};

use super::disk::{Disk, Found, Space};
use super::mirror::{Entry, Mirror};
use super::record::{self, Damage};
use super::side::{Progress, SideFile};
use super::{Change, ChangeKind, DamagedRecord, JobRecord, StoreError, VideoState, keys, opener};
use crate::failpoint;
use crate::machine::clock::now_ms;

type Hook = Box<dyn Fn(&Change) + Send + Sync>;
pub(super) type FatalHook = Box<dyn Fn(&str) + Send + Sync>;

pub(super) struct Inner {
    pub(super) disk: Disk,
    pub(super) mirror: RwLock<Mirror>,
    pub(super) writer: Mutex<Writer>,
    /// Generation and log floor as readers see them. They change together with the mirror.
    pub(super) visible: Mutex<State>,
    pub(super) hooks: RwLock<Vec<Hook>>,
    /// Why nothing can be written any more; set once.
    pub(super) broken: OnceLock<String>,
    pub(super) fatal_hooks: RwLock<Vec<FatalHook>>,
    /// Held while a setting and its copy are written.
    pub(super) settings_turn: Mutex<()>,
    /// When the system last could not read a record, and why.
    pub(super) unreadable: Mutex<Option<(Instant, String)>>,
    /// Damaged records: those found since the start, and those whose repair waits for the commit lock.
    pub(super) damage: Mutex<DamageLog>,
}

/// State that only the holder of the commit lock touches.
pub(super) struct Writer {
    pub(super) state: State,
    pub(super) side: SideFile,
}

/// The one record of the keyspace `meta`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) format: u32,
    pub(super) generation: u64,
    pub(super) next_id: u64,
    /// The change log holds every change after this generation.
    pub(super) log_floor: u64,
    /// If opening finds fewer videos than this, a whole keyspace was lost.
    pub(super) n_videos: u64,
}

struct Waiting {
    space: Space,
    key: Vec<u8>,
    video: Option<VideoId>,
    damage: Damage,
}

#[derive(Default)]
pub(super) struct DamageLog {
    pub(super) found: Vec<DamagedRecord>,
    waiting: Vec<Waiting>,
}

/// Further damaged records appear only in the log.
const MAX_DAMAGE_LISTED: usize = 1_000;
/// Ids have 40 bits.
const MAX_VIDEO_ID: u64 = (1 << 40) - 1;

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere leaves the value intact: each is replaced in one step.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    pub(super) fn mirror(&self) -> std::sync::RwLockReadGuard<'_, Mirror> {
        self.mirror.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notifies the fatal hooks, once, that nothing can be written any more.
    fn broke(&self, reason: &str) {
        if self.broken.set(reason.to_owned()).is_ok() {
            for hook in self.fatal_hooks.read().unwrap_or_else(PoisonError::into_inner).iter() {
                hook(reason);
            }
        }
    }

    /// Commits the changes that `build` collects. Does nothing if it fails or collects nothing.
    pub(super) fn write<T>(
        &self,
        action: &'static str,
        build: impl FnOnce(&mut Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut writer = lock(&self.writer);
        let value = self.write_locked(&mut writer, action, build)?;
        self.repair(&mut writer);
        Ok(value)
    }

    fn write_locked<T>(
        &self,
        writer: &mut Writer,
        action: &'static str,
        build: impl FnOnce(&mut Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut transaction = Transaction::new(self, writer.state);
        let value = build(&mut transaction)?;
        transaction.commit(writer, action)?;
        Ok(value)
    }

    /// Notes a damaged record and repairs it now, or after the commit in progress.
    pub(super) fn note_damage(&self, space: &Space, key: &[u8], video: Option<VideoId>, damage: Damage) {
        lock(&self.damage).waiting.push(Waiting {
            space: space.clone(),
            key: key.to_vec(),
            video,
            damage,
        });
        match self.writer.try_lock() {
            Ok(mut writer) => self.repair(&mut writer),
            Err(TryLockError::Poisoned(poisoned)) => self.repair(&mut poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => {}
        }
    }

    /// Moves damaged records to `damaged` and queues their videos again.
    pub(super) fn repair(&self, writer: &mut Writer) {
        loop {
            let mut waiting = std::mem::take(&mut lock(&self.damage).waiting);
            // A reader between a commit and the update of the mirror may have missed a record that was removed.
            waiting.retain(|item| item.damage != Damage::Missing || self.is_missing(item));
            if waiting.is_empty() {
                return;
            }
            for Waiting { space, key, video, damage } in &waiting {
                tracing::error!(keyspace = space.name, key = %hex::encode(key), video = video.map(tracing::field::display), %damage, "record set aside");
                let mut log = lock(&self.damage);
                if log.found.len() < MAX_DAMAGE_LISTED {
                    log.found.push(DamagedRecord {
                        keyspace: space.name,
                        video: *video,
                        reason: damage.to_string(),
                    });
                }
            }
            let repaired = self.write_locked(writer, "set damaged records aside", |transaction| {
                for item in &waiting {
                    transaction.set_aside(&item.space, &item.key)?;
                    if let Some(entry) = item.video.and_then(|id| transaction.entry(id)) {
                        transaction.queue_again(&entry, now_ms())?;
                    }
                }
                Ok(())
            });
            if let Err(error) = repaired {
                tracing::error!(%error, "damaged records could not be set aside");
                return;
            }
        }
    }

    /// Decides whether the mirror has this record and the disk does not. Call it only with the commit lock held.
    fn is_missing(&self, item: &Waiting) -> bool {
        let mirror = self.mirror();
        let is_expected = if item.space.name == self.disk.scenes.name {
            item.video
                .and_then(|id| mirror.get(id))
                .is_some_and(|entry| entry.record.n_scenes > 0)
        } else {
            let index = |rest: &[u8]| Some(u32::from_be_bytes(rest.get(8..12)?.try_into().ok()?));
            let parsed = keys::parse_model(&item.key).and_then(|(model, rest)| Some((model, index(rest)?)));
            parsed.zip(item.video).is_some_and(|((model, index), id)| {
                mirror
                    .models
                    .get(&model)
                    .and_then(|videos| videos.get(&id))
                    .is_some_and(|n_scenes| index < *n_scenes)
            })
        };
        is_expected && matches!(item.space.get(&item.key), Ok(Found::Nothing))
    }
}

/// The changes of one batch. A later change of a key replaces an earlier one: all items of a fjall batch have the same sequence number, so
/// no key may occur twice.
pub(super) struct Transaction<'a> {
    pub(super) inner: &'a Inner,
    pub(super) state: State,
    items: BTreeMap<(&'static str, Vec<u8>), Option<Vec<u8>>>,
    videos: BTreeMap<VideoId, Option<Entry>>,
    paths: BTreeMap<PathBuf, Option<VideoId>>,
    jobs: BTreeMap<VideoId, Option<JobRecord>>,
    indexed: BTreeMap<(ModelId, VideoId), Option<u32>>,
    changes: Vec<Change>,
}

impl<'a> Transaction<'a> {
    fn new(inner: &'a Inner, state: State) -> Self {
        Self {
            inner,
            state,
            items: BTreeMap::new(),
            videos: BTreeMap::new(),
            paths: BTreeMap::new(),
            jobs: BTreeMap::new(),
            indexed: BTreeMap::new(),
            changes: Vec::new(),
        }
    }

    pub(super) fn insert(&mut self, space: &Space, key: &[u8], value: Vec<u8>) {
        self.items.insert((space.name, key.to_vec()), Some(value));
    }

    pub(super) fn remove(&mut self, space: &Space, key: &[u8]) {
        self.items.insert((space.name, key.to_vec()), None);
    }

    /// Returns the video as this transaction leaves it.
    pub(super) fn entry(&self, id: VideoId) -> Option<Entry> {
        match self.videos.get(&id) {
            Some(pending) => pending.clone(),
            None => self.inner.mirror().get(id).cloned(),
        }
    }

    pub(super) fn at(&self, path: &Path) -> Option<VideoId> {
        match self.paths.get(path) {
            Some(pending) => *pending,
            None => self.inner.mirror().at(path),
        }
    }

    pub(super) fn job(&self, id: VideoId) -> Option<JobRecord> {
        match self.jobs.get(&id) {
            Some(pending) => pending.clone(),
            None => self.inner.mirror().jobs.get(&id).cloned(),
        }
    }

    pub(super) fn new_id(&mut self) -> Result<VideoId, StoreError> {
        let id = self.state.next_id;
        if id > MAX_VIDEO_ID {
            return Err(StoreError::invalid("another video", "all 2^40 ids are used"));
        }
        self.state.next_id += 1;
        Ok(VideoId(id))
    }

    pub(super) fn put_video(&mut self, entry: Entry) -> Result<(), StoreError> {
        let record = &entry.record;
        let key = keys::video(record.id);
        let value = record::seal_video(&key, record, entry.indexed_as)?;
        self.insert(&self.inner.disk.videos, &key, value);
        if let Some(before) = self.entry(record.id)
            && before.record.path != record.path
            && self.at(&before.record.path) == Some(record.id)
        {
            self.paths.insert(before.record.path.clone(), None);
        }
        self.paths.insert(record.path.clone(), Some(record.id));
        self.videos.insert(record.id, Some(entry));
        Ok(())
    }

    /// Removes a video and everything stored for it.
    pub(super) fn delete_video(&mut self, entry: &Entry) -> Result<(), StoreError> {
        let id = entry.record.id;
        self.delete_content(entry)?;
        self.remove(&self.inner.disk.videos, &keys::video(id));
        self.remove(&self.inner.disk.incidents, &keys::video(id));
        self.put_job(id, None)?;
        if self.at(&entry.record.path) == Some(id) {
            self.paths.insert(entry.record.path.clone(), None);
        }
        self.videos.insert(id, None);
        self.change(
            id,
            ChangeKind::Removed {
                path: entry.record.path.clone(),
            },
            entry.record.n_scenes,
        )
    }

    /// Removes scenes, thumbnails and the vectors of all models.
    pub(super) fn delete_content(&mut self, entry: &Entry) -> Result<(), StoreError> {
        let disk = &self.inner.disk;
        let id = entry.record.id;
        self.remove(&disk.scenes, &keys::video(id));
        for index in 0..entry.record.n_scenes {
            self.remove(&disk.thumbnails, &keys::scene(scened_common::domain::SceneId { video: id, index }));
        }
        let models = self.inner.mirror().models_of(id);
        for (model, n_scenes) in models {
            self.delete_vectors(&model, id, 0..n_scenes)?;
            self.put_indexed_marker(&model, id, None)?;
        }
        Ok(())
    }

    pub(super) fn delete_vectors(&mut self, model: &ModelId, video: VideoId, scenes: std::ops::Range<u32>) -> Result<(), StoreError> {
        for index in scenes {
            self.remove(
                &self.inner.disk.vectors,
                &keys::vectors(model, scened_common::domain::SceneId { video, index })?,
            );
        }
        Ok(())
    }

    pub(super) fn put_indexed_marker(&mut self, model: &ModelId, video: VideoId, n_scenes: Option<u32>) -> Result<(), StoreError> {
        let key = keys::model_video(model, video)?;
        match n_scenes {
            Some(n) => self.insert(&self.inner.disk.indexed, &key, record::seal_json(&key, &n)?),
            None => self.remove(&self.inner.disk.indexed, &key),
        }
        self.indexed.insert((model.clone(), video), n_scenes);
        Ok(())
    }

    /// Queues a video that had no attempt yet.
    pub(super) fn put_new_job(&mut self, video: VideoId, now_ms: i64) -> Result<(), StoreError> {
        let job = JobRecord {
            video,
            queued_at_ms: now_ms,
            attempts: 0,
            n_deaths: 0,
            kind: super::JobKind::Index,
        };
        self.put_job(video, Some(job))
    }

    pub(super) fn put_job(&mut self, video: VideoId, job: Option<JobRecord>) -> Result<(), StoreError> {
        let key = keys::video(video);
        match &job {
            Some(job) => self.insert(&self.inner.disk.jobs, &key, record::seal_job(&key, job)?),
            None => self.remove(&self.inner.disk.jobs, &key),
        }
        self.jobs.insert(video, job);
        Ok(())
    }

    /// Makes a video pending with a job, unless it already is.
    pub(super) fn queue_again(&mut self, entry: &Entry, now_ms: i64) -> Result<(), StoreError> {
        let id = entry.record.id;
        if entry.record.state == VideoState::Pending && self.job(id).is_some() {
            return Ok(());
        }
        let mut record = (*entry.record).clone();
        record.state = VideoState::Pending;
        let n_scenes = record.n_scenes;
        self.put_video(Entry {
            record: record.into(),
            indexed_as: entry.indexed_as,
        })?;
        self.put_new_job(id, now_ms)?;
        self.change(id, ChangeKind::Record, n_scenes)
    }

    /// Moves the bytes of a damaged record to `damaged`. Bytes that the engine itself cannot read are only covered by a remove.
    pub(super) fn set_aside(&mut self, space: &Space, key: &[u8]) -> Result<(), StoreError> {
        if let Found::Bytes(bytes) = space.get(key)? {
            self.insert(&self.inner.disk.damaged, &keys::damaged(space.name, key), bytes.to_vec());
        }
        self.remove(space, key);
        Ok(())
    }

    pub(super) fn change(&mut self, video: VideoId, kind: ChangeKind, n_scenes_before: u32) -> Result<(), StoreError> {
        self.state.generation += 1;
        let change = Change {
            generation: self.state.generation,
            video,
            kind,
            n_scenes_before,
        };
        let key = change.generation.to_be_bytes();
        self.insert(&self.inner.disk.changes, &key, record::seal_change(&key, &change)?);
        self.changes.push(change);
        Ok(())
    }

    fn commit(mut self, writer: &mut Writer, action: &'static str) -> Result<(), StoreError> {
        {
            let mirror = self.inner.mirror();
            for (id, entry) in &self.videos {
                let (before, after) = (u64::from(mirror.get(*id).is_some()), u64::from(entry.is_some()));
                self.state.n_videos = self.state.n_videos + after - before;
            }
        }
        let state_changed = self.state != writer.state;
        if self.items.is_empty() && !state_changed {
            return Ok(());
        }
        let disk = &self.inner.disk;
        if state_changed {
            let state = record::seal_json(keys::STATE, &self.state)?;
            self.insert(&disk.meta, keys::STATE, state);
        }
        let mut batch = disk.database.batch().durability(Some(PersistMode::SyncAll));
        for ((name, key), value) in self.items {
            let space = disk.space(name).expect("items are collected by keyspaces of this disk");
            match value {
                Some(value) => batch.insert(&space.keyspace, key, value),
                None => batch.remove(&space.keyspace, key),
            }
        }
        let begun = failpoint::hit("commit.begin").map_err(fjall::Error::Io);
        // If the process ends between the two, the next start loads the committed changes and builds the mirror again.
        let committed = begun
            .and_then(|()| batch.commit())
            .and_then(|()| failpoint::hit("commit.end").map_err(fjall::Error::Io));
        committed.map_err(|error| {
            opener::suspect(&disk.folder, &error.to_string());
            self.inner.broke(&error.to_string());
            StoreError::Fatal {
                action,
                source: Box::new(error),
            }
        })?;
        writer.state = self.state;
        {
            let mut mirror = self.inner.mirror.write().unwrap_or_else(PoisonError::into_inner);
            mirror.replace(self.videos);
            for (id, job) in self.jobs {
                match job {
                    Some(job) => mirror.jobs.insert(id, job),
                    None => mirror.jobs.remove(&id),
                };
            }
            for ((model, video), n_scenes) in self.indexed {
                mirror.set_indexed(&model, video, n_scenes);
            }
            *lock(&self.inner.visible) = self.state;
        }
        let progress = Progress {
            generation: self.state.generation,
            next_id: self.state.next_id,
        };
        if let Err(error) = failpoint::hit("side.begin").and_then(|()| writer.side.write(progress)) {
            tracing::warn!(%error, "the side file of the store was not written: a shortened journal may go unnoticed");
        }
        // From here on only memory changes.
        if let Err(error) = failpoint::hit("side.end") {
            tracing::warn!(%error, "asked to go wrong where nothing can");
        }
        let hooks = self.inner.hooks.read().unwrap_or_else(PoisonError::into_inner);
        for change in &self.changes {
            for hook in hooks.iter() {
                hook(change);
            }
        }
        Ok(())
    }
}
