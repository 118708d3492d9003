//! Opens a file with FFmpeg, and words the reasons why a file cannot be opened.

#![expect(unsafe_code, reason = "ffmpeg-next shows neither a format's flags nor a seek by bytes")]

use std::io::{Read, Seek, SeekFrom};

use ffmpeg_next::format::context::Input;
use ffmpeg_next::{Dictionary, Error, ffi};

use super::allowed::Allowed;
use crate::media::ended::Unusable;
use crate::media::evidence::{self, Watched};

/// Enough to recognise a format. Bytes.
const HEAD_BYTES: u64 = 16 << 10;

/// Reads the first bytes of the file, which the error messages need, and rewinds the file.
pub(super) fn read_head(file: &mut Watched) -> Result<Vec<u8>, Unusable> {
    let cannot_read = |error| Unusable(format!("cannot read the file: {error}"));
    let mut head = Vec::new();
    file.seek(SeekFrom::Start(0)).map_err(cannot_read)?;
    Read::by_ref(file).take(HEAD_BYTES).read_to_end(&mut head).map_err(cannot_read)?;
    file.seek(SeekFrom::Start(0)).map_err(cannot_read)?;
    if head.is_empty() {
        return Err(Unusable("the file is empty (0 bytes)".to_owned()));
    }
    Ok(head)
}

/// Returns the options that every input is opened with.
pub(super) fn options(allowed: &Allowed) -> Dictionary<'static> {
    let mut options = Dictionary::new();
    // A custom reader removes FFmpeg's own default. Without this option a playlist could open files and sockets.
    options.set("protocol_whitelist", "none");
    options.set("format_whitelist", &allowed.format_list());
    options.set("codec_whitelist", &allowed.codec_list());
    options
}

/// Returns whether the file has a clock at all. A bare stream of pictures can only be decoded from its beginning.
pub(super) fn has_clock(input: &Input) -> bool {
    // SAFETY: `input` is open, its format is a static description, and `start_time` is a plain number.
    let (flags, start) = unsafe {
        let context = input.as_ptr();
        ((*(*context).iformat).flags, (*context).start_time)
    };
    flags & ffi::AVFMT_NOTIMESTAMPS == 0 && start != ffi::AV_NOPTS_VALUE
}

pub(super) fn cannot_open(error: Error, head: &[u8], allowed: &Allowed) -> Unusable {
    evidence::note_error(error);
    let is_mp4 = head
        .get(4..8)
        .is_some_and(|kind| [&b"ftyp"[..], b"mdat", b"wide", b"skip", b"free"].contains(&kind));
    Unusable(match error {
        Error::InvalidData if is_mp4 => {
            "the file is truncated or was never finished: the index of its frames (moov) is missing or damaged".to_owned()
        }
        Error::InvalidData => "not a media file, or damaged at its beginning".to_owned(),
        // FFmpeg returns this if the format is known but not allowed.
        Error::Other {
            errno: ffmpeg_next::util::error::EINVAL,
        } => allowed
            .why_not_format(head)
            .unwrap_or_else(|| "its format is not supported, or it contradicts itself".to_owned()),
        Error::Eof => "the file ends before its first frame".to_owned(),
        error => format!("cannot be opened: {error}"),
    })
}

/// Seeks to the first byte of a broadcast container, whose stamps may start over and cannot be searched. Returns `false` for other
/// containers.
pub(super) fn seek_to_first_byte(input: &mut Input) -> bool {
    // SAFETY: `input` is open; its format is a static description.
    unsafe {
        let context = input.as_mut_ptr();
        let flags = (*(*context).iformat).flags;
        flags & ffi::AVFMT_TS_DISCONT != 0
            && flags & (ffi::AVFMT_NO_BYTE_SEEK | ffi::AVFMT_NOBINSEARCH) == 0
            && ffi::av_seek_frame(context, -1, 0, ffi::AVSEEK_FLAG_BYTE) >= 0
    }
}
