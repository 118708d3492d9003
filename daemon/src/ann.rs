//! The nearest scenes of a vector: one usearch graph per model, in memory, with a snapshot on the disk.
//!
//! This is a cache of the store. If anything is wrong with a snapshot, the index starts empty and its owner fills it from the store again.
//! Knows neither the store nor the model.
//!
//! **Threads**: usearch's safe Rust API is not memory-safe: growing during a search crashed 5 of 5 runs, several writers 3 of 10. So every
//! change, growth included, holds a write lock. Searches share a read lock and a fixed number of permits, because usearch fails a search
//! beyond its configured number of threads. All methods block; a search takes well under a millisecond for 100,000 scenes.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use scened_common::domain::{Embedding, ModelId, SceneId, dot};
use usearch::{Index, IndexOptions, MetricKind, ScalarKind};

#[cfg(feature = "fuzzing")]
pub mod fuzz;
mod permits;
mod snapshot;
#[cfg(test)]
mod tests;

use permits::Permits;

/// Neighbours of a node in the graph. 16 is the usual choice: 32 gains under 0.5 % recall here and doubles the graph.
const CONNECTIVITY: usize = 16;
/// Candidates examined while adding.
const EXPANSION_ADD: usize = 128;
/// Candidates examined while searching, and at least as many as the requested hits. Recall@10 on 20,000 CLIP-like vectors of 512 dimensions
/// in f16: 0.978 at 64, 1.000 at 256. Answers are rescored, so 64 candidates are examined even for one hit.
const EXPANSION_SEARCH: usize = 64;
/// The graph grows by half, but at least by this many scenes.
const MIN_GROWTH: usize = 1_024;
/// Maximum number of simultaneous searches on any machine: each holds its own buffers.
const MAX_SEARCHERS: usize = 16;
/// Largest deviation from unit length that counts as rounding.
const NORM_TOLERANCE: f32 = 1e-2;
/// A graph should be rebuilt if a larger share of its nodes was removed. Below `MIN_REMOVED` removed nodes it does not matter.
const MAX_REMOVED_SHARE: f64 = 0.3;
const MIN_REMOVED: usize = 1_000;

#[derive(Debug, thiserror::Error)]
pub enum AnnError {
    #[error("a vector of {found} dimensions does not fit an index of {expected}")]
    Dimensions { expected: usize, found: usize },
    /// Such a vector would poison the graph for its neighbours too.
    #[error("a vector that is not of unit length is not indexed")]
    NotUnit,
    /// usearch refused: out of memory, or a bug.
    #[error("the index cannot {action}: {reason}")]
    Engine { action: &'static str, reason: String },
    #[error("cannot {action} {}", path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

/// The result of [`Ann::open`]. After anything but `Loaded` the index is empty and must be filled from the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// The snapshot holds the store's content at this generation.
    Loaded {
        generation: u64,
    },
    Missing,
    Damaged {
        reason: String,
        set_aside: Vec<PathBuf>,
    },
    /// The machine cannot read the snapshot at present.
    Unreadable {
        reason: String,
    },
    /// The files belong to another model whose name gave the same file name. They will be overwritten.
    OtherModel,
}

/// The index of one model. A clone is another handle to the same index.
#[derive(Clone)]
pub struct Ann {
    inner: Arc<Inner>,
}

struct Inner {
    graph: RwLock<Index>,
    /// Number of nodes that were removed and not reused.
    n_removed: AtomicUsize,
    permits: Permits,
    files: snapshot::Files,
    dimensions: usize,
    /// Makes `put` fail as if there were no memory.
    #[cfg(test)]
    refuses: std::sync::atomic::AtomicBool,
}

impl Ann {
    /// Loads the snapshot of `model` from `dir`, or starts empty.
    ///
    /// **Errors**: [`AnnError::File`] if a damaged file cannot be quarantined, [`AnnError::Engine`] if there is no memory.
    pub fn open(dir: &Path, model: &ModelId, dimensions: usize) -> Result<(Self, Opened), AnnError> {
        let files = snapshot::Files::new(dir, model, dimensions);
        let n_searchers = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, MAX_SEARCHERS);
        let mut graph = empty_graph(dimensions)?;
        let mut opened = files.load(&graph)?;
        if let Opened::Loaded { .. } = opened
            && let Err(reason) = check_loaded(&graph, dimensions)
        {
            opened = files.reject(reason)?;
        }
        if !matches!(opened, Opened::Loaded { .. }) {
            // A load that failed halfway may have left anything behind.
            graph = empty_graph(dimensions)?;
        }
        reserve(&graph, graph.size() + MIN_GROWTH, n_searchers)?;
        let inner = Inner {
            graph: RwLock::new(graph),
            n_removed: AtomicUsize::new(0),
            permits: Permits::new(n_searchers),
            files,
            dimensions,
            #[cfg(test)]
            refuses: std::sync::atomic::AtomicBool::default(),
        };
        Ok((Self { inner: Arc::new(inner) }, opened))
    }

