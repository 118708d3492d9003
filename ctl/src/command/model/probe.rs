//! Which of two precisions is kept: `scened probe-model` decides that on this machine.
//!
//! Only the daemon's program can run models. We start it here in the same way as `scened inspect`; no daemon needs to be running. If
//! anything goes wrong, fp32 is kept and the reason is reported.

use std::path::Path;
use std::process::{Command, Stdio};

use scened_hub::layout::Precision;
use serde::{Deserialize, Serialize};

/// The output of `scened probe-model`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Probed {
    pub(super) chosen: Precision,
    pub(super) reason: String,
    /// The figures as reported: speed and agreement of both.
    #[serde(flatten)]
    pub(super) measured: serde_json::Map<String, serde_json::Value>,
}

impl Probed {
    fn unknown(reason: &str) -> Self {
        Self {
            chosen: Precision::Fp32,
            reason: format!("int8 could not be compared with it: {reason}"),
            measured: serde_json::Map::new(),
        }
    }
}

/// Compares fp32 and int8 of the model in `files`; takes up to about half a minute.
pub(super) fn probe(program: Option<&Path>, data_dir: Option<&Path>, files: &Path) -> Probed {
    let Some(program) = program else {
        return Probed::unknown("there is no program `scened` beside scenectl or in PATH");
    };
    let mut command = Command::new(program);
    if let Some(data_dir) = data_dir {
        command.arg("--data-dir").arg(data_dir);
    }
    let output = command.arg("probe-model").arg(files).stdin(Stdio::null()).output();
    match output {
        Err(error) => Probed::unknown(&format!("{} cannot be started: {error}", program.display())),
        Ok(output) if output.status.success() => match serde_json::from_slice(&output.stdout) {
            Ok(probed) => probed,
            Err(error) => Probed::unknown(&format!("the answer of {} cannot be understood: {error}", program.display())),
        },
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
            Probed::unknown(last.trim().trim_start_matches("scened: "))
        }
    }
}
