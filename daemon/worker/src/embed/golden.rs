//! Reference numbers from transformers and open_clip for the tests. tests/reference/README.md says how to make them.

use std::path::{Path, PathBuf};

use scened_common::embed::model::ModelFolder;

#[derive(serde::Deserialize)]
pub(super) struct Golden {
    pub(super) texts: Vec<String>,
    /// **Shape**: `[texts, context_length]`.
    pub(super) ids: Vec<Vec<u32>>,
    /// Tensor of picture 0. **Shape**: `[3, height, width]` f32 little-endian, as base64.
    pub(super) pixels: String,
}

pub(super) fn reference() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference")
}

/// Returns every tiny model and its numbers.
pub(super) fn tiny() -> Vec<(ModelFolder, Golden)> {
    let models = within(&reference().join("tiny"));
    assert!(models.len() >= 9, "{} models", models.len());
    models
}

/// Returns the folder and the full-size models in it that tests/reference/full.sh has made.
pub(super) fn full() -> (PathBuf, Vec<(ModelFolder, Golden)>) {
    let folder = reference().join("../../target/reference");
    let models = within(&folder);
    assert!(!models.is_empty(), "{} is empty: run tests/reference/full.sh", folder.display());
    (folder, models)
}

fn within(folder: &Path) -> Vec<(ModelFolder, Golden)> {
    testkit::golden::folders(folder)
        .into_iter()
        .map(|folder| {
            let golden = serde_json::from_slice(&std::fs::read(folder.join("golden.json")).unwrap()).unwrap();
            (ModelFolder::open(&folder).unwrap(), golden)
        })
        .collect()
}
