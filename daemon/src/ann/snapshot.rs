//! Files of an index: `<model>.json` holds the name, size and hash of `<model>.<generation>.usearch`.
//!
//! usearch's own `save` has no temporary file, no fsync and no checksum. Loading a damaged file crashes or returns wrong results in most
//! cases. So the graph is written to a new file, synced and hashed, and only replacing the header makes it valid. A graph whose hash does
//! not match is not loaded. The graph is loaded into memory, not mapped, because a mapped file that shrinks is a crash.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use scened_common::damage::is_damage;
use scened_common::domain::ModelId;
use serde::{Deserialize, Serialize};
use usearch::Index;
use xxhash_rust::xxh3::Xxh3;

use super::{AnnError, Opened, engine};
use crate::failpoint;
use crate::quarantine::damage::is_absent;
use crate::quarantine::move_away;

const FORMAT: u32 = 1;
/// Disk space that a snapshot leaves free.
const LEFT_FREE_BYTES: u64 = 16 << 20;

/// Content of `<model>.json`.
#[derive(Serialize, Deserialize)]
struct Header {
    format: u32,
    model: String,
    dimensions: usize,
    generation: u64,
    n_scenes: usize,
    /// Name of the graph file, in the same folder.
    file: String,
    n_bytes: u64,
    /// XXH3, 128 bits, hexadecimal.
    hash: String,
}

pub(super) struct Files {
    dir: PathBuf,
    /// The model's name as a file name.
    stem: String,
    model: ModelId,
    dimensions: usize,
}

impl Files {
    pub(super) fn new(dir: &Path, model: &ModelId, dimensions: usize) -> Self {
        // Searches need no folder, and saving creates it again.
        if let Err(error) = std::fs::create_dir_all(dir) {
            tracing::warn!(path = %dir.display(), %error, "the folder of search indexes cannot be made now");
        }
        Self {
            dir: dir.to_owned(),
            stem: file_stem(model),
            model: model.clone(),
            dimensions,
        }
    }

    fn header_path(&self) -> PathBuf {
        self.dir.join(format!("{}.json", self.stem))
    }

