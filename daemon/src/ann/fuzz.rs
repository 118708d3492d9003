//! Body of the fuzz target `snapshot`.

use scened_common::domain::ModelId;

use super::{Ann, Opened};

/// Opens an index whose snapshot header consists of these bytes. The header is rejected, and the index starts empty.
pub fn run(data: &[u8]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("model.json"), data).expect("the header is written");
    std::fs::write(folder.path().join("model.1.usearch"), b"no graph").expect("the graph is written");
    let (ann, opened) = Ann::open(folder.path(), &ModelId("model".to_owned()), 4).expect("a bad header is no obstacle");
    assert!(!matches!(opened, Opened::Loaded { .. }), "{opened:?}");
    assert_eq!(ann.len(), 0);
}
