//! The two classes of failure: *fatal* stops the daemon with an exit code; everything else is an incident, recorded and listed.

use crate::store::StoreError;

/// What ends the daemon, and how the service manager should take it.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// A person has to change something first (`EX_CONFIG`): systemd does not restart.
    #[error("{0}")]
    Setup(String),
    /// Another daemon serves this data folder.
    #[error("{0}")]
    AlreadyRunning(String),
    /// The store cannot go on in this process (disk full, I/O error): a restart is asked for (`EX_TEMPFAIL`).
    #[error("the store stopped: {0}")]
    Store(String),
    #[error("{0}")]
    Internal(String),
}

impl From<StoreError> for Fatal {
    fn from(error: StoreError) -> Self {
        let text = with_causes(&error);
        match error {
            StoreError::NewerVersion { .. } => Self::Setup(text),
            StoreError::Locked { .. } => Self::AlreadyRunning(text),
            _ => Self::Store(text),
        }
    }
}

/// An error and its causes in one line.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

impl Fatal {
    /// Exit status of `scened`; `systemd/scened.service` lists the ones that must not be restarted.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Internal(_) => 1,
            Self::AlreadyRunning(_) => 3,
            Self::Store(_) => 75,
            Self::Setup(_) => 78,
        }
    }
}
