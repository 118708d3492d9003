//! Where a stream begins and how long it is, according to its container and not to FFmpeg's guesses.

#![expect(unsafe_code, reason = "ffmpeg-next shows neither start times nor where a duration comes from")]

use ffmpeg_next::format::context::Input;
use ffmpeg_next::{Stream, ffi};

use super::clock::to_us;
use super::index::span_in_index;

/// Returns the duration that a stream states for itself. Microseconds.
pub(super) fn own_duration_us(input: &Input, index: usize) -> Option<i64> {
    let stream = input.stream(index)?;
    if is_matroska(input) {
        // Matroska muxers write it in a tag. A tag that a tool copied from a longer video contradicts the container.
        let tag_us = stream.metadata().get("DURATION").and_then(read_clock)?;
        return container_duration_us(input)
            .is_none_or(|container_us| tag_us <= container_us + 1_000_000)
            .then_some(tag_us);
    }
    // These formats have one duration for all tracks. FFmpeg measures its other numbers on the data that is there.
    if ["flv", "asf"].contains(&input.format().name()) || is_measured(input) {
        return None;
    }
    let base = stream.time_base();
    (stream.duration() > 0).then(|| to_us(stream.duration(), (i64::from(base.0), i64::from(base.1))))
}

/// Returns the container's duration, unless FFmpeg measured or guessed it. Microseconds.
pub(super) fn container_duration_us(input: &Input) -> Option<i64> {
    (!is_measured(input) && input.duration() > 0).then(|| input.duration())
}

/// Returns whether FFmpeg derived durations from the last stamps or the size of the file. They then say nothing about missing data.
fn is_measured(input: &Input) -> bool {
    const SAID: i32 = ffi::AVDurationEstimationMethod::AVFMT_DURATION_FROM_STREAM as i32;
    // SAFETY: `input` is open; the field is read as the plain number it is.
    let method = unsafe { (&raw const (*input.as_ptr()).duration_estimation_method).cast::<i32>().read() };
    method != SAID
}

fn is_matroska(input: &Input) -> bool {
    input.format().name().contains("matroska")
}

/// Returns when the last picture that the index lists for a stream is shown, as a player counts. Microseconds.
pub(super) fn indexed_us(input: &mut Input, index: usize, origin_us: i64) -> Option<i64> {
    // For a file read without an index, FFmpeg builds its own.
    if is_measured(input) {
        return None;
    }
    span_in_index(input, index).map(|(_, last)| last.saturating_sub(origin_us))
}

/// Reads `00:01:02.500000000`. Microseconds.
fn read_clock(text: &str) -> Option<i64> {
    let mut parts = text.trim().split(':');
    let (hours, minutes): (i64, i64) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let seconds: f64 = parts.next()?.parse().ok()?;
    let is_clock = (0..100_000).contains(&hours) && (0..60).contains(&minutes) && (0.0..60.0).contains(&seconds);
    (is_clock && parts.next().is_none()).then(|| (hours * 3600 + minutes * 60) * 1_000_000 + (seconds * 1e6) as i64)
}

/// Returns a player's zero: where the container starts, sound included.
pub(super) fn origin_us(input: &Input, stream: &Stream<'_>) -> i64 {
    // SAFETY: `input` is open; `start_time` is a plain number in microseconds (AV_TIME_BASE).
    let container = unsafe { (*input.as_ptr()).start_time };
    if container != ffi::AV_NOPTS_VALUE {
        return container;
    }
    match stream.start_time() {
        ffi::AV_NOPTS_VALUE => 0,
        start => to_us(start, (i64::from(stream.time_base().0), i64::from(stream.time_base().1))),
    }
}
