//! Edits the boxes of MP4 and MOV files, for videos that the ffmpeg command would not make.

use std::ops::Range;

/// Returns where each of these nested boxes is, outermost first. Takes the first box of each kind.
pub(crate) fn find(video: &[u8], kinds: &[&[u8; 4]]) -> Vec<Range<usize>> {
    let mut range = 0..video.len();
    kinds
        .iter()
        .map(|kind| {
            let mut at = range.start;
            loop {
                assert!(at < range.end, "no box {}", String::from_utf8_lossy(kind.as_slice()));
                let size = u32::from_be_bytes(video[at..at + 4].try_into().expect("four bytes")) as usize;
                if &video[at + 4..at + 8] == kind.as_slice() {
                    range = at + 8..at + size;
                    return at..at + size;
                }
                at += size;
            }
        })
        .collect()
}

/// Replaces the content of the innermost of these boxes by `with`, and corrects all sizes.
pub(crate) fn replace_in_boxes(video: &mut Vec<u8>, kinds: &[&[u8; 4]], with: &[u8]) {
    let found = find(video, kinds);
    let inner = found.last().expect("a box is named");
    let inner = inner.start + 8..inner.end;
    let grown = with.len() as i64 - inner.len() as i64;
    video.splice(inner, with.iter().copied());
    for outer in found {
        let at = outer.start;
        let size = i64::from(u32::from_be_bytes(video[at..at + 4].try_into().expect("four bytes"))) + grown;
        video[at..at + 4].copy_from_slice(&(size as u32).to_be_bytes());
    }
}

/// Returns the content of the innermost of these boxes.
pub(crate) fn inside(video: &[u8], kinds: &[&[u8; 4]]) -> Vec<u8> {
    let found = find(video, kinds);
    let inner = found.last().expect("a box is named");
    video[inner.start + 8..inner.end].to_vec()
}
