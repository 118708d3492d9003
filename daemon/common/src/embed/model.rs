//! Reads what a model folder says about itself and checks it before anything runs.
//!
//! Two public layouts load unchanged: Hugging Face / transformers.js and Immich (DESIGN.md section 6). Everything that affects a vector
//! (size, resize, mean, context length, padding, cleaning of texts) comes from the folder's files. If they omit a value, the documented
//! default of the class that they name applies. A key that is missing or not understood is an error that names it. Knows nothing of ONNX:
//! the worker reads names, types and shapes of inputs and outputs from the sessions.

mod catalog;
mod crop;
mod document;
pub mod external;
mod hugging_face;
mod identity;
mod immich;
mod tokenizer;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub(crate) use catalog::is_target;
pub use catalog::{MODELS_VARIABLE, find_models, model_dirs, resolve};

use crate::domain::{ImageSpec, ModelId};
use crate::embed::report::ModelInfo;
use document::Document;

/// How a model's files are arranged in its folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// The layout of transformers.js: `config.json`, `preprocessor_config.json`, `tokenizer.json` and `onnx/`.
    HuggingFace,
    /// The layout of Immich's exports: `config.json`, `visual/` and `textual/`.
    Immich,
}

impl Layout {
    /// Returns the name that users see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HuggingFace => "hugging-face",
            Self::Immich => "immich",
        }
    }
}

/// Number format of the weights, according to the file names of the Hugging Face layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// 32-bit floating point.
    Fp32,
    /// 16-bit floating point.
    Fp16,
    /// 8-bit weights.
    Int8,
}

/// How 8-bit RGB becomes the vision tower's input: `(value × rescale − mean) / std`, per channel.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PixelSpec {
    /// Factor from 0–255 to the range of `mean` and `std`; usually 1/255.
    pub rescale: f32,
    /// Mean of each channel, in the order R, G, B.
    pub mean: [f32; 3],
    /// Standard deviation of each channel, in the order R, G, B. None is zero.
    pub std: [f32; 3],
}

/// Whether the text tower may see fewer positions than its context has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Padding {
    /// Padding changes the vector (the tower is not causal), so the tower always gets the whole context.
    ToContext,
    /// The tower is causal and pooled at the end token, so nothing after that token affects the vector. Padding may be cut if the session's
    /// axes allow it.
    RealLength,
}

/// Which output of a tower is the vector that texts and pictures share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Head {
    /// The output of a projection (CLIP). Its `pooler_output` is the projection's input: another space, which may even have the same
    /// length.
    Projected,
    /// `pooler_output` (SigLIP, which has no projection).
    Pooled,
}

/// How a text is cleaned before the tokenizer sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TextCleaning {
    /// The tokenizer's own normaliser does everything.
    None,
    /// Lower case, letter by letter, unless the tokenizer does it itself.
    LowerCase,
    /// As in open_clip: typographic quotes and wide letters become plain ones, and runs of white space become one blank.
    Whitespace,
    /// `Whitespace`, and lower case.
    Lower,
    /// `Lower`; also `_` becomes a blank and ASCII punctuation is removed (`canonicalize` of open_clip and big_vision).
    Canonicalise,
}

/// How a text becomes the text tower's input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextSpec {
    /// Most tokens a text may have, including the start and end tokens.
    pub context_length: usize,
    /// Whether the tower may see fewer positions than that.
    pub padding: Padding,
    /// The padding token; `None` leaves it to the tokenizer's file.
    pub pad_token: Option<String>,
    /// The token that every text must end with, if the files promise one; the worker checks it.
    pub end_token: Option<String>,
    /// How a text is cleaned before the tokenizer sees it.
    pub cleaning: TextCleaning,
}

/// Absolute paths of the files that a worker opens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFiles {
    /// The ONNX file of the vision tower.
    pub vision: PathBuf,
    /// The ONNX file of the text tower.
    pub text: PathBuf,
    /// `tokenizer.json`.
    pub tokenizer: PathBuf,
}

