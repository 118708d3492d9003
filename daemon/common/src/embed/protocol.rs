//! The protocol between the daemon and an embed worker, in frames of [`crate::pipe`].
//!
//! The daemon sends one [`LoadRequest`] and then one request at a time. The worker answers each with [`KIND_DONE`], [`KIND_VECTORS`] or
//! [`KIND_FAILED`] before it reads the next. Numbers in bodies are little-endian.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::model::ModelFolder;
use super::report::ProviderReport;
use crate::pipe;

/// Role in the hello.
pub const ROLE: &str = "embed";
/// Increases with every change of a message in this module.
pub const VERSION: u32 = 3;

/// Request with a [`LoadRequest`]; the answer is [`KIND_DONE`] with [`Loaded`]. It comes first and is sent only once.
pub const KIND_LOAD: u8 = 1;
/// Request with a [`TextsRequest`]; its body is the texts' UTF-8 without separators.
pub const KIND_TEXTS: u8 = 2;
/// Request with a [`FramesRequest`]; its body is the frames' RGB, `[n_frames, height_px, width_px, 3]` u8.
pub const KIND_FRAMES: u8 = 3;

/// Answer with [`Loaded`].
pub const KIND_DONE: u8 = 16;
/// Answer with [`Vectors`]; its body is `[n, dimensions]` f32.
pub const KIND_VECTORS: u8 = 17;
/// Answer with [`Failed`]; the worker continues.
pub const KIND_FAILED: u8 = 18;

/// Most texts or frames in one request.
pub const MAX_BATCH: usize = 16;
/// The daemon cuts longer texts: no context length comes near this.
pub const MAX_TEXT_BYTES: usize = 16 << 10;
/// Longest text in an answer that a user may see. Bytes.
pub const MAX_WORDS_BYTES: usize = 2048;
/// Most providers that an answer may report; there are fewer.
pub const MAX_PROVIDERS: usize = 32;
/// Largest answer that the daemon accepts from a worker: [`MAX_BATCH`] vectors of 2^15 components, and a header.
pub const MAX_ANSWER_BYTES: usize = (MAX_BATCH * (1 << 15) * 4) + (64 << 10);

/// The model that an embed worker loads, and how much of the machine it may use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadRequest {
    /// The model, as the daemon read its folder.
    pub model: ModelFolder,
    /// In order of preference: a name of [`crate::providers::PROVIDERS`].
    pub providers: Vec<String>,
    /// Threads of one session; 0 = one for each core allowed.
    pub threads: usize,
    /// ONNX Runtime's library.
    pub onnxruntime: PathBuf,
    /// Folder in which the worker may keep optimised graphs; the worker creates it. `None` keeps none.
    pub graph_cache: Option<PathBuf>,
    /// Memory of a graphics card that the worker leaves to other programs.
    pub gpu_memory_reserve_bytes: u64,
    /// Whether the worker uses only processor time that no other program wants.
    pub background: bool,
    /// Whether the worker may run a model without a sandbox.
    pub allow_unsandboxed: bool,
}

/// The worker has understood the model and opened the library. It loads each tower when it first needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loaded {
    /// Version and build of ONNX Runtime, as the library reports them.
    pub onnxruntime: String,
}

/// Texts to embed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextsRequest {
    /// Bytes of each text in the body.
    pub lengths: Vec<u32>,
}

/// Pictures to embed, all of one size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FramesRequest {
    /// Number of pictures in the body; at most [`MAX_BATCH`].
    pub n_frames: u32,
    /// Width of each. Pixels.
    pub width_px: u32,
    /// Height of each. Pixels.
    pub height_px: u32,
}

/// The vectors of one request, in the order of its texts or pictures. Each has unit length, or is all zeros if it had no direction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vectors {
    /// Number of vectors.
    pub n: u32,
    /// Components of each.
    pub dimensions: u32,
    /// Places (from 0) of inputs whose vector had no direction; their rows hold zeros. Ascending.
    pub degenerate: Vec<u32>,
    /// The provider that computed them.
    pub provider: ProviderReport,
}

/// Nothing was embedded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// What is wrong, for the user.
    pub reason: String,
    /// What to do about it, for the user.
    pub hint: Option<String>,
}

impl Failed {
    /// Returns the same text, safe for a terminal: the daemon does not trust a worker.
    #[must_use]
    pub fn cleaned(self) -> Self {
        Self {
            reason: clean(&self.reason),
            hint: self.hint.as_deref().map(clean),
        }
    }
}

impl Loaded {
    /// Cleans the text like [`Failed::cleaned`].
    #[must_use]
    pub fn cleaned(self) -> Self {
        Self {
            onnxruntime: clean(&self.onnxruntime),
        }
    }
}

impl Vectors {
    /// Cleans the texts like [`Failed::cleaned`].
    #[must_use]
    pub fn cleaned(mut self) -> Self {
        let provider = &mut self.provider;
        provider.active = clean(&provider.active);
        provider.sandbox = clean(&provider.sandbox);
        provider.failed.truncate(MAX_PROVIDERS);
        for (name, reason) in &mut provider.failed {
            (*name, *reason) = (clean(name), clean(reason));
        }
        self
    }
}

fn clean(text: &str) -> String {
    pipe::clean(text, MAX_WORDS_BYTES)
}
