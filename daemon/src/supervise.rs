//! Supervises threads that run as long as the daemon: the end of one is noticed, whatever the reason.
//!
//! If the body of a thread panics, or ends without being asked to, it runs again and rebuilds its state. A thread that dies [`DEATHS`]
//! times within [`PERIOD`] is given up, because it would go on dying. Whoever waits for it is told, the daemon continues without it, and
//! `status` and `doctor` name it ([`given_up`]).
//!
//! The body itself catches a panic over one item (a video, a query, an event), which then costs only that item. This module handles the
//! other panics.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tracing::{error, warn};

/// A thread that dies this often within [`PERIOD`] is not started again.
pub const DEATHS: usize = 3;
const PERIOD: Duration = Duration::from_mins(10);

/// Every [`Supervised`] that still has an owner; those of a daemon that ended are gone.
static SUPERVISED: Mutex<Vec<Weak<Supervised>>> = Mutex::new(Vec::new());

/// The way the body of a thread ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It was asked to end.
    Asked,
    /// It could not go on, for this reason.
    Lost(String),
}

/// The consequence of a death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Again,
    GivenUp,
}

/// The deaths of one thread. The owner of the thread keeps it: `status` forgets the thread with the last `Arc`.
#[derive(Debug)]
pub struct Supervised {
    name: String,
    /// What no longer happens without the thread, in words for the user.
    loss: &'static str,
    /// Whether videos that wait to be indexed would wait for ever without the thread.
    is_essential: bool,
    deaths: Mutex<Deaths>,
}

#[derive(Debug, Default)]
struct Deaths {
    /// Deaths within [`PERIOD`].
    times: VecDeque<Instant>,
    /// Reason for the last death, once the thread is given up.
    last: Option<String>,
}

impl Supervised {
    pub fn new(name: impl Into<String>, loss: &'static str) -> Arc<Self> {
        Self::kept(name.into(), loss, false)
    }

    /// Creates one for a thread without which videos would wait for ever to be indexed.
    pub fn essential(name: impl Into<String>, loss: &'static str) -> Arc<Self> {
        Self::kept(name.into(), loss, true)
    }

    fn kept(name: String, loss: &'static str, is_essential: bool) -> Arc<Self> {
        let supervised = Arc::new(Self {
            name,
            loss,
            is_essential,
            deaths: Mutex::default(),
        });
        let mut all_supervised = all_supervised();
        all_supervised.retain(|supervised| supervised.strong_count() > 0);
        all_supervised.push(Arc::downgrade(&supervised));
        supervised
    }

    /// Records a death, and returns whether to start the thread again.
    pub fn died(&self, why: &str) -> Verdict {
        self.died_at(why, Instant::now())
    }

    fn died_at(&self, why: &str, now: Instant) -> Verdict {
        let mut deaths = self.deaths();
        deaths.times.push_back(now);
        deaths.times.retain(|time| now.saturating_duration_since(*time) < PERIOD);
        if deaths.times.len() < DEATHS {
            drop(deaths);
            warn!(thread = self.name, why, "a thread ended; it is started again");
            return Verdict::Again;
        }
        deaths.last = Some(why.to_owned());
        drop(deaths);
        error!(
            thread = self.name,
            why, "a thread ended {DEATHS} times within ten minutes; scened continues without it: {}", self.loss
        );
        Verdict::GivenUp
    }

    /// Returns why the thread was given up; `None` if it was not.
    pub fn is_given_up(&self) -> Option<String> {
        let why = self.deaths().last.clone()?;
        Some(format!(
            "a part of scened failed {DEATHS} times and stays off (thread {}: {why}): {}; restart scened, and please report the bug",
            self.name, self.loss
        ))
    }

    fn deaths(&self) -> MutexGuard<'_, Deaths> {
        self.deaths.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn all_supervised() -> MutexGuard<'static, Vec<Weak<Supervised>>> {
    SUPERVISED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns what `status` and `doctor` say about threads that were given up.
pub fn given_up() -> Vec<String> {
    living().iter().filter_map(|supervised| supervised.is_given_up()).collect()
}

/// Returns why videos that wait to be indexed would wait for ever; `None` if they would not.
pub fn holds_up() -> Option<String> {
    living()
        .iter()
        .filter(|supervised| supervised.is_essential)
        .find_map(|supervised| supervised.is_given_up())
}

fn living() -> Vec<Arc<Supervised>> {
    all_supervised().iter().filter_map(Weak::upgrade).collect()
}

/// Starts a thread that runs `body`, again after each death, until `body` returns [`End::Asked`]. If the thread is given up, calls
/// `given_up` with the reason, to tell whoever waits.
///
/// **Errors**: if the system cannot start a thread.
pub fn spawn(
    supervised: &Arc<Supervised>,
    mut body: impl FnMut() -> End + Send + 'static,
    given_up: impl FnOnce(&str) + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    let supervised = Arc::clone(supervised);
    // The kernel keeps 15 bytes of a name.
    let name = supervised.name.clone();
    std::thread::Builder::new().name(name).spawn(move || {
        loop {
            let why = match caught(&mut body) {
                Ok(End::Asked) => return,
                Ok(End::Lost(why)) | Err(why) => why,
            };
            if supervised.died(&why) == Verdict::GivenUp {
                break;
            }
        }
        let why = supervised.is_given_up().unwrap_or_default();
        if let Err(panic) = caught(|| given_up(&why)) {
            error!(panic, "threads that wait for it could not be told either");
        }
    })
}

/// Returns the result of `work`, or the message of its panic.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| in_words(payload.as_ref()))
}

fn in_words(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    format!("it panicked: {}", text.unwrap_or("no reason given"))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_thread_that_panics_or_is_lost_is_started_again_and_left_off_after_three_deaths() {
        let n_runs = Arc::new(AtomicUsize::new(0));
        let runs = Arc::clone(&n_runs);
        let (tell, told) = crossbeam_channel::bounded(1);
        let supervised = Supervised::new("sorter", "nothing is sorted");
        let body = move || match runs.fetch_add(1, Ordering::SeqCst) {
            0 => panic!("number {}", 0),
            1 => End::Lost("no table".to_owned()),
            _ => panic!("again"),
        };
        let thread = spawn(&supervised, body, move |why| tell.send(why.to_owned()).unwrap()).unwrap();
        let why = told.recv_timeout(Duration::from_secs(20)).unwrap();
        assert!(why.contains("thread sorter: it panicked: again): nothing is sorted"), "{why}");
        thread.join().unwrap();
        assert_eq!(n_runs.load(Ordering::SeqCst), DEATHS);
        assert_eq!(given_up(), [why]);
        drop(supervised);
        assert_eq!(given_up(), [""; 0], "a daemon that ended is remembered");
    }

    #[test]
    fn a_thread_that_was_asked_to_end_ends() {
        let supervised = Supervised::new("sorter", "nothing is sorted");
        spawn(&supervised, || End::Asked, |_| panic!("it was not left off"))
            .unwrap()
            .join()
            .unwrap();
        assert_eq!(supervised.is_given_up(), None);
    }

    #[test]
    fn deaths_far_apart_are_never_too_many() {
        let supervised = Supervised::new("sorter", "nothing is sorted");
        let begun = Instant::now();
        for n in 0..20 {
            assert_eq!(supervised.died_at("it fell", begun + PERIOD / 2 * n), Verdict::Again);
        }
        assert_eq!(supervised.died_at("it fell", begun + PERIOD / 2 * 19), Verdict::GivenUp);
    }
}
