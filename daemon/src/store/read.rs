//! The calls that only read. Videos and jobs come from the mirror, the rest from fjall.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use scened_common::domain::{Fingerprint, ModelId, SceneId, VideoId};

use super::disk::{Found, Space};
use super::record::{self, Damage};
use super::transaction::lock;
use super::{Change, Counts, DamagedRecord, IncidentRecord, JobRecord, SceneRecord, SceneVectors, Store, StoreError, VideoRecord, keys};

/// Time for which a failed read of the disk is reported.
const TOLD_FOR: Duration = Duration::from_mins(10);

impl Store {
    pub fn video(&self, id: VideoId) -> Option<Arc<VideoRecord>> {
        self.inner.mirror().get(id).map(|entry| Arc::clone(&entry.record))
    }

    pub fn video_at(&self, path: &Path) -> Option<Arc<VideoRecord>> {
        let mirror = self.inner.mirror();
        mirror.get(mirror.at(path)?).map(|entry| Arc::clone(&entry.record))
    }

    pub fn videos_with_fingerprint(&self, fingerprint: &Fingerprint) -> Vec<Arc<VideoRecord>> {
        self.inner.mirror().with_fingerprint(fingerprint)
    }

    /// Returns all videos, sorted by path.
    pub fn videos(&self) -> Vec<Arc<VideoRecord>> {
        self.inner.mirror().all()
    }

    pub fn counts(&self) -> Counts {
        self.inner.mirror().counts()
    }

    /// Returns all jobs, the oldest first.
    pub fn jobs(&self) -> Result<Vec<JobRecord>, StoreError> {
        let mut jobs: Vec<JobRecord> = self.inner.mirror().jobs.values().cloned().collect();
        jobs.sort_by_key(|job| (job.queued_at_ms, job.video));
        Ok(jobs)
    }

    pub fn job(&self, id: VideoId) -> Option<JobRecord> {
        self.inner.mirror().jobs.get(&id).cloned()
    }

    pub fn n_jobs(&self) -> u64 {
        self.inner.mirror().jobs.len() as u64
    }

    /// Returns the scenes of a video in order of time. The list is empty for an unknown video or one never indexed.
    pub fn scenes(&self, id: VideoId) -> Result<Vec<SceneRecord>, StoreError> {
        let key = keys::video(id);
        let scenes = self.read(&self.inner.disk.scenes, &key, Some(id), |bytes| record::unseal_json(&key, bytes))?;
        if scenes.is_none() && self.video(id).is_some_and(|video| video.n_scenes > 0) {
            self.inner.note_damage(&self.inner.disk.scenes, &key, Some(id), Damage::Missing);
        }
        Ok(scenes.unwrap_or_default())
    }

    pub fn vectors(&self, model: &ModelId, id: SceneId) -> Result<Option<SceneVectors>, StoreError> {
        if self.n_scenes_with_vectors(model, id.video).is_none_or(|n| id.index >= n) {
            return Ok(None);
        }
        let key = keys::vectors(model, id)?;
        let vectors = self.read(&self.inner.disk.vectors, &key, Some(id.video), |bytes| {
            record::unseal_vectors(&key, bytes)
        })?;
        if vectors.is_none() {
            self.inner
                .note_damage(&self.inner.disk.vectors, &key, Some(id.video), Damage::Missing);
        }
        Ok(vectors)
    }

    /// Returns the vectors of all scenes of a video, in order of time. The list is empty if the video has none of this model, or if a
    /// record is damaged.
    pub fn video_vectors(&self, model: &ModelId, id: VideoId) -> Result<Vec<SceneVectors>, StoreError> {
        let n_scenes = self.n_scenes_with_vectors(model, id).unwrap_or(0);
        let mut all = Vec::with_capacity(n_scenes as usize);
        for index in 0..n_scenes {
            match self.vectors(model, SceneId { video: id, index })? {
                Some(vectors) => all.push(vectors),
                None => return Ok(Vec::new()),
            }
        }
        Ok(all)
    }

    fn n_scenes_with_vectors(&self, model: &ModelId, id: VideoId) -> Option<u32> {
        self.inner.mirror().models.get(model)?.get(&id).copied()
    }

    pub fn has_vectors(&self, model: &ModelId, id: VideoId) -> Result<bool, StoreError> {
        Ok(self.n_scenes_with_vectors(model, id).is_some())
    }

    pub fn n_videos_with_vectors(&self, model: &ModelId) -> Result<u64, StoreError> {
        Ok(self.inner.mirror().models.get(model).map_or(0, |videos| videos.len() as u64))
    }

    /// Returns the videos that have scenes but no vectors of a model, in order of paths.
    pub fn videos_without_vectors(&self, model: &ModelId) -> Vec<Arc<VideoRecord>> {
        let mirror = self.inner.mirror();
        let have = mirror.models.get(model);
        mirror
            .records()
            .filter(|record| record.n_scenes > 0 && have.is_none_or(|have| !have.contains_key(&record.id)))
            .map(Arc::clone)
            .collect()
    }

