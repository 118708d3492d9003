//! `decisions.json`: a second copy of the settings, which cannot be rebuilt from anything else: what was paused, which model, which folders
//! were which.
//!
//! After every change of a setting the whole file is written (temporary file, fsync, rename), with a checksum. The previous copy stays as
//! `decisions.previous.json`. Both store and copy count the changes. At a start the one with the higher count has lost nothing. A store
//! that was created afresh or whose journal was shortened gets its settings back. A copy that is missing or behind is written again.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use scened_common::damage::is_damage;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::record;
use super::transaction::Inner;
use super::{OpenReport, StoreError};
use crate::failpoint;
use crate::quarantine::move_away;

/// Key beside the settings: total number of changes of settings.
const COUNT: &str = "changes-of-settings";

const FILE: &str = "decisions.json";
const PREVIOUS: &str = "decisions.previous.json";
const FORMAT: u32 = 1;

/// **Invariant**: `n_changes` increases with every change of any setting.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Decisions {
    pub(super) n_changes: u64,
    pub(super) settings: BTreeMap<String, Value>,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    format: u32,
    decisions: Decisions,
    /// CRC32 of `decisions` as compact JSON.
    crc32: u32,
}

/// The result of reading the copies.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) decisions: Option<Decisions>,
    /// The new paths of damaged copies.
    pub(super) set_aside: Vec<PathBuf>,
    /// A copy could not be read, but may be intact.
    pub(super) is_unsure: bool,
}

/// Reads the newest intact copy of the two. Damaged ones are quarantined; those that the system cannot read are skipped.
///
/// **Errors**: the system cannot rename a damaged copy.
pub(super) fn read(data_dir: &Path) -> io::Result<Read> {
    let mut found = Read::default();
    for name in [FILE, PREVIOUS] {
        let path = data_dir.join(name);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) if path.is_dir() || is_damage(&error) => Vec::new(),
            // It may be intact, but so may the other copy be, which is read without delay.
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a copy of the settings cannot be read now");
                found.is_unsure = true;
                continue;
            }
        };
        match parse(&bytes) {
            Some(decisions) if found.decisions.as_ref().is_none_or(|known| known.n_changes < decisions.n_changes) => {
                found.decisions = Some(decisions);
            }
            Some(_) => {}
            None => found.set_aside.push(move_away(&path)?),
        }
    }
    Ok(found)
}

fn parse(bytes: &[u8]) -> Option<Decisions> {
    let sealed: Sealed = serde_json::from_slice(bytes).ok()?;
    let is_whole =
        sealed.format == FORMAT && serde_json::to_vec(&sealed.decisions).ok().map(|bytes| crc32fast::hash(&bytes)) == Some(sealed.crc32);
    is_whole.then_some(sealed.decisions)
}

/// Writes a new copy and keeps the previous one.
pub(super) fn write(data_dir: &Path, decisions: &Decisions) -> io::Result<()> {
    let path = data_dir.join(FILE);
    let temporary = data_dir.join("decisions.json.new");
    let sealed = Sealed {
        format: FORMAT,
        decisions: decisions.clone(),
        crc32: crc32fast::hash(&serde_json::to_vec(decisions)?),
    };
    failpoint::hit("decisions.begin")?;
    let mut file = File::create(&temporary)?;
    file.write_all(&serde_json::to_vec_pretty(&sealed)?)?;
    file.sync_all()?;
    failpoint::hit("decisions.written")?;
    match fs::rename(&path, data_dir.join(PREVIOUS)) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    failpoint::hit("decisions.between")?;
    fs::rename(&temporary, &path)?;
    File::open(data_dir)?.sync_all()?;
    failpoint::hit("decisions.end")
}

