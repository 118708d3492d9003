//! Checks the installation and the data, each with what to do.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use crate::config::Config;
use crate::domain::{Embedding, SceneId};
use crate::embed::{EmbedError, sound};
use crate::instance::privacy::{self, Privacy};
use crate::media::Hardware;
use crate::media::extras::Extras;
use crate::media::ffmpeg::{self, Concern};
use crate::media::keyframes::{self, Keyframes};
use crate::models::Models;
use crate::models::serving::{ModelSlot, Serving};
use crate::query::MODEL_PATIENCE;
use crate::store::Store;

/// Frames whose nearest scenes are compared between index and exact search.
const RECALL_PROBES: usize = 20;
const RECALL_AT: usize = 10;
/// Below this the graph is worth rebuilding.
const RECALL_WANTED: f64 = 0.90;
/// Scores nearer than this are one: the graph's vectors are rounded. The score is the cosine.
const SCORE_TOLERANCE: f32 = 2e-3;
/// Under this much free disk space indexing may soon stop. Bytes.
const LITTLE_SPACE: u64 = 512 << 20;
/// The same, counted in files.
const FEW_FILES: u64 = 1_000;

/// What was found out at start.
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

/// What holds the process that decodes films.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sandbox {
    /// There is no worker to ask.
    Unknown,
    /// It stands; the text says what of.
    Stands(String),
    /// Films are decoded without it, and why.
    Missing(String),
    /// Films are not decoded, and why.
    Refused(String),
}

impl Sandbox {
    /// `tried`: what the worker said, if there is one.
    pub fn of(tried: Option<Result<String, String>>, config: &Config) -> Self {
        match tried {
            None => Self::Unknown,
            Some(Ok(_)) if config.hardware_decoding != Hardware::None && config.allow_unsandboxed => Self::Missing(format!(
                "a graphics driver works outside it (hardware-decoding = {:?})",
                config.hardware_decoding.name()
            )),
            Some(Ok(how)) => Self::Stands(how),
            Some(Err(reason)) if config.allow_unsandboxed || !cfg!(target_os = "linux") => Self::Missing(reason),
            Some(Err(reason)) => Self::Refused(reason),
        }
    }

    /// What `status` must say of it.
    pub fn warning(&self) -> Option<String> {
        match self {
            Self::Unknown | Self::Stands(_) => None,
            Self::Missing(reason) => Some(format!("films are decoded without a sandbox: {reason}")),
            Self::Refused(reason) => Some(format!("no film is decoded without a sandbox: {reason}")),
        }
    }

    fn finding(&self) -> Option<Finding> {
        match self {
            Self::Unknown => None,
            Self::Stands(how) => Some(Finding::ok("sandbox", how.clone())),
            Self::Missing(_) => Some(Finding::warn(
                "sandbox",
                self.warning()?,
                "a hostile film could read your files; with hardware-decoding = \"none\" and allow-unsandboxed = false it cannot on Linux",
            )),
            Self::Refused(_) => Some(Finding::fail(
                "sandbox",
                self.warning()?,
                "use a kernel with Landlock and seccomp (in a container: let it), or set allow-unsandboxed = true in config.toml",
            )),
        }
    }
}

/// What films may be made of, and what FFmpeg decodes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Codecs {
    /// FFmpeg's release, if there is a worker to tell it.
    release: Option<String>,
    concern: Option<Concern>,
    /// What the configuration adds to the worker's own lists.
    extras: Extras,
    /// What FFmpeg does not have of that.
    wrong: Option<String>,
}

impl Codecs {
    /// `ask`: asks the worker what becomes of additions.
    pub fn of(worker_version: Option<&str>, ask: impl FnOnce(&Extras) -> Result<String, String>, extras: &Extras) -> Self {
        let release = worker_version.and_then(ffmpeg::release).map(str::to_owned);
        Self {
            concern: release.as_deref().and_then(|release| ffmpeg::concern(release, extras)),
            // Without additions nothing can be wrong with them, and starting a process for it would take time at every start.
            wrong: (!extras.is_empty() && worker_version.is_some())
                .then(|| ask(extras).err())
                .flatten(),
            release,
            extras: extras.clone(),
        }
    }

