//! Turns the planes of a decoded frame into pixels: colours, sizes, rotation, and the small picture of a whole frame.
//!
//! A frame comes in with its stream's metadata, and a picture goes out. This module knows neither files nor times nor scenes: it reads
//! nothing from a video and chooses no frame.

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
