//! The shared state of the indexing threads: where each video waits, what runs, and what is in the way. Losing it loses nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use scened_common::domain::{Fingerprint, VideoId};
use tracing::warn;

use super::next::JobSource;
use super::progress::Pace;
use super::{blame, brake};
use crate::media::Cancel;

/// A running job.
pub(super) struct InFlight {
    pub(super) cancel: Arc<Cancel>,
    pub(super) fingerprint: Fingerprint,
    pub(super) path: PathBuf,
    pub(super) position_ms: u64,
    pub(super) duration_ms: u64,
    /// Whether the video is indexed already and gets vectors of another model.
    pub(super) is_catching_up: bool,
    /// Whether a worker died on it before, so that nothing may run at the same time.
    pub(super) is_suspect: bool,
}

/// The place of every video, and the obstacles to all of them.
#[derive(Default)]
pub(super) struct State {
    /// Waiting jobs, oldest first.
    pub(super) queue: BTreeSet<(i64, VideoId)>,
    pub(super) queued_at: HashMap<VideoId, i64>,
    /// Jobs on which a worker died. They run one at a time when no other job waits, so that they delay no other.
    pub(super) suspects: BTreeSet<VideoId>,
    pub(super) in_flight: HashMap<VideoId, InFlight>,
    /// Indexed videos that the target model has no vectors of. They run when no job waits.
    pub(super) behind: BTreeSet<VideoId>,
    /// Such videos for which nothing can be done now: neither pictures nor video can be used. A change of the video brings it back.
    pub(super) left_behind: HashSet<VideoId>,
    /// Whether there may be keyframe pictures that no video needs.
    pub(super) sweep: bool,
    /// Jobs that cannot be done now (the file is not what the store says, cannot be read, or the machine was short of a resource), each
    /// with the moment of its next attempt.
    pub(super) deferred: BTreeMap<VideoId, Instant>,
    /// How often a video failed without being blamed, since it was last indexed or the daemon started.
    pub(super) doubts: HashMap<VideoId, u32>,
    /// Watched folders whose drives give errors.
    pub(super) held_folders: BTreeMap<PathBuf, blame::HeldFolder>,
    /// How often the machine was at fault since a video was last indexed.
    pub(super) n_machine_failures: u32,
    /// Deaths of workers on indexed videos that get vectors of another model, since the daemon started. Those on jobs are in the store.
    pub(super) catch_up_deaths: HashMap<VideoId, u32>,
    /// Deaths of the embed worker since it last embedded a video to its end.
    pub(super) n_embedder_deaths: u32,
    pub(super) paused: bool,
    pub(super) paused_until: Option<Instant>,
    pub(super) stopping: bool,
    /// Number of threads that were given up. With the last one, indexing ends, and `dead` says why.
    pub(super) n_lost: usize,
    pub(super) dead: Option<String>,
    /// Why nothing is indexed although there are jobs, in words for `status`.
    pub(super) wait_reason: Option<String>,
    /// What decoded the last video, in words for `status`.
    pub(super) decoder: Option<String>,
    /// No job is taken before this moment, because the machine was at fault or the store refused a batch.
    pub(super) held_until: Option<Instant>,
    pub(super) brake: brake::Brake,
    /// How often in a row jobs were held for that reason: each pause is longer.
    pub(super) n_holds: u32,
    pub(super) pace: Pace,
    /// The pace of videos that get vectors of another model.
    pub(super) catching_up: Pace,
}

impl State {
    /// Puts a job into its place: a video that is new, changed or to be tried afresh into the queue, one that killed workers behind all
    /// others.
    pub(super) fn enqueue(&mut self, video: VideoId, at_ms: i64, n_deaths: u32) {
        if self.in_flight.contains_key(&video) {
            return;
        }
        self.deferred.remove(&video);
        if n_deaths > 0 {
            if let Some(at) = self.queued_at.remove(&video) {
                self.queue.remove(&(at, video));
            }
            self.suspects.insert(video);
            return;
        }
        self.suspects.remove(&video);
        if self.queued_at.contains_key(&video) {
            return;
        }
        self.queue.insert((at_ms, video));
        self.queued_at.insert(video, at_ms);
    }

    pub(super) fn forget(&mut self, video: VideoId) {
        self.deferred.remove(&video);
        self.suspects.remove(&video);
        self.behind.remove(&video);
        self.left_behind.remove(&video);
        if let Some(at) = self.queued_at.remove(&video) {
            self.queue.remove(&(at, video));
        }
        if let Some(in_flight) = self.in_flight.get(&video) {
            in_flight.cancel.cancel();
        }
        self.catch_up_deaths.remove(&video);
        self.doubts.remove(&video);
    }

    #[expect(clippy::iter_over_hash_type, reason = "all are cancelled, in whatever order")]
    pub(super) fn cancel_all(&self) {
        for in_flight in self.in_flight.values() {
            in_flight.cancel.cancel();
        }
    }

    /// Removes and returns the deferred jobs that are due.
    pub(super) fn take_back_changed(&mut self, now: Instant) -> Vec<VideoId> {
        let is_due = |at: &Instant| *at <= now;
        let due: Vec<VideoId> = self.deferred.iter().filter(|(_, at)| is_due(at)).map(|(video, _)| *video).collect();
        self.deferred.retain(|_, at| !is_due(at));
        due
    }

    /// Stores the reason for `status`, and logs it once. Returns true if it is new.
    pub(super) fn note_wait_reason(&mut self, reason: &str) -> bool {
        let is_news = self.wait_reason.as_deref() != Some(reason);
        if is_news {
            warn!(reason, "indexing waits");
            self.wait_reason = Some(reason.to_owned());
        }
        is_news
    }

    /// Removes and returns the first video that waits in this place.
    pub(super) fn take(&mut self, source: JobSource) -> Option<VideoId> {
        match source {
            JobSource::Queue => {
                let (_, video) = self.queue.pop_first()?;
                self.queued_at.remove(&video);
                Some(video)
            }
            JobSource::Suspects => self.suspects.pop_first(),
            JobSource::Behind => self.behind.pop_first(),
        }
    }
}
