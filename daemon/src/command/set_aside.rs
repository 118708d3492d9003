//! `scened set-aside-unreadable`: for a disk that can no longer read parts of the data folder, however often it tries.
//!
//! Reads every file. Readable files stay. An unreadable file of the store is replaced by a copy, with zeros for the parts that the disk
//! cannot read: at the next start the store's checksums show what is missing. Every other unreadable file can be rebuilt, and is moved
//! away, unless it only lacks permissions. Nothing is deleted: the originals are in `unreadable-<UTC>` in the data folder.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::quarantine::utc_now;

/// How much is read at once to check a file; copying reads single sectors of today's disks, and gives up those that fail. Bytes.
const CHUNK_BYTES: usize = 256 << 10;
const SECTOR_BYTES: usize = 4 << 10;

/// Reads a file at a position, as [`File::read_at`] does.
type ReadAt<'a> = &'a dyn Fn(&File, &mut [u8], u64) -> io::Result<usize>;

#[derive(Debug, thiserror::Error)]
pub enum SetAsideError {
    #[error("there is no data folder {}", .0.display())]
    NoFolder(PathBuf),
    #[error("cannot {action} {}", path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot tell what was done")]
    Output(#[source] io::Error),
}

/// Checks everything in `data_dir`, whose lock the caller holds, and writes to `out` what was moved.
pub fn run(data_dir: &Path, out: &mut impl Write) -> Result<(), SetAsideError> {
    rescue(data_dir, &|file, buffer, at| file.read_at(buffer, at), out)
}

fn rescue(data_dir: &Path, read_at: ReadAt<'_>, out: &mut impl Write) -> Result<(), SetAsideError> {
    let mut rescue = Rescue {
        data_dir,
        aside: data_dir.join(format!("{PREFIX}{}", utc_now())),
        read_at,
        found: Vec::new(),
    };
    rescue.check_folder(Path::new(""))?;
    let mut tell = |line: String| writeln!(out, "{}", scened_shared::terminal::escape(&line)).map_err(SetAsideError::Output);
    for line in &rescue.found {
        tell(line.clone())?;
    }
    if rescue.found.is_empty() {
        tell(format!("everything in {} can be read; nothing was set aside", data_dir.display()))
    } else {
        tell(format!(
            "start scened again: it indexes what is missing; the originals are in {}",
            rescue.aside.display()
        ))
    }
}

/// Prefix of the folders that earlier calls left.
const PREFIX: &str = "unreadable-";

struct Rescue<'a> {
    data_dir: &'a Path,
    aside: PathBuf,
    read_at: ReadAt<'a>,
    /// The actions taken, one line each.
    found: Vec<String>,
}

