//! The names of ONNX Runtime's execution providers. The configuration accepts them, and the embed worker implements each one.

/// The values that the setting `providers` accepts. `auto` stands for the best one that works.
pub const PROVIDERS: &[&str] = &[
    "auto", "cpu", "cuda", "tensorrt", "migraphx", "rocm", "directml", "coreml", "openvino", "xnnpack",
];
