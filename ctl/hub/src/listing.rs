//! The files of a repository: from the hub's API or, if there is none, by requesting each name.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::Watcher;
use crate::client::{Client, Head, Remote, escape_revision, is_commit, shortened};
use crate::digest::Expected;
use crate::error::HubError;
use crate::layout;
use crate::reference::Repository;

/// Enough for tens of thousands of files.
const MAX_LISTING_BYTES: u64 = 4 << 20;
/// Weight files next to one ONNX file, if each has to be requested.
const MAX_PARTS: u32 = 32;
/// Longest path of a file, of one component of it, and of a licence. Bytes.
const MAX_NAME_BYTES: usize = 1_000;
const MAX_COMPONENT_BYTES: usize = 200;
const MAX_LICENCE_BYTES: usize = 100;
/// A name that no repository has: a server that has it claims to have everything, and is not a hub.
const NOBODYS_NAME: &str = "scenectl-asks-whether-every-name-is-there";

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    /// The commit that the revision points to now; files are fetched from it.
    pub(crate) commit: Option<String>,
    pub(crate) names: Vec<String>,
    /// What the API reports about files: a second source next to each file's headers.
    pub(crate) heads: BTreeMap<String, Head>,
    /// The licence's identifier on the model card.
    pub(crate) licence: Option<String>,
}

/// The used fields of `/api/models/{repository}/revision/{revision}?blobs=true`.
#[derive(Deserialize)]
struct Answer {
    sha: Option<String>,
    #[serde(default)]
    siblings: Vec<Sibling>,
    #[serde(rename = "cardData")]
    card: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    #[serde(rename = "blobId")]
    blob: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: Option<String>,
    size: Option<u64>,
}

/// Lists the files of a repository at a revision.
pub(crate) fn of(client: &Client, repository: &Repository, revision: &str, watcher: &dyn Watcher) -> Result<Listing, HubError> {
    let about = Remote {
        repository: repository.clone(),
        revision: revision.to_owned(),
        path: String::new(),
    };
    let path = format!("api/models/{repository}/revision/{}?blobs=true", escape_revision(revision));
    let asked = client.persist(watcher, || client.get_path(&path, &about, MAX_LISTING_BYTES));
    match asked {
        Ok(bytes) => match serde_json::from_slice(&bytes) {
            Ok(answer) => {
                let listing = understand(answer);
                match listing.names.iter().find(|name| !is_name(name)) {
                    Some(name) => Err(client.strange(format!("with an unsafe file name: {:?}", shortened(name, 100)))),
                    None => Ok(listing),
                }
            }
            // Some mirrors show such a page for every unknown address.
            Err(_) => probe(client, &about, watcher),
        },
        // No API, or no such repository: requests for the files themselves will show which.
        Err(HubError::NoFile { .. } | HubError::Status { status: 405 | 501, .. }) => probe(client, &about, watcher),
        Err(error) => Err(error),
    }
}

fn understand(answer: Answer) -> Listing {
    let text = |key: &str| Some(answer.card.as_ref()?.get(key)?.as_str()?.to_owned());
    let licence = match text("license") {
        Some(other) if other == "other" => text("license_name").or(Some(other)),
        licence => licence,
    };
    let licence = licence.map(|licence| shortened(&licence, MAX_LICENCE_BYTES));
    let mut listing = Listing {
        commit: answer.sha.filter(|sha| is_commit(sha)),
        licence,
        ..Listing::default()
    };
    for file in answer.siblings {
        let head = match &file.lfs {
            Some(lfs) => Head {
                size_bytes: lfs.size.or(file.size),
                hash: lfs.sha256.as_deref().and_then(Expected::from_etag),
                commit: None,
            },
            None => Head {
                size_bytes: file.size,
                hash: file.blob.as_deref().and_then(Expected::from_etag),
                commit: None,
            },
        };
        listing.heads.insert(file.rfilename.clone(), head);
        listing.names.push(file.rfilename);
    }
    listing
}

