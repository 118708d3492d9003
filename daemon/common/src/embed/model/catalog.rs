//! Lists the available models and resolves a name to one of them.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::{ModelError, ModelFolder, is_missing};

/// Environment variable with folders of models, separated as in `PATH`; they are searched first.
pub const MODELS_VARIABLE: &str = "SCENED_MODELS";

/// Returns the folders that hold models. These are, in order: those named by the environment, `<data_dir>/models` (the user's own),
/// `../share/scened/models` beside the `program` (installed), and `models` of the source checkout that it was built in. `program` is the
/// executable of the running program.
pub fn model_dirs(data_dir: &Path, program: Option<&Path>) -> Vec<PathBuf> {
    model_dirs_from(std::env::var_os(MODELS_VARIABLE).as_deref(), data_dir, program)
}

fn model_dirs_from(named: Option<&OsStr>, data_dir: &Path, program: Option<&Path>) -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = named
        .into_iter()
        .flat_map(std::env::split_paths)
        .filter(|path| !path.as_os_str().is_empty())
        .collect();
    dirs.push(data_dir.join("models"));
    if let Some(folder) = program.and_then(Path::parent) {
        dirs.extend(folder.parent().map(|prefix| prefix.join("share/scened/models")));
        // This matches target/debug/deps/test and target/release/scened, but not /usr/bin/scened: only a checkout has the starter's script.
        let is_checkout = |above: &&Path| above.join("models/starter").is_dir() && above.join("Cargo.toml").is_file();
        let built_in = [Path::new(crate::CHECKOUT)];
        let above = folder.ancestors().take(5).find(is_checkout);
        // A build outside the checkout (CARGO_TARGET_DIR) knows its source folder. An installed program has its own models by then.
        let checkout = above.or_else(|| built_in.into_iter().find(|path| is_target(folder) && is_checkout(path)));
        dirs.extend(checkout.map(|checkout| checkout.join("models")));
    }
    dirs
}

/// Decides whether cargo, rather than an installation, put a program into `folder`.
pub(crate) fn is_target(folder: &Path) -> bool {
    folder
        .ancestors()
        .take(3)
        .any(|above| above.join(".cargo-lock").is_file() || above.join("CACHEDIR.TAG").is_file())
}

/// Returns every sub-folder of `dirs` that looks like a model (it has a config.json), in the order of `dirs` and then by name.
///
/// Skips any of `dirs` that do not exist. Leaves out a model name that an earlier folder already has: the user's own models come before
/// installed ones.
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

/// Returns the model that `wanted` refers to. It is a path if it contains a separator or begins with a dot. Otherwise it is the name of a
/// model (or of its folder) in `dirs`.
///
/// **Errors**: what is wrong with that folder, or [`ModelError::Unknown`].
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_models_come_before_installed_ones_and_a_checkout_is_recognised() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        let named = std::env::join_paths([at("first"), at("second")]).unwrap();
        let data = at("data");
        let dirs = model_dirs_from(Some(&named), &data, Some(&at("prefix/bin/scened")));
        assert_eq!(
            dirs,
            [at("first"), at("second"), at("data/models"), at("prefix/share/scened/models")]
        );

        fs::create_dir_all(at("checkout/models/starter")).unwrap();
        let executable = at("checkout/target/debug/deps/test");
        assert!(!model_dirs_from(None, &data, Some(&executable)).contains(&at("checkout/models")));
        fs::write(at("checkout/Cargo.toml"), "").unwrap();
        assert_eq!(model_dirs_from(None, &data, Some(&executable)).last(), Some(&at("checkout/models")));
    }
}
