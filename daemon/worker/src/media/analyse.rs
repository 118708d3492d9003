//! Analyses one video from its first to its last frame: cuts, parts, samples, thumbnails, and damage that a user should know about.

mod damage;
mod finder;

use std::io::Write;
use std::time::{Duration, Instant};

use ffmpeg_next::frame::Video;
use scened_common::media::answer::{Analysis, DecodePlan, StageTimes};
use scened_common::media::budget::Budget;
use scened_common::media::extras::Extras;
use scened_common::media::request::{AnalyseRequest, Detector, Hardware, SceneMode};
use scened_common::media::wire::{self, Progress};
use scened_common::pipe;

use super::decode::allowed::Allowed;
use super::decode::clock::FrameTime;
use super::decode::gops;
use super::decode::video::{OpenVideo, Step};
use super::ended::{Ended, Unusable};
use super::evidence;
use super::pixels::glimpse::{Glimpse, Glimpser};
use super::pixels::scale::ScaleError;
use super::scenes::writer::Scenes;
use super::units::{elapsed_ms, us_to_ms};
use finder::Finder;

/// How often the daemon is told that work goes on.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);
/// How many packets without a frame may pass before the clock is checked.
const PACKETS_BETWEEN_LOOKS: u32 = 64;
const ONLY_KEYFRAMES: &str = "only its keyframes were decoded";

/// Sends the daemon the whole analysis of a video.
pub(super) fn analyse(
    opened: std::fs::File,
    request: &AnalyseRequest,
    budget: Budget,
    extras: &Extras,
    answers: &mut impl Write,
) -> Result<(), Ended> {
    wire::check_image(&request.image).map_err(Unusable)?;
    let started = Instant::now();
    let (threads, hardware) = if request.keyframes_only {
        (1, Hardware::None)
    } else {
        (request.threads, request.hardware)
    };
    let mut video = OpenVideo::open_on(opened, threads, hardware, Allowed::videos(extras))?;
    let mut times = StageTimes {
        open_ms: elapsed_ms(started),
        ..StageTimes::default()
    };
    pipe::write_frame(answers, wire::KIND_PROBED, video.probe(), &[])?;
    let mut work = Work::new(request, budget);
    let plan = decode_all(&mut video, request, &mut work, answers, &mut times)?;
    if work.n_frames == 0 {
        return Err(Unusable(work.why_nothing(&video)).into());
    }
    work.finder.finish(&mut work.scenes);
    work.scenes.end();
    work.scenes.send(&video, answers, &mut times)?;
    if work.scenes.n_sent == 0 {
        return Err(Unusable(work.why_nothing(&video)).into());
    }
    times.total_ms = elapsed_ms(started);
    let n_failed = work.n_unscaled + work.scenes.n_failed();
    let mut damage = damage::describe(&video, n_failed, work.scenes.end_us());
    if request.keyframes_only {
        damage.insert(0, ONLY_KEYFRAMES.to_owned());
    }
    let analysis = Analysis {
        duration_ms: work.scenes.duration_ms(),
        n_frames: work.n_frames,
        n_scenes: work.scenes.n_sent,
        plan,
        damage: (!damage.is_empty()).then(|| damage.join("; ")),
        decoder: video.decoder_name(),
        fault: evidence::fault(),
        picture: Some(video.picture()),
        times,
    };
    pipe::write_frame(answers, wire::KIND_FINISHED, &analysis, &[])?;
    Ok(())
}

/// Decodes the video in the way that suits it, and returns which way that was.
fn decode_all(
    video: &mut OpenVideo,
    request: &AnalyseRequest,
    work: &mut Work<'_>,
    answers: &mut impl Write,
    times: &mut StageTimes,
) -> Result<DecodePlan, Ended> {
    let n_threads = match request.threads {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        threads => threads as usize,
    };
    if request.detector == Detector::Shot {
        video.spare_filtering();
    }
    if request.keyframes_only {
        return decode_keyframes(video, work, answers, times);
    }
    let reason = match (request.mode, request.detector) {
        (_, Detector::Content | Detector::Adaptive) => "this detector must see every frame one after the other",
        _ if video.uses_device() => "a graphics card decodes it",
        (SceneMode::Exact, _) if n_threads < 2 => "the request asks for every frame",
        (mode, Detector::Shot) => match gops::survey(video) {
            gops::Verdict::Gops(kind) => return decode_gops(video, kind, mode, n_threads, work, answers, times),
            gops::Verdict::Through(reason) => reason,
        },
    };
    decode_through(video, work, answers, times)?;
    Ok(DecodePlan {
        mode_used: SceneMode::Exact,
        reason: reason.to_owned(),
        ..DecodePlan::default()
    })
}

/// Decodes only keyframes, one after the other.
fn decode_keyframes(
    video: &mut OpenVideo,
    work: &mut Work<'_>,
    answers: &mut impl Write,
    times: &mut StageTimes,
) -> Result<DecodePlan, Ended> {
    video.take_only_keyframes();
    decode_through(video, work, answers, times)?;
    work.scenes.lasts_to(video.keyframes_to_us().unwrap_or(0));
    Ok(DecodePlan {
        mode_used: SceneMode::Fast,
        reason: ONLY_KEYFRAMES.to_owned(),
        ..DecodePlan::default()
    })
}

