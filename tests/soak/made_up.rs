//! Scenes and vectors that depend on a file's bytes only.

use std::fs::File;
use std::hash::{DefaultHasher, Hasher as _};
use std::io::Read as _;
use std::ops::ControlFlow;

use scened::embed::{EmbedError, Embedder, ModelInfo, ProviderReport};
use scened::media::{
    AnalyseRequest, Analysis, Cancel, DecodePlan, FoundScene, FrameSource, KeyframesRequest, MediaError, MediaEvent, PictureRequest, Probe,
    StageTimes, StreamInfo,
};
use scened_common::domain::{Boundary, Embedding, Frame, ImageSpec, Span};
use scened_common::embed::model::ModelFolder;

/// About what a two-minute holiday clip has.
const N_SCENES: u64 = 10;
const FRAMES_A_SCENE: u64 = 2;
const SCENE_MS: u64 = 12_000;

/// Gives every video ten scenes of two frames.
pub(crate) struct Scenes;

fn hash(of: impl std::hash::Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// Makes a frame of which only the first bytes vary.
fn frame(image: ImageSpec, time_ms: u64, seed: u64) -> Frame {
    let mut rgb = vec![0; (image.width_px * image.height_px * 3) as usize];
    rgb[..8].copy_from_slice(&seed.to_le_bytes());
    Frame {
        time_ms,
        width_px: image.width_px,
        height_px: image.height_px,
        rgb,
    }
}

impl FrameSource for Scenes {
    fn analyse(
        &self,
        mut video: File,
        request: &AnalyseRequest,
        _: &Cancel,
        sink: &mut dyn FnMut(MediaEvent) -> ControlFlow<()>,
    ) -> Result<Analysis, MediaError> {
        let mut bytes = Vec::new();
        video.read_to_end(&mut bytes).expect("the file can be read");
        let mut tell = |event| match sink(event) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(MediaError::Cancelled),
        };
        let stream = StreamInfo {
            kind: "video".to_owned(),
            codec: "made-up".to_owned(),
            width_px: 1920,
            height_px: 1080,
            rotation: 0,
            fps: 25.0,
            chosen: true,
        };
        tell(MediaEvent::Probed(Probe {
            container: "made-up".to_owned(),
            duration_ms: N_SCENES * SCENE_MS,
            streams: vec![stream],
        }))?;
        for scene in 0..N_SCENES {
            let start_ms = scene * SCENE_MS;
            let of = |k| frame(request.image, start_ms + k * 1000, hash((&bytes, scene, k)));
            tell(MediaEvent::SceneFound(FoundScene {
                span: Span {
                    start_ms,
                    end_ms: start_ms + SCENE_MS,
                },
                boundary: if scene == 0 { Boundary::Start } else { Boundary::Cut },
                frames: (0..FRAMES_A_SCENE).map(of).collect(),
                thumbnail: vec![0xff; 1_000],
                keyframes: Vec::new(),
            }))?;
        }
        Ok(Analysis {
            fault: scened_common::media::wire::Fault::default(),
            duration_ms: N_SCENES * SCENE_MS,
            n_frames: N_SCENES * FRAMES_A_SCENE,
            n_scenes: N_SCENES,
            plan: DecodePlan::default(),
            damage: None,
            decoder: "software".to_owned(),
            picture: None,
            times: StageTimes::default(),
        })
    }

    fn replay(
        &self,
        _: File,
        _: &KeyframesRequest,
        _: &Cancel,
        _: &mut dyn FnMut(MediaEvent) -> ControlFlow<()>,
    ) -> Result<u64, MediaError> {
        Err(MediaError::Unusable {
            reason: "no keyframe pictures are made up".to_owned(),
        })
    }

    fn picture(&self, _: File, request: &PictureRequest, _: &Cancel) -> Result<Vec<Frame>, MediaError> {
        Ok(vec![frame(request.image, 0, 1)])
    }
}

/// A fake model with the id, input size and vector length of a real one, so that the real daemon accepts its vectors as that model's.
pub(crate) struct Model {
    info: ModelInfo,
    dimensions: usize,
}

impl Model {
    pub(crate) fn of(folder: &ModelFolder) -> Self {
        let info = folder.info();
        let dimensions = info.dimensions.unwrap_or(256);
        Self {
            info: ModelInfo {
                dimensions: Some(dimensions),
                ..info
            },
            dimensions,
        }
    }

    /// Returns a vector of unit length in an arbitrary direction.
    fn vector(&self, seed: u64) -> Embedding {
        let component = |index: usize| (hash((seed, index)) >> 40) as f32 / (1 << 23) as f32 - 1.0;
        Embedding::normalised((0..self.dimensions).map(component).collect()).expect("not all are zero")
    }
}

impl Embedder for Model {
    fn model(&self) -> ModelInfo {
        self.info.clone()
    }

    fn embed_texts(&self, texts: &[String]) -> Result<Vec<Embedding>, EmbedError> {
        Ok(texts.iter().map(|text| self.vector(hash(text))).collect())
    }

    fn embed_pictures(&self, pictures: &[Frame]) -> Result<Vec<Embedding>, EmbedError> {
        self.embed_frames(pictures)
    }

    fn embed_frames(&self, frames: &[Frame]) -> Result<Vec<Embedding>, EmbedError> {
        Ok(frames.iter().map(|frame| self.vector(hash(&frame.rgb[..8]))).collect())
    }

    fn provider(&self) -> Option<ProviderReport> {
        None
    }
}
