//! The library as one step sees it: the videos in the store, and the changes that wait to be written to it.

mod unsaved;

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use scened_common::domain::{FileStamp, Fingerprint, VideoId};
use unsaved::{RootsChanges, Unsaved};

use crate::machine::clock::now_ms;
use crate::reconcile::is_below;
use crate::store::{Cause, IncidentRecord, JobKind, Move, NewVideo, Store, StoreError, Touch, VideoRecord};

pub(super) struct Library {
    store: Store,
    /// All videos, sorted by path, kept until the store changes. If there are many, listing them takes longer than the rest of a step.
    videos: Option<Vec<Arc<VideoRecord>>>,
    /// All videos, sorted by the inode of their file, so that several names of one file are adjacent.
    by_inode: Option<Vec<(u64, VideoId)>>,
    /// Generation of the store at which both lists were read.
    as_of: u64,
    /// Other names of files that changed or went away, to be checked in this step. inotify reports only the name that was used.
    other_names: Vec<PathBuf>,
    unsaved: Unsaved,
}

impl Library {
    pub(super) fn new(store: Store) -> Self {
        Self {
            store,
            videos: None,
            by_inode: None,
            as_of: 0,
            other_names: Vec::new(),
            unsaved: Unsaved::default(),
        }
    }

    /// Begins a step, which sees all videos as they were at its beginning, or later.
    pub(super) fn begin_step(&mut self) {
        let generation = self.store.generation();
        if self.as_of != generation {
            self.as_of = generation;
            self.videos = None;
            self.by_inode = None;
        }
    }

    pub(super) fn video(&self, id: VideoId) -> Option<Arc<VideoRecord>> {
        self.store.video(id)
    }

    pub(super) fn video_at(&self, path: &Path) -> Option<Arc<VideoRecord>> {
        self.store.video_at(path)
    }

    pub(super) fn videos_with_fingerprint(&self, fingerprint: &Fingerprint) -> Vec<Arc<VideoRecord>> {
        self.store.videos_with_fingerprint(fingerprint)
    }

    /// Returns all videos, sorted by path.
    pub(super) fn videos(&mut self) -> &[Arc<VideoRecord>] {
        let store = &self.store;
        self.videos.get_or_insert_with(|| {
            let mut videos = store.videos();
            if !videos.is_sorted_by(|a, b| a.path <= b.path) {
                videos.sort_by(|a, b| a.path.cmp(&b.path));
            }
            videos
        })
    }

    /// Returns the known videos at `path` or below it, except those in `others`.
    pub(super) fn videos_below(&mut self, path: &Path, others: &[PathBuf]) -> Vec<Arc<VideoRecord>> {
        let videos = self.videos();
        let first = videos.partition_point(|video| video.path.as_path() < path);
        videos[first..]
            .iter()
            .take_while(|video| video.path.starts_with(path))
            .filter(|video| is_below(&video.path, path, others))
            .cloned()
            .collect()
    }

    /// Returns the videos in `folder` or below it that are in none of the `found` sub-folders and are none of the `found` files. Leaves out
    /// everything in `roots`.
    pub(super) fn videos_not_among(&mut self, found: &HashSet<OsString>, folder: &Path, roots: &[PathBuf]) -> Vec<VideoId> {
        let mut missed = Vec::new();
        let videos = self.videos();
        let mut at = videos.partition_point(|video| video.path.as_path() < folder);
        while let Some(video) = videos.get(at)
            && let Ok(below) = video.path.strip_prefix(folder)
        {
            let Some(name) = below.components().next() else {
                // A video at the folder's own path, where there is a folder now.
                missed.push(video.id);
                at += 1;
                continue;
            };
            let child = folder.join(name);
            let is_missed = !found.contains(name.as_os_str()) && !roots.contains(&child);
            // Everything below this child at once. Sub-folders that were found are walked separately.
            let n_below = videos[at..].partition_point(|video| video.path.starts_with(&child));
            if is_missed {
                missed.extend(videos[at..at + n_below].iter().map(|video| video.id));
            }
            at += n_below.max(1);
        }
        missed
    }

    /// Makes the next list of all videos come from the store again.
    pub(super) fn list_anew(&mut self) {
        self.videos = None;
    }

