//! What a model folder says about itself, checked before anything runs.
//!
//! Two public layouts load as they are: Hugging Face / transformers.js and Immich (DESIGN.md section 6). Everything that
//! decides a vector (size, resize, mean, context length, padding, cleaning of texts) comes from the folder's files, or from
//! the documented default of the class that the files name; what is missing or not understood is refused by name. Knows
//! nothing of ONNX: names, types and shapes of inputs and outputs are read from the sessions by the worker.

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

/// How the files of a model lie in its folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// The layout of transformers.js: `config.json`, `preprocessor_config.json`, `tokenizer.json` and `onnx/`.
    HuggingFace,
    /// The layout of Immich's exports: `config.json`, `visual/` and `textual/`.
    Immich,
}

impl Layout {
    /// The name that users see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HuggingFace => "hugging-face",
            Self::Immich => "immich",
        }
    }
}

/// Number format of the weights, as the file names of the Hugging Face layout tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// 32-bit floating point.
    Fp32,
    /// 16-bit floating point.
    Fp16,
    /// Weights of 8 bits.
    Int8,
}

/// From 8-bit RGB to the numbers the vision tower wants: `(value × rescale − mean) / std`, per channel.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PixelSpec {
    /// Factor from 0–255 to the range that `mean` and `std` are of; usually 1/255.
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
    /// Padding changes the vector (the tower is not causal): always the whole context.
    ToContext,
    /// The tower is causal and pooled at the end token: what follows that token changes nothing, so padding may be cut
    /// where the session's axes allow it.
    RealLength,
}

/// Which output of a tower is the vector that texts and pictures share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Head {
    /// What comes after a projection (CLIP). Its `pooler_output` is what goes into the projection: another space, which may
    /// even have the same length.
    Projected,
    /// `pooler_output` (SigLIP, which has no projection).
    Pooled,
}

/// What happens to a text before the tokenizer sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TextCleaning {
    /// The tokenizer's own normaliser does everything.
    None,
    /// Lower case, letter by letter, unless the tokenizer does it itself.
    LowerCase,
    /// open_clip's: typographic quotes and wide letters become plain ones, runs of white space one blank.
    Whitespace,
    /// `Whitespace`, and lower case.
    Lower,
    /// `Lower`, `_` becomes a blank and ASCII punctuation goes (`canonicalize` of open_clip and big_vision).
    Canonicalise,
}

/// How a text becomes what the text tower reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextSpec {
    /// Most tokens a text may have, start and end token included.
    pub context_length: usize,
    /// Whether the tower may see fewer positions than that.
    pub padding: Padding,
    /// The token that fills up; `None` leaves it to the tokenizer's file.
    pub pad_token: Option<String>,
    /// The token that every text must end with, where the files promise one; the worker checks it.
    pub end_token: Option<String>,
    /// What is done to a text before the tokenizer sees it.
    pub cleaning: TextCleaning,
}

/// Absolute paths of the files a worker opens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFiles {
    /// The ONNX file of the vision tower.
    pub vision: PathBuf,
    /// The ONNX file of the text tower.
    pub text: PathBuf,
    /// `tokenizer.json`.
    pub tokenizer: PathBuf,
}

/// A model that is complete and understood, as far as its small files tell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelFolder {
    /// The folder itself, absolute.
    pub path: PathBuf,
    /// How the files lie in it.
    pub layout: Layout,
    /// The name that `config.json` gives under `scened.name`, else the folder's.
    pub name: String,
    /// Names the vectors that it makes with `image`. See [`ModelFolder::with_crop`].
    pub id: ModelId,
    /// Number format of the towers in `files`.
    pub precision: Precision,
    /// The picture it is shown.
    pub image: ImageSpec,
    /// The same as the files say, and the id that goes with it.
    pub reference: ImageSpec,
    /// The id with `reference` for a picture.
    pub reference_id: ModelId,
    /// From the picture to the numbers that the vision tower reads.
    pub pixels: PixelSpec,
    /// From a text to what the text tower reads.
    pub text: TextSpec,
    /// Which output of a tower is the vector.
    pub head: Head,
    /// Length of its vectors, where the files say; the worker checks it.
    pub dimensions: Option<usize>,
    /// What a worker opens.
    pub files: ModelFiles,
    /// All files a worker needs, together.
    pub size_bytes: u64,
    /// These files: whatever changes vectors.
    #[serde(default)]
    pub parts: Vec<PathBuf>,
    /// The model that ships with scened and knows little.
    pub is_starter: bool,
    /// The object `scened` of config.json as it stands (only models made for scened have one): name, calibration, ….
    pub extra: serde_json::Map<String, serde_json::Value>,
}

impl ModelFolder {
    /// Reads and checks the folder at `path`. Pictures are as its files say; see [`ModelFolder::with_crop`].
    ///
    /// **Errors**: every variant of [`ModelError`] but `Unknown`.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let path = std::path::absolute(path).map_err(|source| ModelError::Read {
            path: path.to_owned(),
            source,
        })?;
        if path.to_str().is_none() {
            // The worker is told paths in JSON.
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

    /// The same model with its towers in another precision, where the folder has them too. It keeps this one's id, so that it is for
    /// comparing and not for vectors that are stored.
    pub fn in_precision(&self, precision: Precision) -> Result<Option<Self>, ModelError> {
        let towers = match self.layout {
            Layout::HuggingFace => hugging_face::towers_in(&self.path, precision)?,
            // Its names tell no precision.
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

    /// What is told of it without running it.
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

/// What a layout's reader found out.
struct Understood {
    layout: Layout,
    precision: Precision,
    image: ImageSpec,
    pixels: PixelSpec,
    text: TextSpec,
    head: Head,
    dimensions: Option<usize>,
    files: ModelFiles,
    /// Files beside the ONNX files whose bytes change vectors.
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
    /// A file that the layout needs is not there; `action` says what the user can do.
    #[error("model folder {} lacks {file}", path.display())]
    Missing {
        /// The folder.
        path: PathBuf,
        /// What is not there, relative to the folder.
        file: String,
        /// What the user can do.
        action: String,
    },
    /// A file cannot be read, is no regular file, or is too large.
    #[error("cannot read {}", path.display())]
    Read {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A small file is not JSON.
    #[error("{} is damaged: it is not JSON", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where it ceases to be JSON.
        source: serde_json::Error,
    },
    /// The weights lead out of the model's folder and its cache: they could be anybody's file.
    #[error("the weights {location:?} of {} lead to {}, which belongs to another place", path.display(), target.display())]
    Outside {
        /// The ONNX file.
        path: PathBuf,
        /// The name of the weights in it.
        location: String,
        /// Where that leads.
        target: PathBuf,
    },
    /// A key of a small file says something that scened does not do.
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
        /// What was asked for.
        name: String,
        /// The names of the models that are there.
        known: Vec<String>,
        /// The folders that were searched.
        looked_in: Vec<PathBuf>,
    },
}

impl ModelError {
    /// The folder or file that is to blame, where there is one.
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

    /// What the user can do.
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

/// Whether nothing is at `path`; any other obstacle is an error of its own, and so is what has no end or may never begin (a pipe,
/// a device): a client may name any folder.
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

/// `path/file`, which must be there.
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

/// `path/file` where it is there.
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
