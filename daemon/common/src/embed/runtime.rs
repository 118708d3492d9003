//! Finds ONNX Runtime's shared library. The daemon only searches for it; the worker opens it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Environment variables that name the library (or its folder); the first one that is set wins.
pub const VARIABLES: [&str; 2] = ["SCENED_ONNXRUNTIME", "ORT_DYLIB_PATH"];

/// The advice in every message about a missing or unsuitable library.
pub const HOW_TO_GET_IT: &str = "it comes with the package (install that again), and `make setup` in scened's source folder fetches it; another can be named \
     in the environment variable SCENED_ONNXRUNTIME";

/// There is no library to open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuntimeNotFound {
    /// The library that the user named is missing; no other is tried in its place.
    #[error("no ONNX Runtime library at {}, which {named_by} names", path.display())]
    Named {
        /// The path that was named.
        path: PathBuf,
        /// The source of the path: the configuration, or a variable.
        named_by: String,
    },
    /// No library was named, and no folder contains one.
    #[error("no ONNX Runtime library found (looked in {})", looked_in.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", "))]
    Nowhere {
        /// The folders that were searched.
        looked_in: Vec<PathBuf>,
    },
}

/// Finds the library. The first of these wins:
///
/// - `configured`
/// - the environment ([`VARIABLES`])
/// - `<data_dir>/onnxruntime`
/// - `../lib/scened` beside `program`
/// - `.setup/onnxruntime` in a folder above `program` (a source checkout after `make setup`)
/// - the system's folders
///
/// `program` is the executable of the running program.
pub fn find_onnxruntime(configured: Option<&Path>, data_dir: &Path, program: Option<&Path>) -> Result<PathBuf, RuntimeNotFound> {
    let environment = VARIABLES.into_iter().find_map(|name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(|value| (name, PathBuf::from(value)))
    });
    let named = match (configured, environment) {
        (Some(path), _) => Some(("the configuration", path.to_owned())),
        (None, other) => other,
    };
    find_from(named, data_dir, program)
}

fn find_from(named: Option<(&str, PathBuf)>, data_dir: &Path, program: Option<&Path>) -> Result<PathBuf, RuntimeNotFound> {
    if let Some((named_by, path)) = named {
        let path = std::path::absolute(&path).unwrap_or(path);
        let found = if path.is_dir() {
            library_in(&path)
        } else {
            path.is_file().then(|| path.clone())
        };
        return found.ok_or(RuntimeNotFound::Named {
            path,
            named_by: named_by.to_owned(),
        });
    }
    let mut looked_in = vec![data_dir.join("onnxruntime")];
    if let Some(folder) = program.and_then(Path::parent) {
        looked_in.push(folder.join("../lib/scened"));
        looked_in.extend(folder.ancestors().take(5).map(|above| above.join(".setup/onnxruntime")));
        if super::model::is_target(folder) {
            looked_in.push(Path::new(crate::CHECKOUT).join(".setup/onnxruntime"));
        }
    }
    let system: &[&str] = if cfg!(target_os = "macos") {
        &["/opt/homebrew/lib", "/usr/local/lib"]
    } else {
        &[
            "/usr/local/lib",
            "/usr/lib64",
            "/usr/lib",
            "/usr/lib/x86_64-linux-gnu",
            "/usr/lib/aarch64-linux-gnu",
        ]
    };
    looked_in.extend(system.iter().map(PathBuf::from));
    match looked_in.iter().find_map(|folder| library_in(folder)) {
        Some(found) => Ok(found),
        None => Err(RuntimeNotFound::Nowhere { looked_in }),
    }
}

/// Returns the newest library in `folder`; `None` if the folder cannot be read.
fn library_in(folder: &Path) -> Option<PathBuf> {
    let mut found: Option<(Vec<u32>, PathBuf)> = None;
    for entry in std::fs::read_dir(folder).ok()?.flatten() {
        let name = entry.file_name();
        if let Some(version) = version(&name)
            && entry.path().is_file()
            && found.as_ref().is_none_or(|(best, _)| version > *best)
        {
            found = Some((version, entry.path()));
        }
    }
    found.map(|(_, path)| path)
}

/// Returns the version in a file name like `libonnxruntime.so.1.32.0`. A name without a version gives an empty one. Other files (among them
/// `libonnxruntime_providers_shared.so`) give `None`.
fn version(name: &OsStr) -> Option<Vec<u32>> {
    let name = name.to_str()?;
    let rest = match name.strip_prefix("libonnxruntime.") {
        Some(rest) => rest,
        None if name == "onnxruntime.dll" => return Some(Vec::new()),
        None => return None,
    };
    let numbers = match rest.strip_suffix("dylib") {
        Some(numbers) => numbers.trim_end_matches('.'),
        None => rest.strip_prefix("so")?.trim_start_matches('.'),
    };
    if numbers.is_empty() {
        return Some(Vec::new());
    }
    numbers.split('.').map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(path: &Path) -> PathBuf {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
        path.to_owned()
    }

    #[test]
    fn only_the_library_itself_counts_and_the_newest_wins() {
        for (name, expected) in [
            ("libonnxruntime.so", Some(vec![])),
            ("libonnxruntime.so.1.32.0", Some(vec![1, 32, 0])),
            ("libonnxruntime.1.24.4.dylib", Some(vec![1, 24, 4])),
            ("libonnxruntime.dylib", Some(vec![])),
            ("onnxruntime.dll", Some(vec![])),
            ("libonnxruntime_providers_shared.so", None),
            ("libonnxruntime.so.old", None),
            ("libonnxruntime.a", None),
        ] {
            assert_eq!(version(OsStr::new(name)), expected, "{name}");
        }
        let folder = tempfile::tempdir().unwrap();
        put(&folder.path().join("libonnxruntime.so.1.9.0"));
        let newest = put(&folder.path().join("libonnxruntime.so.1.24.1"));
        put(&folder.path().join("libonnxruntime_providers_shared.so"));
        assert_eq!(library_in(folder.path()), Some(newest));
    }

    #[test]
    fn data_folder_comes_before_installed_before_checkout() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        let executable = at("checkout/target/debug/deps/test");
        let find = || find_from(None, &at("data"), Some(&executable));
        let checkout = put(&at("checkout/.setup/onnxruntime/libonnxruntime.so.1.32.0"));
        assert_eq!(find().unwrap(), checkout);
        std::fs::create_dir_all(at("checkout/target/debug/deps")).unwrap();
        put(&at("checkout/target/debug/lib/scened/libonnxruntime.so.1.30.0"));
        assert_eq!(
            find().unwrap(),
            at("checkout/target/debug/deps/../lib/scened/libonnxruntime.so.1.30.0")
        );
        let own = put(&at("data/onnxruntime/libonnxruntime.so"));
        assert_eq!(find().unwrap(), own);
    }

    #[test]
    fn a_named_library_that_is_missing_is_not_replaced_by_another() {
        let folder = tempfile::tempdir().unwrap();
        put(&folder.path().join("onnxruntime/libonnxruntime.so"));
        let error = find_from(Some(("SCENED_ONNXRUNTIME", "/nowhere/lib.so".into())), folder.path(), None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no ONNX Runtime library at /nowhere/lib.so, which SCENED_ONNXRUNTIME names"
        );
        let named = put(&folder.path().join("other/libonnxruntime.so.1.25.0"));
        let found = find_from(Some(("it", folder.path().join("other"))), folder.path(), None).unwrap();
        assert_eq!(found, named);
    }
}
