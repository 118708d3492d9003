//! The watched folders: one watch each on Linux, a limit that leaves some to other programs, and a workaround for `notify`'s stale entries.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use notify::{ErrorKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::{Change, EventSender, forward};
use crate::supervise::{Supervised, Verdict, caught};

/// If the system provides no watcher, scened tries again after this time.
const RETRY: Duration = Duration::from_mins(1);

/// The result of a request to watch a folder.
#[derive(Debug)]
pub enum WatchOutcome {
    Watched,
    /// No more watches are available: the folder must be polled.
    LimitReached,
    /// The folder cannot be watched: it vanished, or it must not be read.
    Failed(std::io::Error),
}

/// Owns the `notify` watcher and knows which folders it watches. If the watcher cannot be created, or its thread ended, it is created
/// again.
pub struct Watches {
    events: EventSender,
    /// `None`: the system provides no watcher at present.
    notify: Option<CatchingWatcher>,
    /// Why there is no watcher, and when to try again.
    lack: Option<(String, Instant)>,
    supervised: Arc<Supervised>,
    watched: BTreeSet<PathBuf>,
}

impl Watches {
    /// Starts the watcher's thread, which sends to `events` from now on. If there is no watcher (128 inotify instances for each user),
    /// every folder must be polled, and [`Watches::lack`] says why.
    pub fn new(events: EventSender) -> Self {
        let mut watches = Self {
            events,
            notify: None,
            lack: None,
            supervised: Supervised::new("watcher", "folders are scanned now and then instead of being watched"),
            watched: BTreeSet::new(),
        };
        watches.start();
        watches
    }

    /// Returns why the system provides no watcher, in words for the user.
    pub fn lack(&self) -> Option<&str> {
        self.lack.as_ref().map(|(why, _)| why.as_str())
    }

    fn start(&mut self) {
        match CatchingWatcher::start(self.events.clone()) {
            Ok(notify) => {
                self.notify = Some(notify);
                self.lack = None;
            }
            Err(why) => {
                if self.lack().is_none_or(|known| known != why) {
                    tracing::warn!(why, "changes of folders raise no events; the folders are polled");
                }
                self.lack = Some((why, Instant::now() + RETRY));
            }
        }
    }

    /// Gives up a watcher that no longer works. Everything is scanned, and watched by another one.
    fn lose(&mut self, why: &str) {
        if let Some(lost) = self.notify.take() {
            lost.forget();
        }
        self.watched.clear();
        self.lack = None;
        if self.supervised.died(why) == Verdict::Again {
            self.start();
        } else {
            self.lack = Some((format!("their watcher ended again and again ({why})"), Instant::now() + RETRY));
        }
        self.events.send(Change::Rescan);
    }

    /// Sends a request to the watcher, if there is one. `notify` panics if its thread has ended.
    fn ask<T>(&mut self, ask: impl FnOnce(&mut RecommendedWatcher) -> T) -> Option<T> {
        if self.notify.as_ref().is_some_and(CatchingWatcher::is_over) {
            self.lose("its thread ended");
        }
        let may_retry = |(_, at): &(String, Instant)| *at <= Instant::now();
        if self.notify.is_none() && self.lack.as_ref().is_some_and(may_retry) && self.supervised.is_given_up().is_none() {
            self.start();
        }
        let notify = self.notify.as_mut()?.watcher.as_mut()?;
        match caught(|| ask(notify)) {
            Ok(answer) => Some(answer),
            Err(panic) => {
                self.lose(&panic);
                None
            }
        }
    }

    /// Returns the number of watched folders.
    pub fn n_watched(&self) -> usize {
        self.watched.len()
    }

