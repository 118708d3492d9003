//! Paths in the daemon's form: absolute, with links resolved if possible.

use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path, PathBuf};

use montage::with_timeout;
use scened_shared::spelling;
use scened_shared::wire_path::WirePath;

/// Makes a path absolute, spells it as on disk, and resolves links in the part that exists. A file that is gone can therefore be named as
/// well. If a mount hangs, the path stays as typed: the daemon identifies videos by name.
pub(crate) fn absolute(path: &Path) -> io::Result<PathBuf> {
    let typed = std::path::absolute(path)?;
    let existing = typed.clone();
    Ok(with_timeout::run(move || resolved(spelling::on_disk(&existing))).unwrap_or(typed))
}

/// Returns whether something exists at a path; on a hanging mount nothing does.
pub(crate) fn is_there(path: &Path) -> bool {
    let path = path.to_owned();
    with_timeout::run(move || path.try_exists().unwrap_or(false)).unwrap_or(false)
}

/// Describes something other than a file at a path, following links: opening it may block forever or have side effects. `None` for a file,
/// and if nothing exists or nothing answers.
pub(crate) fn oddity(path: &Path) -> Option<&'static str> {
    let path = path.to_owned();
    let kind = with_timeout::run(move || path.metadata().ok().map(|seen| seen.file_type())).flatten()?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt as _;
        if kind.is_fifo() {
            return Some("a named pipe");
        }
        if kind.is_socket() {
            return Some("a socket");
        }
        if kind.is_block_device() || kind.is_char_device() {
            return Some("a device");
        }
    }
    match () {
        () if kind.is_file() => None,
        () if kind.is_dir() => Some("a folder"),
        () => Some("something else"),
    }
}

fn resolved(mut existing: PathBuf) -> PathBuf {
    let mut missing: Vec<Component<'_>> = Vec::new();
    let whole = existing.clone();
    let mut components = whole.components();
    loop {
        if let Ok(resolved) = existing.canonicalize() {
            existing = resolved;
            break;
        }
        let Some(last) = components.next_back() else { break };
        missing.push(last);
        existing = components.as_path().to_path_buf();
    }
    for component in missing.into_iter().rev() {
        match component {
            Component::ParentDir => {
                existing.pop();
            }
            Component::CurDir => {}
            other => existing.push(other),
        }
    }
    existing
}

/// Like [`absolute`], for the wire.
pub(crate) fn wire(path: &Path) -> io::Result<WirePath> {
    Ok(WirePath::new(&absolute(path)?))
}

/// Returns a model's folder if the word looks like a path, otherwise its name.
pub(crate) fn model(word: &OsStr) -> Result<String, String> {
    let path = Path::new(word);
    let is_path = word.to_string_lossy().contains(std::path::is_separator) || matches!(word.to_str(), Some("." | ".."));
    let word = if is_path {
        absolute(path).map_err(|e| e.to_string())?.into_os_string()
    } else {
        word.to_os_string()
    };
    word.into_string()
        .map_err(|_| "the name of a model's folder has to be UTF-8".to_owned())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn links_are_resolved_as_far_as_the_path_exists() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("real/sub")).unwrap();
        std::os::unix::fs::symlink(root.join("real"), root.join("link")).unwrap();
        let check = |path: &str, expected: &str| assert_eq!(absolute(&root.join(path)).unwrap(), root.join(expected), "{path}");
        check("real/sub", "real/sub");
        check("link/sub", "real/sub");
        check("link/sub/../sub", "real/sub");
        check("link/gone/film.mp4", "real/gone/film.mp4");
        check("gone/x/../film.mp4", "gone/film.mp4");
        check("real/sub/", "real/sub");
    }

    #[test]
    fn what_is_no_file_is_told_without_opening_it() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("film"), "").unwrap();
        assert!(std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
        let _listener = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        std::os::unix::fs::symlink("pipe", at("link")).unwrap();
        std::os::unix::fs::symlink("link", at("loop")).unwrap();
        for (name, what) in [
            ("film", None),
            ("gone", None),
            ("pipe", Some("a named pipe")),
            ("link", Some("a named pipe")),
            ("loop", Some("a named pipe")),
            ("socket", Some("a socket")),
            (".", Some("a folder")),
            ("/dev/null", Some("a device")),
        ] {
            assert_eq!(oddity(&at(name)), what, "{name}");
        }
    }

    #[test]
    fn a_model_is_a_name_unless_it_looks_like_a_path() {
        let check = |word: &str, expected: &str| assert_eq!(model(OsStr::new(word)).unwrap(), expected, "{word}");
        let here = std::env::current_dir().unwrap().canonicalize().unwrap();
        check("starter", "starter");
        check("/gone/model", "/gone/model");
        check("./starter", here.join("starter").to_str().unwrap());
        check(".", here.to_str().unwrap());
    }
}
