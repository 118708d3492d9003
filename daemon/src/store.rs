//! The source of truth: fjall keyspaces for videos, scenes, vectors, thumbnails, jobs, incidents and settings.
//!
//! Owns the folder `store/` inside the data folder, the marker file `format`, the side file `store.generation` and the second copies of the
//! settings. Everything else (ANN index, caches) can be rebuilt from here. Knows neither the model, nor the file system of the videos, nor
//! the wire.
//!
//! **Threads**: every method blocks on the disk, so call none on an async thread. Writers wait for each other (one commit lock); readers
//! wait for no other thread. All video records and jobs are mirrored in memory, so looking up a video or listing jobs does no I/O.
//!
//! **Durability**: each call that changes something is one atomic fjall batch. It is synced to the disk before the call returns, before the
//! mirror shows it, and before the hooks of [`Store::on_change`] run.
//!
//! **Damage** never causes a panic or a wrong answer:
//!
//! - A store that does not open is renamed to `store.damaged-<date>`, and a fresh one is created.
//! - A record whose checksum is wrong is moved to the keyspace `damaged` and counts as missing. Its video is queued again.
//! - A store that knows less than its side file (a shortened journal) continues under new generation numbers and ids, and reports it.
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

/// The store. A clone is another handle to the same store. Dropping the last handle closes the store and releases its lock.
#[derive(Clone)]
pub struct Store {
    inner: Arc<transaction::Inner>,
}

/// Findings and actions of opening. Each belongs in the log, and all but `fresh` also in a warning in `status`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// The new paths of stores that could not be opened.
    pub set_aside: Vec<PathBuf>,
    /// The format it had before.
    pub migrated_from: Option<u32>,
    /// There was no store before, or none that could be opened.
    pub fresh: bool,
    /// Number of lost changes: the journal was damaged and shortened. The next walk finds the affected files.
    pub lost_changes: u64,
    /// Number of damaged records. Their videos are queued again.
    pub n_damaged: usize,
    /// Number of settings that the store had lost and that were restored from their second copy.
    pub n_decisions_restored: usize,
    /// The new paths of damaged second copies. The store's own settings were intact, or a second copy was.
    pub decisions_set_aside: Vec<PathBuf>,
}

/// A damaged record. Its bytes are in the keyspace `damaged`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedRecord {
    pub keyspace: &'static str,
    /// The video of the record, which is queued again.
    pub video: Option<VideoId>,
    pub reason: String,
}

/// Number of videos in each state.
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

/// A file found by reconciliation.
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

/// A video whose file has the same content, but another modification time or inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touch {
    pub video: VideoId,
    pub stamp: FileStamp,
    pub on_root_device: bool,
}

/// One committed change of one video.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Increases by one with each change.
    pub generation: u64,
    pub video: VideoId,
    pub kind: ChangeKind,
    /// Scenes `0..n` of this video may have been in an index before this change.
    pub n_scenes_before: u32,
}

/// The kind of a change. Only `Content`, `Vectors` and `Removed` change vectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    Added,
    /// Scenes and vectors are new, or were removed.
    Content,
    /// Vectors of this model were added to the existing scenes.
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

/// Progress of a video. Serialised in records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VideoState {
    /// Has a job. The results of an earlier version of the content stay searchable until the job is done.
    Pending,
    Indexed,
    /// Has an incident. It is not retried until the file or the software changes or the user asks, unless its [`Cause`] says otherwise.
    Failed,
}

#[derive(Clone, Debug, PartialEq)]
pub struct VideoRecord {
    pub id: VideoId,
    pub path: PathBuf,
    pub stamp: FileStamp,
    pub fingerprint: Fingerprint,
    pub state: VideoState,
    /// Its folder is out of reach at present. The video stays searchable.
    pub offline: bool,
    /// The file's folder is on the same mount as its watched folder (false: on a mount below it).
    pub on_root_device: bool,
    /// 0 while it is pending for the first time.
    pub duration_ms: u64,
    pub n_scenes: u32,
    pub width_px: u32,
    pub height_px: u32,
    pub codec: String,
    /// A note for the user about the content (decoding stopped early…).
    pub damage: Option<String>,
    /// The track that was decoded. `None` before the first indexing, and if an earlier version of scened indexed the video.
    pub picture: Option<PictureTrack>,
    /// The model of its vectors; `None` before the first indexing.
    pub model: Option<ModelId>,
    /// Unix milliseconds; 0 before the first indexing.
    pub indexed_at_ms: i64,
    /// Hash of every byte of the file in which its scenes were found; `None` if the file was not read whole. The fingerprint reads only
    /// samples, so it may stay the same for a video that was completed in place.
    pub whole: Option<Fingerprint>,
    /// A part is missing because the drive did not deliver it, or because the machine was too short of something to decode it. The video is
    /// indexed again when the drive comes back and at each start.
    pub is_part: bool,
}

