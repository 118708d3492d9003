//! What the daemon and an embed worker say to each other, what a model folder says about itself, and where ONNX Runtime lies.

pub mod model;
pub mod protocol;
pub mod report;
pub mod runtime;
