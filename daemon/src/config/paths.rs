//! Paths as people write them: `~/` is the home folder. No path depends on the folder in which a program was started.

use std::path::{Component, Path, PathBuf};

use directories::BaseDirs;

/// Expands `~/`. An error completes the sentence "… is PATH, …".
pub(super) fn absolute(text: &str) -> Result<PathBuf, String> {
    let home = BaseDirs::new().map(|dirs| dirs.home_dir().to_owned());
    absolute_from(text, home.as_deref())
}

fn absolute_from(text: &str, home: Option<&Path>) -> Result<PathBuf, String> {
    if text.is_empty() {
        return Err("which is empty".to_owned());
    }
    let path = if text == "~" || text.starts_with("~/") {
        let home = home.ok_or("but there is no home folder for `~`")?;
        home.join(text.trim_start_matches('~').trim_start_matches('/'))
    } else if text.starts_with('~') {
        return Err("which names another user's home folder; write the path from the root".to_owned());
    } else {
        PathBuf::from(text)
    };
    if path.is_relative() {
        return Err(format!(
            "which is a relative path; write it from the root (\"/…/{text}\") or from the home folder (\"~/{text}\")"
        ));
    }
    if path.components().any(|c| c == Component::ParentDir) {
        return Err("which contains `..`; write the path without it".to_owned());
    }
    // Collecting drops `.` and double or trailing slashes, so that equal folders have equal paths.
    Ok(path.components().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn home_is_expanded_and_spelling_evened_out() {
        let home = Path::new("/home/ada");
        for (text, expected) in [
            ("~", "/home/ada"),
            ("~/Videos", "/home/ada/Videos"),
            ("~/", "/home/ada"),
            ("/a//b/./c/", "/a/b/c"),
            ("/", "/"),
            ("/a/~b", "/a/~b"),
        ] {
            let found = absolute_from(text, Some(home)).unwrap();
            // Compared as text: `Path` equality would hide a trailing slash.
            assert_eq!(found.to_str(), Some(expected), "{text:?}");
        }
    }

    #[test]
    fn paths_that_depend_on_something_are_refused() {
        for text in ["", "Videos", "./Videos", "~eve/Videos", "/a/../b"] {
            assert!(absolute_from(text, Some(Path::new("/home/ada"))).is_err(), "{text:?} was accepted");
        }
        assert!(absolute_from("~/Videos", None).is_err());
    }
}
