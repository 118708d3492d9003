//! The data of `model list` and `model info`.

use std::path::{Path, PathBuf};

use scened_common::embed::model::{ModelFolder, find_models};

use super::{Models, ModelsError, ids_of};

/// A model as listed by `model list`.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    pub name: String,
    pub folder: PathBuf,
    pub active: bool,
    /// `usable`, or why it is not.
    pub state: String,
    pub layout: String,
    pub image_px: u32,
    /// How frames of another shape are shown to it; empty if the model cannot be read.
    pub crop: &'static str,
    pub dimensions: Option<u64>,
    pub size_bytes: u64,
    pub n_videos: u64,
}

impl Models {
    pub fn list(&self) -> Vec<Listed> {
        let mut listed: Vec<Listed> = find_models(&self.config.dirs)
            .into_iter()
            .map(|found| match found {
                Ok(folder) => self.listed(&folder.with_crop(self.config.crop)),
                Err(error) => Listed {
                    name: error
                        .path()
                        .and_then(Path::file_name)
                        .unwrap_or_default()
                        .to_string_lossy()
                        .into_owned(),
                    folder: error.path().unwrap_or(Path::new("")).to_owned(),
                    active: false,
                    state: crate::fatal::with_causes(&error),
                    layout: String::new(),
                    image_px: 0,
                    crop: "",
                    dimensions: None,
                    size_bytes: 0,
                    n_videos: 0,
                },
            })
            .collect();
        let wanted = self.wanted().clone();
        // A folder used in place is not in any of the usual folders.
        if Path::new(&wanted).is_absolute()
            && !listed.iter().any(|row| row.folder == Path::new(&wanted))
            && let Ok(folder) = self.resolve(&wanted)
        {
            listed.push(self.listed(&folder));
        }
        listed
    }

    pub fn info(&self, name: &str) -> Result<Listed, ModelsError> {
        let name = if name.is_empty() { self.wanted().clone() } else { name.to_owned() };
        Ok(self.listed(&self.resolve(&name)?))
    }

    fn listed(&self, folder: &ModelFolder) -> Listed {
        Listed {
            name: folder.name.clone(),
            folder: folder.path.clone(),
            active: self.serving.current().is_ok_and(|slot| ids_of(folder).contains(&slot.info.id)),
            state: "usable".to_owned(),
            layout: folder.layout.as_str().to_owned(),
            image_px: folder.image.width_px,
            crop: folder.crop().name(),
            dimensions: folder.dimensions.map(|dimensions| dimensions as u64),
            size_bytes: folder.size_bytes,
            n_videos: self.store.n_videos_with_vectors(&folder.id).unwrap_or_default(),
        }
    }
}
