//! Which files belong in the index: the rules, the rules of each folder, and files that turned out not to be videos.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use scened_common::domain::FileStamp;

use super::super::rules::{self, Exclusion, FolderRules, Rules, content};
use super::super::shared::is_something_else;
use super::super::whereabouts::stat;
use crate::machine::with_timeout;

pub(super) struct Filter {
    rules: Arc<Rules>,
    /// The rules of folders, as read in this step.
    of_folders: HashMap<PathBuf, FolderRules>,
    /// Files that end like videos and are something else, with the stamp they had then.
    other_things: HashMap<PathBuf, FileStamp>,
}

impl Filter {
    pub(super) fn new(rules: Arc<Rules>) -> Self {
        Self {
            rules,
            of_folders: HashMap::new(),
            other_things: HashMap::new(),
        }
    }

    /// Forgets the rules of folders. They are read once a step, and again when one of their files was touched.
    pub(super) fn read_folders_anew(&mut self) {
        self.of_folders.clear();
    }

    pub(super) fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }

    /// Returns whether symbolic links are followed.
    pub(super) fn follows_links(&self) -> bool {
        self.rules.follow_symlinks()
    }

    /// Returns why the file at `path` is excluded.
    pub(super) fn excludes_file(&mut self, root: &Path, path: &Path) -> Option<Exclusion> {
        match self.of_folder(root, path.parent()?) {
            Ok(folder_rules) => self.rules.excludes_file(root, path, &folder_rules),
            Err(exclusion) => Some(exclusion),
        }
    }

    /// Returns the rules of `folder`, or why the whole folder is excluded.
    pub(super) fn of_folder(&mut self, root: &Path, folder: &Path) -> Result<FolderRules, Exclusion> {
        if let Some(known) = self.of_folders.get(folder) {
            return known.no_media().map_or_else(|| Ok(known.clone()), Err);
        }
        let inherited = if folder == root {
            FolderRules::default()
        } else {
            let parent = folder.parent().unwrap_or(root);
            let inherited = self.of_folder(root, parent)?;
            if let Some(exclusion) = self.rules.excludes_folder(root, folder, &inherited) {
                return Err(exclusion);
            }
            if !self.follows_links() && stat(folder, false).is_ok_and(|metadata| metadata.is_symlink()) {
                return Err(Exclusion::Symlink(folder.to_owned()));
            }
            inherited
        };
        let at = folder.to_owned();
        let Ok(rules) = with_timeout::run(folder, move |_| Ok(inherited.enter(&at))) else {
            // Nothing else can be read there, either.
            return Ok(FolderRules::default());
        };
        self.of_folders.insert(folder.to_owned(), rules.clone());
        rules.no_media().map_or(Ok(rules), Err)
    }

    /// Decides whether a rule excludes the file at `path`. Reads all rules again.
    pub(super) fn excludes_now(&self, root: &Path, path: &Path) -> bool {
        let (rules, root, at) = (Arc::clone(&self.rules), root.to_owned(), path.to_owned());
        with_timeout::run(path, move |_| Ok(rules::exclusion(&rules, &root, &at, false).is_some())).unwrap_or(false)
    }

    /// Decides whether a file with this stamp ends like a video and is something else. The file is read once; false if it cannot be read.
    pub(super) fn is_other_thing(&mut self, path: &Path, stamp: FileStamp) -> bool {
        if !content::is_ambiguous(path) {
            return false;
        }
        if self.is_known_other_thing(path, stamp) {
            return true;
        }
        let (at, follow) = (path.to_owned(), self.follows_links());
        let is_else = with_timeout::run(path, move |_| is_something_else(&at, follow)).unwrap_or(false);
        if is_else {
            self.other_things.insert(path.to_owned(), stamp);
        } else {
            self.other_things.remove(path);
        }
        is_else
    }

    /// Returns whether a file with this stamp was found to be something else.
    pub(super) fn is_known_other_thing(&self, path: &Path, stamp: FileStamp) -> bool {
        self.other_things.get(path) == Some(&stamp)
    }

    /// Notes that there is no longer a file at `path`.
    pub(super) fn vanished(&mut self, path: &Path) {
        self.other_things.remove(path);
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::fingerprint::stamp_of;
    use super::super::super::rules::{NOMEDIA, SCENEDIGNORE};
    use super::*;

    fn filter() -> Filter {
        let extensions = ["mp4", "ts"].map(str::to_owned).to_vec();
        Filter::new(Arc::new(Rules::new(extensions, &[], false, false).unwrap()))
    }

    #[test]
    fn the_rules_of_a_folder_are_read_once_until_they_are_to_be_read_anew() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let file = root.join("a/x.mp4");
        std::fs::create_dir(root.join("a")).unwrap();
        let mut filter = filter();
        assert_eq!(filter.excludes_file(root, &file), None);
        std::fs::write(root.join("a").join(SCENEDIGNORE), "x*").unwrap();
        assert_eq!(filter.excludes_file(root, &file), None, "they were read in this step");
        assert!(filter.excludes_now(root, &file), "but who asks for them as they are is told");
        filter.read_folders_anew();
        assert!(matches!(filter.excludes_file(root, &file), Some(Exclusion::ScenedIgnore { .. })));
    }

    #[test]
    fn a_folder_is_left_out_with_all_below_it() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::write(root.join("a").join(NOMEDIA), "").unwrap();
        std::os::unix::fs::symlink(root.join("a"), root.join("link")).unwrap();
        let mut filter = filter();
        for (folder, why) in [("a", "NoMedia"), ("a/b", "NoMedia"), ("link", "Symlink"), (".hidden", "Hidden")] {
            let exclusion = filter.of_folder(root, &root.join(folder)).unwrap_err();
            assert!(format!("{exclusion:?}").starts_with(why), "{folder}: {exclusion:?}");
            assert_eq!(filter.excludes_file(root, &root.join(folder).join("x.mp4")), Some(exclusion));
        }
        assert!(filter.of_folder(root, root).is_ok());
    }

    #[test]
    fn what_is_no_video_is_read_once_for_each_stamp() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("x.ts");
        std::fs::write(&file, "export const a = 1;\n").unwrap();
        let stamp = stamp_of(&file.metadata().unwrap());
        let mut filter = filter();
        assert!(!filter.is_known_other_thing(&file, stamp));
        assert!(filter.is_other_thing(&file, stamp));
        assert!(filter.is_known_other_thing(&file, stamp));
        std::fs::remove_file(&file).unwrap();
        assert!(filter.is_other_thing(&file, stamp), "it is not read again");
        let other = FileStamp {
            inode: stamp.inode + 1,
            ..stamp
        };
        assert!(
            !filter.is_other_thing(&file, other),
            "what cannot be read is not called something else"
        );
        assert!(!filter.is_known_other_thing(&file, stamp), "nor is what was there before");
        assert!(!filter.is_other_thing(&root.path().join("x.mp4"), stamp), "no other thing ends so");
    }

    #[test]
    fn what_vanished_is_forgotten() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("x.ts");
        std::fs::write(&file, "export const a = 1;\n").unwrap();
        let stamp = stamp_of(&file.metadata().unwrap());
        let mut filter = filter();
        assert!(filter.is_other_thing(&file, stamp));
        filter.vanished(&file);
        assert!(!filter.is_known_other_thing(&file, stamp));
    }
}
