//! The identity of a watched folder. The folder may vanish and come back, and the identity decides whether it is still the same one.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::store::StoredPath;

/// The file system at a root's path, and the folder on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
    /// Name of the volume that outlives a reboot (UUID, or the file system's own id), if there is one.
    volume: Option<String>,
}

impl Identity {
    /// Reads the identity of the folder at `path`.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        if !metadata.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            volume: volume_uuid(metadata.dev()).or_else(|| file_system_id(path)),
        })
    }

    /// Decides whether both are the same folder. The system assigns device numbers again at every start and plugging in, and on most file
    /// systems the topmost inode has the same number. So the volume decides if both have one, and otherwise the device.
    fn is_same_folder(&self, other: &Self) -> bool {
        let same_volume = match (&self.volume, &other.volume) {
            (Some(a), Some(b)) => a == b,
            _ => self.device == other.device,
        };
        self.inode == other.inode && same_volume
    }
}

/// Returns the name in `/dev/disk/by-uuid` of the block device with this number.
fn volume_uuid(device: u64) -> Option<String> {
    let links = std::fs::read_dir("/dev/disk/by-uuid").ok()?;
    links
        .flatten()
        .find(|link| std::fs::metadata(link.path()).is_ok_and(|target| target.rdev() == device))
        .and_then(|link| link.file_name().into_string().ok())
}

fn file_system_id(path: &Path) -> Option<String> {
    let id = rustix::fs::statvfs(path).ok()?.f_fsid;
    (id != 0).then(|| format!("fsid-{id:x}"))
}

/// Returns whether the file system at `path` is on a network or in user space, so that not every change raises an event.
pub(super) fn is_remote(path: &Path) -> bool {
    #[cfg(target_os = "linux")]
    {
        // NFS, SMB, CIFS, SMB2, FUSE, 9P, Ceph, AFS, Coda (statfs(2)).
        const REMOTE: [u32; 9] = [
            0x6969,
            0x517b,
            0xff53_4d42,
            0xfe53_4d42,
            0x6573_5546,
            0x0102_1997,
            0x00c3_6400,
            0x5346_414f,
            0x7375_7245,
        ];
        rustix::fs::statfs(path).is_ok_and(|fs| REMOTE.contains(&(fs.f_type as u32)))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = path;
        false
    }
}

/// The facts remembered about one root, in the store's setting `roots`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Home {
    pub(super) identity: Option<Identity>,
    /// Other volumes that were here and whose videos are still kept, offline.
    #[serde(default)]
    pub(super) former: Vec<Identity>,
}

/// Number of a root's known videos, and how many of them are in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InPlace {
    pub(super) n_known: usize,
    pub(super) n_found: usize,
    /// Whether any video, known or not, is below the root.
    pub(super) any_video: bool,
}

/// How the folder found at a root's path relates to the former one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The same one: missing videos were deleted.
    Same,
    /// The same one, under a new identity (another device number, a restored backup).
    Renumbered,
    /// Another volume: missing videos belong to the former one and are kept, offline.
    Another,
    /// An empty folder instead of the former one: not mounted. Nothing is touched.
    Vacant,
}

impl Home {
    /// Judges the folder that is there now. `look` counts the known videos; it is only called if the identity differs.
    pub(super) fn judge(&self, current: &Identity, look: impl FnOnce() -> InPlace) -> Verdict {
        if self.identity.as_ref().is_some_and(|home| home.is_same_folder(current)) {
            return Verdict::Same;
        }
        if self.former.iter().any(|former| former.is_same_folder(current)) {
            return Verdict::Another;
        }
        let in_place = look();
        if in_place.n_known == 0 {
            return if self.identity.is_none() { Verdict::Same } else { Verdict::Another };
        }
        if in_place.n_found * 2 >= in_place.n_known {
            Verdict::Renumbered
        } else if in_place.any_video {
            Verdict::Another
        } else {
            Verdict::Vacant
        }
    }

    /// Makes `current` the home. `keep_former`: the videos of the former one are kept, so its identity is remembered.
    pub(super) fn settle_on(&mut self, current: Identity, keep_former: bool) {
        self.former.retain(|former| !former.is_same_folder(&current));
        let before = self.identity.replace(current);
        if keep_former && let Some(before) = before {
            self.former.push(before);
        }
    }

