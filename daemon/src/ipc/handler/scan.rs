//! `rescan` and `retry`.

use scened_shared::frame::RpcError;
use scened_shared::message::{DoneAnswer, ErrorKind, ScopeRequest};

use crate::ipc::context::Context;
use crate::ipc::convert;
use crate::ipc::handler::status;
use crate::store::VideoState;

pub(super) fn rescan(context: &Context, request: &ScopeRequest) -> Result<DoneAnswer, RpcError> {
    let scope = request.scope.as_ref().map(|scope| context.path(scope)).transpose()?;
    if let Some(scope) = &scope
        && !context
            .reconciler
            .roots()
            .iter()
            .any(|root| scope.starts_with(&root.path) || root.path.starts_with(scope))
    {
        return Err(
            RpcError::new(ErrorKind::NotFound, format!("{} is not in a watched folder", scope.display()))
                .hint("scenectl add DIR watches a folder; scenectl folders lists them"),
        );
    }
    if let Some(why) = context.reconciler.is_left_off() {
        return Err(RpcError::new(ErrorKind::Unavailable, why));
    }
    let n = context.reconciler.rescan(scope);
    Ok(DoneAnswer {
        n,
        state: status::state(context).to_owned(),
    })
}

pub(super) fn retry(context: &Context, request: &ScopeRequest) -> Result<DoneAnswer, RpcError> {
    let scope = request.scope.as_ref().map(|scope| context.path(scope)).transpose()?;
    let failed = context
        .store
        .videos()
        .into_iter()
        .filter(|record| record.state == VideoState::Failed);
    let mut n = 0;
    for record in failed.filter(|record| scope.as_ref().is_none_or(|scope| record.path.starts_with(scope))) {
        context
            .store
            .requeue(record.id, None, crate::clock::now_ms())
            .map_err(|error| convert::store_error(&error))?;
        n += 1;
    }
    if n == 0
        && let Some(scope) = &scope
    {
        return Err(
            RpcError::new(ErrorKind::NotFound, format!("no failed file at {}", scope.display())).hint("scenectl incidents lists them")
        );
    }
    context.models.reopen_if_unusable();
    context.indexer.catch_up();
    Ok(DoneAnswer {
        n,
        state: status::state(context).to_owned(),
    })
}
