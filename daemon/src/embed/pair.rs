//! The embedder of an answering model: one process for queries, another one for indexing.
//!
//! Queries must be answered at once, while indexing may use only what no other program wants. A process that has taken idle priority cannot
//! leave it again, so there are two. Each loads a tower when it needs it, so together they hold as much as one process would: one the text
//! tower, the other the vision tower. The files of both are mapped and shared.

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
    /// Starts the two owner threads; no worker yet. `config.background` is ignored.
    ///
    /// **Errors**: like [`EmbedProcess::new`].
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

    /// Either process may have fallen back to another provider. Each provider that failed is reported once.
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
        // Both are told to stop before waiting for either.
        std::thread::scope(|scope| {
            scope.spawn(|| self.queries.stop());
            self.indexing.stop();
        });
    }
}
