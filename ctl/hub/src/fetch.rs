//! One file, from the hub to the staging folder. It may be there already, or it is taken from the cache or the network; it is checked each
//! time.

use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::path::Path;

use serde::Serialize;
use ureq::http::{HeaderMap, StatusCode};

use crate::Watcher;
use crate::cache;
use crate::client::{Client, Remote};
use crate::digest::{Expected, hash_of};
use crate::error::HubError;
use crate::layout;
use crate::pace::Steady;
use crate::retry::{Retries, Trouble};
use crate::staging::{Note, Staging, make_parent};

const CHUNK_BYTES: usize = 128 << 10;
/// An attempt that extends the part by this much was worth it: earlier failures are forgotten.
const WORTH_BYTES: u64 = 1 << 20;
/// At most this many times a file's size is downloaded: parts that cannot be resumed start over.
const MOST_TIMES: u64 = 4;
/// The disk space is checked again after this many bytes: other programs write as well, and not every size is known.
const LOOK_BYTES: u64 = 16 << 20;

/// A file to fetch, with what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    /// Its name in the model's folder.
    pub(crate) local: String,
    pub(crate) remote: Remote,
    pub(crate) size_bytes: Option<u64>,
    pub(crate) hash: Option<Expected>,
}

/// How a file of a model was obtained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// An earlier run had completed it.
    Kept,
    /// Another program had fetched it.
    Cache,
    /// It came over the network in one go.
    Downloaded,
    /// It continued a part left by an earlier run or a broken connection.
    Resumed,
    /// It was copied from a local folder.
    Copied,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fetched {
    pub(crate) origin: Origin,
    pub(crate) size_bytes: u64,
    /// Bytes that came over the network.
    pub(crate) network_bytes: u64,
}

/// How many bytes of the whole model are done before this file.
#[derive(Clone, Copy)]
pub(crate) struct Progress<'a> {
    pub(crate) watcher: &'a dyn Watcher,
    pub(crate) before_bytes: u64,
}

impl Progress<'_> {
    fn at(&self, bytes: u64) {
        self.watcher.position(self.before_bytes + bytes);
    }
}

/// Bytes of an item that are in the staging folder and usable.
pub(crate) fn bytes_there(staging: &Staging, item: &Item) -> u64 {
    if is_kept(staging, item) {
        return length(&staging.whole(&item.local));
    }
    if may_resume(staging, item) {
        length(&staging.part(&item.local))
    } else {
        0
    }
}

/// Puts one complete file into the staging folder.
pub(crate) fn fetch(client: &Client, staging: &mut Staging, item: &Item, progress: Progress<'_>) -> Result<Fetched, HubError> {
    let fetched = |origin, size_bytes, network_bytes| Fetched {
        origin,
        size_bytes,
        network_bytes,
    };
    let (whole, part) = (staging.whole(&item.local), staging.part(&item.local));
    make_parent(&whole)?;
    if is_kept(staging, item) {
        return Ok(fetched(Origin::Kept, length(&whole), 0));
    }
    if let (Some(cached), Some(hash)) = (&client.settings.cache, &item.hash)
        && length(&part) == 0
        && cache::take(cached, &item.remote, hash, &part)?
    {
        staging.write_note(&item.local, note(item, None))?;
        staging.finish(&item.local)?;
        return Ok(fetched(Origin::Cache, length(&whole), 0));
    }
    let mut retries = Retries::new(&client.stop, progress.watcher);
    let mut network_bytes = 0;
    let mut resumed = false;
    let mut is_second = false;
    let mut furthest_bytes = length(&part);
    let most_bytes = item.size_bytes.unwrap_or_else(|| layout::most_bytes(&item.local)).max(WORTH_BYTES);
    loop {
        let transfer = transfer(client, staging, item, progress);
        network_bytes += transfer.network_bytes;
        resumed |= transfer.resumed;
        if network_bytes > most_bytes * MOST_TIMES {
            return Err(client.strange(format!("with {network_bytes} bytes, and {} is still not complete", item.local)));
        }
        // Bytes that were received before are no progress.
        let at_bytes = length(&part);
        if at_bytes >= furthest_bytes + WORTH_BYTES {
            furthest_bytes = at_bytes;
            retries.renew();
        }
        match transfer.outcome {
            Err(trouble) => retries.failed(trouble)?,
            Ok(()) => match check(&part, item)? {
                None => {
                    staging.finish(&item.local)?;
                    let origin = if resumed { Origin::Resumed } else { Origin::Downloaded };
                    return Ok(fetched(origin, length(&whole), network_bytes));
                }
                Some(error) => {
                    fs::remove_file(&part).map_err(HubError::file("remove", &part))?;
                    if is_second {
                        return Err(error);
                    }
                    is_second = true;
                    resumed = false;
                    progress.watcher.retry(&format!("{} arrived damaged", item.local));
                }
            },
        }
    }
}

