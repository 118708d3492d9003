//! What can go wrong between the hub and the data folder, and what a person can do about it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::layout::NoModel;
use super::reference::Repository;
use crate::failure::Failure;
use crate::render::text;

#[derive(Debug, thiserror::Error)]
pub(crate) enum HubError {
    #[error("the hub does not let you read {repository}")]
    Denied {
        repository: Repository,
        /// Its page, where terms are accepted.
        page: String,
        had_token: bool,
        /// The hub's own words.
        said: Option<String>,
    },
    #[error("there is no repository {repository} on the hub, or it is private")]
    NoRepository { repository: Repository, page: String },
    #[error("{repository} has no revision {revision:?}")]
    NoRevision {
        repository: Repository,
        revision: String,
        page: String,
    },
    #[error("{repository} has no file {file}")]
    NoFile { repository: Repository, file: String },
    #[error("no usable model is in {place}")]
    NoModel {
        place: String,
        #[source]
        source: NoModel,
    },
    #[error("{host} cannot be reached")]
    Unreachable { host: String, cause: String },
    #[error("{host} answered {status}{}", said.as_deref().map(|said| format!(": {said}")).unwrap_or_default())]
    Status {
        host: String,
        status: u16,
        said: Option<String>,
        /// It asked to be left alone for so long.
        wait: Option<Duration>,
    },
    #[error("{host} answered what a hub does not: {what}")]
    Strange { host: String, what: String },
    #[error("{file} arrived damaged twice")]
    Damaged { file: String, expected: String, found: String },
    #[error(
        "{} needs {}, and {} are free, of which {} stay free (min-free-mib)",
        folder.display(), text::size(*needed_bytes), text::size(*free_bytes), text::size(*kept_bytes)
    )]
    Space {
        folder: PathBuf,
        needed_bytes: u64,
        free_bytes: u64,
        kept_bytes: u64,
    },
    #[error("{file} is larger than such a file of a model ever is: {}", size_bytes.map_or_else(|| format!("over {}", text::size(*most_bytes)), text::size))]
    TooLarge {
        file: String,
        /// `None` where nobody told, and it came without an end.
        size_bytes: Option<u64>,
        most_bytes: u64,
    },
    #[error("the disk is full: {} could not be written", path.display())]
    DiskFull { path: PathBuf, source: io::Error },
    #[error("cannot {doing} {}", path.display())]
    File {
        doing: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("a model named {name} is installed already, in {}", folder.display())]
    Installed { name: String, folder: PathBuf },
    #[error("another scenectl is installing {name}")]
    Locked { name: String },
    #[error("interrupted")]
    Interrupted,
}

impl HubError {
    /// An input or output error of a file of ours; a full disk is told apart.
    pub(crate) fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => Self::DiskFull { path, source },
            _ => Self::File { doing, path, source },
        }
    }
}

const GO_ON: &str = "run the same command again: it goes on where it stopped";

impl From<HubError> for Failure {
    fn from(error: HubError) -> Self {
        let failure = Self::new(error.to_string());
        match error {
            HubError::Denied { page, had_token, said, .. } => {
                let failure = failure.cause(said.unwrap_or_else(|| "it is gated, private, or not there".to_owned()));
                if had_token {
                    failure.hint(format!(
                        "accept its terms at {page} with the account that your token is of, and see that the token may read it"
                    ))
                } else {
                    failure.hint(format!(
                        "see whether it is there: {page}; where it is gated, accept its terms there and set HF_TOKEN"
                    ))
                }
            }
            HubError::NoRepository { page, .. } => failure.hint(format!(
                "see whether it is there: {page}; a private one needs HF_TOKEN; `scenectl model list --available` lists models that scened knows"
            )),
            HubError::NoRevision { page, .. } => failure.hint(format!("branches and tags are listed at {page}")),
            HubError::NoFile { .. } => failure.hint("the repository has changed: take another revision, as in owner/repo@REVISION"),
            HubError::NoModel { source, .. } => {
                let hint = match &source {
                    NoModel::Precision { there, .. } => format!("say --precision {}", there[0]),
                    NoModel::Incomplete { .. } | NoModel::Foreign { .. } | NoModel::Scattered { .. } => {
                        "scened needs config.json, preprocessor_config.json, tokenizer.json and onnx/{vision_model,text_model}.onnx, or Immich's layout; \
                         such exports are often in repositories named …-ONNX, or of Xenova, onnx-community and immich-app"
                            .to_owned()
                    }
                };
                failure.cause(source.to_string()).hint(hint)
            }
            HubError::Unreachable { cause, .. } => {
                let hint = if cause.contains("certificate") {
                    "the authorities that your system trusts do not vouch for it: install the package ca-certificates, or name a file in SSL_CERT_FILE"
                        .to_owned()
                } else {
                    format!("see that this machine is online (HF_ENDPOINT, HTTPS_PROXY), then {GO_ON}")
                };
                failure.cause(cause).hint(hint)
            }
            HubError::Status { wait, .. } => match wait {
                Some(wait) => failure.hint(format!("it asks to be left alone for {} s; then {GO_ON}", wait.as_secs())),
                None => failure.hint(format!("try later: {GO_ON}")),
            },
            HubError::Strange { .. } | HubError::TooLarge { .. } => failure
                .hint("is HF_ENDPOINT a hub? Without it, https://huggingface.co is asked")
                .hint("does this network want a login first? A browser shows it"),
            HubError::Damaged { expected, found, .. } => failure
                .cause(format!("its content should be {expected}, and is {found}"))
                .hint("the hub's copy or something on the way is broken: try another network, or later"),
            HubError::Space { .. } => failure.hint(format!("free some space, then {GO_ON}; or give another data folder with --data-dir")),
            HubError::DiskFull { source, .. } => failure.cause(source.to_string()).hint(format!("free some space, then {GO_ON}")),
            HubError::File { source, .. } => failure.cause(source.to_string()),
            HubError::Installed { name, .. } => failure.hint(format!(
                "`scenectl model use {name}` uses it; --force replaces it, --name NAME installs beside it"
            )),
            HubError::Locked { .. } => failure.hint("wait for it to end, then try again"),
            HubError::Interrupted => failure.hint(GO_ON),
        }
    }
}
