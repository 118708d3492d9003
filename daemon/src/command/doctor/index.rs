//! Checks whether the index contains the store's scenes, and finds them.

use std::sync::Arc;

use scened_common::domain::{Embedding, SceneId};

use super::Finding;
use crate::models::serving::ModelSlot;
use crate::store::Store;

/// Number of frames whose nearest scenes are compared between index and exact search; rounding can nearly double it.
const RECALL_PROBES: usize = 20;
const RECALL_AT: usize = 10;
/// Below this recall, the graph should be rebuilt.
const RECALL_WANTED: f64 = 0.90;
/// Scores (cosines) that differ by less are equal: the graph's vectors are rounded.
const SCORE_TOLERANCE: f32 = 2e-3;

pub(super) fn compare(store: &Store, slot: &ModelSlot, behind: u64) -> Finding {
    let (in_index, stored) = (slot.ann.len() as u64, stored_scenes(store, slot));
    let detail = format!("{in_index} scenes in the index, {stored} in the store");
    if in_index == stored {
        Finding::ok("index", detail)
    } else if behind > 0 {
        Finding::warn("index", detail, "it is catching up")
    } else {
        Finding::fail(
            "index",
            detail,
            "stop scened, delete the folder `index` in the data folder, and start it: it is rebuilt from the store",
        )
    }
}

fn stored_scenes(store: &Store, slot: &ModelSlot) -> u64 {
    let with_vectors = |record: &&Arc<crate::store::VideoRecord>| store.has_vectors(&slot.info.id, record.id).unwrap_or(false);
    store
        .videos()
        .iter()
        .filter(with_vectors)
        .map(|record| u64::from(record.n_scenes))
        .sum()
}

/// Measures recall@10 of the graph against exact search. The queries are stored frames spread over the library.
pub(super) fn recall(store: &Store, slot: &ModelSlot) -> Option<Finding> {
    let scenes: Vec<SceneId> = store
        .videos()
        .iter()
        .flat_map(|record| (0..record.n_scenes as usize).map(|index| SceneId::new(record.id, index)))
        .filter(|scene| slot.ann.contains(*scene))
        .collect();
    if scenes.len() <= RECALL_AT {
        return None;
    }
    let step = (scenes.len() / RECALL_PROBES).max(1);
    let probes: Vec<Embedding> = scenes
        .iter()
        .step_by(step)
        .filter_map(|scene| store.vectors(&slot.info.id, *scene).ok().flatten())
        .filter_map(|vectors| vectors.frames.into_iter().next().map(|(_, vector)| vector))
        .collect();
    let (mut found, mut wanted) = (0, 0);
    for probe in &probes {
        let near = slot.ann.search(probe, RECALL_AT).ok()?;
        let exact = slot.ann.exact(probe, RECALL_AT, scenes.iter().copied()).ok()?;
        wanted += exact.len();
        found += n_as_good(&near, &exact);
    }
    if wanted == 0 {
        return None;
    }
    let recall = found as f64 / wanted as f64;
    let detail = format!(
        "recall@{RECALL_AT} of the index against exact search: {recall:.3} over {} questions",
        probes.len()
    );
    Some(if recall >= RECALL_WANTED {
        Finding::ok("recall", detail)
    } else {
        Finding::warn(
            "recall",
            detail,
            "stop scened, delete the folder `index` in the data folder, and start it: it is rebuilt from the store",
        )
    })
}

/// Returns how many of the found scenes are as good as the best ones. Among scenes with the same score (copies, one slide in twenty
/// recordings) any will do, so this compares scores rather than scenes.
fn n_as_good(found: &[(SceneId, f32)], best: &[(SceneId, f32)]) -> usize {
    let Some(least) = best.iter().map(|(_, score)| *score).min_by(f32::total_cmp) else {
        return 0;
    };
    let n_good = found.iter().filter(|(_, score)| *score >= least - SCORE_TOLERANCE).count();
    n_good.min(best.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenes_that_score_the_same_are_no_miss_of_the_index() {
        let scene = |video, index| SceneId::new(scened_common::domain::VideoId(video), index);
        let at = |scores: &[f32], video| -> Vec<_> {
            scores
                .iter()
                .enumerate()
                .map(|(index, score)| (scene(video, index), *score))
                .collect()
        };
        // Twenty copies of one video: each list contains different ones.
        assert_eq!(n_as_good(&at(&[1.0; 10], 1), &at(&[1.0; 10], 2)), 10);
        assert_eq!(n_as_good(&at(&[1.0, 0.9995, 0.80], 1), &at(&[1.0, 0.9999, 0.8003], 2)), 3);
        // A scene that is worse than the worst of the best is a miss.
        assert_eq!(n_as_good(&at(&[1.0, 0.7, 0.6], 1), &at(&[1.0, 0.95, 0.9], 2)), 1);
        assert_eq!(n_as_good(&at(&[0.9; 10], 1), &at(&[1.0; 3], 2)), 0);
        assert_eq!(n_as_good(&[], &at(&[1.0; 3], 2)), 0);
        assert_eq!(n_as_good(&at(&[1.0], 1), &[]), 0);
    }
}
