//! The watched folders: changes their list in config.toml, tells the reconciler, and drops or keeps their videos.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use scened_common::domain::VideoId;

use crate::config::edit::{self, EditError};
use crate::config::kept;
use crate::reconcile::ReconcilerHandle;
use crate::store::{Store, StoreError, VideoRecord};

#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error("{path} is not a folder", path = .0.display())]
    NotAFolder(PathBuf),
    #[error("{path} cannot be reached", path = .path.display())]
    Unreachable { path: PathBuf, source: io::Error },
    #[error("{path} is not a watched folder", path = .0.display())]
    NotWatched(PathBuf),
    #[error("no video at or below {path} is known", path = .0.display())]
    NothingKnown(PathBuf),
    #[error("the folder cannot be written to the configuration")]
    Config(#[from] EditError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl FolderError {
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotAFolder(_) => Some("give the folder that contains the videos"),
            Self::Unreachable { .. } => Some("check the spelling and whether the drive is connected"),
            Self::NotWatched(_) | Self::NothingKnown(_) => Some("scenectl folders lists the watched ones"),
            Self::Config(_) => Some("correct the file named above; scened --check-config says what is wrong"),
            Self::Store(_) => None,
        }
    }
}

/// The counts of what [`Folders::forget`] drops and leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    pub n_videos: u64,
    pub n_scenes: u64,
    pub duration_ms: u64,
    pub n_offline: u64,
    /// Videos that stay, because they can be reached and are watched.
    pub n_kept: u64,
}

pub struct Folders {
    config_file: PathBuf,
    /// Folder with the copy of `config_file`.
    data_dir: PathBuf,
    store: Store,
    reconciler: Arc<ReconcilerHandle>,
    /// The configured folders, as the reconciler has them. Locked while they change.
    watched: Mutex<Vec<PathBuf>>,
}

impl Folders {
    pub fn new(config_file: PathBuf, data_dir: PathBuf, watched: Vec<PathBuf>, store: Store, reconciler: Arc<ReconcilerHandle>) -> Self {
        Self {
            config_file,
            data_dir,
            store,
            reconciler,
            watched: Mutex::new(watched),
        }
    }

    /// Watches `folder` from now on. Adding it twice changes nothing.
    pub fn add(&self, folder: &Path) -> Result<(), FolderError> {
        let at = folder.to_owned();
        let metadata =
            crate::machine::with_timeout::run(folder, move |_| std::fs::metadata(at)).map_err(|source| FolderError::Unreachable {
                path: folder.to_owned(),
                source,
            })?;
        if !metadata.is_dir() {
            return Err(FolderError::NotAFolder(folder.to_owned()));
        }
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        edit::add_folder(&self.config_file, folder)?;
        kept::keep_or_warn(&self.config_file, &self.data_dir);
        if !watched.iter().any(|known| known == folder) {
            watched.push(folder.to_owned());
        }
        self.reconciler.set_roots(watched.clone());
        Ok(())
    }

    /// Returns how many videos [`Folders::remove`] would drop.
    pub fn count_for_removal(&self, folder: &Path) -> Result<u64, FolderError> {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = without(&watched, folder)?;
        Ok(self.only_in(folder, &rest).len() as u64)
    }

    /// Stops watching `folder`. Drops its videos, or with `keep` marks them offline. Returns their number.
    pub fn remove(&self, folder: &Path, keep: bool) -> Result<u64, FolderError> {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = without(&watched, folder)?;
        edit::remove_folder(&self.config_file, folder)?;
        kept::keep_or_warn(&self.config_file, &self.data_dir);
        self.reconciler.set_roots(rest.clone());
        // Walks under way may still have added some, so this looks after the roots are gone.
        let ids = self.only_in(folder, &rest);
        if keep {
            self.store.set_offline(&ids, true)?;
        } else {
            self.store.remove_videos(&ids)?;
        }
        *watched = rest;
        Ok(ids.len() as u64)
    }

    /// Drops the videos at and below `path` that are offline or in no watched folder; with `dry_run` it only counts them. The others stay,
    /// because they would be found again.
    pub fn forget(&self, path: &Path, dry_run: bool) -> Result<Forgotten, FolderError> {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let is_watched = |record: &VideoRecord| watched.iter().any(|folder| record.path.starts_with(folder));
        let mut forgotten = Forgotten::default();
        let mut ids = Vec::new();
        for record in self.store.videos().iter().filter(|record| record.path.starts_with(path)) {
            if !record.offline && is_watched(record) {
                forgotten.n_kept += 1;
                continue;
            }
            ids.push(record.id);
            forgotten.n_videos += 1;
            forgotten.n_scenes += u64::from(record.n_scenes);
            forgotten.duration_ms += record.duration_ms;
            forgotten.n_offline += u64::from(record.offline);
        }
        if forgotten == Forgotten::default() {
            return Err(FolderError::NothingKnown(path.to_owned()));
        }
        if !dry_run && !ids.is_empty() {
            tracing::info!(path = %path.display(), n_videos = ids.len(), "forgetting videos, as asked");
            self.store.remove_videos(&ids)?;
        }
        Ok(forgotten)
    }

    /// Returns the videos below `folder` that no other watched folder contains.
    fn only_in(&self, folder: &Path, others: &[PathBuf]) -> Vec<VideoId> {
        let inside =
            |record: &&Arc<VideoRecord>| record.path.starts_with(folder) && !others.iter().any(|other| record.path.starts_with(other));
        self.store.videos().iter().filter(inside).map(|record| record.id).collect()
    }
}

fn without(watched: &[PathBuf], folder: &Path) -> Result<Vec<PathBuf>, FolderError> {
    if !watched.iter().any(|known| known == folder) {
        return Err(FolderError::NotWatched(folder.to_owned()));
    }
    Ok(watched.iter().filter(|known| *known != folder).cloned().collect())
}
