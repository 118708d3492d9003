//! How much a video may cost: what it tells, what is kept of it, and the processor time for it, each in proportion to the bytes it takes.
//!
//! A video can be made to decode for ever, or to give a million scenes from a few kilobytes. The worker keeps to these bounds and says so
//! in words; the daemon holds it to them, because a worker that a video has taken over keeps to nothing.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

/// Scenes that any video may have.
const FREE_SCENES: u64 = 600;
/// Beyond, each takes this long on the average…
const MS_A_SCENE: u64 = 100;
/// …and this much of the file: a picture that differs from the one before it is not to be had for less.
const BYTES_A_SCENE: u64 = 64;
/// Pictures that are kept of any video. Bytes.
const FREE_PICTURE_BYTES: u64 = 256 << 20;
/// Processor time that any video may take…
const FREE_SECONDS: u64 = 3600;
/// …and a second more for each of these: three hours of 4K in AV1 are some 5 GB, and 14 hours of a slow laptop.
const BYTES_A_SECOND: u64 = 50_000;
const MOST_SECONDS: u64 = 7 * 24 * 3600;

/// The bounds for one video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    video_bytes: u64,
}

impl Budget {
    /// For a video of this size.
    pub fn of_bytes(video_bytes: u64) -> Self {
        Self { video_bytes }
    }

    /// For an open video. The holes of a sparse file count for nothing.
    pub fn of(video: &File) -> std::io::Result<Self> {
        let metadata = video.metadata()?;
        // Some file systems don't count blocks.
        let on_disk = match metadata.blocks() {
            0 => metadata.len(),
            n_blocks => n_blocks.saturating_mul(512).min(metadata.len()),
        };
        Ok(Self::of_bytes(on_disk))
    }

    /// Most scenes of a video that has come this far.
    pub fn most_scenes(self, position_ms: u64) -> u64 {
        FREE_SCENES + (position_ms / MS_A_SCENE).min(self.video_bytes / BYTES_A_SCENE)
    }

    /// Most that thumbnails and keyframe pictures may take. Bytes.
    pub fn most_picture_bytes(self) -> u64 {
        FREE_PICTURE_BYTES.saturating_add(self.video_bytes)
    }

    /// Most processor time, of all threads.
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
