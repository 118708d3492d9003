//! One film from its first to its last frame: cuts, parts, samples, thumbnails, and what a user should know about damage.

use std::io::Write;
use std::time::{Duration, Instant};

use ffmpeg_next::frame::Video;
use scened::domain::{Resample, Span};
use scened::media::wire::{self, Progress, SceneHeader};
use scened::media::{AnalyseRequest, Analysis, Detector, StageTimes};
use scened::worker::pipe;

use super::Ended;
use super::detect::CutDetector;
use super::detect::shrink::{Shrinker, working_size};
use super::film::{Film, Losses, Shown, Step, Unusable};
use super::glimpse::{Glimpse, Glimpser};
use super::sampler::{self, Pictures, Sampler};
use super::scale::{Colours, ScaleError, Scaler, Wanted};
use super::shots::{Found, ShotDetector};
use super::takes::{self, Candidate, Take, Takes};

/// How often the daemon hears that work goes on.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);
/// Packets without a frame between two looks at the clock.
const PACKETS_BETWEEN_LOOKS: u32 = 64;
/// A film that ends this much before its claimed end is worth a word: a fraction of the claim, and a least time.
const SHORT_FRACTION: f64 = 0.05;
const SHORT_US: i64 = 2_000_000;

/// Tells everything about a film.
pub(super) fn analyse(opened: std::fs::File, request: &AnalyseRequest, answers: &mut impl Write) -> Result<(), Ended> {
    wire::check_image(&request.image).map_err(Unusable)?;
    let started = Instant::now();
    let mut film = Film::open_on(opened, request.threads, request.hardware)?;
    let mut times = StageTimes {
        open_ms: ms(started.elapsed()),
        ..StageTimes::default()
    };
    pipe::write_frame(answers, wire::KIND_PROBED, film.probe(), &[])?;
    let mut work = Work::new(request);
    let mut frame = Video::empty();
    let mut told = Instant::now();
    let mut n_packets = 0;
    loop {
        let decoding = Instant::now();
        let step = film.step(&mut frame);
        times.decode_ms += ms(decoding.elapsed());
        match step {
            Step::End => break,
            Step::Packet => {
                n_packets += 1;
                if n_packets < PACKETS_BETWEEN_LOOKS {
                    continue;
                }
            }
            Step::Frame(shown) => {
                work.frame(&film, &frame, shown, &mut times);
                work.tell_scenes(answers, &mut times)?;
            }
        }
        n_packets = 0;
        if told.elapsed() >= PROGRESS_EVERY {
            told = Instant::now();
            let position_ms = us_to_ms(work.end_us);
            pipe::write_frame(answers, wire::KIND_PROGRESSED, &Progress { position_ms }, &[])?;
        }
    }
    if work.n_frames == 0 {
        let reason = work.last_error.map_or_else(|| film.why_nothing(), |error| error.to_string());
        return Err(Unusable(reason).into());
    }
    work.finder.finish(&mut work.takes);
    work.takes.end(work.end_us);
    work.tell_scenes(answers, &mut times)?;
    times.total_ms = ms(started.elapsed());
    let analysis = Analysis {
        duration_ms: us_to_ms(work.end_us).max(work.told_ms),
        n_frames: work.n_frames,
        n_scenes: work.n_scenes,
        damage: describe_damage(film.losses, work.n_unscaled, work.end_us, film.claimed_us()),
        decoder: film.decoder_name(),
        times,
    };
    pipe::write_frame(answers, wire::KIND_FINISHED, &analysis, &[])?;
    Ok(())
}

struct Work<'a> {
    request: &'a AnalyseRequest,
    finder: Finder,
    glimpser: Glimpser,
    glimpse: Glimpse,
    takes: Takes<Pictures>,
    sampler: Sampler,
    n_frames: u64,
    /// Frames that could not be converted.
    n_unscaled: u64,
    last_error: Option<ScaleError>,
    end_us: i64,
    n_scenes: u64,
    /// End of the last scene told. Milliseconds.
    told_ms: u64,
}

/// What finds where shots begin.
enum Finder {
    Shot(Box<ShotDetector>),
    /// PySceneDetect's detectors see larger pictures than glimpses.
    Classic {
        detector: Box<CutDetector>,
        eye: Option<Box<Eye>>,
    },
}

impl Finder {
    fn new(kind: Detector) -> Self {
        match kind {
            Detector::Shot => Self::Shot(Box::new(ShotDetector::new())),
            Detector::Content => Self::classic(CutDetector::content()),
            Detector::Adaptive => Self::classic(CutDetector::adaptive()),
        }
    }

