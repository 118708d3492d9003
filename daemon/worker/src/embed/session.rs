//! One ONNX session: builds it on a provider, passes numbers in and reads them back.

use std::borrow::Cow;
use std::ffi::CString;
use std::fs::File;
use std::num::NonZero;
use std::path::{Path, PathBuf};

use half::f16;
use ort::AsPointer as _;
use ort::environment::Environment;
use ort::ep::ExecutionProviderDispatch;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{Session, SessionInputValue};
use ort::value::{Tensor, TensorElementType, TensorRef};
use scened_common::embed::model::external;

use super::Refusal;
use super::graph::Slot;
use super::providers::Provider;

/// Limit for a message of ONNX Runtime, because it appears in `status`.
const MAX_TOLD_CHARS: usize = 400;

/// Numbers for one input. **Shape**: the caller gives it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Numbers<'a> {
    Floats(&'a [f32]),
    Integers(&'a [u32]),
}

/// Vectors of one run. **Shape**: `[n, dimensions]`.
#[derive(Debug, PartialEq)]
pub(super) struct Output {
    pub(super) values: Vec<f32>,
    pub(super) dimensions: usize,
}

/// The half of a model that a file contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tower {
    Vision,
    Text,
}

/// The weights that an ONNX file keeps in other files.
#[derive(Debug, Default)]
pub(super) struct Beside {
    pub(super) files: Vec<PathBuf>,
    /// Each with its name in the ONNX file; empty if ONNX Runtime opens them by itself.
    mapped: Vec<(CString, &'static [u8])>,
}

impl Beside {
    /// Finds the weights of `onnx`. Maps them if they are behind links that ONNX Runtime does not follow.
    pub(super) fn of(model: &Path, onnx: &Path) -> Result<Self, Refusal> {
        let weights = external::weights(model, onnx).map_err(|error| Refusal::new(error.to_string()).hint(error.hint()))?;
        let mut beside = Self {
            files: weights.iter().map(|weights| weights.path.clone()).collect(),
            mapped: Vec::new(),
        };
        // ONNX Runtime takes either all of them from memory or none.
        if weights.iter().any(|weights| !weights.is_in_folder) {
            for weights in weights {
                let unread = |error: std::io::Error| Refusal::new(format!("cannot read {}: {error}", weights.path.display()));
                let name = CString::new(weights.location.as_str()).map_err(|error| unread(error.into()))?;
                beside.mapped.push((name, map(&weights.path).map_err(unread)?));
            }
        }
        Ok(beside)
    }
}

/// Maps a file until this process ends. A session reads its weights as long as it exists, and the pages of a mapped file do not count as
/// the process's own memory.
#[expect(unsafe_code, reason = "a file as memory")]
fn map(path: &Path) -> std::io::Result<&'static [u8]> {
    use std::os::fd::AsRawFd as _;
    let file = File::open(path)?;
    let length = usize::try_from(file.metadata()?.len()).map_err(std::io::Error::other)?;
    if length == 0 {
        return Ok(&[]);
    }
    // SAFETY: this is a new mapping of an open file. The kernel chooses its address, and it is never unmapped. Whoever changes the file
    // while it is mapped changes the model, which the daemon notices and refuses. Whoever shortens the file ends this process and no other.
    let at = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            length,
            libc::PROT_READ,
            libc::MAP_PRIVATE,
            file.as_raw_fd(),
            0,
        )
    };
    if at == libc::MAP_FAILED {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: `length` bytes are mapped there for reading, as long as the process runs.
    Ok(unsafe { std::slice::from_raw_parts(at.cast_const().cast::<u8>(), length) })
}

