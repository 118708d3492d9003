//! The folders that wait to be walked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Each folder once, parents before their sub-folders.
#[derive(Debug, Default)]
pub(super) struct Walks {
    /// The value says whether the watches at and below the folder are void.
    folders: BTreeMap<PathBuf, bool>,
}

impl Walks {
    /// Queues a folder. `rewatch`: the watches at and below it are void. A folder that already waits is walked once, and rewatched if
    /// either request wants it.
    pub(super) fn queue(&mut self, folder: PathBuf, rewatch: bool) {
        *self.folders.entry(folder).or_default() |= rewatch;
    }

    /// Returns the next folder, and whether to watch it again.
    pub(super) fn take(&mut self) -> Option<(PathBuf, bool)> {
        self.folders.pop_first()
    }

    /// Forgets `folder` and everything below it.
    pub(super) fn forget_below(&mut self, folder: &Path) {
        self.folders.retain(|waiting, _| !waiting.starts_with(folder));
    }

    pub(super) fn len(&self) -> usize {
        self.folders.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.folders.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut walks: Walks) -> Vec<(PathBuf, bool)> {
        std::iter::from_fn(|| walks.take()).collect()
    }

    #[test]
    fn parents_come_first_and_a_wish_for_new_watches_stays() {
        let mut walks = Walks::default();
        walks.queue("/v/b".into(), false);
        walks.queue("/v/a/c".into(), true);
        walks.queue("/v/a".into(), false);
        walks.queue("/v/a/c".into(), false);
        assert_eq!(walks.len(), 3);
        assert_eq!(
            all(walks),
            [("/v/a".into(), false), ("/v/a/c".into(), true), ("/v/b".into(), false)]
        );
    }

    #[test]
    fn what_is_forgotten_is_forgotten_with_all_below_it_and_nothing_beside_it() {
        let mut walks = Walks::default();
        for folder in ["/v/a", "/v/a/b", "/v/ab"] {
            walks.queue(folder.into(), false);
        }
        walks.forget_below(Path::new("/v/a"));
        assert_eq!(all(walks), [("/v/ab".into(), false)]);
    }
}
