//! An [`Embedder`] without a model: it compares pictures and texts by the names of colours.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use scened_common::domain::{Embedding, Frame, ImageSpec, ModelId, Resample, ResizeMode};
use xxhash_rust::xxh3::xxh3_64;

use crate::embed::{EmbedError, Embedder, ModelInfo, ProviderReport};

/// The words that it knows, and the RGB value of each.
pub const COLOURS: [(&str, [u8; 3]); 11] = [
    ("black", [0, 0, 0]),
    ("white", [255, 255, 255]),
    ("grey", [128, 128, 128]),
    ("red", [255, 0, 0]),
    ("green", [0, 160, 0]),
    ("blue", [0, 0, 255]),
    ("yellow", [255, 255, 0]),
    ("cyan", [0, 255, 255]),
    ("magenta", [255, 0, 255]),
    ("orange", [255, 128, 0]),
    ("brown", [120, 70, 20]),
];
/// Components that distinguish inputs with the same colours.
const N_HASHED: usize = 5;
/// Weight of those components relative to the colours.
const HASHED_WEIGHT: f32 = 0.05;

/// Deterministic fake. A picture's vector holds, for each of [`COLOURS`], the share of pixels nearest to it. A text's vector holds the
/// colours it names. So "red" finds red pictures, and a text without a colour finds nothing in particular.
#[derive(Debug)]
pub struct FakeEmbedder {
    info: ModelInfo,
    n_texts: AtomicU64,
    n_frames: AtomicU64,
    failure: Mutex<Option<EmbedError>>,
}

impl Default for FakeEmbedder {
    fn default() -> Self {
        Self::named("fake")
    }
}

impl FakeEmbedder {
    /// Creates a model of that name for pictures of 16×16 px. Other names give other ids, and vectors that differ a little.
    pub fn named(name: &str) -> Self {
        let image = ImageSpec {
            width_px: 16,
            height_px: 16,
            shortest_side_px: 16,
            resize: ResizeMode::Squash,
            resample: Resample::Bilinear,
        };
        Self::with_image(name, image)
    }

    pub fn with_image(name: &str, image: ImageSpec) -> Self {
        Self {
            info: ModelInfo {
                id: ModelId(format!("{name}-{:08x}", xxh3_64(name.as_bytes()) >> 32)),
                name: name.to_owned(),
                dimensions: Some(COLOURS.len() + N_HASHED),
                image,
                is_starter: false,
            },
            n_texts: AtomicU64::new(0),
            n_frames: AtomicU64::new(0),
            failure: Mutex::new(None),
        }
    }

    /// Makes every call fail with `error`, until this is called with `None`.
    pub fn fail_with(&self, error: Option<EmbedError>) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }

    /// Returns the number of texts embedded so far.
    pub fn n_texts(&self) -> u64 {
        self.n_texts.load(Ordering::Relaxed)
    }

    /// Returns the number of frames embedded so far.
    pub fn n_frames(&self) -> u64 {
        self.n_frames.load(Ordering::Relaxed)
    }

    fn check_failure(&self) -> Result<(), EmbedError> {
        match &*self.failure.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    fn vector(&self, mut colours: Vec<f32>, rest: &[u8]) -> Embedding {
        let hash = xxh3_64(rest) ^ xxh3_64(self.info.name.as_bytes());
        let hashed = |i: usize| (f32::from((hash >> (8 * i)) as u8) / 255.0 + 0.01) * HASHED_WEIGHT;
        colours.extend((0..N_HASHED).map(hashed));
        Embedding::normalised(colours).expect("the hashed components are above zero")
    }

    fn text(&self, text: &str) -> Embedding {
        let lower = text.to_lowercase();
        let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).collect();
        let colours = COLOURS
            .iter()
            .map(|(name, _)| if words.contains(name) { 1.0 } else { 0.0 })
            .collect();
        self.vector(colours, lower.as_bytes())
    }

    fn frame(&self, frame: &Frame) -> Embedding {
        let mut shares = vec![0.0; COLOURS.len()];
        let weight = 1.0 / (frame.rgb.len() / 3) as f32;
        for pixel in frame.rgb.chunks_exact(3) {
            let distance = |colour: &[u8; 3]| -> u32 { pixel.iter().zip(colour).map(|(a, b)| u32::from(a.abs_diff(*b)).pow(2)).sum() };
            let nearest = (0..COLOURS.len()).min_by_key(|i| distance(&COLOURS[*i].1)).unwrap_or(0);
            shares[nearest] += weight;
        }
        self.vector(shares, &frame.rgb)
    }
}

impl Embedder for FakeEmbedder {
    fn model(&self) -> ModelInfo {
        self.info.clone()
    }

    fn embed_texts(&self, texts: &[String]) -> Result<Vec<Embedding>, EmbedError> {
        assert!(!texts.is_empty(), "a caller with no texts has no reason to call");
        self.check_failure()?;
        self.n_texts.fetch_add(texts.len() as u64, Ordering::Relaxed);
        Ok(texts.iter().map(|text| self.text(text)).collect())
    }

    fn embed_pictures(&self, pictures: &[Frame]) -> Result<Vec<Embedding>, EmbedError> {
        self.embed_frames(pictures)
    }

    fn embed_frames(&self, frames: &[Frame]) -> Result<Vec<Embedding>, EmbedError> {
        assert!(!frames.is_empty(), "a caller with no frames has no reason to call");
        let image = self.info.image;
        for frame in frames {
            assert_eq!(
                (frame.width_px, frame.height_px),
                (image.width_px, image.height_px),
                "size of a frame"
            );
            assert_eq!(
                frame.rgb.len(),
                image.width_px as usize * image.height_px as usize * 3,
                "bytes of a frame"
            );
        }
        self.check_failure()?;
        self.n_frames.fetch_add(frames.len() as u64, Ordering::Relaxed);
        Ok(frames.iter().map(|frame| self.frame(frame)).collect())
    }

    fn provider(&self) -> Option<ProviderReport> {
        let asked = self.n_texts() + self.n_frames() > 0;
        asked.then(|| ProviderReport {
            active: "fake".to_owned(),
            is_sandboxed: true,
            sandbox: "none is needed".to_owned(),
            ..ProviderReport::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(rgb: [u8; 3]) -> Frame {
        Frame {
            time_ms: 0,
            width_px: 16,
            height_px: 16,
            rgb: rgb.repeat(256),
        }
    }

    #[test]
    fn a_colour_finds_its_pictures() {
        let embedder = FakeEmbedder::default();
        let frames: Vec<Frame> = COLOURS.iter().map(|(_, rgb)| filled(*rgb)).collect();
        let pictures = embedder.embed_frames(&frames).unwrap();
        for (i, (name, _)) in COLOURS.iter().enumerate() {
            let text = embedder.embed_texts(&[format!("something {name}")]).unwrap().remove(0);
            let best = (0..pictures.len()).max_by(|a, b| text.cosine(&pictures[*a]).total_cmp(&text.cosine(&pictures[*b])));
            assert_eq!(best, Some(i), "{name}");
            assert!(text.cosine(&pictures[i]) > 0.9);
        }
        assert_eq!((embedder.n_frames(), embedder.n_texts()), (11, 11));
    }

    #[test]
    #[should_panic(expected = "size of a frame")]
    fn a_frame_of_another_size_is_a_bug_of_the_caller() {
        let mut frame = filled([0; 3]);
        frame.width_px = 8;
        drop(FakeEmbedder::default().embed_frames(&[frame]));
    }
}
