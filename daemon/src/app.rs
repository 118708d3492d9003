//! Wiring: what is made in which order, what runs, and how it ends.
//!
//! Order of making: data folder and its lock, store, models, indexing threads, reconciler, query pool, socket. Shutdown is the
//! reverse: nobody is accepted any more, watching and indexing end (their workers with them), indexes are saved, the store closes.
//!
//! **Threads**: the caller's runs tokio (sockets, timers, signals); all others are made by the rooms that own them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use scened_shared::spelling;
use tokio::sync::{broadcast, mpsc, watch};
use tracing::{error, info, warn};

use crate::activity::Activity;
use crate::command::doctor::{self, Facts};
use crate::config::{Config, OnBattery, kept};
use crate::domain::VideoId;
use crate::embed::Embedder;
use crate::embed::model::ModelFolder;
use crate::embed::pair::EmbedPair;
use crate::embed::process::EmbedConfig;
use crate::embed::runtime::find_onnxruntime;
use crate::fatal::{Fatal, with_causes};
use crate::folders::Folders;
use crate::instance::{Instance, InstanceError};
use crate::ipc::{Context, Event};
use crate::machine::disk_space::DiskSpace;
use crate::media::FrameSource;
use crate::media::keyframes::{self, Keyframes};
use crate::media::process::MediaProcess;
use crate::models::serving::Serving;
use crate::models::{MakeEmbedder, Models, ModelsConfig};
use crate::pipeline::{BrakeConfig, Indexer, IndexerConfig, Parts, PipelineEvent, PipelineHook, RootFinder, Sight, pause};
use crate::query::Searcher;
use crate::reconcile::{ReconcileConfig, Reconciler, ReconcilerHandle, Rules};
use crate::requests::{ClientProcess, Lane, Pool};
use crate::store::{ChangeKind, IncidentRecord, OpenReport, Store, VideoRecord, VideoState};
use crate::video_file::whole::has_every_byte;
use crate::worker::courtesy::Courtesy;

/// Longer side of a scene's thumbnail. Pixels.
const THUMBNAIL_PX: u32 = 320;
/// How often a full disk is looked at by a daemon whose store met its end.
const DISK_SPACE_RETRY: Duration = Duration::from_secs(10);
/// Events a slow subscriber may fall behind by before it gets a status instead.
const EVENT_BACKLOG: usize = 256;
/// Video seconds of one core's decoding are not worth more threads than this.
const MAX_INDEXERS: usize = 8;

/// Where things are; already resolved from flags, environment and defaults.
#[derive(Clone, Debug)]
pub struct Places {
    pub data_dir: PathBuf,
    pub socket: PathBuf,
    /// Folders that contain models.
    pub model_dirs: Vec<PathBuf>,
    /// The program `scened`, to try a store in another process; `None`: it is not tried.
    pub program: Option<PathBuf>,
}

/// Other ends of the seams, for tests; `None` = the real ones.
#[derive(Clone, Default)]
pub struct Seams {
    pub source: Option<Arc<dyn FrameSource>>,
    pub make_embedder: Option<MakeEmbedder>,
}

/// What the parts that come before the socket have in common.
struct Engine {
    store: Store,
    serving: Arc<Serving>,
    models: Arc<Models>,
    indexer: Indexer,
    reconciler: Arc<ReconcilerHandle>,
    folders: Arc<Folders>,
    searcher: Arc<Searcher>,
    activity: Activity,
    events: broadcast::Sender<Event>,
    /// The store cannot go on.
    broken: mpsc::Receiver<String>,
    break_off: mpsc::Sender<String>,
    disk_space: DiskSpace,
    courtesy: Courtesy,
    facts: Facts,
}

