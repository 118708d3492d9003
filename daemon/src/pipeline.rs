//! Turns jobs into scenes, frames, vectors and one store batch.
//!
//! Owns the indexing threads and what they are doing at the moment. Jobs themselves are durable and live in the store; the queue here
//! is only their order, rebuilt at start and kept by the store's change hook, so that losing it loses nothing.
//! It does not know files' rules (reconcile) nor how anything is searched (query).
//!
//! **Threads**: `n` indexers, each waiting on one condition variable; no timers while the queue is empty.

mod blame;
mod brake;
mod catch_up;
mod job;
mod next;
pub mod pause;
mod progress;
mod settle;
#[cfg(test)]
mod tests;
mod threads;
mod vectors;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use scened_common::domain::{Fingerprint, VideoId};
use tracing::{error, warn};

use crate::activity::Activity;
use crate::machine::disk_space::DiskSpace;
use crate::media::keyframes::Keyframes;
use crate::media::{Cancel, Detector, FrameSource, Hardware, SceneMode};
use crate::models::serving::Serving;
pub use crate::pipeline::brake::{BrakeConfig, Sight};
use crate::pipeline::progress::Pace;
pub use crate::pipeline::progress::{CatchingUp, Current, Progress};
use crate::store::{Change, Store, VideoRecord, VideoState};
use crate::supervise::{self, End, Ward};

/// What the pipeline tells the rest of the daemon. Called on an indexing thread; must be quick.
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
    /// The file is not what the store says: reconcile should look at it.
    FileChanged {
        path: PathBuf,
    },
    /// The store cannot go on.
    StoreFailed {
        reason: String,
    },
}

/// Finds the watched folder that a path lies in.
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
    /// Names scened's and FFmpeg's versions; recorded with incidents.
    pub software: String,
    pub brake: BrakeConfig,
    /// Looks at the machine.
    pub sight: Box<dyn Fn() -> Sight + Send + Sync>,
    /// What indexing leaves free.
    pub disk_space: DiskSpace,
    /// Where embedded frames are kept for other models; `None` = nowhere.
    pub keyframes: Option<Keyframes>,
    /// The watched folder that a path lies in.
    pub root_of: RootFinder,
}

pub struct Parts {
    pub store: Store,
    pub source: Arc<dyn FrameSource>,
    pub serving: Arc<Serving>,
    pub activity: Activity,
    pub hook: PipelineHook,
}

struct InFlight {
    cancel: Arc<Cancel>,
    fingerprint: Fingerprint,
    path: PathBuf,
    position_ms: u64,
    duration_ms: u64,
    /// It was indexed for another model already.
    is_catching_up: bool,
    /// A worker died on it before, so nothing else runs beside it.
    is_suspect: bool,
}

#[derive(Default)]
struct State {
    /// Waiting jobs, oldest first.
    queue: BTreeSet<(i64, VideoId)>,
    queued_at: HashMap<VideoId, i64>,
    /// Jobs on which a worker died; their turn comes, one at a time, when no other job waits, so that they delay nobody.
    suspects: BTreeSet<VideoId>,
    in_flight: HashMap<VideoId, InFlight>,
    /// Indexed videos that the target model has no vectors of; their turn comes when no job waits.
    behind: BTreeSet<VideoId>,
    /// Those for which nothing can be done now: neither pictures nor film are there. A change of the video brings it back.
    left_behind: HashSet<VideoId>,
    /// Keyframe pictures may lie there that nobody wants.
    sweep: bool,
    /// Jobs that cannot be done now (the file is not what the store says, or cannot be read), each with the moment when it is tried again.
    aside: BTreeMap<VideoId, Instant>,
    /// How often a video failed in a way that is not laid to it, since it was last indexed or the daemon started.
    doubts: HashMap<VideoId, u32>,
    /// Watched folders whose drives give errors.
    held_folders: BTreeMap<PathBuf, blame::HeldFolder>,
    /// How often the machine was at fault since a video was last indexed.
    n_machine_failures: u32,
    /// Deaths of workers on indexed videos that catch up with another model, since the daemon started. Those on jobs are in the store.
    catch_up_deaths: HashMap<VideoId, u32>,
    /// Deaths of the embed worker since it last embedded a film to its end.
    n_embedder_deaths: u32,
    paused: bool,
    paused_until: Option<Instant>,
    stopping: bool,
    /// Threads that were left off; with the last one nothing is indexed any more, and this says why.
    n_lost: usize,
    dead: Option<String>,
    /// Why nothing is indexed although there are jobs, in words for `status`.
    hindrance: Option<String>,
    /// What decoded the last film, in words for `status`.
    decoder: Option<String>,
    /// No job is taken before this moment: the machine was at fault.
    held_until: Option<Instant>,
    brake: brake::Brake,
    /// How often in a row the machine was at fault: each time is waited longer.
    n_holds: u32,
    pace: Pace,
    /// Of videos that another model catches up with.
    catching_up: Pace,
}

struct Shared {
    config: IndexerConfig,
    parts: Parts,
    state: Mutex<State>,
    changed: Condvar,
}

/// Handle of the indexing threads; cheap to clone.
#[derive(Clone)]
pub struct Indexer {
    shared: Arc<Shared>,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
    wards: Arc<Mutex<Vec<Arc<Ward>>>>,
}

