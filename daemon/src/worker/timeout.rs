//! The time that a worker may take for an answer.

use std::time::{Duration, Instant};

use super::{is_runnable, processor_time};

/// Maximum number of halves: half an hour with a limit of a minute.
const MAX_HALVES: u32 = 60;
/// If a check comes this late, this process did not run either: everything was frozen (a container, a virtual machine), or no one had a
/// processor.
const LATE: Duration = Duration::from_secs(2);

/// A limit on waiting that distinguishes a hung worker from a starved one.
///
/// Workers run at idle priority: on a busy machine one may get almost no processor for minutes, and its input is not to blame. So the limit
/// is counted in two halves. After the first half, the worker's processor time is recorded. After the second, the worker is hung if it used
/// none of the time (it waits for something that does not come) or at least half of it (it works and makes no progress). Otherwise it was
/// starved and gets another half, up to [`MAX_HALVES`]. A worker that used none but could run was starved as well. A half in which this
/// process did not run tells nothing.
#[derive(Debug)]
pub(crate) struct ResponseTimeout {
    worker: u32,
    half: Duration,
    deadline: Instant,
    n_halves: u32,
    processor_time: Option<Duration>,
}

impl ResponseTimeout {
    /// Begins to wait for the process `worker`.
    pub(crate) fn new(worker: u32, limit: Duration) -> Self {
        let half = limit / 2;
        Self {
            worker,
            half,
            deadline: Instant::now() + half,
            n_halves: 1,
            processor_time: None,
        }
    }

    /// Returns when to check again whether it [is over](Self::is_over).
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Returns whether the worker has had all its time. Examines the worker if a half has passed.
    pub(crate) fn is_over(&mut self) -> bool {
        let Some(late) = Instant::now().checked_duration_since(self.deadline) else {
            return false;
        };
        let now = processor_time(self.worker);
        let starved = match (self.processor_time, now) {
            _ if late > LATE => true,
            (Some(before), Some(now)) => match now.saturating_sub(before) {
                Duration::ZERO => is_runnable(self.worker),
                used => used < self.half / 2,
            },
            (None, _) | (_, None) => self.n_halves == 1,
        };
        self.processor_time = now;
        self.n_halves += 1;
        self.deadline = Instant::now() + self.half;
        !starved || self.n_halves > MAX_HALVES
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    struct Worker(Child);

    impl Worker {
        fn start(program: &str, arguments: &[&str]) -> Self {
            let child = Command::new(program)
                .args(arguments)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .spawn();
            Self(child.expect("the test's program starts"))
        }

        /// Returns a timeout that ran out a moment ago, for the second time.
        fn timeout(&self) -> ResponseTimeout {
            ResponseTimeout {
                processor_time: processor_time(self.0.id()),
                deadline: Instant::now(),
                ..ResponseTimeout::new(self.0.id(), Duration::from_mins(1))
            }
        }
    }

    impl Drop for Worker {
        fn drop(&mut self) {
            self.0.kill().expect("it can be killed");
            self.0.wait().expect("it is ours");
        }
    }

    #[test]
    fn a_worker_that_waits_for_what_does_not_come_is_hung_unless_all_were_frozen() {
        let worker = Worker::start("sleep", &["600"]);
        let asleep = || {
            testkit::wait_until("it to sleep", Duration::from_secs(20), || {
                if is_runnable(worker.0.id()) {
                    Err("it runs".to_owned())
                } else {
                    Ok(())
                }
            });
        };
        asleep();
        // On a busy machine any single check may come late.
        assert!((0..20).any(|_| worker.timeout().is_over()));
        let mut frozen = worker.timeout();
        frozen.deadline = Instant::now().checked_sub(LATE * 2).unwrap();
        assert!(!frozen.is_over(), "this process did not run when the time was up");
        let is_over_now = |_| {
            frozen.deadline = Instant::now();
            frozen.is_over()
        };
        assert!((0..20).any(is_over_now), "and then it did");
    }

    #[test]
    fn a_worker_that_could_run_and_gets_no_processor_is_starved() {
        let worker = Worker::start("sh", &["-c", "while :; do :; done"]);
        testkit::wait_until("it to run", Duration::from_secs(20), || {
            if is_runnable(worker.0.id()) {
                Ok(())
            } else {
                Err("it sleeps".to_owned())
            }
        });
        assert!(!worker.timeout().is_over());
    }
}
