//! Checks every message of a media worker against its request. Pure.

use scened_common::domain::{Boundary, ClockPart, Frame, ImageSpec};
use scened_common::media::budget::Budget;
use scened_common::media::wire;
use scened_common::media::wire::Confinement;
use scened_common::pipe::{self, RawFrame};

use super::super::{
    AnalyseRequest, Analysis, FoundScene, Keyframe, KeyframesRequest, MediaError, MediaEvent, Poster, PosterRequest, Probe,
};

/// Maximum number of events of one video that are not scenes. A worker reports its progress a few times a second.
const MAX_PROGRESS: u64 = 50_000_000;

/// Checks the messages of one analysis or replay.
#[derive(Debug)]
pub(super) struct Checker {
    image: ImageSpec,
    thumbnails: bool,
    keyframes: bool,
    probed: bool,
    n_scenes: u64,
    n_progress: u64,
    /// `None`: the file is the daemon's own.
    budget: Option<Budget>,
    /// Size of thumbnails and keyframe pictures so far.
    picture_bytes: u64,
    /// Required start of the next scene. Milliseconds.
    end_ms: u64,
    position_ms: u64,
}

fn breach(detail: impl Into<String>) -> MediaError {
    MediaError::Protocol { detail: detail.into() }
}

fn header<T: serde::de::DeserializeOwned>(frame: &RawFrame) -> Result<T, MediaError> {
    frame.header().map_err(|error| breach(error.to_string()))
}

fn clean(text: &str) -> String {
    pipe::clean(text, wire::MAX_TEXT_BYTES)
}

/// More parts of a clock than any worker reports.
const MAX_CLOCK_PARTS: usize = 1000;

fn check_clock(clock: &[ClockPart]) -> Result<(), MediaError> {
    let is_far = |ms: i64| ms.unsigned_abs() > 2 * wire::MAX_TIME_MS;
    let begins = clock.first().is_none_or(|part| part.start_ms == 0);
    let ends = clock.last().is_none_or(|part| part.start_ms <= wire::MAX_TIME_MS);
    if clock.len() > MAX_CLOCK_PARTS
        || !begins
        || !ends
        || !clock.is_sorted_by(|a, b| a.start_ms < b.start_ms && a.first_frame <= b.first_frame)
        || clock.iter().any(|part| is_far(part.file_ms) || is_far(part.file_end_ms))
    {
        return Err(breach("an invalid clock"));
    }
    Ok(())
}

/// Checks the first frame of every worker.
pub(super) fn confinement(frame: &RawFrame) -> Result<Confinement, MediaError> {
    if frame.kind != wire::KIND_CONFINED {
        return Err(breach(format!("kind {} came before the report about the sandbox", frame.kind)));
    }
    Ok(match header(frame)? {
        Confinement::Sandboxed { how } => Confinement::Sandboxed { how: clean(&how) },
        Confinement::Unsandboxed { reason } => Confinement::Unsandboxed { reason: clean(&reason) },
        Confinement::Refused { reason } => Confinement::Refused { reason: clean(&reason) },
    })
}

impl Checker {
    pub(super) fn new(request: &AnalyseRequest, budget: Budget) -> Self {
        Self {
            image: request.image,
            thumbnails: request.thumbnail_px > 0,
            keyframes: request.keyframe_px > 0,
            probed: false,
            n_scenes: 0,
            n_progress: 0,
            budget: Some(budget),
            picture_bytes: 0,
            end_ms: 0,
            position_ms: 0,
        }
    }

    /// Checks the replay of stored pictures, which is not probed and has neither thumbnails nor keyframes.
    pub(super) fn for_keyframes(request: &KeyframesRequest) -> Self {
        Self {
            image: request.image,
            thumbnails: false,
            keyframes: false,
            probed: true,
            n_scenes: 0,
            n_progress: 0,
            budget: None,
            picture_bytes: 0,
            end_ms: 0,
            position_ms: 0,
        }
    }

    pub(super) fn replayed(&self, frame: &RawFrame) -> Result<u64, MediaError> {
        let wire::Replayed { n_scenes } = header(frame)?;
        if !frame.body.is_empty() || n_scenes == 0 || n_scenes != self.n_scenes {
            return Err(breach(format!(
                "it finished with {n_scenes} scenes, but reported {}",
                self.n_scenes
            )));
        }
        Ok(n_scenes)
    }

