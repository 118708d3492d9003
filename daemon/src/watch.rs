//! File system events as hints: a closed [`Change`], a pure [`Debouncer`](debounce::Debouncer), and the glue to `notify`.
//!
//! Owns the `notify` watcher (whose thread runs our callback) and the set of watched folders. The callback does one bounded, non-blocking
//! send. If [`EVENT_CAPACITY`] events already wait, it raises a flag that is read as [`Change::Rescan`], so that no loss stays silent.
//! Knows nothing about videos, rules or the store: the meaning of a hint is found by checking the file system.
//!
//! On Linux every folder has its own, non-recursive watch. `notify`'s recursive mode stops at the first unreadable sub-folder, and misses
//! files in folders that are made and filled at once. On other systems one watch covers a whole tree, so only the roots get one.

pub mod debounce;
mod everywhere;
pub mod mounts;
mod watches;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender, TrySendError};
use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RenameMode};
use notify::{Event, EventKind};

pub use everywhere::AllWatches;
pub use watches::{WatchOutcome, Watches};

/// Maximum number of events waiting for the reconciler. If the queue is full, further ones become one [`Change::Rescan`]. As large as the
/// kernel's own queue.
pub const EVENT_CAPACITY: usize = 16_384;

/// A possible change. It is only a hint: the receiver checks the file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Made or just written to, so that a file may still grow; or its permissions changed.
    Touched(PathBuf),
    /// Renamed to this name: a file, or a folder with everything in it.
    Arrived(PathBuf),
    /// Deleted or renamed away.
    Gone(PathBuf),
    /// A folder was made: it must be watched first and then walked.
    Tree(PathBuf),
    /// File systems were mounted or unmounted: roots and mount points must be checked.
    Mounts,
    /// Events were lost: everything must be scanned.
    Rescan,
}

/// The sending side in the `notify` thread, and the count of events that the reconciler has not taken over yet.
#[derive(Clone)]
pub struct EventSender {
    sender: Sender<Change>,
    lost: Arc<AtomicBool>,
    in_flight: Arc<AtomicU64>,
    /// This many of the next changes vanish here without notice, as they may between a file system and us.
    #[cfg(test)]
    pub n_to_lose: Arc<AtomicU64>,
    /// Holding this lock delays the watcher's thread, as a busy machine may.
    #[cfg(test)]
    pub held_up: Arc<std::sync::Mutex<()>>,
}

/// The receiving side, in the reconciler's thread. Clones share one queue: if a reconciler dies, the next one uses a clone.
#[derive(Clone)]
pub struct EventReceiver {
    pub receiver: Receiver<Change>,
    lost: Arc<AtomicBool>,
    in_flight: Arc<AtomicU64>,
    /// Number of events received and not taken over yet.
    taken: Arc<AtomicU64>,
}

/// Creates the bounded queue between the `notify` thread and the reconciler.
pub fn event_queue(capacity: usize) -> (EventSender, EventReceiver) {
    let (sender, receiver) = crossbeam_channel::bounded(capacity);
    let lost = Arc::new(AtomicBool::new(false));
    let in_flight = Arc::new(AtomicU64::new(0));
    let events = EventSender {
        sender,
        lost: Arc::clone(&lost),
        in_flight: Arc::clone(&in_flight),
        #[cfg(test)]
        n_to_lose: Arc::default(),
        #[cfg(test)]
        held_up: Arc::default(),
    };
    let receiver = EventReceiver {
        receiver,
        lost,
        in_flight,
        taken: Arc::default(),
    };
    (events, receiver)
}

impl EventSender {
    /// Queues a change without ever blocking. A change that does not fit is remembered as "events were lost".
    pub fn send(&self, change: Change) {
        #[cfg(test)]
        drop(self.held_up.lock());
        #[cfg(test)]
        if self
            .n_to_lose
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
            .is_ok()
        {
            return;
        }
        // The change is counted before it can be received, so that the count is never too small.
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        match self.sender.try_send(change) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.lost.store(true, Ordering::SeqCst);
                // The queue may have been drained in between. Without this change no thread would check the flag until the next event.
                if self.sender.try_send(Change::Rescan).is_err() {
                    self.in_flight.fetch_sub(1, Ordering::SeqCst);
                }
            }
        }
    }
}

