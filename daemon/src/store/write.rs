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

/// Videos in one batch of the calls for many ([`Store::add_videos`], [`Store::move_videos`] and similar). It bounds memory: 30,000 new
/// files cost seven syncs.
const VIDEOS_PER_BATCH: usize = 5_000;
/// Keys removed in one batch of [`Store::purge_some`]. Other writers wait for one batch.
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

    /// Adds many videos in few batches (a walk over new files), and returns those added. A path that already exists is skipped.
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

    /// Queues many videos again, in few batches. Their results stay searchable. Removed and pending ids are skipped.
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

    /// Queues a video because its content changed (`Some`), or to try it again. Its results stay searchable; its incident stays until
    /// success.
    pub fn requeue(&self, id: VideoId, content: Option<(FileStamp, Fingerprint)>, now_ms: i64) -> Result<(), StoreError> {
        self.requeue_to(JobKind::Index, id, content, now_ms)
    }

    /// Queues a video like [`Store::requeue`], for a job of this kind.
    pub fn requeue_to(&self, kind: JobKind, id: VideoId, content: Option<(FileStamp, Fingerprint)>, now_ms: i64) -> Result<(), StoreError> {
        self.inner
            .write("queue a video", |transaction| transaction.requeue(kind, id, content, now_ms))
    }

    /// Queues the videos of some incidents again, in few batches, and returns their number.
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

    /// Queues the videos again that are incomplete because of the drive or the machine, and returns their number.
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

    /// Adds a file with the bytes of another video. Copies scenes, vectors of all models and thumbnails, without a job.
    ///
    /// If `from` itself is not indexed with these bytes, the new video is an ordinary pending one.
    ///
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

    /// Gives a video another path. A video already at the new path is removed, because its file was overwritten.
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

    /// Works like [`Store::move_video`] for many videos, in their order, in few batches (a folder was renamed). Removed ids are skipped.
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

    /// Notes that unchanged contents have other modification times or inodes, in few batches. Removed ids are skipped.
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

    /// Marks videos as out of reach, or as back. Removed ids are skipped. A returning video is queued again if it failed because of the
    /// drive or the machine, or is incomplete.
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

    /// Removes videos and everything stored for them. Removed ids are skipped.
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

    /// Stores the result of indexing a video as one batch, and removes its job and incident. Vectors of other models stay as long as
    /// content and scenes are the same.
    ///
    /// **Errors**: [`StoreError::Gone`] if the video was removed meanwhile, [`StoreError::Superseded`] if `indexed.record.fingerprint` is
    /// no longer the stored one, [`StoreError::Invalid`] if lengths do not match or the model is missing.
    pub fn put_indexed(&self, indexed: IndexedVideo) -> Result<(), StoreError> {
        check::indexed_video(&indexed)?;
        let scenes_before = self.scenes(indexed.record.id)?;
        self.inner.write("store an indexed video", |transaction| {
            transaction.put_indexed(indexed, &scenes_before)
        })
    }

    /// Works like [`Store::put_indexed`], with the content of `twin`, which has the same bytes: its scenes, thumbnails, and vectors of all
    /// models.
    ///
    /// `twin` may be the video itself if only its file's time changed. `model`: the model for which it counts as indexed. `others`: vectors
    /// that the twin does not have. Returns false if the twin has changed, and then stores nothing.
    ///
    /// **Errors**: like [`Store::put_indexed`].
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

    /// Adds the vectors of a model to the existing scenes of a video: one element per scene, in order of time.
    ///
    /// **Errors**: [`StoreError::Gone`] if the video was removed meanwhile, [`StoreError::Superseded`] if the indexed content is another
    /// one by now or has another number of scenes.
    pub fn put_vectors(&self, id: VideoId, fingerprint: &Fingerprint, model: &ModelId, vectors: &[SceneVectors]) -> Result<(), StoreError> {
        check::dimensions(vectors)?;
        self.inner.write("store vectors", |transaction| {
            transaction.put_vectors(id, fingerprint, model, vectors)
        })
    }

    /// Notes that a worker died on a video that waits for indexing. Returns the number of such deaths since it was queued.
    ///
    /// The count is durable, so that a video that kills the daemon does not get new attempts at each start.
    ///
    /// **Errors**: [`StoreError::Gone`] if the video was removed, [`StoreError::Superseded`] if the content changed since, or no job is
    /// left.
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

    /// Notes that a video could not be indexed. Returns the number of attempts at this content so far.
    ///
    /// Its results stay searchable, unless they belong to earlier content: then they are deleted.
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

    /// Works like [`Store::put_failed`], for the content of a job. **Errors**: [`StoreError::Superseded`] if it changed since.
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

    /// Hides all vectors of a model, in one batch. [`Store::purge_some`] frees their space.
    pub fn hide_model(&self, model: &ModelId) -> Result<(), StoreError> {
        let videos = self.videos_with_vectors(model);
        self.inner.write("hide a model", |transaction| {
            videos
                .iter()
                .try_for_each(|video| transaction.put_indexed_marker(model, *video, None))
        })
    }

    /// Deletes some vectors of a hidden model. Returns whether more may be left. A model that has vectors again keeps them all.
    pub fn purge_some(&self, model: &ModelId) -> Result<bool, StoreError> {
        let prefix = keys::model(model)?;
        let found: Result<Vec<_>, _> = self.inner.disk.vectors.prefix(&prefix).take(KEYS_PER_BATCH).collect();
        let found = found?;
        self.inner.write("purge vectors", |transaction| {
            // Under the commit lock no other thread can add any meanwhile.
            if found.is_empty() || transaction.inner.mirror().models.contains_key(model) {
                return Ok(false);
            }
            for (key, _) in &found {
                transaction.remove(&transaction.inner.disk.vectors, key);
            }
            Ok(true)
        })
    }

    /// Stores a decision of the user, and a second copy of it outside the store.
    pub fn put_setting(&self, name: &str, value: &serde_json::Value) -> Result<(), StoreError> {
        self.inner.put_setting(name, value)
    }

    /// Deletes the changes up to and including this generation from the log; see [`Store::changes_since`].
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

    /// Writes the memtables into tables, as a store that has grown does by itself.
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

    /// Calls `hook` once, when the store can no longer write. It runs on the thread that noticed, which waits for it.
    pub fn on_fatal(&self, hook: Box<dyn Fn(&str) + Send + Sync>) {
        self.inner.fatal_hooks.write().unwrap_or_else(PoisonError::into_inner).push(hook);
    }

    /// Calls `hook` after each commit, in order of generations, on the committing thread while other writers wait.
    ///
    /// The hook must be quick and must not change the store (that would deadlock). Reading is fine.
    pub fn on_change(&self, hook: Box<dyn Fn(&Change) + Send + Sync>) {
        self.inner.hooks.write().unwrap_or_else(PoisonError::into_inner).push(hook);
    }
}
