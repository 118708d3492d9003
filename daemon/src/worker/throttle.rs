//! Stops background workers most of the time while other programs use the processors.
//!
//! Workers run at idle priority, so that they get only processors that no one else wants. But two processors of the kernel may be one core
//! with two threads. Idle work there slows what runs beside it (a compile by 12 %, measured with nothing but `sha256sum`), and the kernel
//! does nothing about that. So while others use more than a share of all processors, workers run for one turn of four.
//!
//! One thread does this. It sleeps without a timeout while there are no workers.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use self::system::Background;
use crate::supervise::{self, End, Supervised};

/// Length of a turn.
const TICK: Duration = Duration::from_millis(250);
/// Turns of rest after a turn of work.
const PAUSED_TICKS: u32 = 3;
/// Workers count as giving way for this long after they last did.
const TOLD: Duration = Duration::from_secs(10);

/// Handle of the throttle; clones share it. [`Default`] never stops anything.
#[derive(Clone, Debug, Default)]
pub struct Throttle(Option<Arc<Keeper>>);

/// The thread's owner, which ends it when the last clone is dropped.
#[derive(Debug)]
struct Keeper {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    _supervised: Arc<Supervised>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    workers: BTreeMap<u64, Background>,
    n_ever: u64,
    is_resting: bool,
    gave_way: Option<Instant>,
    is_ended: bool,
}

/// A background worker: no one waits for its result. When dropped, the worker no longer gives way.
#[derive(Debug)]
pub(crate) struct ThrottledWorker {
    shared: Arc<Shared>,
    number: u64,
}

impl Throttle {
    /// Creates a throttle that makes workers give way while others use more than `limit_percent` of all processors; 0 = never. If the
    /// system does not report processor times (only Linux does here), they never do.
    ///
    /// **Errors**: if the system gives no thread.
    pub fn new(limit_percent: u32) -> io::Result<Self> {
        if limit_percent == 0 || system::CpuTimes::now().is_none() {
            return Ok(Self::default());
        }
        let shared = Arc::new(Shared::default());
        let (theirs, of_workers) = (Arc::clone(&shared), Arc::clone(&shared));
        let supervised = Supervised::new("throttle", "indexing slows other programs more");
        let body = move || {
            theirs.lock().let_all_go_on();
            theirs.run(Duty::new(limit_percent));
            End::Asked
        };
        let thread = supervise::spawn(&supervised, body, move |_| of_workers.lock().let_all_go_on())?;
        Ok(Self(Some(Arc::new(Keeper {
            shared,
            thread: Some(thread),
            _supervised: supervised,
        }))))
    }

    /// Makes the worker `pid` give way until the returned value is dropped. It must be a child that is not reaped yet. Returns `None` if
    /// the worker cannot be stopped, or never has to be.
    pub(crate) fn keep(&self, pid: u32) -> Option<ThrottledWorker> {
        let keeper = self.0.as_ref()?;
        let worker = match Background::open(pid) {
            Ok(worker) => worker,
            Err(error) => {
                tracing::debug!(pid, %error, "a worker cannot be stopped while others use the processors");
                return None;
            }
        };
        let mut state = keeper.shared.lock();
        if state.is_resting {
            worker.stop();
        }
        state.n_ever += 1;
        let number = state.n_ever;
        state.workers.insert(number, worker);
        keeper.shared.changed.notify_all();
        let shared = Arc::clone(&keeper.shared);
        Some(ThrottledWorker { shared, number })
    }

    /// Returns whether workers gave way recently.
    pub fn gives_way(&self) -> bool {
        self.0.as_ref().is_some_and(|keeper| {
            let state = keeper.shared.lock();
            !state.workers.is_empty() && state.gave_way.is_some_and(|when| when.elapsed() < TOLD)
        })
    }
}

