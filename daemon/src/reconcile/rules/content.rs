//! Extensions with several meanings: `.ts` is also TypeScript, `.mod` is also tracker music and Go. The first bytes of such a file decide
//! whether it may be a video at all, before a worker is started for it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// In lower case.
const AMBIGUOUS: &[&str] = &["ts", "mts", "cts", "mod", "tod", "dat", "m2t"];

/// Number of bytes read from a file. A recording may begin in the middle of a packet.
const HEAD_BYTES: usize = 64 << 10;

/// Lengths of an MPEG transport stream packet: plain, with a time stamp before it (Blu-ray, AVCHD), with a checksum after it (DVB).
const PACKET_BYTES: &[usize] = &[188, 192, 204];
/// First byte of every packet.
const SYNC: u8 = 0x47;
/// This many packets in a row are not a coincidence.
const N_PACKETS: usize = 5;

/// Magic bytes of the containers that the worker reads, with their offset.
const BEGINNINGS: &[(usize, &[u8])] = &[
    // MPEG program and elementary streams.
    (0, &[0, 0, 1]),
    (0, &[0, 0, 0, 1]),
    // AVI, and the wrapper of MPEG on discs.
    (0, b"RIFF"),
    (4, b"ftyp"),
    (4, b"moov"),
    (4, b"mdat"),
    (4, b"moof"),
    (4, b"styp"),
    (4, b"free"),
    (4, b"skip"),
    (4, b"wide"),
    (4, b"pnot"),
    (4, b"uuid"),
    (0, &[0x1a, 0x45, 0xdf, 0xa3]),
    (0, b"OggS"),
    (0, b"FLV\x01"),
    (0, &[0x30, 0x26, 0xb2, 0x75]),
    (0, &[0x06, 0x0e, 0x2b, 0x34]),
    (0, b"DKIF"),
    (0, &[0x12, 0x00]),
    (0, b"GIF8"),
    // Digital video (DV) of tape cameras.
    (0, &[0x1f, 0x07, 0x00]),
];

/// Returns whether files with this extension are often not videos.
pub(in crate::reconcile) fn is_ambiguous(path: &Path) -> bool {
    let extension = path.extension().map(std::ffi::OsStr::to_ascii_lowercase);
    extension.is_some_and(|extension| AMBIGUOUS.iter().any(|known| extension == *known))
}

/// Decides by its first bytes whether a file may be a video. Reads nothing else. An unknown container counts as a video: only files that
/// are certainly something else are rejected.
pub(in crate::reconcile) fn may_be_video(file: &File) -> io::Result<bool> {
    let mut head = vec![0; HEAD_BYTES];
    let mut n_read = 0;
    while n_read < head.len() {
        match file.read_at(&mut head[n_read..], n_read as u64) {
            Ok(0) => break,
            Ok(n) => n_read += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(is_like_video(&head[..n_read]))
}

fn is_like_video(head: &[u8]) -> bool {
    let begins = |(at, with): &(usize, &[u8])| head.get(*at..).is_some_and(|rest| rest.starts_with(with));
    BEGINNINGS.iter().any(begins) || !is_text(head) && PACKET_BYTES.iter().any(|length| has_packets(head, *length))
}

/// Recognises text, because lines as long as a packet must not be mistaken for packets.
fn is_text(head: &[u8]) -> bool {
    let head = &head[..head.len().min(4096)];
    let is_control = |byte: &u8| matches!(byte, 0..=8 | 14..=26 | 28..=31);
    // The last character may be cut off.
    let is_utf8 = std::str::from_utf8(head).map_or_else(|error| error.error_len().is_none(), |_| true);
    let is_plain = |byte: &&u8| matches!(byte, 9..=13 | 32..=126);
    // Older text has one byte for each letter, and few letters are beyond ASCII.
    let is_mostly_plain = || head.iter().filter(is_plain).count() * 10 >= head.len() * 7;
    !head.iter().any(is_control) && (is_utf8 || is_mostly_plain())
}

fn has_packets(head: &[u8], length: usize) -> bool {
    // A very short recording has fewer packets. Then all of them must be there, from the beginning on.
    let n_packets = N_PACKETS.min(head.len() / length);
    let offsets = if n_packets < N_PACKETS {
        length.min(5)
    } else {
        head.len() - (N_PACKETS - 1) * length
    };
    n_packets > 1 && (0..offsets).any(|offset| (0..n_packets).all(|packet| head.get(offset + packet * length) == Some(&SYNC)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(lead: usize, length: usize, n_packets: usize) -> Vec<u8> {
        let mut bytes = vec![0xff; lead];
        for _ in 0..n_packets {
            let mut packet = vec![0x11; length];
            packet[if length == 192 { 4 } else { 0 }] = SYNC;
            bytes.extend(packet);
        }
        bytes
    }

    #[test]
    fn packets_of_every_length_are_seen_also_after_half_a_packet() {
        for &length in PACKET_BYTES {
            for lead in [0, 1, 100, 187, 5000] {
                assert!(is_like_video(&stream(lead, length, 20)), "{lead} bytes, then packets of {length}");
            }
            assert!(is_like_video(&stream(0, length, 3)), "a short one of {length}");
        }
        for length in [187, 189, 200] {
            assert!(!is_like_video(&stream(0, length, 20)), "packets of {length}");
        }
    }

    #[test]
    fn source_code_music_and_nothing_are_no_videos() {
        let script = "import { Gallery } from './gallery';\nexport const GREETING = 'Good morning';\n".repeat(800);
        let lines = format!("G{}\n", "x".repeat(186)).repeat(100);
        let mut song = vec![0; 4096];
        song[1080..1084].copy_from_slice(b"M.K.");
        for content in [
            script.as_bytes(),
            b"module example.org/films\n\ngo 1.23\n",
            b"<?xml version=\"1.0\"?>\n<!DOCTYPE TS>\n<TS language=\"de\">\n",
            lines.as_bytes(),
            &b"// caf\xe9, latin 1 G\n".repeat(1000),
            &b"// caf\xe9 latin1 G\n".repeat(1000),
            b"GGGGGGG",
            b"",
            &song,
        ] {
            assert!(
                !is_like_video(content),
                "{:?}",
                String::from_utf8_lossy(&content[..content.len().min(40)])
            );
        }
    }

    #[test]
    fn other_containers_under_such_a_name_are_videos() {
        let program_stream = [0, 0, 1, 0xba, 0x44, 0, 4, 0];
        for content in [
            &program_stream[..],
            b"\0\0\0\x20ftypisom",
            b"RIFF\x24\x08\0\0CDXAfmt ",
            b"\x1a\x45\xdf\xa3\x01\0",
        ] {
            assert!(is_like_video(content), "{content:?}");
        }
    }

    #[test]
    fn only_endings_that_mean_other_things_are_looked_into() {
        for (name, expected) in [
            ("a.ts", true),
            ("a.MTS", true),
            ("a.mod", true),
            ("a.mp4", false),
            ("ts", false),
            ("a.m2ts", false),
        ] {
            assert_eq!(is_ambiguous(Path::new(name)), expected, "{name}");
        }
    }
}
