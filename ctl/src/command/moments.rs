//! Hits and scenes as moments: their times, whether the video can be opened, and their pictures.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use montage::moment::{Availability, Moment};
use scened_shared::client::{Client, ClientError};
use scened_shared::endpoint::Endpoint;
use scened_shared::message::{ErrorKind, FileRequest, Folder, Hit, NoParams, ScenesAnswer, ThumbnailRequest};
use scened_shared::method;
use scened_shared::wire_path::WirePath;

use crate::command::{check_file, connect};
use crate::failure::Failure;
use crate::input::place;
use crate::render::{text, time};

pub(super) fn path(file: &WirePath) -> Result<PathBuf, Failure> {
    file.to_path()
        .map_err(|error| Failure::new("the daemon sent an invalid path").cause(error.to_string()))
}

/// Returns whether the file differs from the one that the daemon indexed, judging by size and time.
pub(super) fn is_changed(known: &ScenesAnswer, path: &Path) -> bool {
    let Ok(metadata) = path.metadata() else { return false };
    let mtime_ns = metadata
        .modified()
        .ok()
        .and_then(|modified| modified.duration_since(std::time::UNIX_EPOCH).ok())
        .and_then(|since| i64::try_from(since.as_nanos()).ok());
    let is_other_size = known.size_bytes.is_some_and(|size_bytes| size_bytes != metadata.len());
    is_other_size || known.mtime_ns.zip(mtime_ns).is_some_and(|(then, now)| then != now)
}

pub(super) fn of_hits(client: &mut Client, hits: &[Hit]) -> Result<Vec<Moment>, Failure> {
    let mut availabilities = Availabilities::default();
    hits.iter()
        .map(|hit| {
            let path = path(&hit.file)?;
            Ok(Moment {
                start_ms: hit.start_ms,
                end_ms: hit.end_ms.max(hit.start_ms),
                at_ms: hit.best_ms,
                video_ms: (hit.duration_ms > 0).then_some(hit.duration_ms),
                scene: Some(hit.scene.clone()),
                picture: hit.picture.clone(),
                availability: availabilities.of(client, &path, hit.offline)?,
                path,
            })
        })
        .collect()
}

/// Turns hits into moments that can be cut; each video is checked only once.
///
/// **Errors**: a video is missing (with the reason); a video was replaced since it was found.
pub(super) fn to_cut(daemon: Option<&Endpoint>, hits: &[Hit]) -> Result<Vec<Moment>, Failure> {
    let mut videos: BTreeMap<PathBuf, &Hit> = BTreeMap::new();
    let mut moments = Vec::with_capacity(hits.len());
    for hit in hits {
        let path = self::path(&hit.file)?;
        videos.entry(path.clone()).or_insert(hit);
        moments.push(Moment {
            path,
            start_ms: hit.start_ms,
            end_ms: hit.end_ms.max(hit.start_ms),
            at_ms: hit.best_ms,
            video_ms: (hit.duration_ms > 0).then_some(hit.duration_ms),
            scene: None,
            picture: hit.picture.clone(),
            availability: Availability::Present,
        });
    }
    // Without a daemon we only know whether a video is there.
    let mut client = daemon.and_then(|endpoint| connect(endpoint).ok());
    for (video, hit) in &videos {
        reachable(client.as_mut(), video)?;
        let file = hit.file.clone();
        let known = client.as_mut().map(|client| client.call::<method::Scenes>(&FileRequest { file }));
        // A file changed in place keeps its id, but hardly ever its length.
        if let Some(Ok(known)) = known
            && (known.video != hit.video || is_changed(&known, video) || hit.duration_ms > 0 && known.duration_ms != hit.duration_ms)
        {
            let shown = text::path(video, None);
            return Err(Failure::new(format!("{shown} is not the video that was found")).hint("it was replaced: search again"));
        }
    }
    moments.iter().try_for_each(has_length)?;
    Ok(moments)
}

/// **Errors**: the video is missing. The daemon may know which drive holds it.
pub(super) fn reachable(client: Option<&mut Client>, video: &Path) -> Result<(), Failure> {
    if place::is_there(video) {
        return check_file(video);
    }
    let shown = text::path(video, None);
    let request = FileRequest {
        file: WirePath::new(video),
    };
    let known = client.and_then(|client| {
        let answer = client.call::<method::Scenes>(&request).ok()?;
        Availabilities::default().of(client, video, answer.offline).ok()
    });
    Err(match known {
        Some(availability @ Availability::Offline(_)) => {
            Failure::new(format!("{shown} is {}", availability.obstacle().unwrap_or_default())).hint("connect its drive, and try again")
        }
        Some(_) => Failure::new(format!("{shown} is gone")).hint("if it was moved, `scenectl search` shows its new place"),
        None => Failure::new(format!("{shown} is not there")),
    })
}

