//! The change from one model to another: the new one is prepared beside the answering one, and takes over when its vectors are complete.

use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use scened_common::domain::{ModelId, VideoId};
use scened_common::embed::model::ModelFolder;
use serde_json::Value;
use tracing::{error, info, warn};

use super::{AFRESH_SETTING, Models, ModelsError, SERVING_SETTING, unusable};
use crate::ann::Ann;
use crate::config::edit;
use crate::embed::{EmbedError, self_test};
use crate::machine::clock::now_ms;
use crate::models::serving::{ModelSlot, NoModel};
use crate::store::{VideoRecord, VideoState};

/// Time between self-tests of a next model that failed when it was to take over.
const LOOK_AGAIN: Duration = Duration::from_mins(1);

impl Models {
    /// Chooses a model by name or folder and remembers it in config.toml. The caller makes the pipeline catch up.
    ///
    /// `afresh`: decodes the videos again for its vectors, even if it already has some.
    pub fn use_model(&self, name: &str, afresh: bool) -> Result<(), ModelsError> {
        let mut wanted = self.wanted();
        let folder = self.resolve(name)?;
        let choice = if Path::new(name).is_absolute() {
            folder.path.display().to_string()
        } else {
            folder.name.clone()
        };
        let is_folder = |slot: &Arc<ModelSlot>| slot.info.id == folder.id;
        let current = self.serving.current().ok();
        let goes_back = current.as_ref().is_some_and(is_folder);
        if self.serving.target().is_some_and(|target| is_folder(&target)) && (goes_back || !afresh) {
            edit::set_model(&self.config.config_file, &choice)?;
            *wanted = choice;
            drop(wanted);
            self.serving.clear_problem();
            *self.next_looked_at.lock().unwrap_or_else(PoisonError::into_inner) = None;
            return if afresh { self.index_again() } else { Ok(()) };
        }
        // All checks come before the first change: an incomplete change would be completed without any videos.
        let mut opened = if goes_back { None } else { Some(self.open_slot(&folder, false)?) };
        // A library takes days to embed. A model that cannot embed a query would then be useless.
        if let Some(slot) = &opened
            && let Err(error) = self_test::run(slot.embedder.as_ref())
        {
            self.retire(opened);
            return Err(unusable(&folder, &error));
        }
        if let Err(error) = edit::set_model(&self.config.config_file, &choice) {
            self.retire(opened);
            return Err(error.into());
        }
        if afresh && opened.is_some() {
            self.retire(opened);
            opened = Some(self.begin_afresh(&folder)?);
        } else {
            self.store.put_setting(AFRESH_SETTING, &Value::Null)?;
        }
        let abandoned = match opened {
            Some(slot) if current.is_none() || self.store.counts().scenes == 0 => {
                self.serve(slot)?;
                current
            }
            // The current one continues to answer. If the change goes back to it, it stays for good.
            next => {
                let abandoned = self.serving.next();
                self.serving.set_next(next);
                abandoned
            }
        };
        self.retire(abandoned);
        info!(model = choice, afresh, "model chosen");
        *wanted = choice;
        drop(wanted);
        self.serving.clear_problem();
        if goes_back && afresh {
            self.index_again()?;
        }
        self.activity.bump();
        Ok(())
    }

    /// Deletes the vectors of a model, and opens it with the mark that the videos must be decoded for new ones.
    fn begin_afresh(&self, folder: &ModelFolder) -> Result<Arc<ModelSlot>, ModelsError> {
        if let Some(next) = self.serving.next().filter(|next| next.info.id == folder.id) {
            self.serving.set_next(None);
            self.retire(Some(next));
        }
        self.store.hide_model(&folder.id)?;
        Ann::delete(&self.config.ann_dir, &folder.id)?;
        self.store.put_setting(AFRESH_SETTING, &Value::from(folder.id.0.as_str()))?;
        self.open_slot(folder, true)
    }

    /// Queues every indexed video that can be reached. Its results stay until the job is done.
    fn index_again(&self) -> Result<(), ModelsError> {
        let indexed = |record: &VideoRecord| record.state == VideoState::Indexed && !record.offline;
        let videos = self.store.videos();
        let ids: Vec<VideoId> = videos.iter().filter(|record| indexed(record)).map(|record| record.id).collect();
        self.store.queue_again(&ids, now_ms())?;
        self.activity.bump();
        Ok(())
    }

    /// Lets the next model answer once it has all vectors, according to the pipeline.
    pub fn promote_if_complete(&self, has_caught_up: impl FnOnce() -> bool) {
        // While a change is being arranged, the pipeline may refer to another model.
        let _arranged = self.wanted();
        let Some(next) = self.serving.next() else { return };
        let seen = self
            .followers()
            .iter()
            .any(|follower| Arc::ptr_eq(follower.slot(), &next) && follower.behind() == 0);
        if !seen || !has_caught_up() || !self.still_works(&next) {
            return;
        }
        self.serving.clear_problem();
        let retired = self.serving.promote();
        info!(model = %next.info.id, "the new model answers now");
        if let Err(error) = self.store.put_setting(SERVING_SETTING, &Value::String(next.info.id.0.clone())) {
            error!(%error, "the change of model cannot be remembered; it is repeated at the next start");
        }
        if next.decodes_afresh
            && let Err(error) = self.store.put_setting(AFRESH_SETTING, &Value::Null)
        {
            warn!(%error, "later videos are decoded once more than they need be");
        }
        self.retire(retired);
        self.activity.bump();
    }

    /// Decides whether the next model works when it is to take over. If not, `status` says why, and it is tested again later.
    fn still_works(&self, next: &ModelSlot) -> bool {
        let mut looked_at = self.next_looked_at.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = |(id, due): &(ModelId, Instant)| *id == next.info.id && *due > Instant::now();
        if looked_at.as_ref().is_some_and(waits) {
            return false;
        }
        *looked_at = None;
        let Err(error) = self_test::run(next.embedder.as_ref()) else {
            return true;
        };
        *looked_at = Some((next.info.id.clone(), Instant::now() + LOOK_AGAIN));
        let hint = match &error {
            EmbedError::Unavailable { hint, .. } => hint.clone(),
            _ => None,
        };
        let reason = format!("model {} cannot be used, and the former one still answers: {error}", next.info.name);
        warn!(reason, "the change of model waits");
        self.serving.set_problem(NoModel { reason, hint });
        self.activity.bump();
        false
    }

    fn retire(&self, slot: Option<Arc<ModelSlot>>) {
        let Some(slot) = slot else { return };
        let follower = {
            let mut followers = self.followers.write().unwrap_or_else(PoisonError::into_inner);
            let position = followers.iter().position(|follower| Arc::ptr_eq(follower.slot(), &slot));
            position.map(|position| followers.swap_remove(position))
        };
        if let Some(follower) = follower {
            follower.stop();
        }
        slot.embedder.stop();
    }
}