/// Runs the daemon until `stop` becomes true or something fatal happens.
pub fn run(config: &Config, config_warnings: Vec<String>, places: &Places, seams: Seams, stop: watch::Receiver<bool>) -> Result<(), Fatal> {
    let started = Instant::now();
    let instance = Instance::acquire(&places.data_dir).map_err(|error| instance_fatal(&error))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .build()
        .map_err(|error| Fatal::of_system(format!("cannot start the async runtime: {error}"), &error))?;
    // The socket first: a client that comes while the store opens waits in its backlog instead of being refused.
    let inherited = crate::machine::systemd::inherited_socket().map_err(|error| Fatal::Setup(error.to_string()))?;
    let entered = runtime.enter();
    let listening = instance.listen(&places.socket, inherited).map_err(|error| instance_fatal(&error))?;
    drop(entered);
    kept::keep_or_tell(&config.file, &places.data_dir);
    let mut engine = Engine::start(config, config_warnings, places, seams)?;
    let break_off = engine.break_off.clone();
    let lost = move |why: &str| {
        // A second one says nothing new.
        let _first = break_off.try_send(why.to_owned());
    };
    let pool = Pool::start(lost).map_err(|error| Fatal::of_system(format!("cannot start the query threads: {error}"), &error))?;
    let context = Arc::new(engine.context(pool.clone(), started));
    info!(socket = %places.socket.display(), data = %places.data_dir.display(), folders = config.folders.len(), version = env!("CARGO_PKG_VERSION"), "scened is ready");
    crate::machine::systemd::ready();
    let outcome = runtime.block_on(engine.serve(listening.listener, &context, stop));
    crate::machine::systemd::stopping();
    info!("stopping");
    drop(runtime);
    engine.stop(&pool);
    outcome
}

impl Engine {
    fn start(config: &Config, config_warnings: Vec<String>, places: &Places, seams: Seams) -> Result<Self, Fatal> {
        let (store, report) = Store::open_tried(&places.data_dir, places.program.as_deref())?;
        let mut start_warnings = config_warnings;
        start_warnings.extend(store_warnings(&report));
        let (worker, sandbox, codecs) = ask_worker(config, &seams);
        start_warnings.extend(sandbox.warning().into_iter().chain(codecs.warnings()));
        for warning in &start_warnings {
            warn!("{warning}");
        }
        let activity = Activity::default();
        let serving = Arc::new(Serving::default());
        let (events, _) = broadcast::channel(EVENT_BACKLOG);
        let (break_off, broken) = mpsc::channel(1);
        let courtesy = courtesy(config)?;
        let source = seams.source.clone().unwrap_or_else(|| media_process(config, &courtesy));
        let models = Arc::new(Models::new(
            ModelsConfig {
                dirs: places.model_dirs.clone(),
                ann_dir: places.data_dir.join("index"),
                config_file: config.file.clone(),
                crop: config.crop,
                make_embedder: seams
                    .make_embedder
                    .unwrap_or_else(|| embedder_maker(config, &places.data_dir, &courtesy)),
            },
            config.model.clone(),
            store.clone(),
            Arc::clone(&serving),
            activity.clone(),
        ));
        store.on_change(Box::new(models.change_hook()));
        models.open()?;
        break_off_when_fatal(&store, &break_off, &activity);
        let touched: Arc<OnceLock<Weak<ReconcilerHandle>>> = Arc::default();
        let hook = pipeline_hook(events.clone(), Arc::clone(&touched), break_off.clone());
        let decoder = worker.as_deref().unwrap_or("no worker");
        let software = format!("scened {}, {decoder}{}", env!("CARGO_PKG_VERSION"), config.extras);
        let paused = pause::is_remembered(&store)?;
        let indexer = Indexer::start(
            indexer_config(config, software.clone(), &places.data_dir, root_finder(config, &touched)),
            Parts {
                store: store.clone(),
                source: Arc::clone(&source),
                serving: Arc::clone(&serving),
                activity: activity.clone(),
                hook,
            },
            paused,
        )?;
        store.on_change(Box::new(indexer.change_hook()));
        store.on_change(Box::new(event_hook(&events)));
        retry_after_update(&store, worker.is_ok().then_some(&software))?;
        look_for_halves(&store, report.fresh)?;
        let for_reconciler = activity.clone();
        let reconciler = Reconciler::start(reconcile_config(config)?, store.clone(), Arc::new(move |_| for_reconciler.bump()))
            // There is no thread left, or no memory.
            .map_err(|error| Fatal::Passing(with_causes(&error)))?;
        let reconciler = Arc::new(reconciler);
        // Nothing else sets it: a film that changed before this line is found by the first walk.
        let _set = touched.set(Arc::downgrade(&reconciler));
        let folders = Arc::new(Folders::new(
            config.file.clone(),
            places.data_dir.clone(),
            watched_folders(config),
            store.clone(),
            Arc::clone(&reconciler),
        ));
        let searcher = Arc::new(Searcher::new(
            store.clone(),
            Arc::clone(&serving),
            source,
            Some(places.data_dir.join("cache/background")),
        ));
        let facts = Facts {
            data_dir: places.data_dir.clone(),
            config_file: config.file.clone(),
            worker,
            sandbox,
            codecs,
            onnxruntime: find_onnxruntime(
                config.onnxruntime.as_deref(),
                &places.data_dir,
                scened_shared::program::own().as_deref(),
            )
            .map_err(|error| error.to_string()),
            start_warnings,
        };
        Ok(Self {
            store,
            serving,
            models,
            indexer,
            reconciler,
            folders,
            searcher,
            activity,
            events,
            broken,
            break_off,
            disk_space: disk_space(config, &places.data_dir),
            courtesy,
            facts,
        })
    }

