//! What the store remembers about watched folders: their identities, and the names of drives.

use std::path::PathBuf;

use crate::machine::clock::now_ms;
use crate::reconcile::identity::{Home, StoredRoot};
use crate::reconcile::volumes::{StoredVolume, Volumes};
use crate::store::Store;

/// Name of the setting with the identities of all roots ever watched.
const HOMES: &str = "roots";
/// Name of the setting with the names of drives.
const VOLUMES: &str = "volumes";

/// The two settings.
pub(super) struct Remembered(Store);

impl Remembered {
    pub(super) fn new(store: Store) -> Self {
        Self(store)
    }

    /// Reads the identities of all roots ever watched.
    pub(super) fn homes(&self) -> Vec<(PathBuf, Home)> {
        let stored = match self.0.setting(HOMES) {
            Ok(Some(stored)) => stored,
            Ok(None) => return Vec::new(),
            Err(error) => {
                tracing::error!(%error, "the identities of the watched folders cannot be read; scened learns them again");
                return Vec::new();
            }
        };
        match serde_json::from_value::<Vec<StoredRoot>>(stored) {
            Ok(stored) => stored.into_iter().map(StoredRoot::into_parts).collect(),
            Err(error) => {
                tracing::error!(%error, "the identities of the watched folders cannot be understood; scened learns them again");
                Vec::new()
            }
        }
    }

    /// Stores these identities. Those of roots that are no longer watched are kept, because the roots may be added again.
    pub(super) fn put_homes(&self, roots: impl Iterator<Item = (PathBuf, Home)>) {
        let mut homes = self.homes();
        for (path, home) in roots {
            match homes.iter_mut().find(|(known, _)| *known == path) {
                Some((_, known)) => *known = home,
                None => homes.push((path, home)),
            }
        }
        let stored: Vec<StoredRoot> = homes.into_iter().map(|(path, home)| StoredRoot::new(&path, home)).collect();
        let result = serde_json::to_value(stored).map(|value| self.0.put_setting(HOMES, &value));
        if !matches!(result, Ok(Ok(()))) {
            tracing::error!(?result, "the identities of the watched folders cannot be stored");
        }
    }

    pub(super) fn volumes(&self) -> Volumes {
        let stored = self.0.setting(VOLUMES).ok().flatten();
        match stored.map(serde_json::from_value::<Vec<StoredVolume>>) {
            Some(Ok(stored)) => Volumes::from_stored(stored),
            Some(Err(error)) => {
                tracing::error!(%error, "the names of drives cannot be understood; scened learns them again");
                Volumes::default()
            }
            None => Volumes::default(),
        }
    }

    pub(super) fn put_volumes(&self, volumes: &mut Volumes) {
        let stored = volumes.store_at(now_ms());
        let result = serde_json::to_value(stored).map(|value| self.0.put_setting(VOLUMES, &value));
        if !matches!(result, Ok(Ok(()))) {
            tracing::error!(?result, "the names of drives cannot be stored");
        }
    }
}
