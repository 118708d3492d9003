//! The table of mounts: which file system a path is on, and whether an access to it may block forever.
//!
//! Only the table is read; a mount that may hang is never accessed. Knows neither videos nor who waits for a mount.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

/// One mounted file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Identifies this mounting: the same file system mounted again at the same place has another id. In some cases, that holds only as
    /// long as no mount has ended, because the table's own numbers are reused at once. The cases are kernels before Linux 6.8, file systems
    /// that may hang and mounts below them, and a [`MountTable`].
    pub id: u64,
    pub point: PathBuf,
    /// The mounted device, a server's folder, or a word.
    pub source: PathBuf,
    pub kind: String,
}

/// File systems in this machine's memory and on its disks: accesses to these succeed or fail, but do not hang. All others count as
/// dependent on another machine or program.
const LOCAL_KINDS: [&str; 24] = [
    "apfs", "bcachefs", "btrfs", "erofs", "exfat", "ext2", "ext3", "ext4", "f2fs", "hfsplus", "iso9660", "jfs", "msdos", "nilfs2", "ntfs3",
    "overlay", "ramfs", "reiserfs", "squashfs", "tmpfs", "udf", "vfat", "xfs", "zfs",
];

impl Mount {
    /// Returns whether an access to it may block forever: networks, FUSE, folders of other machines.
    pub fn may_hang(&self) -> bool {
        !LOCAL_KINDS.contains(&self.kind.as_str())
    }
}

/// The mounts of a thread, read again when the system reports a change.
#[derive(Debug, Default)]
pub struct MountTable {
    /// The table, kept open to be notified of changes.
    file: Option<std::fs::File>,
    mounts: Vec<Mount>,
}

impl MountTable {
    /// Returns the innermost mount that contains `path`, which is absolute. Of several mounts at one place, returns the last, which covers
    /// the others.
    pub fn of(&mut self, path: &Path) -> Option<&Mount> {
        self.refresh();
        let covers = |mount: &&Mount| path.starts_with(&mount.point);
        self.mounts
            .iter()
            .filter(covers)
            .max_by_key(|mount| mount.point.components().count())
    }

    #[cfg(target_os = "linux")]
    fn refresh(&mut self) {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        if let Some(file) = &self.file {
            let mut fds = [PollFd::new(file, PollFlags::PRI | PollFlags::ERR)];
            let nothing_new = matches!(poll(&mut fds, Some(&Timespec::default())), Ok(0));
            if nothing_new {
                return;
            }
        }
        // The file is opened before the table is read, so that a later change is reported.
        self.file = std::fs::File::open(TABLE).ok();
        self.mounts = listed();
    }

    #[cfg(not(target_os = "linux"))]
    fn refresh(&mut self) {}
}

thread_local! {
    /// Each thread has its own table, because on Linux threads may have different mounts.
    static MOUNTS: RefCell<MountTable> = RefCell::default();
}

/// Returns the mount point that contains `path`, if an access to it may hang.
pub fn mount_that_may_hang(path: &Path) -> Option<PathBuf> {
    MOUNTS.with_borrow_mut(|mounts| mounts.of(path).filter(|mount| mount.may_hang()).map(|mount| mount.point.clone()))
}

/// Returns the mount that contains `path`.
pub fn mount_of(path: &Path) -> Option<Mount> {
    MOUNTS.with_borrow_mut(|mounts| mounts.of(path).cloned())
}

/// The table of the current thread, because threads may have different mounts.
pub(crate) const TABLE: &str = "/proc/thread-self/mountinfo";

/// Returns the mounts of this thread in the order in which they were made; none if the system has no table.
pub fn mounts() -> Vec<Mount> {
    let mut mounts = listed();
    // A mount that may hang is not accessed, nor is one that is below it.
    let hanging: Vec<PathBuf> = mounts
        .iter()
        .filter(|mount| mount.may_hang())
        .map(|mount| mount.point.clone())
        .collect();
    for mount in &mut mounts {
        if !hanging.iter().any(|point| mount.point.starts_with(point)) {
            mount.id = unique_id(&mount.point).unwrap_or(mount.id);
        }
    }
    mounts
}

/// Returns the mounts as in the table, without an access to any of them.
fn listed() -> Vec<Mount> {
    parse_mounts(&std::fs::read(TABLE).unwrap_or_default())
}

