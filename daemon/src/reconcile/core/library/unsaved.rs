//! What waits to be stored together: a folder of 150,000 videos that was renamed costs some hundred syncs of the disk and not one a video.
//!
//! It waits for the rest of a step at most, and nothing is cleared before it is stored. Until then the store has the videos that moved at
//! their former paths: whoever places a file at one of those stores the moves first.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use scened_common::domain::VideoId;

use crate::store::{Move, NewVideo, Touch, VideoRecord};

/// New videos that are stored in one batch.
const ADD_BATCH: usize = 200;
/// Moves that are stored in one batch, at most.
const MOST_MOVES: usize = 2_000;

#[derive(Debug, Default)]
pub(super) struct Unsaved {
    new: Vec<NewVideo>,
    touched: Vec<Touch>,
    /// Videos that were offline and are there.
    back: Vec<VideoId>,
    moves: Moves,
}

/// Videos whose files were found elsewhere.
#[derive(Debug, Default)]
struct Moves {
    waiting: Vec<Move>,
    videos: HashSet<VideoId>,
    /// Where the store still has them, and where they will be.
    paths: HashSet<PathBuf>,
}

/// All but the moves.
#[derive(Debug, Default)]
pub(super) struct RootsChanges {
    pub(super) new: Vec<NewVideo>,
    pub(super) touched: Vec<Touch>,
    pub(super) back: Vec<VideoId>,
}

impl Unsaved {
    /// True: it is time to store.
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

    /// These are not back after all, or the store knows already.
    pub(super) fn are_not_back(&mut self, videos: &[VideoId]) {
        self.back.retain(|video| !videos.contains(video));
    }

    /// True: it is time to store the moves.
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

    /// Whether a move of this video waits.
    pub(super) fn has_move_of(&self, video: VideoId) -> bool {
        self.moves.videos.contains(&video)
    }

    /// Whether a move from or to this path waits.
    pub(super) fn has_move_at(&self, path: &Path) -> bool {
        self.moves.paths.contains(path)
    }

    /// A video that moved is there: the store takes it for back.
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
