//! One job: open the film, look into it, embed its frames, keep them for other models, commit.

use std::fs::{File, Metadata};
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use scened_common::domain::{FileStamp, Fingerprint, ModelId};
use scened_common::media::wire::Fault;
use tracing::{debug, warn};

use crate::embed::{EmbedError, Embedder, sound};
use crate::media::keyframes::{self, KeyframeScene};
use crate::media::{AnalyseRequest, Analysis, Cancel, FoundScene, FrameSource, MediaError, MediaEvent, Probe};
use crate::models::serving::ModelSlot;
use crate::pipeline::IndexerConfig;
use crate::pipeline::vectors::SceneEmbedder;
use crate::store::{IndexedVideo, JobKind, SceneRecord, SceneVectors, Store, StoreError, VideoRecord, VideoState};
use crate::video_file::whole::{Whole, has_every_byte};
use crate::video_file::{open_stamped, stamp_of};

pub(super) enum Outcome {
    Indexed {
        n_scenes: usize,
        duration_ms: u64,
    },
    /// Nothing was decoded: all its bytes are those of what is indexed already.
    Known {
        n_scenes: usize,
    },
    /// Nothing was decoded: another model's vectors were made of the keyframe pictures.
    CaughtUp,
    /// There is nothing that another model's vectors could be made of at present.
    LeftBehind,
    /// The file is to blame: an incident.
    Bad {
        reason: String,
        hint: Option<String>,
    },
    /// It may not be read.
    Forbidden {
        reason: String,
        hint: String,
    },
    /// The system did not let it be read: its drive may be to blame, or a bad place on it.
    Unread {
        reason: String,
    },
    /// A worker that was decoding it was ended from outside, or the machine was short of something.
    Short {
        reason: String,
    },
    /// A worker died or stalled; the file may be to blame.
    Died {
        reason: String,
    },
    /// The embed worker died or stalled; the file, the model or the machine may be to blame.
    EmbedderDied {
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
    /// The model that the vectors are for.
    pub(super) slot: &'a ModelSlot,
    /// The model that answers, where that is another one.
    pub(super) current: Option<&'a ModelSlot>,
    pub(super) cancel: &'a Cancel,
    /// Decoder threads.
    pub(super) threads: u32,
    /// Whether to decode keyframes and nothing else.
    pub(super) keyframes_only: bool,
    /// Whether a part is stored where the system does not let the rest be read.
    pub(super) takes_part: bool,
    /// Position and duration in milliseconds.
    pub(super) progress: &'a dyn Fn(u64, u64),
    /// Told what decoded a film.
    pub(super) decoded_by: &'a dyn Fn(&str),
}

/// What was found so far.
struct Found<'a> {
    probe: Option<Probe>,
    scenes: Vec<SceneRecord>,
    thumbnails: Vec<Vec<u8>>,
    vectors: SceneEmbedder<'a>,
    failure: Option<EmbedError>,
    kept: Kept,
}

/// The keyframe pictures of the film so far.
enum Kept {
    NotBegun,
    Begun(keyframes::UnfinishedFile),
    /// They are not wanted, or the disk does not take them: the film is decoded again for another model.
    No,
}

