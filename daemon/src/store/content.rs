//! The parts of the calls in `write` that affect one video, inside their transaction.

use std::sync::Arc;

use scened_common::domain::{FileStamp, Fingerprint, ModelId, SceneId, VideoId};

use super::disk::Found;
use super::mirror::Entry;
use super::record;
use super::transaction::Transaction;
use super::{
    Cause, ChangeKind, IncidentRecord, IndexedVideo, JobKind, JobRecord, Move, NewVideo, SceneRecord, SceneVectors, StoreError,
    VideoRecord, VideoState, keys,
};

/// The content that a video gets from another one with the same bytes.
pub(super) struct Copied<'a> {
    /// The record as it was queued.
    pub(super) video: &'a VideoRecord,
    pub(super) twin: VideoId,
    /// The model for which it counts as indexed.
    pub(super) model: &'a ModelId,
    /// Vectors that the twin does not have.
    pub(super) others: &'a [(ModelId, Vec<SceneVectors>)],
}

impl Transaction<'_> {
    pub(super) fn add(&mut self, video: NewVideo, now_ms: i64) -> Result<Arc<VideoRecord>, StoreError> {
        let id = self.new_id()?;
        let record = Arc::new(VideoRecord {
            id,
            path: video.path,
            stamp: video.stamp,
            fingerprint: video.fingerprint,
            state: VideoState::Pending,
            offline: false,
            on_root_device: video.on_root_device,
            duration_ms: 0,
            n_scenes: 0,
            width_px: 0,
            height_px: 0,
            codec: String::new(),
            damage: None,
            picture: None,
            model: None,
            indexed_at_ms: 0,
            whole: None,
            is_part: false,
        });
        self.put_video(Entry {
            record: Arc::clone(&record),
            indexed_as: None,
        })?;
        self.put_new_job(id, now_ms)?;
        self.change(id, ChangeKind::Added, 0)?;
        Ok(record)
    }

    /// Writes `record` if it differs from what is stored.
    pub(super) fn update(&mut self, entry: &Entry, record: VideoRecord, kind: ChangeKind) -> Result<(), StoreError> {
        if record == *entry.record {
            return Ok(());
        }
        let (id, n_scenes) = (record.id, record.n_scenes);
        self.put_video(Entry {
            record: Arc::new(record),
            indexed_as: entry.indexed_as,
        })?;
        self.change(id, kind, n_scenes)
    }

    /// Gives a video another path. A video already at that path is removed. **Errors**: [`StoreError::Gone`].
    pub(super) fn move_video(&mut self, moved: &Move) -> Result<(), StoreError> {
        let id = moved.video;
        let entry = self.entry(id).ok_or(StoreError::Gone(id))?;
        if let Some(occupant) = self.at(&moved.path).filter(|occupant| *occupant != id)
            && let Some(occupant) = self.entry(occupant)
        {
            self.delete_video(&occupant)?;
        }
        let mut record = (*entry.record).clone();
        let from = std::mem::replace(&mut record.path, moved.path.clone());
        record.stamp = moved.stamp;
        record.on_root_device = moved.on_root_device;
        record.offline = false;
        let n_scenes = record.n_scenes;
        self.put_video(Entry {
            record: Arc::new(record),
            indexed_as: entry.indexed_as,
        })?;
        let to = moved.path.clone();
        self.change(id, ChangeKind::Moved { from, to }, n_scenes)
    }

    /// Adds a video with the content of another one, without a job.
    pub(super) fn copy(&mut self, source: &VideoRecord, scenes: &[SceneRecord], video: NewVideo) -> Result<Arc<VideoRecord>, StoreError> {
        let id = self.new_id()?;
        self.copy_content(source, scenes, id)?;
        let record = Arc::new(VideoRecord {
            id,
            path: video.path,
            stamp: video.stamp,
            on_root_device: video.on_root_device,
            offline: false,
            ..source.clone()
        });
        self.put_video(Entry {
            record: Arc::clone(&record),
            indexed_as: Some(video.fingerprint),
        })?;
        self.change(id, ChangeKind::Added, 0)?;
        self.change(id, ChangeKind::Content, 0)?;
        Ok(record)
    }

    /// Copies another video's scenes, thumbnails and vectors of all models.
    fn copy_content(&mut self, source: &VideoRecord, scenes: &[SceneRecord], id: VideoId) -> Result<(), StoreError> {
        let inner = self.inner;
        self.put_scenes(id, scenes)?;
        let scene = |video, index| SceneId { video, index };
        for index in 0..source.n_scenes {
            let from = keys::scene(scene(source.id, index));
            if let Found::Bytes(bytes) = inner.disk.thumbnails.get(&from)?
                && let Ok(jpeg) = record::unseal(&from, &bytes)
            {
                let to = keys::scene(scene(id, index));
                self.insert(&inner.disk.thumbnails, &to, record::seal(&to, jpeg));
            }
        }
        let models = inner.mirror().models_of(source.id);
        for (model, n_scenes) in models {
            for index in 0..n_scenes {
                let from = keys::vectors(&model, scene(source.id, index))?;
                if let Found::Bytes(bytes) = inner.disk.vectors.get(&from)?
                    && let Ok(payload) = record::unseal(&from, &bytes)
                {
                    let to = keys::vectors(&model, scene(id, index))?;
                    self.insert(&inner.disk.vectors, &to, record::seal(&to, payload));
                }
            }
            self.put_indexed_marker(&model, id, Some(n_scenes))?;
        }
        Ok(())
    }

    fn put_scenes(&mut self, id: VideoId, scenes: &[SceneRecord]) -> Result<(), StoreError> {
        let key = keys::video(id);
        self.insert(&self.inner.disk.scenes, &key, record::seal_json(&key, &scenes)?);
        Ok(())
    }

    pub(super) fn put_indexed(&mut self, indexed: IndexedVideo, scenes_before: &[SceneRecord]) -> Result<(), StoreError> {
        let inner = self.inner;
        let id = indexed.record.id;
        let entry = self.entry_as_queued(&indexed.record)?;
        let model = indexed
            .record
            .model
            .clone()
            .ok_or_else(|| StoreError::invalid("an indexed video", "no model"))?;
        self.make_way_for(&entry, &indexed.scenes, scenes_before)?;
        self.put_scenes(id, &indexed.scenes)?;
        for (index, thumbnail) in indexed.thumbnails.iter().enumerate().filter(|(_, jpeg)| !jpeg.is_empty()) {
            let key = keys::scene(SceneId::new(id, index));
            self.insert(&inner.disk.thumbnails, &key, record::seal(&key, thumbnail));
        }
        self.put_model_vectors(&model, id, &indexed.vectors)?;
        for (model, vectors) in &indexed.others {
            self.put_model_vectors(model, id, vectors)?;
        }
        self.finish(&entry, indexed.record, indexed.scenes.len() as u32)
    }

    /// Works like [`Transaction::put_indexed`], with the content of a twin. Returns false if the twin has changed.
    pub(super) fn put_copy(&mut self, copy: &Copied, scenes: &[SceneRecord], scenes_before: &[SceneRecord]) -> Result<bool, StoreError> {
        let entry = self.entry_as_queued(copy.video)?;
        let id = entry.record.id;
        let Some(twin) = self.entry(copy.twin) else { return Ok(false) };
        if twin.indexed_as != Some(entry.record.fingerprint) || twin.record.n_scenes as usize != scenes.len() {
            return Ok(false);
        }
        if id != copy.twin {
            self.make_way_for(&entry, scenes, scenes_before)?;
            self.copy_content(&twin.record, scenes, id)?;
        }
        for (model, vectors) in copy.others {
            self.put_model_vectors(model, id, vectors)?;
        }
        let record = VideoRecord {
            id,
            model: Some(copy.model.clone()),
            ..(*twin.record).clone()
        };
        self.finish(&entry, record, scenes.len() as u32)?;
        Ok(true)
    }

    /// Returns the entry of a video, if its job was about this content.
    fn entry_as_queued(&self, video: &VideoRecord) -> Result<Entry, StoreError> {
        let entry = self.entry(video.id).ok_or(StoreError::Gone(video.id))?;
        // A file that was completed in place has another time, and possibly the same fingerprint.
        if entry.record.fingerprint != video.fingerprint || !is_of_one_moment(&entry.record, video) {
            return Err(StoreError::Superseded(video.id));
        }
        Ok(entry)
    }

    /// Deletes the former content. Vectors of other models stay as long as content and scenes are the same.
    fn make_way_for(&mut self, entry: &Entry, scenes: &[SceneRecord], scenes_before: &[SceneRecord]) -> Result<(), StoreError> {
        let same_scenes = entry.indexed_as == Some(entry.record.fingerprint) && scenes_before == scenes;
        if same_scenes { Ok(()) } else { self.delete_content(entry) }
    }

    /// Finishes a job. `record` holds the results; the fields that only reconcile knows are kept.
    fn finish(&mut self, entry: &Entry, record: VideoRecord, n_scenes: u32) -> Result<(), StoreError> {
        let known = &entry.record;
        let id = known.id;
        self.put_job(id, None)?;
        self.remove(&self.inner.disk.incidents, &keys::video(id));
        let record = VideoRecord {
            path: known.path.clone(),
            stamp: known.stamp,
            fingerprint: known.fingerprint,
            offline: known.offline,
            on_root_device: known.on_root_device,
            state: VideoState::Indexed,
            n_scenes,
            ..record
        };
        self.put_video(Entry {
            indexed_as: Some(record.fingerprint),
            record: Arc::new(record),
        })?;
        self.change(id, ChangeKind::Content, known.n_scenes)
    }

    /// Adds the vectors of a model to the scenes that a video has.
    pub(super) fn put_vectors(
        &mut self,
        id: VideoId,
        fingerprint: &Fingerprint,
        model: &ModelId,
        vectors: &[SceneVectors],
    ) -> Result<(), StoreError> {
        let entry = self.entry(id).ok_or(StoreError::Gone(id))?;
        let n_scenes = entry.record.n_scenes;
        if entry.indexed_as != Some(*fingerprint) || n_scenes as usize != vectors.len() {
            return Err(StoreError::Superseded(id));
        }
        self.put_model_vectors(model, id, vectors)?;
        self.change(id, ChangeKind::Vectors { model: model.clone() }, n_scenes)
    }

    fn put_model_vectors(&mut self, model: &ModelId, id: VideoId, vectors: &[SceneVectors]) -> Result<(), StoreError> {
        let inner = self.inner;
        for (index, vectors) in vectors.iter().enumerate() {
            let key = keys::vectors(model, SceneId::new(id, index))?;
            self.insert(&inner.disk.vectors, &key, record::seal_vectors(&key, vectors)?);
        }
        self.put_indexed_marker(model, id, Some(vectors.len() as u32))
    }

    pub(super) fn put_failed(
        &mut self,
        id: VideoId,
        reason: &str,
        hint: Option<&str>,
        cause: Cause,
        software: &str,
        now_ms: i64,
    ) -> Result<u32, StoreError> {
        let entry = self.entry(id).ok_or(StoreError::Gone(id))?;
        let earlier = self.incident(&entry.record)?;
        let attempts = match self.job(id) {
            Some(job) => job.attempts + job.n_deaths.max(1),
            None => earlier.as_ref().map_or(0, |incident| incident.attempts) + 1,
        };
        let first_ms = earlier.filter(|_| attempts > 1).map_or(now_ms, |incident| incident.first_ms);
        let incident = IncidentRecord {
            video: id,
            path: entry.record.path.clone(),
            reason: reason.to_owned(),
            hint: hint.map(str::to_owned),
            attempts,
            first_ms,
            last_ms: now_ms,
            software: software.to_owned(),
            cause: Some(cause),
        };
        let key = keys::video(id);
        let value = record::seal_incident(&key, &incident)?;
        self.insert(&self.inner.disk.incidents, &key, value);
        self.put_job(id, None)?;
        let mut record = (*entry.record).clone();
        record.state = VideoState::Failed;
        let mut indexed_as = entry.indexed_as;
        if indexed_as.is_some_and(|fingerprint| fingerprint != record.fingerprint) {
            self.delete_content(&entry)?;
            self.change(id, ChangeKind::Content, record.n_scenes)?;
            record.n_scenes = 0;
            record.duration_ms = 0;
            record.model = None;
            record.whole = None;
            indexed_as = None;
        }
        let n_scenes = record.n_scenes;
        self.put_video(Entry {
            record: Arc::new(record),
            indexed_as,
        })?;
        self.change(id, ChangeKind::Failed, n_scenes)?;
        Ok(attempts)
    }

    /// Queues a video because its content changed (`Some`), or to try it again.
    pub(super) fn requeue(
        &mut self,
        kind: JobKind,
        id: VideoId,
        content: Option<(FileStamp, Fingerprint)>,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let entry = self.entry(id).ok_or(StoreError::Gone(id))?;
        let mut record = (*entry.record).clone();
        record.state = VideoState::Pending;
        let mut changed = false;
        if let Some((stamp, fingerprint)) = content {
            changed = fingerprint != record.fingerprint;
            record.stamp = stamp;
            record.fingerprint = fingerprint;
        }
        let attempts = if changed {
            0
        } else {
            match self.job(id) {
                Some(job) => job.attempts,
                None => self.incident(&record)?.map_or(0, |incident| incident.attempts),
            }
        };
        let n_scenes = record.n_scenes;
        self.put_video(Entry {
            record: Arc::new(record),
            indexed_as: entry.indexed_as,
        })?;
        let job = JobRecord {
            video: id,
            queued_at_ms: now_ms,
            attempts,
            n_deaths: 0,
            kind,
        };
        self.put_job(id, Some(job))?;
        self.change(id, ChangeKind::Record, n_scenes)
    }

    /// Queues a video again that failed or is incomplete, if the drive or the machine was the cause.
    pub(super) fn retry_if_blameless(&mut self, id: VideoId, now_ms: i64) -> Result<(), StoreError> {
        let Some(entry) = self.entry(id) else { return Ok(()) };
        if entry.record.state == VideoState::Indexed && entry.record.is_part {
            return self.requeue(JobKind::Index, id, None, now_ms);
        }
        if entry.record.state != VideoState::Failed {
            return Ok(());
        }
        match self.incident(&entry.record)? {
            Some(incident) if incident.is_blameless() => self.requeue(JobKind::Index, id, None, now_ms),
            _ => Ok(()),
        }
    }

    /// Returns the incident as stored before this transaction. A damaged one counts as missing.
    pub(super) fn incident(&self, video: &VideoRecord) -> Result<Option<IncidentRecord>, StoreError> {
        let key = keys::video(video.id);
        let Found::Bytes(bytes) = self.inner.disk.incidents.get(&key)? else {
            return Ok(None);
        };
        Ok(record::unseal_incident(video.id, video.path.clone(), &key, &bytes).ok())
    }
}

/// Decides whether the file was not written to between two records.
pub(super) fn is_of_one_moment(one: &VideoRecord, other: &VideoRecord) -> bool {
    (one.stamp.size_bytes, one.stamp.mtime_ns) == (other.stamp.size_bytes, other.stamp.mtime_ns)
}
