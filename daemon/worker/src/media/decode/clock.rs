//! Converts time stamps to times of the video, as a player counts them. Pure.

/// Limit of a step in time. A longer one is a broken clock, not a still picture. Microseconds.
pub(crate) const MAX_STEP_US: i64 = 12 * 3600 * 1_000_000;

/// When a frame is shown, from the start of the video as a player counts. Microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameTime {
    pub(crate) start_us: i64,
    pub(crate) end_us: i64,
}

/// The clock of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clock {
    /// Unit of time stamps: seconds as a fraction.
    time_base: (i64, i64),
    /// A player's zero. Microseconds.
    origin_us: i64,
    /// How long to show a frame without a duration. Microseconds.
    frame_us: i64,
}

impl Clock {
    /// Creates a clock. `time_base`: unit of time stamps, in seconds as a fraction; `frame_us`: how long to show a frame without a
    /// duration.
    pub(super) fn new(time_base: (i64, i64), origin_us: i64, frame_us: i64) -> Self {
        Self {
            time_base,
            origin_us,
            frame_us,
        }
    }

    /// Returns a clock with the same zero, in the units of another stream.
    pub(super) fn of_stream(self, time_base: (i64, i64), frame_us: i64) -> Self {
        Self::new(time_base, self.origin_us, frame_us)
    }

    /// Returns a player's zero, by the file's clock. Microseconds.
    pub(super) fn origin_us(self) -> i64 {
        self.origin_us
    }

    /// Returns the same clock with its zero moved later by `by_us`.
    pub(super) fn put_off(self, by_us: i64) -> Self {
        Self {
            origin_us: self.origin_us.saturating_add(by_us),
            ..self
        }
    }

    /// Returns when a picture with this stamp is shown. It is negative before the player's zero.
    pub(crate) fn time_us(self, stamp: i64) -> i64 {
        to_us(stamp, self.time_base).saturating_sub(self.origin_us)
    }

    pub(crate) fn duration_us(self, duration: i64) -> i64 {
        let said = Some(to_us(duration, self.time_base)).filter(|us| *us > 0 && *us < MAX_STEP_US);
        said.unwrap_or(self.frame_us).max(1)
    }

    pub(crate) fn frame_us(self) -> i64 {
        self.frame_us.max(1)
    }

    /// Converts a duration to units of the clock.
    pub(super) fn units(self, us: i64) -> i64 {
        let (numerator, denominator) = self.time_base;
        let per = i128::from(numerator.max(1)) * 1_000_000;
        let units = i128::from(us) * i128::from(denominator.max(1));
        ((units + per / 2).div_euclid(per)).clamp(i128::from(i64::MIN / 8), i128::from(i64::MAX / 8)) as i64
    }
}

/// Converts a stamp in units of `numerator / denominator` seconds to microseconds.
pub(super) fn to_us(stamp: i64, (numerator, denominator): (i64, i64)) -> i64 {
    if denominator <= 0 {
        return 0;
    }
    let scaled = i128::from(stamp) * i128::from(numerator) * 1_000_000;
    let half = i128::from(denominator) / 2;
    // The result stays far from the ends of i64, so that sums of times cannot overflow.
    (scaled + half)
        .div_euclid(i128::from(denominator))
        .clamp(i128::from(i64::MIN / 8), i128::from(i64::MAX / 8)) as i64
}
