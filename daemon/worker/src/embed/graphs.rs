//! Keeps optimised graphs on disk, so that a worker started for one query need not optimise its model again.
//!
//! ONNX Runtime writes the optimised model into a folder of the cache: fused, with its weights packed for the processor's kernels. Opening
//! it from there parses, copies and packs nothing. The weights are pages of a file, which the system may drop.
//!
//! Everything that decides an entry's content ([`Graphs::about`]) identifies the entry. It is used only if all its bytes match the recorded
//! hash. Everything here may be deleted at any time, and a failure costs only time. Only graphs of the CPU provider are kept; other
//! providers have their own caches.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ort::environment::Environment;
use ort::session::Session;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::session::{self, Form, Settings};

/// Increases when the way of making an entry changes.
const FORMAT: u32 = 1;
const GRAPH: &str = "model.onnx";
/// File beside the graph with all but the tiny weights, both as they are and packed.
const WEIGHTS: &str = "model.onnx.data";
const SEAL: &str = "seal.json";
/// Prefix of the name of an entry that is being written.
const UNFINISHED: &str = ".making-";
/// Age at which an unfinished entry of a killed worker is removed. Writing one never takes as long.
const UNFINISHED_FOR: Duration = Duration::from_hours(1);
/// Entries for the towers of three models. The least recently used are removed first.
const MAX_ENTRIES: usize = 6;
/// Free disk space needed for each byte of the model. An entry holds each packed weight twice, and speed is no reason to fill the disk.
const FREE_PER_MODEL_BYTE: u64 = 4;
const READ_BYTES: usize = 1 << 20;

/// The cache of one worker.
#[derive(Debug)]
pub(super) struct Graphs {
    /// `None` if nothing is kept.
    folder: Option<PathBuf>,
    /// Describes ONNX Runtime and the processor.
    machine: String,
}

/// The record of an entry, written last.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seal {
    about: String,
    files: Vec<Sealed>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Sealed {
    name: String,
    size_bytes: u64,
    /// XXH3-64 in hexadecimal digits.
    xxh3: String,
}

impl Graphs {
    /// Keeps graphs under `folder` if the processor can be identified. `library` is ONNX Runtime's file.
    pub(super) fn new(folder: Option<PathBuf>, library: &Path, version: &str) -> Self {
        let processor = processor();
        let machine = format!(
            "{version}\n{}\n{}",
            stamp(library).unwrap_or_default(),
            processor.as_deref().unwrap_or_default()
        );
        Self {
            folder: folder.filter(|_| processor.is_some()),
            machine,
        }
    }

    /// Opens `model` for the CPU: from its entry, otherwise from a new entry, otherwise as it was exported.
    pub(super) fn open(&self, environment: &Environment, model: &Path, settings: Settings<'_>) -> ort::Result<Session> {
        let plain = || session::open_on_cpu(environment, model, &Form::Exported, settings);
        let Some((folder, about)) = self.folder.as_deref().zip(self.about(model, &settings.beside.files)) else {
            return plain();
        };
        let entry = Entry::new(folder, model, about);
        if let Some(session) = entry.open(environment, settings) {
            return Ok(session);
        }
        match entry.make(environment, model, settings) {
            Ok(()) => {}
            Err(why) => {
                tracing::debug!(%why, model = %model.display(), "the optimised graph is not kept");
                return plain();
            }
        }
        entry.open(environment, settings).map_or_else(plain, Ok)
    }

    /// Returns everything that decides the optimised form of `model`; `None` if it cannot be determined.
    fn about(&self, model: &Path, beside: &[PathBuf]) -> Option<String> {
        let mut about = format!("scened graph {FORMAT}\n{}", self.machine);
        // Weights may be beside it, in files whose names begin with the model's.
        let (folder, name) = (model.parent()?, model.file_name()?);
        let mut files: Vec<PathBuf> = fs::read_dir(folder)
            .ok()?
            .flatten()
            .map(|found| found.path())
            .filter(|path| {
                path.file_name()
                    .is_some_and(|other| other.as_encoded_bytes().starts_with(name.as_encoded_bytes()))
            })
            .collect();
        files.sort();
        // They may also be in files with other names.
        for file in beside {
            if !files.iter().any(|known| known.canonicalize().is_ok_and(|known| known == *file)) {
                files.push(file.clone());
            }
        }
        for file in files {
            write!(about, "\n{} {}", file.display(), stamp(&file)?).ok()?;
        }
        Some(about)
    }
}

