//! Changes that wait to be stored together. A rename of a folder with 150,000 videos then costs some hundred disk syncs instead of one for
//! each video.
//!
//! A change waits for the rest of a step at most, and nothing is cleared before it is stored. Until then the store has moved videos at
//! their former paths. A caller that places a file at one of these paths stores the moves first.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use scened_common::domain::VideoId;

use crate::store::{Move, NewVideo, Touch, VideoRecord};

/// Number of new videos stored in one batch.
const ADD_BATCH: usize = 200;
/// Maximum number of moves stored in one batch.
const MOST_MOVES: usize = 2_000;

#[derive(Debug, Default)]
pub(super) struct Unsaved {
    new: Vec<NewVideo>,
    touched: Vec<Touch>,
    /// Videos that were offline and are back.
    back: Vec<VideoId>,
    moves: Moves,
}

/// Videos whose files were found elsewhere.
#[derive(Debug, Default)]
struct Moves {
    waiting: Vec<Move>,
    videos: HashSet<VideoId>,
    /// The paths in the store, and the new paths.
    paths: HashSet<PathBuf>,
}

/// All changes except the moves.
#[derive(Debug, Default)]
pub(super) struct RootsChanges {
    pub(super) new: Vec<NewVideo>,
    pub(super) touched: Vec<Touch>,
    pub(super) back: Vec<VideoId>,
}

impl Unsaved {
    /// Returns true if it is time to store.
    pub(super) fn add(&mut self, video: NewVideo) -> bool {
        self.new.push(video);
        self.new.len() >= ADD_BATCH
    }

    pub(super) fn touch(&mut self, touch: Touch) {
        self.touched.push(touch);
    }

    pub(super) fn is_back(&mut self, video: VideoId) {
        self.back.push(video);
    }

    /// Forgets that these videos are back: they are not after all, or the store already knows.
    pub(super) fn are_not_back(&mut self, videos: &[VideoId]) {
        self.back.retain(|video| !videos.contains(video));
    }

    /// Returns true if it is time to store the moves.
    pub(super) fn add_move(&mut self, video: &VideoRecord, new: &NewVideo) -> bool {
        let moves = &mut self.moves;
        moves.videos.insert(video.id);
        moves.paths.extend([video.path.clone(), new.path.clone()]);
        moves.waiting.push(Move {
            video: video.id,
            path: new.path.clone(),
            stamp: new.stamp,
            on_root_device: new.on_root_device,
        });
        moves.waiting.len() >= MOST_MOVES
    }

    /// Returns whether a move of this video waits.
    pub(super) fn has_move_of(&self, video: VideoId) -> bool {
        self.moves.videos.contains(&video)
    }

    /// Returns whether a move from or to this path waits.
    pub(super) fn has_move_at(&self, path: &Path) -> bool {
        self.moves.paths.contains(path)
    }

    /// Takes the waiting moves. The store marks a moved video as back by itself.
    pub(super) fn take_moves(&mut self) -> Vec<Move> {
        let moves = std::mem::take(&mut self.moves);
        self.back.retain(|video| !moves.videos.contains(video));
        moves.waiting
    }

    pub(super) fn take(&mut self) -> RootsChanges {
        RootsChanges {
            new: std::mem::take(&mut self.new),
            touched: std::mem::take(&mut self.touched),
            back: std::mem::take(&mut self.back),
        }
    }
}
