//! One watched folder, and what was found at its path.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::machine::mounts::{self, number_of};
use crate::machine::with_timeout;
use crate::reconcile::RootState;
use crate::reconcile::identity::{Home, Identity, is_remote};

/// Smallest number of missing videos that can be "a great part".
const GREAT_PART_AT_LEAST: usize = 20;

/// One watched folder.
pub(in crate::reconcile) struct Root {
    path: PathBuf,
    home: Home,
    is_offline: bool,
    /// Why it is offline.
    detail: Option<String>,
    mount: u64,
    is_remote: bool,
    /// Its path without links.
    real: PathBuf,
    /// A great part of it went missing at once.
    doubt: Option<MassRemoval>,
}

/// A mass removal: the folder is scanned again before anything is removed.
#[derive(Clone, Copy, Debug)]
struct MassRemoval {
    walk_at: Instant,
    is_walked: bool,
}

/// The facts found at the path of a root.
pub(in crate::reconcile) struct FoundRoot {
    pub(in crate::reconcile) identity: Identity,
    pub(super) mount: u64,
    pub(super) is_remote: bool,
    pub(super) real: PathBuf,
}

impl FoundRoot {
    /// Examines a folder. Reading its first entry reveals a stale handle and missing permission.
    pub(in crate::reconcile) fn at(path: &Path) -> io::Result<Self> {
        let at = path.to_owned();
        let found = with_timeout::run(path, move |_| {
            let identity = Identity::of(&at)?;
            std::fs::read_dir(&at)?.next().transpose()?;
            Ok(Self {
                identity,
                mount: number_of(&at)?,
                is_remote: is_remote(&at),
                real: std::fs::canonicalize(&at)?,
            })
        })?;
        Ok(Self {
            is_remote: found.is_remote || mounts::mount_that_may_hang(path).is_some(),
            ..found
        })
    }
}

impl Root {
    /// Creates a root that has not been scanned yet.
    pub(super) fn new(path: PathBuf, home: Home) -> Self {
        Self {
            real: path.clone(),
            path,
            home,
            is_offline: true,
            detail: Some("not scanned yet".to_owned()),
            mount: 0,
            is_remote: false,
            doubt: None,
        }
    }

    pub(in crate::reconcile) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns its path without links.
    pub(in crate::reconcile) fn real(&self) -> &Path {
        &self.real
    }

    pub(in crate::reconcile) fn home(&self) -> &Home {
        &self.home
    }

    pub(in crate::reconcile) fn is_offline(&self) -> bool {
        self.is_offline
    }

    /// Returns the number of its mount.
    pub(in crate::reconcile) fn mount(&self) -> u64 {
        self.mount
    }

    /// Returns whether it is on a network or in a user-space file system.
    pub(in crate::reconcile) fn is_remote(&self) -> bool {
        self.is_remote
    }

    /// Returns when it is or was scanned again because a great part of it went missing.
    pub(in crate::reconcile) fn doubted_at(&self) -> Option<Instant> {
        self.doubt.map(|doubt| doubt.walk_at)
    }

    /// Notes that it cannot be reached, or is no longer the same. Returns true if that is news.
    pub(super) fn went_offline(&mut self, reason: &str) -> bool {
        if self.is_offline && self.detail.as_deref() == Some(reason) {
            return false;
        }
        tracing::warn!(root = %self.path.display(), reason, "the watched folder is offline; its videos are kept");
        self.is_offline = true;
        self.detail = Some(reason.to_owned());
        self.doubt = None;
        true
    }

    /// Notes that it is there. Returns true if it was offline.
    pub(super) fn is_there(&mut self, found: FoundRoot, keeps_former: bool) -> bool {
        self.home.settle_on(found.identity, keeps_former);
        self.mount = found.mount;
        self.is_remote = found.is_remote;
        self.real = found.real;
        self.detail = None;
        let was_offline = std::mem::take(&mut self.is_offline);
        if was_offline {
            tracing::info!(root = %self.path.display(), "watching");
        }
        was_offline
    }

    /// Decides whether so much is missing at once that the root must be scanned again, at `walk_at`, before anything is removed.
    pub(super) fn doubts(&mut self, n_gone: usize, n_online: usize, walk_at: Instant) -> bool {
        let is_great_part = n_gone >= GREAT_PART_AT_LEAST && n_gone * 2 > n_online;
        match self.doubt {
            _ if n_gone == 0 => false,
            Some(doubt) if doubt.is_walked => {
                self.doubt = None;
                false
            }
            Some(_) => true,
            None if is_great_part => {
                tracing::warn!(root = %self.path.display(), n_gone, n_online, "many videos are missing at once; scanning again before anything is removed");
                self.doubt = Some(MassRemoval { walk_at, is_walked: false });
                true
            }
            None => false,
        }
    }

    /// Returns when it must be scanned again.
    pub(super) fn walk_at(&self) -> Option<Instant> {
        self.doubt.filter(|doubt| !doubt.is_walked).map(|doubt| doubt.walk_at)
    }

    /// Returns whether it must be scanned again by now. Returns true once.
    pub(super) fn take_walk(&mut self, now: Instant) -> bool {
        match &mut self.doubt {
            Some(doubt) if !doubt.is_walked && doubt.walk_at <= now => {
                doubt.is_walked = true;
                true
            }
            _ => false,
        }
    }

    /// Returns its state, with the reason. `n_unwatched`: how many of its folders have no watch.
    pub(super) fn state(&self, n_unwatched: usize) -> (RootState, Option<String>) {
        if self.is_offline {
            (RootState::Offline, self.detail.clone())
        } else if n_unwatched > 0 {
            (RootState::Polled, Some(format!("no watches left for {n_unwatched} of its folders")))
        } else if self.is_remote {
            (
                RootState::Polled,
                Some("a network or user-space file system, which does not report every change".to_owned()),
            )
        } else {
            (RootState::Watched, None)
        }
    }
}