impl Inner {
    /// Stores a setting and its second copy. An unchanged value costs nothing.
    pub(super) fn put_setting(&self, name: &str, value: &Value) -> Result<(), StoreError> {
        // Only one thread writes at a time, so that the copies follow the order of the changes.
        let _turn = super::transaction::lock(&self.settings_turn);
        let (mut stored, is_damaged) = self.stored_settings()?;
        if !is_damaged && stored.settings.get(name) == Some(value) {
            return Ok(());
        }
        stored.n_changes += 1;
        stored.settings.insert(name.to_owned(), value.clone());
        self.write("store a setting", |transaction| {
            for (name, value) in [(name, value), (COUNT, &Value::from(stored.n_changes))] {
                let sealed = record::seal_json(name.as_bytes(), value)?;
                transaction.insert(&transaction.inner.disk.settings, name.as_bytes(), sealed);
            }
            Ok(())
        })?;
        self.copy_settings(&stored);
        Ok(())
    }

    /// Reconciles the settings and their copy at the start.
    pub(super) fn settle_settings(&self, report: &mut OpenReport) -> Result<(), StoreError> {
        let (stored, is_damaged) = self.stored_settings()?;
        let copy = match read(self.data_dir()) {
            Ok(copy) => copy,
            Err(error) => {
                tracing::warn!(%error, "the second copy of the settings cannot be read");
                return Ok(());
            }
        };
        let is_unsure = copy.is_unsure;
        report.decisions_set_aside.extend(copy.set_aside);
        let Some(copy) = copy.decisions else {
            if !stored.settings.is_empty() {
                self.copy_settings(&stored);
            }
            return Ok(());
        };
        let is_behind = stored.n_changes < copy.n_changes || (stored.settings.is_empty() && !copy.settings.is_empty());
        if is_behind || is_damaged {
            let missing: Vec<(&String, &Value)> = copy
                .settings
                .iter()
                .filter(|(name, value)| {
                    if is_behind {
                        stored.settings.get(*name) != Some(value)
                    } else {
                        !stored.settings.contains_key(*name)
                    }
                })
                .collect();
            let n_changes = copy.n_changes.max(stored.n_changes);
            report.n_decisions_restored = missing.len();
            self.write("store the settings again", |transaction| {
                let count = Value::from(n_changes);
                for (name, value) in missing
                    .into_iter()
                    .map(|(name, value)| (name.as_str(), value))
                    .chain([(COUNT, &count)])
                {
                    let sealed = record::seal_json(name.as_bytes(), value)?;
                    transaction.insert(&transaction.inner.disk.settings, name.as_bytes(), sealed);
                }
                Ok(())
            })?;
        }
        if copy.n_changes < stored.n_changes || !report.decisions_set_aside.is_empty() || is_unsure {
            self.copy_settings(&stored);
        }
        Ok(())
    }

    /// Returns all settings as stored, and whether some of them cannot be read.
    fn stored_settings(&self) -> Result<(Decisions, bool), StoreError> {
        let mut stored = Decisions::default();
        let mut is_damaged = false;
        for pair in self.disk.settings.iter() {
            let (key, bytes) = match pair {
                Ok(pair) => pair,
                Err(StoreError::Damaged { .. }) => {
                    is_damaged = true;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let value = record::unseal_json::<Value>(&key, &bytes).ok();
            match (std::str::from_utf8(&key), value) {
                (Ok(COUNT), Some(count)) => stored.n_changes = count.as_u64().unwrap_or(0),
                (Ok(name), Some(value)) => {
                    stored.settings.insert(name.to_owned(), value);
                }
                _ => is_damaged = true,
            }
        }
        Ok((stored, is_damaged))
    }

    /// Writes the copy. If that fails, the next start writes it.
    fn copy_settings(&self, stored: &Decisions) {
        if let Err(error) = write(self.data_dir(), stored) {
            tracing::warn!(%error, "the second copy of the settings cannot be written");
        }
    }

    fn data_dir(&self) -> &Path {
        self.disk.folder.parent().unwrap_or(&self.disk.folder)
    }
}
