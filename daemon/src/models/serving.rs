//! Which model answers, and which one is being brought in.
//!
//! A [`ModelSlot`] ties a model's embedder to the ANN index of exactly that model's vectors, so that vectors of two models cannot meet.
//! During a model change two slots live side by side: `current` answers, `next` is filled by the pipeline, and [`Serving::promote`] swaps.

use std::sync::{Arc, PoisonError, RwLock};

use scened_common::domain::ModelId;

use crate::ann::Ann;
use crate::embed::{Embedder, ModelInfo};

pub struct ModelSlot {
    pub info: ModelInfo,
    pub embedder: Arc<dyn Embedder>,
    pub ann: Ann,
    /// The user wants its vectors made of the videos and not of keyframe pictures.
    pub decodes_afresh: bool,
}

/// Why no model can be used, in words for the user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct NoModel {
    pub reason: String,
    pub hint: Option<String>,
}

#[derive(Default)]
struct Slots {
    current: Option<Arc<ModelSlot>>,
    next: Option<Arc<ModelSlot>>,
    problem: Option<NoModel>,
}

#[derive(Default)]
pub struct Serving(RwLock<Slots>);

impl Serving {
    /// The slot that answers queries.
    pub fn current(&self) -> Result<Arc<ModelSlot>, NoModel> {
        let slots = self.read();
        slots.current.clone().ok_or_else(|| {
            slots.problem.clone().unwrap_or(NoModel {
                reason: "the model is still being opened".to_owned(),
                hint: Some("try again in a moment".to_owned()),
            })
        })
    }

    /// The slot that new vectors are for.
    pub fn target(&self) -> Option<Arc<ModelSlot>> {
        let slots = self.read();
        slots.next.clone().or_else(|| slots.current.clone())
    }

    pub fn next(&self) -> Option<Arc<ModelSlot>> {
        self.read().next.clone()
    }

    pub fn problem(&self) -> Option<NoModel> {
        self.read().problem.clone()
    }

    /// Ids of the models in use; their vectors must stay.
    pub fn in_use(&self) -> Vec<ModelId> {
        let slots = self.read();
        slots.current.iter().chain(&slots.next).map(|slot| slot.info.id.clone()).collect()
    }

    pub fn set_current(&self, slot: Arc<ModelSlot>) {
        let mut slots = self.write();
        slots.current = Some(slot);
        slots.problem = None;
    }

    pub fn set_next(&self, slot: Option<Arc<ModelSlot>>) {
        self.write().next = slot;
    }

    pub fn set_problem(&self, problem: NoModel) {
        self.write().problem = Some(problem);
    }

    pub fn clear_problem(&self) {
        self.write().problem = None;
    }

    /// Makes `next` the one that answers; gives back the slot that did before.
    pub fn promote(&self) -> Option<Arc<ModelSlot>> {
        let mut slots = self.write();
        let next = slots.next.take()?;
        slots.current.replace(next)
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Slots> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Slots> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
