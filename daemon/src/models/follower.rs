//! Keeps one ANN index equal to the store: catches up from the change log, or rebuilds, and saves a snapshot when things are quiet.
//!
//! One thread a model slot, the only writer of that slot's index. It sleeps without a timer while there is nothing to apply or save.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use scened_common::domain::{Embedding, SceneId, VideoId};
use tracing::{debug, error, info, warn};

use crate::activity::Activity;
use crate::ann::Opened;
use crate::models::serving::ModelSlot;
use crate::store::{ChangeKind, Store, StoreError};
use crate::supervise::{self, End, Ward, caught};

/// A snapshot is written after this long without changes …
const QUIET_BEFORE_SAVE: Duration = Duration::from_secs(10);
/// … and at the latest this long after the first unsaved one, so that a crash during a long indexing costs little catching up.
const LONGEST_UNSAVED: Duration = Duration::from_mins(5);
/// The pause before the store is read again that could not be read.
const READ_AGAIN: Duration = Duration::from_secs(30);

struct Shared {
    store: Store,
    slot: Arc<ModelSlot>,
    activity: Activity,
    applied: AtomicU64,
    stop: AtomicBool,
}

pub(super) struct Follower {
    shared: Arc<Shared>,
    /// Capacity 1: a poke that finds it full is already promised a look at everything.
    poke: Sender<()>,
    thread: Mutex<Option<JoinHandle<()>>>,
    _ward: Arc<Ward>,
}

impl Follower {
    /// `opened` is what [`crate::ann::Ann::open`] said about `slot.ann`.
    pub(super) fn start(store: Store, slot: Arc<ModelSlot>, opened: Opened, activity: Activity) -> std::io::Result<Self> {
        let (poke, poked) = bounded(1);
        let applied = match &opened {
            Opened::Loaded { generation } => *generation,
            _ => 0,
        };
        let shared = Arc::new(Shared {
            store,
            slot,
            activity,
            applied: AtomicU64::new(applied),
            stop: AtomicBool::new(false),
        });
        let ward = Ward::essential("ann", "what is indexed from now on is not found");
        let (for_thread, for_waiting) = (Arc::clone(&shared), Arc::clone(&shared));
        // After a panic in the middle of a change nothing is sure but the store.
        let mut opened = Some(opened);
        let body = move || {
            for_thread.run(&opened.take().unwrap_or(Opened::Missing), &poked);
            End::Asked
        };
        let thread = supervise::spawn(&ward, body, move |_| for_waiting.activity.bump())?;
        Ok(Self {
            shared,
            poke,
            thread: Mutex::new(Some(thread)),
            _ward: ward,
        })
    }

    /// Something was committed. Never blocks.
    pub(super) fn poke(&self) {
        // Full means that a look at the whole log is promised already; disconnected means that we are stopping.
        let _poked = self.poke.try_send(());
    }

    /// Changes of the store that searches do not see yet.
    pub(super) fn behind(&self) -> u64 {
        self.shared
            .store
            .generation()
            .saturating_sub(self.shared.applied.load(Ordering::Acquire))
    }

    /// The index is being built anew: answers may lack scenes.
    pub(super) fn is_rebuilding(&self) -> bool {
        self.shared.applied.load(Ordering::Acquire) == 0 && self.shared.store.generation() > 0
    }

    pub(super) fn slot(&self) -> &Arc<ModelSlot> {
        &self.shared.slot
    }

