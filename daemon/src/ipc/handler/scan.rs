//! `rescan` and `retry`.

use std::path::Path;

use scened_shared::frame::RpcError;
use scened_shared::message::{DoneAnswer, ErrorKind, ScopeRequest};

use crate::ipc::context::Context;
use crate::ipc::convert;
use crate::ipc::handler::status;
use crate::store::{JobKind, VideoState};

pub(super) fn rescan(context: &Context, request: &ScopeRequest) -> Result<DoneAnswer, RpcError> {
    let scope = request.scope.as_ref().map(|scope| context.path(scope)).transpose()?;
    if request.force {
        return decode_anew(context, scope.as_deref());
    }
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
    if let Some(why) = context.reconciler.is_given_up() {
        return Err(RpcError::new(ErrorKind::Unavailable, why));
    }
    let n = context.reconciler.rescan(scope);
    Ok(DoneAnswer {
        n,
        state: status::state(context).to_owned(),
        forced: false,
    })
}

/// Decodes one file again, whatever is known of it: for a file that changed but looks unchanged to scened.
fn decode_anew(context: &Context, file: Option<&Path>) -> Result<DoneAnswer, RpcError> {
    let Some(file) = file else {
        return Err(
            RpcError::new(ErrorKind::InvalidParams, "force needs a file: it does not decode everything again")
                .hint("scenectl rescan --force FILE; scenectl model use MODEL --reindex decodes all videos again"),
        );
    };
    let Some(record) = context.store.video_at(file) else {
        return Err(
            RpcError::new(ErrorKind::NotFound, format!("{} is not an indexed video", file.display()))
                .hint("force takes one file; scenectl why FILE explains its state"),
        );
    };
    if record.offline {
        return Err(
            RpcError::new(ErrorKind::Unavailable, format!("{} cannot be reached at present", file.display()))
                .hint("scenectl why FILE says where it is; it stays searchable"),
        );
    }
    context
        .store
        .requeue_to(JobKind::Afresh, record.id, None, crate::machine::clock::now_ms())
        .map_err(|error| convert::store_error(&error))?;
    // A running job may be about to find that nothing changed.
    context.indexer.start_over(record.id);
    // The file itself may have been replaced.
    context.reconciler.rescan(Some(record.path.clone()));
    context.indexer.catch_up();
    Ok(DoneAnswer {
        n: 1,
        state: status::state(context).to_owned(),
        forced: true,
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
            .requeue(record.id, None, crate::machine::clock::now_ms())
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
        forced: false,
    })
}
