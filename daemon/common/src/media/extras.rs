//! The containers and codecs that a user allows the media worker besides its own lists, by FFmpeg's names.

use std::fmt;

/// The worker's argument that names containers.
pub const FORMATS_ARGUMENT: &str = "--extra-formats=";
/// The worker's argument that names codecs.
pub const CODECS_ARGUMENT: &str = "--extra-codecs=";

/// Names besides the worker's own lists; both lists are empty unless the configuration says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// Demuxers, as `ffmpeg -demuxers` lists them.
    pub formats: Vec<String>,
    /// Decoders, as `ffmpeg -decoders` lists them.
    pub codecs: Vec<String>,
}

/// Decides whether FFmpeg could use this name. A comma would make two names of it.
pub fn is_name(text: &str) -> bool {
    let is_possible = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    !text.is_empty() && text.len() <= 64 && text.chars().all(is_possible)
}

impl Extras {
    /// Returns whether there are no extra names.
    pub fn is_empty(&self) -> bool {
        self.formats.is_empty() && self.codecs.is_empty()
    }

    /// Returns the arguments for the worker.
    pub fn to_arguments(&self) -> Vec<String> {
        [(FORMATS_ARGUMENT, &self.formats), (CODECS_ARGUMENT, &self.codecs)]
            .into_iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(argument, names)| format!("{argument}{}", names.join(",")))
            .collect()
    }

    /// Stores one of those arguments; returns `false` if it is a different argument.
    pub fn take_argument(&mut self, argument: &str) -> bool {
        for (prefix, names) in [(FORMATS_ARGUMENT, &mut self.formats), (CODECS_ARGUMENT, &mut self.codecs)] {
            if let Some(list) = argument.strip_prefix(prefix) {
                names.extend(list.split(',').filter(|name| is_name(name)).map(str::to_owned));
                return true;
            }
        }
        false
    }
}

/// The form that an incident records: a different list is a reason to try again.
impl fmt::Display for Extras {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for argument in self.to_arguments() {
            write!(f, ", {}", argument.trim_start_matches('-'))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worker_gets_the_names_it_was_given_and_nothing_else() {
        let extras = Extras {
            formats: vec!["nut".to_owned()],
            codecs: vec!["magicyuv".to_owned(), "libvpx-vp9".to_owned()],
        };
        let mut taken = Extras::default();
        for argument in extras.to_arguments() {
            assert!(taken.take_argument(&argument), "{argument}");
        }
        assert_eq!(taken, extras);
        assert_eq!(extras.to_string(), ", extra-formats=nut, extra-codecs=magicyuv,libvpx-vp9");
        assert_eq!(Extras::default().to_arguments(), Vec::<String>::new());
        assert!(!taken.take_argument("--allow-unsandboxed"));
        for name in ["", "a,b", "A", "a b", "../x", &"x".repeat(65)] {
            assert!(!is_name(name), "{name:?}");
        }
    }
}
