//! The encoding of values: an envelope with a version and a checksum around JSON, raw f16 or raw JPEG.
//!
//! fjall notices most damage itself, but in a test 2 of 100 flipped bits in its journal went unnoticed. Hence our own checksum. It covers
//! the key as well, so that no record is mistaken for another one.

use std::path::PathBuf;

use half::f16;
use scened_common::domain::{Embedding, FileStamp, Fingerprint, ModelId, PictureTrack, VideoId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Cause, Change, ChangeKind, IncidentRecord, JobKind, JobRecord, SceneVectors, StoreError, StoredPath, VideoRecord, VideoState};

/// Version byte of every record written today. Readers must accept every earlier one.
const RECORD_VERSION: u8 = 1;
/// Version byte and CRC32.
const HEADER_BYTES: usize = 5;

/// Why a record is rejected.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum Damage {
    #[error("it is only {0} bytes long")]
    Short(usize),
    #[error("its version {0} is unknown")]
    Version(u8),
    #[error("its checksum is wrong")]
    Checksum,
    #[error("its content makes no sense: {0}")]
    Content(String),
    #[error("it is missing")]
    Missing,
    #[error("the storage engine cannot read it: {0}")]
    Unreadable(String),
}

/// Puts the envelope around a payload: version, CRC32 (little-endian) of key and payload, payload.
pub(super) fn seal(key: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
    bytes.push(RECORD_VERSION);
    bytes.extend_from_slice(&checksum(key, payload).to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

pub(super) fn unseal<'a>(key: &[u8], bytes: &'a [u8]) -> Result<&'a [u8], Damage> {
    let Some((header, payload)) = bytes.split_at_checked(HEADER_BYTES) else {
        return Err(Damage::Short(bytes.len()));
    };
    if header[0] != RECORD_VERSION {
        return Err(Damage::Version(header[0]));
    }
    if header[1..] != checksum(key, payload).to_le_bytes() {
        return Err(Damage::Checksum);
    }
    Ok(payload)
}

fn checksum(key: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(payload);
    hasher.finalize()
}

pub(super) fn seal_json<T: Serialize>(key: &[u8], value: &T) -> Result<Vec<u8>, StoreError> {
    let payload = serde_json::to_vec(value).map_err(|error| StoreError::invalid("a record", error.to_string()))?;
    Ok(seal(key, &payload))
}

pub(super) fn unseal_json<T: DeserializeOwned>(key: &[u8], bytes: &[u8]) -> Result<T, Damage> {
    serde_json::from_slice(unseal(key, bytes)?).map_err(|error| Damage::Content(error.to_string()))
}

/// A value of the keyspace `videos`; the id is the key. New fields need `#[serde(default)]`.
#[derive(Serialize, Deserialize)]
struct StoredVideo {
    path: StoredPath,
    stamp: FileStamp,
    fingerprint: StoredFingerprint,
    state: VideoState,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    offline: bool,
    on_root_device: bool,
    duration_ms: u64,
    n_scenes: u32,
    width_px: u32,
    height_px: u32,
    codec: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    damage: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    picture: Option<PictureTrack>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<ModelId>,
    indexed_at_ms: i64,
    /// The content of the scenes and vectors. It differs from `fingerprint` while changed content waits for its job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    indexed_as: Option<StoredFingerprint>,
    /// Hash of the whole content of the scenes and vectors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    whole: Option<StoredFingerprint>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_part: bool,
}

/// 32 hexadecimal digits.
#[derive(Clone, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
struct StoredFingerprint(Fingerprint);

impl From<StoredFingerprint> for String {
    fn from(value: StoredFingerprint) -> Self {
        value.0.to_string()
    }
}

impl TryFrom<String> for StoredFingerprint {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
            .map(Self)
            .map_err(|error: scened_common::domain::ParseFingerprintError| error.to_string())
    }
}

pub(super) fn seal_video(key: &[u8], video: &VideoRecord, indexed_as: Option<Fingerprint>) -> Result<Vec<u8>, StoreError> {
    let stored = StoredVideo {
        path: StoredPath::new(&video.path),
        stamp: video.stamp,
        fingerprint: StoredFingerprint(video.fingerprint),
        state: video.state,
        offline: video.offline,
        on_root_device: video.on_root_device,
        duration_ms: video.duration_ms,
        n_scenes: video.n_scenes,
        width_px: video.width_px,
        height_px: video.height_px,
        codec: video.codec.clone(),
        damage: video.damage.clone(),
        picture: video.picture.clone(),
        model: video.model.clone(),
        indexed_at_ms: video.indexed_at_ms,
        indexed_as: indexed_as.map(StoredFingerprint),
        whole: video.whole.map(StoredFingerprint),
        is_part: video.is_part,
    };
    seal_json(key, &stored)
}