    fn context(&self, pool: Pool, started: Instant) -> Context {
        Context {
            store: self.store.clone(),
            serving: Arc::clone(&self.serving),
            models: Arc::clone(&self.models),
            folders: Arc::clone(&self.folders),
            searcher: Arc::clone(&self.searcher),
            indexer: self.indexer.clone(),
            reconciler: Arc::clone(&self.reconciler),
            pool,
            activity: self.activity.clone(),
            events: self.events.clone(),
            courtesy: self.courtesy.clone(),
            started,
            start_warnings: self.facts.start_warnings.clone(),
            doctor: self.facts.clone(),
        }
    }

    async fn serve(
        &mut self,
        listener: interprocess::local_socket::tokio::Listener,
        context: &Arc<Context>,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), Fatal> {
        let (close, closing) = watch::channel(false);
        let mut socket_task = tokio::spawn(crate::ipc::serve(listener, Arc::clone(context), closing));
        let outcome = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => Ok(()),
            reason = broken_and_mendable(&mut self.broken, &self.disk_space) => Err(Fatal::Store(reason)),
            () = watchdog() => Ok(()),
            () = finish_model_change(context) => Ok(()),
            // Nobody could be answered any more.
            ended = &mut socket_task => return Err(Fatal::Internal(match ended {
                Ok(()) => "the socket's task ended".to_owned(),
                Err(error) => format!("the socket's task failed (a bug: please report it): {error}"),
            })),
        };
        close.send_replace(true);
        if let Err(error) = socket_task.await {
            error!(%error, "the socket's task ended badly");
        }
        outcome
    }

    fn stop(self, pool: &Pool) {
        // A mount that hangs must not hold up the end.
        crate::machine::with_timeout::end();
        // `add` and `remove` may have changed it.
        kept::keep_or_tell(&self.facts.config_file, &self.facts.data_dir);
        self.reconciler.stop();
        // Indexing threads may wait for a worker that does not answer; those are ended first.
        self.models.stop_embedders();
        self.indexer.stop();
        self.models.stop();
        pool.stop();
    }
}

/// The worker's version, and what holds it; with scripted frames there is none.
fn ask_worker(config: &Config, seams: &Seams) -> (Result<String, String>, doctor::Sandbox, doctor::Codecs) {
    let is_scripted = seams.source.is_some();
    let worker = if is_scripted {
        Ok("no worker".to_owned())
    } else {
        crate::worker::version()
    };
    let held = (worker.is_ok() && !is_scripted).then(crate::worker::sandbox);
    let allowed = |extras: &crate::media::extras::Extras| crate::worker::allowed(extras.to_arguments());
    let codecs = doctor::Codecs::of(worker.as_deref().ok(), allowed, &config.extras);
    (worker, doctor::Sandbox::of(held, config), codecs)
}

/// Waits until the store takes nothing more, and then until a restart would help: on a full disk search goes on as long as that is full.
async fn broken_and_mendable(broken: &mut mpsc::Receiver<String>, disk_space: &DiskSpace) -> String {
    let reason = broken.recv().await.unwrap_or_else(|| "indexing ended".to_owned());
    while let Some(lack) = disk_space.lack() {
        warn!(lack, "the store takes nothing more; scened starts again when there is room");
        tokio::time::sleep(DISK_SPACE_RETRY).await;
    }
    reason
}

