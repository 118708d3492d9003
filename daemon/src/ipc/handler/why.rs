//! `why`: why a file is or isn't found.

use std::sync::Arc;
use std::time::Instant;

use scened_shared::frame::RpcError;
use scened_shared::message::{WhyAnswer, WhyRequest};

use crate::ipc::context::Context;
use crate::ipc::convert;
use crate::ipc::handler::ModelStep;
use crate::ipc::handler::search::unless_changed;
use crate::query::{QueryError, TextQuery};
use crate::reconcile::{Explanation, RootStatus};
use crate::store::{VideoRecord, VideoState};

/// Checks whether the model is needed: only for a query about a video that has scenes.
pub(super) fn recall(context: &Context, request: &WhyRequest) -> Result<ModelStep<Option<TextQuery>>, RpcError> {
    let Some(query) = &request.query else {
        return Ok(ModelStep::Known(None));
    };
    let record = context.store.video_at(&context.path(&request.file)?);
    if record.is_none_or(|record| record.n_scenes == 0) {
        return Ok(ModelStep::Known(None));
    }
    let known = context.searcher.recall(query, &[]).map_err(|error| convert::query_error(&error))?;
    Ok(known.map_or(ModelStep::Ask(None), |text_query| ModelStep::Known(Some(text_query))))
}

pub(super) fn word(context: &Context, request: &WhyRequest, deadline: Instant) -> Result<Option<TextQuery>, QueryError> {
    let query = request.query.as_deref().unwrap_or_default();
    context.searcher.word(query, &[], deadline).map(Some)
}

#[expect(clippy::ref_option, reason = "it is what a step gave")]
pub(super) fn answer(context: &Context, request: &WhyRequest, text_query: &Option<TextQuery>) -> Result<Option<WhyAnswer>, RpcError> {
    let path = context.path(&request.file)?;
    let record = context.store.video_at(&path);
    let (state, mut reasons) = match &record {
        Some(record) => of_record(context, record)?,
        None => of_file(&context.reconciler.explain(&path)),
    };
    let mut answer = WhyAnswer {
        file: request.file.clone(),
        state: state.to_owned(),
        reasons: Vec::new(),
        best: None,
        rank: None,
        of_scenes: None,
    };
    if let Some(query) = &request.query {
        match record.filter(|record| record.n_scenes > 0).zip(text_query.as_ref()) {
            Some((record, text_query)) => {
                let Some(rank_of) = unless_changed(context.searcher.rank_of_video(&record, text_query))? else {
                    return Ok(None);
                };
                if let Some(rank_of) = rank_of {
                    reasons.push(format!(
                        "its best scene for {query:?} is number {} of {} scenes",
                        rank_of.rank, rank_of.of_scenes
                    ));
                    answer.best = Some(convert::hit(&rank_of.hit));
                    answer.rank = Some(rank_of.rank);
                    answer.of_scenes = Some(rank_of.of_scenes);
                }
            }
            None => reasons.push("it is not indexed, so no query finds it".to_owned()),
        }
    }
    answer.reasons = reasons;
    Ok(Some(answer))
}

fn of_record(context: &Context, record: &Arc<VideoRecord>) -> Result<(&'static str, Vec<String>), RpcError> {
    let mut reasons = Vec::new();
    let state = match (record.offline, record.state) {
        (true, _) => {
            reasons.push("its folder cannot be reached now; the video stays searchable".to_owned());
            reasons.extend(whereabouts(context, record));
            "offline"
        }
        (false, VideoState::Indexed) => {
            reasons.push(format!(
                "indexed: {} scenes in {}.{:03} s",
                record.n_scenes,
                record.duration_ms / 1000,
                record.duration_ms % 1000
            ));
            "indexed"
        }
        (false, VideoState::Pending) => {
            reasons.push(match context.indexer.position(record.id) {
                Some(0) => "it is being indexed now".to_owned(),
                Some(place) => format!("it waits for indexing: number {place} in the queue"),
                None => "it waits for indexing".to_owned(),
            });
            if let Some(n_deaths) = context
                .store
                .job(record.id)
                .map(|job| job.n_deaths)
                .filter(|n_deaths| *n_deaths > 0)
            {
                let times = if n_deaths == 1 {
                    "once".to_owned()
                } else {
                    format!("{n_deaths} times")
                };
                reasons.push(format!(
                    "a worker died on it {times}: scened tries again, alone, when nothing else waits"
                ));
            }
            reasons.extend(context.indexer.wait_reason());
            if context.indexer.is_paused() {
                reasons.push("indexing is paused: scenectl resume".to_owned());
            }
            if record.n_scenes > 0 {
                reasons.push("until then search uses an earlier version of it".to_owned());
            }
            "pending"
        }
        (false, VideoState::Failed) => {
            let incident = context.store.incident(record.id).map_err(|error| convert::store_error(&error))?;
            if let Some(incident) = incident {
                reasons.push(incident.reason);
                reasons.extend(incident.hint);
            }
            reasons.push("scened tries again when it, FFmpeg or scened changes (now: scenectl retry FILE)".to_owned());
            "failed"
        }
    };
    reasons.extend(record.damage.clone());
    Ok((state, reasons))
}

/// Describes which drive an offline video is on, when that drive was last seen, and why it is away.
fn whereabouts(context: &Context, record: &VideoRecord) -> Vec<String> {
    let owner = |root: &RootStatus| record.path.starts_with(&root.path);
    let roots = context.reconciler.roots();
    let Some(root) = roots.into_iter().filter(owner).max_by_key(|root| root.path.as_os_str().len()) else {
        return vec!["it is in no watched folder".to_owned()];
    };
    let inside = root.away.into_iter().filter(|(place, _)| record.path.starts_with(place));
    let nearest = inside.max_by_key(|(place, _)| place.as_os_str().len()).map(|(_, volume)| volume);
    let volume = root.volume.or(nearest).map(|volume| {
        let ago = crate::machine::clock::ago(volume.last_seen_ms);
        format!("it is on {}, last seen {ago}", volume.name)
    });
    volume.into_iter().chain(root.detail).collect()
}

fn of_file(explanation: &Explanation) -> (&'static str, Vec<String>) {
    match explanation {
        Explanation::Excluded(rule) => ("excluded", vec![rule.to_string()]),
        Explanation::Unwatched => (
            "unwatched",
            vec!["it is in no watched folder: add one with scenectl add DIR".to_owned()],
        ),
        Explanation::Missing => ("missing", vec!["there is no such file".to_owned()]),
        Explanation::Settling => (
            "pending",
            vec!["it was just written; scened reads it when it stops changing (settle-seconds)".to_owned()],
        ),
        Explanation::Unfinished => (
            "pending",
            vec!["it looks like an unfinished download; scened indexes it after ten minutes without a change".to_owned()],
        ),
        Explanation::Offline(reason) | Explanation::Unreachable(reason) => ("offline", vec![reason.clone()]),
        Explanation::Fine => (
            "unknown",
            vec!["no rule excludes it, but scened has not seen it yet: run scenectl rescan".to_owned()],
        ),
    }
}