    /// What `status` must say of it: what a user can mend.
    pub fn warnings(&self) -> Vec<String> {
        let open = self.concern.as_ref().filter(|concern| concern.is_open);
        let open = open.map(|Concern { what, hint, .. }| format!("{what}: {hint}"));
        self.wrong.iter().cloned().chain(open).collect()
    }

    fn findings(&self) -> Vec<Finding> {
        let Some(release) = &self.release else { return Vec::new() };
        let mut findings = vec![match &self.concern {
            None => Finding::ok("ffmpeg", release.clone()),
            Some(Concern { what, hint, .. }) => Finding::warn("ffmpeg", what.clone(), hint.clone()),
        }];
        if let Some(reason) = &self.wrong {
            findings.push(Finding::fail(
                "codecs",
                reason.clone(),
                "mend extra-formats and extra-codecs in config.toml; what is wrong there adds nothing",
            ));
        } else if !self.extras.is_empty() {
            let added = [&self.extras.formats[..], &self.extras.codecs[..]].concat().join(", ");
            findings.push(Finding::ok("codecs", format!("besides the common ones: {added}")));
        }
        findings
    }
}

pub struct Subject<'a> {
    pub facts: &'a Facts,
    pub store: &'a Store,
    pub serving: &'a Serving,
    pub models: &'a Models,
    pub watch_warnings: Vec<String>,
    /// Why nothing is indexed although there is work.
    pub hindrance: Option<String>,
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

