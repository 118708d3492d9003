//! Turns the networks' answers about frames and steps into boundaries.

use std::collections::VecDeque;

use crate::Glimpse;
use crate::features::{Frames, N_CUT, N_GRADUAL, Steps, luma_and_chroma_change};
use crate::network::Network;
use crate::weights;

/// The beginning of a shot. Times are those of frames, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// `time_us`: the first frame of the new shot.
    Cut { time_us: i64 },
    /// The frames from `start_us` to `end_us` belong to both shots or to neither. The new shot begins at `time_us`: the middle of a
    /// dissolve, the darkest moment of a fade.
    Gradual { start_us: i64, time_us: i64, end_us: i64 },
}

impl Found {
    pub fn time_us(self) -> i64 {
        match self {
            Self::Cut { time_us } | Self::Gradual { time_us, .. } => time_us,
        }
    }
}

/// Probability from which a frame begins a shot.
const CUT: f32 = 0.5;
/// Probability from which a cut replaces a transition that it is in.
const SURE_CUT: f32 = 0.9;
/// Smallest number of frames between two cuts.
const CUT_FRAMES: u64 = 4;
/// Change of luma and chroma, in 8-bit steps, from which a still picture has become another one, and up to which it is still the same. This
/// rule applies beside plain pictures (cards), because the network judges by structure, and they have none.
const CARD_CHANGED: f32 = 6.0;
const CARD_SAME: f32 = 1.0;
/// Number of frames on each side that must not change.
const CARD_FRAMES: usize = 3;
/// A value above every probability.
const CERTAIN: f32 = 2.0;
/// Shortest shot at the end of a video. Frames.
const LAST_FRAMES: u64 = 3;
/// Probability from which a step may belong to a transition, and one that at least one of its steps must reach.
const GRADUAL: f32 = 0.35;
const SURE_GRADUAL: f32 = 0.8;
/// Number of steps with a picture that must come before a transition.
const MIN_SHOWN: u64 = 2;
/// Most steps of a transition, about five seconds. A longer one is cut off there.
const MAX_STEPS: usize = 64;
/// Distance from a transition's ends at which a cut still belongs to it. Microseconds.
const MARGIN_US: i64 = 130_000;
/// A picture with at most this deviation is plain, and ends a fade. Standard deviation of the luma, relative to half its range.
const PLAIN: f32 = 0.06;
/// Black that lasts at most this long belongs to the fade beside it. Microseconds.
const PAUSE_US: i64 = 500_000;
/// A longer pause in black is a separate scene. Microseconds.
const LONGEST_PAUSE_US: i64 = 5_000_000;
/// Difference up to which a step is as plain as the plainest one.
const PLAIN_MARGIN: f32 = 0.01;

/// Examines consecutive frames of one video, or of one part of it.
///
/// It reports a boundary up to some seconds late, because it needs the frames that follow.
#[derive(Debug)]
pub struct ShotDetector {
    frames: Frames,
    steps: Steps,
    cut_network: Network<N_CUT, 1>,
    gradual_network: Network<N_GRADUAL, 2>,
    cut_row: [f32; N_CUT],
    gradual_row: [f32; N_GRADUAL],
    /// Frames that the network has not answered yet; `step_states` holds the steps.
    frame_states: VecDeque<FrameState>,
    /// Number of unchanged frames in a row before the next frame to be judged.
    n_same: usize,
    was_plain: bool,
    step_states: VecDeque<StepState>,
    /// The most probable recent cut. Within [`CUT_FRAMES`] a more probable one may still replace it.
    best: Option<PossibleCut>,
    n_judged: u64,
    frames_judged_us: i64,
    steps_judged_us: i64,
    /// The steps of the current transition.
    run: Vec<StepState>,
    /// The highest probability of its steps.
    run_probability: f32,
    /// Number of steps with a picture, outside transitions.
    n_shown: u64,
    /// A fade to black or white that no picture has followed yet.
    faded: Option<Transition>,
    cuts: VecDeque<(i64, f32)>,
    graduals: VecDeque<Transition>,
    found: VecDeque<Found>,
    last_us: i64,
}

