//! `FILE@TIME`: one word that names a moment of a video. If a file with exactly that name exists, readers take the word as its path.

use std::ffi::OsString;
use std::path::Path;

/// Returns the word for a moment, in seconds. If a file already has that name, zeros are appended to the time until no file does.
pub fn of_moment(path: &Path, at_ms: u64, is_there: impl Fn(&Path) -> bool) -> OsString {
    let mut word = path.as_os_str().to_owned();
    word.push(format!("@{}.{:03}", at_ms / 1000, at_ms % 1000));
    // Several such files may exist; a name has 255 bytes at most.
    for _ in 0..255 {
        if !is_there(Path::new(&word)) {
            break;
        }
        word.push("0");
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_that_very_name_is_not_what_is_meant() {
        let word = |taken: &[&str]| {
            let word = of_moment(Path::new("/a.mp4"), 192_500, |path| {
                taken.iter().any(|name| Path::new(name) == path)
            });
            word.into_string().unwrap()
        };
        assert_eq!(word(&[]), "/a.mp4@192.500");
        assert_eq!(word(&["/a.mp4@192.500", "/a.mp4@192.5000"]), "/a.mp4@192.50000");
    }
}
