//! Plain values that every module of the daemon shares: ids, times, pictures, vectors.
//!
//! Owns no state and does no I/O. Does not know the protocol (no serde for it), the store's encoding or FFmpeg.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Names one video for as long as the store exists; never reused. It has at most 40 bits, so that a [`SceneId`] fits a `u64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct VideoId(pub u64);

impl fmt::Display for VideoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:010x}", self.0)
    }
}

/// Names one scene: its video and its place in that video's list of scenes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SceneId {
    /// The video that contains the scene.
    pub video: VideoId,
    /// Index into the video's scenes, from 0; below 2^24.
    pub index: u32,
}

impl SceneId {
    /// Number of bits of [`SceneId::key`] that hold the scene's index.
    const INDEX_BITS: u32 = 24;

    /// Returns the id of the scene at place `index` (from 0, below 2^24) of `video`.
    pub fn new(video: VideoId, index: usize) -> Self {
        debug_assert!(index < 1 << Self::INDEX_BITS, "a video has fewer than 2^24 scenes");
        Self {
            video,
            index: index as u32,
        }
    }

    /// Returns the key of this scene in the ANN index: 40 bits of video, 24 bits of index.
    pub fn key(self) -> u64 {
        (self.video.0 << Self::INDEX_BITS) | u64::from(self.index)
    }

    /// Returns the scene that has this [`SceneId::key`].
    pub fn from_key(key: u64) -> Self {
        Self {
            video: VideoId(key >> Self::INDEX_BITS),
            index: (key & ((1 << Self::INDEX_BITS) - 1)) as u32,
        }
    }
}

impl fmt::Display for SceneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.video, self.index)
    }
}

impl std::str::FromStr for SceneId {
    type Err = ParseSceneIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (video, index) = text.split_once('-')?;
            let video = u64::from_str_radix(video, 16).ok().filter(|v| *v < 1 << 40)?;
            let index = index.parse::<u32>().ok().filter(|i| *i < 1 << Self::INDEX_BITS)?;
            Some(Self {
                video: VideoId(video),
                index,
            })
        };
        parse().ok_or_else(|| ParseSceneIdError(text.to_owned()))
    }
}

/// The text does not have the form `<video in hexadecimal>-<index>`, or one of the two numbers is too large.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a scene id (like 0000000001-3)")]
pub struct ParseSceneIdError(String);

/// A part of a video. **Units**: milliseconds from the start of the video as a player shows it; `end_ms` is exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The first millisecond that belongs to the part.
    pub start_ms: u64,
    /// The first millisecond after it.
    pub end_ms: u64,
}

impl Span {
    /// Returns the length. Milliseconds; 0 if the end is before the start.
    pub fn duration_ms(self) -> u64 {
        self.end_ms.saturating_sub(self.start_ms)
    }
}

/// What `stat` reports about a file. Comparing two stamps shows whether the file changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStamp {
    /// Length of the file.
    pub size_bytes: u64,
    /// Modification time, nanoseconds since the Unix epoch.
    pub mtime_ns: i64,
    /// Inode number in the file system.
    pub inode: u64,
}

/// Which of a file's video tracks was analysed, and where its times are in the file. For programs that open the file themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PictureTrack {
    /// Its index among all streams of the file, as FFmpeg counts them.
    pub stream: u32,
    /// The container's own id for the stream: the PID in a transport stream, or the track number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<i64>,
    /// Its place among the file's video tracks, covers included, from 1.
    pub track: u32,
    /// Number of video tracks in the file, covers included.
    pub n_tracks: u32,
    /// Empty if the file's own time stamps are right throughout. Otherwise the parts in order of time, beginning with the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clock: Vec<ClockPart>,
    /// Ranges (from, to) in which the stamps of a few frames are wrong. Milliseconds of the video.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wrong: Vec<(u64, u64)>,
}

/// A part of a video within which the file's time stamps are continuous. It ends where the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockPart {
    /// Where it begins in the video's time. Milliseconds.
    pub start_ms: u64,
    /// The file's clock at the part's start, counted from a player's zero. Milliseconds.
    pub file_ms: i64,
    /// The file's clock at the part's end, counted likewise. Milliseconds.
    pub file_end_ms: i64,
    /// Offset of its first packet in the file. Bytes; 0 if the container does not say.
    pub offset_bytes: u64,
    /// Number of frames before it.
    pub first_frame: u64,
    /// Index of its stream, if the video continued in another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<u32>,
}

