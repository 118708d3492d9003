//! Body of the fuzz target `keyframes`.

use super::{CHECKSUM_BYTES, KIND_SCENE, Reader, checksum};
use crate::pipe;

/// Reads the bytes as a file of pictures: unchanged, and with corrected checksums, so that the code behind the checksums is reached.
pub fn run(data: &[u8]) {
    read(data);
    let mut mended = Vec::new();
    let mut from = data;
    while let Ok(Some(mut frame)) = pipe::read_frame(&mut from, 1 << 20) {
        if frame.kind == KIND_SCENE && frame.body.len() >= CHECKSUM_BYTES {
            let at = frame.body.len() - CHECKSUM_BYTES;
            let sum = checksum(&frame.header, &frame.body[..at]);
            frame.body[at..].copy_from_slice(&sum);
        }
        let length = 5 + frame.header.len() + frame.body.len();
        mended.extend_from_slice(&(length as u32).to_le_bytes());
        mended.push(frame.kind);
        mended.extend_from_slice(&(frame.header.len() as u32).to_le_bytes());
        mended.extend_from_slice(&frame.header);
        mended.extend_from_slice(&frame.body);
    }
    read(&mended);
}

fn read(data: &[u8]) {
    let Ok(mut reader) = Reader::new(data) else { return };
    while let Ok(Some(scene)) = reader.next_scene() {
        assert!(!scene.keyframes.is_empty());
    }
}
