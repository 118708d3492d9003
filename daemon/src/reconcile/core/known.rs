//! What the store knows, as one step sees it: videos below a folder, and videos that are names of one file.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::is_below;
use super::Core;
use crate::domain::VideoId;
use crate::store::VideoRecord;
use crate::watch::debounce::Hint;

impl Core {
    /// A file may have changed under one of its names: the others are looked at, too.
    pub(super) fn note_other_names(&mut self, inode: u64, path: &Path) {
        if self.by_inode.is_none() {
            let mut by_inode: Vec<(u64, VideoId)> = self.videos().iter().map(|video| (video.stamp.inode, video.id)).collect();
            by_inode.sort_unstable();
            self.by_inode = Some(by_inode);
        }
        let by_inode = self.by_inode.as_deref().unwrap_or_default();
        let first = by_inode.partition_point(|(other, _)| *other < inode);
        let names = by_inode[first..].iter().take_while(|(other, _)| *other == inode);
        let others = names.filter_map(|(_, id)| self.store.video(*id)).map(|video| video.path.clone());
        self.other_names.extend(others.filter(|name| name != path));
    }

    pub(super) fn look_at_other_names(&mut self) {
        let mut seen = HashSet::new();
        while let Some(name) = self.other_names.pop() {
            if seen.insert(name.clone()) {
                self.look_at(&name, Hint::default());
            }
        }
    }

    /// All videos of the store, sorted by path; as they were at the beginning of this step, or later.
    pub(super) fn videos(&mut self) -> &[Arc<VideoRecord>] {
        let store = &self.store;
        self.videos.get_or_insert_with(|| {
            let mut videos = store.videos();
            if !videos.is_sorted_by(|a, b| a.path <= b.path) {
                videos.sort_by(|a, b| a.path.cmp(&b.path));
            }
            videos
        })
    }

    /// The known videos at `path` or below it that belong to the same root as `path` does (or is).
    pub(super) fn videos_below(&mut self, path: &Path) -> Vec<Arc<VideoRecord>> {
        let nested: Vec<PathBuf> = self
            .roots
            .iter()
            .map(|root| root.path.clone())
            .filter(|root| root.starts_with(path) && root != path)
            .collect();
        let videos = self.videos();
        let first = videos.partition_point(|video| video.path.as_path() < path);
        videos[first..]
            .iter()
            .take_while(|video| video.path.starts_with(path))
            .filter(|video| is_below(&video.path, path, &nested))
            .cloned()
            .collect()
    }
}
