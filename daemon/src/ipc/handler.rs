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

use std::path::PathBuf;
use std::sync::Arc;

use scened_shared::frame::{Request, RpcError};
use scened_shared::message::ErrorKind;
use scened_shared::method::{self, Method};
use scened_shared::wire_path::WirePath;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::oneshot;

use crate::ipc::context::Context;
use crate::media::Cancel;
use crate::query::{Asker, Lane, Turn};

/// An error names what was asked for, and no more of it than this. Bytes of each sentence.
const MAX_SENTENCE_BYTES: usize = 4 << 10;

type Answer = Result<Box<RawValue>, RpcError>;

pub(super) async fn dispatch(context: &Arc<Context>, asker: Asker, request: Request) -> Answer {
    let call = Call { context, asker, request };
    let answer = match call.request.method.as_str() {
        method::Search::NAME => call.where_known::<method::Search>(search::search).await,
        method::Scenes::NAME => call.where_known::<method::Scenes>(scenes::answer).await,
        method::Status::NAME => call.quick::<method::Status>(|context, _| Ok(status::assemble(context))).await,
        method::Folders::NAME => call.quick::<method::Folders>(|context, _| Ok(folders::list(context))).await,
        method::Incidents::NAME => call.quick::<method::Incidents>(|context, _| incidents::answer(context)).await,
        method::Pause::NAME => call.quick::<method::Pause>(pause::pause).await,
        method::Resume::NAME => call.quick::<method::Resume>(|context, _| pause::resume(context)).await,
        method::Thumbnail::NAME => call.quick::<method::Thumbnail>(thumbnail::answer).await,
        method::Similar::NAME => similar(call).await,
        method::Add::NAME => call.slow::<method::Add>(folders::add).await,
        method::Remove::NAME => call.slow::<method::Remove>(folders::remove).await,
        method::Forget::NAME => call.slow::<method::Forget>(forget::answer).await,
        method::Rescan::NAME => call.slow::<method::Rescan>(scan::rescan).await,
        method::Retry::NAME => call.slow::<method::Retry>(scan::retry).await,
        method::Why::NAME => call.slow::<method::Why>(why::answer).await,
        method::ModelList::NAME => call.slow::<method::ModelList>(|context, _| Ok(model::list(context))).await,
        method::ModelUse::NAME => call.slow::<method::ModelUse>(model::use_model).await,
        method::ModelInfo::NAME => call.slow::<method::ModelInfo>(model::info).await,
        method::ModelRemove::NAME => call.slow::<method::ModelRemove>(model::remove).await,
        method::Doctor::NAME => call.slow::<method::Doctor>(|context, _| Ok(doctor::answer(context))).await,
        method::Hello::NAME => Err(RpcError::new(ErrorKind::InvalidRequest, "hello was said already")),
        unknown => Err(
            RpcError::new(ErrorKind::UnknownMethod, format!("there is no method {:?}", cut(unknown, 64)))
                .hint("the capabilities in the answer to `hello` name what this daemon can do"),
        ),
    };
    answer.map_err(in_few_words)
}

/// Stops the worker when the client leaves before it is answered.
async fn similar(call: Call<'_>) -> Answer {
    struct CancelOnDrop(Arc<Cancel>);
    impl Drop for CancelOnDrop {
        fn drop(&mut self) {
            self.0.cancel();
        }
    }
    let cancel = Arc::new(Cancel::default());
    let _until_answered = CancelOnDrop(Arc::clone(&cancel));
    call.slow::<method::Similar>(move |context, request| search::similar(context, request, &cancel))
        .await
}

/// A request, and whom to answer.
struct Call<'a> {
    context: &'a Arc<Context>,
    asker: Asker,
    request: Request,
}

