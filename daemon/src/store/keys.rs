//! Key layout. Numbers are big-endian, so that byte order is number order.
//!
//! | keyspace | key | value (inside the record envelope) |
//! |---|---|---|
//! | `meta` | `state` | JSON: store format, generation, next id, how far back the change log reaches |
//! | `videos` | video u64 | JSON |
//! | `scenes` | video u64 | JSON list in order of time |
//! | `indexed` | model, video u64 | JSON: how many scenes have vectors of that model |
//! | `vectors` | model, video u64, scene u32 | times and f16 components |
//! | `thumbnails` | video u64, scene u32 | JPEG |
//! | `jobs`, `incidents` | video u64 | JSON |
//! | `settings` | name | JSON |
//! | `changes` | generation u64 | JSON |
//! | `damaged` | keyspace name, 0, key | the record as it was found, without an envelope of its own |
//!
//! `model` is one length byte and the model's name, so that no model's keys are a prefix of another's.

use scened_common::domain::{ModelId, SceneId, VideoId};

use super::StoreError;

pub(super) const STATE: &[u8] = b"state";

pub(super) fn video(id: VideoId) -> [u8; 8] {
    id.0.to_be_bytes()
}

pub(super) fn scene(id: SceneId) -> [u8; 12] {
    let mut key = [0; 12];
    key[..8].copy_from_slice(&video(id.video));
    key[8..].copy_from_slice(&id.index.to_be_bytes());
    key
}

/// Returns the prefix of all keys of one model.
pub(super) fn model(model: &ModelId) -> Result<Vec<u8>, StoreError> {
    let name = model.0.as_bytes();
    let length = u8::try_from(name.len())
        .ok()
        .filter(|length| *length > 0)
        .ok_or_else(|| StoreError::invalid("a model id", format!("it has {} bytes instead of 1 to 255", name.len())))?;
    let mut key = Vec::with_capacity(1 + name.len() + 12);
    key.push(length);
    key.extend_from_slice(name);
    Ok(key)
}

pub(super) fn model_video(model_id: &ModelId, id: VideoId) -> Result<Vec<u8>, StoreError> {
    let mut key = model(model_id)?;
    key.extend_from_slice(&video(id));
    Ok(key)
}

pub(super) fn vectors(model_id: &ModelId, id: SceneId) -> Result<Vec<u8>, StoreError> {
    let mut key = model(model_id)?;
    key.extend_from_slice(&scene(id));
    Ok(key)
}

pub(super) fn parse_video(key: &[u8]) -> Option<VideoId> {
    key.try_into().ok().map(u64::from_be_bytes).map(VideoId)
}

pub(super) fn parse_generation(key: &[u8]) -> Option<u64> {
    key.try_into().ok().map(u64::from_be_bytes)
}

/// Splits a key of `indexed` or `vectors` into the model and the rest.
pub(super) fn parse_model(key: &[u8]) -> Option<(ModelId, &[u8])> {
    let (length, rest) = key.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(*length))?;
    Some((ModelId(std::str::from_utf8(name).ok()?.to_owned()), rest))
}

pub(super) fn damaged(keyspace: &str, key: &[u8]) -> Vec<u8> {
    let mut full = Vec::with_capacity(keyspace.len() + 1 + key.len());
    full.extend_from_slice(keyspace.as_bytes());
    full.push(0);
    full.extend_from_slice(key);
    full
}
