//! Finds where shots begin: cuts to the frame, and gradual transitions (dissolves, fades, wipes) with their range.
//!
//! Pure: sees [`Glimpse`]s and times, knows neither FFmpeg nor files. A frame costs microseconds and no allocation.
//!
//! Every frame becomes a [`sketch`]; [`change`] measures how two or three sketches differ (structure apart from exposure, what is
//! left when everything may have moved, whether the middle lies on the straight way between the ends); [`features`] lays these
//! numbers out as rows, one a frame and one a step; a [`network`] with a few thousand weights reads the rows, and [`ShotDetector`]
//! turns what it says into boundaries.

pub mod change;
mod detector;
pub mod features;
mod glimpse;
pub mod network;
pub mod sketch;
mod weights;

pub use detector::{Found, ShotDetector};
pub use glimpse::{CHROMA, Glimpse, LUMA};
