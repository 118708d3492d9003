//! What ends a request without an answer. Knows neither how videos are decoded nor what is asked of them.

use scened_common::pipe::PipeError;

/// A reason for the user why the file gives nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unusable(pub(crate) String);

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    /// The file gives nothing; the daemon is sent the reason.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// The daemon is gone.
    #[error(transparent)]
    Pipe(#[from] PipeError),
}
