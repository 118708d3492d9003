//! The available models, the one in use, and the change from one to another.
//!
//! During a change the old model continues to answer. The new one becomes [`Serving::next`], and the pipeline makes its vectors from the
//! keyframe pictures. When these are complete, [`Models::promote_if_complete`] swaps the two. Vectors of the old model stay, so that going
//! back needs no work.

mod change;
mod follower;
mod list;
mod notices;
mod purge;
pub mod serving;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, TryLockError};
use std::thread::JoinHandle;
use std::time::Instant;

use scened_common::domain::{Crop, ModelId};
use scened_common::embed::model::{ModelError, ModelFolder, find_models, resolve};
use serde_json::Value;
use tracing::{error, warn};

use crate::activity::Activity;
use crate::ann::{Ann, AnnError};
use crate::config::edit::EditError;
use crate::embed::{EmbedError, Embedder};
use crate::models::follower::Follower;
use crate::models::serving::{ModelSlot, NoModel, Serving};
use crate::store::{Change, Store, StoreError};

/// Setting: the id of the model that answered last.
const SERVING_SETTING: &str = "serving-model";
/// Setting: the id of the model being prepared whose vectors must be made from the videos, not from keyframe pictures.
const AFRESH_SETTING: &str = "afresh-model";

pub use list::Listed;

pub type MakeEmbedder = Arc<dyn Fn(&ModelFolder) -> Result<Arc<dyn Embedder>, EmbedError> + Send + Sync>;

pub struct ModelsConfig {
    /// Folders that contain model folders.
    pub dirs: Vec<PathBuf>,
    /// The folder of ANN snapshots.
    pub ann_dir: PathBuf,
    pub config_file: PathBuf,
    /// How pictures are shown to models.
    pub crop: Crop,
    pub make_embedder: MakeEmbedder,
}

#[derive(Debug, thiserror::Error)]
pub enum ModelsError {
    #[error(transparent)]
    Unknown(ModelError),
    #[error("{0}")]
    Unusable(#[from] NoModel),
    #[error("{0} is in use")]
    InUse(String),
    #[error("cannot write the model to the configuration")]
    Config(#[from] EditError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the ANN index of the model cannot be opened")]
    Ann(#[from] AnnError),
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
}

impl ModelsError {
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown(error) => Some(error.hint()),
            Self::Unusable(problem) => problem.hint.clone(),
            Self::InUse(_) => Some("choose another one first: scenectl model use NAME".to_owned()),
            Self::Config(_) => Some("correct the file named above; scened --check-config says what is wrong".to_owned()),
            Self::Store(_) | Self::Ann(_) | Self::Thread(_) => None,
        }
    }
}

pub struct Models {
    config: ModelsConfig,
    store: Store,
    serving: Arc<Serving>,
    activity: Activity,
    /// The chosen model, by name or folder. Held while a change of model is being arranged.
    wanted: Mutex<String>,
    /// The followers of the current and the next slot. They have their own lock: the store's change hook takes it while a change holds
    /// `wanted`.
    followers: RwLock<Vec<Arc<Follower>>>,
    /// Threads that free the space of removed models.
    purges: Mutex<Vec<JoinHandle<()>>>,
    /// The next model that failed its self-test when it was to take over, and the time of its next test.
    next_looked_at: Mutex<Option<(ModelId, Instant)>>,
    stopping: Arc<AtomicBool>,
}

impl Models {
    pub fn new(config: ModelsConfig, wanted: String, store: Store, serving: Arc<Serving>, activity: Activity) -> Self {
        Self {
            config,
            store,
            serving,
            activity,
            wanted: Mutex::new(wanted),
            followers: RwLock::default(),
            purges: Mutex::default(),
            next_looked_at: Mutex::default(),
            stopping: Arc::default(),
        }
    }

