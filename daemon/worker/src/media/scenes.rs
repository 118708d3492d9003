//! The scenes of one film as they are told to the daemon: each with its chosen frames and its thumbnail.
//!
//! Whatever decodes, in whatever order of stages, hands in frames and boundaries in order of time.

use std::io::Write;
use std::time::Instant;

use ffmpeg_next::frame::Video;
use scened_common::domain::{Boundary, Span};
use scened_common::media::answer::StageTimes;
use scened_common::media::budget::Budget;
use scened_common::media::request::AnalyseRequest;
use scened_common::media::wire::{self, SceneHeader};
use scened_common::pipe;

use super::Ended;
use super::analyse::{ms, us_to_ms};
use super::candidates::Source;
use super::choose::choose;
use super::film::{Film, Shown, Unusable};
use super::glimpse::Glimpse;
use super::kept::{self, Kept};
use super::keyframe::Compressor;
use super::look;
use super::sampler::Sampler;
use super::scale::ScaleError;
use super::shots::Found;
use super::takes::{Take, Takes};
use super::thumbnail::Small;

/// Most bytes of decoded frames that are kept: 30 of 1080p, 5 of 4K in 10 bits. Beyond, the oldest are made small.
const MAX_KEPT_BYTES: usize = 96 << 20;

/// A frame that may be embedded.
enum Picture {
    Whole(Kept),
    /// At the model's size, in as many parts as the model is shown, and perhaps at a thumbnail's and a keyframe picture's.
    Made(Made),
    /// It could not be converted.
    Lost,
}

impl Picture {
    /// What it keeps of the decoder's memory.
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

struct Frame<'a> {
    /// `None` when it was looked at and not kept.
    frame: Option<&'a Video>,
    glimpse: &'a Glimpse,
}

impl Source for Frame<'_> {
    type Picture = Picture;

    fn sharpness(&mut self) -> u32 {
        self.frame
            .map_or(0, |frame| kept::sharpness(frame).unwrap_or_else(|| look::structure(self.glimpse)))
    }

    fn picture(&mut self) -> Option<Picture> {
        Kept::of(self.frame?).map(Picture::Whole)
    }
}

/// Follows one film from its first to its last frame.
pub(super) struct Scenes<'a> {
    request: &'a AnalyseRequest,
    budget: Budget,
    /// Thumbnails and keyframe pictures told so far.
    picture_bytes: u64,
    takes: Takes<Picture>,
    maker: Maker,
    end_us: i64,
    pub(super) n_told: u64,
    /// End of the last scene told. Milliseconds.
    told_ms: u64,
    /// The pictures of the frame told last: a scene none of whose frames could be kept or converted shows what was shown before.
    last_model: Vec<u8>,
    /// The same frame as a keyframe picture.
    last_keyframe: Vec<u8>,
    compressor: Compressor,
}

impl<'a> Scenes<'a> {
    pub(super) fn new(request: &'a AnalyseRequest, budget: Budget) -> Self {
        let max_us = i64::try_from(request.max_scene_ms.saturating_mul(1000)).unwrap_or(i64::MAX / 8);
        Self {
            request,
            budget,
            picture_bytes: 0,
            takes: Takes::new(max_us.min(i64::MAX / 8)),
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
            n_told: 0,
            told_ms: 0,
            last_model: Vec::new(),
            last_keyframe: Vec::new(),
            compressor: Compressor::default(),
        }
    }

    /// Takes the next frame, whose picture is perhaps not kept any more. Times do not decrease.
    pub(super) fn frame(&mut self, film: &Film, frame: Option<&Video>, shown: Shown, glimpse: &Glimpse, times: &mut StageTimes) {
        let started = Instant::now();
        self.end_us = self.end_us.max(shown.end_us);
        if self.takes.frame(shown.start_us, glimpse, &mut Frame { frame, glimpse }) {
            self.keep_within_bounds(film);
        }
        times.sample_ms += ms(started.elapsed());
    }

    /// A new shot begins, perhaps some frames back.
    pub(super) fn found(&mut self, found: Found) {
        self.takes.found(found);
    }

    /// No boundary will come for a frame before this time. Microseconds.
    pub(super) fn settled(&mut self, settled_us: i64) {
        self.takes.settled(settled_us);
    }

    /// No frame follows.
    pub(super) fn end(&mut self) {
        self.takes.end(self.end_us);
    }

    /// The film lasts at least to this time. Microseconds.
    pub(super) fn lasts_to(&mut self, end_us: i64) {
        self.end_us = self.end_us.max(end_us);
    }

    /// End of the last frame shown. Microseconds.
    pub(super) fn end_us(&self) -> i64 {
        self.end_us
    }

    /// The same in milliseconds, as far as scenes were told.
    pub(super) fn duration_ms(&self) -> u64 {
        us_to_ms(self.end_us).max(self.told_ms)
    }

    /// Frames that were chosen and could not be converted.
    pub(super) fn n_failed(&self) -> u64 {
        self.maker.n_failed
    }

    pub(super) fn last_error(&self) -> Option<&ScaleError> {
        self.maker.last_error.as_ref()
    }

    /// Tells the scenes that are complete.
    pub(super) fn tell(&mut self, film: &Film, answers: &mut impl Write, times: &mut StageTimes) -> Result<(), Ended> {
        let finished: Vec<_> = self.takes.drain().collect();
        for take in finished {
            self.tell_scene(film, take, answers, times)?;
        }
        Ok(())
    }

