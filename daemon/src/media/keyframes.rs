//! Keyframe pictures: every frame that was embedded, whole and small, so that another model is brought in without decoding a film again.
//!
//! One file a content, named by its fingerprint, so that copies share it and moves cost nothing. All of it can be deleted: what is
//! missing or damaged is decoded again when it is needed. A file is a row of frames as on a worker's pipe ([`crate::worker::pipe`]): a
//! header with the fingerprint, the scenes in order of time each with a checksum, and an end; what lacks its end was never finished.

use std::fs::{self, DirBuilder, File};
use std::io::{self, BufWriter, Read, Seek as _, SeekFrom};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::wire;
use crate::damage::is_damage;
use crate::domain::{Boundary, Fingerprint, Span};
use crate::failpoint;
use crate::worker::pipe::{self, PipeError};

/// Length of a picture's shorter side; a frame smaller than that is kept as it is. Pixels.
///
/// Most models see 224 px, or 256: what is enlarged a little for these loses less than what is compressed harder at the same size.
pub const SHORTER_SIDE_PX: u32 = 224;

const FORMAT: u32 = 1;
const KIND_BEGIN: u8 = 1;
const KIND_SCENE: u8 = 2;
const KIND_END: u8 = 3;
/// Cap on one scene's pictures. Bytes.
const MAX_SCENE_BYTES: usize = wire::MAX_SCENE_FRAMES * wire::MAX_KEYFRAME_BYTES + pipe::MAX_HEADER_BYTES;
const EXTENSION: &str = "keyframes";

/// One frame of a film. **Shape**: `picture` is a WebP or a JPEG of the whole frame as a player shows it, upright and with square pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyframe {
    pub time_ms: u64,
    pub picture: Vec<u8>,
}

/// The pictures of one scene, in order of time; never none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyframeScene {
    pub span: Span,
    pub boundary: Boundary,
    pub keyframes: Vec<Keyframe>,
}

/// Why a file of keyframe pictures is not believed.
#[derive(Debug, thiserror::Error)]
pub enum KeyframesError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the keyframe pictures are damaged: {0}")]
    Damaged(String),
}

impl From<PipeError> for KeyframesError {
    fn from(error: PipeError) -> Self {
        match error {
            PipeError::Io(error) if !is_damage(&error) => Self::Io(error),
            error => Self::Damaged(error.to_string()),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Begin {
    format: u32,
    fingerprint: Fingerprint,
}

#[derive(Serialize, Deserialize)]
struct SceneHead {
    span: Span,
    boundary: Boundary,
    times_ms: Vec<u64>,
    lengths: Vec<u32>,
}

/// Bytes of the checksum over head and pictures, which ends a scene's body.
const CHECKSUM_BYTES: usize = 4;

fn checksum(head: &[u8], pictures: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head);
    hasher.update(pictures);
    hasher.finalize().to_le_bytes()
}

#[derive(Serialize, Deserialize)]
struct End {
    n_scenes: u64,
}

/// The folder with the pictures of all films.
#[derive(Clone, Debug)]
pub struct Keyframes {
    folder: PathBuf,
}

/// What lies in the folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    pub n_files: u64,
    pub size_bytes: u64,
}

impl Keyframes {
    /// `folder` is made when there is something to put into it.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    fn path(&self, fingerprint: &Fingerprint) -> PathBuf {
        let name = fingerprint.to_string();
        // Two characters of it spread a great many files over 256 folders.
        self.folder.join(&name[..2]).join(format!("{name}.{EXTENSION}"))
    }

