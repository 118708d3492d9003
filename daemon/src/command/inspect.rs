//! `scened inspect FILE`: runs the media worker on one file without a daemon and shows what it found.
//!
//! Writes to the given writer; the caller owns standard output.

use std::fs;
use std::io::{self, Read as _, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use scened_common::domain::{Boundary, Crop, ImageSpec, Resample, ResizeMode};
use scened_common::media::extras::Extras;
use serde_json::json;

use crate::media::{
    AnalyseRequest, Analysis, Cancel, Detector, FoundScene, FrameSource, Hardware, MediaError, MediaEvent, MediaProcess, Probe, SceneMode,
};

/// The picture size and resizing that CLIP's own files give.
const CLIP_IMAGE: ImageSpec = ImageSpec {
    width_px: 224,
    height_px: 224,
    shortest_side_px: 224,
    resize: ResizeMode::ShortestSideCrop,
    resample: Resample::Bicubic,
};

#[derive(Clone, Debug)]
pub struct InspectOptions {
    pub mode: SceneMode,
    pub detector: Detector,
    pub json: bool,
    /// As the configuration's `max-scene-seconds`. Milliseconds.
    pub max_scene_ms: u64,
    /// Decoder threads; 0 = one for each core allowed.
    pub threads: u32,
    pub hardware: Hardware,
    /// As the configuration's `allow-unsandboxed`.
    pub allow_unsandboxed: bool,
    /// As the configuration's `extra-formats` and `extra-codecs`.
    pub extras: Extras,
    /// How frames are shown to a model of CLIP's size.
    pub crop: Crop,
    /// Folder to write the sampled frames to, as PPM pictures.
    pub frames: Option<PathBuf>,
}

impl Default for InspectOptions {
    fn default() -> Self {
        Self {
            mode: SceneMode::Exact,
            detector: Detector::Shot,
            json: false,
            max_scene_ms: 15_000,
            threads: 0,
            hardware: Hardware::None,
            allow_unsandboxed: false,
            extras: Extras::default(),
            crop: Crop::Reference,
            frames: None,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    #[error("cannot open {path}: {source}")]
    Open { path: String, source: io::Error },
    #[error("{path} is not a file")]
    NotAFile { path: String },
    #[error("{path}: {source}")]
    Media { path: String, source: MediaError },
    #[error("cannot write the frame {path}: {source}")]
    Frame { path: String, source: io::Error },
    #[error("cannot make the folder {path} for the frames: {source}")]
    Frames { path: String, source: io::Error },
    #[error("{path} exists and is not such a picture; give another folder")]
    NotOurs { path: String },
    #[error("cannot write: {0}")]
    Write(#[from] io::Error),
}

/// Runs the media worker on one file and writes what it found to `to`.
pub fn run(file: &Path, options: &InspectOptions, to: &mut impl Write) -> Result<(), InspectError> {
    let source = MediaProcess::find().map_err(|source| InspectError::Media {
        path: file.display().to_string(),
        source,
    })?;
    let source = source
        .with_unsandboxed_allowed(options.allow_unsandboxed)
        .with_extras(options.extras.clone());
    run_with(&source, file, options, to)
}

/// Works like [`run`], with any source of frames.
pub fn run_with(source: &dyn FrameSource, file: &Path, options: &InspectOptions, to: &mut impl Write) -> Result<(), InspectError> {
    let path = file.display().to_string();
    let cannot_open = |source| InspectError::Open {
        path: path.clone(),
        source,
    };
    // A named pipe would block in `open`; a folder opens and then fails to be read.
    if !file.metadata().map_err(cannot_open)?.is_file() {
        return Err(InspectError::NotAFile { path });
    }
    let opened = crate::video_file::open_video(file, true).map_err(cannot_open)?;
    if let Some(folder) = &options.frames {
        fs::create_dir_all(folder).map_err(|source| InspectError::Frames {
            path: folder.display().to_string(),
            source,
        })?;
    }
    let request = AnalyseRequest {
        image: options.crop.of(CLIP_IMAGE),
        detector: options.detector,
        mode: options.mode,
        keyframes_only: false,
        max_scene_ms: options.max_scene_ms,
        thumbnail_px: 320,
        keyframe_px: 0,
        threads: options.threads,
        hardware: options.hardware,
        label: path.clone(),
    };
    let mut found = Found::default();
    let mut writing = Ok(());
    let analysis = source.analyse(opened, &request, &Cancel::default(), &mut |event| {
        if let (Some(folder), MediaEvent::SceneFound(scene)) = (&options.frames, &event) {
            writing = write_frames(folder, found.scenes.len(), scene, &request.image);
        }
        found.take(event);
        if writing.is_ok() {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    });
    writing?;
    let analysis = analysis.map_err(|source| InspectError::Media {
        path: path.clone(),
        source,
    })?;
    if options.json {
        found.write_json(file, &analysis, to)?;
    } else {
        found.write_table(&path, &analysis, to)?;
    }
    Ok(())
}

/// Writes the frames of a scene as `0003-0000012480.ppm`: number of the scene, time in milliseconds. The second picture of one moment is
/// `0003-0000012480-2.ppm`.
fn write_frames(folder: &Path, scene_number: usize, scene: &FoundScene, image: &ImageSpec) -> Result<(), InspectError> {
    let moments = scene.frames.chunk_by(|a, b| a.time_ms == b.time_ms);
    for (part, frame) in moments.flat_map(|parts| parts.iter().enumerate()) {
        let ending = if part == 0 { String::new() } else { format!("-{}", part + 1) };
        let path = folder.join(format!("{scene_number:04}-{:010}{ending}.ppm", frame.time_ms));
        let mut ppm = format!("P6\n{} {}\n255\n", image.width_px, image.height_px).into_bytes();
        let n_head_bytes = ppm.len();
        ppm.extend_from_slice(&frame.rgb);
        write_frame(&path, &ppm, n_head_bytes)?;
    }
    Ok(())
}

/// Writes a picture to its place, whole or not at all. Replaces an existing file only if it is such a picture, from an earlier run. Never
/// follows a link.
fn write_frame(path: &Path, ppm: &[u8], n_head_bytes: usize) -> Result<(), InspectError> {
    let shown = || path.display().to_string();
    let failed = |source| InspectError::Frame { path: shown(), source };
    let is_there = match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(failed(error)),
        Ok(there) => {
            let mut head = Vec::new();
            if there.is_file() && there.len() == ppm.len() as u64 {
                let open = crate::video_file::open_video(path, false);
                let read = open.and_then(|file| file.take(n_head_bytes as u64).read_to_end(&mut head));
                read.map_err(failed)?;
            }
            if head != ppm[..n_head_bytes] {
                return Err(InspectError::NotOurs { path: shown() });
            }
            true
        }
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut draft = tempfile::Builder::new()
        .prefix(".scened-frame-")
        .permissions(fs::Permissions::from_mode(0o666))
        .tempfile_in(folder.unwrap_or(Path::new(".")))
        .map_err(failed)?;
    draft.write_all(ppm).map_err(failed)?;
    let placed = if is_there {
        draft.persist(path)
    } else {
        draft.persist_noclobber(path)
    };
    placed.map(drop).map_err(|error| failed(error.error))
}

#[derive(Debug, Default)]
struct Found {
    probe: Option<Probe>,
    /// Without the pixels of their frames.
    scenes: Vec<FoundScene>,
}

impl Found {
    fn take(&mut self, event: MediaEvent) {
        match event {
            MediaEvent::Probed(probe) => self.probe = Some(probe),
            MediaEvent::SceneFound(mut scene) => {
                for frame in &mut scene.frames {
                    frame.rgb = Vec::new();
                }
                self.scenes.push(scene);
            }
            MediaEvent::Progressed { .. } => {}
        }
    }

    fn write_json(&self, file: &Path, analysis: &Analysis, to: &mut impl Write) -> io::Result<()> {
        let scenes: Vec<_> = self
            .scenes
            .iter()
            .map(|scene| {
                json!({
                    "start_ms": scene.span.start_ms,
                    "end_ms": scene.span.end_ms,
                    "boundary": scene.boundary,
                    "frames": moments_ms(scene),
                    "thumbnail_bytes": scene.thumbnail.len(),
                })
            })
            .collect();
        let mut answer = json!({
            "path": file.to_string_lossy(),
            "duration_ms": analysis.duration_ms,
            "probe": self.probe,
            "scenes": scenes,
            "n_frames": analysis.n_frames,
            "plan": analysis.plan,
            "times": analysis.times,
            "damage": analysis.damage,
            "decoder": analysis.decoder,
            "picture": analysis.picture,
        });
        if file.to_str().is_none() {
            answer["path_bytes"] = json!(STANDARD.encode(file.as_os_str().as_encoded_bytes()));
        }
        writeln!(to, "{answer}")
    }

    fn write_table(&self, path: &str, analysis: &Analysis, to: &mut impl Write) -> io::Result<()> {
        writeln!(to, "{}", printable(path))?;
        if let Some(probe) = &self.probe {
            let claimed = if probe.duration_ms > 0 {
                clock(probe.duration_ms)
            } else {
                "unknown".to_owned()
            };
            writeln!(to, "container  {}, claimed duration {claimed}", probe.container)?;
            for (index, stream) in probe.streams.iter().enumerate() {
                write!(to, "stream {index:<3} {} {}", stream.kind, stream.codec)?;
                if stream.kind == "video" {
                    write!(to, " {}×{} {:.3} fps", stream.width_px, stream.height_px, stream.fps)?;
                    if stream.rotation != 0 {
                        write!(to, ", turned {}°", stream.rotation)?;
                    }
                }
                writeln!(to, "{}", if stream.chosen { "  ← analysed" } else { "" })?;
            }
        }
        writeln!(
            to,
            "decoded    {} in {} frames by {}",
            clock(analysis.duration_ms),
            analysis.n_frames,
            printable(&analysis.decoder)
        )?;
        if let Some(damage) = &analysis.damage {
            writeln!(to, "damage     {damage}")?;
        }
        writeln!(to, "\nscene  start         end           begins with  frames")?;
        for (index, scene) in self.scenes.iter().enumerate() {
            let frames: Vec<_> = moments_ms(scene).into_iter().map(clock).collect();
            writeln!(
                to,
                "{index:>5}  {:<12}  {:<12}  {:<11}  {}",
                clock(scene.span.start_ms),
                clock(scene.span.end_ms),
                boundary_word(scene.boundary),
                frames.join(" ")
            )?;
        }
        let times = &analysis.times;
        let rate = analysis.duration_ms as f64 / times.total_ms.max(0.001);
        writeln!(
            to,
            "\ntimes      open {:.0} ms, decode {:.0} ms, scale {:.0} ms, detect {:.0} ms, sample {:.0} ms, thumbnails {:.0} ms; \
             all {:.0} ms = {rate:.1} × real time",
            times.open_ms, times.decode_ms, times.scale_ms, times.detect_ms, times.sample_ms, times.thumbnail_ms, times.total_ms
        )
    }
}

/// Returns each sampled moment once, however many pictures it gave. Milliseconds.
fn moments_ms(scene: &FoundScene) -> Vec<u64> {
    let mut times: Vec<u64> = scene.frames.iter().map(|frame| frame.time_ms).collect();
    times.dedup();
    times
}

fn boundary_word(boundary: Boundary) -> &'static str {
    match boundary {
        Boundary::Start => "start",
        Boundary::Cut => "cut",
        Boundary::Gradual => "gradual",
        Boundary::Part => "part",
    }
}

/// Returns a name without control characters, which a terminal must not get.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn clock(ms: u64) -> String {
    let seconds = ms / 1000;
    format!("{}:{:02}:{:02}.{:03}", seconds / 3600, seconds / 60 % 60, seconds % 60, ms % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::frames::{Script, ScriptedFrames, ScriptedScene};

    fn inspect(options: &InspectOptions) -> Result<String, InspectError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("film.mp4");
        std::fs::write(&path, "two scenes").unwrap();
        let scenes = vec![
            ScriptedScene::plain(1500, Boundary::Start, [255, 0, 0]),
            ScriptedScene::plain(2500, Boundary::Cut, [0, 0, 255]),
        ];
        let source = ScriptedFrames::default().with("two scenes", [Script::Scenes(scenes)]);
        let mut text = Vec::new();
        run_with(&source, &path, options, &mut text)?;
        Ok(String::from_utf8(text).unwrap())
    }

    #[test]
    fn json_is_one_object_with_the_scenes() {
        let json = InspectOptions {
            json: true,
            ..InspectOptions::default()
        };
        let answer: serde_json::Value = serde_json::from_str(&inspect(&json).unwrap()).unwrap();
        assert_eq!(answer["duration_ms"], 4000);
        assert_eq!(answer["scenes"][1]["start_ms"], 1500);
        assert_eq!(answer["scenes"][1]["boundary"], "cut");
        assert_eq!(answer["scenes"][1]["frames"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn two_crops_of_a_moment_are_two_pictures_and_one_time() {
        let folder = tempfile::tempdir().unwrap();
        let options = InspectOptions {
            json: true,
            crop: Crop::Two,
            frames: Some(folder.path().to_owned()),
            ..InspectOptions::default()
        };
        let answer: serde_json::Value = serde_json::from_str(&inspect(&options).unwrap()).unwrap();
        assert_eq!(answer["scenes"][0]["frames"].as_array().unwrap().len(), 3, "{answer}");
        assert_eq!(folder.path().read_dir().unwrap().count(), 12, "two scenes of three moments");
        assert!(folder.path().join("0000-0000000250-2.ppm").is_file(), "{answer}");
    }

    #[test]
    fn frames_replace_frames_and_nothing_else_and_follow_no_link() {
        let folder = tempfile::tempdir().unwrap();
        let frames = folder.path().join("made/by us");
        let options = InspectOptions {
            frames: Some(frames.clone()),
            ..InspectOptions::default()
        };
        inspect(&options).unwrap();
        let first = frames.join("0000-0000000250.ppm");
        let ours = fs::read(&first).unwrap();
        inspect(&options).unwrap();
        assert_eq!(fs::read(&first).unwrap(), ours, "a second run replaces what the first one wrote");
        let n_files = frames.read_dir().unwrap().count();

        let mine = folder.path().join("mine");
        let refused = || {
            let error = inspect(&options).unwrap_err().to_string();
            assert!(error.contains("0000-0000000250.ppm exists"), "{error}");
            assert_eq!(frames.read_dir().unwrap().count(), n_files, "nothing is left over");
        };
        for content in [b"letters".as_slice(), b"", ours.as_slice()] {
            fs::write(&mine, content).unwrap();
            fs::remove_file(&first).unwrap();
            std::os::unix::fs::symlink(&mine, &first).unwrap();
            refused();
            assert!(first.is_symlink() && fs::read(&mine).unwrap() == content);
        }
        fs::remove_file(&first).unwrap();
        std::os::unix::fs::symlink(folder.path().join("nowhere"), &first).unwrap();
        refused();
        assert!(!folder.path().join("nowhere").is_file());
        fs::remove_file(&first).unwrap();
        fs::write(&first, "notes of mine").unwrap();
        refused();
        assert_eq!(fs::read(&first).unwrap(), b"notes of mine");

        let into_a_file = InspectOptions {
            frames: Some(mine),
            ..InspectOptions::default()
        };
        let error = inspect(&into_a_file).unwrap_err().to_string();
        assert!(error.starts_with("cannot make the folder "), "{error}");
    }

    #[test]
    fn the_table_names_every_scene() {
        let text = inspect(&InspectOptions::default()).unwrap();
        assert!(text.contains("0:00:01.500   0:00:04.000   cut"), "{text}");
        assert!(text.contains("← analysed"), "{text}");
    }

    #[test]
    fn what_is_no_file_is_a_clear_error() {
        let source = ScriptedFrames::default();
        let error = run_with(&source, Path::new("/"), &InspectOptions::default(), &mut Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), "/ is not a file");
        let error = run_with(&source, Path::new("/no/such"), &InspectOptions::default(), &mut Vec::new()).unwrap_err();
        assert!(error.to_string().starts_with("cannot open /no/such"), "{error}");
    }
}