    /// Checks any event but the last.
    pub(super) fn event(&mut self, frame: &RawFrame) -> Result<MediaEvent, MediaError> {
        match frame.kind {
            wire::KIND_FAILED => Err(failed(frame)),
            wire::KIND_PROBED if !self.probed => self.probed(frame),
            wire::KIND_SCENE if self.probed => self.scene(frame),
            wire::KIND_PROGRESSED if self.probed => self.progressed(frame),
            kind => Err(breach(format!("an event of kind {kind} came when it was not expected"))),
        }
    }

    pub(super) fn finished(&self, frame: &RawFrame) -> Result<Analysis, MediaError> {
        let mut analysis: Analysis = header(frame)?;
        if !frame.body.is_empty() || self.n_scenes == 0 {
            return Err(breach("it finished without a scene"));
        }
        if analysis.n_scenes != self.n_scenes || analysis.duration_ms != self.end_ms {
            return Err(breach(format!(
                "it finished with {} scenes in {} ms, but reported {} in {} ms",
                analysis.n_scenes, analysis.duration_ms, self.n_scenes, self.end_ms
            )));
        }
        if analysis.n_frames == 0 {
            return Err(breach("it finished without a frame"));
        }
        let times = &mut analysis.times;
        for time in [
            &mut times.open_ms,
            &mut times.decode_ms,
            &mut times.scale_ms,
            &mut times.detect_ms,
            &mut times.sample_ms,
            &mut times.thumbnail_ms,
            &mut times.total_ms,
        ] {
            if !time.is_finite() || *time < 0.0 {
                *time = 0.0;
            }
        }
        let plan = &mut analysis.plan;
        (plan.kind, plan.reason) = (clean(&plan.kind), clean(&plan.reason));
        analysis.decoder = clean(&analysis.decoder);
        if let Some(picture) = &analysis.picture {
            check_clock(&picture.clock)?;
            if picture.wrong.len() > MAX_CLOCK_PARTS {
                return Err(breach("more wrong time stamps than allowed"));
            }
        }
        analysis.damage = analysis.damage.as_deref().map(clean).filter(|text| !text.is_empty());
        Ok(analysis)
    }

    fn probed(&mut self, frame: &RawFrame) -> Result<MediaEvent, MediaError> {
        let mut probe: Probe = header(frame)?;
        if !frame.body.is_empty() || probe.streams.len() > wire::MAX_STREAMS {
            return Err(breach("a probe with too much in it"));
        }
        probe.container = clean(&probe.container);
        probe.duration_ms = probe.duration_ms.min(wire::MAX_TIME_MS);
        for stream in &mut probe.streams {
            stream.kind = clean(&stream.kind);
            stream.codec = clean(&stream.codec);
            if !stream.fps.is_finite() || stream.fps < 0.0 {
                stream.fps = 0.0;
            }
        }
        self.probed = true;
        Ok(MediaEvent::Probed(probe))
    }

    fn progressed(&mut self, frame: &RawFrame) -> Result<MediaEvent, MediaError> {
        let wire::Progress { position_ms } = header(frame)?;
        self.n_progress += 1;
        if !frame.body.is_empty() || position_ms < self.position_ms || position_ms > wire::MAX_TIME_MS {
            return Err(breach(format!("progress from {} to {position_ms} ms", self.position_ms)));
        }
        if self.n_progress > MAX_PROGRESS {
            return Err(breach("it reports progress without end"));
        }
        self.position_ms = position_ms;
        Ok(MediaEvent::Progressed { position_ms })
    }

