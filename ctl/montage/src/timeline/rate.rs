//! Frame rates and timecodes.

use std::fmt;
use std::str::FromStr;

/// Frames per second as editors use them: a whole number, or one slowed by 1000/1001 as in NTSC (29.97).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Frames that a timecode counts per second. **Invariant**: 1 to 240.
    nominal: u32,
    is_slowed: bool,
}

/// A quarter of a percent. 24 and 23.976 differ by only a tenth of a percent, so the nearer one is chosen.
const TOLERANCE: f64 = 0.0025;
const MAX_NOMINAL: u32 = 240;

impl Rate {
    /// 25, the rate assumed if none is known.
    pub const PAL: Self = Self {
        nominal: 25,
        is_slowed: false,
    };

    /// Returns the standard rate nearest to a measured one; `None` if no video could have that rate.
    pub fn nearest(frames_a_second: f64) -> Option<Self> {
        if !frames_a_second.is_finite() || !(0.5..=f64::from(MAX_NOMINAL) + 0.5).contains(&frames_a_second) {
            return None;
        }
        let nominal = (frames_a_second.round() as u32).clamp(1, MAX_NOMINAL);
        let whole = Self { nominal, is_slowed: false };
        // NTSC slowed down 24, 30 and their multiples.
        let slowed = Self {
            nominal: (frames_a_second * 1.001).round() as u32,
            is_slowed: true,
        };
        let distance = |rate: Self| (rate.frames_a_second() / frames_a_second - 1.0).abs();
        let is_slowed = matches!(slowed.nominal, 24 | 30 | 48 | 60 | 96 | 120 | 240) && distance(slowed) < distance(whole).min(TOLERANCE);
        Some(if is_slowed { slowed } else { whole })
    }

    /// Returns the frames per second: 30000/1001 for 29.97.
    pub fn frames_a_second(self) -> f64 {
        let nominal = f64::from(self.nominal);
        if self.is_slowed { nominal * 1000.0 / 1001.0 } else { nominal }
    }

    /// Formats the rate as FFmpeg reads it: `25/1`, `30000/1001`.
    pub fn fraction(self) -> String {
        let nominal = self.nominal;
        if self.is_slowed {
            format!("{}/1001", nominal * 1000)
        } else {
            format!("{nominal}/1")
        }
    }

    /// Returns whether timecodes skip numbers to stay in step with the clock. Those of 29.97 and its multiples do.
    pub fn drops_frames(self) -> bool {
        self.is_slowed && self.nominal.is_multiple_of(30)
    }

    /// Returns the frame nearest to a time.
    pub fn frame_at(self, ms: u64) -> u64 {
        let (frames, per) = if self.is_slowed {
            (u128::from(self.nominal), 1001)
        } else {
            (u128::from(self.nominal), 1000)
        };
        ((u128::from(ms) * frames + per / 2) / per) as u64
    }

    /// Returns the timecode of a frame, counted from midnight.
    ///
    /// Drop-frame timecode skips the first two numbers (four at 59.94) of every minute, except every tenth (SMPTE 12M).
    pub fn timecode(self, frame: u64, drops: bool) -> Timecode {
        let nominal = u64::from(self.nominal);
        let mut number = frame;
        if drops {
            let left_out = nominal / 15;
            let a_minute = nominal * 60 - left_out;
            let ten_minutes = nominal * 600 - 9 * left_out;
            let (tens, rest) = (frame / ten_minutes, frame % ten_minutes);
            number += 9 * left_out * tens;
            // The first of ten minutes skips no numbers.
            if rest >= nominal * 60 {
                number += left_out * ((rest - nominal * 60) / a_minute + 1);
            }
        }
        let s = number / nominal;
        Timecode {
            // The timecode wraps around at midnight.
            hours: (s / 3600 % 24) as u32,
            minutes: (s / 60 % 60) as u32,
            seconds: (s % 60) as u32,
            frames: (number % nominal) as u32,
            drops,
        }
    }

    /// Returns the frame with this timecode.
    pub fn frame_called(self, timecode: Timecode) -> u64 {
        let nominal = u64::from(self.nominal);
        let minutes = u64::from(timecode.hours) * 60 + u64::from(timecode.minutes);
        let number = (minutes * 60 + u64::from(timecode.seconds)) * nominal + u64::from(timecode.frames);
        if timecode.drops && self.drops_frames() {
            number - nominal / 15 * (minutes - minutes / 10)
        } else {
            number
        }
    }
}

/// Parses what users type: `25`, `29.97`, `30000/1001`.
impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite() && *number > 0.0);
        let rate = match text.split_once('/') {
            Some((frames, seconds)) => number(frames).zip(number(seconds)).map(|(frames, seconds)| frames / seconds),
            None => number(text),
        };
        rate.and_then(Self::nearest)
            .ok_or_else(|| "give frames a second, such as 25, 23.976, 29.97 or 30000/1001".to_owned())
    }
}

