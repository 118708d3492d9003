//! Paths on the wire: a lossy string for people, and the bytes if they differ from it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// A path as two members: `path` (lossy UTF-8) and, only if that lost something, `path_bytes` (base64 of the bytes).
///
/// On Windows paths are not bytes; there `path_bytes` is never sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WirePath {
    /// The path for people. It is exact if there are no `path_bytes`.
    pub path: String,
    /// Base64 of the path's bytes, if `path` lost something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_bytes: Option<String>,
}

/// The received members do not form a path.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WirePathError {
    /// `path_bytes` cannot be decoded.
    #[error("path_bytes is not base64")]
    NotBase64,
    /// The path contains a NUL byte, which no system allows.
    #[error("a path contains a NUL byte")]
    Nul,
}

impl WirePath {
    /// Creates the members for a path, without changing it.
    pub fn new(path: &Path) -> Self {
        match path.to_str() {
            Some(text) => Self {
                path: text.to_owned(),
                path_bytes: None,
            },
            None => Self {
                path: path.to_string_lossy().into_owned(),
                path_bytes: bytes_of(path).map(|b| STANDARD.encode(b)),
            },
        }
    }

    /// Returns the path, byte for byte.
    pub fn to_path(&self) -> Result<PathBuf, WirePathError> {
        let path = match &self.path_bytes {
            None => OsString::from(&self.path),
            Some(text) => from_bytes(STANDARD.decode(text).map_err(|_| WirePathError::NotBase64)?),
        };
        if path.as_encoded_bytes().contains(&0) {
            return Err(WirePathError::Nul);
        }
        Ok(path.into())
    }
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "on Windows paths have no bytes")]
fn bytes_of(path: &Path) -> Option<&[u8]> {
    use std::os::unix::ffi::OsStrExt as _;
    Some(path.as_os_str().as_bytes())
}

#[cfg(unix)]
fn from_bytes(bytes: Vec<u8>) -> OsString {
    use std::os::unix::ffi::OsStringExt as _;
    OsString::from_vec(bytes)
}

#[cfg(not(unix))]
fn bytes_of(_path: &Path) -> Option<&[u8]> {
    None
}

#[cfg(not(unix))]
fn from_bytes(bytes: Vec<u8>) -> OsString {
    String::from_utf8_lossy(&bytes).into_owned().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_not_utf8_survive() {
        use std::os::unix::ffi::OsStrExt as _;
        let path = Path::new(std::ffi::OsStr::from_bytes(b"/films/caf\xe9\n.mp4"));
        let wire = WirePath::new(path);
        assert_eq!(wire.path, "/films/caf\u{fffd}\n.mp4");
        assert_eq!(wire.to_path().unwrap(), path);
    }

    #[test]
    fn plain_paths_travel_as_text_alone() {
        let wire = WirePath::new(Path::new("/films/a b.mp4"));
        assert_eq!(serde_json::to_string(&wire).unwrap(), r#"{"path":"/films/a b.mp4"}"#);
    }

    #[test]
    fn bad_paths_are_refused() {
        let path = |path: &str, bytes: Option<&str>| {
            WirePath {
                path: path.into(),
                path_bytes: bytes.map(Into::into),
            }
            .to_path()
        };
        assert_eq!(path("a\0b", None), Err(WirePathError::Nul));
        assert_eq!(path("a", Some("%%")), Err(WirePathError::NotBase64));
    }
}