/// How a scene begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Boundary {
    /// The first scene of a video.
    Start,
    /// The picture changes from one frame to the next.
    Cut,
    /// A dissolve, a fade or a wipe.
    Gradual,
    /// A long shot was divided here.
    Part,
}

/// Recognises the same content under another name: file size and a 128-bit XXH3 of samples of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fingerprint(pub [u8; 16]);

/// 32 hexadecimal digits.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl std::str::FromStr for Fingerprint {
    type Err = ParseFingerprintError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u128::from_str_radix(text, 16).ok().filter(|_| is_hex);
        number.map(|number| Self(number.to_be_bytes())).ok_or(ParseFingerprintError)
    }
}

/// The text is not 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a fingerprint (32 hexadecimal digits)")]
pub struct ParseFingerprintError;

/// Names a model together with the exact files and precision that produce its vectors, like `starter-3f9c2b71`. One index never mixes
/// vectors of two different ids.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ModelId(pub String);

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a picture is fitted to the model's input square (or rectangle).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResizeMode {
    /// The whole picture is squeezed to the size; nothing is cropped (SigLIP, the starter).
    Squash,
    /// The shortest side is scaled to the size and the centre is cropped out (CLIP).
    ShortestSideCrop,
    /// The whole picture is scaled to fit inside the size; the rest is black.
    Letterbox,
    /// Two overlapping crops, one from each end of the longer side, which together show the whole picture. A picture that nearly has the
    /// model's shape gets one crop.
    TwoCrops,
}

/// Filter of the resize. Both are antialiased when shrinking, as in Pillow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resample {
    /// A triangle: each sample is weighted by its distance.
    Bilinear,
    /// Catmull and Rom's cubic, with a = -0.5.
    Bicubic,
}

/// The picture that a model needs. Normalisation (mean, std) is left to the embed worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSpec {
    /// Width of the picture. Pixels.
    pub width_px: u32,
    /// Height of the picture. Pixels.
    pub height_px: u32,
    /// Length to which the shortest side is scaled before the crop. Only for [`ResizeMode::ShortestSideCrop`] (usually the width).
    pub shortest_side_px: u32,
    /// How a frame becomes a picture of that size.
    pub resize: ResizeMode,
    /// The filter for the scaling.
    pub resample: Resample,
}

impl ImageSpec {
    /// Returns the largest number of pictures that one moment can give.
    pub fn most_views(&self) -> usize {
        match self.resize {
            ResizeMode::Squash | ResizeMode::ShortestSideCrop | ResizeMode::Letterbox => 1,
            ResizeMode::TwoCrops => 2,
        }
    }
}

/// How the model is shown pictures that do not have its shape: the setting `crop`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Crop {
    /// The choice that found most in measurements (`tests/compare/crops.py`). That is [`Crop::Two`] for models that crop. All other models
    /// get the pictures that they were trained on.
    #[default]
    Auto,
    /// Exactly what the model's files specify.
    Reference,
    /// The whole picture, squeezed.
    Squash,
    /// The whole picture between black margins. Models have seen more black margins than margins of other colours.
    Letterbox,
    /// Two overlapping crops.
    Two,
}

impl Crop {
    /// Every choice, in the order of the documentation.
    pub const ALL: [Self; 5] = [Self::Auto, Self::Reference, Self::Squash, Self::Letterbox, Self::Two];

    /// The name in the configuration and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Reference => "reference",
            Self::Squash => "squash",
            Self::Letterbox => "letterbox",
            Self::Two => "two",
        }
    }

    /// Returns the choice that `Auto` stands for, and any other choice unchanged.
    pub fn chosen_for(self, reference: ImageSpec) -> Self {
        match (self, reference.resize) {
            (Self::Auto, ResizeMode::ShortestSideCrop) => Self::Two,
            (Self::Auto, _) => Self::Reference,
            (crop, _) => crop,
        }
    }

    /// Returns `reference` with this way of fitting.
    pub fn of(self, reference: ImageSpec) -> ImageSpec {
        let resize = match self.chosen_for(reference) {
            Self::Auto | Self::Reference => reference.resize,
            Self::Squash => ResizeMode::Squash,
            Self::Letterbox => ResizeMode::Letterbox,
            Self::Two => ResizeMode::TwoCrops,
        };
        ImageSpec { resize, ..reference }
    }
}

impl std::str::FromStr for Crop {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|crop| crop.name() == text)
            .ok_or_else(|| format!("{text:?} is no crop (auto, reference, squash, letterbox, two)"))
    }
}

