//! Defines how a different crop changes a model's id.

use super::ModelFolder;
use crate::domain::{Crop, ModelId};

impl ModelFolder {
    /// Returns the model that its files describe, but shown pictures as `crop` says. If that differs from its own crop, it gets another id.
    /// The vectors of the two do not mix, and switching between them is a change of model.
    #[must_use]
    pub fn with_crop(mut self, crop: Crop) -> Self {
        let image = crop.of(self.reference);
        self.id = self.reference_id.clone();
        if image != self.reference {
            self.id = ModelId(format!("{}-{}", self.id, crop.chosen_for(self.reference).name()));
        }
        self.image = image;
        self
    }

    /// Returns how the model is shown pictures.
    pub fn crop(&self) -> Crop {
        let is_ours = |crop: &Crop| *crop != Crop::Auto && crop.of(self.reference) == self.image;
        Crop::ALL.into_iter().find(is_ours).unwrap_or(Crop::Reference)
    }
}
