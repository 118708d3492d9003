//! Makes pictures of frames: at the model's size, at thumbnail size and as keyframe pictures, turned as a player shows them.

use ffmpeg_next::frame::Video;
use scened_common::domain::{ImageSpec, Resample};

use super::thumbnail::Small;
use crate::media::decode::video::OpenVideo;
use crate::media::pixels::fit::{self, Plan};
use crate::media::pixels::orientation::Orientation;
use crate::media::pixels::render::Renderer;
use crate::media::pixels::scale::ScaleError;

/// Makes pictures for the model, keyframe pictures and thumbnails. It keeps its preparations as long as the video's properties stay the
/// same.
pub(crate) struct Sampler {
    image: ImageSpec,
    thumbnail_px: u32,
    keyframe_px: u32,
    model: Option<Prepared>,
    thumbnail: Option<Prepared>,
    keyframe: Option<Prepared>,
}

/// The preparations for one kind of picture of one kind of frames.
struct Prepared {
    source: Source,
    plan: Plan,
    renderer: Renderer,
}

/// The properties that a video may change at any frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Source {
    /// Stored size.
    stored: (u32, u32),
    /// Size before turning, with square pixels.
    square: (u32, u32),
    orientation: Orientation,
}

impl Source {
    fn of(video: &OpenVideo, frame: &Video) -> Self {
        Self {
            stored: (frame.width(), frame.height()),
            square: video.square_size(frame),
            orientation: video.orientation(frame),
        }
    }
}

impl Prepared {
    /// Renders and turns one frame. Prepares again if the video changed.
    fn take(
        prepared: &mut Option<Self>,
        video: &OpenVideo,
        frame: &Video,
        plan_of: impl FnOnce((u32, u32)) -> Plan,
        resample: Resample,
    ) -> Result<Small, ScaleError> {
        let source = Source::of(video, frame);
        let orientation = source.orientation;
        let current = match prepared.take() {
            Some(current) if current.source == source => current,
            _ => {
                let plan = plan_of(orientation.turned_size(source.square));
                Self {
                    source,
                    renderer: Renderer::new(plan.fit.before(orientation), resample),
                    plan,
                }
            }
        };
        let current = prepared.insert(current);
        let size = current.plan.fit.size;
        let (width, height) = orientation.turned_size(size);
        let rgb = current.renderer.render(frame, &video.light(frame))?;
        Ok(Small {
            width: size.0,
            height: size.1,
            rgb: current.plan.lay(orientation.turn(rgb, width, height)),
        })
    }
}

impl Sampler {
    /// Creates a sampler. `thumbnail_px`, `keyframe_px`: 0 = no such pictures.
    pub(crate) fn new(image: ImageSpec, thumbnail_px: u32, keyframe_px: u32) -> Self {
        Self {
            image,
            thumbnail_px,
            keyframe_px,
            model: None,
            thumbnail: None,
            keyframe: None,
        }
    }

    /// Makes the pictures for the model; one moment gives at most [`ImageSpec::most_views`]. **Shape**: `[n, height, width, 3]` u8 at the
    /// model's size.
    pub(crate) fn model(&mut self, video: &OpenVideo, frame: &Video) -> Result<Vec<u8>, ScaleError> {
        let plan_of = |display| fit::to_model(display, &self.image);
        Prepared::take(&mut self.model, video, frame, plan_of, self.image.resample).map(|picture| picture.rgb)
    }

    /// Makes the picture of a thumbnail; `None` if no thumbnails are wanted.
    pub(crate) fn thumbnail(&mut self, video: &OpenVideo, frame: &Video) -> Result<Option<Small>, ScaleError> {
        if self.thumbnail_px == 0 {
            return Ok(None);
        }
        let plan_of = |display| Plan::of(fit::to_thumbnail(display, self.thumbnail_px));
        Prepared::take(&mut self.thumbnail, video, frame, plan_of, Resample::Bilinear).map(Some)
    }

    /// Makes the picture that is kept for other models; `None` if none are wanted.
    pub(crate) fn keyframe(&mut self, video: &OpenVideo, frame: &Video) -> Result<Option<Small>, ScaleError> {
        if self.keyframe_px == 0 {
            return Ok(None);
        }
        let plan_of = |display| Plan::of(fit::to_keyframe(display, self.keyframe_px));
        Prepared::take(&mut self.keyframe, video, frame, plan_of, Resample::Bicubic).map(Some)
    }
}
