//! Threads that answer questions, so that nothing blocking runs on the async thread.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crossbeam_channel::{Sender, TrySendError, bounded};
use tracing::error;

/// Questions at work at the same time. They mostly wait for the one embed worker, so more than the cores is right.
const N_THREADS: usize = 8;
/// Questions that may wait; one more is told "overloaded" at once.
const QUEUE: usize = 64;

type Task = Box<dyn FnOnce() + Send>;

#[derive(Debug, thiserror::Error)]
#[error("too many questions at once")]
pub struct Overloaded;

#[derive(Clone)]
pub struct Pool {
    tasks: Arc<Mutex<Option<Sender<Task>>>>,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Pool {
    pub fn start() -> std::io::Result<Self> {
        let (tasks, waiting) = bounded::<Task>(QUEUE);
        let threads = (0..N_THREADS)
            .map(|index| {
                let waiting = waiting.clone();
                std::thread::Builder::new().name(format!("query-{index}")).spawn(move || {
                    for task in waiting {
                        // A bug in one answer must not cost the pool a thread; the asker sees its channel close.
                        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(task)).is_err() {
                            error!("a question made scened fail (a bug: please report it)");
                        }
                    }
                })
            })
            .collect::<std::io::Result<_>>()?;
        Ok(Self {
            tasks: Arc::new(Mutex::new(Some(tasks))),
            threads: Arc::new(Mutex::new(threads)),
        })
    }

    /// Queues a task; never waits.
    pub fn submit(&self, task: impl FnOnce() + Send + 'static) -> Result<(), Overloaded> {
        let tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        match tasks.as_ref().map(|tasks| tasks.try_send(Box::new(task))) {
            Some(Ok(())) => Ok(()),
            Some(Err(TrySendError::Full(_) | TrySendError::Disconnected(_))) | None => Err(Overloaded),
        }
    }

    /// Lets queued tasks finish and joins the threads.
    pub fn stop(&self) {
        drop(self.tasks.lock().unwrap_or_else(PoisonError::into_inner).take());
        for thread in self.threads.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            if thread.join().is_err() {
                error!("a query thread panicked");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_is_an_answer_not_a_wait() {
        let pool = Pool::start().unwrap();
        let (release, gate) = bounded::<()>(0);
        let mut accepted = 0;
        while pool
            .submit({
                let gate = gate.clone();
                move || {
                    let _released = gate.recv();
                }
            })
            .is_ok()
        {
            accepted += 1;
            assert!(accepted <= QUEUE + N_THREADS, "the queue has no bound");
        }
        assert!(accepted >= QUEUE);
        drop(release);
        pool.stop();
    }

    #[test]
    fn a_panic_costs_no_thread() {
        let pool = Pool::start().unwrap();
        for _ in 0..N_THREADS * 2 {
            pool.submit(|| panic!("expected by this test")).unwrap();
        }
        let (done, finished) = bounded(1);
        pool.submit(move || done.send(()).unwrap()).unwrap();
        finished.recv_timeout(std::time::Duration::from_secs(10)).unwrap();
        pool.stop();
    }
}
