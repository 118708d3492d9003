//! The local socket: connections, requests, answers.
//!
//! One task a connection on the daemon's single async thread; whatever blocks runs on the query pool. A connection handles one
//! request at a time, in order. Wire types are made and read in `convert` and the handlers only.
//!
//! **Bounds**: [`MAX_CONNECTIONS`]; one line of [`scened_shared::frame::MAX_REQUEST_BYTES`] a connection; the pool's queue. Each limit is
//! answered, never waited out.

mod connection;
mod context;
mod convert;
mod handler;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use interprocess::local_socket::tokio::Listener;
use interprocess::local_socket::traits::tokio::Listener as _;
use tokio::sync::watch;
use tracing::{debug, warn};

pub use crate::ipc::context::{Context, Event};

/// Clients connected at the same time; one more is told "overloaded" and closed.
const MAX_CONNECTIONS: usize = 128;
/// After a failed `accept` (out of descriptors, say) the next try waits so long, so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Accepts clients until `stop` becomes true.
pub async fn serve(listener: Listener, context: Arc<Context>, mut stop: watch::Receiver<bool>) {
    let n_connections = Arc::new(AtomicUsize::new(0));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let stream = match accepted {
            Ok(stream) => stream,
            Err(error) => {
                warn!(%error, "cannot accept a client");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if let Err(error) = crate::instance::check_peer(&stream) {
            warn!(%error, "refused a client");
            continue;
        }
        let slot = ConnectionSlot::take(&n_connections);
        let context = Arc::clone(&context);
        let mut stop = stop.clone();
        tokio::spawn(async move {
            let Some(_slot) = slot else {
                connection::refuse(stream).await;
                return;
            };
            tokio::select! {
                ended = connection::converse(stream, &context) => {
                    if let Err(error) = ended {
                        debug!(%error, "a connection ended");
                    }
                }
                _ = stop.wait_for(|stop| *stop) => {}
            }
        });
    }
}

/// Counts one connection for as long as it lives.
struct ConnectionSlot(Arc<AtomicUsize>);

impl ConnectionSlot {
    fn take(count: &Arc<AtomicUsize>) -> Option<Self> {
        count
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| (n < MAX_CONNECTIONS).then_some(n + 1))
            .is_ok()
            .then(|| Self(Arc::clone(count)))
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