    fn scene(&mut self, frame: &RawFrame) -> Result<MediaEvent, MediaError> {
        let scene: wire::SceneHeader = header(frame)?;
        let span = scene.span;
        if span.start_ms != self.end_ms || span.end_ms <= span.start_ms || span.end_ms > wire::MAX_TIME_MS {
            return Err(breach(format!(
                "a scene from {} to {} ms after one that ended at {} ms",
                span.start_ms, span.end_ms, self.end_ms
            )));
        }
        if (self.n_scenes == 0) != (scene.boundary == Boundary::Start) || self.n_scenes + 1 >= wire::MAX_SCENES {
            return Err(breach(format!("scene {} that begins with {:?}", self.n_scenes, scene.boundary)));
        }
        let times = &scene.frames_ms;
        let inside = times.iter().all(|time| (span.start_ms..span.end_ms).contains(time));
        let most_frames = wire::MAX_SCENE_FRAMES * self.image.most_views();
        if times.is_empty() || times.len() > most_frames || !times.is_sorted() || !inside {
            return Err(breach(format!(
                "a scene from {} to {} ms with frames at {times:?} ms",
                span.start_ms, span.end_ms
            )));
        }
        let frame_bytes = wire::frame_bytes(&self.image);
        let thumbnail_bytes = usize::try_from(scene.thumbnail_bytes).unwrap_or(usize::MAX);
        let allowed = if self.thumbnails { wire::MAX_THUMBNAIL_BYTES } else { 0 };
        let pictures_bytes = frame_bytes * times.len();
        let keyframes_bytes = self.check_keyframes(&scene)?;
        if thumbnail_bytes > allowed || frame.body.len() != pictures_bytes + thumbnail_bytes + keyframes_bytes {
            return Err(breach(format!(
                "a scene of {} frames, a thumbnail of {thumbnail_bytes} bytes and keyframes of {keyframes_bytes} bytes in {} bytes",
                times.len(),
                frame.body.len()
            )));
        }
        let (thumbnail, mut rest) = frame.body[pictures_bytes..].split_at(thumbnail_bytes);
        if !thumbnail.is_empty() && !is_jpeg(thumbnail) {
            return Err(breach("a thumbnail that is not a JPEG"));
        }
        let mut keyframes = Vec::with_capacity(scene.keyframes.len());
        for (time_ms, length) in &scene.keyframes {
            let (picture, after) = rest.split_at(*length as usize);
            if !is_jpeg(picture) && !is_webp(picture) {
                return Err(breach("a keyframe picture that is neither WebP nor JPEG"));
            }
            let (time_ms, picture) = (*time_ms, picture.to_vec());
            keyframes.push(Keyframe { time_ms, picture });
            rest = after;
        }
        let frames = times
            .iter()
            .zip(frame.body.chunks_exact(frame_bytes))
            .map(|(time_ms, rgb)| Frame {
                time_ms: *time_ms,
                width_px: self.image.width_px,
                height_px: self.image.height_px,
                rgb: rgb.to_vec(),
            })
            .collect();
        self.n_scenes += 1;
        self.end_ms = span.end_ms;
        self.picture_bytes += (thumbnail_bytes + keyframes_bytes) as u64;
        self.check_budget()?;
        Ok(MediaEvent::SceneFound(FoundScene {
            span,
            boundary: scene.boundary,
            frames,
            thumbnail: thumbnail.to_vec(),
            keyframes,
        }))
    }

    /// Returns the worker's position. Milliseconds.
    pub(super) fn reached_ms(&self) -> u64 {
        self.end_ms.max(self.position_ms)
    }

    fn check_budget(&self) -> Result<(), MediaError> {
        let Some(budget) = self.budget else { return Ok(()) };
        if self.n_scenes > budget.most_scenes(self.end_ms) {
            return Err(breach(format!(
                "{} scenes in {} ms, too many for a video of this size",
                self.n_scenes, self.end_ms
            )));
        }
        if self.picture_bytes > budget.most_picture_bytes() {
            return Err(breach(format!("{} bytes of pictures, more than the video has", self.picture_bytes)));
        }
        Ok(())
    }

    /// Returns the size of the keyframe pictures in the body of a scene. Bytes.
    fn check_keyframes(&self, scene: &wire::SceneHeader) -> Result<usize, MediaError> {
        let keyframes = &scene.keyframes;
        let is_possible = |(time_ms, length): &(u64, u32)| {
            scene.frames_ms.contains(time_ms) && (1..=wire::MAX_KEYFRAME_BYTES).contains(&(*length as usize))
        };
        let n_moments = scene.frames_ms.len().min(wire::MAX_SCENE_FRAMES);
        let n_allowed = if self.keyframes { n_moments } else { 0 };
        if keyframes.len() > n_allowed || !keyframes.is_sorted_by_key(|(time_ms, _)| *time_ms) || !keyframes.iter().all(is_possible) {
            return Err(breach(format!(
                "keyframe pictures {keyframes:?} of frames at {:?} ms",
                scene.frames_ms
            )));
        }
        Ok(keyframes.iter().map(|(_, length)| *length as usize).sum())
    }
}

