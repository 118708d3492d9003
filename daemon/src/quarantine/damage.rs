//! Decides whether a file is missing. That is damage too, but "no such file" is weak evidence. Mounts and network drives report it for
//! files that exist, and a listing that breaks off looks like one that ends. So [`is_absent`] needs both to agree.

use std::io::{self, ErrorKind};
use std::path::Path;

/// Decides whether nothing is at `path`: the folder does not list it, and reading its metadata finds nothing.
///
/// **Errors**: the result is unknown, because the folder cannot be listed, or because the two contradict each other.
pub(crate) fn is_absent(path: &Path) -> io::Result<bool> {
    let is_listed = is_listed(path)?;
    match path.symlink_metadata() {
        Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Err(error),
        found if found.is_ok() == is_listed => Ok(!is_listed),
        _ => Err(ErrorKind::ResourceBusy.into()),
    }
}

fn is_listed(path: &Path) -> io::Result<bool> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(true);
    };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound && is_absent(folder)? => return Ok(false),
        // A file is in the folder's place.
        Err(error) if error.kind() == ErrorKind::NotADirectory => return Ok(false),
        Err(error) => return Err(error),
    };
    for entry in entries {
        if entry?.file_name() == name {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_absent_when_listing_and_look_agree() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(!is_absent(&file).unwrap());
        assert!(is_absent(&folder.path().join("other")).unwrap());
        assert!(is_absent(&folder.path().join("no folder/other")).unwrap());
        assert!(is_absent(&file.join("below a file")).unwrap());
    }
}