impl Rescue<'_> {
    /// `relative` is relative to the data folder.
    fn check_folder(&mut self, relative: &Path) -> Result<(), SetAsideError> {
        let folder = self.data_dir.join(relative);
        let listed = fs::read_dir(&folder).and_then(std::iter::Iterator::collect::<io::Result<Vec<_>>>);
        let entries = match listed {
            Ok(entries) => entries,
            // If the data folder itself cannot be listed, no file in it is known.
            Err(source) if relative.as_os_str().is_empty() => return Err(file_error("list", &folder)(source)),
            Err(error) => return self.move_away(relative, &error),
        };
        for entry in entries {
            let name = entry.file_name();
            let at = relative.join(&name);
            let is_left_over = relative.as_os_str().is_empty() && name.to_string_lossy().starts_with(PREFIX);
            match entry.file_type() {
                _ if is_left_over || name.to_string_lossy().contains(".damaged-") => {}
                Ok(kind) if kind.is_dir() => self.check_folder(&at)?,
                Ok(kind) if kind.is_file() => self.check_file(&at)?,
                Ok(_) => {}
                Err(error) => self.move_away(&at, &error)?,
            }
        }
        Ok(())
    }

    fn check_file(&mut self, relative: &Path) -> Result<(), SetAsideError> {
        let path = self.data_dir.join(relative);
        let opened = File::open(&path).and_then(|file| Ok((file.metadata()?.len(), file)));
        let (n_bytes, file) = match opened {
            Ok(opened) => opened,
            Err(error) => return self.move_away(relative, &error),
        };
        match self.first_failure(&file, n_bytes) {
            None => Ok(()),
            Some(_) if relative.starts_with("store") => self.replace(relative, &file, n_bytes),
            Some(error) => self.move_away(relative, &error),
        }
    }

    fn first_failure(&self, file: &File, n_bytes: u64) -> Option<io::Error> {
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut at = 0;
        while at < n_bytes {
            match (self.read_at)(file, &mut buffer, at) {
                Ok(0) => return None,
                Ok(n) => at += n as u64,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Some(error),
            }
        }
        None
    }

    /// Replaces a file by a copy, with zeros for what cannot be read. At every moment one of the two is in place, if the file system can
    /// exchange them.
    fn replace(&mut self, relative: &Path, file: &File, n_bytes: u64) -> Result<(), SetAsideError> {
        let (path, copy) = (self.data_dir.join(relative), self.make_folder(relative)?);
        let n_lost = self.copy(file, n_bytes, &copy).map_err(file_error("write", &copy))?;
        let mode = file.metadata().map(|metadata| metadata.permissions());
        mode.and_then(|mode| fs::set_permissions(&copy, mode))
            .map_err(file_error("write", &copy))?;
        // Not every file system can exchange two files.
        if renameat_with(CWD, &copy, CWD, &path, RenameFlags::EXCHANGE).is_err() {
            let original = copy.with_extension("original");
            fs::rename(&path, &original)
                .and_then(|()| fs::rename(&copy, &path))
                .map_err(file_error("set aside", &path))?;
        }
        self.sync(&path)?;
        self.found.push(format!(
            "{}: {n_lost} of {n_bytes} bytes cannot be read; a copy without them replaces it",
            path.display()
        ));
        Ok(())
    }

    fn copy(&self, file: &File, n_bytes: u64, to: &Path) -> io::Result<u64> {
        let copy = File::create_new(to)?;
        copy.set_len(n_bytes)?;
        let mut buffer = vec![0; SECTOR_BYTES];
        let (mut at, mut n_lost) = (0, 0);
        while at < n_bytes {
            let wanted = (n_bytes - at).min(SECTOR_BYTES as u64);
            match (self.read_at)(file, &mut buffer[..wanted as usize], at) {
                Ok(0) => break,
                Ok(n) => {
                    // `set_len` already filled the copy with zeros.
                    if buffer[..n].iter().any(|byte| *byte != 0) {
                        copy.write_all_at(&buffer[..n], at)?;
                    }
                    at += n as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    at += wanted;
                    n_lost += wanted;
                }
            }
        }
        copy.sync_all()?;
        Ok(n_lost)
    }

    fn move_away(&mut self, relative: &Path, error: &io::Error) -> Result<(), SetAsideError> {
        let path = self.data_dir.join(relative);
        // The file is intact; a person has to change its permissions.
        if error.kind() == io::ErrorKind::PermissionDenied {
            self.found.push(format!(
                "{}: {error}; it stays (chmod -R u+rwX, or chown -R, the data folder)",
                path.display()
            ));
            return Ok(());
        }
        let target = self.make_folder(relative)?;
        fs::rename(&path, &target).map_err(file_error("set aside", &path))?;
        self.sync(&path)?;
        self.found.push(format!("{}: {error}; it was set aside", path.display()));
        Ok(())
    }

    /// Returns the path of a file in the folder of files set aside, and creates its folder.
    fn make_folder(&self, relative: &Path) -> Result<PathBuf, SetAsideError> {
        let target = self.aside.join(relative);
        let folder = target.parent().unwrap_or(&self.aside);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(file_error("create", folder))?;
        Ok(target)
    }

    fn sync(&self, path: &Path) -> Result<(), SetAsideError> {
        let folder = path.parent().unwrap_or(self.data_dir);
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(file_error("write", folder))
    }
}

