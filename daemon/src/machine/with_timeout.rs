//! Reading files that may never answer: a `stat` on a hung network mount blocks for ever, and nothing can interrupt it.
//!
//! Whoever reads a tree of videos does it through [`run`]. Where the file system is this machine's own, that is a plain call. Elsewhere
//! (networks, FUSE) the work is done by a thread of its own that is waited for as long as it gets on; when it does not, it is left
//! behind, and the whole mount counts as silent until that thread returns: whoever asks meanwhile is told so at once. So a hung mount
//! costs each asker [`TIMEOUT`] at most once, and a handful of threads.
//!
//! Which mount a path lies on is read from the table of mounts, never asked of the mount. Knows nothing about videos.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::machine::mounts::mount_that_may_hang;

/// How long a mount may say nothing. Longer than a busy disk takes; a disk that has to spin up first may be silent for a moment.
pub const TIMEOUT: Duration = Duration::from_secs(5);
/// How often it is looked whether the daemon ends, while a mount says nothing.
const GLANCE: Duration = Duration::from_millis(100);

/// Number of threads left behind in each mount that does not answer.
static SILENT: Mutex<BTreeMap<PathBuf, u64>> = Mutex::new(BTreeMap::new());
/// The daemon ends: nothing is waited for any more.
static ENDING: AtomicBool = AtomicBool::new(false);

/// Told that work gets on, so that a long list is not taken for silence.
#[derive(Clone, Default)]
pub struct Pulse(Arc<AtomicU64>);

impl Pulse {
    pub fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn n_beats(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The mount at this place says nothing.
#[derive(Debug, thiserror::Error)]
#[error("{} does not answer (a network or user-space file system that hangs)", .0.display())]
struct Silent(PathBuf);

/// Whether an error says that a mount does not answer.
pub fn is_timeout(error: &io::Error) -> bool {
    error.get_ref().and_then(|inner| inner.downcast_ref::<Silent>()).is_some()
}

/// Does `work`, which looks at `path` or below it, and does not wait for a mount that says nothing.
///
/// **Errors**: those of `work`; one of kind `TimedOut`, for which [`is_timeout`] is true, when the mount does not answer.
pub fn run<T: Send + 'static>(path: &Path, work: impl FnOnce(&Pulse) -> io::Result<T> + Send + 'static) -> io::Result<T> {
    run_for(TIMEOUT, path, work)
}

fn run_for<T: Send + 'static>(
    timeout: Duration,
    path: &Path,
    work: impl FnOnce(&Pulse) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let Some(mount) = mount_that_may_hang(path) else {
        return work(&Pulse::default());
    };
    let silence = || Err(io::Error::new(io::ErrorKind::TimedOut, Silent(mount.clone())));
    if silent().contains_key(&mount) {
        return silence();
    }
    let (done, answer) = crossbeam_channel::bounded(1);
    let pulse = Pulse::default();
    let (of_thread, lies_on) = (pulse.clone(), mount.clone());
    let is_left = Arc::new(Mutex::new(false));
    let left = Arc::clone(&is_left);
    std::thread::Builder::new().name("look".into()).spawn(move || {
        // A panic is no answer, and no silence either.
        let result = crate::supervise::caught(|| work(&of_thread)).unwrap_or_else(|panic| Err(io::Error::other(panic)));
        // The asker may have gone on without an answer.
        let _unheard = done.send(result);
        if *left.lock().unwrap_or_else(PoisonError::into_inner) {
            answers_again(&lies_on);
        }
    })?;
    let mut waited = Duration::ZERO;
    let mut n_beats = 0;
    loop {
        match answer.recv_timeout(GLANCE.min(timeout)) {
            Ok(result) => return result,
            Err(crossbeam_channel::RecvTimeoutError::Disconnected) => return Err(io::Error::other("reading it failed (a bug)")),
            Err(crossbeam_channel::RecvTimeoutError::Timeout) => {}
        }
        waited += GLANCE;
        if pulse.n_beats() != n_beats {
            (n_beats, waited) = (pulse.n_beats(), Duration::ZERO);
        }
        if waited < timeout && !ENDING.load(Ordering::SeqCst) {
            continue;
        }
        let mut left = is_left.lock().unwrap_or_else(PoisonError::into_inner);
        // It may have answered just now, and then takes no notice any more.
        if let Ok(result) = answer.try_recv() {
            return result;
        }
        *left = true;
        let n_left = {
            let mut silent = silent();
            let n_left = silent.entry(mount.clone()).or_default();
            *n_left += 1;
            *n_left
        };
        if n_left == 1 {
            tracing::warn!(mount = %mount.display(), "the file system does not answer; scened waits until it does");
        }
        return silence();
    }
}

/// Whether the mount that has `path` answers, as far as is known. Asks it nothing.
pub fn answers(path: &Path) -> bool {
    mount_that_may_hang(path).is_none_or(|mount| !silent().contains_key(&mount))
}

/// The daemon ends: whoever waits gives up.
pub fn end() {
    ENDING.store(true, Ordering::SeqCst);
}

fn silent() -> MutexGuard<'static, BTreeMap<PathBuf, u64>> {
    SILENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A thread that was left behind has returned; where none is left, the mount counts again.
fn answers_again(mount: &Path) {
    let mut silent = silent();
    if let Some(n_left) = silent.get_mut(mount) {
        *n_left -= 1;
        if *n_left == 0 {
            silent.remove(mount);
            tracing::info!(mount = %mount.display(), "the file system answers again");
        }
    }
}
