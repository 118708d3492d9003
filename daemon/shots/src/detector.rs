//! From what the networks say about frames and steps to boundaries.

use std::collections::VecDeque;

use crate::Glimpse;
use crate::features::{Frames, N_CUT, N_GRADUAL, Steps, luma_and_chroma_change};
use crate::network::Network;
use crate::weights;

/// Where a shot begins. Times are those of frames, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// `time_us`: the first frame of the new shot.
    Cut { time_us: i64 },
    /// The pictures from `start_us` to `end_us` belong to both shots or to none; the new shot begins at `time_us`: the middle of
    /// a dissolve, the darkest moment of a fade.
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
/// A cut as certain as this is believed in the midst of a transition too.
const SURE_CUT: f32 = 0.9;
/// Two cuts are at least so many frames apart.
const CUT_FRAMES: u64 = 4;
/// Change, in steps of 8-bit luma and chroma, at which a still picture has become another one, and up to which it is still
/// the same. It is asked beside plain pictures (cards), for the network tells by structure, of which they have none.
const CARD_CHANGED: f32 = 6.0;
const CARD_SAME: f32 = 1.0;
/// Frames on each side in which nothing may change.
const CARD_FRAMES: usize = 3;
/// A probability above all others.
const CERTAIN: f32 = 2.0;
/// Shortest shot at the end of a video.
const LAST_FRAMES: u64 = 3;
/// Probability from which a step may belong to a transition, and that one of its steps must reach.
const GRADUAL: f32 = 0.35;
const SURE_GRADUAL: f32 = 0.8;
/// Steps with a picture that must come before a transition.
const MIN_SHOWN: u64 = 2;
/// Most steps of a transition; what is longer is no transition. About five seconds.
const MAX_STEPS: usize = 64;
/// This near to a transition's ends a cut still belongs to it. Microseconds.
const MARGIN_US: i64 = 130_000;
/// A picture with less to see than this is plain: a fade has come to its end. Standard deviation of the luma, of half its range.
const PLAIN: f32 = 0.06;
/// Black for no longer than this belongs to the fade at its side. Microseconds.
const PAUSE_US: i64 = 500_000;
/// A longer pause in black is a scene of its own. Microseconds.
const LONGEST_PAUSE_US: i64 = 5_000_000;
/// Nearly as plain as the plainest.
const PLAIN_MARGIN: f32 = 0.01;

/// Looks at consecutive frames of one video, or of one part of it.
///
/// A boundary is told up to some seconds late: it needs the frames that follow it.
#[derive(Debug)]
pub struct ShotDetector {
    frames: Frames,
    steps: Steps,
    cut_network: Network<N_CUT, 1>,
    gradual_network: Network<N_GRADUAL, 2>,
    cut_row: [f32; N_CUT],
    gradual_row: [f32; N_GRADUAL],
    /// Frames and steps whose answer is not known yet.
    frame_states: VecDeque<FrameState>,
    /// How many frames in a row stayed as they were before the next one to be judged.
    n_same: usize,
    was_plain: bool,
    step_states: VecDeque<StepState>,
    /// The last frames' answers: the newest of the frames before [`CUT_FRAMES`].
    best: Option<PossibleCut>,
    n_judged: u64,
    frames_judged_us: i64,
    steps_judged_us: i64,
    /// The transition that is under way.
    run: Vec<StepState>,
    /// The highest of its steps.
    run_probability: f32,
    /// Steps with a picture outside transitions.
    n_shown: u64,
    /// A fade to black or white, after which nothing was seen yet.
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

/// A gradual transition, as far as it was seen.
#[derive(Clone, Copy, Debug)]
struct Transition {
    start_us: i64,
    time_us: i64,
    end_us: i64,
    /// Whether there was nothing to see where it began, and where it ended.
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

    /// Whether a cut at this time is part of the transition.
    fn reaches(self, time_us: i64) -> bool {
        let margin = |is_plain| if is_plain { PAUSE_US } else { MARGIN_US };
        time_us >= self.start_us - margin(self.from_plain) && time_us <= self.end_us + margin(self.to_plain)
    }

    /// Whether there is nothing to see at the end of the transition that is near this time.
    fn is_plain_at(self, time_us: i64) -> bool {
        let near_start = time_us <= self.start_us + MARGIN_US;
        let near_end = time_us >= self.end_us - MARGIN_US;
        (self.from_plain && near_start) || (self.to_plain && near_end)
    }

    /// The same transition with a cut to black before it, or to a picture after it.
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

    /// A fade out and the fade in that follows are one transition, in the middle of the pause.
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

    /// Takes the next frame. Times do not decrease.
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

    /// No frame follows: what is still open is decided now.
    pub fn finish(&mut self) {
        while !self.frame_states.is_empty() {
            match self.cut_network.push(&self.cut_row) {
                Some([cut]) => self.judge_frame(cut),
                None if self.frame_states.is_empty() => break,
                None => {}
            }
        }
        // What is shown for less than that at the video's end is a scrap, not a shot.
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
        // What the video ends in leads to no other shot.
        self.run.clear();
        self.faded = None;
        self.frames_judged_us = i64::MAX;
        self.steps_judged_us = i64::MAX;
        self.settle();
    }

    /// The next boundary that is certain, in order of time.
    pub fn next_found(&mut self) -> Option<Found> {
        self.found.pop_front()
    }

    /// No boundary will be told any more whose transition begins before this time.
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
        // The first frame of all begins nothing.
        if n > 0 && probability >= CUT && self.best.is_none_or(|best| probability > best.probability) {
            self.best = Some(PossibleCut { n, time_us, probability });
        }
    }

    /// Whether a picture that stood still has given way to another one that does, and one of them is plain.
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
                // A cut has brought a picture again, or the black is a scene of its own.
                self.graduals.extend(self.faded.take());
            }
        }
    }

    /// A run of steps inside a transition has ended.
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
        // What the video begins with leads from no shot to another.
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
            // Whether a picture comes again is not known yet.
            self.faded = is_inside.then_some(ended);
        } else if is_inside {
            self.graduals.push_back(ended);
        }
    }

    /// Hands out what no later answer can change.
    fn settle(&mut self) {
        let settled_us = self.settled_us();
        loop {
            let cut = self.cuts.front().copied();
            let gradual = self.graduals.front().copied();
            match (cut, gradual) {
                (Some((time_us, probability)), Some(gradual)) if gradual.reaches(time_us) => {
                    // One transition is told once. A cut at the black end of a fade belongs to it; elsewhere a cut that is certain
                    // is believed.
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
                    // A cut may still come near its end.
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

/// Where the new shot begins within a transition: in the middle of it, or of the time when there is nothing to see.
fn middle_us(run: &[StepState]) -> i64 {
    let (first, last) = (run[0], run[run.len() - 1]);
    let plainest = run.iter().map(|step| step.deviation).fold(f32::MAX, f32::min);
    let is_plain = |step: &&StepState| step.deviation <= plainest + PLAIN_MARGIN;
    match (run.iter().find(is_plain), run.iter().rfind(is_plain)) {
        (Some(from), Some(to)) if plainest < PLAIN => {
            // After a cut to black the picture comes up at the end of the black, and the other way round.
            match (from.time_us == first.time_us, to.time_us == last.time_us) {
                (true, false) => to.time_us,
                (false, true) => from.time_us,
                _ => from.time_us.midpoint(to.time_us),
            }
        }
        _ => first.time_us.midpoint(last.time_us),
    }
}
