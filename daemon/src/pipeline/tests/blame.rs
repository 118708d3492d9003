//! Failures for which the video is not blamed: a drive that gives errors, a machine that is short of a resource, workers that do not work
//! at all.

use super::*;
use crate::store::Cause;

fn fails_with(error: MediaError) -> Script {
    Script::FailsAfter(Vec::new(), error)
}

fn good() -> Script {
    Script::Scenes(red_and_blue())
}

/// A folder whose drive can be broken. Its files then become links to `/proc/self/mem`, whose address 0 gives EIO for each read.
struct Drive {
    folder: PathBuf,
    deferred: PathBuf,
}

impl Drive {
    fn new(world: &World) -> Self {
        let folder = world.folder.path().join("drive");
        std::fs::create_dir(&folder).unwrap();
        Self {
            deferred: folder.with_extension("aside"),
            folder,
        }
    }

    fn breaks(&self) {
        std::fs::rename(&self.folder, &self.deferred).unwrap();
        std::fs::create_dir(&self.folder).unwrap();
        for entry in std::fs::read_dir(&self.deferred).unwrap() {
            let name = entry.unwrap().file_name();
            std::os::unix::fs::symlink("/proc/self/mem", self.folder.join(name)).unwrap();
        }
    }

    fn is_mended(&self) {
        std::fs::remove_dir_all(&self.folder).unwrap();
        std::fs::rename(&self.deferred, &self.folder).unwrap();
    }
}

#[test]
fn a_drive_that_gives_errors_fails_none_of_its_videos_and_they_are_indexed_when_it_is_mended() {
    let world = World::paused_with(scripts());
    let drive = Drive::new(&world);
    let videos: Vec<VideoId> = (0..6)
        .map(|n| world.video(&format!("drive/{n}.mp4"), &format!("good\n{n:04}")))
        .collect();
    drive.breaks();
    world.indexer.resume();
    until("the drive is told of", || {
        world
            .indexer
            .wait_reason()
            .is_some_and(|reason| reason.contains("drive may be failing"))
    });
    // Other folders are still indexed.
    let elsewhere = world.video("elsewhere.mp4", "good\nelsewhere");
    until("another folder is indexed", || {
        world.store.video(elsewhere).unwrap().state == VideoState::Indexed
    });
    assert!(world.store.incidents().unwrap().is_empty());
    assert!(
        videos
            .iter()
            .all(|video| world.store.video(*video).unwrap().state == VideoState::Pending)
    );
    drive.is_mended();
    until("all are indexed by themselves", || world.store.counts().indexed == 7);
    assert!(world.store.incidents().unwrap().is_empty());
    until("nothing is told any more", || world.indexer.wait_reason().is_none());
}

#[test]
fn one_file_that_cannot_be_read_among_others_that_can_is_an_incident_of_the_drive() {
    let world = World::paused_with(scripts());
    std::fs::create_dir(world.folder.path().join("drive")).unwrap();
    for n in 0..4 {
        world.video(&format!("drive/{n}.mp4"), &format!("good\n{n:04}"));
    }
    let bad = world.video("drive/bad.mp4", "good\nbad");
    let path = world.folder.path().join("drive/bad.mp4");
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/proc/self/mem", &path).unwrap();
    world.indexer.resume();
    until("it is an incident", || world.store.counts().failed == 1);
    let incident = world.store.incident(bad).unwrap().unwrap();
    assert_eq!(incident.cause, Some(Cause::Storage));
    assert!(incident.reason.contains("cannot be read"), "{}", incident.reason);
    until("the others are indexed", || world.store.counts().indexed == 4);
    // A video whose failure is blamed on the drive is tried again when the drive comes back.
    world.store.set_offline(&[bad], true).unwrap();
    world.indexer.pause(None);
    world.store.set_offline(&[bad], false).unwrap();
    assert_eq!(world.store.video(bad).unwrap().state, VideoState::Pending);
}

#[test]
fn a_read_that_fails_within_the_worker_is_tried_again_and_a_part_is_not_taken_for_all() {
    let error = MediaError::Unread { errno: 5 };
    let world = World::paused_with(scripts().with("glitch", [fails_with(error.clone()), fails_with(error), good()]));
    world.video("neighbour.mp4", "good");
    let id = world.video("glitch.mp4", "glitch");
    world.indexer.resume();
    until("both are indexed", || world.store.counts().indexed == 2);
    assert_eq!(world.store.video(id).unwrap().damage, None);
    assert!(world.store.incidents().unwrap().is_empty());
}

#[test]
fn an_embed_worker_that_is_killed_from_outside_is_no_fault_of_the_video_however_often() {
    let world = World::paused_with(scripts());
    let id = world.video("large.mp4", "good");
    let killed = EmbedError::Killed {
        detail: "killed by signal 9 (SIGKILL)".to_owned(),
    };
    world.embedder.fail_with(Some(killed));
    world.indexer.resume();
    for n_tries in 1..=5 {
        until("it is told", || {
            world.n_analyses() == n_tries && world.indexer.wait_reason().is_some_and(|reason| reason.contains("from outside"))
        });
        let job = world.store.job(id).unwrap();
        assert_eq!((job.attempts, job.n_deaths), (0, 0));
        world.indexer.wake();
    }
    world.embedder.fail_with(None);
    until("it is indexed", || {
        world.indexer.wake();
        world.store.counts().indexed == 1
    });
    assert!(world.source.keyframes_only().iter().all(|only| !only), "it is decoded whole");
}

