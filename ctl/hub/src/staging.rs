//! The folder in which a model is assembled, invisible to the daemon, and the single step that installs it.
//!
//! `<models>/.incoming-NAME/` contains:
//! - `lock`, flock'ed while a scenectl works there;
//! - `journal.json`, which records what each file received so far is;
//! - `files/`, with finished files and `*.part`.
//!
//! Placing a model is one rename of `files/`. To replace a model, the two folders are exchanged in the same step if the system supports
//! that.
//!
//! **Invariants**: a file without `.part` in `files/` is complete, checked and synced to disk. Only [`Staging::place`] touches
//! `<models>/NAME`. A kill at any point leaves the old model, the new one, or a staging folder from which a later run can continue.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::HubError;

/// What is known of a file that was received partly or completely.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    /// The hub's hash, as `sha256:…` or `git:…`; empty if the hub reported none.
    pub(crate) hash: String,
    /// The ETag of the server that sent the bytes, which may not be the hub itself.
    pub(crate) served: Option<String>,
}

/// The staging folder of one name, locked for the lifetime of this value.
#[derive(Debug)]
pub struct Staging {
    models: PathBuf,
    name: String,
    folder: PathBuf,
    notes: BTreeMap<String, Note>,
    /// Bytes that must stay free on the disk.
    kept_bytes: u64,
    /// Held until this value is dropped.
    _lock: File,
}

fn folder_of(models: &Path, name: &str) -> PathBuf {
    models.join(format!(".incoming-{name}"))
}

/// Returns whether an installation of this name was started but not finished.
pub fn is_begun(models: &Path, name: &str) -> bool {
    folder_of(models, name).join("files").is_dir()
}

impl Staging {
    /// Opens or creates the staging folder of a name, and locks it. `kept_bytes` stay free on its disk.
    ///
    /// **Errors**: another process is using the folder; a folder or file cannot be made.
    pub fn open(models: &Path, name: &str, kept_bytes: u64) -> Result<Self, HubError> {
        let folder = folder_of(models, name);
        let files = folder.join("files");
        fs::create_dir_all(&files).map_err(HubError::file("make", &files))?;
        let lock = lock(&folder.join("lock"), name)?;
        // The previous holder of the lock may have finished and removed the folder.
        fs::create_dir_all(&files).map_err(HubError::file("make", &files))?;
        // If the journal is damaged or missing, the files are simply fetched again.
        let notes = fs::read(folder.join("journal.json"))
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        let staging = Self {
            models: models.to_path_buf(),
            name: name.to_owned(),
            folder,
            notes,
            kept_bytes,
            _lock: lock,
        };
        staging.recover()?;
        Ok(staging)
    }

    /// Restores a model whose replacement was interrupted between two renames (only if the system cannot exchange folders).
    fn recover(&self) -> Result<(), HubError> {
        let (old, target) = (self.folder.join("old"), self.target());
        if !old.is_dir() {
            return Ok(());
        }
        if target.is_dir() {
            fs::remove_dir_all(&old).map_err(HubError::file("remove", &old))
        } else {
            fs::rename(&old, &target).map_err(HubError::file("put back", &target))
        }
    }

    /// Returns where the model will be installed.
    pub(crate) fn target(&self) -> PathBuf {
        self.models.join(&self.name)
    }

    /// Returns where its files are assembled.
    pub fn files(&self) -> PathBuf {
        self.folder.join("files")
    }

    pub(crate) fn whole(&self, local: &str) -> PathBuf {
        self.files().join(local)
    }

    pub(crate) fn part(&self, local: &str) -> PathBuf {
        self.files().join(format!("{local}.part"))
    }

    pub(crate) fn note(&self, local: &str) -> Option<&Note> {
        self.notes.get(local)
    }

    /// Records what the bytes of a file are, before they arrive.
    pub(crate) fn write_note(&mut self, local: &str, note: Note) -> Result<(), HubError> {
        if self.notes.get(local) == Some(&note) {
            return Ok(());
        }
        self.notes.insert(local.to_owned(), note);
        let json = serde_json::to_vec_pretty(&self.notes).expect("names and hashes are JSON");
        write_whole(&self.folder.join("journal.json"), &json)
    }

    /// Writes one of our own small files next to the model's.
    pub(crate) fn write(&self, local: &str, content: &[u8]) -> Result<(), HubError> {
        let path = self.whole(local);
        make_parent(&path)?;
        write_whole(&path, content)
    }

    /// Renames a checked `.part` to its final name.
    pub(crate) fn finish(&self, local: &str) -> Result<(), HubError> {
        let (part, whole) = (self.part(local), self.whole(local));
        File::options()
            .write(true)
            .open(&part)
            .and_then(|file| file.sync_all())
            .map_err(HubError::file("write", &part))?;
        fs::rename(&part, &whole).map_err(HubError::file("name", &whole))
    }

