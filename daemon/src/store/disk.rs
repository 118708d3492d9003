//! The fjall database and its keyspaces. Of the other modules, only `open`, `opener`, `load` and `transaction` name fjall types.
//!
//! Uses levelled compaction only, no `clear()`, no weak removes, no blob separation: each has an open bug in fjall 3.1.

use std::path::{Path, PathBuf};

use fjall::config::CompressionPolicy;
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions};
use scened_common::damage::is_damage;

use super::StoreError;
use super::record::Damage;

/// Block cache shared by all keyspaces. The candidates of one query are read a few times at most; the system's page cache does the rest.
const CACHE_BYTES: u64 = 16 << 20;
/// fjall flushes journals beyond this size, which limits how much the next start replays. This is fjall's minimum.
const JOURNAL_BYTES: u64 = 64 << 20;
/// Threads for flushes and compactions, which are rare and not urgent.
const WORKER_THREADS: usize = 1;
/// Memory that a keyspace of small records uses before it is written out.
const SMALL_MEMTABLE_BYTES: u64 = 4 << 20;
/// The same for vectors and thumbnails. fjall's default (64 MiB) would make up most of an idle daemon's memory.
const LARGE_MEMTABLE_BYTES: u64 = 8 << 20;

pub(super) struct Disk {
    pub(super) folder: PathBuf,
    pub(super) database: Database,
    pub(super) meta: Space,
    pub(super) videos: Space,
    pub(super) scenes: Space,
    pub(super) indexed: Space,
    pub(super) vectors: Space,
    pub(super) thumbnails: Space,
    pub(super) jobs: Space,
    pub(super) incidents: Space,
    pub(super) settings: Space,
    pub(super) changes: Space,
    pub(super) damaged: Space,
}

/// One keyspace with its name.
#[derive(Clone)]
pub(super) struct Space {
    pub(super) name: &'static str,
    pub(super) keyspace: Keyspace,
}

/// The content of a key.
pub(super) enum Found {
    Nothing,
    Bytes(fjall::Slice),
    /// The engine's own checksum failed.
    Damaged(Damage),
}

pub(super) type Pair = (fjall::Slice, fjall::Slice);

impl Disk {
    pub(super) fn open(folder: &Path) -> fjall::Result<Self> {
        let database = Database::builder(folder)
            .cache_size(CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES)
            .journal_compression(CompressionType::None)
            .worker_threads(WORKER_THREADS)
            .open()?;
        let small = |name| -> fjall::Result<Space> {
            let options = || KeyspaceCreateOptions::default().max_memtable_size(SMALL_MEMTABLE_BYTES);
            Ok(Space {
                name,
                keyspace: database.keyspace(name, options)?,
            })
        };
        // f16 components and JPEG do not compress.
        let large = |name| -> fjall::Result<Space> {
            let options = || {
                KeyspaceCreateOptions::default()
                    .max_memtable_size(LARGE_MEMTABLE_BYTES)
                    .data_block_compression_policy(CompressionPolicy::disabled())
            };
            Ok(Space {
                name,
                keyspace: database.keyspace(name, options)?,
            })
        };
        Ok(Self {
            folder: folder.to_owned(),
            meta: small("meta")?,
            videos: small("videos")?,
            scenes: small("scenes")?,
            indexed: small("indexed")?,
            vectors: large("vectors")?,
            thumbnails: large("thumbnails")?,
            jobs: small("jobs")?,
            incidents: small("incidents")?,
            settings: small("settings")?,
            changes: small("changes")?,
            damaged: small("damaged")?,
            database,
        })
    }

    pub(super) fn spaces(&self) -> [&Space; 11] {
        [
            &self.meta,
            &self.videos,
            &self.scenes,
            &self.indexed,
            &self.vectors,
            &self.thumbnails,
            &self.jobs,
            &self.incidents,
            &self.settings,
            &self.changes,
            &self.damaged,
        ]
    }

    /// Reads every block that holds anything. **Errors**: the first block that cannot be read.
    pub(super) fn read_everything(&self) -> fjall::Result<()> {
        for space in self.spaces() {
            for guard in space.keyspace.iter() {
                guard.into_inner()?;
            }
        }
        Ok(())
    }

    pub(super) fn space(&self, name: &str) -> Option<&Space> {
        self.spaces().into_iter().find(|space| space.name == name)
    }
}

impl Space {
    pub(super) fn get(&self, key: &[u8]) -> Result<Found, StoreError> {
        match self.keyspace.get(key) {
            Ok(Some(bytes)) => Ok(Found::Bytes(bytes)),
            Ok(None) => Ok(Found::Nothing),
            Err(error) => match as_damage(error) {
                Ok(damage) => Ok(Found::Damaged(damage)),
                Err(error) => Err(self.read_error(error)),
            },
        }
    }

    /// Returns the pairs whose key starts with `prefix`, in order of keys. A pair that the engine cannot read is an error.
    pub(super) fn prefix(&self, prefix: &[u8]) -> impl Iterator<Item = Result<Pair, StoreError>> + use<'_> {
        let pairs = self.keyspace.prefix(prefix);
        until_stuck(pairs.map(|guard| guard.into_inner().map_err(|error| self.list_error(error))))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Result<Pair, StoreError>> + use<'_> {
        let pairs = self.keyspace.iter();
        until_stuck(pairs.map(|guard| guard.into_inner().map_err(|error| self.list_error(error))))
    }

    fn list_error(&self, error: fjall::Error) -> StoreError {
        match as_damage(error) {
            Ok(damage) => StoreError::Damaged {
                what: self.name,
                reason: damage.to_string(),
            },
            Err(error) => self.read_error(error),
        }
    }

    fn read_error(&self, error: fjall::Error) -> StoreError {
        StoreError::Read {
            what: self.name,
            source: Box::new(error),
        }
    }
}

/// Maximum number of errors in a row. The engine's iterator cannot get past a damaged index block: it returns the same error forever. A
/// damaged block that is followed by readable pairs gives one error, and a table has far fewer blocks than this.
const MAX_ERRORS_IN_A_ROW: u32 = 10_000;

fn until_stuck(pairs: impl Iterator<Item = Result<Pair, StoreError>>) -> impl Iterator<Item = Result<Pair, StoreError>> {
    let mut n_errors = 0;
    pairs.take_while(move |pair| {
        n_errors = if pair.is_err() { n_errors + 1 } else { 0 };
        n_errors <= MAX_ERRORS_IN_A_ROW
    })
}

/// Distinguishes damaged content from a system that cannot read just now. In the second case the error is returned.
pub(super) fn as_damage(error: fjall::Error) -> Result<Damage, fjall::Error> {
    let is_damage = match &error {
        fjall::Error::Io(io) | fjall::Error::Storage(fjall::LsmError::Io(io)) => is_damage(io),
        fjall::Error::Poisoned | fjall::Error::KeyspaceDeleted | fjall::Error::Locked => false,
        _ => true,
    };
    if is_damage {
        Ok(Damage::Unreadable(error.to_string()))
    } else {
        Err(error)
    }
}
