//! Frees the space of removed models, in the background and across restarts.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use scened_common::domain::ModelId;
use serde_json::Value;
use tracing::warn;

use super::Models;
use crate::store::{Store, StoreError};

/// Setting: ids of removed models whose vectors may still take space.
const REMOVED_SETTING: &str = "removed-models";

impl Models {
    /// Frees the space of hidden models in the background: these ones, and the rest of earlier ones.
    pub(super) fn purge(&self, ids: Vec<ModelId>) -> Result<(), StoreError> {
        let known = self.store.setting(REMOVED_SETTING)?;
        let mut removed: Vec<ModelId> = known.and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default();
        removed.extend(ids);
        removed.sort();
        removed.dedup();
        if removed.is_empty() {
            return Ok(());
        }
        let names = removed.iter().map(|id| Value::from(id.0.as_str())).collect();
        self.store.put_setting(REMOVED_SETTING, &Value::Array(names))?;
        let (store, stopping) = (self.store.clone(), Arc::clone(&self.stopping));
        let thread = std::thread::Builder::new().name("purge".to_owned()).spawn(move || {
            if let Err(error) = purge(&store, &removed, &stopping) {
                warn!(%error, "the vectors of removed models could not be deleted; the next start tries again");
            }
        });
        match thread {
            Ok(thread) => self.purges().push(thread),
            Err(error) => warn!(%error, "the vectors of removed models are deleted at the next start"),
        }
        Ok(())
    }

    pub(super) fn purges(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.purges.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Deletes the vectors of hidden models, and then forgets that these were removed.
fn purge(store: &Store, removed: &[ModelId], stopping: &AtomicBool) -> Result<(), StoreError> {
    for id in removed {
        while store.purge_some(id)? {
            if stopping.load(Ordering::Acquire) {
                return Ok(());
            }
        }
    }
    store.put_setting(REMOVED_SETTING, &Value::Array(Vec::new()))
}