    /// Returns the videos that have vectors of a model, in order of ids. An index is rebuilt from them.
    pub fn videos_with_vectors(&self, model: &ModelId) -> Vec<VideoId> {
        self.inner
            .mirror()
            .models
            .get(model)
            .map(|videos| videos.keys().copied().collect())
            .unwrap_or_default()
    }

    /// Returns the models of which any video has vectors.
    pub fn models(&self) -> Result<Vec<ModelId>, StoreError> {
        Ok(self.inner.mirror().models.keys().cloned().collect())
    }

    /// Returns the JPEG of a scene.
    pub fn thumbnail(&self, id: SceneId) -> Result<Option<Vec<u8>>, StoreError> {
        let key = keys::scene(id);
        self.read(&self.inner.disk.thumbnails, &key, Some(id.video), |bytes| {
            record::unseal(&key, bytes).map(<[u8]>::to_vec)
        })
    }

    /// Returns all incidents, in order of video ids.
    pub fn incidents(&self) -> Result<Vec<IncidentRecord>, StoreError> {
        let mut ids = Vec::new();
        for pair in self.inner.disk.incidents.iter() {
            match pair {
                Ok((key, _)) => ids.extend(keys::parse_video(&key)),
                // Part of the list cannot be read. Reading the incident of each video finds the damaged ones.
                Err(StoreError::Damaged { .. }) => {
                    ids = self.inner.mirror().records().map(|record| record.id).collect();
                    ids.sort_unstable();
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        let mut incidents = Vec::with_capacity(ids.len());
        for id in ids {
            incidents.extend(self.incident(id)?);
        }
        Ok(incidents)
    }

    pub fn incident(&self, id: VideoId) -> Result<Option<IncidentRecord>, StoreError> {
        let Some(video) = self.video(id) else {
            return Ok(None);
        };
        let key = keys::video(id);
        self.read(&self.inner.disk.incidents, &key, Some(id), |bytes| {
            record::unseal_incident(id, video.path.clone(), &key, bytes)
        })
    }

    pub fn setting(&self, name: &str) -> Result<Option<serde_json::Value>, StoreError> {
        self.read(&self.inner.disk.settings, name.as_bytes(), None, |bytes| {
            record::unseal_json(name.as_bytes(), bytes)
        })
    }

    /// Returns the generation, which increases by one with every committed change of any video, over the whole life of the store.
    pub fn generation(&self) -> u64 {
        lock(&self.inner.visible).generation
    }

    /// Returns every change after `generation`, in order. `None`: the log no longer reaches back that far, or never knew that generation.
    /// Everything derived from the store must then be rebuilt.
    pub fn changes_since(&self, generation: u64) -> Result<Option<Vec<Change>>, StoreError> {
        let state = *lock(&self.inner.visible);
        if generation < state.log_floor || generation > state.generation {
            return Ok(None);
        }
        let mut changes = Vec::new();
        for number in generation + 1..=state.generation {
            let key = number.to_be_bytes();
            let change = self.read(&self.inner.disk.changes, &key, None, |bytes| {
                record::unseal_change(number, &key, bytes)
            })?;
            match change {
                Some(change) => changes.push(change),
                None => return Ok(None),
            }
        }
        Ok(Some(changes))
    }

    /// Returns warnings about the store's state: damage found since the start, a store that accepts no more writes, and a disk that could
    /// not be read.
    pub fn warnings(&self) -> Vec<String> {
        let n = lock(&self.inner.damage).found.len();
        let damaged = (n > 0).then(|| format!("{n} records of the store were damaged; their videos are indexed again (check the disk)"));
        let broken = self.inner.broken.get();
        let broken = broken.map(|reason| {
            format!("the store cannot be written ({reason}): search works, and scened restarts when the disk has space; see its log")
        });
        let unreadable = lock(&self.inner.unreadable).clone();
        let unreadable = unreadable.filter(|(when, _)| when.elapsed() < TOLD_FOR).map(|(_, reason)| {
            format!("the disk of the data folder could not be read just now ({reason}): answers may lack scenes; nothing was moved away; check the disk")
        });
        damaged.into_iter().chain(broken).chain(unreadable).collect()
    }

    /// Returns the records found damaged since the start (the first thousand).
    pub fn damaged(&self) -> Vec<DamagedRecord> {
        lock(&self.inner.damage).found.clone()
    }

    /// Reads one record. A damaged one is quarantined and counts as missing, and its video is queued again.
    fn read<T>(
        &self,
        space: &Space,
        key: &[u8],
        video: Option<VideoId>,
        decode: impl FnOnce(&[u8]) -> Result<T, Damage>,
    ) -> Result<Option<T>, StoreError> {
        let found = space.get(key).inspect_err(|error| {
            *lock(&self.inner.unreadable) = Some((Instant::now(), crate::fatal::with_causes(error)));
        });
        let damage = match found? {
            Found::Nothing => return Ok(None),
            Found::Bytes(bytes) => match decode(&bytes) {
                Ok(value) => return Ok(Some(value)),
                Err(damage) => damage,
            },
            Found::Damaged(damage) => damage,
        };
        self.inner.note_damage(space, key, video, damage);
        Ok(None)
    }
}
