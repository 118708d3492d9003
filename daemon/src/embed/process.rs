//! The daemon's embedder: one `scened-worker embed` process, started when there is something to embed.
//!
//! One thread owns the process ([`owner`]). It sleeps without a timeout while no worker lives, and until the idle time is over while one
//! does. Callers put their texts and frames into two bounded lanes ([`queue`]). A full lane blocks its own callers, never those of the
//! other lane. Texts go first. A batch of frames is short enough that a text waits only for [`owner::BATCH_TIME`] or for one frame. A
//! worker that dies is replaced, and its last batch is tried once more.

mod connection;
mod model_files;
mod owner;
mod queue;

use std::io::Write as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use scened_common::domain::{Embedding, Frame};
use scened_common::embed::model::ModelFolder;

use super::{EmbedError, Embedder, ModelInfo, ProviderReport};
use crate::supervise::{self, End, Supervised};
use crate::worker::throttle::Throttle;
use queue::{Call, Lane, Payload, Queue};

/// Consequences of a dead owner, in words for the user.
const NOTHING_INDEXED: &str = "no video is embedded";
const NOTHING_ASKED: &str = "only repeated queries are answered";

/// Configuration of an [`EmbedProcess`].
#[derive(Clone, Debug)]
pub struct EmbedConfig {
    pub model: ModelFolder,
    /// Execution providers in order of preference; `auto` picks what the machine has.
    pub providers: Vec<String>,
    /// Threads of the model; 0 = one per core that the process may use.
    pub threads: usize,
    /// Time without a request after which the worker ends.
    pub idle: Duration,
    /// Configured path of ONNX Runtime's library; `None` searches ([`scened_common::embed::runtime::find_onnxruntime`]).
    pub onnxruntime: Option<PathBuf>,
    /// The data folder, which may contain the library.
    pub data_dir: PathBuf,
    /// The folder of optimised graphs; `None` keeps none.
    pub graph_cache: Option<PathBuf>,
    /// Memory of the graphics card that stays free for other programs.
    pub gpu_memory_reserve_bytes: u64,
    /// Whether the worker uses only what no other program wants of the machine.
    pub background: bool,
    /// Throttles a background worker in favour of other programs.
    pub throttle: Throttle,
    /// The model may run without a sandbox.
    pub allow_unsandboxed: bool,
    /// The worker's program; `None` searches ([`crate::worker::find_worker`]).
    pub worker: Option<PathBuf>,
}

/// The real [`Embedder`].
#[derive(Debug)]
pub struct EmbedProcess {
    shared: Arc<Shared>,
    /// The daemon writes to it when the owner must stop while it waits for a worker's answer.
    wake: Mutex<Option<std::io::PipeWriter>>,
    owner: Mutex<Option<JoinHandle<()>>>,
    _supervised: Arc<Supervised>,
}

/// State shared by callers and the owner thread.
#[derive(Debug)]
struct Shared {
    queue: Queue,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    info: ModelInfo,
    provider: Option<ProviderReport>,
    /// Why its files must not be used any more.
    changed: Option<String>,
    /// Process id of the worker, while one lives.
    worker: Option<u32>,
    /// The owner's current step, and since when.
    at_work: Option<(Step, Instant)>,
}

/// What an owner may wait for.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A new worker has not said hello yet, or has not found ONNX Runtime.
    Start,
    /// The vectors; and the model, if this is the worker's first request.
    Vectors,
}