/// Result of one attempt.
struct Transfer {
    network_bytes: u64,
    resumed: bool,
    outcome: Result<(), Trouble>,
}

/// Fetches the missing rest of a file into its `.part`.
fn transfer(client: &Client, staging: &mut Staging, item: &Item, progress: Progress<'_>) -> Transfer {
    let mut transfer = Transfer {
        network_bytes: 0,
        resumed: false,
        outcome: Ok(()),
    };
    transfer.outcome = attempt(client, staging, item, progress, &mut transfer);
    transfer
}

fn attempt(client: &Client, staging: &mut Staging, item: &Item, progress: Progress<'_>, transfer: &mut Transfer) -> Result<(), Trouble> {
    let part = staging.part(&item.local);
    let mut there = if may_resume(staging, item) { length(&part) } else { 0 };
    match item.size_bytes {
        Some(size) if there == size && size > 0 => return Ok(()),
        Some(size) if there > size => there = 0,
        _ => {}
    }
    let served = staging.note(&item.local).and_then(|note| note.served.clone());
    let range = (there > 0).then_some((there, served.as_deref()));
    let mut response = match client.get(&item.remote, range) {
        // The part is longer than the server's file, so it cannot be its beginning.
        Err(trouble) if there > 0 && is_unsatisfied(&trouble) => return Err(restart(&part, client, "that there is no such range")),
        other => other?,
    };
    let headers = response.headers();
    let begins_at = match response.status() {
        StatusCode::PARTIAL_CONTENT => match content_range(headers) {
            Some(first) if first == there => there,
            _ => return Err(restart(&part, client, "with another range than was asked for")),
        },
        _ => 0,
    };
    transfer.resumed = begins_at > 0;
    let expected_end = item.size_bytes.or_else(|| length_of(headers).map(|n| begins_at + n));
    staging.write_note(&item.local, note(item, strong_etag(headers)))?;
    let mut file = open_at(&part, begins_at).map_err(HubError::file("write", &part))?;
    let mut at = begins_at;
    let mut looked_at = begins_at;
    let most_bytes = layout::most_bytes(&item.local);
    progress.at(at);
    let mut reader = Steady::new(response.body_mut().with_config().limit(u64::MAX).reader());
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        if client.is_stopped() {
            return Err(HubError::Interrupted.into());
        }
        let n = match reader.read(&mut chunk) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(cut(client, &error.to_string())),
        };
        if expected_end.is_some_and(|end| at + n as u64 > end) {
            return Err(restart(&part, client, "with more bytes than the file has"));
        }
        if at + n as u64 > most_bytes {
            fs::remove_file(&part).map_err(HubError::file("remove", &part))?;
            return Err(Trouble::Final(HubError::TooLarge {
                file: item.local.clone(),
                size_bytes: None,
                most_bytes,
            }));
        }
        if at + n as u64 >= looked_at + LOOK_BYTES {
            looked_at = at;
            if let Err(error) = staging.check_disk_space(LOOK_BYTES) {
                // A file of unknown size may never end: it must not keep the disk space.
                if item.size_bytes.is_none() {
                    fs::remove_file(&part).map_err(HubError::file("remove", &part))?;
                }
                return Err(error.into());
            }
        }
        file.write_all(&chunk[..n]).map_err(HubError::file("write", &part))?;
        at += n as u64;
        transfer.network_bytes += n as u64;
        progress.at(at);
    }
    match expected_end {
        Some(end) if at < end => Err(cut(client, &format!("the connection ended {} bytes early", end - at))),
        _ => Ok(()),
    }
}

