//! Moments of films: what pages, playlists, clips and timelines are made of.

use std::path::PathBuf;

use scened_shared::message::PictureTrack;

/// A stretch of a film, and the moment of it that is meant.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Moment {
    /// Absolute.
    pub(crate) path: PathBuf,
    pub(crate) start_ms: u64,
    /// Exclusive, and never before the start.
    pub(crate) end_ms: u64,
    /// Where a player is to begin.
    pub(crate) at_ms: u64,
    /// How long the film is, where that is known.
    pub(crate) film_ms: Option<u64>,
    /// The scene's id, by which the daemon knows its picture.
    pub(crate) scene: Option<String>,
    /// Which of the film's pictures is meant, where the daemon tells.
    pub(crate) picture: Option<PictureTrack>,
    pub(crate) reach: Reach,
}

/// Whether the film can be opened now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    There,
    /// The index still knows it, and nothing is there.
    Gone,
    /// Says on which drive it lies and when that was last seen, where the daemon knows.
    Offline(String),
}

impl Moment {
    pub(crate) fn length_ms(&self) -> u64 {
        self.end_ms.saturating_sub(self.start_ms)
    }
}

impl Reach {
    /// Why it cannot be opened, in words; `None` where it can.
    pub(crate) fn obstacle(&self) -> Option<String> {
        match self {
            Self::There => None,
            Self::Gone => Some("gone".to_owned()),
            Self::Offline(place) if place.is_empty() => Some("offline".to_owned()),
            Self::Offline(place) => Some(format!("offline: {place}")),
        }
    }
}
