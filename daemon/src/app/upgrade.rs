//! Handles, at a start, videos that an earlier version left behind.

use std::sync::Arc;

use scened_common::domain::VideoId;
use tracing::info;

use crate::fatal::Fatal;
use crate::machine::clock::now_ms;
use crate::store::{IncidentRecord, Store, VideoRecord, VideoState};
use crate::video_file::whole::has_every_byte;

/// Queues failed videos again if they failed with other software, or because of the drive or the machine. Videos for which an older version
/// recorded no cause are queued once. Also queues videos that could be read only in part. `software`: `None` if the worker's version is
/// unknown now.
pub(super) fn retry_after_update(store: &Store, software: Option<&String>) -> Result<(), Fatal> {
    let deserves = |incident: &IncidentRecord| {
        let is_of_other = software.is_some_and(|software| incident.software != *software);
        is_of_other || incident.cause.is_none() || incident.is_blameless()
    };
    let n_queued = store.retry_incidents(deserves, now_ms())?;
    if n_queued > 0 {
        info!(
            n_queued,
            "videos that failed with other software or because of the machine are tried again"
        );
    }
    let n_parts = store.retry_parts(now_ms())?;
    if n_parts > 0 {
        info!(n_parts, "videos could be read in part only; they are tried again");
    }
    Ok(())
}

/// Setting: videos that earlier versions took for complete have been queued again.
const HALVES_SETTING: &str = "halves-looked-for";

/// Earlier versions gave the results of a half-written video to its complete copies, and kept them when the video was completed in place.
/// Once, this queues again every video that may be affected: damaged or failed ones, ones written to after they were indexed, and ones that
/// share a fingerprint.
pub(super) fn find_halves(store: &Store, is_fresh: bool) -> Result<(), Fatal> {
    if store.setting(HALVES_SETTING)?.is_some() {
        return Ok(());
    }
    let videos = if is_fresh { Vec::new() } else { store.videos() };
    let may_be_half = |record: &&Arc<VideoRecord>| {
        let was_looked_into = record.state != VideoState::Pending && record.whole.is_none();
        let is_complete = record.state == VideoState::Indexed && record.damage.is_none();
        let was_written_to = record.stamp.mtime_ns / 1_000_000 > record.indexed_at_ms;
        // The fingerprint of a small file covers all its bytes.
        was_looked_into
            && !has_every_byte(record.stamp.size_bytes)
            && (!is_complete || was_written_to || store.videos_with_fingerprint(&record.fingerprint).len() > 1)
    };
    let again: Vec<VideoId> = videos.iter().filter(may_be_half).map(|record| record.id).collect();
    if !again.is_empty() {
        info!(
            n_videos = again.len(),
            "checking videos again that an earlier version may have read before they were complete"
        );
        store.queue_again(&again, now_ms())?;
    }
    store.put_setting(HALVES_SETTING, &serde_json::Value::Bool(true))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::store::{Cause, NewVideo};
    use scened_common::domain::{FileStamp, Fingerprint};

    #[test]
    fn a_start_tries_again_what_no_video_is_to_blame_for_and_once_what_an_older_version_wrote_down() {
        let folder = tempfile::tempdir().unwrap();
        // This store is of a released version: one of its videos failed, and no cause is recorded.
        let released = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/stores/v1");
        testkit::copy_tree(&released, folder.path(), &|_| true);
        let (store, _) = Store::open(folder.path()).unwrap();
        let old = store.incidents().unwrap().remove(0);
        assert_eq!(old.cause, None);
        let fail = |path: &str, cause| {
            let stamp = FileStamp {
                size_bytes: 1,
                mtime_ns: 1,
                inode: 1,
            };
            let video = NewVideo {
                path: path.into(),
                stamp,
                fingerprint: Fingerprint([7; 16]),
                on_root_device: true,
            };
            let id = store.add_video(video, 1).unwrap().id;
            store.put_failed(id, "a reason", None, cause, &old.software, 2).unwrap();
            id
        };
        let (video, storage) = (fail("/video", Cause::Video), fail("/storage", Cause::Storage));
        let state = |id| store.video(id).unwrap().state;
        retry_after_update(&store, Some(&old.software)).unwrap();
        assert_eq!(
            [state(old.video), state(video), state(storage)],
            [VideoState::Pending, VideoState::Failed, VideoState::Pending]
        );
        // It fails again, now with a cause.
        store
            .put_failed(old.video, "a reason", None, Cause::Video, &old.software, 3)
            .unwrap();
        retry_after_update(&store, Some(&old.software)).unwrap();
        assert_eq!(state(old.video), VideoState::Failed);
        // A worker that cannot tell its version does not count as another version.
        retry_after_update(&store, None).unwrap();
        assert_eq!([state(old.video), state(video)], [VideoState::Failed; 2]);
        retry_after_update(&store, Some(&"another FFmpeg".to_owned())).unwrap();
        assert_eq!([state(old.video), state(video)], [VideoState::Pending; 2]);
    }
}
