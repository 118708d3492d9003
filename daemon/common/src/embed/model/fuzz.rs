//! Body of the fuzz target `model`.

use std::path::Path;

use super::ModelFolder;

/// Opens a model folder in which one of the small files has these bytes.
pub fn run(data: &[u8]) {
    let Some((which, data)) = data.split_first() else { return };
    let (model, files): (&str, &[&str]) = if which & 1 == 0 {
        ("tiny-hf", &["config.json", "preprocessor_config.json", "tokenizer_config.json"])
    } else {
        let files = &["config.json", "visual/preprocess_cfg.json", "textual/tokenizer_config.json"];
        ("tiny-immich", files)
    };
    let large = [
        "onnx/vision_model.onnx",
        "onnx/text_model.onnx",
        "visual/model.onnx",
        "textual/model.onnx",
        "tokenizer.json",
        "textual/tokenizer.json",
    ];
    let from = Path::new(crate::CHECKOUT).join("tests/data/models").join(model);
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in files.iter().chain(&large) {
        let Ok(bytes) = std::fs::read(from.join(name)) else { continue };
        let to = folder.path().join(name);
        std::fs::create_dir_all(to.parent().expect("it has a folder")).expect("a folder can be made");
        std::fs::write(to, bytes).expect("the file is written");
    }
    let chosen = files[usize::from(which >> 1) % files.len()];
    std::fs::write(folder.path().join(chosen), data).expect("the file is written");
    if let Ok(model) = ModelFolder::open(folder.path()) {
        drop(model.info());
    }
}
