//! Clocks that begin anew, leap, or are wrong for a few frames, made one that runs on.
//!
//! Most films have an ordinary clock and are never more than looked at ([`Watch`]). At the first packet that does not follow the others
//! the whole film's stamps are read once ([`Scan`]), because only what comes after a leap tells what it was: stamps that come back were
//! wrong, stamps that stay belong to another recording or to a pause. What came of it ([`Timeline`]) is told packet by packet.

use scened_common::domain::ClockPart;
use scened_common::media::wire::MAX_TIME_MS;

use super::{Clock, MAX_STEP_US};

/// Runs that may still be come back to.
const MAX_OPEN: usize = 64;
/// Parts that are told of; nobody puts more recordings together.
const MAX_PARTS: usize = 256;
/// Wrong stamps that lie closer together are told of as one stretch.
const NEAR_MS: u64 = 10_000;
/// So few frames with wrong stamps, a minute or less, have none: each follows the frame before, and the file's other times stay right.
const FEW: u64 = 1500;
/// A run at either end of a film that is so short beside its neighbour, and that far away, is wrong although nothing comes back.
const TINY: u64 = 8;
const TINY_SHARE: u64 = 10;
const FAR_US: i64 = 60 * 1_000_000;
/// So much may lie behind the last picture that has a stamp.
const MAX_UNSTAMPED_US: i64 = 500_000;

/// A packet, as far as its clock is concerned. Microseconds from a player's zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tick {
    pub(super) time_us: i64,
    pub(super) duration_us: i64,
    pub(super) is_key: bool,
    pub(super) offset_bytes: u64,
    /// Which stream of the file it is of: a picture may go on in another one.
    pub(super) stream: u32,
}

/// How far a packet may lie behind the latest, as the order of decoding is not that of showing, and ahead of it.
fn back_us(tick: Tick) -> i64 {
    // Nothing that comes before a keyframe is shown after it.
    if tick.is_key {
        (4 * frame_us(tick)).max(500_000)
    } else {
        (20 * frame_us(tick)).max(2_000_000)
    }
}

fn ahead_us(tick: Tick) -> i64 {
    (8 * frame_us(tick)).max(1_000_000)
}

fn frame_us(tick: Tick) -> i64 {
    tick.duration_us.clamp(1, MAX_STEP_US / 100)
}

/// What a packet is to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follows {
    Well,
    /// After a pause, or a frame that is wrong: the next packets tell.
    Later,
    Not,
}

/// A pause of a film that is longer is looked into.
const PAUSE_US: i64 = 10_000_000;

/// Looks at packets as they come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Watch {
    latest_us: Option<i64>,
    stream: u32,
}

impl Watch {
    pub(super) fn follows(&mut self, tick: Tick) -> Follows {
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
    pub(super) fn comes_back(before: Self, tick: Tick) -> bool {
        before
            .latest_us
            .is_some_and(|latest_us| tick.time_us.saturating_sub(latest_us) <= ahead_us(tick))
    }
}

/// Packets that follow each other.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// The number of its first packet.
    first: u64,
    n: u64,
    offset_bytes: u64,
    stream: u32,
    low_us: i64,
    high_us: i64,
    /// When its last picture ends.
    end_us: i64,
    /// How long its packets last together.
    length_us: i64,
    /// Its stamps are wrong: those after it go on where those before it were.
    is_wrong: bool,
}

impl Run {
    fn new(first: u64, tick: Tick) -> Self {
        Self {
            first,
            n: 1,
            offset_bytes: tick.offset_bytes,
            stream: tick.stream,
            low_us: tick.time_us,
            high_us: tick.time_us,
            end_us: tick.time_us.saturating_add(tick.duration_us),
            length_us: tick.duration_us,
            is_wrong: false,
        }
    }

