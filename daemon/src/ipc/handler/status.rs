//! `status`: what is indexed, pending, failed and offline, and what is running.

use std::sync::Arc;

use scened_shared::frame::RpcError;
use scened_shared::message::{Coverage, CurrentVideo, ModelChange, Progress, Queue, Status};
use scened_shared::wire_path::WirePath;

use crate::ipc::context::Context;
use crate::ipc::handler::folders;
use crate::pipeline::CatchingUp;
use crate::requests::{ClientProcess, Lane};
use crate::store::{VideoRecord, VideoState};

pub(in crate::ipc) async fn current(context: &Arc<Context>, client: ClientProcess) -> Result<Status, RpcError> {
    let for_pool = Arc::clone(context);
    context.in_pool(Lane::Quick, client, move || Ok(assemble(&for_pool))).await
}

pub(super) fn assemble(context: &Context) -> Status {
    let counts = context.store.counts();
    let queue = queue(context);
    let progress = context.indexer.progress();
    let mut warnings = context.start_warnings.clone();
    warnings.extend(context.serving.problem().map(|problem| problem.reason));
    warnings.extend(context.indexer.wait_reason());
    warnings.extend(context.store.warnings());
    warnings.extend(crate::supervise::given_up());
    warnings.extend(context.reconciler.warnings());
    warnings.extend(context.models.model_warnings());
    warnings.extend(context.models.provider_warnings());
    warnings.extend(context.models.sandbox_warning());
    warnings.sort();
    warnings.dedup();
    Status {
        videos: videos(context),
        scenes: counts.scenes,
        model: context.models.name_in_use(),
        provider: context.models.provider(),
        decoder: context.indexer.decoder().unwrap_or_default(),
        state: state(context).to_owned(),
        warnings,
        notices: notices(context),
        queue,
        progress: Progress {
            current: progress
                .current
                .iter()
                .map(|job| CurrentVideo {
                    file: WirePath::new(&job.path),
                    position_ms: job.position_ms,
                    duration_ms: job.duration_ms,
                })
                .collect(),
            rate: progress.rate,
            left_ms: progress.left_ms,
        },
        model_change: model_change(context, progress.catching_up),
        folders: folders::list(context).folders,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        uptime_ms: context.started.elapsed().as_millis() as u64,
        n_incidents: counts.failed,
    }
}

/// Returns the progress of a change to another model; `None` if there is none.
fn model_change(context: &Context, catching_up: Option<CatchingUp>) -> Option<ModelChange> {
    let next = context.serving.next()?;
    let left = catching_up.unwrap_or(CatchingUp { n_left: 0, left_ms: None });
    let done = context.store.n_videos_with_vectors(&next.info.id).unwrap_or_default();
    Some(ModelChange {
        to: next.info.name.clone(),
        done,
        left: left.n_left,
        left_behind: context.indexer.n_left_behind(),
        left_ms: left.left_ms,
    })
}

pub(super) fn videos(context: &Context) -> Coverage {
    let counts = context.store.counts();
    // These are indexed, but not for the model that answers.
    let is_counted = |record: &VideoRecord| record.state == VideoState::Indexed && !record.offline;
    let n_lacking = context.lacking().iter().filter(|record| is_counted(record)).count() as u64;
    Coverage {
        indexed: counts.indexed.saturating_sub(n_lacking),
        pending: counts.pending + n_lacking,
        failed: counts.failed,
        offline: counts.offline,
    }
}

/// Returns the queue. It is all zero exactly if nothing is left to do and searches see everything.
pub(super) fn queue(context: &Context) -> Queue {
    let files = context.reconciler.queue();
    let jobs = context.indexer.n_jobs();
    // A committed video is not done until the ANN index includes it. A new model is not done until it answers.
    let unseen = u64::from(jobs == 0 && (context.models.behind() > 0 || context.serving.next().is_some()));
    Queue {
        walks: files.walks,
        settling: files.settling,
        jobs: jobs + unseen,
    }
}

/// Returns why the queue will never become empty, if a part of scened that empties it has been given up.
pub(super) fn stuck(context: &Context) -> Option<String> {
    crate::supervise::holds_up().or_else(|| context.indexer.is_given_up())
}

fn notices(context: &Context) -> Vec<String> {
    let mut notices = context.models.notices();
    if context.throttle.gives_way() {
        notices.push("other programs use the CPU: indexing runs a quarter of the time (busy)".to_owned());
    }
    notices
}

pub(super) fn state(context: &Context) -> &'static str {
    if context.indexer.is_paused() {
        "paused"
    } else if queue(context) == Queue::default() {
        "idle"
    } else {
        "indexing"
    }
}
