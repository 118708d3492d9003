//! Vectors of the texts asked for lately.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::domain::{Embedding, ModelId};
use crate::embed::EmbedError;
use crate::serving::ModelSlot;

/// A script that asks the same few hundred questions never waits for the model; at 512 dimensions this is half a megabyte.
const CAPACITY: usize = 256;

/// Least recently used texts fall out first.
#[derive(Default)]
pub(super) struct TextVectors(Mutex<VecDeque<(ModelId, String, Embedding)>>);

impl TextVectors {
    pub(super) fn get(&self, slot: &ModelSlot, text: &str) -> Result<Embedding, EmbedError> {
        if let Some(vector) = self.recall(&slot.info.id, text) {
            return Ok(vector);
        }
        let vectors = slot.embedder.embed_texts(&[text.to_owned()])?;
        let vector = vectors
            .into_iter()
            .next()
            .ok_or_else(|| EmbedError::Degenerate { what: text.to_owned() })?;
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= CAPACITY {
            cache.pop_front();
        }
        cache.push_back((slot.info.id.clone(), text.to_owned(), vector.clone()));
        Ok(vector)
    }

    fn recall(&self, model: &ModelId, text: &str) -> Option<Embedding> {
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let index = cache
            .iter()
            .position(|(cached_model, cached_text, _)| cached_model == model && cached_text == text)?;
        let entry = cache.remove(index)?;
        let vector = entry.2.clone();
        cache.push_back(entry);
        Some(vector)
    }
}
