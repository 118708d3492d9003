//! Access to files that may never answer: a `stat` on a hung network mount blocks forever, and nothing can interrupt it.
//!
//! Code that reads a tree of videos does it through [`run`]. On this machine's own file systems, that is a plain call. On others (networks,
//! FUSE) a separate thread does the work, and the caller waits as long as it makes progress. A thread without progress is left behind.
//! Until it returns, the whole mount counts as silent, and further callers get an error at once. So a hung mount costs each caller
//! [`TIMEOUT`] at most once, and a handful of threads.
//!
//! The mount of a path is looked up in the table of mounts, without an access to the mount. Knows nothing about videos.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::machine::mounts::mount_that_may_hang;

/// Time that a mount may take without progress. Longer than a busy disk needs; a disk that has to spin up first may count as silent for a
/// moment.
pub const TIMEOUT: Duration = Duration::from_secs(5);
/// Interval of checks whether the daemon ends, while a mount makes no progress.
const GLANCE: Duration = Duration::from_millis(100);

/// Number of threads left behind in each mount that does not answer.
static SILENT: Mutex<BTreeMap<PathBuf, u64>> = Mutex::new(BTreeMap::new());
/// Whether the daemon ends, so that no one waits any more.
static ENDING: AtomicBool = AtomicBool::new(false);

/// Signal of progress, so that a long list is not taken for silence.
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

/// The mount at this place does not answer.
#[derive(Debug, thiserror::Error)]
#[error("{} does not answer (a network or user-space file system that hangs)", .0.display())]
struct Silent(PathBuf);

/// Returns whether an error says that a mount does not answer.
pub fn is_timeout(error: &io::Error) -> bool {
    error.get_ref().and_then(|inner| inner.downcast_ref::<Silent>()).is_some()
}

/// Does `work`, which accesses `path` or something below it, and does not wait for a mount that makes no progress.
///
/// **Errors**: those of `work`; one of kind `TimedOut`, for which [`is_timeout`] is true, if the mount does not answer.
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
        // A panic must not look like silence, so it becomes an error.
        let result = crate::supervise::caught(|| work(&of_thread)).unwrap_or_else(|panic| Err(io::Error::other(panic)));
        // The caller may have stopped waiting.
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
        // The thread may have answered just now. Then it is not left behind, and its answer counts.
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

/// Returns whether the mount of `path` answers, as far as is known. Does not access the mount.
pub fn answers(path: &Path) -> bool {
    mount_that_may_hang(path).is_none_or(|mount| !silent().contains_key(&mount))
}

/// Makes all waiting callers give up, because the daemon ends.
pub fn end() {
    ENDING.store(true, Ordering::SeqCst);
}

fn silent() -> MutexGuard<'static, BTreeMap<PathBuf, u64>> {
    SILENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Records that a thread left behind has returned. If it was the last one, the mount is used again.
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
