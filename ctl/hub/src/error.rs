//! What can go wrong between the hub and the data folder.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use scened_shared::quantity::size;

use crate::layout::NoModel;
use crate::reference::Repository;

/// Why a model was not downloaded or installed. The message says what failed; the fields hold the cause.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The hub answered 401 or 403.
    #[error("the hub does not let you read {repository}")]
    Denied {
        /// The repository that was requested.
        repository: Repository,
        /// Its page, where the user can accept its terms.
        page: String,
        /// Whether the request carried a token.
        had_token: bool,
        /// The hub's own message.
        said: Option<String>,
    },
    /// The hub has no such repository, or hides it from this user.
    #[error("there is no repository {repository} on the hub, or it is private")]
    NoRepository {
        /// The repository that was requested.
        repository: Repository,
        /// The page where a person would find it.
        page: String,
    },
    /// The repository exists, but not this branch, tag or commit.
    #[error("{repository} has no revision {revision:?}")]
    NoRevision {
        /// The repository that was requested.
        repository: Repository,
        /// The branch, tag or commit.
        revision: String,
        /// The page that lists the existing revisions.
        page: String,
    },
    /// A file of the model is missing.
    #[error("{repository} has no file {file}")]
    NoFile {
        /// The repository that was requested.
        repository: Repository,
        /// Its path in the repository.
        file: String,
    },
    /// The files present do not make up a model.
    #[error("no usable model is in {place}")]
    NoModel {
        /// A page of the hub, or a folder.
        place: String,
        /// What is missing.
        #[source]
        source: NoModel,
    },
    /// The connection failed, or broke too often.
    #[error("{host} cannot be reached")]
    Unreachable {
        /// Host and port.
        host: String,
        /// The HTTP client's message.
        cause: String,
    },
    /// An HTTP status that means none of the above.
    #[error("{host} answered {status}{}", said.as_deref().map(|said| format!(": {said}")).unwrap_or_default())]
    Status {
        /// Host and port.
        host: String,
        /// The HTTP status code.
        status: u16,
        /// The server's own message, shortened.
        said: Option<String>,
        /// How long the server asked us to wait.
        wait: Option<Duration>,
    },
    /// No real hub answers like this: it may be a captive portal's page, or an attack.
    #[error("{host} is not a hub, or does not work: it answered {what}")]
    Strange {
        /// Host and port.
        host: String,
        /// A description of the answer.
        what: String,
    },
    /// The size or hash of a file differs from what the hub reports.
    #[error("{file} arrived damaged twice")]
    Damaged {
        /// Path of the file.
        file: String,
        /// A hash with its kind, or a number of bytes.
        expected: String,
        /// The same for the data received.
        found: String,
    },
    /// The disk of the data folder would become too full.
    #[error(
        "{} needs {}, but {} are free, and {} must stay free (min-free-mib)",
        folder.display(), size(*needed_bytes), size(*free_bytes), size(*kept_bytes)
    )]
    Space {
        /// Where the model would be stored.
        folder: PathBuf,
        /// Bytes still to be written.
        needed_bytes: u64,
        /// Bytes free on the disk.
        free_bytes: u64,
        /// Bytes that must stay free on the disk.
        kept_bytes: u64,
    },
    /// A file is larger than any such file of a model may be.
    #[error("{file} is too large for a file of its kind: {}", size_bytes.map_or_else(|| format!("over {}", size(*most_bytes)), size))]
    TooLarge {
        /// Path of the file.
        file: String,
        /// `None` if no size was announced and the data did not end.
        size_bytes: Option<u64>,
        /// The largest allowed size. Bytes.
        most_bytes: u64,
    },
    /// The disk is full, or the user's quota on it is used up.
    #[error("the disk is full: {} could not be written", path.display())]
    DiskFull {
        /// The file that could not be written.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Any other I/O error on a local file.
    #[error("cannot {doing} {}", path.display())]
    File {
        /// A verb: `read`, `write`, `remove` and so on.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A model of that name exists, and the caller did not ask to replace it.
    #[error("a model named {name} is installed already, in {}", folder.display())]
    Installed {
        /// Name of the model.
        name: String,
        /// Its folder.
        folder: PathBuf,
    },
    /// Another process has locked the staging folder of that name.
    #[error("another scenectl is installing {name}")]
    Locked {
        /// Name of the model.
        name: String,
    },
    /// [`Stop`](scened_shared::stop::Stop) was requested.
    #[error("interrupted")]
    Interrupted,
}

impl HubError {
    /// Turns an I/O error on a local file into a [`HubError`]; a full disk gets its own variant.
    pub fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => Self::DiskFull { path, source },
            _ => Self::File { doing, path, source },
        }
    }
}
