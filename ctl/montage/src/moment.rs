//! Moments of videos: what pages, playlists, clips and timelines are made of.

use std::path::PathBuf;

use scened_shared::message::PictureTrack;

/// A stretch of a video, and the moment of it that is meant.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    /// Absolute.
    pub path: PathBuf,
    /// In the video's own time, as all times here.
    pub start_ms: u64,
    /// Exclusive, and never before the start.
    pub end_ms: u64,
    /// Where a player is to begin.
    pub at_ms: u64,
    /// How long the video is, where that is known.
    pub video_ms: Option<u64>,
    /// The scene's id, by which the daemon knows its picture.
    pub scene: Option<String>,
    /// Which of the video's pictures is meant, where the daemon tells.
    pub picture: Option<PictureTrack>,
    /// Whether the video can be opened.
    pub availability: Availability,
}

/// Whether the video can be opened now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Availability {
    /// It can.
    Present,
    /// The index still knows it, and nothing is there.
    Missing,
    /// Says on which drive it lies and when that was last seen, where the daemon knows.
    Offline(String),
}

impl Moment {
    /// How long it lasts.
    pub fn length_ms(&self) -> u64 {
        self.end_ms.saturating_sub(self.start_ms)
    }
}

impl Availability {
    /// Says why it cannot be opened; `None` where it can.
    pub fn obstacle(&self) -> Option<String> {
        match self {
            Self::Present => None,
            Self::Missing => Some("gone".to_owned()),
            Self::Offline(place) if place.is_empty() => Some("offline".to_owned()),
            Self::Offline(place) => Some(format!("offline: {place}")),
        }
    }
}
