//! Walking watches and lists one folder, and misses the known videos that are not there.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{FileType, Metadata};
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::super::Exclusion;
use super::super::rules::{FolderRules, Rules};
use super::super::whereabouts::{says_missing, stat};
use super::Core;
use crate::machine::with_timeout::{self, Pulse};
use crate::watch::debounce::Hint;

impl Core {
    /// Walks one folder: watches it, checks its files, queues its sub-folders, and misses the known videos that are not there.
    pub(super) fn walk(&mut self, folder: &Path, rewatch: bool) {
        let Some(index) = self.roots.owner(folder) else { return };
        let root = self.roots[index].path().to_owned();
        if folder == root {
            let was_offline = self.roots[index].is_offline();
            // A root that comes back from offline queues this folder again, with new watches.
            if !self.check_root(index) || was_offline {
                return;
            }
        } else if self.roots[index].is_offline() {
            return;
        }
        if rewatch {
            self.watching.remove_below(folder);
            // Roots inside lose their watches with it, and are walked separately.
            for inner in self.roots.inside(folder) {
                self.walks.queue(inner, true);
            }
        }
        let found = if folder == root {
            crate::failpoint::hit("walk-root").and_then(|()| stat(folder, true)).map(Some)
        } else {
            self.check_link(folder)
        };
        match found {
            Ok(Some(metadata)) if metadata.is_dir() && self.folders.has_this_name(self.roots[index].path(), folder) => {}
            Ok(Some(metadata)) if metadata.is_file() => return self.check_path(folder, Hint::default()),
            Ok(_) => return self.missed_folder(index, folder),
            Err(error) if says_missing(&error) => return self.missed_folder(index, folder),
            Err(error) => return self.cannot_read(folder, &error),
        }
        let folder_rules = match self.filter.of_folder(&root, folder) {
            Ok(rules) => rules,
            Err(exclusion) => {
                // The file `.nomedia` may be deleted later. That event comes from the folder's own watch.
                if matches!(&exclusion, Exclusion::NoMedia(file) if file.parent() == Some(folder)) {
                    self.watching.add(folder);
                }
                return self.missed_below(folder);
            }
        };
        // The watch comes before the listing: a change in between is then seen twice instead of never.
        self.watching.add(folder);
        let found = match self.list(index, folder, &folder_rules, rewatch) {
            Ok(found) => found,
            Err(error) if says_missing(&error) => return self.missed_folder(index, folder),
            Err(error) => return self.cannot_read(folder, &error),
        };
        self.unreadable.folder_was_read(folder);
        self.miss_all_but(folder, &found);
    }

    /// Handles a folder that should be walked and is not there. The folder above it reports when it is back. No folder does so for a root,
    /// which is offline and polled from now on.
    fn missed_folder(&mut self, index: usize, folder: &Path) {
        if self.roots[index].path() == folder {
            self.set_root_offline(index, "it went away while it was looked at");
        } else {
            self.missed(folder);
        }
    }

    /// Reads one folder. Returns the names that count: sub-folders to be walked, and files that belong in the index.
    fn list(&mut self, index: usize, folder: &Path, folder_rules: &FolderRules, rewatch: bool) -> io::Result<HashSet<OsString>> {
        let root = self.roots[index].path().to_owned();
        let mut found = HashSet::new();
        let rules = Arc::clone(self.filter.rules());
        let (at, for_listing) = (folder.to_owned(), Arc::clone(&rules));
        let entries = with_timeout::run(folder, move |pulse| entries(&at, &for_listing, pulse))?;
        self.folders.begin_list(folder, entries.iter().map(|entry| entry.name.as_os_str()));
        for Entry { name, kind, metadata } in entries {
            let path = folder.join(&name);
            let metadata = if kind.is_symlink() {
                match self.follow_link(&path) {
                    Some(metadata) => Some(metadata),
                    None => continue,
                }
            } else {
                metadata
            };
            let is_folder = metadata.as_ref().map_or(kind.is_dir(), Metadata::is_dir);
            if is_folder {
                if self.roots.has(&path) {
                    found.insert(name);
                } else if rules.excludes_folder(&root, &path, folder_rules).is_none() {
                    found.insert(name);
                    self.walks.queue(path, rewatch);
                }
                continue;
            }
            if !rules.is_video_name(&name) || rules.excludes_file(&root, &path, folder_rules).is_some() {
                continue;
            }
            if let Some(metadata) = metadata.filter(Metadata::is_file) {
                found.insert(name);
                self.saw_file(index, &path, &metadata, false);
            }
        }
        self.folders.end_list();
        Ok(found)
    }

    /// Makes the videos in `folder` or below suspects if they are not among the names found there.
    fn miss_all_but(&mut self, folder: &Path, found: &HashSet<OsString>) {
        let roots = self.roots.inside(folder);
        let missed = self.library.videos_not_among(found, folder, &roots);
        for video in missed {
            self.suspect(video);
        }
    }
}

/// One name in a folder's listing.
struct Entry {
    name: OsString,
    kind: FileType,
    /// Only for files that may be videos.
    metadata: Option<Metadata>,
}

fn entries(folder: &Path, rules: &Rules, pulse: &Pulse) -> io::Result<Vec<Entry>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        pulse.beat();
        let entry = entry?;
        let name = entry.file_name();
        let of_kind = entry.file_type().and_then(|kind| {
            let may_be_video = kind.is_file() && rules.is_video_name(&name);
            Ok((kind, may_be_video.then(|| entry.metadata()).transpose()?))
        });
        match of_kind {
            Ok((kind, metadata)) => found.push(Entry { name, kind, metadata }),
            Err(error) if says_missing(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}
