//! The lanes: their threads, their bounds, and their order of service.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tracing::{error, warn};

use crate::supervise::{self, End, Supervised};

/// Bounds of the quick lane.
const QUICK: Bounds = Bounds {
    threads: 8,
    running_each: 4,
    waiting: 128,
};
/// Bounds of the waiting lane. Its tasks only wait for the embed worker, which takes the inputs of all of them at once. Each waits for at
/// most [`crate::query::MODEL_TIMEOUT`].
const WAITING: Bounds = Bounds {
    threads: 8,
    running_each: 4,
    waiting: 128,
};
/// A disk that does not answer may block a thread here, so one process must not get all of them.
const SLOW: Bounds = Bounds {
    threads: 4,
    running_each: 2,
    waiting: 32,
};
/// The last free thread of a lane is for a process that runs nothing there and used less than this recently. So it need not wait for one of
/// many long requests to end.
const LITTLE: Duration = Duration::from_millis(100);
/// The time that a process used is halved after this.
const HALF_LIFE: Duration = Duration::from_secs(2);
/// A process that used less than this is forgotten. If there are more than [`MAX_REMEMBERED`], all that run nothing are forgotten.
const FORGOTTEN: Duration = Duration::from_micros(100);
const MAX_REMEMBERED: usize = 4096;
/// scened must exit within two seconds, whatever a request waits for.
const STOP_LIMIT: Duration = Duration::from_millis(500);

/// Selects the threads of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Reads memory and the store. Nothing here waits for a worker or for a disk named by a client.
    Quick,
    /// Waits for the model's vectors, and does nothing else.
    Waiting,
    /// Reads files named by a client, runs decoding workers, scans everything, or waits for another part of scened.
    Slow,
}

/// Limits of a lane.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    threads: usize,
    /// Running tasks of one process.
    running_each: usize,
    /// Waiting tasks. A further one is rejected at once, or displaces another.
    waiting: usize,
}

/// The client process that a task belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientProcess(pub u32);

impl ClientProcess {
    /// scened itself. It goes first and is never rejected, so it must have few tasks at once.
    pub const DAEMON: Self = Self(0);
}

/// The outcome of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskOutcome {
    /// It runs now.
    Run,
    /// It will not run: it was displaced by a process with fewer waiting tasks.
    Displaced,
}

type Task = Box<dyn FnOnce(TaskOutcome) + Send>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many questions at once")]
pub struct Overloaded;

#[derive(Clone)]
pub struct Pool {
    quick: Arc<Queue>,
    waiting: Arc<Queue>,
    slow: Arc<Queue>,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
    _supervised: Arc<Vec<Arc<Supervised>>>,
}

impl Pool {
    /// Starts the threads. `lost`: called when a lane has no thread left.
    ///
    /// If the system allows few threads (a limit of a container or of a service), each lane gets one, and the rest stays for the workers.
    pub fn start(lost: impl Fn(&str) + Send + Sync + 'static) -> std::io::Result<Self> {
        let n_threads = QUICK.threads + WAITING.threads + SLOW.threads;
        let has_room = gives_threads(n_threads + LEFT_FOR_WORKERS);
        if !has_room {
            warn!("the system gives few threads (a limit of processes?); questions are answered one by one");
        }
        Self::start_with(has_room, lost)
    }

    fn start_with(has_room: bool, lost: impl Fn(&str) + Send + Sync + 'static) -> std::io::Result<Self> {
        let (quick, waiting, slow) = (
            Arc::new(Queue::new(QUICK)),
            Arc::new(Queue::new(WAITING)),
            Arc::new(Queue::new(SLOW)),
        );
        let lost = Arc::new(lost);
        let (mut threads, mut all_supervised) = (Vec::new(), Vec::new());
        for (name, queue) in [("query", &quick), ("asking", &waiting), ("slow", &slow)] {
            for index in 0..queue.bounds.threads {
                if index > 0 && !has_room {
                    queue.lose_thread();
                    continue;
                }
                let supervised = Supervised::new(format!("{name}-{index}"), "fewer questions are answered at once");
                let (queue, of_clients, lost) = (Arc::clone(queue), Arc::clone(queue), Arc::clone(&lost));
                let body = move || {
                    queue.work(name);
                    End::Asked
                };
                let given_up = move |why: &str| {
                    if of_clients.lose_thread() {
                        lost(why);
                    }
                };
                threads.push(supervise::spawn(&supervised, body, given_up)?);
                all_supervised.push(supervised);
            }
        }
        Ok(Self {
            quick,
            waiting,
            slow,
            threads: Arc::new(Mutex::new(threads)),
            _supervised: Arc::new(all_supervised),
        })
    }

