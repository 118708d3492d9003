//! Decides what an indexing thread does next. Pure: depends on the state, the time and the obstacles only, and changes nothing.

use std::time::{Duration, Instant};

use super::brake;
use super::state::State;
use super::threads::MACHINE_RETRY;
use crate::store::{VideoRecord, VideoState};

/// The obstacles to all jobs, in words for `status`.
#[derive(Clone, Debug, Default)]
pub(super) struct Obstacles {
    /// Indexing leaves the machine to other programs: it is on battery, or its memory or its disks are scarce.
    pub(super) machine: Option<&'static str>,
    /// The disk of the data folder is nearly full.
    pub(super) disk_space: Option<String>,
    /// There is no model to embed with.
    pub(super) model: Option<String>,
}

/// The next step. Unless it is a job, decide again afterwards.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Stop,
    EndPause,
    /// Deferred jobs are due: put them into the queue.
    TakeBack,
    /// There is work. Look for obstacles, and decide again with these.
    LookForObstacles,
    /// Wait for a wake-up, and at most for this long.
    Wait(Option<Duration>),
    /// Record the reason, and wait for a wake-up or for at most this long.
    WaitForMachine {
        reason: String,
        at_most: Duration,
    },
    /// Wait until the running jobs have ended: a suspect must run alone.
    WaitForTurn,
    /// Delete keyframe pictures that no video needs.
    Sweep,
    /// Take the first video that waits in this place.
    Take(JobSource),
}

/// The place where a video waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JobSource {
    Queue,
    /// Videos on which a worker died.
    Suspects,
    /// Indexed videos that lack vectors of the target model.
    Behind,
}

/// The treatment of a video that was taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Index,
    CatchUp,
    /// It need not be indexed any more, but lacks vectors.
    FallBehind,
    /// Its drive gives errors: it is tried after this moment.
    SetAside(Instant),
    /// Nothing is to be done.
    Drop,
}

/// Decides the next step. `obstacles`: `None` = not looked for yet.
pub(super) fn decide(state: &State, now: Instant, obstacles: Option<&Obstacles>) -> Next {
    if state.stopping {
        return Next::Stop;
    }
    if state.paused {
        return match state.paused_until {
            Some(until) if until <= now => Next::EndPause,
            until => Next::Wait(until.map(|until| until - now)),
        };
    }
    let next_due = state.deferred.values().min();
    if next_due.is_some_and(|due| *due <= now) {
        return Next::TakeBack;
    }
    let Some(source) = first_source(state) else {
        return if state.sweep {
            Next::Sweep
        } else {
            Next::Wait(next_due.map(|due| *due - now))
        };
    };
    if let Some(until) = state.held_until.filter(|until| *until > now) {
        return Next::Wait(Some(until - now));
    }
    let Some(obstacles) = obstacles else {
        return Next::LookForObstacles;
    };
    if let Some(wait_because) = wait_because(obstacles) {
        return wait_because;
    }
    // A suspect's worker may have died because of what ran at the same time.
    let must_be_alone = source == JobSource::Suspects && !state.in_flight.is_empty();
    if must_be_alone || state.in_flight.values().any(|job| job.is_suspect) {
        return Next::WaitForTurn;
    }
    Next::Take(source)
}

/// Returns the first place where a video waits. Ordinary jobs come before those on which a worker died, and these before videos that are
/// indexed.
fn first_source(state: &State) -> Option<JobSource> {
    let sources = [
        (JobSource::Queue, state.queue.is_empty()),
        (JobSource::Suspects, state.suspects.is_empty()),
        (JobSource::Behind, state.behind.is_empty()),
    ];
    sources.into_iter().find(|(_, is_empty)| !is_empty).map(|(source, _)| source)
}

fn wait_because(obstacles: &Obstacles) -> Option<Next> {
    let wait_because = |reason: &str, at_most| Next::WaitForMachine {
        reason: reason.to_owned(),
        at_most,
    };
    if let Some(reason) = obstacles.machine {
        return Some(wait_because(reason, brake::INTERVAL));
    }
    let others = obstacles.disk_space.as_ref().or(obstacles.model.as_ref());
    others.map(|reason| wait_because(reason, MACHINE_RETRY))
}

