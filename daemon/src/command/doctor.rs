//! Checks of the installation and the data, each with advice on what to do.

mod decoder;
mod index;

use std::path::PathBuf;
use std::time::Instant;

pub use crate::command::doctor::decoder::{Codecs, Sandbox};
use crate::embed::{EmbedError, self_test};
use crate::instance::privacy::{self, Privacy};
use crate::media::keyframes::{self, Keyframes};
use crate::models::Models;
use crate::models::serving::{ModelSlot, Serving};
use crate::query::MODEL_TIMEOUT;
use crate::store::Store;

/// With less free disk space, indexing may soon stop. Bytes.
const LITTLE_SPACE: u64 = 512 << 20;
/// With fewer free inodes, indexing may soon stop.
const FEW_FILES: u64 = 1_000;

/// Facts gathered at start.
#[derive(Clone, Debug)]
pub struct Facts {
    pub data_dir: PathBuf,
    pub config_file: PathBuf,
    /// Version line of the worker (scened's and FFmpeg's), or why it cannot be started.
    pub worker: Result<String, String>,
    pub sandbox: Sandbox,
    pub codecs: Codecs,
    /// Path of ONNX Runtime's library, or why there is none.
    pub onnxruntime: Result<PathBuf, String>,
    pub start_warnings: Vec<String>,
}

pub struct Subject<'a> {
    pub facts: &'a Facts,
    pub store: &'a Store,
    pub serving: &'a Serving,
    pub models: &'a Models,
    pub watch_warnings: Vec<String>,
    /// Why nothing is indexed although there is work.
    pub wait_reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Ok,
    Warn,
    Fail,
}

impl Health {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Finding {
    pub name: &'static str,
    pub state: Health,
    pub detail: String,
    pub hint: Option<String>,
}

impl Finding {
    fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self {
            name,
            state: Health::Ok,
            detail: detail.into(),
            hint: None,
        }
    }

    fn warn(name: &'static str, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            name,
            state: Health::Warn,
            detail: detail.into(),
            hint: Some(hint.into()),
        }
    }

    fn fail(name: &'static str, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            name,
            state: Health::Fail,
            detail: detail.into(),
            hint: Some(hint.into()),
        }
    }
}

/// Runs every check. Blocks for as long as a few dozen searches take, and up to [`MODEL_TIMEOUT`] for the model.
pub fn examine(subject: &Subject) -> Vec<Finding> {
    let facts = subject.facts;
    let mut findings = vec![
        match &facts.worker {
            Ok(version) => Finding::ok("worker", version.clone()),
            Err(reason) => Finding::fail(
                "worker",
                reason.clone(),
                "install scened-worker beside scened (make install), or name it in SCENED_WORKER",
            ),
        },
        match &facts.onnxruntime {
            Ok(path) => Finding::ok("onnxruntime", path.display().to_string()),
            Err(reason) => Finding::fail(
                "onnxruntime",
                reason.clone(),
                "it comes with the package (install that again), and `make setup` in the source folder fetches it; or name the library: onnxruntime = \"/path/libonnxruntime.so\" in config.toml",
            ),
        },
        disk(facts),
        store(subject.store),
        keyframes(facts, subject.store),
    ];
    findings.extend(privacy(facts));
    findings.extend(facts.sandbox.finding());
    findings.extend(facts.codecs.findings());
    findings.extend(model(subject));
    findings.extend(watching(&subject.watch_warnings));
    findings.extend(
        subject
            .wait_reason
            .iter()
            .map(|reason| Finding::fail("indexing", reason.clone(), "videos wait until this is fixed; then: scenectl retry")),
    );
    findings.extend(crate::supervise::given_up().into_iter().map(|why| {
        Finding::fail(
            "threads",
            why,
            "restart scened (systemctl --user restart scened); its log says where it failed",
        )
    }));
    findings.extend(
        facts
            .start_warnings
            .iter()
            .map(|warning| Finding::warn("start", warning.clone(), "see the log of scened")),
    );
    findings
}

fn disk(facts: &Facts) -> Finding {
    match rustix::fs::statvfs(&facts.data_dir) {
        Ok(stat) => {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            let detail = format!("{} ({} MiB free)", facts.data_dir.display(), free >> 20);
            let n_left = stat.f_favail;
            if stat.f_files > 0 && n_left < FEW_FILES {
                let detail = format!("{detail}, {n_left} inodes left");
                Finding::warn(
                    "data",
                    detail,
                    "delete files there: indexing stops when no more inodes are left (df -i)",
                )
            } else if free < LITTLE_SPACE {
                Finding::warn("data", detail, "free some space: indexing stops when the disk is full")
            } else {
                Finding::ok("data", detail)
            }
        }
        Err(error) => Finding::fail("data", format!("{}: {error}", facts.data_dir.display()), "check the disk"),
    }
}

