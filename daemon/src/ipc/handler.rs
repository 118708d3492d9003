//! The handlers, one file per verb or group of verbs. A handler takes checked parameters and returns a wire answer. It may block, because
//! it runs on the query pool; only `wait` is async.

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
use std::time::{Duration, Instant};

use scened_shared::frame::{Request, RpcError};
use scened_shared::message::ErrorKind;
use scened_shared::method::{self, Method};
use scened_shared::wire_path::WirePath;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use crate::embed::EmbedError;
use crate::ipc::context::Context;
use crate::ipc::convert;
use crate::media::Cancel;
use crate::query::{MODEL_TIMEOUT, PictureQuery, QueryError};
use crate::requests::{ClientProcess, Lane};

/// Maximum length of each sentence of an error, which may repeat parts of the request. Bytes.
const MAX_SENTENCE_BYTES: usize = 4 << 10;

/// Time that a thread which waited in vain may take to report it.
const LAST_WORD: Duration = Duration::from_millis(500);
/// Parameters with more values than this are read on the pool.
const READ_HERE_VALUES: usize = 1024;
/// Attempts at one question, if another model takes over meanwhile.
const MODEL_CHANGES: usize = 3;

type Answer = Result<Box<RawValue>, RpcError>;

/// Whether a question needs the model.
pub(super) enum ModelStep<T> {
    /// The model is not needed: the result is known already.
    Known(T),
    /// The model must be asked; with the value that it needs besides the question, if any.
    Ask(Option<T>),
}

pub(super) async fn dispatch(context: &Arc<Context>, client: ClientProcess, request: Request) -> Answer {
    let call = Call { context, client, request };
    let answer = match call.request.method.as_str() {
        method::Search::NAME => {
            call.with_model::<method::Search, _>(
                |context, request| [lane_of_places(context, &request.filters.within); 2],
                search::recall,
                |context, request, _, deadline| search::word(context, request, deadline),
                search::search,
            )
            .await
        }
        method::Scenes::NAME => scenes_of(call).await,
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
        method::Why::NAME => {
            call.with_model::<method::Why, _>(
                |_, _| [Lane::Slow; 2],
                why::recall,
                |context, request, _, deadline| why::word(context, request, deadline),
                why::answer,
            )
            .await
        }
        method::ModelList::NAME => call.slow::<method::ModelList>(|context, _| Ok(model::list(context))).await,
        method::ModelUse::NAME => call.slow::<method::ModelUse>(model::use_model).await,
        method::ModelInfo::NAME => call.slow::<method::ModelInfo>(model::info).await,
        method::ModelRemove::NAME => call.slow::<method::ModelRemove>(model::remove).await,
        method::Doctor::NAME => call.slow::<method::Doctor>(|context, _| Ok(doctor::answer(context))).await,
        method::Hello::NAME => Err(RpcError::new(ErrorKind::InvalidRequest, "hello was already received")),
        unknown => Err(
            RpcError::new(ErrorKind::UnknownMethod, format!("there is no method {:?}", cut(unknown, 64)))
                .hint("the capabilities in the answer to `hello` name what this daemon can do"),
        ),
    };
    answer.map_err(in_few_words)
}

/// Answers `similar`. Stops the worker if the client leaves before it is answered.
async fn similar(call: Call<'_>) -> Answer {
    struct CancelOnDrop(Arc<Cancel>);
    impl Drop for CancelOnDrop {
        fn drop(&mut self) {
            self.0.cancel();
        }
    }
    let cancel = Arc::new(Cancel::default());
    let _until_answered = CancelOnDrop(Arc::clone(&cancel));
    let look = move |context: &Context, request: &_| search::decode(context, request, &cancel);
    let show = |context: &Context, _: &_, picture_query: Option<PictureQuery>, deadline| match picture_query {
        Some(picture_query) => context.searcher.show(picture_query, deadline),
        None => Err(QueryError::OtherModel),
    };
    call.with_model::<method::Similar, _>(|_, _| [Lane::Slow, Lane::Quick], look, show, search::similar)
        .await
}

async fn scenes_of(call: Call<'_>) -> Answer {
    let (context, client) = (call.context, call.client);
    let request = call.params::<method::Scenes>().await?;
    let lane = lane_of_places(context, std::slice::from_ref(&request.file));
    let for_pool = Arc::clone(context);
    context
        .in_pool(lane, client, move || to_answer(&scenes::answer(&for_pool, &request)?))
        .await
}