    /// Queues a task; never waits. A queued task is called exactly once, with its outcome.
    pub fn submit(&self, lane: Lane, client: ClientProcess, task: impl FnOnce(TaskOutcome) + Send + 'static) -> Result<(), Overloaded> {
        let queue = match lane {
            Lane::Quick => &self.quick,
            Lane::Waiting => &self.waiting,
            Lane::Slow => &self.slow,
        };
        queue.submit(client, Box::new(task))
    }

    /// Lets queued tasks finish and joins the threads. A thread blocked for longer than [`STOP_LIMIT`], for example by a disk, is
    /// abandoned.
    pub fn stop(&self) {
        let lanes = [&self.quick, &self.waiting, &self.slow];
        for queue in lanes {
            queue.stop();
        }
        let deadline = Instant::now() + STOP_LIMIT;
        let all_ended = lanes.iter().all(|queue| queue.wait_for_end(deadline));
        for thread in self.threads.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            if !all_ended && !thread.is_finished() {
                warn!(thread = thread.thread().name(), "a request does not end; its thread is abandoned");
            } else if thread.join().is_err() {
                error!("a query thread panicked");
            }
        }
    }
}

/// Threads and processes of the workers, and a few of scened's own that start later.
const LEFT_FOR_WORKERS: usize = 16;

/// Decides whether the system allows this many threads at once.
fn gives_threads(n_threads: usize) -> bool {
    let gate = Mutex::new(());
    std::thread::scope(|scope| {
        let closed = gate.lock();
        let wait = || drop(gate.lock());
        let all = (0..n_threads).all(|_| std::thread::Builder::new().spawn_scoped(scope, wait).is_ok());
        drop(closed);
        all
    })
}

/// One lane.
struct Queue {
    bounds: Bounds,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// In order of arrival.
    waiting: Vec<(ClientProcess, Task)>,
    shares: HashMap<ClientProcess, Share>,
    stopped: bool,
    /// Threads that have ended.
    n_ended: usize,
    /// Threads that were given up or never started.
    n_lost: usize,
}

/// One process's use of a lane.
#[derive(Clone, Copy, Debug)]
struct Share {
    n_running: usize,
    /// Time used, as of the instant `counted`.
    used: Duration,
    counted: Instant,
}

impl Share {
    fn used_by(&self, now: Instant) -> Duration {
        let half_lives = now.saturating_duration_since(self.counted).as_secs_f64() / HALF_LIFE.as_secs_f64();
        self.used.mul_f64(0.5_f64.powf(half_lives))
    }
}

impl State {
    fn n_running(&self, client: ClientProcess) -> usize {
        self.shares.get(&client).map_or(0, |share| share.n_running)
    }

    fn n_waiting(&self, client: ClientProcess) -> usize {
        self.waiting.iter().filter(|(other, _)| *other == client).count()
    }

    /// Takes the next task: of the process that used the lane least recently, the one that came first.
    fn next(&mut self, bounds: &Bounds, now: Instant) -> Option<(ClientProcess, Task)> {
        let used = |client: ClientProcess| match self.shares.get(&client) {
            Some(share) if client != ClientProcess::DAEMON => share.used_by(now),
            _ => Duration::ZERO,
        };
        let is_last_thread = self.shares.values().map(|share| share.n_running).sum::<usize>() + 1 >= bounds.threads;
        let may_run = |client: ClientProcess| {
            let n_running = self.n_running(client);
            let is_light = n_running == 0 && used(client) < LITTLE;
            client == ClientProcess::DAEMON || (n_running < bounds.running_each && (!is_last_thread || is_light))
        };
        let index = self
            .waiting
            .iter()
            .enumerate()
            .filter(|(_, (client, _))| may_run(*client))
            // Among idle processes that used nothing, the first to come is next; `min_by_key` keeps the first of equals.
            .min_by_key(|(_, (client, _))| (used(*client), self.n_running(*client)))
            .map(|(index, _)| index)?;
        Some(self.waiting.remove(index))
    }