pub(super) fn unseal_video(id: VideoId, key: &[u8], bytes: &[u8]) -> Result<(VideoRecord, Option<Fingerprint>), Damage> {
    let stored: StoredVideo = unseal_json(key, bytes)?;
    let record = VideoRecord {
        id,
        path: stored.path.into_path(),
        stamp: stored.stamp,
        fingerprint: stored.fingerprint.0,
        state: stored.state,
        offline: stored.offline,
        on_root_device: stored.on_root_device,
        duration_ms: stored.duration_ms,
        n_scenes: stored.n_scenes,
        width_px: stored.width_px,
        height_px: stored.height_px,
        codec: stored.codec,
        damage: stored.damage,
        picture: stored.picture,
        model: stored.model,
        indexed_at_ms: stored.indexed_at_ms,
        whole: stored.whole.map(|whole| whole.0),
        is_part: stored.is_part,
    };
    Ok((record, stored.indexed_as.map(|fingerprint| fingerprint.0)))
}

/// A value of the keyspace `jobs`; the video is the key.
#[derive(Serialize, Deserialize)]
struct StoredJob {
    queued_at_ms: i64,
    attempts: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    n_deaths: u32,
    #[serde(default, skip_serializing_if = "is_ordinary")]
    kind: JobKind,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands on references")]
fn is_ordinary(kind: &JobKind) -> bool {
    *kind == JobKind::Index
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands on references")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

pub(super) fn seal_job(key: &[u8], job: &JobRecord) -> Result<Vec<u8>, StoreError> {
    let stored = StoredJob {
        queued_at_ms: job.queued_at_ms,
        attempts: job.attempts,
        n_deaths: job.n_deaths,
        kind: job.kind,
    };
    seal_json(key, &stored)
}

pub(super) fn unseal_job(video: VideoId, key: &[u8], bytes: &[u8]) -> Result<JobRecord, Damage> {
    let stored: StoredJob = unseal_json(key, bytes)?;
    Ok(JobRecord {
        video,
        queued_at_ms: stored.queued_at_ms,
        attempts: stored.attempts,
        n_deaths: stored.n_deaths,
        kind: stored.kind,
    })
}

/// A value of the keyspace `incidents`; the video is the key and knows its present path.
#[derive(Serialize, Deserialize)]
struct StoredIncident {
    reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    attempts: u32,
    first_ms: i64,
    last_ms: i64,
    software: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cause: Option<Cause>,
}

pub(super) fn seal_incident(key: &[u8], incident: &IncidentRecord) -> Result<Vec<u8>, StoreError> {
    let stored = StoredIncident {
        reason: incident.reason.clone(),
        hint: incident.hint.clone(),
        attempts: incident.attempts,
        first_ms: incident.first_ms,
        last_ms: incident.last_ms,
        software: incident.software.clone(),
        cause: incident.cause,
    };
    seal_json(key, &stored)
}

pub(super) fn unseal_incident(video: VideoId, path: PathBuf, key: &[u8], bytes: &[u8]) -> Result<IncidentRecord, Damage> {
    let stored: StoredIncident = unseal_json(key, bytes)?;
    Ok(IncidentRecord {
        video,
        path,
        reason: stored.reason,
        hint: stored.hint,
        attempts: stored.attempts,
        first_ms: stored.first_ms,
        last_ms: stored.last_ms,
        software: stored.software,
        cause: stored.cause,
    })
}

/// A value of the keyspace `changes`; the generation is the key.
#[derive(Serialize, Deserialize)]
struct StoredChange {
    video: u64,
    kind: StoredKind,
    n_scenes_before: u32,
    /// The path of a removed video, or the new path of a moved one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<StoredPath>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum StoredKind {
    Added,
    Content,
    Vectors { model: ModelId },
    Record,
    Removed,
    Moved { from: StoredPath },
    Failed,
    Offline,
}

pub(super) fn seal_change(key: &[u8], change: &Change) -> Result<Vec<u8>, StoreError> {
    let kind = match &change.kind {
        ChangeKind::Added => StoredKind::Added,
        ChangeKind::Content => StoredKind::Content,
        ChangeKind::Record => StoredKind::Record,
        ChangeKind::Removed { .. } => StoredKind::Removed,
        ChangeKind::Moved { from, .. } => StoredKind::Moved {
            from: StoredPath::new(from),
        },
        ChangeKind::Vectors { model } => StoredKind::Vectors { model: model.clone() },
        ChangeKind::Failed => StoredKind::Failed,
        ChangeKind::Offline => StoredKind::Offline,
    };
    let path = match &change.kind {
        ChangeKind::Removed { path } | ChangeKind::Moved { to: path, .. } => Some(StoredPath::new(path)),
        _ => None,
    };
    let stored = StoredChange {
        path,
        video: change.video.0,
        kind,
        n_scenes_before: change.n_scenes_before,
    };
    seal_json(key, &stored)
}

pub(super) fn unseal_change(generation: u64, key: &[u8], bytes: &[u8]) -> Result<Change, Damage> {
    let stored: StoredChange = unseal_json(key, bytes)?;
    let path = stored.path.map(StoredPath::into_path).unwrap_or_default();
    let kind = match stored.kind {
        StoredKind::Added => ChangeKind::Added,
        StoredKind::Content => ChangeKind::Content,
        StoredKind::Record => ChangeKind::Record,
        StoredKind::Removed => ChangeKind::Removed { path },
        StoredKind::Moved { from } => ChangeKind::Moved {
            from: from.into_path(),
            to: path,
        },
        StoredKind::Vectors { model } => ChangeKind::Vectors { model },
        StoredKind::Failed => ChangeKind::Failed,
        StoredKind::Offline => ChangeKind::Offline,
    };
    Ok(Change {
        generation,
        video: VideoId(stored.video),
        kind,
        n_scenes_before: stored.n_scenes_before,
    })
}

/// Payload, all little-endian: `n_frames` u16, `dimensions` u16, `[n_frames]` u64 times, `[n_frames, dimensions]` f16 components.
pub(super) fn seal_vectors(key: &[u8], vectors: &SceneVectors) -> Result<Vec<u8>, StoreError> {
    let dimensions = vectors.frames.first().map_or(0, |(_, vector)| vector.dimensions());
    let too_many = |_| StoreError::invalid("vectors", "more than 65535 frames or dimensions");
    let mut payload = Vec::with_capacity(4 + vectors.frames.len() * (8 + 2 * dimensions));
    payload.extend_from_slice(&u16::try_from(vectors.frames.len()).map_err(too_many)?.to_le_bytes());
    payload.extend_from_slice(&u16::try_from(dimensions).map_err(too_many)?.to_le_bytes());
    for (time_ms, _) in &vectors.frames {
        payload.extend_from_slice(&time_ms.to_le_bytes());
    }
    for (_, vector) in &vectors.frames {
        if vector.dimensions() != dimensions {
            return Err(StoreError::invalid("vectors", "frames of one scene differ in dimensions"));
        }
        for value in vector.as_slice() {
            payload.extend_from_slice(&f16::from_f32(*value).to_le_bytes());
        }
    }
    Ok(seal(key, &payload))
}

pub(super) fn unseal_vectors(key: &[u8], bytes: &[u8]) -> Result<SceneVectors, Damage> {
    let payload = unseal(key, bytes)?;
    let content = || Damage::Content("its length does not fit its header".to_owned());
    let (header, rest) = payload.split_at_checked(4).ok_or_else(content)?;
    let n_frames = usize::from(u16::from_le_bytes([header[0], header[1]]));
    let dimensions = usize::from(u16::from_le_bytes([header[2], header[3]]));
    let (times, components) = rest.split_at_checked(8 * n_frames).ok_or_else(content)?;
    if components.len() != n_frames * dimensions * 2 || (n_frames > 0 && dimensions == 0) {
        return Err(content());
    }
    let mut frames = Vec::with_capacity(n_frames);
    for (time, vector) in times
        .as_chunks::<8>()
        .0
        .iter()
        .zip(components.chunks_exact((2 * dimensions).max(1)))
    {
        let values = vector
            .as_chunks::<2>()
            .0
            .iter()
            .map(|pair| f16::from_le_bytes(*pair).to_f32())
            .collect();
        let embedding = Embedding::normalised(values).map_err(|error| Damage::Content(error.to_string()))?;
        frames.push((u64::from_le_bytes(*time), embedding));
    }
    Ok(SceneVectors { frames })
}
