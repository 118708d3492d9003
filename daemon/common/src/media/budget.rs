//! Limits what a video may cost: reported scenes, stored pictures and processor time, each in proportion to the video's size in bytes.
//!
//! A video can be crafted to decode for ever, or to give a million scenes from a few kilobytes. The worker keeps to these limits and says
//! so in words. The daemon also enforces them, because a worker that a video has taken over keeps to nothing.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

/// Scenes that any video may have, whatever its size.
const FREE_SCENES: u64 = 600;
/// Beyond that, each scene needs this much time on average…
const MS_A_SCENE: u64 = 100;
/// …and this much of the file: a picture that differs from the one before it cannot be encoded in less.
const BYTES_A_SCENE: u64 = 64;
/// Pictures that may be kept of any video, whatever its size. Bytes.
const FREE_PICTURE_BYTES: u64 = 256 << 20;
/// Processor time that any video may use…
const FREE_SECONDS: u64 = 3600;
/// …and one more second for each of these bytes. Three hours of 4K in AV1 are about 5 GB, and take a slow laptop 14 hours.
const BYTES_A_SECOND: u64 = 50_000;
const MOST_SECONDS: u64 = 7 * 24 * 3600;

/// The limits for one video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    video_bytes: u64,
}

impl Budget {
    /// Returns the limits for a video of this size.
    pub fn of_bytes(video_bytes: u64) -> Self {
        Self { video_bytes }
    }

    /// Returns the limits for an open video. Holes of a sparse file do not count.
    pub fn of(video: &File) -> std::io::Result<Self> {
        let metadata = video.metadata()?;
        // Some file systems do not count blocks.
        let on_disk = match metadata.blocks() {
            0 => metadata.len(),
            n_blocks => n_blocks.saturating_mul(512).min(metadata.len()),
        };
        Ok(Self::of_bytes(on_disk))
    }

    /// Returns the largest number of scenes up to this position.
    pub fn most_scenes(self, position_ms: u64) -> u64 {
        FREE_SCENES + (position_ms / MS_A_SCENE).min(self.video_bytes / BYTES_A_SCENE)
    }

    /// Returns the largest size of all thumbnails and keyframe pictures together. Bytes.
    pub fn most_picture_bytes(self) -> u64 {
        FREE_PICTURE_BYTES.saturating_add(self.video_bytes)
    }

    /// Returns the most processor time of all threads together.
    pub fn most_processor_time(self) -> Duration {
        Duration::from_secs((FREE_SECONDS + self.video_bytes / BYTES_A_SECOND).min(MOST_SECONDS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_video_may_cost_more_than_a_small_one_and_holes_cost_nothing() {
        let small = Budget::of_bytes(10_000);
        let large = Budget::of_bytes(5 << 30);
        assert_eq!(small.most_scenes(0), 600);
        assert_eq!(small.most_scenes(u64::MAX), 756);
        assert_eq!(large.most_scenes(3 * 3600 * 1000), 600 + 108_000);
        assert!(large.most_processor_time() > Duration::from_hours(24));
        assert!(Budget::of_bytes(u64::MAX).most_processor_time() <= Duration::from_hours(7 * 24));
        let sparse = tempfile::tempfile().unwrap();
        sparse.set_len(1 << 40).unwrap();
        rustix::io::write(&sparse, b"a video").unwrap();
        assert!(Budget::of(&sparse).unwrap().video_bytes < 1 << 20);
    }
}
