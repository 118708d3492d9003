//! The videos that a query covers, and how many of them are indexed.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use scened_common::domain::{ModelId, SceneId, VideoId};

use crate::store::{Store, VideoRecord, VideoState};

/// Limits of a search. The default includes everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters {
    /// Folders or files; empty = everywhere.
    pub within: Vec<PathBuf>,
    /// Modification time of the file, Unix milliseconds: `since_ms <= mtime < until_ms`.
    pub since_ms: Option<i64>,
    pub until_ms: Option<i64>,
    /// Length of the video, milliseconds, inclusive.
    pub min_duration_ms: Option<u64>,
    pub max_duration_ms: Option<u64>,
}

impl Filters {
    /// Checks the properties known before a video is indexed.
    fn admits_file(&self, record: &VideoRecord) -> bool {
        let mtime_ms = record.stamp.mtime_ns.div_euclid(1_000_000);
        (self.within.is_empty() || self.within.iter().any(|folder| record.path.starts_with(folder)))
            && self.since_ms.is_none_or(|since| mtime_ms >= since)
            && self.until_ms.is_none_or(|until| mtime_ms < until)
    }

    fn admits_duration(&self, record: &VideoRecord) -> bool {
        self.min_duration_ms.is_none_or(|min| record.duration_ms >= min) && self.max_duration_ms.is_none_or(|max| record.duration_ms <= max)
    }
}

/// Number of videos of a scope, each counted once: offline ones under `offline` whatever their state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    pub indexed: u64,
    pub pending: u64,
    pub failed: u64,
    pub offline: u64,
}

impl Coverage {
    /// `lacks_vectors`: the video is indexed, but not for the answering model.
    pub fn count(&mut self, record: &VideoRecord, lacks_vectors: bool) {
        let counter = match (record.offline, record.state) {
            (true, _) => &mut self.offline,
            (false, VideoState::Indexed) if lacks_vectors => &mut self.pending,
            (false, VideoState::Indexed) => &mut self.indexed,
            (false, VideoState::Pending) => &mut self.pending,
            (false, VideoState::Failed) => &mut self.failed,
        };
        *counter += 1;
    }
}

/// The searchable videos of a scope.
pub(super) struct Scope {
    videos: HashMap<VideoId, Arc<VideoRecord>>,
    n_scenes: usize,
    pub(super) coverage: Coverage,
}

impl Scope {
    /// Collects the videos of a scope. The stored results of a video are searchable even while a newer version is pending or its drive is
    /// offline.
    ///
    /// `model`: a video without its vectors cannot be found yet, and counts as pending.
    pub(super) fn of(store: &Store, model: &ModelId, filters: &Filters) -> Self {
        let lacking: HashSet<VideoId> = store.videos_without_vectors(model).iter().map(|record| record.id).collect();
        let mut scope = Self {
            videos: HashMap::new(),
            n_scenes: 0,
            coverage: Coverage::default(),
        };
        for record in store.videos() {
            if !filters.admits_file(&record) {
                continue;
            }
            let never_indexed = record.n_scenes == 0;
            if never_indexed || filters.admits_duration(&record) {
                scope.coverage.count(&record, lacking.contains(&record.id));
            }
            if !never_indexed && filters.admits_duration(&record) {
                scope.n_scenes += record.n_scenes as usize;
                scope.videos.insert(record.id, record);
            }
        }
        scope
    }

    pub(super) fn n_scenes(&self) -> usize {
        self.n_scenes
    }

    pub(super) fn record(&self, video: VideoId) -> Option<&Arc<VideoRecord>> {
        self.videos.get(&video)
    }

    pub(super) fn scenes(&self) -> impl Iterator<Item = SceneId> + '_ {
        // Callers sort by score and id, so this order does not affect an answer.
        self.videos.values().flat_map(|record| scenes_of(record))
    }

    pub(super) fn scenes_of(&self, video: VideoId) -> impl Iterator<Item = SceneId> + '_ {
        self.videos.get(&video).into_iter().flat_map(|record| scenes_of(record))
    }
}

/// Returns every scene of one video.
pub(super) fn scenes_of(record: &VideoRecord) -> impl Iterator<Item = SceneId> + use<> {
    let id = record.id;
    (0..record.n_scenes as usize).map(move |index| SceneId::new(id, index))
}
