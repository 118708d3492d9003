//! `scened probe-model DIR`: decides whether int8 is worth it on this machine, for `scenectl model install`.
//!
//! Runs both precisions of a folder in turns, each in its own embed worker, on pictures of the user's own videos (else of the sample
//! library). Reports which one to keep. It needs no daemon, writes no files, and takes a bounded time. If anything cannot be measured, it
//! chooses fp32.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use scened_common::domain::{Embedding, Frame};
use scened_common::embed::model::{ModelError, ModelFolder, Precision};
use serde::Serialize;

use crate::config::Config;
use crate::embed::process::{EmbedConfig, EmbedProcess};
use crate::embed::{EmbedError, Embedder};
use crate::media::{Cancel, FrameSource, MediaError, MediaProcess, PictureRequest};
use crate::reconcile::Rules;
use crate::reconcile::rules::exclusion;
use crate::video_file::open_stamped;
use crate::worker::throttle::Throttle;

/// Int8 must be this much faster: a smaller gain is not worth vectors that are not quite the same.
const LEAST_SPEED_UP: f64 = 1.1;
/// Least mean cosine between both precisions' vectors of the same picture, and of the same text.
const LEAST_COSINE: f64 = 0.99;
/// With fewer pictures the result says nothing about a library.
const LEAST_FRAMES: usize = 8;
const MAX_FRAMES: usize = 32;
const MAX_VIDEOS: usize = 16;
/// Limit of the entries that are searched for videos, checked after each folder.
const MAX_ENTRIES: usize = 20_000;
/// Share of the whole time for finding and decoding pictures.
const DECODING_SHARE: f64 = 0.4;
const MAX_ROUNDS: usize = 5;

const TEXTS: [&str; 12] = [
    "a dog on the beach",
    "two people shaking hands in an office",
    "a red car driving through snow at night",
    "a child blowing out the candles of a birthday cake",
    "mountains",
    "close-up of hands playing a guitar",
    "a crowd at a concert with stage lights",
    "someone riding a bicycle along a river",
    "a plate of pasta with tomatoes",
    "black and white photograph of a train station",
    "an aerial view of a city with tall buildings",
    "a cat sleeping on a sofa beside an open window while it rains outside",
];

