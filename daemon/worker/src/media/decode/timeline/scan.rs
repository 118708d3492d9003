//! What all stamps of a video tell of its clock: which of them are wrong, and by how much. Pure.
//!
//! Packets that follow each other are a run. A run that is come back to had wrong stamps put in between; others lie one behind the other.

use super::watch::{Tick, ahead_us, back_us};
use super::{Part, Stray, Timeline};
use crate::media::decode::clock::MAX_STEP_US;

/// Runs that may still be come back to.
const MAX_OPEN: usize = 64;
/// So few frames with wrong stamps, a minute or less, have none: each follows the frame before, and the file's other times stay right.
const FEW: u64 = 1500;
/// A run at either end of a video that is so short beside its neighbour, and that far away, is wrong although nothing comes back.
const TINY: u64 = 8;
const TINY_SHARE: u64 = 10;
const FAR_US: i64 = 60 * 1_000_000;
/// So much may lie behind the last picture that has a stamp.
const MAX_UNSTAMPED_US: i64 = 500_000;

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

/// What the packets of a video tell of its clock, one after the other.
#[derive(Debug, Default)]
pub(in crate::media::decode) struct Scan {
    n: u64,
    /// Done with, in order.
    closed: Vec<Run>,
    /// Those that may be come back to, the present one last.
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
    /// Takes the next packet; `None`: it has no stamp.
    pub(in crate::media::decode) fn take(&mut self, tick: Option<Tick>) {
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

    /// No packet follows.
    pub(in crate::media::decode) fn finish(mut self) -> Timeline {
        self.closed.append(&mut self.open);
        let runs = self.without_tiny_ends();
        self.strays.sort_unstable();
        // The earliest that comes, from each run on.
        let mut earliest_us: Vec<i64> = runs.iter().map(|run| run.low_us).collect();
        for at in (1..earliest_us.len()).rev() {
            earliest_us[at - 1] = earliest_us[at - 1].min(earliest_us[at]);
        }
        let mut layout = Layout::default();
        for (at, run) in runs.iter().enumerate() {
            let leap_us = at
                .checked_sub(1)
                .map_or(0, |before| run.low_us.saturating_sub(runs[before].high_us));
            // Where stamps go back to before a leap, there was no pause.
            let is_no_pause = leap_us > FAR_US && earliest_us[at] < run.low_us - FAR_US;
            layout.add(run, is_no_pause);
        }
        Timeline::new(layout.parts, self.strays)
    }

    /// The runs but for those at either end that are wrong although nothing comes back; these become strays.
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

/// Lays runs one behind the other.
#[derive(Default)]
struct Layout {
    parts: Vec<Part>,
    /// Where the next run begins if nothing tells otherwise. Microseconds.
    end_us: i64,
    /// By what the run before was moved whose stamps are right among themselves.
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

    /// What is to be added to the stamps of the next run.
    fn shift_us(&self, run: &Run, is_no_pause: bool) -> i64 {
        let end_us = self.end_us;
        let lies_well = |shift_us: i64| {
            let step_us = run.low_us.saturating_add(shift_us).saturating_sub(end_us);
            (-500_000..=MAX_STEP_US).contains(&step_us)
        };
        match self.before_us {
            // Whatever a video begins with is its zero, or not far from it.
            None if run.low_us >= -FAR_US && run.low_us <= MAX_STEP_US => 0,
            None => -run.low_us,
            _ if run.is_wrong || is_no_pause => end_us - run.low_us,
            // After a pause; or where the file's own time can be true once more.
            Some(before_us) if lies_well(before_us) => before_us,
            Some(_) if lies_well(0) => 0,
            Some(_) => end_us - run.low_us,
        }
    }
}
