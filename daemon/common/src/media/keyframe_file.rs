//! The format of a file of keyframe pictures: every frame of one video that was embedded, uncropped and small.
//!
//! The daemon writes such files, and a worker reads one when the user switches to another model. A file is a sequence of frames as on the
//! pipe ([`crate::pipe`]): a head with the fingerprint, the scenes in order of time, each with a checksum, and an end. A file without an
//! end was never finished.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};

use super::wire;
use crate::damage::is_damage;
use crate::domain::{Boundary, Fingerprint, Span};
use crate::pipe::{self, PipeError};

/// Length of a picture's shorter side; a smaller frame keeps its size. Pixels.
///
/// Most models see 224 px or 256 px. At the same file size, a slight enlargement for the latter loses less than stronger compression would.
pub const SHORTER_SIDE_PX: u32 = 224;

const FORMAT: u32 = 1;
const KIND_BEGIN: u8 = 1;
const KIND_SCENE: u8 = 2;
const KIND_END: u8 = 3;
/// Largest size of one scene's pictures. Bytes.
const MAX_SCENE_BYTES: usize = wire::MAX_SCENE_FRAMES * wire::MAX_KEYFRAME_BYTES + pipe::MAX_HEADER_BYTES;

/// One frame of a video. **Shape**: `picture` is a WebP or a JPEG of the whole frame as a player shows it, upright and with square pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyframe {
    /// Presentation time. Milliseconds of the video.
    pub time_ms: u64,
    /// The encoded picture.
    pub picture: Vec<u8>,
}

/// The pictures of one scene, in order of time; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyframeScene {
    /// The scene's time range.
    pub span: Span,
    /// How the scene begins.
    pub boundary: Boundary,
    /// Its pictures.
    pub keyframes: Vec<Keyframe>,
}

/// Why a file of keyframe pictures is rejected.
#[derive(Debug, thiserror::Error)]
pub enum KeyframesError {
    /// The system could not read the file; its content may be intact.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file is cut off, changed, or not a file of keyframe pictures.
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

/// Bytes of the checksum over head and pictures, at the end of a scene's body.
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

/// Writes the scenes of one video as they are found. The file is valid only once [`Writer::end`] has returned.
#[derive(Debug)]
pub struct Writer<W> {
    to: W,
    n_scenes: u64,
}

impl<W: Write> Writer<W> {
    /// Writes the head.
    pub fn new(mut to: W, fingerprint: &Fingerprint) -> io::Result<Self> {
        let begin = Begin {
            format: FORMAT,
            fingerprint: *fingerprint,
        };
        pipe::write_frame(&mut Unflushed(&mut to), KIND_BEGIN, &begin, &[]).map_err(to_io)?;
        Ok(Self { to, n_scenes: 0 })
    }

    /// Writes one scene.
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
        pipe::write_frame(&mut Unflushed(&mut self.to), KIND_SCENE, &head, &body).map_err(to_io)
    }

    /// Writes the end, without which a reader rejects the file, and flushes.
    pub fn end(&mut self) -> io::Result<()> {
        let end = End { n_scenes: self.n_scenes };
        pipe::write_frame(&mut self.to, KIND_END, &end, &[]).map_err(to_io)
    }

    /// Returns the underlying writer.
    pub fn get_ref(&self) -> &W {
        &self.to
    }
}

/// Suppresses the pipe's flush after each frame; a file is flushed at its end.
struct Unflushed<'a, W>(&'a mut W);

impl<W: Write> Write for Unflushed<'_, W> {
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

/// Reads one video's pictures and rejects anything incomplete.
#[derive(Debug)]
pub struct Reader<R> {
    from: R,
    /// Fingerprint of the content that the pictures were taken from.
    pub fingerprint: Fingerprint,
    n_scenes: u64,
}

impl<R: Read> Reader<R> {
    /// Reads the head.
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

    /// Returns the next scene; `None` at a valid end.
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

    const FINGERPRINT: Fingerprint = Fingerprint([0xab; 16]);

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

    fn written() -> Vec<u8> {
        let mut writer = Writer::new(Vec::new(), &FINGERPRINT).unwrap();
        for scene in &scenes() {
            writer.put(scene).unwrap();
        }
        writer.end().unwrap();
        writer.to
    }

    fn read(from: impl Read) -> Result<Vec<KeyframeScene>, KeyframesError> {
        let mut reader = Reader::new(from)?;
        let mut scenes = Vec::new();
        while let Some(scene) = reader.next_scene()? {
            scenes.push(scene);
        }
        Ok(scenes)
    }

    #[test]
    fn what_was_written_is_read_again() {
        assert_eq!(read(written().as_slice()).unwrap(), scenes());
    }

    #[test]
    fn every_damaged_byte_and_every_cut_is_noticed() {
        let whole = written();
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).is_err(), "cut to {length} bytes");
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            let is_another_video = || Reader::new(damaged.as_slice()).is_ok_and(|reader| reader.fingerprint != FINGERPRINT);
            assert!(read(damaged.as_slice()).is_err() || is_another_video(), "byte {at}");
        }
        let mut longer = whole;
        longer.push(0);
        assert!(read(longer.as_slice()).is_err());
    }
}