    /// Removes files left over from another revision, precision or repository.
    pub(crate) fn sweep(&mut self, wanted: &[&str]) -> Result<(), HubError> {
        let files = self.files();
        let stale: Vec<String> = list(&files)?
            .into_iter()
            .filter(|name| !wanted.contains(&name.strip_suffix(".part").unwrap_or(name)))
            .collect();
        for name in stale {
            let path = files.join(&name);
            fs::remove_file(&path).map_err(HubError::file("remove", &path))?;
        }
        self.notes.retain(|name, _| wanted.contains(&name.as_str()));
        Ok(())
    }

    /// Checks that this many more bytes fit without using the space that must stay free.
    pub(crate) fn check_disk_space(&self, needed_bytes: u64) -> Result<(), HubError> {
        match self.free_bytes() {
            Some(free_bytes) if free_bytes < needed_bytes.saturating_add(self.kept_bytes) => Err(HubError::Space {
                folder: self.target(),
                needed_bytes,
                free_bytes,
                kept_bytes: self.kept_bytes,
            }),
            _ => Ok(()),
        }
    }

    /// Bytes free on the disk for files here; `None` if the system does not report it.
    fn free_bytes(&self) -> Option<u64> {
        #[cfg(unix)]
        {
            let state = rustix::fs::statvfs(&self.folder).ok()?;
            Some(state.f_bavail.saturating_mul(state.f_frsize))
        }
        #[cfg(not(unix))]
        None
    }

    /// Installs the complete model in one step, replacing an existing one if `replace` is set. Returns its folder.
    ///
    /// **Errors**: a model of that name exists and `replace` is not set; something cannot be written or renamed.
    pub fn place(self, replace: bool) -> Result<PathBuf, HubError> {
        let target = self.put(replace)?;
        // The model is installed even if the staging folder stays; the next installation of this name sweeps that folder.
        fs::remove_dir_all(&self.folder).ok();
        Ok(target)
    }

    fn put(&self, replace: bool) -> Result<PathBuf, HubError> {
        let (files, target) = (self.files(), self.target());
        sync_folders(&files)?;
        let is_there = target.try_exists().map_err(HubError::file("look at", &target))?;
        if is_there && !replace {
            return Err(HubError::Installed {
                name: self.name.clone(),
                folder: target,
            });
        }
        // After an exchange the old model's files are here. The next run must not mistake them for the files in the journal.
        let journal = self.folder.join("journal.json");
        match fs::remove_file(&journal) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(HubError::file("remove", &journal)(error)),
            _ => sync_folder(&self.folder)?,
        }
        if is_there {
            self.exchange(&files, &target)?;
        } else {
            fs::rename(&files, &target).map_err(HubError::file("place", &target))?;
        }
        sync_folder(&self.models)?;
        Ok(target)
    }

    /// Discards everything received so far.
    pub fn discard(self) {
        // The next installation of this name sweeps anything that stays.
        fs::remove_dir_all(&self.folder).ok();
    }

    fn exchange(&self, files: &Path, target: &Path) -> Result<(), HubError> {
        #[cfg(any(target_os = "linux", target_vendor = "apple"))]
        {
            use rustix::fs::{CWD, RenameFlags, renameat_with};
            if renameat_with(CWD, files, CWD, target, RenameFlags::EXCHANGE).is_ok() {
                return Ok(());
            }
        }
        // Some file systems cannot exchange; `recover` restores the old model if this is interrupted halfway.
        let old = self.folder.join("old");
        fs::rename(target, &old).map_err(HubError::file("move", target))?;
        fs::rename(files, target).map_err(|error| {
            fs::rename(&old, target).ok();
            HubError::file("place", target)(error)
        })
    }
}

fn lock(path: &Path, name: &str) -> Result<File, HubError> {
    loop {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(HubError::file("make", folder))?;
        }
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .map_err(HubError::file("open", path))?;
        match file.try_lock() {
            Ok(()) if is_same(&file, path) => return Ok(file),
            // The previous holder removed this file: lock the one that exists now.
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(HubError::Locked { name: name.to_owned() }),
            Err(TryLockError::Error(error)) => return Err(HubError::file("lock", path)(error)),
        }
    }
}

#[cfg(unix)]
fn is_same(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    matches!((file.metadata(), fs::metadata(path)), (Ok(a), Ok(b)) if (a.dev(), a.ino()) == (b.dev(), b.ino()))
}

#[cfg(not(unix))]
fn is_same(_: &File, path: &Path) -> bool {
    path.is_file()
}

pub(crate) fn make_parent(path: &Path) -> Result<(), HubError> {
    let folder = path.parent().expect("files lie in the staging folder");
    fs::create_dir_all(folder).map_err(HubError::file("make", folder))
}

