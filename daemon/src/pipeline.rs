//! Turns jobs into scenes, frames, vectors and one store batch.
//!
//! Owns the indexing threads and their current work. Jobs themselves are durable and are kept in the store. The queue here is only their
//! order, rebuilt at start and updated by the store's change hook, so that losing it loses nothing. The pipeline knows neither the rules
//! for files (reconcile) nor how anything is searched (query).
//!
//! **Threads**: `n` indexers, each waiting on one condition variable. There are no timers unless a job waits or a pause has an end.

mod blame;
mod brake;
mod catch_up;
mod job;
mod next;
pub mod pause;
mod progress;
mod settle;
mod state;
#[cfg(test)]
mod tests;
mod threads;
mod vectors;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use scened_common::domain::VideoId;
use tracing::error;

use crate::activity::Activity;
use crate::machine::disk_space::DiskSpace;
use crate::media::keyframes::Keyframes;
use crate::media::{Detector, FrameSource, Hardware, SceneMode};
use crate::models::serving::Serving;
pub use crate::pipeline::brake::{BrakeConfig, MachineState};
pub use crate::pipeline::progress::{CatchingUp, Current, Progress};
use crate::pipeline::state::State;
use crate::store::{Change, Store, VideoRecord, VideoState};
use crate::supervise::{self, End, Supervised};

/// Events for the rest of the daemon. The hook is called on an indexing thread and must be quick.
#[derive(Clone, Debug)]
pub enum PipelineEvent {
    VideoIndexed {
        path: PathBuf,
        n_scenes: usize,
    },
    VideoFailed {
        path: PathBuf,
        reason: String,
    },
    /// The file is not what the store says, or its drive may be gone: reconcile should look at it.
    FileChanged {
        path: PathBuf,
    },
    /// The store cannot continue.
    StoreFailed {
        reason: String,
    },
}

/// A function that finds the watched folder of a path.
pub type RootFinder = Box<dyn Fn(&Path) -> Option<PathBuf> + Send + Sync>;

pub type PipelineHook = Arc<dyn Fn(PipelineEvent) + Send + Sync>;

pub struct IndexerConfig {
    pub n_threads: usize,
    pub n_cores: usize,
    pub detector: Detector,
    pub mode: SceneMode,
    pub max_scene_ms: u64,
    pub thumbnail_px: u32,
    pub hardware: Hardware,
    /// The versions of scened and FFmpeg, recorded with incidents.
    pub software: String,
    pub brake: BrakeConfig,
    /// Reads the state of the machine.
    pub machine_state: Box<dyn Fn() -> MachineState + Send + Sync>,
    /// The disk space that indexing leaves free.
    pub disk_space: DiskSpace,
    /// The files of embedded frames, kept for other models; `None` = not kept.
    pub keyframes: Option<Keyframes>,
    /// Finds the watched folder of a path.
    pub root_of: RootFinder,
}

pub struct Parts {
    pub store: Store,
    pub source: Arc<dyn FrameSource>,
    pub serving: Arc<Serving>,
    pub activity: Activity,
    pub hook: PipelineHook,
}

struct Shared {
    config: IndexerConfig,
    parts: Parts,
    state: Mutex<State>,
    changed: Condvar,
}

/// Handle of the indexing threads, cheap to clone.
#[derive(Clone)]
pub struct Indexer {
    shared: Arc<Shared>,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
    all_supervised: Arc<Mutex<Vec<Arc<Supervised>>>>,
}