    fn begin(&mut self, client: ClientProcess, now: Instant) {
        let share = self.shares.entry(client).or_insert(Share {
            n_running: 0,
            used: Duration::ZERO,
            counted: now,
        });
        share.n_running += 1;
    }

    fn end(&mut self, client: ClientProcess, took: Duration, now: Instant) {
        if let Some(share) = self.shares.get_mut(&client) {
            share.used = share.used_by(now) + took;
            share.counted = now;
            share.n_running -= 1;
        }
        let is_full = self.shares.len() > MAX_REMEMBERED;
        self.shares
            .retain(|_, share| share.n_running > 0 || (!is_full && share.used_by(now) > FORGOTTEN));
    }

    /// Takes the newest task of the process with most waiting tasks, if that is more than `client` would have.
    fn displace_for(&mut self, client: ClientProcess) -> Option<Task> {
        let mine = self.n_waiting(client) + 1;
        let mut counts: HashMap<ClientProcess, usize> = HashMap::new();
        for (other, _) in &self.waiting {
            *counts.entry(*other).or_default() += 1;
        }
        counts.remove(&ClientProcess::DAEMON);
        let greediest = counts.values().max().copied()?;
        if greediest <= mine && client != ClientProcess::DAEMON {
            return None;
        }
        let index = self.waiting.iter().rposition(|(other, _)| counts.get(other) == Some(&greediest))?;
        Some(self.waiting.remove(index).1)
    }
}

impl Queue {
    fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn submit(&self, client: ClientProcess, task: Task) -> Result<(), Overloaded> {
        let mut state = self.state();
        if state.stopped {
            return Err(Overloaded);
        }
        let mut displaced = None;
        if state.waiting.len() >= self.bounds.waiting {
            displaced = state.displace_for(client);
            if displaced.is_none() && client != ClientProcess::DAEMON {
                return Err(Overloaded);
            }
        }
        state.waiting.push((client, task));
        drop(state);
        self.changed.notify_one();
        if let Some(task) = displaced {
            task(TaskOutcome::Displaced);
        }
        Ok(())
    }

    /// Notes that a thread will not be restarted. Returns true if it was the last one; then all waiting tasks are dropped.
    fn lose_thread(&self) -> bool {
        let mut state = self.state();
        state.n_ended += 1;
        state.n_lost += 1;
        let is_last = state.n_lost == self.bounds.threads;
        let unanswered = if is_last {
            state.stopped = true;
            std::mem::take(&mut state.waiting)
        } else {
            Vec::new()
        };
        drop(state);
        // Dropping a task closes the channel on which its caller waits.
        drop(unanswered);
        self.changed.notify_all();
        is_last
    }