/// Passes a session the weights that it must not open by itself.
#[expect(unsafe_code, reason = "ort copies what it is given here; a model is too large for that")]
fn give_weights(builder: &mut SessionBuilder, beside: &Beside) -> ort::Result<()> {
    let names: Vec<_> = beside.mapped.iter().map(|(name, _)| name.as_ptr()).collect();
    let buffers: Vec<_> = beside
        .mapped
        .iter()
        .map(|(_, bytes)| bytes.as_ptr().cast_mut().cast::<std::ffi::c_char>())
        .collect();
    let lengths: Vec<usize> = beside.mapped.iter().map(|(_, bytes)| bytes.len()).collect();
    // SAFETY: the three arrays have the same length. Names end with a zero and are copied. Buffers exist as long as the process, and ONNX
    // Runtime does not write to them. `result_from_status` takes the status and frees it.
    unsafe {
        let status = (ort::api().AddExternalInitializersFromMemory)(
            builder.ptr_mut(),
            names.as_ptr(),
            buffers.as_ptr(),
            lengths.as_ptr(),
            names.len(),
        );
        ort::Error::result_from_status(status)
    }
}

/// How a session runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings<'a> {
    pub(super) tower: Tower,
    /// The weights that belong to the model's file.
    pub(super) beside: &'a Beside,
    /// 0 = one for each core allowed.
    pub(super) threads: usize,
}

impl Settings<'_> {
    fn n_threads(self) -> usize {
        match self.threads {
            // This is what the affinity and the control group allow.
            0 => std::thread::available_parallelism().map_or(1, NonZero::get),
            n_threads => n_threads,
        }
    }
}

/// The form of a file, and whether its optimised form is written.
#[derive(Debug)]
pub(super) enum Form {
    /// A model as it was exported; it is optimised while it is loaded.
    Exported,
    /// The same, and the optimised model is written to `graph`, with its weights in the file `weights` beside it.
    OptimisedInto { graph: PathBuf, weights: &'static str },
    /// A model that was written like this.
    Optimised,
}

/// Loads `file`, a model as it was exported, for `provider`.
pub(super) fn open(
    environment: &Environment,
    file: &Path,
    provider: Provider,
    memory_limit_bytes: Option<usize>,
    settings: Settings<'_>,
) -> ort::Result<Session> {
    let dispatch = provider.dispatch(settings.n_threads(), memory_limit_bytes);
    open_as(environment, file, &Form::Exported, dispatch, settings)
}

pub(super) fn open_on_cpu(environment: &Environment, file: &Path, form: &Form, settings: Settings<'_>) -> ort::Result<Session> {
    open_as(
        environment,
        file,
        form,
        Provider::Cpu.dispatch(settings.n_threads(), None),
        settings,
    )
}

fn open_as(
    environment: &Environment,
    file: &Path,
    form: &Form,
    provider: ExecutionProviderDispatch,
    settings: Settings<'_>,
) -> ort::Result<Session> {
    let builder = Session::builder(environment)?;
    let mut builder = configure(builder, form, provider, settings).map_err(|error| ort::Error::new(error.message()))?;
    if !matches!(form, Form::Optimised) && !settings.beside.mapped.is_empty() {
        give_weights(&mut builder, settings.beside)?;
    }
    builder.commit_from_file(file)
}

#[expect(
    clippy::result_large_err,
    reason = "the type is ort's, and a session is opened twice in a process's life"
)]
fn configure(
    builder: SessionBuilder,
    form: &Form,
    provider: ExecutionProviderDispatch,
    settings: Settings<'_>,
) -> Result<SessionBuilder, ort::Error<SessionBuilder>> {
    let builder = builder
        .with_intra_threads(settings.n_threads())?
        .with_inter_threads(1)?
        // Threads that spin between the parts of a run make it a few percent faster. After the run they would spin on every core for
        // another second (measured: three cores for 1.4 s a query), so the end of the run stops them.
        .with_intra_op_spinning(true)?
        .with_config_entry("session.force_spinning_stop", "1")?
        // A memory pattern is one block for a whole run, kept for each shape. Pictures have 16 batch sizes, but texts have a thousand
        // shapes.
        .with_memory_pattern(settings.tower == Tower::Vision)?
        .with_execution_providers([provider])?;
    match form {
        Form::Exported => builder.with_optimization_level(GraphOptimizationLevel::All),
        Form::Optimised => builder.with_optimization_level(GraphOptimizationLevel::Disable),
        Form::OptimisedInto { graph, weights } => builder
            .with_optimization_level(GraphOptimizationLevel::All)?
            .with_optimized_model_path(graph)?
            .with_config_entry("session.optimized_model_external_initializers_file_name", weights)?
            .with_config_entry("session.optimized_model_external_initializers_min_size_in_bytes", "1024")?
            .with_config_entry("session.save_external_prepacked_constant_initializers", "1"),
    }
}

