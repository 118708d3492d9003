//! Finds weights that are stored beside an ONNX file, by the names in that file, and decides whether they may be read.
//!
//! A large model keeps its tensors in other files and names them (`external_data`, `location`). The hub's cache consists of links
//! (`snapshots/<revision>/…` → `../../blobs/<hash>`). ONNX Runtime does not open weights through a link that leaves the folder of the ONNX
//! file, so the worker maps those itself. This module decides where they may lead: the model's own folder, or the cache of the same
//! repository. A link to anywhere else, or a name that climbs out, is refused. A model may come from anyone, and must not read arbitrary
//! files.
//!
//! Only the few fields of an ONNX file that lead to those names are read; weights inside it are skipped.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Component, Path, PathBuf};

use super::ModelError;

/// No model has more files or longer names than this.
const MAX_LOCATIONS: usize = 4096;
const MAX_LOCATION_BYTES: u64 = 4096;
/// Graphs inside graphs (branches and loops) are not nested deeper than this.
const MAX_DEPTH: usize = 32;

/// One file of weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weights {
    /// The name in the ONNX file, relative to its folder.
    pub location: String,
    /// Its path with all links resolved.
    pub path: PathBuf,
    /// Whether ONNX Runtime opens it by itself.
    pub is_in_folder: bool,
}

/// Returns the files of weights that `onnx` names, each once, in order of their names.
///
/// **Errors**: a file is missing, is outside the model's folder and its cache, or cannot be checked.
pub fn weights(model: &Path, onnx: &Path) -> Result<Vec<Weights>, ModelError> {
    let unread = |source| ModelError::Read {
        path: onnx.to_owned(),
        source,
    };
    let mut locations = locations(onnx).map_err(unread)?;
    locations.sort();
    locations.dedup();
    if locations.is_empty() {
        return Ok(Vec::new());
    }
    let folder = onnx.parent().unwrap_or(model);
    let real_folder = folder.canonicalize().map_err(unread)?;
    let mut allowed = vec![model.canonicalize().map_err(unread)?, real_folder.clone()];
    let real_onnx = onnx.canonicalize().map_err(unread)?;
    let caches: Vec<PathBuf> = allowed.iter().chain([&real_onnx]).filter_map(|place| cache_of(place)).collect();
    allowed.extend(caches);
    locations
        .into_iter()
        .map(|location| {
            let named = folder.join(&location);
            let path = match named.canonicalize() {
                Ok(path) => path,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(ModelError::Missing {
                        path: model.to_owned(),
                        file: named.strip_prefix(model).unwrap_or(&named).display().to_string(),
                        action: "it holds weights of the model; download the whole model again (`scenectl model install`)".to_owned(),
                    });
                }
                Err(source) => return Err(ModelError::Read { path: named, source }),
            };
            if Path::new(&location).is_absolute() || !allowed.iter().any(|place| path.starts_with(place)) {
                return Err(ModelError::Outside {
                    path: onnx.to_owned(),
                    location,
                    target: path,
                });
            }
            let climbs = Path::new(&location).components().any(|part| part == Component::ParentDir);
            Ok(Weights {
                // ONNX Runtime allows the folder of the file as named, and the folder of the file that a link leads to.
                is_in_folder: !climbs
                    && (path.starts_with(&real_folder) || real_onnx.parent().is_some_and(|place| path.starts_with(place))),
                location,
                path,
            })
        })
        .collect()
}

/// Returns the hub's cache of the repository that contains the path. Such a cache has `snapshots`, with one folder per revision, and
/// `blobs`.
fn cache_of(place: &Path) -> Option<PathBuf> {
    let above = |name: &str| {
        place
            .ancestors()
            .find(|folder| folder.file_name().is_some_and(|found| found == name))
    };
    let cache = above("snapshots").or_else(|| above("blobs"))?.parent()?;
    let has = |name: &str| cache.join(name).metadata().is_ok_and(|found| found.is_dir());
    (has("snapshots") && has("blobs")).then(|| cache.to_owned())
}

/// Messages of the ONNX format on the way to the names. **Source**: onnx.proto3.
#[derive(Clone, Copy)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Function,
    Sparse,
    Tensor,
    /// A key and a value.
    Entry,
}

impl Message {
    fn part(self, field: u64) -> Option<Self> {
        Some(match (self, field) {
            (Self::Model, 7) | (Self::Attribute, 6 | 11) => Self::Graph,
            (Self::Model, 25) => Self::Function,
            (Self::Graph | Self::Function, 1 | 7) => Self::Node,
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) | (Self::Sparse, 1 | 2) => Self::Tensor,
            (Self::Graph, 15) | (Self::Attribute, 22 | 23) => Self::Sparse,
            (Self::Node, 5) => Self::Attribute,
            (Self::Tensor, 13) => Self::Entry,
            _ => return None,
        })
    }
}

