//! `scenes`: the scenes of one video.

use std::path::Path;
use std::sync::Arc;

use scened_common::domain::SceneId;
use scened_shared::frame::RpcError;
use scened_shared::message::{ErrorKind, FileRequest, SceneRow, ScenesAnswer};
use scened_shared::wire_path::WirePath;

use crate::ipc::context::Context;
use crate::ipc::convert;
use crate::store::{VideoRecord, VideoState};

pub(super) fn answer(context: &Context, request: &FileRequest) -> Result<ScenesAnswer, RpcError> {
    let path = context.path(&request.file)?;
    let record = known_video(context, &path)?;
    if record.n_scenes == 0 {
        let state = match record.state {
            VideoState::Failed => "failed: see `scenectl incidents`",
            _ => "not indexed yet",
        };
        return Err(RpcError::new(ErrorKind::NotFound, format!("{} is {state}", path.display())).hint("scenectl why FILE"));
    }
    let scenes = context.store.scenes(record.id).map_err(|error| convert::store_error(&error))?;
    Ok(ScenesAnswer {
        file: WirePath::new(&record.path),
        video: record.id.to_string(),
        duration_ms: record.duration_ms,
        offline: record.offline,
        picture: convert::picture(record.picture.as_ref()),
        size_bytes: Some(record.stamp.size_bytes),
        mtime_ns: Some(record.stamp.mtime_ns),
        scenes: scenes
            .iter()
            .enumerate()
            .map(|(index, scene)| SceneRow {
                start_ms: scene.span.start_ms,
                end_ms: scene.span.end_ms,
                boundary: convert::boundary(scene.boundary).to_owned(),
                scene: SceneId::new(record.id, index).to_string(),
            })
            .collect(),
    })
}

pub(super) fn known_video(context: &Context, path: &Path) -> Result<Arc<VideoRecord>, RpcError> {
    context.store.video_at(path).ok_or_else(|| {
        RpcError::new(ErrorKind::NotFound, format!("{} is not in the index", path.display())).hint("scenectl why FILE says why")
    })
}