/// Returns a text that changes when the file is written, replaced or touched.
fn stamp(file: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = file.metadata().ok()?;
    Some(format!(
        "{} bytes, {}.{:09}, {}.{:09}, inode {}",
        metadata.size(),
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.ctime(),
        metadata.ctime_nsec(),
        metadata.ino()
    ))
}

/// Returns the processor's name and features, which decide the kernels and the packing of weights; `None` if they are unknown.
fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let wanted = ["model name", "flags", "CPU implementer", "CPU part", "Features"];
    let mut lines: Vec<&str> = text
        .lines()
        .filter(|line| line.split(':').next().is_some_and(|key| wanted.contains(&key.trim())))
        .collect();
    // All cores are usually alike, so one line of each kind remains. If they differ, all lines remain.
    lines.sort_unstable();
    lines.dedup();
    (!lines.is_empty()).then(|| format!("{}\n{}", std::env::consts::ARCH, lines.join("\n")))
}

/// One model's place in the cache.
struct Entry<'a> {
    cache: &'a Path,
    /// Prefix that all entries of one model file share, so that earlier ones can be found.
    stem: String,
    folder: PathBuf,
    about: String,
}

impl<'a> Entry<'a> {
    fn new(cache: &'a Path, model: &Path, about: String) -> Self {
        let stem = format!("{:016x}-", xxh3_64(model.as_os_str().as_encoded_bytes()));
        let folder = cache.join(format!("{stem}{:016x}", xxh3_64(about.as_bytes())));
        Self {
            cache,
            stem,
            folder,
            about,
        }
    }

    /// Opens the entry's session, if the entry exists and is complete.
    fn open(&self, environment: &Environment, settings: Settings<'_>) -> Option<Session> {
        let seal = match fs::read(self.folder.join(SEAL)) {
            Ok(bytes) => serde_json::from_slice::<Seal>(&bytes).ok(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(_) => None,
        };
        let opened = seal
            .filter(|seal| seal.about == self.about && seal.files.first().is_some_and(|first| first.name == GRAPH))
            .and_then(|seal| self.open_sealed(&seal, environment, settings));
        if opened.is_some() {
            // The least recently used entry is removed first.
            let touched = File::open(self.folder.join(SEAL)).and_then(|seal| seal.set_modified(SystemTime::now()));
            tracing::trace!(?touched, "an optimised graph was used");
        } else {
            tracing::warn!(entry = %self.folder.display(), "an optimised graph in the cache is damaged; it is made again");
            remove(&self.folder);
        }
        opened
    }

    /// Checks the graph before it is read. Checks the weights while it is read, since they are only mapped.
    fn open_sealed(&self, seal: &Seal, environment: &Environment, settings: Settings<'_>) -> Option<Session> {
        let (graph, others) = seal.files.split_first()?;
        if !holds(&self.folder, graph) {
            return None;
        }
        std::thread::scope(|scope| {
            let checked = scope.spawn(|| others.iter().all(|file| file.name == WEIGHTS && holds(&self.folder, file)));
            let session = session::open_on_cpu(environment, &self.folder.join(GRAPH), &Form::Optimised, settings);
            let is_whole = checked.join().unwrap_or(false);
            session.ok().filter(|_| is_whole)
        })
    }

    /// Makes the entry. It appears in one step, complete.
    fn make(&self, environment: &Environment, model: &Path, settings: Settings<'_>) -> io::Result<()> {
        fs::create_dir_all(self.cache)?;
        let needed_bytes = model_bytes(model, &settings.beside.files)? * FREE_PER_MODEL_BYTE;
        let room = rustix::fs::statvfs(self.cache)?;
        if room.f_bavail.saturating_mul(room.f_frsize) < needed_bytes {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let making = self.cache.join(format!("{UNFINISHED}{}-{}", std::process::id(), self.stem));
        remove(&making);
        fs::create_dir(&making)?;
        let made = self.fill(&making, environment, model, settings).and_then(|()| {
            remove(&self.folder);
            fs::rename(&making, &self.folder)
        });
        if made.is_err() {
            remove(&making);
        }
        sweep(self.cache, &self.stem, &self.folder);
        made
    }

    fn fill(&self, folder: &Path, environment: &Environment, model: &Path, settings: Settings<'_>) -> io::Result<()> {
        let form = Form::OptimisedInto {
            graph: folder.join(GRAPH),
            weights: WEIGHTS,
        };
        let session =
            session::open_on_cpu(environment, model, &form, settings).map_err(|error| io::Error::other(error.message().to_owned()))?;
        // The files are read again below, and the session's memory is not needed for that or later.
        drop(session);
        crate::priority::give_back_memory();
        let mut files = Vec::new();
        for name in [GRAPH, WEIGHTS] {
            match sealed(folder, name) {
                Ok(file) => files.push(file),
                // A model with only a few tiny weights has them all in its graph.
                Err(error) if error.kind() == io::ErrorKind::NotFound && name == WEIGHTS => {}
                Err(error) => return Err(error),
            }
        }
        let seal = Seal {
            about: self.about.clone(),
            files,
        };
        fs::write(folder.join(SEAL), serde_json::to_vec_pretty(&seal)?)
    }
}

fn model_bytes(model: &Path, beside: &[PathBuf]) -> io::Result<u64> {
    let mut n_bytes = model.metadata()?.len();
    for file in beside {
        n_bytes += file.metadata()?.len();
    }
    Ok(n_bytes)
}

fn sealed(folder: &Path, name: &str) -> io::Result<Sealed> {
    let mut file = File::open(folder.join(name))?;
    let mut hash = Xxh3::new();
    let mut buffer = vec![0; READ_BYTES];
    let mut size_bytes = 0;
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        size_bytes += n as u64;
        hash.update(&buffer[..n]);
    }
    Ok(Sealed {
        name: name.to_owned(),
        size_bytes,
        xxh3: format!("{:016x}", hash.digest()),
    })
}

fn holds(folder: &Path, expected: &Sealed) -> bool {
    folder
        .join(&expected.name)
        .metadata()
        .is_ok_and(|found| found.len() == expected.size_bytes)
        && sealed(folder, &expected.name).is_ok_and(|found| found == *expected)
}

/// Removes what is not needed: earlier entries of the same model file, leftovers of killed workers, and the least recently used entries.
/// Another worker can still read a removed file that it has mapped.
fn sweep(cache: &Path, stem: &str, kept: &Path) {
    let Ok(found) = fs::read_dir(cache) else { return };
    let mut others = Vec::new();
    for entry in found.flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        let used = |file: &Path| file.metadata().and_then(|metadata| metadata.modified()).unwrap_or(UNIX_EPOCH);
        if path == kept {
            continue;
        }
        if name.starts_with(UNFINISHED) {
            if used(&path).elapsed().is_ok_and(|age| age > UNFINISHED_FOR) {
                remove(&path);
            }
        } else if name.starts_with(stem) {
            remove(&path);
        } else {
            others.push((used(&path.join(SEAL)), path));
        }
    }
    others.sort();
    let n_excess = (others.len() + 1).saturating_sub(MAX_ENTRIES);
    for (_, path) in others.iter().take(n_excess) {
        remove(path);
    }
}