/// Returns whether a name can be a repository's file, safe on any disk and on any screen.
fn is_name(name: &str) -> bool {
    name.len() <= MAX_NAME_BYTES
        && !name.chars().any(|c| c == '\\' || scened_shared::terminal::is_unsafe(c))
        && name
            .split('/')
            .all(|part| !["", ".", ".."].contains(&part) && part.len() <= MAX_COMPONENT_BYTES)
}

/// Requests every name that could be of use.
fn probe(client: &Client, about: &Remote, watcher: &dyn Watcher) -> Result<Listing, HubError> {
    let mut listing = Listing::default();
    let mut ask = |name: String| {
        let file = Remote {
            path: name.clone(),
            ..about.clone()
        };
        let head = client.head(&file, watcher)?;
        let is_there = head.is_some();
        if let Some(head) = head {
            listing.commit = listing.commit.take().or_else(|| head.commit.clone());
            listing.heads.insert(name.clone(), head);
            listing.names.push(name);
        }
        Ok::<bool, HubError>(is_there)
    };
    if ask(NOBODYS_NAME.to_owned())? {
        return Err(client.strange("that it has every file, even one that cannot exist"));
    }
    let towers = layout::all_towers();
    for name in layout::candidates() {
        let is_tower = towers.contains(&name);
        if !ask(name.clone())? || !is_tower {
            continue;
        }
        for first in ["_data", ".data"] {
            let mut data = format!("{name}{first}");
            let mut n_more = 0;
            while ask(data)? {
                n_more += 1;
                if n_more > MAX_PARTS {
                    return Err(client.strange(format!("that there are more than {MAX_PARTS} files beside {name}")));
                }
                data = format!("{name}{first}_{n_more}");
            }
        }
    }
    if listing.names.is_empty() {
        return Err(HubError::NoRepository {
            repository: about.repository.clone(),
            page: client.page(&about.repository),
        });
    }
    Ok(listing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_path_below_a_folder_and_nothing_else() {
        for name in [
            "config.json",
            "onnx/vision_model.onnx_data_1",
            ".gitattributes",
            "Füße/日本.bin",
            "a b..c",
        ] {
            assert!(is_name(name), "{name}");
        }
        let (long, deep) = ("x".repeat(300), "x/".repeat(600) + "x");
        for name in [
            "",
            "/etc/evil",
            "../evil",
            "a/../../evil",
            "a//b",
            "a/",
            "./a",
            "a\n\u{1b}[31m",
            "a\0",
            "a\\b",
            "a\u{202e}b",
            &long,
            &deep,
        ] {
            assert!(!is_name(name), "{name:?}");
        }
    }

    #[test]
    fn the_apis_answer_is_understood() {
        let sha = "b".repeat(64);
        let commit = "c".repeat(40);
        let answer = serde_json::json!({
            "sha": commit, "cardData": {"license": "other", "license_name": "apple-amlr"}, "gated": false,
            "siblings": [
                {"rfilename": "config.json", "size": 12, "blobId": "d".repeat(40)},
                {"rfilename": "onnx/vision_model.onnx", "size": 99, "blobId": "e".repeat(40), "lfs": {"sha256": sha, "size": 99, "pointerSize": 134}},
                {"rfilename": "README.md"},
            ],
        });
        let listing = understand(serde_json::from_value(answer).unwrap());
        assert_eq!((listing.commit, listing.licence.as_deref()), (Some(commit), Some("apple-amlr")));
        assert_eq!(listing.names, ["config.json", "onnx/vision_model.onnx", "README.md"]);
        let head = |name: &str| {
            let head = &listing.heads[name];
            (head.size_bytes, head.hash.clone())
        };
        assert_eq!(head("config.json"), (Some(12), Some(Expected::GitBlob("d".repeat(40)))));
        assert_eq!(head("onnx/vision_model.onnx"), (Some(99), Some(Expected::Sha256(sha))));
        assert_eq!(head("README.md"), (None, None));
    }
}
