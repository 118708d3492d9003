//! `forget`: deletes everything known about a drive or folder that is away.

use scened_shared::frame::RpcError;
use scened_shared::message::{ForgetAnswer, ForgetRequest};

use crate::ipc::context::Context;
use crate::ipc::convert;

pub(super) fn answer(context: &Context, request: &ForgetRequest) -> Result<ForgetAnswer, RpcError> {
    let path = context.path(&request.file)?;
    let forgotten = context
        .folders
        .forget(&path, request.dry_run)
        .map_err(|error| convert::folder_error(&error))?;
    Ok(ForgetAnswer {
        n_videos: forgotten.n_videos,
        n_scenes: forgotten.n_scenes,
        duration_ms: forgotten.duration_ms,
        n_offline: forgotten.n_offline,
        n_kept: forgotten.n_kept,
    })
}
