//! Frames of one video on their way through a model.

use scened_common::domain::Frame;

use crate::embed::{EmbedError, Embedder};
use crate::store::SceneVectors;

/// Frames are embedded in lots of at least this many, across scenes, so that short scenes do not mean small batches.
const EMBED_LOT: usize = 32;

/// Collects the vectors of one video, scene by scene; scenes are ahead of vectors by less than [`EMBED_LOT`] frames.
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

    /// Embeds what waits; one element a scene.
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
