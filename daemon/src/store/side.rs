//! `store.generation`: the progress of the store, kept outside it.
//!
//! fjall shortens a damaged journal at the next start, in the worst case silently. Then this file knows a later generation than the store.
//! It is written after each commit, in place, without fsync. The store itself is synced first, so the file is never ahead of the durable
//! state. Its 32 bytes are in one sector. If it is torn or missing, a loss may go unnoticed, and nothing worse.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use crate::quarantine::move_away;

const MAGIC: &[u8; 8] = b"scnd-gen";
const BYTES: usize = 32;

/// Layout: magic, generation u64, next id u64, CRC32 of all before, 4 zero bytes; little-endian.
pub(super) struct SideFile(File);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) generation: u64,
    pub(super) next_id: u64,
}

impl SideFile {
    /// Opens or creates the file and reads its content, which is `None` if it is new or damaged.
    pub(super) fn open(path: &Path) -> std::io::Result<(Self, Option<Progress>)> {
        if path.is_dir() {
            move_away(path)?;
        }
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut bytes = Vec::with_capacity(BYTES);
        (&mut file).take(BYTES as u64 + 1).read_to_end(&mut bytes)?;
        let progress = parse(&bytes);
        if progress.is_none() {
            file.set_len(0)?;
        }
        Ok((Self(file), progress))
    }

    pub(super) fn write(&mut self, progress: Progress) -> std::io::Result<()> {
        let mut bytes = [0; BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..16].copy_from_slice(&progress.generation.to_le_bytes());
        bytes[16..24].copy_from_slice(&progress.next_id.to_le_bytes());
        let checksum = crc32fast::hash(&bytes[..24]);
        bytes[24..28].copy_from_slice(&checksum.to_le_bytes());
        self.0.seek(SeekFrom::Start(0))?;
        self.0.write_all(&bytes)
    }
}

fn parse(bytes: &[u8]) -> Option<Progress> {
    let bytes: &[u8; BYTES] = bytes.try_into().ok()?;
    let number = |at: usize| bytes[at..at + 8].try_into().ok().map(u64::from_le_bytes);
    let intact = bytes[..8] == *MAGIC && bytes[24..28] == crc32fast::hash(&bytes[..24]).to_le_bytes();
    intact.then_some(Progress {
        generation: number(8)?,
        next_id: number(16)?,
    })
}
