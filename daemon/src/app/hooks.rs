//! What parts tell one another without knowing one another: the end of the store, what became of videos.

use std::sync::{Arc, OnceLock, Weak};

use tokio::sync::{broadcast, mpsc};
use tracing::error;

use crate::activity::Activity;
use crate::ipc::Event;
use crate::pipeline::{PipelineEvent, PipelineHook};
use crate::reconcile::ReconcilerHandle;
use crate::store::{Change, ChangeKind, Store};

/// Whoever finds out that the store takes nothing more: the daemon's end is near, and `status` says so.
pub(super) fn break_off_when_fatal(store: &Store, break_off: &mpsc::Sender<String>, activity: &Activity) {
    let (break_off, activity) = (break_off.clone(), activity.clone());
    store.on_fatal(Box::new(move |reason| {
        error!(reason, "the store takes nothing more");
        // A second failure says nothing new.
        let _first = break_off.try_send(reason.to_owned());
        activity.bump();
    }));
}

/// Tells what became of a video; `touched` is asked to look at one again that changed meanwhile.
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
            // A second failure says nothing new.
            let _first = break_off.try_send(reason);
        }
    })
}

fn announce(events: &broadcast::Sender<Event>, event: Event) {
    // Without subscribers there is nobody to tell.
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
