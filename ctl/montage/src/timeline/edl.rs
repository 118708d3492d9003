//! CMX 3600: the oldest edit list, which every editing program reads.

use std::fmt::Write as _;
use std::path::Path;

use scened_shared::terminal;

use super::Shot;
use super::rate::{Rate, Timecode};

/// The most events an EDL can hold: they are numbered with three digits. Further shots are left out.
pub const MAX_EVENTS: usize = 999;

/// Longest title that CMX 3600 allows, in characters.
const MAX_TITLE: usize = 70;

/// Writes all shots on one track in sequence, from 01:00:00:00 on. An EDL has only one rate, so times of videos with another rate are
/// converted to `rate`.
pub fn write(title: &str, rate: Rate, shots: &[Shot<'_>]) -> String {
    let drops = rate.drops_frames();
    let title: String = terminal::escape(title).chars().take(MAX_TITLE).collect();
    let mode = if drops { "DROP FRAME" } else { "NON-DROP FRAME" };
    let mut list = format!("TITLE: {title}\nFCM: {mode}\n");
    let mut record = rate.frame_called(Timecode::at_hour(1, drops));
    for (index, shot) in shots.iter().take(MAX_EVENTS).enumerate() {
        let moment = shot.moment;
        let first = shot.first.map_or(0, |first| {
            let frame = shot.rate.frame_called(first);
            let seconds = frame as f64 / shot.rate.frames_a_second();
            if shot.rate == rate {
                frame
            } else {
                (seconds * rate.frames_a_second()).round() as u64
            }
        });
        let start = rate.frame_at(moment.start_ms);
        // A cut needs at least one frame.
        let length = rate.frame_at(moment.end_ms).saturating_sub(start).max(1);
        let source_drops = drops && shot.first.is_none_or(|first| first.drops);
        let source = |frame: u64| rate.timecode(first + frame, source_drops);
        let target = |frame: u64| rate.timecode(frame, drops);
        let name = moment.path.file_name().map_or(moment.path.as_path(), Path::new);
        write!(
            list,
            "\n{:03}  AX       V     C        {} {} {} {}\n* FROM CLIP NAME: {}\n* SOURCE FILE: {}\n",
            index + 1,
            source(start),
            source(start + length),
            target(record),
            target(record + length),
            terminal::path(name, None),
            terminal::path(&moment.path, None),
        )
        .expect("a string takes any text");
        record += length;
    }
    list
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::moment::{Availability, Moment};
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    fn moment(path: &[u8], start_ms: u64, end_ms: u64) -> Moment {
        Moment {
            path: Path::new(OsStr::from_bytes(path)).to_owned(),
            start_ms,
            end_ms,
            at_ms: start_ms,
            video_ms: None,
            scene: None,
            picture: None,
            availability: Availability::Present,
        }
    }

    fn edl(rate: &str, moments: &[Moment], first: Option<&str>) -> String {
        let rate: Rate = rate.parse().expect("it is a rate");
        let shots: Vec<Shot<'_>> = moments
            .iter()
            .map(|moment| Shot {
                moment,
                rate,
                first: first.and_then(Timecode::parse),
            })
            .collect();
        write("a dog", rate, &shots)
    }

    #[test]
    fn events_follow_each_other() {
        let moments = [moment(b"/films/a.mp4", 60_000, 62_000), moment(b"/films/b.mp4", 0, 40)];
        assert_eq!(
            edl("25", &moments, None),
            "TITLE: a dog\nFCM: NON-DROP FRAME\n\n\
             001  AX       V     C        00:01:00:00 00:01:02:00 01:00:00:00 01:00:02:00\n\
             * FROM CLIP NAME: a.mp4\n* SOURCE FILE: /films/a.mp4\n\n\
             002  AX       V     C        00:00:00:00 00:00:00:01 01:00:02:00 01:00:02:01\n\
             * FROM CLIP NAME: b.mp4\n* SOURCE FILE: /films/b.mp4\n"
        );
        let dropped = edl("29.97", &moments[..1], None);
        assert!(dropped.contains("FCM: DROP FRAME\n"), "{dropped}");
        assert!(dropped.contains("00:00:59;28 00:01:02;00 01:00:00;00 01:00:02;00"), "{dropped}");
    }

    #[test]
    fn a_cameras_own_timecode_is_counted_from() {
        let moments = [moment(b"/films/a.mp4", 1000, 2000)];
        assert!(edl("25", &moments, Some("10:11:12:13")).contains("10:11:13:13 10:11:14:13 01:00:00:00"));
        let counted_all = edl("29.97", &moments, Some("00:00:59:00"));
        assert!(
            counted_all.contains("00:01:00:00 00:01:01:00 01:00:00;00 01:00:01;00"),
            "{counted_all}"
        );
    }

    #[test]
    fn no_name_adds_a_line_and_no_list_is_too_long() {
        let odd = [moment(b"/films/new\n002  AX V C\r\xff\x1b.mp4", 0, 1000)];
        let list = edl("25", &odd, None);
        assert_eq!(list.lines().count(), 6, "{list}");
        assert!(!list.contains(['\r', '\u{1b}']));
        let many = vec![odd[0].clone(); 1000];
        assert!(!edl("25", &many, None).contains("1000  AX"));
    }
}
