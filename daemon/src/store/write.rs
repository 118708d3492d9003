//! The calls that change the store; each is one transaction.

use std::path::Path;
use std::sync::{Arc, PoisonError};

use scened_common::domain::{FileStamp, Fingerprint, ModelId, VideoId};

use super::check;
use super::content::{Copied, is_of_one_moment};
use super::{
    Cause, Change, ChangeKind, IncidentRecord, IndexedVideo, JobKind, Move, NewVideo, SceneVectors, Store, StoreError, Touch, VideoRecord,
    VideoState, keys,
};

/// Videos in one batch of the calls for many ([`Store::add_videos`], [`Store::move_videos`] and the like): bounds memory, and 30,000 new files
/// cost seven syncs.
const VIDEOS_PER_BATCH: usize = 5_000;
/// Keys removed in one batch of [`Store::purge_some`]: other writers wait for one.
const KEYS_PER_BATCH: usize = 2_000;

impl Store {
    /// Adds a video as pending, with its job. **Errors**: [`StoreError::PathTaken`].
    pub fn add_video(&self, video: NewVideo, now_ms: i64) -> Result<Arc<VideoRecord>, StoreError> {
        self.inner.write("add a video", |transaction| {
            if let Some(other) = transaction.at(&video.path) {
                return Err(StoreError::PathTaken {
                    path: video.path,
                    video: other,
                });
            }
            transaction.add(video, now_ms)
        })
    }

    /// Adds many videos in few batches (a walk over new files); gives those added. A path that is there already is skipped.
    pub fn add_videos(&self, videos: Vec<NewVideo>, now_ms: i64) -> Result<Vec<Arc<VideoRecord>>, StoreError> {
        let mut added = Vec::with_capacity(videos.len());
        let mut videos = videos.into_iter().peekable();
        while videos.peek().is_some() {
            let batch: Vec<NewVideo> = videos.by_ref().take(VIDEOS_PER_BATCH).collect();
            self.inner.write("add videos", |transaction| {
                for video in batch {
                    if transaction.at(&video.path).is_none() {
                        added.push(transaction.add(video, now_ms)?);
                    }
                }
                Ok(())
            })?;
        }
        Ok(added)
    }