#[derive(Clone, Copy, Debug)]
struct FrameState {
    time_us: i64,
    /// Mean change of luma and chroma from the frame before, in 8-bit steps.
    change: f32,
    is_plain: bool,
}

#[derive(Clone, Copy, Debug)]
struct StepState {
    time_us: i64,
    /// How much there is to see: the standard deviation of the luma.
    deviation: f32,
}

/// A gradual transition, as far as it has been seen.
#[derive(Clone, Copy, Debug)]
struct Transition {
    start_us: i64,
    time_us: i64,
    end_us: i64,
    /// Whether the picture was plain where the transition began, and where it ended.
    from_plain: bool,
    to_plain: bool,
}

impl Transition {
    fn found(self) -> Found {
        Found::Gradual {
            start_us: self.start_us,
            time_us: self.time_us,
            end_us: self.end_us,
        }
    }

    /// Returns whether a cut at this time is part of the transition.
    fn reaches(self, time_us: i64) -> bool {
        let margin = |is_plain| if is_plain { PAUSE_US } else { MARGIN_US };
        time_us >= self.start_us - margin(self.from_plain) && time_us <= self.end_us + margin(self.to_plain)
    }

    /// Returns whether this time is near an end of the transition where the picture is plain.
    fn is_plain_at(self, time_us: i64) -> bool {
        let near_start = time_us <= self.start_us + MARGIN_US;
        let near_end = time_us >= self.end_us - MARGIN_US;
        (self.from_plain && near_start) || (self.to_plain && near_end)
    }

    /// Returns the same transition with a cut to black before it, or with a cut to a picture after it.
    fn cut_at(self, time_us: i64) -> Self {
        if self.to_plain && time_us >= self.end_us - MARGIN_US {
            Self {
                time_us,
                end_us: time_us,
                ..self
            }
        } else {
            Self {
                start_us: time_us.min(self.start_us),
                ..self
            }
        }
    }