    fn tell_scene(&mut self, film: &Film, mut take: Take<Picture>, answers: &mut impl Write, times: &mut StageTimes) -> Result<(), Ended> {
        // Rounding to milliseconds must leave no scene empty and no gap between two.
        let start_ms = self.told_ms;
        let end_ms = us_to_ms(take.end_us).max(start_ms + 1);
        let sampling = Instant::now();
        let mut chosen = choose(&take);
        let middle = chosen.get(chosen.len() / 2).copied();
        chosen.retain(|at| self.maker.make(film, &mut take.candidates[*at].picture, middle == Some(*at)));
        if chosen.is_empty() {
            let any = (0..take.candidates.len()).find(|at| self.maker.make(film, &mut take.candidates[*at].picture, true));
            chosen.extend(any);
        }
        times.sample_ms += ms(sampling.elapsed());
        let frame_bytes = wire::frame_bytes(&self.request.image);
        let most_frames = chosen.len().max(1) * self.request.image.most_views();
        let mut body = Vec::with_capacity(most_frames * frame_bytes);
        let mut frames_ms = Vec::with_capacity(most_frames);
        let mut small = None;
        let mut keyframes = Vec::with_capacity(chosen.len());
        let mut encoding_ms = 0.0;
        for at in chosen {
            let candidate = &mut take.candidates[at];
            if let Picture::Made(made) = &mut candidate.picture {
                let time_ms = us_to_ms(candidate.time_us).clamp(start_ms, end_ms - 1);
                frames_ms.extend(std::iter::repeat_n(time_ms, made.model.len() / frame_bytes));
                self.last_model.clone_from(&made.model);
                body.extend_from_slice(&made.model);
                let encoding = Instant::now();
                let compressed = made.keyframe.take().and_then(|picture| self.compressor.compress(&picture));
                keyframes.extend(compressed.map(|picture| (time_ms, picture)));
                encoding_ms += ms(encoding.elapsed());
                if Some(at) == middle || small.is_none() {
                    small = made.small.take();
                }
            }
        }
        if frames_ms.is_empty() {
            // No frame of the film was converted so far: the next scene begins where this one does.
            if self.last_model.is_empty() {
                return Ok(());
            }
            frames_ms.extend(std::iter::repeat_n(start_ms, self.last_model.len() / frame_bytes));
            body.extend_from_slice(&self.last_model);
            if !self.last_keyframe.is_empty() {
                keyframes.push((start_ms, self.last_keyframe.clone()));
            }
        }
        keyframes.retain(|(_, picture)| picture.len() <= wire::MAX_KEYFRAME_BYTES);
        if let Some((_, picture)) = keyframes.last() {
            self.last_keyframe.clone_from(picture);
        }
        let compressing = Instant::now();
        let thumbnail = small
            .and_then(|small| small.to_jpeg())
            .filter(|jpeg| jpeg.len() <= wire::MAX_THUMBNAIL_BYTES)
            .unwrap_or_default();
        times.thumbnail_ms += ms(compressing.elapsed()) + encoding_ms;
        body.extend_from_slice(&thumbnail);
        for (_, picture) in &keyframes {
            body.extend_from_slice(picture);
        }
        self.picture_bytes += thumbnail.len() as u64 + keyframes.iter().map(|(_, picture)| picture.len() as u64).sum::<u64>();
        self.check_budget(end_ms)?;
        let header = SceneHeader {
            span: Span { start_ms, end_ms },
            boundary: if self.n_told == 0 { Boundary::Start } else { take.boundary },
            frames_ms,
            thumbnail_bytes: thumbnail.len() as u64,
            keyframes: keyframes
                .iter()
                .map(|(time_ms, picture)| (*time_ms, picture.len() as u32))
                .collect(),
        };
        pipe::write_frame(answers, wire::KIND_SCENE, &header, &body)?;
        self.told_ms = end_ms;
        self.n_told += 1;
        Ok(())
    }

    /// A film that costs more than a film of its size can be worth is given up whole: nothing of it is to be believed.
    fn check_budget(&self, end_ms: u64) -> Result<(), Unusable> {
        let too_many = self.n_told + 1 > self.budget.most_scenes(end_ms);
        if too_many || self.picture_bytes > self.budget.most_picture_bytes() {
            return Err(Unusable(format!(
                "it has {} scenes in {:.1} s, more than a file of its size can hold",
                self.n_told + 1,
                end_ms as f64 / 1000.0
            )));
        }
        Ok(())
    }

    /// Makes the oldest pictures small while too much is kept.
    fn keep_within_bounds(&mut self, film: &Film) {
        let mut total: usize = self.takes.pictures_mut().map(|picture| picture.bytes()).sum();
        let mut pictures = self.takes.pictures_mut();
        while total > MAX_KEPT_BYTES
            && let Some(oldest) = pictures.next()
        {
            total -= oldest.bytes();
            self.maker.make(film, oldest, true);
        }
    }
}

/// Converts the pictures that are chosen, and those that take too much room.
struct Maker {
    sampler: Sampler,
    n_failed: u64,
    last_error: Option<ScaleError>,
}

impl Maker {
    /// Makes a picture small, if it is not yet; returns whether it is now.
    fn make(&mut self, film: &Film, picture: &mut Picture, with_thumbnail: bool) -> bool {
        let made = match picture {
            Picture::Made(_) => return true,
            Picture::Lost => return false,
            Picture::Whole(kept) => self.sampler.model(film, kept.frame()).and_then(|model| {
                let small = if with_thumbnail {
                    self.sampler.thumbnail(film, kept.frame())?
                } else {
                    None
                };
                let keyframe = self.sampler.keyframe(film, kept.frame())?;
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
