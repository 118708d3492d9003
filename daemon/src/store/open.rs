//! Opening: the format marker, the side file, setting aside what cannot be opened, migration.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::disk::{Disk, is_environment};
use super::load::{self, Loaded};
use super::migrations::{FORMAT, migrate};
use super::side::{Progress, SideFile};
use super::transaction::Inner;
use super::{OpenReport, StoreError, opener};
use crate::aside::set_aside;

const MARKER_START: &str = "scened store ";

pub(super) fn open(dir: &Path, trial: Option<&Path>) -> Result<(Inner, OpenReport), StoreError> {
    create_folder(dir)?;
    let (folder, marker_path) = (dir.join("store"), dir.join("format"));
    let marker = read_marker(&marker_path)?;
    if let Marker::Format(found) = marker
        && found > FORMAT
    {
        return Err(newer(found, dir));
    }
    let side_path = dir.join("store.generation");
    let (side, known) = SideFile::open(&side_path).map_err(|source| folder_error("open", &side_path, source))?;
    let known = known.unwrap_or_default();

    let mut report = OpenReport::default();
    let opened = match folder.symlink_metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(source) => return Err(folder_error("open", &folder, source)),
        Ok(_) => open_existing(&folder, &marker, dir, known.generation > 0, trial, &mut report)?,
    };
    let (disk, loaded) = match opened {
        Some(opened) => opened,
        None => begin(&folder, &marker_path, known, &mut report)?,
    };
    if marker != Marker::Format(FORMAT) {
        write_marker(&marker_path)?;
    }
    let inner = load::finish(disk, loaded, side, known, &mut report)?;
    Ok((inner, report))
}

/// Opens what is there; `None` when it was damaged and is set aside now.
fn open_existing(
    folder: &Path,
    marker: &Marker,
    dir: &Path,
    is_used: bool,
    trial: Option<&Path>,
    report: &mut OpenReport,
) -> Result<Option<(Disk, Loaded)>, StoreError> {
    let is_suspect = opener::is_suspect(folder);
    if is_suspect {
        tracing::warn!("the store stopped taking writes in an earlier run; it is read through once to see whether it is whole");
    }
    let attempt = opener::attempt(folder, is_used, trial, || {
        let disk = Disk::open(folder)?;
        let loaded = load::load(&disk)?;
        if is_suspect {
            disk.read_everything()?;
        }
        Ok::<_, fjall::Error>((disk, loaded))
    });
    let reason = match attempt {
        Ok(Ok((disk, mut loaded))) => {
            opener::forget(folder);
            match (loaded.state.map(|state| state.format), marker) {
                (Some(found), _) if found > FORMAT => return Err(newer(found, dir)),
                (Some(found), _) | (None, &Marker::Format(found)) => {
                    if found < FORMAT {
                        migrate(&disk, found)?;
                        report.migrated_from = Some(found);
                        loaded = load::load(&disk).map_err(|error| read_error(folder, error))?;
                    }
                    return Ok(Some((disk, loaded)));
                }
                (None, Marker::Missing) if loaded.is_empty() => return Ok(Some((disk, loaded))),
                (None, Marker::Missing | Marker::Unreadable) => "neither the store nor its marker file says which format it has".to_owned(),
            }
        }
        Ok(Err(fjall::Error::Locked)) => return Err(StoreError::Locked { path: folder.to_owned() }),
        Ok(Err(fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)))) if is_environment(&error) => {
            return Err(folder_error("open", folder, error));
        }
        Ok(Err(error)) => error.to_string(),
        Err(reason) => reason,
    };
    let target = set_aside(folder).map_err(|source| folder_error("set aside the damaged store", folder, source))?;
    opener::forget(folder);
    tracing::error!(reason, moved_to = %target.display(), "the store could not be opened and was set aside; a fresh one is begun");
    report.set_aside.push(target);
    Ok(None)
}

/// Begins a fresh store. The marker comes first, so that a store without one is never ours.
fn begin(folder: &Path, marker_path: &Path, known: Progress, report: &mut OpenReport) -> Result<(Disk, Loaded), StoreError> {
    write_marker(marker_path)?;
    report.fresh = true;
    let disk = Disk::open(folder).map_err(|error| read_error(folder, error))?;
    Ok((disk, Loaded::fresh(known)))
}

pub(super) fn try_open(dir: &Path) {
    let outcome = Disk::open(&dir.join("store")).and_then(|disk| load::load(&disk));
    if let Err(error) = outcome {
        tracing::debug!(%error, "the store does not open");
    }
}

fn create_folder(dir: &Path) -> Result<(), StoreError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    // What somebody's videos show is nobody else's business.
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(|source| folder_error("create", dir, source))
}

#[derive(Debug, PartialEq, Eq)]
enum Marker {
    Missing,
    Format(u32),
    Unreadable,
}

fn read_marker(path: &Path) -> Result<Marker, StoreError> {
    match std::fs::read(path) {
        Ok(bytes) => {
            let text = std::str::from_utf8(&bytes).ok();
            // Two lines that differ are a damaged marker, and not a newer store. Version 0.1.0 wrote one.
            let mut lines = text.unwrap_or_default().lines();
            let first = lines.next().unwrap_or_default();
            let agrees = lines.all(|line| line == first);
            let number = first
                .strip_prefix(MARKER_START)
                .filter(|_| agrees)
                .and_then(|number| number.parse().ok());
            Ok(number.map_or(Marker::Unreadable, Marker::Format))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Marker::Missing),
        // Something else lies where the file should be.
        Err(error) if error.kind() == std::io::ErrorKind::IsADirectory => {
            set_aside(path).map_err(|source| folder_error("set aside", path, source))?;
            Ok(Marker::Unreadable)
        }
        Err(source) => Err(folder_error("read", path, source)),
    }
}

fn write_marker(path: &Path) -> Result<(), StoreError> {
    let write = || {
        let temporary = path.with_extension("new");
        let mut file = std::fs::File::create(&temporary)?;
        writeln!(file, "{MARKER_START}{FORMAT}\n{MARKER_START}{FORMAT}")?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    write().map_err(|source| folder_error("write", path, source))
}

fn newer(found: u32, dir: &Path) -> StoreError {
    StoreError::NewerVersion {
        found,
        supported: FORMAT,
        path: dir.to_owned(),
    }
}

fn folder_error(action: &'static str, path: &Path, source: std::io::Error) -> StoreError {
    StoreError::Folder {
        action,
        path: PathBuf::from(path),
        source,
    }
}

fn read_error(folder: &Path, error: fjall::Error) -> StoreError {
    match error {
        fjall::Error::Locked => StoreError::Locked { path: folder.to_owned() },
        fjall::Error::Io(source) => folder_error("open", folder, source),
        other => folder_error("open", folder, std::io::Error::other(other)),
    }
}
