//! Opens ONNX Runtime's shared library.

use std::path::Path;

use ort::environment::Environment;
use scened_common::embed::runtime::HOW_TO_GET_IT;

use super::Refusal;

/// Loads the library at `path`. Call it once per process.
///
/// **Errors**: the file is missing, is not a library, is not ONNX Runtime, or is too old for the API that this worker was built for.
pub(super) fn load(path: &Path) -> Result<Environment, Refusal> {
    let refused = |why: String| Refusal::new(format!("cannot use ONNX Runtime at {}: {why}", path.display())).hint(HOW_TO_GET_IT);
    match path.metadata() {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Err(refused("it is not a file".to_owned())),
        Err(error) => return Err(refused(error.to_string())),
    }
    let builder = ort::init_from(path).map_err(|error| refused(why(&error)))?;
    builder
        .with_name("scened")
        .with_telemetry(false)
        .build()
        .map_err(|error| refused(error.message().to_owned()))
}

fn why(error: &ort::LoadDynamicError) -> String {
    match error {
        ort::LoadDynamicError::Dlopen { error, .. } => format!("it cannot be loaded ({error})"),
        ort::LoadDynamicError::MissingApi { .. } => "it is a library, but not ONNX Runtime".to_owned(),
        ort::LoadDynamicError::InvalidVersionString => "it does not report its version".to_owned(),
        ort::LoadDynamicError::BadVersion { version_str, .. } => {
            format!("it is version {version_str}, and 1.{} or newer is needed", ort::MINOR_VERSION)
        }
    }
}

/// Returns the loaded library's description of itself.
pub(super) fn version() -> String {
    ort::info().to_owned()
}