pub struct ProbeOptions<'a> {
    pub folder: &'a Path,
    pub config: &'a Config,
    pub data_dir: &'a Path,
    /// The whole probe ends after about this time.
    pub limit: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error("the rules of the configuration cannot be used: {0}")]
    Rules(String),
    #[error(transparent)]
    Media(#[from] MediaError),
    #[error(transparent)]
    Embed(#[from] EmbedError),
    #[error("cannot write: {0}")]
    Write(#[from] io::Error),
}

/// The result of a probe.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Probed {
    /// The precision to keep: `fp32` or `int8`.
    pub chosen: &'static str,
    /// Why, in words for the user.
    pub reason: String,
    #[serde(flatten)]
    pub measured: Option<Measured>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    pub provider: String,
    pub fp32_frames_per_second: f64,
    pub int8_frames_per_second: f64,
    /// Mean cosine between both precisions' vectors of the same picture.
    pub cosine_mean: f64,
    /// Nineteen of twenty pictures agree at least this well.
    pub cosine_p5: f64,
    pub text_cosine_mean: f64,
    pub n_frames: usize,
    /// Folder of the pictures.
    pub frames_from: PathBuf,
}

/// Probes the model, and writes one line of JSON.
pub fn run(options: &ProbeOptions<'_>, to: &mut impl Write) -> Result<(), ProbeError> {
    let probed = probe(options)?;
    let json = serde_json::to_string(&probed).map_err(io::Error::from)?;
    Ok(writeln!(to, "{json}")?)
}

fn probe(options: &ProbeOptions<'_>) -> Result<Probed, ProbeError> {
    let started = Instant::now();
    let exact = ModelFolder::open(options.folder)?;
    let Some(int8) = exact.in_precision(Precision::Int8)?.filter(|_| exact.precision == Precision::Fp32) else {
        return Ok(unmeasured("the folder does not have both fp32 and int8"));
    };
    let source = MediaProcess::find()?.with_unsandboxed_allowed(options.config.allow_unsandboxed);
    let decoding_ends = started + options.limit.mul_f64(DECODING_SHARE);
    let (frames, from) = frames(options, &exact, &source, decoding_ends)?;
    if frames.len() < LEAST_FRAMES {
        let n = frames.len();
        return Ok(unmeasured(&format!(
            "only {n} pictures were found for the comparison with int8; add a folder of videos first (scenectl add DIR)"
        )));
    }
    let open = |model: ModelFolder| {
        EmbedProcess::new(EmbedConfig {
            model,
            providers: options.config.providers.clone(),
            threads: options.config.threads as usize,
            idle: options.limit,
            onnxruntime: options.config.onnxruntime.clone(),
            data_dir: options.data_dir.to_owned(),
            // The folder will be moved soon.
            graph_cache: None,
            gpu_memory_reserve_bytes: options.config.gpu_memory_reserve_mib << 20,
            background: false,
            throttle: Throttle::default(),
            allow_unsandboxed: options.config.allow_unsandboxed,
            worker: None,
        })
    };
    let towers = [open(exact)?, open(int8)?];
    let measured = measure(
        towers.each_ref().map(|tower| tower as &dyn Embedder),
        &frames,
        from,
        started + options.limit,
    )?;
    Ok(decide(measured))
}

fn unmeasured(reason: &str) -> Probed {
    Probed {
        chosen: "fp32",
        reason: reason.to_owned(),
        measured: None,
    }
}

fn decide(measured: Measured) -> Probed {
    let speed_up = measured.int8_frames_per_second / measured.fp32_frames_per_second;
    let agreement = if measured.cosine_mean < measured.text_cosine_mean || measured.cosine_mean.is_nan() {
        measured.cosine_mean
    } else {
        measured.text_cosine_mean
    };
    let (chosen, reason) = if agreement.is_nan() || agreement < LEAST_COSINE {
        (
            "fp32",
            format!("int8 gives other vectors (cosine {agreement:.3}, {LEAST_COSINE} is needed)"),
        )
    } else if speed_up < LEAST_SPEED_UP {
        ("fp32", format!("int8 is not faster here ({speed_up:.2} times fp32)"))
    } else {
        (
            "int8",
            format!("int8 is {speed_up:.1} times as fast here and agrees (cosine {agreement:.4})"),
        )
    };
    Probed {
        chosen,
        reason,
        measured: Some(measured),
    }
}

/// Runs both in turns, so that other load on the machine affects both.
fn measure(towers: [&dyn Embedder; 2], frames: &[Frame], frames_from: PathBuf, ends: Instant) -> Result<Measured, EmbedError> {
    let texts = TEXTS.map(str::to_owned);
    let mut vectors = Vec::new();
    let mut text_vectors = Vec::new();
    for tower in towers {
        text_vectors.push(tower.embed_texts(&texts)?);
        // Loads the model, and finds out how many frames to embed at once.
        vectors.push(tower.embed_frames(frames)?);
    }
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..MAX_ROUNDS {
        for (tower, rates) in towers.iter().zip(&mut rates) {
            let started = Instant::now();
            tower.embed_frames(frames)?;
            rates.push(frames.len() as f64 / started.elapsed().as_secs_f64());
        }
        if Instant::now() >= ends {
            break;
        }
    }
    let [fp32, int8] = rates.map(|mut rates| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    });
    let mut cosines = cosines(&vectors[0], &vectors[1]);
    cosines.sort_by(f64::total_cmp);
    Ok(Measured {
        provider: towers[0].provider().map(|report| report.active).unwrap_or_default(),
        fp32_frames_per_second: fp32,
        int8_frames_per_second: int8,
        cosine_mean: mean(&cosines),
        cosine_p5: cosines[cosines.len() / 20],
        text_cosine_mean: mean(&self::cosines(&text_vectors[0], &text_vectors[1])),
        n_frames: frames.len(),
        frames_from,
    })
}

fn cosines(a: &[Embedding], b: &[Embedding]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| f64::from(a.cosine(b))).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Returns pictures of videos, as the model sees them, and their folder.
fn frames(
    options: &ProbeOptions<'_>,
    model: &ModelFolder,
    source: &dyn FrameSource,
    ends: Instant,
) -> Result<(Vec<Frame>, PathBuf), ProbeError> {
    let config = options.config;
    let rules = Rules::new(config.extensions.clone(), &config.ignore, config.hidden, config.follow_symlinks)
        .map_err(|error| ProbeError::Rules(error.to_string()))?;
    // Without a checkout there is no sample library, and this finds nothing.
    let sample = Path::new(scened_common::CHECKOUT)
        .join("tests/data/library")
        .canonicalize()
        .unwrap_or_default();
    let mut best = (Vec::new(), PathBuf::new());
    for folder in config.folders.iter().chain([&sample]) {
        let frames = frames_of(&videos(folder, &rules, ends), model, source, ends);
        if frames.len() > best.0.len() {
            best = (frames, folder.clone());
        }
        if best.0.len() >= LEAST_FRAMES {
            break;
        }
    }
    Ok(best)
}