/// Returns `None` for a data folder that is closed to other users.
fn privacy(facts: &Facts) -> Option<Finding> {
    const NAME: &str = "privacy";
    let folder = facts.data_dir.display();
    match privacy::check(&facts.data_dir) {
        // Another check reports a folder that cannot be read.
        Ok(Privacy::Closed) | Err(_) => None,
        Ok(Privacy::Shared { mode }) => Some(Finding::ok(
            NAME,
            format!(
                "{folder} holds other things as well and keeps its mode ({mode:04o}); store, index, cache and keyframes in it are closed to other users"
            ),
        )),
        Ok(Privacy::Open { path, mode }) => Some(Finding::warn(
            NAME,
            format!(
                "other users can read {} (mode {mode:04o}): it shows which videos you have and what is in them",
                path.display()
            ),
            "run chmod -R go= on it, and restart scened; on a file system without modes choose another --data-dir",
        )),
    }
}

fn store(store: &Store) -> Finding {
    let counts = store.counts();
    let damaged = store.damaged();
    let detail = format!(
        "{} videos indexed, {} pending, {} failed, {} offline, {} scenes",
        counts.indexed, counts.pending, counts.failed, counts.offline, counts.scenes
    );
    if damaged.is_empty() {
        Finding::ok("store", detail)
    } else {
        Finding::warn(
            "store",
            format!("{detail}; {} damaged records were set aside", damaged.len()),
            "their videos are indexed again; check the disk",
        )
    }
}

/// Missing keyframes are no fault: those videos are decoded again if the model changes.
fn keyframes(facts: &Facts, store: &Store) -> Finding {
    let folder = facts.data_dir.join(keyframes::FOLDER);
    let keyframes = Keyframes::new(folder.clone());
    match keyframes.stock() {
        Ok(stock) => {
            let indexed = store.videos().into_iter().filter(|record| record.n_scenes > 0);
            let n_without = indexed.filter(|record| !keyframes.has(&record.fingerprint)).count();
            let missing = if n_without > 0 {
                format!("; for another model {n_without} videos must be decoded again")
            } else {
                String::new()
            };
            Finding::ok(
                "keyframes",
                format!("pictures of {} videos, {} MiB{missing}", stock.n_files, stock.size_bytes >> 20),
            )
        }
        Err(error) => Finding::warn(
            "keyframes",
            format!("{}: {error}", folder.display()),
            "for another model every video must be decoded again; check the disk",
        ),
    }
}

fn model(subject: &Subject) -> Vec<Finding> {
    let slot = match subject.serving.current() {
        Ok(slot) => slot,
        Err(problem) => {
            return vec![Finding::fail(
                "model",
                problem.reason,
                problem.hint.unwrap_or_else(|| "scenectl model list".to_owned()),
            )];
        }
    };
    let named = format!("{} ({}), provider {}", slot.info.name, slot.info.id, subject.models.provider());
    let model = if slot.info.is_starter {
        Finding::warn(
            "model",
            named,
            "the starter model knows drawn things, not real footage: scenectl model list --available, scenectl model install NAME, scenectl model use NAME",
        )
    } else {
        Finding::ok("model", named)
    };
    let mut findings = vec![model];
    findings.extend(
        subject
            .models
            .provider_warnings()
            .into_iter()
            .map(|warning| Finding::warn("provider", warning, "set providers = [\"cpu\"] in config.toml to hide this")),
    );
    findings.extend(subject.models.sandbox().map(|sandbox| match sandbox {
        Ok(how) => Finding::ok("model sandbox", how),
        Err(why) => Finding::warn(
            "model sandbox",
            format!("the model runs without a sandbox: {why}"),
            "a hostile model could read your files; use models that you trust, or providers = [\"cpu\"] on Linux",
        ),
    }));
    findings.push(question(&slot));
    findings.push(index::compare(subject.store, &slot, subject.models.behind()));
    findings.extend(index::recall(subject.store, &slot));
    findings
}

/// Checks whether the model in use answers at all.
fn question(slot: &ModelSlot) -> Finding {
    match self_test::check_words(slot.embedder.as_ref(), Instant::now() + MODEL_TIMEOUT) {
        Ok(()) => Finding::ok("question", "the model reads a question"),
        Err(error) => {
            let hint = match &error {
                EmbedError::Unavailable { hint: Some(hint), .. } => hint.clone(),
                _ => "see the log of scened; another model: scenectl model use NAME".to_owned(),
            };
            Finding::fail("question", error.to_string(), hint)
        }
    }
}

fn watching(warnings: &[String]) -> Vec<Finding> {
    if warnings.is_empty() {
        return vec![Finding::ok("watching", "every folder is watched")];
    }
    let hint = "scenectl folders; for more watches: sysctl fs.inotify.max_user_watches";
    warnings
        .iter()
        .map(|warning| Finding::warn("watching", warning.clone(), hint))
        .collect()
}
