//! `wait`: answers when no walk, no settling file and no job is left, or when its time is up.

use std::sync::Arc;
use std::time::Duration;

use scened_shared::frame::{Request, RpcError};
use scened_shared::message::{ErrorKind, Queue, WaitAnswer, WaitRequest};
use serde_json::value::{RawValue, to_raw_value};
use tokio::time::{Instant, sleep_until};

use crate::ipc::Server;
use crate::ipc::handler::status;
use crate::requests::{ClientProcess, Lane};

/// A longer limit counts as this one, so that `Instant` arithmetic cannot overflow. Without a limit, this one applies.
const LONGEST: Duration = Duration::from_hours(10 * 365 * 24);

pub(in crate::ipc) async fn answer(server: &Server, client: ClientProcess, request: Request) -> Result<Box<RawValue>, RpcError> {
    let request: WaitRequest = request.params()?;
    let deadline = Instant::now() + request.timeout_ms.map_or(LONGEST, Duration::from_millis).min(LONGEST);
    let context = &server.context;
    let mut activity = context.activity.listen();
    server.barrier.pass(context).await?;
    loop {
        let queue = status::queue(context);
        let idle = queue == Queue::default();
        if !idle && let Some(why) = status::stuck(context) {
            return Err(RpcError::new(ErrorKind::Unavailable, format!("waiting would never end: {why}")));
        }
        if idle || Instant::now() >= deadline {
            let for_pool = Arc::clone(context);
            let videos = context.in_pool(Lane::Quick, client, move || Ok(status::videos(&for_pool))).await?;
            let answer = WaitAnswer { idle, queue, videos };
            return to_raw_value(&answer)
                .map_err(|error| RpcError::new(ErrorKind::Internal, format!("the answer cannot be written: {error}")));
        }
        tokio::select! {
            _ = activity.changed() => {}
            () = sleep_until(deadline) => {}
        }
    }
}
