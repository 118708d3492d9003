//! Keeps one ANN index equal to the store: catches up from the change log, or rebuilds, and saves a snapshot when changes pause.
//!
//! Each model slot has one thread, the only writer of that slot's index. It sleeps without a timer while there is nothing to apply or save.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use scened_common::domain::{Embedding, SceneId, VideoId};
use tracing::{debug, error, info, warn};

use crate::activity::Activity;
use crate::ann::{AnnError, Opened};
use crate::models::serving::ModelSlot;
use crate::store::{ChangeKind, Store, StoreError};
use crate::supervise::{self, End, Supervised, caught};

/// A snapshot is written after this long without changes …
const QUIET_BEFORE_SAVE: Duration = Duration::from_secs(10);
/// … and at the latest this long after the first unsaved one. So a crash during a long indexing run costs little catching up.
const LONGEST_UNSAVED: Duration = Duration::from_mins(5);
/// The pause before a failed step is tried again: the store could not be read, or there was no memory for a scene. Tests use a shorter
/// pause.
const AGAIN: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 30_000 });

struct Shared {
    store: Store,
    slot: Arc<ModelSlot>,
    activity: Activity,
    applied: AtomicU64,
    /// Videos with scenes that the index could not add, and the reasons. They are tried again. Until then no snapshot is written, because a
    /// start would treat it as complete.
    missing: Mutex<BTreeMap<VideoId, String>>,
    stop: AtomicBool,
}

pub(super) struct Follower {
    shared: Arc<Shared>,
    /// Capacity 1. If it is full, the thread is already due to read the whole log.
    wake: Sender<()>,
    thread: Mutex<Option<JoinHandle<()>>>,
    _supervised: Arc<Supervised>,
}

