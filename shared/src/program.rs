//! Finds this program's own file, and so what is installed beside it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Returns the file that this process runs, with links resolved. Asks the system first, and otherwise searches as a shell would. On Linux
/// the system cannot answer without `/proc` (a bare chroot, a sandbox).
pub fn own() -> Option<PathBuf> {
    std::env::current_exe().ok().or_else(|| {
        let called = std::env::args_os().next()?;
        let folder = std::env::current_dir().unwrap_or_default();
        as_called(&called, &folder, std::env::var_os("PATH").as_deref())
    })
}

/// Returns the file that a word names: by its path from `folder`, or in the folders of `path`.
fn as_called(word: &OsStr, folder: &Path, path: Option<&OsStr>) -> Option<PathBuf> {
    let name = Path::new(word);
    if name.components().count() > 1 || name.is_absolute() {
        return found(&folder.join(name));
    }
    let mut folders = std::env::split_paths(path?);
    folders.find_map(|beside| found(&folder.join(beside).join(name)))
}

fn found(file: &Path) -> Option<PathBuf> {
    let metadata = file.metadata().ok()?;
    if metadata.is_file() && may_be_run(&metadata) {
        file.canonicalize().ok()
    } else {
        None
    }
}

#[cfg(unix)]
fn may_be_run(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o111 != 0
}

#[cfg(not(unix))]
fn may_be_run(_metadata: &std::fs::Metadata) -> bool {
    true
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    #[test]
    fn without_proc_a_program_is_found_as_a_shell_finds_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for sub in ["bin", "other"] {
            fs::create_dir(root.join(sub)).unwrap();
        }
        let program = root.join("bin/scened");
        fs::write(&program, "").unwrap();
        fs::write(root.join("other/scened"), "no program").unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        symlink(&program, root.join("other/linked")).unwrap();
        let path = std::env::join_paths([root.join("gone"), root.join("other"), root.join("bin")]).unwrap();
        let check = |word: &str, expected: Option<&Path>| {
            assert_eq!(as_called(OsStr::new(word), &root, Some(&path)).as_deref(), expected, "{word}");
        };
        check("scened", Some(&program));
        check("linked", Some(&program));
        check("bin/scened", Some(&program));
        check("./bin/../bin/scened", Some(&program));
        check(program.to_str().unwrap(), Some(&program));
        check("other/scened", None);
        check("gone", None);
        check("bin", None);
        assert_eq!(as_called(OsStr::new("scened"), &root, None), None);
        assert!(own().is_some());
    }
}
