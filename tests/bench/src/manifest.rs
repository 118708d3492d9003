//! The truth about videos: their cuts, their gradual transitions, and the traps that no detector should fall for.
//!
//! Also owns the two halves of the rendered corpus, and refuses to mix them. A video's half follows from its seed, so a manifest cannot
//! declare a held-out video to be one for tuning. `halves.py` applies the same rule for the Python programs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Which part of the material a video belongs to.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Half {
    /// May be examined and tuned on without limit.
    Tuning,
    /// Only for the figures that are published.
    HeldOut,
    /// Real clips with cuts found by eye; reported beside either half.
    Real,
}

impl Half {
    /// Returns the half of a rendered video: a bit of the CRC-32 of its seed.
    pub fn of_seed(seed: u64) -> Self {
        let digest = crc32fast::hash(format!("seed {seed}").as_bytes());
        if digest >> 7 & 1 == 0 { Self::Tuning } else { Self::HeldOut }
    }
}

/// A hard cut.
#[derive(Clone, Debug, Deserialize)]
pub struct Cut {
    /// The first frame of the new shot, counted from 0 in order of presentation.
    pub frame: usize,
    /// Its presentation time from the start of the container.
    pub time_ms: f64,
    /// The kind of cut: `cut`, `jump`, `a-b-a` …
    pub class: String,
}

/// A gradual transition.
#[derive(Clone, Debug, Deserialize)]
pub struct Gradual {
    /// Time of the first frame that is not purely the old picture.
    pub start_ms: f64,
    /// Time of the first frame that is purely the new picture.
    pub end_ms: f64,
    /// The place of its one boundary: the middle of a dissolve, the darkest point of a fade.
    pub middle_ms: Option<f64>,
    /// `dissolve`, `wipe`, `fade-black` …
    pub kind: String,
}

/// A part of a video that looks like an edit but is not.
#[derive(Clone, Debug, Deserialize)]
pub struct Trap {
    pub start_ms: f64,
    pub end_ms: f64,
    /// `flash`, `whip`, `subtitle` …
    pub kind: String,
}

/// A part in which a report is neither a hit nor a false alarm, such as the fade at a video's beginning.
#[derive(Clone, Debug, Deserialize)]
pub struct Stretch {
    pub start_ms: f64,
    pub end_ms: f64,
}

/// The truth about one video.
#[derive(Clone, Debug, Deserialize)]
pub struct BenchVideo {
    /// Relative to the folder of its manifest; for real clips, to the folder of clips.
    pub path: String,
    pub half: Half,
    /// Determines every random choice in a rendered video; real clips have none.
    pub seed: Option<u64>,
    pub codec: String,
    pub size: String,
    pub fps: f64,
    pub n_frames: usize,
    pub cuts: Vec<Cut>,
    pub graduals: Vec<Gradual>,
    #[serde(default)]
    pub traps: Vec<Trap>,
    #[serde(default)]
    pub dont_care: Vec<Stretch>,
    /// The time of every frame, if the video's frame rate varies. **Units** milliseconds, ascending.
    pub times_ms: Option<Vec<f64>>,
}

impl BenchVideo {
    /// Returns the time of the frame `offset` frames from a cut. Beyond either end of the video it assumes the mean frame rate.
    pub fn frame_ms(&self, near: &Cut, offset: isize) -> f64 {
        let steady = near.time_ms + offset as f64 * 1000.0 / self.fps;
        let Some(times_ms) = &self.times_ms else {
            return steady;
        };
        near.frame
            .checked_add_signed(offset)
            .and_then(|frame| times_ms.get(frame))
            .copied()
            .unwrap_or(steady)
    }

    /// Returns how long a frame is shown, on average.
    pub fn mean_frame_ms(&self) -> f64 {
        1000.0 / self.fps
    }
}

/// A set of videos of one half.
#[derive(Clone, Debug, Deserialize)]
pub struct Manifest {
    pub half: Half,
    pub files: Vec<BenchVideo>,
}

/// Why a set of videos is refused.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("cannot read the manifest {path}")]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("the manifest {path} does not say what one says")]
    Malformed { path: PathBuf, source: serde_json::Error },
    #[error("{video} (seed {seed:?}) is in a set called {called:?} and is not of it")]
    WrongHalf { video: String, seed: Option<u64>, called: Half },
    #[error("the tuning and the held-out half are never scored as one set")]
    MixedHalves,
    #[error("only the tuning half is for tuning, and this set is {half:?}")]
    NotForTuning { half: Half },
}

