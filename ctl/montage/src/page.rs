//! A contact sheet: scenes with their pictures on one self-contained HTML page that makes no requests.
//!
//! The page may run one script and one style, both allowed by hash in its content security policy. The script contains no foreign text;
//! names reach it only as data of elements.

use std::fmt::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use scened_shared::{shell, terminal};
use sha2::{Digest as _, Sha256};

use crate::moment::Moment;
use crate::{clock, quote, time};

const STYLE: &str = include_str!("page/sheet.css");
const SCRIPT: &str = include_str!("page/sheet.js");

/// The contents of the page. Texts are passed unescaped and escaped here.
#[derive(Debug)]
pub struct Sheet<'a> {
    /// Title of the page, also used as its heading.
    pub title: String,
    /// The line beneath the title: a folder, or a count.
    pub lead: String,
    /// Remarks about what is shown.
    pub notes: Vec<String>,
    /// The scenes, in this order.
    pub cards: Vec<Card<'a>>,
    /// Whether all scenes are from one video, so its name need not appear under each.
    pub is_one_video: bool,
    /// The user's home folder, shown as `~`.
    pub home: Option<&'a Path>,
    /// When the page was made, in readable form.
    pub made_at: String,
}

/// One scene on the page.
#[derive(Debug)]
pub struct Card<'a> {
    /// Which moment of which video it is.
    pub moment: &'a Moment,
    /// A JPEG in base64.
    pub picture: Option<String>,
    /// Such as the confidence of the hit.
    pub label: Option<String>,
}

/// Returns what the page copies for a scene: `FILE@TIME`, quoted for a shell if necessary.
fn address(moment: &Moment) -> String {
    let mut word = moment.path.clone().into_os_string();
    let ms = moment.at_ms;
    word.push(format!("@{}.{:03}", time::moment(ms), ms % 1000));
    shell::word(&word).expect("a time is no line break")
}

fn hash(of: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(of)))
}

impl Sheet<'_> {
    /// Renders the whole page. No name can affect it, whatever it contains.
    pub fn to_html(&self) -> String {
        let policy = format!(
            "default-src 'none'; img-src data:; style-src {}; script-src {}; base-uri 'none'; form-action 'none'",
            hash(STYLE),
            hash(SCRIPT)
        );
        let title = quote::markup(&self.title);
        let mut html = String::new();
        write!(
            html,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
             <title>{title} – scened</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
             <header>\n<h1><bdi>{title}</bdi></h1>\n<p>{}</p>\n",
            quote::markup(&self.lead)
        )
        .expect("a string takes any text");
        for note in &self.notes {
            writeln!(html, "<p class=\"note\">{}</p>", quote::markup(note)).expect("a string takes any text");
        }
        html.push_str("</header>\n<main>\n<ol class=\"scenes\" aria-label=\"Scenes\">\n");
        for (index, card) in self.cards.iter().enumerate() {
            self.card(&mut html, index + 1, card);
        }
        write!(
            html,
            "</ol>\n</main>\n<footer>\n<p class=\"keys\" hidden><kbd>←</kbd> <kbd>→</kbd> <kbd>↑</kbd> <kbd>↓</kbd> move, <kbd>Enter</kbd> opens the video there, <kbd>C</kbd> copies path and time.</p>\n<p>Made by scenectl {} on {}. The pictures are in this file; the links lead to videos on the computer that made it.</p>\n</footer>\n<div id=\"said\" role=\"status\"></div>\n<script>{SCRIPT}</script>\n</body>\n</html>\n",
            env!("CARGO_PKG_VERSION"),
            quote::markup(&self.made_at),
        )
        .expect("a string takes any text");
        html
    }

    fn card(&self, html: &mut String, number: usize, card: &Card<'_>) {
        let moment = card.moment;
        let times = time::range(moment.start_ms, moment.end_ms);
        let spoken = format!("Scene {number}, {}", times.replace('–', "to"));
        let picture = match card.picture.as_deref().filter(|picture| is_base64(picture)) {
            Some(picture) => format!("<img src=\"data:image/jpeg;base64,{picture}\" alt=\"{spoken}\" decoding=\"async\">"),
            None => format!("<span class=\"blank\"><span class=\"spoken\">{spoken}, </span>no picture</span>"),
        };
        write!(
            html,
            "<li data-moment=\"{}\"><a href=\"{}\" rel=\"noreferrer\">{picture}<span class=\"line\"><span class=\"time\" aria-hidden=\"true\">{times}</span>",
            quote::markup(&address(moment)),
            quote::markup(&link(moment)),
        )
        .expect("a string takes any text");
        if let Some(label) = &card.label {
            write!(html, " <span class=\"label\">{}</span>", quote::markup(label)).expect("a string takes any text");
        }
        html.push_str("</span>");
        if !self.is_one_video {
            let name = moment.path.file_name().map_or(moment.path.as_path(), Path::new);
            let folder = moment.path.parent().unwrap_or(Path::new("/"));
            write!(
                html,
                "<span class=\"name\"><bdi>{}</bdi></span><span class=\"folder\"><bdi>{}</bdi></span>",
                quote::markup(&terminal::path(name, None)),
                breakable(&quote::markup(&terminal::path(folder, self.home))),
            )
            .expect("a string takes any text");
        }
        if let Some(obstacle) = moment.availability.obstacle().filter(|_| !self.is_one_video) {
            write!(html, "<span class=\"away\">{}</span>", quote::markup(&obstacle)).expect("a string takes any text");
        }
        writeln!(
            html,
            "</a><button type=\"button\" aria-label=\"Copy path and time of scene {number}\" title=\"Copy path and time\" hidden>Copy</button></li>"
        )
        .expect("a string takes any text");
    }
}

