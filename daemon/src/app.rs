//! Wiring: the order in which parts are created, how they run, and how they end.
//!
//! Order of creation: the lock of the data folder, the listening socket, store, models, indexing threads, reconciler, query pool. Clients
//! are accepted when all of these exist. Order of shutdown: no more clients are accepted, then watching ends, then indexing and its
//! workers, indexes are saved, and the query pool ends. The store closes last.
//!
//! **Threads**: the caller's thread runs tokio (sockets, timers, signals). All others are started by the modules that own them.

mod from_config;
mod hooks;
pub mod process;
mod upgrade;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{broadcast, mpsc, watch};
use tracing::{error, info, warn};

use crate::activity::Activity;
use crate::app::from_config::{
    disk_space, folders, indexer_config, media_process, models_config, onnxruntime, reconcile_config, root_finder, software, throttle,
};
use crate::app::hooks::{break_off_when_fatal, event_hook, pipeline_hook};
use crate::app::upgrade::{find_halves, retry_after_update};
use crate::command::doctor::{self, Facts};
use crate::config::{Config, kept};
use crate::fatal::{Fatal, with_causes};
use crate::folders::Folders;
use crate::instance::{Instance, InstanceError};
use crate::ipc::{Context, Event};
use crate::machine::disk_space::DiskSpace;
use crate::media::FrameSource;
use crate::models::serving::Serving;
use crate::models::{MakeEmbedder, Models};
use crate::pipeline::{Indexer, Parts, pause};
use crate::query::Searcher;
use crate::reconcile::{Reconciler, ReconcilerHandle};
use crate::requests::{ClientProcess, Lane, Pool};
use crate::store::{OpenReport, Store};
use crate::worker::throttle::Throttle;

/// Interval at which a daemon whose store has failed checks a full disk.
const DISK_SPACE_RETRY: Duration = Duration::from_secs(10);
/// Number of events that a slow subscriber may fall behind by before it gets a status instead.
const EVENT_BACKLOG: usize = 256;

/// Paths, already resolved from flags, environment and defaults.
#[derive(Clone, Debug)]
pub struct Paths {
    pub data_dir: PathBuf,
    pub socket: PathBuf,
    /// Folders that contain models.
    pub model_dirs: Vec<PathBuf>,
    /// The program `scened`, which tries a store in another process; `None`: the store is not tried.
    pub program: Option<PathBuf>,
}

/// Replacements for real parts, for tests; `None` = the real one.
#[derive(Clone, Default)]
pub struct TestDoubles {
    pub source: Option<Arc<dyn FrameSource>>,
    pub make_embedder: Option<MakeEmbedder>,
}

/// The parts that are created before the socket accepts clients.
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
    /// Receives the reason why the daemon must end: the store has failed, or a lane of the query pool has no thread left.
    broken: mpsc::Receiver<String>,
    break_off: mpsc::Sender<String>,
    disk_space: DiskSpace,
    throttle: Throttle,
    facts: Facts,
}

/// Runs the daemon until `stop` becomes true or a fatal error happens.
pub fn run(
    config: &Config,
    config_warnings: Vec<String>,
    paths: &Paths,
    doubles: TestDoubles,
    stop: watch::Receiver<bool>,
) -> Result<(), Fatal> {
    let started = Instant::now();
    let instance = Instance::acquire(&paths.data_dir).map_err(|error| instance_fatal(&error))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .build()
        .map_err(|error| Fatal::of_system(format!("cannot start the async runtime: {error}"), &error))?;
    // The socket comes first: a client that connects while the store opens waits in its backlog instead of being refused.
    let inherited = crate::machine::systemd::inherited_socket().map_err(|error| Fatal::Setup(error.to_string()))?;
    let entered = runtime.enter();
    let listening = instance.listen(&paths.socket, inherited).map_err(|error| instance_fatal(&error))?;
    drop(entered);
    kept::keep_or_warn(&config.file, &paths.data_dir);
    let mut engine = Engine::start(config, config_warnings, paths, doubles)?;
    let break_off = engine.break_off.clone();
    let lost = move |why: &str| {
        // A second reason adds nothing.
        let _first = break_off.try_send(why.to_owned());
    };
    let pool = Pool::start(lost).map_err(|error| Fatal::of_system(format!("cannot start the query threads: {error}"), &error))?;
    let context = Arc::new(engine.context(pool.clone(), started));
    info!(socket = %paths.socket.display(), data = %paths.data_dir.display(), folders = config.folders.len(), version = env!("CARGO_PKG_VERSION"), "scened is ready");
    crate::machine::systemd::ready();
    let outcome = runtime.block_on(engine.serve(listening.listener, &context, stop));
    crate::machine::systemd::stopping();
    info!("stopping");
    drop(runtime);
    engine.stop(&pool);
    outcome
}

