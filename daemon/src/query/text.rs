//! Vectors of recent query texts.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use scened_common::domain::{Embedding, ModelId};

use crate::embed::EmbedError;
use crate::models::serving::ModelSlot;

/// A script that repeats the same few hundred queries never waits for the model. At 512 dimensions this is half a megabyte.
const CAPACITY: usize = 256;

/// A cache that evicts the least recently used texts.
#[derive(Default)]
pub(super) struct TextVectors(Mutex<VecDeque<(ModelId, String, Embedding)>>);

impl TextVectors {
    /// Returns the cached vector of a recent text. Otherwise asks the model, and waits for it until `deadline`.
    pub(super) fn get(&self, slot: &ModelSlot, text: &str, deadline: Instant) -> Result<Embedding, EmbedError> {
        if let Some(vector) = self.recall(&slot.info.id, text) {
            return Ok(vector);
        }
        let vectors = slot.embedder.embed_texts_until(&[text.to_owned()], deadline)?;
        let vector = vectors
            .into_iter()
            .next()
            .ok_or_else(|| EmbedError::Degenerate { what: text.to_owned() })?;
        self.remember(&slot.info.id, text, &vector);
        Ok(vector)
    }

    fn remember(&self, model: &ModelId, text: &str, vector: &Embedding) {
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= CAPACITY {
            cache.pop_front();
        }
        cache.push_back((model.clone(), text.to_owned(), vector.clone()));
    }

    pub(super) fn recall(&self, model: &ModelId, text: &str) -> Option<Embedding> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_of_one_model_and_one_text_and_the_least_used_fall_out() {
        let cache = TextVectors::default();
        let (first, second) = (ModelId("first".to_owned()), ModelId("second".to_owned()));
        let vector = |x: f32, y: f32| Embedding::normalised(vec![x, y]).unwrap();
        cache.remember(&first, "a dog", &vector(1.0, 0.0));
        cache.remember(&second, "a dog", &vector(0.0, 1.0));
        assert_eq!(cache.recall(&first, "a dog"), Some(vector(1.0, 0.0)));
        assert_eq!(cache.recall(&second, "a dog"), Some(vector(0.0, 1.0)));
        assert_eq!(cache.recall(&first, "A dog"), None);
        for k in 0..CAPACITY - 1 {
            cache.remember(&first, &k.to_string(), &vector(1.0, 1.0));
            assert!(cache.recall(&second, "a dog").is_some(), "what was asked for just now fell out");
        }
        assert_eq!(cache.recall(&first, "a dog"), None);
        assert_eq!(cache.0.lock().unwrap().len(), CAPACITY);
    }
}