/// Whoever finds out that the store takes nothing more: the daemon's end is near, and `status` says so.
fn break_off_when_fatal(store: &Store, break_off: &mpsc::Sender<String>, activity: &Activity) {
    let (break_off, activity) = (break_off.clone(), activity.clone());
    store.on_fatal(Box::new(move |reason| {
        error!(reason, "the store takes nothing more");
        // A second failure says nothing new.
        let _first = break_off.try_send(reason.to_owned());
        activity.bump();
    }));
}

/// Tells the service manager that the async thread is alive; sleeps for ever where nobody asks.
async fn watchdog() {
    let Some(interval) = crate::machine::systemd::watchdog_interval() else {
        return std::future::pending().await;
    };
    loop {
        crate::machine::systemd::watchdog();
        tokio::time::sleep(interval).await;
    }
}

/// Swaps models when the last video is embedded for the new one.
async fn finish_model_change(context: &Arc<Context>) {
    let mut activity = context.activity.listen();
    while activity.changed().await.is_ok() {
        if context.serving.next().is_none() {
            continue;
        }
        let for_pool = Arc::clone(context);
        let (done, ended) = tokio::sync::oneshot::channel::<()>();
        let look = move |_| {
            for_pool.models.promote_if_complete(|| for_pool.indexer.has_caught_up());
            drop(done);
        };
        // One at a time: it waits while a change is being arranged. What happens meanwhile is looked at next.
        if context.pool.submit(Lane::Slow, ClientProcess::DAEMON, look).is_ok() {
            let _closed = ended.await;
        }
    }
}

/// Tells what became of a film; `touched` is asked to look at one again that changed meanwhile.
fn pipeline_hook(
    events: broadcast::Sender<Event>,
    touched: Arc<OnceLock<Weak<ReconcilerHandle>>>,
    break_off: mpsc::Sender<String>,
) -> PipelineHook {
    Arc::new(move |event: PipelineEvent| match event {
        PipelineEvent::VideoIndexed { path, n_scenes } => announce(&events, Event::Indexed { path, n_scenes }),
        PipelineEvent::VideoFailed { path, reason } => announce(&events, Event::Failed { path, reason }),
        PipelineEvent::FileChanged { path } => {
            if let Some(reconciler) = touched.get().and_then(Weak::upgrade) {
                reconciler.rescan(Some(path));
            }
        }
        PipelineEvent::StoreFailed { reason } => {
            // A second failure says nothing new.
            let _first = break_off.try_send(reason);
        }
    })
}

fn announce(events: &broadcast::Sender<Event>, event: Event) {
    // Without subscribers there is nobody to tell.
    let _n_told = events.send(event);
}

fn event_hook(events: &broadcast::Sender<Event>) -> impl Fn(&crate::store::Change) + Send + Sync + 'static {
    let events = events.clone();
    move |change| match &change.kind {
        ChangeKind::Removed { path } => announce(&events, Event::Removed { path: path.clone() }),
        ChangeKind::Moved { from, to } => announce(
            &events,
            Event::Moved {
                path: to.clone(),
                from: from.clone(),
            },
        ),
        _ => {}
    }
}

fn courtesy(config: &Config) -> Result<Courtesy, Fatal> {
    Courtesy::new(config.busy)
        .map_err(|error| Fatal::of_system(format!("cannot start the thread that lets workers give way: {error}"), &error))
}

fn media_process(config: &Config, courtesy: &Courtesy) -> Arc<dyn FrameSource> {
    // A worker that is missing is told by every job until it is there: no reason not to start.
    let process = MediaProcess::find().unwrap_or_else(|_| MediaProcess::new("scened-worker".into()));
    let allowed = process.with_unsandboxed_allowed(config.allow_unsandboxed);
    Arc::new(allowed.with_extras(config.extras.clone()).with_courtesy(courtesy.clone()))
}

fn embedder_maker(config: &Config, data_dir: &Path, courtesy: &Courtesy) -> MakeEmbedder {
    let (providers, threads) = (config.providers.clone(), config.threads as usize);
    let gpu_memory_reserve_bytes = config.gpu_memory_reserve_mib << 20;
    let allow_unsandboxed = config.allow_unsandboxed;
    let courtesy = courtesy.clone();
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
            courtesy: courtesy.clone(),
            allow_unsandboxed,
            worker: None,
        })?;
        Ok(Arc::new(embedder) as Arc<dyn Embedder>)
    })
}

