//! `status`: what is indexed, pending, failed, offline, and what goes on.

use std::sync::Arc;

use scened_shared::frame::RpcError;
use scened_shared::message::{Coverage, CurrentVideo, Progress, Queue, Status};
use scened_shared::wire_path::WirePath;

use crate::ipc::context::Context;
use crate::ipc::handler::{folders, in_pool};

pub(in crate::ipc) async fn current(context: &Arc<Context>) -> Result<Status, RpcError> {
    let for_pool = Arc::clone(context);
    in_pool(context, move || Ok(assemble(&for_pool))).await
}

pub(super) fn assemble(context: &Context) -> Status {
    let counts = context.store.counts();
    let queue = queue(context);
    let progress = context.indexer.progress();
    let mut warnings = context.start_warnings.clone();
    warnings.extend(context.serving.problem().map(|problem| problem.reason));
    warnings.extend(context.indexer.hindrance());
    warnings.extend(context.reconciler.warnings());
    warnings.extend(context.models.provider_warnings());
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
        notices: context.models.notices(),
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
        folders: folders::list(context).folders,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        uptime_ms: context.started.elapsed().as_millis() as u64,
        n_incidents: counts.failed,
    }
}

pub(super) fn videos(context: &Context) -> Coverage {
    let counts = context.store.counts();
    Coverage {
        indexed: counts.indexed,
        pending: counts.pending,
        failed: counts.failed,
        offline: counts.offline,
    }
}

/// All zero exactly when nothing is left to do and searches see everything.
pub(super) fn queue(context: &Context) -> Queue {
    let files = context.reconciler.queue();
    let jobs = context.indexer.n_jobs();
    // A committed video that the ANN index has not taken in yet is not done.
    let unseen = u64::from(jobs == 0 && context.models.behind() > 0);
    Queue {
        walks: files.walks,
        settling: files.settling,
        jobs: jobs + unseen,
    }
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
