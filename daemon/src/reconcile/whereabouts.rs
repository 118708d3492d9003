//! Decides whether a missing file was deleted or its folder cannot be reached. Only the first may ever lead to a deletion.

use std::fs::Metadata;
use std::io;
use std::path::Path;

use crate::machine::mounts;
use crate::machine::with_timeout;

/// The result of checking a known video's path.
#[derive(Debug)]
pub(super) enum Whereabouts {
    /// A regular file is there.
    Present(Metadata),
    /// It was deleted, moved or replaced by something else: its folder was checked and is the right one.
    Gone,
    /// Nothing is certain; the reason is for the user.
    Unreachable(String),
}

/// Decides whether an error says "there is no such file", as opposed to "this cannot be known now".
pub(super) fn says_missing(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let missing = [Errno::NOENT, Errno::NOTDIR, Errno::LOOP, Errno::NAMETOOLONG];
    error.raw_os_error().map_or(error.kind() == io::ErrorKind::NotFound, |code| {
        missing.contains(&Errno::from_raw_os_error(code))
    })
}

/// Reads metadata, and follows the last component's link only if `follow`. A mount that hangs gives an error instead of blocking.
pub(super) fn stat(path: &Path, follow: bool) -> io::Result<Metadata> {
    let at = path.to_owned();
    with_timeout::run(path, move |_| {
        if follow {
            std::fs::metadata(at)
        } else {
            std::fs::symlink_metadata(at)
        }
    })
}

/// Returns the number of the mount that a folder is on. Follows links.
pub(super) fn mount_of(folder: &Path) -> io::Result<u64> {
    let at = folder.to_owned();
    with_timeout::run(folder, move |_| mounts::number_of(&at))
}

/// Searches for the file of a video below `root` (whose mount is `root_mount`). `found`: the metadata at its path, `None` for a link that
/// does not count.
///
/// `on_root_mount`: its folder was on the root's own mount, not on one below. If the file is missing, the nearest existing folder above it
/// must be on the same side. Otherwise a mount vanished, or now covers it.
pub(super) fn whereabouts(
    path: &Path,
    found: io::Result<Option<Metadata>>,
    root: &Path,
    root_mount: u64,
    on_root_mount: bool,
) -> Whereabouts {
    match found {
        Ok(Some(metadata)) if metadata.is_file() => return Whereabouts::Present(metadata),
        Ok(_) => {}
        Err(error) if says_missing(&error) => {}
        Err(error) => return Whereabouts::Unreachable(error.to_string()),
    }
    for ancestor in path.ancestors().skip(1).take_while(|ancestor| ancestor.starts_with(root)) {
        let mount = match mount_of(ancestor) {
            Ok(mount) => mount,
            Err(error) if says_missing(&error) => continue,
            Err(error) => return Whereabouts::Unreachable(format!("{}: {error}", ancestor.display())),
        };
        return match (mount == root_mount, on_root_mount) {
            (true, true) | (false, false) => Whereabouts::Gone,
            (true, false) => Whereabouts::Unreachable(format!("nothing is mounted at or below {}", ancestor.display())),
            (false, true) => Whereabouts::Unreachable(format!("{} is covered by another file system", ancestor.display())),
        };
    }
    Whereabouts::Unreachable(format!("{} is not there", root.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_folder_decides_between_gone_and_unreachable() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::write(root.join("a/b/x.mp4"), "x").unwrap();
        let mount = mount_of(root).unwrap();
        let look = |path: &str, mount, on_root_mount| {
            let path = root.join(path);
            whereabouts(&path, stat(&path, false).map(Some), root, mount, on_root_mount)
        };
        assert!(matches!(look("a/b/x.mp4", mount, true), Whereabouts::Present(_)));
        assert!(matches!(look("a/b/y.mp4", mount, true), Whereabouts::Gone));
        assert!(matches!(look("a/c/d/y.mp4", mount, true), Whereabouts::Gone));
        assert!(matches!(look("a/b", mount, true), Whereabouts::Gone), "a folder took its name");
        assert!(
            matches!(look("a/b/x.mp4/y.mp4", mount, true), Whereabouts::Gone),
            "a file took its folder's name"
        );
        // The video was on a mount below; now the nearest folder is on the root's own file system.
        assert!(matches!(look("a/b/y.mp4", mount, false), Whereabouts::Unreachable(_)));
        // The root is on another mount than the folder found: something is mounted over it.
        assert!(matches!(look("a/b/y.mp4", mount + 1, true), Whereabouts::Unreachable(_)));
        assert!(matches!(look("a/b/y.mp4", mount + 1, false), Whereabouts::Gone));
        let missing = root.join("no-such-root");
        assert!(matches!(
            whereabouts(&missing.join("x.mp4"), stat(&missing, false).map(Some), &missing, mount, true),
            Whereabouts::Unreachable(_)
        ));
    }

    #[test]
    fn errors_of_a_sick_disk_or_a_closed_door_never_mean_missing() {
        for errno in [
            libc_errno::EIO,
            libc_errno::ESTALE,
            libc_errno::EACCES,
            libc_errno::ENOTCONN,
            libc_errno::ETIMEDOUT,
        ] {
            assert!(!says_missing(&io::Error::from_raw_os_error(errno)), "errno {errno}");
        }
        for errno in [libc_errno::ENOENT, libc_errno::ENOTDIR, libc_errno::ELOOP] {
            assert!(says_missing(&io::Error::from_raw_os_error(errno)), "errno {errno}");
        }
    }

    /// Numbers of Linux and of rustix, so that the test needs no other crate.
    mod libc_errno {
        use rustix::io::Errno;
        pub(super) const EIO: i32 = Errno::IO.raw_os_error();
        pub(super) const ESTALE: i32 = Errno::STALE.raw_os_error();
        pub(super) const EACCES: i32 = Errno::ACCESS.raw_os_error();
        pub(super) const ENOTCONN: i32 = Errno::NOTCONN.raw_os_error();
        pub(super) const ETIMEDOUT: i32 = Errno::TIMEDOUT.raw_os_error();
        pub(super) const ENOENT: i32 = Errno::NOENT.raw_os_error();
        pub(super) const ENOTDIR: i32 = Errno::NOTDIR.raw_os_error();
        pub(super) const ELOOP: i32 = Errno::LOOP.raw_os_error();
    }
}
