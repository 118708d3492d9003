//! Body of the fuzz target `records`.

use std::path::PathBuf;

use scened_common::domain::VideoId;

use super::record;

const KEY: &[u8] = b"a key";

/// Reads the bytes as every kind of record, both as they are on disk and as a payload with a matching checksum. Accepted records are
/// written and read again, and must be the same.
pub fn run(data: &[u8]) {
    unseal(data);
    unseal(&record::seal(KEY, data));
}

fn unseal(bytes: &[u8]) {
    let id = VideoId(7);
    if let Ok((video, indexed_as)) = record::unseal_video(id, KEY, bytes) {
        let again = record::seal_video(KEY, &video, indexed_as).expect("what was read can be written");
        assert_eq!(record::unseal_video(id, KEY, &again).ok(), Some((video, indexed_as)));
    }
    if let Ok(job) = record::unseal_job(id, KEY, bytes) {
        let again = record::seal_job(KEY, &job).expect("what was read can be written");
        assert_eq!(record::unseal_job(id, KEY, &again).ok(), Some(job));
    }
    if let Ok(incident) = record::unseal_incident(id, PathBuf::from("/a"), KEY, bytes) {
        let again = record::seal_incident(KEY, &incident).expect("what was read can be written");
        assert_eq!(record::unseal_incident(id, PathBuf::from("/a"), KEY, &again).ok(), Some(incident));
    }
    if let Ok(change) = record::unseal_change(3, KEY, bytes) {
        let again = record::seal_change(KEY, &change).expect("what was read can be written");
        record::unseal_change(3, KEY, &again).expect("what was written can be read");
    }
    if let Ok(vectors) = record::unseal_vectors(KEY, bytes) {
        for (_, vector) in &vectors.frames {
            assert!(vector.as_slice().iter().all(|value| value.is_finite()));
        }
        record::seal_vectors(KEY, &vectors).expect("what was read can be written");
    }
}