    /// Queues many videos anew, in few batches; what they had stays searchable. Ids that are gone or pending are skipped.
    pub fn queue_again(&self, ids: &[VideoId], now_ms: i64) -> Result<(), StoreError> {
        for batch in ids.chunks(VIDEOS_PER_BATCH) {
            self.inner.write("queue videos again", |transaction| {
                for id in batch {
                    if let Some(entry) = transaction.entry(*id) {
                        transaction.queue_again(&entry, now_ms)?;
                    }
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Queues a video: its content changed (`Some`), or it is tried again. What it had stays searchable; its incident stays until success.
    pub fn requeue(&self, id: VideoId, content: Option<(FileStamp, Fingerprint)>, now_ms: i64) -> Result<(), StoreError> {
        self.requeue_to(JobKind::Index, id, content, now_ms)
    }

    /// [`Store::requeue`] for a job of this kind.
    pub fn requeue_to(&self, kind: JobKind, id: VideoId, content: Option<(FileStamp, Fingerprint)>, now_ms: i64) -> Result<(), StoreError> {
        self.inner
            .write("queue a video", |transaction| transaction.requeue(kind, id, content, now_ms))
    }

    /// Queues the videos of some incidents again, in few batches; gives their number.
    pub fn retry_incidents(&self, which: impl Fn(&IncidentRecord) -> bool, now_ms: i64) -> Result<usize, StoreError> {
        let ids: Vec<VideoId> = self.incidents()?.into_iter().filter(which).map(|incident| incident.video).collect();
        let mut n_queued = 0;
        for batch in ids.chunks(VIDEOS_PER_BATCH) {
            self.inner.write("queue failed videos again", |transaction| {
                for id in batch {
                    if transaction.entry(*id).is_some_and(|entry| entry.record.state == VideoState::Failed) {
                        transaction.requeue(JobKind::Index, *id, None, now_ms)?;
                        n_queued += 1;
                    }
                }
                Ok(())
            })?;
        }
        Ok(n_queued)
    }

    /// Queues the videos again of which the drive or the machine kept a part; gives their number.
    pub fn retry_parts(&self, now_ms: i64) -> Result<usize, StoreError> {
        let is_part = |record: &Arc<VideoRecord>| record.is_part && record.state == VideoState::Indexed;
        let ids: Vec<VideoId> = self
            .videos()
            .iter()
            .filter(|record| is_part(record))
            .map(|record| record.id)
            .collect();
        self.queue_again(&ids, now_ms)?;
        Ok(ids.len())
    }

    /// Adds a file with the bytes of another: copies scenes, vectors of all models and thumbnails, without a job.
    ///
    /// Becomes an ordinary pending video where `from` itself is not indexed with these bytes.
    /// **Errors**: [`StoreError::Gone`], [`StoreError::PathTaken`].
    pub fn clone_video(&self, from: VideoId, video: NewVideo, now_ms: i64) -> Result<Arc<VideoRecord>, StoreError> {
        let source_scenes = self.scenes(from)?;
        self.inner.write("copy a video", |transaction| {
            if let Some(other) = transaction.at(&video.path) {
                return Err(StoreError::PathTaken {
                    path: video.path,
                    video: other,
                });
            }
            let source = transaction.entry(from).ok_or(StoreError::Gone(from))?;
            let is_whole = source.record.is_sound()
                && source.record.fingerprint == video.fingerprint
                && source.indexed_as == Some(video.fingerprint)
                && source.record.n_scenes as usize == source_scenes.len();
            if !is_whole {
                return transaction.add(video, now_ms);
            }
            transaction.copy(&source.record, &source_scenes, video)
        })
    }

    /// Gives a video another path. A video that was at the new path is removed: its file was overwritten.
    pub fn move_video(&self, id: VideoId, new_path: &Path, stamp: FileStamp, on_root_device: bool) -> Result<(), StoreError> {
        self.inner.write("move a video", |transaction| {
            transaction.move_video(&Move {
                video: id,
                path: new_path.to_owned(),
                stamp,
                on_root_device,
            })
        })
    }

    /// [`Store::move_video`] for many, in their order, in few batches (a folder was renamed). Ids that are gone are skipped.
    pub fn move_videos(&self, moves: &[Move]) -> Result<(), StoreError> {
        for batch in moves.chunks(VIDEOS_PER_BATCH) {
            self.inner.write("move videos", |transaction| {
                for moved in batch {
                    match transaction.move_video(moved) {
                        Ok(()) | Err(StoreError::Gone(_)) => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Notes that the same contents have other modification times or inodes, in few batches. Ids that are gone are skipped.
    pub fn touch_videos(&self, touched: &[Touch]) -> Result<(), StoreError> {
        for batch in touched.chunks(VIDEOS_PER_BATCH) {
            self.inner.write("update videos", |transaction| {
                for touch in batch {
                    if let Some(entry) = transaction.entry(touch.video) {
                        let mut record = (*entry.record).clone();
                        record.stamp = touch.stamp;
                        record.on_root_device = touch.on_root_device;
                        transaction.update(&entry, record, ChangeKind::Record)?;
                    }
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Marks videos as out of reach, or as back. Ids that are gone are skipped. What failed for the drive's or the machine's sake, and is back,
    /// is queued again.
    pub fn set_offline(&self, ids: &[VideoId], offline: bool) -> Result<(), StoreError> {
        for batch in ids.chunks(VIDEOS_PER_BATCH) {
            self.inner.write("mark videos offline", |transaction| {
                for id in batch {
                    if let Some(entry) = transaction.entry(*id) {
                        let mut record = (*entry.record).clone();
                        record.offline = offline;
                        transaction.update(&entry, record, ChangeKind::Offline)?;
                        if !offline {
                            transaction.retry_if_blameless(*id, crate::machine::clock::now_ms())?;
                        }
                    }
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Removes videos and all they have. Ids that are gone are skipped.
    pub fn remove_videos(&self, ids: &[VideoId]) -> Result<(), StoreError> {
        for batch in ids.chunks(VIDEOS_PER_BATCH) {
            self.inner.write("remove videos", |transaction| {
                for id in batch {
                    if let Some(entry) = transaction.entry(*id) {
                        transaction.delete_video(&entry)?;
                    }
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Stores what indexing a video gave, as one batch, and removes its job and incident. Vectors of other models stay as long as content
    /// and scenes are the same.
    ///
    /// **Errors**: [`StoreError::Gone`] when it was removed meanwhile, [`StoreError::Superseded`] when `indexed.record.fingerprint` is not
    /// the stored one any more, [`StoreError::Invalid`] when lengths do not match or the model is missing.
    pub fn put_indexed(&self, indexed: IndexedVideo) -> Result<(), StoreError> {
        check::indexed_video(&indexed)?;
        let scenes_before = self.scenes(indexed.record.id)?;
        self.inner.write("store an indexed video", |transaction| {
            transaction.put_indexed(indexed, &scenes_before)
        })
    }

    /// [`Store::put_indexed`] with what `twin` has, whose bytes are the same: its scenes, thumbnails, and vectors of all models.
    ///
    /// `twin` may be the video itself, where only its file's time changed. `model`: the one that it counts as indexed for.
    /// `others`: vectors that the twin does not have. False: the twin is not what it was, and nothing was stored.
    ///
    /// **Errors**: as of [`Store::put_indexed`].
    pub fn put_copy(
        &self,
        video: &VideoRecord,
        twin: VideoId,
        model: &ModelId,
        others: &[(ModelId, Vec<SceneVectors>)],
    ) -> Result<bool, StoreError> {
        let scenes = self.scenes(twin)?;
        let scenes_before = self.scenes(video.id)?;
        others
            .iter()
            .try_for_each(|(model, vectors)| check::other_vectors(scenes.len(), model, vectors))?;
        let copied = Copied {
            video,
            twin,
            model,
            others,
        };
        self.inner
            .write("store a copy", |transaction| transaction.put_copy(&copied, &scenes, &scenes_before))
    }

    /// Adds the vectors of a model to the scenes that a video has; one element a scene, in order of time.
    ///
    /// **Errors**: [`StoreError::Gone`] when it was removed meanwhile, [`StoreError::Superseded`] when what is indexed is not this content
    /// any more or has another number of scenes.
    pub fn put_vectors(&self, id: VideoId, fingerprint: &Fingerprint, model: &ModelId, vectors: &[SceneVectors]) -> Result<(), StoreError> {
        check::dimensions(vectors)?;
        self.inner.write("store vectors", |transaction| {
            transaction.put_vectors(id, fingerprint, model, vectors)
        })
    }

    /// Notes that a worker died on a video that waits for indexing; gives how often one did since it was queued.
    ///
    /// It is durable, so that a video which takes the daemon with it does not get its attempts again at each start.
    /// **Errors**: [`StoreError::Superseded`] when the content changed since, or no job is left.
    pub fn note_death(&self, video: &VideoRecord) -> Result<u32, StoreError> {
        self.inner.write("note the death of a worker", |transaction| {
            let entry = transaction.entry(video.id).ok_or(StoreError::Gone(video.id))?;
            let job = transaction.job(video.id).filter(|_| entry.record.fingerprint == video.fingerprint);
            let mut job = job.ok_or(StoreError::Superseded(video.id))?;
            job.n_deaths += 1;
            let n_deaths = job.n_deaths;
            transaction.put_job(video.id, Some(job))?;
            Ok(n_deaths)
        })
    }

    /// Notes that a video could not be indexed; gives the number of attempts at this content so far.
    ///
    /// What it had stays searchable, unless that belongs to earlier content: then it is dropped.
    pub fn put_failed(
        &self,
        id: VideoId,
        reason: &str,
        hint: Option<&str>,
        cause: Cause,
        software: &str,
        now_ms: i64,
    ) -> Result<u32, StoreError> {
        self.inner.write("store an incident", |transaction| {
            transaction.put_failed(id, reason, hint, cause, software, now_ms)
        })
    }

    /// [`Store::put_failed`] for the content that a job was about. **Errors**: [`StoreError::Superseded`] when it changed since.
    pub fn put_failed_for(
        &self,
        video: &VideoRecord,
        reason: &str,
        hint: Option<&str>,
        cause: Cause,
        software: &str,
        now_ms: i64,
    ) -> Result<u32, StoreError> {
        self.inner.write("store an incident", |transaction| {
            let entry = transaction.entry(video.id).ok_or(StoreError::Gone(video.id))?;
            if entry.record.fingerprint != video.fingerprint || !is_of_one_moment(&entry.record, video) {
                return Err(StoreError::Superseded(video.id));
            }
            transaction.put_failed(video.id, reason, hint, cause, software, now_ms)
        })
    }

    /// Takes all vectors of a model out of sight, in one batch; [`Store::purge_some`] frees their room.
    pub fn hide_model(&self, model: &ModelId) -> Result<(), StoreError> {
        let videos = self.videos_with_vectors(model);
        self.inner.write("hide a model", |transaction| {
            videos
                .iter()
                .try_for_each(|video| transaction.put_indexed_marker(model, *video, None))
        })
    }

    /// Deletes some vectors of a model that is hidden; whether more may be left. A model that has vectors again keeps them all.
    pub fn purge_some(&self, model: &ModelId) -> Result<bool, StoreError> {
        let prefix = keys::model(model)?;
        let found: Result<Vec<_>, _> = self.inner.disk.vectors.prefix(&prefix).take(KEYS_PER_BATCH).collect();
        let found = found?;
        self.inner.write("purge vectors", |transaction| {
            // Under the commit lock nobody can add any meanwhile.
            if found.is_empty() || transaction.inner.mirror().models.contains_key(model) {
                return Ok(false);
            }
            for (key, _) in &found {
                transaction.remove(&transaction.inner.disk.vectors, key);
            }
            Ok(true)
        })
    }

    /// Keeps a decision of the user, and a second copy of it outside the store.
    pub fn put_setting(&self, name: &str, value: &serde_json::Value) -> Result<(), StoreError> {
        self.inner.put_setting(name, value)
    }

    /// Forgets the changes up to and including this generation; see [`Store::changes_since`].
    pub fn trim_changes(&self, up_to: u64) -> Result<(), StoreError> {
        self.inner.write("trim the change log", |transaction| {
            let (floor, last) = (transaction.state.log_floor, up_to.min(transaction.state.generation));
            for generation in floor + 1..=last {
                transaction.remove(&transaction.inner.disk.changes, &generation.to_be_bytes());
            }
            transaction.state.log_floor = floor.max(last);
            Ok(())
        })
    }

    /// Writes what is in memory into tables, as a store that has grown does by itself.
    #[cfg(feature = "testing")]
    pub fn write_tables(&self) -> Result<(), StoreError> {
        for space in self.inner.disk.spaces() {
            let written = space.keyspace.rotate_memtable_and_wait();
            written.map_err(|error| StoreError::Fatal {
                action: "write tables",
                source: Box::new(error),
            })?;
        }
        Ok(())
    }

    /// Calls `hook` once, when the store can write nothing any more; on the thread that found out, which waits.
    pub fn on_fatal(&self, hook: Box<dyn Fn(&str) + Send + Sync>) {
        self.inner.fatal_hooks.write().unwrap_or_else(PoisonError::into_inner).push(hook);
    }

    /// Calls `hook` after each commit, in order of generations, on the committing thread while other writers wait.
    ///
    /// It must be quick and must not change the store (that would wait for itself for ever); reading is fine.
    pub fn on_change(&self, hook: Box<dyn Fn(&Change) + Send + Sync>) {
        self.inner.hooks.write().unwrap_or_else(PoisonError::into_inner).push(hook);
    }
}
