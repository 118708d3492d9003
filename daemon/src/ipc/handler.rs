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
use crate::query::{MODEL_PATIENCE, Pictured, QueryError};
use crate::requests::{ClientProcess, Lane};

/// An error names what was asked for, and no more of it than this. Bytes of each sentence.
const MAX_SENTENCE_BYTES: usize = 4 << 10;

/// How long a thread that waited in vain may take to say so.
const LAST_WORD: Duration = Duration::from_millis(500);
/// A question is asked again so often when another model answers meanwhile.
const MODEL_CHANGES: usize = 3;

type Answer = Result<Box<RawValue>, RpcError>;

/// What a question needs of the model.
pub(super) enum ModelStep<T> {
    /// Nothing: it is known already.
    Known(T),
    /// To be asked, about this where the question itself does not say all.
    Ask(Option<T>),
}

pub(super) async fn dispatch(context: &Arc<Context>, client: ClientProcess, request: Request) -> Answer {
    let call = Call { context, client, request };
    let answer = match call.request.method.as_str() {
        method::Search::NAME => {
            let lane = call.lane_of_places();
            call.with_model::<method::Search, _>(
                [lane, lane],
                search::recall,
                |context, request, _, deadline| search::word(context, request, deadline),
                search::search,
            )
            .await
        }
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
        method::Why::NAME => {
            call.with_model::<method::Why, _>(
                [Lane::Slow; 2],
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
    let look = move |context: &Context, request: &_| search::look(context, request, &cancel);
    let show = |context: &Context, _: &_, pictured: Option<Pictured>, deadline| match pictured {
        Some(pictured) => context.searcher.show(pictured, deadline),
        None => Err(QueryError::OtherModel),
    };
    call.with_model::<method::Similar, _>([Lane::Slow, Lane::Quick], look, show, search::similar)
        .await
}

/// A request, and whom to answer.
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

    /// Quick where every path lies in a watched folder by its name; else the disk must be asked what the folders' links mean.
    async fn where_known<M: Method + 'static>(
        self,
        handler: impl FnOnce(&Context, &M::Params) -> Result<M::Answer, RpcError> + Send + 'static,
    ) -> Answer {
        let lane = self.lane_of_places();
        self.on_pool::<M>(lane, handler).await
    }

    fn lane_of_places(&self) -> Lane {
        if self.names_only_known_places() { Lane::Quick } else { Lane::Slow }
    }

    /// Answers what may need the model, in three steps: `begin`, in the first lane, says what is known already; `ask` waits for the model,
    /// on a thread that does nothing else, and no longer than [`MODEL_PATIENCE`]; `answer`, in the second lane, waits for nothing. That one
    /// gives `None` where another model answers meanwhile: then all is done again.
    async fn with_model<M, T>(
        self,
        [first, last]: [Lane; 2],
        begin: impl Fn(&Context, &M::Params) -> Result<ModelStep<T>, RpcError> + Send + Sync + 'static,
        ask: impl Fn(&Context, &M::Params, Option<T>, Instant) -> Result<T, QueryError> + Copy + Send + 'static,
        answer: impl Fn(&Context, &M::Params, &T) -> Result<Option<M::Answer>, RpcError> + Copy + Send + 'static,
    ) -> Answer
    where
        M: Method + 'static,
        M::Params: Send + Sync + 'static,
        T: Send + Sync + 'static,
    {
        let Self { context, client, request } = self;
        let mut request = Some(request);
        let mut params: Option<Arc<M::Params>> = None;
        let mut deadline = None;
        let begin = Arc::new(begin);
        for _ in 0..MODEL_CHANGES {
            let (for_pool, begin, known_params, unread) = (Arc::clone(context), Arc::clone(&begin), params.clone(), request.take());
            let first_step = context.in_pool(first, client, move || {
                let params = match (known_params, unread) {
                    (Some(params), _) => params,
                    (None, Some(request)) => Arc::new(request.params::<M::Params>()?),
                    (None, None) => return Err(RpcError::new(ErrorKind::Internal, "a question was lost")),
                };
                let step = begin(&for_pool, &params)?;
                match &step {
                    ModelStep::Known(known) if first == last => Ok(Begun::Answered(
                        params.clone(),
                        answered(answer(&for_pool, &params, known)?.as_ref())?,
                    )),
                    _ => Ok(Begun::Step(params, step)),
                }
            });
            let (theirs, known) = match first_step.await? {
                Begun::Answered(_, Some(answer)) => return Ok(answer),
                Begun::Answered(theirs, None) => {
                    params = Some(theirs);
                    continue;
                }
                Begun::Step(theirs, ModelStep::Known(known)) => (theirs, known),
                Begun::Step(theirs, ModelStep::Ask(what)) => {
                    let deadline = *deadline.get_or_insert_with(|| Instant::now() + MODEL_PATIENCE);
                    let (for_pool, asked) = (Arc::clone(context), Arc::clone(&theirs));
                    let work = move || search::unless_changed(ask(&for_pool, &asked, what, deadline));
                    params = Some(Arc::clone(&theirs));
                    match in_time(context, client, deadline, work).await? {
                        Some(known) => (theirs, known),
                        None => continue,
                    }
                }
            };
            let for_pool = Arc::clone(context);
            params = Some(Arc::clone(&theirs));
            let last_step = context.in_pool(last, client, move || answered(answer(&for_pool, &theirs, &known)?.as_ref()));
            if let Some(answer) = last_step.await? {
                return Ok(answer);
            }
        }
        Err(convert::query_error(&QueryError::OtherModel))
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

/// What came of a first step.
enum Begun<P, T> {
    /// An answer; none where another model answers now.
    Answered(Arc<P>, Option<Box<RawValue>>),
    Step(Arc<P>, ModelStep<T>),
}

fn answered(answer: Option<&impl serde::Serialize>) -> Result<Option<Box<RawValue>>, RpcError> {
    answer.map(to_answer).transpose()
}

/// Straight to text: by way of `Value` an f32 of 0.27 becomes 0.27000001.
fn to_answer(answer: &impl serde::Serialize) -> Answer {
    to_raw_value(answer).map_err(|error| RpcError::new(ErrorKind::Internal, format!("the answer cannot be written: {error}")))
}

/// Waits for the model. Whoever is not answered at the deadline is told what was waited for, also where no thread was free to wait.
async fn in_time<T: Send + 'static>(
    context: &Context,
    client: ClientProcess,
    deadline: Instant,
    work: impl FnOnce() -> Result<T, RpcError> + Send + 'static,
) -> Result<T, RpcError> {
    // A thread that waits gives up at the deadline itself, and knows more.
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