/// Every JPEG starts like this. Anything else would be passed to other programs as a JPEG.
fn is_jpeg(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xff, 0xd8, 0xff])
}

fn is_webp(bytes: &[u8]) -> bool {
    bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP")
}

fn failed(frame: &RawFrame) -> MediaError {
    match header::<wire::Failure>(frame) {
        Ok(failure) => {
            let told = clean(&failure.reason);
            let reason = if told.is_empty() { "no reason was given".to_owned() } else { told };
            match failure.fault {
                wire::Fault::Video => MediaError::Unusable { reason },
                wire::Fault::Reading { errno } => MediaError::Unread { errno },
                wire::Fault::Shortage { .. } => MediaError::Short { reason },
            }
        }
        Err(error) => error,
    }
}

/// Checks the answer to a request for one moment: as many pictures as the model needs of it, at least one.
pub(super) fn picture(frame: &RawFrame, image: &ImageSpec) -> Result<Vec<Frame>, MediaError> {
    match frame.kind {
        wire::KIND_FAILED => Err(failed(frame)),
        wire::KIND_PICTURE_FOUND => {
            let wire::PictureHeader { time_ms } = header(frame)?;
            let frame_bytes = wire::frame_bytes(image);
            let n_views = frame.body.len() / frame_bytes;
            if !frame.body.len().is_multiple_of(frame_bytes) || !(1..=image.most_views()).contains(&n_views) || time_ms > wire::MAX_TIME_MS
            {
                return Err(breach(format!("a picture of {} bytes at {time_ms} ms", frame.body.len())));
            }
            let views = frame.body.chunks_exact(frame_bytes).map(|rgb| Frame {
                time_ms,
                width_px: image.width_px,
                height_px: image.height_px,
                rgb: rgb.to_vec(),
            });
            Ok(views.collect())
        }
        kind => Err(breach(format!("an event of kind {kind} came when a picture was expected"))),
    }
}