    /// Joins a fade out and the fade in that follows to one transition, whose middle is in the pause.
    fn followed_by(self, next: Self) -> Self {
        Self {
            end_us: next.end_us,
            time_us: self.time_us.midpoint(next.time_us),
            to_plain: next.to_plain,
            ..self
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct PossibleCut {
    n: u64,
    time_us: i64,
    probability: f32,
}

impl Default for ShotDetector {
    fn default() -> Self {
        Self::new()
    }
}

impl ShotDetector {
    pub fn new() -> Self {
        Self {
            frames: Frames::default(),
            steps: Steps::default(),
            cut_network: Network::new(weights::cut()),
            gradual_network: Network::new(weights::gradual()),
            cut_row: [0.0; N_CUT],
            gradual_row: [0.0; N_GRADUAL],
            frame_states: VecDeque::with_capacity(32),
            n_same: 0,
            was_plain: false,
            step_states: VecDeque::with_capacity(64),
            best: None,
            n_judged: 0,
            frames_judged_us: i64::MIN,
            steps_judged_us: i64::MIN,
            run: Vec::with_capacity(MAX_STEPS + 1),
            run_probability: 0.0,
            n_shown: 0,
            faded: None,
            cuts: VecDeque::with_capacity(64),
            graduals: VecDeque::with_capacity(16),
            found: VecDeque::with_capacity(64),
            last_us: 0,
        }
    }

    /// Takes the next frame. Times must not decrease.
    pub fn push(&mut self, time_us: i64, glimpse: &Glimpse) {
        self.last_us = time_us;
        self.frames.blank().redraw(glimpse);
        let sketch = self.frames.push(time_us, &mut self.cut_row);
        let (luma, chroma) = luma_and_chroma_change(&self.cut_row);
        self.frame_states.push_back(FrameState {
            time_us,
            change: luma + chroma,
            is_plain: sketch.deviation <= PLAIN,
        });
        let is_step = self.steps.wants(time_us);
        let mut told = false;
        if is_step {
            self.step_states.push_back(StepState {
                time_us,
                deviation: sketch.deviation,
            });
            told = self.steps.push(time_us, sketch, &mut self.gradual_row).is_some();
        }
        if let Some([cut]) = self.cut_network.push(&self.cut_row) {
            self.judge_frame(cut);
        }
        if told {
            self.push_step();
        }
        self.settle();
    }

    /// Decides everything that is still open, because no frame follows.
    pub fn finish(&mut self) {
        while !self.frame_states.is_empty() {
            match self.cut_network.push(&self.cut_row) {
                Some([cut]) => self.judge_frame(cut),
                None if self.frame_states.is_empty() => break,
                None => {}
            }
        }
        // A shorter remainder at the video's end is a scrap, not a shot.
        if self.best.is_some_and(|best| self.n_judged - best.n < LAST_FRAMES) {
            self.best = None;
        }
        self.end_cut();
        while self.steps.finish(&mut self.gradual_row).is_some() {
            self.push_step();
        }
        while !self.step_states.is_empty() {
            self.push_step();
        }
        // A transition at the end of the video leads to no other shot.
        self.run.clear();
        self.faded = None;
        self.frames_judged_us = i64::MAX;
        self.steps_judged_us = i64::MAX;
        self.settle();
    }

    /// Returns the next boundary that is certain, in order of time.
    pub fn next_found(&mut self) -> Option<Found> {
        self.found.pop_front()
    }

    /// Returns the time before which no boundary that is still to come can begin.
    pub fn settled_us(&self) -> i64 {
        let open = self.faded.as_ref().map(|faded| faded.start_us);
        let open = open.or(self.run.first().map(|step| step.time_us)).unwrap_or(i64::MAX);
        let possible = self.best.map_or(i64::MAX, |best| best.time_us);
        self.frames_judged_us
            .min(self.steps_judged_us)
            .saturating_sub(PAUSE_US)
            .min(open.saturating_sub(PAUSE_US))
            .min(possible)
    }

    fn push_step(&mut self) {
        if let Some([inside, _middle]) = self.gradual_network.push(&self.gradual_row) {
            self.judge_step(inside);
        }
    }

    fn judge_frame(&mut self, probability: f32) {
        let state = self
            .frame_states
            .pop_front()
            .expect("the network answers about frames that were pushed");
        let time_us = state.time_us;
        let probability = if self.is_other_card(state) { CERTAIN } else { probability };
        self.n_same = if state.change <= CARD_SAME { self.n_same + 1 } else { 0 };
        self.was_plain = state.is_plain;
        let n = self.n_judged;
        self.n_judged += 1;
        self.frames_judged_us = time_us;
        if self.best.is_some_and(|best| n - best.n >= CUT_FRAMES) {
            self.end_cut();
        }
        // The first frame of all is no cut.
        if n > 0 && probability >= CUT && self.best.is_none_or(|best| probability > best.probability) {
            self.best = Some(PossibleCut { n, time_us, probability });
        }
    }

    /// Returns whether one still picture has replaced another, and one of them is plain.
    fn is_other_card(&self, state: FrameState) -> bool {
        let following = self.frame_states.iter().take(CARD_FRAMES);
        state.change >= CARD_CHANGED
            && (self.was_plain || state.is_plain)
            && self.n_same >= CARD_FRAMES
            && self.frame_states.len() + 1 >= LAST_FRAMES as usize
            && following.into_iter().all(|next| next.change <= CARD_SAME)
    }

    fn end_cut(&mut self) {
        if let Some(best) = self.best.take() {
            self.cuts.push_back((best.time_us, best.probability));
        }
    }

    fn judge_step(&mut self, probability: f32) {
        let step = self
            .step_states
            .pop_front()
            .expect("the network answers about steps that were pushed");
        self.steps_judged_us = step.time_us;
        if probability >= GRADUAL && self.run.len() < MAX_STEPS {
            if self.run.is_empty() {
                self.run_probability = 0.0;
            }
            self.run.push(step);
            self.run_probability = self.run_probability.max(probability);
        } else {
            self.end_run();
            self.n_shown += u64::from(step.deviation > PLAIN);
            let is_over = |faded: &Transition| step.deviation > PLAIN || step.time_us - faded.end_us > LONGEST_PAUSE_US;
            if self.faded.as_ref().is_some_and(is_over) {
                // Either a cut has brought a picture again, or the black is a separate scene.
                self.graduals.extend(self.faded.take());
            }
        }
    }

    /// Ends a run of steps inside a transition.
    fn end_run(&mut self) {
        let (Some(first), Some(last)) = (self.run.first(), self.run.last()) else {
            return;
        };
        let ended = Transition {
            start_us: first.time_us,
            end_us: last.time_us,
            time_us: middle_us(&self.run),
            from_plain: first.deviation <= PLAIN,
            to_plain: last.deviation <= PLAIN,
        };
        // A transition at the beginning of the video comes from no other shot.
        let is_inside = self.n_shown >= MIN_SHOWN && self.run_probability >= SURE_GRADUAL;
        self.run.clear();
        let ended = match self.faded.take() {
            Some(faded) if ended.from_plain => faded.followed_by(ended),
            faded => {
                self.graduals.extend(faded);
                ended
            }
        };
        if ended.to_plain {
            // It is not known yet whether a picture follows.
            self.faded = is_inside.then_some(ended);
        } else if is_inside {
            self.graduals.push_back(ended);
        }
    }

    /// Releases the boundaries that no later answer can change.
    fn settle(&mut self) {
        let settled_us = self.settled_us();
        loop {
            let cut = self.cuts.front().copied();
            let gradual = self.graduals.front().copied();
            match (cut, gradual) {
                (Some((time_us, probability)), Some(gradual)) if gradual.reaches(time_us) => {
                    // Each transition is reported once. A cut at the black end of a fade belongs to the fade. Elsewhere a sure cut replaces
                    // the transition.
                    if probability < CERTAIN && gradual.is_plain_at(time_us) {
                        self.cuts.pop_front();
                        self.graduals[0] = gradual.cut_at(time_us);
                    } else if probability >= SURE_CUT {
                        self.graduals.pop_front();
                    } else {
                        self.cuts.pop_front();
                    }
                }
                (Some((time_us, _)), gradual)
                    if gradual.is_none_or(|gradual| time_us < gradual.time_us) && (time_us < settled_us || settled_us == i64::MAX) =>
                {
                    self.cuts.pop_front();
                    self.found.push_back(Found::Cut { time_us });
                }
                (cut, Some(gradual)) if cut.is_none_or(|(time_us, _)| gradual.time_us < time_us) => {
                    // A cut near its end may still follow.
                    let possible = self.best.map_or(i64::MAX, |best| best.time_us);
                    if gradual.end_us.saturating_add(PAUSE_US) >= self.frames_judged_us.min(possible) {
                        break;
                    }
                    self.graduals.pop_front();
                    self.found.push_back(gradual.found());
                }
                _ => break,
            }
        }
    }
}

/// Returns where the new shot begins within a transition: in its middle, or in the middle of its plain part.
fn middle_us(run: &[StepState]) -> i64 {
    let (first, last) = (run[0], run[run.len() - 1]);
    let plainest = run.iter().map(|step| step.deviation).fold(f32::MAX, f32::min);
    let is_plain = |step: &&StepState| step.deviation <= plainest + PLAIN_MARGIN;
    match (run.iter().find(is_plain), run.iter().rfind(is_plain)) {
        (Some(from), Some(to)) if plainest < PLAIN => {
            // After a cut to black the new shot begins at the end of the black; before a cut from black it begins at its start.
            match (from.time_us == first.time_us, to.time_us == last.time_us) {
                (true, false) => to.time_us,
                (false, true) => from.time_us,
                _ => from.time_us.midpoint(to.time_us),
            }
        }
        _ => first.time_us.midpoint(last.time_us),
    }
}