impl VideoRecord {
    /// Decides whether all of it was decoded without an error. Only then does the record count for other files with the same bytes.
    pub fn is_sound(&self) -> bool {
        self.state == VideoState::Indexed && self.damage.is_none() && !self.is_part
    }
}

/// The task of a job, for a video that may be known already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobKind {
    /// Decode it, unless another video has the same bytes.
    #[default]
    Index,
    /// Its stamp changed and its fingerprint did not: decode it unless all its bytes are unchanged.
    Verify,
    /// Decode it in any case: a person asked for it.
    Afresh,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SceneRecord {
    pub span: Span,
    pub boundary: Boundary,
}

/// Vectors of one scene's sampled frames. **Shape**: `frames` is `[n_frames]` of (time in ms, unit vector), stored as f16.
#[derive(Clone, Debug, PartialEq)]
pub struct SceneVectors {
    pub frames: Vec<(u64, Embedding)>,
}

/// The whole result of indexing one video, written as one batch.
pub struct IndexedVideo {
    /// Path, stamp, state and similar fields are ignored: the store's current values stay.
    pub record: VideoRecord,
    /// In order of time. `scenes`, `vectors` and `thumbnails` have the same length (`thumbnails[i]` may be empty).
    pub scenes: Vec<SceneRecord>,
    pub vectors: Vec<SceneVectors>,
    pub thumbnails: Vec<Vec<u8>>,
    /// Vectors of the same scenes by models other than `record.model`.
    pub others: Vec<(ModelId, Vec<SceneVectors>)>,
}

/// A durable job to index this video.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct JobRecord {
    pub video: VideoId,
    /// Unix milliseconds.
    pub queued_at_ms: i64,
    /// Number of failed attempts at this content before it was queued.
    pub attempts: u32,
    /// Number of workers that died on it since it was queued.
    pub n_deaths: u32,
    pub kind: JobKind,
}

/// The cause of a failure. It decides when the video is retried automatically.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The content of the file. Retried when that or the software changes.
    Video,
    /// The system could not read the file. Retried when its drive comes back, and at each start.
    Storage,
    /// The machine was short of something, or a worker was ended from outside. Retried when the machine has recovered, and at each start.
    Machine,
}

impl Cause {
    /// Returns the word used in the protocol.
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
    /// The versions of scened and FFmpeg at the time. A change of either queues the file again.
    pub software: String,
    /// `None`: written by a version that did not record it.
    pub cause: Option<Cause>,
}

impl IncidentRecord {
    /// Decides whether the cause is known not to be the video.
    pub fn is_blameless(&self) -> bool {
        matches!(self.cause, Some(Cause::Storage | Cause::Machine))
    }
}

/// Opens the database in the data folder `dir` and changes only what opening changes. The result is whether the process survives.
pub fn try_open(dir: &Path) {
    open::try_open(dir);
}

impl Store {
    /// Opens the store in the data folder `dir`, or creates one.
    ///
    /// **Errors**: [`StoreError::NewerVersion`], [`StoreError::Locked`], or [`StoreError::Folder`] if the folder or its disk is at fault.
    /// Damaged content is not an error: it is quarantined (see [`OpenReport`]).
    pub fn open(dir: &Path) -> Result<(Self, OpenReport), StoreError> {
        Self::open_tried(dir, None)
    }

    /// Opens the store like [`Store::open`]. If an earlier start died over this store, first runs `program try-store DIR`, which calls
    /// [`try_open`].
    pub fn open_tried(dir: &Path, program: Option<&Path>) -> Result<(Self, OpenReport), StoreError> {
        let (inner, report) = open::open(dir, program)?;
        Ok((Self { inner: Arc::new(inner) }, report))
    }
}
