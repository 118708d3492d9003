//! One client's conversation.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use interprocess::local_socket::tokio::Stream;
use scened_shared::frame::{
    Id, LineSplitter, MAX_REQUEST_BYTES, Request, RpcError, encode_error, encode_event, encode_response, parse_request,
};
use scened_shared::hello;
use scened_shared::message::{self, ErrorKind};
use scened_shared::method::{self, Method as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout};

use crate::ipc::context::Context;
use crate::ipc::{convert, handler};

/// A client that connects and says nothing is let go after this.
const HELLO_LIMIT: Duration = Duration::from_secs(10);
/// A client that does not read its answer for so long is cut off.
const WRITE_LIMIT: Duration = Duration::from_secs(20);
/// Status events are not sent more often than this.
const STATUS_INTERVAL: Duration = Duration::from_millis(500);

/// Tells a client that there are too many, and closes.
pub(super) async fn refuse(stream: Stream) {
    let error = RpcError::new(ErrorKind::Overloaded, "too many clients are connected").hint("try again in a moment");
    let mut wire = Wire::new(stream);
    // Whether the client still hears it makes no difference.
    let _told = wire.send(&encode_error(None, &error)).await;
}

/// Answers requests until the client leaves.
pub(super) async fn converse(stream: Stream, context: &Arc<Context>) -> io::Result<()> {
    let mut wire = Wire::new(stream);
    let Ok(greeted) = timeout(HELLO_LIMIT, greet(&mut wire)).await else {
        return Ok(());
    };
    if !greeted? {
        return Ok(());
    }
    while let Some(request) = wire.request().await? {
        let id = request.id.clone();
        if request.method == method::Subscribe::NAME {
            return stream_events(&mut wire, context, &id).await;
        }
        let outcome = if request.method == method::Wait::NAME {
            // The only request that may take for ever: notice when the client has gone.
            let Some(outcome) = wire.unless_gone(handler::wait::answer(context, request)).await? else {
                return Ok(());
            };
            outcome
        } else {
            handler::dispatch(context, request).await
        };
        wire.send(&encode_response(&id, &outcome)).await?;
    }
    Ok(())
}

/// True when the client may go on.
async fn greet(wire: &mut Wire) -> io::Result<bool> {
    loop {
        let Some(request) = wire.request().await? else { return Ok(false) };
        let id = request.id.clone();
        if request.method != method::Hello::NAME {
            wire.send(&encode_error(Some(&id), &hello::hello_required())).await?;
            continue;
        }
        let outcome = request
            .params::<message::Hello>()
            .and_then(|greeting| hello::check_client(&greeting));
        let refused = outcome.is_err();
        wire.send(&encode_response(&id, &outcome.map(|()| hello::welcome(env!("CARGO_PKG_VERSION")))))
            .await?;
        if !refused {
            return Ok(true);
        }
    }
}

/// Replays the state, then streams what happens.
async fn stream_events(wire: &mut Wire, context: &Arc<Context>, id: &Id) -> io::Result<()> {
    let mut events = context.events.subscribe();
    let mut activity = context.activity.listen();
    wire.send(&encode_response(id, &handler::status::current(context).await)).await?;
    let mut last_status = Instant::now();
    let mut due: Option<Instant> = None;
    loop {
        let status_due = async {
            match due {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            event = events.recv() => match event {
                Ok(event) => wire.send(&encode_event(&convert::event(&event))).await?,
                // Too slow for single events: the status that follows says where things stand.
                Err(RecvError::Lagged(_)) => due = Some(Instant::now()),
                Err(RecvError::Closed) => return Ok(()),
            },
            changed = activity.changed(), if due.is_none() => {
                if changed.is_err() {
                    return Ok(());
                }
                due = Some(last_status + STATUS_INTERVAL);
            }
            () = status_due => {
                due = None;
                last_status = Instant::now();
                if let Ok(status) = handler::status::current(context).await {
                    wire.send(&encode_event(&message::Event::Status { status: Box::new(status) })).await?;
                }
            }
            gone = wire.gone() => return gone,
        }
    }
}

/// Lines in, lines out.
struct Wire {
    stream: Stream,
    lines: LineSplitter,
}

impl Wire {
    fn new(stream: Stream) -> Self {
        Self {
            stream,
            lines: LineSplitter::new(MAX_REQUEST_BYTES),
        }
    }

    async fn send(&mut self, line: &[u8]) -> io::Result<()> {
        let written = timeout(WRITE_LIMIT, async {
            self.stream.write_all(line).await?;
            self.stream.flush().await
        });
        written
            .await
            .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read its answers")))
    }

    /// The next well-formed request; what is malformed is answered here. `None` when the client has left or must be left.
    async fn request(&mut self) -> io::Result<Option<Request>> {
        loop {
            match self.lines.next_line() {
                Some(Ok(line)) => match parse_request(&line) {
                    Ok(request) => return Ok(Some(request)),
                    Err((id, error)) => self.send(&encode_error(id.as_ref(), &error)).await?,
                },
                Some(Err(too_long)) => {
                    self.send(&encode_error(None, &too_long.to_rpc())).await?;
                    return Ok(None);
                }
                None => {
                    if !self.fill().await? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Reads once; false at the end of the stream.
    async fn fill(&mut self) -> io::Result<bool> {
        let mut piece = [0_u8; 8192];
        let n = self.stream.read(&mut piece).await?;
        self.lines.push(&piece[..n]);
        Ok(n > 0)
    }

    /// Returns when the client closes; what it sends meanwhile is kept up to the cap of a line.
    async fn gone(&mut self) -> io::Result<()> {
        // A client that goes on and on without waiting for its answer is let go.
        while self.lines.n_buffered_bytes() <= MAX_REQUEST_BYTES && self.fill().await? {}
        Ok(())
    }

    /// `None` when the client closed before `work` was done.
    async fn unless_gone<T>(&mut self, work: impl Future<Output = T>) -> io::Result<Option<T>> {
        tokio::select! {
            done = work => Ok(Some(done)),
            gone = self.gone() => gone.map(|()| None),
        }
    }
}