    fn add(&mut self, tick: Tick) {
        self.n += 1;
        self.low_us = self.low_us.min(tick.time_us);
        self.high_us = self.high_us.max(tick.time_us);
        self.end_us = self.end_us.max(tick.time_us.saturating_add(tick.duration_us));
        self.length_us = self.length_us.saturating_add(tick.duration_us);
    }

    fn is_followed_by(&self, tick: Tick) -> bool {
        let step_us = tick.time_us.saturating_sub(self.high_us);
        self.stream == tick.stream && (-back_us(tick)..=ahead_us(tick)).contains(&step_us)
    }

    /// Whether a packet goes on where this would be by now, had the packets since (which last so long) belonged to it.
    fn is_come_back_to(&self, tick: Tick, since_us: i64) -> bool {
        let step_us = tick.time_us.saturating_sub(self.high_us).saturating_sub(since_us);
        let slack_us = since_us / 8;
        self.stream == tick.stream && (-back_us(tick) - slack_us..=ahead_us(tick) + slack_us).contains(&step_us)
    }
}

/// What the packets of a film tell of its clock, one after the other.
#[derive(Debug, Default)]
pub(super) struct Scan {
    n: u64,
    /// Done with, in order.
    closed: Vec<Run>,
    /// Those that may be come back to, the present one last.
    open: Vec<Run>,
    strays: Vec<Stray>,
}

/// Packets whose stamps cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Stray {
    first: u64,
    n: u64,
    /// Where they belong, by the clock of the packets around them.
    at_us: i64,
    length_us: i64,
}

impl Stray {
    fn new(run: &Run, at_us: i64) -> Self {
        Self {
            first: run.first,
            n: run.n,
            at_us,
            length_us: run.length_us,
        }
    }
}

impl Scan {
    /// Takes the next packet; `None`: it has no stamp.
    pub(super) fn take(&mut self, tick: Option<Tick>) {
        let number = self.n;
        self.n += 1;
        let Some(tick) = tick else {
            // Pictures without a stamp lie between those that have one, and at the end behind them.
            if let Some(top) = self.open.last_mut() {
                top.length_us = top.length_us.saturating_add(top.length_us / top.n.max(1) as i64);
                top.n += 1;
            }
            return;
        };
        let Some(top) = self.open.last_mut() else {
            self.open.push(Run::new(number, tick));
            return;
        };
        if top.is_followed_by(tick) {
            top.add(tick);
            return;
        }
        let leap_us = tick.time_us.saturating_sub(top.high_us);
        let mut since_us = top.length_us;
        for at in (0..self.open.len() - 1).rev() {
            let (run, next) = (self.open[at], self.open[at + 1]);
            // Who comes back takes the opposite way.
            let went_us = next.low_us.saturating_sub(run.high_us);
            // The time that passed was counted, or not, as where something was put in between.
            let is_counted = run.is_come_back_to(tick, since_us);
            if (went_us > 0) != (leap_us > 0) && (is_counted || run.is_come_back_to(tick, 0)) {
                let strays = self.open.split_off(at + 1);
                self.come_back(number, tick, strays, is_counted);
                return;
            }
            since_us = since_us.saturating_add(run.length_us);
        }
        self.open.push(Run::new(number, tick));
        if self.open.len() > MAX_OPEN {
            self.closed.push(self.open.remove(0));
        }
    }

    /// What lies between was wrong: a few frames lose their stamps; more of them keep their distances.
    fn come_back(&mut self, number: u64, tick: Tick, strays: Vec<Run>, is_counted: bool) {
        let n: u64 = strays.iter().map(|run| run.n).sum();
        if let Some(run) = self.open.last_mut()
            && n <= FEW
            && is_counted
        {
            for stray in strays {
                self.strays.push(Stray::new(&stray, run.end_us));
                run.length_us = run.length_us.saturating_add(stray.length_us);
            }
            run.add(tick);
            return;
        }
        self.closed.append(&mut self.open);
        self.closed.extend(strays.into_iter().map(|run| Run { is_wrong: true, ..run }));
        self.open.push(Run::new(number, tick));
    }

