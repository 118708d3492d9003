//! The reconciler's thread: a loop that takes one bounded step after another.
//!
//! The thread keeps its state in parts, each in its own file with private fields: [`Events`], [`Schedule`], [`Walks`], [`Roots`],
//! [`Library`], [`Filter`], [`FolderCache`], [`Watching`], [`Unreadable`] and [`Missing`]. No part knows another. Code that changes several
//! parts is elsewhere: `check` (watched folders), `paths`, `walk_folder`, `links`, `place` (files at rest), `clear` (what is now certain)
//! and `save` (batches for the store).

mod check;
mod clear;
mod events;
mod filter;
mod folder_cache;
mod library;
mod links;
mod missing;
mod paths;
mod place;
mod roots;
mod save;
mod schedule;
mod timing;
mod unreadable;
mod walk_folder;
mod walks;
mod watching;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use events::Events;
use filter::Filter;
use folder_cache::FolderCache;
use library::Library;
use missing::Missing;
use roots::{Root, Roots};
use scened_common::domain::{FileStamp, VideoId};
use schedule::Schedule;
use timing::Timing;
use unreadable::Unreadable;
use walks::Walks;
use watching::Watching;

use super::shared::{Obeying, Shared, lock};
use super::{Command, OnChange, ReconcileConfig, RootStatus};
use crate::store::Store;
use crate::supervise::caught;
use crate::watch::debounce::Hint;
use crate::watch::{Change, EventReceiver, EventSender};

/// How long one step walks folders. Files are placed until twice this time has passed. One folder or file may take longer.
const STEP: Duration = Duration::from_millis(100);

/// Everything that the thread starts with.
pub(super) struct CoreParts {
    pub(super) config: ReconcileConfig,
    pub(super) store: Store,
    pub(super) on_change: OnChange,
    pub(super) shared: Arc<Shared>,
    pub(super) commands: Receiver<Command>,
    pub(super) events: EventReceiver,
    pub(super) event_sender: EventSender,
    pub(super) watch_limit: Option<usize>,
    /// Notified when the folders have been checked for the first time.
    pub(super) looked: Sender<()>,
    pub(super) unfinished_rest: Duration,
}

impl CoreParts {
    /// Reconciles until it is asked to stop. After a panic the next run knows only what is in the store and in `shared`.
    pub(super) fn run(&self) {
        let timing = Timing::new(self.config.settle, self.unfinished_rest, self.config.rescan_every);
        let now = Instant::now();
        let core = Core {
            shared: Arc::clone(&self.shared),
            on_change: Arc::clone(&self.on_change),
            commands: self.commands.clone(),
            timing,
            events: Events::new(self.events.clone(), timing, now),
            schedule: Schedule::new(timing, now),
            walks: Walks::default(),
            roots: Roots::new(self.store.clone()),
            library: Library::new(self.store.clone()),
            filter: Filter::new(Arc::clone(&self.config.rules)),
            folders: FolderCache::default(),
            watching: Watching::start(&self.event_sender, self.watch_limit),
            unreadable: Unreadable::new(timing, now),
            missing: Missing::new(timing.grace),
        };
        core.run(&self.looked);
    }
}

/// The loop, and the code that changes several parts at once. Everything that concerns one part alone is in that part: its fields are
/// private, and no part knows another.
struct Core {
    shared: Arc<Shared>,
    on_change: OnChange,
    commands: Receiver<Command>,
    timing: Timing,
    // Input, and work to do.
    events: Events,
    schedule: Schedule,
    walks: Walks,
    // What is known.
    roots: Roots,
    library: Library,
    filter: Filter,
    folders: FolderCache,
    // What is unknown or uncertain.
    watching: Watching,
    unreadable: Unreadable,
    missing: Missing,
}

impl Core {
    fn run(mut self, looked: &Sender<()>) {
        let wanted = lock(&self.shared.wanted).clone();
        self.set_roots(wanted);
        self.check_offline_roots();
        self.publish();
        // A run that died may have received some events.
        self.events.counted();
        self.shared.settle_debts();
        (self.on_change)();
        // Only the first check has a receiver.
        let _first = looked.try_send(());
        loop {
            crate::failpoint::panic_here("reconcile");
            self.step();
            self.roots.store_changed_volumes();
            self.publish();
            let now = Instant::now();
            let pause = if self.walks.is_empty() {
                self.deadline().saturating_duration_since(now)
            } else {
                Duration::ZERO
            };
            if !self.receive(pause) {
                self.roots.store_volumes();
                return;
            }
        }
    }

    /// Waits for the next command or event, at most for `pause`, and takes over all waiting events. Returns false to stop.
    fn receive(&mut self, pause: Duration) -> bool {
        let (commands, events) = (self.commands.clone(), self.events.queue());
        let mut command = None;
        crossbeam_channel::select! {
            recv(events) -> event => if let Ok(event) = event {
                self.events.received(event, Instant::now());
            },
            recv(commands) -> received => match received {
                Ok(received) => command = Some(received),
                Err(_) => return false,
            },
            default(pause) => {}
        }
        // Every command is counted except `Stop`.
        let is_counted = command.as_ref().is_some_and(|command| !matches!(command, Command::Stop));
        let obeying = is_counted.then(|| self.shared.obeying());
        self.take_events();
        match command {
            None => true,
            Some(command) => self.obey(command, obeying),
        }
    }

    /// Takes over all waiting events.
    fn take_events(&mut self) {
        self.events.take_waiting(Instant::now());
        self.publish();
        self.events.counted();
    }

    /// Takes over all events up to now. The watching threads may lag behind, so they are flushed first.
    fn hear(&mut self) {
        self.watching.flush();
        if self.roots.have_mounts_changed() {
            self.events.hint(Change::Mounts, Instant::now());
        }
        self.take_events();
    }

