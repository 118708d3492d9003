//! Work that many clients want at once is done once: the status for all subscribers, and the check for file events that are on their way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use scened_shared::frame::{RpcError, encode_event};
use scened_shared::message::Event;
use tokio::sync::Mutex;

use crate::ipc::context::Context;
use crate::ipc::handler::status;
use crate::requests::{ClientProcess, Lane};

/// Time for file events to arrive before the queue is read.
const BARRIER: Duration = Duration::from_millis(500);

/// The status as an event, built once for all who wait for it.
#[derive(Default)]
pub(super) struct StatusFeed(Mutex<Option<(Instant, Arc<[u8]>)>>);

impl StatusFeed {
    /// Returns the line of a status that was assembled after `since`.
    pub(super) async fn line(&self, context: &Arc<Context>, since: Instant) -> Result<Arc<[u8]>, RpcError> {
        let mut last = self.0.lock().await;
        if let Some((begun, line)) = &*last
            && *begun >= since
        {
            return Ok(Arc::clone(line));
        }
        let begun = Instant::now();
        let status = status::current(context, ClientProcess::DAEMON).await?;
        let line: Arc<[u8]> = encode_event(&Event::Status { status: Box::new(status) }).into();
        *last = Some((begun, Arc::clone(&line)));
        Ok(line)
    }
}

/// One barrier of the reconciler, shared by all who wait for one.
#[derive(Default)]
pub(super) struct SharedBarrier(Mutex<Option<Instant>>);

impl SharedBarrier {
    /// Returns when a barrier that began after the call has ended, or its time is up.
    pub(super) async fn pass(&self, context: &Arc<Context>) -> Result<(), RpcError> {
        let called = Instant::now();
        let mut begun = self.0.lock().await;
        if begun.is_some_and(|begun| begun >= called) {
            return Ok(());
        }
        let now = Instant::now();
        let for_pool = Arc::clone(context);
        context
            .in_pool(Lane::Quick, ClientProcess::DAEMON, move || {
                for_pool.reconciler.barrier(BARRIER);
                Ok(())
            })
            .await?;
        *begun = Some(now);
        Ok(())
    }
}
