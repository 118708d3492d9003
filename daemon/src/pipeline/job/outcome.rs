//! The outcomes of a job, and the conversion of errors into them.

use std::io;

use scened_common::media::wire::Fault;

use crate::embed::{EmbedError, Embedder, self_test};
use crate::media::{Analysis, MediaError};
use crate::store::StoreError;

pub(in crate::pipeline) enum Outcome {
    Indexed {
        n_scenes: usize,
        duration_ms: u64,
    },
    /// Nothing was decoded: a video with the same bytes is indexed already.
    Known {
        n_scenes: usize,
    },
    /// Nothing was decoded: another model's vectors were made from the keyframe pictures.
    CaughtUp,
    /// Another model's vectors cannot be made at present: neither pictures nor video can be used.
    LeftBehind,
    /// The file is to blame: this becomes an incident.
    Bad {
        reason: String,
        hint: Option<String>,
    },
    /// The file may not be read, or its file system is damaged.
    Forbidden {
        reason: String,
        hint: String,
    },
    /// The system could not read the file: its drive, or a bad sector on it, may be to blame.
    Unread {
        reason: String,
    },
    /// The worker was ended from outside while it decoded the file, or the machine was short of a resource.
    Short {
        reason: String,
    },
    /// A worker died or stalled; the file may be to blame.
    Died {
        reason: String,
    },
    /// The embed worker died or stalled; the file, the model or the machine may be to blame.
    EmbedderDied {
        reason: String,
    },
    /// The file is not to blame: any other would fail now as well.
    MachineAtFault {
        reason: String,
    },
    /// The file is gone or has changed.
    FileChanged,
    Cancelled,
    StoreFailed(StoreError),
}

pub(super) fn not_stored(error: StoreError) -> Outcome {
    match error {
        StoreError::Gone(_) | StoreError::Superseded(_) => Outcome::FileChanged,
        error => Outcome::StoreFailed(error),
    }
}

pub(super) fn unopened(error: &io::Error) -> Outcome {
    use rustix::io::Errno;
    if crate::machine::with_timeout::is_timeout(error) {
        // The walk that follows marks the video offline.
        return Outcome::FileChanged;
    }
    match error.kind() {
        // The file is missing, or is no longer a regular file.
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidInput => return Outcome::FileChanged,
        io::ErrorKind::PermissionDenied => {
            return Outcome::Forbidden {
                reason: "cannot be read: permission denied".to_owned(),
                hint: "make it readable for your user (chmod u+r), then: scenectl retry".to_owned(),
            };
        }
        _ => {}
    }
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::LOOP) => Outcome::FileChanged,
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN) => Outcome::MachineAtFault {
            reason: format!("cannot open files: {error}"),
        },
        _ if scened_common::damage::is_damage(error) => Outcome::Forbidden {
            reason: format!("cannot be read: {error}"),
            hint: "check its file system (fsck), then: scenectl retry".to_owned(),
        },
        // Any other error of the system is not about the file's content.
        _ => Outcome::Unread {
            reason: format!("cannot be read: {error}"),
        },
    }
}

/// Returns the outcome of a video of which a part could not be decoded because of the drive or the machine. `None` if there was no such
/// cause.
pub(super) fn in_part(analysis: &Analysis) -> Option<Outcome> {
    match analysis.fault {
        Fault::Video => None,
        Fault::Reading { errno } => Some(media_failed(MediaError::Unread { errno })),
        Fault::Shortage { errno } => Some(media_failed(MediaError::Short {
            reason: io::Error::from_raw_os_error(errno).to_string(),
        })),
    }
}

pub(in crate::pipeline) fn media_failed(error: MediaError) -> Outcome {
    match error {
        MediaError::Unusable { reason } => Outcome::Bad { reason, hint: None },
        MediaError::Cancelled => Outcome::Cancelled,
        MediaError::Start { .. } | MediaError::Unsandboxed { .. } | MediaError::NotReady { .. } => {
            Outcome::MachineAtFault { reason: error.to_string() }
        }
        MediaError::Unread { .. } => Outcome::Unread { reason: error.to_string() },
        MediaError::Killed { .. } | MediaError::Short { .. } => Outcome::Short { reason: error.to_string() },
        MediaError::WorkerDied { .. } | MediaError::TimedOut { .. } | MediaError::Protocol { .. } => {
            Outcome::Died { reason: error.to_string() }
        }
    }
}

pub(in crate::pipeline) fn embed_failed(error: EmbedError, embedder: &dyn Embedder) -> Outcome {
    match error {
        EmbedError::Degenerate { .. } if self_test::is_blind(embedder) => Outcome::MachineAtFault {
            reason: format!("{error}, nor for a plain picture: the model does not work"),
        },
        EmbedError::Unavailable { reason, .. } => Outcome::MachineAtFault { reason },
        EmbedError::Killed { .. } => Outcome::MachineAtFault { reason: error.to_string() },
        EmbedError::Degenerate { .. } => Outcome::Bad {
            reason: error.to_string(),
            hint: None,
        },
        // Embedding a video has no deadline, so this is not the video's fault.
        EmbedError::NotInTime { waited_for } => Outcome::MachineAtFault { reason: waited_for },
        EmbedError::ShuttingDown => Outcome::Cancelled,
        EmbedError::WorkerDied { .. } | EmbedError::Protocol { .. } | EmbedError::TimedOut { .. } | EmbedError::Bug => {
            Outcome::EmbedderDied { reason: error.to_string() }
        }
    }
}