pub(super) fn has_length(moment: &Moment) -> Result<(), Failure> {
    if moment.length_ms() == 0 {
        return Err(Failure::new(format!("a clip of {} has no length", text::path(&moment.path, None))));
    }
    Ok(())
}

pub(super) fn of_scenes(client: &mut Client, answer: &ScenesAnswer) -> Result<Vec<Moment>, Failure> {
    let path = path(&answer.file)?;
    let availability = Availabilities::default().of(client, &path, answer.offline)?;
    let moments = answer.scenes.iter().map(|scene| Moment {
        path: path.clone(),
        start_ms: scene.start_ms,
        end_ms: scene.end_ms.max(scene.start_ms),
        at_ms: scene.start_ms,
        video_ms: (answer.duration_ms > 0).then_some(answer.duration_ms),
        scene: Some(scene.scene.clone()),
        picture: answer.picture.clone(),
        availability: availability.clone(),
    });
    Ok(moments.collect())
}

/// Fetches the pictures of moments as JPEG in base64; `None` if the daemon has none.
pub(super) fn pictures(client: &mut Client, moments: &[Moment]) -> Result<Vec<Option<String>>, Failure> {
    let mut pictures = Vec::with_capacity(moments.len());
    for moment in moments {
        let Some(scene) = moment.scene.clone() else {
            pictures.push(None);
            continue;
        };
        pictures.push(match client.call::<method::Thumbnail>(&ThumbnailRequest { scene }) {
            Ok(answer) => Some(answer.jpeg),
            Err(ClientError::Rpc(error)) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        });
    }
    Ok(pictures)
}

/// What is known about videos; each one is checked once.
#[derive(Debug, Default)]
pub(super) struct Availabilities {
    known: BTreeMap<PathBuf, Availability>,
    folders: Option<Vec<Folder>>,
}

impl Availabilities {
    pub(super) fn of(&mut self, client: &mut Client, path: &Path, is_offline: bool) -> Result<Availability, Failure> {
        if let Some(availability) = self.known.get(path) {
            return Ok(availability.clone());
        }
        let availability = if is_offline {
            if self.folders.is_none() {
                self.folders = Some(client.call::<method::Folders>(&NoParams {})?.folders);
            }
            Availability::Offline(drive(self.folders.as_deref().unwrap_or_default(), path))
        } else if place::is_there(path) && place::oddity(path).is_none() {
            Availability::Present
        } else {
            Availability::Missing
        };
        self.known.insert(path.to_owned(), availability.clone());
        Ok(availability)
    }
}

/// Names the drive of an offline video and when it was last seen; empty if unknown.
fn drive(folders: &[Folder], video: &Path) -> String {
    let mut nearest: Option<(PathBuf, &str, i64)> = None;
    for folder in folders {
        let itself = folder
            .volume
            .as_deref()
            .zip(folder.last_seen_ms)
            .map(|(volume, seen)| (&folder.file, volume, seen));
        let away = folder.away.iter().map(|away| (&away.file, away.volume.as_str(), away.last_seen_ms));
        for (file, volume, seen_ms) in itself.into_iter().chain(away) {
            let Ok(place) = file.to_path() else { continue };
            let is_nearer = nearest
                .as_ref()
                .is_none_or(|(best, ..)| best.as_os_str().len() < place.as_os_str().len());
            if is_nearer && video.starts_with(&place) {
                nearest = Some((place, volume, seen_ms));
            }
        }
    }
    nearest.map_or_else(String::new, |(_, volume, seen_ms)| {
        format!("on {volume}, last seen {}", time::date(seen_ms))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_offline_video_lies_on_the_nearest_drive_that_is_away() {
        let folders: Vec<Folder> = serde_json::from_value(json!([
            {"path": "/films", "state": "watched", "videos": {"indexed": 1, "pending": 0, "failed": 0, "offline": 1},
             "away": [{"path": "/films/stick", "volume": "Stick", "last_seen_ms": 1_700_000_000_000_i64}]},
            {"path": "/nas", "state": "offline", "videos": {"indexed": 0, "pending": 0, "failed": 0, "offline": 1},
             "volume": "host:/share", "last_seen_ms": 1_700_000_000_000_i64},
        ]))
        .unwrap();
        let check = |video: &str, expected: &str| {
            let drive = drive(&folders, Path::new(video));
            assert!(
                drive.starts_with(expected) && drive.is_empty() == expected.is_empty(),
                "{video}: {drive}"
            );
        };
        check("/films/stick/a.mp4", "on Stick, last seen 2023-11-1");
        check("/films/sticky/a.mp4", "");
        check("/nas/a.mp4", "on host:/share, last seen 2023");
        check("/elsewhere/a.mp4", "");
    }
}
