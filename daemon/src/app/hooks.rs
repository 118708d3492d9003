//! Hooks that connect parts which do not know each other: the failure of the store, and the outcomes of videos.

use std::sync::{Arc, OnceLock, Weak};

use tokio::sync::{broadcast, mpsc};
use tracing::error;

use crate::activity::Activity;
use crate::ipc::Event;
use crate::pipeline::{PipelineEvent, PipelineHook};
use crate::reconcile::ReconcilerHandle;
use crate::store::{Change, ChangeKind, Store};

/// Makes the daemon end when any part finds that the store accepts no more changes. `status` then says so.
pub(super) fn break_off_when_fatal(store: &Store, break_off: &mpsc::Sender<String>, activity: &Activity) {
    let (break_off, activity) = (break_off.clone(), activity.clone());
    store.on_fatal(Box::new(move |reason| {
        error!(reason, "the store takes nothing more");
        // A second failure adds nothing.
        let _first = break_off.try_send(reason.to_owned());
        activity.bump();
    }));
}

/// Announces the outcome of a video. If the video changed meanwhile, asks the reconciler in `touched` to look at it again.
pub(super) fn pipeline_hook(
    events: broadcast::Sender<Event>,
    touched: Arc<OnceLock<Weak<ReconcilerHandle>>>,
    break_off: mpsc::Sender<String>,
) -> PipelineHook {
    Arc::new(move |event: PipelineEvent| match event {
        PipelineEvent::VideoIndexed { path, n_scenes } => announce(&events, Event::Indexed { path, n_scenes }),
        PipelineEvent::VideoFailed { path, reason } => announce(&events, Event::Failed { path, reason }),
        PipelineEvent::FileChanged { path } => {
            if let Some(reconciler) = touched.get().and_then(Weak::upgrade) {
                reconciler.rescan(Some(path));
            }
        }
        PipelineEvent::StoreFailed { reason } => {
            // A second failure adds nothing.
            let _first = break_off.try_send(reason);
        }
    })
}

fn announce(events: &broadcast::Sender<Event>, event: Event) {
    // Sending fails only if there are no subscribers.
    let _n_told = events.send(event);
}

pub(super) fn event_hook(events: &broadcast::Sender<Event>) -> impl Fn(&Change) + Send + Sync + 'static {
    let events = events.clone();
    move |change| match &change.kind {
        ChangeKind::Removed { path } => announce(&events, Event::Removed { path: path.clone() }),
        ChangeKind::Moved { from, to } => announce(
            &events,
            Event::Moved {
                path: to.clone(),
                from: from.clone(),
            },
        ),
        _ => {}
    }
}
