//! Builds parts and their settings from the configuration.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use scened_common::embed::model::ModelFolder;
use scened_common::embed::runtime::find_onnxruntime;
use scened_shared::spelling;

use crate::app::Paths;
use crate::config::{Config, OnBattery};
use crate::embed::Embedder;
use crate::embed::pair::EmbedPair;
use crate::embed::process::EmbedConfig;
use crate::fatal::{Fatal, with_causes};
use crate::folders::Folders;
use crate::machine::disk_space::DiskSpace;
use crate::machine::with_timeout;
use crate::media::FrameSource;
use crate::media::keyframes::{self, Keyframes};
use crate::media::process::MediaProcess;
use crate::models::{MakeEmbedder, ModelsConfig};
use crate::pipeline::{BrakeConfig, IndexerConfig, MachineState, RootFinder};
use crate::reconcile::{ReconcileConfig, ReconcilerHandle, Rules};
use crate::store::Store;
use crate::worker::throttle::Throttle;

/// Longer side of a scene's thumbnail. Pixels.
const THUMBNAIL_PX: u32 = 320;
/// Maximum number of indexing threads; more would not decode enough additional video to be worth it.
const MAX_INDEXERS: usize = 8;

/// Returns the software text of incidents: the versions of scened and of the worker, and the extras from the configuration.
pub(super) fn software(config: &Config, worker: Option<&str>) -> String {
    format!(
        "scened {}, {}{}",
        env!("CARGO_PKG_VERSION"),
        worker.unwrap_or("no worker"),
        config.extras
    )
}

pub(super) fn throttle(config: &Config) -> Result<Throttle, Fatal> {
    Throttle::new(config.busy)
        .map_err(|error| Fatal::of_system(format!("cannot start the thread that lets workers give way: {error}"), &error))
}

pub(super) fn media_process(config: &Config, throttle: &Throttle) -> Arc<dyn FrameSource> {
    // A missing worker is no reason not to start: every job reports it until it is there.
    let process = MediaProcess::find().unwrap_or_else(|_| MediaProcess::new("scened-worker".into()));
    let allowed = process.with_unsandboxed_allowed(config.allow_unsandboxed);
    Arc::new(allowed.with_extras(config.extras.clone()).with_courtesy(throttle.clone()))
}

/// `make_embedder`: a replacement for the real one, for tests.
pub(super) fn models_config(config: &Config, paths: &Paths, make_embedder: Option<MakeEmbedder>, throttle: &Throttle) -> ModelsConfig {
    ModelsConfig {
        dirs: paths.model_dirs.clone(),
        ann_dir: paths.data_dir.join("index"),
        config_file: config.file.clone(),
        crop: config.crop,
        make_embedder: make_embedder.unwrap_or_else(|| embedder_maker(config, &paths.data_dir, throttle)),
    }
}

/// Returns the path of ONNX Runtime's library, or why it is not found.
pub(super) fn onnxruntime(config: &Config, data_dir: &Path) -> Result<PathBuf, String> {
    let program = scened_shared::program::own();
    find_onnxruntime(config.onnxruntime.as_deref(), data_dir, program.as_deref()).map_err(|error| error.to_string())
}

fn embedder_maker(config: &Config, data_dir: &Path, throttle: &Throttle) -> MakeEmbedder {
    let (providers, threads) = (config.providers.clone(), config.threads as usize);
    let gpu_memory_reserve_bytes = config.gpu_memory_reserve_mib << 20;
    let allow_unsandboxed = config.allow_unsandboxed;
    let throttle = throttle.clone();
    let (idle, onnxruntime, data_dir) = (
        Duration::from_secs(config.model_idle_seconds),
        config.onnxruntime.clone(),
        data_dir.to_owned(),
    );
    Arc::new(move |folder: &ModelFolder| {
        let embedder = EmbedPair::new(EmbedConfig {
            model: folder.clone(),
            providers: providers.clone(),
            threads,
            idle,
            onnxruntime: onnxruntime.clone(),
            data_dir: data_dir.clone(),
            graph_cache: Some(data_dir.join("cache/graphs")),
            gpu_memory_reserve_bytes,
            background: false,
            throttle: throttle.clone(),
            allow_unsandboxed,
            worker: None,
        })?;
        Ok(Arc::new(embedder) as Arc<dyn Embedder>)
    })
}

pub(super) fn indexer_config(config: &Config, software: String, data_dir: &Path, root_of: RootFinder) -> IndexerConfig {
    let n_cores = match config.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads as usize,
    };
    IndexerConfig {
        n_threads: n_cores.clamp(1, MAX_INDEXERS),
        n_cores,
        detector: config.detector,
        mode: config.scene_mode,
        max_scene_ms: config.max_scene_seconds * 1000,
        thumbnail_px: THUMBNAIL_PX,
        hardware: config.hardware_decoding,
        software,
        brake: BrakeConfig {
            pause_on_battery: config.on_battery == OnBattery::Pause,
            pressure_percent: config.pressure,
        },
        machine_state: Box::new(MachineState::now),
        disk_space: disk_space(config, data_dir),
        keyframes: config.keyframes.then(|| Keyframes::new(data_dir.join(keyframes::FOLDER))),
        root_of,
    }
}

/// Returns a function that finds the innermost watched folder of a path. It uses the reconciler's folders, or the configured ones if the
/// reconciler does not run yet.
pub(super) fn root_finder(config: &Config, reconciler: &Arc<OnceLock<Weak<ReconcilerHandle>>>) -> RootFinder {
    let (reconciler, configured) = (Arc::clone(reconciler), config.folders.clone());
    Box::new(move |path| {
        let watched = reconciler.get().and_then(Weak::upgrade).map(|reconciler| reconciler.roots());
        let roots = watched.map_or_else(|| configured.clone(), |roots| roots.into_iter().map(|root| root.path).collect());
        let owners = roots.into_iter().filter(|root| path.starts_with(root));
        owners.max_by_key(|root| root.components().count())
    })
}

pub(super) fn disk_space(config: &Config, data_dir: &Path) -> DiskSpace {
    DiskSpace {
        data_dir: data_dir.to_owned(),
        min_free_bytes: config.min_free_mib << 20,
    }
}

pub(super) fn folders(config: &Config, paths: &Paths, store: Store, reconciler: Arc<ReconcilerHandle>) -> Arc<Folders> {
    Arc::new(Folders::new(
        config.file.clone(),
        paths.data_dir.clone(),
        watched_folders(config),
        store,
        reconciler,
    ))
}

/// Returns the configured folders, spelled as on the disk.
fn watched_folders(config: &Config) -> Vec<PathBuf> {
    let as_on_disk = |folder: &PathBuf| {
        let at = folder.clone();
        with_timeout::run(folder, move |_| Ok(spelling::on_disk(&at))).unwrap_or_else(|_| folder.clone())
    };
    config.folders.iter().map(as_on_disk).collect()
}

pub(super) fn reconcile_config(config: &Config) -> Result<ReconcileConfig, Fatal> {
    let rules = Rules::new(config.extensions.clone(), &config.ignore, config.hidden, config.follow_symlinks)
        .map_err(|error| Fatal::Setup(with_causes(&error)))?;
    Ok(ReconcileConfig {
        roots: watched_folders(config),
        rules: Arc::new(rules),
        settle: Duration::from_secs(config.settle_seconds),
        rescan_every: Duration::from_secs(config.rescan_minutes * 60),
    })
}
