//! The name that keeps vectors of different models apart.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

use super::{ModelError, ModelFiles};
use crate::domain::ModelId;

/// Bytes read at the start, the middle and the end of a big file. Two exports that differ in weights only differ nearly
/// everywhere, so three samples and the size tell them apart without reading gigabytes at each start.
const SAMPLE_BYTES: u64 = 64 << 10;

/// What tells a model from others.
pub(super) struct Identity {
    pub(super) id: ModelId,
    /// All files together.
    pub(super) size_bytes: u64,
    /// The files that decide what its vectors are.
    pub(super) parts: Vec<PathBuf>,
}

/// The id of a model is its name and a hash over the small files' bytes and samples of the big ones.
pub(super) fn of(folder: &Path, name: &str, files: &ModelFiles, small_files: &[PathBuf]) -> Result<Identity, ModelError> {
    let mut hash = Xxh3::new();
    let mut size_bytes = 0;
    let mut paths: Vec<PathBuf> = small_files.to_vec();
    paths.push(files.tokenizer.clone());
    for onnx in [&files.vision, &files.text] {
        paths.push(onnx.clone());
        paths.extend(external_data(onnx).map_err(|source| ModelError::Read {
            path: onnx.clone(),
            source,
        })?);
        // Those that have names of their own come last, so that they change no id of a model that has none.
        for weights in super::external::weights(folder, onnx)? {
            let named = onnx.parent().unwrap_or(folder).join(&weights.location);
            if !paths.contains(&named) {
                paths.push(named);
            }
        }
    }
    for path in &paths {
        let relative = path.strip_prefix(folder).unwrap_or(path);
        hash.update(relative.as_os_str().as_encoded_bytes());
        size_bytes += sample(&mut hash, path).map_err(|source| ModelError::Read {
            path: path.clone(),
            source,
        })?;
    }
    let safe: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._".contains(c) { c } else { '-' })
        .take(48)
        .collect();
    Ok(Identity {
        id: ModelId(format!("{safe}-{:08x}", hash.digest() >> 32)),
        size_bytes,
        parts: paths,
    })
}

/// Files that hold the weights of `onnx` outside it: `model.onnx_data`, `model.onnx.data`, `model.onnx_data_1`, …
fn external_data(onnx: &Path) -> io::Result<Vec<PathBuf>> {
    let (Some(folder), Some(name)) = (onnx.parent(), onnx.file_name()) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let candidate = entry.file_name();
        if candidate != name && candidate.as_encoded_bytes().starts_with(name.as_encoded_bytes()) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// Adds size and samples of one file; returns the size.
fn sample(hash: &mut Xxh3, path: &Path) -> io::Result<u64> {
    // Before it is opened: opening a pipe waits for whoever writes to it.
    let found = fs::metadata(path)?;
    if !found.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut file = File::open(path)?;
    let size = found.len();
    hash.update(&size.to_le_bytes());
    let offsets = if size <= 3 * SAMPLE_BYTES {
        vec![(0, size)]
    } else {
        [0, (size - SAMPLE_BYTES) / 2, size - SAMPLE_BYTES]
            .map(|at| (at, SAMPLE_BYTES))
            .to_vec()
    };
    for (at, length) in offsets {
        file.seek(SeekFrom::Start(at))?;
        let mut bytes = vec![0; length as usize];
        file.read_exact(&mut bytes)?;
        hash.update(&bytes);
    }
    Ok(size)
}