    fn classic(detector: CutDetector) -> Self {
        Self::Classic {
            detector: Box::new(detector),
            eye: None,
        }
    }

    fn push(&mut self, frame: &Video, time_us: i64, glimpse: &Glimpse, takes: &mut Takes<Pictures>) -> Result<(), ScaleError> {
        match self {
            Self::Shot(detector) => {
                detector.push(time_us, glimpse);
                while let Some(found) = detector.next_found() {
                    takes.found(found);
                }
            }
            Self::Classic { detector, eye } => {
                let (width, height) = (frame.width(), frame.height());
                // The working size stays that of the first frame, so that scores stay comparable.
                let size = eye.as_ref().map_or_else(|| working_size(width, height), |eye| eye.size);
                let eye = match eye {
                    Some(eye) if eye.shrinker.is_for(width, height) => eye,
                    eye => eye.insert(Box::new(Eye::new(width, height, size))),
                };
                let (rows, stride) = eye.scaler.scale(frame)?;
                if let Some(time_us) = detector.push(time_us, eye.shrinker.shrink(rows, stride)) {
                    takes.found(Found::Cut { time_us });
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self, takes: &mut Takes<Pictures>) {
        if let Self::Shot(detector) = self {
            detector.finish();
            while let Some(found) = detector.next_found() {
                takes.found(found);
            }
        }
    }

    /// No boundary will be told any more that begins before this time. Microseconds.
    fn settled_us(&self) -> i64 {
        match self {
            Self::Shot(detector) => detector.settled_us(),
            Self::Classic { detector, .. } => detector.settled_us(),
        }
    }

    /// Whether a frame of the past may still turn out to begin a shot, long after it was seen.
    fn is_doubtful(&self) -> bool {
        match self {
            Self::Shot(_) => true,
            Self::Classic { detector, .. } => detector.is_doubtful(),
        }
    }
}

/// What the classic detectors see: the frame as OpenCV decodes it, then as OpenCV shrinks it.
struct Eye {
    scaler: Scaler,
    shrinker: Shrinker,
    size: (u32, u32),
}

impl<'a> Work<'a> {
    fn new(request: &'a AnalyseRequest) -> Self {
        Self {
            request,
            finder: Finder::new(request.detector),
            glimpser: Glimpser::new(),
            glimpse: Glimpse::default(),
            takes: Takes::new(
                i64::try_from(request.max_scene_ms.saturating_mul(1000))
                    .unwrap_or(i64::MAX / 8)
                    .min(i64::MAX / 8),
            ),
            sampler: Sampler::new(request.image, request.thumbnail_px.min(wire::MAX_THUMBNAIL_PX)),
            n_frames: 0,
            n_unscaled: 0,
            last_error: None,
            end_us: 0,
            n_scenes: 0,
            told_ms: 0,
        }
    }

    fn frame(&mut self, film: &Film, frame: &Video, shown: Shown, times: &mut StageTimes) {
        if let Err(error) = self.try_frame(film, frame, shown, times) {
            self.n_unscaled += 1;
            self.last_error = Some(error);
        }
    }

    fn try_frame(&mut self, film: &Film, frame: &Video, shown: Shown, times: &mut StageTimes) -> Result<(), ScaleError> {
        let scaling = Instant::now();
        self.glimpser.look(frame, &mut self.glimpse)?;
        times.scale_ms += ms(scaling.elapsed());

        let detecting = Instant::now();
        self.takes.frame(shown.start_us, &self.glimpse);
        self.finder.push(frame, shown.start_us, &self.glimpse, &mut self.takes)?;
        times.detect_ms += ms(detecting.elapsed());

        if self.takes.wants(shown.start_us, self.finder.is_doubtful()) {
            let sampling = Instant::now();
            let picture = self.sampler.take(film, frame)?;
            self.takes.keep(Candidate {
                time_us: shown.start_us,
                dark: sampler::is_dark(&picture.model),
                picture,
            });
            times.sample_ms += ms(sampling.elapsed());
        }
        self.takes.divide(self.finder.settled_us());
        self.n_frames += 1;
        self.end_us = self.end_us.max(shown.end_us);
        Ok(())
    }

    fn tell_scenes(&mut self, answers: &mut impl Write, times: &mut StageTimes) -> Result<(), Ended> {
        let finished: Vec<_> = self.takes.drain().collect();
        for take in finished {
            self.tell_scene(&take, answers, times)?;
        }
        Ok(())
    }

    fn tell_scene(&mut self, take: &Take<Pictures>, answers: &mut impl Write, times: &mut StageTimes) -> Result<(), Ended> {
        // Rounding to milliseconds must leave no scene empty and no gap between two.
        let start_ms = self.told_ms;
        let end_ms = us_to_ms(take.end_us).max(start_ms + 1);
        let chosen = takes::choose(take);
        let started = Instant::now();
        let thumbnail = chosen
            .get(chosen.len() / 2)
            .and_then(|middle| take.candidates[*middle].picture.small.as_ref())
            .and_then(super::thumbnail::Small::to_jpeg)
            .filter(|jpeg| jpeg.len() <= wire::MAX_THUMBNAIL_BYTES)
            .unwrap_or_default();
        times.thumbnail_ms += ms(started.elapsed());
        let mut body = Vec::with_capacity(chosen.len() * wire::frame_bytes(&self.request.image) + thumbnail.len());
        let mut frames_ms = Vec::with_capacity(chosen.len());
        for candidate in chosen.iter().map(|index| &take.candidates[*index]) {
            frames_ms.push(us_to_ms(candidate.time_us).clamp(start_ms, end_ms - 1));
            body.extend_from_slice(&candidate.picture.model);
        }
        body.extend_from_slice(&thumbnail);
        let header = SceneHeader {
            span: Span { start_ms, end_ms },
            boundary: take.boundary,
            frames_ms,
            thumbnail_bytes: thumbnail.len() as u64,
        };
        pipe::write_frame(answers, wire::KIND_SCENE, &header, &body)?;
        self.told_ms = end_ms;
        self.n_scenes += 1;
        Ok(())
    }
}

impl Eye {
    fn new(width: u32, height: u32, size: (u32, u32)) -> Self {
        Self {
            scaler: Scaler::new(Wanted {
                size: (width, height),
                bgr: true,
                colours: Colours::OpenCv,
                resample: Resample::Bicubic,
            }),
            shrinker: Shrinker::new(width, height, size),
            size,
        }
    }
}

fn describe_damage(losses: Losses, n_unscaled: u64, end_us: i64, claimed_us: Option<i64>) -> Option<String> {
    let mut words = Vec::new();
    let short = claimed_us.filter(|claimed| {
        let missing = claimed - end_us;
        missing > SHORT_US && missing as f64 > *claimed as f64 * SHORT_FRACTION
    });
    match short {
        Some(claimed) => words.push(format!("indexed to {} of {}: damaged or incomplete", clock(end_us), clock(claimed))),
        None if losses.broke_off => words.push(format!("reading broke off after {}", clock(end_us))),
        None => {}
    }
    for (n, one, many) in [
        (losses.damaged_packets, "1 packet is damaged", "packets are damaged"),
        (losses.bad_packets, "1 packet could not be decoded", "packets could not be decoded"),
        (losses.corrupt_frames, "1 frame is damaged", "frames are damaged"),
        (losses.n_encrypted, "1 packet is encrypted", "packets are encrypted"),
        (n_unscaled, "1 frame could not be converted", "frames could not be converted"),
    ] {
        match n {
            0 => {}
            1 => words.push(one.to_owned()),
            n => words.push(format!("{n} {many}")),
        }
    }
    (!words.is_empty()).then(|| words.join("; "))
}

/// A time as people write it: `00:12:40`.
fn clock(us: i64) -> String {
    let seconds = us / 1_000_000;
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

pub(super) fn us_to_ms(us: i64) -> u64 {
    ((us.max(0) + 500) / 1000) as u64
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_told_in_words_and_none_is_not_told() {
        let none = Losses::default();
        assert_eq!(describe_damage(none, 0, 10_000_000, Some(10_500_000)), None);
        assert_eq!(describe_damage(none, 0, 10_000_000, None), None);
        let text = describe_damage(none, 0, 760_000_000, Some(3_000_000_000)).unwrap();
        assert_eq!(text, "indexed to 00:12:40 of 00:50:00: damaged or incomplete");
        let losses = Losses {
            bad_packets: 2,
            corrupt_frames: 1,
            ..none
        };
        assert_eq!(
            describe_damage(losses, 0, 1, None).unwrap(),
            "2 packets could not be decoded; 1 frame is damaged"
        );
    }
}
