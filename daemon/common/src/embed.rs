//! The protocol between the daemon and an embed worker, the description of a model folder, and the search for ONNX Runtime.

pub mod model;
pub mod protocol;
pub mod report;
pub mod runtime;
