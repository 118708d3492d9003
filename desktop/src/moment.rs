//! A found moment of a video, and the id by which a shell refers to it.
//!
//! A shell returns the id later, perhaps to another process of this program, and other programs of the user may invent ids. So an id holds
//! the scene and the query, never a path. If we no longer remember the id, we search for the query again, and open only a scene that the
//! daemon itself returns for it.

use std::path::{Path, PathBuf};

use scened_shared::message::Hit;
use scened_shared::terminal;

/// Any longer id was not made here: a query has at most 4 KiB, which JSON may expand six times.
const MAX_ID_BYTES: usize = 32 << 10;
/// Longer names of videos and folders are truncated for display. Characters.
const MAX_SHOWN: usize = 200;

/// The contents of an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) scene: String,
    pub(crate) query: String,
}

impl Asked {
    /// Parses an id received from outside.
    pub(crate) fn parse(id: &str) -> Option<Self> {
        if id.len() > MAX_ID_BYTES {
            return None;
        }
        let (scene, query) = serde_json::from_str(id).ok()?;
        Some(Self { scene, query })
    }

    fn id(&self) -> String {
        serde_json::to_string(&(&self.scene, &self.query)).expect("two strings can be written as JSON")
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Moment {
    /// The id that a shell gets.
    pub(crate) id: String,
    pub(crate) scene: String,
    pub(crate) path: PathBuf,
    pub(crate) at_ms: u64,
    pub(crate) offline: bool,
    pub(crate) confidence: Option<f32>,
}

impl Moment {
    /// Returns `None` if the daemon sent an invalid path.
    pub(crate) fn of(query: &str, hit: &Hit) -> Option<Self> {
        let path = hit.file.to_path().ok().filter(|path| path.is_absolute())?;
        let asked = Asked {
            scene: hit.scene.clone(),
            query: query.to_owned(),
        };
        Some(Self {
            id: asked.id(),
            scene: asked.scene,
            path,
            at_ms: hit.best_ms,
            offline: hit.offline,
            confidence: hit.confidence,
        })
    }

    /// Returns the video's name.
    pub(crate) fn title(&self) -> String {
        shown(Path::new(self.path.file_name().unwrap_or_default()))
    }

    /// Returns the time and the folder.
    pub(crate) fn details(&self, home: Option<&Path>) -> String {
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        let short = home.filter(|home| home.components().count() > 1).and_then(|home| {
            let rest = folder.strip_prefix(home).ok()?;
            Some(if rest.as_os_str().is_empty() {
                PathBuf::from("~")
            } else {
                Path::new("~").join(rest)
            })
        });
        let away = if self.offline { " · drive not connected" } else { "" };
        format!("{} · {}{away}", clock(self.at_ms), shown(short.as_deref().unwrap_or(folder)))
    }
}

/// Formats a path without line breaks and bidirectional controls.
fn shown(path: &Path) -> String {
    let text = terminal::escape(&path.to_string_lossy());
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Formats `0:03:12`.
fn clock(ms: u64) -> String {
    let seconds = ms / 1000;
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use scened_shared::wire_path::WirePath;

    fn moment(path: &str, query: &str) -> Moment {
        let hit = Hit {
            file: WirePath {
                path: path.to_owned(),
                path_bytes: None,
            },
            start_ms: 0,
            end_ms: 9_000,
            best_ms: 192_500,
            score: 0.3,
            confidence: None,
            video: "000000002a".to_owned(),
            scene: "000000002a-2".to_owned(),
            offline: false,
            video_score: None,
            duration_ms: 600_000,
            picture: None,
        };
        Moment::of(query, &hit).unwrap()
    }

    #[test]
    fn a_name_says_the_scene_and_the_query_and_no_path() {
        for query in ["a dog", "\"],[\"/etc/passwd", "a\nb\u{0}c\\", "日本 👩‍👩‍👧"] {
            let moment = moment("/films/a.mp4", query);
            assert!(!moment.id.contains("films"), "{}", moment.id);
            let asked = Asked::parse(&moment.id).unwrap();
            assert_eq!((asked.scene.as_str(), asked.query.as_str()), ("000000002a-2", query));
        }
    }

    #[test]
    fn names_that_were_made_up_are_none() {
        for id in [
            "",
            "x",
            "/etc/passwd",
            "[]",
            "[1,2]",
            "[\"a\"]",
            "[\"a\",\"b\",\"c\"]",
            "{\"scene\":\"a\"}",
            "[\"a\",\"b\"] x",
        ] {
            assert_eq!(Asked::parse(id), None, "{id}");
        }
        assert_eq!(Asked::parse(&format!("[\"a\",\"{}\"]", "x".repeat(MAX_ID_BYTES))), None);
    }

    #[test]
    fn what_is_shown_is_one_line_of_bearable_length() {
        let home = Some(Path::new("/home/u"));
        let plain = moment("/home/u/Videos/holiday.mp4", "x");
        assert_eq!(
            (plain.title().as_str(), plain.details(home).as_str()),
            ("holiday.mp4", "0:03:12 · ~/Videos")
        );
        assert_eq!(moment("/home/u/a.mp4", "x").details(home), "0:03:12 · ~");
        assert_eq!(moment("/home/ub/a.mp4", "x").details(home), "0:03:12 · /home/ub");
        assert_eq!(moment("/a.mp4", "x").details(Some(Path::new("/"))), "0:03:12 · /");
        let odd = moment("/f\u{202e}/<b>a\n\u{1b}[31m&.mp4", "x");
        assert_eq!(odd.title(), "<b>a\\n\\e[31m&.mp4");
        assert_eq!(odd.details(None), "0:03:12 · /f\\u{202e}");
        assert_eq!(moment(&format!("/{}", "é".repeat(900)), "x").title().chars().count(), MAX_SHOWN + 1);
        let mut away = plain;
        away.offline = true;
        assert_eq!(away.details(home), "0:03:12 · ~/Videos · drive not connected");
    }
}
