//! The truth: fjall keyspaces for videos, scenes, vectors, thumbnails, jobs, incidents and settings.
//!
//! Owns the folder `store/` inside the data folder, the marker file `format`, the side file `store.generation` and the second copies of
//! the settings. Everything else (ANN
//! index, caches) can be rebuilt from here. Knows neither the model, nor the file system of the videos, nor the wire.
//!
//! **Threads**: every method blocks on the disk: call none on an async thread. Writers wait for each other (one commit lock); readers
//! wait for nobody. All video records and jobs are mirrored in memory, so that looking up a video or listing jobs does no I/O.
//!
//! **Durability**: each call that changes something is one atomic fjall batch, synced to the disk before the call returns, before the
//! mirror shows it, and before the hooks of [`Store::on_change`] hear of it.
//!
//! **Damage** never panics and never gives a wrong answer: a store that does not open is renamed to `store.damaged-<date>` and a fresh one
//! begun; a record whose checksum is wrong is moved to the keyspace `damaged`, counts as missing, and its video is queued again; a store
//! that knows less than its side file (a shortened journal) goes on under new generation numbers and ids and says so.
//!
//! The key layout is in `store/keys.rs`, the encoding in `store/record.rs`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use scened_common::domain::{Boundary, Embedding, FileStamp, Fingerprint, ModelId, PictureTrack, Span, VideoId};

mod check;
mod content;
mod decisions;
mod disk;
mod error;
#[cfg(feature = "fuzzing")]
pub mod fuzz;
mod keys;
mod load;
mod migrations;
mod mirror;
mod open;
mod opener;
mod read;
mod record;
mod side;
mod stored_path;
mod transaction;
mod unopened;
mod write;

#[cfg(test)]
mod tests;

pub use error::StoreError;
pub use stored_path::StoredPath;

/// The store; a clone is another handle to the same one. The last handle dropped closes it and frees its lock.
#[derive(Clone)]
pub struct Store {
    inner: Arc<transaction::Inner>,
}

/// What opening found and did; everything here deserves a line in the log, and all but `fresh` a warning in `status`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// Where a store that could not be opened was moved to.
    pub set_aside: Vec<PathBuf>,
    /// The format it had before.
    pub migrated_from: Option<u32>,
    /// There was no store before, or none that could be opened.
    pub fresh: bool,
    /// How many of the last changes are gone: the journal was damaged and shortened. The next walk finds what they were about.
    pub lost_changes: u64,
    /// Records found damaged; their videos are queued again.
    pub n_damaged: usize,
    /// Settings that the store had lost and that were taken from their second copy.
    pub n_decisions_restored: usize,
    /// Where second copies that were damaged were moved to; the store's own settings were whole, or a second copy was.
    pub decisions_set_aside: Vec<PathBuf>,
}

/// A record that was not believed; its bytes are in the keyspace `damaged`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedRecord {
    pub keyspace: &'static str,
    /// The video it was about; that video is queued again.
    pub video: Option<VideoId>,
    pub reason: String,
}

/// How many videos are in which state.
///
/// `offline` counts offline videos whatever their state; the other three count the rest. `scenes` counts the scenes of all videos.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub indexed: u64,
    pub pending: u64,
    pub failed: u64,
    pub offline: u64,
    pub scenes: u64,
}

/// A file that reconciliation found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewVideo {
    pub path: PathBuf,
    pub stamp: FileStamp,
    pub fingerprint: Fingerprint,
    pub on_root_device: bool,
}

/// A video whose file was found under another path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    pub video: VideoId,
    pub path: PathBuf,
    pub stamp: FileStamp,
    pub on_root_device: bool,
}

/// A video whose file has another modification time or inode, and the same content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touch {
    pub video: VideoId,
    pub stamp: FileStamp,
    pub on_root_device: bool,
}

/// One committed change of one video.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Grows by one from change to change.
    pub generation: u64,
    pub video: VideoId,
    pub kind: ChangeKind,
    /// Scenes `0..n` of this video may have been in an index before this change.
    pub n_scenes_before: u32,
}

/// What changed. Vectors change with `Content`, `Vectors` and `Removed` alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    Added,
    /// Scenes and vectors are new, or gone.
    Content,
    /// Vectors of this model were added to the scenes that were there.
    Vectors {
        model: ModelId,
    },
    /// State, stamp or fingerprint changed.
    Record,
    Removed {
        path: PathBuf,
    },
    Moved {
        from: PathBuf,
        to: PathBuf,
    },
    Failed,
    /// Went offline or came back.
    Offline,
}

/// How far a video has come. Serialised in records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VideoState {
    /// Has a job. What an earlier version of the content had stays searchable until the job is done.
    Pending,
    Indexed,
    /// Has an incident and is not retried until the file or the software changes, or the user asks.
    Failed,
}

