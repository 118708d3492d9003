//! What the daemon asks of a media worker, what the worker answers, and what a video may cost.

pub mod answer;
pub mod budget;
pub mod extras;
pub mod keyframe_file;
pub mod request;
pub mod wire;