/// A model that is complete and understood, as far as its small files show.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelFolder {
    /// The folder itself, absolute.
    pub path: PathBuf,
    /// How the files are arranged in it.
    pub layout: Layout,
    /// The name in `config.json` under `scened.name`, or else the folder's name.
    pub name: String,
    /// Names the vectors that the model makes with `image`. See [`ModelFolder::with_crop`].
    pub id: ModelId,
    /// Number format of the towers in `files`.
    pub precision: Precision,
    /// The picture that the model is shown.
    pub image: ImageSpec,
    /// The picture that the files specify; `reference_id` belongs to it.
    pub reference: ImageSpec,
    /// The id of the vectors that the model makes with `reference`.
    pub reference_id: ModelId,
    /// How the picture becomes the vision tower's input.
    pub pixels: PixelSpec,
    /// How a text becomes the text tower's input.
    pub text: TextSpec,
    /// Which output of a tower is the vector.
    pub head: Head,
    /// Length of its vectors, if the files say; the worker checks it.
    pub dimensions: Option<usize>,
    /// The files that a worker opens.
    pub files: ModelFiles,
    /// Total size of the files that a worker needs.
    pub size_bytes: u64,
    /// Those files that affect the vectors.
    #[serde(default)]
    pub parts: Vec<PathBuf>,
    /// Whether this is the model that ships with scened, which knows little.
    pub is_starter: bool,
    /// The object `scened` of config.json, unchanged (only models made for scened have one): name, calibration, ….
    pub extra: serde_json::Map<String, serde_json::Value>,
}

impl ModelFolder {
    /// Reads and checks the folder at `path`. Pictures are as its files specify; see [`ModelFolder::with_crop`].
    ///
    /// **Errors**: every variant of [`ModelError`] except `Unknown`.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let path = std::path::absolute(path).map_err(|source| ModelError::Read {
            path: path.to_owned(),
            source,
        })?;
        if path.to_str().is_none() {
            // The worker receives paths in JSON.
            let source = std::io::Error::new(std::io::ErrorKind::InvalidInput, "its path is not UTF-8; rename the folder");
            return Err(ModelError::Read { path, source });
        }
        if is_missing(&path.join("config.json"))? {
            return Err(ModelError::NotAModel { path });
        }
        let config = Document::read(&path.join("config.json"))?;
        let extra = config.object("scened")?.cloned().unwrap_or_default();
        let name = match extra.get("name") {
            None => folder_name(&path),
            Some(serde_json::Value::String(name)) if !name.is_empty() => name.clone(),
            Some(other) => return Err(config.refuse("scened.name", format!("{other} is not a name"))),
        };
        let understood = if is_missing(&path.join("visual"))? {
            hugging_face::read(&path, &config)?
        } else {
            immich::read(&path, &config)?
        };
        let identity = identity::of(&path, &name, &understood.files, &understood.small_files)?;
        let id = identity.id;
        Ok(Self {
            is_starter: extra.contains_key("name") && name == "starter",
            layout: understood.layout,
            name,
            reference_id: id.clone(),
            id,
            precision: understood.precision,
            image: understood.image,
            reference: understood.image,
            pixels: understood.pixels,
            text: understood.text,
            head: understood.head,
            dimensions: understood.dimensions,
            files: understood.files,
            size_bytes: identity.size_bytes,
            parts: identity.parts,
            extra,
            path,
        })
    }

    /// Returns the same model with its towers in another precision, if the folder has them. It keeps this model's id, so it is for
    /// comparisons and not for vectors that are stored.
    pub fn in_precision(&self, precision: Precision) -> Result<Option<Self>, ModelError> {
        let towers = match self.layout {
            Layout::HuggingFace => hugging_face::towers_in(&self.path, precision)?,
            // Its file names do not show a precision.
            Layout::Immich => None,
        };
        Ok(towers.map(|(vision, text)| Self {
            precision,
            files: ModelFiles {
                vision,
                text,
                ..self.files.clone()
            },
            ..self.clone()
        }))
    }

    /// Returns what can be reported about the model without running it.
    pub fn info(&self) -> ModelInfo {
        ModelInfo {
            id: self.id.clone(),
            name: self.name.clone(),
            dimensions: self.dimensions,
            image: self.image,
            is_starter: self.is_starter,
        }
    }
}

/// The result of a layout's reader.
struct Understood {
    layout: Layout,
    precision: Precision,
    image: ImageSpec,
    pixels: PixelSpec,
    text: TextSpec,
    head: Head,
    dimensions: Option<usize>,
    files: ModelFiles,
    /// Files besides the ONNX files whose bytes affect the vectors.
    small_files: Vec<PathBuf>,
}