fn indexer_config(config: &Config, software: String, data_dir: &Path, root_of: RootFinder) -> IndexerConfig {
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
        sight: Box::new(Sight::now),
        disk_space: disk_space(config, data_dir),
        keyframes: config.keyframes.then(|| Keyframes::new(data_dir.join(keyframes::FOLDER))),
        root_of,
    }
}

/// Finds the innermost watched folder of a path, as the reconciler knows them; before it runs, as they are configured.
fn root_finder(config: &Config, reconciler: &Arc<OnceLock<Weak<ReconcilerHandle>>>) -> RootFinder {
    let (reconciler, configured) = (Arc::clone(reconciler), config.folders.clone());
    Box::new(move |path| {
        let watched = reconciler.get().and_then(Weak::upgrade).map(|reconciler| reconciler.roots());
        let roots = watched.map_or_else(|| configured.clone(), |roots| roots.into_iter().map(|root| root.path).collect());
        let owners = roots.into_iter().filter(|root| path.starts_with(root));
        owners.max_by_key(|root| root.components().count())
    })
}

fn disk_space(config: &Config, data_dir: &Path) -> DiskSpace {
    DiskSpace {
        data_dir: data_dir.to_owned(),
        min_free_bytes: config.min_free_mib << 20,
    }
}

/// The configured folders, as the disk spells them.
fn watched_folders(config: &Config) -> Vec<PathBuf> {
    let as_on_disk = |folder: &PathBuf| {
        let at = folder.clone();
        crate::machine::with_timeout::run(folder, move |_| Ok(spelling::on_disk(&at))).unwrap_or_else(|_| folder.clone())
    };
    config.folders.iter().map(as_on_disk).collect()
}

fn reconcile_config(config: &Config) -> Result<ReconcileConfig, Fatal> {
    let rules = Rules::new(config.extensions.clone(), &config.ignore, config.hidden, config.follow_symlinks)
        .map_err(|error| Fatal::Setup(with_causes(&error)))?;
    Ok(ReconcileConfig {
        roots: watched_folders(config),
        rules: Arc::new(rules),
        settle: Duration::from_secs(config.settle_seconds),
        rescan_every: Duration::from_secs(config.rescan_minutes * 60),
    })
}

/// A file that failed under other software, or for the drive's or the machine's sake, deserves another try. So does, once, what a version
/// wrote down that did not say what it is laid to. `software`: `None` where the worker's cannot be told now.
fn retry_after_update(store: &Store, software: Option<&String>) -> Result<(), Fatal> {
    let deserves = |incident: &IncidentRecord| {
        let is_of_other = software.is_some_and(|software| incident.software != *software);
        is_of_other || incident.cause.is_none() || incident.is_blameless()
    };
    let n_queued = store.retry_incidents(deserves, crate::machine::clock::now_ms())?;
    if n_queued > 0 {
        info!(
            n_queued,
            "videos failed under other software, or through no fault of theirs; they are tried again"
        );
    }
    Ok(())
}

/// Setting: what earlier versions took for whole was looked into again.
const HALVES_SETTING: &str = "halves-looked-for";

/// Earlier versions gave what they knew of a half-written video to its whole copies, and kept it when that was completed in place. Once,
/// everything that may be such is looked into again: what was damaged or failed, what was written to after it was indexed, and what has
/// the fingerprint of another.
fn look_for_halves(store: &Store, is_fresh: bool) -> Result<(), Fatal> {
    if store.setting(HALVES_SETTING)?.is_some() {
        return Ok(());
    }
    let videos = if is_fresh { Vec::new() } else { store.videos() };
    let may_be_half = |record: &&Arc<VideoRecord>| {
        let was_looked_into = record.state != VideoState::Pending && record.whole.is_none();
        let is_complete = record.state == VideoState::Indexed && record.damage.is_none();
        let was_written_to = record.stamp.mtime_ns / 1_000_000 > record.indexed_at_ms;
        // The fingerprint of a small file tells all its bytes.
        was_looked_into
            && !has_every_byte(record.stamp.size_bytes)
            && (!is_complete || was_written_to || store.videos_with_fingerprint(&record.fingerprint).len() > 1)
    };
    let again: Vec<VideoId> = videos.iter().filter(may_be_half).map(|record| record.id).collect();
    if !again.is_empty() {
        info!(
            n_videos = again.len(),
            "looking once more into videos that an earlier version may have seen half-written"
        );
        store.queue_again(&again, crate::machine::clock::now_ms())?;
    }
    store.put_setting(HALVES_SETTING, &serde_json::Value::Bool(true))?;
    Ok(())
}

