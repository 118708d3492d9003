//! The drives and shares of watched folders and of the mounts inside them: their names, and when each was last seen.
//!
//! They are kept in the store's setting `volumes`. It is written when a volume comes, goes or gets another name, at every full rescan, and
//! at the end.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::machine::mounts;
use crate::machine::with_timeout;
use crate::store::StoredPath;

/// The user's name for a drive, and when it was last seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    pub name: String,
    /// Unix milliseconds.
    pub last_seen_ms: i64,
}

/// The volumes of one path.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    /// The last one that was there.
    volume: Volume,
    is_there: bool,
    /// Others that were there before it and whose videos may still be kept.
    former: Vec<Volume>,
}

#[derive(Debug, Default)]
pub(super) struct Volumes {
    by_place: BTreeMap<PathBuf, Known>,
    /// Whether the store lacks something that is known here.
    pub(super) is_unsaved: bool,
}

/// One entry of the setting.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredVolume {
    path: StoredPath,
    #[serde(flatten)]
    volume: Volume,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    former: Vec<Volume>,
}

impl Volumes {
    pub(super) fn from_stored(stored: Vec<StoredVolume>) -> Self {
        let entries = stored.into_iter().map(|stored| {
            let known = Known {
                volume: stored.volume,
                is_there: false,
                former: stored.former,
            };
            (stored.path.into_path(), known)
        });
        Self {
            by_place: entries.collect(),
            is_unsaved: false,
        }
    }

    /// Returns the entries to store at `now_ms`. All volumes that are there count as seen at that moment.
    pub(super) fn store_at(&mut self, now_ms: i64) -> Vec<StoredVolume> {
        self.is_unsaved = false;
        let entries = self.by_place.iter_mut().map(|(path, known)| {
            if known.is_there {
                known.volume.last_seen_ms = now_ms;
            }
            StoredVolume {
                path: StoredPath::new(path),
                volume: known.volume.clone(),
                former: known.former.clone(),
            }
        });
        entries.collect()
    }

    /// Notes that the volume of this name is there. `keeps_former`: another one was there, and its videos are kept.
    pub(super) fn came(&mut self, place: &Path, name: String, keeps_former: bool, now_ms: i64) {
        let now = Volume {
            name,
            last_seen_ms: now_ms,
        };
        let Some(known) = self.by_place.get_mut(place) else {
            let known = Known {
                volume: now,
                is_there: true,
                former: Vec::new(),
            };
            self.by_place.insert(place.to_owned(), known);
            self.is_unsaved = true;
            return;
        };
        self.is_unsaved |= !known.is_there || known.volume.name != now.name;
        known.former.retain(|former| former.name != now.name);
        let before = std::mem::replace(&mut known.volume, now);
        if keeps_former && before.name != known.volume.name {
            known.former.push(before);
        }
        known.is_there = true;
    }

    /// Notes that the volume was there until now.
    pub(super) fn went(&mut self, place: &Path, now_ms: i64) {
        if let Some(known) = self.by_place.get_mut(place)
            && std::mem::take(&mut known.is_there)
        {
            known.volume.last_seen_ms = now_ms;
            self.is_unsaved = true;
        }
    }

    pub(super) fn at(&self, place: &Path) -> Option<&Volume> {
        self.by_place.get(place).map(|known| &known.volume)
    }

    /// Returns the missing volumes below `root`, and the former volumes of `root` itself.
    pub(super) fn away_in(&self, root: &Path) -> Vec<(PathBuf, Volume)> {
        let below = self.by_place.iter().filter(|(place, _)| place.starts_with(root));
        let of_place = |(place, known): (&PathBuf, &Known)| {
            let own = (!known.is_there && place != root).then(|| known.volume.clone());
            let all: Vec<_> = known.former.iter().cloned().chain(own).collect();
            all.into_iter().map(|volume| (place.clone(), volume)).collect::<Vec<_>>()
        };
        below.flat_map(of_place).collect()
    }
}

/// Returns the label of the file system mounted at `path`, or else its device or share, or else the path itself.
pub(super) fn name_of(path: &Path) -> String {
    let at = path.to_owned();
    let label = with_timeout::run(path, move |_| Ok(label_of(std::fs::metadata(at)?.dev())));
    let source = || {
        let source = mounts::mount_of(path)?.source.to_string_lossy().into_owned();
        // Other sources are words such as `tmpfs`.
        (source.contains('/') || source.contains(':')).then_some(source)
    };
    let label = label.ok().flatten();
    label.or_else(source).unwrap_or_else(|| path.to_string_lossy().into_owned())
}

/// Returns the name in `/dev/disk/by-label` of the block device with this number.
fn label_of(device: u64) -> Option<String> {
    let links = std::fs::read_dir("/dev/disk/by-label").ok()?;
    let link = links
        .flatten()
        .find(|link| std::fs::metadata(link.path()).is_ok_and(|target| target.rdev() == device))?;
    Some(unescape(link.file_name().to_str()?))
}

/// Undoes udev's escapes, such as `\x20` for a space.
fn unescape(name: &str) -> String {
    let mut parts = name.split("\\x");
    let mut plain: Vec<u8> = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                plain.push(byte);
                plain.extend(&part.as_bytes()[2..]);
            }
            None => plain.extend(["\\x", part].concat().as_bytes()),
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_that_went_is_known_by_its_name_and_time_after_a_restart() {
        let mut volumes = Volumes::default();
        let (root, inner) = (Path::new("/v"), Path::new("/v/stick"));
        volumes.came(root, "DISK".into(), false, 1);
        volumes.came(inner, "STICK".into(), false, 2);
        assert!(volumes.is_unsaved);
        assert_eq!(volumes.away_in(root), []);
        volumes.went(inner, 30);
        volumes.went(inner, 99);
        let stored = serde_json::to_value(volumes.store_at(40)).unwrap();
        assert!(!volumes.is_unsaved);
        let again = Volumes::from_stored(serde_json::from_value(stored).unwrap());
        let stick = Volume {
            name: "STICK".into(),
            last_seen_ms: 30,
        };
        assert_eq!(again.away_in(root), [(inner.to_owned(), stick)]);
        assert_eq!(
            again.at(root).map(|volume| volume.last_seen_ms),
            Some(40),
            "it was there when this was stored"
        );
    }

    #[test]
    fn another_volume_in_place_leaves_the_former_one_known_until_it_is_back() {
        let mut volumes = Volumes::default();
        let place = Path::new("/v");
        let away = |volumes: &Volumes| -> Vec<String> {
            let away = volumes.away_in(place);
            away.iter().map(|(_, volume)| volume.name.clone()).collect()
        };
        volumes.came(place, "A".into(), false, 1);
        volumes.came(place, "B".into(), true, 2);
        assert_eq!(away(&volumes), ["A"]);
        volumes.came(place, "A".into(), true, 3);
        assert_eq!(away(&volumes), ["B"]);
    }

    #[test]
    fn labels_are_read_as_udev_writes_them() {
        assert_eq!(unescape("My\\x20Stick\\x2f\\xc3\\xa4"), "My Stick/ä");
        assert_eq!(unescape("plain\\x"), "plain\\x");
    }
}
