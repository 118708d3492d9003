//! Sends the scenes of one video to the daemon, each with its chosen frames and its thumbnail.
//!
//! The caller decodes in any order of stages, but passes in frames and boundaries in order of time.

use std::io::Write;
use std::time::Instant;

use ffmpeg_next::frame::Video;
use scened_common::domain::{Boundary, Span};
use scened_common::media::answer::StageTimes;
use scened_common::media::budget::Budget;
use scened_common::media::request::AnalyseRequest;
use scened_common::media::wire::{self, SceneHeader};
use scened_common::pipe;
use scened_shots::Found;

use super::builder::{FinishedScene, SceneBuilder};
use super::candidates::Source;
use super::choose::choose;
use super::keyframe::Compressor;
use super::sampler::Sampler;
use super::signature;
use super::thumbnail::Small;
use crate::media::decode::clock::FrameTime;
use crate::media::decode::kept::{self, FrameRef};
use crate::media::decode::video::OpenVideo;
use crate::media::ended::{Ended, Unusable};
use crate::media::pixels::glimpse::Glimpse;
use crate::media::pixels::scale::ScaleError;
use crate::media::units::{elapsed_ms, us_to_ms};

/// Most bytes of decoded frames that are kept: 30 frames of 1080p, or 4 of 4K in 10 bits. Beyond this, the oldest are converted to small
/// pictures.
const MAX_KEPT_BYTES: usize = 96 << 20;

/// A frame that may be embedded.
enum Picture {
    Whole(FrameRef),
    /// Converted to the model's size, in as many views as the model gets, and perhaps to a thumbnail and a keyframe picture.
    Made(Made),
    /// The frame could not be converted.
    Lost,
}

impl Picture {
    /// Returns how much of the decoder's memory the picture keeps. Bytes.
    fn bytes(&self) -> usize {
        match self {
            Self::Whole(kept) => kept.bytes(),
            Self::Made(_) | Self::Lost => 0,
        }
    }
}

struct Made {
    model: Vec<u8>,
    small: Option<Small>,
    keyframe: Option<Small>,
}

/// The contents of a scene as sent, except its times.
struct ScenePictures {
    /// When each picture for the model is shown. Milliseconds.
    frames_ms: Vec<u64>,
    /// The pictures for the model, one after the other.
    body: Vec<u8>,
    /// The picture for the thumbnail.
    small: Option<Small>,
    /// Keyframe pictures with their times. Milliseconds.
    keyframes: Vec<(u64, Vec<u8>)>,
}

struct Frame<'a> {
    /// `None` if the frame was analysed and not kept.
    frame: Option<&'a Video>,
    glimpse: &'a Glimpse,
}

impl Source for Frame<'_> {
    type Picture = Picture;

    fn sharpness(&mut self) -> u32 {
        self.frame.map_or(0, |frame| {
            kept::sharpness(frame).unwrap_or_else(|| signature::structure(self.glimpse))
        })
    }

    fn picture(&mut self) -> Option<Picture> {
        FrameRef::of(self.frame?).map(Picture::Whole)
    }
}

/// Builds and sends the scenes of one video from its first to its last frame.
pub(crate) struct Scenes<'a> {
    request: &'a AnalyseRequest,
    budget: Budget,
    /// Total size of the thumbnails and keyframe pictures sent so far. Bytes.
    picture_bytes: u64,
    builder: SceneBuilder<Picture>,
    maker: Maker,
    end_us: i64,
    pub(crate) n_sent: u64,
    /// End of the last scene sent. Milliseconds.
    sent_to_ms: u64,
    /// The pictures of the last frame sent. A scene none of whose frames could be kept or converted shows them again.
    last_model: Vec<u8>,
    /// The same frame as a keyframe picture.
    last_keyframe: Vec<u8>,
    compressor: Compressor,
}

impl<'a> Scenes<'a> {
    pub(crate) fn new(request: &'a AnalyseRequest, budget: Budget) -> Self {
        let max_us = i64::try_from(request.max_scene_ms.saturating_mul(1000)).unwrap_or(i64::MAX / 8);
        Self {
            request,
            budget,
            picture_bytes: 0,
            builder: SceneBuilder::new(max_us.min(i64::MAX / 8)),
            maker: Maker {
                sampler: Sampler::new(
                    request.image,
                    request.thumbnail_px.min(wire::MAX_THUMBNAIL_PX),
                    request.keyframe_px.min(wire::MAX_KEYFRAME_PX),
                ),
                n_failed: 0,
                last_error: None,
            },
            end_us: 0,
            n_sent: 0,
            sent_to_ms: 0,
            last_model: Vec::new(),
            last_keyframe: Vec::new(),
            compressor: Compressor::default(),
        }
    }

