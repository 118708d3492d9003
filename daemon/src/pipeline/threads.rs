//! What one indexing thread does: wait for a job that may run, do it, and settle how it ended.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::{debug, error, info, warn};

use super::job::{self, Outcome};
use super::{InFlight, PipelineEvent, Shared, State};
use crate::domain::VideoId;
use crate::media::Cancel;
use crate::store::{Change, ChangeKind, StoreError, VideoRecord, VideoState};

/// A worker that dies, or stalls, is tried this often on one file before the file gets an incident.
const MAX_ATTEMPTS: u32 = 3;
/// How long to wait before trying again when not the file but the machine is at fault (no model, no worker, on battery).
const MACHINE_RETRY: Duration = Duration::from_secs(30);

/// A file that is not what the store says is tried again after this, unless reconcile has settled it before. Seconds enough that a
/// growing file costs nothing.
const CHANGED_RETRY: Duration = Duration::from_secs(5);

/// What an indexing thread does next.
enum Job {
    /// Look into a video. The second value is the number of decoder threads it should use.
    Index(VideoId, u32),
    /// Make vectors of the target model for a video that is indexed. The second value counts if it must be decoded after all.
    CatchUp(VideoId, u32),
    /// Delete keyframe pictures that nobody wants.
    Sweep,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn on_change(&self, change: &Change) {
        let record = self.parts.store.video(change.video);
        let lacks = record.as_ref().is_some_and(|record| self.lacks(record));
        let mut state = self.lock();
        match record {
            Some(record) if record.state == VideoState::Pending && !record.offline => {
                if let Some(in_flight) = state.in_flight.get(&record.id) {
                    if in_flight.fingerprint != record.fingerprint {
                        in_flight.cancel.cancel();
                    }
                } else {
                    state.enqueue(record.id, crate::clock::now_ms());
                    self.changed.notify_one();
                }
            }
            Some(record) if change.kind == ChangeKind::Offline && record.offline => state.forget(record.id),
            None => state.forget(change.video),
            Some(_) => {}
        }
        if matches!(change.kind, ChangeKind::Removed { .. } | ChangeKind::Content) {
            state.sweep = true;
            self.changed.notify_one();
        }
        // What it lacks after the job that runs is seen at that job's end; a failure makes nothing possible that was not before.
        if change.kind != ChangeKind::Failed && !state.in_flight.contains_key(&change.video) {
            state.left_behind.remove(&change.video);
            if lacks {
                state.behind.insert(change.video);
                self.changed.notify_one();
            }
        }
        drop(state);
        self.parts.activity.bump();
    }

    pub(super) fn run(&self) {
        while let Some(job) = self.next_job() {
            match job {
                Job::Index(video, threads) => self.work(video, threads, false),
                Job::CatchUp(video, threads) => self.work(video, threads, true),
                Job::Sweep => self.sweep(),
            }
            self.parts.activity.bump();
        }
    }

    /// Whether a video is indexed, and not by the target model.
    fn lacks(&self, record: &VideoRecord) -> bool {
        let may = record.n_scenes > 0 && record.state != VideoState::Pending;
        may && self.parts.serving.target().is_some_and(|target| {
            // Only memory is read for it.
            !self.parts.store.has_vectors(&target.info.id, record.id).unwrap_or(true)
        })
    }

    pub(super) fn lacking(&self) -> Vec<Arc<VideoRecord>> {
        let Some(target) = self.parts.serving.target() else {
            return Vec::new();
        };
        let mut lacking = self.parts.store.videos_without_vectors(&target.info.id);
        lacking.retain(|record| record.state != VideoState::Pending);
        lacking
    }

    fn sweep(&self) {
        let Some(keyframes) = &self.config.keyframes else { return };
        let is_known = |fingerprint: &_| !self.parts.store.videos_with_fingerprint(fingerprint).is_empty();
        match keyframes.sweep(is_known) {
            Ok(0) => {}
            Ok(n_deleted) => info!(n_deleted, "keyframe pictures of videos that are gone were deleted"),
            Err(error) => warn!(%error, "keyframe pictures of videos that are gone cannot be deleted"),
        }
    }