    /// Watches one folder, but nothing below it. Does nothing if it is already watched. `is_full`: no more watches may be set.
    pub fn add(&mut self, folder: &Path, is_full: bool) -> WatchOutcome {
        if self.is_covered(folder) {
            return WatchOutcome::Watched;
        }
        if is_full {
            return WatchOutcome::LimitReached;
        }
        let Some(answer) = self.ask(|notify| notify.watch(folder, MODE)) else {
            return WatchOutcome::LimitReached;
        };
        match answer {
            Ok(()) => {
                self.watched.insert(folder.to_owned());
                WatchOutcome::Watched
            }
            Err(error) => match error.kind {
                ErrorKind::MaxFilesWatch => WatchOutcome::LimitReached,
                ErrorKind::Io(error) => WatchOutcome::Failed(error),
                ErrorKind::PathNotFound => WatchOutcome::Failed(std::io::ErrorKind::NotFound.into()),
                _ => WatchOutcome::Failed(std::io::Error::other(error)),
            },
        }
    }

    #[cfg(target_os = "linux")]
    fn is_covered(&self, folder: &Path) -> bool {
        self.watched.contains(folder)
    }

    #[cfg(not(target_os = "linux"))]
    fn is_covered(&self, folder: &Path) -> bool {
        folder.ancestors().any(|folder| self.watched.contains(folder))
    }

    /// Forgets the watches of `folder` and of everything below it.
    ///
    /// Needed whenever another folder of the same name may have replaced a folder. `notify` removes a watch by *path* when it reads the
    /// deletion or renaming of the old folder. It may thereby remove the watch that we put on the new folder in between.
    pub fn remove_below(&mut self, folder: &Path) {
        let below: Vec<PathBuf> = self
            .watched
            .range::<Path, _>((std::ops::Bound::Included(folder), std::ops::Bound::Unbounded))
            .take_while(|watched| watched.starts_with(folder))
            .cloned()
            .collect();
        for folder in below {
            self.watched.remove(&folder);
            if let Some(Err(error)) = self.ask(|notify| notify.unwatch(&folder)) {
                tracing::trace!(folder = %folder.display(), %error, "the watch was gone already");
            }
        }
    }

    /// Returns when every event that the kernel had queued before this call has been sent to the queue.
    ///
    /// The watcher's thread takes requests and events from one poll set, and `inotify` queues an event inside the system call that causes
    /// it. So the events come before the answer to a request, or at the end of the same poll. But that thread answers requests for as long
    /// as there are any. A second request that comes at once may therefore be answered in the same poll. So there are several requests, and
    /// the thread gets the processor in between.
    pub fn flush(&mut self) {
        for _ in 0..N_REQUESTS {
            // This path is never watched, because no path is empty. The answer is an error, but only its arrival counts.
            if self.ask(|notify| notify.unwatch(Path::new(""))).is_none() {
                return;
            }
            std::thread::yield_now();
        }
    }
}

/// A guard around `notify`'s watcher. `notify` reports nothing if its thread could not be started or has ended. It then panics at the next
/// request, and again when it is dropped.
struct CatchingWatcher {
    watcher: Option<RecommendedWatcher>,
    end: Arc<ThreadEnd>,
}

#[derive(Default)]
struct ThreadEnd {
    is_over: AtomicBool,
    is_asked: AtomicBool,
}

/// Owned by the watcher's thread, and dropped with it.
struct OfThread {
    events: EventSender,
    end: Arc<ThreadEnd>,
}

impl Drop for OfThread {
    fn drop(&mut self) {
        self.end.is_over.store(true, Ordering::SeqCst);
        if !self.end.is_asked.load(Ordering::SeqCst) {
            // The scan of everything finds out that the thread is gone.
            self.events.send(Change::Rescan);
        }
    }
}

impl CatchingWatcher {
    fn start(events: EventSender) -> Result<Self, String> {
        let end = Arc::new(ThreadEnd::default());
        // Nothing relies on the watcher until it is known to run.
        end.is_asked.store(true, Ordering::SeqCst);
        let of_thread = OfThread {
            events,
            end: Arc::clone(&end),
        };
        let take = move |event: notify::Result<notify::Event>| {
            crate::failpoint::panic_here("watcher");
            let events = &of_thread.events;
            if let Err(panic) = caught(|| forward(event, events)) {
                tracing::error!(
                    panic,
                    "an event cannot be understood (a bug: please report it); everything is scanned"
                );
                events.send(Change::Rescan);
            }
        };
        let config = notify::Config::default().with_follow_symlinks(false);
        let watcher = caught(|| RecommendedWatcher::new(take, config))?.map_err(|error| why_none(&error))?;
        let started = Self {
            watcher: Some(watcher),
            end,
        };
        started.end.is_asked.store(false, Ordering::SeqCst);
        if started.is_over() {
            started.forget();
            return Err("the system gives no thread for it".to_owned());
        }
        Ok(started)
    }

