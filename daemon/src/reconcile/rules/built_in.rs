//! Folders that NAS systems, file systems and desktops keep for themselves: recycle bins, snapshots, thumbnails. Their content was deleted,
//! or is an earlier state of other files. No configuration turns these rules off; a `.scenedignore` can override one.

use std::ffi::OsStr;

/// In lower case, with the program or system that makes them.
const FOLDERS: &[(&str, &str)] = &[
    ("@eadir", "Synology keeps thumbnails there"),
    ("#recycle", "it is the recycle bin of a NAS (Synology, Asustor, TerraMaster)"),
    ("#snapshot", "Synology shows snapshots there"),
    ("@sharesnap", "Synology keeps snapshots there"),
    ("@tmp", "Synology keeps temporary files there"),
    ("@synoresource", "Synology keeps its own files there"),
    ("@synoeastream", "Synology keeps its own files there"),
    ("@recycle", "it is the recycle bin of a NAS (QNAP)"),
    ("@recently-snapshot", "QNAP shows snapshots there"),
    (".@snapshots", "QNAP keeps snapshots there"),
    (".@__thumb", "QNAP keeps thumbnails there"),
    (".@upload_cache", "QNAP keeps unfinished uploads there"),
    ("@transcode", "QNAP keeps transcoded copies there"),
    (".streams", "QNAP keeps extended attributes there"),
    (".@recycle", "it is the recycle bin of a NAS"),
    (
        ".recycle",
        "it is the recycle bin of a network share (Samba, OpenMediaVault, TrueNAS)",
    ),
    (".recycle.bin", "it is the recycle bin of a NAS (Unraid)"),
    (".recyclebin", "it is the recycle bin of a NAS"),
    (".recycled", "it is a recycle bin"),
    ("recycle bin", "it is a recycle bin"),
    ("recyclebin", "it is a recycle bin"),
    ("trashbox", "it is the recycle bin of a NAS (Buffalo)"),
    (".trashbox", "it is the recycle bin of a NAS (Buffalo)"),
    ("$recycle.bin", "it is the recycle bin of Windows"),
    ("recycler", "it is the recycle bin of Windows"),
    ("recycled", "it is the recycle bin of Windows"),
    ("system volume information", "Windows keeps its own files there"),
    (".zfs", "ZFS shows snapshots there"),
    (".snapshots", "snapshots are kept there (Btrfs, snapper)"),
    (".snapshot", "snapshots are shown there (NetApp, ReadyNAS, Btrfs)"),
    ("~snapshot", "snapshots are shown there (NetApp)"),
    ("@snapshots", "snapshots are kept there (Btrfs)"),
    (".snap", "snapshots are shown there (Ceph, UFS)"),
    ("timeshift-btrfs", "Timeshift keeps snapshots there"),
    (".glusterfs", "GlusterFS keeps a second name of every file there"),
    (".trashcan", "it is the recycle bin of GlusterFS"),
    (".trash", "it is a recycle bin"),
    (".trashes", "it is the recycle bin of macOS"),
    (".spotlight-v100", "macOS keeps its index there"),
    (".documentrevisions-v100", "macOS keeps earlier versions there"),
    (".fseventsd", "macOS keeps its journal there"),
    (".temporaryitems", "macOS keeps temporary files there"),
    (".mobilebackups", "macOS keeps backups there"),
    (".appledouble", "a network share keeps the resource forks of Macs there"),
    (".appledb", "a network share keeps its index for Macs there"),
    (".appledesktop", "a network share keeps its index for Macs there"),
    ("network trash folder", "it is the recycle bin of Macs on a network share"),
    ("temporary items", "Macs keep temporary files of a network share there"),
    ("thevolumesettingsfolder", "a network share keeps settings of Macs there"),
    (".timemachine", "macOS keeps backups there"),
    ("lost+found", "a file system keeps what it rescued there"),
    ("files_trashbin", "it is the recycle bin of Nextcloud or ownCloud"),
    ("files_versions", "Nextcloud or ownCloud keeps earlier versions there"),
    (".stversions", "Syncthing keeps earlier versions there"),
    (".stfolder", "Syncthing keeps its own files there"),
    (".sync", "Resilio Sync keeps its own files and deleted ones there"),
    (".dropbox.cache", "Dropbox keeps deleted and unfinished files there"),
    (".tmp.drivedownload", "Google Drive keeps unfinished files there"),
    (".tmp.driveupload", "Google Drive keeps unfinished files there"),
    (".debris", "MEGA keeps deleted files there"),
    (".dtrash", "digiKam keeps deleted files there"),
    (".thumbnails", "thumbnails are kept there"),
];

/// Beginnings of names, in lower case.
const PREFIXES: &[(&str, &str)] = &[
    (".trash-", "it is the recycle bin of a Linux desktop"),
    (".trashed-", "it is in the recycle bin of Android"),
    ("recycle bin - ", "it is the recycle bin of a NAS (WD My Cloud)"),
    ("_nas_recycle_", "it is the recycle bin of a NAS (Thecus)"),
    ("@gmt-", "it is a snapshot of a network share"),
    (".btrfs-snap", "snapshots are kept there (Btrfs)"),
];

/// Explains why a folder (or a file) of this name is not the user's. Ignores case.
pub(super) fn what_is(name: &OsStr, is_folder: bool) -> Option<&'static str> {
    let name = name.to_str()?.to_ascii_lowercase();
    let whole = FOLDERS.iter().filter(|_| is_folder).find(|(known, _)| *known == name);
    let begun = || PREFIXES.iter().find(|(known, _)| name.starts_with(known));
    whole.or_else(begun).map(|(_, why)| *why)
}
