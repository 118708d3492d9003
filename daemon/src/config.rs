//! Configuration: a TOML file → a checked [`Config`] with absolute paths.
//!
//! Owns the keys, their defaults (`config/default.toml`), their allowed values, and the changes that `scenectl add`, `scenectl remove` and
//! `scenectl model use` make to the file ([`edit`]). Does not know what the values are for: `app` reads a [`Config`] and passes small
//! structs down. No threads; reads and writes block.
//!
//! An unknown key, a wrong type or a value out of range is an error: a misspelt key that is ignored would be a setting that silently does
//! nothing. A folder that does not exist is only a [`Warning`]: its disk may be unplugged.

pub mod edit;
#[cfg(feature = "fuzzing")]
pub mod fuzz;
pub mod kept;
mod keys;
mod paths;
mod reference;
mod values;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use scened_common::media::extras::Extras;
use scened_common::media::request::{Detector, Hardware, SceneMode};
use scened_shared::terminal;
use serde::Serialize;

use scened_common::domain::Crop;
use values::Values;

pub use reference::{manual_page, reference_page};

/// The documented defaults, as a file that a user may start from.
pub const DEFAULT_TOML: &str = include_str!("config/default.toml");

/// Checked configuration with defaults filled in. Paths are absolute.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the file, and they say nothing of each other"
)]
pub struct Config {
    /// The file that was read, and that edits write to. It need not exist yet.
    pub file: PathBuf,
    pub folders: Vec<PathBuf>,
    /// Lower case, without the dot.
    pub extensions: Vec<String>,
    /// Globs, matched against the path below the watched folder and against the file name.
    pub ignore: Vec<String>,
    pub hidden: bool,
    pub follow_symlinks: bool,
    pub settle_seconds: u64,
    pub rescan_minutes: u64,
    /// A model's name, or the absolute path of a model's folder.
    pub model: String,
    pub crop: Crop,
    pub model_idle_seconds: u64,
    /// Execution providers from [`scened_common::providers::PROVIDERS`], in order of preference. Never empty.
    pub providers: Vec<String>,
    /// Memory of a graphics card that a model leaves free.
    pub gpu_memory_reserve_mib: u64,
    /// Space that indexing leaves free on the disk of the data folder.
    pub min_free_mib: u64,
    /// 0 = depends on the machine.
    pub threads: u32,
    pub on_battery: OnBattery,
    /// Percent; 0 = never.
    pub pressure: u32,
    /// Percent; 0 = never.
    pub busy: u32,
    /// Filter of tracing-subscriber: `info`, `debug`, `scened=trace,warn`…
    pub log: String,
    pub detector: Detector,
    pub scene_mode: SceneMode,
    pub max_scene_seconds: u64,
    /// Whether embedded frames are kept as small pictures for other models.
    pub keyframes: bool,
    pub hardware_decoding: Hardware,
    /// Whether videos may be decoded outside the sandbox.
    pub allow_unsandboxed: bool,
    /// Formats and codecs that videos may have besides those in the worker's own lists.
    pub extras: Extras,
    /// Path of ONNX Runtime's library; `None`: search for it.
    pub onnxruntime: Option<PathBuf>,
}

/// What indexing does while the machine runs on battery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnBattery {
    #[default]
    Pause,
    Run,
}

/// A mistake in the file that the user should correct, but that stops nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.message)
    }
}

/// A mistake in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// From 1.
    pub line: usize,
    pub message: String,
}

/// The reason why there is no configuration. Every message names the file, and the line if there is one.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration {}: {source}", .file.display())]
    Read { file: PathBuf, source: io::Error },
    #[error("{}: the configuration is not UTF-8 text", .file.display())]
    NotUtf8 { file: PathBuf },
    /// All mistakes in the order of the file, one line each.
    #[error("{}", list_problems(.file, .problems))]
    Invalid { file: PathBuf, problems: Vec<Problem> },
}

fn list_problems(file: &Path, problems: &[Problem]) -> String {
    let lines: Vec<_> = problems
        .iter()
        .map(|p| terminal::escape(&format!("{}:{}: {}", file.display(), p.line, p.message)))
        .collect();
    lines.join("\n")
}

