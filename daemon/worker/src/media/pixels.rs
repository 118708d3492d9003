//! From the planes of a decoded frame to pixels that are looked at: colours, sizes, turns, and the small picture of a whole frame.
//!
//! A frame comes in with what its stream says of it; a picture goes out. Pixels know neither files nor times nor scenes: nothing here is
//! read from a video, and no frame is chosen.

pub(crate) mod colour;
pub(crate) mod dovi;
pub(crate) mod eye;
pub(crate) mod fit;
pub(crate) mod glimpse;
pub(crate) mod light;
pub(crate) mod orientation;
mod planes;
pub(crate) mod render;
pub(crate) mod scale;
pub(crate) mod tone;
