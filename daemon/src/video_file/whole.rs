//! The hash of all bytes of a video, for cases in which the samples of a fingerprint are not enough. Pure, except for reading the given
//! file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use scened_common::domain::Fingerprint;
use xxhash_rust::xxh3::Xxh3;

/// Up to this size, a fingerprint covers all bytes of a file.
pub const WHOLE_BYTES: u64 = 256 << 10;

/// Decides whether the fingerprint of a file of this size covers all its bytes.
pub fn has_every_byte(size_bytes: u64) -> bool {
    size_bytes <= WHOLE_BYTES
}

/// Bytes hashed by one call of [`Whole::read_on`], which takes only a moment.
const STEP_BYTES: u64 = 64 << 20;
const BLOCK_BYTES: usize = 1 << 20;

/// An unfinished hash of every byte of a file. It distinguishes a file that was completed in place from its earlier state. It also
/// distinguishes a copy from a download that has the samples of a fingerprint and holes between them.
pub struct Whole {
    hash: Xxh3,
    at: u64,
    size_bytes: u64,
}

impl Whole {
    pub fn new(size_bytes: u64) -> Self {
        let mut hash = Xxh3::new();
        hash.update(&size_bytes.to_le_bytes());
        Self { hash, at: 0, size_bytes }
    }

    /// Reads the next step. Returns the hash when everything is read.
    ///
    /// **Errors**: those of reading; `UnexpectedEof` if the file has become shorter.
    pub fn read_on(&mut self, file: &File, mut each_block: impl FnMut()) -> io::Result<Option<Fingerprint>> {
        let end = self.size_bytes.min(self.at + STEP_BYTES);
        let mut buffer = vec![0_u8; BLOCK_BYTES];
        while self.at < end {
            let block = &mut buffer[..(end - self.at).min(BLOCK_BYTES as u64) as usize];
            file.read_exact_at(block, self.at)?;
            self.hash.update(block);
            self.at += block.len() as u64;
            each_block();
        }
        let is_done = self.at == self.size_bytes;
        Ok(is_done.then(|| Fingerprint(self.hash.digest128().to_be_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_of_a_file_of_several_steps_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let size_bytes = STEP_BYTES + 3;
        let hash = |changed: Option<u64>| {
            let file = File::options()
                .create(true)
                .truncate(true)
                .read(true)
                .write(true)
                .open(&path)
                .unwrap();
            file.set_len(size_bytes).unwrap();
            if let Some(at) = changed {
                file.write_all_at(b"x", at).unwrap();
            }
            let mut whole = Whole::new(size_bytes);
            let mut n_blocks = 0;
            loop {
                if let Some(hash) = whole.read_on(&file, || n_blocks += 1).unwrap() {
                    assert_eq!(n_blocks, size_bytes / BLOCK_BYTES as u64 + 1);
                    return hash;
                }
            }
        };
        let plain = hash(None);
        assert_eq!(plain, hash(None));
        for at in [0, 70_000, BLOCK_BYTES as u64, STEP_BYTES - 1, STEP_BYTES, size_bytes - 1] {
            assert_ne!(plain, hash(Some(at)), "byte {at} is not looked at");
        }
    }

    #[test]
    fn a_file_that_shrank_has_no_hash() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(10).unwrap();
        let error = Whole::new(11).read_on(&file, || {}).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
