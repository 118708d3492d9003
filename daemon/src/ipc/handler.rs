//! One file a verb. A handler gets checked parameters and gives a wire answer; it blocks, on the query pool.

mod doctor;
mod folders;
mod forget;
mod incidents;
mod model;
mod pause;
mod scan;
mod scenes;
mod search;
pub(super) mod status;
mod thumbnail;
pub(super) mod wait;
mod why;

use std::sync::Arc;

use scened_shared::frame::{Request, RpcError};
use scened_shared::message::ErrorKind;
use scened_shared::method::{self, Method};
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::oneshot;

use crate::ipc::context::Context;

pub(super) async fn dispatch(context: &Arc<Context>, request: Request) -> Result<Box<RawValue>, RpcError> {
    match request.method.as_str() {
        method::Search::NAME => on_pool::<method::Search>(context, request, search::search).await,
        method::Similar::NAME => on_pool::<method::Similar>(context, request, search::similar).await,
        method::Scenes::NAME => on_pool::<method::Scenes>(context, request, scenes::answer).await,
        method::Status::NAME => on_pool::<method::Status>(context, request, |context, _| Ok(status::assemble(context))).await,
        method::Folders::NAME => on_pool::<method::Folders>(context, request, |context, _| Ok(folders::list(context))).await,
        method::Add::NAME => on_pool::<method::Add>(context, request, folders::add).await,
        method::Remove::NAME => on_pool::<method::Remove>(context, request, folders::remove).await,
        method::Forget::NAME => on_pool::<method::Forget>(context, request, forget::answer).await,
        method::Rescan::NAME => on_pool::<method::Rescan>(context, request, scan::rescan).await,
        method::Retry::NAME => on_pool::<method::Retry>(context, request, scan::retry).await,
        method::Incidents::NAME => on_pool::<method::Incidents>(context, request, |context, _| incidents::answer(context)).await,
        method::Pause::NAME => on_pool::<method::Pause>(context, request, pause::pause).await,
        method::Resume::NAME => on_pool::<method::Resume>(context, request, |context, _| pause::resume(context)).await,
        method::Why::NAME => on_pool::<method::Why>(context, request, why::answer).await,
        method::ModelList::NAME => on_pool::<method::ModelList>(context, request, |context, _| Ok(model::list(context))).await,
        method::ModelUse::NAME => on_pool::<method::ModelUse>(context, request, model::use_model).await,
        method::ModelInfo::NAME => on_pool::<method::ModelInfo>(context, request, model::info).await,
        method::ModelRemove::NAME => on_pool::<method::ModelRemove>(context, request, model::remove).await,
        method::Doctor::NAME => on_pool::<method::Doctor>(context, request, |context, _| Ok(doctor::answer(context))).await,
        method::Thumbnail::NAME => on_pool::<method::Thumbnail>(context, request, thumbnail::answer).await,
        method::Hello::NAME => Err(RpcError::new(ErrorKind::InvalidRequest, "hello was said already")),
        unknown => Err(RpcError::new(ErrorKind::UnknownMethod, format!("there is no method {unknown:?}"))
            .hint("the capabilities in the answer to `hello` name what this daemon can do")),
    }
}

/// Runs a blocking handler on the query pool; a full pool is an answer.
async fn on_pool<M>(
    context: &Arc<Context>,
    request: Request,
    handler: fn(&Context, &M::Params) -> Result<M::Answer, RpcError>,
) -> Result<Box<RawValue>, RpcError>
where
    M: Method + 'static,
    M::Params: Send + 'static,
    M::Answer: 'static,
{
    let params = request.params::<M::Params>()?;
    let for_pool = Arc::clone(context);
    in_pool(context, move || {
        let answer = handler(&for_pool, &params)?;
        // Straight to text: by way of `Value` an f32 of 0.27 becomes 0.27000001.
        to_raw_value(&answer).map_err(|error| RpcError::new(ErrorKind::Internal, format!("the answer cannot be written: {error}")))
    })
    .await
}

pub(super) async fn in_pool<T: Send + 'static>(
    context: &Context,
    work: impl FnOnce() -> Result<T, RpcError> + Send + 'static,
) -> Result<T, RpcError> {
    let (done, answer) = oneshot::channel();
    let task = move || {
        // The client may have left; then nobody wants the answer.
        let _unheard = done.send(work());
    };
    if context.pool.submit(task).is_err() {
        return Err(RpcError::new(ErrorKind::Overloaded, "too many questions at once").hint("try again in a moment"));
    }
    answer.await.unwrap_or_else(|_| {
        Err(RpcError::new(
            ErrorKind::Internal,
            "scened failed on this request (a bug: please report it)",
        ))
    })
}