#[derive(Clone, Debug, PartialEq)]
pub struct VideoRecord {
    pub id: VideoId,
    pub path: PathBuf,
    pub stamp: FileStamp,
    pub fingerprint: Fingerprint,
    pub state: VideoState,
    /// Its folder cannot be reached at present; it stays searchable.
    pub offline: bool,
    /// The file's folder lies on the same mount as its watched folder (false: on one below it).
    pub on_root_device: bool,
    /// 0 while pending for the first time.
    pub duration_ms: u64,
    pub n_scenes: u32,
    pub width_px: u32,
    pub height_px: u32,
    pub codec: String,
    /// What the user should know about the content (decoding stopped early…).
    pub damage: Option<String>,
    /// What of the file was looked at; `None` before the first indexing, and where an earlier version did that.
    pub picture: Option<PictureTrack>,
    /// The model its vectors belong to; `None` before the first indexing.
    pub model: Option<ModelId>,
    /// Unix milliseconds; 0 before the first indexing.
    pub indexed_at_ms: i64,
    /// Hash of every byte of the file that its scenes were found in; `None` where it was not read whole. The fingerprint, which reads
    /// samples, says the same of a video that was completed in place.
    pub whole: Option<Fingerprint>,
    /// What is missing of it the drive did not give, or the machine was too short of something to decode. It is looked into again when
    /// the drive comes back and at each start.
    pub is_part: bool,
}

impl VideoRecord {
    /// Whether all of it was decoded without a complaint: only then it speaks for other files with the same bytes.
    pub fn is_sound(&self) -> bool {
        self.state == VideoState::Indexed && self.damage.is_none() && !self.is_part
    }
}

/// What a job has to do with a video that may be known already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobKind {
    /// Decode it, unless another video has the same bytes.
    #[default]
    Index,
    /// Its stamp changed and its fingerprint did not: decode it unless all its bytes are what they were.
    Verify,
    /// Decode it, whatever is known: a person asked for it.
    Afresh,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SceneRecord {
    pub span: Span,
    pub boundary: Boundary,
}

/// Vectors of one scene's sampled frames. **Shape**: `frames` is `[n_frames]` of (time in ms, unit vector); stored as f16.
#[derive(Clone, Debug, PartialEq)]
pub struct SceneVectors {
    pub frames: Vec<(u64, Embedding)>,
}

/// Everything that indexing one video yields; written as one batch.
pub struct IndexedVideo {
    /// Path, stamp, state and the like are ignored: what the store knows by now holds.
    pub record: VideoRecord,
    /// In order of time; `scenes`, `vectors` and `thumbnails` have the same length (`thumbnails[i]` may be empty).
    pub scenes: Vec<SceneRecord>,
    pub vectors: Vec<SceneVectors>,
    pub thumbnails: Vec<Vec<u8>>,
    /// Vectors of the same scenes by other models than `record.model`.
    pub others: Vec<(ModelId, Vec<SceneVectors>)>,
}

/// A durable job: this video is to be indexed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct JobRecord {
    pub video: VideoId,
    /// Unix milliseconds.
    pub queued_at_ms: i64,
    /// Failed attempts at this content before it was queued.
    pub attempts: u32,
    /// How often a worker died on it since it was queued.
    pub n_deaths: u32,
    pub kind: JobKind,
}

/// What a failure is laid to; it decides when the video is tried again by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// What the file holds. Tried again when that or the software changes.
    Video,
    /// The system did not let it be read. Tried again when its drive comes back, and at each start.
    Storage,
    /// The machine was short of something, or a worker was ended from outside. Tried again when the machine does well, and at each start.
    Machine,
}

impl Cause {
    /// The word in the protocol.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Storage => "storage",
            Self::Machine => "machine",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncidentRecord {
    pub video: VideoId,
    pub path: PathBuf,
    pub reason: String,
    pub hint: Option<String>,
    pub attempts: u32,
    pub first_ms: i64,
    pub last_ms: i64,
    /// scened's and FFmpeg's versions at the time: a change of either queues the file again.
    pub software: String,
    /// `None`: written by a version that did not tell.
    pub cause: Option<Cause>,
}

impl IncidentRecord {
    /// Whether it is known to be something else than the video's fault.
    pub fn is_blameless(&self) -> bool {
        matches!(self.cause, Some(Cause::Storage | Cause::Machine))
    }
}

/// Opens the database in the data folder `dir` and changes nothing that opening does not: whether the process survives is the answer.
pub fn try_open(dir: &Path) {
    open::try_open(dir);
}

impl Store {
    /// Opens the store in the data folder `dir`, or begins one.
    ///
    /// **Errors**: [`StoreError::NewerVersion`], [`StoreError::Locked`], or [`StoreError::Folder`] when the folder or its disk is to blame;
    /// damaged content is no error but is set aside (see [`OpenReport`]).
    pub fn open(dir: &Path) -> Result<(Self, OpenReport), StoreError> {
        Self::open_tried(dir, None)
    }

    /// [`Store::open`]; where an earlier start died over this store, `program try-store DIR` is asked first, which calls [`try_open`].
    pub fn open_tried(dir: &Path, program: Option<&Path>) -> Result<(Self, OpenReport), StoreError> {
        let (inner, report) = open::open(dir, program)?;
        Ok((Self { inner: Arc::new(inner) }, report))
    }
}