impl Indexer {
    /// Loads the durable jobs and starts the threads. `paused`: whether the user left indexing paused.
    pub fn start(config: IndexerConfig, parts: Parts, paused: bool) -> Result<Self, crate::fatal::Fatal> {
        let mut state = State {
            paused,
            ..State::default()
        };
        for job in parts.store.jobs()? {
            state.enqueue(job.video, job.queued_at_ms, job.n_deaths);
        }
        state.sweep = true;
        let n_threads = config.n_threads;
        let shared = Arc::new(Shared {
            config,
            parts,
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let indexer = Self {
            shared,
            threads: Arc::default(),
            all_supervised: Arc::default(),
        };
        indexer.catch_up();
        for index in 0..n_threads {
            let supervised = Supervised::new(format!("indexer-{index}"), "fewer videos are indexed at once, or none");
            let (shared, for_waiting) = (Arc::clone(&indexer.shared), Arc::clone(&indexer.shared));
            let body = move || {
                shared.run();
                End::Asked
            };
            let thread = supervise::spawn(&supervised, body, move |why| for_waiting.lose_thread(why))
                .map_err(|error| crate::fatal::Fatal::of_system(format!("cannot start an indexing thread: {error}"), &error))?;
            indexer
                .all_supervised
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(supervised);
            indexer.threads().push(thread);
        }
        Ok(indexer)
    }

    /// Returns the hook for [`Store::on_change`]. It holds the indexer weakly, because the indexer keeps the store alive.
    pub fn change_hook(&self) -> impl Fn(&Change) + Send + Sync + 'static {
        let shared = Arc::downgrade(&self.shared);
        move |change| {
            if let Some(shared) = shared.upgrade() {
                shared.on_change(change);
            }
        }
    }

    /// Cancels the running work on a video. It starts again as its job then requires.
    pub fn start_over(&self, video: VideoId) {
        if let Some(in_flight) = self.shared.lock().in_flight.get(&video) {
            in_flight.cancel.cancel();
        }
    }

    /// Stops indexing within a second: running analyses are cancelled, and start again on `resume`.
    pub fn pause(&self, duration: Option<Duration>) {
        let mut state = self.shared.lock();
        state.paused = true;
        state.paused_until = duration.map(|duration| Instant::now() + duration);
        state.cancel_all();
        drop(state);
        self.shared.changed.notify_all();
        self.shared.parts.activity.bump();
    }

    pub fn resume(&self) {
        let mut state = self.shared.lock();
        state.paused = false;
        state.paused_until = None;
        drop(state);
        self.wake();
    }

    /// Tries again now, because an obstacle may be gone (a model was installed, the user asks).
    pub fn wake(&self) {
        let mut state = self.shared.lock();
        state.wait_reason = None;
        state.held_until = None;
        state.n_holds = 0;
        state.held_folders.clear();
        let now = Instant::now();
        state.deferred.values_mut().for_each(|until| *until = now);
        drop(state);
        self.shared.changed.notify_all();
        self.shared.parts.activity.bump();
    }

    /// Finds the videos that the target model has no vectors of. Called when the model may have changed.
    pub fn catch_up(&self) {
        let lacking = self.shared.lacking();
        let mut state = self.shared.lock();
        state.left_behind.clear();
        state.behind = lacking.iter().map(|record| record.id).collect();
        drop(state);
        self.wake();
    }

    /// Returns whether the target model has vectors of every video, except for videos that cannot get any at present.
    pub fn has_caught_up(&self) -> bool {
        let is_at_work = |state: &State| !state.behind.is_empty() || state.in_flight.values().any(|job| job.is_catching_up);
        if is_at_work(&self.shared.lock()) {
            return false;
        }
        let Some(target) = self.shared.parts.serving.target() else {
            return false;
        };
        let lacking = self.shared.parts.store.videos_without_vectors(&target.info.id);
        let state = self.shared.lock();
        let is_excused = |record: &VideoRecord| match record.state {
            VideoState::Pending => record.offline,
            VideoState::Indexed | VideoState::Failed => state.left_behind.contains(&record.id),
        };
        !is_at_work(&state) && lacking.iter().all(|record| is_excused(record))
    }

    /// Returns the number of videos without vectors of the target model that cannot get any at present.
    pub fn n_left_behind(&self) -> u64 {
        self.shared.lock().left_behind.len() as u64
    }

    pub fn is_paused(&self) -> bool {
        self.shared.lock().paused
    }

    /// Returns the number of waiting and running jobs, including videos that need vectors of another model.
    pub fn n_jobs(&self) -> u64 {
        let state = self.shared.lock();
        let n_waiting = state.queue.len() + state.suspects.len() + state.deferred.len() + state.behind.len();
        (n_waiting + state.in_flight.len()) as u64
    }

    /// Returns why nothing will be indexed any more, if that is so.
    pub fn is_given_up(&self) -> Option<String> {
        self.shared.lock().dead.clone()
    }

    pub fn wait_reason(&self) -> Option<String> {
        let state = self.shared.lock();
        state.wait_reason.clone().or_else(|| state.held_folder_in_words())
    }

    /// Returns what decoded the last video: `software`, a graphics card, or `software` with the reason why the requested card was not used.
    pub fn decoder(&self) -> Option<String> {
        self.shared.lock().decoder.clone()
    }

    /// Returns the place of a video in the queue, from 1, or 0 while work on it is running. `None` if it has no place there.
    pub fn position(&self, video: VideoId) -> Option<usize> {
        let state = self.shared.lock();
        if state.in_flight.contains_key(&video) {
            return Some(0);
        }
        if state.suspects.contains(&video) {
            return Some(state.queue.len() + state.suspects.range(..=video).count());
        }
        let at = *state.queued_at.get(&video)?;
        Some(state.queue.range(..=(at, video)).count())
    }

    pub fn progress(&self) -> Progress {
        let state = self.shared.lock();
        let current = |is_catching_up| {
            let jobs = state.in_flight.values().filter(|job| job.is_catching_up == is_catching_up);
            let mut current: Vec<Current> = jobs
                .map(|job| Current {
                    path: job.path.clone(),
                    position_ms: job.position_ms,
                    duration_ms: job.duration_ms,
                })
                .collect();
            current.sort_by(|a, b| a.path.cmp(&b.path));
            current
        };
        let (now, catching_up) = (Instant::now(), current(true));
        let n_behind = state.behind.len() + catching_up.len();
        let mut progress = state.pace.report(current(false), state.queue.len() + state.suspects.len(), now);
        if n_behind > 0 {
            let change = state.catching_up.report(catching_up, state.behind.len(), now);
            progress.current.extend(change.current);
            progress.catching_up = Some(CatchingUp {
                n_left: n_behind as u64,
                left_ms: change.left_ms,
            });
        }
        progress
    }

    /// Cancels running jobs and joins the threads. Jobs stay in the store.
    pub fn stop(&self) {
        let mut state = self.shared.lock();
        state.stopping = true;
        state.cancel_all();
        drop(state);
        self.shared.changed.notify_all();
        for thread in self.threads().drain(..) {
            if thread.join().is_err() {
                error!("an indexing thread panicked; its job is still in the store");
            }
        }
    }

    fn threads(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
