//! Passes the frames of one video through a model.

use scened_common::domain::Frame;

use crate::embed::{EmbedError, Embedder};
use crate::store::SceneVectors;

/// Frames are embedded in batches of at least this size (except the last), across scenes, so that short scenes do not mean small batches.
const EMBED_LOT: usize = 32;

/// Collects the vectors of one video, scene by scene. Fewer than [`EMBED_LOT`] frames wait to be embedded.
pub(super) struct SceneEmbedder<'a> {
    embedder: &'a dyn Embedder,
    vectors: Vec<SceneVectors>,
    /// Frames not yet embedded, with the index of their scene.
    waiting: Vec<(usize, Frame)>,
}

impl<'a> SceneEmbedder<'a> {
    pub(super) fn new(embedder: &'a dyn Embedder) -> Self {
        Self {
            embedder,
            vectors: Vec::new(),
            waiting: Vec::new(),
        }
    }

    /// Takes the next scene.
    pub(super) fn scene(&mut self, frames: Vec<Frame>) -> Result<(), EmbedError> {
        let scene = self.vectors.len();
        self.vectors.push(SceneVectors {
            frames: Vec::with_capacity(frames.len()),
        });
        self.waiting.extend(frames.into_iter().map(|frame| (scene, frame)));
        if self.waiting.len() >= EMBED_LOT {
            self.embed()?;
        }
        Ok(())
    }

    pub(super) fn n_scenes(&self) -> usize {
        self.vectors.len()
    }

    /// Embeds the waiting frames. Returns one element per scene.
    pub(super) fn finish(mut self) -> Result<Vec<SceneVectors>, EmbedError> {
        self.embed()?;
        Ok(self.vectors)
    }

    fn embed(&mut self) -> Result<(), EmbedError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let (scenes, frames): (Vec<usize>, Vec<Frame>) = self.waiting.drain(..).unzip();
        let vectors = self.embedder.embed_frames(&frames)?;
        for ((scene, frame), vector) in scenes.into_iter().zip(&frames).zip(vectors) {
            self.vectors[scene].frames.push((frame.time_ms, vector));
        }
        Ok(())
    }
}