/// Runs every check; blocks for as long as a few dozen searches take.
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
            .hindrance
            .iter()
            .map(|reason| Finding::fail("indexing", reason.clone(), "films wait until this is mended; then: scenectl retry")),
    );
    findings.extend(crate::supervise::left_off().into_iter().map(|why| {
        Finding::fail(
            "threads",
            why,
            "systemctl --user restart scened, or stop it and start it again; its log says where it failed",
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
                    "delete files there: indexing stops when no more can be made (df -i)",
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

/// Nothing is said of a data folder that is closed.
fn privacy(facts: &Facts) -> Option<Finding> {
    const NAME: &str = "privacy";
    let folder = facts.data_dir.display();
    match privacy::look(&facts.data_dir) {
        // Another check says that it cannot be looked at.
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
                "other users may look into {} (mode {mode:04o}): it tells which films you have and what is seen in them",
                path.display()
            ),
            "chmod -R go= it, and start scened again; on a file system without modes choose another --data-dir",
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

/// Never a fault: what is missing is decoded again when another model is brought in.
fn keyframes(facts: &Facts, store: &Store) -> Finding {
    let folder = facts.data_dir.join(keyframes::FOLDER);
    let keyframes = Keyframes::new(folder.clone());
    match keyframes.stock() {
        Ok(stock) => {
            let indexed = store.videos().into_iter().filter(|record| record.n_scenes > 0);
            let n_without = indexed.filter(|record| !keyframes.has(&record.fingerprint)).count();
            let missing = if n_without > 0 {
                format!("; another model needs {n_without} films decoded again")
            } else {
                String::new()
            };
            Finding::ok(
                "keyframes",
                format!("pictures of {} films, {} MiB{missing}", stock.n_files, stock.size_bytes >> 20),
            )
        }
        Err(error) => Finding::warn(
            "keyframes",
            format!("{}: {error}", folder.display()),
            "another model needs every film decoded again; check the disk",
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
            "the starter knows drawn things, not real footage: scenectl model list --available, scenectl model install NAME, scenectl model use NAME",
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
            .map(|warning| Finding::warn("provider", warning, "set providers = [\"cpu\"] in config.toml to be asked no more")),
    );
    findings.extend(subject.models.sandbox().map(|sandbox| match sandbox {
        Ok(how) => Finding::ok("model sandbox", how),
        Err(why) => Finding::warn(
            "model sandbox",
            format!("the model works without a sandbox: {why}"),
            "a hostile model could read your files; use models that you trust, or providers = [\"cpu\"] on Linux",
        ),
    }));
    findings.push(question(&slot));
    findings.push(index(subject.store, &slot, subject.models.behind()));
    findings.extend(recall(subject.store, &slot));
    findings
}

/// Whether the model that answers can be asked at all.
fn question(slot: &ModelSlot) -> Finding {
    match sound::check_words(slot.embedder.as_ref(), Instant::now() + MODEL_PATIENCE) {
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

fn index(store: &Store, slot: &ModelSlot, behind: u64) -> Finding {
    let (in_index, stored) = (slot.ann.len() as u64, stored_scenes(store, slot));
    let detail = format!("{in_index} scenes in the index, {stored} in the store");
    if in_index == stored {
        Finding::ok("index", detail)
    } else if behind > 0 {
        Finding::warn("index", detail, "it is catching up")
    } else {
        Finding::fail(
            "index",
            detail,
            "stop scened, delete the folder `index` in the data folder, and start it: it is rebuilt from the store",
        )
    }
}

fn stored_scenes(store: &Store, slot: &ModelSlot) -> u64 {
    let with_vectors = |record: &&Arc<crate::store::VideoRecord>| store.has_vectors(&slot.info.id, record.id).unwrap_or(false);
    store
        .videos()
        .iter()
        .filter(with_vectors)
        .map(|record| u64::from(record.n_scenes))
        .sum()
}

/// Recall@10 of the graph against exact search, asked with stored frames spread over the library.
fn recall(store: &Store, slot: &ModelSlot) -> Option<Finding> {
    let scenes: Vec<SceneId> = store
        .videos()
        .iter()
        .flat_map(|record| (0..record.n_scenes as usize).map(|index| SceneId::new(record.id, index)))
        .filter(|scene| slot.ann.contains(*scene))
        .collect();
    if scenes.len() <= RECALL_AT {
        return None;
    }
    let step = (scenes.len() / RECALL_PROBES).max(1);
    let probes: Vec<Embedding> = scenes
        .iter()
        .step_by(step)
        .filter_map(|scene| store.vectors(&slot.info.id, *scene).ok().flatten())
        .filter_map(|vectors| vectors.frames.into_iter().next().map(|(_, vector)| vector))
        .collect();
    let (mut found, mut wanted) = (0, 0);
    for probe in &probes {
        let near = slot.ann.search(probe, RECALL_AT).ok()?;
        let exact = slot.ann.exact(probe, RECALL_AT, scenes.iter().copied()).ok()?;
        wanted += exact.len();
        found += n_as_good(&near, &exact);
    }
    if wanted == 0 {
        return None;
    }
    let recall = found as f64 / wanted as f64;
    let detail = format!(
        "recall@{RECALL_AT} of the index against exact search: {recall:.3} over {} questions",
        probes.len()
    );
    Some(if recall >= RECALL_WANTED {
        Finding::ok("recall", detail)
    } else {
        Finding::warn(
            "recall",
            detail,
            "stop scened, delete the folder `index` in the data folder, and start it: it is rebuilt from the store",
        )
    })
}

/// How many of those found are as good as the best there are. Of scenes that score the same (copies, one slide in twenty recordings) any will
/// do, so that scores are compared, and not which scene it is.
fn n_as_good(found: &[(SceneId, f32)], best: &[(SceneId, f32)]) -> usize {
    let Some(least) = best.iter().map(|(_, score)| *score).min_by(f32::total_cmp) else {
        return 0;
    };
    let n_good = found.iter().filter(|(_, score)| *score >= least - SCORE_TOLERANCE).count();
    n_good.min(best.len())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doctor_tells_ffmpegs_release_and_what_is_added_to_the_lists() {
        let old = Some("scened-worker 0.1.0, FFmpeg 5.1.9, libavcodec 59.37.100");
        let new = Some("scened-worker 0.1.0, FFmpeg 8.1.2, libavcodec 62.0.0");
        let extras = |codec: &str| Extras {
            codecs: vec![codec.to_owned()],
            ..Extras::default()
        };
        let knows = |_: &Extras| Ok(String::new());
        let asked = |_: &Extras| -> Result<String, String> { panic!("nothing is added, so nothing is asked") };
        for (worker, extras, expected, n_warnings) in [
            (new, Extras::default(), vec![("ffmpeg", Health::Ok)], 0),
            (old, Extras::default(), vec![("ffmpeg", Health::Warn)], 0),
            (old, extras("magicyuv"), vec![("ffmpeg", Health::Warn), ("codecs", Health::Ok)], 1),
            (new, extras("magicyuv"), vec![("ffmpeg", Health::Ok), ("codecs", Health::Ok)], 0),
            (None, extras("magicyuv"), vec![], 0),
        ] {
            let codecs = if extras.is_empty() {
                Codecs::of(worker, asked, &extras)
            } else {
                Codecs::of(worker, knows, &extras)
            };
            let found: Vec<_> = codecs.findings().iter().map(|finding| (finding.name, finding.state)).collect();
            assert_eq!(found, expected, "{codecs:?}");
            assert_eq!(codecs.warnings().len(), n_warnings, "{codecs:?}");
        }
        let wrong = Codecs::of(new, |_| Err("no decoder named \"x\"".to_owned()), &extras("x"));
        assert_eq!(wrong.findings()[1].state, Health::Fail);
        assert_eq!(wrong.warnings(), ["no decoder named \"x\""]);
    }

    #[test]
    fn scenes_that_score_the_same_are_no_miss_of_the_index() {
        let scene = |video, index| SceneId::new(crate::domain::VideoId(video), index);
        let at = |scores: &[f32], video| -> Vec<_> {
            scores
                .iter()
                .enumerate()
                .map(|(index, score)| (scene(video, index), *score))
                .collect()
        };
        // Twenty copies of one film: each list has others of them.
        assert_eq!(n_as_good(&at(&[1.0; 10], 1), &at(&[1.0; 10], 2)), 10);
        assert_eq!(n_as_good(&at(&[1.0, 0.9995, 0.80], 1), &at(&[1.0, 0.9999, 0.8003], 2)), 3);
        // What is worse than the worst of the best is a miss.
        assert_eq!(n_as_good(&at(&[1.0, 0.7, 0.6], 1), &at(&[1.0, 0.95, 0.9], 2)), 1);
        assert_eq!(n_as_good(&at(&[0.9; 10], 1), &at(&[1.0; 3], 2)), 0);
        assert_eq!(n_as_good(&[], &at(&[1.0; 3], 2)), 0);
        assert_eq!(n_as_good(&at(&[1.0], 1), &[]), 0);
    }

    #[test]
    fn doctor_and_status_say_what_holds_the_decoder() {
        let config = |text| Config::parse(text, std::path::Path::new("config.toml")).expect("it is valid").0;
        let strict = config("");
        let lenient = config("allow-unsandboxed = true");
        let on_card = config("allow-unsandboxed = true\nhardware-decoding = \"auto\"");
        let stands = || Some(Ok("Landlock".to_owned()));
        let fails = || Some(Err("no Landlock".to_owned()));
        let without = if cfg!(target_os = "linux") { Health::Fail } else { Health::Warn };
        for (tried, config, expected, says) in [
            (stands(), &strict, Health::Ok, "Landlock"),
            (stands(), &lenient, Health::Ok, "Landlock"),
            (stands(), &on_card, Health::Warn, "graphics driver"),
            (fails(), &strict, without, "no Landlock"),
            (fails(), &lenient, Health::Warn, "no Landlock"),
        ] {
            let sandbox = Sandbox::of(tried, config);
            let finding = sandbox.finding().expect("a worker answered");
            assert_eq!(finding.state, expected, "{sandbox:?}");
            assert!(finding.detail.contains(says), "{}", finding.detail);
            assert_eq!(sandbox.warning().is_none(), expected == Health::Ok, "{sandbox:?}");
        }
        assert!(Sandbox::of(None, &strict).finding().is_none());
    }
}
