//! Computes the id that keeps vectors of different models apart.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

use super::{ModelError, ModelFiles};
use crate::domain::ModelId;

/// Bytes read at the start, the middle and the end of a big file. Two exports whose weights differ, differ nearly everywhere. Three samples
/// and the size therefore tell them apart without reading gigabytes at each start.
const SAMPLE_BYTES: u64 = 64 << 10;

/// What distinguishes a model from others.
pub(super) struct Identity {
    pub(super) id: ModelId,
    /// Total size of all files.
    pub(super) size_bytes: u64,
    /// The files that affect its vectors.
    pub(super) parts: Vec<PathBuf>,
}

/// Computes a model's id: its name and a hash over the small files' bytes and samples of the big ones.
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
        // Weights with names of their own come last, so that they do not change the id of a model without any.
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

/// Returns the files that hold the weights of `onnx` outside it: `model.onnx_data`, `model.onnx.data`, `model.onnx_data_1`, …
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

/// Adds the size and the samples of one file to the hash; returns the size.
fn sample(hash: &mut Xxh3, path: &Path) -> io::Result<u64> {
    // This check precedes opening, because opening a pipe waits for its writer.
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