    fn work(&self, name: &'static str) {
        let mut state = self.state();
        loop {
            let now = Instant::now();
            let Some((client, task)) = state.next(&self.bounds, now) else {
                if state.stopped && state.waiting.is_empty() {
                    state.n_ended += 1;
                    self.changed.notify_all();
                    return;
                }
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            state.begin(client, now);
            drop(state);
            let at_work = AtWork {
                queue: self,
                client,
                began: now,
            };
            crate::failpoint::panic_here(name);
            // A bug in one answer must not cost the pool a thread. The caller sees its channel close.
            if let Err(panic) = supervise::caught(|| task(TaskOutcome::Run)) {
                error!(panic, "a question made scened fail (a bug: please report it)");
            }
            drop(at_work);
            state = self.state();
            // A task may run now that was held back because its process had enough running ones. This thread finds it itself.
        }
    }

    fn stop(&self) {
        self.state().stopped = true;
        self.changed.notify_all();
    }

    /// Waits until every thread has ended. Returns false if the deadline comes first.
    fn wait_for_end(&self, deadline: Instant) -> bool {
        let mut state = self.state();
        while state.n_ended < self.bounds.threads {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                return false;
            };
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

/// A running task. However it ends, dropping this counts one thread less for its process.
struct AtWork<'a> {
    queue: &'a Queue,
    client: ClientProcess,
    began: Instant,
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        let now = Instant::now();
        self.queue.state().end(self.client, now.saturating_duration_since(self.began), now);
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::{Receiver, Sender, bounded};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    /// Occupies threads of a lane with tasks of `clients`, in this order, which end when the gate is dropped.
    fn occupy(pool: &Pool, lane: Lane, clients: &[u32]) -> Sender<()> {
        let (release, gate) = bounded::<()>(0);
        let (begun, begins) = bounded(clients.len());
        for client in clients {
            let (gate, begun) = (gate.clone(), begun.clone());
            let task = move |_| {
                begun.send(()).unwrap();
                let _released = gate.recv();
            };
            pool.submit(lane, ClientProcess(*client), task).unwrap();
        }
        for _ in clients {
            begins.recv_timeout(LIMIT).unwrap();
        }
        release
    }

    #[test]
    fn a_full_queue_is_an_answer_not_a_wait() {
        for (lane, bounds) in [(Lane::Quick, QUICK), (Lane::Waiting, WAITING), (Lane::Slow, SLOW)] {
            let pool = Pool::start(|_| {}).unwrap();
            let (release, gate) = bounded::<()>(0);
            let mut accepted = 0;
            while pool
                .submit(lane, ClientProcess(1), {
                    let gate = gate.clone();
                    move |_| {
                        let _released = gate.recv();
                    }
                })
                .is_ok()
            {
                accepted += 1;
                assert!(accepted <= bounds.waiting + bounds.threads, "the queue has no bound");
            }
            assert!(accepted >= bounds.waiting);
            drop(release);
            pool.stop();
        }
    }

    #[test]
    fn where_threads_are_few_each_lane_has_one_and_all_questions_are_answered() {
        let pool = Pool::start_with(false, |_| {}).unwrap();
        assert_eq!(pool.threads.lock().unwrap().len(), 3);
        let (done, finished) = bounded(30);
        for asker in 0..10 {
            for lane in [Lane::Quick, Lane::Waiting, Lane::Slow] {
                let done = done.clone();
                pool.submit(lane, ClientProcess(asker), move |_| done.send(()).unwrap()).unwrap();
            }
        }
        for _ in 0..30 {
            finished.recv_timeout(LIMIT).unwrap();
        }
        let begun = Instant::now();
        pool.stop();
        assert!(begun.elapsed() < STOP_LIMIT, "who was never there is waited for");
        assert!(gives_threads(3), "a machine that runs this test gives three more");
    }

    #[test]
    fn a_panic_costs_no_thread() {
        let pool = Pool::start(|_| {}).unwrap();
        for _ in 0..QUICK.threads * 2 {
            pool.submit(Lane::Quick, ClientProcess(1), |_| panic!("expected by this test"))
                .unwrap();
        }
        let (done, finished) = bounded(1);
        pool.submit(Lane::Quick, ClientProcess(1), move |_| done.send(()).unwrap()).unwrap();
        finished.recv_timeout(LIMIT).unwrap();
        pool.stop();
    }

    #[test]
    fn with_the_last_thread_of_a_lane_nobody_waits_in_it_any_more() {
        let (queue, client) = (Queue::new(SLOW), ClientProcess(1));
        let (answer, answered) = bounded::<()>(1);
        let held = move |_| drop(answer);
        queue.submit(client, Box::new(held)).unwrap();
        for n in 1..=SLOW.threads {
            assert_eq!(queue.lose_thread(), n == SLOW.threads, "thread {n}");
        }
        assert!(answered.recv_timeout(LIMIT).is_err(), "who waited was not told");
        assert!(queue.submit(client, Box::new(|_| ())).is_err());
        assert!(queue.wait_for_end(Instant::now()), "its end is waited for");
    }

    #[test]
    fn one_process_does_not_get_every_thread_and_slow_tasks_hold_up_no_quick_ones() {
        let pool = Pool::start(|_| {}).unwrap();
        let (done, finished): (_, Receiver<&str>) = bounded(10);
        let tell = |what: &'static str| {
            let done = done.clone();
            move |_| done.send(what).unwrap()
        };
        let one = occupy(&pool, Lane::Slow, &[1; SLOW.running_each]);
        pool.submit(Lane::Slow, ClientProcess(1), tell("a third of the same")).unwrap();
        pool.submit(Lane::Slow, ClientProcess(2), tell("another's")).unwrap();
        assert_eq!(finished.recv_timeout(LIMIT).unwrap(), "another's");
        let others = occupy(&pool, Lane::Slow, &[2, 3]);
        pool.submit(Lane::Quick, ClientProcess(4), tell("a quick one")).unwrap();
        assert_eq!(finished.recv_timeout(LIMIT).unwrap(), "a quick one");
        assert!(finished.is_empty(), "it went past its bound");
        drop(one);
        assert_eq!(finished.recv_timeout(LIMIT).unwrap(), "a third of the same");
        drop(others);
        pool.stop();
    }

    #[test]
    fn a_full_queue_makes_room_for_who_has_few() {
        let pool = Pool::start(|_| {}).unwrap();
        let held = occupy(&pool, Lane::Slow, &[1, 2, 3, 4]);
        let (done, order) = bounded(100);
        let task = |name: u32| {
            let done = done.clone();
            move |outcome: TaskOutcome| done.send((name, outcome)).unwrap()
        };
        for _ in 0..SLOW.waiting {
            pool.submit(Lane::Slow, ClientProcess(1), task(1)).unwrap();
        }
        assert!(
            pool.submit(Lane::Slow, ClientProcess(1), task(1)).is_err(),
            "it may not turn itself away"
        );
        pool.submit(Lane::Slow, ClientProcess(9), task(9)).unwrap();
        assert_eq!(order.recv_timeout(LIMIT).unwrap(), (1, TaskOutcome::Displaced));
        drop(held);
        pool.stop();
        let ran: Vec<_> = order.try_iter().filter(|(_, outcome)| *outcome == TaskOutcome::Run).collect();
        assert_eq!((ran.len(), ran.contains(&(9, TaskOutcome::Run))), (SLOW.waiting, true));
    }

    #[test]
    fn who_used_least_goes_first_and_of_one_process_what_came_first() {
        let now = Instant::now();
        let mut state = State::default();
        for (client, used_ms) in [(1, 500), (2, 20)] {
            state.begin(ClientProcess(client), now);
            state.end(ClientProcess(client), Duration::from_millis(used_ms), now);
        }
        let (done, order) = bounded(10);
        for (client, name) in [(1, "1a"), (1, "1b"), (2, "2a"), (9, "9a"), (9, "9b")] {
            let done = done.clone();
            state
                .waiting
                .push((ClientProcess(client), Box::new(move |_| done.send(name).unwrap())));
        }
        while let Some((client, task)) = state.next(&QUICK, now) {
            state.begin(client, now);
            task(TaskOutcome::Run);
            state.end(client, Duration::from_millis(15), now);
        }
        assert_eq!(order.try_iter().collect::<Vec<_>>(), ["9a", "9b", "2a", "1a", "1b"]);
    }

    #[test]
    fn the_last_thread_is_for_who_asks_now_and_then() {
        let now = Instant::now();
        let mut state = State::default();
        for client in 1..SLOW.threads as u32 {
            state.begin(ClientProcess(client), now);
        }
        let heavy = ClientProcess(100);
        state.begin(heavy, now);
        state.end(heavy, LITTLE * 2, now);
        state.waiting.push((heavy, Box::new(|_| ())));
        state.waiting.push((ClientProcess(1), Box::new(|_| ())));
        assert!(state.next(&SLOW, now).is_none(), "both have had much");
        state.waiting.push((ClientProcess(200), Box::new(|_| ())));
        assert_eq!(state.next(&SLOW, now).map(|(client, _)| client), Some(ClientProcess(200)));
        state.end(ClientProcess(2), Duration::ZERO, now);
        assert!(state.next(&SLOW, now).is_some(), "another thread is free");
    }

    #[test]
    fn a_task_that_does_not_end_holds_up_no_shutdown() {
        let pool = Pool::start(|_| {}).unwrap();
        let held = occupy(&pool, Lane::Slow, &[1]);
        let begun = Instant::now();
        pool.stop();
        assert!(begun.elapsed() < LIMIT);
        drop(held);
    }

    #[test]
    fn what_was_used_is_forgotten_in_time() {
        let now = Instant::now();
        let mut state = State::default();
        state.begin(ClientProcess(1), now);
        state.end(ClientProcess(1), Duration::from_secs(1), now);
        let used = |state: &State, at| state.shares[&ClientProcess(1)].used_by(now + at);
        assert_eq!(used(&state, Duration::ZERO), Duration::from_secs(1));
        assert!(used(&state, HALF_LIFE).abs_diff(Duration::from_millis(500)) < Duration::from_millis(1));
        state.begin(ClientProcess(2), now + HALF_LIFE * 20);
        state.end(ClientProcess(2), Duration::from_secs(1), now + HALF_LIFE * 20);
        assert!(!state.shares.contains_key(&ClientProcess(1)));
    }
}
