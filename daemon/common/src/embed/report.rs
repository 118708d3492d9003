//! What the daemon reports about a model and about the provider that runs it.

use serde::{Deserialize, Serialize};

use crate::domain::{ImageSpec, ModelId};

/// What can be said about a model without running it.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelInfo {
    /// Names its vectors.
    pub id: ModelId,
    /// Short name shown to users: `starter`, `clip-vit-b32`, or the folder's name.
    pub name: String,
    /// Length of its vectors. If the files do not say, `None` until the worker has loaded the model once.
    pub dimensions: Option<usize>,
    /// The picture that the model is shown.
    pub image: ImageSpec,
    /// Whether this is the model that ships with scened, which knows little; every answer says so.
    pub is_starter: bool,
}

/// The execution provider that runs a model, and the sandbox of its worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderReport {
    /// The provider in use: `cpu`, `cuda`, …
    pub active: String,
    /// Providers that were requested and failed, with the reason.
    pub failed: Vec<(String, String)>,
    /// Whether the sandbox keeps the model from the network and from the user's files.
    pub is_sandboxed: bool,
    /// Name of the sandbox, or why there is none.
    pub sandbox: String,
}
