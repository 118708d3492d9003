//! Messages for errors between the hub and the data folder, with advice.

use scened_hub::error::HubError;
use scened_hub::layout::NoModel;

use super::Failure;

const GO_ON: &str = "run the same command again to continue where it stopped";

impl From<HubError> for Failure {
    fn from(error: HubError) -> Self {
        let failure = Self::new(error.to_string());
        match error {
            HubError::Denied { page, had_token, said, .. } => {
                let failure = failure.cause(said.unwrap_or_else(|| "it is gated or private, or does not exist".to_owned()));
                if had_token {
                    failure.hint(format!(
                        "accept its terms at {page} with the account of your token, and check that the token may read it"
                    ))
                } else {
                    failure.hint(format!(
                        "check that it exists: {page}; if it is gated, accept its terms there and set HF_TOKEN"
                    ))
                }
            }
            HubError::NoRepository { page, .. } => failure.hint(format!(
                "check that it exists: {page}; a private repository needs HF_TOKEN; `scenectl model list --available` lists known models"
            )),
            HubError::NoRevision { page, .. } => failure.hint(format!("branches and tags are listed at {page}")),
            HubError::NoFile { .. } => failure.hint("the repository has changed: choose another revision, as in owner/repo@REVISION"),
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
                    "its certificate is not trusted by your system: install the package ca-certificates, or name a file in SSL_CERT_FILE"
                        .to_owned()
                } else {
                    format!("check that this machine is online (HF_ENDPOINT, HTTPS_PROXY), then {GO_ON}")
                };
                failure.cause(cause).hint(hint)
            }
            HubError::Status { wait, .. } => match wait {
                Some(wait) => failure.hint(format!("it asks to wait for {} s; then {GO_ON}", wait.as_secs())),
                None => failure.hint(format!("try later: {GO_ON}")),
            },
            HubError::Strange { .. } | HubError::TooLarge { .. } => failure
                .hint("is HF_ENDPOINT a hub? Without it, scenectl uses https://huggingface.co")
                .hint("does this network require a login? Open a browser to see"),
            HubError::Damaged { expected, found, .. } => failure
                .cause(format!("its hash should be {expected}, but is {found}"))
                .hint("the hub's copy or the connection is faulty: try later, or on another network"),
            HubError::Space { .. } => failure.hint(format!(
                "free some space, then {GO_ON}; or give another data folder with --data-dir"
            )),
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