    /// Takes the next frame, whose picture may no longer be kept. Times do not decrease.
    pub(crate) fn frame(&mut self, video: &OpenVideo, frame: Option<&Video>, shown: FrameTime, glimpse: &Glimpse, times: &mut StageTimes) {
        let started = Instant::now();
        self.end_us = self.end_us.max(shown.end_us);
        if self.builder.frame(shown.start_us, glimpse, &mut Frame { frame, glimpse }) {
            self.keep_within_bounds(video);
        }
        times.sample_ms += elapsed_ms(started);
    }

    /// Takes a boundary: a new shot begins, perhaps some frames back.
    pub(crate) fn found(&mut self, found: Found) {
        self.builder.found(found);
    }

    /// Notes that no boundary will come for a frame before this time. Microseconds.
    pub(crate) fn settled(&mut self, settled_us: i64) {
        self.builder.settled(settled_us);
    }

    /// Ends the last scene: no frame follows.
    pub(crate) fn end(&mut self) {
        self.builder.end(self.end_us);
    }

    /// Notes that the video lasts at least to this time. Microseconds.
    pub(crate) fn lasts_to(&mut self, end_us: i64) {
        self.end_us = self.end_us.max(end_us);
    }

    /// Returns the end of the last frame shown. Microseconds.
    pub(crate) fn end_us(&self) -> i64 {
        self.end_us
    }

    /// Returns the same in milliseconds, or the end of the last scene sent if that is later.
    pub(crate) fn duration_ms(&self) -> u64 {
        us_to_ms(self.end_us).max(self.sent_to_ms)
    }

    /// Returns how many frames could not be converted.
    pub(crate) fn n_failed(&self) -> u64 {
        self.maker.n_failed
    }

    pub(crate) fn last_error(&self) -> Option<&ScaleError> {
        self.maker.last_error.as_ref()
    }

    /// Sends the scenes that are complete.
    pub(crate) fn send(&mut self, video: &OpenVideo, answers: &mut impl Write, times: &mut StageTimes) -> Result<(), Ended> {
        let finished: Vec<_> = self.builder.drain().collect();
        for scene in finished {
            self.send_scene(video, scene, answers, times)?;
        }
        Ok(())
    }

    fn send_scene(
        &mut self,
        video: &OpenVideo,
        mut scene: FinishedScene<Picture>,
        answers: &mut impl Write,
        times: &mut StageTimes,
    ) -> Result<(), Ended> {
        // Rounding to milliseconds must leave no scene empty and no gap between two.
        let start_ms = self.sent_to_ms;
        let end_ms = us_to_ms(scene.end_us).max(start_ms + 1);
        let span = Span { start_ms, end_ms };
        let sampling = Instant::now();
        let (chosen, middle) = self.make_chosen(video, &mut scene);
        times.sample_ms += elapsed_ms(sampling);
        let mut pictures = self.collect(&mut scene, &chosen, middle, span, times);
        if pictures.frames_ms.is_empty() && !self.repeat_last(&mut pictures, start_ms) {
            // No frame of the video was converted so far: the next scene begins where this one does.
            return Ok(());
        }
        pictures.keyframes.retain(|(_, picture)| picture.len() <= wire::MAX_KEYFRAME_BYTES);
        if let Some((_, picture)) = pictures.keyframes.last() {
            self.last_keyframe.clone_from(picture);
        }
        let compressing = Instant::now();
        let thumbnail = pictures
            .small
            .and_then(|small| small.to_jpeg())
            .filter(|jpeg| jpeg.len() <= wire::MAX_THUMBNAIL_BYTES)
            .unwrap_or_default();
        times.thumbnail_ms += elapsed_ms(compressing);
        let (mut body, keyframes) = (pictures.body, pictures.keyframes);
        body.extend_from_slice(&thumbnail);
        for (_, picture) in &keyframes {
            body.extend_from_slice(picture);
        }
        self.picture_bytes += thumbnail.len() as u64 + keyframes.iter().map(|(_, picture)| picture.len() as u64).sum::<u64>();
        self.check_budget(end_ms)?;
        let header = SceneHeader {
            span,
            boundary: if self.n_sent == 0 { Boundary::Start } else { scene.boundary },
            frames_ms: pictures.frames_ms,
            thumbnail_bytes: thumbnail.len() as u64,
            keyframes: keyframes
                .iter()
                .map(|(time_ms, picture)| (*time_ms, picture.len() as u32))
                .collect(),
        };
        pipe::write_frame(answers, wire::KIND_SCENE, &header, &body)?;
        self.sent_to_ms = end_ms;
        self.n_sent += 1;
        Ok(())
    }

