//! Errors as people and scripts see them: kind, message, causes, hints, exit status.

use std::io;

use scened_shared::client::{ClientError, Unreachable};
use scened_shared::endpoint::EndpointError;
use scened_shared::hello::ProtocolMismatch;
use scened_shared::message::ErrorKind;

mod hub;
mod montage;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The request cannot be fulfilled, or failed.
    Error,
    Unreachable,
    Mismatch,
    /// The reader of our output closed it; nothing is printed.
    ReaderLeft,
}

/// How a command ended without failing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Found, or done.
    Done,
    /// Nothing was found, the time ran out, or the user declined.
    Nothing,
    /// The answer itself is bad news and has been printed (`doctor`).
    Bad,
}

impl Outcome {
    pub(crate) fn found(any: bool) -> Self {
        if any { Self::Done } else { Self::Nothing }
    }

    pub(crate) fn status(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Nothing => 1,
            Self::Bad => 2,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    pub(crate) message: String,
    pub(crate) causes: Vec<String>,
    pub(crate) hints: Vec<String>,
}

pub(crate) const HOW_TO_START: &str = "start it with `systemctl --user start scened`, or run `scened` in a terminal";

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            kind: Kind::Error,
            message: message.into(),
            causes: Vec::new(),
            hints: Vec::new(),
        }
    }

    #[must_use]
    pub(crate) fn cause(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    #[must_use]
    fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    pub(crate) fn status(&self) -> u8 {
        match self.kind {
            Kind::ReaderLeft => 0,
            Kind::Error => 2,
            Kind::Unreachable => 3,
            Kind::Mismatch => 4,
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let message = error.to_string();
        match error {
            ClientError::Unreachable { source, .. } => {
                Self::new(message)
                    .kind(Kind::Unreachable)
                    .cause(source.to_string())
                    .hint(match source {
                        Unreachable::NoSocket | Unreachable::Refused => HOW_TO_START,
                        Unreachable::Permission => "the socket's folder must belong to you; `scenectl doctor` checks it",
                        Unreachable::NotASocket => "give the daemon's socket with --socket PATH or SCENED_SOCKET",
                        Unreachable::TimedOut(_) | Unreachable::Busy => {
                            "it may be busy starting: try again, or see `systemctl --user status scened`"
                        }
                        Unreachable::Closed | Unreachable::Io(_) => "see its log: `journalctl --user -u scened`",
                    })
            }
            ClientError::NotOurs { .. } => Self::new(message)
                .kind(Kind::Unreachable)
                .hint("that user could read every query: run scenectl as the user who runs the daemon, or choose another --socket"),
            ClientError::Mismatch(ProtocolMismatch { ours, theirs, .. }) => {
                Self::new(message).kind(Kind::Mismatch).hint(if theirs < ours {
                    "the daemon is older: restart it after the update with `systemctl --user restart scened`"
                } else {
                    "this scenectl is older than the daemon: install the same version of both"
                })
            }
            ClientError::Rpc(error) => {
                let kind = if error.kind() == ErrorKind::ProtocolMismatch {
                    Kind::Mismatch
                } else {
                    Kind::Error
                };
                let data = error.data;
                let hint = data.as_ref().and_then(|d| d.hint.clone()).or_else(|| {
                    let text = match data.as_ref()?.kind {
                        ErrorKind::Overloaded => "try again in a moment",
                        ErrorKind::UnknownMethod => "the daemon is older than this scenectl: restart it after the update",
                        ErrorKind::Unavailable => "`scenectl doctor` says what is missing",
                        _ => return None,
                    };
                    Some(text.to_owned())
                });
                Self {
                    kind,
                    message,
                    causes: data.map(|d| d.causes).unwrap_or_default(),
                    hints: hint.into_iter().collect(),
                }
            }
            ClientError::Broken { .. } => Self::new(message).hint("is that socket scened's? `scenectl doctor` checks it"),
            ClientError::Lost { .. } | ClientError::Ended => Self::new(message)
                .kind(Kind::Unreachable)
                .hint("see its log: `journalctl --user -u scened`"),
            ClientError::TimedOut { .. } => Self::new(message).hint("see what it does: `scenectl status`, `journalctl --user -u scened`"),
            ClientError::RequestTooLarge { .. } => Self::new(message),
            ClientError::Io(source) => Self::new(message).cause(source.to_string()),
        }
    }
}

impl From<EndpointError> for Failure {
    fn from(error: EndpointError) -> Self {
        let hint = error.hint();
        let failure = Self::new(error.to_string()).hint(hint);
        match error {
            EndpointError::NotAbsolute { source, .. } => failure.cause(source.to_string()),
            _ => failure,
        }
    }
}

/// Writing an answer failed. Every other I/O error becomes a failure at a place that knows the path.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::new("").kind(Kind::ReaderLeft),
            _ => Self::new("the answer could not be written").cause(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use scened_shared::frame::RpcError;

    fn unreachable(source: Unreachable) -> ClientError {
        ClientError::Unreachable {
            path: "/run/s".into(),
            source,
        }
    }

    #[test]
    fn every_error_has_its_exit_status() {
        let check = |error: ClientError, status: u8| {
            let failure = Failure::from(error);
            assert_eq!(failure.status(), status, "{failure:?}");
            assert!(!failure.message.is_empty());
        };
        check(unreachable(Unreachable::NoSocket), 3);
        check(unreachable(Unreachable::Refused), 3);
        check(unreachable(Unreachable::Closed), 3);
        check(ClientError::Lost { method: "search" }, 3);
        let mismatch = ProtocolMismatch {
            ours: 1,
            theirs: 2,
            version: "9".to_owned(),
        };
        check(ClientError::Mismatch(mismatch), 4);
        check(ClientError::Rpc(RpcError::new(ErrorKind::NotFound, "no such video")), 2);
        check(ClientError::Rpc(RpcError::new(ErrorKind::ProtocolMismatch, "other")), 4);
        let what = "garbage".to_owned();
        check(ClientError::Broken { method: "search", what }, 2);
        check(io::Error::other("x").into(), 2);
        assert_eq!(Failure::from(io::Error::from(io::ErrorKind::BrokenPipe)).status(), 0);
        assert_eq!([Outcome::Done, Outcome::Nothing, Outcome::Bad].map(Outcome::status), [0, 1, 2]);
    }

    #[test]
    fn a_daemon_that_is_off_says_how_to_start_it() {
        let failure = Failure::from(unreachable(Unreachable::Refused));
        assert_eq!(failure.message, "the daemon cannot be reached at /run/s");
        assert_eq!(failure.causes, ["nothing listens there"]);
        assert_eq!(failure.hints, [HOW_TO_START]);
    }

    #[test]
    fn the_daemons_own_hint_comes_first() {
        let error = RpcError::new(ErrorKind::Unavailable, "no model")
            .cause("no file")
            .hint("install one");
        let failure = Failure::from(ClientError::Rpc(error));
        assert_eq!(
            (failure.causes, failure.hints),
            (vec!["no file".to_owned()], vec!["install one".to_owned()])
        );
        let failure = Failure::from(ClientError::Rpc(RpcError::new(ErrorKind::Unavailable, "no model")));
        assert_eq!(failure.hints, ["`scenectl doctor` says what is missing"]);
    }
}
