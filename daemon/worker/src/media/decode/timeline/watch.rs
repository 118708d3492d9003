//! Whether a packet's stamp may follow those before it. Pure.

use crate::media::decode::clock::MAX_STEP_US;

/// A packet, as far as its clock is concerned. Microseconds from a player's zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::media::decode) struct Tick {
    pub(in crate::media::decode) time_us: i64,
    pub(in crate::media::decode) duration_us: i64,
    pub(in crate::media::decode) is_key: bool,
    pub(in crate::media::decode) offset_bytes: u64,
    /// Which stream of the file it is of: a picture may go on in another one.
    pub(in crate::media::decode) stream: u32,
}

/// How far a packet may lie behind the latest, as the order of decoding is not that of showing, and ahead of it.
pub(super) fn back_us(tick: Tick) -> i64 {
    // Nothing that comes before a keyframe is shown after it.
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

/// What a packet is to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::media::decode) enum Follows {
    Well,
    /// After a pause, or a frame that is wrong: the next packets tell.
    Later,
    Not,
}

/// A pause of a video that is longer is looked into.
const PAUSE_US: i64 = 10_000_000;

/// Looks at packets as they come.
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

    /// Whether a packet goes back to before a leap.
    pub(in crate::media::decode) fn comes_back(before: Self, tick: Tick) -> bool {
        before
            .latest_us
            .is_some_and(|latest_us| tick.time_us.saturating_sub(latest_us) <= ahead_us(tick))
    }
}