/// Returns the names in the file. If it is not a valid ONNX file, returns the names found up to the fault; ONNX Runtime reports what is
/// wrong.
fn locations(onnx: &Path) -> io::Result<Vec<String>> {
    let file = File::open(onnx)?;
    let length = file.metadata()?.len();
    let mut reader = Reader {
        from: BufReader::with_capacity(1 << 16, file),
        at: 0,
        found: Vec::new(),
    };
    match reader.message(Message::Model, length, 0) {
        Err(error) if error.kind() != io::ErrorKind::InvalidData && error.kind() != io::ErrorKind::UnexpectedEof => Err(error),
        _ => Ok(reader.found),
    }
}

struct Reader {
    from: BufReader<File>,
    at: u64,
    found: Vec<String>,
}

impl Reader {
    fn message(&mut self, message: Message, end: u64, depth: usize) -> io::Result<()> {
        let malformed = || io::Error::from(io::ErrorKind::InvalidData);
        if depth > MAX_DEPTH {
            return Err(malformed());
        }
        let mut key = String::new();
        while self.at < end {
            let tag = self.varint()?;
            let (field, wire) = (tag >> 3, tag & 7);
            match wire {
                0 => drop(self.varint()?),
                1 => self.skip(8, end)?,
                5 => self.skip(4, end)?,
                2 => {
                    let length = self.varint()?;
                    let part_end = self
                        .at
                        .checked_add(length)
                        .filter(|part_end| *part_end <= end)
                        .ok_or_else(malformed)?;
                    match (message, message.part(field)) {
                        (Message::Entry, _) if field == 1 => key = self.text(length)?,
                        (Message::Entry, _) if field == 2 && key == "location" => {
                            let location = self.text(length)?;
                            if self.found.len() < MAX_LOCATIONS && self.found.last() != Some(&location) {
                                self.found.push(location);
                            }
                        }
                        (_, Some(part)) => self.message(part, part_end, depth + 1)?,
                        (_, None) => self.skip(length, end)?,
                    }
                    if self.at != part_end {
                        return Err(malformed());
                    }
                }
                _ => return Err(malformed()),
            }
        }
        Ok(())
    }

