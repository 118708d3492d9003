//! One film from its first to its last frame: cuts, parts, samples, thumbnails, and what a user should know about damage.

use std::io::Write;
use std::time::{Duration, Instant};

use ffmpeg_next::frame::Video;
use scened_common::domain::Resample;
use scened_common::media::answer::{Analysis, DecodePlan, StageTimes};
use scened_common::media::budget::Budget;
use scened_common::media::extras::Extras;
use scened_common::media::request::{AnalyseRequest, Detector, Hardware, SceneMode};
use scened_common::media::wire::{self, Progress};
use scened_common::pipe;

use super::allowed::Allowed;
use super::detect::CutDetector;
use super::detect::shrink::{Shrinker, working_size};
use super::evidence;
use super::film::{Film, Losses, SHORT_FRACTION, SHORT_US, Shown, Step, Unfollowed, Unusable};
use super::glimpse::{Glimpse, Glimpser};
use super::scale::{Colours, ScaleError, Scaler, Wanted};
use super::scenes::Scenes;
use super::shots::{Found, ShotDetector};
use super::{Ended, fast};

/// How often the daemon hears that work goes on.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);
/// Packets without a frame between two looks at the clock.
const PACKETS_BETWEEN_LOOKS: u32 = 64;
const ONLY_KEYFRAMES: &str = "only its keyframes were decoded";

/// Tells everything about a film.
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
    let mut film = Film::open_on(opened, threads, hardware, Allowed::films(extras))?;
    let mut times = StageTimes {
        open_ms: ms(started.elapsed()),
        ..StageTimes::default()
    };
    pipe::write_frame(answers, wire::KIND_PROBED, film.probe(), &[])?;
    let mut work = Work::new(request, budget);
    let plan = look_at_all(&mut film, request, &mut work, answers, &mut times)?;
    if work.n_frames == 0 {
        return Err(Unusable(work.why_nothing(&film)).into());
    }
    work.finder.finish(&mut work.scenes);
    work.scenes.end();
    work.scenes.tell(&film, answers, &mut times)?;
    if work.scenes.n_told == 0 {
        return Err(Unusable(work.why_nothing(&film)).into());
    }
    times.total_ms = ms(started.elapsed());
    let damage: Vec<String> = [
        request.keyframes_only.then(|| ONLY_KEYFRAMES.to_owned()),
        describe_damage(
            film.losses,
            work.n_unscaled + work.scenes.n_failed(),
            work.scenes.end_us(),
            film.promised_us(),
        ),
    ]
    .into_iter()
    .flatten()
    .chain(film.unfollowed().iter().map(describe_unfollowed))
    .chain(film.ends_undecoded().then(|| describe_undecoded(work.scenes.end_us())))
    .chain(film.another_follows().then(|| describe_another(work.scenes.end_us())))
    .collect();
    let analysis = Analysis {
        duration_ms: work.scenes.duration_ms(),
        n_frames: work.n_frames,
        n_scenes: work.scenes.n_told,
        plan,
        damage: (!damage.is_empty()).then(|| damage.join("; ")),
        decoder: film.decoder_name(),
        fault: evidence::fault(),
        picture: Some(film.picture()),
        times,
    };
    pipe::write_frame(answers, wire::KIND_FINISHED, &analysis, &[])?;
    Ok(())
}

/// Looks at the whole film in the way that suits it, and says in which.
fn look_at_all(
    film: &mut Film,
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
        film.spare_filtering();
    }
    if request.keyframes_only {
        return look_at_keyframes(film, work, answers, times);
    }
    let reason = match (request.mode, request.detector) {
        (_, Detector::Content | Detector::Adaptive) => "this detector must see every frame one after the other",
        _ if film.uses_device() => "a graphics card decodes it",
        (SceneMode::Exact, _) if n_threads < 2 => "every frame was asked for",
        (mode, Detector::Shot) => match fast::survey(film) {
            fast::Verdict::Gops(kind) => return look_at_gops(film, kind, mode, n_threads, work, answers, times),
            fast::Verdict::Through(reason) => reason,
        },
    };
    decode_through(film, work, answers, times)?;
    Ok(DecodePlan {
        mode_used: SceneMode::Exact,
        reason: reason.to_owned(),
        ..DecodePlan::default()
    })
}

/// Looks at keyframes alone, one after the other.
fn look_at_keyframes(film: &mut Film, work: &mut Work<'_>, answers: &mut impl Write, times: &mut StageTimes) -> Result<DecodePlan, Ended> {
    film.take_only_keyframes();
    decode_through(film, work, answers, times)?;
    work.scenes.lasts_to(film.keyframes_to_us().unwrap_or(0));
    Ok(DecodePlan {
        mode_used: SceneMode::Fast,
        reason: ONLY_KEYFRAMES.to_owned(),
        ..DecodePlan::default()
    })
}

