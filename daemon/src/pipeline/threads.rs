//! The loop of one indexing thread: wait for a job that may run, and do it.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use scened_common::domain::VideoId;
use tracing::{error, info, warn};

use super::job::{self, Outcome};
use super::next::{self, Fate, JobSource, Next, Obstacles};
use super::state::{InFlight, State};
use super::{Shared, brake};
use crate::media::Cancel;
use crate::store::{Cause, Change, ChangeKind, VideoRecord, VideoState};
use crate::supervise::caught;

/// Pause before another attempt if the machine and not the file is at fault (no model, no worker, a full disk).
pub(super) const MACHINE_RETRY: Duration = Duration::from_secs(30);
/// A video on which a worker died this often is decoded by its keyframes alone, so that fewer parts of the decoder process it.
const DEATHS_BEFORE_KEYFRAMES: u32 = 2;

const OUR_BUG: &str = "scened failed on this file (a bug: please report it)";

/// The next task of an indexing thread.
enum Job {
    /// Index a video. The second value is the number of decoder threads.
    Index(VideoId, u32),
    /// Make vectors of the target model for an indexed video. The second value is the number of decoder threads if it must be decoded after
    /// all.
    CatchUp(VideoId, u32),
    /// Delete keyframe pictures that no video needs.
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
        // A running job finds at its end what the video lacks. A failure makes nothing possible that was impossible before.
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
                Job::Index(video, threads) => self.catch_panic_over(video, || self.work(video, threads, false)),
                Job::CatchUp(video, threads) => self.catch_panic_over(video, || self.work(video, threads, true)),
                Job::Sweep => self.sweep(),
            }
            self.parts.activity.bump();
        }
    }

    /// Catches a panic over one video, so that it costs only that video. The video becomes an incident, or else is left alone until it
    /// changes or the next start.
    fn catch_panic_over(&self, video: VideoId, work: impl FnOnce()) {
        let Err(panic) = caught(work) else { return };
        error!(panic, "indexing a video failed (a bug: please report it)");
        let note = || {
            if let Some(record) = self.parts.store.video(video) {
                self.fail(&record, OUR_BUG, None, Cause::Video);
            }
        };
        if let Err(panic) = caught(note) {
            error!(panic, "this cannot be recorded either");
        }
        let mut state = self.lock();
        if state.in_flight.remove(&video).is_some() {
            state.left_behind.insert(video);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Notes that an indexing thread is not started again.
    pub(super) fn lose_thread(&self, why: &str) {
        let mut state = self.lock();
        state.n_lost += 1;
        if state.n_lost >= self.config.n_threads {
            state.dead = Some(why.to_owned());
        }
        drop(state);
        self.parts.activity.bump();
    }

    /// Returns whether a video is indexed, but not for the target model.
    pub(super) fn lacks(&self, record: &VideoRecord) -> bool {
        let may = record.n_scenes > 0 && record.state != VideoState::Pending;
        may && self.parts.serving.target().is_some_and(|target| {
            // This reads only memory.
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

    /// Waits for a job that may run; `None` when stopping.
    fn next_job(&self) -> Option<Job> {
        let mut state = self.lock();
        let mut obstacles = None;
        loop {
            let now = Instant::now();
            match next::decide(&state, now, obstacles.take().as_ref()) {
                Next::Stop => return None,
                Next::EndPause => self.end_pause(&mut state),
                Next::TakeBack => self.take_back(&mut state, now),
                Next::LookForObstacles => obstacles = Some(self.obstacles(&mut state)),
                Next::Wait(at_most) => state = self.wait(state, at_most),
                Next::WaitForMachine { reason, at_most } => state = self.wait_because(state, &reason, at_most),
                Next::WaitForTurn => {
                    state.wait_reason = None;
                    state = self.wait(state, None);
                }
                Next::Sweep => {
                    state.sweep = false;
                    return Some(Job::Sweep);
                }
                Next::Take(source) => {
                    state.wait_reason = None;
                    if let Some(job) = self.take(&mut state, source) {
                        return Some(job);
                    }
                }
            }
        }
    }

    fn end_pause(&self, state: &mut State) {
        state.paused = false;
        state.paused_until = None;
        info!("the pause is over");
        self.parts.activity.bump();
    }

    /// Puts the deferred jobs that are due into the queue.
    fn take_back(&self, state: &mut State, now: Instant) {
        for video in state.take_back_changed(now) {
            state.enqueue(video, crate::machine::clock::now_ms(), self.n_deaths(video));
        }
    }

    fn obstacles(&self, state: &mut State) -> Obstacles {
        let serving = &self.parts.serving;
        let model = serving.target().is_none().then(|| {
            let problem = serving.problem().map(|problem| problem.reason);
            problem.unwrap_or_else(|| "the model is being opened".to_owned())
        });
        Obstacles {
            machine: self.held_by_machine(state),
            disk_space: self.config.disk_space.lack(),
            model,
        }
    }

    /// Takes the first video that waits in this place; `None` if there is nothing to do for it now.
    fn take(&self, state: &mut State, source: JobSource) -> Option<Job> {
        let video = state.take(source)?;
        let record = self.parts.store.video(video)?;
        let held_until = if state.held_folders.is_empty() {
            None
        } else {
            state.folder_is_held_until(&self.folder_of(&record.path), Instant::now())
        };
        let is_catching_up = match next::fate(source, &record, self.lacks(&record), held_until) {
            Fate::Index => false,
            Fate::CatchUp => true,
            Fate::FallBehind => {
                state.behind.insert(video);
                return None;
            }
            Fate::SetAside(until) => {
                state.deferred.insert(video, until);
                return None;
            }
            Fate::Drop => return None,
        };
        let in_flight = InFlight {
            cancel: Arc::default(),
            fingerprint: record.fingerprint,
            path: record.path.clone(),
            position_ms: 0,
            duration_ms: record.duration_ms,
            is_catching_up,
            is_suspect: source == JobSource::Suspects,
        };
        state.in_flight.insert(video, in_flight);
        let n_jobs = state.queue.len() + state.suspects.len() + state.behind.len() + state.in_flight.len();
        let threads = next::decoder_threads(n_jobs, self.config.n_threads, self.config.n_cores);
        Some(if is_catching_up {
            state.catching_up.began(Instant::now());
            Job::CatchUp(video, threads)
        } else {
            state.pace.began(Instant::now());
            Job::Index(video, threads)
        })
    }

    /// Returns why indexing leaves the machine to other programs at present. Looks at the machine if the last look is too long ago.
    fn held_by_machine(&self, state: &mut State) -> Option<&'static str> {
        let now = Instant::now();
        if state.brake.is_due(now) {
            state.brake.poll(self.config.brake, &(self.config.machine_state)(), now);
        }
        state.brake.hold()
    }

    /// Takes nothing from a worker while indexing leaves the machine to other programs: its pipe fills, and it waits.
    fn stand_back(&self, cancel: &Cancel) {
        let mut state = self.lock();
        while !cancel.is_cancelled()
            && let Some(reason) = self.held_by_machine(&mut state)
        {
            state = self.wait_because(state, reason, brake::INTERVAL);
            if state.brake.hold().is_none() {
                state.wait_reason = None;
            }
        }
    }

    /// Records why nothing runs, and waits for a wake-up or for `at_most`.
    fn wait_because<'a>(&'a self, mut state: MutexGuard<'a, State>, reason: &str, at_most: Duration) -> MutexGuard<'a, State> {
        if state.note_wait_reason(reason) {
            self.parts.activity.bump();
        }
        self.wait(state, Some(at_most))
    }

    /// Waits for a wake-up, and at most for this long.
    fn wait<'a>(&'a self, state: MutexGuard<'a, State>, at_most: Option<Duration>) -> MutexGuard<'a, State> {
        let Some(at_most) = at_most else {
            return self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        };
        let (state, _timed_out) = self.changed.wait_timeout(state, at_most).unwrap_or_else(PoisonError::into_inner);
        state
    }

    fn work(&self, video: VideoId, threads: u32, is_catching_up: bool) {
        let Some(record) = self.parts.store.video(video) else {
            self.finished(video, 0);
            return;
        };
        let current = self.parts.serving.current().ok();
        // A new video is embedded for the model that answers. Later, like all others, it is embedded for the new model.
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
        // A panic in here is a bug of scened, and no reason to stop indexing other videos.
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

    /// Returns how often a worker died on a waiting video. Reads only memory.
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