    /// Applies what is left, saves, and joins the thread. May be called again.
    pub(super) fn stop(&self) {
        self.shared.stop.store(true, Ordering::Release);
        self.poke();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            error!("the thread of the ANN index panicked; the index is rebuilt from the store at the next start");
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn run(&self, opened: &Opened, poked: &Receiver<()>) {
        let mut unsaved_since: Option<Instant> = None;
        if !matches!(opened, Opened::Loaded { .. }) {
            if !matches!(opened, Opened::Missing) {
                warn!(?opened, model = %self.slot.info.id, "the ANN index cannot be used; it is rebuilt from the store");
            }
            self.report(self.rebuild(), &mut unsaved_since);
        }
        loop {
            crate::failpoint::panic_here("ann");
            let is_equal = self.report(self.catch_up(), &mut unsaved_since);
            self.activity.bump();
            if self.stop.load(Ordering::Acquire) {
                break;
            }
            let received = match unsaved_since {
                _ if !is_equal => match poked.recv_timeout(READ_AGAIN) {
                    Err(RecvTimeoutError::Timeout) => Ok(()),
                    received => received,
                },
                None => poked.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(since) => poked.recv_timeout(QUIET_BEFORE_SAVE.min(LONGEST_UNSAVED.saturating_sub(since.elapsed()))),
            };
            match received {
                Ok(()) => {}
                Err(RecvTimeoutError::Timeout) => {
                    self.save();
                    unsaved_since = None;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if unsaved_since.is_some() {
            self.save();
        }
    }

    /// Whether the index is now what the store is.
    fn report(&self, outcome: Result<bool, StoreError>, unsaved_since: &mut Option<Instant>) -> bool {
        match outcome {
            Ok(true) => *unsaved_since = unsaved_since.or_else(|| Some(Instant::now())),
            Ok(false) => {}
            Err(error) => {
                error!(%error, model = %self.slot.info.id, "the ANN index could not follow the store; search may miss videos until it is read again");
                return false;
            }
        }
        true
    }

    /// Applies the change log; true when anything changed.
    fn catch_up(&self) -> Result<bool, StoreError> {
        let applied = self.applied.load(Ordering::Acquire);
        if self.store.generation() == applied {
            return Ok(false);
        }
        let Some(changes) = self.store.changes_since(applied)? else {
            info!(model = %self.slot.info.id, "the change log does not reach back to the index's snapshot; rebuilding");
            return self.rebuild();
        };
        let mut touched = false;
        for change in changes {
            let is_ours = match &change.kind {
                ChangeKind::Content | ChangeKind::Removed { .. } => true,
                ChangeKind::Vectors { model } => *model == self.slot.info.id,
                _ => false,
            };
            if is_ours {
                for index in 0..change.n_scenes_before as usize {
                    self.forget(SceneId::new(change.video, index));
                }
                self.load_or_skip(change.video)?;
                touched = true;
            }
            self.applied.store(change.generation, Ordering::Release);
        }
        if self.slot.ann.wants_rebuild() {
            info!(model = %self.slot.info.id, "many scenes were replaced; rebuilding the ANN index");
            return self.rebuild();
        }
        Ok(touched)
    }

    fn rebuild(&self) -> Result<bool, StoreError> {
        let generation = self.store.generation();
        // Until the end of this, the index is not one of any generation, and must not be saved as one.
        self.applied.store(0, Ordering::Release);
        let started = Instant::now();
        if let Err(error) = self.slot.ann.clear() {
            error!(%error, "the ANN index could not be emptied");
        }
        for video in self.store.videos() {
            if self.stop.load(Ordering::Acquire) {
                return Ok(false);
            }
            self.load_or_skip(video.id)?;
        }
        self.applied.store(generation, Ordering::Release);
        info!(model = %self.slot.info.id, scenes = self.slot.ann.len(), seconds = started.elapsed().as_secs_f32(), "built the ANN index from the store");
        Ok(true)
    }

    /// A panic over one video costs that video.
    fn load_or_skip(&self, video: VideoId) -> Result<(), StoreError> {
        caught(|| self.load(video)).unwrap_or_else(|panic| {
            error!(panic, %video, "a video cannot be put into the ANN index (a bug: please report it); it is found by exact search only");
            Ok(())
        })
    }

    /// Puts the scene vectors of one video, each the normalised mean of its frames' vectors.
    fn load(&self, video: VideoId) -> Result<(), StoreError> {
        for (index, scene) in self.store.video_vectors(&self.slot.info.id, video)?.iter().enumerate() {
            let id = SceneId::new(video, index);
            let Some(mean) = Embedding::mean(scene.frames.iter().map(|(_, vector)| vector)) else {
                continue;
            };
            if let Err(error) = self.slot.ann.put(id, &mean) {
                warn!(%error, scene = %id, "a scene cannot be put into the ANN index; it is found by exact search only");
            }
        }
        Ok(())
    }

    fn forget(&self, scene: SceneId) {
        if let Err(error) = self.slot.ann.remove(scene) {
            warn!(%error, %scene, "a scene cannot be taken out of the ANN index; it is filtered out of answers");
        }
    }

    fn save(&self) {
        let generation = self.applied.load(Ordering::Acquire);
        if generation == 0 {
            return;
        }
        match self.slot.ann.save(generation) {
            Ok(()) => {
                debug!(generation, "saved the ANN index");
                if let Err(error) = self.store.trim_changes(generation) {
                    warn!(%error, "the change log could not be trimmed");
                }
            }
            Err(error) => warn!(%error, "the ANN index could not be saved; it is rebuilt at the next start"),
        }
    }
}
