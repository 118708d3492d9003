//! The daemon's requests to a media worker, and those choices in them that the configuration offers.

use serde::{Deserialize, Serialize};

use crate::domain::ImageSpec;

/// The algorithm that finds cuts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Detector {
    /// Scened's own: cuts, dissolves, fades and wipes.
    #[default]
    Shot,
    /// PySceneDetect's ContentDetector: threshold 27 on the mean change of H, S and V.
    Content,
    /// PySceneDetect's AdaptiveDetector: the content score against its neighbours.
    Adaptive,
}

/// How much of a video is decoded to find its scenes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SceneMode {
    /// Every frame.
    #[default]
    Exact,
    /// Packets first, then keyframes, then only the doubtful parts. A video for which that is unsafe is decoded completely.
    Fast,
}

impl std::str::FromStr for SceneMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "exact" => Ok(Self::Exact),
            "fast" => Ok(Self::Fast),
            _ => Err(format!("{text:?} is no mode (exact, fast)")),
        }
    }
}

/// The graphics card's decoder to use. If it cannot decode a video, software does, and [`super::answer::Analysis::decoder`] says why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hardware {
    /// Software alone.
    #[default]
    None,
    /// Whatever this machine has.
    Auto,
    /// Intel and AMD on Linux.
    Vaapi,
    /// NVIDIA (NVDEC).
    Cuda,
    /// Apple.
    Videotoolbox,
}

impl Hardware {
    /// Returns the name in the configuration and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Auto => "auto",
            Self::Vaapi => "vaapi",
            Self::Cuda => "cuda",
            Self::Videotoolbox => "videotoolbox",
        }
    }
}

impl std::str::FromStr for Hardware {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::None, Self::Auto, Self::Vaapi, Self::Cuda, Self::Videotoolbox];
        all.into_iter()
            .find(|hardware| hardware.name() == text)
            .ok_or_else(|| format!("{text:?} is no hardware decoder (none, auto, vaapi, cuda, videotoolbox)"))
    }
}

/// A request to a media worker to analyse one whole video.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnalyseRequest {
    /// The pictures that the model is shown.
    pub image: ImageSpec,
    /// The algorithm that finds cuts.
    pub detector: Detector,
    /// How much is decoded to find scenes.
    #[serde(default)]
    pub mode: SceneMode,
    /// Decode only keyframes, with one thread, whatever `mode` says. For videos on which more of the decoder's code failed.
    #[serde(default)]
    pub keyframes_only: bool,
    /// A shot whose picture moves is divided after at most this long; a still picture is not divided. Milliseconds.
    pub max_scene_ms: u64,
    /// Longer side of a scene's thumbnail. Pixels; 0 = no thumbnails.
    pub thumbnail_px: u32,
    /// Shorter side of the keyframe pictures. Pixels; 0 = no keyframe pictures.
    pub keyframe_px: u32,
    /// Decoder threads; 0 = one per allowed core.
    pub threads: u32,
    /// The graphics card's decoder to use.
    #[serde(default)]
    pub hardware: Hardware,
    /// File name, for messages only; the worker never opens it.
    pub label: String,
}

/// A request from `similar` for one picture: a still image or one moment of a video.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PictureRequest {
    /// The picture that the model is shown.
    pub image: ImageSpec,
    /// Requested moment, milliseconds; `None` means the first picture of an image, or the middle of a video.
    pub at_ms: Option<u64>,
    /// The file's time stamps do not show where the moment is, so the worker counts frames from the beginning.
    #[serde(default)]
    pub clock_is_odd: bool,
    /// File name, for messages only.
    pub label: String,
}

/// A request to a media worker for the keyframe pictures of one video.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyframesRequest {
    /// The pictures that the model is shown.
    pub image: ImageSpec,
    /// File name, for messages only.
    pub label: String,
}

/// A request to a media worker for a video's thumbnail: the single most informative frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PosterRequest {
    /// Longest side of the picture; a smaller video is not enlarged. Pixels.
    pub longer_px: u32,
    /// File name, for messages only.
    pub label: String,
}
