//! Turns jobs into scenes, frames, vectors and one store batch.
//!
//! Owns the indexing threads and what they are doing at the moment. Jobs themselves are durable and live in the store; the queue here
//! is only their order, rebuilt at start and kept by the store's change hook, so that losing it loses nothing.
//! It does not know files' rules (reconcile) nor how anything is searched (query).
//!
//! **Threads**: `n` indexers, each waiting on one condition variable; no timers while the queue is empty.

pub mod follower;
mod job;
mod progress;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use crate::activity::Activity;
use crate::domain::{Fingerprint, VideoId};
use crate::media::{Cancel, Detector, FrameSource};
use crate::pipeline::job::Outcome;
pub(crate) use crate::pipeline::job::open_film;
use crate::pipeline::progress::Pace;
pub use crate::pipeline::progress::{Current, Progress};
use crate::serving::Serving;
use crate::store::{Change, ChangeKind, Store, VideoState};

/// A worker that dies, or stalls, is tried this often on one file before the file gets an incident.
const MAX_ATTEMPTS: u32 = 3;
/// How long to wait before trying again when not the file but the machine is at fault (no model, no worker, on battery).
const MACHINE_RETRY: Duration = Duration::from_secs(30);

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

pub type PipelineHook = Arc<dyn Fn(PipelineEvent) + Send + Sync>;

pub struct IndexerConfig {
    pub n_threads: usize,
    pub n_cores: usize,
    pub detector: Detector,
    pub max_scene_ms: u64,
    pub thumbnail_px: u32,
    /// Names scened's and FFmpeg's versions; recorded with incidents.
    pub software: String,
    pub pause_on_battery: bool,
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
}

#[derive(Default)]
struct State {
    /// Waiting jobs, oldest first.
    queue: BTreeSet<(i64, VideoId)>,
    queued_at: HashMap<VideoId, i64>,
    in_flight: HashMap<VideoId, InFlight>,
    /// Deaths of workers on a file, since the daemon started.
    deaths: HashMap<VideoId, u32>,
    paused: bool,
    paused_until: Option<Instant>,
    stopping: bool,
    /// Why nothing is indexed although there are jobs, in words for `status`.
    hindrance: Option<String>,
    /// Counts reasons to try again after a hindrance, so that none is missed.
    nudges: u64,
    pace: Pace,
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
}

impl Indexer {
    /// Loads the durable jobs and starts the threads; `paused` as the user left it.
    pub fn start(config: IndexerConfig, parts: Parts, paused: bool) -> Result<Self, crate::fault::Fatal> {
        let mut state = State {
            paused,
            ..State::default()
        };
        for job in parts.store.jobs()? {
            state.enqueue(job.video, job.queued_at_ms);
        }
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
        };
        for index in 0..n_threads {
            let shared = Arc::clone(&indexer.shared);
            let thread = std::thread::Builder::new()
                .name(format!("indexer-{index}"))
                .spawn(move || shared.run())
                .map_err(|error| crate::fault::Fatal::Internal(format!("cannot start an indexing thread: {error}")))?;
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
        state.nudges += 1;
        state.hindrance = None;
        drop(state);
        self.shared.changed.notify_all();
        self.shared.parts.activity.bump();
    }

    pub fn is_paused(&self) -> bool {
        self.shared.lock().paused
    }

    /// Jobs waiting or running.
    pub fn n_jobs(&self) -> u64 {
        let state = self.shared.lock();
        (state.queue.len() + state.in_flight.len()) as u64
    }

    pub fn hindrance(&self) -> Option<String> {
        self.shared.lock().hindrance.clone()
    }

    /// Where a video stands: its place in the queue from 1, or 0 while it is being indexed.
    pub fn position(&self, video: VideoId) -> Option<usize> {
        let state = self.shared.lock();
        if state.in_flight.contains_key(&video) {
            return Some(0);
        }
        let at = *state.queued_at.get(&video)?;
        Some(state.queue.range(..=(at, video)).count())
    }