#[test]
fn a_part_is_looked_into_again_when_the_drive_is_back_and_at_a_start() {
    let in_part = || Script::InPart(red_and_blue(), 5);
    let parts = [in_part(), in_part(), in_part(), in_part(), in_part(), in_part(), good()];
    let world = World::paused_with(scripts().with("bad sector", parts));
    world.video("neighbour.mp4", "good");
    let id = world.video("bad sector.mp4", "bad sector");
    let is_indexed_in_part = || {
        let record = world.store.video(id).unwrap();
        record.state == VideoState::Indexed && record.is_part
    };
    world.indexer.resume();
    until("what can be read of it is indexed", is_indexed_in_part);
    assert_eq!(world.n_analyses(), 4, "the neighbour, and three tries");
    world.store.set_offline(&[id], true).unwrap();
    world.store.set_offline(&[id], false).unwrap();
    until("it is indexed again", || world.n_analyses() == 7 && is_indexed_in_part());
    assert_eq!(world.store.retry_parts(9).unwrap(), 1);
    until("all of it is indexed", || {
        let record = world.store.video(id).unwrap();
        record.is_sound() && world.n_analyses() == 8
    });
    assert_eq!(world.store.retry_parts(10).unwrap(), 0);
}

#[test]
fn a_worker_that_dies_before_it_saw_the_video_is_the_machines_fault_however_often() {
    let error = || {
        fails_with(MediaError::NotReady {
            detail: "libavcodec.so.59: file too short".to_owned(),
        })
    };
    let world = World::paused_with(scripts().with("upgrade", [error(), error(), error(), error(), error(), good()]));
    let id = world.video("upgrade.mp4", "upgrade");
    world.indexer.resume();
    for n_tries in 1..=5 {
        until("it is told", || {
            world.n_analyses() == n_tries && world.indexer.wait_reason().is_some()
        });
        let job = world.store.job(id).unwrap();
        assert_eq!((job.attempts, job.n_deaths), (0, 0));
        world.indexer.wake();
    }
    until("it is indexed", || world.store.counts().indexed == 1);
}

#[test]
fn a_death_counts_against_a_video_only_while_workers_work_on_others() {
    let died = MediaError::WorkerDied {
        detail: "killed by signal 7 (SIGBUS)".to_owned(),
    };
    let world = World::paused_with(scripts().with("torn", [fails_with(died.clone()), good()]));
    world.source.break_down(Some(died));
    let id = world.video("torn.mp4", "torn");
    world.indexer.resume();
    until("it is told", || {
        world
            .indexer
            .wait_reason()
            .is_some_and(|reason| reason.contains("known to be good"))
    });
    assert_eq!(world.store.job(id).unwrap().n_deaths, 0);
    world.source.break_down(None);
    world.indexer.wake();
    until("it is indexed", || world.store.counts().indexed == 1);
    assert_eq!(world.source.keyframes_only(), [false, false], "it is decoded whole");
}

#[test]
fn a_worker_that_is_killed_from_outside_or_short_of_threads_is_no_fault_of_the_video() {
    let killed = || {
        fails_with(MediaError::Killed {
            detail: "killed by signal 9 (SIGKILL)".to_owned(),
        })
    };
    let short = || {
        fails_with(MediaError::Short {
            reason: "the decoder for h264 cannot be opened: Resource temporarily unavailable".to_owned(),
        })
    };
    let scripts = scripts()
        .with("unlucky", [killed(), short(), killed(), short(), good()])
        .with("always", [killed()]);
    let world = World::paused_with(scripts);
    let unlucky = world.video("unlucky.mp4", "unlucky");
    let always = world.video("always.mp4", "always");
    world.indexer.resume();
    until("both are settled", || {
        let counts = world.store.counts();
        (counts.indexed, counts.failed) == (1, 1)
    });
    assert_eq!(world.store.video(unlucky).unwrap().damage, None);
    let incident = world.store.incident(always).unwrap().unwrap();
    assert_eq!(incident.cause, Some(Cause::Machine));
    // The machine was at fault and works again: a video that failed because of it gets another try.
    world.source.break_down(Some(MediaError::NotReady { detail: String::new() }));
    world.video("torn.mp4", "crash");
    until("the machine is at fault", || world.indexer.wait_reason().is_some());
    let n_before = world.n_analyses();
    world.source.break_down(None);
    world.video("good.mp4", "good\nthen");
    world.indexer.wake();
    until("it is tried again", || {
        world.source.calls()[n_before..].iter().any(|key| key == "always")
    });
}