impl Indexer {
    /// Loads the durable jobs and starts the threads; `paused` as the user left it.
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
            wards: Arc::default(),
        };
        indexer.catch_up();
        for index in 0..n_threads {
            let ward = Ward::new(format!("indexer-{index}"), "fewer videos are indexed at once, or none");
            let (shared, for_waiting) = (Arc::clone(&indexer.shared), Arc::clone(&indexer.shared));
            let body = move || {
                shared.run();
                End::Asked
            };
            let thread = supervise::spawn(&ward, body, move |why| for_waiting.lose_thread(why))
                .map_err(|error| crate::fatal::Fatal::of_system(format!("cannot start an indexing thread: {error}"), &error))?;
            indexer.wards.lock().unwrap_or_else(PoisonError::into_inner).push(ward);
            indexer.threads().push(thread);
        }
        Ok(indexer)
    }

    /// What to register with [`Store::on_change`]. Holds the indexer weakly: the store must not keep alive what keeps the store.
    pub fn change_hook(&self) -> impl Fn(&Change) + Send + Sync + 'static {
        let shared = Arc::downgrade(&self.shared);
        move |change| {
            if let Some(shared) = shared.upgrade() {
                shared.on_change(change);
            }
        }
    }

    /// Indexing stops within a second: running analyses are cancelled and start again on `resume`.
    /// Breaks off what is being done with a video; it is begun again as its job says now.
    pub fn start_over(&self, video: VideoId) {
        if let Some(in_flight) = self.shared.lock().in_flight.get(&video) {
            in_flight.cancel.cancel();
        }
    }

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
        self.nudge();
    }

    /// Something that stood in the way may be gone (a model was installed, the user asks): try now.
    pub fn nudge(&self) {
        let mut state = self.shared.lock();
        state.hindrance = None;
        state.held_until = None;
        state.n_holds = 0;
        state.held_folders.clear();
        let now = Instant::now();
        state.aside.values_mut().for_each(|until| *until = now);
        drop(state);
        self.shared.changed.notify_all();
        self.shared.parts.activity.bump();
    }

    /// The model may be another one now: finds the videos that it has no vectors of.
    pub fn catch_up(&self) {
        let lacking = self.shared.lacking();
        let mut state = self.shared.lock();
        state.left_behind.clear();
        state.behind = lacking.iter().map(|record| record.id).collect();
        drop(state);
        self.nudge();
    }

    /// Whether the target model has vectors of every video, but for those of which nothing is there to make them of.
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

    /// How many of the videos without vectors of the target model cannot be caught up with at present.
    pub fn n_left_behind(&self) -> u64 {
        self.shared.lock().left_behind.len() as u64
    }

    pub fn is_paused(&self) -> bool {
        self.shared.lock().paused
    }

    /// Jobs waiting or running.
    pub fn n_jobs(&self) -> u64 {
        let state = self.shared.lock();
        let n_waiting = state.queue.len() + state.suspects.len() + state.aside.len() + state.behind.len();
        (n_waiting + state.in_flight.len()) as u64
    }

    /// Why nothing will be indexed any more, where that is so.
    pub fn is_left_off(&self) -> Option<String> {
        self.shared.lock().dead.clone()
    }

    pub fn hindrance(&self) -> Option<String> {
        let state = self.shared.lock();
        state.hindrance.clone().or_else(|| state.held_folder_in_words())
    }

    /// What decoded the last film: `software`, a graphics card, or `software` with the reason why not the card asked for.
    pub fn decoder(&self) -> Option<String> {
        self.shared.lock().decoder.clone()
    }

    /// Where a video stands: its place in the queue from 1, or 0 while it is being indexed.
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

    /// Cancels what runs and joins the threads. Jobs stay in the store.
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

impl State {
    /// Puts a job where it belongs: a video that is new, changed or tried afresh at its place, one that killed workers behind all others.
    fn enqueue(&mut self, video: VideoId, at_ms: i64, n_deaths: u32) {
        if self.in_flight.contains_key(&video) {
            return;
        }
        self.aside.remove(&video);
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

    fn forget(&mut self, video: VideoId) {
        self.aside.remove(&video);
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
    fn cancel_all(&self) {
        for in_flight in self.in_flight.values() {
            in_flight.cancel.cancel();
        }
    }

    /// The jobs that were set aside and are due, to be queued.
    fn take_back_changed(&mut self, now: Instant) -> Vec<VideoId> {
        let is_due = |at: &Instant| *at <= now;
        let due: Vec<VideoId> = self.aside.iter().filter(|(_, at)| is_due(at)).map(|(video, _)| *video).collect();
        self.aside.retain(|_, at| !is_due(at));
        due
    }

    /// Keeps the reason for `status`, and logs it once; true when it is news.
    fn note_hindrance(&mut self, reason: &str) -> bool {
        let is_news = self.hindrance.as_deref() != Some(reason);
        if is_news {
            warn!(reason, "indexing waits");
            self.hindrance = Some(reason.to_owned());
        }
        is_news
    }

    /// The first video that waits in this place.
    fn take(&mut self, place: next::Place) -> Option<VideoId> {
        match place {
            next::Place::Queue => {
                let (_, video) = self.queue.pop_first()?;
                self.queued_at.remove(&video);
                Some(video)
            }
            next::Place::Suspects => self.suspects.pop_first(),
            next::Place::Behind => self.behind.pop_first(),
        }
    }
}
