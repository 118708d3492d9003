//! Handles the outcome of a job.

use std::time::{Duration, Instant};

use scened_common::domain::VideoId;
use tracing::{debug, error, info, warn};

use super::job::Outcome;
use super::threads::MACHINE_RETRY;
use super::{PipelineEvent, Shared};
use crate::store::{Cause, StoreError, VideoRecord, VideoState};

/// Attempts on one file whose worker dies or stalls: whole, whole and alone, then its keyframes alone. After that, the file is left alone.
const MAX_ATTEMPTS: u32 = 3;
/// A file that is not what the store says is tried again after this, unless reconcile has settled it before. Long enough that a growing
/// file costs nothing.
const CHANGED_RETRY: Duration = Duration::from_secs(5);
/// Maximum number of doublings of [`MACHINE_RETRY`] while the machine is at fault: it gets another try after eight minutes at most.
const MAX_DOUBLINGS: u32 = 4;

impl Shared {
    pub(super) fn settle(&self, record: &VideoRecord, outcome: Outcome) {
        let (video, path) = (record.id, &record.path);
        match outcome {
            Outcome::Indexed { n_scenes, duration_ms } => {
                info!(n_scenes, duration_ms, "indexed");
                self.embedded();
                let folder = self.folder_of(path);
                let mut state = self.lock();
                state.doubts.remove(&video);
                state.release_folder(&folder, Instant::now());
                drop(state);
                self.finished(video, duration_ms);
                self.machine_works();
                (self.parts.hook)(PipelineEvent::VideoIndexed {
                    path: path.clone(),
                    n_scenes,
                });
            }
            Outcome::Known { n_scenes } => {
                info!(n_scenes, "all its bytes are known; nothing was decoded");
                self.finished(video, 0);
                (self.parts.hook)(PipelineEvent::VideoIndexed {
                    path: path.clone(),
                    n_scenes,
                });
            }
            Outcome::CaughtUp => {
                debug!("embedded from keyframe pictures");
                self.embedded();
                self.lock().catching_up.finished(record.duration_ms, Instant::now());
                self.finished(video, 0);
            }
            Outcome::LeftBehind => {
                self.lock().left_behind.insert(video);
                self.finished(video, 0);
            }
            Outcome::Bad { reason, hint } => self.fail(record, &reason, hint.as_deref(), Cause::Video),
            Outcome::Forbidden { reason, hint } => self.fail(record, &reason, Some(&hint), Cause::Storage),
            Outcome::Unread { reason } => self.unread(record, &reason),
            Outcome::Short { reason } => self.short(record, &reason),
            // The worker waited for a mount that hangs or is gone: not the video's fault.
            Outcome::Died { reason } if crate::video_file::open_stamped(path).is_err() => {
                warn!(reason, "the video cannot be read any more");
                self.changed_under_us(record);
                (self.parts.hook)(PipelineEvent::FileChanged { path: path.clone() });
            }
            Outcome::Died { reason } => match self.why_no_worker_works() {
                Some(why) => self.machine_failed(
                    video,
                    &format!("{reason}; a worker also fails on a video that is known to be good: {why}"),
                ),
                None => self.died(record, &reason),
            },
            Outcome::EmbedderDied { reason } => self.embedder_died(record, &reason),
            Outcome::MachineAtFault { reason } => self.machine_failed(video, &reason),
            Outcome::FileChanged => {
                self.changed_under_us(record);
                (self.parts.hook)(PipelineEvent::FileChanged { path: path.clone() });
            }
            Outcome::Cancelled => self.again(video),
            Outcome::StoreFailed(error) => {
                let reason = error.to_string();
                error!(reason, "the store refused a batch");
                self.hold_off(&format!("the store refused a batch: {reason}"));
                self.again(video);
                if error.is_fatal() {
                    (self.parts.hook)(PipelineEvent::StoreFailed { reason });
                }
            }
        }
    }

    /// Handles the death of an embed worker. One video may be to blame. If the next one that is embedded ends the same way, the model or
    /// the machine is at fault.
    fn embedder_died(&self, record: &VideoRecord, reason: &str) {
        let n_deaths = {
            let mut state = self.lock();
            state.n_embedder_deaths += 1;
            state.n_embedder_deaths
        };
        if n_deaths > 1 {
            self.machine_failed(record.id, reason);
        } else {
            self.died(record, reason);
        }
    }