/// Decides what to do with a video that was taken. `lacks`: it lacks vectors of the target model. `held_until`: until then its watched
/// folder is left alone.
pub(super) fn fate(source: JobSource, record: &VideoRecord, lacks: bool, held_until: Option<Instant>) -> Fate {
    let is_pending = record.state == VideoState::Pending && !record.offline;
    match source {
        JobSource::Queue | JobSource::Suspects if is_pending => held_until.map_or(Fate::Index, Fate::SetAside),
        // It was queued, but need not be indexed any more.
        JobSource::Queue | JobSource::Suspects if lacks => Fate::FallBehind,
        // The vectors may be made without the video.
        JobSource::Behind if lacks => Fate::CatchUp,
        JobSource::Queue | JobSource::Suspects | JobSource::Behind => Fate::Drop,
    }
}

/// Returns the number of threads of a decoder if `n_jobs` run or wait. Jobs that run at the same time share the cores, so that the last few
/// leave none idle.
pub(super) fn decoder_threads(n_jobs: usize, n_threads: usize, n_cores: usize) -> u32 {
    let n_side_by_side = n_jobs.clamp(1, n_threads);
    (n_cores / n_side_by_side).max(1) as u32
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use super::super::state::InFlight;
    use super::*;
    use crate::media::Cancel;
    use scened_common::domain::{FileStamp, Fingerprint, VideoId};

    const MINUTE: Duration = Duration::from_mins(1);

    fn in_flight(is_suspect: bool) -> InFlight {
        InFlight {
            cancel: Arc::new(Cancel::default()),
            fingerprint: Fingerprint([1; 16]),
            path: PathBuf::from("/v/a.mp4"),
            position_ms: 0,
            duration_ms: 0,
            is_catching_up: false,
            is_suspect,
        }
    }

    /// Returns a state in which the named conditions hold.
    fn state(what: &str, now: Instant) -> State {
        let mut state = State::default();
        let (video, running) = (VideoId(1), VideoId(9));
        for word in what.split_whitespace() {
            match word {
                "stopping" => state.stopping = true,
                "paused" => state.paused = true,
                "paused-for-a-minute" => (state.paused, state.paused_until) = (true, Some(now + MINUTE)),
                "paused-until-now" => (state.paused, state.paused_until) = (true, Some(now)),
                "queued" => state.enqueue(video, 7, 0),
                "suspect" => state.enqueue(VideoId(2), 7, 1),
                "behind" => {
                    state.behind.insert(VideoId(3));
                }
                "aside-for-a-minute" => {
                    state.deferred.insert(VideoId(4), now + MINUTE);
                }
                "aside-until-now" => {
                    state.deferred.insert(VideoId(5), now);
                }
                "sweep" => state.sweep = true,
                "held-for-a-minute" => state.held_until = Some(now + MINUTE),
                "held-until-now" => state.held_until = Some(now),
                "running" => {
                    state.in_flight.insert(running, in_flight(false));
                }
                "running-suspect" => {
                    state.in_flight.insert(running, in_flight(true));
                }
                other => panic!("{other}?"),
            }
        }
        state
    }

    #[test]
    fn before_anybody_looks_at_the_machine() {
        let now = Instant::now();
        let in_a_minute = || Next::Wait(Some(MINUTE));
        for (what, expected) in [
            ("", Next::Wait(None)),
            ("stopping paused queued", Next::Stop),
            ("paused queued sweep aside-until-now", Next::Wait(None)),
            ("paused-for-a-minute queued", in_a_minute()),
            ("paused-until-now queued", Next::EndPause),
            ("sweep", Next::Sweep),
            ("sweep running", Next::Sweep),
            ("sweep aside-for-a-minute", Next::Sweep),
            ("aside-for-a-minute", in_a_minute()),
            ("aside-for-a-minute aside-until-now", Next::TakeBack),
            ("aside-until-now queued", Next::TakeBack),
            ("aside-for-a-minute queued sweep", Next::LookForObstacles),
            ("held-for-a-minute", Next::Wait(None)),
            ("held-for-a-minute sweep", Next::Sweep),
            ("held-for-a-minute queued", in_a_minute()),
            ("held-for-a-minute suspect behind", in_a_minute()),
            ("held-until-now queued", Next::LookForObstacles),
            ("suspect running", Next::LookForObstacles),
            ("behind", Next::LookForObstacles),
        ] {
            assert_eq!(decide(&state(what, now), now, None), expected, "{what:?}");
        }
    }

    #[test]
    fn when_nothing_stands_in_the_way() {
        let now = Instant::now();
        for (what, expected) in [
            ("", Next::Wait(None)),
            ("queued", Next::Take(JobSource::Queue)),
            ("queued suspect behind running", Next::Take(JobSource::Queue)),
            ("suspect behind", Next::Take(JobSource::Suspects)),
            ("behind", Next::Take(JobSource::Behind)),
            ("behind running", Next::Take(JobSource::Behind)),
            ("suspect running", Next::WaitForTurn),
            ("suspect behind running", Next::WaitForTurn),
            ("queued running-suspect", Next::WaitForTurn),
            ("suspect running-suspect", Next::WaitForTurn),
            ("behind running-suspect", Next::WaitForTurn),
        ] {
            let got = decide(&state(what, now), now, Some(&Obstacles::default()));
            assert_eq!(got, expected, "{what:?}");
        }
    }

    #[test]
    fn the_first_obstacle_is_named_and_looked_for_again() {
        let now = Instant::now();
        let (machine, disk, model) = (Some("on battery"), Some("the disk is full"), Some("no model"));
        for (machine, disk_space, model, reason, at_most) in [
            (machine, disk, model, "on battery", brake::INTERVAL),
            (None, disk, model, "the disk is full", MACHINE_RETRY),
            (None, None, model, "no model", MACHINE_RETRY),
        ] {
            let obstacles = Obstacles {
                machine,
                disk_space: disk_space.map(str::to_owned),
                model: model.map(str::to_owned),
            };
            let expected = || Next::WaitForMachine {
                reason: reason.to_owned(),
                at_most,
            };
            for what in ["queued", "suspect running", "behind running-suspect"] {
                assert_eq!(decide(&state(what, now), now, Some(&obstacles)), expected(), "{what:?}");
            }
            assert_eq!(
                decide(&state("", now), now, Some(&obstacles)),
                Next::Wait(None),
                "it hinders nobody"
            );
        }
    }

    fn record(state: VideoState, offline: bool) -> VideoRecord {
        VideoRecord {
            id: VideoId(1),
            path: PathBuf::from("/v/a.mp4"),
            stamp: FileStamp {
                size_bytes: 1,
                mtime_ns: 1,
                inode: 1,
            },
            fingerprint: Fingerprint([1; 16]),
            state,
            offline,
            on_root_device: true,
            duration_ms: 0,
            n_scenes: 0,
            width_px: 0,
            height_px: 0,
            codec: String::new(),
            damage: None,
            picture: None,
            model: None,
            indexed_at_ms: 0,
            whole: None,
            is_part: false,
        }
    }

    #[test]
    fn what_was_taken_is_judged_by_what_it_is_by_now() {
        use JobSource::{Behind, Queue, Suspects};
        use VideoState::{Failed, Indexed, Pending};
        let until = Instant::now() + MINUTE;
        for (source, state, offline, lacks, held, expected) in [
            (Queue, Pending, false, false, None, Fate::Index),
            (Suspects, Pending, false, false, None, Fate::Index),
            (Queue, Pending, false, false, Some(until), Fate::SetAside(until)),
            (Queue, Pending, true, false, None, Fate::Drop),
            (Queue, Indexed, false, false, None, Fate::Drop),
            (Queue, Failed, false, false, Some(until), Fate::Drop),
            (Queue, Indexed, false, true, None, Fate::FallBehind),
            (Suspects, Failed, true, true, Some(until), Fate::FallBehind),
            (Behind, Indexed, false, true, None, Fate::CatchUp),
            (Behind, Indexed, true, true, None, Fate::CatchUp),
            (Behind, Indexed, false, true, Some(until), Fate::CatchUp),
            (Behind, Indexed, false, false, None, Fate::Drop),
            (Behind, Pending, false, false, None, Fate::Drop),
        ] {
            let got = fate(source, &record(state, offline), lacks, held);
            assert_eq!(
                got,
                expected,
                "{source:?} {state:?} offline {offline} lacks {lacks} held {}",
                held.is_some()
            );
        }
    }

    #[test]
    fn the_last_jobs_share_the_cores() {
        for (n_jobs, n_threads, n_cores, expected) in [
            (0, 4, 8, 8),
            (1, 4, 8, 8),
            (2, 4, 8, 4),
            (3, 4, 8, 2),
            (100, 4, 8, 2),
            (100, 4, 2, 1),
        ] {
            assert_eq!(decoder_threads(n_jobs, n_threads, n_cores), expected, "{n_jobs} jobs");
        }
    }
}
