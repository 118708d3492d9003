//! When everything, or a part of it, is scanned without an event.

use std::time::Instant;

use super::timing::Timing;

/// Pure: gets its time as `Instant`s.
#[derive(Debug)]
pub(super) struct Schedule {
    timing: Timing,
    rescan: Instant,
    /// When places without (all) events are scanned.
    poll: Instant,
    /// When offline roots and silent mounts are checked.
    offline_poll: Instant,
    /// When everything is scanned because events were lost.
    overflow_rescan: Option<Instant>,
    last_overflow_rescan: Option<Instant>,
}

impl Schedule {
    pub(super) fn new(timing: Timing, now: Instant) -> Self {
        Self {
            timing,
            rescan: now + timing.rescan_every,
            poll: now + timing.poll_every,
            offline_poll: now,
            overflow_rescan: None,
            last_overflow_rescan: None,
        }
    }

    pub(super) fn rescan_is_due(&self, now: Instant) -> bool {
        self.rescan <= now
    }

    /// Notes that everything is scanned from `now` on.
    pub(super) fn rescans(&mut self, now: Instant) {
        self.rescan = now + self.timing.rescan_every;
    }

    /// Returns whether places without (all) events must be scanned. Returns true once each time.
    pub(super) fn take_poll(&mut self, now: Instant) -> bool {
        let is_due = self.poll <= now;
        if is_due {
            self.poll = now + self.timing.poll_every;
        }
        is_due
    }

    /// Returns whether offline roots and silent mounts must be checked. Returns true once each time.
    pub(super) fn take_offline_poll(&mut self, now: Instant) -> bool {
        let is_due = self.offline_poll <= now;
        if is_due {
            self.offline_poll = now + self.timing.offline_poll;
        }
        is_due
    }

    /// Notes that a root went offline, so that it is checked before long.
    pub(super) fn went_offline(&mut self, now: Instant) {
        self.offline_poll = self.offline_poll.min(now + self.timing.offline_poll);
    }

    /// Notes that events were lost. The first loss causes a scan at once. Later ones cause a scan at most once in a while, and the last one
    /// always does.
    pub(super) fn events_were_lost(&mut self, now: Instant) {
        let earliest = self.last_overflow_rescan.map_or(now, |last| last + self.timing.overflow_gap);
        self.overflow_rescan = Some(self.overflow_rescan.unwrap_or(earliest).min(earliest.max(now)));
    }

    /// Returns whether events were lost and no scan has made up for it.
    pub(super) fn owes_overflow_rescan(&self) -> bool {
        self.overflow_rescan.is_some()
    }

    pub(super) fn overflow_rescan_is_due(&self, now: Instant) -> bool {
        self.overflow_rescan.is_some_and(|due| due <= now)
    }

    /// Returns whether everything must be scanned because events were lost. Returns true once each time.
    pub(super) fn take_overflow_rescan(&mut self, now: Instant) -> bool {
        let is_due = self.overflow_rescan_is_due(now);
        if is_due {
            self.overflow_rescan = None;
            self.last_overflow_rescan = Some(now);
        }
        is_due
    }

    /// Returns when the next of these is due. `has_polled`, `has_offline`: whether there is anything to poll.
    pub(super) fn deadline(&self, has_polled: bool, has_offline: bool) -> Instant {
        let dues = [
            self.overflow_rescan,
            has_offline.then_some(self.offline_poll),
            has_polled.then_some(self.poll),
        ];
        dues.into_iter().flatten().fold(self.rescan, Instant::min)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Uses the usual timing: a rescan each hour, a poll each 15 minutes, offline roots each 30 s, 10 s between two losses.
    fn schedule(now: Instant) -> Schedule {
        Schedule::new(Timing::new(SECOND * 5, SECOND * 600, SECOND * 3600), now)
    }

    #[test]
    fn each_thing_is_due_in_its_own_time_and_said_once() {
        let now = Instant::now();
        let mut schedule = schedule(now);
        assert!(
            schedule.take_offline_poll(now),
            "what is offline at the start is looked for at once"
        );
        assert!(!schedule.take_offline_poll(now + SECOND * 29));
        assert!(schedule.take_offline_poll(now + SECOND * 30));
        assert!(!schedule.take_poll(now + SECOND * 899));
        assert!(schedule.take_poll(now + SECOND * 900));
        assert!(!schedule.take_poll(now + SECOND * 900));
        assert!(!schedule.rescan_is_due(now + SECOND * 3599));
        assert!(schedule.rescan_is_due(now + SECOND * 3600));
        schedule.rescans(now + SECOND * 3600);
        assert!(!schedule.rescan_is_due(now + SECOND * 3600));
    }

    #[test]
    fn only_what_there_is_counts_for_the_deadline() {
        let now = Instant::now();
        let mut schedule = schedule(now);
        assert!(schedule.take_offline_poll(now));
        assert_eq!(schedule.deadline(false, false), now + SECOND * 3600);
        assert_eq!(schedule.deadline(true, false), now + SECOND * 900);
        assert_eq!(schedule.deadline(true, true), now + SECOND * 30);
        schedule.events_were_lost(now + SECOND);
        assert_eq!(schedule.deadline(true, true), now + SECOND);
    }

    #[test]
    fn the_first_loss_is_answered_at_once_and_the_last_one_always() {
        let now = Instant::now();
        let mut schedule = schedule(now);
        assert!(!schedule.take_overflow_rescan(now));
        schedule.events_were_lost(now);
        assert!(schedule.owes_overflow_rescan());
        assert!(schedule.take_overflow_rescan(now));
        assert!(!schedule.owes_overflow_rescan());
        // A single scan answers two more losses soon after it.
        schedule.events_were_lost(now + SECOND);
        schedule.events_were_lost(now + SECOND * 2);
        assert!(!schedule.take_overflow_rescan(now + SECOND * 9));
        assert!(schedule.take_overflow_rescan(now + SECOND * 10));
        assert!(!schedule.owes_overflow_rescan());
    }

    #[test]
    fn what_goes_offline_is_looked_for_before_long() {
        let now = Instant::now();
        let mut schedule = schedule(now);
        assert!(schedule.take_offline_poll(now + SECOND * 10));
        schedule.went_offline(now + SECOND * 20);
        assert_eq!(schedule.deadline(false, true), now + SECOND * 40, "not later for it");
        schedule.went_offline(now + SECOND * 5);
        assert_eq!(schedule.deadline(false, true), now + SECOND * 35);
    }
}
