//! OpenTimelineIO's JSON (schema versions that every release reads): each video keeps its own rate.

use std::path::Path;

use scened_shared::terminal;
use serde_json::{Value, json};

use super::Shot;
use super::rate::Rate;
use crate::quote;

/// Writes all shots on one track in sequence.
pub fn write(title: &str, shots: &[Shot<'_>]) -> String {
    let clips: Vec<Value> = shots.iter().map(clip).collect();
    let timeline = json!({
        "OTIO_SCHEMA": "Timeline.1",
        "name": title,
        "metadata": {"scened": {"version": env!("CARGO_PKG_VERSION"), "query": title}},
        "global_start_time": null,
        "tracks": {
            "OTIO_SCHEMA": "Stack.1",
            "name": "tracks",
            "metadata": {},
            "source_range": null,
            "effects": [],
            "markers": [],
            "children": [{
                "OTIO_SCHEMA": "Track.1",
                "name": "V1",
                "kind": "Video",
                "metadata": {},
                "source_range": null,
                "effects": [],
                "markers": [],
                "children": clips,
            }],
        },
    });
    format!("{timeline:#}\n")
}

fn clip(shot: &Shot<'_>) -> Value {
    let (moment, rate) = (shot.moment, shot.rate);
    let first = shot.first.map_or(0, |first| rate.frame_called(first));
    let start = rate.frame_at(moment.start_ms);
    let length = rate.frame_at(moment.end_ms).saturating_sub(start).max(1);
    let name = moment.path.file_name().map_or(moment.path.as_path(), Path::new);
    let available = moment
        .video_ms
        .map(|video_ms| range(first, rate.frame_at(video_ms).max(start + length), rate));
    json!({
        "OTIO_SCHEMA": "Clip.1",
        "name": terminal::path(name, None),
        "metadata": {"scened": {"path": terminal::path(&moment.path, None), "best_ms": moment.at_ms}},
        "source_range": range(first + start, length, rate),
        "effects": [],
        "markers": [],
        "media_reference": {
            "OTIO_SCHEMA": "ExternalReference.1",
            "target_url": quote::file_url(&moment.path),
            "available_range": available,
            "metadata": {},
        },
    })
}

fn range(start: u64, length: u64, rate: Rate) -> Value {
    json!({"OTIO_SCHEMA": "TimeRange.1", "start_time": time(start, rate), "duration": time(length, rate)})
}

fn time(frames: u64, rate: Rate) -> Value {
    json!({"OTIO_SCHEMA": "RationalTime.1", "rate": rate.frames_a_second(), "value": frames as f64})
}