fn file_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SetAsideError {
    let path = path.to_owned();
    move |source| SetAsideError::File { action, path, source }
}

/// Checks that the data folder exists, before anything creates it.
pub fn check(data_dir: &Path) -> Result<(), SetAsideError> {
    if data_dir.is_dir() {
        Ok(())
    } else {
        Err(SetAsideError::NoFolder(data_dir.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;
    use crate::store::Store;

    fn files_below(folder: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                found.extend(files_below(&entry.path()));
            } else {
                found.push(entry.path());
            }
        }
        found.sort();
        found
    }

    /// Rescues `data_dir` while the files with these inodes cannot be read from byte `from` on.
    fn rescue_but(data_dir: &Path, inodes: &[u64], from: u64) -> String {
        let mut told = Vec::new();
        let read_at = |file: &File, buffer: &mut [u8], at: u64| {
            let found = file.metadata()?;
            if inodes.contains(&found.ino()) && found.len() > from && at + buffer.len() as u64 > from {
                return Err(io::Error::from_raw_os_error(5));
            }
            file.read_at(buffer, at)
        };
        rescue(data_dir, &read_at, &mut told).unwrap();
        String::from_utf8(told).unwrap()
    }

    #[test]
    fn what_can_be_read_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        drop(Store::open(folder.path()).unwrap());
        let before = files_below(folder.path());
        let told = rescue_but(folder.path(), &[], 0);
        assert!(told.contains("nothing was set aside"), "{told}");
        assert_eq!(files_below(folder.path()), before);
    }

    #[test]
    fn of_a_store_only_what_cannot_be_read_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(folder.path()).unwrap();
        for number in 0..100 {
            store.put_setting(&format!("setting {number}"), &"x".repeat(1_000).into()).unwrap();
        }
        drop(store);
        fs::create_dir(folder.path().join("index")).unwrap();
        fs::write(folder.path().join("index/a.json"), "{}").unwrap();
        let inode = |path: &Path| fs::metadata(path).unwrap().ino();
        let journal = files_below(folder.path())
            .into_iter()
            .find(|path| path.extension().is_some_and(|e| e == "jnl"))
            .unwrap();
        let original = fs::read(&journal).unwrap();
        let (of_journal, of_index) = (inode(&journal), inode(&folder.path().join("index/a.json")));
        let told = rescue_but(folder.path(), &[of_journal, of_index], 64 << 10);
        assert!(told.contains(journal.to_str().unwrap()) && !told.contains("a.json"), "{told}");
        let copy = fs::read(&journal).unwrap();
        assert_eq!((copy.len(), &copy[..60 << 10]), (original.len(), &original[..60 << 10]));
        let aside = fs::read_dir(folder.path())
            .unwrap()
            .flatten()
            .find(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX));
        let kept = aside.unwrap().path().join(journal.strip_prefix(folder.path()).unwrap());
        assert_eq!(
            (inode(&kept), fs::read(&kept).unwrap() == original),
            (of_journal, true),
            "the original is kept"
        );
        let (store, report) = Store::open(folder.path()).unwrap();
        assert_eq!(report.set_aside, Vec::<PathBuf>::new(), "the store as a whole stays");
        assert!(store.setting("setting 3").unwrap().is_some());
    }

    #[test]
    fn what_can_be_made_again_is_moved_away() {
        let folder = tempfile::tempdir().unwrap();
        let pictures = folder.path().join("keyframes/ab");
        fs::create_dir_all(&pictures).unwrap();
        for name in ["1.keyframes", "2.keyframes"] {
            fs::write(pictures.join(name), name).unwrap();
        }
        let inode = fs::metadata(pictures.join("1.keyframes")).unwrap().ino();
        rescue_but(folder.path(), &[inode], 0);
        assert_eq!(fs::read_dir(&pictures).unwrap().count(), 1);
        // A second call finds nothing, and does not search what the first one moved.
        let told = rescue_but(folder.path(), &[inode], 0);
        assert!(told.contains("nothing was set aside"), "{told}");
    }
}