    /// Opens the chosen model, and the one that answered last if that is another. A model that cannot be opened causes a warning, and the
    /// daemon continues to run.
    pub fn open(&self) -> Result<(), StoreError> {
        let wanted = self.wanted();
        if let Err(error) = self.open_wanted(&wanted) {
            let served = self.served()?.map(ModelId);
            let n_kept = served.map_or(Ok(0), |id| self.store.n_videos_with_vectors(&id))?;
            let kept = match n_kept {
                0 => String::new(),
                1 => "; the vectors of 1 video are kept".to_owned(),
                n => format!("; the vectors of {n} videos are kept"),
            };
            let problem = NoModel {
                reason: format!("{}{kept}", crate::fatal::with_causes(&error)),
                hint: error.hint(),
            };
            warn!(reason = problem.reason, "the model cannot be used");
            self.open_served()?;
            self.serving.set_problem(problem);
        }
        drop(wanted);
        // An earlier process may not have finished purging.
        self.purge(Vec::new())
    }

    /// Lets the model that answered last answer again, if it exists, because the chosen one cannot be used.
    fn open_served(&self) -> Result<(), StoreError> {
        if let Some(folder) = self.served()?.and_then(|id| self.folder_of(&id, None)) {
            match self.open_slot(&folder, false) {
                Ok(slot) => self.serving.set_current(slot),
                Err(error) => warn!(model = folder.name, reason = %error, "nor can the model that answered last"),
            }
        }
        Ok(())
    }

    fn served(&self) -> Result<Option<String>, StoreError> {
        self.text_setting(SERVING_SETTING)
    }

    fn text_setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        Ok(self.store.setting(name)?.and_then(|value| value.as_str().map(str::to_owned)))
    }

    fn open_wanted(&self, wanted: &str) -> Result<(), ModelsError> {
        let folder = self.resolve(wanted)?;
        let previous = self
            .served()?
            .filter(|id| *id != folder.id.0)
            .and_then(|id| self.folder_of(&id, Some(&folder)));
        if let Some(previous) = previous
            && self.store.n_videos_with_vectors(&previous.id)? > 0
        {
            match self.open_slot(&previous, false) {
                Ok(slot) => {
                    self.serving.set_current(slot);
                    let afresh = self.text_setting(AFRESH_SETTING)?.is_some_and(|id| id == folder.id.0);
                    self.serving.set_next(Some(self.open_slot(&folder, afresh)?));
                    return Ok(());
                }
                Err(error) => {
                    warn!(model = previous.name, reason = %error, "the last model cannot be opened; search works again as videos get new vectors");
                }
            }
        }
        let slot = self.open_slot(&folder, false)?;
        self.serve(slot)
    }

    fn serve(&self, slot: Arc<ModelSlot>) -> Result<(), ModelsError> {
        self.store.put_setting(SERVING_SETTING, &Value::String(slot.info.id.0.clone()))?;
        self.serving.set_current(slot);
        Ok(())
    }

