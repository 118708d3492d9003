//! The threads that answer requests, so that nothing blocks on the async thread, and the order in which requests are served.
//!
//! Each lane has its own threads ([`Lane`]). Requests that only read memory and the store never wait behind requests that wait for the
//! model. Nor do they wait behind requests that touch files named by a client, decode, or scan everything. Within a lane, the client
//! process that used it least recently goes first. So an occasional client is not slowed down by others that ask all the time.
//!
//! **Bounds**, for each lane: threads, running tasks of one process, waiting tasks. If the queue is full, a task of a process with fewer
//! waiting tasks displaces the newest task of the process with most. Otherwise the new task is rejected. No task waits for a place in the
//! queue.
//!
//! Knows neither the content of requests nor the wire.

mod pool;

use tokio::sync::oneshot;

pub use crate::requests::pool::{ClientProcess, Lane, Overloaded, Pool, TaskOutcome};

/// Why a task gave no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// Too many tasks wait, or it was displaced by a process with fewer waiting tasks.
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
    /// It panicked, or its lane has no thread left.
    #[error("scened failed on this request (a bug: please report it)")]
    Failed,
}

impl Pool {
    /// Runs blocking work on a thread of `lane`, and waits for its result. A full lane is an error, not a wait.
    ///
    /// The work is skipped if the caller stops waiting before its turn.
    pub async fn run<T: Send + 'static>(
        &self,
        lane: Lane,
        client: ClientProcess,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Unanswered> {
        let (done, answer) = oneshot::channel();
        let task = move |outcome| {
            // If the client has left, no one needs the answer.
            if done.is_closed() {
                return;
            }
            let _unheard = done.send(match outcome {
                TaskOutcome::Run => Ok(work()),
                TaskOutcome::Displaced => Err(Overloaded.into()),
            });
        };
        self.submit(lane, client, task)?;
        answer.await.unwrap_or(Err(Unanswered::Failed))
    }
}