impl Run<'_> {
    pub(super) fn index(&self, record: &VideoRecord) -> Outcome {
        let (film, stamp) = match open_as_queued(record) {
            Ok(opened) => opened,
            Err(outcome) => return outcome,
        };
        let watched = match film.try_clone() {
            Ok(watched) => Arc::new(watched),
            Err(error) => {
                return Outcome::MachineAtFault {
                    reason: format!("cannot open another file: {error}"),
                };
            }
        };
        let mut whole = None;
        match self.known_content(record, &watched, &mut whole) {
            Ok(None) => {}
            Ok(Some(outcome)) => return outcome,
            Err(error) => return Outcome::StoreFailed(error),
        }
        let request = self.request(record);
        let mut found = Found {
            probe: None,
            scenes: Vec::new(),
            thumbnails: Vec::new(),
            vectors: SceneEmbedder::new(self.slot.embedder.as_ref()),
            failure: None,
            kept: Kept::NotBegun,
        };
        let analysed = self
            .source
            .analyse(film, &request, self.cancel, &mut |event| self.take(event, record, &mut found));
        if let Some(failure) = found.failure {
            return embed_failed(failure, self.slot.embedder.as_ref());
        }
        let analysis = match analysed {
            Ok(analysis) => analysis,
            Err(error) => return media_failed(error),
        };
        (self.decoded_by)(&analysis.decoder);
        if !self.takes_part
            && let Some(outcome) = in_part(&analysis)
        {
            return outcome;
        }
        let vectors = match found.vectors.finish() {
            Ok(vectors) => vectors,
            Err(error) => return embed_failed(error, self.slot.embedder.as_ref()),
        };
        if whole.is_none() {
            whole = self.hash_whole(record, &watched);
        }
        if self.cancel.is_cancelled() {
            return Outcome::Cancelled;
        }
        // What was decoded is only worth keeping if it is what lies there now.
        match look_again(record, &watched).map(|metadata| stamp_of(&metadata)) {
            Ok(now) if is_of_one_moment(&now, &stamp) => {}
            _ => return Outcome::FileChanged,
        }
        if let Kept::Begun(writer) = found.kept
            && let Err(error) = writer.finish()
        {
            not_kept(&error);
        }
        if found.scenes.is_empty() {
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
                n_scenes: found.scenes.len() as u32,
                width_px: chosen.map_or(0, |stream| stream.width_px),
                height_px: chosen.map_or(0, |stream| stream.height_px),
                codec: chosen.map_or_else(String::new, |stream| stream.codec.clone()),
                damage: self.damage(analysis.damage),
                picture: analysis.picture,
                model: Some(self.slot.info.id.clone()),
                indexed_at_ms: crate::machine::clock::now_ms(),
                whole,
                is_part: analysis.fault != Fault::Video,
                ..record.clone()
            },
            scenes: found.scenes,
            vectors,
            thumbnails: found.thumbnails,
            others: Vec::new(),
        };
        self.put(record, indexed, analysis.duration_ms)
    }

    /// What a user should know about what was decoded.
    fn damage(&self, found: Option<String>) -> Option<String> {
        let only = self
            .keyframes_only
            .then(|| "only its keyframes were looked at: a worker died twice when it decoded all of it".to_owned());
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

    /// Nothing is decoded where all bytes of the film are indexed already: under another name (two copies that arrived together), or
    /// under its own (only its time changed). `whole` is given its hash where that had to be read.
    fn known_content(
        &self,
        record: &VideoRecord,
        film: &Arc<File>,
        whole: &mut Option<Fingerprint>,
    ) -> Result<Option<Outcome>, StoreError> {
        let kind = self.store.job(record.id).map_or(JobKind::Index, |job| job.kind);
        // A twin has been decoded already, and a user who wants that again means all of them.
        if self.slot.decodes_afresh || kind == JobKind::Afresh {
            return Ok(None);
        }
        let model = &self.slot.info.id;
        let is_small = has_every_byte(record.stamp.size_bytes);
        let mut twins = self.store.videos_with_fingerprint(&record.fingerprint);
        twins.retain(|twin| {
            let is_itself = twin.id == record.id;
            let speaks = if is_itself {
                kind == JobKind::Verify && twin.damage.is_none()
            } else {
                twin.is_sound()
            };
            speaks && (is_small || twin.whole.is_some()) && self.store.has_vectors(model, twin.id).is_ok_and(|has| has)
        });
        if twins.is_empty() {
            return Ok(None);
        }
        if !is_small {
            *whole = self.hash_whole(record, film);
            twins.retain(|twin| twin.whole == *whole);
            let is_same = |now: Metadata| is_of_one_moment(&stamp_of(&now), &record.stamp);
            if self.cancel.is_cancelled() {
                return Ok(Some(Outcome::Cancelled));
            }
            if !look_again(record, film).is_ok_and(is_same) {
                return Ok(Some(Outcome::FileChanged));
            }
        }
        // Its own scenes before those of another.
        twins.sort_by_key(|twin| twin.id != record.id);
        match twins.first() {
            Some(twin) => self.copy_of_twin(record, twin),
            None => Ok(None),
        }
    }

    fn copy_of_twin(&self, record: &VideoRecord, twin: &VideoRecord) -> Result<Option<Outcome>, StoreError> {
        let model = &self.slot.info.id;
        let scenes = self.store.scenes(twin.id)?;
        if scenes.is_empty() || scenes.len() != self.store.video_vectors(model, twin.id)?.len() {
            return Ok(None);
        }
        debug!(twin = %twin.path.display(), "the same bytes are indexed already");
        let others = match self.vectors_of_current(record, &scenes, Some(twin)) {
            Ok(others) => others,
            Err(outcome) => return Ok(Some(outcome)),
        };
        let n_scenes = scenes.len();
        Ok(match self.store.put_copy(record, twin.id, model, &others) {
            Ok(true) => Some(Outcome::Known { n_scenes }),
            Ok(false) => None,
            Err(error) => Some(not_stored(error)),
        })
    }

    /// The hash of all bytes of a film; `None` where its fingerprint is one already, or where they cannot be read.
    fn hash_whole(&self, record: &VideoRecord, film: &Arc<File>) -> Option<Fingerprint> {
        if has_every_byte(record.stamp.size_bytes) {
            return None;
        }
        let mut whole = Whole::new(record.stamp.size_bytes);
        while !self.cancel.is_cancelled() {
            let film = Arc::clone(film);
            let read = crate::machine::with_timeout::run(&record.path, move |pulse| {
                let hash = whole.read_on(&film, || pulse.beat())?;
                Ok((whole, hash))
            });
            match read {
                Ok((_, Some(hash))) => return Some(hash),
                Ok((rest, None)) => whole = rest,
                // What could be decoded is worth keeping all the same; a later change of its time has it decoded again.
                Err(error) => {
                    debug!(%error, "not all of it can be read");
                    return None;
                }
            }
        }
        None
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

    /// Keeps a scene's frames for other models. A disk that does not take them is no reason not to index.
    fn keep(&self, scene: &KeyframeScene, record: &VideoRecord, kept: &mut Kept) {
        if let Kept::NotBegun = kept {
            *kept = match self.config.keyframes.as_ref().map(|keyframes| keyframes.begin(&record.fingerprint)) {
                Some(Ok(writer)) => Kept::Begun(writer),
                Some(Err(error)) => {
                    not_kept(&error);
                    Kept::No
                }
                None => Kept::No,
            };
        }
        if let Kept::Begun(writer) = kept
            && let Err(error) = writer.put(scene)
        {
            not_kept(&error);
            *kept = Kept::No;
        }
    }

    fn put(&self, before: &VideoRecord, mut indexed: IndexedVideo, duration_ms: u64) -> Outcome {
        let n_scenes = indexed.scenes.len();
        match self.vectors_of_current(before, &indexed.scenes, None) {
            Ok(others) => indexed.others = others,
            Err(outcome) => return outcome,
        }
        match self.store.put_indexed(indexed) {
            Ok(()) => Outcome::Indexed { n_scenes, duration_ms },
            Err(error) => not_stored(error),
        }
    }

    /// Other scenes take away the vectors of the model that answers, so that it needs new ones in the same batch; unless a twin has them.
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

fn not_stored(error: StoreError) -> Outcome {
    match error {
        StoreError::Gone(_) | StoreError::Superseded(_) => Outcome::FileChanged,
        error => Outcome::StoreFailed(error),
    }
}

/// Opens the film if it is what was queued.
fn open_as_queued(record: &VideoRecord) -> Result<(File, FileStamp), Outcome> {
    let (film, stamp) = open_stamped(&record.path).map_err(|error| unopened(&error))?;
    if !is_of_one_moment(&stamp, &record.stamp) {
        debug!("changed since it was queued");
        return Err(Outcome::FileChanged);
    }
    if stamp.size_bytes == 0 {
        return Err(Outcome::Bad {
            reason: "the file is empty (0 bytes)".to_owned(),
            hint: Some("it is looked at again when it changes".to_owned()),
        });
    }
    Ok((film, stamp))
}

fn look_again(record: &VideoRecord, film: &Arc<File>) -> io::Result<Metadata> {
    let film = Arc::clone(film);
    crate::machine::with_timeout::run(&record.path, move |_| film.metadata())
}

/// Whether a file was not written to between two looks.
fn is_of_one_moment(one: &FileStamp, other: &FileStamp) -> bool {
    (one.size_bytes, one.mtime_ns) == (other.size_bytes, other.mtime_ns)
}

fn not_kept(error: &io::Error) {
    warn!(%error, "keyframe pictures cannot be kept; the film will have to be decoded again for another model");
}

fn unopened(error: &io::Error) -> Outcome {
    use rustix::io::Errno;
    if crate::machine::with_timeout::is_timeout(error) {
        // The walk that follows marks the film offline.
        return Outcome::FileChanged;
    }
    match error.kind() {
        // Not there, or not a regular file any more.
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidInput => return Outcome::FileChanged,
        io::ErrorKind::PermissionDenied => {
            return Outcome::Forbidden {
                reason: "cannot be read: permission denied".to_owned(),
                hint: "let your user read it (chmod u+r), then: scenectl retry".to_owned(),
            };
        }
        _ => {}
    }
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::LOOP) => Outcome::FileChanged,
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN) => Outcome::MachineAtFault {
            reason: format!("cannot open files: {error}"),
        },
        _ if scened_common::damage::is_damage(error) => Outcome::Forbidden {
            reason: format!("cannot be read: {error}"),
            hint: "check the file system it lies on (fsck), then: scenectl retry".to_owned(),
        },
        // Whatever else the system says is not what the file holds.
        _ => Outcome::Unread {
            reason: format!("cannot be read: {error}"),
        },
    }
}

