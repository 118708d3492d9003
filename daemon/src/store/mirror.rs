//! All video records, jobs and per-model counts in memory: looking up a video costs no I/O.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use scened_common::domain::{Fingerprint, ModelId, VideoId};

use super::{Counts, JobRecord, VideoRecord, VideoState};

/// A video with the state that only the store knows.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) record: Arc<VideoRecord>,
    /// The content of its scenes and vectors.
    pub(super) indexed_as: Option<Fingerprint>,
}

/// **Invariants**: the maps agree; no two videos have the same path; a video has a job exactly while it is pending.
#[derive(Default)]
pub(super) struct Mirror {
    videos: HashMap<VideoId, Entry>,
    by_path: BTreeMap<PathBuf, VideoId>,
    by_fingerprint: HashMap<Fingerprint, Vec<VideoId>>,
    counts: Counts,
    pub(super) jobs: BTreeMap<VideoId, JobRecord>,
    /// Number of scenes of a video that have vectors of a model.
    pub(super) models: BTreeMap<ModelId, BTreeMap<VideoId, u32>>,
}

impl Mirror {
    pub(super) fn get(&self, id: VideoId) -> Option<&Entry> {
        self.videos.get(&id)
    }

    pub(super) fn at(&self, path: &Path) -> Option<VideoId> {
        self.by_path.get(path).copied()
    }

    pub(super) fn with_fingerprint(&self, fingerprint: &Fingerprint) -> Vec<Arc<VideoRecord>> {
        let ids = self.by_fingerprint.get(fingerprint).map_or(&[][..], Vec::as_slice);
        ids.iter()
            .filter_map(|id| self.videos.get(id))
            .map(|entry| Arc::clone(&entry.record))
            .collect()
    }

    /// Returns all videos, in order of paths.
    pub(super) fn records(&self) -> impl Iterator<Item = &Arc<VideoRecord>> {
        self.by_path
            .values()
            .filter_map(|id| self.videos.get(id))
            .map(|entry| &entry.record)
    }

    pub(super) fn all(&self) -> Vec<Arc<VideoRecord>> {
        self.records().map(Arc::clone).collect()
    }

    pub(super) fn n_videos(&self) -> u64 {
        self.videos.len() as u64
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// Returns how many scenes of `id` have vectors, for each model that has any.
    pub(super) fn models_of(&self, id: VideoId) -> Vec<(ModelId, u32)> {
        self.models
            .iter()
            .filter_map(|(model, videos)| videos.get(&id).map(|n| (model.clone(), *n)))
            .collect()
    }

    /// Applies the changes of a batch to videos; `None` = removed.
    pub(super) fn replace(&mut self, videos: BTreeMap<VideoId, Option<Entry>>) {
        // Removals come first: another video may have taken a path that one video leaves.
        for id in videos.keys() {
            self.remove(*id);
        }
        for entry in videos.into_values().flatten() {
            self.put(entry);
        }
    }

    /// Adds or replaces a video.
    pub(super) fn put(&mut self, entry: Entry) {
        self.remove(entry.record.id);
        let record = &entry.record;
        self.by_path.insert(record.path.clone(), record.id);
        self.by_fingerprint.entry(record.fingerprint).or_default().push(record.id);
        *self.counts.of(record) += 1;
        self.counts.scenes += u64::from(record.n_scenes);
        self.videos.insert(record.id, entry);
    }

    pub(super) fn remove(&mut self, id: VideoId) {
        let Some(Entry { record, .. }) = self.videos.remove(&id) else {
            return;
        };
        if self.by_path.get(&record.path) == Some(&id) {
            self.by_path.remove(&record.path);
        }
        if let Some(ids) = self.by_fingerprint.get_mut(&record.fingerprint) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_fingerprint.remove(&record.fingerprint);
            }
        }
        *self.counts.of(&record) -= 1;
        self.counts.scenes -= u64::from(record.n_scenes);
    }

    /// Notes that `n_scenes` scenes of a video have vectors of `model`; `None` = no longer any.
    pub(super) fn set_indexed(&mut self, model: &ModelId, video: VideoId, n_scenes: Option<u32>) {
        match n_scenes {
            Some(n) => {
                self.models.entry(model.clone()).or_default().insert(video, n);
            }
            None => {
                if let Some(videos) = self.models.get_mut(model) {
                    videos.remove(&video);
                    if videos.is_empty() {
                        self.models.remove(model);
                    }
                }
            }
        }
    }
}

impl Counts {
    /// Returns the one count that includes this video.
    fn of(&mut self, record: &VideoRecord) -> &mut u64 {
        match (record.offline, record.state) {
            (true, _) => &mut self.offline,
            (false, VideoState::Indexed) => &mut self.indexed,
            (false, VideoState::Pending) => &mut self.pending,
            (false, VideoState::Failed) => &mut self.failed,
        }
    }
}
