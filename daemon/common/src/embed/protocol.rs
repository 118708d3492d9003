//! What daemon and embed worker say to each other, in frames of [`crate::pipe`].
//!
//! The daemon sends one [`LoadRequest`] and then one request at a time; the worker answers each with [`KIND_DONE`],
//! [`KIND_VECTORS`] or [`KIND_FAILED`] before it reads the next. Numbers in bodies are little-endian.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::model::ModelFolder;
use super::report::ProviderReport;
use crate::pipe;

/// Role in the hello.
pub const ROLE: &str = "embed";
/// Grows with every change of a message here.
pub const VERSION: u32 = 3;

/// Request with a [`LoadRequest`]; answered by [`KIND_DONE`] with [`Loaded`]. The first one, and never sent again.
pub const KIND_LOAD: u8 = 1;
/// Request with a [`TextsRequest`]; its body is the texts' UTF-8 without separators.
pub const KIND_TEXTS: u8 = 2;
/// Request with a [`FramesRequest`]; its body is the frames' RGB, `[n_frames, height_px, width_px, 3]` u8.
pub const KIND_FRAMES: u8 = 3;

/// Answer with [`Loaded`].
pub const KIND_DONE: u8 = 16;
/// Answer with [`Vectors`]; its body is `[n, dimensions]` f32.
pub const KIND_VECTORS: u8 = 17;
/// Answer with [`Failed`]; the worker goes on.
pub const KIND_FAILED: u8 = 18;

/// Most texts or frames in one request.
pub const MAX_BATCH: usize = 16;
/// Longer texts are cut by the daemon: no context length is near this.
pub const MAX_TEXT_BYTES: usize = 16 << 10;
/// Longest text of an answer that a user may see. Bytes.
pub const MAX_WORDS_BYTES: usize = 2048;
/// Most providers that an answer tells of; there are fewer.
pub const MAX_PROVIDERS: usize = 32;
/// Largest answer accepted from a worker: [`MAX_BATCH`] vectors of 2^15 components, and a header.
pub const MAX_ANSWER_BYTES: usize = (MAX_BATCH * (1 << 15) * 4) + (64 << 10);

/// What an embed worker loads, and how it behaves towards the machine.
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
    /// Where the worker may keep optimised graphs; it makes the folder. `None` keeps none.
    pub graph_cache: Option<PathBuf>,
    /// Of a graphics card's memory, what is left to others.
    pub gpu_memory_reserve_bytes: u64,
    /// Whether the worker takes only what nobody else wants of the machine.
    pub background: bool,
    /// It may run a model where there is no sandbox.
    pub allow_unsandboxed: bool,
}

/// The model is understood and the library is open. The towers are loaded when they are first needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loaded {
    /// Version and build of ONNX Runtime, as it tells them.
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
    /// How many there are in the body; at most [`MAX_BATCH`].
    pub n_frames: u32,
    /// Width of each. Pixels.
    pub width_px: u32,
    /// Height of each. Pixels.
    pub height_px: u32,
}

/// The vectors of one request, in the order of its texts or pictures. Each is of unit length, or of zeros where it had no direction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vectors {
    /// How many there are.
    pub n: u32,
    /// Components of each.
    pub dimensions: u32,
    /// Places (from 0) of inputs whose vector had no direction; their rows hold zeros. Ascending.
    pub degenerate: Vec<u32>,
    /// What made them.
    pub provider: ProviderReport,
}

/// Nothing was embedded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// For the user: what is wrong.
    pub reason: String,
    /// For the user: what to do about it.
    pub hint: Option<String>,
}

impl Failed {
    /// The same, fit for a terminal: a worker is not believed.
    #[must_use]
    pub fn cleaned(self) -> Self {
        Self {
            reason: clean(&self.reason),
            hint: self.hint.as_deref().map(clean),
        }
    }
}

impl Loaded {
    /// As [`Failed::cleaned`].
    #[must_use]
    pub fn cleaned(self) -> Self {
        Self {
            onnxruntime: clean(&self.onnxruntime),
        }
    }
}

impl Vectors {
    /// As [`Failed::cleaned`].
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