/// Returns up to [`MAX_VIDEOS`] videos below a folder, spread over all that were found. Skips folders that cannot be read.
fn videos(root: &Path, rules: &Rules, ends: Instant) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    let mut n_entries = 0;
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            n_entries += 1;
            let path = entry.path();
            // The entry's own type, so that a link to a folder is not followed.
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(path),
                Ok(kind) if kind.is_file() && rules.is_video_name(&entry.file_name()) => found.push(path),
                _ => {}
            }
        }
        if n_entries > MAX_ENTRIES || Instant::now() >= ends {
            break;
        }
    }
    found.sort();
    let step = found.len().div_ceil(MAX_VIDEOS).max(1);
    found
        .into_iter()
        .step_by(step)
        .filter(|video| exclusion(rules, root, video, false).is_none())
        .collect()
}

/// Takes the middle of each video, then other moments, until there are enough pictures.
fn frames_of(videos: &[PathBuf], model: &ModelFolder, source: &dyn FrameSource, ends: Instant) -> Vec<Frame> {
    let mut frames: Vec<Frame> = Vec::new();
    for at_ms in [None, Some(1000), Some(10_000)] {
        for video in videos {
            if frames.len() >= MAX_FRAMES || Instant::now() >= ends {
                return frames;
            }
            let request = PictureRequest {
                image: model.image,
                at_ms,
                clock_is_odd: false,
                label: video.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            };
            let opened = open_stamped(video).ok();
            let views = opened.and_then(|(file, _)| source.picture(file, &request, &Cancel::default()).ok());
            let picture = views.and_then(|views| views.into_iter().next());
            // In a short video, two moments may give the same picture, which would count twice.
            if let Some(picture) = picture.filter(|picture| frames.iter().all(|frame| frame.rgb != picture.rgb)) {
                frames.push(picture);
            }
        }
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(speed_up: f64, cosine_mean: f64, text_cosine_mean: f64) -> Measured {
        Measured {
            provider: "cpu".to_owned(),
            fp32_frames_per_second: 10.0,
            int8_frames_per_second: 10.0 * speed_up,
            cosine_mean,
            cosine_p5: cosine_mean,
            text_cosine_mean,
            n_frames: 32,
            frames_from: PathBuf::new(),
        }
    }

    #[test]
    fn int8_is_chosen_only_where_it_is_faster_and_agrees() {
        for (speed_up, pictures, texts, chosen, why) in [
            (
                3.0,
                0.999,
                0.999,
                "int8",
                "int8 is 3.0 times as fast here and agrees (cosine 0.9990)",
            ),
            (1.0, 0.999, 0.999, "fp32", "int8 is not faster here (1.00 times fp32)"),
            (0.1, 0.999, 0.999, "fp32", "int8 is not faster here (0.10 times fp32)"),
            (3.0, 0.98, 0.999, "fp32", "int8 gives other vectors (cosine 0.980, 0.99 is needed)"),
            (3.0, 0.999, 0.5, "fp32", "int8 gives other vectors (cosine 0.500, 0.99 is needed)"),
            (
                3.0,
                f64::NAN,
                0.999,
                "fp32",
                "int8 gives other vectors (cosine NaN, 0.99 is needed)",
            ),
        ] {
            let probed = decide(measured(speed_up, pictures, texts));
            assert_eq!((probed.chosen, probed.reason.as_str()), (chosen, why));
        }
    }

    #[test]
    fn videos_are_spread_over_the_library_and_excluded_ones_are_left_alone() {
        let root = tempfile::tempdir().unwrap();
        for k in 0..40 {
            let folder = root.path().join(format!("{:02}", k / 10));
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(format!("{k:02}.mp4")), "").unwrap();
        }
        std::fs::write(root.path().join("01/.nomedia"), "").unwrap();
        std::fs::write(root.path().join("note.txt"), "").unwrap();
        let rules = Rules::new(vec!["mp4".to_owned()], &[], false, false).unwrap();
        let found = videos(root.path(), &rules, Instant::now() + Duration::from_secs(5));
        let names: Vec<_> = found.iter().map(|video| video.file_stem().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["00", "03", "06", "09", "21", "24", "27", "30", "33", "36", "39"]);
    }
}