fn store_warnings(report: &OpenReport) -> Vec<String> {
    let mut warnings: Vec<String> = report
        .set_aside
        .iter()
        .map(|path| {
            format!(
                "the index was damaged; it was set aside as {} and everything is indexed again",
                path.display()
            )
        })
        .collect();
    warnings.extend(report.decisions_set_aside.iter().map(|path| {
        format!(
            "a copy of your settings was damaged; it was set aside as {} and is written again",
            path.display()
        )
    }));
    if report.n_decisions_restored > 0 {
        warnings.push(format!(
            "the store had lost {} settings; they were taken from their second copy",
            report.n_decisions_restored
        ));
    }
    if report.lost_changes > 0 {
        warnings.push(format!(
            "the last {} changes of the store were lost to damage; the walk that runs now finds them again",
            report.lost_changes
        ));
    }
    warnings
}

/// How a daemon ends that cannot have its data folder or its socket.
pub fn instance_fatal(error: &InstanceError) -> Fatal {
    // A path in it may have a line break, and this is one line.
    let text = scened_shared::terminal::escape(&error.to_string());
    match error {
        InstanceError::AlreadyRunning { .. } => Fatal::AlreadyRunning(text),
        // Nothing can be made there, as below /proc.
        InstanceError::CreateDataDir { source, .. } if source.kind() == std::io::ErrorKind::NotFound => Fatal::Setup(text),
        error => match error.source_of_system() {
            Some(source) => Fatal::of_system(text, source),
            None => Fatal::Setup(text),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{FileStamp, Fingerprint};
    use crate::store::{Cause, NewVideo, VideoState};

    #[test]
    fn a_start_tries_again_what_no_video_is_to_blame_for_and_once_what_an_older_version_wrote_down() {
        let folder = tempfile::tempdir().unwrap();
        // Of a released version: one of its videos failed, and nothing says what that is laid to.
        let released = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/stores/v1");
        testkit::copy_tree(&released, folder.path(), &|_| true);
        let (store, _) = Store::open(folder.path()).unwrap();
        let old = store.incidents().unwrap().remove(0);
        assert_eq!(old.cause, None);
        let fail = |path: &str, cause| {
            let stamp = FileStamp {
                size_bytes: 1,
                mtime_ns: 1,
                inode: 1,
            };
            let video = NewVideo {
                path: path.into(),
                stamp,
                fingerprint: Fingerprint([7; 16]),
                on_root_device: true,
            };
            let id = store.add_video(video, 1).unwrap().id;
            store.put_failed(id, "a reason", None, cause, &old.software, 2).unwrap();
            id
        };
        let (video, storage) = (fail("/video", Cause::Video), fail("/storage", Cause::Storage));
        let state = |id| store.video(id).unwrap().state;
        retry_after_update(&store, Some(&old.software)).unwrap();
        assert_eq!(
            [state(old.video), state(video), state(storage)],
            [VideoState::Pending, VideoState::Failed, VideoState::Pending]
        );
        // It fails again, and says now what it is laid to.
        store
            .put_failed(old.video, "a reason", None, Cause::Video, &old.software, 3)
            .unwrap();
        retry_after_update(&store, Some(&old.software)).unwrap();
        assert_eq!(state(old.video), VideoState::Failed);
        // A worker that cannot tell its version is no other version.
        retry_after_update(&store, None).unwrap();
        assert_eq!([state(old.video), state(video)], [VideoState::Failed; 2]);
        retry_after_update(&store, Some(&"another FFmpeg".to_owned())).unwrap();
        assert_eq!([state(old.video), state(video)], [VideoState::Pending; 2]);
    }
}
