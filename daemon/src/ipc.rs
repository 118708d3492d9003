//! The local socket: connections, requests, answers.
//!
//! Each connection has one task on the daemon's single async thread. Whatever blocks runs on the query pool. A connection handles one
//! request at a time, in order, and yields to the others after each. Except for the greeting and the status event, wire types are built and
//! read only in `convert` and the handlers.
//!
//! **Bounds**: connections, long lines and large answers ([`limits`]); one line of [`scened_shared::frame::MAX_REQUEST_BYTES`] per
//! connection; the pool's queues. Exceeding a limit gives an error at once, never a wait.

mod connection;
mod context;
mod convert;
mod event;
mod handler;
mod limits;
mod shared;
mod wire;

use std::sync::Arc;
use std::time::{Duration, Instant};

use interprocess::local_socket::tokio::{Listener, Stream};
use interprocess::local_socket::traits::tokio::Listener as _;
use tokio::net::UnixStream;
use tokio::sync::watch;
use tracing::{debug, warn};

pub use crate::ipc::context::Context;
pub use crate::ipc::event::Event;
use crate::ipc::limits::Limits;
use crate::ipc::shared::{SharedBarrier, StatusFeed};
use crate::ipc::wire::Wire;
use crate::requests::ClientProcess;

/// Pause after a failed `accept` (for example without free descriptors), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// A failure that may concern every client is logged at most once in this time.
const COMPLAINT_INTERVAL: Duration = Duration::from_mins(1);

/// The parts that all connections share.
struct Server {
    context: Arc<Context>,
    limits: Arc<Limits>,
    feed: StatusFeed,
    barrier: SharedBarrier,
}

/// Accepts clients until `stop` becomes true.
pub async fn serve(listener: Listener, context: Arc<Context>, mut stop: watch::Receiver<bool>) {
    let server = Arc::new(Server {
        context,
        limits: Arc::new(Limits::of_system()),
        feed: StatusFeed::default(),
        barrier: SharedBarrier::default(),
    });
    let mut complained: Option<Instant> = None;
    let mut complain = |what: &str, error: &dyn std::error::Error| {
        if complained.is_none_or(|at| at.elapsed() > COMPLAINT_INTERVAL) {
            complained = Some(Instant::now());
            warn!(error = %crate::fatal::with_causes(error), "{what}");
        }
    };
    loop {
        crate::failpoint::panic_here("accept");
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let stream = match accepted {
            Ok(stream) => stream,
            Err(error) => {
                complain("cannot accept a client", &error);
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let client = match crate::instance::check_peer(&stream) {
            Ok(pid) => ClientProcess(pid),
            Err(error) => {
                complain("refused a client", &error);
                continue;
            }
        };
        let Stream::UdSocket(stream) = stream;
        // Tokio's stream yields to other tasks even if there is always something to read; interprocess's does not.
        let wire = Wire::new(UnixStream::from(stream), Arc::clone(&server.limits));
        let slot = server.limits.slots.take(client, Instant::now());
        let server = Arc::clone(&server);
        let mut stop = stop.clone();
        tokio::spawn(async move {
            let Some(slot) = slot else {
                connection::refuse(wire).await;
                return;
            };
            tokio::select! {
                ended = connection::converse(wire, &server, client, &slot) => {
                    if let Err(error) = ended {
                        debug!(%error, "a connection ended");
                    }
                }
                _ = stop.wait_for(|stop| *stop) => {}
            }
        });
    }
}
