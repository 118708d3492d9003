//! Events of the watcher: their queue, the hints held back, and the time until which all of them have been checked.

use std::time::Instant;

use crossbeam_channel::Receiver;

use super::timing::Timing;
use crate::watch::debounce::{Batch, Debouncer};
use crate::watch::{Change, EventReceiver};

/// **Invariant**: everything that happened before `heard_until` has been checked.
pub(super) struct Events {
    receiver: EventReceiver,
    debouncer: Debouncer,
    heard_until: Instant,
    /// The new `heard_until` once the hints now held back have been checked.
    will_have_heard_until: Instant,
}

impl Events {
    pub(super) fn new(receiver: EventReceiver, timing: Timing, now: Instant) -> Self {
        Self {
            receiver,
            debouncer: Debouncer::new(timing.quiet, timing.max_delay),
            heard_until: now,
            will_have_heard_until: now,
        }
    }

    /// Returns the queue to wait on. Pass what it yields to [`Events::received`].
    pub(super) fn queue(&self) -> Receiver<Change> {
        self.receiver.receiver.clone()
    }

    pub(super) fn received(&mut self, change: Change, now: Instant) {
        self.debouncer.push(change, now);
        self.receiver.took();
    }

    /// Adds a hint of our own.
    pub(super) fn hint(&mut self, change: Change, now: Instant) {
        self.debouncer.push(change, now);
    }

    /// Holds back all waiting events. They count as in flight until [`Events::counted`].
    pub(super) fn take_waiting(&mut self, now: Instant) {
        let n_waiting = self.receiver.receiver.len();
        let receiver = self.receiver.receiver.clone();
        for change in receiver.try_iter().take(n_waiting) {
            self.received(change, now);
        }
        if self.receiver.take_lost() {
            self.debouncer.push(Change::Rescan, now);
        }
    }

    /// Notes that the published counts now include the received events.
    pub(super) fn counted(&self) {
        self.receiver.taken_over();
    }

    /// Returns the hints that were held back for long enough. Call [`Events::note_checked`] once they have been checked.
    pub(super) fn take_batch(&mut self, now: Instant) -> Option<Batch> {
        self.debouncer.take(now)
    }

    pub(super) fn note_checked(&mut self) {
        self.heard_until = self.heard_until.max(self.will_have_heard_until);
    }

    /// Notes that the watcher was asked at `asked` for all its events. All of them are held back here or have been checked.
    pub(super) fn heard_all(&mut self, asked: Instant) {
        if self.debouncer.is_empty() {
            self.heard_until = asked;
        } else {
            self.will_have_heard_until = asked;
        }
    }

    /// Returns the time before which everything has been checked.
    pub(super) fn heard_until(&self) -> Instant {
        self.heard_until
    }

    /// Returns when the hints held back are due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.debouncer.deadline()
    }

    /// Returns the number of hints held back.
    pub(super) fn len(&self) -> usize {
        self.debouncer.len()
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use super::*;
    use crate::watch::event_queue;

    const SECOND: Duration = Duration::from_secs(1);

    fn touched(path: &str) -> Change {
        Change::Touched(PathBuf::from(path))
    }

    #[test]
    fn what_is_held_back_is_heard_when_it_was_looked_at() {
        let (sender, receiver) = event_queue(8);
        let start = Instant::now();
        let mut events = Events::new(receiver, Timing::new(SECOND * 5, SECOND * 600, SECOND * 3600), start);
        let asked = start + SECOND;
        events.take_waiting(asked);
        events.heard_all(asked);
        assert_eq!(events.heard_until(), asked, "nothing is held back");
        sender.send(touched("/v/a.mp4"));
        let asked = start + SECOND * 2;
        events.take_waiting(asked);
        events.heard_all(asked);
        assert_eq!(events.heard_until(), start + SECOND, "a hint waits");
        let due = events.deadline().unwrap();
        assert!(events.take_batch(start + SECOND * 2).is_none(), "not yet");
        let batch = events.take_batch(due).unwrap();
        assert_eq!(batch.paths.keys().collect::<Vec<_>>(), [&PathBuf::from("/v/a.mp4")]);
        assert_eq!(events.heard_until(), start + SECOND, "it is being looked at");
        events.note_checked();
        assert_eq!(events.heard_until(), asked);
    }

    #[test]
    fn a_batch_that_came_before_the_question_answers_nothing_new() {
        let (_sender, receiver) = event_queue(8);
        let start = Instant::now();
        let mut events = Events::new(receiver, Timing::new(SECOND * 5, SECOND * 600, SECOND * 3600), start);
        events.heard_all(start + SECOND * 3);
        events.hint(touched("/v/a.mp4"), start + SECOND * 3);
        let due = events.deadline().unwrap();
        assert!(events.take_batch(due).is_some());
        events.note_checked();
        assert_eq!(events.heard_until(), start + SECOND * 3, "time does not run backwards");
    }

    #[test]
    fn events_are_on_their_way_until_they_counted() {
        let (sender, receiver) = event_queue(2);
        let in_flight = receiver.in_flight();
        let start = Instant::now();
        let mut events = Events::new(receiver, Timing::new(SECOND * 5, SECOND * 600, SECOND * 3600), start);
        for name in ["/v/a", "/v/b", "/v/c"] {
            sender.send(touched(name));
        }
        events.take_waiting(start);
        assert_eq!(in_flight.load(Ordering::SeqCst), 2);
        events.counted();
        assert_eq!(in_flight.load(Ordering::SeqCst), 0);
        let batch = events.take_batch(start + SECOND * 5).unwrap();
        assert!(batch.rescan, "one was lost");
        assert_eq!(batch.paths.len(), 2);
    }
}
