//! Which model to install, and under which name.

use std::path::PathBuf;

use scened_hub::catalog::{Catalog, Entry};
use scened_hub::local;
use scened_hub::reference::{Reference, Repository, is_name};

use crate::cli::ModelInstall;
use crate::failure::Failure;

/// The model to install.
pub(super) enum Wanted {
    Entry(Box<Entry>),
    Repository { repository: Repository, revision: String },
    Folder(PathBuf),
}

impl Wanted {
    /// Parses the command line; a plain word is looked up in the catalog.
    pub(super) fn of(args: &ModelInstall) -> Result<Self, Failure> {
        let reference = Reference::parse(&args.model).map_err(|error| {
            Failure::new(error.to_string())
                .hint("give a name of `scenectl model list --available`, OWNER/REPO[@REVISION], or a folder as ./DIR")
        })?;
        Ok(match reference {
            Reference::Folder(folder) => Self::Folder(folder),
            Reference::Repository { repository, revision } => Self::Repository {
                repository,
                revision: revision.unwrap_or_else(|| "main".to_owned()),
            },
            Reference::Name(name) => {
                let catalog = Catalog::read();
                let Some(entry) = catalog.find(&name) else {
                    let known: Vec<&str> = catalog.models.iter().map(|entry| entry.name.as_str()).collect();
                    let failure = Failure::new(format!("no model of the catalog is named {name:?}"));
                    return Err(failure.hint(format!(
                        "known are {}; write OWNER/REPO for another repository of the hub, ./{name} for a folder",
                        known.join(", ")
                    )));
                };
                Self::Entry(Box::new(entry.clone()))
            }
        })
    }

    /// Returns the name under which the model will be installed.
    pub(super) fn name(&self, args: &ModelInstall) -> Result<String, Failure> {
        let name = match (&args.name, self) {
            (Some(name), _) => name.clone(),
            (None, Self::Entry(entry)) => entry.name.clone(),
            (None, Self::Repository { repository, .. }) => repository.name().to_owned(),
            (None, Self::Folder(folder)) => local::name_of(folder).ok_or_else(|| {
                Failure::new(format!("{} is no folder", folder.display())).hint("give a folder with a model's files: config.json, onnx/, …")
            })?,
        };
        let refused = if name == "starter" {
            "the starter model ships with scened"
        } else if is_name(&name) {
            return Ok(name);
        } else {
            "a name is made of letters, digits, `-`, `_` and `.`"
        };
        Err(Failure::new(format!("{name:?} cannot be the model's name"))
            .cause(refused)
            .hint("give another one: --name NAME"))
    }
}
