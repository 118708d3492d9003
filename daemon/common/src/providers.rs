//! The names of ONNX Runtime's execution providers: the configuration allows them, and the embed worker has one for each.

/// What the setting `providers` may name. `auto` stands for the best one that works.
pub const PROVIDERS: &[&str] = &[
    "auto", "cpu", "cuda", "tensorrt", "migraphx", "rocm", "directml", "coreml", "openvino", "xnnpack",
];