impl EventReceiver {
    /// Returns true once after events were lost because the queue was full. A full queue is never empty, so the thread that drains it
    /// checks here.
    pub fn take_lost(&self) -> bool {
        self.lost.swap(false, Ordering::SeqCst)
    }

    /// Notes that an event was received.
    pub fn took(&self) {
        self.taken.fetch_add(1, Ordering::SeqCst);
    }

    /// Notes that the received events are now counted elsewhere.
    pub fn taken_over(&self) {
        self.in_flight.fetch_sub(self.taken.swap(0, Ordering::SeqCst), Ordering::SeqCst);
    }

    /// Returns the counter of events in flight, for [`crate::reconcile::ReconcilerHandle::queue`].
    pub fn in_flight(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.in_flight)
    }
}

/// Translates one event of `notify` and sends the relevant changes. Our own reads raise `Open` events on notify 8.2, which are dropped
/// here.
fn forward(event: Result<Event, notify::Error>, events: &EventSender) {
    let event = match event {
        Ok(event) => event,
        Err(error) => {
            tracing::debug!(%error, "the watcher reported an error");
            return events.send(Change::Rescan);
        }
    };
    // This comes before the kind and the paths: an overflow is of kind `Other` and has no paths.
    if event.need_rescan() {
        return events.send(Change::Rescan);
    }
    let to_change: fn(PathBuf) -> Change = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Change::Touched,
        // `Both` repeats `From` and `To`.
        EventKind::Access(_) | EventKind::Other | EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => return,
        EventKind::Create(CreateKind::Folder) => Change::Tree,
        EventKind::Modify(ModifyKind::Name(RenameMode::From)) | EventKind::Remove(_) => Change::Gone,
        EventKind::Modify(ModifyKind::Name(_)) => Change::Arrived,
        EventKind::Any | EventKind::Create(_) | EventKind::Modify(_) => Change::Touched,
    };
    for path in event.paths {
        events.send(to_change(path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::event::{DataChange, Flag, MetadataKind, RemoveKind};

    fn translated(event: Event) -> Vec<Change> {
        let (sender, receiver) = event_queue(8);
        forward(Ok(event), &sender);
        receiver.receiver.try_iter().collect()
    }

    #[test]
    fn events_become_hints_and_our_own_reads_none() {
        let p = || PathBuf::from("/v/a.mp4");
        for (kind, expected) in [
            (EventKind::Access(AccessKind::Open(AccessMode::Any)), None),
            (EventKind::Access(AccessKind::Close(AccessMode::Read)), None),
            (EventKind::Access(AccessKind::Close(AccessMode::Write)), Some(Change::Touched(p()))),
            (EventKind::Create(CreateKind::File), Some(Change::Touched(p()))),
            (EventKind::Create(CreateKind::Folder), Some(Change::Tree(p()))),
            (EventKind::Modify(ModifyKind::Data(DataChange::Any)), Some(Change::Touched(p()))),
            (
                EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any)),
                Some(Change::Touched(p())),
            ),
            (EventKind::Modify(ModifyKind::Name(RenameMode::From)), Some(Change::Gone(p()))),
            (EventKind::Modify(ModifyKind::Name(RenameMode::To)), Some(Change::Arrived(p()))),
            (EventKind::Modify(ModifyKind::Name(RenameMode::Both)), None),
            (EventKind::Remove(RemoveKind::File), Some(Change::Gone(p()))),
        ] {
            let got = translated(Event::new(kind).add_path(p()));
            assert_eq!(got, expected.into_iter().collect::<Vec<_>>(), "{kind:?}");
        }
    }

    #[test]
    fn overflow_without_a_path_is_a_rescan() {
        assert_eq!(translated(Event::new(EventKind::Other).set_flag(Flag::Rescan)), [Change::Rescan]);
    }

    #[test]
    fn a_full_queue_is_told_as_lost_events() {
        let (sender, receiver) = event_queue(2);
        for i in 0..5 {
            sender.send(Change::Touched(PathBuf::from(format!("/v/{i}"))));
        }
        assert_eq!(receiver.in_flight().load(Ordering::SeqCst), 2);
        assert_eq!(receiver.receiver.try_iter().count(), 2);
        assert!(receiver.take_lost(), "three events vanished silently");
        assert!(!receiver.take_lost(), "told twice");
    }
}
