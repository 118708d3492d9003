//! Turns pictures and texts into vectors of one space.
//!
//! ONNX Runtime lives in `scened-worker embed`, one process, started when there is something to embed and ended after
//! `model-idle-seconds`, because only the end of a process gives its memory (and a GPU context) back. This module owns the
//! daemon's half: the [`Embedder`] seam, the worker's life, and checks of what it says ([`scened_common::embed`] has the words, and
//! says what a model folder is).

pub mod pair;
pub mod process;
pub(crate) mod self_test;

use std::time::Instant;

use scened_common::domain::{Embedding, Frame};
pub use scened_common::embed::report::{ModelInfo, ProviderReport};

#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum EmbedError {
    /// Model folder, ONNX Runtime or its version: the text says what to do.
    #[error("{reason}")]
    Unavailable { reason: String, hint: Option<String> },
    /// The worker died while embedding; it will be started again for the next request.
    #[error("the embed worker died: {detail}")]
    WorkerDied { detail: String },
    /// Somebody ended it, or the system did for want of memory: nothing that it was given is to blame.
    #[error("the embed worker was ended from outside: {detail}")]
    Killed { detail: String },
    #[error("the embed worker broke the protocol: {detail}")]
    Protocol { detail: String },
    /// The model gave a vector without a direction (NaN, infinite or zero).
    #[error("the model gave no usable vector for {what}")]
    Degenerate { what: String },
    #[error("embedding took longer than {seconds} s")]
    TimedOut { seconds: u64 },
    /// Whoever asked would wait no longer.
    #[error("the model did not answer in time: {waited_for}")]
    NotInTime { waited_for: String },
    #[error("shutting down")]
    ShuttingDown,
    /// A panic of our own while it was at work.
    #[error("scened failed while it embedded (a bug: please report it)")]
    Bug,
}

/// The seam between pipeline, query and the model: the real worker, or a deterministic fake in tests.
///
/// Both calls block; texts go ahead of pictures that wait. **Shape** of each result: `[dimensions]`, unit length, one per input, same order.
pub trait Embedder: Send + Sync {
    fn model(&self) -> ModelInfo;
    fn embed_texts(&self, texts: &[String]) -> Result<Vec<Embedding>, EmbedError>;
    /// Pictures that somebody asks about; otherwise as [`Self::embed_frames`].
    fn embed_pictures(&self, pictures: &[Frame]) -> Result<Vec<Embedding>, EmbedError>;
    /// As [`Self::embed_texts`]; one that may take long gives up at `deadline`, with [`EmbedError::NotInTime`].
    fn embed_texts_until(&self, texts: &[String], _deadline: Instant) -> Result<Vec<Embedding>, EmbedError> {
        self.embed_texts(texts)
    }
    /// As [`Self::embed_pictures`], with a deadline.
    fn embed_pictures_until(&self, pictures: &[Frame], _deadline: Instant) -> Result<Vec<Embedding>, EmbedError> {
        self.embed_pictures(pictures)
    }
    /// What a question waits for at present, in words for the user.
    fn at_work(&self) -> Option<String> {
        None
    }
    /// Frames to be indexed, in the background. `frames` all have the size of `model().image`.
    fn embed_frames(&self, frames: &[Frame]) -> Result<Vec<Embedding>, EmbedError>;
    /// Execution provider in use (`cpu`, `cuda`, …) and what fell back; `None` while no worker runs and none has run yet.
    fn provider(&self) -> Option<ProviderReport>;
    /// What `status` must say of it.
    fn warning(&self) -> Option<String> {
        None
    }
    /// Ends what runs for it; later calls fail with [`EmbedError::ShuttingDown`].
    fn stop(&self) {}
}
