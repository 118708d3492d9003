//! Opening: the format marker, the side file, quarantining a store that cannot be opened, migration.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::disk::Disk;
use super::load::{self, Loaded};
use super::migrations::{FORMAT, migrate};
use super::opener::{self, Refusal};
use super::side::{Progress, SideFile};
use super::transaction::Inner;
use super::{OpenReport, StoreError, unopened};
use crate::failpoint;
use crate::quarantine::damage::is_absent;
use crate::quarantine::move_away;

const MARKER_START: &str = "scened store ";

/// Opens the store, and counts the starts that could not open it.
pub(super) fn open(dir: &Path, trial: Option<&Path>) -> Result<(Inner, OpenReport), StoreError> {
    let opened = open_uncounted(dir, trial);
    match &opened {
        Ok(_) => unopened::forget(dir),
        Err(StoreError::NewerVersion { .. } | StoreError::Locked { .. }) => {}
        Err(error) => unopened::note(dir, &crate::fatal::with_causes(error)),
    }
    opened
}

fn open_uncounted(dir: &Path, trial: Option<&Path>) -> Result<(Inner, OpenReport), StoreError> {
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
    let opened = if is_absent(&folder).map_err(|source| folder_error("look for", &folder, source))? {
        None
    } else {
        open_existing(&folder, &marker, dir, trial, &mut report)?
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

/// Opens the existing store. Returns `None` if it was damaged and is now quarantined.
fn open_existing(
    folder: &Path,
    marker: &Marker,
    dir: &Path,
    trial: Option<&Path>,
    report: &mut OpenReport,
) -> Result<Option<(Disk, Loaded)>, StoreError> {
    let is_suspect = opener::is_suspect(folder);
    if is_suspect {
        tracing::warn!("the store stopped taking writes in an earlier run; it is read through once to see whether it is whole");
    }
    let attempt = opener::attempt(folder, trial, || {
        failpoint::hit("store.open")?;
        opener::try_trees(folder)?;
        let disk = Disk::open(folder)?;
        let loaded = load::load(&disk)?;
        if is_suspect {
            disk.read_everything()?;
        }
        Ok((disk, loaded))
    });
    let reason = match attempt {
        Ok((disk, mut loaded)) => {
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
        Err(Refusal::Locked) => return Err(StoreError::Locked { path: folder.to_owned() }),
        Err(Refusal::Machine(error)) => return Err(folder_error("open", folder, error)),
        Err(Refusal::Damaged(reason)) => reason,
    };
    let target = move_away(folder).map_err(|source| folder_error("set aside the damaged store", folder, source))?;
    opener::forget(folder);
    tracing::error!(reason, moved_to = %target.display(), "the store could not be opened and was moved away; a new one begins");
    report.set_aside.push(target);
    Ok(None)
}

/// Creates a fresh store. The marker comes first, so a store without one is never ours. The store gets its name only when it is complete.
/// If the process ends before that, the remains never were a store, and are not damage.
fn begin(folder: &Path, marker_path: &Path, known: Progress, report: &mut OpenReport) -> Result<(Disk, Loaded), StoreError> {
    write_marker(marker_path)?;
    report.fresh = true;
    let unfinished = folder.with_file_name("store.new");
    match std::fs::remove_dir_all(&unfinished) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => return Err(folder_error("clear away", &unfinished, source)),
        _ => {}
    }
    drop(Disk::open(&unfinished).map_err(|error| read_error(&unfinished, error))?);
    let named = std::fs::rename(&unfinished, folder).and_then(|()| {
        let data_dir = folder.parent().unwrap_or(folder);
        std::fs::File::open(data_dir)?.sync_all()
    });
    named.map_err(|source| folder_error("begin", folder, source))?;
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
    // Nobody else may see what a user's videos show.
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
            // Two lines that differ mean a damaged marker, not a newer store. Version 0.1.0 wrote one line.
            let mut lines = text.unwrap_or_default().lines();
            let first = lines.next().unwrap_or_default();
            let agrees = lines.all(|line| line == first);
            let number = first
                .strip_prefix(MARKER_START)
                .filter(|_| agrees)
                .and_then(|number| number.parse().ok());
            Ok(number.map_or(Marker::Unreadable, Marker::Format))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && is_absent(path).is_ok_and(|is_absent| is_absent) => {
            Ok(Marker::Missing)
        }
        // Something else is in the file's place.
        Err(_) if path.is_dir() => {
            move_away(path).map_err(|source| folder_error("set aside", path, source))?;
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