/// A request and its client.
struct Call<'a> {
    context: &'a Arc<Context>,
    client: ClientProcess,
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

    /// Answers a request that may need the model, in three steps. `begin`, in the first lane, returns what is known already. `ask` waits
    /// for the model on a thread that does nothing else, for at most [`MODEL_TIMEOUT`]. `answer`, in the second lane, waits for nothing. It
    /// returns `None` if another model answers by now, and then everything is repeated.
    async fn with_model<M, T>(
        self,
        lanes: impl FnOnce(&Context, &M::Params) -> [Lane; 2],
        begin: impl Fn(&Context, &M::Params) -> Result<ModelStep<T>, RpcError> + Send + Sync + 'static,
        ask: impl Fn(&Context, &M::Params, Option<T>, Instant) -> Result<T, QueryError> + Copy + Send + 'static,
        answer: impl Fn(&Context, &M::Params, &T) -> Result<Option<M::Answer>, RpcError> + Copy + Send + 'static,
    ) -> Answer
    where
        M: Method + 'static,
        M::Params: Send + Sync + 'static,
        T: Send + Sync + 'static,
    {
        let (context, client) = (self.context, self.client);
        let params = Arc::new(self.params::<M>().await?);
        let [first, last] = lanes(context, &params);
        let begin = Arc::new(begin);
        let mut deadline = None;
        for _ in 0..MODEL_CHANGES {
            let (for_pool, asked, begin) = (Arc::clone(context), Arc::clone(&params), Arc::clone(&begin));
            let first_step = context.in_pool(first, client, move || match begin(&for_pool, &asked)? {
                ModelStep::Known(known) if first == last => Ok(Begun::Answered(answered(answer(&for_pool, &asked, &known)?.as_ref())?)),
                step => Ok(Begun::Step(step)),
            });
            let known = match first_step.await? {
                Begun::Answered(Some(answer)) => return Ok(answer),
                Begun::Answered(None) => continue,
                Begun::Step(ModelStep::Known(known)) => known,
                Begun::Step(ModelStep::Ask(what)) => {
                    let deadline = *deadline.get_or_insert_with(|| Instant::now() + MODEL_TIMEOUT);
                    let (for_pool, asked) = (Arc::clone(context), Arc::clone(&params));
                    let work = move || search::unless_changed(ask(&for_pool, &asked, what, deadline));
                    match in_time(context, client, deadline, work).await? {
                        Some(known) => known,
                        None => continue,
                    }
                }
            };
            let (for_pool, asked) = (Arc::clone(context), Arc::clone(&params));
            let last_step = context.in_pool(last, client, move || answered(answer(&for_pool, &asked, &known)?.as_ref()));
            if let Some(answer) = last_step.await? {
                return Ok(answer);
            }
        }
        Err(convert::query_error(&QueryError::OtherModel))
    }

    /// Returns the checked parameters. Reads few values here and many on the pool, because all clients share the async thread.
    async fn params<M>(self) -> Result<M::Params, RpcError>
    where
        M: Method + 'static,
        M::Params: Send + 'static,
    {
        let Self { context, client, request } = self;
        if has_few_values(&request.params, &mut 0) {
            return request.params();
        }
        context.in_pool(Lane::Quick, client, move || request.params()).await
    }

    /// Runs a blocking handler on the query pool. A full pool is an error, not a wait.
    async fn on_pool<M: Method + 'static>(
        self,
        lane: Lane,
        handler: impl FnOnce(&Context, &M::Params) -> Result<M::Answer, RpcError> + Send + 'static,
    ) -> Answer {
        let Self { context, client, request } = self;
        let for_pool = Arc::clone(context);
        context
            .in_pool(lane, client, move || {
                let params = request.params::<M::Params>()?;
                to_answer(&handler(&for_pool, &params)?)
            })
            .await
    }
}

/// The result of a first step.
enum Begun<T> {
    /// An answer; `None` if another model answers now.
    Answered(Option<Box<RawValue>>),
    Step(ModelStep<T>),
}

/// Returns the quick lane if every path is below a watched folder by name. Otherwise the disk must be asked where the folders' links lead.
fn lane_of_places(context: &Context, places: &[WirePath]) -> Lane {
    if places.is_empty() {
        return Lane::Quick;
    }
    if places.len() > search::MAX_WITHIN {
        return Lane::Slow;
    }
    let roots = context.reconciler.roots();
    let is_known = |place: &WirePath| {
        let path = place.to_path();
        path.is_ok_and(|path| roots.iter().any(|root| path.starts_with(&root.path)))
    };
    if places.iter().all(is_known) { Lane::Quick } else { Lane::Slow }
}

/// Returns whether a value and everything in it has few enough parts to be read on the async thread. `n_seen`: parts counted before it.
fn has_few_values(value: &Value, n_seen: &mut usize) -> bool {
    *n_seen += 1;
    *n_seen <= READ_HERE_VALUES
        && match value {
            Value::Array(values) => values.iter().all(|value| has_few_values(value, n_seen)),
            Value::Object(members) => members.values().all(|value| has_few_values(value, n_seen)),
            _ => true,
        }
}

fn answered(answer: Option<&impl serde::Serialize>) -> Result<Option<Box<RawValue>>, RpcError> {
    answer.map(to_answer).transpose()
}

/// Serializes straight to text: by way of `Value`, an f32 of 0.27 would become 0.27000001.
fn to_answer(answer: &impl serde::Serialize) -> Answer {
    to_raw_value(answer).map_err(|error| RpcError::new(ErrorKind::Internal, format!("the answer cannot be written: {error}")))
}

/// Waits for the model. A client that is not answered by the deadline is told what was waited for, even if no thread was free to wait.
async fn in_time<T: Send + 'static>(
    context: &Context,
    client: ClientProcess,
    deadline: Instant,
    work: impl FnOnce() -> Result<T, RpcError> + Send + 'static,
) -> Result<T, RpcError> {
    // A waiting thread gives up at the deadline itself, and can say more.
    let at = tokio::time::Instant::from_std(deadline + LAST_WORD);
    if let Ok(answer) = tokio::time::timeout_at(at, context.in_pool(Lane::Waiting, client, work)).await {
        answer
    } else {
        let waited_for = context
            .searcher
            .model_at_work()
            .unwrap_or_else(|| "it is at work on other questions".to_owned());
        Err(convert::query_error(&QueryError::Embed(EmbedError::NotInTime { waited_for })))
    }
}

/// Returns the beginning of a text.
fn cut(text: &str, max_bytes: usize) -> &str {
    &text[..text.floor_char_boundary(max_bytes)]
}

/// Shortens an error, so that a client that sends long names gets no long answers.
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
