//! What a file says about its own extent: how many bytes it should have, and whether it has its index.
//!
//! The length in a container is often that of all its tracks, or a plan. The outermost structure shows whether a file is whole: where the
//! container says that it ends, and whether the file reaches that far.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

/// Limit of concatenated files that are read; more are junk.
const MAX_PARTS: usize = 1000;
/// How far behind the last picture to search for another video. Bytes.
const SEARCHED_BYTES: usize = 4 << 20;

const EBML_HEADER: u64 = 0x1a45_dfa3;
const EBML_SEGMENT: u64 = 0x1853_8067;
/// **Source**: the Advanced Systems Format specification, section 10: the GUIDs of the header and of the file properties.
const ASF_HEADER: [u8; 16] = *b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c";
const ASF_FILE_PROPERTIES: [u8; 16] = *b"\xa1\xdc\xab\x8c\x47\xa9\xcf\x11\x8e\xe4\x00\xc0\x0c\x20\x53\x65";

/// What the outermost structure of a file says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    /// Where the file ends, according to its container.
    pub(super) promised_bytes: Option<u64>,
    /// Where another video begins in the same file. FFmpeg would mistake its tracks for those of the first.
    pub(super) next_video_at: Option<u64>,
    /// Whether an AVI file says that it has an index, and whether it has one.
    pub(super) says_index: bool,
    pub(super) has_index: bool,
}

impl Extent {
    /// Reads the extent and rewinds the file. `head`: its first bytes.
    pub(super) fn of(file: &mut File, head: &[u8]) -> Self {
        let extent = match head {
            [0x1a, 0x45, 0xdf, 0xa3, ..] => ebml(file),
            [b'R', b'I', b'F', b'F', ..] => riff(file, head),
            _ if head.starts_with(&ASF_HEADER) => Self {
                promised_bytes: asf_bytes(head),
                ..Self::default()
            },
            _ => Self::default(),
        };
        // A file that cannot be rewound cannot be read either, and FFmpeg will report that.
        drop(file.seek(SeekFrom::Start(0)));
        extent
    }

    /// Returns whether the file has all the bytes that it claims, or `None` if it claims nothing.
    pub(super) fn is_whole(&self, file_bytes: i64) -> Option<bool> {
        let promised = i64::try_from(self.promised_bytes?).unwrap_or(i64::MAX);
        Some(promised <= file_bytes)
    }
}

fn read_at(file: &mut File, at: u64, bytes: &mut [u8]) -> Option<()> {
    file.seek(SeekFrom::Start(at)).ok()?;
    file.read_exact(bytes).ok()
}

/// Finds the end of the first segment. A segment of unknown size, as in a live recording, promises nothing.
fn ebml(file: &mut File) -> Extent {
    let mut at = 0;
    for _ in 0..MAX_PARTS {
        let Some((id, data, Some(size))) = ebml_element(file, at) else {
            break;
        };
        at = data.saturating_add(size);
        if id == EBML_SEGMENT {
            // Junk behind the end is not another video.
            let is_video = ebml_element(file, at).is_some_and(|(id, ..)| id == EBML_HEADER);
            return Extent {
                promised_bytes: Some(at),
                next_video_at: is_video.then_some(at),
                ..Extent::default()
            };
        }
    }
    Extent::default()
}

/// Returns the id, the start of the data and the size of the element at `at`.
fn ebml_element(file: &mut File, at: u64) -> Option<(u64, u64, Option<u64>)> {
    let (id, id_bytes) = ebml_number(file, at, false)?;
    let (size, size_bytes) = ebml_number(file, at + id_bytes, true)?;
    let unknown = (1 << (7 * size_bytes)) - 1;
    Some((id, at + id_bytes + size_bytes, (size != unknown).then_some(size)))
}

fn ebml_number(file: &mut File, at: u64, without_marker: bool) -> Option<(u64, u64)> {
    let mut first = [0];
    read_at(file, at, &mut first)?;
    let n_bytes = first[0].leading_zeros() as usize + 1;
    let mut bytes = [0; 8];
    let used = bytes.get_mut(8_usize.checked_sub(n_bytes)?..)?;
    read_at(file, at, used)?;
    if without_marker {
        used[0] &= 0xff_u8.checked_shr(n_bytes as u32).unwrap_or(0);
    }
    Some((u64::from_be_bytes(bytes), n_bytes as u64))
}

/// Reads an AVI file: a sequence of RIFF chunks, with the index at the end of the first.
fn riff(file: &mut File, head: &[u8]) -> Extent {
    let mut extent = Extent {
        // The flags are in the first header of the first list.
        says_index: head
            .windows(4)
            .position(|name| name == b"avih")
            .and_then(|at| head.get(at + 20..at + 24)?.first())
            .is_some_and(|flags| flags & 0x10 != 0),
        ..Extent::default()
    };
    let mut at = 0;
    for part in 0..MAX_PARTS {
        let mut name = [0; 12];
        if read_at(file, at, &mut name).is_none() || name[..4] != *b"RIFF" || !matches!(&name[8..], b"AVI " | b"AVIX") {
            break;
        }
        let size = riff_size(&name);
        // A file that is still being written, or was never finished, states no size.
        if matches!(size, 0 | 0xffff_ffff) {
            return Extent {
                promised_bytes: None,
                ..extent
            };
        }
        let end = at + 8 + size;
        if part == 0 {
            extent.has_index = has_chunk(file, 12, end, *b"idx1");
        }
        extent.promised_bytes = Some(end);
        at = end + size % 2;
    }
    extent
}

fn riff_size(header: &[u8]) -> u64 {
    let size = header.get(4..8).and_then(|size| size.first_chunk()).copied().unwrap_or_default();
    u64::from(u32::from_le_bytes(size))
}

fn has_chunk(file: &mut File, mut at: u64, end: u64, wanted: [u8; 4]) -> bool {
    let mut header = [0; 8];
    for _ in 0..MAX_PARTS {
        if at >= end || read_at(file, at, &mut header).is_none() {
            return false;
        }
        if header[..4] == wanted {
            return true;
        }
        let size = riff_size(&header);
        at += 8 + size + size % 2;
    }
    false
}

fn asf_bytes(head: &[u8]) -> Option<u64> {
    let at = head.windows(16).position(|guid| guid == ASF_FILE_PROPERTIES)?;
    let size = u64::from_le_bytes(*head.get(at + 40..)?.first_chunk()?);
    // Zero means a broadcast.
    (size > 0).then_some(size)
}

/// Decides whether another video begins behind the last picture, in a format of which FFmpeg reads only the first video.
pub(super) fn another_follows(file: &File, from: u64) -> bool {
    let mut bytes = vec![0; SEARCHED_BYTES];
    let mut n_read = 0;
    while let Ok(n @ 1..) = file.read_at(&mut bytes[n_read..], from + n_read as u64) {
        n_read += n;
        if n_read == bytes.len() {
            break;
        }
    }
    let bytes = &bytes[..n_read];
    let has = |signature: &[u8]| bytes.windows(signature.len()).any(|here| here == signature);
    let has_mp4 = || {
        let sizes = bytes
            .windows(8)
            .filter(|here| here[4..] == *b"ftyp")
            .filter_map(|here| here.first_chunk());
        sizes.copied().map(u32::from_be_bytes).any(|size| (16..=512).contains(&size))
    };
    has(b"FLV\x01") || has(&ASF_HEADER) || has(b"OggS\0\x02") || has_mp4()
}
