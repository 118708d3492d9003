//! What a user may type to name a model, and which words can be a model's name.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

/// `owner/repo`, both made of letters, digits, `-`, `_` and `.`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Repository {
    owner: String,
    name: String,
}

impl Repository {
    /// Parses `owner/repo`; `None` if the text has another form.
    pub fn parse(text: &str) -> Option<Self> {
        let (owner, name) = text.split_once('/')?;
        (is_name(owner) && is_name(name)).then(|| Self {
            owner: owner.to_owned(),
            name: name.to_owned(),
        })
    }

    /// Returns the part after the slash.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns its folder in the hub's cache.
    pub(crate) fn cache_folder(&self) -> String {
        format!("models--{}--{}", self.owner, self.name)
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

/// Returns whether a word works as a folder name on every system, and is not an option, a hidden folder or a path.
pub fn is_name(word: &str) -> bool {
    word.len() <= 96
        && word.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && !word.contains("..")
}

/// What the user typed for a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// A name from the catalog.
    Name(String),
    /// A repository of the hub.
    Repository {
        /// The repository's name.
        repository: Repository,
        /// The part after the `@`.
        revision: Option<String>,
    },
    /// A local folder.
    Folder(PathBuf),
}

/// Why a word is not one of the three.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// The word has none of the known forms.
    #[error("{word:?} is neither a name, nor owner/repo, nor a folder")]
    Strange {
        /// As it was typed.
        word: String,
    },
    /// The part after the `@` cannot be a revision.
    #[error("{revision:?} cannot be a revision")]
    Revision {
        /// As it was typed.
        revision: String,
    },
}

impl Reference {
    /// Distinguishes the three forms by their spelling alone: a folder starts with `./`, `../` or `/`.
    pub fn parse(word: &OsStr) -> Result<Self, ReferenceError> {
        let Some(text) = word.to_str() else {
            return Ok(Self::Folder(PathBuf::from(word)));
        };
        let path = Path::new(text);
        if path.is_absolute() || matches!(path.components().next(), Some(c) if matches!(c.as_os_str().to_str(), Some("." | ".."))) {
            return Ok(Self::Folder(path.to_path_buf()));
        }
        let strange = || ReferenceError::Strange { word: text.to_owned() };
        let (id, revision) = match text.split_once('@') {
            Some((id, revision)) if is_revision(revision) => (id, Some(revision.to_owned())),
            Some((_, revision)) => {
                return Err(ReferenceError::Revision {
                    revision: revision.to_owned(),
                });
            }
            None => (text, None),
        };
        if id.contains('/') {
            let repository = Repository::parse(id).ok_or_else(strange)?;
            return Ok(Self::Repository { repository, revision });
        }
        if is_name(id) && revision.is_none() {
            return Ok(Self::Name(id.to_owned()));
        }
        Err(strange())
    }
}

/// Returns whether a text can be a branch, a tag, a commit, or `refs/pr/1`.
fn is_revision(text: &str) -> bool {
    !text.is_empty() && text.len() <= 200 && !text.contains("..") && text.chars().all(|c| c.is_ascii_graphic() && !"\\?#%@".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(id: &str, revision: Option<&str>) -> Reference {
        Reference::Repository {
            repository: Repository::parse(id).unwrap(),
            revision: revision.map(str::to_owned),
        }
    }

    #[test]
    fn names_repositories_and_folders_are_told_apart_by_their_looks() {
        let check = |word: &str, expected: Reference| assert_eq!(Reference::parse(OsStr::new(word)), Ok(expected), "{word}");
        check("clip-vit-b32", Reference::Name("clip-vit-b32".to_owned()));
        check("Xenova/clip-vit-base-patch32", repository("Xenova/clip-vit-base-patch32", None));
        check(
            "immich-app/ViT-B-32__openai@main",
            repository("immich-app/ViT-B-32__openai", Some("main")),
        );
        check("a/b@refs/pr/1", repository("a/b", Some("refs/pr/1")));
        for folder in ["./clip", "../clip", "/models/clip", ".", "..", "./a/b"] {
            check(folder, Reference::Folder(PathBuf::from(folder)));
        }
    }

    #[test]
    fn what_could_leave_the_folder_or_the_url_is_no_reference() {
        for word in [
            "",
            "-x",
            ".hidden",
            "a/b/c",
            "a/",
            "/b/../c@",
            "a b",
            "a/b c",
            "a/..",
            "a..b",
            "clip@main",
            "a/b@",
            "a/b@..",
            "a/b@x?y",
            "ü/b",
        ] {
            let parsed = Reference::parse(OsStr::new(word));
            assert!(
                !matches!(parsed, Ok(Reference::Name(_) | Reference::Repository { .. })),
                "{word}: {parsed:?}"
            );
        }
    }
}
