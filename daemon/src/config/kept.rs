//! A copy of the last valid configuration, in the data folder: the list of folders is stored nowhere else.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::Config;

/// Name of the copy in the data folder.
const COPY: &str = "config.toml.last-good";

/// Copies the configuration as [`keep`] does, and logs a failure. Only the user has the list of folders, and a copy survives a mistake in
/// an editor and a bad sector. But nothing depends on it.
pub fn keep_or_warn(file: &Path, data_dir: &Path) {
    if let Err(error) = keep(file, data_dir) {
        tracing::warn!(%error, "no copy of the configuration could be kept in the data folder");
    }
}

/// Copies `file` into `data_dir`, if it is valid and differs from the copy there.
///
/// **Errors**: if reading or writing fails; the earlier copy stays.
fn keep(file: &Path, data_dir: &Path) -> io::Result<()> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        // The configuration is only defaults, which need no copy. A user may need an earlier copy.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let copy = data_dir.join(COPY);
    if Config::parse(&text, file).is_err() || fs::read(&copy).is_ok_and(|known| known == text.as_bytes()) {
        return Ok(());
    }
    if copy.is_dir() {
        crate::quarantine::move_away(&copy)?;
    }
    let mut temporary = NamedTempFile::new_in(data_dir)?;
    temporary.write_all(text.as_bytes())?;
    temporary.as_file().sync_all()?;
    temporary.persist(&copy).map_err(|error| error.error)?;
    File::open(data_dir)?.sync_all()
}

/// Returns the path of the copy, for a user whose configuration can no longer be read.
pub fn find(data_dir: &Path) -> Option<PathBuf> {
    let copy = data_dir.join(COPY);
    copy.is_file().then_some(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_right_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (file, data) = (folder.path().join("config.toml"), folder.path().join("data"));
        fs::create_dir(&data).unwrap();
        keep(&file, &data).unwrap();
        assert_eq!(find(&data), None);
        fs::write(&file, "folders = [\"/films\"] # mine\n").unwrap();
        keep(&file, &data).unwrap();
        let copy = find(&data).unwrap();
        fs::write(&file, "folders = [\"/films\"").unwrap();
        keep(&file, &data).unwrap();
        assert_eq!(fs::read_to_string(&copy).unwrap(), "folders = [\"/films\"] # mine\n");
        fs::remove_file(&file).unwrap();
        keep(&file, &data).unwrap();
        assert_eq!(find(&data), Some(copy));
    }
}
