//! Answers a request for one picture: a still image, or one moment of a video.

use std::io::Write;

use ffmpeg_next::frame::Video;
use scened_common::media::extras::Extras;
use scened_common::media::request::PictureRequest;
use scened_common::media::wire::{self, PictureHeader};
use scened_common::pipe;

use super::decode::allowed::Allowed;
use super::decode::clock::FrameTime;
use super::decode::video::{OpenVideo, Step};
use super::ended::{Ended, Unusable};
use super::scenes::sampler::Sampler;
use super::units::us_to_ms;

/// How far before the moment to look for a keyframe, one attempt after the other. If all fail, everything is decoded. Microseconds.
const STEPS_BACK_US: [i64; 3] = [0, 2_000_000, 15_000_000];

/// Sends the daemon the one picture that it asked for.
pub(super) fn picture(opened: std::fs::File, request: &PictureRequest, extras: &Extras, answers: &mut impl Write) -> Result<(), Ended> {
    wire::check_image(&request.image).map_err(Unusable)?;
    // A single frame gains nothing from more threads, and starting them costs time.
    let mut video = OpenVideo::open(opened, 1, Allowed::pictures(extras))?;
    let wanted_us = match request.at_ms {
        Some(at_ms) => i64::try_from(at_ms.min(wire::MAX_TIME_MS) * 1000).unwrap_or(i64::MAX / 8),
        None => video.claimed_us().unwrap_or(0) / 2,
    };
    let mut frame = Video::empty();
    let mut found = None;
    let seeks = wanted_us > 0 && video.can_seek() && !request.clock_is_odd;
    if request.clock_is_odd && video.can_seek() {
        video.count_to(wanted_us);
    }
    for back_us in STEPS_BACK_US
        .into_iter()
        .filter(|back_us| *back_us == 0 || seeks && *back_us < wanted_us)
    {
        if seeks {
            video.seek(wanted_us - back_us);
        }
        found = last_up_to(&mut video, wanted_us, &mut frame);
        // Some demuxers land after the moment, or at the end of the video.
        if found.is_some_and(|shown| shown.start_us <= wanted_us) {
            break;
        }
    }
    if seeks && found.is_none_or(|shown| shown.start_us > wanted_us) {
        video.rewind();
        found = last_up_to(&mut video, wanted_us, &mut frame).or(found);
    }
    let Some(shown) = found else {
        return Err(Unusable(video.why_nothing()).into());
    };
    let mut sampler = Sampler::new(request.image, 0, 0);
    let model = sampler.model(&video, &frame).map_err(|error| Unusable(error.to_string()))?;
    let header = PictureHeader {
        time_ms: us_to_ms(shown.start_us),
    };
    pipe::write_frame(answers, wire::KIND_PICTURE_FOUND, &header, &model)?;
    Ok(())
}

/// Decodes up to the frame that is shown at `wanted_us`, or the last one before the end. Returns the first frame if that is later already.
fn last_up_to(video: &mut OpenVideo, wanted_us: i64, found: &mut Video) -> Option<FrameTime> {
    let mut frame = Video::empty();
    let mut last = None;
    loop {
        match video.step(&mut frame) {
            Step::End => return last,
            Step::Packet => {}
            Step::Frame(shown) if shown.start_us > wanted_us && last.is_some() => return last,
            Step::Frame(shown) => {
                std::mem::swap(found, &mut frame);
                last = Some(shown);
                if shown.start_us >= wanted_us {
                    return last;
                }
            }
        }
    }
}