    /// Queues the other names of a file that may have changed under one of them. They are checked, too.
    pub(super) fn note_other_names(&mut self, inode: u64, path: &Path) {
        if self.by_inode.is_none() {
            let mut by_inode: Vec<(u64, VideoId)> = self.videos().iter().map(|video| (video.stamp.inode, video.id)).collect();
            by_inode.sort_unstable();
            self.by_inode = Some(by_inode);
        }
        let by_inode = self.by_inode.as_deref().unwrap_or_default();
        let first = by_inode.partition_point(|(other, _)| *other < inode);
        let names = by_inode[first..].iter().take_while(|(other, _)| *other == inode);
        let others = names.filter_map(|(_, id)| self.store.video(*id)).map(|video| video.path.clone());
        self.other_names.extend(others.filter(|name| name != path));
    }

    /// Queues paths that may be names of a file seen under another name.
    pub(super) fn may_be_other_names<'a>(&mut self, names: impl Iterator<Item = &'a PathBuf>) {
        self.other_names.extend(names.cloned());
    }

    pub(super) fn take_other_name(&mut self) -> Option<PathBuf> {
        self.other_names.pop()
    }

    /// Queues a file at a path without a video, to be stored with others. Returns true if it is time to store.
    pub(super) fn add_soon(&mut self, video: NewVideo) -> bool {
        self.unsaved.add(video)
    }

    /// Notes that a video's file is at its path, again or still. Stored with others.
    pub(super) fn is_in_place(&mut self, video: &VideoRecord, stamp: FileStamp, on_root_device: bool) {
        if video.offline {
            self.unsaved.is_back(video.id);
        }
        if video.stamp != stamp || video.on_root_device != on_root_device {
            self.unsaved.touch(Touch {
                video: video.id,
                stamp,
                on_root_device,
            });
        }
    }

    /// Notes that a video that was offline is back. Stored with others.
    pub(super) fn is_back(&mut self, video: VideoId) {
        self.unsaved.is_back(video);
    }

    /// Like [`Library::move_now`], but stored with others. Returns true if it is time to store the moves.
    pub(super) fn move_soon(&mut self, video: &VideoRecord, new: &NewVideo) -> bool {
        self.unsaved.add_move(video, new)
    }

    /// Returns whether a move of this video waits to be stored.
    pub(super) fn has_move_of(&self, video: VideoId) -> bool {
        self.unsaved.has_move_of(video)
    }

    /// Returns whether a move from or to this path waits to be stored.
    pub(super) fn has_move_at(&self, path: &Path) -> bool {
        self.unsaved.has_move_at(path)
    }

    /// Stores the waiting moves. Returns those that could not be stored.
    pub(super) fn store_moves(&mut self) -> Vec<Move> {
        let moves = self.unsaved.take_moves();
        let Some(first) = moves.first() else { return moves };
        self.videos = None;
        match self.store.move_videos(&moves) {
            Ok(()) => {
                tracing::info!(n_videos = moves.len(), to = %first.path.display(), "videos were moved");
                Vec::new()
            }
            Err(error) => {
                tracing::error!(n_videos = moves.len(), to = %first.path.display(), %error, "moves cannot be noted in the store; they are tried again");
                moves
            }
        }
    }

    /// Stores everything else that waits.
    pub(super) fn store_rest(&mut self) {
        let RootsChanges { new, touched, back } = self.unsaved.take();
        if !touched.is_empty()
            && let Err(error) = self.store.touch_videos(&touched)
        {
            tracing::error!(n_videos = touched.len(), %error, "the new stamps of videos cannot be stored");
        }
        if !back.is_empty()
            && let Err(error) = self.store.set_offline(&back, false)
        {
            tracing::error!(%error, "videos that are back cannot be marked so");
        }
        let n_videos = new.len();
        if n_videos > 0
            && let Err(error) = self.store.add_videos(new, now_ms())
        {
            tracing::error!(%error, n_videos, "new videos cannot be stored; they are tried again at the next rescan");
        }
    }

    /// Gives a video another path. A video that was there is removed.
    pub(super) fn move_now(&mut self, video: VideoId, path: &Path, stamp: FileStamp, on_root_device: bool) -> Result<(), StoreError> {
        self.store.move_video(video, path, stamp, on_root_device)?;
        self.unsaved.are_not_back(&[video]);
        self.videos = None;
        Ok(())
    }

    /// Adds a file with the content of a known video. If that video turns out to be incomplete, the store queues the file like a new one.
    pub(super) fn copy(&self, twin: VideoId, new: NewVideo) -> Result<(), StoreError> {
        self.store.clone_video(twin, new, now_ms()).map(drop)
    }

    /// Queues a video whose file now has this stamp and content.
    pub(super) fn requeue(&self, kind: JobKind, video: VideoId, stamp: FileStamp, fingerprint: Fingerprint) -> Result<(), StoreError> {
        self.store.requeue_to(kind, video, Some((stamp, fingerprint)), now_ms())
    }

    /// Queues the videos again that failed because of the machine.
    pub(super) fn retry_what_the_machine_is_blamed_for(&self) {
        let is_of_machine = |incident: &IncidentRecord| incident.cause == Some(Cause::Machine);
        if let Err(error) = self.store.retry_incidents(is_of_machine, now_ms()) {
            tracing::debug!(%error, "videos that failed because of the machine are not queued again");
        }
    }

    /// Marks these videos as offline, because they cannot be reached.
    pub(super) fn set_offline(&mut self, videos: &[VideoId]) {
        if videos.is_empty() {
            return;
        }
        self.unsaved.are_not_back(videos);
        if let Err(error) = self.store.set_offline(videos, true) {
            tracing::error!(%error, "videos that cannot be reached cannot be marked so");
        }
    }

    /// Removes these videos, because their files are gone or excluded.
    pub(super) fn remove(&mut self, videos: &[VideoId]) {
        if videos.is_empty() {
            return;
        }
        tracing::info!(n_videos = videos.len(), "removing videos whose files are gone or left out");
        self.videos = None;
        if let Err(error) = self.store.remove_videos(videos) {
            tracing::error!(%error, "videos whose files are gone cannot be removed; the next rescan tries again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct World {
        _folder: tempfile::TempDir,
        store: Store,
        library: Library,
    }

    impl World {
        /// Creates a store with a pending video at each of these paths. Their inodes are 1, 2, 3 …
        fn new(paths: &[&str]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let (store, _) = Store::open(&folder.path().join("store")).unwrap();
            let videos = paths.iter().zip(1..).map(|(path, n)| new_video(path, n)).collect();
            store.add_videos(videos, 0).unwrap();
            let mut library = Library::new(store.clone());
            library.begin_step();
            Self {
                _folder: folder,
                store,
                library,
            }
        }

        fn at(&self, path: &str) -> Arc<VideoRecord> {
            self.store.video_at(Path::new(path)).unwrap()
        }

        fn listed(&mut self) -> Vec<PathBuf> {
            self.library.videos().iter().map(|video| video.path.clone()).collect()
        }
    }

    fn new_video(path: &str, n: u8) -> NewVideo {
        NewVideo {
            path: path.into(),
            stamp: FileStamp {
                size_bytes: u64::from(n),
                mtime_ns: 0,
                inode: u64::from(n),
            },
            fingerprint: Fingerprint([n; 16]),
            on_root_device: true,
        }
    }

    fn paths(paths: &[&str]) -> Vec<PathBuf> {
        paths.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn a_step_sees_the_videos_that_were_there_at_its_beginning() {
        let mut world = World::new(&["/v/b", "/v/a"]);
        assert_eq!(world.listed(), paths(&["/v/a", "/v/b"]));
        world.store.add_videos(vec![new_video("/v/c", 3)], 0).unwrap();
        assert_eq!(world.listed(), paths(&["/v/a", "/v/b"]), "within a step nothing is listed again");
        world.library.begin_step();
        assert_eq!(world.listed(), paths(&["/v/a", "/v/b", "/v/c"]));
        let gone = world.at("/v/b").id;
        world.library.remove(&[gone]);
        assert_eq!(
            world.listed(),
            paths(&["/v/a", "/v/c"]),
            "what this thread removes it does not list"
        );
    }

    #[test]
    fn videos_below_a_folder_are_those_of_its_own_root() {
        let mut world = World::new(&["/v/a", "/v/a/x", "/v/a/inner/y", "/v/ab"]);
        let found = world.library.videos_below(Path::new("/v/a"), &paths(&["/v/a/inner"]));
        let found: Vec<PathBuf> = found.iter().map(|video| video.path.clone()).collect();
        assert_eq!(found, paths(&["/v/a", "/v/a/x"]));
    }

    #[test]
    fn what_a_folder_does_not_have_is_missed_with_all_below_it() {
        let mut world = World::new(&[
            "/v/a",
            "/v/a/gone.mp4",
            "/v/a/gone/x.mp4",
            "/v/a/gone/y/z.mp4",
            "/v/a/here.mp4",
            "/v/a/here/x.mp4",
            "/v/a/root/x.mp4",
            "/v/a.mp4",
        ]);
        let found = ["here", "here.mp4"].map(OsString::from).into();
        let missed = world.library.videos_not_among(&found, Path::new("/v/a"), &paths(&["/v/a/root"]));
        let missed: Vec<PathBuf> = missed.iter().map(|id| world.store.video(*id).unwrap().path.clone()).collect();
        assert_eq!(missed, paths(&["/v/a", "/v/a/gone/x.mp4", "/v/a/gone/y/z.mp4", "/v/a/gone.mp4"]));
    }

    #[test]
    fn the_other_names_of_a_file_are_those_with_its_inode() {
        let mut world = World::new(&["/v/a", "/v/b"]);
        let link = NewVideo {
            path: "/v/link".into(),
            ..new_video("/v/a", 1)
        };
        world.store.add_videos(vec![link], 0).unwrap();
        world.library.begin_step();
        world.library.note_other_names(1, Path::new("/v/a"));
        assert_eq!(world.library.take_other_name(), Some("/v/link".into()));
        assert_eq!(world.library.take_other_name(), None);
    }

    #[test]
    fn moves_wait_and_are_stored_together() {
        let mut world = World::new(&["/v/a", "/v/b"]);
        let video = world.at("/v/a");
        assert_eq!(world.listed().len(), 2);
        assert!(!world.library.move_soon(&video, &new_video("/v/c", 1)), "one is not many");
        assert!(world.library.has_move_of(video.id));
        for (path, moves) in [("/v/a", true), ("/v/b", false), ("/v/c", true)] {
            assert_eq!(world.library.has_move_at(Path::new(path)), moves, "{path}");
        }
        assert_eq!(world.at("/v/a").id, video.id, "not yet");
        assert_eq!(world.library.store_moves(), []);
        assert!(!world.library.has_move_of(video.id));
        assert_eq!(world.at("/v/c").id, video.id);
        assert_eq!(world.listed(), paths(&["/v/b", "/v/c"]));
    }

    #[test]
    fn what_comes_back_is_stored_with_others_unless_it_goes_away_again() {
        let mut world = World::new(&["/v/a", "/v/b"]);
        let (a, b) = (world.at("/v/a"), world.at("/v/b"));
        world.library.set_offline(&[a.id, b.id]);
        assert!(world.at("/v/a").offline);
        for video in [world.at("/v/a"), world.at("/v/b")] {
            world.library.is_in_place(&video, video.stamp, video.on_root_device);
        }
        world.library.set_offline(&[b.id]);
        world.library.store_rest();
        assert_eq!((world.at("/v/a").offline, world.at("/v/b").offline), (false, true));
    }

    #[test]
    fn new_files_and_new_stamps_wait_for_the_end_of_a_step() {
        let mut world = World::new(&["/v/a"]);
        let video = world.at("/v/a");
        let stamp = FileStamp {
            mtime_ns: 9,
            ..video.stamp
        };
        world.library.is_in_place(&video, stamp, true);
        let is_time: Vec<bool> = (0..200)
            .map(|n| world.library.add_soon(new_video(&format!("/v/new/{n}"), 7)))
            .collect();
        assert_eq!(is_time.iter().filter(|is_time| **is_time).count(), 1, "when there are 200 of them");
        assert_eq!(world.store.videos().len(), 1);
        world.library.store_rest();
        assert_eq!(world.store.videos().len(), 201);
        assert_eq!(world.at("/v/a").stamp, stamp);
    }
}
