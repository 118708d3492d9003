//! Prints what fast mode knows of each GOP of a film before it decodes it: `gop_rows FILM`.
//!
//! A line of JSON for each GOP: its times, and the numbers that `fast/odds.rs` weighs. `training/gop_odds.py` fits that network.

#![expect(clippy::print_stdout, reason = "the rows are printed")]

/// The worker is a program and no library: its modules are built into this one.
#[expect(dead_code, reason = "only a part of the worker is used here")]
#[path = "../src/media"]
mod media {
    pub(crate) mod allowed;
    mod colour;
    mod dovi;
    mod evidence;
    mod eye;
    pub(crate) mod film;
    mod fit;
    pub(crate) mod glimpse;
    mod orientation;
    mod planes;
    mod sandbox;
    mod scale;
    mod tone;

    pub(crate) mod fast {
        mod gops;
        mod judge;
        mod odds;
        mod survey;

        use super::film::Film;
        use super::glimpse::{Glimpse, Glimpser};
        use ffmpeg_next::frame::Video;
        use gops::{Gop, Gops, sizes_of};
        use survey::{Kind, Verdict, survey};

        /// Packets of the next GOP that are looked at, as in the cascade.
        const LOOKED_AHEAD: usize = 16;

        /// The rows of a film; none when it is decoded through.
        pub(crate) fn rows(film: &mut Film) -> anyhow::Result<Vec<serde_json::Value>> {
            let Verdict::Gops(kind @ (Kind::Scenecut { .. } | Kind::Clock { .. })) = survey(film) else {
                return Ok(Vec::new());
            };
            let mut decoder = film.single_decoder(true)?;
            let mut glimpser = Glimpser::new();
            let clock = film.clock();
            let mut gops = Gops::new(kind);
            let mut all: Vec<(Gop, Glimpse)> = Vec::new();
            while let Some(gop) = gops.read(film) {
                let (mut frame, mut glimpse) = (Video::empty(), Glimpse::default());
                decoder.send_packet(gop.key().as_ref())?;
                decoder.send_eof()?;
                decoder.receive_frame(&mut frame)?;
                decoder.flush();
                glimpser.look(&frame, &mut glimpse)?;
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
    }
}

use std::fs::File;

use anyhow::Context as _;
use media::allowed::Allowed;
use media::film::Film;
use scened_common::media::extras::Extras;

fn main() -> anyhow::Result<()> {
    let path = std::env::args().nth(1).context("the argument is a film")?;
    ffmpeg_next::init()?;
    let mut film = Film::open(File::open(&path)?, 1, Allowed::films(&Extras::default()))?;
    for row in media::fast::rows(&mut film)? {
        println!("{row}");
    }
    Ok(())
}
