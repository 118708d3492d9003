//! Playlists of moments, each with its start and end.
//!
//! VLC reads its own options from M3U and XSPF. mpv (0.35) reads neither, but accepts a range of a video as an entry (`edl://`), which no
//! other player supports. So there are three forms, and the file's extension selects one.
//!
//! Videos are written as `file:` URLs, so no byte in a name can end a line, an entry or an element.

use std::fmt::Write as _;
use std::path::Path;

use scened_shared::terminal;

use crate::moment::Moment;
use crate::{quote, time};

/// A form of playlist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// M3U with VLC's options; other players start at the video's beginning.
    M3u,
    /// XSPF with VLC's options.
    Xspf,
    /// M3U of mpv's `edl://`.
    Mpv,
}

impl Form {
    /// Returns the form for a file's extension in lower case.
    pub fn of_extension(extension: &str) -> Option<Self> {
        match extension {
            "m3u8" | "m3u" => Some(Self::M3u),
            "xspf" => Some(Self::Xspf),
            "mpv" => Some(Self::Mpv),
            _ => None,
        }
    }

    /// Writes the whole list.
    pub fn write(self, title: &str, moments: &[Moment]) -> String {
        match self {
            Self::M3u => m3u(moments, |list, moment| {
                let (start, end) = (quote::seconds(moment.start_ms), quote::seconds(moment.end_ms));
                write!(list, "#EXTVLCOPT:start-time={start}\n#EXTVLCOPT:stop-time={end}\n")?;
                writeln!(list, "{}", quote::file_url(&moment.path))
            }),
            Self::Mpv => m3u(moments, |list, moment| {
                let (start, length) = (quote::seconds(moment.start_ms), quote::seconds(moment.length_ms()));
                writeln!(list, "edl://{},{start},{length}", quote::file_url(&moment.path))
            }),
            Self::Xspf => xspf(title, moments),
        }
    }
}

/// `holiday.mp4 0:03:12 – 0:03:19`, on one line.
fn title(moment: &Moment) -> String {
    let name = moment.path.file_name().map_or(moment.path.as_path(), Path::new);
    format!("{} {}", terminal::path(name, None), time::range(moment.start_ms, moment.end_ms))
}

fn m3u(moments: &[Moment], entry: impl Fn(&mut String, &Moment) -> std::fmt::Result) -> String {
    let mut list = "#EXTM3U\n".to_owned();
    for moment in moments {
        let written = writeln!(list, "#EXTINF:{},{}", quote::seconds(moment.length_ms()), title(moment));
        written.and_then(|()| entry(&mut list, moment)).expect("a string takes any text");
    }
    list
}

fn xspf(name: &str, moments: &[Moment]) -> String {
    let mut list = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<playlist version=\"1\" xmlns=\"http://xspf.org/ns/0/\" \
         xmlns:vlc=\"http://www.videolan.org/vlc/playlist/ns/0/\">\n<title>{}</title>\n<trackList>\n",
        quote::markup(name)
    );
    for (index, moment) in moments.iter().enumerate() {
        write!(
            list,
            "<track>\n<location>{}</location>\n<title>{}</title>\n<duration>{}</duration>\n\
             <extension application=\"http://www.videolan.org/vlc/playlist/0\">\n<vlc:id>{index}</vlc:id>\n\
             <vlc:option>start-time={}</vlc:option>\n<vlc:option>stop-time={}</vlc:option>\n</extension>\n</track>\n",
            quote::file_url(&moment.path),
            quote::markup(&title(moment)),
            moment.length_ms(),
            quote::seconds(moment.start_ms),
            quote::seconds(moment.end_ms),
        )
        .expect("a string takes any text");
    }
    list.push_str("</trackList>\n</playlist>\n");
    list
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::moment::Availability;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    fn moment(path: &[u8]) -> Moment {
        Moment {
            path: Path::new(OsStr::from_bytes(path)).to_owned(),
            start_ms: 192_040,
            end_ms: 199_500,
            at_ms: 193_250,
            video_ms: None,
            scene: None,
            picture: None,
            availability: Availability::Present,
        }
    }

    #[test]
    fn every_form_says_where_to_begin_and_to_end() {
        let list = |form: Form| form.write("a <dog>", &[moment(b"/films/a b.mp4")]);
        assert_eq!(
            list(Form::M3u),
            "#EXTM3U\n#EXTINF:7.460,a b.mp4 0:03:12 – 0:03:20\n#EXTVLCOPT:start-time=192.040\n#EXTVLCOPT:stop-time=199.500\nfile:///films/a%20b.mp4\n"
        );
        assert_eq!(
            list(Form::Mpv),
            "#EXTM3U\n#EXTINF:7.460,a b.mp4 0:03:12 – 0:03:20\nedl://file:///films/a%20b.mp4,192.040,7.460\n"
        );
        let xspf = list(Form::Xspf);
        for part in [
            "<title>a &lt;dog&gt;</title>",
            "<location>file:///films/a%20b.mp4</location>",
            "<vlc:option>start-time=192.040</vlc:option>",
            "<vlc:option>stop-time=199.500</vlc:option>",
        ] {
            assert!(xspf.contains(part), "{part} is not in {xspf}");
        }
    }

    #[test]
    fn no_name_adds_a_line_or_an_element() {
        for form in [Form::M3u, Form::Xspf, Form::Mpv] {
            let plain = form.write("x", &[moment(b"/films/plain.mp4")]);
            for path in [
                &b"/films/new\n#EXTVLCOPT:sout=#file{dst=/tmp/x}\nline.mp4"[..],
                b"/films/a,0,1;!no_chapters;%3%abc.mp4",
                b"/films/</location><x y='\">.mp4",
                b"/films/not utf-8 \xff\r\xfe.mp4",
                "/films/\u{2028}\u{85}\u{202e}\u{ffff}.mp4".as_bytes(),
            ] {
                let list = form.write("new\n<line>", &[moment(path)]);
                let n_lines = |list: &str| list.split(['\n', '\r', '\u{85}', '\u{2028}']).count();
                assert_eq!(n_lines(&list), n_lines(&plain), "{list}");
                if form == Form::Xspf {
                    assert_eq!(list.matches('<').count(), plain.matches('<').count(), "{list}");
                }
            }
        }
    }
}
