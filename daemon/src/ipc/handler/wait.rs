//! `wait`: answers when no walk, no settling file and no job is left.

use std::sync::Arc;
use std::time::Duration;

use scened_shared::frame::{Request, RpcError};
use scened_shared::message::{ErrorKind, Queue, WaitAnswer, WaitRequest};
use serde_json::value::{RawValue, to_raw_value};
use tokio::time::{Instant, sleep_until};

use crate::ipc::context::Context;
use crate::ipc::handler::{in_pool, status};

/// Time for file events that are on their way to arrive before the queue is looked at.
const BARRIER: Duration = Duration::from_millis(500);
/// A limit longer than this is the same as none: `Instant` arithmetic must not overflow.
const LONGEST: Duration = Duration::from_hours(10 * 365 * 24);

pub(in crate::ipc) async fn answer(context: &Arc<Context>, request: Request) -> Result<Box<RawValue>, RpcError> {
    let request: WaitRequest = request.params()?;
    let deadline = Instant::now() + request.timeout_ms.map_or(LONGEST, Duration::from_millis).min(LONGEST);
    let mut activity = context.activity.listen();
    let for_pool = Arc::clone(context);
    in_pool(context, move || {
        for_pool.reconciler.barrier(BARRIER);
        Ok(())
    })
    .await?;
    loop {
        let queue = status::queue(context);
        let idle = queue == Queue::default();
        if idle || Instant::now() >= deadline {
            let answer = WaitAnswer {
                idle,
                queue,
                videos: status::videos(context),
            };
            return to_raw_value(&answer)
                .map_err(|error| RpcError::new(ErrorKind::Internal, format!("the answer cannot be written: {error}")));
        }
        tokio::select! {
            _ = activity.changed() => {}
            () = sleep_until(deadline) => {}
        }
    }
}
