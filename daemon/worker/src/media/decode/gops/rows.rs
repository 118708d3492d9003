//! What fast mode knows about each GOP of a video before it decodes it: for `examples/gop_rows.rs`.

use std::fs::File;
use std::path::Path;

use ffmpeg_next::frame::Video;
use scened_common::media::extras::Extras;

use super::group::{Gop, Gops, sizes_of};
use super::skip::judge;
use super::survey::{Kind, Verdict, survey};
use crate::media::decode::allowed::Allowed;
use crate::media::decode::video::OpenVideo;
use crate::media::pixels::glimpse::{Glimpse, Glimpser};

/// Number of packets of the next GOP that are examined, as in the cascade.
const LOOKED_AHEAD: usize = 16;

/// Returns the rows of the video at `path`. There are none if it has only keyframes or is decoded frame by frame.
pub fn rows(path: &Path) -> anyhow::Result<Vec<serde_json::Value>> {
    ffmpeg_next::init()?;
    let video = &mut OpenVideo::open(File::open(path)?, 1, Allowed::videos(&Extras::default()))?;
    let Verdict::Gops(kind @ (Kind::Scenecut { .. } | Kind::Clock { .. })) = survey(video) else {
        return Ok(Vec::new());
    };
    let mut decoder = video.single_decoder(true)?;
    let mut glimpser = Glimpser::new();
    let clock = video.clock();
    let mut gops = Gops::new(kind);
    let mut all: Vec<(Gop, Glimpse)> = Vec::new();
    while let Some(gop) = gops.read(video) {
        let (mut frame, mut glimpse) = (Video::empty(), Glimpse::default());
        decoder.send_packet(gop.key().as_ref())?;
        decoder.send_eof()?;
        decoder.receive_frame(&mut frame)?;
        decoder.flush();
        glimpser.shrink(&frame, &mut glimpse)?;
        all.push((gop, glimpse));
    }
    let length_us = |gop: &Gop| gop.end.map(|end| clock.time_us(end) - clock.time_us(gop.start));
    let mut rows = Vec::new();
    for (at, (gop, glimpse)) in all.iter().enumerate() {
        let next = all.get(at + 1);
        let sizes = sizes_of(&gop.packets[..gop.n_own], clock);
        let next_sizes = next.map_or_else(Vec::new, |(next, _)| {
            sizes_of(&next.packets[..next.packets.len().min(LOOKED_AHEAD)], clock)
        });
        let evidence = judge::Evidence {
            key: judge::Key {
                bytes: gop.packets[0].size(),
                glimpse,
            },
            next: next.map(|(next, glimpse)| judge::Key {
                bytes: next.packets[0].size(),
                glimpse,
            }),
            after_next: all.get(at + 2).map(|(_, glimpse)| glimpse),
            sizes: &sizes,
            next_sizes: &next_sizes,
            length_us: length_us(gop).unwrap_or(i64::MAX),
            next_length_us: next.and_then(|(next, _)| length_us(next)),
            frame_us: clock.frame_us(),
            ended_by_content: kind.ended_by_content(gop.n_shown()),
            is_clock: matches!(kind, Kind::Clock { .. }),
        };
        let Some(features) = judge::features(&evidence, &judge::spikes(&evidence), judge::dip(&evidence)) else {
            continue;
        };
        rows.push(serde_json::json!({
            "kind": kind.name(),
            "start_us": clock.time_us(gop.start),
            "end_us": gop.end.map(|end| clock.time_us(end)),
            "features": features.as_slice(),
            "decision": format!("{:?}", judge::judge(&evidence)),
        }));
    }
    Ok(rows)
}
