//! All durations of the reconciler.

use std::time::Duration;

/// Durations that follow from `settle`. With the default of 5 s, `quiet` to `offline_poll` are 0.2, 1, 6, 10, 30 and 30 s.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    pub(super) settle: Duration,
    /// How long a file must stay unchanged if its name says that a program has not finished it.
    pub(super) unfinished: Duration,
    /// Hints are held back until none came for this long …
    pub(super) quiet: Duration,
    /// … or the first one has waited for this long.
    pub(super) max_delay: Duration,
    /// How long a missing video waits for its content to turn up elsewhere.
    pub(super) grace: Duration,
    /// Shortest time between two rescans because of lost events.
    pub(super) overflow_gap: Duration,
    /// If a great part of a root is missing at once, it is scanned again after this time, before anything is deleted.
    pub(super) doubt: Duration,
    /// Time between two checks of a root that is offline.
    pub(super) offline_poll: Duration,
    pub(super) rescan_every: Duration,
    /// Time between two scans of places without (all) events.
    pub(super) poll_every: Duration,
}

impl Timing {
    pub(super) fn new(settle: Duration, unfinished: Duration, rescan_every: Duration) -> Self {
        let second = Duration::from_secs(1);
        Self {
            settle,
            // An unfinished file is recognised by its longer rest, so it must be longer.
            unfinished: unfinished.max(settle + second / 1000),
            quiet: (settle / 4).min(second / 5),
            max_delay: settle.min(second),
            // Longer than any event is held back, so that both halves of a rename have been checked.
            grace: settle + settle.min(second),
            overflow_gap: (settle * 2).min(second * 10),
            doubt: (settle * 6).min(second * 30),
            offline_poll: (settle * 6).clamp(second / 10, second * 30),
            rescan_every,
            poll_every: rescan_every / 4,
        }
    }
}
