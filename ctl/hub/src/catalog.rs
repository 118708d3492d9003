//! The models that scened knows by name: `catalog.toml`, read once and checked by a test.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::layout::Precision;

const CATALOG: &str = include_str!("catalog.toml");

/// All models that can be installed by name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Catalog {
    /// In the order of the file; each name occurs once.
    #[serde(rename = "model")]
    pub models: Vec<Entry>,
}

/// One model, as `catalog.toml` describes it.
///
/// **Source**: the model cards on the hub, and programs that pin the same files. The head of `catalog.toml` has the details.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Entry {
    /// The name that the user types to install it.
    pub name: String,
    /// `owner/repo`.
    pub repository: String,
    /// Usually a commit: 40 hexadecimal digits.
    pub revision: String,
    /// As the model card names it.
    pub licence: String,
    /// Whether the licence allows research only. If so, scenectl asks for consent before it downloads anything.
    #[serde(default)]
    pub research_only: bool,
    /// Length of its vectors.
    pub dimensions: u32,
    /// Width and height of its input pictures. Pixels.
    pub image_px: u32,
    /// Languages that it understands, in words.
    pub languages: String,
    /// What it is good for, in a few words.
    pub purpose: String,
    /// The available precisions, each with the total bytes of its files (0 if unknown).
    pub precisions: BTreeMap<Precision, u64>,
    /// Why it cannot be installed from here, if so.
    pub unavailable: Option<String>,
    /// The files that make up the model, if the repository itself has neither layout.
    #[serde(default, rename = "part")]
    pub parts: Vec<Part>,
    /// Small files of the Immich layout that such repositories lack, with their content.
    #[serde(default)]
    pub written: BTreeMap<String, String>,
}

/// One file of a model that is assembled from parts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Part {
    /// `owner/repo`; defaults to the entry's own.
    pub repository: Option<String>,
    /// Defaults to the entry's own.
    pub revision: Option<String>,
    /// Its path in the repository.
    pub from: String,
    /// Its path in the model's folder.
    pub to: String,
    /// The SHA-256 that its content must have: 64 hexadecimal digits.
    pub sha256: Option<String>,
}

impl Catalog {
    /// Reads the built-in catalog.
    pub fn read() -> Self {
        toml::from_str(CATALOG).expect("a test reads the catalog")
    }

    /// Finds a model by its name.
    pub fn find(&self, name: &str) -> Option<&Entry> {
        self.models.iter().find(|entry| entry.name == name)
    }
}

/// What `model list --available` shows of an entry; `--json` prints these fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CatalogRow {
    /// As in [`Entry`], like all fields up to `purpose`.
    pub name: String,
    /// `owner/repo`.
    pub repository: String,
    /// Usually a commit.
    pub revision: String,
    /// As the model card names it.
    pub licence: String,
    /// Whether the licence allows research only.
    pub research_only: bool,
    /// Length of its vectors.
    pub dimensions: u32,
    /// Width and height of its pictures. Pixels.
    pub image_px: u32,
    /// Languages that it understands.
    pub languages: String,
    /// What it is good for.
    pub purpose: String,
    /// Total bytes of its files, by precision; `null` if the size is not known.
    pub size_bytes: BTreeMap<Precision, Option<u64>>,
    /// `installed`, `unfinished`, `available` or `unavailable`.
    pub state: &'static str,
    /// Why it cannot be installed, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Entry {
    /// Builds the row to show; `state` is one of the words of [`CatalogRow::state`].
    pub fn shown(&self, state: &'static str) -> CatalogRow {
        CatalogRow {
            name: self.name.clone(),
            repository: self.repository.clone(),
            revision: self.revision.clone(),
            licence: self.licence.clone(),
            research_only: self.research_only,
            dimensions: self.dimensions,
            image_px: self.image_px,
            languages: self.languages.clone(),
            purpose: self.purpose.clone(),
            size_bytes: self
                .precisions
                .iter()
                .map(|(p, bytes)| (*p, (*bytes > 0).then_some(*bytes)))
                .collect(),
            state,
            note: self.unavailable.clone(),
        }
    }
}

/// Decides from a licence's model-card identifier whether it restricts use.
///
/// **Source**: the list of licences in the hub's documentation. The Apple licences are those of MobileCLIP and DFN.
pub fn is_research_only(licence: &str) -> bool {
    let licence = licence.to_ascii_lowercase();
    licence.split(['-', ' ']).any(|word| word == "nc")
        || ["apple-amlr", "apple-ascl", "fair-noncommercial-research-license"].contains(&licence.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Expected;
    use crate::reference::{Repository, is_name};

    #[test]
    fn the_catalog_is_sound() {
        let catalog = Catalog::read();
        let mut names: Vec<_> = catalog.models.iter().map(|entry| &entry.name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), catalog.models.len(), "each name once");
        for entry in &catalog.models {
            let name = &entry.name;
            assert!(is_name(name) && Repository::parse(&entry.repository).is_some(), "{name}");
            assert!(!entry.revision.is_empty() && !entry.licence.is_empty(), "{name}");
            assert!(!entry.precisions.is_empty() || entry.unavailable.is_some(), "{name}");
            for part in &entry.parts {
                assert!(
                    part.repository.as_deref().is_none_or(|id| Repository::parse(id).is_some()),
                    "{name}"
                );
                let hash = part.sha256.as_deref().map(Expected::from_etag);
                assert!(
                    hash.is_none_or(|hash| matches!(hash, Some(Expected::Sha256(_)))),
                    "{name}: {}",
                    part.from
                );
            }
            if !entry.parts.is_empty() {
                let local: Vec<String> = entry
                    .parts
                    .iter()
                    .map(|part| part.to.clone())
                    .chain(entry.written.keys().cloned())
                    .collect();
                let choice = crate::layout::choose(&local, Precision::Fp32).unwrap_or_else(|error| panic!("{name}: {error}"));
                assert_eq!(choice.files.len(), local.len(), "{name}: every file has its place");
                for (file, content) in &entry.written {
                    serde_json::from_str::<serde_json::Value>(content).unwrap_or_else(|error| panic!("{name}: {file}: {error}"));
                }
            }
        }
        assert!(catalog.find("clip-vit-b32").is_some_and(|entry| !entry.research_only));
    }

    #[test]
    fn licences_that_allow_research_alone_are_recognised() {
        for licence in ["cc-by-nc-4.0", "CC-BY-NC-SA-4.0", "apple-amlr"] {
            assert!(is_research_only(licence), "{licence}");
        }
        for licence in ["mit", "apache-2.0", "cc-by-4.0", "bsd-3-clause", "openrail"] {
            assert!(!is_research_only(licence), "{licence}");
        }
    }
}
