//! Moments of videos: the input for pages, playlists, clips and timelines.

use std::path::PathBuf;

use scened_shared::message::PictureTrack;

/// A range of a video, and the moment in it that is meant.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    /// Absolute path.
    pub path: PathBuf,
    /// In the video's own time, like all times here.
    pub start_ms: u64,
    /// Exclusive; never before the start.
    pub end_ms: u64,
    /// Where a player should start.
    pub at_ms: u64,
    /// Length of the video, if known.
    pub video_ms: Option<u64>,
    /// The scene's id, which the daemon uses for its picture.
    pub scene: Option<String>,
    /// Which of the video's pictures is meant, if the daemon reports it.
    pub picture: Option<PictureTrack>,
    /// Whether the video can be opened.
    pub availability: Availability,
}

/// Whether the video can be opened now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Availability {
    /// It can be opened.
    Present,
    /// The index still lists it, but the file is gone.
    Missing,
    /// Names the drive that holds it and when the drive was last seen, if the daemon knows.
    Offline(String),
}

impl Moment {
    /// Returns the length of the range.
    pub fn length_ms(&self) -> u64 {
        self.end_ms.saturating_sub(self.start_ms)
    }
}

impl Availability {
    /// Says why the video cannot be opened; `None` if it can.
    pub fn obstacle(&self) -> Option<String> {
        match self {
            Self::Present => None,
            Self::Missing => Some("gone".to_owned()),
            Self::Offline(place) if place.is_empty() => Some("offline".to_owned()),
            Self::Offline(place) => Some(format!("offline: {place}")),
        }
    }
}
