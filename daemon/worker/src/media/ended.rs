//! The reasons that end a request without an answer. Knows neither how videos are decoded nor what the requests are.

use scened_common::pipe::PipeError;

/// Why the file gives nothing, in words for the user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unusable(pub(crate) String);

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    /// The file gives nothing; the daemon receives the reason.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// The daemon is gone.
    #[error(transparent)]
    Pipe(#[from] PipeError),
}