impl State {
    /// Describes the state for a caller that waited in vain.
    fn waited_for(&self) -> String {
        let worker = self
            .worker
            .map_or_else(|| "the worker".to_owned(), |pid| format!("the worker (process {pid})"));
        if self.worker.is_some_and(crate::worker::is_stopped) {
            return format!("{worker} is stopped, by a signal or a debugger");
        }
        match self.at_work {
            Some((Step::Start, since)) => format!(
                "{worker} was started {} s ago and is not ready yet: ONNX Runtime is being loaded",
                since.elapsed().as_secs()
            ),
            Some((Step::Vectors, since)) => format!(
                "{worker} has been busy for {} s: the model is being loaded, or it is slow",
                since.elapsed().as_secs()
            ),
            None => "other questions came first".to_owned(),
        }
    }
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EmbedProcess {
    /// Starts the owner thread; no worker yet.
    ///
    /// **Errors**: [`EmbedError::Unavailable`] if the system provides no thread or pipe.
    pub fn new(config: EmbedConfig) -> Result<Self, EmbedError> {
        let failed = |error: std::io::Error| EmbedError::Unavailable {
            reason: format!("cannot start the thread that owns the embed worker: {error}"),
            hint: None,
        };
        let (wake_reader, wake) = std::io::pipe().map_err(failed)?;
        let shared = Arc::new(Shared {
            queue: Queue::default(),
            state: Mutex::new(State {
                info: config.model.info(),
                provider: None,
                changed: None,
                worker: None,
                at_work: None,
            }),
        });
        let supervised = if config.background {
            Supervised::essential("embed-owner", NOTHING_INDEXED)
        } else {
            Supervised::new("embed-owner", NOTHING_ASKED)
        };
        let owner = {
            let (shared, of_callers) = (Arc::clone(&shared), Arc::clone(&shared));
            let span = tracing::Span::current();
            let wake = OwnedFd::from(wake_reader);
            let body = move || {
                span.in_scope(|| owner::run(&shared, &config, wake.as_fd()));
                End::Asked
            };
            let given_up = move |why: &str| {
                of_callers.queue.end(&EmbedError::Unavailable {
                    reason: why.to_owned(),
                    hint: None,
                });
            };
            supervise::spawn(&supervised, body, given_up).map_err(failed)?
        };
        Ok(Self {
            shared,
            wake: Mutex::new(Some(wake)),
            owner: Mutex::new(Some(owner)),
            _supervised: supervised,
        })
    }

    /// Ends the worker, fails waiting requests with [`EmbedError::ShuttingDown`], and returns when everything has ended. May be called
    /// again.
    pub fn stop(&self) {
        self.shared.queue.stop();
        if let Some(mut wake) = self.wake.lock().unwrap_or_else(PoisonError::into_inner).take()
            && let Err(error) = wake.write_all(&[1])
        {
            tracing::debug!(%error, "the owner of the embed worker has ended already");
        }
        if let Some(owner) = self.owner.lock().unwrap_or_else(PoisonError::into_inner).take()
            && owner.join().is_err()
        {
            tracing::error!("the thread that owns the embed worker panicked");
        }
    }

    /// Returns the worker's process id, for `doctor`, measurements and tests. The death of an idle worker is noticed at the next request.
    pub fn worker_pid(&self) -> Option<u32> {
        self.shared.state().worker
    }

    fn embed(&self, lane: Lane, payloads: Vec<Payload>, deadline: Option<Instant>) -> Result<Vec<Embedding>, EmbedError> {
        let call = Arc::new(Call::new(payloads.len()));
        self.shared.queue.put(lane, &call, payloads, deadline)?;
        if let Some(answer) = call.wait(deadline) {
            answer
        } else {
            let waited_for = self.shared.state().waited_for();
            let error = EmbedError::NotInTime { waited_for };
            // Its items that still wait are not embedded any more.
            call.fail(error.clone());
            Err(error)
        }
    }

    fn embed_checked(&self, frames: &[Frame], deadline: Option<Instant>) -> Result<Vec<Embedding>, EmbedError> {
        let image = self.shared.state().info.image;
        for frame in frames {
            let (width_px, height_px) = (image.width_px, image.height_px);
            let n_bytes = width_px as usize * height_px as usize * 3;
            if (frame.width_px, frame.height_px, frame.rgb.len()) != (width_px, height_px, n_bytes) {
                return Err(EmbedError::Protocol {
                    detail: format!(
                        "a frame of {}×{} px and {} bytes was given to a model that takes {width_px}×{height_px} px",
                        frame.width_px,
                        frame.height_px,
                        frame.rgb.len()
                    ),
                });
            }
        }
        self.embed(Lane::Frames, frames.iter().map(Payload::frame).collect(), deadline)
    }
}

impl Drop for EmbedProcess {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Embedder for EmbedProcess {
    fn model(&self) -> ModelInfo {
        self.shared.state().info.clone()
    }

    fn embed_texts(&self, texts: &[String]) -> Result<Vec<Embedding>, EmbedError> {
        self.embed(Lane::Texts, texts.iter().map(|text| Payload::text(text)).collect(), None)
    }

    fn embed_texts_until(&self, texts: &[String], deadline: Instant) -> Result<Vec<Embedding>, EmbedError> {
        self.embed(Lane::Texts, texts.iter().map(|text| Payload::text(text)).collect(), Some(deadline))
    }

    fn embed_pictures(&self, pictures: &[Frame]) -> Result<Vec<Embedding>, EmbedError> {
        self.embed_frames(pictures)
    }

    fn embed_pictures_until(&self, pictures: &[Frame], deadline: Instant) -> Result<Vec<Embedding>, EmbedError> {
        self.embed_checked(pictures, Some(deadline))
    }

    fn at_work(&self) -> Option<String> {
        Some(self.shared.state().waited_for())
    }

    fn embed_frames(&self, frames: &[Frame]) -> Result<Vec<Embedding>, EmbedError> {
        self.embed_checked(frames, None)
    }

    fn provider(&self) -> Option<ProviderReport> {
        self.shared.state().provider.clone()
    }

    fn warning(&self) -> Option<String> {
        self.shared.state().changed.clone()
    }

    fn stop(&self) {
        Self::stop(self);
    }
}
