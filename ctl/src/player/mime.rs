//! The type of a file by its name, according to the desktop's own database.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Used if there is no database: the types for which players register.
const FALLBACK: &[(&str, &str)] = &[
    ("mp4", "video/mp4"),
    ("m4v", "video/mp4"),
    ("mkv", "video/x-matroska"),
    ("webm", "video/webm"),
    ("mov", "video/quicktime"),
    ("avi", "video/x-msvideo"),
    ("mpg", "video/mpeg"),
    ("mpeg", "video/mpeg"),
    ("ts", "video/mp2t"),
    ("m2ts", "video/mp2t"),
    ("wmv", "video/x-ms-wmv"),
    ("flv", "video/x-flv"),
    ("ogv", "video/ogg"),
    ("3gp", "video/3gpp"),
];

/// Returns the names of a file's type, the likeliest first.
///
/// **Source**: Shared MIME-info Database specification: `globs2` (weight, type, pattern), `aliases`. Only patterns `*.end` are considered:
/// videos have no others.
pub(super) fn types_of(file: &Path, data_folders: &[PathBuf]) -> Vec<String> {
    let Some(name) = file.file_name().map(|name| name.to_string_lossy().to_lowercase()) else {
        return Vec::new();
    };
    // Among equal weights the longer suffix wins: `.tar.gz` is not a `.gz`.
    let mut found: Vec<(u32, usize, String)> = Vec::new();
    for text in read_all(data_folders, "mime/globs2") {
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let mut parts = line.split(':');
            let (Some(weight), Some(kind), Some(glob)) = (parts.next(), parts.next(), parts.next()) else {
                continue;
            };
            let Some(end) = glob.strip_prefix('*').filter(|end| !end.contains(['*', '?', '['])) else {
                continue;
            };
            if let Ok(weight) = weight.parse()
                && name.ends_with(&end.to_lowercase())
            {
                found.push((weight, end.len(), kind.to_owned()));
            }
        }
    }
    found.sort_by_key(|(weight, length, _)| std::cmp::Reverse((*weight, *length)));
    let mut types: Vec<String> = found.into_iter().map(|(_, _, kind)| kind).collect();
    let fallback = FALLBACK
        .iter()
        .find(|(end, _)| name.rsplit_once('.').is_some_and(|(_, found)| found == *end));
    types.extend(fallback.map(|(_, kind)| (*kind).to_owned()));
    // An application may have registered for an older name of the type.
    for text in read_all(data_folders, "mime/aliases") {
        for line in text.lines() {
            if let Some((alias, kind)) = line.split_once(' ')
                && types.iter().any(|known| known == kind)
            {
                types.push(alias.to_owned());
            }
        }
    }
    let mut seen = BTreeSet::new();
    types.retain(|kind| seen.insert(kind.clone()));
    types
}

fn read_all<'a>(data_folders: &'a [PathBuf], name: &'a str) -> impl Iterator<Item = String> + 'a {
    data_folders
        .iter()
        .filter_map(move |folder| Some(String::from_utf8_lossy(&std::fs::read(folder.join(name)).ok()?).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_says_what_a_file_is_and_a_small_list_where_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("mime")).unwrap();
        let globs = "# a comment\n50:video/x-dv:*.dv\n50:video/matroska:*.mkv\n80:video/odd:*.two.mkv\n50:x/literal:makefile\n50:broken\n";
        std::fs::write(folder.path().join("mime/globs2"), globs).unwrap();
        std::fs::write(folder.path().join("mime/aliases"), "video/x-matroska video/matroska\n").unwrap();
        let with = [folder.path().to_path_buf()];
        let check = |name: &str, folders: &[PathBuf], expected: &[&str]| {
            assert_eq!(types_of(Path::new(name), folders), expected, "{name}");
        };
        check("/a/film.DV", &with, &["video/x-dv"]);
        check("/a/film.mkv", &with, &["video/matroska", "video/x-matroska"]);
        check("/a/film.two.mkv", &with, &["video/odd", "video/matroska", "video/x-matroska"]);
        check("/a/film.mkv", &[], &["video/x-matroska"]);
        check("/a/film.mp4", &with, &["video/mp4"]);
        check("/a/film", &with, &[]);
        check("/", &with, &[]);
    }
}