    pub fn progress(&self) -> Progress {
        let state = self.shared.lock();
        let mut current: Vec<Current> = state
            .in_flight
            .values()
            .map(|job| Current {
                path: job.path.clone(),
                position_ms: job.position_ms,
                duration_ms: job.duration_ms,
            })
            .collect();
        current.sort_by(|a, b| a.path.cmp(&b.path));
        state.pace.report(current, state.queue.len(), Instant::now())
    }

    /// Lets a failed file have all its attempts again.
    pub fn forgive(&self, video: VideoId) {
        self.shared.lock().deaths.remove(&video);
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
    fn enqueue(&mut self, video: VideoId, at_ms: i64) {
        if self.in_flight.contains_key(&video) || self.queued_at.contains_key(&video) {
            return;
        }
        self.queue.insert((at_ms, video));
        self.queued_at.insert(video, at_ms);
    }

    fn forget(&mut self, video: VideoId) {
        if let Some(at) = self.queued_at.remove(&video) {
            self.queue.remove(&(at, video));
        }
        if let Some(in_flight) = self.in_flight.get(&video) {
            in_flight.cancel.cancel();
        }
        self.deaths.remove(&video);
    }

    #[expect(clippy::iter_over_hash_type, reason = "all are cancelled, in whatever order")]
    fn cancel_all(&self) {
        for in_flight in self.in_flight.values() {
            in_flight.cancel.cancel();
        }
    }

    fn take(&mut self) -> Option<VideoId> {
        let (_, video) = self.queue.pop_first()?;
        self.queued_at.remove(&video);
        Some(video)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn on_change(&self, change: &Change) {
        let record = self.parts.store.video(change.video);
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
        drop(state);
        self.parts.activity.bump();
    }

    fn run(&self) {
        while let Some((video, threads)) = self.next_job() {
            self.work(video, threads);
            self.parts.activity.bump();
        }
    }

    /// Waits for a job that may run; `None` when stopping. The second value is the number of decoder threads it should use.
    fn next_job(&self) -> Option<(VideoId, u32)> {
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
            if state.queue.is_empty() {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
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
            let video = state.take()?;
            let Some(record) = self.parts.store.video(video) else { continue };
            if record.state != VideoState::Pending || record.offline {
                continue;
            }
            let cancel = Arc::new(Cancel::default());
            let in_flight = InFlight {
                cancel,
                fingerprint: record.fingerprint,
                path: record.path.clone(),
                position_ms: 0,
                duration_ms: record.duration_ms,
            };
            state.in_flight.insert(video, in_flight);
            state.pace.began(Instant::now());
            // Many files: one thread each. The last few share the cores that would stand idle.
            let n_side_by_side = (state.queue.len() + state.in_flight.len()).clamp(1, self.config.n_threads);
            let threads = (self.config.n_cores / n_side_by_side).max(1) as u32;
            return Some((video, threads));
        }
    }

    /// Notes why nothing runs, and waits for a nudge or [`MACHINE_RETRY`].
    fn hindered<'a>(&'a self, mut state: MutexGuard<'a, State>, reason: &str) -> MutexGuard<'a, State> {
        if state.hindrance.as_deref() != Some(reason) {
            warn!(reason, "indexing waits");
            state.hindrance = Some(reason.to_owned());
            self.parts.activity.bump();
        }
        self.wait_for(state, MACHINE_RETRY)
    }

    fn wait_for<'a>(&'a self, state: MutexGuard<'a, State>, duration: Duration) -> MutexGuard<'a, State> {
        let (state, _timed_out) = self.changed.wait_timeout(state, duration).unwrap_or_else(PoisonError::into_inner);
        state
    }

    fn work(&self, video: VideoId, threads: u32) {
        let Some(record) = self.parts.store.video(video) else {
            self.finished(video, 0);
            return;
        };
        let (Some(slot), Some(cancel)) = (self.parts.serving.target(), self.cancel_of(video)) else {
            self.again(video);
            return;
        };
        let span = tracing::info_span!("video", path = %record.path.display());
        let _entered = span.enter();
        let run = job::Run {
            config: &self.config,
            store: &self.parts.store,
            source: self.parts.source.as_ref(),
            slot: &slot,
            cancel: &cancel,
            threads,
            progress: &|position_ms, duration_ms| self.progressed(video, position_ms, duration_ms),
        };
        // A panic in here is our bug, not a reason to stop indexing everything else.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run.index(&record))).unwrap_or_else(|_| Outcome::Bad {
            reason: "scened failed on this file (a bug: please report it)".to_owned(),
            hint: None,
        });
        self.settle(video, &record.path, outcome);
    }

