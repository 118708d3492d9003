//! The model that answers, and the one being prepared.
//!
//! A [`ModelSlot`] ties a model's embedder to the ANN index of exactly that model's vectors, so that vectors of two models are never
//! compared. During a model change there are two slots: `current` answers, `next` is filled by the pipeline, and [`Serving::promote`] swaps
//! them.

use std::sync::{Arc, PoisonError, RwLock};

use scened_common::domain::ModelId;

use crate::ann::Ann;
use crate::embed::{Embedder, ModelInfo};

pub struct ModelSlot {
    pub info: ModelInfo,
    pub embedder: Arc<dyn Embedder>,
    pub ann: Ann,
    /// The user wants its vectors made from the videos, not from keyframe pictures.
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
    /// Returns the slot that answers queries.
    pub fn current(&self) -> Result<Arc<ModelSlot>, NoModel> {
        let slots = self.read();
        slots.current.clone().ok_or_else(|| {
            slots.problem.clone().unwrap_or(NoModel {
                reason: "the model is still being opened".to_owned(),
                hint: Some("try again in a moment".to_owned()),
            })
        })
    }

    /// Returns the slot that gets new vectors.
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

    /// Returns the ids of the models in use, whose vectors must stay.
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

    /// Makes `next` the answering slot, and returns the former one.
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