    /// Waits for something that may be done; `None` when stopping.
    fn next_job(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if state.stopping {
                return None;
            }
            if state.paused {
                state = match state.paused_until {
                    Some(until) if until <= Instant::now() => {
                        state.paused = false;
                        state.paused_until = None;
                        info!("the pause is over");
                        self.parts.activity.bump();
                        state
                    }
                    Some(until) => self.wait_for(state, until.saturating_duration_since(Instant::now())),
                    None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                };
                continue;
            }
            let now = Instant::now();
            let next_due = state.take_back_changed(now);
            if state.queue.is_empty() && state.behind.is_empty() {
                if std::mem::take(&mut state.sweep) {
                    return Some(Job::Sweep);
                }
                state = match next_due {
                    Some(due) => self.wait_for(state, due - now),
                    None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                };
                continue;
            }
            if let Some(until) = state.held_until {
                let now = Instant::now();
                if now < until {
                    state = self.wait_for(state, until - now);
                    continue;
                }
                state.held_until = None;
            }
            if self.config.pause_on_battery && crate::power::on_battery() {
                state = self.hindered(state, "on battery: indexing waits for mains power (on-battery = \"pause\")");
                continue;
            }
            if self.parts.serving.target().is_none() {
                let reason = self
                    .parts
                    .serving
                    .problem()
                    .map_or_else(|| "the model is being opened".to_owned(), |problem| problem.reason);
                state = self.hindered(state, &reason);
                continue;
            }
            state.hindrance = None;
            let queued = state.take();
            let Some(video) = queued.or_else(|| state.behind.pop_first()) else {
                continue;
            };
            let Some(record) = self.parts.store.video(video) else { continue };
            let is_catching_up = match queued {
                Some(_) if record.state == VideoState::Pending && !record.offline => false,
                // It waited for its file to settle, and is not to be looked into any more.
                Some(_) => {
                    if self.lacks(&record) {
                        state.behind.insert(video);
                    }
                    continue;
                }
                None if self.lacks(&record) => true,
                None => continue,
            };
            let cancel = Arc::new(Cancel::default());
            let in_flight = InFlight {
                cancel,
                fingerprint: record.fingerprint,
                path: record.path.clone(),
                position_ms: 0,
                duration_ms: record.duration_ms,
                is_catching_up,
            };
            state.in_flight.insert(video, in_flight);
            // Many files: one thread each. The last few share the cores that would stand idle.
            let n_side_by_side = (state.queue.len() + state.behind.len() + state.in_flight.len()).clamp(1, self.config.n_threads);
            let threads = (self.config.n_cores / n_side_by_side).max(1) as u32;
            return Some(if is_catching_up {
                state.catching_up.began(Instant::now());
                Job::CatchUp(video, threads)
            } else {
                state.pace.began(Instant::now());
                Job::Index(video, threads)
            });
        }
    }

    /// Notes why nothing runs, and waits for a nudge or [`MACHINE_RETRY`].
    fn hindered<'a>(&'a self, mut state: MutexGuard<'a, State>, reason: &str) -> MutexGuard<'a, State> {
        if state.note_hindrance(reason) {
            self.parts.activity.bump();
        }
        self.wait_for(state, MACHINE_RETRY)
    }

    /// Lets no thread take a job before a nudge or [`MACHINE_RETRY`]; whatever is tried meanwhile would fail in the same way.
    fn hold_off(&self, reason: &str) {
        let mut state = self.lock();
        state.note_hindrance(reason);
        state.held_until = Some(Instant::now() + MACHINE_RETRY);
        drop(state);
        self.parts.activity.bump();
    }

    fn wait_for<'a>(&'a self, state: MutexGuard<'a, State>, duration: Duration) -> MutexGuard<'a, State> {
        let (state, _timed_out) = self.changed.wait_timeout(state, duration).unwrap_or_else(PoisonError::into_inner);
        state
    }

    fn work(&self, video: VideoId, threads: u32, is_catching_up: bool) {
        let Some(record) = self.parts.store.video(video) else {
            self.finished(video, 0);
            return;
        };
        let current = self.parts.serving.current().ok();
        // A new video is embedded for the model that answers, and then, like all others, for the one that is brought in.
        let slot = if is_catching_up {
            self.parts.serving.target()
        } else {
            current.clone()
        };
        let (Some(slot), Some(cancel)) = (slot, self.cancel_of(video)) else {
            self.again(video);
            return;
        };
        let current = current
            .filter(|current| current.info.id != slot.info.id && self.parts.store.has_vectors(&current.info.id, video).unwrap_or(false));
        let span = tracing::info_span!("video", path = %record.path.display());
        let _entered = span.enter();
        let run = job::Run {
            config: &self.config,
            store: &self.parts.store,
            source: self.parts.source.as_ref(),
            slot: &slot,
            current: current.as_deref(),
            cancel: &cancel,
            threads,
            progress: &|position_ms, duration_ms| self.progressed(video, position_ms, duration_ms),
            decoded_by: &|decoder| self.lock().decoder = Some(decoder.to_owned()),
        };
        // A panic in here is our bug, not a reason to stop indexing everything else.
        let attempt = || {
            if is_catching_up {
                run.catch_up(&record)
            } else {
                run.index(&record)
            }
        };
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(attempt)).unwrap_or_else(|_| Outcome::Bad {
            reason: "scened failed on this file (a bug: please report it)".to_owned(),
            hint: None,
        });
        self.settle(&record, outcome);
    }

    fn settle(&self, record: &VideoRecord, outcome: Outcome) {
        let (video, path) = (record.id, &record.path);
        match outcome {
            Outcome::Indexed { n_scenes, duration_ms } => {
                info!(n_scenes, duration_ms, "indexed");
                self.finished(video, duration_ms);
                (self.parts.hook)(PipelineEvent::VideoIndexed {
                    path: path.clone(),
                    n_scenes,
                });
            }
            Outcome::CaughtUp => {
                debug!("embedded from keyframe pictures");
                self.lock().catching_up.finished(record.duration_ms, Instant::now());
                self.finished(video, 0);
            }
            Outcome::LeftBehind => {
                self.lock().left_behind.insert(video);
                self.finished(video, 0);
            }
            Outcome::Bad { reason, hint } => self.fail(record, &reason, hint.as_deref()),
            // It waited for a mount that hangs or went away: not the film's doing.
            Outcome::Died { reason } if crate::film::open_stamped(path).is_err() => {
                warn!(reason, "the film cannot be read any more");
                self.changed_under_us(record);
                (self.parts.hook)(PipelineEvent::FileChanged { path: path.clone() });
            }
            Outcome::Died { reason } => {
                let deaths = {
                    let mut state = self.lock();
                    let deaths = state.deaths.entry(video).or_default();
                    *deaths += 1;
                    *deaths
                };
                if deaths >= MAX_ATTEMPTS {
                    self.fail(record, &format!("{reason} ({deaths} attempts)"), None);
                } else {
                    warn!(reason, attempt = deaths, "trying again");
                    self.again(video);
                }
            }
            Outcome::MachineAtFault { reason } => {
                self.hold_off(&reason);
                self.again(video);
            }
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

    fn fail(&self, record: &VideoRecord, reason: &str, hint: Option<&str>) {
        warn!(reason, "cannot be indexed");
        match self
            .parts
            .store
            .put_failed_for(record, reason, hint, &self.config.software, crate::clock::now_ms())
        {
            Ok(_attempts) => {
                // Its pictures are another matter: a video that failed again keeps what it had.
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

    fn cancel_of(&self, video: VideoId) -> Option<Arc<Cancel>> {
        self.lock().in_flight.get(&video).map(|job| Arc::clone(&job.cancel))
    }

    fn progressed(&self, video: VideoId, position_ms: u64, duration_ms: u64) {
        let mut state = self.lock();
        if let Some(job) = state.in_flight.get_mut(&video) {
            job.position_ms = position_ms;
            job.duration_ms = duration_ms;
        }
        drop(state);
        self.parts.activity.bump();
    }

    /// The job is done or no longer ours. A change that arrived while it ran queues it again.
    fn finished(&self, video: VideoId, duration_ms: u64) {
        let record = self.parts.store.video(video);
        let pending = record
            .as_ref()
            .is_some_and(|record| record.state == VideoState::Pending && !record.offline);
        let lacks = record.is_some_and(|record| self.lacks(&record));
        let mut state = self.lock();
        state.in_flight.remove(&video);
        if lacks && !state.left_behind.contains(&video) {
            state.behind.insert(video);
        }
        state.pace.finished(duration_ms, Instant::now());
        if duration_ms > 0 {
            state.deaths.remove(&video);
        }
        if pending {
            state.enqueue(video, crate::clock::now_ms());
        }
        drop(state);
        self.changed.notify_one();
    }

    /// The file is not what `record` says. Reconcile looks at it, and its change of the record queues the job again; until then trying
    /// would find the same. A record that has changed already goes into the queue at once.
    fn changed_under_us(&self, record: &VideoRecord) {
        let now = self.parts.store.video(record.id);
        if now.is_none_or(|now| now.stamp != record.stamp || now.state != record.state) {
            return self.finished(record.id, 0);
        }
        let mut state = self.lock();
        state.in_flight.remove(&record.id);
        state.pace.finished(0, Instant::now());
        state.changed_files.insert(record.id, Instant::now() + CHANGED_RETRY);
        drop(state);
        self.changed.notify_one();
    }

    /// Back into the queue, behind the others.
    fn again(&self, video: VideoId) {
        self.finished(video, 0);
    }
}
