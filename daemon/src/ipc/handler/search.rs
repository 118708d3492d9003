//! `search` and `similar`.

use std::path::PathBuf;

use scened_shared::frame::RpcError;
use scened_shared::message::{ErrorKind, Filters, SearchAnswer, SearchRequest, SimilarRequest};

use crate::ipc::context::Context;
use crate::ipc::convert;
use crate::media::Cancel;
use crate::query::{Answer, Likeness};

/// Folders and files that a question may be limited to; each is compared with every video.
pub(super) const MAX_WITHIN: usize = 256;
/// Unwanted texts of one question; each is embedded.
const MAX_NOT: usize = 16;

pub(super) fn search(context: &Context, request: &SearchRequest) -> Result<SearchAnswer, RpcError> {
    if request.not.len() > MAX_NOT {
        return Err(too_many("texts in `not`", request.not.len(), MAX_NOT));
    }
    let wanted = convert::wanted(
        request.n,
        request.by,
        request.min_confidence,
        &request.filters,
        within(context, &request.filters)?,
    );
    let answer = context
        .searcher
        .search(&request.query, &request.not, &wanted)
        .map_err(|error| convert::query_error(&error))?;
    Ok(to_wire(context, request.query.clone(), request.min_confidence, &answer))
}

pub(super) fn similar(context: &Context, request: &SimilarRequest, cancel: &Cancel) -> Result<SearchAnswer, RpcError> {
    let wanted = convert::wanted(
        request.n,
        request.by,
        request.min_confidence,
        &request.filters,
        within(context, &request.filters)?,
    );
    let likeness = Likeness {
        path: context.path(&request.file)?,
        at_ms: request.at_ms,
    };
    let answer = context
        .searcher
        .similar(&likeness, &wanted, cancel)
        .map_err(|error| convert::query_error(&error))?;
    Ok(to_wire(context, request.file.path.clone(), request.min_confidence, &answer))
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
        notices.push("it is not known how sure these hits are: --min-confidence was not applied".to_owned());
    }
    SearchAnswer {
        query,
        model: answer.model.clone(),
        hits: answer.hits.iter().map(convert::hit).collect(),
        coverage: convert::coverage(&answer.coverage),
        notices,
    }
}
