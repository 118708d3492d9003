//! Checks whether a model's files are unchanged since it got its id.
//!
//! Vectors are stored under the id, and a worker reads the files again whenever it starts. Files that were changed in place would therefore
//! give vectors of two models under one id. The stamps of all files and of their folders are compared before and after each request, which
//! costs a few stats. Only if one differs from the noted stamps are the files read and compared by content.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use scened_common::embed::model::{ModelError, ModelFolder};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use crate::embed::EmbedError;

const READ_BYTES: usize = 1 << 20;

/// Checks the files of one model for changes.
#[derive(Debug)]
pub(super) struct Unchanged {
    model: ModelFolder,
    /// The note that is kept across restarts. If it is deleted, the files are trusted once more.
    note: PathBuf,
    /// The stamps of the last comparison by content.
    stamps: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Note {
    stamps: String,
    /// XXH3-128 of all files, in hexadecimal digits.
    content: String,
}

impl Unchanged {
    pub(super) fn new(model: ModelFolder, data_dir: &Path) -> Self {
        let note = data_dir.join("cache/models").join(format!("{}.json", model.reference_id));
        Self { model, note, stamps: None }
    }

    /// **Errors**: [`EmbedError::Unavailable`] if the files changed, or cannot be read.
    pub(super) fn check(&mut self) -> Result<(), EmbedError> {
        let now = self.stamp().map_err(|error| self.unread(&error))?;
        if self.stamps.as_ref() == Some(&now) {
            return Ok(());
        }
        self.stamps = None;
        // The settings that decide a vector may be in another file now, or may have changed.
        let found = ModelFolder::open(&self.model.path).map_err(|error| match &error {
            // If descriptors run out or the drive is missing, that says nothing about the content of the files.
            ModelError::Read { source, .. } if source.raw_os_error().is_some() => self.unread(source),
            _ => self.changed(&format!("{error}: ")),
        })?;
        if found.reference_id != self.model.reference_id {
            return Err(self.changed(""));
        }
        let noted: Option<Note> = fs::read(&self.note).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        if noted.as_ref().is_none_or(|noted| noted.stamps != now) {
            let content = content_of(&self.model.parts).map_err(|error| self.unread(&error))?;
            if noted.is_some_and(|noted| noted.content != content) {
                return Err(self.changed(""));
            }
            self.remember(&Note {
                stamps: now.clone(),
                content,
            });
        }
        // The files may have been changed while they were read.
        if self.stamp().map_err(|error| self.unread(&error))? != now {
            return Err(self.changed(""));
        }
        self.stamps = Some(now);
        Ok(())
    }

    fn changed(&self, why: &str) -> EmbedError {
        let (name, path) = (&self.model.name, self.model.path.display());
        EmbedError::Unavailable {
            reason: format!(
                "{why}the files of model {name} in {path} changed since the index was made; scened makes no more vectors with it, because vectors of two models cannot be mixed"
            ),
            hint: Some(format!(
                "restore the former files, or change to the new model: scenectl model use {path}"
            )),
        }
    }

    fn unread(&self, error: &io::Error) -> EmbedError {
        EmbedError::Unavailable {
            reason: format!(
                "the files of model {} in {} cannot be read: {error}",
                self.model.name,
                self.model.path.display()
            ),
            hint: Some("check that they are there and may be read".to_owned()),
        }
    }

    /// Returns a text that changes if a file is written, replaced or touched, and if one is added beside it. No program can reset the time
    /// of the last status change.
    fn stamp(&self) -> io::Result<String> {
        use std::fmt::Write as _;
        let mut places: Vec<&Path> = self.model.parts.iter().map(PathBuf::as_path).collect();
        places.extend(self.model.parts.iter().filter_map(|part| part.parent()));
        places.push(&self.model.path);
        places.sort();
        places.dedup();
        let mut stamps = String::new();
        for place in places {
            let found = place.metadata()?;
            writeln!(
                stamps,
                "{} {} {}.{} {}.{}",
                found.ino(),
                found.size(),
                found.mtime(),
                found.mtime_nsec(),
                found.ctime(),
                found.ctime_nsec()
            )
            .map_err(io::Error::other)?;
        }
        Ok(stamps)
    }

    fn remember(&self, note: &Note) {
        let write = || {
            // Creates only these two folders, never the data folder above them.
            for folder in self.note.ancestors().skip(1).take(2).collect::<Vec<_>>().into_iter().rev() {
                match fs::create_dir(folder) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                    _ => {}
                }
            }
            let temporary = self.note.with_extension(format!("new-{}", std::process::id()));
            fs::write(&temporary, serde_json::to_vec(note)?)?;
            fs::rename(temporary, &self.note)
        };
        let written = write();
        if let Err(error) = written {
            tracing::debug!(%error, "what a model's files hold is not remembered");
        }
    }
}

