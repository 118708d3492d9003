//! `search` and `similar`.

use std::path::PathBuf;
use std::time::Instant;

use scened_shared::frame::RpcError;
use scened_shared::message::{ErrorKind, Filters, SearchAnswer, SearchRequest, SimilarRequest};

use crate::ipc::context::Context;
use crate::ipc::convert;
use crate::ipc::handler::ModelStep;
use crate::media::Cancel;
use crate::query::{Answer, PictureQuery, QueryError, SimilarTo, TextQuery, Wanted};

/// Maximum number of folders and files that a search may be limited to; each is compared with every video.
pub(super) const MAX_WITHIN: usize = 256;
/// Maximum number of unwanted texts in one search; each is embedded.
const MAX_NOT: usize = 16;

/// Returns the query's vectors if they are already known, else [`ModelStep::Ask`].
pub(super) fn recall(context: &Context, request: &SearchRequest) -> Result<ModelStep<TextQuery>, RpcError> {
    if request.not.len() > MAX_NOT {
        return Err(too_many("texts in `not`", request.not.len(), MAX_NOT));
    }
    let known = context.searcher.recall(&request.query, &request.not);
    Ok(known
        .map_err(|error| convert::query_error(&error))?
        .map_or(ModelStep::Ask(None), ModelStep::Known))
}

pub(super) fn word(context: &Context, request: &SearchRequest, deadline: Instant) -> Result<TextQuery, QueryError> {
    context.searcher.word(&request.query, &request.not, deadline)
}

pub(super) fn search(context: &Context, request: &SearchRequest, text_query: &TextQuery) -> Result<Option<SearchAnswer>, RpcError> {
    let wanted = convert::wanted(
        request.n,
        request.by,
        request.min_confidence,
        &request.filters,
        within(context, &request.filters)?,
    );
    let answer = unless_changed(context.searcher.answer_texts(text_query, &wanted))?;
    Ok(answer.map(|answer| to_wire(context, request.query.clone(), request.min_confidence, &answer)))
}

/// Returns `None` if another model answers now and must be asked.
pub(super) fn unless_changed<T>(answer: Result<T, QueryError>) -> Result<Option<T>, RpcError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(QueryError::OtherModel) => Ok(None),
        Err(error) => Err(convert::query_error(&error)),
    }
}

fn likeness(context: &Context, request: &SimilarRequest) -> Result<SimilarTo, RpcError> {
    Ok(SimilarTo {
        path: context.path(&request.file)?,
        at_ms: request.at_ms,
    })
}

/// Decodes the picture of the request.
pub(super) fn decode(context: &Context, request: &SimilarRequest, cancel: &Cancel) -> Result<ModelStep<PictureQuery>, RpcError> {
    // Errors in the rest of the request are reported before anything is decoded.
    wanted(context, request)?;
    let picture_query = context.searcher.decode_picture(&likeness(context, request)?, cancel);
    let picture_query = picture_query.map_err(|error| convert::query_error(&error))?;
    Ok(if picture_query.is_unseen() {
        ModelStep::Ask(Some(picture_query))
    } else {
        ModelStep::Known(picture_query)
    })
}

fn wanted(context: &Context, request: &SimilarRequest) -> Result<Wanted, RpcError> {
    let within = within(context, &request.filters)?;
    let wanted = convert::wanted(request.n, request.by, request.min_confidence, &request.filters, within);
    wanted.check().map_err(|error| convert::query_error(&error))?;
    Ok(wanted)
}

pub(super) fn similar(context: &Context, request: &SimilarRequest, picture_query: &PictureQuery) -> Result<Option<SearchAnswer>, RpcError> {
    let wanted = wanted(context, request)?;
    let answer = unless_changed(
        context
            .searcher
            .answer_picture(&likeness(context, request)?, picture_query, &wanted),
    )?;
    Ok(answer.map(|answer| to_wire(context, request.file.path.clone(), request.min_confidence, &answer)))
}

fn within(context: &Context, filters: &Filters) -> Result<Vec<PathBuf>, RpcError> {
    if filters.within.len() > MAX_WITHIN {
        return Err(too_many("places in `in`", filters.within.len(), MAX_WITHIN));
    }
    context.paths(&filters.within)
}

fn too_many(what: &str, n: usize, max: usize) -> RpcError {
    RpcError::new(ErrorKind::InvalidParams, format!("{n} {what}; at most {max} are allowed"))
}

fn to_wire(context: &Context, query: String, min_confidence: Option<f32>, answer: &Answer) -> SearchAnswer {
    let mut notices = context.models.notices();
    if min_confidence.is_some() && !answer.is_measured {
        notices.push("these hits have no confidence: --min-confidence was not applied".to_owned());
    }
    SearchAnswer {
        query,
        model: answer.model.clone(),
        hits: answer.hits.iter().map(convert::hit).collect(),
        coverage: convert::coverage(&answer.coverage),
        notices,
    }
}
