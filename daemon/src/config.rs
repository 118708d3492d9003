//! Configuration: raw file → checked [`Config`] with absolute paths. (Fields fixed by the lead; the owner of this room adds the rest.)

use std::path::PathBuf;

use crate::media::Detector;

/// Checked configuration with defaults filled in. Paths are absolute.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where it was read from (and where `add` and `remove` write); it need not exist yet.
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
    pub model: String,
    pub model_idle_seconds: u64,
    pub providers: Vec<String>,
    /// 0 = by the machine.
    pub threads: u32,
    /// `pause` or `run`.
    pub on_battery: String,
    /// Filter of tracing-subscriber: `info`, `debug`, `scened=trace,warn`…
    pub log: String,
    pub detector: Detector,
    pub max_scene_seconds: u64,
    /// Path of ONNX Runtime's library; `None` = look for it.
    pub onnxruntime: Option<PathBuf>,
}