/// Writes a file atomically: it is there completely or not at all.
fn write_whole(path: &Path, content: &[u8]) -> Result<(), HubError> {
    let mut new = path.as_os_str().to_owned();
    new.push(".part");
    let new = PathBuf::from(new);
    let write = || -> io::Result<()> {
        let mut file = File::create(&new)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().map_err(HubError::file("write", path))
}

/// Lists all files below a folder by their relative paths, separated by `/`.
pub(crate) fn list(folder: &Path) -> Result<Vec<String>, HubError> {
    let mut found = Vec::new();
    let mut folders = vec![(folder.to_path_buf(), String::new())];
    while let Some((folder, prefix)) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(HubError::file("read", &folder))? {
            let entry = entry.map_err(HubError::file("read", &folder))?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let name = format!("{prefix}{name}");
            // A link counts as its target: folders of the hub's cache consist of links.
            let path = entry.path();
            if path.is_dir() && !entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
                folders.push((path, format!("{name}/")));
            } else if path.is_file() {
                found.push(name);
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> Result<(), HubError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(HubError::file("write", folder))
}

/// On these systems a folder cannot be opened as a file.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> Result<(), HubError> {
    Ok(())
}

fn sync_folders(files: &Path) -> Result<(), HubError> {
    for entry in fs::read_dir(files).map_err(HubError::file("read", files))? {
        let path = entry.map_err(HubError::file("read", files))?.path();
        if path.is_dir() {
            sync_folder(&path)?;
        }
    }
    sync_folder(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(folder: &Path) -> Vec<(String, String)> {
        let read = |name: String| {
            let text = fs::read_to_string(folder.join(&name)).unwrap();
            (name, text)
        };
        list(folder).unwrap().into_iter().map(read).collect()
    }

    #[test]
    fn a_model_is_there_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let staging = Staging::open(folder.path(), "m", 0).unwrap();
        staging.write("config.json", b"1").unwrap();
        staging.write("onnx/a.onnx", b"2").unwrap();
        assert!(!folder.path().join("m").is_dir() && is_begun(folder.path(), "m"));
        let placed = staging.place(false).unwrap();
        assert_eq!(
            content(&placed),
            [
                ("config.json".to_owned(), "1".to_owned()),
                ("onnx/a.onnx".to_owned(), "2".to_owned())
            ]
        );
        assert_eq!(list(folder.path()).unwrap().len(), 2, "nothing but the model is left");

        let second = Staging::open(folder.path(), "m", 0).unwrap();
        second.write("config.json", b"3").unwrap();
        assert!(matches!(second.place(false), Err(HubError::Installed { .. })));
        assert_eq!(content(&placed).len(), 2, "the old one is untouched");
        Staging::open(folder.path(), "m", 0).unwrap().place(true).unwrap();
        assert_eq!(content(&placed), [("config.json".to_owned(), "3".to_owned())]);
    }

    #[test]
    fn the_files_of_a_replaced_model_are_not_taken_for_new_ones() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("m")).unwrap();
        fs::write(folder.path().join("m/config.json"), "old").unwrap();
        let mut staging = Staging::open(folder.path(), "m", 0).unwrap();
        staging.write("config.json", b"new").unwrap();
        staging.write_note("config.json", Note::default()).unwrap();
        // Killed before the staging folder is removed.
        staging.put(true).unwrap();
        drop(staging);
        assert_eq!(content(&folder.path().join("m")), [("config.json".to_owned(), "new".to_owned())]);
        assert_eq!(Staging::open(folder.path(), "m", 0).unwrap().note("config.json"), None);
    }

    #[test]
    fn one_name_is_installed_once_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = Staging::open(folder.path(), "m", 0).unwrap();
        assert!(matches!(Staging::open(folder.path(), "m", 0), Err(HubError::Locked { .. })));
        Staging::open(folder.path(), "other", 0).unwrap();
        first.discard();
        Staging::open(folder.path(), "m", 0).unwrap();
    }

    #[test]
    fn a_replacement_that_was_cut_off_gives_the_old_model_back() {
        let folder = tempfile::tempdir().unwrap();
        let old = folder.path().join(".incoming-m/old");
        fs::create_dir_all(&old).unwrap();
        fs::write(old.join("config.json"), "old").unwrap();
        let staging = Staging::open(folder.path(), "m", 0).unwrap();
        assert_eq!(content(&staging.target()), [("config.json".to_owned(), "old".to_owned())]);
    }

    #[test]
    fn what_another_revision_left_is_swept() {
        let folder = tempfile::tempdir().unwrap();
        let mut staging = Staging::open(folder.path(), "m", 0).unwrap();
        for name in ["a.json", "b.json.part", "onnx/c.onnx", "onnx/d.onnx.part"] {
            staging.write(name, b"x").unwrap();
        }
        staging.write_note("b.json", Note::default()).unwrap();
        staging.write_note("onnx/d.onnx", Note::default()).unwrap();
        staging.sweep(&["a.json", "b.json"]).unwrap();
        assert_eq!(list(&staging.files()).unwrap(), ["a.json", "b.json.part"]);
        assert!(staging.note("b.json").is_some() && staging.note("onnx/d.onnx").is_none());
        drop(staging);
        let staging = Staging::open(folder.path(), "m", 0).unwrap();
        assert!(staging.note("b.json").is_some(), "the next run knows");
    }
}