/// Looks at groups of pictures: at all of them, or at those in which a shot may begin.
fn look_at_gops(
    film: &mut Film,
    kind: fast::Kind,
    mode: SceneMode,
    n_threads: usize,
    work: &mut Work<'_>,
    answers: &mut impl Write,
    times: &mut StageTimes,
) -> Result<DecodePlan, Ended> {
    let (mode, reason) = match (mode, kind) {
        (SceneMode::Exact, _) => (SceneMode::Exact, "every frame was asked for"),
        // The pictures between two that were looked at can hold a whole shot, and no packet tells of it.
        (SceneMode::Fast, fast::Kind::Intra { .. }) => {
            (SceneMode::Exact, "each of its pictures stands alone, so that packets tell nothing")
        }
        (SceneMode::Fast, _) => (SceneMode::Fast, "its keyframes and packets tell where to look"),
    };
    let mut told = Instant::now();
    let outcome = fast::run(film, kind, mode, n_threads, &mut |film, item| {
        work.told(film, item, times);
        work.scenes.tell(film, answers, times)?;
        tell_progress(&mut told, work.scenes.end_us(), answers)
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
fn decode_through(film: &mut Film, work: &mut Work<'_>, answers: &mut impl Write, times: &mut StageTimes) -> Result<(), Ended> {
    let mut frame = Video::empty();
    let mut told = Instant::now();
    let mut n_packets = 0;
    loop {
        let decoding = Instant::now();
        let step = film.step(&mut frame);
        times.decode_ms += ms(decoding.elapsed());
        match step {
            Step::End => return Ok(()),
            Step::Packet => {
                n_packets += 1;
                if n_packets < PACKETS_BETWEEN_LOOKS {
                    continue;
                }
            }
            Step::Frame(shown) => {
                work.frame(film, &frame, shown, times);
                work.scenes.tell(film, answers, times)?;
            }
        }
        n_packets = 0;
        tell_progress(&mut told, work.scenes.end_us(), answers)?;
    }
}

/// Tells the daemon now and then that work goes on.
fn tell_progress(told: &mut Instant, end_us: i64, answers: &mut impl Write) -> Result<(), Ended> {
    if told.elapsed() >= PROGRESS_EVERY {
        *told = Instant::now();
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

    fn push(&mut self, frame: &Video, time_us: i64, glimpse: &Glimpse, scenes: &mut Scenes) -> Result<(), ScaleError> {
        match self {
            Self::Shot(detector) => {
                detector.push(time_us, glimpse);
                while let Some(found) = detector.next_found() {
                    scenes.found(found);
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
                    scenes.found(Found::Cut { time_us });
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self, scenes: &mut Scenes) {
        if let Self::Shot(detector) = self {
            detector.finish();
            while let Some(found) = detector.next_found() {
                scenes.found(found);
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
}

/// What the classic detectors see: the frame as OpenCV decodes it, then as OpenCV shrinks it.
struct Eye {
    scaler: Scaler,
    shrinker: Shrinker,
    size: (u32, u32),
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

        self.scenes.frame(film, Some(frame), shown, &self.glimpse, times);

        let detecting = Instant::now();
        self.finder.push(frame, shown.start_us, &self.glimpse, &mut self.scenes)?;
        self.scenes.settled(self.finder.settled_us());
        times.detect_ms += ms(detecting.elapsed());
        self.n_frames += 1;
        Ok(())
    }

    /// Takes what the cascade tells.
    fn told(&mut self, film: &Film, told: fast::Told, times: &mut StageTimes) {
        match told {
            fast::Told::Frame(seen) => {
                self.scenes.frame(film, seen.frame.as_ref(), seen.shown, &seen.glimpse, times);
                self.n_frames += 1;
            }
            fast::Told::Found(found) => self.scenes.found(found),
            fast::Told::Settled(settled_us) => self.scenes.settled(settled_us),
        }
    }

    fn why_nothing(&self, film: &Film) -> String {
        let error = self.last_error.as_ref().or(self.scenes.last_error());
        error.map_or_else(|| film.why_nothing(), ToString::to_string)
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

fn describe_damage(losses: Losses, n_unscaled: u64, end_us: i64, promised_us: Option<i64>) -> Option<String> {
    let mut words = Vec::new();
    let short = promised_us.filter(|claimed| {
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

fn describe_unfollowed(unfollowed: &Unfollowed) -> String {
    format!(
        "from {} on the picture is in another stream, which is not followed: {}",
        clock(unfollowed.from_us),
        unfollowed.reason
    )
}

fn describe_undecoded(end_us: i64) -> String {
    format!(
        "from {} on nothing could be decoded: it is damaged there, or in another codec",
        clock(end_us)
    )
}

fn describe_another(end_us: i64) -> String {
    format!(
        "from {} on another video follows in the same file, which is not followed",
        clock(end_us)
    )
}

/// A time as people write it: `00:12:40`.
fn clock(us: i64) -> String {
    let seconds = us / 1_000_000;
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

pub(super) fn us_to_ms(us: i64) -> u64 {
    ((us.max(0) + 500) / 1000) as u64
}

pub(super) fn ms(duration: Duration) -> f64 {
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