fn remove(folder: &Path) {
    match fs::remove_dir_all(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::debug!(%error, folder = %folder.display(), "cannot be removed from the cache"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_bounded_and_loses_what_nobody_needs() {
        let cache = tempfile::tempdir().unwrap();
        let put = |name: &str, age_s: u64| {
            let folder = cache.path().join(name);
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join(SEAL), "").unwrap();
            let then = SystemTime::now() - Duration::from_secs(age_s);
            for place in [folder.join(SEAL), folder] {
                File::open(place).unwrap().set_modified(then).unwrap();
            }
        };
        put("aaaa-1", 9999);
        put("aaaa-2", 0);
        put(".making-1-bbbb-", 2 * 3600);
        put(".making-2-cccc-", 60);
        for k in 0..8 {
            put(&format!("{k}000-1"), 100 + k);
        }
        sweep(cache.path(), "aaaa-", &cache.path().join("aaaa-2"));
        let mut left: Vec<String> = fs::read_dir(cache.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        let expected = [".making-2-cccc-", "0000-1", "1000-1", "2000-1", "3000-1", "4000-1", "aaaa-2"];
        assert_eq!(left, expected);
    }

    #[test]
    fn an_entry_is_for_one_file_one_library_and_one_processor() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("model.onnx");
        fs::write(&model, "weights").unwrap();
        fs::write(folder.path().join("other.onnx"), "of another model").unwrap();
        let about = |version: &str| {
            let graphs = Graphs::new(Some(folder.path().to_owned()), &model, version);
            graphs.about(&model, &[]).unwrap()
        };
        let first = about("1.32");
        assert_eq!(about("1.32"), first);
        assert!(!first.contains("other.onnx"), "{first}");
        assert_ne!(about("1.33"), first);
        // The same bytes, written again: only reading all of them would show that they are the same.
        fs::write(folder.path().join("new"), "weights").unwrap();
        fs::rename(folder.path().join("new"), &model).unwrap();
        let replaced = about("1.32");
        assert_ne!(replaced, first);
        fs::write(folder.path().join("model.onnx_data"), "more").unwrap();
        assert_ne!(about("1.32"), replaced);
    }
}
