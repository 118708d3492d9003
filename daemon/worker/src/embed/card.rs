//! Determines how much memory an NVIDIA card has free, and whether a model may use some of it.
//!
//! The driver's own library (NVML) knows this. It is opened by name if it is installed. CUDA is not linked, and asking it would create a
//! context that itself takes hundreds of megabytes.

#![expect(unsafe_code, reason = "NVML is a C library without a wrapper among the crates already used")]

use std::ffi::{c_int, c_uint, c_void};

use libloading::{Library, Symbol};

/// A model's share of a card's memory, in percent of the size of its files: weights and the activations of a full batch. CUDA's context
/// comes on top.
const MODEL_PERCENT: u64 = 150;
const CONTEXT_BYTES: u64 = 400 << 20;

/// `nvmlMemory_t`.
#[repr(C)]
#[derive(Default)]
struct Memory {
    total: u64,
    free: u64,
    used: u64,
}

type NoArguments = unsafe extern "C" fn() -> c_int;
type GetHandle = unsafe extern "C" fn(c_uint, *mut *mut c_void) -> c_int;
type GetMemory = unsafe extern "C" fn(*mut c_void, *mut Memory) -> c_int;

/// Returns the free memory, in bytes, of the card that CUDA uses first; `None` if there is no driver or card, or if it is unknown.
pub(super) fn free_bytes() -> Option<u64> {
    let name = if cfg!(windows) { "nvml.dll" } else { "libnvidia-ml.so.1" };
    let index = first_device(std::env::var("CUDA_VISIBLE_DEVICES").ok().as_deref())?;
    // SAFETY: the driver's library runs nothing of consequence when it is loaded.
    let library = unsafe { Library::new(name) }.ok()?;
    // SAFETY: the names and signatures are those of nvml.h, stable since version 4.
    let (init, get_handle, get_memory, shutdown): (
        Symbol<'_, NoArguments>,
        Symbol<'_, GetHandle>,
        Symbol<'_, GetMemory>,
        Symbol<'_, NoArguments>,
    ) = unsafe {
        (
            library.get(b"nvmlInit_v2\0").ok()?,
            library.get(b"nvmlDeviceGetHandleByIndex_v2\0").ok()?,
            library.get(b"nvmlDeviceGetMemoryInfo\0").ok()?,
            library.get(b"nvmlShutdown\0").ok()?,
        )
    };
    let mut device = std::ptr::null_mut();
    let mut memory = Memory::default();
    // SAFETY: init comes first and shutdown last. Both out-pointers outlive their calls, and the handle is used only if NVML has set it.
    let told = unsafe {
        if init() != 0 {
            return None;
        }
        let told = get_handle(index, &raw mut device) == 0 && get_memory(device, &raw mut memory) == 0;
        shutdown();
        told
    };
    told.then_some(memory.free)
}

/// Returns the index of the card that CUDA numbers 0, counted by place on the bus, as the daemon sets `CUDA_DEVICE_ORDER`. `None` if
/// `visible` does not name the card by a number.
fn first_device(visible: Option<&str>) -> Option<c_uint> {
    match visible.map(str::trim) {
        None => Some(0),
        Some(list) => list.split(',').next().and_then(|first| first.trim().parse().ok()),
    }
}

/// Returns how much of a card's memory a model may take so that `reserve_bytes` stay free for other programs. If `free_bytes` is unknown,
/// there is no limit.
///
/// **Errors**: too little memory is free, in words for the user.
pub(super) fn limit(free_bytes: Option<u64>, reserve_bytes: u64, model_bytes: u64) -> Result<Option<usize>, String> {
    let Some(free_bytes) = free_bytes else { return Ok(None) };
    let needed_bytes = model_bytes * MODEL_PERCENT / 100 + CONTEXT_BYTES;
    let allowed_bytes = free_bytes.saturating_sub(reserve_bytes);
    if allowed_bytes < needed_bytes {
        return Err(format!(
            "the graphics card has {} MiB of memory free, and the model needs about {} MiB beside the {} MiB of gpu-memory-reserve-mib; \
             end other programs on the card, or lower gpu-memory-reserve-mib",
            free_bytes >> 20,
            needed_bytes >> 20,
            reserve_bytes >> 20
        ));
    }
    Ok(usize::try_from(allowed_bytes - CONTEXT_BYTES).ok())
}

/// Returns whether other programs need the memory that an idle model holds.
pub(super) fn is_short(free_bytes: Option<u64>, reserve_bytes: u64) -> bool {
    free_bytes.is_some_and(|free| free < reserve_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn a_model_gets_what_the_reserve_leaves_or_is_told_why_not() {
        assert_eq!(limit(None, 512 * MIB, 1000 * MIB), Ok(None));
        assert_eq!(limit(Some(8000 * MIB), 512 * MIB, 1000 * MIB), Ok(Some(7088 << 20)));
        let why = limit(Some(2000 * MIB), 512 * MIB, 1000 * MIB).unwrap_err();
        assert!(
            why.starts_with("the graphics card has 2000 MiB of memory free, and the model needs about 1900 MiB beside the 512 MiB"),
            "{why}"
        );
        assert_eq!(limit(Some(2000 * MIB), 0, 1000 * MIB), Ok(Some(1600 << 20)));
    }

    #[test]
    fn an_idle_model_leaves_a_card_that_is_short_of_memory() {
        for (free, reserve, expected) in [
            (None, 512, false),
            (Some(511), 512, true),
            (Some(512), 512, false),
            (Some(0), 0, false),
        ] {
            assert_eq!(is_short(free, reserve), expected, "{free:?} free, {reserve} reserved");
        }
    }

    #[test]
    fn the_card_is_the_first_one_that_may_be_used() {
        for (visible, expected) in [
            (None, Some(0)),
            (Some("2,0"), Some(2)),
            (Some(" 1"), Some(1)),
            (Some(""), None),
            (Some("GPU-8f"), None),
        ] {
            assert_eq!(first_device(visible), expected, "{visible:?}");
        }
    }

    #[test]
    fn where_there_is_no_driver_nothing_is_known() {
        // With a card this returns its free memory, otherwise `None`. Neither may crash.
        assert!(free_bytes().is_none_or(|bytes| bytes < 1 << 50));
    }
}
