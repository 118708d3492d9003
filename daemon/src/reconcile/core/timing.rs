//! How long everything takes.

use std::time::Duration;

/// Durations that follow from `settle`; with the default of 5 s: 0.2, 1, 6, 10, 30, 30 s.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    pub(super) settle: Duration,
    /// How long a file must rest whose name says that a program has not finished it.
    pub(super) unfinished: Duration,
    /// Hints are held back until this long nothing came …
    pub(super) quiet: Duration,
    /// … or the first one waits for so long.
    pub(super) max_delay: Duration,
    /// How long a missing video waits for its content to turn up elsewhere.
    pub(super) grace: Duration,
    /// Least time between two rescans because of lost events.
    pub(super) overflow_gap: Duration,
    /// When a great part of a root is missing at once, it is looked through again after so long, before anything is deleted.
    pub(super) doubt: Duration,
    /// How often a root that is offline is looked for.
    pub(super) offline_poll: Duration,
    pub(super) rescan_every: Duration,
    /// How often places without (all) events are looked through.
    pub(super) poll_every: Duration,
}

impl Timing {
    pub(super) fn new(settle: Duration, unfinished: Duration, rescan_every: Duration) -> Self {
        let second = Duration::from_secs(1);
        Self {
            settle,
            // A file that is told apart has to rest longer than others.
            unfinished: unfinished.max(settle + second / 1000),
            quiet: (settle / 4).min(second / 5),
            max_delay: settle.min(second),
            // Longer than any event is held back, so that both halves of a renaming have been looked at.
            grace: settle + settle.min(second),
            overflow_gap: (settle * 2).min(second * 10),
            doubt: (settle * 6).min(second * 30),
            offline_poll: (settle * 6).clamp(second / 10, second * 30),
            rescan_every,
            poll_every: rescan_every / 4,
        }
    }
}