    fn obey(&mut self, command: Command, obeying: Option<Obeying>) -> bool {
        let mut reply_to = None;
        match command {
            Command::Stop => return false,
            Command::Barrier(reply) => {
                self.hear();
                reply_to = Some(reply);
            }
            Command::SetRoots(roots, reply) => {
                lock(&self.shared.wanted).clone_from(&roots);
                self.set_roots(roots);
                reply_to = Some(reply);
            }
            Command::Rescan(Some(path)) => self.rescan(&path),
            Command::Rescan(None) => self.rescan_all(),
        }
        self.publish();
        drop(obeying);
        // Until now the command itself was counted.
        (self.on_change)();
        if let Some(reply) = reply_to
            && reply.try_send(()).is_err()
        {
            tracing::debug!("nobody waits for the reconciler's answer any more");
        }
        true
    }

    /// Does the work that is due, for about twice [`STEP`].
    fn step(&mut self) {
        let started = Instant::now();
        self.filter.read_folders_anew();
        self.folders.begin_step();
        self.library.begin_step();
        self.run_timers(started);
        if let Some(batch) = self.events.take_batch(started) {
            self.check_paths(batch, started);
            self.events.note_checked();
        }
        while started.elapsed() < STEP
            && let Some((folder, rewatch)) = self.walks.take()
        {
            self.catch_panic_over(&folder, |core| core.walk(&folder, rewatch));
        }
        while started.elapsed() < STEP * 2
            && let Some((path, stamp)) = self.due_file()
        {
            self.catch_panic_over(&path, |core| core.decide(&path, stamp));
        }
        self.check_other_names();
        self.store_batches();
        // The content of lost events is only known after the rescan.
        if self.walks.is_empty() && !self.schedule.owes_overflow_rescan() {
            self.clear(Instant::now());
            self.check_other_names();
            self.store_batches();
        }
    }

    /// Confines a panic to the path that caused it.
    fn catch_panic_over(&mut self, path: &Path, look: impl FnOnce(&mut Self)) {
        if let Err(panic) = caught(|| look(self)) {
            tracing::error!(path = %path.display(), panic, "looking at it failed (a bug: please report it); it is passed over");
            lock(&self.shared.settling).remove(path);
            self.unreadable.failed(path, "scened failed on it (a bug: please report it)");
        }
    }

    fn due_file(&self) -> Option<(PathBuf, FileStamp)> {
        lock(&self.shared.settling).due(Instant::now())
    }

    fn run_timers(&mut self, now: Instant) {
        if self.schedule.rescan_is_due(now) {
            self.rescan_all();
        }
        if self.schedule.take_poll(now) {
            self.poll_unwatched(now);
            let remote = self.roots.iter().filter(|root| root.is_remote());
            let remote: Vec<PathBuf> = remote.map(|root| root.path().to_owned()).collect();
            for root in &remote {
                self.rescan(root);
            }
        }
        if self.schedule.take_overflow_rescan(now) {
            self.rescan_all();
        }
        if self.schedule.take_offline_poll(now) {
            self.check_offline_roots();
            self.check_silent();
        }
        for path in self.unreadable.take_refused(now) {
            // The watches of this folder may be gone.
            let rewatch = self.unreadable.has_folder(&path);
            self.check_path(
                &path,
                Hint {
                    rewatch,
                    ..Hint::default()
                },
            );
        }
        for root in self.roots.take_doubted(now) {
            self.walks.queue(root, false);
        }
    }

    /// Scans the folders for which no watch was left.
    fn poll_unwatched(&mut self, now: Instant) {
        for folder in self.watching.poll(now) {
            self.walks.queue(folder, false);
        }
    }

    /// Returns when the next work is due, if nothing else happens.
    fn deadline(&self) -> Instant {
        let has_offline = self.unreadable.has_silent() || self.roots.iter().any(Root::is_offline);
        let has_polled = !self.watching.is_complete() || self.roots.iter().any(Root::is_remote);
        let settling = lock(&self.shared.settling).deadline();
        // Nothing is cleared before the hints held back have been checked.
        let held_until = self.events.deadline();
        let clear = |due: Instant| held_until.map_or(due, |held_until| due.max(held_until));
        let dues = [
            held_until,
            settling,
            self.missing.first_due().map(clear),
            self.unreadable.deadline(),
            self.roots.deadline(),
        ];
        let looks = self.schedule.deadline(has_polled, has_offline);
        dues.into_iter().flatten().fold(looks, Instant::min)
    }

    /// Publishes counts, states and warnings to the other threads.
    fn publish(&mut self) {
        let walks = self.walks.len() + usize::from(self.schedule.owes_overflow_rescan());
        let uncertain = self.events.len() + lock(&self.shared.settling).n_usual() + self.missing.len();
        if self.shared.publish(walks, uncertain) {
            (self.on_change)();
        }
        let statuses: Vec<RootStatus> = self.roots.statuses(|root| self.watching.n_unwatched_below(root));
        let warnings = self.warnings();
        let changed = {
            let (mut shown_roots, mut shown_warnings) = (lock(&self.shared.roots), lock(&self.shared.warnings));
            let changed = *shown_roots != statuses || *shown_warnings != warnings;
            if changed {
                *shown_roots = statuses;
                *shown_warnings = warnings;
            }
            changed
        };
        if changed {
            (self.on_change)();
        }
    }

    /// Makes a video a suspect. After the grace time its file is searched for, and the video is removed if the file is certainly gone.
    fn suspect(&mut self, video: VideoId) {
        if self.missing.suspect(video, Instant::now())
            && let Some(video) = self.library.video(video)
        {
            self.library.note_other_names(video.stamp.inode, &video.path);
        }
    }
}
