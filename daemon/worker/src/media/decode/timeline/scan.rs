//! Finds out from all stamps of a video which of them are wrong, and by how much. Pure.
//!
//! A run is a sequence of packets that follow each other. If the stamps return to an earlier run, wrong stamps were inserted in between.
//! Other runs follow one another.

use super::watch::{Tick, ahead_us, back_us};
use super::{Part, Stray, Timeline};
use crate::media::decode::clock::MAX_STEP_US;

/// Limit of runs that the stamps may still return to.
const MAX_OPEN: usize = 64;
/// Up to this many frames with wrong stamps (a minute or less) lose their stamps. Each then follows the frame before, and the file's other
/// times stay right.
const FEW: u64 = 1500;
/// A run at either end of a video is wrong even if no stamps return, if it is this short beside its neighbour and this far away.
const TINY: u64 = 8;
const TINY_SHARE: u64 = 10;
const FAR_US: i64 = 60 * 1_000_000;
/// Limit for the time behind the last picture that has a stamp.
const MAX_UNSTAMPED_US: i64 = 500_000;

/// A sequence of packets that follow each other.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// Number of its first packet.
    first: u64,
    n: u64,
    offset_bytes: u64,
    stream: u32,
    low_us: i64,
    high_us: i64,
    /// End of its last picture.
    end_us: i64,
    /// Total duration of its packets.
    length_us: i64,
    /// Its stamps are wrong: those after it continue from those before it.
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

    /// Returns whether a packet continues this run. `since_us`: the duration of the packets since, counted as if they belonged to the run.
    fn is_come_back_to(&self, tick: Tick, since_us: i64) -> bool {
        let step_us = tick.time_us.saturating_sub(self.high_us).saturating_sub(since_us);
        let slack_us = since_us / 8;
        self.stream == tick.stream && (-back_us(tick) - slack_us..=ahead_us(tick) + slack_us).contains(&step_us)
    }
}

/// Collects what the packets of a video show about its clock, one after the other.
#[derive(Debug, Default)]
pub(in crate::media::decode) struct Scan {
    n: u64,
    /// Finished runs, in order.
    closed: Vec<Run>,
    /// Runs that the stamps may return to, the current one last.
    open: Vec<Run>,
    strays: Vec<Stray>,
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
    /// Adds the next packet, or `None` if it has no stamp.
    pub(in crate::media::decode) fn take(&mut self, tick: Option<Tick>) {
        let number = self.n;
        self.n += 1;
        let Some(tick) = tick else {
            // A picture without a stamp is between those that have one, or behind them at the end.
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
            // A return goes in the opposite direction.
            let went_us = next.low_us.saturating_sub(run.high_us);
            // The time that passed may have been counted, or not, as when something was inserted.
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

    /// Handles a return: the packets in between were wrong. A few frames lose their stamps; more of them keep their distances.
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

    /// Ends the scan after the last packet.
    pub(in crate::media::decode) fn finish(mut self) -> Timeline {
        self.closed.append(&mut self.open);
        let runs = self.without_tiny_ends();
        self.strays.sort_unstable();
        // The earliest time still to come, from each run on.
        let mut earliest_us: Vec<i64> = runs.iter().map(|run| run.low_us).collect();
        for at in (1..earliest_us.len()).rev() {
            earliest_us[at - 1] = earliest_us[at - 1].min(earliest_us[at]);
        }
        let mut layout = Layout::default();
        for (at, run) in runs.iter().enumerate() {
            let leap_us = at
                .checked_sub(1)
                .map_or(0, |before| run.low_us.saturating_sub(runs[before].high_us));
            // If stamps go back to before a leap, there was no pause.
            let is_no_pause = leap_us > FAR_US && earliest_us[at] < run.low_us - FAR_US;
            layout.add(run, is_no_pause);
        }
        Timeline::new(layout.parts, self.strays)
    }

    /// Returns the runs without those at either end that are wrong although no stamps return. These become strays.
    fn without_tiny_ends(&mut self) -> Vec<Run> {
        let mut runs = std::mem::take(&mut self.closed);
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
        runs
    }
}

/// Places runs one behind the other.
#[derive(Default)]
struct Layout {
    parts: Vec<Part>,
    /// Where the next run begins by default. Microseconds.
    end_us: i64,
    /// Shift of the last run that is not wrong.
    before_us: Option<i64>,
}

impl Layout {
    fn add(&mut self, run: &Run, is_no_pause: bool) {
        let shift_us = self.shift_us(run, is_no_pause);
        if !run.is_wrong {
            self.before_us = Some(shift_us);
        }
        let counted_us = run.low_us.saturating_add(run.length_us);
        let run_end_us = if (0..MAX_UNSTAMPED_US).contains(&counted_us.saturating_sub(run.end_us)) {
            counted_us
        } else {
            run.end_us
        };
        self.end_us = run_end_us.saturating_add(shift_us).max(self.end_us);
        match self.parts.last_mut() {
            Some(part) if (part.shift_us, part.stream) == (shift_us, run.stream) => {
                part.low_us = part.low_us.min(run.low_us);
                part.end_us = part.end_us.max(run.end_us);
            }
            // Packets before the first run have its clock.
            _ => self.parts.push(Part {
                first: if self.parts.is_empty() { 0 } else { run.first },
                shift_us,
                offset_bytes: run.offset_bytes,
                stream: run.stream,
                low_us: run.low_us,
                end_us: run.end_us,
            }),
        }
    }

    /// Returns what must be added to the stamps of the next run.
    fn shift_us(&self, run: &Run, is_no_pause: bool) -> i64 {
        let end_us = self.end_us;
        let lies_well = |shift_us: i64| {
            let step_us = run.low_us.saturating_add(shift_us).saturating_sub(end_us);
            (-500_000..=MAX_STEP_US).contains(&step_us)
        };
        match self.before_us {
            // A video's first time is its zero, or near it.
            None if run.low_us >= -FAR_US && run.low_us <= MAX_STEP_US => 0,
            None => -run.low_us,
            _ if run.is_wrong || is_no_pause => end_us - run.low_us,
            // After a pause, or if the file's own time can be right again.
            Some(before_us) if lies_well(before_us) => before_us,
            Some(_) if lies_well(0) => 0,
            Some(_) => end_us - run.low_us,
        }
    }
}