    fn settle(&self, video: VideoId, path: &std::path::Path, outcome: Outcome) {
        match outcome {
            Outcome::Indexed { n_scenes, duration_ms } => {
                info!(n_scenes, duration_ms, "indexed");
                self.follow_the_model(video);
                self.finished(video, duration_ms);
                (self.parts.hook)(PipelineEvent::VideoIndexed {
                    path: path.to_owned(),
                    n_scenes,
                });
            }
            Outcome::Bad { reason, hint } => self.fail(video, path, &reason, hint.as_deref()),
            Outcome::Died { reason } => {
                let deaths = {
                    let mut state = self.lock();
                    let deaths = state.deaths.entry(video).or_default();
                    *deaths += 1;
                    *deaths
                };
                if deaths >= MAX_ATTEMPTS {
                    self.fail(video, path, &format!("{reason} ({deaths} attempts)"), None);
                } else {
                    warn!(reason, attempt = deaths, "trying again");
                    self.again(video);
                }
            }
            Outcome::MachineAtFault { reason } => {
                self.again(video);
                drop(self.hindered(self.lock(), &reason));
            }
            Outcome::FileChanged => {
                self.finished(video, 0);
                (self.parts.hook)(PipelineEvent::FileChanged { path: path.to_owned() });
            }
            Outcome::Cancelled => self.again(video),
            Outcome::StoreFailed(error) => {
                self.again(video);
                let reason = error.to_string();
                error!(reason, "the store refused a batch");
                if error.is_fatal() {
                    (self.parts.hook)(PipelineEvent::StoreFailed { reason });
                } else {
                    drop(self.hindered(self.lock(), &format!("the store refused a batch: {reason}")));
                }
            }
        }
    }

    /// A video that was being indexed for the old model while the user chose another one goes again.
    fn follow_the_model(&self, video: VideoId) {
        let Some(target) = self.parts.serving.target() else { return };
        let Some(record) = self.parts.store.video(video) else { return };
        if record.model.as_ref().is_some_and(|model| *model != target.info.id)
            && let Err(error) = self.parts.store.requeue(video, None, crate::clock::now_ms())
        {
            error!(%error, "cannot be queued for the new model");
        }
    }

    fn fail(&self, video: VideoId, path: &std::path::Path, reason: &str, hint: Option<&str>) {
        warn!(reason, "cannot be indexed");
        match self
            .parts
            .store
            .put_failed(video, reason, hint, &self.config.software, crate::clock::now_ms())
        {
            Ok(_attempts) => {
                self.finished(video, 0);
                (self.parts.hook)(PipelineEvent::VideoFailed {
                    path: path.to_owned(),
                    reason: reason.to_owned(),
                });
            }
            Err(crate::store::StoreError::Gone(_)) => self.finished(video, 0),
            Err(error) => self.settle(video, path, Outcome::StoreFailed(error)),
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
        let pending = self
            .parts
            .store
            .video(video)
            .is_some_and(|record| record.state == VideoState::Pending && !record.offline);
        let mut state = self.lock();
        state.in_flight.remove(&video);
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

    /// Back into the queue, behind the others.
    fn again(&self, video: VideoId) {
        self.finished(video, 0);
    }
}
