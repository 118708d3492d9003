//! `scened thumbnail INPUT OUTPUT`: writes a video's poster frame as a PNG, as desktops expect of a thumbnailer.
//!
//! Desktops run it in their own sandboxes, where it can reach no daemon. So it needs none: as for `scened inspect`, the media worker
//! decodes. It writes only checked pixels. The program that caches the picture adds the keys that the thumbnail specification requires.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::media::{Cancel, MediaError, MediaProcess, Poster, PosterRequest};

/// Allowed lengths of the longer side, up to the largest thumbnail in the specification. Pixels.
pub const SMALLEST_PX: u32 = 32;
pub const LARGEST_PX: u32 = scened_common::media::wire::MAX_IMAGE_PX;

/// A worker decodes for about two seconds of processor time, or eight seconds in all. If it is silent for longer, it hangs, or the disk
/// does.
const SILENCE: Duration = Duration::from_secs(20);
/// The first bytes of a PNG file.
const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";

#[derive(Debug, thiserror::Error)]
pub enum ThumbnailError {
    #[error("{address} does not name a file of this computer")]
    Elsewhere { address: String },
    #[error("cannot open {path}: {source}")]
    Open { path: String, source: io::Error },
    #[error("{path}: {source}")]
    Media { path: String, source: MediaError },
    #[error("{path} is the video itself; nothing was written")]
    IsTheVideo { path: String },
    #[error("{path} exists and is not a PNG; nothing was written")]
    IsSomethingElse { path: String },
    #[error("cannot write {path}: {source}")]
    Write { path: String, source: io::Error },
    #[error("cannot make a PNG: {0}")]
    Encode(#[from] png::EncodingError),
}

/// Writes the poster frame of the video at `input`, a path or a `file:` address, to `output`, whole or not at all. `longer_px` is the
/// longer side of the picture.
pub fn run(input: &OsStr, output: &Path, longer_px: u32) -> Result<(), ThumbnailError> {
    let path = file_of(input)?;
    let shown = path.display().to_string();
    let cannot_open = |source| ThumbnailError::Open {
        path: shown.clone(),
        source,
    };
    let video = crate::video_file::open_video(&path, true).map_err(cannot_open)?;
    let place = Place::at(output, &video.metadata().map_err(cannot_open)?)?;
    let request = PosterRequest {
        longer_px,
        label: shown.clone(),
    };
    let poster = MediaProcess::find()
        .and_then(|source| source.with_silence(SILENCE).poster(video, &request, &Cancel::default()))
        .map_err(|source| ThumbnailError::Media { path: shown, source })?;
    let png = encode(&poster)?;
    place.write(output, &png).map_err(|source| ThumbnailError::Write {
        path: output.display().to_string(),
        source,
    })
}

/// Returns the path that an argument means: the argument itself, or the path in a `file:` address.
fn file_of(argument: &OsStr) -> Result<PathBuf, ThumbnailError> {
    let Some(rest) = argument.as_bytes().strip_prefix(b"file://") else {
        return Ok(PathBuf::from(argument));
    };
    let elsewhere = || ThumbnailError::Elsewhere {
        address: argument.display().to_string(),
    };
    let start = rest.iter().position(|byte| *byte == b'/').ok_or_else(elsewhere)?;
    let (host, path) = rest.split_at(start);
    let path: Vec<u8> = percent_encoding::percent_decode(path).collect();
    if !(host.is_empty() || host.eq_ignore_ascii_case(b"localhost")) || path.contains(&0) {
        return Err(elsewhere());
    }
    Ok(PathBuf::from(std::ffi::OsString::from_vec(path)))
}

/// The way in which the picture is written to its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Written beside its place and renamed.
    New,
    /// Written into the empty file that exists: its creator may read it through an open descriptor, as tumblerd does.
    Prepared,
}

impl Place {
    fn at(output: &Path, video: &Metadata) -> Result<Self, ThumbnailError> {
        let path = || output.display().to_string();
        let cannot_write = |source| ThumbnailError::Write { path: path(), source };
        let there = match fs::metadata(output) {
            Ok(there) => there,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::New),
            Err(error) => return Err(cannot_write(error)),
        };
        if (there.dev(), there.ino()) == (video.dev(), video.ino()) {
            return Err(ThumbnailError::IsTheVideo { path: path() });
        }
        if !there.is_file() {
            return Err(cannot_write(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
        }
        if there.len() == 0 {
            return Ok(Self::Prepared);
        }
        let mut head = Vec::with_capacity(SIGNATURE.len());
        let read = File::open(output).and_then(|file| file.take(SIGNATURE.len() as u64).read_to_end(&mut head));
        read.map_err(cannot_write)?;
        if head == SIGNATURE {
            Ok(Self::New)
        } else {
            Err(ThumbnailError::IsSomethingElse { path: path() })
        }
    }

    fn write(self, output: &Path, png: &[u8]) -> io::Result<()> {
        match self {
            Self::New => {
                let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty());
                let mut draft = tempfile::Builder::new()
                    .prefix(".scened-thumbnail-")
                    .tempfile_in(folder.unwrap_or(Path::new(".")))?;
                draft.write_all(png)?;
                draft.persist(output)?;
                Ok(())
            }
            Self::Prepared => {
                let mut file = File::options().write(true).open(output)?;
                file.write_all(png).or_else(|error| file.set_len(0).and(Err(error)))
            }
        }
    }
}

fn encode(poster: &Poster) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, poster.width_px, poster.height_px);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&poster.rgb)?;
    writer.finish()?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_files_become_their_paths_whatever_bytes_they_have() {
        let path = |argument: &[u8]| {
            file_of(OsStr::from_bytes(argument))
                .map(|path| path.into_os_string().into_vec())
                .ok()
        };
        assert_eq!(path(b"file:///a%20b/%c3%a9%ff%0A.mp4").unwrap(), b"/a b/\xc3\xa9\xff\n.mp4");
        assert_eq!(path(b"file://localhost/a").unwrap(), b"/a");
        assert_eq!(path(b"-a%20b").unwrap(), b"-a%20b", "a path is taken as it is");
        for bad in [&b"file://"[..], b"file://a", b"file://other/a", b"file:///a%00b"] {
            assert_eq!(path(bad), None, "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn only_an_empty_file_or_a_png_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("film"), "a video").unwrap();
        fs::hard_link(at("film"), at("same")).unwrap();
        fs::write(at("text"), "a letter").unwrap();
        fs::write(at("png"), SIGNATURE).unwrap();
        fs::write(at("empty"), "").unwrap();
        let video = at("film").metadata().unwrap();
        let place = |name: &str| Place::at(&at(name), &video);
        assert!(matches!(place("film"), Err(ThumbnailError::IsTheVideo { .. })));
        assert!(matches!(place("same"), Err(ThumbnailError::IsTheVideo { .. })));
        assert!(matches!(place("text"), Err(ThumbnailError::IsSomethingElse { .. })));
        assert!(matches!(place("."), Err(ThumbnailError::Write { .. })));
        assert_eq!(place("png").unwrap(), Place::New);
        assert_eq!(place("new").unwrap(), Place::New);
        assert_eq!(place("empty").unwrap(), Place::Prepared);
    }

    #[test]
    fn who_made_an_empty_file_can_read_it_through_the_descriptor_it_has() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty");
        let mut made = File::create_new(&path).map(|_| File::open(&path).unwrap()).unwrap();
        Place::Prepared.write(&path, b"picture").unwrap();
        let mut read = Vec::new();
        made.read_to_end(&mut read).unwrap();
        assert_eq!(read, b"picture");
    }
}