    fn is_over(&self) -> bool {
        self.end.is_over.load(Ordering::SeqCst)
    }

    /// Leaks the watcher, because dropping it could panic.
    fn forget(mut self) {
        std::mem::forget(self.watcher.take());
    }
}

impl Drop for CatchingWatcher {
    fn drop(&mut self) {
        self.end.is_asked.store(true, Ordering::SeqCst);
        let watcher = self.watcher.take();
        if self.is_over() {
            std::mem::forget(watcher);
        } else if let Err(panic) = caught(|| drop(watcher)) {
            tracing::debug!(panic, "the watcher had ended already");
        }
    }
}

/// Explains in words what is lacking.
fn why_none(error: &notify::Error) -> String {
    let ErrorKind::Io(io) = &error.kind else {
        return error.to_string();
    };
    // Two limits have the same error number. If another file can be opened, it is not the limit of the process.
    let is_emfile = io.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error());
    if is_emfile && std::fs::File::open("/dev/null").is_ok() {
        return "no inotify instance is left for this user (sysctl fs.inotify.max_user_instances)".to_owned();
    }
    if is_emfile {
        return "scened may not open more files (ulimit -n)".to_owned();
    }
    io.to_string()
}

/// Number of requests in one flush. With two, one flush in a thousand returned too early on a busy machine; with this number none did.
const N_REQUESTS: usize = 6;

#[cfg(target_os = "linux")]
const MODE: RecursiveMode = RecursiveMode::NonRecursive;
#[cfg(not(target_os = "linux"))]
const MODE: RecursiveMode = RecursiveMode::Recursive;

