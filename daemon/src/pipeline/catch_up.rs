//! Makes the vectors of another model for a video that is indexed: from its keyframe pictures, or by decoding again if these cannot be
//! used.

use std::ops::ControlFlow;

use scened_common::damage::is_about_machine;
use tracing::warn;

use super::job::{Outcome, Run, embed_failed, media_failed};
use super::vectors::SceneEmbedder;
use crate::embed::EmbedError;
use crate::media::keyframes::KeyframesError;
use crate::media::{KeyframesRequest, MediaError, MediaEvent};
use crate::models::serving::ModelSlot;
use crate::store::{SceneRecord, SceneVectors, StoreError, VideoRecord, VideoState};

/// Why a replay was stopped early.
enum Stopped {
    OtherScenes,
    Embed(EmbedError),
}

impl Run<'_> {
    pub(super) fn catch_up(&self, record: &VideoRecord) -> Outcome {
        if !self.slot.decodes_afresh {
            let scenes = match self.store.scenes(record.id) {
                Ok(scenes) => scenes,
                Err(error) => return Outcome::StoreFailed(error),
            };
            match self.vectors_of_keyframes(record, &scenes, self.slot) {
                Err(outcome) => return outcome,
                Ok(Some(vectors)) => {
                    return match self.store.put_vectors(record.id, &record.fingerprint, &self.slot.info.id, &vectors) {
                        Ok(()) => Outcome::CaughtUp,
                        // The video is gone or has changed. If it still exists, it is queued in its present state.
                        Err(StoreError::Gone(_) | StoreError::Superseded(_)) => Outcome::Cancelled,
                        Err(error) => Outcome::StoreFailed(error),
                    };
                }
                Ok(None) => {}
            }
        }
        if record.offline || record.state != VideoState::Indexed {
            return Outcome::LeftBehind;
        }
        self.index(record)
    }

    /// Returns the vectors that a model makes from the keyframe pictures; `None` if there are no usable pictures. Deletes damaged ones.
    pub(super) fn vectors_of_keyframes(
        &self,
        record: &VideoRecord,
        scenes: &[SceneRecord],
        slot: &ModelSlot,
    ) -> Result<Option<Vec<SceneVectors>>, Outcome> {
        let Some(keyframes) = &self.config.keyframes else {
            return Ok(None);
        };
        let discard = |reason: &dyn std::fmt::Display| {
            warn!(%reason, "the keyframe pictures cannot be used; the video is decoded again");
            if let Err(error) = keyframes.discard(&record.fingerprint) {
                warn!(%error, "they cannot be deleted");
            }
            Ok(None)
        };
        // The pictures may be intact, and the video may be away: they stay.
        let keep = |reason: &dyn std::fmt::Display| {
            warn!(%reason, "the keyframe pictures cannot be used now");
            Ok(None)
        };
        let file = match keyframes.open(&record.fingerprint) {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(None),
            Err(error @ KeyframesError::Damaged(_)) => return discard(&error),
            Err(error @ KeyframesError::Io(_)) => return keep(&error),
        };
        let request = KeyframesRequest {
            image: slot.info.image,
            label: record.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        };
        let mut vectors = SceneEmbedder::new(slot.embedder.as_ref());
        let mut stopped = None;
        let replayed = self.source.replay(file, &request, self.cancel, &mut |event| {
            let MediaEvent::SceneFound(found) = event else {
                return ControlFlow::Continue(());
            };
            (self.progress)(found.span.end_ms, record.duration_ms);
            let scene = SceneRecord {
                span: found.span,
                boundary: found.boundary,
            };
            if scenes.get(vectors.n_scenes()) != Some(&scene) {
                stopped = Some(Stopped::OtherScenes);
                return ControlFlow::Break(());
            }
            if let Err(error) = vectors.scene(found.frames) {
                stopped = Some(Stopped::Embed(error));
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        match (stopped, replayed) {
            (Some(Stopped::Embed(error)), _) => return Err(embed_failed(error, slot.embedder.as_ref())),
            (Some(Stopped::OtherScenes), _) => return discard(&"they are of other scenes"),
            (
                None,
                Err(
                    error @ (MediaError::Cancelled
                    | MediaError::Start { .. }
                    | MediaError::Unsandboxed { .. }
                    | MediaError::NotReady { .. }),
                ),
            ) => {
                return Err(media_failed(error));
            }
            (None, Err(MediaError::Unusable { reason })) if !is_about_machine(&reason) => return discard(&reason),
            (None, Err(error)) => return keep(&error),
            (None, Ok(_)) => {}
        }
        if vectors.n_scenes() != scenes.len() {
            return discard(&"they are of fewer scenes");
        }
        vectors
            .finish()
            .map(Some)
            .map_err(|error| embed_failed(error, slot.embedder.as_ref()))
    }
}
