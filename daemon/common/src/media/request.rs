//! What the daemon asks of a media worker, and the choices in it that the configuration offers.

use serde::{Deserialize, Serialize};

use crate::domain::ImageSpec;

/// Which rule finds cuts.
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
    /// Packets first, then keyframes, then only what is doubtful; a video for which that is unsafe is decoded through all the same.
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

/// Which graphics card's decoder to use. Where it cannot, software decodes, and [`Analysis::decoder`] says why.
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
    /// The name in the configuration and on the command line.
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

/// What the daemon asks of a media worker about one whole video.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnalyseRequest {
    /// The pictures that the model is shown.
    pub image: ImageSpec,
    /// Which rule finds cuts.
    pub detector: Detector,
    /// How much is decoded to find scenes.
    #[serde(default)]
    pub mode: SceneMode,
    /// Only keyframes are decoded, by one thread, whatever `mode` says: for videos on which more of the decoder's code failed.
    #[serde(default)]
    pub keyframes_only: bool,
    /// A take is divided at the latest after this long while its picture moves; a still picture is not. Milliseconds.
    pub max_scene_ms: u64,
    /// Longer side of a scene's thumbnail. Pixels; 0 = no thumbnails.
    pub thumbnail_px: u32,
    /// Shorter side of the keyframe pictures. Pixels; 0 = no keyframe pictures.
    pub keyframe_px: u32,
    /// Decoder threads; 0 = one for each core allowed.
    pub threads: u32,
    /// Which graphics card's decoder to use.
    #[serde(default)]
    pub hardware: Hardware,
    /// File name, for messages only; the worker never opens it.
    pub label: String,
}

/// A picture asked for by `similar`: a still image or one moment of a video.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PictureRequest {
    /// The picture that the model is shown.
    pub image: ImageSpec,
    /// Moment wanted, milliseconds; `None` takes the first picture of an image, or the middle of a video.
    pub at_ms: Option<u64>,
    /// The file's time stamps do not say where the moment is: it is counted to from the beginning.
    #[serde(default)]
    pub clock_is_odd: bool,
    /// File name, for messages only.
    pub label: String,
}

/// What the daemon asks of a media worker about the keyframe pictures of one video.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyframesRequest {
    /// The pictures that the model is shown.
    pub image: ImageSpec,
    /// File name, for messages only.
    pub label: String,
}

/// What is asked of a media worker for a video's thumbnail: the one frame that tells most about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PosterRequest {
    /// Longest side of the picture; a smaller video is not enlarged. Pixels.
    pub longer_px: u32,
    /// File name, for messages only.
    pub label: String,
}
