//! One job: open the film, look into it, embed its frames, commit.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use tracing::debug;

use crate::domain::{Embedding, Frame, SceneId};
use crate::embed::EmbedError;
use crate::film::{open_stamped, stamp_of};
use crate::media::{AnalyseRequest, Cancel, FoundScene, FrameSource, MediaError, MediaEvent, Probe};
use crate::pipeline::IndexerConfig;
use crate::serving::ModelSlot;
use crate::store::{IndexedVideo, Replace, SceneRecord, SceneVectors, Store, StoreError, VideoRecord, VideoState};

/// Frames are sent to the embedder in lots of at least this many, across scenes, so that short scenes do not mean small batches.
const EMBED_LOT: usize = 32;

pub(super) enum Outcome {
    Indexed {
        n_scenes: usize,
        duration_ms: u64,
    },
    /// The file is to blame: an incident.
    Bad {
        reason: String,
        hint: Option<String>,
    },
    /// A worker died or stalled; the file may be to blame.
    Died {
        reason: String,
    },
    /// The file is not to blame: nothing else would fare better now.
    MachineAtFault {
        reason: String,
    },
    /// The file is gone or is another one now.
    FileChanged,
    Cancelled,
    StoreFailed(StoreError),
}

pub(super) struct Run<'a> {
    pub(super) config: &'a IndexerConfig,
    pub(super) store: &'a Store,
    pub(super) source: &'a dyn FrameSource,
    pub(super) slot: &'a ModelSlot,
    pub(super) cancel: &'a Cancel,
    /// Decoder threads.
    pub(super) threads: u32,
    /// Position and duration in milliseconds.
    pub(super) progress: &'a dyn Fn(u64, u64),
    /// Told what decoded a film.
    pub(super) decoded_by: &'a dyn Fn(&str),
}

/// What was found so far; scenes are ahead of vectors by less than [`EMBED_LOT`] frames.
#[derive(Default)]
struct Found {
    probe: Option<Probe>,
    scenes: Vec<SceneRecord>,
    thumbnails: Vec<Vec<u8>>,
    vectors: Vec<SceneVectors>,
    /// Frames not yet embedded, with the index of their scene.
    waiting: Vec<(usize, Frame)>,
    failure: Option<EmbedError>,
}