    pub(super) fn finish(mut self) -> Timeline {
        self.closed.append(&mut self.open);
        let mut runs = self.closed;
        let is_tiny = |run: &Run, beside: &Run| {
            let away_us = run.low_us.saturating_sub(beside.low_us).saturating_abs();
            run.n < TINY && run.n * TINY_SHARE <= beside.n && away_us > FAR_US
        };
        while let [first, second, ..] = runs[..]
            && is_tiny(&first, &second)
        {
            self.strays.push(Stray::new(&first, second.low_us));
            runs.remove(0);
        }
        while let [.., before, last] = runs[..]
            && is_tiny(&last, &before)
        {
            self.strays.push(Stray::new(&last, before.end_us));
            runs.pop();
        }
        self.strays.sort_unstable();
        let mut parts: Vec<Part> = Vec::new();
        // The earliest that comes, from each run on.
        let mut earliest_us: Vec<i64> = runs.iter().map(|run| run.low_us).collect();
        for at in (1..earliest_us.len()).rev() {
            earliest_us[at - 1] = earliest_us[at - 1].min(earliest_us[at]);
        }
        let (mut end_us, mut before_us) = (0, None);
        for (at, run) in runs.iter().enumerate() {
            let leap_us = at
                .checked_sub(1)
                .map_or(0, |before| run.low_us.saturating_sub(runs[before].high_us));
            // Where stamps go back to before a leap, there was no pause.
            let is_no_pause = leap_us > FAR_US && earliest_us[at] < run.low_us - FAR_US;
            let lies_well = |shift_us: i64| {
                let step_us = run.low_us.saturating_add(shift_us).saturating_sub(end_us);
                (-500_000..=MAX_STEP_US).contains(&step_us)
            };
            let shift_us = match before_us {
                // Whatever a film begins with is its zero, or not far from it.
                None if run.low_us >= -FAR_US && run.low_us <= MAX_STEP_US => 0,
                None => -run.low_us,
                _ if run.is_wrong || is_no_pause => end_us - run.low_us,
                // After a pause; or where the file's own time can be true once more.
                Some(before_us) if lies_well(before_us) => before_us,
                Some(_) if lies_well(0) => 0,
                Some(_) => end_us - run.low_us,
            };
            if !run.is_wrong {
                before_us = Some(shift_us);
            }
            let counted_us = run.low_us.saturating_add(run.length_us);
            let run_end_us = if (0..MAX_UNSTAMPED_US).contains(&counted_us.saturating_sub(run.end_us)) {
                counted_us
            } else {
                run.end_us
            };
            end_us = run_end_us.saturating_add(shift_us).max(end_us);
            match parts.last_mut() {
                Some(part) if (part.shift_us, part.stream) == (shift_us, run.stream) => {
                    part.low_us = part.low_us.min(run.low_us);
                    part.end_us = part.end_us.max(run.end_us);
                }
                _ => parts.push(Part {
                    first: run.first,
                    shift_us,
                    offset_bytes: run.offset_bytes,
                    stream: run.stream,
                    low_us: run.low_us,
                    end_us: run.end_us,
                }),
            }
        }
        // Packets before the first run have its clock.
        if let Some(first) = parts.first_mut() {
            first.first = 0;
        }
        Timeline {
            parts,
            strays: self.strays,
        }
    }
}

/// Packets whose stamps are wrong by the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    first: u64,
    /// What is to be added to its stamps.
    shift_us: i64,
    offset_bytes: u64,
    stream: u32,
    /// What its stamps are.
    low_us: i64,
    end_us: i64,
}

/// What is to be done with the stamp of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mended {
    Moved {
        by_us: i64,
    },
    /// It is wrong: the picture follows the one before.
    Gone,
}

/// What is to be done with the stamps of a film.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Timeline {
    parts: Vec<Part>,
    /// In order.
    strays: Vec<Stray>,
}

