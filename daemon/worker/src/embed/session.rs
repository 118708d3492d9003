//! One ONNX session: how it is built, on which provider, and how numbers go in and come out.

use std::borrow::Cow;
use std::num::NonZero;
use std::path::{Path, PathBuf};

use half::f16;
use ort::environment::Environment;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{Session, SessionInputValue};
use ort::value::{Tensor, TensorElementType, TensorRef};

use super::Refusal;
use super::graph::Slot;
use super::providers::Provider;

/// A longer message of ONNX Runtime is cut here: it goes into `status`.
const MAX_TOLD_CHARS: usize = 400;

/// Numbers for one input. **Shape**: as the caller says.
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

/// Which half of a model a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tower {
    Vision,
    Text,
}

/// How a session is to run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) tower: Tower,
    /// 0 = one for each core allowed.
    pub(super) threads: usize,
}

/// What a file is, and what becomes of it.
#[derive(Debug)]
pub(super) enum Form {
    /// A model as it was exported: optimised while it is loaded.
    Exported,
    /// The same, and what comes of it is written to `graph` and, beside it, to the file `weights`.
    OptimisedInto { graph: PathBuf, weights: &'static str },
    /// What was written so.
    Optimised,
}

/// Loads `file` as it was exported for `provider`.
pub(super) fn open(environment: &Environment, file: &Path, provider: Provider, settings: Settings) -> ort::Result<Session> {
    open_as(environment, file, &Form::Exported, provider, settings)
}

pub(super) fn open_on_cpu(environment: &Environment, file: &Path, form: &Form, settings: Settings) -> ort::Result<Session> {
    open_as(environment, file, form, Provider::Cpu, settings)
}

fn open_as(environment: &Environment, file: &Path, form: &Form, provider: Provider, settings: Settings) -> ort::Result<Session> {
    let builder = Session::builder(environment)?;
    configure(builder, form, provider, settings)
        .map_err(|error| ort::Error::new(error.message()))?
        .commit_from_file(file)
}

#[expect(
    clippy::result_large_err,
    reason = "the type is ort's, and a session is opened twice in a process's life"
)]
fn configure(
    builder: SessionBuilder,
    form: &Form,
    provider: Provider,
    Settings { tower, threads }: Settings,
) -> Result<SessionBuilder, ort::Error<SessionBuilder>> {
    let threads = if threads > 0 {
        threads
    } else {
        // What the affinity and the control group allow.
        std::thread::available_parallelism().map_or(1, NonZero::get)
    };
    let builder = builder
        .with_intra_threads(threads)?
        .with_inter_threads(1)?
        // Threads that spin between the parts of a run make it a few percent faster. After a run they would go on for a second, on
        // every core (FACTS: three cores for 1.4 s a query), so that the end of the run stops them.
        .with_intra_op_spinning(true)?
        .with_config_entry("session.force_spinning_stop", "1")?
        // One block for all of a run, remembered for each shape: there are 16 batches of pictures, but a thousand shapes of texts.
        .with_memory_pattern(tower == Tower::Vision)?
        .with_execution_providers([provider.dispatch()])?;
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

/// What a user is told when `file` cannot be loaded on the CPU, where every sound model loads.
pub(super) fn unloadable(file: &Path, error: &ort::Error) -> Refusal {
    Refusal::new(format!(
        "the model file {} cannot be loaded: {}",
        file.display(),
        told(error.message())
    ))
    .hint("the file is damaged, incomplete, or needs a newer ONNX Runtime; download the model again")
}

/// ONNX Runtime's message for people: one line, without the place in its source and the code's number.
pub(super) fn told(message: &str) -> String {
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

/// Runs the session once on `n` things.
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
            assert_eq!(told(message), expected);
        }
        assert_eq!(told(&"x".repeat(10_000)).len(), MAX_TOLD_CHARS);
    }
}
