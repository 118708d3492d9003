//! Which models are there, and which one a name means.

use std::fs;
use std::path::{Path, PathBuf};

use super::{ModelError, ModelFolder, is_missing};

/// Every sub-folder of `dirs` that looks like a model (it has a config.json), in the order of `dirs` and then by name.
///
/// A folder of `dirs` that is not there is skipped. A model name that was already seen in an earlier folder is left out: the
/// user's own models come before installed ones.
pub fn find_models(dirs: &[PathBuf]) -> Vec<Result<ModelFolder, ModelError>> {
    let mut found: Vec<Result<ModelFolder, ModelError>> = Vec::new();
    for dir in dirs {
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => continue,
            Err(source) => {
                found.push(Err(ModelError::Read { path: dir.clone(), source }));
                continue;
            }
        };
        let mut paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|e| e.path())).collect();
        paths.sort();
        for path in paths {
            if matches!(path.join("config.json").try_exists(), Ok(false) | Err(_)) {
                continue;
            }
            let model = ModelFolder::open(&path);
            let seen = |other: &Result<ModelFolder, ModelError>| matches!((other, &model), (Ok(a), Ok(b)) if a.name == b.name);
            if !found.iter().any(seen) {
                found.push(model);
            }
        }
    }
    found
}

/// The model that `wanted` means: a path where it has a separator or begins with a dot, else the name of a model (or of its
/// folder) in `dirs`.
///
/// **Errors**: what is wrong with the folder meant, or [`ModelError::Unknown`].
pub fn resolve(wanted: &str, dirs: &[PathBuf]) -> Result<ModelFolder, ModelError> {
    if wanted.contains(std::path::is_separator) || wanted.starts_with('.') {
        return ModelFolder::open(Path::new(wanted));
    }
    for dir in dirs {
        let path = dir.join(wanted);
        if !wanted.is_empty() && !is_missing(&path.join("config.json"))? {
            return ModelFolder::open(&path);
        }
    }
    let mut known = Vec::new();
    for model in find_models(dirs).into_iter().flatten() {
        if model.name == wanted {
            return Ok(model);
        }
        known.push(model.name);
    }
    Err(ModelError::Unknown {
        name: wanted.to_owned(),
        known,
        looked_in: dirs.to_vec(),
    })
}