    /// Begins the pictures of one content; they count when [`Writer::finish`] has returned.
    pub fn begin(&self, fingerprint: &Fingerprint) -> io::Result<Writer> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let path = self.path(fingerprint);
        let folder = path.parent().unwrap_or(&self.folder);
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let unfinished = folder.join(format!("{}{}", unfinished_prefix(), COUNT.fetch_add(1, Ordering::Relaxed)));
        let mut writer = Writer {
            file: BufWriter::new(File::create_new(&unfinished)?),
            unfinished: Some(unfinished),
            path,
            n_scenes: 0,
        };
        let begin = Begin {
            format: FORMAT,
            fingerprint: *fingerprint,
        };
        pipe::write_frame(&mut Unflushed(&mut writer.file), KIND_BEGIN, &begin, &[]).map_err(to_io)?;
        Ok(writer)
    }

    pub fn has(&self, fingerprint: &Fingerprint) -> bool {
        self.path(fingerprint).is_file()
    }

    /// The pictures of one content, from the beginning of the file; `None` where there are none.
    ///
    /// **Errors**: [`KeyframesError::Damaged`] when the file does not begin as the pictures of this content do.
    pub fn open(&self, fingerprint: &Fingerprint) -> Result<Option<File>, KeyframesError> {
        let mut file = match File::open(self.path(fingerprint)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if Reader::new(&mut file)?.fingerprint != *fingerprint {
            return Err(KeyframesError::Damaged("they are of another film".to_owned()));
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

    /// Deletes the pictures of what is not wanted any more, and what an earlier process did not finish.
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

    /// Counts what is there.
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

    /// Calls `visit` for every file; what disappears meanwhile is passed over.
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

/// How the names of this process's unfinished files begin.
fn unfinished_prefix() -> String {
    format!(".{}-", std::process::id())
}

/// The content whose pictures a file is named for; `None` for other files.
fn fingerprint_of(path: &Path) -> Option<Fingerprint> {
    if path.extension()? != EXTENSION {
        return None;
    }
    path.file_stem()?.to_str()?.parse().ok()
}

/// Takes the scenes of one film as they are found.
#[derive(Debug)]
pub struct Writer {
    file: BufWriter<File>,
    /// Its name until it is finished; deleted when dropped before.
    unfinished: Option<PathBuf>,
    path: PathBuf,
    n_scenes: u64,
}

impl Writer {
    pub fn put(&mut self, scene: &KeyframeScene) -> io::Result<()> {
        if scene.keyframes.is_empty() {
            return Err(io::Error::other("a scene without pictures"));
        }
        let mut body: Vec<u8> = scene.keyframes.iter().flat_map(|keyframe| &keyframe.picture).copied().collect();
        let head = SceneHead {
            span: scene.span,
            boundary: scene.boundary,
            times_ms: scene.keyframes.iter().map(|keyframe| keyframe.time_ms).collect(),
            lengths: scene.keyframes.iter().map(|keyframe| keyframe.picture.len() as u32).collect(),
        };
        // The pipe writes the same bytes.
        let sum = checksum(&serde_json::to_vec(&head)?, &body);
        body.extend_from_slice(&sum);
        self.n_scenes += 1;
        pipe::write_frame(&mut Unflushed(&mut self.file), KIND_SCENE, &head, &body).map_err(to_io)
    }

    /// Ends the file, syncs it, and puts it in its place.
    pub fn finish(mut self) -> io::Result<()> {
        let end = End { n_scenes: self.n_scenes };
        pipe::write_frame(&mut self.file, KIND_END, &end, &[]).map_err(to_io)?;
        failpoint::hit("keyframes.written")?;
        self.file.get_ref().sync_data()?;
        if let Some(unfinished) = &self.unfinished {
            fs::rename(unfinished, &self.path)?;
        }
        self.unfinished = None;
        failpoint::hit("keyframes.end")
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(unfinished) = self.unfinished.take()
            && let Err(error) = fs::remove_file(&unfinished)
        {
            tracing::warn!(path = %unfinished.display(), %error, "unfinished keyframe pictures cannot be deleted");
        }
    }
}

/// Frames of a pipe are flushed one by one; a file is flushed at its end.
struct Unflushed<'a>(&'a mut BufWriter<File>);

impl io::Write for Unflushed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn to_io(error: PipeError) -> io::Error {
    match error {
        PipeError::Io(error) => error,
        error => io::Error::other(error),
    }
}

/// Reads one film's pictures and believes nothing that is not whole.
#[derive(Debug)]
pub struct Reader<R> {
    from: R,
    pub fingerprint: Fingerprint,
    n_scenes: u64,
}

impl<R: Read> Reader<R> {
    pub fn new(mut from: R) -> Result<Self, KeyframesError> {
        let damaged = |reason: &str| KeyframesError::Damaged(reason.to_owned());
        let frame = pipe::read_frame(&mut from, pipe::MAX_HEADER_BYTES)?.ok_or_else(|| damaged("the file is empty"))?;
        let begin: Begin = frame.header()?;
        if frame.kind != KIND_BEGIN || begin.format != FORMAT {
            return Err(damaged("the file begins with something else"));
        }
        Ok(Self {
            from,
            fingerprint: begin.fingerprint,
            n_scenes: 0,
        })
    }

    /// The next scene; `None` at the end that its writer gave it.
    pub fn next_scene(&mut self) -> Result<Option<KeyframeScene>, KeyframesError> {
        let damaged = |reason: &str| KeyframesError::Damaged(reason.to_owned());
        let frame = pipe::read_frame(&mut self.from, MAX_SCENE_BYTES)?.ok_or_else(|| damaged("the file breaks off"))?;
        if frame.kind == KIND_END {
            let end: End = frame.header()?;
            let is_last = self.from.read(&mut [0])? == 0;
            return if end.n_scenes == self.n_scenes && is_last {
                Ok(None)
            } else {
                Err(damaged("the end does not fit"))
            };
        }
        let (pictures, sum) = frame
            .body
            .split_last_chunk::<CHECKSUM_BYTES>()
            .ok_or_else(|| damaged("a scene without checksum"))?;
        if frame.kind != KIND_SCENE || checksum(&frame.header, pictures) != *sum {
            return Err(damaged("a scene does not fit its checksum"));
        }
        let head: SceneHead = frame.header()?;
        let n_bytes: u64 = head.lengths.iter().map(|length| u64::from(*length)).sum();
        if head.times_ms.is_empty() || head.times_ms.len() != head.lengths.len() || n_bytes != pictures.len() as u64 {
            return Err(damaged("a scene's numbers contradict each other"));
        }
        let mut rest = pictures;
        let mut keyframes = Vec::with_capacity(head.times_ms.len());
        for (time_ms, length) in head.times_ms.iter().zip(&head.lengths) {
            let (picture, after) = rest.split_at(*length as usize);
            keyframes.push(Keyframe {
                time_ms: *time_ms,
                picture: picture.to_vec(),
            });
            rest = after;
        }
        self.n_scenes += 1;
        Ok(Some(KeyframeScene {
            span: head.span,
            boundary: head.boundary,
            keyframes,
        }))
    }
}

#[cfg(feature = "fuzzing")]
pub mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;

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
    fn every_damaged_byte_and_every_cut_is_noticed() {
        let (_folder, keyframes, fingerprint) = fixture();
        write(&keyframes, &fingerprint);
        let whole = fs::read(keyframes.path(&fingerprint)).unwrap();
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).is_err(), "cut to {length} bytes");
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            let is_another_film = || Reader::new(damaged.as_slice()).is_ok_and(|reader| reader.fingerprint != fingerprint);
            assert!(read(damaged.as_slice()).is_err() || is_another_film(), "byte {at}");
        }
        let mut longer = whole;
        longer.push(0);
        assert!(read(longer.as_slice()).is_err());
    }

    #[test]
    fn pictures_of_another_film_under_this_name_are_refused() {
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
