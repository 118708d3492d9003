use super::*;

const FRAME_US: i64 = 40_000;
const KEY: ffmpeg_next::packet::Flags = ffmpeg_next::packet::Flags::KEY;

/// Packets in file order: stream, time of its own clock in microseconds, whether it is a keyframe.
struct File {
    follower: Follower,
    followed: usize,
    best: usize,
    /// Stream and time of every decoded packet.
    decoded: Vec<(usize, i64)>,
}

impl File {
    fn new(chosen: usize) -> Self {
        Self {
            follower: Follower::default(),
            followed: chosen,
            best: chosen,
            decoded: Vec::new(),
        }
    }

    fn packet(&mut self, stream: usize, time_us: i64, is_key: bool) {
        if stream == self.followed {
            self.follower.met_followed();
            self.decoded.push((stream, time_us));
            return;
        }
        let mut packet = Packet::new(100);
        packet.set_dts(Some(time_us));
        if is_key {
            packet.set_flags(KEY);
        }
        let met = Met {
            stream,
            followed: self.followed,
            time_us: Some(time_us),
            is_better: stream == self.best,
            followed_goes_on: false,
        };
        let moved = self.follower.met_other(&mut packet, &met);
        self.moved(moved);
    }

    /// Adds a second of pictures, the first a keyframe.
    fn second(&mut self, stream: usize, from_s: i64) {
        for n in 0..25 {
            self.packet(stream, from_s * 1_000_000 + n * FRAME_US, n == 0);
        }
    }

    fn end(&mut self) {
        while let Some(moved) = self.follower.met_end(self.followed) {
            self.moved(Some(moved));
        }
    }

    fn moved(&mut self, moved: Option<Moved>) {
        if let Some(moved) = moved {
            self.followed = moved.stream;
            let times = moved.packets.iter().map(|packet| (moved.stream, packet.dts().unwrap()));
            self.decoded.extend(times);
        }
    }

    /// Counts how many packets of each stream were decoded in a row.
    fn parts(&self) -> Vec<(usize, usize)> {
        let mut parts: Vec<(usize, usize)> = Vec::new();
        for (stream, _) in &self.decoded {
            match parts.last_mut() {
                Some((last, n)) if last == stream => *n += 1,
                _ => parts.push((*stream, 1)),
            }
        }
        parts
    }
}

#[test]
fn a_stream_that_begins_where_the_followed_one_ends_is_followed_from_its_first_picture() {
    let mut file = File::new(0);
    (0..10).for_each(|s| file.second(0, s));
    (0..10).for_each(|s| file.second(1, s));
    file.end();
    assert_eq!(file.parts(), [(0, 250), (1, 250)]);
}

#[test]
fn a_picture_that_comes_back_to_its_first_stream_is_followed_there() {
    let mut file = File::new(0);
    (0..10).for_each(|s| file.second(0, s));
    (10..20).for_each(|s| file.second(1, s));
    (20..30).for_each(|s| file.second(0, s));
    // The first stream's last picture, which the demuxer held back until the stream came back.
    file.end();
    assert_eq!(file.parts(), [(0, 250), (1, 250), (0, 250)]);
}

#[test]
fn a_short_last_part_is_followed_and_a_picture_held_back_is_none() {
    let mut file = File::new(0);
    (0..10).for_each(|s| file.second(0, s));
    file.second(1, 10);
    file.end();
    assert_eq!(file.parts(), [(0, 250), (1, 25)]);
    file.packet(0, 9_960_000, true);
    file.end();
    assert_eq!(file.parts(), [(0, 250), (1, 25)]);
}

#[test]
fn the_best_stream_is_followed_when_it_begins_late() {
    let mut file = File::new(1);
    (0..10).for_each(|s| file.second(0, s));
    (10..20).for_each(|s| file.second(1, s));
    file.end();
    assert_eq!(file.parts(), [(0, 250), (1, 250)]);
}

/// Adds two streams of the same time, whose frames alternate.
fn both(file: &mut File, seconds: std::ops::Range<i64>) {
    for n in seconds.start * 25..seconds.end * 25 {
        for stream in [0, 1] {
            file.packet(stream, n * FRAME_US, n % 25 == 0);
        }
    }
}

#[test]
fn another_view_of_the_same_time_is_left_alone() {
    for chosen in [0, 1] {
        let mut file = File::new(chosen);
        both(&mut file, 0..60);
        file.end();
        assert_eq!(file.parts(), [(chosen, 1500)]);
    }
}

#[test]
fn another_view_that_goes_on_alone_is_followed_when_that_is_no_mere_difference_of_lengths() {
    let mut file = File::new(0);
    both(&mut file, 0..20);
    (20..25).for_each(|s| file.second(1, s));
    file.end();
    assert_eq!(file.parts(), [(0, 500)]);
    let mut file = File::new(0);
    both(&mut file, 0..20);
    (20..40).for_each(|s| file.second(1, s));
    file.end();
    assert_eq!(file.parts(), [(0, 500), (1, 500)]);
}

#[test]
fn a_view_that_seldom_changes_is_returned_to_and_stayed_with() {
    let mut file = File::new(0);
    for s in 0..300 {
        if s % 30 == 0 {
            file.packet(0, s * 1_000_000, true);
        }
        file.second(1, s);
    }
    file.end();
    let parts = file.parts();
    assert_eq!(parts.len(), 3, "{parts:?}");
    assert_eq!((parts[2].0, parts[2].1 >= 8), (0, true), "{parts:?}");
}