/// Returns the number of a mount that no other mount has had since the machine started. **Source**: statx(2), STATX_MNT_ID_UNIQUE.
#[cfg(target_os = "linux")]
pub(crate) fn unique_id(point: &Path) -> Option<u64> {
    use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
    // rustix has no name for this flag; see linux/stat.h.
    let wanted = StatxFlags::from_bits_retain(0x4000);
    let known = statx(CWD, point, AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC, wanted).ok()?;
    (known.stx_mask & wanted.bits() != 0).then_some(known.stx_mnt_id)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn unique_id(_point: &Path) -> Option<u64> {
    None
}

/// Returns the number of the mount that a folder is on, valid while it is mounted. If the system does not tell, returns the number of its
/// device.
///
/// A file's own device is less useful. On an overlay of several file systems it is the device of the file's layer, and Btrfs gives every
/// subvolume another one. **Source**: statx(2), STATX_MNT_ID (Linux 5.8).
pub(crate) fn number_of(folder: &Path) -> std::io::Result<u64> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
        if let Ok(known) = statx(CWD, folder, AtFlags::empty(), StatxFlags::MNT_ID)
            && known.stx_mask & StatxFlags::MNT_ID.bits() != 0
        {
            return Ok(known.stx_mnt_id);
        }
    }
    std::fs::metadata(folder).map(|metadata| std::os::unix::fs::MetadataExt::dev(&metadata))
}

/// Parses a table of mounts. **Source**: proc_pid_mountinfo(5): the first field is the number, the fifth field is the place; after the
/// optional fields and a dash come kind and source.
fn parse_mounts(table: &[u8]) -> Vec<Mount> {
    use std::os::unix::ffi::OsStringExt;
    let path = |field: &[u8]| PathBuf::from(std::ffi::OsString::from_vec(unescape(field)));
    let of_line = |line: &[u8]| {
        let mut fields = line.split(|byte| *byte == b' ');
        let id = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
        let point = path(fields.nth(3)?);
        let mut after_dash = fields.skip_while(|field| *field != b"-").skip(1);
        let kind = String::from_utf8_lossy(after_dash.next()?).into_owned();
        let source = path(after_dash.next()?);
        Some(Mount { id, point, source, kind })
    };
    table.split(|byte| *byte == b'\n').filter_map(of_line).collect()
}

fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, tail)) = rest.split_first() {
        if byte == b'\\'
            && let Some(digits) = tail.get(..3)
            && digits.iter().all(|digit| (b'0'..=b'7').contains(digit))
        {
            plain.push(
                digits
                    .iter()
                    .fold(0_u8, |value, digit| value.wrapping_mul(8).wrapping_add(digit - b'0')),
            );
            rest = &tail[3..];
        } else {
            plain.push(byte);
            rest = tail;
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_read_with_their_escapes() {
        let table = b"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
            40 22 8:17 / /media/My\\040Disk\\134x rw,relatime shared:1 master:2 - vfat /dev/sdb1 rw\n\
            41 22 0:50 / /mnt/nas rw - nfs4 nas:/films rw,hard\n";
        let mounts = parse_mounts(table);
        let seen: Vec<_> = mounts
            .iter()
            .map(|mount| (mount.point.to_str().unwrap(), mount.source.to_str().unwrap(), mount.may_hang()))
            .collect();
        assert_eq!(
            seen,
            [
                ("/", "/dev/sda1", false),
                ("/media/My Disk\\x", "/dev/sdb1", false),
                ("/mnt/nas", "nas:/films", true)
            ]
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_path_belongs_to_the_innermost_mount() {
        let mut table = MountTable::default();
        let of_proc = table.of(Path::new("/proc/self/stat")).unwrap();
        assert_eq!((of_proc.point.as_path(), of_proc.kind.as_str()), (Path::new("/proc"), "proc"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_mounted_again_at_once_is_another_mount() {
        use rustix::mount::{UnmountFlags, mount_bind, unmount};
        if !testkit::hung::own_mounts_or_say("mounts that come again") {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let (disk, point) = (folder.path().join("disk"), folder.path().join("point"));
        std::fs::create_dir(&disk).unwrap();
        std::fs::create_dir(&point).unwrap();
        mount_bind(&disk, &point).unwrap();
        if unique_id(&point).is_none() {
            return eprintln!("mounts that come again: NOT TESTED HERE: this kernel has no unique numbers for them (Linux 6.8 has)");
        }
        let id = || mounts().into_iter().find(|mount| mount.point == point).unwrap().id;
        let before = id();
        assert_eq!(id(), before);
        unmount(&point, UnmountFlags::DETACH).unwrap();
        mount_bind(&disk, &point).unwrap();
        assert_ne!(id(), before);
        unmount(&point, UnmountFlags::DETACH).unwrap();
    }
}
