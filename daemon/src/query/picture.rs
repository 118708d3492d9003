//! Questions about a picture, a moment or a whole video: what is seen there, as vectors.

use std::path::PathBuf;
use std::time::Instant;

use scened_common::domain::{Embedding, Frame, ModelId};

use super::{Answer, Probe, QueryError, Searcher, Wanted, check_count};
use crate::embed::EmbedError;
use crate::media::{Cancel, PictureRequest};
use crate::models::serving::ModelSlot;
use crate::store::VideoRecord;
use crate::video_file::open_stamped;

/// What a picture query is about.
#[derive(Clone, Debug)]
pub struct SimilarTo {
    pub path: PathBuf,
    pub at_ms: Option<u64>,
}

/// What is asked about as a picture: its vectors, or the parts that the model has to be shown.
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
    /// Whether the model has to be asked.
    pub fn is_unseen(&self) -> bool {
        matches!(self.parts, Parts::Frames(_))
    }
}

impl Searcher {
    /// The model's view of a picture: of pictures that were never shown to it.
    ///
    /// **Errors**: [`QueryError::OtherModel`] when another one answers meanwhile.
    pub fn show(&self, picture_query: PictureQuery, deadline: Instant) -> Result<PictureQuery, QueryError> {
        let Parts::Frames(frames) = &picture_query.parts else {
            return Ok(picture_query);
        };
        let slot = self.slot_of(&picture_query.model)?;
        let vectors = match slot.embedder.embed_pictures_until(frames, deadline) {
            // It was retired in the middle of the question.
            Err(EmbedError::ShuttingDown) if self.slot_of(&picture_query.model).is_err() => return Err(QueryError::OtherModel),
            vectors => vectors?,
        };
        Ok(PictureQuery {
            model: picture_query.model,
            parts: Parts::Vectors(vectors),
        })
    }

    /// Scenes that look like a moment of a video, or like a picture. Waits for nothing.
    ///
    /// **Errors**: [`QueryError::OtherModel`] when another one answers meanwhile.
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
        // A video is always most like itself: when the whole of it is the question, leave it out. A moment finds its own scene first,
        // which shows what was asked about.
        let record = self.store.video_at(&likeness.path);
        let asked = record.filter(|_| likeness.at_ms.is_none()).map(|record| record.id);
        self.answer(&slot, &probe, wanted, &|scene| asked != Some(scene.video))
    }

    /// All steps at once.
    #[cfg(any(test, feature = "testing"))]
    pub fn similar(&self, likeness: &SimilarTo, wanted: &Wanted, cancel: &Cancel) -> Result<Answer, QueryError> {
        check_count(wanted.n)?;
        let picture_query = self.show(self.decode_picture(likeness, cancel)?, Instant::now() + super::MODEL_TIMEOUT)?;
        self.answer_picture(likeness, &picture_query, wanted)
    }

    /// The vectors of a moment of an indexed video or of the whole of it, where the store tells them; else pictures, as many as the model
    /// is shown parts of one. Waits for the disk and a worker.
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
                // The video may be on a drive that is away: the nearest sampled frame stands in for the moment.
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
