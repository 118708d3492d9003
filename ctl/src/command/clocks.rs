//! Frame rates for timelines: from the video itself, else the user's choice, else 25.

use std::collections::BTreeMap;
use std::path::Path;

use montage::ffmpeg::Source;
use montage::ffmpeg::probe::{self, ProbedVideo};
use montage::moment::{Availability, Moment};
use montage::timeline::Shot;
use montage::timeline::rate::Rate;

use crate::render::text;

/// Probes each video once; notes for which ones the rate was assumed, and why.
pub(super) fn of<'a>(moments: &'a [Moment], wished: Option<Rate>, notes: &mut Vec<String>) -> Vec<Shot<'a>> {
    let mut videos: BTreeMap<&Path, Option<ProbedVideo>> = BTreeMap::new();
    // One reason stands for all; a missing ffprobe explains more than a missing drive.
    let mut why = None;
    for moment in moments {
        videos.entry(moment.path.as_path()).or_insert_with(|| {
            let video = match moment.availability.obstacle() {
                None => probe::video(&Source::whole(&moment.path), moment.picture.as_ref())
                    .map_err(|error| why = Some(error.to_string()))
                    .ok(),
                Some(obstacle) => {
                    why.get_or_insert_with(|| format!("{} is {obstacle}", text::path(&moment.path, None)));
                    None
                }
            };
            video.filter(|video| video.rate.is_some())
        });
    }
    let n_unknown = videos.values().filter(|video| video.is_none()).count() as u64;
    let assumed = wished.unwrap_or(Rate::PAL);
    if n_unknown > 0 {
        let hint = if wished.is_none() { "; --rate sets it" } else { "" };
        let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
        notes.push(format!(
            "{assumed} frames per second are assumed for {}{why}{hint}",
            text::count(n_unknown, "video")
        ));
    }
    let shots = moments.iter().map(|moment| {
        let video = videos.get(moment.path.as_path()).and_then(Option::as_ref);
        Shot {
            moment,
            rate: video.and_then(|video| video.rate).unwrap_or(assumed),
            first: video.and_then(|video| video.first),
        }
    });
    shots.collect()
}

/// Chooses the rate of an edit list, which has only one.
pub(super) fn one_rate(shots: &[Shot<'_>], wished: Option<Rate>, notes: &mut Vec<String>) -> Rate {
    let known = shots
        .iter()
        .filter(|shot| shot.moment.availability == Availability::Present)
        .map(|shot| shot.rate);
    let rate = wished
        .or_else(|| known.chain(shots.iter().map(|shot| shot.rate)).next())
        .unwrap_or(Rate::PAL);
    let n_others = shots.iter().filter(|shot| shot.rate != rate).count() as u64;
    if n_others > 0 {
        notes.push(format!(
            "the edit list uses {rate} frames per second; {} from videos with another rate {} converted",
            text::count(n_others, "scene"),
            if n_others == 1 { "is" } else { "are" }
        ));
    }
    rate
}