/// One picture of a video at a model's input size. If the model is shown one moment in several crops, they have the same time.
///
/// **Shape**: `rgb` is `[height_px, width_px, 3]` u8, row-major, full-range sRGB, no padding between rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Presentation time in milliseconds.
    pub time_ms: u64,
    /// Width. Pixels.
    pub width_px: u32,
    /// Height. Pixels.
    pub height_px: u32,
    /// `height_px × width_px × 3` bytes.
    pub rgb: Vec<u8>,
}

/// A vector of unit length.
///
/// **Shape**: `[dimensions]` f32. **Invariant**: every component is finite and the Euclidean norm is 1 (±1e-3).
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding(Vec<f32>);

/// A vector that cannot be normalised: empty, zero, NaN or infinite. usearch accepts such vectors and is poisoned by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("vector has no direction (it is empty, zero, or has a component that is not finite)")]
pub struct DegenerateVector;

impl Embedding {
    /// Scales `values` to unit length.
    pub fn normalised(mut values: Vec<f32>) -> Result<Self, DegenerateVector> {
        let norm = values.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>().sqrt();
        if !norm.is_finite() || norm < 1e-12 {
            return Err(DegenerateVector);
        }
        for value in &mut values {
            *value = (f64::from(*value) / norm) as f32;
        }
        Ok(Self(values))
    }

    /// Returns the normalised mean of `vectors`; `None` if there are none or they cancel out.
    pub fn mean<'a>(vectors: impl IntoIterator<Item = &'a Embedding>) -> Option<Self> {
        let mut vectors = vectors.into_iter();
        let mut sum = vectors.next()?.0.clone();
        for vector in vectors {
            if vector.0.len() != sum.len() {
                return None;
            }
            for (total, value) in sum.iter_mut().zip(&vector.0) {
                *total += value;
            }
        }
        Self::normalised(sum).ok()
    }

    /// Returns the cosine similarity, in [-1, 1]. Both vectors have the same dimensions.
    pub fn cosine(&self, other: &Self) -> f32 {
        dot(&self.0, &other.0)
    }

    /// Returns the components. **Shape**: `[dimensions]` f32.
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }

    /// Returns the number of components.
    pub fn dimensions(&self) -> usize {
        self.0.len()
    }
}

/// Computes the dot product in eight lanes, so that the compiler can vectorise it.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    debug_assert_eq!(a.len(), b.len());
    let mut lanes = [0.0_f32; 8];
    let (a_chunks, b_chunks) = (a.chunks_exact(8), b.chunks_exact(8));
    let tail: f32 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a_chunks.zip(b_chunks) {
        for lane in 0..8 {
            lanes[lane] += x[lane] * y[lane];
        }
    }
    lanes.iter().sum::<f32>() + tail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scene_ids_survive_the_ann_key_and_the_wire() {
        for (video, index) in [(1, 0), (0xff_ffff_ffff, (1 << 24) - 1), (77, 12)] {
            let id = SceneId::new(VideoId(video), index);
            assert_eq!(SceneId::from_key(id.key()), id);
            assert_eq!(id.to_string().parse::<SceneId>().unwrap(), id);
        }
        for text in ["", "1", "x-1", "1-x", "10000000000-0", "1-16777216", "1-1-1"] {
            assert!(text.parse::<SceneId>().is_err(), "{text:?} was taken for a scene id");
        }
    }

    #[test]
    fn degenerate_vectors_are_refused() {
        for values in [vec![], vec![0.0; 4], vec![f32::NAN, 1.0], vec![f32::INFINITY, 1.0]] {
            assert_eq!(Embedding::normalised(values), Err(DegenerateVector));
        }
    }

    #[test]
    fn mean_is_of_unit_length_and_between_its_parts() {
        let a = Embedding::normalised(vec![3.0, 0.0]).unwrap();
        let b = Embedding::normalised(vec![0.0, 0.5]).unwrap();
        let mean = Embedding::mean([&a, &b]).unwrap();
        assert!((mean.cosine(&mean) - 1.0).abs() < 1e-6);
        assert!((mean.cosine(&a) - mean.cosine(&b)).abs() < 1e-6);
        assert_eq!(Embedding::mean([]), None);
    }

    #[test]
    fn dot_adds_the_tail() {
        let a: Vec<f32> = (0..11).map(|i| i as f32).collect();
        assert!((dot(&a, &a) - 385.0).abs() < 1e-3);
    }
}
