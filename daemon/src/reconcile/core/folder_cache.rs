//! Facts about folders that one step needs again and again: their mounts, their names, and which of their files a program is still filling.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use super::super::rules::unfinished;
use super::super::whereabouts::{mount_of, stat};
use crate::machine::with_timeout;

/// Cache of one step.
#[derive(Debug, Default)]
pub(super) struct FolderCache {
    mounts: RefCell<HashMap<PathBuf, Option<u64>>>,
    names: RefCell<Names>,
    /// The folder that is being listed, and the files in it that a program is still filling, as a file beside each of them shows.
    listed: Option<(PathBuf, HashSet<OsString>)>,
}

#[derive(Debug, Default)]
struct Names {
    /// Whether names in the folder are case-insensitive.
    blind: HashMap<PathBuf, bool>,
    /// `None`: it cannot be listed.
    of: HashMap<PathBuf, Option<HashSet<OsString>>>,
}

impl FolderCache {
    /// Forgets the answers of the step before, which may have changed.
    pub(super) fn begin_step(&mut self) {
        *self = Self::default();
    }

    /// Returns whether two folders are on one mount; `None` if one of them cannot be read. Something may have been mounted between the two
    /// queries, so both are repeated if the answers differ.
    pub(super) fn share_a_mount(&self, one: &Path, other: &Path) -> Option<bool> {
        let do_share = |anew| Some(self.mount_of(one, anew)? == self.mount_of(other, anew)?);
        match do_share(false) {
            Some(false) => do_share(true),
            same => same,
        }
    }

    /// Returns the mount of a folder, queried once a step or again if `anew`. `None`: it cannot be queried.
    fn mount_of(&self, folder: &Path, anew: bool) -> Option<u64> {
        let mut mounts = self.mounts.borrow_mut();
        if anew {
            mounts.remove(folder);
        }
        *mounts.entry(folder.to_owned()).or_insert_with(|| mount_of(folder).ok())
    }

    /// Begins the listing of `folder`, which has files of these names.
    pub(super) fn begin_list<'a>(&mut self, folder: &Path, names: impl Iterator<Item = &'a OsStr>) {
        self.listed = Some((folder.to_owned(), names.filter_map(unfinished::controlled).collect()));
    }

    pub(super) fn end_list(&mut self) {
        self.listed = None;
    }

    /// Decides whether a program's file beside the one at `path` shows that it is still being filled.
    pub(super) fn is_being_filled(&self, path: &Path) -> bool {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return false;
        };
        if let Some((listed, filled)) = &self.listed
            && listed == folder
        {
            return filled.contains(name);
        }
        let controls: Vec<PathBuf> = unfinished::controls(name).map(|control| folder.join(control)).collect();
        let looked = with_timeout::run(path, move |_| Ok(controls.iter().any(|control| control.symlink_metadata().is_ok())));
        looked.unwrap_or(false)
    }

    /// Decides whether the folders from the root down to `path` have exactly these names. If a file system ignores case or the encoding of
    /// accents, a `stat` also finds a file under its former name. True if a folder cannot be listed.
    pub(super) fn has_this_name(&self, root: &Path, path: &Path) -> bool {
        let mut below = path
            .ancestors()
            .take_while(|ancestor| *ancestor != root && ancestor.starts_with(root));
        below.all(|path| {
            let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
                return true;
            };
            let mut names = self.names.borrow_mut();
            let Names { blind, of: names } = &mut *names;
            // On other file systems a `stat` of the path is enough. Listing a large folder takes longer than that.
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
            // The name may have appeared since the folder was listed in this step.
            let now = names_in(folder).ok();
            let has_it = now.as_ref().is_none_or(|names| names.contains(name));
            names.insert(folder.to_owned(), now);
            has_it
        })
    }
}

/// Returns the path with the case of its last name swapped. `None` if the name has no ASCII letters, whose case every system can swap.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_asked_for_once_a_step() {
        let folder = tempfile::tempdir().unwrap();
        let (root, inside) = (folder.path(), folder.path().join("a"));
        let mut folders = FolderCache::default();
        assert_eq!(folders.share_a_mount(&inside, root), None, "it is not there");
        std::fs::create_dir(&inside).unwrap();
        assert_eq!(folders.share_a_mount(&inside, root), None, "nor was it when it was asked for");
        folders.begin_step();
        assert_eq!(folders.share_a_mount(&inside, root), Some(true));
        std::fs::remove_dir(&inside).unwrap();
        assert_eq!(folders.share_a_mount(&inside, root), Some(true), "it was asked for already");
    }

    #[test]
    fn what_seems_to_lie_on_two_mounts_is_asked_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (root, inside) = (folder.path(), folder.path().join("a"));
        std::fs::create_dir(&inside).unwrap();
        let folders = FolderCache::default();
        // As it was before something was mounted.
        folders.mounts.borrow_mut().insert(root.to_owned(), Some(0));
        assert_eq!(folders.share_a_mount(&inside, root), Some(true));
        assert_eq!(folders.share_a_mount(&inside, Path::new("/proc")), Some(false));
    }

    #[test]
    fn names_are_believed_where_a_folder_tells_capitals_apart() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("Folder")).unwrap();
        std::fs::write(root.path().join("Folder/a.mp4"), "x").unwrap();
        let folders = FolderCache::default();
        assert!(folders.has_this_name(root.path(), &root.path().join("Folder/a.mp4")));
        // A name without any letter case is searched in the list of names. A file may be added to that list within the step.
        let accent = root.path().join("Folder/\u{e9}");
        std::fs::write(&accent, "x").unwrap();
        assert!(folders.has_this_name(root.path(), &accent));
        let late = root.path().join("Folder/\u{e8}");
        assert!(!folders.has_this_name(root.path(), &late));
        std::fs::write(&late, "x").unwrap();
        assert!(folders.has_this_name(root.path(), &late));
    }

    #[test]
    fn a_control_file_beside_a_file_says_that_it_is_being_filled() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mp4");
        let control = unfinished::controls(OsStr::new("a.mp4")).next().unwrap();
        let mut folders = FolderCache::default();
        assert!(!folders.is_being_filled(&path));
        std::fs::write(folder.path().join(&control), "").unwrap();
        assert!(folders.is_being_filled(&path));
        // While the folder is being listed, the list decides.
        folders.begin_list(folder.path(), [OsStr::new("a.mp4")].into_iter());
        assert!(!folders.is_being_filled(&path));
        folders.begin_list(folder.path(), [control.as_os_str()].into_iter());
        assert!(folders.is_being_filled(&path));
        folders.end_list();
        std::fs::remove_file(folder.path().join(&control)).unwrap();
        assert!(!folders.is_being_filled(&path));
    }

    #[test]
    fn capitals_are_turned_round_where_there_are_any() {
        assert_eq!(in_other_capitals(Path::new("/v/aB1.mp4")), Some("/v/Ab1.MP4".into()));
        assert_eq!(in_other_capitals(Path::new("/v/123")), None);
    }
}
