//! `sheet`: all scenes of a video on one page.

use std::path::{Path, PathBuf};

use montage::output_file::OutputFile;
use montage::page::{Card, Sheet};
use scened_shared::message::FileRequest;
use scened_shared::method;

use crate::cli;
use crate::command::files::{self, Written};
use crate::command::{Context, check_file, moments, wire};
use crate::failure::{Failure, Outcome};
use crate::render::{text, time};

pub(super) fn run(context: &mut Context, args: &cli::Sheet) -> Result<Outcome, Failure> {
    check_file(&args.file)?;
    let mut client = context.connect()?;
    let answer = client.call::<method::Scenes>(&FileRequest { file: wire(&args.file)? })?;
    let moments = moments::of_scenes(&mut client, &answer)?;
    let video = moments::path(&answer.file)?;
    let target = OutputFile::new(
        &args.output.clone().unwrap_or_else(|| beside_us(&video)),
        args.force,
        [video.as_path()],
    )?;
    let pictures = moments::pictures(&mut client, &moments)?;
    let folder = video
        .parent()
        .map(|folder| text::path(folder, context.out.home()))
        .unwrap_or_default();
    let sheet = Sheet {
        title: video.file_name().map(|name| text::path(Path::new(name), None)).unwrap_or_default(),
        lead: format!(
            "{} in {} · {folder}",
            text::count(moments.len() as u64, "scene"),
            time::moment(answer.duration_ms)
        ),
        notes: moments
            .first()
            .and_then(|moment| moment.availability.obstacle())
            .into_iter()
            .collect(),
        cards: moments
            .iter()
            .zip(pictures)
            .map(|(moment, picture)| Card {
                moment,
                picture,
                label: None,
            })
            .collect(),
        is_one_video: true,
        home: context.out.home(),
        made_at: time::now(),
    };
    let size_bytes = target.write(sheet.to_html().as_bytes())?;
    let written = Written::new("html", target.path(), moments.len(), size_bytes);
    files::report(&mut context.out, &[written])?;
    Ok(Outcome::Done)
}

/// Returns the default place for the page: the current folder, with the video's name. The end of a name that is too long for the extension
/// is cut off.
fn beside_us(video: &Path) -> PathBuf {
    const ENDING: &str = ".html";
    const MAX_NAME_BYTES: usize = 255;
    let name = video.file_name().unwrap_or_default();
    let mut page = if name.len() + ENDING.len() <= MAX_NAME_BYTES {
        name.to_owned()
    } else {
        let text = name.to_string_lossy();
        text[..text.floor_char_boundary(MAX_NAME_BYTES - ENDING.len() - '…'.len_utf8())]
            .to_owned()
            .into()
    };
    if page.len() < name.len() {
        page.push("…");
    }
    page.push(ENDING);
    PathBuf::from(page)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    #[test]
    fn the_longest_name_has_a_page_beside_us() {
        let check = |name: &[u8], expected: &str| {
            let page = beside_us(Path::new(OsStr::from_bytes(name)));
            assert_eq!(page.to_str().unwrap(), expected);
            assert!(page.as_os_str().len() <= 255);
        };
        check(b"/films/a.mp4", "a.mp4.html");
        check("x".repeat(250).as_bytes(), &("x".repeat(250) + ".html"));
        check("x".repeat(251).as_bytes(), &("x".repeat(247) + "….html"));
        check(("ü".repeat(125) + ".mp4").as_bytes(), &("ü".repeat(123) + "….html"));
        check(&[0xff; 255], &("\u{fffd}".repeat(82) + "….html"));
    }
}
