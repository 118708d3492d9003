//! What the indexing threads know: where each video waits, what is being done, and what stands in the way. Losing it loses nothing.

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

/// A job that runs.
pub(super) struct InFlight {
    pub(super) cancel: Arc<Cancel>,
    pub(super) fingerprint: Fingerprint,
    pub(super) path: PathBuf,
    pub(super) position_ms: u64,
    pub(super) duration_ms: u64,
    /// It was indexed for another model already.
    pub(super) is_catching_up: bool,
    /// A worker died on it before, so nothing else runs beside it.
    pub(super) is_suspect: bool,
}

/// Where every video stands, and what holds all of them up.
#[derive(Default)]
pub(super) struct State {
    /// Waiting jobs, oldest first.
    pub(super) queue: BTreeSet<(i64, VideoId)>,
    pub(super) queued_at: HashMap<VideoId, i64>,
    /// Jobs on which a worker died; their turn comes, one at a time, when no other job waits, so that they delay nobody.
    pub(super) suspects: BTreeSet<VideoId>,
    pub(super) in_flight: HashMap<VideoId, InFlight>,
    /// Indexed videos that the target model has no vectors of; their turn comes when no job waits.
    pub(super) behind: BTreeSet<VideoId>,
    /// Those for which nothing can be done now: neither pictures nor video are there. A change of the video brings it back.
    pub(super) left_behind: HashSet<VideoId>,
    /// Keyframe pictures may lie there that nobody wants.
    pub(super) sweep: bool,
    /// Jobs that cannot be done now (the file is not what the store says, or cannot be read), each with the moment when it is tried again.
    pub(super) deferred: BTreeMap<VideoId, Instant>,
    /// How often a video failed in a way that is not laid to it, since it was last indexed or the daemon started.
    pub(super) doubts: HashMap<VideoId, u32>,
    /// Watched folders whose drives give errors.
    pub(super) held_folders: BTreeMap<PathBuf, blame::HeldFolder>,
    /// How often the machine was at fault since a video was last indexed.
    pub(super) n_machine_failures: u32,
    /// Deaths of workers on indexed videos that catch up with another model, since the daemon started. Those on jobs are in the store.
    pub(super) catch_up_deaths: HashMap<VideoId, u32>,
    /// Deaths of the embed worker since it last embedded a video to its end.
    pub(super) n_embedder_deaths: u32,
    pub(super) paused: bool,
    pub(super) paused_until: Option<Instant>,
    pub(super) stopping: bool,
    /// Threads that were left off; with the last one nothing is indexed any more, and this says why.
    pub(super) n_lost: usize,
    pub(super) dead: Option<String>,
    /// Why nothing is indexed although there are jobs, in words for `status`.
    pub(super) wait_reason: Option<String>,
    /// What decoded the last video, in words for `status`.
    pub(super) decoder: Option<String>,
    /// No job is taken before this moment: the machine was at fault.
    pub(super) held_until: Option<Instant>,
    pub(super) brake: brake::Brake,
    /// How often in a row the machine was at fault: each time is waited longer.
    pub(super) n_holds: u32,
    pub(super) pace: Pace,
    /// Of videos that another model catches up with.
    pub(super) catching_up: Pace,
}

impl State {
    /// Puts a job where it belongs: a video that is new, changed or tried afresh at its place, one that killed workers behind all others.
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

    /// The jobs that were set aside and are due, to be queued.
    pub(super) fn take_back_changed(&mut self, now: Instant) -> Vec<VideoId> {
        let is_due = |at: &Instant| *at <= now;
        let due: Vec<VideoId> = self.deferred.iter().filter(|(_, at)| is_due(at)).map(|(video, _)| *video).collect();
        self.deferred.retain(|_, at| !is_due(at));
        due
    }

    /// Keeps the reason for `status`, and logs it once; true when it is news.
    pub(super) fn note_wait_reason(&mut self, reason: &str) -> bool {
        let is_news = self.wait_reason.as_deref() != Some(reason);
        if is_news {
            warn!(reason, "indexing waits");
            self.wait_reason = Some(reason.to_owned());
        }
        is_news
    }

    /// The first video that waits there.
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