fn content_of(parts: &[PathBuf]) -> io::Result<String> {
    let mut hash = Xxh3::new();
    let mut buffer = vec![0; READ_BYTES];
    for part in parts {
        let mut file = File::open(part)?;
        hash.update(&file.metadata()?.len().to_le_bytes());
        loop {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => hash.update(&buffer[..n]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(format!("{:032x}", hash.digest128()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use super::*;

    struct Case {
        folder: tempfile::TempDir,
        model: ModelFolder,
    }

    impl Case {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("model");
            scened_common::testing::hugging_face(&path);
            // Larger than the part of the file that the id depends on.
            fs::write(path.join("onnx/text_model.onnx"), vec![0xff; 4 << 20]).unwrap();
            let model = ModelFolder::open(&path).unwrap();
            Self { folder, model }
        }

        fn watch(&self) -> Unchanged {
            Unchanged::new(self.model.clone(), self.folder.path())
        }

        fn at(&self, name: &str) -> PathBuf {
            self.model.path.join(name)
        }
    }

    /// Changes some bytes in place and restores the times.
    fn change_in_place(path: &Path, at: u64) {
        let file = File::options().write(true).open(path).unwrap();
        let modified = file.metadata().unwrap().modified().unwrap();
        file.write_all_at(b"other", at).unwrap();
        file.set_modified(modified).unwrap();
    }

    fn assert_changed(watch: &mut Unchanged, what: &str) {
        let Err(EmbedError::Unavailable { reason, hint }) = watch.check() else {
            panic!("nobody notices: {what}");
        };
        assert!(reason.contains("changed since the index was made"), "{what}: {reason}");
        assert!(hint.unwrap().contains("scenectl model use"), "{what}");
    }

    #[test]
    fn files_that_stay_pass_and_so_do_copies_of_them() {
        let case = Case::new();
        let mut watch = case.watch();
        watch.check().unwrap();
        watch.check().unwrap();
        // The same bytes, written again.
        let text = case.at("onnx/text_model.onnx");
        let bytes = fs::read(&text).unwrap();
        fs::write(case.at("new"), &bytes).unwrap();
        fs::rename(case.at("new"), &text).unwrap();
        watch.check().unwrap();
        case.watch().check().unwrap();
    }

    #[test]
    fn weights_that_change_in_place_are_noticed_wherever_in_the_file_and_though_the_times_are_put_back() {
        for at in [0, (4 << 20) - 5, 100_000, 1_500_000] {
            let case = Case::new();
            let mut watch = case.watch();
            watch.check().unwrap();
            change_in_place(&case.at("onnx/text_model.onnx"), at);
            assert_changed(&mut watch, &format!("byte {at}"));
            assert_changed(&mut watch, "asked again");
            // A restart notices it as well, if the id is the same.
            if ModelFolder::open(&case.model.path).unwrap().id == case.model.id {
                assert_changed(&mut case.watch(), "after a restart");
            }
        }
    }

    #[test]
    fn small_files_count_and_so_do_files_that_appear() {
        for name in [
            "tokenizer.json",
            "config.json",
            "preprocessor_config.json",
            "onnx/vision_model.onnx",
        ] {
            let case = Case::new();
            let mut watch = case.watch();
            watch.check().unwrap();
            let bytes = fs::read(case.at(name)).unwrap();
            fs::write(case.at(name), [&bytes[..], b" "].concat()).unwrap();
            assert_changed(&mut watch, name);
            // After restoring the former file, the model is valid again.
            fs::write(case.at(name), bytes).unwrap();
            watch.check().unwrap();
        }
        let case = Case::new();
        let mut watch = case.watch();
        watch.check().unwrap();
        // It takes precedence over preprocessor_config.json.
        let settings = fs::read_to_string(case.at("preprocessor_config.json")).unwrap();
        fs::write(case.at("processor_config.json"), format!("{{\"image_processor\": {settings}}}")).unwrap();
        assert_changed(&mut watch, "processor_config.json");
    }

    #[test]
    fn a_model_that_is_gone_is_told() {
        let case = Case::new();
        let mut watch = case.watch();
        watch.check().unwrap();
        fs::remove_file(case.at("tokenizer.json")).unwrap();
        let Err(EmbedError::Unavailable { reason, .. }) = watch.check() else {
            panic!("it passes");
        };
        assert!(reason.contains("cannot be read"), "{reason}");
    }
}
