//! [`ScriptedFrames`]: a source of frames that plays scripts instead of decoding.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::ControlFlow;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use scened_common::domain::{Boundary, Frame, ImageSpec, Span};
use scened_common::media::wire;

use crate::media::{
    AnalyseRequest, Analysis, Cancel, DecodePlan, FoundScene, FrameSource, Keyframe, KeyframesRequest, MediaError, MediaEvent,
    PictureRequest, Probe, StageTimes, StreamInfo, keyframes,
};

/// How often a blocked analysis checks whether it was cancelled, as the real one does.
const CANCEL_TICK: Duration = Duration::from_millis(20);

/// One scene of a script.
#[derive(Clone, Debug, PartialEq)]
pub struct ScriptedScene {
    pub duration_ms: u64,
    pub boundary: Boundary,
    /// The colours that fill the scene's frames, one for each frame.
    pub colours: Vec<[u8; 3]>,
}

impl ScriptedScene {
    /// Creates a scene of one colour with three frames.
    pub fn plain(duration_ms: u64, boundary: Boundary, colour: [u8; 3]) -> Self {
        Self {
            duration_ms,
            boundary,
            colours: vec![colour; 3],
        }
    }
}

/// The outcome for one video.
#[derive(Clone, Debug, PartialEq)]
pub enum Script {
    Scenes(Vec<ScriptedScene>),
    /// As `Scenes`, but the analysis reports that the video is damaged.
    Damaged(Vec<ScriptedScene>, String),
    /// As `Damaged`, but a refused read (with this error number) is to blame.
    InPart(Vec<ScriptedScene>, i32),
    /// The scenes come, then this error.
    FailsAfter(Vec<ScriptedScene>, MediaError),
    /// Waits until it is cancelled or [`ScriptedFrames::release`] is called, then plays the scenes.
    Blocks(Vec<ScriptedScene>),
}

/// Plays scripts, chosen by the first line of the video's bytes: a test's "video" is a small text file.
///
/// Stricter than the real worker: it panics on a request that the real one would refuse or silently correct, and on a video that is not at
/// its beginning. It also checks that it never calls a sink again after that broke off.
#[derive(Debug, Default)]
pub struct ScriptedFrames {
    state: Mutex<State>,
    released: Condvar,
}

#[derive(Debug, Default)]
struct State {
    scripts: HashMap<String, VecDeque<Script>>,
    released: bool,
    calls: Vec<String>,
    keyframes_only: Vec<bool>,
    n_replays: usize,
    running: usize,
    most_running: usize,
    breakdown: Option<MediaError>,
}

impl ScriptedFrames {
    /// Sets the outcomes for videos whose first line is `key`: the scripts one after the other, then the last one for ever.
    #[must_use]
    pub fn with(self, key: &str, scripts: impl IntoIterator<Item = Script>) -> Self {
        let scripts: VecDeque<_> = scripts.into_iter().collect();
        assert!(!scripts.is_empty(), "a video needs a script");
        for script in &scripts {
            check_script(script);
        }
        self.lock().scripts.insert(key.to_owned(), scripts);
        self
    }

    /// Lets every blocked analysis continue, now and later.
    pub fn release(&self) {
        self.lock().released = true;
        self.released.notify_all();
    }

    /// Returns the first line of each video analysed or asked for a picture, in the order of the calls: how often a video was decoded.
    pub fn calls(&self) -> Vec<String> {
        self.lock().calls.clone()
    }

    /// Returns, for each analysis, whether only keyframes were asked for.
    pub fn keyframes_only(&self) -> Vec<bool> {
        self.lock().keyframes_only.clone()
    }

    /// Returns how often [`FrameSource::replay`] was called.
    pub fn n_replays(&self) -> usize {
        self.lock().n_replays
    }

    /// Returns the largest number of analyses that ran at once.
    pub fn most_running(&self) -> usize {
        self.lock().most_running
    }