impl Engine {
    fn start(config: &Config, config_warnings: Vec<String>, paths: &Paths, doubles: TestDoubles) -> Result<Self, Fatal> {
        let (store, report) = Store::open_tried(&paths.data_dir, paths.program.as_deref())?;
        let mut start_warnings = config_warnings;
        start_warnings.extend(store_warnings(&report));
        let (worker, sandbox, codecs) = ask_worker(config, &doubles);
        start_warnings.extend(sandbox.warning().into_iter().chain(codecs.warnings()));
        for warning in &start_warnings {
            warn!("{warning}");
        }
        let activity = Activity::default();
        let serving = Arc::new(Serving::default());
        let (events, _) = broadcast::channel(EVENT_BACKLOG);
        let (break_off, broken) = mpsc::channel(1);
        let throttle = throttle(config)?;
        let source = doubles.source.clone().unwrap_or_else(|| media_process(config, &throttle));
        let models = Arc::new(Models::new(
            models_config(config, paths, doubles.make_embedder, &throttle),
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
        let software = software(config, worker.as_deref().ok());
        let paused = pause::is_remembered(&store)?;
        let indexer = Indexer::start(
            indexer_config(config, software.clone(), &paths.data_dir, root_finder(config, &touched)),
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
        find_halves(&store, report.fresh)?;
        let reconciler = start_reconciler(config, &store, activity.clone())?;
        // Nothing else sets it. If a video changed before this line, the first walk finds it.
        let _set = touched.set(Arc::downgrade(&reconciler));
        let folders = folders(config, paths, store.clone(), Arc::clone(&reconciler));
        let searcher = Arc::new(Searcher::new(
            store.clone(),
            Arc::clone(&serving),
            source,
            Some(paths.data_dir.join("cache/background")),
        ));
        let facts = Facts {
            data_dir: paths.data_dir.clone(),
            config_file: config.file.clone(),
            worker,
            sandbox,
            codecs,
            onnxruntime: onnxruntime(config, &paths.data_dir),
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
            disk_space: disk_space(config, &paths.data_dir),
            throttle,
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
            throttle: self.throttle.clone(),
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
            // Without the socket's task no client can be answered.
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
        // A mount that hangs must not delay the exit.
        crate::machine::with_timeout::end();
        // `add` and `remove` may have changed the configuration.
        kept::keep_or_warn(&self.facts.config_file, &self.facts.data_dir);
        self.reconciler.stop();
        // Indexing threads may wait for an embed worker that does not answer, so these workers are ended first.
        self.models.stop_embedders();
        self.indexer.stop();
        self.models.stop();
        pool.stop();
    }
}

fn start_reconciler(config: &Config, store: &Store, activity: Activity) -> Result<Arc<ReconcilerHandle>, Fatal> {
    let reconciler = Reconciler::start(reconcile_config(config)?, store.clone(), Arc::new(move || activity.bump()));
    // The start fails only if no thread or no memory is left.
    reconciler.map(Arc::new).map_err(|error| Fatal::Passing(with_causes(&error)))
}

/// Returns the worker's version, its sandbox, and its codecs. With scripted frames there is no worker.
fn ask_worker(config: &Config, doubles: &TestDoubles) -> (Result<String, String>, doctor::Sandbox, doctor::Codecs) {
    let is_scripted = doubles.source.is_some();
    let worker = if is_scripted {
        Ok("no worker".to_owned())
    } else {
        crate::worker::version()
    };
    let held = (worker.is_ok() && !is_scripted).then(crate::worker::sandbox);
    let allowed = |extras: &scened_common::media::extras::Extras| crate::worker::allowed(extras.to_arguments());
    let codecs = doctor::Codecs::of(worker.as_deref().ok(), allowed, &config.extras);
    (worker, doctor::Sandbox::of(held, config), codecs)
}

/// Waits until the daemon must end, and then until a restart would help: while the disk is full, search continues.
async fn broken_and_mendable(broken: &mut mpsc::Receiver<String>, disk_space: &DiskSpace) -> String {
    let reason = broken.recv().await.unwrap_or_else(|| "indexing ended".to_owned());
    while let Some(lack) = disk_space.lack() {
        warn!(lack, "the store cannot be written; scened restarts when there is space");
        tokio::time::sleep(DISK_SPACE_RETRY).await;
    }
    reason
}

/// Tells the service manager that the async thread is alive. Sleeps forever if no service manager wants to know.
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
        // One check at a time: it waits while a model change is being arranged. Activity during a check causes the next one.
        if context.pool.submit(Lane::Slow, ClientProcess::DAEMON, look).is_ok() {
            let _closed = ended.await;
        }
    }
}

fn store_warnings(report: &OpenReport) -> Vec<String> {
    let mut warnings: Vec<String> = report
        .set_aside
        .iter()
        .map(|path| {
            format!(
                "the store was damaged; it was moved to {}, and everything is indexed again",
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
            "damage lost the last {} changes of the store; the running scan finds them again",
            report.lost_changes
        ));
    }
    warnings
}

/// Returns the fatal error of a daemon that cannot get its data folder or its socket.
pub fn instance_fatal(error: &InstanceError) -> Fatal {
    // The text must be one line, but a path in it may contain a line break.
    let text = scened_shared::terminal::escape(&error.to_string());
    match error {
        InstanceError::AlreadyRunning { .. } => Fatal::AlreadyRunning(text),
        // Nothing can be created there, for example below /proc.
        InstanceError::CreateDataDir { source, .. } if source.kind() == std::io::ErrorKind::NotFound => Fatal::Setup(text),
        error => match error.source_of_system() {
            Some(source) => Fatal::of_system(text, source),
            None => Fatal::Setup(text),
        },
    }
}
