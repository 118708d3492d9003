//! The embedder of a model that answers: one process for those who ask, another one for indexing.
//!
//! What is asked must be answered at once, and what is indexed may have only what nobody else wants. A process that has taken idle priority
//! cannot leave it again, so these are two. Each loads a tower when it needs it, so that together they hold what one would:
//! the text tower here, the vision tower there. The files of both are mapped and shared.

use std::time::Instant;

use scened_common::domain::{Embedding, Frame};

use super::process::{EmbedConfig, EmbedProcess};
use super::{EmbedError, Embedder, ModelInfo, ProviderReport};

#[derive(Debug)]
pub struct EmbedPair {
    queries: EmbedProcess,
    indexing: EmbedProcess,
}

impl EmbedPair {
    /// Starts the two owner threads; no worker yet. `config.background` is of no account.
    ///
    /// **Errors**: as [`EmbedProcess::new`].
    pub fn new(config: EmbedConfig) -> Result<Self, EmbedError> {
        let indexing = EmbedConfig {
            background: true,
            ..config.clone()
        };
        let queries = EmbedConfig {
            background: false,
            ..config
        };
        Ok(Self {
            queries: EmbedProcess::new(queries)?,
            indexing: EmbedProcess::new(indexing)?,
        })
    }
}

impl Embedder for EmbedPair {
    fn model(&self) -> ModelInfo {
        let info = self.queries.model();
        let dimensions = info.dimensions.or_else(|| self.indexing.model().dimensions);
        ModelInfo { dimensions, ..info }
    }

    fn embed_texts(&self, texts: &[String]) -> Result<Vec<Embedding>, EmbedError> {
        self.queries.embed_texts(texts)
    }

    fn embed_pictures(&self, pictures: &[Frame]) -> Result<Vec<Embedding>, EmbedError> {
        self.queries.embed_frames(pictures)
    }

    fn embed_texts_until(&self, texts: &[String], deadline: Instant) -> Result<Vec<Embedding>, EmbedError> {
        self.queries.embed_texts_until(texts, deadline)
    }

    fn embed_pictures_until(&self, pictures: &[Frame], deadline: Instant) -> Result<Vec<Embedding>, EmbedError> {
        self.queries.embed_pictures_until(pictures, deadline)
    }

    fn at_work(&self) -> Option<String> {
        self.queries.at_work()
    }

    fn embed_frames(&self, frames: &[Frame]) -> Result<Vec<Embedding>, EmbedError> {
        self.indexing.embed_frames(frames)
    }

    /// The one that ran last may have fallen back where the other did not: each that failed is told once.
    fn provider(&self) -> Option<ProviderReport> {
        let (Some(mut report), of_queries) = (
            self.indexing.provider().or_else(|| self.queries.provider()),
            self.queries.provider(),
        ) else {
            return None;
        };
        for failed in of_queries.into_iter().flat_map(|report| report.failed) {
            if !report.failed.contains(&failed) {
                report.failed.push(failed);
            }
        }
        Some(report)
    }

    fn warning(&self) -> Option<String> {
        self.queries.warning().or_else(|| self.indexing.warning())
    }

    fn stop(&self) {
        // Both are told before either is waited for.
        std::thread::scope(|scope| {
            scope.spawn(|| self.queries.stop());
            self.indexing.stop();
        });
    }
}