    /// Sets the error with which [`FrameSource::prove`] fails from now on; `None`: it succeeds.
    pub fn break_down(&self, breakdown: Option<MediaError>) {
        self.lock().breakdown = breakdown;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn script(&self, video: &mut File) -> Result<Script, MediaError> {
        assert_eq!(
            video.stream_position().expect("a video can be sought in"),
            0,
            "the video must be at its beginning"
        );
        let mut text = Vec::new();
        video.seek(SeekFrom::Start(0)).expect("a video can be sought in");
        video.read_to_end(&mut text).expect("a video can be read");
        let text = String::from_utf8_lossy(&text);
        let key = text.lines().next().unwrap_or_default().to_owned();
        let mut state = self.lock();
        state.calls.push(key.clone());
        let Some(scripts) = state.scripts.get_mut(&key) else {
            return Err(MediaError::Unusable {
                reason: format!("not a media file (no script for {key:?})"),
            });
        };
        let next = if scripts.len() > 1 {
            scripts.pop_front()
        } else {
            scripts.front().cloned()
        };
        Ok(next.expect("a video's scripts never run out"))
    }

    fn wait_for_release(&self, cancel: &Cancel) -> Result<(), MediaError> {
        let mut state = self.lock();
        while !state.released {
            if cancel.is_cancelled() {
                return Err(MediaError::Cancelled);
            }
            state = self
                .released
                .wait_timeout(state, CANCEL_TICK)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        Ok(())
    }

    fn play(
        &self,
        mut video: File,
        request: &AnalyseRequest,
        cancel: &Cancel,
        sink: &mut dyn FnMut(MediaEvent) -> ControlFlow<()>,
    ) -> Result<Analysis, MediaError> {
        let mut fault = wire::Fault::default();
        let (scenes, damage, failure) = match self.script(&mut video)? {
            Script::Scenes(scenes) => (scenes, None, None),
            Script::Damaged(scenes, damage) => (scenes, Some(damage), None),
            Script::InPart(scenes, errno) => {
                fault = wire::Fault::Reading { errno };
                (scenes, Some("a part cannot be read".to_owned()), None)
            }
            Script::FailsAfter(scenes, failure) => (scenes, None, Some(failure)),
            Script::Blocks(scenes) => {
                self.wait_for_release(cancel)?;
                (scenes, None, None)
            }
        };
        let mut tell = |event| {
            if cancel.is_cancelled() || sink(event).is_break() {
                Err(MediaError::Cancelled)
            } else {
                Ok(())
            }
        };
        let duration_ms = scenes.iter().map(|scene| scene.duration_ms).sum();
        tell(MediaEvent::Probed(probe(duration_ms)))?;
        let mut start_ms = 0;
        for scene in &scenes {
            let span = Span {
                start_ms,
                end_ms: start_ms + scene.duration_ms,
            };
            tell(MediaEvent::SceneFound(found(scene, span, request)))?;
            start_ms = span.end_ms;
            tell(MediaEvent::Progressed { position_ms: start_ms })?;
        }
        match failure {
            Some(failure) => Err(failure),
            None => Ok(Analysis {
                duration_ms,
                n_frames: scenes.iter().map(|scene| scene.colours.len() as u64).sum(),
                n_scenes: scenes.len() as u64,
                plan: DecodePlan::default(),
                damage,
                decoder: "software".to_owned(),
                fault,
                picture: None,
                times: StageTimes::default(),
            }),
        }
    }
}

impl FrameSource for ScriptedFrames {
    fn analyse(
        &self,
        video: File,
        request: &AnalyseRequest,
        cancel: &Cancel,
        sink: &mut dyn FnMut(MediaEvent) -> ControlFlow<()>,
    ) -> Result<Analysis, MediaError> {
        check_image(&request.image);
        assert!(request.max_scene_ms > 0, "a take of no length");
        assert!(
            request.thumbnail_px <= wire::MAX_THUMBNAIL_PX,
            "a thumbnail of {} px",
            request.thumbnail_px
        );
        {
            let mut state = self.lock();
            state.keyframes_only.push(request.keyframes_only);
            state.running += 1;
            state.most_running = state.most_running.max(state.running);
        }
        let mut broken_off = false;
        let ended = self.play(video, request, cancel, &mut |event| {
            assert!(!broken_off, "the sink was called again after it broke off");
            let flow = sink(event);
            broken_off = flow.is_break();
            flow
        });
        self.lock().running -= 1;
        ended
    }

    fn replay(
        &self,
        keyframes: File,
        request: &KeyframesRequest,
        cancel: &Cancel,
        sink: &mut dyn FnMut(MediaEvent) -> ControlFlow<()>,
    ) -> Result<u64, MediaError> {
        check_image(&request.image);
        self.lock().n_replays += 1;
        let unusable = |error: keyframes::KeyframesError| MediaError::Unusable { reason: error.to_string() };
        let mut reader = keyframes::Reader::new(keyframes).map_err(unusable)?;
        let mut n_scenes = 0;
        while let Some(scene) = reader.next_scene().map_err(unusable)? {
            let frames = scene.keyframes.iter().flat_map(|keyframe| {
                let colour = keyframe.picture.last_chunk().expect("a scripted picture ends with its colour");
                views(keyframe.time_ms, *colour, &request.image)
            });
            let found = FoundScene {
                span: scene.span,
                boundary: scene.boundary,
                frames: frames.collect(),
                thumbnail: Vec::new(),
                keyframes: Vec::new(),
            };
            n_scenes += 1;
            if cancel.is_cancelled() || sink(MediaEvent::SceneFound(found)).is_break() {
                return Err(MediaError::Cancelled);
            }
        }
        Ok(n_scenes)
    }

    fn prove(&self, _threads: u32) -> Result<(), MediaError> {
        self.lock().breakdown.clone().map_or(Ok(()), Err)
    }

    fn picture(&self, mut video: File, request: &PictureRequest, cancel: &Cancel) -> Result<Vec<Frame>, MediaError> {
        check_image(&request.image);
        let scenes = match self.script(&mut video)? {
            Script::Scenes(scenes) | Script::Damaged(scenes, _) | Script::InPart(scenes, _) => scenes,
            Script::FailsAfter(_, failure) => return Err(failure),
            Script::Blocks(scenes) => {
                self.wait_for_release(cancel)?;
                scenes
            }
        };
        let duration_ms: u64 = scenes.iter().map(|scene| scene.duration_ms).sum();
        let time_ms = request.at_ms.unwrap_or(duration_ms / 2).min(duration_ms - 1);
        let mut start_ms = 0;
        for scene in &scenes {
            let end_ms = start_ms + scene.duration_ms;
            if time_ms < end_ms {
                let position = (time_ms - start_ms) * scene.colours.len() as u64 / scene.duration_ms;
                return Ok(views(time_ms, scene.colours[position as usize], &request.image).collect());
            }
            start_ms = end_ms;
        }
        unreachable!("the moment lies before the end")
    }
}

fn check_image(image: &ImageSpec) {
    if let Err(reason) = wire::check_image(image) {
        panic!("{reason}");
    }
}

fn check_script(script: &Script) {
    let (Script::Scenes(scenes)
    | Script::Damaged(scenes, _)
    | Script::InPart(scenes, _)
    | Script::FailsAfter(scenes, _)
    | Script::Blocks(scenes)) = script;
    let may_be_empty = matches!(script, Script::FailsAfter(..));
    assert!(may_be_empty || !scenes.is_empty(), "a video that can be decoded has a scene");
    for (index, scene) in scenes.iter().enumerate() {
        assert_eq!(
            index == 0,
            scene.boundary == Boundary::Start,
            "scene {index} begins with {:?}",
            scene.boundary
        );
        let n_frames = scene.colours.len();
        assert!(
            (1..=wire::MAX_SCENE_FRAMES).contains(&n_frames),
            "scene {index} has {n_frames} frames"
        );
        assert!(scene.duration_ms >= n_frames as u64, "scene {index} is too short for its frames");
    }
}

fn probe(duration_ms: u64) -> Probe {
    Probe {
        container: "script".to_owned(),
        duration_ms,
        streams: vec![StreamInfo {
            kind: "video".to_owned(),
            codec: "script".to_owned(),
            width_px: 640,
            height_px: 360,
            rotation: 0,
            fps: 25.0,
            chosen: true,
        }],
    }
}

fn found(scene: &ScriptedScene, span: Span, request: &AnalyseRequest) -> FoundScene {
    let n = scene.colours.len() as u64;
    let time_of = |position: u64| (span.start_ms + span.duration_ms() * (2 * position + 1) / (2 * n)).min(span.end_ms - 1);
    let moments = || scene.colours.iter().zip(0..).map(|(colour, position)| (time_of(position), *colour));
    let keyframes = moments().map(|(time_ms, [r, g, b])| Keyframe {
        time_ms,
        picture: vec![0xff, 0xd8, 0xff, r, g, b],
    });
    FoundScene {
        span,
        boundary: scene.boundary,
        frames: moments()
            .flat_map(|(time_ms, colour)| views(time_ms, colour, &request.image))
            .collect(),
        keyframes: if request.keyframe_px > 0 { keyframes.collect() } else { Vec::new() },
        // The first bytes of a JPEG, enough for code that only checks these.
        thumbnail: if request.thumbnail_px > 0 {
            vec![0xff, 0xd8, 0xff, 0xd9]
        } else {
            Vec::new()
        },
    }
}

/// Returns the pictures of one moment, as many as a moment can give: scripted videos are wide enough.
fn views(time_ms: u64, colour: [u8; 3], image: &ImageSpec) -> impl Iterator<Item = Frame> {
    std::iter::repeat_n(frame(time_ms, colour, image), image.most_views())
}

fn frame(time_ms: u64, colour: [u8; 3], image: &ImageSpec) -> Frame {
    Frame {
        time_ms,
        width_px: image.width_px,
        height_px: image.height_px,
        rgb: colour.repeat(image.width_px as usize * image.height_px as usize),
    }
}