/// Formats a rate: `25`, `23.976`, `29.97`.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.3}", self.frames_a_second());
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// The timecode of a frame: hours, minutes, seconds and frames (SMPTE 12M).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timecode {
    hours: u32,
    minutes: u32,
    seconds: u32,
    frames: u32,
    /// Whether it skips numbers to stay in step with the clock (drop frame).
    pub drops: bool,
}

impl Timecode {
    /// Returns the timecode of an hour's first frame.
    pub const fn at_hour(hours: u32, drops: bool) -> Self {
        Self {
            hours,
            minutes: 0,
            seconds: 0,
            frames: 0,
            drops,
        }
    }

    /// Parses a timecode in FFmpeg's format; a semicolon marks drop frame.
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Vec<u32> = text.split([':', ';', '.']).map(|part| part.parse().ok()).collect::<Option<_>>()?;
        let [hours, minutes, seconds, frames] = parts[..] else {
            return None;
        };
        let is_one = hours < 24 && minutes < 60 && seconds < 60 && frames < MAX_NOMINAL;
        is_one.then_some(Self {
            hours,
            minutes,
            seconds,
            frames,
            drops: text.contains([';', '.']),
        })
    }
}

impl fmt::Display for Timecode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.drops { ';' } else { ':' };
        write!(
            f,
            "{:02}:{:02}:{:02}{mark}{:02}",
            self.hours, self.minutes, self.seconds, self.frames
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(text: &str) -> Rate {
        text.parse().unwrap()
    }

    #[test]
    fn measured_rates_become_those_of_editing() {
        for (measured, shown) in [
            (25.0, "25"),
            (24.0, "24"),
            (23.976, "23.976"),
            (24_000.0 / 1001.0, "23.976"),
            (29.97, "29.97"),
            (30.0, "30"),
            (59.94, "59.94"),
            (50.0, "50"),
            (14.985, "15"),
            (29.83, "30"),
            (12.5, "13"),
            (119.88, "119.88"),
        ] {
            assert_eq!(Rate::nearest(measured).unwrap().to_string(), shown, "{measured}");
        }
        for none in [0.0, -25.0, f64::NAN, f64::INFINITY, 90_000.0] {
            assert_eq!(Rate::nearest(none), None);
        }
        assert_eq!(rate("30000/1001"), rate("29.97"));
        for text in ["", "fast", "0", "-25", "25/0", "1e9", "/"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    /// Known pairs: ten minutes of 29.97 have 17,982 frames, so frame 17,982 is 00:10:00;00.
    #[test]
    fn timecodes_leave_out_what_the_standard_says() {
        let check = |text: &str, frame: u64, expected: &str| {
            let rate = rate(text);
            let timecode = rate.timecode(frame, rate.drops_frames());
            assert_eq!(timecode.to_string(), expected, "{text} {frame}");
            assert_eq!(rate.frame_called(timecode), frame, "{text} {frame}");
            assert_eq!(Timecode::parse(expected), Some(timecode));
        };
        check("25", 0, "00:00:00:00");
        check("25", 90_000, "01:00:00:00");
        check("23.976", 86_400, "01:00:00:00");
        check("29.97", 1799, "00:00:59;29");
        check("29.97", 1800, "00:01:00;02");
        check("29.97", 17_981, "00:09:59;29");
        check("29.97", 17_982, "00:10:00;00");
        check("29.97", 107_892, "01:00:00;00");
        check("59.94", 3599, "00:00:59;59");
        check("59.94", 3600, "00:01:00;04");
        check("59.94", 35_964, "00:10:00;00");
        check("59.94", 215_784, "01:00:00;00");
        // The timecode keeps step with the clock: an hour of NTSC is an hour, apart from a few milliseconds.
        assert_eq!(rate("29.97").frame_at(3_600_000), 107_892);
        assert_eq!(rate("59.94").frame_at(3_600_000), 215_784);
    }

    #[test]
    fn every_frame_of_an_hour_has_a_name_of_its_own() {
        for text in ["29.97", "59.94"] {
            let rate = rate(text);
            let mut before = None;
            for frame in 0..220_000 {
                let timecode = rate.timecode(frame, true);
                assert_eq!(rate.frame_called(timecode), frame);
                let name = timecode.to_string();
                assert!(before.is_none_or(|before| before < name), "{name}");
                before = Some(name);
            }
        }
    }

    #[test]
    fn a_boundary_is_the_frame_that_was_shown_then() {
        for text in ["25", "23.976", "29.97", "59.94", "60", "24"] {
            let rate = rate(text);
            for frame in [0, 1, 7, 1000, 123_456] {
                let ms = (frame as f64 * 1000.0 / rate.frames_a_second()) as u64;
                assert_eq!(rate.frame_at(ms), frame, "{text}, cut down to milliseconds");
                assert_eq!(rate.frame_at(ms + 1), frame, "{text}, rounded up");
            }
        }
    }
}
