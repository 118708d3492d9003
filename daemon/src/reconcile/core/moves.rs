//! Moves that wait to be stored together: a folder of 150,000 videos that was renamed costs some hundred syncs of the disk and not one a video.
//!
//! They wait for the rest of a step at most, and nothing is cleared before they are stored. Until then the store has these videos at
//! their former paths: whoever places a file at one of those stores the moves first.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::super::shared::lock;
use super::Core;
use crate::domain::VideoId;
use crate::store::{Move, NewVideo, VideoRecord};

/// Moves that are stored in one batch, at most.
const MOST_MOVES: usize = 2_000;

#[derive(Default)]
pub(super) struct Moves {
    waiting: Vec<Move>,
    videos: HashSet<VideoId>,
    /// Where the store still has them, and where they will be.
    paths: HashSet<PathBuf>,
}

impl Moves {
    pub(super) fn has(&self, video: VideoId) -> bool {
        self.videos.contains(&video)
    }

    fn concerns(&self, path: &Path) -> bool {
        self.paths.contains(path)
    }
}

impl Core {
    /// [`Core::move_here`], stored with others.
    pub(super) fn move_soon(&mut self, video: &VideoRecord, new: &NewVideo) {
        self.missing.acquit(video.id);
        self.moves.videos.insert(video.id);
        self.moves.paths.extend([video.path.clone(), new.path.clone()]);
        self.moves.waiting.push(Move {
            video: video.id,
            path: new.path.clone(),
            stamp: new.stamp,
            on_root_device: new.on_root_device,
        });
        if self.moves.waiting.len() >= MOST_MOVES {
            self.store_moves();
        }
    }

    /// What the store says of this path is about to count.
    pub(super) fn store_moves_of(&mut self, path: &Path) {
        if self.moves.concerns(path) {
            self.store_moves();
        }
    }

    pub(super) fn store_moves(&mut self) {
        let moves = std::mem::take(&mut self.moves);
        let Some(first) = moves.waiting.first() else { return };
        self.videos = None;
        self.back_online.retain(|id| !moves.has(*id));
        match self.store.move_videos(&moves.waiting) {
            Ok(()) => tracing::info!(n_videos = moves.waiting.len(), to = %first.path.display(), "videos were moved"),
            Err(error) => {
                tracing::error!(n_videos = moves.waiting.len(), to = %first.path.display(), %error, "moves cannot be noted in the store; they are tried again");
                for moved in &moves.waiting {
                    lock(&self.shared.settling).still_changing(&moved.path, moved.stamp, Instant::now());
                    self.suspect(moved.video);
                }
            }
        }
    }
}