    /// Deletes the snapshot of `model`, which no [`Ann`] may have open.
    ///
    /// **Errors**: [`AnnError::File`] if the folder cannot be read.
    pub fn delete(dir: &Path, model: &ModelId) -> Result<(), AnnError> {
        snapshot::Files::new(dir, model, 0).delete_all()
    }

    pub fn dimensions(&self) -> usize {
        self.inner.dimensions
    }

    pub fn len(&self) -> usize {
        self.read().size()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn contains(&self, scene: SceneId) -> bool {
        self.read().contains(scene.key())
    }

    /// Returns the memory of the graph and its vectors, reserved space included. Bytes.
    pub fn memory_bytes(&self) -> usize {
        self.read().memory_usage()
    }

    /// Adds a scene, or replaces its vector. **Errors**: [`AnnError::Dimensions`], [`AnnError::NotUnit`], [`AnnError::Engine`].
    pub fn put(&self, scene: SceneId, vector: &Embedding) -> Result<(), AnnError> {
        self.check(vector)?;
        #[cfg(test)]
        if self.inner.refuses.load(Ordering::SeqCst) {
            return Err(engine("add a scene")("Out of memory!"));
        }
        let graph = self.write();
        if graph.contains(scene.key()) {
            graph.remove(scene.key()).map_err(engine("remove a scene"))?;
            self.inner.n_removed.fetch_add(1, Ordering::Relaxed);
        }
        if graph.size() + self.inner.n_removed.load(Ordering::Relaxed) + 1 >= graph.capacity() {
            let capacity = graph.capacity();
            reserve(&graph, capacity + (capacity / 2).max(MIN_GROWTH), self.inner.permits.total())?;
        }
        graph.add(scene.key(), vector.as_slice()).map_err(engine("add a scene"))?;
        // usearch reuses the node of a removed scene, if there is one.
        let _ = self
            .inner
            .n_removed
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
        Ok(())
    }

    /// Makes every addition fail from now on, or ends that.
    #[cfg(test)]
    pub(crate) fn refuse(&self, refuses: bool) {
        self.inner.refuses.store(refuses, Ordering::SeqCst);
    }

    /// Removes a scene. Returns whether it was there.
    pub fn remove(&self, scene: SceneId) -> Result<bool, AnnError> {
        let graph = self.write();
        let n = graph.remove(scene.key()).map_err(engine("remove a scene"))?;
        self.inner.n_removed.fetch_add(n, Ordering::Relaxed);
        Ok(n > 0)
    }

    /// Removes all scenes.
    pub fn clear(&self) -> Result<(), AnnError> {
        let fresh = empty_graph(self.inner.dimensions)?;
        reserve(&fresh, MIN_GROWTH, self.inner.permits.total())?;
        *self.write() = fresh;
        self.inner.n_removed.store(0, Ordering::Relaxed);
        Ok(())
    }

    /// Decides whether so many scenes were removed that rebuilding the index would make it smaller and better.
    pub fn wants_rebuild(&self) -> bool {
        let removed = self.inner.n_removed.load(Ordering::Relaxed);
        removed >= MIN_REMOVED && removed as f64 > MAX_REMOVED_SHARE * (self.len() + removed) as f64
    }

    /// Returns the stored vector, rounded to f16.
    pub fn get(&self, scene: SceneId) -> Option<Embedding> {
        let mut values = vec![0.0; self.inner.dimensions];
        let found = self.read().get(scene.key(), &mut values).unwrap_or(0);
        if found == 0 { None } else { Embedding::normalised(values).ok() }
    }

    /// Returns the `k` nearest scenes with their cosine, the best first. Approximate.
    pub fn search(&self, query: &Embedding, k: usize) -> Result<Vec<(SceneId, f32)>, AnnError> {
        self.check(query)?;
        let _permit = self.inner.permits.acquire();
        let graph = self.read();
        let k = k.min(graph.size());
        if k == 0 {
            return Ok(Vec::new());
        }
        let matches = graph.search(query.as_slice(), k).map_err(engine("search"))?;
        Ok(ranked(&matches.keys, &matches.distances))
    }

    /// Returns the `k` nearest of the scenes that `allowed` accepts.
    ///
    /// If it accepts less than about a tenth of all scenes, this gets slow and misses scenes. Use [`Ann::exact`] over those instead.
    pub fn search_filtered(&self, query: &Embedding, k: usize, allowed: &dyn Fn(SceneId) -> bool) -> Result<Vec<(SceneId, f32)>, AnnError> {
        self.check(query)?;
        let _permit = self.inner.permits.acquire();
        let graph = self.read();
        let k = k.min(graph.size());
        if k == 0 {
            return Ok(Vec::new());
        }
        // A panic must not cross the C++ frames between here and the filter.
        let panic = std::cell::RefCell::new(None);
        let filter = |key| {
            let ask = std::panic::AssertUnwindSafe(|| allowed(SceneId::from_key(key)));
            std::panic::catch_unwind(ask).unwrap_or_else(|payload| {
                *panic.borrow_mut() = Some(payload);
                false
            })
        };
        let matches = graph.filtered_search(query.as_slice(), k, filter).map_err(engine("search"))?;
        if let Some(payload) = panic.into_inner() {
            drop(graph);
            std::panic::resume_unwind(payload);
        }
        Ok(ranked(&matches.keys, &matches.distances))
    }

    /// Returns the `k` best of the given scenes by comparing each of them. Scenes that are not in the index are skipped.
    pub fn exact(&self, query: &Embedding, k: usize, scenes: impl Iterator<Item = SceneId>) -> Result<Vec<(SceneId, f32)>, AnnError> {
        self.check(query)?;
        let graph = self.read();
        let mut values = vec![0.0_f32; self.inner.dimensions];
        let mut scored = Vec::new();
        for scene in scenes {
            if graph.get(scene.key(), &mut values).map_err(engine("read a scene"))? > 0 {
                let norm = dot(&values, &values).sqrt();
                scored.push((scene, dot(query.as_slice(), &values) / norm));
            }
        }
        drop(graph);
        let k = k.min(scored.len());
        if k > 0 && k < scored.len() {
            scored.select_nth_unstable_by(k - 1, by_score);
            scored.truncate(k);
        }
        scored.sort_unstable_by(by_score);
        scored.truncate(k);
        Ok(scored)
    }

    /// Writes a snapshot of the store's content at `generation`. Searches continue meanwhile; changes wait.
    pub fn save(&self, generation: u64) -> Result<(), AnnError> {
        self.inner.files.save(&self.read(), generation)
    }

    fn check(&self, vector: &Embedding) -> Result<(), AnnError> {
        if vector.dimensions() != self.inner.dimensions {
            return Err(AnnError::Dimensions {
                expected: self.inner.dimensions,
                found: vector.dimensions(),
            });
        }
        // NaN fails this comparison as well.
        let norm = dot(vector.as_slice(), vector.as_slice()).sqrt();
        if (norm - 1.0).abs() <= NORM_TOLERANCE {
            Ok(())
        } else {
            Err(AnnError::NotUnit)
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Index> {
        self.inner.graph.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Index> {
        self.inner.graph.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn empty_graph(dimensions: usize) -> Result<Index, AnnError> {
    let options = IndexOptions {
        dimensions,
        // The inner product of unit vectors is their cosine.
        metric: MetricKind::IP,
        quantization: ScalarKind::F16,
        connectivity: CONNECTIVITY,
        expansion_add: EXPANSION_ADD,
        expansion_search: EXPANSION_SEARCH,
        multi: false,
    };
    Index::new(&options).map_err(engine("begin"))
}

/// Grows the graph. Call it only under the write lock, or before another thread has the graph.
fn reserve(graph: &Index, capacity: usize, n_searchers: usize) -> Result<(), AnnError> {
    graph
        .reserve_capacity_and_threads(capacity, n_searchers + 1)
        .map_err(engine("grow"))
}

/// Checks the kind of the index. The hash only proves that the file is the one that was written.
fn check_loaded(graph: &Index, dimensions: usize) -> Result<(), String> {
    if graph.dimensions() != dimensions || graph.metric_kind() != MetricKind::IP || graph.scalar_kind() != ScalarKind::F16 {
        return Err("it has other dimensions, metric or precision".to_owned());
    }
    graph.change_expansion_add(EXPANSION_ADD);
    graph.change_expansion_search(EXPANSION_SEARCH);
    Ok(())
}

fn ranked(keys: &[u64], distances: &[f32]) -> Vec<(SceneId, f32)> {
    let mut hits: Vec<_> = keys
        .iter()
        .zip(distances)
        .map(|(key, distance)| (SceneId::from_key(*key), 1.0 - distance))
        .collect();
    hits.sort_by(by_score);
    hits
}

/// Best first. Equal scores are ordered by id, so that answers are stable.
fn by_score(a: &(SceneId, f32), b: &(SceneId, f32)) -> std::cmp::Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

fn engine<E: std::fmt::Display>(action: &'static str) -> impl FnOnce(E) -> AnnError {
    move |error| AnnError::Engine {
        action,
        reason: error.to_string(),
    }
}
