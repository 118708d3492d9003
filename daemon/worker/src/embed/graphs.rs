//! Optimised graphs on disk, so that a worker started for one query need not optimise its model again.
//!
//! ONNX Runtime writes what became of a model (fused, and its weights packed as the processor's kernels want them) into a folder of the
//! cache. Opened from there nothing is parsed, copied or packed, and the weights are pages of a file: the system may drop them.
//! An entry is found by everything that decides its content ([`Graphs::about`]), and is used only while all its bytes have the hash
//! that was written down with them. Everything here may be deleted at any time, and whatever fails costs time and nothing else.
//! Only what the CPU provider made is kept: other providers keep things of their own.

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

/// Grows when an entry is made in another way.
const FORMAT: u32 = 1;
const GRAPH: &str = "model.onnx";
/// Beside the graph: weights that are not tiny, as they are and packed.
const WEIGHTS: &str = "model.onnx.data";
const SEAL: &str = "seal.json";
/// The start of the name of an entry that is being written.
const UNFINISHED: &str = ".making-";
/// What a worker that was killed left behind is removed after this long; nothing takes as long to be written.
const UNFINISHED_FOR: Duration = Duration::from_hours(1);
/// The towers of three models; entries used longest ago go first.
const MAX_ENTRIES: usize = 6;
/// An entry holds each packed weight twice, and the disk is not filled for the sake of speed.
const FREE_PER_MODEL_BYTE: u64 = 4;
const READ_BYTES: usize = 1 << 20;

/// The cache of one worker.
#[derive(Debug)]
pub(super) struct Graphs {
    /// `None` keeps nothing.
    folder: Option<PathBuf>,
    /// ONNX Runtime and the processor, in words.
    machine: String,
}

/// What was written down of an entry, last of all.
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
    /// Keeps graphs under `folder`, where the processor can be told from others; `library` is ONNX Runtime's file.
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

    /// Opens `model` for the CPU: from its entry, else from an entry that is made now, else as it is.
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

    /// Everything that decides what the optimised form of `model` is; `None` where that cannot be found out.
    fn about(&self, model: &Path, beside: &[PathBuf]) -> Option<String> {
        let mut about = format!("scened graph {FORMAT}\n{}", self.machine);
        // Weights may lie beside it, in files whose names begin with its own.
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
        // Or in files with names of their own.
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

/// What changes when a file is written, replaced or touched.
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

/// The processor's name and abilities: kernels are chosen, and weights packed, by them. `None` where they cannot be told.
fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let wanted = ["model name", "flags", "CPU implementer", "CPU part", "Features"];
    let mut lines: Vec<&str> = text
        .lines()
        .filter(|line| line.split(':').next().is_some_and(|key| wanted.contains(&key.trim())))
        .collect();
    // One line of each kind is enough where all cores are alike, and all of them where they are not.
    lines.sort_unstable();
    lines.dedup();
    (!lines.is_empty()).then(|| format!("{}\n{}", std::env::consts::ARCH, lines.join("\n")))
}

/// One model's place in the cache.
struct Entry<'a> {
    cache: &'a Path,
    /// The same for all entries of one model file, so that the ones before are found.
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

    /// The session of an entry that is there and whole.
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
            // The entry used longest ago is the first to go.
            let touched = File::open(self.folder.join(SEAL)).and_then(|seal| seal.set_modified(SystemTime::now()));
            tracing::trace!(?touched, "an optimised graph was used");
        } else {
            tracing::warn!(entry = %self.folder.display(), "an optimised graph in the cache is damaged; it is made again");
            remove(&self.folder);
        }
        opened
    }

    /// Checks the graph before it is read, and the weights (which are only mapped) while it is.
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

    /// Makes the entry; it appears at once and complete.
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
        // Its memory is not needed while the files are read again, nor later.
        drop(session);
        crate::priority::give_back_memory();
        let mut files = Vec::new();
        for name in [GRAPH, WEIGHTS] {
            match sealed(folder, name) {
                Ok(file) => files.push(file),
                // A model of a few tiny weights has them all in its graph.
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

/// Removes what is not needed: earlier entries of the same model file, what killed workers left, and the entries used longest ago.
/// A file that another worker has mapped stays readable for it.
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
        // The same bytes, written again: whether they are the same is not known without reading them all.
        fs::write(folder.path().join("new"), "weights").unwrap();
        fs::rename(folder.path().join("new"), &model).unwrap();
        let replaced = about("1.32");
        assert_ne!(replaced, first);
        fs::write(folder.path().join("model.onnx_data"), "more").unwrap();
        assert_ne!(about("1.32"), replaced);
    }
}
