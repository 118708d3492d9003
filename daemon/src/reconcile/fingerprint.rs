//! Fingerprints recognise the same content under another name.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use scened_common::domain::{FileStamp, Fingerprint};
use xxhash_rust::xxh3::Xxh3;

use crate::video_file::whole::WHOLE_BYTES;
pub use crate::video_file::{open_video, stamp_of};

/// Number of first and of last bytes that are always hashed: containers keep their headers and tables of contents there.
const EDGE_BYTES: u64 = 64 << 10;
/// Number of blocks hashed between the two edges, evenly spaced.
const N_MIDDLE_BLOCKS: u64 = 8;
const MIDDLE_BYTES: u64 = 16 << 10;
const _: () = assert!(WHOLE_BYTES == 2 * EDGE_BYTES + N_MIDDLE_BLOCKS * MIDDLE_BYTES);

/// Computes XXH3-128 over the size, both edges and some blocks between them. Small files are hashed whole.
///
/// **Invariant**: the same content gives the same value under any name and on any file system. A change of single bytes in a large file
/// that keeps its size may go unnoticed. Players and encoders, however, change the size, header or table of contents.
pub fn fingerprint(file: &File, size_bytes: u64) -> io::Result<Fingerprint> {
    let mut hash = Xxh3::new();
    hash.update(&size_bytes.to_le_bytes());
    let mut buffer = vec![0_u8; EDGE_BYTES as usize];
    let mut add = |offset: u64, length: u64| -> io::Result<()> {
        let (mut offset, end) = (offset, offset + length);
        while offset < end {
            let block = &mut buffer[..(end - offset).min(EDGE_BYTES) as usize];
            file.read_exact_at(block, offset)?;
            hash.update(block);
            offset += block.len() as u64;
        }
        Ok(())
    };
    if size_bytes <= WHOLE_BYTES {
        add(0, size_bytes)?;
    } else {
        add(0, EDGE_BYTES)?;
        let between = size_bytes - 2 * EDGE_BYTES - MIDDLE_BYTES;
        for block in 0..N_MIDDLE_BLOCKS {
            let offset = (u128::from(between) * u128::from(block) / u128::from(N_MIDDLE_BLOCKS - 1)) as u64;
            add(EDGE_BYTES + offset, MIDDLE_BYTES)?;
        }
        add(size_bytes - EDGE_BYTES, EDGE_BYTES)?;
    }
    Ok(Fingerprint(hash.digest128().to_be_bytes()))
}

/// A consistent reading of a file: its stamp was the same before and after.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    pub stamp: FileStamp,
    pub fingerprint: Fingerprint,
}

/// Reads the fingerprint of the file at `path`; `None` if the file changed meanwhile.
pub fn read_file(path: &Path, follow: bool) -> io::Result<Option<Reading>> {
    let file = open_video(path, follow)?;
    let stamp = stamp_of(&file.metadata()?);
    let fingerprint = match fingerprint(&file, stamp.size_bytes) {
        Ok(fingerprint) => fingerprint,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    let unchanged = stamp_of(&file.metadata()?) == stamp;
    Ok(unchanged.then_some(Reading { stamp, fingerprint }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(content: &[u8]) -> Fingerprint {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, content).unwrap();
        read_file(&path, false).unwrap().unwrap().fingerprint
    }

    #[test]
    fn same_bytes_same_value_and_every_byte_of_a_small_file_counts() {
        let mut content = vec![7_u8; 100_000];
        let first = of(&content);
        assert_eq!(first, of(&content));
        content[50_000] = 8;
        assert_ne!(first, of(&content));
        assert_ne!(of(b""), of(b"\0"));
    }

    #[test]
    fn edges_middle_and_size_of_a_large_file_count() {
        let content = vec![0_u8; 3 << 20];
        let plain = of(&content);
        for at in [0, (64 << 10) - 1, 64 << 10, (3 << 20) - 1, (3 << 20) - (64 << 10)] {
            let mut changed = content.clone();
            changed[at] = 1;
            assert_ne!(plain, of(&changed), "byte {at} is not looked at");
        }
        assert_ne!(plain, of(&content[1..]));
    }

    #[test]
    fn links_pipes_and_folders_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        std::fs::write(&file, "x").unwrap();
        let link = folder.path().join("b");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(read_file(&link, false).is_err());
        assert!(read_file(&link, true).is_ok());
        let pipe = folder.path().join("c");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        assert!(read_file(&pipe, false).is_err());
        assert!(read_file(folder.path(), false).is_err());
    }

    #[test]
    fn reading_leaves_the_access_time_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "x").unwrap();
        let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_times(std::fs::FileTimes::new().set_accessed(old))
            .unwrap();
        read_file(&path, false).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().accessed().unwrap(), old);
    }
}
