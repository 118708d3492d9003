//! Turns pictures and texts into vectors of one space.
//!
//! ONNX Runtime runs in `scened-worker embed` processes. A process is started when there is something to embed and ended after
//! `model-idle-seconds`, because only the end of a process returns its memory (and a GPU context). This module owns the daemon's half: the
//! [`Embedder`] seam, the worker's lifetime, and checks of its answers. [`scened_common::embed`] holds the messages, and says what a model
//! folder is.

pub mod pair;
pub mod process;
pub(crate) mod self_test;

use std::time::Instant;

use scened_common::domain::{Embedding, Frame};
pub use scened_common::embed::report::{ModelInfo, ProviderReport};

#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum EmbedError {
    /// The model folder, ONNX Runtime or its version is at fault; the text says what to do.
    #[error("{reason}")]
    Unavailable { reason: String, hint: Option<String> },
    /// The worker died while embedding. Another one is started for the next request.
    #[error("the embed worker died: {detail}")]
    WorkerDied { detail: String },
    /// A person ended it, or the system did for lack of memory. Its input is not at fault.
    #[error("the embed worker was ended from outside: {detail}")]
    Killed { detail: String },
    #[error("the embed worker broke the protocol: {detail}")]
    Protocol { detail: String },
    /// The model gave a vector without a direction (NaN, infinite or zero).
    #[error("the model gave no usable vector for {what}")]
    Degenerate { what: String },
    #[error("embedding took longer than {seconds} s")]
    TimedOut { seconds: u64 },
    /// The deadline of the request passed.
    #[error("the model did not answer in time: {waited_for}")]
    NotInTime { waited_for: String },
    #[error("shutting down")]
    ShuttingDown,
    /// scened itself panicked during the request.
    #[error("scened failed while it embedded (a bug: please report it)")]
    Bug,
}

/// The seam between pipeline, query and the model: the real worker, or a deterministic fake in tests.
///
/// Every embedding call blocks; texts go ahead of waiting pictures. **Shape** of each result: `[dimensions]`, unit length, one per input,
/// same order.
pub trait Embedder: Send + Sync {
    fn model(&self) -> ModelInfo;
    fn embed_texts(&self, texts: &[String]) -> Result<Vec<Embedding>, EmbedError>;
    /// Embeds the pictures of a query; otherwise like [`Self::embed_frames`].
    fn embed_pictures(&self, pictures: &[Frame]) -> Result<Vec<Embedding>, EmbedError>;
    /// Works like [`Self::embed_texts`]. An embedder that may take long gives up at `deadline`, with [`EmbedError::NotInTime`].
    fn embed_texts_until(&self, texts: &[String], _deadline: Instant) -> Result<Vec<Embedding>, EmbedError> {
        self.embed_texts(texts)
    }
    /// Works like [`Self::embed_pictures`], with a deadline.
    fn embed_pictures_until(&self, pictures: &[Frame], _deadline: Instant) -> Result<Vec<Embedding>, EmbedError> {
        self.embed_pictures(pictures)
    }
    /// Describes what queries wait for at present, in words for the user.
    fn at_work(&self) -> Option<String> {
        None
    }
    /// Embeds frames for indexing, in the background. All `frames` have the size of `model().image`.
    fn embed_frames(&self, frames: &[Frame]) -> Result<Vec<Embedding>, EmbedError>;
    /// Returns the execution provider in use (`cpu`, `cuda`, …) and the ones that failed. `None` if no worker runs and none has run yet.
    fn provider(&self) -> Option<ProviderReport>;
    /// Returns a warning for `status`.
    fn warning(&self) -> Option<String> {
        None
    }
    /// Ends its processes and threads. Later calls fail with [`EmbedError::ShuttingDown`].
    fn stop(&self) {}
}
