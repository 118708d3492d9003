//! What can go wrong between the hub and the data folder.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use scened_shared::quantity::size;

use crate::layout::NoModel;
use crate::reference::Repository;

/// Why a model did not come, or was not placed. Each message says what; its causes are in the fields.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The hub answered 401 or 403.
    #[error("the hub does not let you read {repository}")]
    Denied {
        /// What was asked for.
        repository: Repository,
        /// Its page, where terms are accepted.
        page: String,
        /// Whether a token was sent along.
        had_token: bool,
        /// The hub's own words.
        said: Option<String>,
    },
    /// The hub knows none of that name, or does not tell strangers.
    #[error("there is no repository {repository} on the hub, or it is private")]
    NoRepository {
        /// What was asked for.
        repository: Repository,
        /// Where a person would find it.
        page: String,
    },
    /// The repository is there, and the branch, tag or commit is not.
    #[error("{repository} has no revision {revision:?}")]
    NoRevision {
        /// What was asked for.
        repository: Repository,
        /// The branch, tag or commit.
        revision: String,
        /// Where a person finds those that there are.
        page: String,
    },
    /// A file of the model is not there.
    #[error("{repository} has no file {file}")]
    NoFile {
        /// What was asked for.
        repository: Repository,
        /// Its path there.
        file: String,
    },
    /// The files that there are make no model.
    #[error("no usable model is in {place}")]
    NoModel {
        /// A page of the hub, or a folder.
        place: String,
        /// What is missing.
        #[source]
        source: NoModel,
    },
    /// There is no connection, or it broke too often.
    #[error("{host} cannot be reached")]
    Unreachable {
        /// Host and port.
        host: String,
        /// In the words of the HTTP client.
        cause: String,
    },
    /// An HTTP status that means none of the above.
    #[error("{host} answered {status}{}", said.as_deref().map(|said| format!(": {said}")).unwrap_or_default())]
    Status {
        /// Host and port.
        host: String,
        /// As HTTP numbers them.
        status: u16,
        /// The server's own words, shortened.
        said: Option<String>,
        /// It asked to be left alone for so long.
        wait: Option<Duration>,
    },
    /// No hub answers so: a page of a captive portal, or an attack.
    #[error("{host} is not a hub, or does not work: it answered {what}")]
    Strange {
        /// Host and port.
        host: String,
        /// In words.
        what: String,
    },
    /// Size or hash of a file are not those that the hub tells.
    #[error("{file} arrived damaged twice")]
    Damaged {
        /// Its path.
        file: String,
        /// A hash with its kind, or a number of bytes.
        expected: String,
        /// The same of what came.
        found: String,
    },
    /// The disk of the data folder would become too full.
    #[error(
        "{} needs {}, but {} are free, and {} must stay free (min-free-mib)",
        folder.display(), size(*needed_bytes), size(*free_bytes), size(*kept_bytes)
    )]
    Space {
        /// Where the model would lie.
        folder: PathBuf,
        /// What is still to be written. Bytes.
        needed_bytes: u64,
        /// What the disk has. Bytes.
        free_bytes: u64,
        /// What has to stay free of it. Bytes.
        kept_bytes: u64,
    },
    /// A file has more bytes than any such file of a model.
    #[error("{file} is too large for a file of its kind: {}", size_bytes.map_or_else(|| format!("over {}", size(*most_bytes)), size))]
    TooLarge {
        /// Its path.
        file: String,
        /// `None` where nobody told, and it came without an end.
        size_bytes: Option<u64>,
        /// The most that it may have. Bytes.
        most_bytes: u64,
    },
    /// The disk, or what this user may have of it, is used up.
    #[error("the disk is full: {} could not be written", path.display())]
    DiskFull {
        /// What could not be written.
        path: PathBuf,
        /// The system's own words.
        source: io::Error,
    },
    /// Any other input or output of a file here failed.
    #[error("cannot {doing} {}", path.display())]
    File {
        /// A verb: `read`, `write`, `remove` and so on.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's own words.
        source: io::Error,
    },
    /// There is a model of that name, and nobody said to replace it.
    #[error("a model named {name} is installed already, in {}", folder.display())]
    Installed {
        /// The model's.
        name: String,
        /// Where it lies.
        folder: PathBuf,
    },
    /// Another process holds the staging folder of that name.
    #[error("another scenectl is installing {name}")]
    Locked {
        /// The model's.
        name: String,
    },
    /// The [`Stop`](scened_shared::stop::Stop) was asked.
    #[error("interrupted")]
    Interrupted,
}

impl HubError {
    /// Makes an error of a file here out of an input or output error; a full disk is told apart.
    pub fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => Self::DiskFull { path, source },
            _ => Self::File { doing, path, source },
        }
    }
}