impl Timeline {
    /// By a packet's number, from 0.
    pub(super) fn mended(&self, number: u64) -> Mended {
        let at = self.strays.partition_point(|stray| stray.first <= number);
        if at
            .checked_sub(1)
            .is_some_and(|at| number - self.strays[at].first < self.strays[at].n)
        {
            return Mended::Gone;
        }
        Mended::Moved {
            by_us: self.shift_us(number),
        }
    }

    fn shift_us(&self, number: u64) -> i64 {
        let at = self.parts.partition_point(|part| part.first <= number);
        at.checked_sub(1).map_or(0, |at| self.parts[at].shift_us)
    }

    /// Where frames are whose stamps are wrong: from, to. Milliseconds.
    pub(super) fn wrong(&self) -> Vec<(u64, u64)> {
        let mut told: Vec<(u64, u64)> = Vec::new();
        for stray in &self.strays {
            let begins_us = stray.at_us.saturating_add(self.shift_us(stray.first));
            let from_ms = begins_us.max(0) as u64 / 1000;
            let to_ms = begins_us.saturating_add(stray.length_us).max(0) as u64 / 1000 + 1;
            let is_full = told.len() == MAX_PARTS;
            match told.last_mut() {
                Some(last) if is_full || from_ms < last.1 + NEAR_MS => last.1 = last.1.max(to_ms),
                _ => told.push((from_ms, to_ms)),
            }
        }
        told
    }

    pub(super) fn is_plain(&self) -> bool {
        self.strays.is_empty() && self.parts.iter().all(|part| part.shift_us == 0)
    }

    /// As others are told; empty where the file's own stamps are right but for a few.
    pub(super) fn told(&self) -> Vec<ClockPart> {
        let stream = self.parts.first().map(|part| part.stream);
        if self.parts.iter().all(|part| part.shift_us == 0 && Some(part.stream) == stream) {
            return Vec::new();
        }
        let to_ms = |us: i64| (us + 500).div_euclid(1000);
        let mut told: Vec<ClockPart> = Vec::new();
        for (at, part) in self.parts.iter().take(MAX_PARTS).enumerate() {
            let is_last = at + 1 == MAX_PARTS && self.parts.len() > MAX_PARTS;
            let start_ms = to_ms(part.low_us.saturating_add(part.shift_us)).max(0) as u64;
            // No film goes on that long.
            if start_ms >= MAX_TIME_MS - MAX_PARTS as u64 {
                break;
            }
            let file_ms = if at == 0 { to_ms(-part.shift_us) } else { to_ms(part.low_us) };
            let file_end_ms = to_ms(part.end_us);
            let is_far = |ms: i64| ms.unsigned_abs() > MAX_TIME_MS;
            // No program looks for it by such a time.
            let cannot_be_found = is_last || is_far(file_ms) || is_far(file_end_ms);
            told.push(ClockPart {
                start_ms: told.last().map_or(0, |before| start_ms.max(before.start_ms + 1)),
                // What is behind so many parts cannot be found by time.
                file_ms: if cannot_be_found { -1 } else { file_ms },
                file_end_ms: if cannot_be_found { -1 } else { file_end_ms },
                offset_bytes: if is_last { 0 } else { part.offset_bytes },
                first_frame: part.first,
                stream: Some(part.stream).filter(|_| Some(part.stream) != stream),
            });
        }
        told
    }
}

impl Clock {
    /// How many of its units are so long.
    pub(super) fn units(self, us: i64) -> i64 {
        let (numerator, denominator) = self.time_base;
        let per = i128::from(numerator.max(1)) * 1_000_000;
        let units = i128::from(us) * i128::from(denominator.max(1));
        ((units + per / 2).div_euclid(per)).clamp(i128::from(i64::MIN / 8), i128::from(i64::MAX / 8)) as i64
    }
}

#[cfg(test)]
#[path = "timeline_tests.rs"]
mod tests;