/// Returns the message for the user if `file` cannot be loaded on the CPU, where every sound model loads.
pub(super) fn unloadable(file: &Path, error: &ort::Error) -> Refusal {
    Refusal::new(format!(
        "the model file {} cannot be loaded: {}",
        file.display(),
        in_words(error.message())
    ))
    .hint("the file is damaged, incomplete, or needs a newer ONNX Runtime; download the model again")
}

/// Shortens ONNX Runtime's message for people: one line, without the place in its source and the numeric code.
pub(super) fn in_words(message: &str) -> String {
    let (_, rest) = message.rsplit_once("[ONNXRuntimeError] : ").unwrap_or(("", message));
    let mut parts = rest.splitn(3, " : ");
    let words = match (parts.next(), parts.next(), parts.next()) {
        (Some(code), Some(_), Some(words)) if code.parse::<u32>().is_ok() => words,
        _ => rest,
    };
    words
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .take(MAX_TOLD_CHARS)
        .collect()
}

/// Runs the session once on `n` inputs.
pub(super) fn run(session: &mut Session, n: usize, inputs: &[(&Slot, &[usize], Numbers<'_>)], output: &Slot) -> ort::Result<Output> {
    let mut values: Vec<(Cow<'_, str>, SessionInputValue<'_>)> = Vec::with_capacity(inputs.len());
    for (slot, shape, numbers) in inputs {
        values.push((Cow::Borrowed(slot.name.as_str()), value(slot.element, shape, *numbers)?));
    }
    let outputs = session.run(values)?;
    let found = outputs
        .get(&output.name)
        .ok_or_else(|| ort::Error::new(format!("the output {} is missing", output.name)))?;
    let (shape, values) = if output.element == TensorElementType::Float16 {
        let (shape, values) = found.try_extract_tensor::<f16>()?;
        (shape, values.iter().map(|v| v.to_f32()).collect())
    } else {
        let (shape, values) = found.try_extract_tensor::<f32>()?;
        (shape, values.to_vec())
    };
    match shape[..] {
        [rows, dimensions] if rows == n as i64 && dimensions > 0 => Ok(Output {
            values,
            dimensions: dimensions as usize,
        }),
        _ => Err(ort::Error::new(format!(
            "{} has the shape {:?} for {n} inputs",
            output.name,
            &shape[..]
        ))),
    }
}

fn value<'v>(element: TensorElementType, shape: &[usize], numbers: Numbers<'v>) -> ort::Result<SessionInputValue<'v>> {
    let shape = shape.to_vec();
    Ok(match (numbers, element) {
        (Numbers::Floats(values), TensorElementType::Float32) => TensorRef::from_array_view((shape, values))?.into(),
        (Numbers::Floats(values), TensorElementType::Float16) => {
            Tensor::from_array((shape, values.iter().map(|v| f16::from_f32(*v)).collect::<Vec<_>>()))?.into()
        }
        (Numbers::Integers(values), TensorElementType::Int32) => {
            Tensor::from_array((shape, values.iter().map(|v| *v as i32).collect::<Vec<_>>()))?.into()
        }
        (Numbers::Integers(values), TensorElementType::Int64) => {
            Tensor::from_array((shape, values.iter().map(|v| i64::from(*v)).collect::<Vec<_>>()))?.into()
        }
        (_, other) => return Err(ort::Error::new(format!("an input of type {other} is not supported"))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_lose_what_only_developers_of_onnx_runtime_want() {
        for (message, expected) in [
            (
                "/src/provider_bridge_ort.cc:2043 Get() [ONNXRuntimeError] : 1 : FAIL : Failed to load library cuda.so with error: gone\n",
                "Failed to load library cuda.so with error: gone",
            ),
            ("File at `/a : b` does not exist", "File at `/a : b` does not exist"),
            ("Protobuf parsing failed.", "Protobuf parsing failed."),
        ] {
            assert_eq!(in_words(message), expected);
        }
        assert_eq!(in_words(&"x".repeat(10_000)).len(), MAX_TOLD_CHARS);
    }
}
