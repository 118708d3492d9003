//! From a reference to a folder that can be placed: plans what to fetch, checks the disk space, and fetches it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::Watcher;
use crate::catalog::Entry;
use crate::client::{Client, Head, Remote};
use crate::digest::Expected;
use crate::error::HubError;
pub use crate::fetch::Origin;
use crate::fetch::{self, Fetched, Item, Progress};
use crate::layout::{self, Layout, Precision};
use crate::listing::{self, Listing};
use crate::reference::Repository;
use crate::staging::Staging;

/// Stored next to the model's own files; records where they came from.
const SOURCE_FILE: &str = "scened-source.json";

/// Disk space for the journal, the folders and the file system's own overhead.
const MARGIN_BYTES: u64 = 256 << 10;

/// Where a model comes from; all `None` if it was copied from a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Source {
    /// `owner/repo`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The branch, tag or commit that was requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The commit that the revision pointed to at that time: 40 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Its identifier on the model card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
}

/// Everything that has to be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How the model's folder will look.
    pub layout: Layout,
    /// The number format of its weights.
    pub precision: Precision,
    /// A second precision that is fetched as well; a benchmark on this machine decides which one is kept.
    pub rival: Option<Precision>,
    pub(crate) items: Vec<Item>,
    /// Our own small files, by name.
    pub(crate) written: BTreeMap<String, String>,
    /// Where it comes from.
    pub source: Source,
}

/// One file of an installed model, for the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Its path in the model's folder.
    pub file: String,
    /// Size of the whole file.
    pub size_bytes: u64,
    /// What it was checked against; `null` if the hub reported no hash.
    pub hash: Option<String>,
    /// How it was obtained.
    pub origin: Origin,
    /// How many of its bytes came over the network.
    #[serde(skip)]
    pub network_bytes: u64,
}

impl Report {
    pub(crate) fn new(file: String, hash: Option<String>, fetched: &Fetched) -> Self {
        Self {
            file,
            size_bytes: fetched.size_bytes,
            hash,
            origin: fetched.origin,
            network_bytes: fetched.network_bytes,
        }
    }
}

/// Plans a download from a repository's layout. Without a precision, fp32 and any that may be better here are chosen.
///
/// **Errors**: any [`HubError`] that a hub's answer can cause, and [`HubError::NoModel`] if the files do not make up a model.
pub fn plan_repository(
    client: &Client,
    repository: &Repository,
    revision: &str,
    wish: Option<Precision>,
    watcher: &dyn Watcher,
) -> Result<Plan, HubError> {
    let listing = listing::of(client, repository, revision, watcher)?;
    let precision = wish.unwrap_or(Precision::Fp32);
    let chosen = match wish {
        Some(_) => layout::choose(&listing.names, precision).map(|choice| (choice, None)),
        None => layout::choose_with_rival(&listing.names, precision),
    };
    let (choice, rival) = chosen.map_err(|source| HubError::NoModel {
        place: client.page(repository),
        source,
    })?;
    // From here on every request names one commit, even if the branch moves.
    let commit = listing.commit.clone().unwrap_or_else(|| revision.to_owned());
    let mut items = Vec::new();
    for path in choice.files {
        let remote = Remote {
            repository: repository.clone(),
            revision: commit.clone(),
            path,
        };
        items.push(item(client, remote.path.clone(), remote, &listing, None, watcher)?);
    }
    Ok(Plan {
        layout: choice.layout,
        precision,
        rival,
        items,
        written: BTreeMap::new(),
        source: Source {
            repository: Some(repository.to_string()),
            revision: Some(revision.to_owned()),
            commit: listing.commit,
            licence: listing.licence,
        },
    })
}

/// Plans a download from a catalog entry.
///
/// **Errors**: as [`plan_repository`]; [`HubError::Damaged`] if the hub reports another hash than the catalog.
pub fn plan_entry(client: &Client, entry: &Entry, wish: Option<Precision>, watcher: &dyn Watcher) -> Result<Plan, HubError> {
    let parse = |id: &str| Repository::parse(id).expect("a test reads the catalog");
    let repository = parse(&entry.repository);
    if entry.parts.is_empty() {
        let mut plan = plan_repository(client, &repository, &entry.revision, wish, watcher)?;
        plan.source.licence = Some(entry.licence.clone());
        return Ok(plan);
    }
    let precision = wish.unwrap_or(Precision::Fp32);
    if !entry.precisions.contains_key(&precision) {
        return Err(HubError::NoModel {
            place: client.page(&repository),
            source: layout::NoModel::Precision {
                wanted: precision,
                there: entry.precisions.keys().copied().collect(),
            },
        });
    }
    let mut items = Vec::new();
    for part in &entry.parts {
        let remote = Remote {
            repository: part.repository.as_deref().map_or_else(|| repository.clone(), parse),
            revision: part.revision.clone().unwrap_or_else(|| entry.revision.clone()),
            path: part.from.clone(),
        };
        let pinned = part.sha256.as_deref().and_then(Expected::from_etag);
        items.push(item(client, part.to.clone(), remote, &Listing::default(), pinned, watcher)?);
    }
    // Small files first, as in a plan of a repository.
    items.sort_by_key(|item| item.size_bytes);
    Ok(Plan {
        layout: Layout::Immich,
        precision,
        rival: None,
        items,
        written: entry.written.clone(),
        source: Source {
            repository: Some(entry.repository.clone()),
            revision: Some(entry.revision.clone()),
            commit: None,
            licence: Some(entry.licence.clone()),
        },
    })
}

