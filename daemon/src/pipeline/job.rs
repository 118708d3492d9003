//! One job: open the video, look for known content, decode it, embed its frames, keep them for other models, commit.

mod outcome;
mod twin;

use std::fs::{File, Metadata};
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

pub(super) use outcome::{Outcome, embed_failed, media_failed};
use outcome::{in_part, not_stored, unopened};
use scened_common::domain::{FileStamp, Fingerprint, ModelId};
use scened_common::media::wire::Fault;
use tracing::{debug, warn};

use crate::embed::EmbedError;
use crate::media::keyframes::{self, KeyframeScene};
use crate::media::{AnalyseRequest, Analysis, Cancel, FoundScene, FrameSource, MediaEvent, Probe};
use crate::models::serving::ModelSlot;
use crate::pipeline::IndexerConfig;
use crate::pipeline::vectors::SceneEmbedder;
use crate::store::{IndexedVideo, SceneRecord, SceneVectors, Store, VideoRecord, VideoState};
use crate::video_file::{open_stamped, stamp_of};

pub(super) struct Run<'a> {
    pub(super) config: &'a IndexerConfig,
    pub(super) store: &'a Store,
    pub(super) source: &'a dyn FrameSource,
    /// The model that the vectors are for.
    pub(super) slot: &'a ModelSlot,
    /// The model that answers, if it is another one and has vectors of this video.
    pub(super) current: Option<&'a ModelSlot>,
    pub(super) cancel: &'a Cancel,
    /// Number of decoder threads.
    pub(super) threads: u32,
    /// Whether to decode keyframes and nothing else.
    pub(super) keyframes_only: bool,
    /// Whether a part of a video is stored if the drive or the machine prevents decoding the rest.
    pub(super) takes_part: bool,
    /// Called with position and duration. **Units**: milliseconds.
    pub(super) progress: &'a dyn Fn(u64, u64),
    /// Called with what decoded a video.
    pub(super) decoded_by: &'a dyn Fn(&str),
}

/// The results so far.
struct Found<'a> {
    probe: Option<Probe>,
    scenes: Vec<SceneRecord>,
    thumbnails: Vec<Vec<u8>>,
    vectors: SceneEmbedder<'a>,
    failure: Option<EmbedError>,
    kept: KeyframeWriterState,
}

/// The state of the file of keyframe pictures.
enum KeyframeWriterState {
    NotBegun,
    Begun(keyframes::UnfinishedFile),
    /// They are not wanted, or cannot be written to the disk. The video is then decoded again for another model.
    No,
}

/// The results of the worker and the model for a video.
struct Decoded {
    analysis: Analysis,
    probe: Option<Probe>,
    scenes: Vec<SceneRecord>,
    thumbnails: Vec<Vec<u8>>,
    vectors: Vec<SceneVectors>,
    kept: KeyframeWriterState,
}

