//! Model folders for tests of this crate and of the daemon.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

pub(crate) fn write(path: &Path, content: &[u8]) {
    let folder = path.parent().expect("it has a folder");
    fs::create_dir_all(folder).expect("a folder can be made");
    fs::write(path, content).expect("the file is written");
}

pub(crate) fn write_json(path: &Path, value: &Value) {
    write(path, value.to_string().as_bytes());
}

/// Writes a complete folder in the Hugging Face layout, shaped like Xenova/clip-vit-base-patch32.
pub fn hugging_face(path: &Path) {
    write_json(
        &path.join("config.json"),
        &json!({"model_type": "clip", "projection_dim": 512, "text_config": {"max_position_embeddings": 77}}),
    );
    write_json(&path.join("preprocessor_config.json"), &clip_processor());
    write_json(&path.join("tokenizer_config.json"), &json!({"pad_token": "<|endoftext|>"}));
    write(&path.join("tokenizer.json"), b"{}");
    write(&path.join("onnx/vision_model.onnx"), b"vision");
    write(&path.join("onnx/text_model.onnx"), b"text");
}

pub(crate) fn clip_processor() -> Value {
    json!({"image_processor_type": "CLIPImageProcessor", "do_center_crop": true, "do_resize": true, "do_normalize": true,
           "resample": 3, "size": {"shortest_edge": 224}, "crop_size": {"height": 224, "width": 224},
           "image_mean": [0.48, 0.45, 0.40], "image_std": [0.26, 0.26, 0.27]})
}
