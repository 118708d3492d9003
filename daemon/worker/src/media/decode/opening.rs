//! Opening a video: its best video stream, and everything that its container says before a frame is decoded.

use std::collections::VecDeque;
use std::fs::File;

use ffmpeg_next::format;
use ffmpeg_next::format::context::StreamIo;
use scened_common::domain::PictureTrack;
use scened_common::media::answer::Probe;

use super::allowed::Allowed;
use super::announced::Announced;
use super::extent::Extent;
use super::packets::PacketReader;
use super::track::Track;
use super::{input, lengths, streams};
use crate::media::ended::Unusable;
use crate::media::evidence::Watched;

/// An opened file.
pub(super) struct Opened {
    pub(super) reader: PacketReader,
    /// The chosen stream.
    pub(super) track: Track,
    /// A player's zero, by the file's clock. Microseconds.
    pub(super) origin_us: i64,
    pub(super) announced: Announced,
    pub(super) probe: Probe,
    pub(super) picture: PictureTrack,
}

impl Opened {
    /// Opens a file and chooses its stream.
    pub(super) fn of(file: File, allowed: &Allowed) -> Result<Self, Unusable> {
        let again = file.try_clone().ok();
        let mut file = Watched::new(file);
        let head = input::read_head(&mut file)?;
        let extent = Extent::of(file.plain(), &head);
        let stream_io = StreamIo::from_read_seek(file).map_err(|error| Unusable(format!("cannot read the file: {error}")))?;
        let mut input = format::input_from_stream(stream_io, None, Some(input::options(allowed)))
            .map_err(|error| input::cannot_open(error, &head, allowed))?;
        let mut read = VecDeque::new();
        let stream = streams::find_stream(&mut input, allowed, &mut read)?;
        let chosen = input.stream(stream).expect("the stream was just chosen");
        let (track, origin_us) = (Track::of(&chosen), lengths::origin_us(&input, &chosen));
        let announced = Announced::of(&mut input, extent, &track, origin_us);
        // If nothing gives this picture's own length, the other tracks show whether the container's length is theirs.
        streams::discard_others(&mut input, stream, announced.rests_on_the_container());
        Ok(Self {
            probe: streams::probe(&input, stream),
            picture: streams::picture(&input, stream),
            reader: PacketReader::new(input, again, extent.next_video_at, read),
            track,
            origin_us,
            announced,
        })
    }
}