impl Run<'_> {
    pub(super) fn index(&self, record: &VideoRecord) -> Outcome {
        self.try_index(record).unwrap_or_else(|outcome| outcome)
    }

    /// Does the work of [`Run::index`]. `Err` is the outcome of a job that ends early.
    fn try_index(&self, record: &VideoRecord) -> Result<Outcome, Outcome> {
        let (video, stamp) = open_as_queued(record)?;
        let watched = video.try_clone().map_err(|error| Outcome::MachineAtFault {
            reason: format!("cannot open another file: {error}"),
        })?;
        let watched = Arc::new(watched);
        let mut whole = None;
        let known = self.known_content(record, &watched, &mut whole);
        if let Some(outcome) = known.map_err(Outcome::StoreFailed)? {
            return Ok(outcome);
        }
        let decoded = self.decode(video, record)?;
        if whole.is_none() {
            whole = self.hash_whole(record, &watched);
        }
        if self.cancel.is_cancelled() {
            return Err(Outcome::Cancelled);
        }
        // The result is only worth keeping if the file is still the one that was decoded.
        match stat_again(record, &watched).map(|metadata| stamp_of(&metadata)) {
            Ok(now) if is_of_one_moment(&now, &stamp) => {}
            _ => return Err(Outcome::FileChanged),
        }
        Ok(self.put(record, decoded, whole))
    }

    /// Has the video decoded and its frames embedded.
    fn decode(&self, video: File, record: &VideoRecord) -> Result<Decoded, Outcome> {
        let embedder = self.slot.embedder.as_ref();
        let request = self.request(record);
        let mut found = Found {
            probe: None,
            scenes: Vec::new(),
            thumbnails: Vec::new(),
            vectors: SceneEmbedder::new(embedder),
            failure: None,
            kept: KeyframeWriterState::NotBegun,
        };
        let analysed = self
            .source
            .analyse(video, &request, self.cancel, &mut |event| self.take(event, record, &mut found));
        if let Some(failure) = found.failure {
            return Err(embed_failed(failure, embedder));
        }
        let analysis = analysed.map_err(media_failed)?;
        (self.decoded_by)(&analysis.decoder);
        if !self.takes_part
            && let Some(outcome) = in_part(&analysis)
        {
            return Err(outcome);
        }
        let vectors = found.vectors.finish().map_err(|error| embed_failed(error, embedder))?;
        Ok(Decoded {
            analysis,
            probe: found.probe,
            scenes: found.scenes,
            thumbnails: found.thumbnails,
            vectors,
            kept: found.kept,
        })
    }

    /// Returns what the user should know about the decoding.
    fn damage(&self, found: Option<String>) -> Option<String> {
        let only = self
            .keyframes_only
            .then(|| "only its keyframes were decoded, because a worker died twice on the whole video".to_owned());
        match (only, found) {
            (Some(only), Some(found)) => Some(format!("{only}; {found}")),
            (only, found) => only.or(found),
        }
    }

    fn request(&self, record: &VideoRecord) -> AnalyseRequest {
        AnalyseRequest {
            image: self.slot.info.image,
            detector: self.config.detector,
            mode: self.config.mode,
            keyframes_only: self.keyframes_only,
            max_scene_ms: self.config.max_scene_ms,
            thumbnail_px: self.config.thumbnail_px,
            keyframe_px: if self.config.keyframes.is_some() {
                keyframes::SHORTER_SIDE_PX
            } else {
                0
            },
            threads: self.threads,
            hardware: self.config.hardware,
            label: record.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        }
    }

    fn take(&self, event: MediaEvent, record: &VideoRecord, found: &mut Found<'_>) -> ControlFlow<()> {
        match event {
            MediaEvent::Probed(probe) => found.probe = Some(probe),
            MediaEvent::Progressed { position_ms } => {
                (self.progress)(position_ms, found.probe.as_ref().map_or(0, |probe| probe.duration_ms));
            }
            MediaEvent::SceneFound(FoundScene {
                span,
                boundary,
                frames,
                thumbnail,
                keyframes,
            }) => {
                self.keep(&KeyframeScene { span, boundary, keyframes }, record, &mut found.kept);
                found.scenes.push(SceneRecord { span, boundary });
                found.thumbnails.push(thumbnail);
                if let Err(error) = found.vectors.scene(frames) {
                    found.failure = Some(error);
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// Keeps a scene's frames for other models. If they cannot be written, the video is indexed all the same.
    fn keep(&self, scene: &KeyframeScene, record: &VideoRecord, kept: &mut KeyframeWriterState) {
        if let KeyframeWriterState::NotBegun = kept {
            *kept = match self.config.keyframes.as_ref().map(|keyframes| keyframes.begin(&record.fingerprint)) {
                Some(Ok(writer)) => KeyframeWriterState::Begun(writer),
                Some(Err(error)) => {
                    not_kept(&error);
                    KeyframeWriterState::No
                }
                None => KeyframeWriterState::No,
            };
        }
        if let KeyframeWriterState::Begun(writer) = kept
            && let Err(error) = writer.put(scene)
        {
            not_kept(&error);
            *kept = KeyframeWriterState::No;
        }
    }

    fn put(&self, before: &VideoRecord, decoded: Decoded, whole: Option<Fingerprint>) -> Outcome {
        let (analysis, n_scenes) = (decoded.analysis, decoded.scenes.len());
        if let KeyframeWriterState::Begun(writer) = decoded.kept
            && let Err(error) = writer.finish()
        {
            not_kept(&error);
        }
        if n_scenes == 0 {
            return Outcome::Bad {
                reason: "no picture could be decoded".to_owned(),
                hint: None,
            };
        }
        let others = match self.vectors_of_current(before, &decoded.scenes, None) {
            Ok(others) => others,
            Err(outcome) => return outcome,
        };
        let streams = decoded.probe.as_ref().map_or(&[][..], |probe| &probe.streams[..]);
        let chosen = streams.iter().find(|stream| stream.chosen);
        let duration_ms = analysis.duration_ms;
        let indexed = IndexedVideo {
            record: VideoRecord {
                state: VideoState::Indexed,
                duration_ms,
                n_scenes: n_scenes as u32,
                width_px: chosen.map_or(0, |stream| stream.width_px),
                height_px: chosen.map_or(0, |stream| stream.height_px),
                codec: chosen.map_or_else(String::new, |stream| stream.codec.clone()),
                damage: self.damage(analysis.damage),
                picture: analysis.picture,
                model: Some(self.slot.info.id.clone()),
                indexed_at_ms: crate::machine::clock::now_ms(),
                whole,
                is_part: analysis.fault != Fault::Video,
                ..before.clone()
            },
            scenes: decoded.scenes,
            vectors: decoded.vectors,
            thumbnails: decoded.thumbnails,
            others,
        };
        match self.store.put_indexed(indexed) {
            Ok(()) => Outcome::Indexed { n_scenes, duration_ms },
            Err(error) => not_stored(error),
        }
    }

    /// Returns new vectors of the model that answers if the scenes have changed: storing other scenes deletes its vectors, so new ones
    /// belong in the same batch. They are not needed if a twin has them.
    fn vectors_of_current(
        &self,
        before: &VideoRecord,
        scenes: &[SceneRecord],
        twin: Option<&VideoRecord>,
    ) -> Result<Vec<(ModelId, Vec<SceneVectors>)>, Outcome> {
        let Some(current) = self.current else { return Ok(Vec::new()) };
        let model = &current.info.id;
        let has_them = twin.is_some_and(|twin| self.store.has_vectors(model, twin.id).is_ok_and(|has| has));
        if has_them || !self.store.scenes(before.id).is_ok_and(|before| before != scenes) {
            return Ok(Vec::new());
        }
        let vectors = self.vectors_of_keyframes(before, scenes, current)?;
        Ok(vectors.map(|vectors| (model.clone(), vectors)).into_iter().collect())
    }
}

/// Opens the video if it is still what was queued.
fn open_as_queued(record: &VideoRecord) -> Result<(File, FileStamp), Outcome> {
    let (video, stamp) = open_stamped(&record.path).map_err(|error| unopened(&error))?;
    if !is_of_one_moment(&stamp, &record.stamp) {
        debug!("changed since it was queued");
        return Err(Outcome::FileChanged);
    }
    if stamp.size_bytes == 0 {
        return Err(Outcome::Bad {
            reason: "the file is empty (0 bytes)".to_owned(),
            hint: Some("scened tries again when it changes".to_owned()),
        });
    }
    Ok((video, stamp))
}

fn stat_again(record: &VideoRecord, video: &Arc<File>) -> io::Result<Metadata> {
    let video = Arc::clone(video);
    crate::machine::with_timeout::run(&record.path, move |_| video.metadata())
}

/// Returns whether two stamps have the same size and time, so that the file was not written to in between.
fn is_of_one_moment(one: &FileStamp, other: &FileStamp) -> bool {
    (one.size_bytes, one.mtime_ns) == (other.size_bytes, other.mtime_ns)
}

fn not_kept(error: &io::Error) {
    warn!(%error, "keyframe pictures cannot be kept; the video must be decoded again for another model");
}
