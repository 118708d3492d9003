//! `pause` and `resume`.

use std::time::Duration;

use scened_shared::frame::RpcError;
use scened_shared::message::{DoneAnswer, ErrorKind, PauseRequest};

use crate::ipc::context::Context;
use crate::ipc::convert;
use crate::ipc::handler::status;
use crate::pipeline::pause;

/// Longest pause with an end; a longer one is better requested without an end.
const LONGEST: Duration = Duration::from_hours(366 * 24);

pub(super) fn pause(context: &Context, request: &PauseRequest) -> Result<DoneAnswer, RpcError> {
    let duration = request.for_ms.map(Duration::from_millis);
    if duration.is_some_and(|duration| duration > LONGEST || duration.is_zero()) {
        return Err(RpcError::new(ErrorKind::InvalidParams, "a pause lasts at most a year")
            .hint("scenectl pause, without --for, lasts until scenectl resume"));
    }
    context.indexer.pause(duration);
    // A pause without an end survives a restart, because the user asked for that. One with an end does not, because its clock stops.
    remember(context, duration.is_none())?;
    Ok(DoneAnswer {
        n: context.indexer.n_jobs(),
        state: status::state(context).to_owned(),
        forced: false,
    })
}

pub(super) fn resume(context: &Context) -> Result<DoneAnswer, RpcError> {
    remember(context, false)?;
    context.indexer.resume();
    Ok(DoneAnswer {
        n: context.indexer.n_jobs(),
        state: status::state(context).to_owned(),
        forced: false,
    })
}

fn remember(context: &Context, paused: bool) -> Result<(), RpcError> {
    pause::remember(&context.store, paused).map_err(|error| convert::store_error(&error))
}
