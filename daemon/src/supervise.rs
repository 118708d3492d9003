//! Threads that live as long as the daemon: the end of one is noticed, whatever the reason.
//!
//! A thread whose body panics, or ends without being asked to, is started again, and rebuilds its state. One that dies
//! [`DEATHS`] times within [`PERIOD`] is left off: it would do so for ever. Then whoever waits for it is told, the daemon goes on without
//! it, and `status` and `doctor` name it ([`given_up`]).
//!
//! A panic over one thing (a video, a question, an event) is caught by the body itself and costs that thing; what arrives here is the rest.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tracing::{error, warn};

/// A thread that dies so often within [`PERIOD`] is not started again.
pub const DEATHS: usize = 3;
const PERIOD: Duration = Duration::from_mins(10);

/// All that live; those of a daemon that ended are gone with it.
static SUPERVISED: Mutex<Vec<Weak<Supervised>>> = Mutex::new(Vec::new());

/// How the body of a thread ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It was asked to.
    Asked,
    /// It could not go on; the reason.
    Lost(String),
}

/// What follows from a death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Again,
    GivenUp,
}

/// The deaths of one thread. Kept by whoever owns the thread: with the last clone `status` forgets it.
#[derive(Debug)]
pub struct Supervised {
    name: String,
    /// What no longer happens without it, in words for the user.
    loss: &'static str,
    /// Without it what waits to be indexed will wait for ever.
    is_essential: bool,
    deaths: Mutex<Deaths>,
}

#[derive(Debug, Default)]
struct Deaths {
    /// Those within [`PERIOD`].
    times: VecDeque<Instant>,
    /// Why it was left off.
    last: Option<String>,
}

impl Supervised {
    pub fn new(name: impl Into<String>, loss: &'static str) -> Arc<Self> {
        Self::kept(name.into(), loss, false)
    }

    /// One without which what waits to be indexed will wait for ever.
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

    /// Notes a death, and says whether to start the thread again.
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

    /// Why nothing is to be expected of it any more, where that is so.
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

/// What `status` and `doctor` say of threads that were left off.
pub fn given_up() -> Vec<String> {
    living().iter().filter_map(|supervised| supervised.is_given_up()).collect()
}

/// Why what waits to be indexed will wait for ever, where that is so.
pub fn holds_up() -> Option<String> {
    living()
        .iter()
        .filter(|supervised| supervised.is_essential)
        .find_map(|supervised| supervised.is_given_up())
}

fn living() -> Vec<Arc<Supervised>> {
    all_supervised().iter().filter_map(Weak::upgrade).collect()
}

/// Starts a thread that runs `body` until that was asked to end, again after each death. When it is left off, `given_up` has the last word:
/// it tells whoever waits.
///
/// **Errors**: when the system gives no thread.
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

/// What `work` gives, or what its panic said.
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
