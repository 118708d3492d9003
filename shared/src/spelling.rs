//! Compares names that look alike but differ in bytes. An accented letter is either one character (NFC, as Linux and Windows type it) or a
//! letter and a mark (NFD, as macOS writes it). A person cannot see the difference, so both count as the same name.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use unicode_normalization::{UnicodeNormalization as _, is_nfc};

/// Returns the composed spelling, which stands for all others. For comparisons only. Bytes that are not UTF-8 stay unchanged.
pub fn plain(path: &Path) -> Cow<'_, Path> {
    let bytes = path.as_os_str().as_encoded_bytes();
    if bytes.is_ascii() || path.to_str().is_some_and(is_nfc) {
        return Cow::Borrowed(path);
    }
    let mut composed = Vec::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        composed.extend_from_slice(plain_text(chunk.valid()).as_bytes());
        composed.extend_from_slice(chunk.invalid());
    }
    Cow::Owned(path_of(composed, path))
}

#[cfg(unix)]
fn path_of(bytes: Vec<u8>, _path: &Path) -> PathBuf {
    PathBuf::from(<OsString as std::os::unix::ffi::OsStringExt>::from_vec(bytes))
}

#[cfg(not(unix))]
fn path_of(bytes: Vec<u8>, path: &Path) -> PathBuf {
    // A name that is not valid text is compared unchanged.
    String::from_utf8(bytes).map_or_else(|_| path.to_owned(), PathBuf::from)
}

/// Returns the composed spelling of a text, as [`plain`] does for a path.
pub fn plain_text(text: &str) -> Cow<'_, str> {
    if is_nfc(text) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.nfc().collect())
    }
}

/// Decides whether two paths look the same to a person.
pub fn is_same(one: &Path, other: &Path) -> bool {
    one == other || plain(one) == plain(other)
}

/// Returns `typed` as the disk spells it, as far as it exists there. An entry with exactly the typed name takes precedence.
pub fn on_disk(typed: &Path) -> PathBuf {
    if typed.as_os_str().as_encoded_bytes().is_ascii() || typed.symlink_metadata().is_ok() {
        return typed.to_owned();
    }
    let mut found = PathBuf::new();
    for component in typed.components() {
        let exact = found.join(component);
        let is_there = component.as_os_str().as_encoded_bytes().is_ascii() || exact.symlink_metadata().is_ok();
        found = if is_there {
            exact
        } else {
            alike(&found, component.as_os_str()).map_or(exact, |name| found.join(name))
        };
    }
    found
}

/// Returns a name in `folder` that looks like this one.
fn alike(folder: &Path, name: &OsStr) -> Option<OsString> {
    let names = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.file_name());
    let mut names = names.filter(|other| is_same(Path::new(other), Path::new(name)));
    names.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPOSED: &str = "Caf\u{e9}";
    const DECOMPOSED: &str = "Cafe\u{301}";

    #[test]
    fn both_spellings_of_an_accent_are_one_name_and_other_letters_are_not() {
        assert!(is_same(Path::new(COMPOSED), Path::new(DECOMPOSED)));
        assert!(!is_same(Path::new("Cafe"), Path::new(COMPOSED)));
        assert!(!is_same(Path::new("cafe\u{301}"), Path::new(COMPOSED)), "capitals count");
        // Hangul syllables decompose as well.
        assert!(is_same(Path::new("\u{d55c}"), Path::new("\u{1112}\u{1161}\u{11ab}")));
    }

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_no_text_stay() {
        use std::os::unix::ffi::OsStrExt as _;
        let path = Path::new(OsStr::from_bytes(b"\xff e\xcc\x81"));
        assert_eq!(plain(path).as_os_str().as_bytes(), b"\xff \xc3\xa9");
    }

    #[test]
    fn a_typed_name_finds_what_the_disk_spells_otherwise_and_the_exact_one_first() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir_all(root.join(DECOMPOSED).join("sub")).unwrap();
        std::fs::write(root.join(DECOMPOSED).join("sub").join(DECOMPOSED), "").unwrap();
        assert_eq!(
            on_disk(&root.join(COMPOSED).join("sub").join(COMPOSED)),
            root.join(DECOMPOSED).join("sub").join(DECOMPOSED)
        );
        let gone = root.join(COMPOSED).join("gone").join(COMPOSED);
        assert_eq!(on_disk(&gone), root.join(DECOMPOSED).join("gone").join(COMPOSED));
        std::fs::create_dir(root.join(COMPOSED)).unwrap();
        assert_eq!(on_disk(&root.join(COMPOSED)), root.join(COMPOSED));
    }
}
