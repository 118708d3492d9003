//! What another crop means for a model's id.

use super::ModelFolder;
use crate::domain::{Crop, ModelId};

impl ModelFolder {
    /// The model as its files describe it, to be shown pictures as `crop` says. Where that is not its own way, its id is another one:
    /// the vectors of the two do not mix, and a change from one to the other is a change of model.
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

    /// How it is shown pictures.
    pub fn crop(&self) -> Crop {
        let is_ours = |crop: &Crop| *crop != Crop::Auto && crop.of(self.reference) == self.image;
        Crop::ALL.into_iter().find(is_ours).unwrap_or(Crop::Reference)
    }
}