impl Follower {
    /// `opened` is the result of [`crate::ann::Ann::open`] for `slot.ann`.
    pub(super) fn start(store: Store, slot: Arc<ModelSlot>, opened: Opened, activity: Activity) -> std::io::Result<Self> {
        let (wake, woken) = bounded(1);
        let applied = match &opened {
            Opened::Loaded { generation } => *generation,
            _ => 0,
        };
        let shared = Arc::new(Shared {
            store,
            slot,
            activity,
            applied: AtomicU64::new(applied),
            missing: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        let supervised = Supervised::essential("ann", "videos indexed from now on are not found");
        let (for_thread, for_waiting) = (Arc::clone(&shared), Arc::clone(&shared));
        // After a panic in the middle of a change only the store can be trusted.
        let mut opened = Some(opened);
        let body = move || {
            for_thread.run(&opened.take().unwrap_or(Opened::Missing), &woken);
            End::Asked
        };
        let thread = supervise::spawn(&supervised, body, move |_| for_waiting.activity.bump())?;
        Ok(Self {
            shared,
            wake,
            thread: Mutex::new(Some(thread)),
            _supervised: supervised,
        })
    }

    /// Wakes the thread after a commit. Never blocks.
    pub(super) fn wake(&self) {
        // Full: the thread is already due to read the whole log. Disconnected: it is stopping.
        let _woken = self.wake.try_send(());
    }

    /// Returns the number of changes of the store that searches do not see yet.
    pub(super) fn behind(&self) -> u64 {
        self.shared
            .store
            .generation()
            .saturating_sub(self.shared.applied.load(Ordering::Acquire))
    }

    /// Decides whether the index is being rebuilt, so that answers may lack scenes.
    pub(super) fn is_rebuilding(&self) -> bool {
        self.shared.applied.load(Ordering::Acquire) == 0 && self.shared.store.generation() > 0
    }

    /// Describes the scenes missing from answers because the index could not add them, in words for the user.
    pub(super) fn lack(&self) -> Option<String> {
        let missing = self.shared.missing();
        let reason = missing.values().next()?;
        Some(format!(
            "answers lack some scenes, because the index could not take them (videos: {}): {reason}; it is tried again by itself",
            missing.len()
        ))
    }

    pub(super) fn slot(&self) -> &Arc<ModelSlot> {
        &self.shared.slot
    }

    /// Applies the remaining changes, saves, and joins the thread. May be called again.
    pub(super) fn stop(&self) {
        self.shared.stop.store(true, Ordering::Release);
        self.wake();
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
    fn missing(&self) -> MutexGuard<'_, BTreeMap<VideoId, String>> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, opened: &Opened, woken: &Receiver<()>) {
        let mut unsaved_since: Option<Instant> = None;
        if !matches!(opened, Opened::Loaded { .. }) {
            if !matches!(opened, Opened::Missing) {
                warn!(?opened, model = %self.slot.info.id, "the ANN index cannot be used; it is rebuilt from the store");
            }
            self.report(self.rebuild(), &mut unsaved_since);
        }
        loop {
            crate::failpoint::panic_here("ann");
            let is_equal = self.report(self.catch_up(), &mut unsaved_since) && self.missing().is_empty();
            self.activity.bump();
            if self.stop.load(Ordering::Acquire) {
                break;
            }
            let received = match unsaved_since {
                _ if !is_equal => match woken.recv_timeout(AGAIN) {
                    Err(RecvTimeoutError::Timeout) => {
                        self.report(self.fetch_missing(), &mut unsaved_since);
                        Ok(())
                    }
                    received => received,
                },
                None => woken.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(since) => woken.recv_timeout(QUIET_BEFORE_SAVE.min(LONGEST_UNSAVED.saturating_sub(since.elapsed()))),
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

    /// Reports an outcome. Returns false if it was an error, so that the index may differ from the store.
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

    /// Applies the change log. Returns true if anything changed.
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

    /// Tries again to add the missing videos. Returns true if any was added.
    fn fetch_missing(&self) -> Result<bool, StoreError> {
        let videos: Vec<VideoId> = self.missing().keys().copied().collect();
        let mut touched = false;
        for video in videos {
            self.load_or_skip(video)?;
            if self.missing().contains_key(&video) {
                // The others would fail as well.
                break;
            }
            touched = true;
        }
        Ok(touched)
    }

    fn rebuild(&self) -> Result<bool, StoreError> {
        let generation = self.store.generation();
        // Until this is done, the index matches no generation and must not be saved as one.
        self.applied.store(0, Ordering::Release);
        let started = Instant::now();
        self.missing().clear();
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

    /// Loads a video. A panic costs only this video.
    fn load_or_skip(&self, video: VideoId) -> Result<(), StoreError> {
        caught(|| self.load(video)).unwrap_or_else(|panic| {
            error!(panic, %video, "a video cannot be put into the ANN index (a bug: please report it); it is not found");
            Ok(())
        })
    }

    /// Adds the scene vectors of one video, each the normalised mean of its frames' vectors.
    fn load(&self, video: VideoId) -> Result<(), StoreError> {
        let mut lack = None;
        for (index, scene) in self.store.video_vectors(&self.slot.info.id, video)?.iter().enumerate() {
            let id = SceneId::new(video, index);
            let Some(mean) = Embedding::mean(scene.frames.iter().map(|(_, vector)| vector)) else {
                continue;
            };
            match self.slot.ann.put(id, &mean) {
                Ok(()) => {}
                Err(error @ AnnError::Engine { .. }) => {
                    lack = Some(error.to_string());
                    break;
                }
                Err(error) => warn!(%error, scene = %id, "a scene cannot be put into the ANN index; it is not found"),
            }
        }
        let mut missing = self.missing();
        match lack {
            None => drop(missing.remove(&video)),
            Some(reason) => {
                warn!(reason, %video, "a video cannot be put into the ANN index; it is tried again");
                missing.insert(video, reason);
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
        if generation == 0 || !self.missing().is_empty() {
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use scened_common::domain::{Boundary, FileStamp, Fingerprint, Span};

    use super::*;
    use crate::ann::Ann;
    use crate::embed::Embedder;
    use crate::store::{IndexedVideo, NewVideo, SceneRecord, SceneVectors, VideoRecord, VideoState};
    use crate::testing::embedder::FakeEmbedder;

    const TIMEOUT: Duration = Duration::from_secs(30);

    /// Stores a video of one scene.
    fn index(store: &Store, slot: &ModelSlot, n: u8) {
        let video = NewVideo {
            path: PathBuf::from(format!("/{n}.mp4")),
            stamp: FileStamp {
                size_bytes: 1,
                mtime_ns: 1,
                inode: u64::from(n),
            },
            fingerprint: Fingerprint([n; 16]),
            on_root_device: true,
        };
        let record = store.add_video(video, 1).unwrap();
        let mut values = vec![1.0; slot.ann.dimensions()];
        values[0] = f32::from(n);
        let span = Span { start_ms: 0, end_ms: 1000 };
        let indexed = IndexedVideo {
            record: VideoRecord {
                state: VideoState::Indexed,
                duration_ms: 1000,
                n_scenes: 1,
                model: Some(slot.info.id.clone()),
                ..(*record).clone()
            },
            scenes: vec![SceneRecord {
                span,
                boundary: Boundary::Start,
            }],
            vectors: vec![SceneVectors {
                frames: vec![(0, Embedding::normalised(values).unwrap())],
            }],
            thumbnails: vec![Vec::new()],
            others: Vec::new(),
        };
        store.put_indexed(indexed).unwrap();
    }

    fn until(what: &str, is_true: impl Fn() -> bool) {
        testkit::wait_until(what, TIMEOUT, || if is_true() { Ok(()) } else { Err(String::new()) });
    }

    #[test]
    fn what_there_is_no_memory_for_is_told_tried_again_and_in_no_snapshot() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(&folder.path().join("data")).unwrap();
        let embedder = Arc::new(FakeEmbedder::named("fake"));
        let info = embedder.model();
        let open = || Ann::open(&folder.path().join("index"), &info.id, info.dimensions.unwrap()).unwrap();
        let slot = Arc::new(ModelSlot {
            info: info.clone(),
            embedder,
            ann: open().0,
            decodes_afresh: false,
        });
        let start = || Follower::start(store.clone(), Arc::clone(&slot), Opened::Missing, Activity::default()).unwrap();
        let follower = start();
        index(&store, &slot, 1);
        follower.wake();
        until("the index has the first", || slot.ann.len() == 1);
        slot.ann.refuse(true);
        index(&store, &slot, 2);
        follower.wake();
        let is_told = || {
            follower
                .lack()
                .is_some_and(|lack| lack.contains("(videos: 1): the index cannot add a scene"))
        };
        until("it is told", is_told);
        assert_eq!(follower.behind(), 0, "others are not held up");
        // The follower ends here and writes no snapshot that a start would treat as complete.
        follower.stop();
        let (_, opened) = open();
        let is_for_whole = matches!(opened, Opened::Loaded { generation } if generation == store.generation());
        assert!(!is_for_whole, "{opened:?}");
        let follower = start();
        until("it is told again", || follower.lack().is_some());
        slot.ann.refuse(false);
        until("the index has all", || follower.lack().is_none() && slot.ann.len() == 2);
    }
}