/// Why a folder cannot be used as a model.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The folder has no `config.json`.
    #[error("{} is not a model folder: it has no config.json", path.display())]
    NotAModel {
        /// The folder.
        path: PathBuf,
    },
    /// A file that the layout needs is missing; `action` says what the user can do.
    #[error("model folder {} lacks {file}", path.display())]
    Missing {
        /// The folder.
        path: PathBuf,
        /// The missing file, relative to the folder.
        file: String,
        /// What the user can do.
        action: String,
    },
    /// A file cannot be read, is not a regular file, or is too large.
    #[error("cannot read {}", path.display())]
    Read {
        /// The folder or file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A small file is not JSON.
    #[error("{} is damaged: it is not JSON", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where the JSON is invalid.
        source: serde_json::Error,
    },
    /// The weights are outside the model's folder and its cache, so they could be any file of the user's.
    #[error("the weights {location:?} of {} lead to {}, which belongs to another place", path.display(), target.display())]
    Outside {
        /// The ONNX file.
        path: PathBuf,
        /// The name of the weights in it.
        location: String,
        /// The file to which that name leads.
        target: PathBuf,
    },
    /// A key of a small file has a value that scened does not support.
    #[error("{}: {key}: {reason}", path.display())]
    NotUnderstood {
        /// The file.
        path: PathBuf,
        /// The key, with dots.
        key: String,
        /// What is wrong with its value.
        reason: String,
    },
    /// No model has this name.
    #[error("no model is named {name:?} (there are: {})", list(known))]
    Unknown {
        /// The name that was requested.
        name: String,
        /// The names of the available models.
        known: Vec<String>,
        /// The folders that were searched.
        looked_in: Vec<PathBuf>,
    },
}

impl ModelError {
    /// Returns the folder or file at fault, if there is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::NotAModel { path }
            | Self::Missing { path, .. }
            | Self::Read { path, .. }
            | Self::Json { path, .. }
            | Self::Outside { path, .. }
            | Self::NotUnderstood { path, .. } => Some(path),
            Self::Unknown { .. } => None,
        }
    }

    /// Returns what the user can do.
    pub fn hint(&self) -> String {
        match self {
            Self::NotAModel { .. } => "give a folder in the Hugging Face layout (config.json, preprocessor_config.json, tokenizer.json, \
                 onnx/) or the Immich layout (config.json, visual/, textual/)"
                .to_owned(),
            Self::Missing { action, .. } => action.clone(),
            Self::Read { .. } => "check that the file is there and may be read".to_owned(),
            Self::Json { .. } => "download the model again".to_owned(),
            Self::Outside { .. } => {
                "a model may read only its own folder and the cache of its repository: replace the link by the file".to_owned()
            }
            Self::NotUnderstood { .. } => "scened does not support this model; choose another one, or report it".to_owned(),
            Self::Unknown { looked_in, .. } => {
                let folders: Vec<_> = looked_in.iter().map(|p| p.display().to_string()).collect();
                format!("searched {}; you can also give a folder's path", list(&folders))
            }
        }
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Decides whether nothing exists at `path`. Any other obstacle is an error. So is a pipe or a device, because reading it may never begin
/// or end, and a client may name any folder.
fn is_missing(path: &Path) -> Result<bool, ModelError> {
    let failed = |source| {
        Err(ModelError::Read {
            path: path.to_owned(),
            source,
        })
    };
    match path.metadata() {
        Ok(found) if found.is_file() || found.is_dir() => Ok(false),
        Ok(_) => failed(std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a regular file")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(error) => failed(error),
    }
}

/// Returns `path/file`, which must exist.
fn required(path: &Path, file: &str, action: &str) -> Result<PathBuf, ModelError> {
    let wanted = path.join(file);
    if is_missing(&wanted)? {
        return Err(ModelError::Missing {
            path: path.to_owned(),
            file: file.to_owned(),
            action: action.to_owned(),
        });
    }
    Ok(wanted)
}

/// Returns `path/file` if it exists.
fn optional(path: &Path, file: &str) -> Result<Option<PathBuf>, ModelError> {
    let wanted = path.join(file);
    Ok((!is_missing(&wanted)?).then_some(wanted))
}

fn folder_name(path: &Path) -> String {
    path.file_name()
        .map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned())
}

#[cfg(feature = "fuzzing")]
pub mod fuzz;

#[cfg(test)]
mod tests;
