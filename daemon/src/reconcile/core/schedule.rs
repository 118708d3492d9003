//! When everything, or a part of it, is looked through although no event asks for it.

use std::time::Instant;

use super::timing::Timing;

/// Pure: fed with `Instant`s.
#[derive(Debug)]
pub(super) struct Schedule {
    timing: Timing,
    rescan: Instant,
    /// When places without (all) events are looked through.
    poll: Instant,
    /// When what is offline is looked for.
    offline_poll: Instant,
    /// Events were lost: when to look through everything.
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

    /// Everything is being looked through from `now` on.
    pub(super) fn rescans(&mut self, now: Instant) {
        self.rescan = now + self.timing.rescan_every;
    }

    /// Whether places without (all) events are to be looked through; said once each time.
    pub(super) fn take_poll(&mut self, now: Instant) -> bool {
        let is_due = self.poll <= now;
        if is_due {
            self.poll = now + self.timing.poll_every;
        }
        is_due
    }

    /// Whether what is offline is to be looked for; said once each time.
    pub(super) fn take_offline_poll(&mut self, now: Instant) -> bool {
        let is_due = self.offline_poll <= now;
        if is_due {
            self.offline_poll = now + self.timing.offline_poll;
        }
        is_due
    }

    /// Something went offline: it is looked for before long.
    pub(super) fn went_offline(&mut self, now: Instant) {
        self.offline_poll = self.offline_poll.min(now + self.timing.offline_poll);
    }

    /// Events were lost. The first loss is answered at once, later ones at most once in a while, the last one always.
    pub(super) fn events_were_lost(&mut self, now: Instant) {
        let earliest = self.last_overflow_rescan.map_or(now, |last| last + self.timing.overflow_gap);
        self.overflow_rescan = Some(self.overflow_rescan.unwrap_or(earliest).min(earliest.max(now)));
    }

    /// Whether events were lost that nobody has made up for.
    pub(super) fn owes_overflow_rescan(&self) -> bool {
        self.overflow_rescan.is_some()
    }

    pub(super) fn overflow_rescan_is_due(&self, now: Instant) -> bool {
        self.overflow_rescan.is_some_and(|due| due <= now)
    }

    /// Whether everything is to be looked through because events were lost; said once each time.
    pub(super) fn take_overflow_rescan(&mut self, now: Instant) -> bool {
        let is_due = self.overflow_rescan_is_due(now);
        if is_due {
            self.overflow_rescan = None;
            self.last_overflow_rescan = Some(now);
        }
        is_due
    }

    /// When the next of these is due. `has_polled`, `has_offline`: whether there is anything to poll.
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

    /// With the usual timing: a rescan each hour, a poll each 15 minutes, what is offline each 30 s, 10 s between two losses.
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
        // Two more soon after it are answered together.
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