/// Decodes groups of pictures: all of them, or those in which a shot may begin.
fn decode_gops(
    video: &mut OpenVideo,
    kind: gops::Kind,
    mode: SceneMode,
    n_threads: usize,
    work: &mut Work<'_>,
    answers: &mut impl Write,
    times: &mut StageTimes,
) -> Result<DecodePlan, Ended> {
    let (mode, reason) = match (mode, kind) {
        (SceneMode::Exact, _) => (SceneMode::Exact, "the request asks for every frame"),
        // A whole shot can fit between two pictures that were decoded, and no packet shows that.
        (SceneMode::Fast, gops::Kind::Intra { .. }) => (SceneMode::Exact, "every frame is a keyframe, so packets say nothing"),
        (SceneMode::Fast, _) => (SceneMode::Fast, "its keyframes and packets show where to decode"),
    };
    let mut sent_at = Instant::now();
    let outcome = gops::run(video, kind, mode, n_threads, &mut |video, event| {
        work.take(video, event, times);
        work.scenes.send(video, answers, times)?;
        send_progress(&mut sent_at, work.scenes.end_us(), answers)
    })?;
    work.scenes.lasts_to(outcome.end_us);
    work.n_unscaled += outcome.n_unscaled;
    work.last_error = outcome.last_error.or(work.last_error.take());
    times.decode_ms += outcome.decode_ms;
    times.scale_ms += outcome.scale_ms;
    times.detect_ms += outcome.detect_ms;
    Ok(DecodePlan {
        mode_used: mode,
        kind: kind.name().to_owned(),
        reason: reason.to_owned(),
        n_gops: outcome.n_gops,
        n_gops_decoded: outcome.n_gops_decoded,
    })
}

/// Decodes every frame in order.
fn decode_through(video: &mut OpenVideo, work: &mut Work<'_>, answers: &mut impl Write, times: &mut StageTimes) -> Result<(), Ended> {
    let mut frame = Video::empty();
    let mut sent_at = Instant::now();
    let mut n_packets = 0;
    loop {
        let decoding = Instant::now();
        let step = video.step(&mut frame);
        times.decode_ms += elapsed_ms(decoding);
        match step {
            Step::End => return Ok(()),
            Step::Packet => {
                n_packets += 1;
                if n_packets < PACKETS_BETWEEN_LOOKS {
                    continue;
                }
            }
            Step::Frame(shown) => {
                work.frame(video, &frame, shown, times);
                work.scenes.send(video, answers, times)?;
            }
        }
        n_packets = 0;
        send_progress(&mut sent_at, work.scenes.end_us(), answers)?;
    }
}

/// Tells the daemon at most every [`PROGRESS_EVERY`] that work goes on.
fn send_progress(sent_at: &mut Instant, end_us: i64, answers: &mut impl Write) -> Result<(), Ended> {
    if sent_at.elapsed() >= PROGRESS_EVERY {
        *sent_at = Instant::now();
        let position_ms = us_to_ms(end_us);
        pipe::write_frame(answers, wire::KIND_PROGRESSED, &Progress { position_ms }, &[])?;
    }
    Ok(())
}

struct Work<'a> {
    finder: Finder,
    glimpser: Glimpser,
    glimpse: Glimpse,
    scenes: Scenes<'a>,
    n_frames: u64,
    /// Frames that could not be converted.
    n_unscaled: u64,
    last_error: Option<ScaleError>,
}

impl<'a> Work<'a> {
    fn new(request: &'a AnalyseRequest, budget: Budget) -> Self {
        Self {
            finder: Finder::new(request.detector),
            glimpser: Glimpser::new(),
            glimpse: Glimpse::default(),
            scenes: Scenes::new(request, budget),
            n_frames: 0,
            n_unscaled: 0,
            last_error: None,
        }
    }

    fn frame(&mut self, video: &OpenVideo, frame: &Video, shown: FrameTime, times: &mut StageTimes) {
        if let Err(error) = self.try_frame(video, frame, shown, times) {
            self.n_unscaled += 1;
            self.last_error = Some(error);
        }
    }

    fn try_frame(&mut self, video: &OpenVideo, frame: &Video, shown: FrameTime, times: &mut StageTimes) -> Result<(), ScaleError> {
        let scaling = Instant::now();
        self.glimpser.shrink(frame, &mut self.glimpse)?;
        times.scale_ms += elapsed_ms(scaling);

        self.scenes.frame(video, Some(frame), shown, &self.glimpse, times);

        let detecting = Instant::now();
        self.finder.push(frame, shown.start_us, &self.glimpse, &mut self.scenes)?;
        self.scenes.settled(self.finder.settled_us());
        times.detect_ms += elapsed_ms(detecting);
        self.n_frames += 1;
        Ok(())
    }

    /// Takes one report about a group of pictures.
    fn take(&mut self, video: &OpenVideo, event: gops::GopEvent, times: &mut StageTimes) {
        match event {
            gops::GopEvent::Frame(seen) => {
                self.scenes.frame(video, seen.frame.as_ref(), seen.shown, &seen.glimpse, times);
                self.n_frames += 1;
            }
            gops::GopEvent::Found(found) => self.scenes.found(found),
            gops::GopEvent::Settled(settled_us) => self.scenes.settled(settled_us),
        }
    }

    fn why_nothing(&self, video: &OpenVideo) -> String {
        let error = self.last_error.as_ref().or(self.scenes.last_error());
        error.map_or_else(|| video.why_nothing(), ToString::to_string)
    }
}
