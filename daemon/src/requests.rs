//! Threads that answer requests, so that nothing blocking runs on the async thread; and which request is served first.
//!
//! Lanes with threads of their own ([`Lane`]): what only looks into memory and the store never waits behind what waits for the model, nor
//! behind what touches files that a client names, decodes, or walks through everything. Within a lane the
//! client process that used it least lately goes first: who asks now and then is not slowed by others that ask all the time.
//!
//! **Bounds**, for each lane: threads, tasks of one process at work, tasks waiting. A full queue takes the task of a process that has
//! fewer waiting, and turns the newest one of whoever has most away; otherwise the newcomer is. Nobody waits for room.
//!
//! Knows neither what is asked nor the wire.

mod pool;

use tokio::sync::oneshot;

pub use crate::requests::pool::{ClientProcess, Lane, Overloaded, Pool, TaskOutcome};

/// Why a task gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// Too many wait, or it made room for a process that had fewer waiting.
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
    /// It panicked, or no thread is left in its lane.
    #[error("scened failed on this request (a bug: please report it)")]
    Failed,
}

impl Pool {
    /// Does blocking work on a thread of `lane`, and waits for what comes of it. A full lane is an answer, not a wait.
    ///
    /// Nothing is done where the caller has stopped waiting before it is its turn.
    pub async fn run<T: Send + 'static>(
        &self,
        lane: Lane,
        client: ClientProcess,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Unanswered> {
        let (done, answer) = oneshot::channel();
        let task = move |outcome| {
            // The client may have left; then nobody wants the answer.
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