/// Lets a long path break between its folders.
fn breakable(markup: &str) -> String {
    markup.replace('/', "/<wbr>")
}

/// Returns whether a text is safe in an attribute without escaping.
fn is_base64(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b))
}

/// Browsers use the file's own time; if that leads elsewhere, they start at the video's beginning.
fn link(moment: &Moment) -> String {
    clock::time(moment.picture.as_ref(), moment.at_ms)
        .map_or_else(|| quote::file_url(&moment.path), |at_ms| quote::moment_url(&moment.path, at_ms))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::moment::Availability;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    use std::path::PathBuf;

    fn moment(path: &[u8]) -> Moment {
        Moment {
            path: PathBuf::from(OsStr::from_bytes(path)),
            start_ms: 192_000,
            end_ms: 199_500,
            at_ms: 193_250,
            video_ms: None,
            scene: None,
            picture: None,
            availability: Availability::Present,
        }
    }

    fn html(moments: &[Moment], picture: Option<&str>) -> String {
        Sheet {
            title: "a <b>dog</b>".to_owned(),
            lead: "2 scenes".to_owned(),
            notes: vec!["1 video \"pending\"".to_owned()],
            cards: moments
                .iter()
                .map(|moment| Card {
                    moment,
                    picture: picture.map(str::to_owned),
                    label: Some("0.93".to_owned()),
                })
                .collect(),
            is_one_video: false,
            home: None,
            made_at: "today".to_owned(),
        }
        .to_html()
    }

    #[test]
    fn a_card_has_picture_times_link_and_address() {
        let html = html(&[moment(b"/films/caf\xc3\xa9 1.mp4")], Some("QUJD"));
        for part in [
            "<title>a &lt;b&gt;dog&lt;/b&gt; – scened</title>",
            "href=\"file:///films/caf%C3%A9%201.mp4#t=193.250\"",
            "data-moment=\"&#39;/films/café 1.mp4@0:03:13.250&#39;\"",
            "src=\"data:image/jpeg;base64,QUJD\" alt=\"Scene 1, 0:03:12 to 0:03:20\"",
            "<bdi>café 1.mp4</bdi>",
            "1 video &quot;pending&quot;",
        ] {
            assert!(html.contains(part), "{part} is not in {html}");
        }
    }

    #[test]
    fn no_name_adds_an_element_an_attribute_or_a_line() {
        let n_tags = |html: &str| html.matches('<').count() - html.matches("<wbr>").count();
        let plain = html(&[moment(b"/films/plain.mp4")], None);
        let odd: &[&[u8]] = &[
            b"/films/\"><script>alert(1)</script>.mp4",
            b"/films/' onload='x.mp4",
            b"/films/new\nline\r.mp4",
            b"/films/</script><!-- ]]>.mp4",
            b"/films/not utf-8 \xff<.mp4",
            "/films/right\u{202e}4pm.mp4".as_bytes(),
            b"/javascript:alert(1)/\x1b[31m.mp4",
        ];
        for path in odd {
            let html = html(&[moment(path)], None);
            assert_eq!(n_tags(&html), n_tags(&plain), "{html}");
            assert_eq!(html.lines().count(), plain.lines().count(), "{html}");
            assert!(!html.contains('\u{202e}') && !html.contains('\u{1b}') && !html.contains('\r'));
        }
        // Data from the daemon is used as a picture only if it is one.
        assert!(!html(&[moment(b"/a.mp4")], Some("x\" onerror=\"y")).contains("onerror"));
    }

    #[test]
    fn what_is_copied_runs_nothing_in_a_plain_shell() {
        let name = b"/films/q\x01'$(touch PWN) #.mp4";
        let word = address(&moment(name));
        assert!(html(&[moment(name)], None).contains(&format!("data-moment=\"{}\"", quote::markup(&word))));
        let folder = tempfile::tempdir().unwrap();
        let script = format!("printf %s {word}");
        let output = std::process::Command::new("sh")
            .args(["-c", &script])
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert_eq!(output.stdout, [name.as_slice(), b"@0:03:13.250"].concat(), "{word}");
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            0,
            "a command in the name was run"
        );
    }

    #[test]
    fn script_and_style_end_where_they_should() {
        for (source, end) in [(STYLE, "</style"), (SCRIPT, "</script")] {
            assert!(!source.to_ascii_lowercase().contains(end) && !source.contains("<!--"));
        }
        let html = html(&[], None);
        assert_eq!((html.matches("<script>").count(), html.matches("<style>").count()), (1, 1));
    }
}