    fn varint(&mut self) -> io::Result<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let mut byte = [0];
            self.from.read_exact(&mut byte)?;
            self.at += 1;
            value |= u64::from(byte[0] & 0x7f) << shift;
            if byte[0] & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(io::ErrorKind::InvalidData.into())
    }

    fn text(&mut self, length: u64) -> io::Result<String> {
        if length > MAX_LOCATION_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut bytes = vec![0; length as usize];
        self.from.read_exact(&mut bytes)?;
        self.at += length;
        String::from_utf8(bytes).map_err(|_| io::ErrorKind::InvalidData.into())
    }

    fn skip(&mut self, length: u64, end: u64) -> io::Result<()> {
        let at = self
            .at
            .checked_add(length)
            .filter(|at| *at <= end)
            .ok_or(io::ErrorKind::InvalidData)?;
        if length <= self.from.buffer().len() as u64 {
            self.from.consume(length as usize);
        } else {
            self.from
                .seek_relative(i64::try_from(length).map_err(|_| io::ErrorKind::InvalidData)?)?;
        }
        self.at = at;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![number << 3 | 2];
        let mut length = content.len();
        while length >= 0x80 {
            bytes.push((length as u8) | 0x80);
            length >>= 7;
        }
        bytes.push(length as u8);
        bytes.extend(content);
        bytes
    }

    fn tensor(location: &str) -> Vec<u8> {
        let entry = |key: &str, value: &str| field(13, &[field(1, key.as_bytes()), field(2, value.as_bytes())].concat());
        [field(8, b"a name"), entry("location", location), entry("offset", "0")].concat()
    }

    /// Builds a model with one tensor in its graph and one in a branch of a node, both stored beside the file. A third one of `n_inside`
    /// bytes is inside the file.
    fn model(in_graph: &str, in_branch: &str, n_inside: usize) -> Vec<u8> {
        let inside = field(5, &field(9, &vec![7; n_inside]));
        let branch = field(5, &field(6, &field(5, &tensor(in_branch))));
        let graph = [inside, field(1, &branch), field(5, &tensor(in_graph))].concat();
        [vec![8, 9], field(7, &graph)].concat()
    }

    struct Case {
        folder: tempfile::TempDir,
    }

    impl Case {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            std::fs::create_dir_all(folder.path().join("model/onnx/deep")).unwrap();
            Self { folder }
        }

        fn at(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn put(&self, name: &str, content: &[u8]) -> PathBuf {
            let path = self.at(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, content).unwrap();
            path
        }

        fn weights(&self) -> Result<Vec<Weights>, ModelError> {
            weights(&self.at("model"), &self.at("model/onnx/text.onnx"))
        }
    }

    #[test]
    fn weights_are_found_by_the_names_in_the_file_wherever_in_it_they_are() {
        let case = Case::new();
        case.put("model/onnx/text.onnx", &model("deep/weights.bin", "text.onnx_data", 1 << 20));
        case.put("model/onnx/text.onnx_data", b"");
        let error = case.weights().unwrap_err();
        assert!(
            matches!(&error, ModelError::Missing { file, .. } if file == "onnx/deep/weights.bin"),
            "{error}"
        );
        case.put("model/onnx/deep/weights.bin", b"");
        let found = case.weights().unwrap();
        let names: Vec<_> = found.iter().map(|file| (file.location.as_str(), file.is_in_folder)).collect();
        assert_eq!(names, [("deep/weights.bin", true), ("text.onnx_data", true)]);
        for nonsense in [&b"weights"[..], b"", &[0xff; 64], &[0x3a, 0xff, 0xff, 0xff, 0xff, 0x0f, 1]] {
            case.put("model/onnx/text.onnx", nonsense);
            assert_eq!(case.weights().unwrap(), []);
        }
    }

    #[test]
    fn links_of_a_hubs_cache_are_followed_and_links_out_of_it_are_refused() {
        let case = Case::new();
        let onnx = model("text.onnx_data", "text.onnx_data", 10);
        let snapshot = case.at("hub/models--a--b/snapshots/0123/onnx");
        std::fs::create_dir_all(&snapshot).unwrap();
        case.put("hub/models--a--b/blobs/aa", &onnx);
        case.put("hub/models--a--b/blobs/bb", b"weights");
        symlink("../../../blobs/aa", snapshot.join("text.onnx")).unwrap();
        symlink("../../../blobs/bb", snapshot.join("text.onnx_data")).unwrap();
        let of_snapshot = || weights(snapshot.parent().unwrap(), &snapshot.join("text.onnx"));
        let found = of_snapshot().unwrap();
        assert_eq!(found[0].path, case.at("hub/models--a--b/blobs/bb").canonicalize().unwrap());
        assert!(found[0].is_in_folder, "both lie among the blobs");
        // The result is the same through a link to the whole model.
        symlink(snapshot.parent().unwrap(), case.at("linked")).unwrap();
        assert_eq!(weights(&case.at("linked"), &case.at("linked/onnx/text.onnx")).unwrap(), found);
        // A half-copied cache has one regular file and one link.
        std::fs::remove_file(snapshot.join("text.onnx")).unwrap();
        std::fs::write(snapshot.join("text.onnx"), &onnx).unwrap();
        assert!(!of_snapshot().unwrap()[0].is_in_folder);
        // Another repository's blob, and a file of the user's.
        case.put("hub/models--c--d/blobs/cc", b"of another");
        case.put("secret", b"of the user");
        for target in ["../../../../models--c--d/blobs/cc", "../../../../../secret"] {
            std::fs::remove_file(snapshot.join("text.onnx_data")).unwrap();
            symlink(target, snapshot.join("text.onnx_data")).unwrap();
            let error = of_snapshot().unwrap_err();
            assert!(matches!(error, ModelError::Outside { .. }), "{target}: {error}");
        }
    }

    #[test]
    fn names_that_climb_out_of_the_model_are_refused_and_those_within_it_are_not() {
        let case = Case::new();
        let secret = case.put("secret", b"of the user");
        case.put("model/beside.bin", b"weights");
        let climbs = |location: &str| {
            case.put("model/onnx/text.onnx", &model(location, location, 0));
            case.weights()
        };
        for location in [
            "../../secret",
            secret.to_str().unwrap(),
            "/proc/self/cwd/Cargo.toml",
            "deep/../../../secret",
        ] {
            let error = climbs(location).unwrap_err();
            assert!(matches!(error, ModelError::Outside { .. }), "{location}: {error}");
        }
        let found = climbs("../beside.bin").unwrap();
        assert_eq!((found.len(), found[0].is_in_folder), (1, false));
        // A link in an ordinary folder is refused, too.
        symlink(&secret, case.at("model/onnx/text.onnx_data")).unwrap();
        assert!(matches!(climbs("text.onnx_data"), Err(ModelError::Outside { .. })));
    }
}
