//! `model_list`, `model_use`, `model_info`, `model_remove`.

use scened_shared::frame::RpcError;
use scened_shared::message::{ModelRequest, ModelRow, ModelsAnswer};
use scened_shared::wire_path::WirePath;

use crate::ipc::context::Context;
use crate::ipc::convert;
use crate::models::Listed;

pub(super) fn list(context: &Context) -> ModelsAnswer {
    ModelsAnswer {
        models: context.models.list().into_iter().map(row).collect(),
    }
}

pub(super) fn use_model(context: &Context, request: &ModelRequest) -> Result<ModelsAnswer, RpcError> {
    context
        .models
        .use_model(&request.model, request.reindex)
        .map_err(|error| convert::models_error(&error))?;
    context.indexer.catch_up();
    Ok(list(context))
}

pub(super) fn info(context: &Context, request: &ModelRequest) -> Result<ModelsAnswer, RpcError> {
    let listed = context.models.info(&request.model).map_err(|error| convert::models_error(&error))?;
    Ok(ModelsAnswer { models: vec![row(listed)] })
}

pub(super) fn remove(context: &Context, request: &ModelRequest) -> Result<ModelsAnswer, RpcError> {
    context
        .models
        .remove(&request.model)
        .map_err(|error| convert::models_error(&error))?;
    Ok(list(context))
}

fn row(listed: Listed) -> ModelRow {
    ModelRow {
        name: listed.name,
        folder: WirePath::new(&listed.folder),
        active: listed.active,
        state: listed.state,
        layout: listed.layout,
        image_px: listed.image_px,
        crop: listed.crop.to_owned(),
        dimensions: listed.dimensions,
        size_bytes: listed.size_bytes,
        videos: listed.n_videos,
    }
}