    /// Loads the snapshot into `graph`, which is unusable unless this returns [`Opened::Loaded`].
    pub(super) fn load(&self, graph: &Index) -> Result<Opened, AnnError> {
        let header_path = self.header_path();
        let bytes = match std::fs::read(&header_path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Opened::Missing),
            Err(error) if header_path.is_dir() || is_damage(&error) => {
                return self.reject(format!("its header cannot be read: {error}"));
            }
            Err(error) => return Ok(unreadable(&header_path, &error)),
        };
        let header: Header = match serde_json::from_slice(&bytes) {
            Ok(header) => header,
            Err(error) => return self.reject(format!("its header makes no sense: {error}")),
        };
        if header.model != self.model.0 {
            return Ok(Opened::OtherModel);
        }
        if header.format != FORMAT {
            return self.reject(format!("its format is {} instead of {FORMAT}", header.format));
        }
        if header.dimensions != self.dimensions {
            return self.reject(format!("it has {} dimensions instead of {}", header.dimensions, self.dimensions));
        }
        if !self.owns(&header.file) {
            return self.reject(format!("its header names a foreign file {:?}", header.file));
        }
        let path = self.dir.join(&header.file);
        match hash_of(&path) {
            Ok(found) if found == (header.n_bytes, header.hash) => {}
            Ok(_) => return self.reject("its hash is not the one it was saved with".to_owned()),
            Err(error) if path.is_dir() || is_damage(&error) || is_absent(&path).is_ok_and(|is_absent| is_absent) => {
                return self.reject(format!("it cannot be read: {error}"));
            }
            Err(error) => return Ok(unreadable(&path, &error)),
        }
        let loaded = match path.to_str() {
            Some(text) => graph.load(text).map_err(|error| error.to_string()),
            None => std::fs::read(&path)
                .map_err(|error| error.to_string())
                .and_then(|bytes| graph.load_from_buffer(&bytes).map_err(|error| error.to_string())),
        };
        match loaded {
            // Its bytes were right a moment ago, and usearch does not pass on the system's error.
            Err(error) => Ok(Opened::Unreadable {
                reason: format!("usearch cannot load it: {error}"),
            }),
            Ok(()) if graph.size() != header.n_scenes => {
                self.reject(format!("it holds {} scenes instead of {}", graph.size(), header.n_scenes))
            }
            Ok(()) => Ok(Opened::Loaded {
                generation: header.generation,
            }),
        }
    }

    /// Quarantines the files of this model. Only the newest damaged ones are kept: they are copies of the store's content.
    pub(super) fn reject(&self, reason: String) -> Result<Opened, AnnError> {
        for name in self.names()? {
            if name.contains(".damaged-") {
                self.delete(&name);
            }
        }
        let mut aside = Vec::new();
        for name in self.names()? {
            let path = self.dir.join(&name);
            aside.push(move_away(&path).map_err(file_error("set aside", &path))?);
        }
        tracing::warn!(model = %self.model, reason, "the search index was damaged and is built anew");
        Ok(Opened::Damaged { reason, set_aside: aside })
    }

    pub(super) fn save(&self, graph: &Index, generation: u64) -> Result<(), AnnError> {
        std::fs::create_dir_all(&self.dir).map_err(file_error("create", &self.dir))?;
        let name = format!("{}.{generation}.usearch", self.stem);
        let path = self.dir.join(&name);
        let temporary = self.dir.join(format!("{name}.new"));
        // A snapshot that fills the disk would stop the store, and it can be made again.
        let needed_bytes = graph.serialized_length() as u64 + LEFT_FREE_BYTES;
        if crate::machine::disk_space::free_bytes(&self.dir).is_some_and(|free| free < needed_bytes) {
            return Err(file_error("find room for", &path)(ErrorKind::StorageFull.into()));
        }
        let at = |point| failpoint::hit(point).map_err(file_error("write", &path));
        at("snapshot.begin")?;
        if let Err(error) = write_graph(graph, &temporary) {
            // Half a snapshot on a full disk takes space that others need.
            let _deleted = std::fs::remove_file(&temporary);
            return Err(error);
        }
        at("snapshot.written")?;
        let (n_bytes, hash) = hash_of(&temporary).map_err(file_error("read", &temporary))?;
        std::fs::rename(&temporary, &path).map_err(file_error("rename", &temporary))?;
        at("snapshot.renamed")?;
        let header = Header {
            format: FORMAT,
            model: self.model.0.clone(),
            dimensions: self.dimensions,
            generation,
            n_scenes: graph.size(),
            file: name.clone(),
            n_bytes,
            hash,
        };
        self.write_header(&header)?;
        at("snapshot.end")?;
        for other in self.names()? {
            let is_graph = Path::new(&other)
                .extension()
                .is_some_and(|extension| extension == "usearch" || extension == "new");
            if other != name && is_graph {
                self.delete(&other);
            }
        }
        Ok(())
    }

    fn write_header(&self, header: &Header) -> Result<(), AnnError> {
        let path = self.header_path();
        let temporary = self.dir.join(format!("{}.json.new", self.stem));
        let write = || {
            let mut file = File::create(&temporary)?;
            file.write_all(&serde_json::to_vec_pretty(header)?)?;
            file.sync_all()?;
            failpoint::hit("snapshot.header")?;
            std::fs::rename(&temporary, &path)?;
            // The renames are durable once the folder is.
            #[cfg(unix)]
            File::open(&self.dir)?.sync_all()?;
            Ok(())
        };
        write().map_err(file_error("write", &path))
    }

    /// Returns the names of this model's files in the folder, sorted.
    fn names(&self) -> Result<Vec<String>, AnnError> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.dir).map_err(file_error("list", &self.dir))? {
            let entry = entry.map_err(file_error("list", &self.dir))?;
            if let Ok(name) = entry.file_name().into_string()
                && self.owns(&name)
            {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Decides whether a name is `<stem>.json…` or `<stem>.<digits>.usearch…`.
    fn owns(&self, name: &str) -> bool {
        let Some(rest) = name.strip_prefix(&self.stem).and_then(|rest| rest.strip_prefix('.')) else {
            return false;
        };
        let first = rest.split('.').next().unwrap_or_default();
        let is_graph = first.parse::<u64>().is_ok() && rest[first.len()..].starts_with(".usearch");
        !rest.contains('/') && (first == "json" || is_graph)
    }

    /// Deletes every file of this model's snapshots.
    pub(super) fn delete_all(&self) -> Result<(), AnnError> {
        for name in self.names()? {
            self.delete(&name);
        }
        Ok(())
    }

    fn delete(&self, name: &str) {
        let path = self.dir.join(name);
        let deleted = if path.is_dir() {
            std::fs::remove_dir_all(&path)
        } else {
            std::fs::remove_file(&path)
        };
        if let Err(error) = deleted {
            tracing::warn!(path = %path.display(), %error, "an old file of the search index stays");
        }
    }
}

/// Reports an unreadable snapshot, which may be intact. The index is filled from the store, and the files stay until a new snapshot is
/// saved.
fn unreadable(path: &Path, error: &std::io::Error) -> Opened {
    Opened::Unreadable {
        reason: format!("{} cannot be read: {error}", path.display()),
    }
}

/// Returns the model's id with unsafe characters for a file name replaced. A hash follows, so that two ids stay two names.
fn file_stem(model: &ModelId) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !model.0.is_empty() && model.0.len() <= 100 && model.0.chars().all(is_plain) {
        return model.0.clone();
    }
    let plain: String = model.0.chars().take(60).map(|c| if is_plain(c) { c } else { '_' }).collect();
    format!("{plain}-{:016x}", xxhash_rust::xxh3::xxh3_64(model.0.as_bytes()))
}

fn write_graph(graph: &Index, temporary: &Path) -> Result<(), AnnError> {
    if let Some(text) = temporary.to_str() {
        graph.save(text).map_err(engine("write its snapshot"))?;
    } else {
        // usearch accepts only UTF-8 names.
        let mut bytes = vec![0; graph.serialized_length()];
        graph.save_to_buffer(&mut bytes).map_err(engine("write its snapshot"))?;
        std::fs::write(temporary, &bytes).map_err(file_error("write", temporary))?;
    }
    let synced = File::open(temporary).and_then(|file| file.sync_all());
    synced.map_err(file_error("sync", temporary))
}

/// Returns the length and XXH3 of a file.
fn hash_of(path: &Path) -> std::io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let mut hasher = Xxh3::new();
    let mut buffer = vec![0; 1 << 20];
    let mut n_bytes = 0;
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok((n_bytes, format!("{:032x}", hasher.digest128())));
        }
        hasher.update(&buffer[..n]);
        n_bytes += n as u64;
    }
}

fn file_error(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> AnnError {
    let path = path.to_owned();
    move |source| AnnError::File { action, path, source }
}
