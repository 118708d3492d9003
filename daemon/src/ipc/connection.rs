//! The conversation with one client.

use std::io;
use std::time::Duration;

use scened_shared::frame::{Id, Request, RpcError, encode_error, encode_event, encode_response, parse_request};
use scened_shared::hello;
use scened_shared::message::{self, ErrorKind};
use scened_shared::method::{self, Method as _};
use tokio::sync::broadcast::error::RecvError;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout};

use crate::ipc::limits::Slot;
use crate::ipc::wire::{Line, Wire};
use crate::ipc::{Server, convert, handler};
use crate::requests::{ClientProcess, Lane};

/// A client that sends no `hello` within this time is disconnected.
const HELLO_LIMIT: Duration = Duration::from_secs(10);
/// Minimum time between two status events.
const STATUS_INTERVAL: Duration = Duration::from_millis(500);
/// A longer line is parsed on the query pool: a megabyte of JSON would block the async thread for milliseconds.
const READ_HERE_BYTES: usize = 16 << 10;

/// Tells a client that too many clients are connected.
pub(super) async fn refuse(mut wire: Wire) {
    let error = RpcError::new(ErrorKind::Overloaded, "too many clients are connected").hint("try again in a moment");
    wire.farewell(&error).await;
}

/// Answers requests until the client leaves or another client needs its seat.
pub(super) async fn converse(mut wire: Wire, server: &Server, client: ClientProcess, slot: &Slot) -> io::Result<()> {
    let outcome = tokio::select! {
        ended = requests(&mut wire, server, client, slot) => Some(ended),
        () = slot.must_leave() => None,
    };
    if let Some(ended) = outcome {
        return ended;
    }
    let message = "too many clients are connected, and a program with fewer connections needs one";
    let error = RpcError::new(ErrorKind::Overloaded, message).hint("connect again in a moment");
    wire.farewell(&error).await;
    Ok(())
}

async fn requests(wire: &mut Wire, server: &Server, client: ClientProcess, slot: &Slot) -> io::Result<()> {
    let context = &server.context;
    let Ok(greeted) = timeout(HELLO_LIMIT, greet(wire, server, client)).await else {
        let message = format!("no `hello` came within {} s", HELLO_LIMIT.as_secs());
        wire.farewell(&RpcError::new(ErrorKind::TimedOut, message)).await;
        return Ok(());
    };
    if !greeted? {
        return Ok(());
    }
    while let Some(request) = next_request(wire, server, client).await? {
        slot.set_busy(true);
        let id = request.id.clone();
        let outcome = match request.method.as_str() {
            method::Subscribe::NAME => return stream_events(wire, server, client, &id).await,
            method::Wait::NAME => wire.unless_gone(handler::wait::answer(server, client, request)).await?,
            _ => wire.unless_gone(handler::dispatch(context, client, request)).await?,
        };
        let Some(outcome) = outcome else { return Ok(()) };
        wire.answer(&id, outcome).await?;
        slot.set_busy(false);
        // After each answer the other connections get their turn.
        yield_now().await;
    }
    Ok(())
}

/// Returns the next well-formed request, and answers malformed ones itself. `None` if the client has left or the connection must end.
async fn next_request(wire: &mut Wire, server: &Server, client: ClientProcess) -> io::Result<Option<Request>> {
    while let Some(line) = wire.line().await? {
        match read_request(line, server, client).await {
            Ok(request) => return Ok(Some(request)),
            Err((id, error)) => wire.send(&encode_error(id.as_ref(), &error)).await?,
        }
        yield_now().await;
    }
    Ok(None)
}

async fn read_request(line: Line, server: &Server, client: ClientProcess) -> Result<Request, (Option<Id>, RpcError)> {
    if line.bytes.len() <= READ_HERE_BYTES {
        return parse_request(&line.bytes);
    }
    let read = server.context.in_pool(Lane::Quick, client, move || Ok(parse_request(&line.bytes)));
    read.await.map_err(|error| (None, error))?
}

/// Returns true if the client may continue.
async fn greet(wire: &mut Wire, server: &Server, client: ClientProcess) -> io::Result<bool> {
    loop {
        let Some(request) = next_request(wire, server, client).await? else {
            return Ok(false);
        };
        let id = request.id.clone();
        if request.method != method::Hello::NAME {
            wire.send(&encode_error(Some(&id), &hello::hello_required())).await?;
            yield_now().await;
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

/// Sends the status, then streams events.
async fn stream_events(wire: &mut Wire, server: &Server, client: ClientProcess, id: &Id) -> io::Result<()> {
    let context = &server.context;
    let mut events = context.events.subscribe();
    let mut activity = context.activity.listen();
    let Some(status) = wire.unless_gone(handler::status::current(context, client)).await? else {
        return Ok(());
    };
    wire.answer(id, status).await?;
    let mut last_status = Instant::now();
    // The time of the next status event, and the time of the latest change that it must include.
    let mut due: Option<(Instant, std::time::Instant)> = None;
    loop {
        let status_due = async {
            match due {
                Some((at, _)) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            event = events.recv() => match event {
                Ok(event) => wire.send(&encode_event(&convert::event(&event))).await?,
                // The client is too slow for single events; the status that follows replaces them.
                Err(RecvError::Lagged(_)) => due = Some((Instant::now(), std::time::Instant::now())),
                Err(RecvError::Closed) => return Ok(()),
            },
            changed = activity.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
                let at = due.map_or(last_status + STATUS_INTERVAL, |(at, _)| at);
                due = Some((at, std::time::Instant::now()));
            }
            () = status_due => {
                let since = due.take().map_or_else(std::time::Instant::now, |(_, since)| since);
                last_status = Instant::now();
                if let Ok(line) = server.feed.line(context, since).await {
                    wire.send(&line).await?;
                }
            }
            line = wire.line() => match line? {
                None => return Ok(()),
                Some(line) => {
                    let id = read_request(line, server, client).await.map_or_else(|(id, _)| id, |request| Some(request.id));
                    let error = RpcError::new(ErrorKind::InvalidRequest, "this connection only sends events now")
                        .hint("use another connection");
                    wire.send(&encode_error(id.as_ref(), &error)).await?;
                    yield_now().await;
                }
            },
        }
    }
}
