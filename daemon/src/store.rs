//! The truth: fjall keyspaces for videos, scenes, vectors, thumbnails, jobs, incidents and settings.
//!
//! (Interface fixed by the lead; bodies and submodules by the owner of this room.)

use std::path::PathBuf;

use crate::domain::{Boundary, Embedding, Fingerprint, ModelId, Span, VideoId};

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

/// What is known about a file from a stat; compared to see whether it changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FileStamp {
    pub size_bytes: u64,
    /// Modification time, nanoseconds since the Unix epoch.
    pub mtime_ns: i64,
    pub inode: u64,
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
    /// The file lies on the same device as its watched folder (false: on a mount below it).
    pub on_root_device: bool,
    /// 0 while pending for the first time.
    pub duration_ms: u64,
    pub n_scenes: u32,
    pub width_px: u32,
    pub height_px: u32,
    pub codec: String,
    /// What the user should know about the content (decoding stopped early…).
    pub damage: Option<String>,
    /// The model its vectors belong to; `None` before the first indexing.
    pub model: Option<ModelId>,
    /// Unix milliseconds; 0 before the first indexing.
    pub indexed_at_ms: i64,
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
    pub record: VideoRecord,
    /// In order of time; `scenes`, `vectors` and `thumbnails` have the same length (`thumbnails[i]` may be empty).
    pub scenes: Vec<SceneRecord>,
    pub vectors: Vec<SceneVectors>,
    pub thumbnails: Vec<Vec<u8>>,
}

/// A durable job: this video is to be indexed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct JobRecord {
    pub video: VideoId,
    /// Unix milliseconds.
    pub queued_at_ms: i64,
    pub attempts: u32,
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
}
