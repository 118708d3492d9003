//! How a path is written into JSON, in records and in settings: as text if it is UTF-8, else as the base64 of its bytes.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Written", try_from = "Written")]
pub struct StoredPath(PathBuf);

impl StoredPath {
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    pub fn into_path(self) -> PathBuf {
        self.0
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Base64 {
        base64: String,
    },
    /// Only read: an earlier notation of folders and volumes in settings.
    Numbers(Vec<u8>),
}

impl From<StoredPath> for Written {
    fn from(path: StoredPath) -> Self {
        match path.0.into_os_string().into_string() {
            Ok(text) => Self::Text(text),
            Err(bytes) => Self::Base64 {
                base64: BASE64.encode(bytes.as_bytes()),
            },
        }
    }
}

impl TryFrom<Written> for StoredPath {
    type Error = base64::DecodeError;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let bytes = match written {
            Written::Text(text) => text.into_bytes(),
            Written::Base64 { base64 } => BASE64.decode(base64)?,
            Written::Numbers(bytes) => bytes,
        };
        Ok(Self(PathBuf::from(OsString::from_vec(bytes))))
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use serde_json::json;

    use super::*;

    #[test]
    fn every_spelling_that_was_ever_written_is_read_and_one_is_written() {
        let odd = Path::new(OsStr::from_bytes(b"/v/\xff\n"));
        for (path, read, written) in [
            (Path::new("/v/é"), json!("/v/é"), json!("/v/é")),
            (odd, json!({"base64": "L3Yv/wo="}), json!({"base64": "L3Yv/wo="})),
            (odd, json!([47, 118, 47, 255, 10]), json!({"base64": "L3Yv/wo="})),
        ] {
            let stored: StoredPath = serde_json::from_value(read).unwrap();
            assert_eq!(serde_json::to_value(&stored).unwrap(), written);
            assert_eq!(stored.into_path(), path);
        }
        assert!(serde_json::from_value::<StoredPath>(json!({"base64": "?"})).is_err());
    }
}
