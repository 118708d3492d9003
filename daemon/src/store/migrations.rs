//! Brings a store of an earlier format to the present one.
//!
//! A new format number is needed if neither new `#[serde(default)]` fields nor the version byte make old records readable. Each step goes
//! from one number to the next, in batches that may be repeated after a crash. The number in `meta` is written last.

use super::StoreError;
use super::disk::Disk;

/// The format this version writes.
pub(super) const FORMAT: u32 = 1;

/// Runs every step from `found` on. The caller then writes [`FORMAT`] into `meta` and the marker file.
pub(super) fn migrate(_disk: &Disk, found: u32) -> Result<(), StoreError> {
    // The first step will be `1 => to_2(disk)`, in a loop up to FORMAT.
    match found {
        FORMAT => Ok(()),
        unknown => Err(StoreError::invalid("a store", format!("its format {unknown} was never released"))),
    }
}
