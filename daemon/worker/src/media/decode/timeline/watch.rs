//! Decides whether a packet's stamp may follow those before it. Pure.

use crate::media::decode::clock::MAX_STEP_US;

/// The clock data of a packet. Microseconds from a player's zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::media::decode) struct Tick {
    pub(in crate::media::decode) time_us: i64,
    pub(in crate::media::decode) duration_us: i64,
    pub(in crate::media::decode) is_key: bool,
    pub(in crate::media::decode) offset_bytes: u64,
    /// Index of its stream in the file: a picture may continue in another one.
    pub(in crate::media::decode) stream: u32,
}

/// Returns how far a packet may be behind the latest one, because decoding order is not display order. [`ahead_us`] is the limit ahead of
/// it.
pub(super) fn back_us(tick: Tick) -> i64 {
    // Pictures that come before a keyframe are not shown after it.
    if tick.is_key {
        (4 * frame_us(tick)).max(500_000)
    } else {
        (20 * frame_us(tick)).max(2_000_000)
    }
}

pub(super) fn ahead_us(tick: Tick) -> i64 {
    (8 * frame_us(tick)).max(1_000_000)
}

fn frame_us(tick: Tick) -> i64 {
    tick.duration_us.clamp(1, MAX_STEP_US / 100)
}

/// Relation of a packet to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::media::decode) enum Follows {
    Well,
    /// After a pause or a wrong frame: the next packets decide.
    Later,
    Not,
}

/// A longer pause of a video is examined.
const PAUSE_US: i64 = 10_000_000;

/// Checks packets as they come.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::media::decode) struct Watch {
    latest_us: Option<i64>,
    stream: u32,
}

impl Watch {
    pub(in crate::media::decode) fn follows(&mut self, tick: Tick) -> Follows {
        let Some(latest_us) = self.latest_us else {
            self.latest_us = Some(tick.time_us);
            self.stream = tick.stream;
            return Follows::Well;
        };
        if tick.stream != self.stream {
            return Follows::Not;
        }
        let step_us = tick.time_us.saturating_sub(latest_us);
        self.latest_us = Some(latest_us.max(tick.time_us));
        if step_us < -back_us(tick) || step_us > (2 * ahead_us(tick)).max(PAUSE_US) {
            Follows::Not
        } else if step_us > ahead_us(tick) {
            Follows::Later
        } else {
            Follows::Well
        }
    }

    /// Returns whether a packet goes back to before a leap.
    pub(in crate::media::decode) fn comes_back(before: Self, tick: Tick) -> bool {
        before
            .latest_us
            .is_some_and(|latest_us| tick.time_us.saturating_sub(latest_us) <= ahead_us(tick))
    }
}
