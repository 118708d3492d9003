//! Files that another program has already fetched from the hub.
//!
//! **Source** of the layout: "Understand caching" of the `huggingface_hub` documentation. It has `models--OWNER--REPO/blobs/HASH`, and
//! `snapshots/COMMIT/FILE`, which links to the blob (or is the file itself, if links are not available).

use std::fs;
use std::path::{Path, PathBuf};

use crate::client::Remote;
use crate::digest::{Expected, hash_of};
use crate::error::HubError;

/// Copies a file from the cache to `to` if it is there and its content is right. Returns whether it did.
///
/// A fault of the cache is never an error: whatever it does not provide is fetched.
pub(crate) fn take(cache: &Path, file: &Remote, hash: &Expected, to: &Path) -> Result<bool, HubError> {
    let repository = cache.join(file.repository.cache_folder());
    let places: [PathBuf; 2] = [
        repository.join("blobs").join(hash.hex()),
        repository.join("snapshots").join(&file.revision).join(&file.path),
    ];
    for place in places.iter().filter(|place| place.is_file()) {
        match fs::copy(place, to) {
            Ok(_) if hash_of(to, hash).is_ok_and(|found| found == *hash) => return Ok(true),
            Ok(_) => {}
            Err(error) => {
                let error = HubError::file("write", to)(error);
                if matches!(error, HubError::DiskFull { .. }) {
                    return Err(error);
                }
            }
        }
        // A wrong or partial copy must not be mistaken for the beginning of a download.
        fs::remove_file(to).ok();
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::Repository;

    #[test]
    fn only_what_has_the_right_content_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let hash = Expected::Sha256("5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03".to_owned());
        let file = Remote {
            repository: Repository::parse("o/r").unwrap(),
            revision: "abc".to_owned(),
            path: "onnx/x.onnx".to_owned(),
        };
        let to = folder.path().join("out");
        assert!(!take(folder.path(), &file, &hash, &to).unwrap());
        let place = |path: &str, content: &str| {
            let path = folder.path().join("models--o--r").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        };
        place(&format!("blobs/{}", hash.hex()), "damaged");
        assert!(!take(folder.path(), &file, &hash, &to).unwrap() && !to.is_file());
        place("snapshots/abc/onnx/x.onnx", "hello\n");
        assert!(take(folder.path(), &file, &hash, &to).unwrap());
        assert_eq!(fs::read_to_string(&to).unwrap(), "hello\n");
    }
}
