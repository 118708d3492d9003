//! Queries by a picture, a moment or a whole video: their vectors.

use std::path::PathBuf;
use std::time::Instant;

use scened_common::domain::{Embedding, Frame, ModelId};

use super::{Answer, Probe, QueryError, Searcher, Wanted, check_count};
use crate::embed::EmbedError;
use crate::media::{Cancel, PictureRequest};
use crate::models::serving::ModelSlot;
use crate::store::VideoRecord;
use crate::video_file::open_stamped;

/// The subject of a picture query.
#[derive(Clone, Debug)]
pub struct SimilarTo {
    pub path: PathBuf,
    pub at_ms: Option<u64>,
}

/// A picture query: its vectors, or the parts that the model must still embed.
#[derive(Clone, Debug)]
pub struct PictureQuery {
    model: ModelId,
    parts: Parts,
}

#[derive(Clone, Debug)]
enum Parts {
    Vectors(Vec<Embedding>),
    Frames(Vec<Frame>),
}

impl PictureQuery {
    /// Decides whether the model must embed something.
    pub fn is_unseen(&self) -> bool {
        matches!(self.parts, Parts::Frames(_))
    }
}

impl Searcher {
    /// Embeds a picture that the model has not seen yet.
    ///
    /// **Errors**: [`QueryError::OtherModel`] if another model answers by now.
    pub fn show(&self, picture_query: PictureQuery, deadline: Instant) -> Result<PictureQuery, QueryError> {
        let Parts::Frames(frames) = &picture_query.parts else {
            return Ok(picture_query);
        };
        let slot = self.slot_of(&picture_query.model)?;
        let vectors = match slot.embedder.embed_pictures_until(frames, deadline) {
            // The model was retired during the query.
            Err(EmbedError::ShuttingDown) if self.slot_of(&picture_query.model).is_err() => return Err(QueryError::OtherModel),
            vectors => vectors?,
        };
        Ok(PictureQuery {
            model: picture_query.model,
            parts: Parts::Vectors(vectors),
        })
    }

    /// Returns scenes similar to a moment of a video, or to a picture. Never waits for the model.
    ///
    /// **Errors**: [`QueryError::OtherModel`] if another model answers by now.
    pub fn answer_picture(&self, likeness: &SimilarTo, picture_query: &PictureQuery, wanted: &Wanted) -> Result<Answer, QueryError> {
        check_count(wanted.n)?;
        let slot = self.slot_of(&picture_query.model)?;
        let parts = match &picture_query.parts {
            Parts::Vectors(vectors) => vectors.clone(),
            Parts::Frames(_) => Vec::new(),
        };
        let probe = Probe::of(parts).ok_or_else(|| EmbedError::Degenerate {
            what: likeness.path.display().to_string(),
        })?;
        // A video is always most similar to itself: if the whole video is the query, it is left out. A moment finds its own scene first,
        // which shows the user the subject of the query.
        let record = self.store.video_at(&likeness.path);
        let asked = record.filter(|_| likeness.at_ms.is_none()).map(|record| record.id);
        self.answer(&slot, &probe, wanted, &|scene| asked != Some(scene.video))
    }

    /// Runs all steps at once.
    #[cfg(any(test, feature = "testing"))]
    pub fn similar(&self, likeness: &SimilarTo, wanted: &Wanted, cancel: &Cancel) -> Result<Answer, QueryError> {
        check_count(wanted.n)?;
        let picture_query = self.show(self.decode_picture(likeness, cancel)?, Instant::now() + super::MODEL_TIMEOUT)?;
        self.answer_picture(likeness, &picture_query, wanted)
    }

    /// Returns the stored vectors of a moment of an indexed video or of the whole video. If the store does not have them, returns pictures,
    /// one for each part that the model gets. Waits for the disk and a worker.
    pub fn decode_picture(&self, likeness: &SimilarTo, cancel: &Cancel) -> Result<PictureQuery, QueryError> {
        let slot = self.serving.current()?;
        let record = self.store.video_at(&likeness.path);
        let parts = match self.stored_parts(&slot, likeness, record.as_deref())? {
            Some(vectors) => Parts::Vectors(vectors),
            None => Parts::Frames(self.frames(&slot, likeness, record.as_deref(), cancel)?),
        };
        let model = slot.info.id.clone();
        Ok(PictureQuery { model, parts })
    }

    fn stored_parts(
        &self,
        slot: &ModelSlot,
        likeness: &SimilarTo,
        record: Option<&VideoRecord>,
    ) -> Result<Option<Vec<Embedding>>, QueryError> {
        if let Some(record) = record {
            let scenes = self.store.video_vectors(&slot.info.id, record.id)?;
            let frames = || scenes.iter().flat_map(|scene| &scene.frames);
            match likeness.at_ms {
                None => {
                    if let Some(mean) = Embedding::mean(frames().map(|(_, vector)| vector)) {
                        return Ok(Some(vec![mean]));
                    }
                }
                // The video may be on an offline drive: the nearest sampled frame replaces the moment.
                Some(at_ms) if record.offline => {
                    if let Some((nearest_ms, _)) = frames().min_by_key(|(time_ms, _)| time_ms.abs_diff(at_ms)) {
                        let parts = frames().filter(|(time_ms, _)| time_ms == nearest_ms);
                        return Ok(Some(parts.map(|(_, vector)| vector.clone()).collect()));
                    }
                }
                Some(_) => {}
            }
        }
        Ok(None)
    }

    fn frames(
        &self,
        slot: &ModelSlot,
        likeness: &SimilarTo,
        record: Option<&VideoRecord>,
        cancel: &Cancel,
    ) -> Result<Vec<Frame>, QueryError> {
        let path = &likeness.path;
        let (video, _stamp) = open_stamped(path).map_err(|source| QueryError::File {
            path: path.clone(),
            source,
        })?;
        let request = PictureRequest {
            image: slot.info.image,
            at_ms: likeness.at_ms,
            clock_is_odd: record
                .and_then(|record| record.picture.as_ref())
                .is_some_and(|picture| !picture.clock.is_empty()),
            label: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        };
        self.source.picture(video, &request, cancel).map_err(|source| QueryError::Media {
            path: path.clone(),
            source,
        })
    }
}
