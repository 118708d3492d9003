//! Writes the changes that walks and files have gathered.

use std::path::Path;
use std::time::Instant;

use super::super::shared::lock;
use super::Core;
use crate::store::{NewVideo, VideoRecord};

impl Core {
    /// Writes everything that waits.
    pub(super) fn store_batches(&mut self) {
        self.store_moves();
        self.library.store_rest();
    }

    /// Like [`Core::move_here`], but stored with others.
    pub(super) fn move_soon(&mut self, video: &VideoRecord, new: &NewVideo) {
        self.missing.acquit(video.id);
        if self.library.move_soon(video, new) {
            self.store_moves();
        }
    }

    /// Stores the moves that concern this path, before the store's answer about it counts.
    pub(super) fn store_moves_of(&mut self, path: &Path) {
        if self.library.has_move_at(path) {
            self.store_moves();
        }
    }

    pub(super) fn store_moves(&mut self) {
        for moved in self.library.store_moves() {
            lock(&self.shared.settling).still_changing(&moved.path, moved.stamp, Instant::now());
            self.suspect(moved.video);
        }
    }
}
