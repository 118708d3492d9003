//! Body of the fuzz target `config`.

use std::path::Path;

use super::{Config, edit};

/// Reads the bytes as config.toml, and edits it. A valid file stays valid, and contains the edit.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let right = Config::parse(text, Path::new("/config.toml")).is_ok();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("config.toml");
    std::fs::write(&file, text).expect("the file is written");
    let videos = Path::new("/films/\u{e9} \"quoted\"");
    let has_videos = || {
        let (config, _) = Config::load(&file).expect("an edit leaves it right");
        config.folders.iter().any(|folder| folder == videos)
    };
    assert_eq!(edit::add_folder(&file, videos).is_ok(), right);
    if !right {
        return;
    }
    assert!(has_videos());
    edit::set_model(&file, "another").expect("it can be edited");
    assert_eq!(Config::load(&file).expect("an edit leaves it right").0.model, "another");
    edit::remove_folder(&file, videos).expect("it can be edited");
    assert!(!has_videos());
}