/// Checks the answer to a request for a poster frame.
pub(super) fn poster(frame: &RawFrame, request: &PosterRequest) -> Result<Poster, MediaError> {
    match frame.kind {
        wire::KIND_FAILED => Err(failed(frame)),
        wire::KIND_POSTER_FOUND => {
            let wire::PosterHeader {
                time_ms,
                width_px,
                height_px,
            } = header(frame)?;
            let sides = 1..=request.longer_px;
            let is_possible = sides.contains(&width_px) && sides.contains(&height_px) && time_ms <= wire::MAX_TIME_MS;
            if !is_possible || frame.body.len() as u64 != u64::from(width_px) * u64::from(height_px) * 3 {
                return Err(breach(format!(
                    "a picture of {width_px} × {height_px} px at {time_ms} ms in {} bytes",
                    frame.body.len()
                )));
            }
            Ok(Poster {
                time_ms,
                width_px,
                height_px,
                rgb: frame.body.clone(),
            })
        }
        kind => Err(breach(format!("an event of kind {kind} came when a poster frame was expected"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::media::{Detector, Hardware, SceneMode};
    use scened_common::domain::{Resample, ResizeMode};

    const SIDE: usize = 4;
    const FRAME_BYTES: usize = SIDE * SIDE * 3;

    fn checker() -> Checker {
        let request = AnalyseRequest {
            image: ImageSpec {
                width_px: SIDE as u32,
                height_px: SIDE as u32,
                shortest_side_px: SIDE as u32,
                resize: ResizeMode::Squash,
                resample: Resample::Bilinear,
            },
            detector: Detector::Content,
            mode: SceneMode::Exact,
            keyframes_only: false,
            max_scene_ms: 15_000,
            thumbnail_px: 320,
            keyframe_px: 224,
            threads: 0,
            hardware: Hardware::None,
            label: String::new(),
        };
        Checker::new(&request, Budget::of_bytes(1 << 20))
    }

    fn raw(kind: u8, header: &serde_json::Value, body: Vec<u8>) -> RawFrame {
        RawFrame {
            kind,
            header: header.to_string().into_bytes(),
            body,
        }
    }

    fn probe() -> RawFrame {
        raw(
            wire::KIND_PROBED,
            &json!({"container": "mov", "duration_ms": 0, "streams": []}),
            vec![],
        )
    }

    fn scene(start_ms: u64, end_ms: u64, boundary: &str, frames_ms: &[u64], thumbnail: &[u8]) -> RawFrame {
        with_keyframes(start_ms, end_ms, boundary, frames_ms, thumbnail, &[])
    }

    fn with_keyframes(
        start_ms: u64,
        end_ms: u64,
        boundary: &str,
        frames_ms: &[u64],
        thumbnail: &[u8],
        keyframes: &[(u64, &[u8])],
    ) -> RawFrame {
        let mut body = vec![7; FRAME_BYTES * frames_ms.len()];
        body.extend_from_slice(thumbnail);
        for (_, jpeg) in keyframes {
            body.extend_from_slice(jpeg);
        }
        let span = json!({"start_ms": start_ms, "end_ms": end_ms});
        let lengths: Vec<(u64, usize)> = keyframes.iter().map(|(time, jpeg)| (*time, jpeg.len())).collect();
        raw(
            wire::KIND_SCENE,
            &json!({
                "span": span,
                "boundary": boundary,
                "frames_ms": frames_ms,
                "thumbnail_bytes": thumbnail.len(),
                "keyframes": lengths,
            }),
            body,
        )
    }

    fn refused(frames: Vec<RawFrame>) {
        let mut checker = checker();
        let last = frames.len() - 1;
        for (n, frame) in frames.into_iter().enumerate() {
            let shown = format!("{} {}", frame.kind, String::from_utf8_lossy(&frame.header));
            match checker.event(&frame) {
                Ok(_) => assert!(n < last, "{shown} was believed"),
                Err(error) => {
                    assert!(matches!(error, MediaError::Protocol { .. }), "{shown} gave {error}");
                    assert_eq!(n, last, "{shown} gave {error}");
                }
            }
        }
    }

    #[test]
    fn one_moment_has_as_many_pictures_as_the_model_is_shown_and_no_more() {
        let two = ImageSpec {
            resize: ResizeMode::TwoCrops,
            ..checker().image
        };
        let found = |n_frames: usize| raw(wire::KIND_PICTURE_FOUND, &json!({"time_ms": 7}), vec![1; FRAME_BYTES * n_frames]);
        for (image, n_frames, expected) in [
            (checker().image, 1, Some(1)),
            (checker().image, 2, None),
            (two, 1, Some(1)),
            (two, 2, Some(2)),
            (two, 3, None),
            (two, 0, None),
        ] {
            let views = picture(&found(n_frames), &image);
            assert_eq!(
                views.ok().map(|views| views.len()),
                expected,
                "{n_frames} frames for {:?}",
                image.resize
            );
        }
        // A scene with the maximum number of moments.
        let times: Vec<u64> = (0..wire::MAX_SCENE_FRAMES as u64).flat_map(|time| [time, time]).collect();
        for (image, is_believed) in [(checker().image, false), (two, true)] {
            let mut checker = Checker { image, ..checker() };
            checker.event(&probe()).unwrap();
            assert_eq!(checker.event(&scene(0, 100, "start", &times, &[])).is_ok(), is_believed);
        }
    }

    #[test]
    fn an_honest_worker_is_believed() {
        let mut checker = checker();
        checker.event(&probe()).unwrap();
        checker.event(&scene(0, 100, "start", &[0, 50], &[0xff, 0xd8, 0xff, 1])).unwrap();
        checker
            .event(&raw(wire::KIND_PROGRESSED, &json!({"position_ms": 150}), vec![]))
            .unwrap();
        let MediaEvent::SceneFound(found) = checker.event(&scene(100, 200, "cut", &[150], &[])).unwrap() else {
            panic!("not a scene");
        };
        assert_eq!(found.frames[0].rgb, vec![7; FRAME_BYTES]);
        let times = json!({"open_ms": 1, "decode_ms": 1, "scale_ms": 1, "detect_ms": 1, "sample_ms": 1, "thumbnail_ms": 1, "total_ms": -1});
        let mut end = json!({"duration_ms": 200, "n_frames": 9, "n_scenes": 2, "damage": "a\u{1b}[2Jb", "times": times});
        let analysis = checker.finished(&raw(wire::KIND_FINISHED, &end, vec![])).unwrap();
        assert_eq!(analysis.damage.as_deref(), Some("a [2Jb"));
        assert!(analysis.times.total_ms.abs() < f64::EPSILON);
        end["n_scenes"] = json!(3);
        assert!(checker.finished(&raw(wire::KIND_FINISHED, &end, vec![])).is_err());
    }

    #[test]
    fn more_than_the_video_can_hold_is_refused() {
        let mut checker = checker();
        checker.event(&probe()).unwrap();
        let mut ended = None;
        for n in 0..700 {
            let boundary = if n == 0 { "start" } else { "cut" };
            if let Err(error) = checker.event(&scene(n, n + 1, boundary, &[n], &[])) {
                ended = Some((n, error.to_string()));
                break;
            }
        }
        let (n, error) = ended.expect("600 scenes in 600 ms are enough");
        assert!(n == 606 && error.contains("too many for a video of this size"), "{n}: {error}");

        let mut checker = Checker {
            budget: Some(Budget::of_bytes(0)),
            ..super::tests::checker()
        };
        checker.event(&probe()).unwrap();
        let mut jpeg = vec![0; wire::MAX_THUMBNAIL_BYTES];
        jpeg[..3].copy_from_slice(&[0xff, 0xd8, 0xff]);
        let refused_at = (0..600).find(|n| {
            let boundary = if *n == 0 { "start" } else { "cut" };
            checker
                .event(&scene(n * 1000, n * 1000 + 1000, boundary, &[n * 1000], &jpeg))
                .is_err()
        });
        assert_eq!(refused_at, Some(256));
    }

    #[test]
    fn scenes_that_overlap_or_leave_gaps_are_refused() {
        let first = || scene(0, 100, "start", &[0], &[]);
        refused(vec![probe(), scene(1, 100, "start", &[1], &[])]);
        refused(vec![probe(), first(), scene(99, 200, "cut", &[150], &[])]);
        refused(vec![probe(), first(), scene(101, 200, "cut", &[150], &[])]);
        refused(vec![probe(), first(), scene(100, 100, "cut", &[100], &[])]);
        refused(vec![probe(), first(), scene(100, u64::MAX, "cut", &[100], &[])]);
    }

    #[test]
    fn boundaries_out_of_place_are_refused() {
        refused(vec![probe(), scene(0, 100, "cut", &[0], &[])]);
        refused(vec![
            probe(),
            scene(0, 100, "start", &[0], &[]),
            scene(100, 200, "start", &[100], &[]),
        ]);
        refused(vec![probe(), scene(0, 100, "sideways", &[0], &[])]);
    }

    #[test]
    fn frames_outside_their_scene_or_out_of_order_are_refused() {
        refused(vec![probe(), scene(0, 100, "start", &[], &[])]);
        refused(vec![probe(), scene(0, 100, "start", &[100], &[])]);
        refused(vec![probe(), scene(0, 100, "start", &[50, 40], &[])]);
        refused(vec![probe(), scene(0, 100, "start", &[1; wire::MAX_SCENE_FRAMES + 1], &[])]);
    }

    const JPEG: &[u8] = &[0xff, 0xd8, 0xff, 1];

    #[test]
    fn keyframe_pictures_belong_to_frames_of_their_scene() {
        let mut checker = checker();
        checker.event(&probe()).unwrap();
        let told = with_keyframes(0, 100, "start", &[0, 50], JPEG, &[(0, JPEG), (50, &[0xff, 0xd8, 0xff, 2, 3])]);
        let MediaEvent::SceneFound(found) = checker.event(&told).unwrap() else {
            panic!("not a scene");
        };
        assert_eq!(found.keyframes[1].picture, [0xff, 0xd8, 0xff, 2, 3]);
        assert!(is_webp(b"RIFF\0\0\0\0WEBPVP8 "));
        assert_eq!((found.keyframes[1].time_ms, found.thumbnail.as_slice()), (50, JPEG));
        for keyframes in [
            &[(10, JPEG)][..],
            &[(50, JPEG), (0, JPEG)],
            &[(0, JPEG), (50, JPEG), (50, JPEG)],
            &[(0, b"GIF89a")],
            &[(0, b"RIFF....AVI ")],
            &[(0, b"")],
        ] {
            refused(vec![probe(), with_keyframes(0, 100, "start", &[0, 50], &[], keyframes)]);
        }
    }

    #[test]
    fn a_replay_has_scenes_and_nothing_else() {
        let image = super::tests::checker().image;
        let request = KeyframesRequest {
            image,
            label: String::new(),
        };
        let new = || Checker::for_keyframes(&request);
        let mut checker = new();
        checker.event(&scene(0, 100, "start", &[0, 50], &[])).unwrap();
        checker.event(&scene(100, 200, "cut", &[100], &[])).unwrap();
        let finished = |n_scenes: u64| raw(wire::KIND_FINISHED, &json!({ "n_scenes": n_scenes }), vec![]);
        assert_eq!(checker.replayed(&finished(2)).unwrap(), 2);
        assert!(checker.replayed(&finished(3)).is_err());
        assert!(new().replayed(&finished(0)).is_err());
        assert!(new().event(&probe()).is_err());
        assert!(new().event(&scene(0, 100, "start", &[0], JPEG)).is_err());
        assert!(new().event(&with_keyframes(0, 100, "start", &[0], &[], &[(0, JPEG)])).is_err());
    }

    #[test]
    fn bodies_of_another_size_are_refused() {
        let mut short = scene(0, 100, "start", &[0, 50], &[]);
        short.body.pop();
        refused(vec![probe(), short]);
        let mut long = scene(0, 100, "start", &[0], &[]);
        long.body.push(0);
        refused(vec![probe(), long]);
        refused(vec![probe(), scene(0, 100, "start", &[0], b"GIF89a")]);
        refused(vec![
            probe(),
            scene(0, 100, "start", &[0], &vec![0xff; wire::MAX_THUMBNAIL_BYTES + 1]),
        ]);
        let mut lying = scene(0, 100, "start", &[0], &[]);
        lying.header = String::from_utf8(lying.header)
            .unwrap()
            .replace("\"thumbnail_bytes\":0", "\"thumbnail_bytes\":18446744073709551615")
            .into_bytes();
        refused(vec![probe(), lying]);
    }

    #[test]
    fn events_out_of_order_are_refused() {
        refused(vec![scene(0, 100, "start", &[0], &[])]);
        refused(vec![probe(), probe()]);
        refused(vec![probe(), raw(99, &json!({}), vec![])]);
        let progress = |position_ms: u64| raw(wire::KIND_PROGRESSED, &json!({"position_ms": position_ms}), vec![]);
        refused(vec![probe(), progress(5), progress(4)]);
        refused(vec![probe(), raw(wire::KIND_PROGRESSED, &json!("half"), vec![])]);
    }

    #[test]
    fn a_reason_is_handed_on_without_control_characters() {
        let error = checker()
            .event(&raw(wire::KIND_FAILED, &json!({"reason": "no\npicture"}), vec![]))
            .unwrap_err();
        assert_eq!(
            error,
            MediaError::Unusable {
                reason: "no picture".to_owned()
            }
        );
        let endless = "ä".repeat(wire::MAX_TEXT_BYTES);
        let error = checker()
            .event(&raw(wire::KIND_FAILED, &json!({"reason": endless}), vec![]))
            .unwrap_err();
        assert!(error.to_string().len() <= wire::MAX_TEXT_BYTES);
    }

    #[test]
    fn a_poster_frame_is_as_large_as_it_says_and_no_larger_than_asked_for() {
        let request = PosterRequest {
            longer_px: 4,
            label: String::new(),
        };
        let found = |time_ms: u64, width_px: u32, height_px: u32, n_bytes: usize| {
            let said = json!({"time_ms": time_ms, "width_px": width_px, "height_px": height_px});
            poster(&raw(wire::KIND_POSTER_FOUND, &said, vec![7; n_bytes]), &request)
        };
        assert_eq!(found(5, 4, 2, 24).unwrap().rgb.len(), 24);
        for (time_ms, width_px, height_px, n_bytes) in [
            (5, 4, 2, 23),
            (5, 5, 2, 30),
            (5, 0, 2, 0),
            (5, 4, u32::MAX, 24),
            (wire::MAX_TIME_MS + 1, 4, 2, 24),
        ] {
            let refused = found(time_ms, width_px, height_px, n_bytes);
            assert!(matches!(refused, Err(MediaError::Protocol { .. })), "{refused:?}");
        }
        let other = raw(wire::KIND_PROGRESSED, &json!({"position_ms": 0}), vec![]);
        assert!(matches!(poster(&other, &request), Err(MediaError::Protocol { .. })));
        let failed = raw(wire::KIND_FAILED, &json!({"reason": "no\u{0007} video"}), vec![]);
        assert_eq!(
            poster(&failed, &request),
            Err(MediaError::Unusable {
                reason: "no  video".to_owned()
            })
        );
    }
}