/// Returns four fifths of the user's inotify watches. The rest is left to the editor and the file manager.
pub(super) fn system_limit() -> usize {
    std::fs::read_to_string("/proc/sys/fs/inotify/max_user_watches")
        .ok()
        .and_then(|text| text.trim().parse::<usize>().ok())
        .map_or(usize::MAX, |limit| limit / 5 * 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::{AllWatches, Change, EventReceiver, event_queue};

    fn watches() -> (Watches, EventReceiver) {
        let (sender, receiver) = event_queue(1024);
        (Watches::new(sender), receiver)
    }

    #[test]
    fn flush_brings_every_event_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let (mut watches, receiver) = watches();
        assert!(matches!(watches.add(folder.path(), false), WatchOutcome::Watched));
        for i in 0..300 {
            let path = folder.path().join(format!("{i}"));
            std::fs::write(&path, "x").unwrap();
            watches.flush();
            let seen: Vec<Change> = receiver.receiver.try_iter().collect();
            assert!(seen.contains(&Change::Touched(path)), "round {i}: {seen:?}");
        }
    }

    #[test]
    fn a_folder_renamed_away_and_another_in_its_place_is_watched_again() {
        let folder = tempfile::tempdir().unwrap();
        let (mut watches, receiver) = watches();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        std::fs::create_dir(&a).unwrap();
        watches.add(folder.path(), false);
        watches.add(&a, false);
        std::fs::rename(&a, &b).unwrap();
        std::fs::create_dir(&a).unwrap();
        watches.remove_below(&a);
        assert!(matches!(watches.add(&a, false), WatchOutcome::Watched));
        watches.flush();
        // The batch that names the folder again makes the reconciler watch it again.
        assert!(receiver.receiver.try_iter().any(|change| change == Change::Tree(a.clone())));
        watches.remove_below(&a);
        watches.add(&a, false);
        std::fs::write(a.join("x.mp4"), "x").unwrap();
        watches.flush();
        assert!(
            receiver
                .receiver
                .try_iter()
                .any(|change| change == Change::Touched(a.join("x.mp4")))
        );
    }

    #[test]
    fn the_limit_is_told_and_not_passed() {
        let folder = tempfile::tempdir().unwrap();
        let mut watches = AllWatches::start(event_queue(8).0, Some(1));
        std::fs::create_dir(folder.path().join("a")).unwrap();
        assert!(matches!(watches.add(folder.path()), WatchOutcome::Watched));
        assert!(matches!(watches.add(&folder.path().join("a")), WatchOutcome::LimitReached));
        assert_eq!(watches.n_watched(), 1);
        watches.remove_below(folder.path());
        assert!(matches!(watches.add(&folder.path().join("a")), WatchOutcome::Watched));
    }

    /// Runs a test as another user, because no limits hold for root. The thread is separate, because it stays that user.
    #[cfg(target_os = "linux")]
    fn as_user(uid: u32, test: impl FnOnce() + Send + 'static) {
        let as_user = move || {
            testkit::become_user(uid);
            test();
        };
        std::thread::spawn(as_user).join().unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn where_no_thread_can_be_had_folders_are_polled_until_one_can() {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        as_user(65_533, || {
            let folder = tempfile::tempdir().unwrap();
            let before = getrlimit(Resource::Nproc);
            let none = Rlimit {
                current: Some(0),
                maximum: before.maximum,
            };
            setrlimit(Resource::Nproc, none).unwrap();
            let (mut watches, receiver) = watches();
            assert_eq!(watches.lack(), Some("the system gives no thread for it"));
            assert!(matches!(watches.add(folder.path(), false), WatchOutcome::LimitReached));
            setrlimit(Resource::Nproc, before).unwrap();
            let time_is_up = |(why, _): (String, Instant)| (why, Instant::now());
            watches.lack = watches.lack.take().map(time_is_up);
            assert!(matches!(watches.add(folder.path(), false), WatchOutcome::Watched));
            assert_eq!(watches.lack(), None);
            std::fs::write(folder.path().join("x.mp4"), "x").unwrap();
            watches.flush();
            let seen: Vec<Change> = receiver.receiver.try_iter().collect();
            assert!(seen.contains(&Change::Touched(folder.path().join("x.mp4"))), "{seen:?}");
        });
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_limit_of_instances_is_told_by_its_name() {
        use rustix::fs::inotify;
        // Only this user's instances are used up, not those of other tests.
        as_user(65_532, || {
            let taken: Vec<_> = std::iter::from_fn(|| inotify::init(inotify::CreateFlags::CLOEXEC).ok())
                .take(900)
                .collect();
            let (watches, _receiver) = watches();
            match watches.lack() {
                None => eprintln!("inotify instances: NOT TESTED HERE: more than {} are allowed", taken.len()),
                Some(why) => assert!(why.contains("fs.inotify.max_user_instances"), "{why}"),
            }
        });
    }

    #[test]
    fn a_watcher_whose_thread_has_ended_is_replaced_and_everything_is_looked_through() {
        let folder = tempfile::tempdir().unwrap();
        let (mut watches, receiver) = watches();
        for n in 0..crate::supervise::DEATHS {
            assert!(matches!(watches.add(folder.path(), false), WatchOutcome::Watched), "death {n}");
            // As if it had panicked: `notify` would panic at the next request, and again when it is dropped.
            watches.notify.as_ref().unwrap().end.is_over.store(true, Ordering::SeqCst);
            watches.flush();
            let seen: Vec<Change> = receiver.receiver.try_iter().collect();
            assert!(seen.contains(&Change::Rescan), "{seen:?}");
        }
        assert!(matches!(watches.add(folder.path(), false), WatchOutcome::LimitReached));
        assert!(watches.supervised.is_given_up().is_some_and(|why| why.contains("thread watcher")));
        assert!(watches.lack().is_some());
    }

    #[test]
    fn a_vanished_folder_is_a_failure_and_not_a_panic() {
        let (mut watches, _receiver) = watches();
        assert!(matches!(watches.add(Path::new("/no/such/folder"), false), WatchOutcome::Failed(_)));
    }
}
