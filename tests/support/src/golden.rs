//! Golden data that the scripts for small models leave beside them, for tests that compare with their numbers.

use std::path::{Path, PathBuf};

/// Lists the folders directly below `within` that hold golden numbers (`golden.json`), by name.
pub fn folders(within: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(within).unwrap_or_else(|error| panic!("{}: {error}", within.display()));
    let mut folders: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.join("golden.json").is_file())
        .collect();
    folders.sort();
    folders
}

/// Returns the k-th picture, by the formula of tests/reference/models.py and tests/data/models/make_tiny.py. **Shape**: `[height_px,
/// width_px, 3]`.
pub fn picture(k: u64, width_px: u32, height_px: u32) -> Vec<u8> {
    let n = u64::from(width_px) * u64::from(height_px) * 3;
    (0..n).map(|i| ((i * (7 + k) + (i / 3) * 13 + k * 31) % 256) as u8).collect()
}