impl Drop for ThrottledWorker {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if let Some(worker) = state.workers.remove(&self.number)
            && state.is_resting
        {
            worker.go_on();
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.shared.lock().is_ended = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that lets workers give way panicked");
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, mut duty: Duty) {
        let mut state = self.lock();
        while !state.is_ended {
            if state.workers.is_empty() {
                // The rest continues for the next worker: videos may be so short that each would be decoded within a turn.
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            crate::failpoint::panic_here("throttle");
            let until = Instant::now() + TICK;
            // A worker that starts or ends does not shorten a turn.
            while !state.is_ended && Instant::now() < until {
                let left = until.saturating_duration_since(Instant::now());
                (state, _) = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
            }
            let Some(cpu_times) = system::CpuTimes::now() else { continue };
            let ours: u64 = state.workers.values_mut().map(Background::system_ticks_since).sum();
            let rests = duty.rests_after(&cpu_times, ours);
            if rests {
                state.gave_way = Some(Instant::now());
            }
            if rests != state.is_resting {
                state.is_resting = rests;
                for worker in state.workers.values() {
                    if rests { worker.stop() } else { worker.go_on() }
                }
            }
        }
        state.let_all_go_on();
    }
}

impl State {
    /// Lets all workers run, so that none stays stopped when the thread ends.
    fn let_all_go_on(&mut self) {
        self.is_resting = false;
        self.workers.values().for_each(Background::go_on);
    }
}

/// Decides which turns are for rest.
#[derive(Debug)]
struct Duty {
    limit_percent: u32,
    before: Option<system::CpuTimes>,
    n_rests_left: u32,
}

impl Duty {
    fn new(limit_percent: u32) -> Self {
        Self {
            limit_percent,
            before: None,
            n_rests_left: 0,
        }
    }

    /// Returns whether the turn after `cpu_times` is for rest. `ours`: ticks of `cpu_times` that the workers themselves used since the last
    /// call.
    fn rests_after(&mut self, cpu_times: &system::CpuTimes, ours: u64) -> bool {
        let before = self.before.replace(cpu_times.clone());
        if self.n_rests_left > 1 {
            self.n_rests_left -= 1;
            return true;
        }
        if self.n_rests_left == 1 {
            self.n_rests_left = 0;
            return false;
        }
        let used = before.map_or(0.0, |before| cpu_times.percent_used_since(&before, ours));
        if used > f64::from(self.limit_percent) {
            self.n_rests_left = PAUSED_TICKS;
        }
        self.n_rests_left > 0
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::io;
    use std::os::fd::OwnedFd;

    use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

    /// Time that the processors of this machine spent since it started, in ticks of 10 ms.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub(super) struct CpuTimes {
        /// Time of programs of normal priority and of the kernel. Programs with a nice value, our workers among them, are not counted.
        pub(super) used: u64,
        /// The part of it that this process used.
        pub(super) by_us: u64,
        pub(super) total: u64,
    }

    impl CpuTimes {
        pub(super) fn now() -> Option<Self> {
            let stat = std::fs::read_to_string("/proc/stat").ok()?;
            let us = std::fs::read_to_string("/proc/self/stat").ok()?;
            Self::of(&stat, &us)
        }

        /// Parses the first line of `/proc/stat`, and `/proc/self/stat`. **Source**: proc_stat(5): user, nice, system, idle, iowait, irq,
        /// softirq, steal. Guest time is included in user time.
        pub(super) fn of(stat: &str, us: &str) -> Option<Self> {
            let numbers = stat.lines().next()?.strip_prefix("cpu ")?.split_ascii_whitespace();
            let times: Vec<u64> = numbers.take(8).map(str::parse).collect::<Result<_, _>>().ok()?;
            let &[user, _nice, system, _idle, _iowait, irq, softirq, ..] = times.as_slice() else {
                return None;
            };
            let (our_user, our_system) = super::super::processor_ticks_of(us)?;
            Some(Self {
                used: user + system + irq + softirq,
                by_us: our_user + our_system,
                total: times.iter().sum(),
            })
        }

        /// Returns the share of all processors that others used since `before`. Percent.
        pub(super) fn percent_used_since(&self, before: &Self, by_workers: u64) -> f64 {
            let total = self.total.saturating_sub(before.total).max(1);
            let ours = self.by_us.saturating_sub(before.by_us) + by_workers;
            let used = self.used.saturating_sub(before.used).saturating_sub(ours);
            100.0 * used as f64 / total as f64
        }
    }

    /// A worker, held by a process descriptor, so that no signal reaches another process that got its number.
    #[derive(Debug)]
    pub(super) struct Background {
        process: OwnedFd,
        pid: u32,
        system_ticks: u64,
    }

    impl Background {
        pub(super) fn open(pid: u32) -> io::Result<Self> {
            let number = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::NotFound)?;
            Ok(Self {
                process: pidfd_open(number, PidfdFlags::empty())?,
                pid,
                system_ticks: system_ticks(pid).unwrap_or_default(),
            })
        }

        /// Returns the kernel time of the worker since the last call: it counts as kernel time although the process has a nice value.
        pub(super) fn system_ticks_since(&mut self) -> u64 {
            let now = system_ticks(self.pid).unwrap_or(self.system_ticks);
            now.saturating_sub(std::mem::replace(&mut self.system_ticks, now))
        }

