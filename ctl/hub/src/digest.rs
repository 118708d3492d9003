//! The two hashes that the hub reports in ETags, and how they are computed.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// The hash that a file's content must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Files in large-file storage: SHA-256 of the content, 64 hexadecimal digits.
    Sha256(String),
    /// Files in git: SHA-1 of `blob <size>\0` and the content, 40 hexadecimal digits.
    GitBlob(String),
}

impl Expected {
    /// Parses an ETag, weak or strong, quoted or not. Other tags (a store's own, an MD5) say nothing about the content.
    pub(crate) fn from_etag(etag: &str) -> Option<Self> {
        let tag = bare(etag).to_ascii_lowercase();
        if !tag.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        match tag.len() {
            64 => Some(Self::Sha256(tag)),
            40 => Some(Self::GitBlob(tag)),
            _ => None,
        }
    }

    /// Returns the digits alone, which are also the file's name in the hub's cache.
    pub(crate) fn hex(&self) -> &str {
        match self {
            Self::Sha256(hex) | Self::GitBlob(hex) => hex,
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(hex) => write!(f, "sha256:{hex}"),
            Self::GitBlob(hex) => write!(f, "git:{hex}"),
        }
    }
}

/// Strips an ETag's quotes and its weak mark.
pub(crate) fn bare(etag: &str) -> &str {
    let etag = etag.trim();
    etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"')
}

/// Hashes content incrementally.
pub(crate) enum Hasher {
    Sha256(Sha256),
    GitBlob(Sha1),
}

impl Hasher {
    /// Takes the size because a git blob's hash begins with it.
    pub(crate) fn new(expected: &Expected, size_bytes: u64) -> Self {
        match expected {
            Expected::Sha256(_) => Self::Sha256(Sha256::new()),
            Expected::GitBlob(_) => {
                let mut hash = Sha1::new();
                hash.update(format!("blob {size_bytes}\0"));
                Self::GitBlob(hash)
            }
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(bytes),
            Self::GitBlob(hash) => hash.update(bytes),
        }
    }

    pub(crate) fn finish(self) -> Expected {
        match self {
            Self::Sha256(hash) => Expected::Sha256(hex::encode(hash.finalize())),
            Self::GitBlob(hash) => Expected::GitBlob(hex::encode(hash.finalize())),
        }
    }
}

/// Size of one read. Bytes.
const CHUNK_BYTES: usize = 128 << 10;

/// Returns the hash of a file, of the same kind as `like`.
pub(crate) fn hash_of(path: &Path, like: &Expected) -> io::Result<Expected> {
    let mut file = File::open(path)?;
    let mut hasher = Hasher::new(like, file.metadata()?.len());
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hasher.finish()),
            n => hasher.update(&chunk[..n]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etags_of_the_hub_are_hashes_and_others_are_not() {
        let sha = "a".repeat(64);
        let git = "0123456789ABCDEF0123456789abcdef01234567";
        assert_eq!(Expected::from_etag(&format!("\"{sha}\"")), Some(Expected::Sha256(sha.clone())));
        assert_eq!(
            Expected::from_etag(&format!("W/\"{git}\"")),
            Some(Expected::GitBlob(git.to_ascii_lowercase()))
        );
        for other in ["", "\"\"", "d41d8cd98f00b204e9800998ecf8427e", "\"5-abc\"", &"g".repeat(64)] {
            assert_eq!(Expected::from_etag(other), None, "{other}");
        }
    }

    #[test]
    fn hashes_are_those_of_sha256sum_and_git_hash_object() {
        let check = |expected: &Expected| {
            let mut hasher = Hasher::new(expected, 6);
            hasher.update(b"hel");
            hasher.update(b"lo\n");
            assert_eq!(hasher.finish(), *expected);
        };
        // `printf 'hello\n' | sha256sum`, and `| git hash-object --stdin`.
        check(&Expected::Sha256(
            "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03".to_owned(),
        ));
        check(&Expected::GitBlob("ce013625030ba8dba906f756967f9e9ca394464a".to_owned()));
    }
}
