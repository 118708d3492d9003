//! Known content: a video with the same bytes is copied, not decoded.

use std::fs::{File, Metadata};
use std::sync::Arc;

use scened_common::domain::Fingerprint;
use tracing::debug;

use super::outcome::{Outcome, not_stored};
use super::{Run, is_of_one_moment, stat_again};
use crate::store::{JobKind, StoreError, VideoRecord};
use crate::video_file::stamp_of;
use crate::video_file::whole::{Whole, has_every_byte};

impl Run<'_> {
    /// Copies the results if all bytes of the video are indexed already. The indexed video may have another name (two copies that arrived
    /// together), or be the video itself (only its time changed). Sets `whole` to its hash if that had to be read.
    pub(super) fn known_content(
        &self,
        record: &VideoRecord,
        video: &Arc<File>,
        whole: &mut Option<Fingerprint>,
    ) -> Result<Option<Outcome>, StoreError> {
        let kind = self.store.job(record.id).map_or(JobKind::Index, |job| job.kind);
        // A twin was decoded earlier, and a user who wants videos decoded again wants that for this one too.
        if self.slot.decodes_afresh || kind == JobKind::Afresh {
            return Ok(None);
        }
        let model = &self.slot.info.id;
        let is_small = has_every_byte(record.stamp.size_bytes);
        let mut twins = self.store.videos_with_fingerprint(&record.fingerprint);
        twins.retain(|twin| {
            let is_itself = twin.id == record.id;
            let speaks = if is_itself {
                kind == JobKind::Verify && twin.damage.is_none()
            } else {
                twin.is_sound()
            };
            speaks && (is_small || twin.whole.is_some()) && self.store.has_vectors(model, twin.id).is_ok_and(|has| has)
        });
        if twins.is_empty() {
            return Ok(None);
        }
        if !is_small {
            *whole = self.hash_whole(record, video);
            twins.retain(|twin| twin.whole == *whole);
            let is_same = |now: Metadata| is_of_one_moment(&stamp_of(&now), &record.stamp);
            if self.cancel.is_cancelled() {
                return Ok(Some(Outcome::Cancelled));
            }
            if !stat_again(record, video).is_ok_and(is_same) {
                return Ok(Some(Outcome::FileChanged));
            }
        }
        // The video's own scenes take precedence over those of another.
        twins.sort_by_key(|twin| twin.id != record.id);
        match twins.first() {
            Some(twin) => self.copy_of_twin(record, twin),
            None => Ok(None),
        }
    }

    fn copy_of_twin(&self, record: &VideoRecord, twin: &VideoRecord) -> Result<Option<Outcome>, StoreError> {
        let model = &self.slot.info.id;
        let scenes = self.store.scenes(twin.id)?;
        if scenes.is_empty() || scenes.len() != self.store.video_vectors(model, twin.id)?.len() {
            return Ok(None);
        }
        debug!(twin = %twin.path.display(), "the same bytes are indexed already");
        let others = match self.vectors_of_current(record, &scenes, Some(twin)) {
            Ok(others) => others,
            Err(outcome) => return Ok(Some(outcome)),
        };
        let n_scenes = scenes.len();
        Ok(match self.store.put_copy(record, twin.id, model, &others) {
            Ok(true) => Some(Outcome::Known { n_scenes }),
            Ok(false) => None,
            Err(error) => Some(not_stored(error)),
        })
    }

    /// Returns the hash of all bytes of a video. `None` if its fingerprint covers all bytes, if they cannot be read, or if the job is
    /// cancelled.
    pub(super) fn hash_whole(&self, record: &VideoRecord, video: &Arc<File>) -> Option<Fingerprint> {
        if has_every_byte(record.stamp.size_bytes) {
            return None;
        }
        let mut whole = Whole::new(record.stamp.size_bytes);
        while !self.cancel.is_cancelled() {
            let video = Arc::clone(video);
            let read = crate::machine::with_timeout::run(&record.path, move |pulse| {
                let hash = whole.read_on(&video, || pulse.beat())?;
                Ok((whole, hash))
            });
            match read {
                Ok((_, Some(hash))) => return Some(hash),
                Ok((rest, None)) => whole = rest,
                // The decoded part is worth keeping all the same. If the file's time changes later, the video is decoded again.
                Err(error) => {
                    debug!(%error, "not all of it can be read");
                    return None;
                }
            }
        }
        None
    }
}
