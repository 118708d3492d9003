//! Checks of an indexing result that need no store.

use scened_common::domain::ModelId;

use super::{IndexedVideo, SceneVectors, StoreError};

pub(super) fn indexed_video(indexed: &IndexedVideo) -> Result<(), StoreError> {
    let n = indexed.scenes.len();
    let invalid = |reason: String| Err(StoreError::invalid("an indexed video", reason));
    if indexed.vectors.len() != n || indexed.thumbnails.len() != n {
        return invalid(format!(
            "{n} scenes, {} vectors and {} thumbnails",
            indexed.vectors.len(),
            indexed.thumbnails.len()
        ));
    }
    if n >= 1 << 24 {
        return invalid(format!("{n} scenes; 2^24 is the limit"));
    }
    if indexed.record.model.is_none() {
        return invalid("its vectors belong to no model".to_owned());
    }
    indexed
        .others
        .iter()
        .try_for_each(|(model, vectors)| other_vectors(n, model, vectors))?;
    dimensions(&indexed.vectors)
}

/// Checks the vectors of one more model.
pub(super) fn other_vectors(n_scenes: usize, model: &ModelId, vectors: &[SceneVectors]) -> Result<(), StoreError> {
    if vectors.len() != n_scenes {
        let reason = format!("{n_scenes} scenes and {} vectors of {model}", vectors.len());
        return Err(StoreError::invalid("an indexed video", reason));
    }
    dimensions(vectors)
}

pub(super) fn dimensions(vectors: &[SceneVectors]) -> Result<(), StoreError> {
    let mut lengths = vectors
        .iter()
        .flat_map(|scene| &scene.frames)
        .map(|(_, vector)| vector.dimensions());
    let first = lengths.next();
    if lengths.any(|dimensions| Some(dimensions) != first) {
        return Err(StoreError::invalid("an indexed video", "its vectors differ in length"));
    }
    Ok(())
}
