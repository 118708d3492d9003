//! What one indexing thread does: wait for a job that may run, and do it.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use scened_common::domain::VideoId;
use tracing::{error, info, warn};

use super::job::{self, Outcome};
use super::{InFlight, Shared, State, brake};
use crate::media::Cancel;
use crate::store::{Cause, Change, ChangeKind, VideoRecord, VideoState};
use crate::supervise::caught;

/// How long to wait before trying again when not the file but the machine is at fault (no model, no worker, on battery).
pub(super) const MACHINE_RETRY: Duration = Duration::from_secs(30);
/// A film on which a worker died this often is decoded by its keyframes alone: fewer parts of the decoder see it.
const DEATHS_BEFORE_KEYFRAMES: u32 = 2;

const OUR_BUG: &str = "scened failed on this file (a bug: please report it)";

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
        let n_deaths = self.n_deaths(change.video);
        let mut state = self.lock();
        match record {
            Some(record) if record.state == VideoState::Pending && !record.offline => {
                if change.kind == ChangeKind::Offline {
                    // Its drive is back.
                    let folder = self.folder_of(&record.path);
                    state.release_folder(&folder, Instant::now());
                }
                if let Some(in_flight) = state.in_flight.get(&record.id) {
                    if in_flight.fingerprint != record.fingerprint {
                        in_flight.cancel.cancel();
                    }
                } else {
                    state.enqueue(record.id, crate::machine::clock::now_ms(), n_deaths);
                    self.changed.notify_all();
                }
            }
            Some(record) if change.kind == ChangeKind::Offline && record.offline => state.forget(record.id),
            None => state.forget(change.video),
            Some(_) => {}
        }
        if matches!(change.kind, ChangeKind::Removed { .. } | ChangeKind::Content) {
            state.sweep = true;
            self.changed.notify_all();
        }
        // What it lacks after the job that runs is seen at that job's end; a failure makes nothing possible that was not before.
        if change.kind != ChangeKind::Failed && !state.in_flight.contains_key(&change.video) {
            state.left_behind.remove(&change.video);
            if lacks {
                state.behind.insert(change.video);
                self.changed.notify_all();
            }
        }
        drop(state);
        self.parts.activity.bump();
    }

    pub(super) fn run(&self) {
        loop {
            crate::failpoint::panic_here("indexer");
            let Some(job) = self.next_job() else { return };
            match job {
                Job::Index(video, threads) => self.spared(video, || self.work(video, threads, false)),
                Job::CatchUp(video, threads) => self.spared(video, || self.work(video, threads, true)),
                Job::Sweep => self.sweep(),
            }
            self.parts.activity.bump();
        }
    }

    /// A panic over one video costs that video: it becomes an incident, or else is left alone until the next start.
    fn spared(&self, video: VideoId, work: impl FnOnce()) {
        let Err(panic) = caught(work) else { return };
        error!(panic, "indexing a video failed (a bug: please report it)");
        let note = || {
            if let Some(record) = self.parts.store.video(video) {
                self.fail(&record, OUR_BUG, None, Cause::Video);
            }
        };
        if let Err(panic) = caught(note) {
            error!(panic, "nor can that be noted");
        }
        let mut state = self.lock();
        if state.in_flight.remove(&video).is_some() {
            state.left_behind.insert(video);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// An indexing thread is not started again.
    pub(super) fn lose_thread(&self, why: &str) {
        let mut state = self.lock();
        state.n_lost += 1;
        if state.n_lost >= self.config.n_threads {
            state.dead = Some(why.to_owned());
        }
        drop(state);
        self.parts.activity.bump();
    }

    /// Whether a video is indexed, and not by the target model.
    pub(super) fn lacks(&self, record: &VideoRecord) -> bool {
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
                state = self.sit_out_pause(state);
                continue;
            }
            let now = Instant::now();
            let (due, next_due) = state.take_back_changed(now);
            for video in due {
                state.enqueue(video, crate::machine::clock::now_ms(), self.n_deaths(video));
            }
            if state.queue.is_empty() && state.suspects.is_empty() && state.behind.is_empty() {
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
            if let Some(reason) = self.held_by_machine(&mut state) {
                state = self.hindered(state, reason, brake::INTERVAL);
                continue;
            }
            if let Some(lack) = self.config.disk_space.lack() {
                state = self.hindered(state, &lack, MACHINE_RETRY);
                continue;
            }
            if self.parts.serving.target().is_none() {
                let reason = self
                    .parts
                    .serving
                    .problem()
                    .map_or_else(|| "the model is being opened".to_owned(), |problem| problem.reason);
                state = self.hindered(state, &reason, MACHINE_RETRY);
                continue;
            }
            state.hindrance = None;
            // A suspect has the machine for itself: what killed its worker may have been what ran beside it.
            let is_suspect = state.queue.is_empty() && !state.suspects.is_empty();
            if is_suspect && !state.in_flight.is_empty() || state.in_flight.values().any(|job| job.is_suspect) {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
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
            // What another model needs may be had without the film.
            if !is_catching_up
                && !state.held_folders.is_empty()
                && let Some(until) = state.folder_is_held_until(&self.folder_of(&record.path), Instant::now())
            {
                state.aside.insert(video, until);
                continue;
            }
            let cancel = Arc::new(Cancel::default());
            let in_flight = InFlight {
                cancel,
                fingerprint: record.fingerprint,
                path: record.path.clone(),
                position_ms: 0,
                duration_ms: record.duration_ms,
                is_catching_up,
                is_suspect,
            };
            state.in_flight.insert(video, in_flight);
            // Many files: one thread each. The last few share the cores that would stand idle.
            let n_side_by_side =
                (state.queue.len() + state.suspects.len() + state.behind.len() + state.in_flight.len()).clamp(1, self.config.n_threads);
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

    /// Waits for the end of the pause, or for a nudge.
    fn sit_out_pause<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        match state.paused_until {
            Some(until) if until <= Instant::now() => {
                state.paused = false;
                state.paused_until = None;
                info!("the pause is over");
                self.parts.activity.bump();
                state
            }
            Some(until) => self.wait_for(state, until.saturating_duration_since(Instant::now())),
            None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Why the machine is left to others at present; looks at it where that was not done lately.
    fn held_by_machine(&self, state: &mut State) -> Option<&'static str> {
        let now = Instant::now();
        if state.brake.is_due(now) {
            state.brake.look(self.config.brake, &(self.config.sight)(), now);
        }
        state.brake.hold()
    }

    /// Takes nothing more from a worker while the machine is left to others: its pipe fills, and it waits.
    fn stand_back(&self, cancel: &Cancel) {
        let mut state = self.lock();
        while !cancel.is_cancelled()
            && let Some(reason) = self.held_by_machine(&mut state)
        {
            state = self.hindered(state, reason, brake::INTERVAL);
            if state.brake.hold().is_none() {
                state.hindrance = None;
            }
        }
    }

    /// Notes why nothing runs, and waits for a nudge or `at_most`.
    fn hindered<'a>(&'a self, mut state: MutexGuard<'a, State>, reason: &str, at_most: Duration) -> MutexGuard<'a, State> {
        if state.note_hindrance(reason) {
            self.parts.activity.bump();
        }
        self.wait_for(state, at_most)
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
        let n_deaths = self.n_deaths(video);
        let run = job::Run {
            config: &self.config,
            store: &self.parts.store,
            source: self.parts.source.as_ref(),
            slot: &slot,
            current: current.as_deref(),
            cancel: &cancel,
            threads,
            keyframes_only: n_deaths >= DEATHS_BEFORE_KEYFRAMES,
            takes_part: self.takes_part_of(video),
            progress: &|position_ms, duration_ms| {
                self.progressed(video, position_ms, duration_ms);
                self.stand_back(&cancel);
            },
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
        let outcome = caught(attempt).unwrap_or_else(|_| Outcome::Bad {
            reason: OUR_BUG.to_owned(),
            hint: None,
        });
        crate::failpoint::panic_here("settle");
        self.settle(&record, outcome);
    }

    /// How often a worker died on a waiting video; only memory is read for it.
    pub(super) fn n_deaths(&self, video: VideoId) -> u32 {
        self.parts.store.job(video).map_or(0, |job| job.n_deaths)
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
}
