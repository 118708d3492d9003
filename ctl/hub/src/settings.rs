//! The hub's address, the user's token, and the hub's cache folder, from the variables that every tool of the hub honours.
//!
//! **Source**: the page "Environment variables" of the `huggingface_hub` documentation.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The public hub.
const PUBLIC: &str = "https://huggingface.co";

/// Which hub to use, and with which token.
#[derive(Clone)]
pub struct Settings {
    /// Scheme and host, without a trailing slash.
    pub(crate) endpoint: String,
    /// Never printed: `Debug` is implemented by hand.
    pub(crate) token: Option<String>,
    /// `…/hub`, where other programs keep their downloads.
    pub(crate) cache: Option<PathBuf>,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("endpoint", &self.endpoint)
            .field("token", &self.token.as_ref().map(|_| "…"))
            .field("cache", &self.cache)
            .finish()
    }
}

/// `HF_ENDPOINT` is not a URL.
#[derive(Debug, thiserror::Error)]
#[error("HF_ENDPOINT is {0:?}, which is not an http or https address")]
pub struct EndpointError(String);

impl Settings {
    /// Reads this process's environment, and the token's file.
    ///
    /// **Errors**: `HF_ENDPOINT` is neither http nor https.
    pub fn of_process() -> Result<Self, EndpointError> {
        Self::new(
            |name| std::env::var_os(name),
            |path| std::fs::read_to_string(path).ok(),
            std::env::home_dir(),
        )
    }

    fn new(
        variable: impl Fn(&str) -> Option<OsString>,
        read: impl Fn(&Path) -> Option<String>,
        home: Option<PathBuf>,
    ) -> Result<Self, EndpointError> {
        let variable = |name| variable(name).filter(|value| !value.is_empty());
        let text = |name| variable(name).and_then(|value| value.into_string().ok());
        let folder = |name| variable(name).map(PathBuf::from);
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| PUBLIC.to_owned());
        let endpoint = endpoint.trim_end_matches('/');
        if !(endpoint.starts_with("https://") || endpoint.starts_with("http://")) {
            return Err(EndpointError(endpoint.to_owned()));
        }
        let caches = || folder("XDG_CACHE_HOME").or_else(|| home.map(|home| home.join(".cache")));
        let hub_home = folder("HF_HOME").or_else(|| caches().map(|caches| caches.join("huggingface")));
        let token_file = folder("HF_TOKEN_PATH").or_else(|| hub_home.as_ref().map(|home| home.join("token")));
        let token = text("HF_TOKEN")
            .or_else(|| text("HUGGING_FACE_HUB_TOKEN"))
            .or_else(|| read(&token_file?))
            .map(|token| token.trim().to_owned())
            // A header accepts visible ASCII only; anything else is a damaged file rather than a token.
            .filter(|token| !token.is_empty() && token.chars().all(|c| c.is_ascii_graphic()));
        Ok(Self {
            endpoint: endpoint.to_owned(),
            token,
            cache: folder("HF_HUB_CACHE").or_else(|| hub_home.map(|home| home.join("hub"))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)], files: &[(&str, &str)]) -> Result<Settings, EndpointError> {
        let find = |list: &[(&str, &str)], name: &str| list.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        Settings::new(
            |name| find(variables, name).map(OsString::from),
            |path| find(files, path.to_str().unwrap()),
            Some(PathBuf::from("/home/u")),
        )
    }

    #[test]
    fn the_hubs_own_variables_decide() {
        let check = |variables: &[(&str, &str)], files: &[(&str, &str)], endpoint: &str, token: Option<&str>, cache: &str| {
            let found = settings(variables, files).unwrap();
            assert_eq!(
                (found.endpoint.as_str(), found.token.as_deref(), found.cache.unwrap()),
                (endpoint, token, PathBuf::from(cache)),
                "{variables:?}"
            );
        };
        check(&[], &[], PUBLIC, None, "/home/u/.cache/huggingface/hub");
        check(
            &[("HF_ENDPOINT", "http://mirror:8080/"), ("HF_HOME", "/hf")],
            &[("/hf/token", "hf_file\n")],
            "http://mirror:8080",
            Some("hf_file"),
            "/hf/hub",
        );
        check(
            &[("HF_TOKEN", " hf_variable "), ("XDG_CACHE_HOME", "/c"), ("HF_HUB_CACHE", "/other")],
            &[("/c/huggingface/token", "hf_file")],
            PUBLIC,
            Some("hf_variable"),
            "/other",
        );
        check(
            &[("HF_TOKEN_PATH", "/t"), ("HF_HOME", "/hf")],
            &[("/hf/token", "wrong"), ("/t", "hf_path")],
            PUBLIC,
            Some("hf_path"),
            "/hf/hub",
        );
        check(&[("HF_TOKEN", "two\nlines")], &[], PUBLIC, None, "/home/u/.cache/huggingface/hub");
    }

    #[test]
    fn an_endpoint_that_is_no_address_is_named() {
        let error = settings(&[("HF_ENDPOINT", "ftp://x")], &[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "HF_ENDPOINT is \"ftp://x\", which is not an http or https address"
        );
    }

    #[test]
    fn a_token_is_never_shown() {
        let found = settings(&[("HF_TOKEN", "hf_secret")], &[]).unwrap();
        assert!(!format!("{found:?}").contains("secret"));
    }
}
