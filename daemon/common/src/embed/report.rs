//! What is told of a model and of what runs it.

use serde::{Deserialize, Serialize};

use crate::domain::{ImageSpec, ModelId};

/// What is known of a model without running it.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelInfo {
    /// Names its vectors.
    pub id: ModelId,
    /// Short name shown to users: `starter`, `clip-vit-b32`, or the folder's name.
    pub name: String,
    /// Length of its vectors; `None` until the worker has loaded it once, where the files do not say.
    pub dimensions: Option<usize>,
    /// The picture that it is shown.
    pub image: ImageSpec,
    /// The model that ships with scened and knows little; every answer says so.
    pub is_starter: bool,
}

/// Which execution provider runs a model, and what holds its worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderReport {
    /// The provider in use: `cpu`, `cuda`, …
    pub active: String,
    /// Providers that were asked for and failed, with the reason.
    pub failed: Vec<(String, String)>,
    /// Whether the model is kept from the network and from the user's files.
    pub is_sandboxed: bool,
    /// By what, or why not.
    pub sandbox: String,
}
