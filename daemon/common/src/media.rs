//! The daemon's requests to a media worker, the worker's answers, and how much a video may cost.

pub mod answer;
pub mod budget;
pub mod extras;
pub mod keyframe_file;
pub mod request;
pub mod wire;
