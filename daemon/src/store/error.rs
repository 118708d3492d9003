//! The errors of the store, one variant for each reaction of the caller.

use std::path::PathBuf;

use scened_common::domain::VideoId;

use crate::fatal::{Fatal, needs_person, with_causes};

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(
        "the store at {} has format {found}, made by a newer scened; this one knows formats up to {supported} \
         (install the newer version again, or choose another data folder)",
        path.display()
    )]
    NewerVersion { found: u32, supported: u32, path: PathBuf },
    #[error("the store at {} is in use by another process", path.display())]
    Locked { path: PathBuf },
    /// The folder or its disk is at fault, not the content: permissions, full disk, too many open files, failing disk.
    #[error("cannot {action} {}", path.display())]
    Folder {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// Nothing can be written until the program starts again (fjall is poisoned after a failed write). No acknowledged write is lost.
    #[error("the store cannot {action} any more: the disk may be full or failing; scened must start again")]
    Fatal {
        action: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The system failed a read; the same read may work later.
    #[error("cannot read {what} from the store")]
    Read {
        what: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A part of a list is unreadable for good.
    #[error("{what} in the store are damaged: {reason}")]
    Damaged { what: &'static str, reason: String },
    /// The video was removed meanwhile.
    #[error("video {0} is not in the store any more")]
    Gone(VideoId),
    /// The content changed after the job was taken; another job is queued.
    #[error("video {0} changed while it was being indexed")]
    Superseded(VideoId),
    #[error("{} is in the store already, as video {video}", path.display())]
    PathTaken { path: PathBuf, video: VideoId },
    /// A value that the store's format cannot hold, which is a bug of the caller.
    #[error("cannot store {what}: {reason}")]
    Invalid { what: &'static str, reason: String },
}

impl StoreError {
    /// Decides whether the daemon should exit with its restart code, because this process can never write again.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Fatal { .. })
    }

    pub(super) fn invalid(what: &'static str, reason: impl Into<String>) -> Self {
        Self::Invalid {
            what,
            reason: reason.into(),
        }
    }
}

impl From<StoreError> for Fatal {
    fn from(error: StoreError) -> Self {
        let text = with_causes(&error);
        match error {
            StoreError::NewerVersion { .. } => Self::Setup(text),
            StoreError::Locked { .. } => Self::AlreadyRunning(text),
            // A restart would meet the same error, and an unreadable file may be intact: nothing is quarantined.
            StoreError::Folder { source, .. } if needs_person(&source) => Self::Setup(format!(
                "{text}\n  hint: everything in the data folder must be readable and writable for the user that runs scened: chmod -R u+rwX, or chown -R"
            )),
            _ => Self::Store(text),
        }
    }
}
