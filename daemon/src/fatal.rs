//! Errors that end the daemon, with their exit codes. Every other failure is an incident: it is recorded and listed; the daemon goes on.
//!
//! Each room decides which of its errors end the daemon.

use scened_common::damage::is_damage;

/// An error that ends the daemon, and how the service manager should react to it.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// A person has to change something first (`EX_CONFIG`): systemd does not restart the daemon.
    #[error("{0}")]
    Setup(String),
    /// Another daemon serves this data folder.
    #[error("{0}")]
    AlreadyRunning(String),
    /// The store cannot go on in this process (disk full, I/O error): asks for a restart (`EX_TEMPFAIL`).
    #[error("the store stopped: {0}")]
    Store(String),
    /// The start failed for a reason that may pass by itself (a disk error, a shortage, a quota): asks for another start (`EX_TEMPFAIL`).
    #[error("{0}")]
    Passing(String),
    #[error("{0}")]
    Internal(String),
}

impl Fatal {
    /// Classifies an operating system error, which `text` describes.
    pub fn of_system(text: String, source: &std::io::Error) -> Self {
        if needs_person(source) {
            Self::Setup(text)
        } else {
            Self::Passing(text)
        }
    }
}

/// Returns whether only a person can solve the reported error: names, rights, errors that do not come from the operating system, and file
/// systems that must be checked. Anything else (a disk, a mount, memory, a quota, locks of a network drive) may be different in a minute.
pub(crate) fn needs_person(error: &std::io::Error) -> bool {
    use std::io::ErrorKind as Kind;
    let is_of_names = matches!(
        error.kind(),
        Kind::PermissionDenied | Kind::NotADirectory | Kind::IsADirectory | Kind::InvalidFilename | Kind::Unsupported
    );
    is_of_names || error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) || is_damage(error)
}

/// Returns an error and its causes in one line.
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
    /// Returns the exit status of `scened`; `systemd/scened.service` lists those after which it must not be restarted.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Internal(_) => 1,
            Self::AlreadyRunning(_) => 3,
            Self::Store(_) | Self::Passing(_) => 75,
            Self::Setup(_) => 78,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_that_may_go_well_in_a_minute_is_asked_for_again() {
        use rustix::io::Errno;
        let code = |errno: Errno| Fatal::of_system(String::new(), &errno.into()).exit_code();
        for passing in [
            Errno::IO,
            Errno::DQUOT,
            Errno::NOSPC,
            Errno::ROFS,
            Errno::NOLCK,
            Errno::AGAIN,
            Errno::MFILE,
            Errno::NFILE,
            Errno::NOMEM,
            Errno::INTR,
            Errno::STALE,
            Errno::NOTCONN,
            Errno::NXIO,
            Errno::NODEV,
            Errno::TIMEDOUT,
            Errno::BUSY,
        ] {
            assert_eq!(code(passing), 75, "{passing:?}");
        }
        for lasting in [
            Errno::ACCESS,
            Errno::PERM,
            Errno::NOTDIR,
            Errno::ISDIR,
            Errno::LOOP,
            Errno::NAMETOOLONG,
            Errno::NOSYS,
        ] {
            assert_eq!(code(lasting), 78, "{lasting:?}");
        }
        let in_words = std::io::Error::other("it belongs to another user");
        assert_eq!(Fatal::of_system(String::new(), &in_words).exit_code(), 78);
    }
}