        pub(super) fn stop(&self) {
            self.signal(Signal::STOP);
        }

        pub(super) fn go_on(&self) {
            self.signal(Signal::CONT);
        }

        fn signal(&self, signal: Signal) {
            // A worker that has ended needs no signal.
            if let Err(error) = pidfd_send_signal(&self.process, signal)
                && error != rustix::io::Errno::SRCH
            {
                tracing::debug!(pid = self.pid, ?signal, %error, "a worker cannot be told to give way");
            }
        }
    }

    fn system_ticks(pid: u32) -> Option<u64> {
        super::super::processor_ticks(pid).map(|(_, system)| system)
    }
}

/// On other systems no worker gives way.
#[cfg(not(target_os = "linux"))]
mod system {
    #[derive(Clone, Debug)]
    pub(super) struct CpuTimes;

    impl CpuTimes {
        pub(super) fn now() -> Option<Self> {
            None
        }

        pub(super) fn percent_used_since(&self, _before: &Self, _by_workers: u64) -> f64 {
            0.0
        }
    }

    #[derive(Debug)]
    pub(super) struct Background;

    impl Background {
        pub(super) fn open(_pid: u32) -> std::io::Result<Self> {
            Ok(Self)
        }

        pub(super) fn system_ticks_since(&mut self) -> u64 {
            0
        }

        pub(super) fn stop(&self) {}

        pub(super) fn go_on(&self) {}
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// Returns the times after a turn in which others used this share.
    fn later(cpu_times: &system::CpuTimes, percent: u64) -> system::CpuTimes {
        system::CpuTimes {
            used: cpu_times.used + percent,
            by_us: cpu_times.by_us,
            total: cpu_times.total + 100,
        }
    }

    #[test]
    fn workers_get_one_turn_of_four_while_others_use_the_processors() {
        let mut duty = Duty::new(25);
        let mut cpu_times = system::CpuTimes {
            used: 1000,
            by_us: 10,
            total: 5000,
        };
        let mut rests = Vec::new();
        for percent in [90, 90, 90, 90, 90, 90, 10, 10, 90, 90, 90, 0, 0, 0] {
            cpu_times = later(&cpu_times, percent);
            rests.push(duty.rests_after(&cpu_times, 0));
        }
        let [w, r] = [false, true];
        // The first reading has no effect.
        assert_eq!(rests, [w, r, r, r, w, r, r, r, w, r, r, r, w, w]);
    }

    #[test]
    fn what_workers_and_the_daemon_use_is_nobody_elses() {
        let us = "7 (scened) S 1 7 7 0 -1 0 0 0 0 0 30 20 0 0 20 0 9 0 100 1000 100 1";
        let cpu_times = system::CpuTimes::of("cpu  100 900 50 2000 10 5 5 30 0 0\ncpu0 1 1 1 1\n", us).unwrap();
        let expected = system::CpuTimes {
            used: 160,
            by_us: 50,
            total: 3100,
        };
        assert_eq!(cpu_times, expected);
        let after = system::CpuTimes {
            used: 260,
            by_us: 80,
            total: 3300,
        };
        // 100 ticks of 200, of which 30 are the daemon's and 20 the kernel's for workers.
        assert!((after.percent_used_since(&cpu_times, 20) - 25.0).abs() < 1e-9);
        assert_eq!(system::CpuTimes::of("cpu  1 2 3\n", us), None);
        assert_eq!(system::CpuTimes::of("intr 1 2 3\n", us), None);
    }

    #[test]
    fn a_worker_that_is_let_go_runs_again_and_one_that_ended_is_no_error() {
        let throttle = Throttle::new(1).unwrap();
        let keeper = throttle.0.as_ref().unwrap();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let state_of = |pid: u32| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            stat.rsplit_once(')').unwrap().1.trim_start().chars().next().unwrap()
        };
        let wait_for = |states: &str| {
            let deadline = Instant::now() + Duration::from_secs(20);
            while !states.contains(state_of(child.id())) {
                assert!(Instant::now() < deadline, "{} is no {states}", state_of(child.id()));
                std::thread::park_timeout(Duration::from_millis(5));
            }
        };
        let turn = throttle.keep(child.id()).unwrap();
        {
            // Does what the thread does.
            let mut state = keeper.shared.lock();
            state.is_resting = true;
            state.workers.values().for_each(Background::stop);
            wait_for("T");
            drop(state);
        }
        keeper.shared.lock().is_resting = true;
        drop(turn);
        wait_for("SR");
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(throttle.keep(child.id()).is_none());
    }
}
