//! Models from a local folder: the files of one precision are copied, so the user may delete the folder afterwards.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use scened_shared::stop::Stop;

use crate::Watcher;
use crate::error::HubError;
use crate::fetch::{Fetched, Origin};
use crate::install::Report;
use crate::layout::{self, Choice, NoModel, Precision};
use crate::staging::{self, Staging, make_parent};

/// Chooses the files to copy. Without a precision, takes the first one present and any that may be better on this machine. Returns the
/// files, their precision, and the other precision among them, if any.
///
/// **Errors**: the folder cannot be read; its files do not make up a model.
pub fn choose(folder: &Path, precision: Option<Precision>) -> Result<(Choice, Precision, Option<Precision>), HubError> {
    let no_model = |source: NoModel| HubError::NoModel {
        place: folder.display().to_string(),
        source,
    };
    let names = staging::list(folder)?;
    if let Some(wanted) = precision {
        return Ok((layout::choose(&names, wanted).map_err(no_model)?, wanted, None));
    }
    match layout::choose_with_rival(&names, Precision::Fp32) {
        Err(NoModel::Precision { there, .. }) if !there.is_empty() => {
            let choice = layout::choose(&names, there[0]).map_err(no_model)?;
            Ok((choice, there[0], None))
        }
        chosen => {
            let (choice, rival) = chosen.map_err(no_model)?;
            Ok((choice, Precision::Fp32, rival))
        }
    }
}

/// Copies the chosen files into the staging folder.
///
/// **Errors**: a file cannot be read or written; the disk would become too full; `stop` was requested.
pub fn copy(from: &Path, choice: &Choice, staging: &mut Staging, stop: &Stop, watcher: &dyn Watcher) -> Result<Vec<Report>, HubError> {
    // Files copied by an earlier run may be from an older state of the folder; they cannot be distinguished.
    staging.sweep(&[])?;
    let size = |name: &String| {
        let path = from.join(name);
        path.metadata().map(|m| m.len()).map_err(HubError::file("read", &path))
    };
    let total_bytes = choice.files.iter().map(size).sum::<Result<u64, _>>()?;
    staging.check_disk_space(total_bytes)?;
    watcher.begin(Some(total_bytes), 0);
    let mut done_bytes = 0;
    let mut copied = Vec::new();
    for name in &choice.files {
        watcher.file(name);
        let before_bytes = done_bytes;
        let (source, part) = (from.join(name), staging.part(name));
        make_parent(&part)?;
        let mut reader = File::open(&source).map_err(HubError::file("read", &source))?;
        let mut writer = File::create(&part).map_err(HubError::file("write", &part))?;
        let mut chunk = vec![0; 1 << 20];
        loop {
            if stop.is_asked() {
                return Err(HubError::Interrupted);
            }
            let n = match reader.read(&mut chunk) {
                Ok(0) => break,
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(HubError::file("read", &source)(error)),
            };
            writer.write_all(&chunk[..n]).map_err(HubError::file("write", &part))?;
            done_bytes += n as u64;
            watcher.position(done_bytes);
        }
        drop(writer);
        staging.finish(name)?;
        let fetched = Fetched {
            origin: Origin::Copied,
            size_bytes: done_bytes - before_bytes,
            network_bytes: 0,
        };
        copied.push(Report::new(name.clone(), None, &fetched));
    }
    Ok(copied)
}

/// Returns a folder's own name, with links and dots resolved; `None` if it does not exist, or its name is not UTF-8.
pub fn name_of(folder: &Path) -> Option<String> {
    let path = fs::canonicalize(folder).ok()?;
    Some(path.file_name()?.to_str()?.to_owned())
}