impl Call<'_> {
    async fn quick<M: Method + 'static>(
        self,
        handler: impl FnOnce(&Context, &M::Params) -> Result<M::Answer, RpcError> + Send + 'static,
    ) -> Answer {
        self.on_pool::<M>(Lane::Quick, handler).await
    }

    async fn slow<M: Method + 'static>(
        self,
        handler: impl FnOnce(&Context, &M::Params) -> Result<M::Answer, RpcError> + Send + 'static,
    ) -> Answer {
        self.on_pool::<M>(Lane::Slow, handler).await
    }

    /// Quick where every path lies in a watched folder by its name; else the disk must be asked what the folders' links mean.
    async fn where_known<M: Method + 'static>(
        self,
        handler: impl FnOnce(&Context, &M::Params) -> Result<M::Answer, RpcError> + Send + 'static,
    ) -> Answer {
        let lane = if self.names_only_known_places() { Lane::Quick } else { Lane::Slow };
        self.on_pool::<M>(lane, handler).await
    }

    fn names_only_known_places(&self) -> bool {
        let params = &self.request.params;
        let listed = params.get("in").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let named: Vec<&Value> = listed.iter().chain(params.get("path").map(|_| params)).collect();
        if named.is_empty() {
            return true;
        }
        let roots: Vec<PathBuf> = self.context.reconciler.roots().into_iter().map(|root| root.path).collect();
        let is_known = |file: &Value| {
            let path = serde_json::from_value::<WirePath>(file.clone())
                .ok()
                .and_then(|file| file.to_path().ok());
            path.is_some_and(|path| roots.iter().any(|root| path.starts_with(root)))
        };
        named.len() <= search::MAX_WITHIN && named.into_iter().all(is_known)
    }

    /// Runs a blocking handler on the query pool; a full pool is an answer.
    async fn on_pool<M: Method + 'static>(
        self,
        lane: Lane,
        handler: impl FnOnce(&Context, &M::Params) -> Result<M::Answer, RpcError> + Send + 'static,
    ) -> Answer {
        let Self { context, asker, request } = self;
        let for_pool = Arc::clone(context);
        in_pool(context, lane, asker, move || {
            let params = request.params::<M::Params>()?;
            let answer = handler(&for_pool, &params)?;
            // Straight to text: by way of `Value` an f32 of 0.27 becomes 0.27000001.
            to_raw_value(&answer).map_err(|error| RpcError::new(ErrorKind::Internal, format!("the answer cannot be written: {error}")))
        })
        .await
    }
}

pub(super) async fn in_pool<T: Send + 'static>(
    context: &Context,
    lane: Lane,
    asker: Asker,
    work: impl FnOnce() -> Result<T, RpcError> + Send + 'static,
) -> Result<T, RpcError> {
    let overloaded = || RpcError::new(ErrorKind::Overloaded, "too many questions at once").hint("try again in a moment");
    let (done, answer) = oneshot::channel();
    let task = move |turn| {
        // The client may have left; then nobody wants the answer.
        if done.is_closed() {
            return;
        }
        let _unheard = done.send(match turn {
            Turn::Run => work(),
            Turn::Displaced => Err(overloaded()),
        });
    };
    if context.pool.submit(lane, asker, task).is_err() {
        return Err(overloaded());
    }
    answer.await.unwrap_or_else(|_| {
        Err(RpcError::new(
            ErrorKind::Internal,
            "scened failed on this request (a bug: please report it)",
        ))
    })
}

/// The beginning of a text.
fn cut(text: &str, max_bytes: usize) -> &str {
    &text[..text.floor_char_boundary(max_bytes)]
}

/// An error that repeats little of what it answers: a client that sends long names gets no longer answers.
fn in_few_words(mut error: RpcError) -> RpcError {
    let shorten = |text: &mut String| {
        if text.len() > MAX_SENTENCE_BYTES {
            *text = format!("{}…", cut(text, MAX_SENTENCE_BYTES));
        }
    };
    shorten(&mut error.message);
    if let Some(data) = &mut error.data {
        data.causes.iter_mut().chain(&mut data.hint).for_each(shorten);
    }
    error
}