fn item(
    client: &Client,
    local: String,
    remote: Remote,
    listing: &Listing,
    pinned: Option<Expected>,
    watcher: &dyn Watcher,
) -> Result<Item, HubError> {
    let head = client.head(&remote, watcher)?.ok_or_else(|| HubError::NoFile {
        repository: remote.repository.clone(),
        file: remote.path.clone(),
    })?;
    let listed = listing.heads.get(&remote.path).cloned().unwrap_or_else(Head::default);
    let told = head.hash.or(listed.hash);
    if let (Some(pinned), Some(told @ Expected::Sha256(_))) = (&pinned, &told)
        && pinned != told
    {
        return Err(HubError::Damaged {
            file: remote.path,
            expected: pinned.to_string(),
            found: told.to_string(),
        });
    }
    let size_bytes = head.size_bytes.or(listed.size_bytes);
    let most_bytes = layout::most_bytes(&local);
    if size_bytes.is_some_and(|size| size > most_bytes) {
        return Err(HubError::TooLarge {
            file: remote.path,
            size_bytes,
            most_bytes,
        });
    }
    Ok(Item {
        local,
        size_bytes,
        hash: pinned.or(told),
        remote,
    })
}

/// Fetches a plan into the staging folder of a name, which can be placed afterwards. `models` is the folder of all models, and `kept_bytes`
/// stay free on its disk.
///
/// **Errors**: any [`HubError`]. Data received so far stays for another run, unless it is damaged.
pub fn gather(
    client: &Client,
    (models, kept_bytes): (&Path, u64),
    name: &str,
    plan: &Plan,
    watcher: &dyn Watcher,
) -> Result<(Staging, Vec<Report>), HubError> {
    let mut staging = Staging::open(models, name, kept_bytes)?;
    let mut wanted: Vec<&str> = plan.items.iter().map(|item| item.local.as_str()).collect();
    wanted.extend(plan.written.keys().map(String::as_str));
    staging.sweep(&wanted)?;
    let there_bytes: u64 = plan.items.iter().map(|item| fetch::bytes_there(&staging, item)).sum();
    let known_bytes: u64 = plan.items.iter().filter_map(|item| item.size_bytes).sum();
    staging.check_disk_space(known_bytes.saturating_sub(there_bytes) + MARGIN_BYTES)?;
    let is_known = plan.items.iter().all(|item| item.size_bytes.is_some());
    watcher.begin(is_known.then_some(known_bytes), there_bytes);
    let mut reports = Vec::new();
    let mut before_bytes = 0;
    for item in &plan.items {
        watcher.file(&item.local);
        let fetched = fetch::fetch(client, &mut staging, item, Progress { watcher, before_bytes })?;
        before_bytes += fetched.size_bytes;
        watcher.position(before_bytes);
        reports.push(Report::new(
            item.local.clone(),
            item.hash.as_ref().map(ToString::to_string),
            &fetched,
        ));
    }
    for (name, content) in &plan.written {
        staging.write(name, content.as_bytes())?;
    }
    Ok((staging, reports))
}

/// Removes the files of the precision that was not chosen.
///
/// **Panics**: the files of `precision` are not all among the reports.
pub fn keep_only(staging: &mut Staging, reports: &mut Vec<Report>, precision: Precision) -> Result<(), HubError> {
    let names: Vec<String> = reports.iter().map(|report| report.file.clone()).collect();
    let choice = layout::choose(&names, precision).expect("the files of both precisions were chosen before");
    let wanted: Vec<&str> = choice.files.iter().map(String::as_str).collect();
    staging.sweep(&wanted)?;
    reports.retain(|report| wanted.contains(&report.file.as_str()));
    Ok(())
}

/// Records next to the model's files where it came from. `choice` says how the precision was chosen, if the machine chose it.
pub fn describe<T: Serialize>(
    staging: &Staging,
    precision: Precision,
    choice: Option<&T>,
    source: &Source,
    reports: &[Report],
) -> Result<(), HubError> {
    #[derive(Serialize)]
    struct Description<'a, T> {
        #[serde(flatten)]
        source: &'a Source,
        precision: Precision,
        #[serde(skip_serializing_if = "Option::is_none")]
        probe: Option<&'a T>,
        files: &'a [Report],
    }
    let description = Description {
        source,
        precision,
        probe: choice,
        files: reports,
    };
    let json = serde_json::to_vec_pretty(&description).expect("names and numbers are JSON");
    staging.write(SOURCE_FILE, &json)
}
