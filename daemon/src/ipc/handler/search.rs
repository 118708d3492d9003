//! `search` and `similar`.

use scened_shared::frame::RpcError;
use scened_shared::message::{SearchAnswer, SearchRequest, SimilarRequest};

use crate::ipc::context::Context;
use crate::ipc::convert;
use crate::query::{Answer, Likeness};

pub(super) fn search(context: &Context, request: &SearchRequest) -> Result<SearchAnswer, RpcError> {
    let within = context.paths(&request.filters.within)?;
    let wanted = convert::wanted(request.n, request.by, &request.filters, within);
    let answer = context
        .searcher
        .search(&request.query, &request.not, &wanted)
        .map_err(|error| convert::query_error(&error))?;
    Ok(to_wire(context, request.query.clone(), request.min_confidence, &answer))
}

pub(super) fn similar(context: &Context, request: &SimilarRequest) -> Result<SearchAnswer, RpcError> {
    let within = context.paths(&request.filters.within)?;
    let wanted = convert::wanted(request.n, request.by, &request.filters, within);
    let likeness = Likeness {
        path: context.path(&request.file)?,
        at_ms: request.at_ms,
    };
    let answer = context
        .searcher
        .similar(&likeness, &wanted)
        .map_err(|error| convert::query_error(&error))?;
    Ok(to_wire(context, request.file.path.clone(), request.min_confidence, &answer))
}

fn to_wire(context: &Context, query: String, min_confidence: Option<f32>, answer: &Answer) -> SearchAnswer {
    let mut notices = context.models.notices();
    if min_confidence.is_some() {
        notices.push("this model has no calibration yet: --min-confidence was not applied".to_owned());
    }
    SearchAnswer {
        query,
        model: answer.model.clone(),
        hits: answer.hits.iter().map(convert::hit).collect(),
        coverage: convert::coverage(&answer.coverage),
        notices,
    }
}