    /// Notes that the model and the machine work: counters of their failures restart.
    fn embedded(&self) {
        let mut state = self.lock();
        state.n_embedder_deaths = 0;
        state.n_holds = 0;
    }

    fn died(&self, record: &VideoRecord, reason: &str) {
        let video = record.id;
        let is_catching_up = self.lock().in_flight.get(&video).is_some_and(|job| job.is_catching_up);
        let noted = if is_catching_up {
            let mut state = self.lock();
            let n_deaths = state.catch_up_deaths.entry(video).or_default();
            *n_deaths += 1;
            Ok(*n_deaths)
        } else {
            self.parts.store.note_death(record)
        };
        match noted {
            Ok(n_deaths) if n_deaths >= MAX_ATTEMPTS => {
                let hint = "three attempts failed, the last with keyframes only; scened tries again when it, FFmpeg or scened changes (now: scenectl retry FILE); if a player shows it, try a copy: ffmpeg -i FILE -c copy NEW.mkv";
                self.fail(record, reason, Some(hint), Cause::Video);
            }
            Ok(n_deaths) => {
                warn!(reason, attempt = n_deaths, "it is tried again when nothing else waits");
                self.again(video);
            }
            Err(StoreError::Gone(_) | StoreError::Superseded(_)) => self.finished(video, 0),
            Err(error) => self.settle(record, Outcome::StoreFailed(error)),
        }
    }

    pub(super) fn fail(&self, record: &VideoRecord, reason: &str, hint: Option<&str>, cause: Cause) {
        warn!(reason, "cannot be indexed");
        match self
            .parts
            .store
            .put_failed_for(record, reason, hint, cause, &self.config.software, crate::machine::clock::now_ms())
        {
            Ok(_attempts) => {
                // A video that failed while it caught up keeps its results, and is left behind.
                let mut state = self.lock();
                if state.in_flight.get(&record.id).is_some_and(|job| job.is_catching_up) {
                    state.left_behind.insert(record.id);
                }
                drop(state);
                self.finished(record.id, 0);
                (self.parts.hook)(PipelineEvent::VideoFailed {
                    path: record.path.clone(),
                    reason: reason.to_owned(),
                });
            }
            Err(StoreError::Gone(_) | StoreError::Superseded(_)) => self.finished(record.id, 0),
            Err(error) => self.settle(record, Outcome::StoreFailed(error)),
        }
    }

    /// Lets no thread take a job before a wake-up or the end of a pause, because any job would fail in the same way. The pause is
    /// [`MACHINE_RETRY`], doubled each time, [`MAX_DOUBLINGS`] times at most.
    pub(super) fn hold_off(&self, reason: &str) {
        let mut state = self.lock();
        state.note_wait_reason(reason);
        let now = Instant::now();
        // Jobs that ran at the same time find the same fault; they count as one.
        if state.held_until.is_none_or(|until| until <= now) {
            state.held_until = Some(now + MACHINE_RETRY * (1 << state.n_holds.min(MAX_DOUBLINGS)));
            state.n_holds += 1;
        }
        drop(state);
        self.parts.activity.bump();
    }

    /// Ends a job that is done or no longer valid. A change that arrived while it ran queues it again.
    pub(super) fn finished(&self, video: VideoId, duration_ms: u64) {
        let record = self.parts.store.video(video);
        let pending = record
            .as_ref()
            .is_some_and(|record| record.state == VideoState::Pending && !record.offline);
        let lacks = record.is_some_and(|record| self.lacks(&record));
        let n_deaths = self.n_deaths(video);
        let mut state = self.lock();
        state.in_flight.remove(&video);
        if lacks && !state.left_behind.contains(&video) {
            state.behind.insert(video);
        }
        state.pace.finished(duration_ms, Instant::now());
        if pending {
            state.enqueue(video, crate::machine::clock::now_ms(), n_deaths);
        }
        drop(state);
        // Wakes all threads: some wait to run alone, and some wait for this job to end.
        self.changed.notify_all();
    }

    /// Defers a job whose file is not what `record` says. When reconcile changes the record, the job is queued again; until then an attempt
    /// would find the same. A record that has changed already goes into the queue at once.
    fn changed_under_us(&self, record: &VideoRecord) {
        self.defer(record, Instant::now() + CHANGED_RETRY);
    }

    /// Puts a job back into the queue, behind the others.
    pub(super) fn again(&self, video: VideoId) {
        self.finished(video, 0);
    }
}