impl Run<'_> {
    pub(super) fn index(&self, record: &VideoRecord) -> Outcome {
        let (film, stamp) = match open_stamped(&record.path) {
            Ok(opened) => opened,
            Err(error) => return unopened(&error),
        };
        if stamp.size_bytes != record.stamp.size_bytes || stamp.mtime_ns != record.stamp.mtime_ns {
            debug!("changed since it was queued");
            return Outcome::FileChanged;
        }
        if stamp.size_bytes == 0 {
            return Outcome::Bad {
                reason: "the file is empty (0 bytes)".to_owned(),
                hint: Some("it is looked at again when it changes".to_owned()),
            };
        }
        match self.copy_of_twin(record) {
            Ok(None) => {}
            Ok(Some(outcome)) => return outcome,
            Err(error) => return Outcome::StoreFailed(error),
        }
        let watched = match film.try_clone() {
            Ok(watched) => watched,
            Err(error) => {
                return Outcome::MachineAtFault {
                    reason: format!("cannot open another file: {error}"),
                };
            }
        };
        let request = AnalyseRequest {
            image: self.slot.info.image,
            detector: self.config.detector,
            mode: self.config.mode,
            max_scene_ms: self.config.max_scene_ms,
            thumbnail_px: self.config.thumbnail_px,
            threads: self.threads,
            hardware: self.config.hardware,
            label: record.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        };
        let mut found = Found::default();
        let analysed = self
            .source
            .analyse(film, &request, self.cancel, &mut |event| self.take(event, &mut found));
        if let Some(failure) = found.failure {
            return embed_failed(failure);
        }
        let analysis = match analysed {
            Ok(analysis) => analysis,
            Err(error) => return media_failed(error),
        };
        (self.decoded_by)(&analysis.decoder);
        if let Err(error) = self.embed_waiting(&mut found) {
            return embed_failed(error);
        }
        if self.cancel.is_cancelled() {
            return Outcome::Cancelled;
        }
        // What was decoded is only worth keeping if it is what lies there now.
        match watched.metadata().map(|metadata| stamp_of(&metadata)) {
            Ok(now) if now.size_bytes == stamp.size_bytes && now.mtime_ns == stamp.mtime_ns => {}
            _ => return Outcome::FileChanged,
        }
        self.commit(record, found, &analysis)
    }

    /// The same bytes may have been indexed under another name since this job was queued (two copies that arrived together):
    /// then nothing is decoded.
    fn copy_of_twin(&self, record: &VideoRecord) -> Result<Option<Outcome>, StoreError> {
        let model = &self.slot.info.id;
        let twins = self.store.videos_with_fingerprint(&record.fingerprint);
        let is_done =
            |twin: &Arc<VideoRecord>| twin.id != record.id && twin.state == VideoState::Indexed && twin.model.as_ref() == Some(model);
        let Some(twin) = twins.into_iter().find(is_done) else {
            return Ok(None);
        };
        let (scenes, vectors) = (self.store.scenes(twin.id)?, self.store.video_vectors(model, twin.id)?);
        if scenes.is_empty() || scenes.len() != vectors.len() {
            return Ok(None);
        }
        let thumbnails = (0..scenes.len())
            .map(|index| self.store.thumbnail(SceneId::new(twin.id, index)).map(Option::unwrap_or_default))
            .collect::<Result<_, _>>()?;
        debug!(twin = %twin.path.display(), "the same bytes are indexed already");
        let copied = VideoRecord {
            id: record.id,
            path: record.path.clone(),
            stamp: record.stamp,
            offline: record.offline,
            on_root_device: record.on_root_device,
            ..(*twin).clone()
        };
        let duration_ms = twin.duration_ms;
        Ok(Some(self.put(
            record,
            IndexedVideo {
                record: copied,
                scenes,
                vectors,
                thumbnails,
            },
            duration_ms,
        )))
    }

    fn take(&self, event: MediaEvent, found: &mut Found) -> ControlFlow<()> {
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
            }) => {
                let scene = found.scenes.len();
                found.scenes.push(SceneRecord { span, boundary });
                found.thumbnails.push(thumbnail);
                found.vectors.push(SceneVectors {
                    frames: Vec::with_capacity(frames.len()),
                });
                found.waiting.extend(frames.into_iter().map(|frame| (scene, frame)));
                if found.waiting.len() >= EMBED_LOT
                    && let Err(error) = self.embed_waiting(found)
                {
                    found.failure = Some(error);
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn embed_waiting(&self, found: &mut Found) -> Result<(), EmbedError> {
        if found.waiting.is_empty() {
            return Ok(());
        }
        let (scenes, frames): (Vec<usize>, Vec<Frame>) = found.waiting.drain(..).unzip();
        let vectors: Vec<Embedding> = self.slot.embedder.embed_frames(&frames)?;
        for ((scene, frame), vector) in scenes.into_iter().zip(&frames).zip(vectors) {
            found.vectors[scene].frames.push((frame.time_ms, vector));
        }
        Ok(())
    }

    fn commit(&self, record: &VideoRecord, found: Found, analysis: &crate::media::Analysis) -> Outcome {
        let n_scenes = found.scenes.len();
        if n_scenes == 0 {
            return Outcome::Bad {
                reason: "no picture could be decoded".to_owned(),
                hint: None,
            };
        }
        let chosen = found
            .probe
            .as_ref()
            .and_then(|probe| probe.streams.iter().find(|stream| stream.chosen));
        let indexed = IndexedVideo {
            record: VideoRecord {
                state: VideoState::Indexed,
                duration_ms: analysis.duration_ms,
                n_scenes: n_scenes as u32,
                width_px: chosen.map_or(0, |stream| stream.width_px),
                height_px: chosen.map_or(0, |stream| stream.height_px),
                codec: chosen.map_or_else(String::new, |stream| stream.codec.clone()),
                damage: analysis.damage.clone(),
                model: Some(self.slot.info.id.clone()),
                indexed_at_ms: crate::clock::now_ms(),
                ..record.clone()
            },
            scenes: found.scenes,
            vectors: found.vectors,
            thumbnails: found.thumbnails,
        };
        self.put(record, indexed, analysis.duration_ms)
    }

    fn put(&self, before: &VideoRecord, indexed: IndexedVideo, duration_ms: u64) -> Outcome {
        let n_scenes = indexed.scenes.len();
        // While another model still answers, its vectors of this video stay as long as they describe the same content.
        let other_model = before.model.as_ref().is_some_and(|model| *model != self.slot.info.id);
        let same_scenes = || self.store.scenes(before.id).is_ok_and(|scenes| scenes == indexed.scenes);
        let replace = if other_model && same_scenes() {
            Replace::Model
        } else {
            Replace::Everything
        };
        match self.store.put_indexed(indexed, replace) {
            Ok(()) => Outcome::Indexed { n_scenes, duration_ms },
            Err(StoreError::Gone(_) | StoreError::Superseded(_)) => Outcome::FileChanged,
            Err(error) => Outcome::StoreFailed(error),
        }
    }
}

fn unopened(error: &io::Error) -> Outcome {
    match error.kind() {
        // Not there, or not a regular file any more.
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidInput => Outcome::FileChanged,
        io::ErrorKind::PermissionDenied => Outcome::Bad {
            reason: "cannot be read: permission denied".to_owned(),
            hint: Some("let your user read it (chmod u+r), then: scenectl retry".to_owned()),
        },
        _ if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => Outcome::FileChanged,
        _ if matches!(
            error.raw_os_error().map(rustix::io::Errno::from_raw_os_error),
            Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE | rustix::io::Errno::NOMEM)
        ) =>
        {
            Outcome::MachineAtFault {
                reason: format!("cannot open files: {error}"),
            }
        }
        _ => Outcome::Bad {
            reason: format!("cannot be read: {error}"),
            hint: Some("check the disk, then: scenectl retry".to_owned()),
        },
    }
}

fn media_failed(error: MediaError) -> Outcome {
    match error {
        MediaError::Unusable { reason } => Outcome::Bad { reason, hint: None },
        MediaError::Cancelled => Outcome::Cancelled,
        MediaError::Start { .. } => Outcome::MachineAtFault { reason: error.to_string() },
        MediaError::WorkerDied { .. } | MediaError::TimedOut { .. } | MediaError::Protocol { .. } => {
            Outcome::Died { reason: error.to_string() }
        }
    }
}

fn embed_failed(error: EmbedError) -> Outcome {
    match error {
        EmbedError::Unavailable { reason, .. } => Outcome::MachineAtFault { reason },
        EmbedError::Degenerate { .. } => Outcome::Bad {
            reason: error.to_string(),
            hint: None,
        },
        EmbedError::ShuttingDown => Outcome::Cancelled,
        EmbedError::WorkerDied { .. } | EmbedError::Protocol { .. } | EmbedError::TimedOut { .. } => {
            Outcome::Died { reason: error.to_string() }
        }
    }
}