/// What became of a video of which a part was not decoded for another reason than what it holds.
fn in_part(analysis: &Analysis) -> Option<Outcome> {
    match analysis.fault {
        Fault::Video => None,
        Fault::Reading { errno } => Some(media_failed(MediaError::Unread { errno })),
        Fault::Shortage { errno } => Some(media_failed(MediaError::Short {
            reason: io::Error::from_raw_os_error(errno).to_string(),
        })),
    }
}

pub(super) fn media_failed(error: MediaError) -> Outcome {
    match error {
        MediaError::Unusable { reason } => Outcome::Bad { reason, hint: None },
        MediaError::Cancelled => Outcome::Cancelled,
        MediaError::Start { .. } | MediaError::Unsandboxed { .. } | MediaError::NotReady { .. } => {
            Outcome::MachineAtFault { reason: error.to_string() }
        }
        MediaError::Unread { .. } => Outcome::Unread { reason: error.to_string() },
        MediaError::Killed { .. } | MediaError::Short { .. } => Outcome::Short { reason: error.to_string() },
        MediaError::WorkerDied { .. } | MediaError::TimedOut { .. } | MediaError::Protocol { .. } => {
            Outcome::Died { reason: error.to_string() }
        }
    }
}

pub(super) fn embed_failed(error: EmbedError, embedder: &dyn Embedder) -> Outcome {
    match error {
        EmbedError::Degenerate { .. } if sound::is_blind(embedder) => Outcome::MachineAtFault {
            reason: format!("{error}, nor for a plain picture: the model does not work"),
        },
        EmbedError::Unavailable { reason, .. } => Outcome::MachineAtFault { reason },
        EmbedError::Killed { .. } => Outcome::MachineAtFault { reason: error.to_string() },
        EmbedError::Degenerate { .. } => Outcome::Bad {
            reason: error.to_string(),
            hint: None,
        },
        // Films have all the time that they need.
        EmbedError::NotInTime { waited_for } => Outcome::MachineAtFault { reason: waited_for },
        EmbedError::ShuttingDown => Outcome::Cancelled,
        EmbedError::WorkerDied { .. } | EmbedError::Protocol { .. } | EmbedError::TimedOut { .. } | EmbedError::Bug => {
            Outcome::EmbedderDied { reason: error.to_string() }
        }
    }
}