    /// Converts the chosen pictures, or any other one if all of these fail. Returns the indexes converted, and the chosen one for the
    /// thumbnail.
    fn make_chosen(&mut self, video: &OpenVideo, scene: &mut FinishedScene<Picture>) -> (Vec<usize>, Option<usize>) {
        let mut chosen = choose(scene);
        let middle = chosen.get(chosen.len() / 2).copied();
        chosen.retain(|at| self.maker.make(video, &mut scene.candidates[*at].picture, middle == Some(*at)));
        if chosen.is_empty() {
            let any = (0..scene.candidates.len()).find(|at| self.maker.make(video, &mut scene.candidates[*at].picture, true));
            chosen.extend(any);
        }
        (chosen, middle)
    }

    /// Puts the pictures of a scene together.
    fn collect(
        &mut self,
        scene: &mut FinishedScene<Picture>,
        chosen: &[usize],
        middle: Option<usize>,
        span: Span,
        times: &mut StageTimes,
    ) -> ScenePictures {
        let frame_bytes = wire::frame_bytes(&self.request.image);
        let most_frames = chosen.len().max(1) * self.request.image.most_views();
        let mut pictures = ScenePictures {
            frames_ms: Vec::with_capacity(most_frames),
            body: Vec::with_capacity(most_frames * frame_bytes),
            small: None,
            keyframes: Vec::with_capacity(chosen.len()),
        };
        for at in chosen {
            let candidate = &mut scene.candidates[*at];
            let Picture::Made(made) = &mut candidate.picture else { continue };
            let time_ms = us_to_ms(candidate.time_us).clamp(span.start_ms, span.end_ms - 1);
            let n_views = made.model.len() / frame_bytes;
            pictures.frames_ms.extend(std::iter::repeat_n(time_ms, n_views));
            self.last_model.clone_from(&made.model);
            pictures.body.extend_from_slice(&made.model);
            let encoding = Instant::now();
            let compressed = made.keyframe.take().and_then(|picture| self.compressor.compress(&picture));
            pictures.keyframes.extend(compressed.map(|picture| (time_ms, picture)));
            times.thumbnail_ms += elapsed_ms(encoding);
            if Some(*at) == middle || pictures.small.is_none() {
                pictures.small = made.small.take();
            }
        }
        pictures
    }

    /// Shows the previous pictures again in a scene none of whose frames could be kept or converted. Returns `false` if there are none.
    fn repeat_last(&self, pictures: &mut ScenePictures, start_ms: u64) -> bool {
        if self.last_model.is_empty() {
            return false;
        }
        let n_views = self.last_model.len() / wire::frame_bytes(&self.request.image);
        pictures.frames_ms.extend(std::iter::repeat_n(start_ms, n_views));
        pictures.body.extend_from_slice(&self.last_model);
        if !self.last_keyframe.is_empty() {
            pictures.keyframes.push((start_ms, self.last_keyframe.clone()));
        }
        true
    }

    /// Rejects the whole video if it costs more than a file of its size can be worth: none of it can be trusted.
    fn check_budget(&self, end_ms: u64) -> Result<(), Unusable> {
        let too_many = self.n_sent + 1 > self.budget.most_scenes(end_ms);
        if too_many || self.picture_bytes > self.budget.most_picture_bytes() {
            return Err(Unusable(format!(
                "it has {} scenes in {:.1} s, too many for a file of its size",
                self.n_sent + 1,
                end_ms as f64 / 1000.0
            )));
        }
        Ok(())
    }

    /// Converts the oldest pictures while too many bytes are kept.
    fn keep_within_bounds(&mut self, video: &OpenVideo) {
        let mut total: usize = self.builder.pictures_mut().map(|picture| picture.bytes()).sum();
        let mut pictures = self.builder.pictures_mut();
        while total > MAX_KEPT_BYTES
            && let Some(oldest) = pictures.next()
        {
            total -= oldest.bytes();
            self.maker.make(video, oldest, true);
        }
    }
}

/// Converts the chosen pictures, and those that take too much memory.
struct Maker {
    sampler: Sampler,
    n_failed: u64,
    last_error: Option<ScaleError>,
}

impl Maker {
    /// Converts a picture, if it is not converted yet. Returns whether it is now.
    fn make(&mut self, video: &OpenVideo, picture: &mut Picture, with_thumbnail: bool) -> bool {
        let made = match picture {
            Picture::Made(_) => return true,
            Picture::Lost => return false,
            Picture::Whole(kept) => self.sampler.model(video, kept.frame()).and_then(|model| {
                let small = if with_thumbnail {
                    self.sampler.thumbnail(video, kept.frame())?
                } else {
                    None
                };
                let keyframe = self.sampler.keyframe(video, kept.frame())?;
                Ok(Made { model, small, keyframe })
            }),
        };
        *picture = match made {
            Ok(made) => Picture::Made(made),
            Err(error) => {
                self.n_failed += 1;
                self.last_error = Some(error);
                Picture::Lost
            }
        };
        matches!(picture, Picture::Made(_))
    }
}
