//! Chooses which of a scene's candidates are embedded. Pure.
//!
//! Each picture that differs from those chosen before is chosen once. The difference required falls with the time since the last choice:
//! soon after it, only another view is enough; after four seconds, anything that moved. A picture that stays the same is chosen once,
//! however long it stays.

use scened_common::media::wire;

use super::builder::FinishedScene;
use super::candidates::Candidate;
use super::signature::BLOCKS;

/// Shortest time between two choices. Microseconds.
const MIN_GAP_US: i64 = 700_000;
/// From here on, everything that moved is chosen. With [`REACH_US`] this gives one choice in five seconds. Microseconds.
const MAX_GAP_US: i64 = 4_000_000;
/// How many blocks must have changed after the shortest time.
const OTHER_VIEW: u32 = BLOCKS as u32 * 4 / 10;
/// A sharper frame may represent a picture that first appeared less than this long before. Microseconds.
const REACH_US: i64 = 1_000_000;

/// The quality of a candidate, best first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    Clear,
    /// Near a cut.
    Edge,
    /// Part of a transition: shows two scenes or none.
    Mixed,
    Blank,
}

/// Chooses at least one candidate if there is any, and at most as many as a scene may have. Returns indexes in order of time.
pub(crate) fn choose<P>(scene: &FinishedScene<P>) -> Vec<usize> {
    let worths: Vec<_> = (0..scene.candidates.len()).map(|at| worth(scene, at)).collect();
    let Some(best) = worths.iter().min().copied() else {
        return Vec::new();
    };
    let usable: Vec<_> = (0..worths.len()).filter(|at| worths[*at] == best).collect();
    if best >= Worth::Mixed {
        let middle_us = scene.start_us.midpoint(scene.end_us);
        let nearest = usable
            .into_iter()
            .min_by_key(|at| scene.candidates[*at].time_us.abs_diff(middle_us));
        return nearest.into_iter().collect();
    }
    let mut chosen: Vec<usize> = Vec::with_capacity(wire::MAX_SCENE_FRAMES);
    let mut next = 0;
    while let Some(first) = usable.get(next).copied() {
        next += 1;
        if is_new(&scene.candidates, &chosen, first) {
            let (representative, n_seen) = represent(&scene.candidates, &chosen, &usable[next - 1..]);
            chosen.push(representative);
            next += n_seen - 1;
        }
    }
    while chosen.len() > wire::MAX_SCENE_FRAMES {
        drop_least(&scene.candidates, &mut chosen);
    }
    chosen
}

fn worth<P>(scene: &FinishedScene<P>, at: usize) -> Worth {
    let candidate = &scene.candidates[at];
    let time_us = candidate.time_us;
    if candidate.blank {
        Worth::Blank
    } else if time_us < scene.mixed_until_us || time_us > scene.mixed_from_us {
        Worth::Mixed
    } else if time_us < scene.clear_from_us || time_us >= scene.clear_until_us {
        Worth::Edge
    } else {
        Worth::Clear
    }
}

fn is_new<P>(candidates: &[Candidate<P>], chosen: &[usize], at: usize) -> bool {
    let candidate = &candidates[at];
    let Some(last) = chosen.last() else {
        return true;
    };
    let passed_us = candidate.time_us - candidates[*last].time_us;
    if passed_us < MIN_GAP_US {
        return false;
    }
    let waiting_us = (MAX_GAP_US - passed_us).max(0) as u64;
    let needed = (u64::from(OTHER_VIEW) * waiting_us / (MAX_GAP_US - MIN_GAP_US) as u64) as u32;
    let change = |other: usize| candidates[other].signature.change(&candidate.signature);
    change(*last).n_blocks >= needed && chosen.iter().all(|other| !change(*other).is_none())
}

/// Returns the best of the first frames of a picture, and how many of `following` there are up to it. Among the frames about as sharp as
/// the sharpest, the best differs most from the previous choice, since people and things are still coming in.
fn represent<P>(candidates: &[Candidate<P>], chosen: &[usize], following: &[usize]) -> (usize, usize) {
    let first = &candidates[following[0]];
    let within = following
        .iter()
        .take_while(|at| {
            candidates[**at].time_us - first.time_us < REACH_US && candidates[**at].signature.change(&first.signature).n_blocks < OTHER_VIEW
        })
        .count();
    let near = &following[..within];
    let sharpest = near.iter().map(|at| candidates[*at].sharpness).max().unwrap_or(0);
    let before = chosen.last().map(|last| &candidates[*last].signature);
    let best = (0..near.len())
        .filter(|n| candidates[near[*n]].sharpness >= sharpest - sharpest / 4)
        .max_by_key(|n| {
            let candidate = &candidates[near[*n]];
            // The first of two equal ones wins: `max_by_key` takes the last.
            (
                before.map_or(0, |before| before.change(&candidate.signature).n_blocks),
                std::cmp::Reverse(*n),
            )
        })
        .unwrap_or(0);
    (near[best], best + 1)
}

/// Drops the choice that differs least from the one before it.
fn drop_least<P>(candidates: &[Candidate<P>], chosen: &mut Vec<usize>) {
    let least = (1..chosen.len()).min_by_key(|n| {
        candidates[chosen[*n]]
            .signature
            .change(&candidates[chosen[n - 1]].signature)
            .n_blocks
    });
    if let Some(least) = least {
        chosen.remove(least);
    }
}

#[cfg(test)]
mod tests;