    /// Returns whether videos of another volume are kept offline under this path. If so, a missing offline video does not count as deleted.
    pub(super) fn keeps_former(&self) -> bool {
        !self.former.is_empty()
    }
}

/// One entry of the setting `roots`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredRoot {
    path: StoredPath,
    #[serde(flatten)]
    home: Home,
}

impl StoredRoot {
    pub(super) fn new(path: &Path, home: Home) -> Self {
        Self {
            path: StoredPath::new(path),
            home,
        }
    }

    pub(super) fn into_parts(self) -> (PathBuf, Home) {
        (self.path.into_path(), self.home)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(device: u64, inode: u64, volume: Option<&str>) -> Identity {
        Identity {
            device,
            inode,
            volume: volume.map(str::to_owned),
        }
    }

    fn judged(home: &Home, current: &Identity, n_known: usize, n_found: usize, any_video: bool) -> Verdict {
        home.judge(current, || InPlace {
            n_known,
            n_found,
            any_video,
        })
    }

    #[test]
    fn the_volume_decides_before_the_device() {
        let stick = identity(17, 1, Some("AAAA"));
        assert!(stick.is_same_folder(&identity(33, 1, Some("AAAA"))), "plugged in elsewhere");
        assert!(
            !stick.is_same_folder(&identity(17, 1, Some("BBBB"))),
            "another stick in the same socket"
        );
        assert!(!stick.is_same_folder(&identity(17, 2, Some("AAAA"))), "another folder of it");
        assert!(stick.is_same_folder(&identity(17, 1, None)));
        assert!(!stick.is_same_folder(&identity(18, 1, None)));
    }

    #[test]
    fn judgements() {
        let home = Home {
            identity: Some(identity(1, 2, None)),
            former: vec![],
        };
        let other = identity(9, 2, None);
        assert_eq!(
            judged(&home, &identity(1, 2, None), 10, 0, false),
            Verdict::Same,
            "deletions are real"
        );
        assert_eq!(judged(&home, &other, 10, 0, false), Verdict::Vacant);
        assert_eq!(judged(&home, &other, 10, 10, true), Verdict::Renumbered);
        assert_eq!(judged(&home, &other, 10, 2, true), Verdict::Another);
        assert_eq!(judged(&home, &other, 10, 0, true), Verdict::Another);
        assert_eq!(judged(&home, &other, 0, 0, false), Verdict::Another, "nothing to lose");
        let swapped = Home {
            identity: Some(identity(1, 2, None)),
            former: vec![other.clone()],
        };
        assert_eq!(judged(&swapped, &other, 10, 9, true), Verdict::Another, "the former one is back");
        assert_eq!(judged(&Home::default(), &other, 0, 0, false), Verdict::Same, "first time");
        assert_eq!(
            judged(&Home::default(), &other, 10, 0, false),
            Verdict::Vacant,
            "identity forgotten"
        );
    }

    #[test]
    fn a_former_volume_that_returns_is_home_again() {
        let (a, b) = (identity(1, 2, None), identity(9, 2, None));
        let mut home = Home {
            identity: Some(a.clone()),
            former: vec![],
        };
        home.settle_on(b.clone(), true);
        assert_eq!(
            home,
            Home {
                identity: Some(b.clone()),
                former: vec![a.clone()]
            }
        );
        home.settle_on(a.clone(), true);
        assert_eq!(
            home,
            Home {
                identity: Some(a),
                former: vec![b]
            }
        );
        assert!(home.keeps_former());
    }

    #[test]
    fn roots_survive_the_setting() {
        use std::os::unix::ffi::OsStrExt;
        for path in [Path::new("/v/films"), Path::new(std::ffi::OsStr::from_bytes(b"/v/\xff\n"))] {
            let home = Home {
                identity: Some(Identity::of(Path::new("/")).unwrap()),
                former: vec![identity(1, 2, Some("x"))],
            };
            let json = serde_json::to_value(StoredRoot::new(path, home.clone())).unwrap();
            let stored: StoredRoot = serde_json::from_value(json).unwrap();
            assert_eq!(stored.into_parts(), (path.to_owned(), home));
        }
    }
}
