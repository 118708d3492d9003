//! Finds where shots begin: cuts to the frame, and gradual transitions (dissolves, fades, wipes) with their range.
//!
//! This crate is pure: it sees [`Glimpse`]s and times, and knows neither FFmpeg nor files. A frame costs microseconds and no allocation.
//!
//! Every frame becomes a [`sketch`]. [`change`] measures how two or three sketches differ: structure apart from exposure, the change left
//! after motion, and whether the middle frame is a blend of the outer two. [`features`] arranges these numbers as rows, one for each frame
//! and one for each step. A [`network`] with a few thousand weights reads the rows, and [`ShotDetector`] turns its answers into boundaries.

pub mod change;
mod detector;
pub mod features;
mod glimpse;
pub mod network;
pub mod sketch;
mod weights;

pub use detector::{Found, ShotDetector};
pub use glimpse::{CHROMA, Glimpse, LUMA};