/// Reads a manifest and checks every video's half against its seed.
pub fn load(path: &Path) -> Result<Manifest, ManifestError> {
    let text = fs::read_to_string(path).map_err(|source| ManifestError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let manifest: Manifest = serde_json::from_str(&text).map_err(|source| ManifestError::Malformed {
        path: path.to_owned(),
        source,
    })?;
    for video in &manifest.files {
        let own = video.seed.map_or(Half::Real, Half::of_seed);
        if video.half != manifest.half || own != manifest.half {
            return Err(ManifestError::WrongHalf {
                video: video.path.clone(),
                seed: video.seed,
                called: manifest.half,
            });
        }
    }
    Ok(manifest)
}

/// Checks that sets may be scored together and, with `for_tuning`, that they may be tuned on.
pub fn check_together(manifests: &[Manifest], for_tuning: bool) -> Result<(), ManifestError> {
    let halves: BTreeSet<Half> = manifests.iter().map(|manifest| manifest.half).collect();
    if halves.contains(&Half::Tuning) && halves.contains(&Half::HeldOut) {
        return Err(ManifestError::MixedHalves);
    }
    match halves.into_iter().find(|half| *half != Half::Tuning) {
        Some(half) if for_tuning => Err(ManifestError::NotForTuning { half }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest_of(half: &str, seeds: &[u64], called: &str) -> String {
        let video = |seed: &u64| {
            format!(
                r#"{{"path": "{seed}.mp4", "half": "{called}", "seed": {seed}, "codec": "x264", "size": "240p", "fps": 25, "n_frames": 10, "cuts": [], "graduals": []}}"#
            )
        };
        format!(
            r#"{{"half": "{half}", "files": [{}]}}"#,
            seeds.iter().map(video).collect::<Vec<_>>().join(",")
        )
    }

    fn loaded(text: &str) -> Result<Manifest, ManifestError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manifest.json");
        fs::write(&path, text).unwrap();
        load(&path)
    }

    fn seeds_of(half: Half) -> Vec<u64> {
        (1..40).filter(|seed| Half::of_seed(*seed) == half).take(5).collect()
    }

    #[test]
    fn both_halves_have_about_as_many_seeds() {
        let n_tuning = (1..=1000).filter(|seed| Half::of_seed(*seed) == Half::Tuning).count();
        assert!((400..=600).contains(&n_tuning), "{n_tuning} of 1000");
    }

    #[test]
    fn a_manifest_of_one_half_is_read() {
        assert_eq!(
            loaded(&manifest_of("tuning", &seeds_of(Half::Tuning), "tuning"))
                .unwrap()
                .files
                .len(),
            5
        );
        assert_eq!(
            loaded(&manifest_of("held-out", &seeds_of(Half::HeldOut), "held-out"))
                .unwrap()
                .files
                .len(),
            5
        );
    }

    #[test]
    fn a_held_out_video_that_is_called_tuning_is_refused() {
        let mut seeds = seeds_of(Half::Tuning);
        seeds.push(seeds_of(Half::HeldOut)[0]);
        assert!(matches!(
            loaded(&manifest_of("tuning", &seeds, "tuning")),
            Err(ManifestError::WrongHalf { .. })
        ));
        assert!(matches!(
            loaded(&manifest_of("tuning", &seeds, "held-out")),
            Err(ManifestError::WrongHalf { .. })
        ));
        assert!(matches!(
            loaded(&manifest_of("real", &seeds, "real")),
            Err(ManifestError::WrongHalf { .. })
        ));
    }

    #[test]
    fn halves_are_not_scored_together_and_real_clips_go_with_either() {
        let set = |half| Manifest { half, files: Vec::new() };
        assert!(matches!(
            check_together(&[set(Half::Tuning), set(Half::Real), set(Half::HeldOut)], false),
            Err(ManifestError::MixedHalves)
        ));
        assert!(check_together(&[set(Half::HeldOut), set(Half::Real)], false).is_ok());
        assert!(check_together(&[set(Half::Tuning), set(Half::Real)], false).is_ok());
    }

    #[test]
    fn tuning_refuses_everything_but_the_tuning_half() {
        let set = |half| Manifest { half, files: Vec::new() };
        assert!(check_together(&[set(Half::Tuning)], true).is_ok());
        for half in [Half::HeldOut, Half::Real] {
            assert!(
                matches!(check_together(&[set(half)], true), Err(ManifestError::NotForTuning { .. })),
                "{half:?}"
            );
        }
    }
}
