//! What is asked about folders again and again within one step: on which mount they lie, and which names they have.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::super::whereabouts::{mount_of, stat};
use super::Core;
use crate::machine::with_timeout;

/// Cache of one step.
#[derive(Debug, Default)]
pub(super) struct Folders {
    mounts: HashMap<PathBuf, Option<u64>>,
    /// Whether names in it are found by other capitals as well.
    blind: HashMap<PathBuf, bool>,
    /// `None`: it cannot be listed.
    names: HashMap<PathBuf, Option<HashSet<OsString>>>,
}

impl Core {
    /// Whether a file lies on the mount of its root: its folder does, because a file's own device may be that of one layer of an overlay.
    /// Of what lies behind a link that counts, the device decides. `known`: what holds where the folder cannot be asked, because it
    /// was renamed or deleted just now; that is looked at next.
    pub(super) fn is_on_root_mount(&self, index: usize, file: &Path, known: bool) -> bool {
        let root = &self.roots[index];
        if self.filter.follows_links() {
            let (at, of_root) = (file.to_owned(), root.path.clone());
            let looked = with_timeout::run(file, move |_| {
                let real = std::fs::canonicalize(at)?;
                let is_same_device = std::fs::metadata(&real)?.dev() == std::fs::metadata(of_root)?.dev();
                Ok((real, is_same_device))
            });
            let Ok((real, is_same_device)) = looked else { return known };
            // What a link leads to is gone with the link, unless it may be a drive that was unplugged.
            if file.strip_prefix(&root.path).is_ok_and(|below| real != root.real.join(below)) {
                return is_same_device;
            }
        }
        let folder = file.parent().unwrap_or(file);
        let is_same = |anew| Some(self.mount_of(folder, anew)? == self.mount_of(&root.path, anew)?);
        // The root may have been mounted anew between the two looks, and then what is known of it is old as well.
        let looked = match is_same(false) {
            Some(false) => is_same(true),
            same => same,
        };
        looked.unwrap_or(known)
    }

    /// The mount that a folder lies on, asked once a step or `anew`; `None`: it cannot be asked.
    fn mount_of(&self, folder: &Path, anew: bool) -> Option<u64> {
        let mut folders = self.folders.borrow_mut();
        if anew {
            folders.mounts.remove(folder);
        }
        *folders.mounts.entry(folder.to_owned()).or_insert_with(|| mount_of(folder).ok())
    }

    /// Whether the folders from the root down to `path` have exactly these names. Where a file system is blind to capitals, or to the ways
    /// in which an accent is spelled, a look at a path finds what has another name by now. What cannot be listed is believed.
    pub(super) fn has_this_name(&self, index: usize, path: &Path) -> bool {
        let root = &self.roots[index].path;
        let mut below = path
            .ancestors()
            .take_while(|ancestor| *ancestor != root && ancestor.starts_with(root));
        below.all(|path| {
            let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
                return true;
            };
            let mut folders = self.folders.borrow_mut();
            let Folders { blind, names, .. } = &mut *folders;
            // Elsewhere a look at the path says all. Listing a large folder takes longer than that.
            let is_blind = match in_other_capitals(path) {
                Some(other) => *blind.entry(folder.to_owned()).or_insert_with(|| stat(&other, false).is_ok()),
                None => !name.as_encoded_bytes().is_ascii(),
            };
            if !is_blind {
                return true;
            }
            if names
                .get(folder)
                .is_some_and(|names| names.as_ref().is_none_or(|names| names.contains(name)))
            {
                return true;
            }
            // It may have come since the folder was listed in this step.
            let now = names_in(folder).ok();
            let has_it = now.as_ref().is_none_or(|names| names.contains(name));
            names.insert(folder.to_owned(), now);
            has_it
        })
    }
}

/// The path with the capitals of its last name turned round; `None` where it has no letters that every system turns round.
fn in_other_capitals(path: &Path) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt as _;
    let turned = |byte: &u8| {
        if byte.is_ascii_lowercase() {
            byte.to_ascii_uppercase()
        } else {
            byte.to_ascii_lowercase()
        }
    };
    let name = path.file_name()?.as_encoded_bytes();
    let other: Vec<u8> = name.iter().map(turned).collect();
    (other != name).then(|| path.with_file_name(OsString::from_vec(other)))
}

fn names_in(folder: &Path) -> io::Result<HashSet<OsString>> {
    let at = folder.to_owned();
    with_timeout::run(folder, move |pulse| {
        let entries = std::fs::read_dir(at)?;
        let name = |entry: io::Result<std::fs::DirEntry>| {
            pulse.beat();
            entry.map(|entry| entry.file_name())
        };
        entries.map(name).collect()
    })
}
