//! The folder of keyframe pictures, from which vectors of another model are made without decoding a video again.
//!
//! Each content has one file ([`scened_common::media::keyframe_file`]), named by its fingerprint, so copies share it and moves cost
//! nothing. All of it can be deleted: if a file is missing or damaged, its video is decoded again when needed.

use std::fs::{self, DirBuilder, File};
use std::io::{self, BufWriter, Seek as _, SeekFrom};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use scened_common::domain::Fingerprint;
use scened_common::media::keyframe_file::Writer;
pub use scened_common::media::keyframe_file::{KeyframeScene, KeyframesError, Reader, SHORTER_SIDE_PX};

use crate::failpoint;

const EXTENSION: &str = "keyframes";

/// Name of the folder with the pictures, in the data folder.
pub const FOLDER: &str = "keyframes";

/// The folder with the pictures of all videos.
#[derive(Clone, Debug)]
pub struct Keyframes {
    folder: PathBuf,
}

/// The content of the folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    pub n_files: u64,
    pub size_bytes: u64,
}

impl Keyframes {
    /// `folder` is created when the first file is written.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    fn path(&self, fingerprint: &Fingerprint) -> PathBuf {
        let name = fingerprint.to_string();
        // The first two characters spread a large number of files over 256 folders.
        self.folder.join(&name[..2]).join(format!("{name}.{EXTENSION}"))
    }

    /// Starts the file of one content. It is valid only after [`UnfinishedFile::finish`] has returned.
    pub fn begin(&self, fingerprint: &Fingerprint) -> io::Result<UnfinishedFile> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let path = self.path(fingerprint);
        let folder = path.parent().unwrap_or(&self.folder);
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let unfinished = folder.join(format!("{}{}", unfinished_prefix(), COUNT.fetch_add(1, Ordering::Relaxed)));
        let file = File::create_new(&unfinished)?;
        match Writer::new(BufWriter::new(file), fingerprint) {
            Ok(writer) => Ok(UnfinishedFile {
                writer,
                unfinished: Some(unfinished),
                path,
            }),
            Err(error) => {
                delete(&unfinished);
                Err(error)
            }
        }
    }

    pub fn has(&self, fingerprint: &Fingerprint) -> bool {
        self.path(fingerprint).is_file()
    }

    /// Opens the pictures of one content, at the start of the file. Returns `None` if there are none.
    ///
    /// **Errors**: [`KeyframesError::Damaged`] if the file does not start like the pictures of this content.
    pub fn open(&self, fingerprint: &Fingerprint) -> Result<Option<File>, KeyframesError> {
        let mut file = match File::open(self.path(fingerprint)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if Reader::new(&mut file)?.fingerprint != *fingerprint {
            return Err(KeyframesError::Damaged("they belong to another video".to_owned()));
        }
        file.seek(SeekFrom::Start(0))?;
        Ok(Some(file))
    }

    /// Deletes the pictures of one content, if there are any.
    pub fn discard(&self, fingerprint: &Fingerprint) -> io::Result<()> {
        match fs::remove_file(self.path(fingerprint)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Deletes the pictures of contents that are no longer wanted, and the unfinished files of earlier processes. Returns their number.
    pub fn sweep(&self, is_wanted: impl Fn(&Fingerprint) -> bool) -> io::Result<u64> {
        let ours = unfinished_prefix();
        let mut n_deleted = 0;
        self.walk(|path, entry| {
            let stale = match fingerprint_of(path) {
                Some(fingerprint) => !is_wanted(&fingerprint),
                None => !entry.file_name().to_string_lossy().starts_with(&ours),
            };
            if stale {
                fs::remove_file(path)?;
                n_deleted += 1;
            }
            Ok(())
        })?;
        Ok(n_deleted)
    }

    /// Counts the files and their bytes.
    pub fn stock(&self) -> io::Result<Stock> {
        let mut stock = Stock::default();
        self.walk(|path, entry| {
            if fingerprint_of(path).is_some() {
                stock.n_files += 1;
                stock.size_bytes += entry.metadata()?.len();
            }
            Ok(())
        })?;
        Ok(stock)
    }

    /// Calls `visit` for every file. Files that disappear meanwhile are skipped.
    fn walk(&self, mut visit: impl FnMut(&Path, &fs::DirEntry) -> io::Result<()>) -> io::Result<()> {
        let list = |folder: &Path| match fs::read_dir(folder) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            other => other.map(Some),
        };
        for folder in list(&self.folder)?.into_iter().flatten() {
            for entry in list(&folder?.path())?.into_iter().flatten() {
                let entry = entry?;
                match visit(&entry.path(), &entry) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

/// Returns the prefix of the names of this process's unfinished files.
fn unfinished_prefix() -> String {
    format!(".{}-", std::process::id())
}

/// Returns the content that a file is named after; `None` for other files.
fn fingerprint_of(path: &Path) -> Option<Fingerprint> {
    if path.extension()? != EXTENSION {
        return None;
    }
    path.file_stem()?.to_str()?.parse().ok()
}

/// A file that takes the scenes of one video as they are found. It is deleted if dropped before it is finished.
#[derive(Debug)]
pub struct UnfinishedFile {
    writer: Writer<BufWriter<File>>,
    /// Its name until it is finished.
    unfinished: Option<PathBuf>,
    path: PathBuf,
}

impl UnfinishedFile {
    pub fn put(&mut self, scene: &KeyframeScene) -> io::Result<()> {
        self.writer.put(scene)
    }

    /// Completes the file, syncs it, and renames it to its final name.
    pub fn finish(mut self) -> io::Result<()> {
        self.writer.end()?;
        failpoint::hit("keyframes.written")?;
        self.writer.get_ref().get_ref().sync_data()?;
        if let Some(unfinished) = &self.unfinished {
            fs::rename(unfinished, &self.path)?;
        }
        self.unfinished = None;
        failpoint::hit("keyframes.end")
    }
}

impl Drop for UnfinishedFile {
    fn drop(&mut self) {
        if let Some(unfinished) = self.unfinished.take() {
            delete(&unfinished);
        }
    }
}

fn delete(unfinished: &Path) {
    if let Err(error) = fs::remove_file(unfinished) {
        tracing::warn!(path = %unfinished.display(), %error, "unfinished keyframe pictures cannot be deleted");
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use scened_common::media::keyframe_file::Keyframe;

    use super::*;
    use scened_common::domain::{Boundary, Span};

    fn scenes() -> Vec<KeyframeScene> {
        let scene = |n: u8| KeyframeScene {
            span: Span {
                start_ms: u64::from(n) * 100,
                end_ms: u64::from(n) * 100 + 100,
            },
            boundary: if n == 0 { Boundary::Start } else { Boundary::Cut },
            keyframes: (0..=n)
                .map(|k| Keyframe {
                    time_ms: u64::from(n) * 100 + u64::from(k),
                    picture: vec![n; 50 + usize::from(k)],
                })
                .collect(),
        };
        (0..3).map(scene).collect()
    }

    fn write(keyframes: &Keyframes, fingerprint: &Fingerprint) {
        let mut writer = keyframes.begin(fingerprint).unwrap();
        for scene in &scenes() {
            writer.put(scene).unwrap();
        }
        writer.finish().unwrap();
    }

    fn read(from: impl Read) -> Result<Vec<KeyframeScene>, KeyframesError> {
        let mut reader = Reader::new(from)?;
        let mut scenes = Vec::new();
        while let Some(scene) = reader.next_scene()? {
            scenes.push(scene);
        }
        Ok(scenes)
    }

    fn fixture() -> (tempfile::TempDir, Keyframes, Fingerprint) {
        let folder = tempfile::tempdir().unwrap();
        let keyframes = Keyframes::new(folder.path().join("keyframes"));
        (folder, keyframes, Fingerprint([0xab; 16]))
    }

    #[test]
    fn what_was_written_is_read_again() {
        let (_folder, keyframes, fingerprint) = fixture();
        assert!(keyframes.open(&fingerprint).unwrap().is_none());
        assert_eq!(keyframes.stock().unwrap(), Stock::default());
        write(&keyframes, &fingerprint);
        assert_eq!(read(keyframes.open(&fingerprint).unwrap().unwrap()).unwrap(), scenes());
        assert_eq!(keyframes.stock().unwrap().n_files, 1);
        write(&keyframes, &fingerprint);
        assert_eq!(keyframes.stock().unwrap().n_files, 1, "the same content has one file");
        keyframes.discard(&fingerprint).unwrap();
        keyframes.discard(&fingerprint).unwrap();
        assert!(!keyframes.has(&fingerprint));
    }

    #[test]
    fn what_was_not_finished_is_not_there_and_leaves_nothing() {
        let (_folder, keyframes, fingerprint) = fixture();
        let mut writer = keyframes.begin(&fingerprint).unwrap();
        writer.put(&scenes()[0]).unwrap();
        assert!(!keyframes.has(&fingerprint));
        let unfinished = writer.unfinished.clone().unwrap();
        drop(writer);
        assert!(!unfinished.try_exists().unwrap());
    }

    #[test]
    fn pictures_of_another_video_under_this_name_are_refused() {
        let (_folder, keyframes, fingerprint) = fixture();
        write(&keyframes, &fingerprint);
        let other = Fingerprint([0xcd; 16]);
        fs::create_dir_all(keyframes.path(&other).parent().unwrap()).unwrap();
        fs::copy(keyframes.path(&fingerprint), keyframes.path(&other)).unwrap();
        assert!(matches!(keyframes.open(&other), Err(KeyframesError::Damaged(_))));
    }

    #[test]
    fn sweeping_deletes_what_nobody_wants_and_what_was_never_finished() {
        let (_folder, keyframes, fingerprint) = fixture();
        let other = Fingerprint([0xcd; 16]);
        write(&keyframes, &fingerprint);
        write(&keyframes, &other);
        let left = keyframes.path(&other).with_file_name(".0-0");
        fs::write(&left, "half").unwrap();
        let being_written = keyframes.begin(&Fingerprint([0xef; 16])).unwrap();
        assert_eq!(keyframes.sweep(|found| *found == fingerprint).unwrap(), 2);
        assert!(keyframes.has(&fingerprint) && !keyframes.has(&other) && !left.try_exists().unwrap());
        being_written.finish().unwrap();
        assert_eq!(keyframes.sweep(|_| true).unwrap(), 0);
    }
}
