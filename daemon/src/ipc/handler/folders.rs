//! `folders`, `add`, `remove`.

use std::collections::HashSet;
use std::path::Path;

use scened_common::domain::VideoId;
use scened_shared::frame::RpcError;
use scened_shared::message::{AddRequest, AwayVolume, Folder, FoldersAnswer, RemoveAnswer, RemoveRequest};
use scened_shared::wire_path::WirePath;

use crate::ipc::context::Context;
use crate::ipc::convert;
use crate::query::Coverage;
use crate::reconcile::RootState;

pub(super) fn list(context: &Context) -> FoldersAnswer {
    let videos = context.store.videos();
    let lacking: HashSet<VideoId> = context.lacking().iter().map(|record| record.id).collect();
    let folders = context
        .reconciler
        .roots()
        .into_iter()
        .map(|root| {
            let mut coverage = Coverage::default();
            for record in videos.iter().filter(|record| record.path.starts_with(&root.path)) {
                coverage.count(record, lacking.contains(&record.id));
            }
            // A place without indexed videos is no loss, so it is not listed.
            let has_videos = |place: &Path| videos.iter().any(|record| record.offline && record.path.starts_with(place));
            let away = root
                .away
                .into_iter()
                .filter(|(place, _)| has_videos(place))
                .map(|(place, volume)| AwayVolume {
                    file: WirePath::new(&place),
                    volume: volume.name,
                    last_seen_ms: volume.last_seen_ms,
                });
            let state = match root.state {
                RootState::Watched => "watched",
                RootState::Polled => "polled",
                RootState::Offline => "offline",
            };
            Folder {
                file: WirePath::new(&root.path),
                state: state.to_owned(),
                videos: convert::coverage(&coverage),
                detail: root.detail,
                away: away.collect(),
                last_seen_ms: root.volume.as_ref().map(|volume| volume.last_seen_ms),
                volume: root.volume.map(|volume| volume.name),
            }
        })
        .collect();
    FoldersAnswer { folders }
}

pub(super) fn add(context: &Context, request: &AddRequest) -> Result<FoldersAnswer, RpcError> {
    let path = context.path(&request.file)?;
    context.folders.add(&path).map_err(|error| convert::folder_error(&error))?;
    Ok(list(context))
}

pub(super) fn remove(context: &Context, request: &RemoveRequest) -> Result<RemoveAnswer, RpcError> {
    let path = context.path(&request.file)?;
    let n_videos = if request.dry_run {
        context.folders.count_for_removal(&path)
    } else {
        context.folders.remove(&path, request.keep)
    };
    let n_videos = n_videos.map_err(|error| convert::folder_error(&error))?;
    Ok(RemoveAnswer {
        n_videos,
        folders: list(context).folders,
    })
}
