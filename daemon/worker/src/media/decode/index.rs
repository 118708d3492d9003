//! What a container's index lists for a stream.

#![expect(unsafe_code, reason = "ffmpeg-next shows no index")]

use ffmpeg_next::ffi;
use ffmpeg_next::format::context::Input;

use super::clock::to_us;

/// Returns whether the index lists pictures of a stream after a time stamp.
pub(super) fn goes_on(input: &mut Input, index: usize, stamp: Option<i64>) -> bool {
    last_in_index(input, index).is_some_and(|last| stamp.is_none_or(|stamp| last > stamp))
}

/// Returns the time stamp of the last picture that the index lists for a stream.
pub(super) fn last_in_index(input: &mut Input, index: usize) -> Option<i64> {
    // SAFETY: `input` is open and `streams` has `nb_streams` valid entries. An entry of an index is null or lives until the next read.
    unsafe {
        let context = input.as_mut_ptr();
        if index >= (*context).nb_streams as usize {
            return None;
        }
        let stream = *(*context).streams.add(index);
        let last = ffi::avformat_index_get_entries_count(stream) - 1;
        let entry = ffi::avformat_index_get_entry(stream, last).as_ref()?;
        (last >= 0).then_some(entry.timestamp)
    }
}

/// Returns the first and last time for which the index lists pictures of a stream. Microseconds.
pub(super) fn span_in_index(input: &mut Input, index: usize) -> Option<(i64, i64)> {
    let last = last_in_index(input, index)?;
    let base = input.stream(index)?.time_base();
    // SAFETY: as in `last_in_index`, which found an entry.
    let first = unsafe {
        let stream = *(*input.as_mut_ptr()).streams.add(index);
        ffi::avformat_index_get_entry(stream, 0).as_ref()?.timestamp
    };
    let us = |stamp| to_us(stamp, (i64::from(base.0), i64::from(base.1)));
    Some((us(first), us(last)))
}
