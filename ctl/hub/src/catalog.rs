//! The models that scened knows by name: `catalog.toml`, read once and checked by a test.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::layout::Precision;

const CATALOG: &str = include_str!("catalog.toml");

/// All models that can be installed by name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Catalog {
    /// In the order of the file; each name stands there once.
    #[serde(rename = "model")]
    pub models: Vec<Entry>,
}

/// One model, as `catalog.toml` describes it.
///
/// **Source**: the model cards on the hub, and programs that pin the same files; the head of `catalog.toml` says more.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Entry {
    /// What is typed to install it.
    pub name: String,
    /// `owner/repo`.
    pub repository: String,
    /// A commit, as a rule: 40 hexadecimal digits.
    pub revision: String,
    /// In the words of the model card.
    pub licence: String,
    /// Whether the licence allows research alone: then it is asked for before anything is fetched.
    #[serde(default)]
    pub research_only: bool,
    /// Length of its vectors.
    pub dimensions: u32,
    /// Width and height of the pictures that it looks at. Pixels.
    pub image_px: u32,
    /// Languages that it understands, in words.
    pub languages: String,
    /// What it is good for, in a few words.
    pub purpose: String,
    /// The precisions there are, each with the bytes of its files together where they are known (0 where not).
    pub precisions: BTreeMap<Precision, u64>,
    /// Why it cannot be installed from here, where it cannot.
    pub unavailable: Option<String>,
    /// Files that make the model, where the repository has neither layout by itself.
    #[serde(default, rename = "part")]
    pub parts: Vec<Part>,
    /// Small files of the Immich layout that such repositories lack, with their content.
    #[serde(default)]
    pub written: BTreeMap<String, String>,
}

/// One file of a model that is put together.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Part {
    /// `owner/repo`; the entry's own where it is left out.
    pub repository: Option<String>,
    /// The entry's own where it is left out.
    pub revision: Option<String>,
    /// Its path in the repository.
    pub from: String,
    /// Its path in the model's folder.
    pub to: String,
    /// What its content has to hash to: 64 hexadecimal digits.
    pub sha256: Option<String>,
}

impl Catalog {
    /// Reads the catalog that is built in.
    pub fn read() -> Self {
        toml::from_str(CATALOG).expect("a test reads the catalog")
    }

    /// Finds a model by its name.
    pub fn find(&self, name: &str) -> Option<&Entry> {
        self.models.iter().find(|entry| entry.name == name)
    }
}

/// What `model list --available` shows of an entry; its JSON is that of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CatalogRow {
    /// As in [`Entry`], like all that follow to `purpose`.
    pub name: String,
    /// `owner/repo`.
    pub repository: String,
    /// A commit, as a rule.
    pub revision: String,
    /// In the words of the model card.
    pub licence: String,
    /// Whether the licence allows research alone.
    pub research_only: bool,
    /// Length of its vectors.
    pub dimensions: u32,
    /// Width and height of its pictures. Pixels.
    pub image_px: u32,
    /// Languages that it understands.
    pub languages: String,
    /// What it is good for.
    pub purpose: String,
    /// Bytes of its files together, by precision; `null` where the size is not known.
    pub size_bytes: BTreeMap<Precision, Option<u64>>,
    /// `installed`, `unfinished`, `available` or `unavailable`.
    pub state: &'static str,
    /// Why it cannot be installed, where it cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Entry {
    /// Puts down what is shown; `state` is one of the words of [`CatalogRow::state`].
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

/// Whether a licence, by the identifier that model cards use, allows less than any use.
///
/// **Source**: the list of licences in the hub's documentation; Apple's are those of MobileCLIP and DFN.
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