/// Opens a part for writing at this offset. Anything behind it is from an older attempt.
fn open_at(part: &Path, begins_at: u64) -> io::Result<File> {
    let mut file = File::options().create(true).truncate(false).write(true).open(part)?;
    file.set_len(begins_at)?;
    io::Seek::seek(&mut file, io::SeekFrom::Start(begins_at))?;
    Ok(file)
}

/// Makes the error for a broken connection; the data received so far stays.
fn cut(client: &Client, cause: &str) -> Trouble {
    Trouble::Passing {
        error: HubError::Unreachable {
            host: client.host(),
            cause: cause.to_owned(),
        },
        pause: None,
    }
}

/// Makes the error for an answer that does not continue where the part ends: the next attempt starts over.
fn restart(part: &Path, client: &Client, what: &str) -> Trouble {
    match fs::remove_file(part) {
        Ok(()) => Trouble::Passing {
            error: HubError::Strange {
                host: client.host(),
                what: what.to_owned(),
            },
            pause: None,
        },
        Err(error) => HubError::file("remove", part)(error).into(),
    }
}

fn is_unsatisfied(trouble: &Trouble) -> bool {
    let (Trouble::Passing { error, .. } | Trouble::Final(error)) = trouble;
    matches!(error, HubError::Status { status: 416, .. })
}

fn note(item: &Item, served: Option<String>) -> Note {
    Note {
        hash: item.hash.as_ref().map(ToString::to_string).unwrap_or_default(),
        served,
    }
}

/// Returns whether the complete file of an earlier run is the wanted one: only a hash can decide that.
fn is_kept(staging: &Staging, item: &Item) -> bool {
    let same = |hash: &Expected| staging.note(&item.local).is_some_and(|note| note.hash == hash.to_string());
    item.hash.as_ref().is_some_and(same) && staging.whole(&item.local).is_file()
}

/// Returns whether the part can be resumed: it has the hub's hash, or the server that sent it can confirm it by its tag.
fn may_resume(staging: &Staging, item: &Item) -> bool {
    staging.note(&item.local).is_some_and(|note| match &item.hash {
        Some(hash) => note.hash == hash.to_string(),
        None => note.hash.is_empty() && note.served.is_some(),
    })
}

/// Returns `None` if the part is the file; otherwise what is wrong with it.
fn check(part: &Path, item: &Item) -> Result<Option<HubError>, HubError> {
    let damaged = |expected: String, found: String| {
        Some(HubError::Damaged {
            file: item.local.clone(),
            expected,
            found,
        })
    };
    let size = length(part);
    if let Some(expected) = item.size_bytes.filter(|expected| *expected != size) {
        return Ok(damaged(format!("{expected} bytes"), format!("{size} bytes")));
    }
    let Some(expected) = &item.hash else { return Ok(None) };
    let found = hash_of(part, expected).map_err(HubError::file("read", part))?;
    Ok(if found == *expected {
        None
    } else {
        damaged(expected.to_string(), found.to_string())
    })
}

/// Size of a file in bytes; 0 if it does not exist.
fn length(path: &Path) -> u64 {
    path.metadata().map_or(0, |metadata| metadata.len())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn length_of(headers: &HeaderMap) -> Option<u64> {
    text(headers, "content-length")?.parse().ok()
}

/// Parses the first byte of `bytes 5-9/10`.
fn content_range(headers: &HeaderMap) -> Option<u64> {
    text(headers, "content-range")?
        .strip_prefix("bytes ")?
        .split_once('-')?
        .0
        .trim()
        .parse()
        .ok()
}

/// Returns a tag that identifies the exact bytes and not only their meaning: `If-Range` accepts no other.
fn strong_etag(headers: &HeaderMap) -> Option<String> {
    let tag = text(headers, "etag")?;
    (tag.starts_with('"') && tag.len() > 2).then(|| tag.to_owned())
}
