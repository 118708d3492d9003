//! Where a moment of a video is in its file, for programs that open the file themselves.
//!
//! The daemon's times run continuously from a video's beginning to its end. A file's own time stamps may not: in recordings that were
//! concatenated, each one begins at zero. In that case the daemon reports the parts ([`PictureTrack::clock`]).

use scened_shared::message::{ClockPart, PictureTrack};

/// How to point a program at a moment that the file's own time does not lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeekBy {
    /// By a byte range of the file, and the time since the range's first picture. `to_bytes` is 0 if the range extends to the end of the
    /// file.
    Bytes {
        /// The first byte.
        from_bytes: u64,
        /// The byte after the last one, or 0.
        to_bytes: u64,
        /// Time since the range's first picture.
        within_ms: u64,
    },
    /// By the number of frames before the part, and the time since its start.
    Frames {
        /// The number of the part's first frame, from 0.
        first: u64,
        /// The number of the frame after its last one; `None` if the part extends to the end of the file.
        end: Option<u64>,
        /// Time since the part's first frame.
        within_ms: u64,
    },
}

/// A range of a video within one part of its file's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// In the video's time.
    pub start_ms: u64,
    /// Exclusive.
    pub end_ms: u64,
}

/// Splits a range wherever the file's clock is not continuous.
pub fn pieces(picture: Option<&PictureTrack>, start_ms: u64, end_ms: u64) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut from_ms = start_ms;
    for part in picture.map_or(&[][..], |picture| &picture.clock) {
        if part.start_ms > from_ms && part.start_ms < end_ms {
            pieces.push(Piece {
                start_ms: from_ms,
                end_ms: part.start_ms,
            });
            from_ms = part.start_ms;
        }
    }
    pieces.push(Piece { start_ms: from_ms, end_ms });
    pieces
}

/// Returns a moment's time in the file, which every program understands; `None` if that time leads elsewhere or nowhere.
pub fn time(picture: Option<&PictureTrack>, ms: u64) -> Option<u64> {
    let Some((at, part)) = part_at(picture, ms) else { return Some(ms) };
    let file_ms = u64::try_from(part.file_ms.checked_add_unsigned(ms - part.start_ms)?).ok()?;
    let clock = picture.map_or(&[][..], |picture| &picture.clock);
    // Programs seek by bisection. They find a time only if everything before it is earlier and everything after it is later.
    let is_before = |other: &ClockPart| other.file_end_ms <= file_ms as i64;
    let is_behind = |other: &ClockPart| other.file_ms > file_ms as i64;
    (clock[..at].iter().all(is_before) && clock[at + 1..].iter().all(is_behind)).then_some(file_ms)
}

/// Locates a moment in a file whose byte ranges are files as well, such as a transport stream.
pub fn bytes(picture: Option<&PictureTrack>, ms: u64) -> Option<SeekBy> {
    let (at, part) = part_at(picture, ms)?;
    let clock = picture.map_or(&[][..], |picture| &picture.clock);
    let next = clock.get(at + 1).map(|next| next.offset_bytes);
    let is_known = (at == 0 || part.offset_bytes > 0) && next.is_none_or(|next| next > part.offset_bytes);
    is_known.then_some(SeekBy::Bytes {
        from_bytes: if at == 0 { 0 } else { part.offset_bytes },
        to_bytes: next.unwrap_or(0),
        within_ms: ms - part.start_ms,
    })
}

/// Locates a moment by frames: the fallback for all other files.
pub fn frames(picture: Option<&PictureTrack>, ms: u64) -> Option<SeekBy> {
    let (at, part) = part_at(picture, ms)?;
    let clock = picture.map_or(&[][..], |picture| &picture.clock);
    Some(SeekBy::Frames {
        first: part.first_frame,
        end: clock.get(at + 1).map(|next| next.first_frame),
        within_ms: ms - part.start_ms,
    })
}

/// Returns the picture track at a moment. It may continue in another stream, which has another number within a range of the file.
pub fn picture_at(picture: Option<&PictureTrack>, ms: u64) -> Option<PictureTrack> {
    let stream = part_at(picture, ms)?.1.stream?;
    Some(PictureTrack {
        stream,
        ..PictureTrack::default()
    })
}

/// Returns whether stamps between these times are wrong. Programs read from a keyframe on.
pub fn is_wrong_in(picture: Option<&PictureTrack>, from_ms: u64, to_ms: u64) -> bool {
    /// More than decoding order displaces frames.
    const NEAR_MS: u64 = 1000;
    let mut wrong = picture.iter().flat_map(|picture| &picture.wrong);
    wrong.any(|&(begin_ms, end_ms)| begin_ms <= to_ms.saturating_add(NEAR_MS) && end_ms.saturating_add(NEAR_MS) >= from_ms)
}

fn part_at(picture: Option<&PictureTrack>, ms: u64) -> Option<(usize, &ClockPart)> {
    let clock = &picture?.clock;
    let at = clock.partition_point(|part| part.start_ms <= ms).checked_sub(1)?;
    Some((at, &clock[at]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(parts: &[(u64, i64, i64, u64)]) -> PictureTrack {
        let part = |&(start_ms, file_ms, file_end_ms, offset_bytes)| ClockPart {
            start_ms,
            file_ms,
            file_end_ms,
            offset_bytes,
            first_frame: start_ms / 40,
            stream: None,
        };
        PictureTrack {
            clock: parts.iter().map(part).collect(),
            ..PictureTrack::default()
        }
    }

    #[test]
    fn an_ordinary_clock_is_told_as_it_is() {
        for picture in [None, Some(&PictureTrack::default())] {
            assert_eq!(time(picture, 7000), Some(7000));
            assert_eq!(
                pieces(picture, 1000, 2000),
                [Piece {
                    start_ms: 1000,
                    end_ms: 2000
                }]
            );
        }
    }

    #[test]
    fn a_time_is_told_only_where_it_leads_to_its_picture() {
        // Ten seconds, then twenty that begin at zero again.
        let reset = picture(&[(0, 0, 10_000, 0), (10_000, 0, 20_000, 900)]);
        let times: Vec<_> = [2000, 12_000, 19_999, 20_000, 22_000].map(|ms| time(Some(&reset), ms)).into();
        assert_eq!(times, [None, None, None, Some(10_000), Some(12_000)]);
        assert_eq!(
            bytes(Some(&reset), 12_000),
            Some(SeekBy::Bytes {
                from_bytes: 900,
                to_bytes: 0,
                within_ms: 2000
            })
        );
        assert_eq!(
            bytes(Some(&reset), 2000),
            Some(SeekBy::Bytes {
                from_bytes: 0,
                to_bytes: 900,
                within_ms: 2000
            })
        );
        assert_eq!(pieces(Some(&reset), 8000, 12_000).len(), 2);
        assert_eq!(pieces(Some(&reset), 10_000, 12_000).len(), 1);
        // A jump of thirteen hours: every time is found.
        let leap = picture(&[(0, 0, 10_000, 0), (10_000, 46_800_000, 46_810_000, 900)]);
        assert_eq!(time(Some(&leap), 2000), Some(2000));
        assert_eq!(time(Some(&leap), 12_000), Some(46_802_000));
        // Nothing comes before a player's zero.
        let back = picture(&[(0, 0, 10_000, 0), (10_000, -5000, 3000, 900)]);
        assert_eq!(time(Some(&back), 11_000), None);
    }
}