/// Reads a file only if it belongs to the user or to root, and not every user may write to it: it names libraries that are loaded.
fn read_own(file: &Path) -> io::Result<Vec<u8>> {
    use std::os::unix::fs::MetadataExt as _;
    // A pipe is not opened: that would wait.
    let found = std::fs::metadata(file)?;
    if found.is_file() {
        let us = rustix::process::geteuid().as_raw();
        if found.uid() != us && found.uid() != 0 {
            return Err(io::Error::other(format!("it belongs to another user (uid {})", found.uid())));
        }
        if found.mode() & 0o002 != 0 {
            return Err(io::Error::other("every user may write to it; run chmod o-w on it"));
        }
    } else if !found.is_dir() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"));
    }
    std::fs::read(file)
}

/// Returns the text of a configuration file; `None` if there is no such file.
///
/// **Errors**: as [`Config::load`], except for mistakes in the text.
fn read_text(file: &Path) -> Result<Option<String>, ConfigError> {
    match read_own(file) {
        Ok(bytes) => String::from_utf8(bytes)
            .map(Some)
            .map_err(|_| ConfigError::NotUtf8 { file: file.to_owned() }),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ConfigError::Read {
            file: file.to_owned(),
            source,
        }),
    }
}

impl Config {
    /// Reads `file`. If it does not exist, returns the defaults.
    ///
    /// **Errors**: [`ConfigError::Read`] if it exists but cannot be read, [`ConfigError::NotUtf8`], and [`ConfigError::Invalid`] with all
    /// mistakes in it.
    pub fn load(file: &Path) -> Result<(Self, Vec<Warning>), ConfigError> {
        let text = read_text(file)?.unwrap_or_default();
        Self::parse(&text, file)
    }

    /// Checks `text` as if it were the content of `file`, which is not read.
    pub fn parse(text: &str, file: &Path) -> Result<(Self, Vec<Warning>), ConfigError> {
        let mut values = Values::read(text);
        let config = Self::build(&mut values, file);
        let (mut problems, warnings) = values.into_findings();
        if problems.is_empty() {
            let warnings = warnings.into_iter().map(|w| Warning {
                file: file.to_owned(),
                line: w.line,
                message: w.message,
            });
            return Ok((config, warnings.collect()));
        }
        problems.sort_by_key(|p| p.line);
        Err(ConfigError::Invalid {
            file: file.to_owned(),
            problems,
        })
    }

    /// If a value is wrong, `values` has the problem and the field gets an arbitrary value.
    fn build(values: &mut Values, file: &Path) -> Self {
        Self {
            file: file.to_owned(),
            folders: values.folders("folders"),
            extensions: values.extensions("extensions"),
            ignore: values.globs("ignore"),
            hidden: values.switch("hidden"),
            follow_symlinks: values.switch("follow-symlinks"),
            settle_seconds: values.whole("settle-seconds"),
            rescan_minutes: values.whole("rescan-minutes"),
            model: values.model("model"),
            // The table of keys allows only names of a crop.
            crop: values.choice("crop").parse().unwrap_or_default(),
            model_idle_seconds: values.whole("model-idle-seconds"),
            providers: values.choices("providers"),
            gpu_memory_reserve_mib: values.whole("gpu-memory-reserve-mib"),
            min_free_mib: values.whole("min-free-mib"),
            threads: values.whole("threads") as u32,
            pressure: values.whole("pressure") as u32,
            busy: values.whole("busy") as u32,
            on_battery: match values.choice("on-battery").as_str() {
                "run" => OnBattery::Run,
                _ => OnBattery::Pause,
            },
            log: values.log_filter("log"),
            detector: match values.choice("detector").as_str() {
                "content" => Detector::Content,
                "adaptive" => Detector::Adaptive,
                _ => Detector::Shot,
            },
            scene_mode: match values.choice("scene-mode").as_str() {
                "fast" => SceneMode::Fast,
                _ => SceneMode::Exact,
            },
            max_scene_seconds: values.whole("max-scene-seconds"),
            keyframes: values.switch("keyframes"),
            // The table of keys allows only names of hardware.
            hardware_decoding: values.choice("hardware-decoding").parse().unwrap_or_default(),
            allow_unsandboxed: values.switch("allow-unsandboxed"),
            extras: Extras {
                formats: values.ffmpeg_names("extra-formats"),
                codecs: values.ffmpeg_names("extra-codecs"),
            },
            onnxruntime: values.optional_path("onnxruntime"),
        }
    }
}

#[cfg(test)]
mod tests;
