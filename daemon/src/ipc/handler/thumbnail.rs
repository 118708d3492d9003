//! `thumbnail`: the picture of a scene.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use scened_common::domain::SceneId;
use scened_shared::frame::RpcError;
use scened_shared::message::{ErrorKind, ThumbnailAnswer, ThumbnailRequest};

use crate::ipc::context::Context;
use crate::ipc::convert;

pub(super) fn answer(context: &Context, request: &ThumbnailRequest) -> Result<ThumbnailAnswer, RpcError> {
    let scene: SceneId = request
        .scene
        .parse()
        .map_err(|error: scened_common::domain::ParseSceneIdError| RpcError::new(ErrorKind::InvalidParams, error.to_string()))?;
    match context.store.thumbnail(scene) {
        Ok(Some(jpeg)) if !jpeg.is_empty() => Ok(ThumbnailAnswer {
            jpeg: STANDARD.encode(jpeg),
        }),
        Ok(_) => Err(RpcError::new(ErrorKind::NotFound, format!("there is no picture of scene {scene}"))),
        Err(error) => Err(convert::store_error(&error)),
    }
}
