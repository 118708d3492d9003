//! A pause without an end, which survives a restart because the user asked for it.

use crate::store::{Store, StoreError};

/// Setting: whether indexing is paused without an end.
const SETTING: &str = "paused";

/// Returns whether the user left indexing paused.
pub fn is_remembered(store: &Store) -> Result<bool, StoreError> {
    Ok(store.setting(SETTING)?.is_some_and(|value| value == true))
}

/// Stores for the next start whether indexing is paused.
pub fn remember(store: &Store, is_paused: bool) -> Result<(), StoreError> {
    store.put_setting(SETTING, &serde_json::Value::Bool(is_paused))
}