    /// Creates embedder, index and follower of a model.
    fn open_slot(&self, folder: &ModelFolder, decodes_afresh: bool) -> Result<Arc<ModelSlot>, ModelsError> {
        let embedder = (self.config.make_embedder)(folder).map_err(|error| unusable(folder, &error))?;
        let mut info = folder.info();
        let dimensions = self.dimensions(folder, embedder.as_ref())?;
        info.dimensions = Some(dimensions);
        let (ann, opened) = Ann::open(&self.config.ann_dir, &info.id, dimensions)?;
        let slot = Arc::new(ModelSlot {
            info,
            embedder,
            ann,
            decodes_afresh,
        });
        let follower =
            Follower::start(self.store.clone(), Arc::clone(&slot), opened, self.activity.clone()).map_err(ModelsError::Thread)?;
        self.followers
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Arc::new(follower));
        Ok(slot)
    }

    /// Returns the dimensions: from the model's files, or else from an earlier run, or else by embedding a text once.
    fn dimensions(&self, folder: &ModelFolder, embedder: &dyn Embedder) -> Result<usize, ModelsError> {
        if let Some(dimensions) = folder.dimensions {
            return Ok(dimensions);
        }
        let setting = format!("dimensions/{}", folder.id);
        if let Some(dimensions) = self.store.setting(&setting)?.and_then(|value| value.as_u64()) {
            return Ok(dimensions as usize);
        }
        let vectors = embedder.embed_texts(&["a".to_owned()]).map_err(|error| unusable(folder, &error))?;
        let dimensions = vectors.first().map_or(0, scened_common::domain::Embedding::dimensions);
        self.store.put_setting(&setting, &Value::from(dimensions))?;
        Ok(dimensions)
    }

    /// Tries again to open the chosen model if that failed. Called after the user may have fixed the cause.
    pub fn reopen_if_unusable(&self) {
        if self.serving.problem().is_none() {
            return;
        }
        if self.serving.current().is_err() {
            if let Err(error) = self.open() {
                error!(%error, "the model cannot be opened");
            }
            return;
        }
        let wanted = self.wanted().clone();
        if let Err(error) = self.use_model(&wanted, false) {
            warn!(reason = %error, "the model that is wanted still cannot be used");
        }
    }

    /// Deletes the vectors of a model that is not in use.
    pub fn remove(&self, name: &str) -> Result<(), ModelsError> {
        let _arranging = self.wanted();
        let folder = self.resolve(name)?;
        let ids = ids_of(&folder);
        if self.serving.in_use().iter().any(|id| ids.contains(id)) {
            return Err(ModelsError::InUse(folder.name));
        }
        for id in &ids {
            self.store.hide_model(id)?;
            Ann::delete(&self.config.ann_dir, id)?;
        }
        Ok(self.purge(ids)?)
    }

    /// Returns how many changes of the store the slowest index has not applied yet.
    pub fn behind(&self) -> u64 {
        self.followers().iter().map(|follower| follower.behind()).max().unwrap_or_default()
    }

    /// Returns the hook for [`Store::on_change`]. It holds a weak reference, because `Models` holds the store.
    pub fn change_hook(self: &Arc<Self>) -> impl Fn(&Change) + Send + Sync + 'static {
        let models = Arc::downgrade(self);
        move |_| {
            if let Some(models) = models.upgrade() {
                models.followers().iter().for_each(|follower| follower.wake());
            }
        }
    }

    /// Ends the embed workers. Waiting callers get an error.
    pub fn stop_embedders(&self) {
        for slot in [self.serving.current().ok(), self.serving.next()].into_iter().flatten() {
            slot.embedder.stop();
        }
    }

    /// Saves the indexes and ends the embed workers.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.stop_embedders();
        let followers = std::mem::take(&mut *self.followers.write().unwrap_or_else(PoisonError::into_inner));
        for follower in followers {
            follower.stop();
        }
        for thread in self.purges().drain(..) {
            if thread.join().is_err() {
                error!("the thread that frees the room of removed models panicked");
            }
        }
    }

    /// Finds the model called `name`, with the configured crop.
    fn resolve(&self, name: &str) -> Result<ModelFolder, ModelsError> {
        let folder = resolve(name, &self.config.dirs).map_err(ModelsError::Unknown)?;
        Ok(folder.with_crop(self.config.crop))
    }

    /// Finds the model with that id, with the crop of that time: after a change of `crop` its vectors still answer. `wanted` may be a
    /// folder used in place, which is not in any of the usual folders.
    fn folder_of(&self, id: &str, wanted: Option<&ModelFolder>) -> Option<ModelFolder> {
        wanted
            .cloned()
            .into_iter()
            .chain(find_models(&self.config.dirs).into_iter().flatten())
            .flat_map(|folder| Crop::ALL.map(|crop| folder.clone().with_crop(crop)))
            .find(|folder| folder.id.0 == id)
    }

    fn followers(&self) -> Vec<Arc<Follower>> {
        self.followers.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the chosen name without waiting for a change of model in progress.
    fn name_wanted(&self) -> String {
        match self.wanted.try_lock() {
            Ok(wanted) => wanted.clone(),
            Err(TryLockError::Poisoned(wanted)) => wanted.into_inner().clone(),
            Err(TryLockError::WouldBlock) => "being chosen".to_owned(),
        }
    }

    fn wanted(&self) -> MutexGuard<'_, String> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the ids of a model under every crop, each once.
fn ids_of(folder: &ModelFolder) -> Vec<ModelId> {
    let mut ids = Crop::ALL.map(|crop| folder.clone().with_crop(crop).id).to_vec();
    ids.sort();
    ids.dedup();
    ids
}

fn unusable(folder: &ModelFolder, error: &EmbedError) -> ModelsError {
    let hint = match error {
        EmbedError::Unavailable { hint, .. } => hint.clone(),
        _ => None,
    };
    ModelsError::Unusable(NoModel {
        reason: format!("model {} cannot be used: {error}", folder.name),
        hint,
    })
}
