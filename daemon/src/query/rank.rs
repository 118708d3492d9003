//! The score of one scene against a query.

use scened_common::domain::{Embedding, SceneId};

use crate::query::Probe;
use crate::store::SceneVectors;

/// Temperature of the query-scored pooling over a scene's frames: frames that match weigh more, and none is ignored.
/// **Source**: Bain et al., "A CLIP-Hitchhiker's Guide to Long Video Retrieval", 2022 (softmax over frames, temperature 0.1).
const POOLING_TEMPERATURE: f32 = 0.1;
/// Penalty for similarity to an unwanted text.
const UNWANTED_WEIGHT: f32 = 0.5;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scored {
    pub(super) scene: SceneId,
    /// The sort key of hits; not comparable between queries.
    pub(super) rank: f32,
    /// Cosine of the best frame.
    pub(super) score: f32,
    pub(super) best_ms: u64,
}

/// Scores a scene. Returns `None` if it has no frames, or if its best frame is more similar to something unwanted than to the query.
pub(super) fn pooled(probe: &Probe, scene: SceneId, vectors: &SceneVectors) -> Option<Scored> {
    // The parts of one moment have the same time. They count as one frame, which shows everything that any part shows.
    let moments: Vec<&[(u64, Embedding)]> = vectors.frames.chunk_by(|a, b| a.0 == b.0).collect();
    let cosines: Vec<f32> = moments.iter().map(|views| likeness(probe, views)).collect();
    let (best, score) = cosines.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let weights: Vec<f32> = cosines
        .iter()
        .map(|cosine| ((cosine - score) / POOLING_TEMPERATURE).exp())
        .collect();
    let pooled = cosines.iter().zip(&weights).map(|(cosine, weight)| cosine * weight).sum::<f32>() / weights.iter().sum::<f32>();
    let unwanted = probe
        .unwanted
        .iter()
        .map(|text| nearest(text, moments[best]))
        .max_by(f32::total_cmp);
    if unwanted.is_some_and(|unwanted| unwanted > score) {
        return None;
    }
    let rank = pooled - UNWANTED_WEIGHT * unwanted.unwrap_or(0.0).max(0.0);
    Some(Scored {
        scene,
        rank,
        score,
        best_ms: moments[best][0].0,
    })
}

/// Returns how well one frame matches. Each part of the query is compared with all parts of the frame, so a picture finds itself with a
/// score of 1. A frame that shares half of it scores less.
fn likeness(probe: &Probe, views: &[(u64, Embedding)]) -> f32 {
    let total: f32 = probe.parts.iter().map(|part| nearest(part, views)).sum();
    total / probe.parts.len() as f32
}

/// Returns the cosine of the nearest part, or of the mean of all parts if that is nearer. A text about a whole frame may match no part
/// alone. With the mean, texts about several things find as much as in a squeezed frame (`tests/compare/crops.py`).
pub(super) fn nearest(vector: &Embedding, views: &[(u64, Embedding)]) -> f32 {
    let cosines = views.iter().map(|(_, view)| vector.cosine(view));
    let (best, sum) = cosines.fold((f32::NEG_INFINITY, 0.0), |(best, sum), cosine| (best.max(cosine), sum + cosine));
    // The squared length of the sum of the parts, without adding them up: each has length 1.
    let pairs = (1..views.len()).flat_map(|at| views[..at].iter().map(move |(_, a)| a.cosine(&views[at].1)));
    let squared = views.len() as f32 + 2.0 * pairs.sum::<f32>();
    if views.len() < 2 || squared < 1e-3 {
        return best;
    }
    best.max((sum / squared.sqrt()).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use scened_common::domain::VideoId;

    fn vector(values: &[f32]) -> Embedding {
        Embedding::normalised(values.to_vec()).unwrap()
    }

    fn scene(frames: &[(u64, &[f32])]) -> SceneVectors {
        SceneVectors {
            frames: frames.iter().map(|(time, values)| (*time, vector(values))).collect(),
        }
    }

    fn probe(wanted: &[f32], unwanted: &[&[f32]]) -> Probe {
        Probe {
            wanted: vector(wanted),
            parts: vec![vector(wanted)],
            unwanted: unwanted.iter().map(|values| vector(values)).collect(),
            is_text: true,
        }
    }

    const ID: SceneId = SceneId {
        video: VideoId(1),
        index: 0,
    };

    #[test]
    fn the_best_frame_gives_moment_and_score() {
        let found = pooled(
            &probe(&[1.0, 0.0], &[]),
            ID,
            &scene(&[(100, &[0.0, 1.0]), (200, &[1.0, 0.1]), (300, &[1.0, 1.0])]),
        )
        .unwrap();
        assert_eq!(found.best_ms, 200);
        assert!(found.score > 0.99);
        assert!(found.rank < found.score, "the other frames count too");
    }

    #[test]
    fn one_fitting_frame_among_many_beats_a_scene_that_is_lukewarm_throughout() {
        let one = pooled(
            &probe(&[1.0, 0.0], &[]),
            ID,
            &scene(&[(0, &[0.0, 1.0]), (1, &[1.0, 0.0]), (2, &[0.0, 1.0])]),
        )
        .unwrap();
        let lukewarm = pooled(
            &probe(&[1.0, 0.0], &[]),
            ID,
            &scene(&[(0, &[0.5, 0.87]), (1, &[0.5, 0.87]), (2, &[0.5, 0.87])]),
        )
        .unwrap();
        assert!(one.rank > lukewarm.rank, "{one:?} {lukewarm:?}");
    }

    #[test]
    fn a_scene_nearer_to_the_unwanted_text_is_dropped() {
        let frames = scene(&[(0, &[0.3, 1.0])]);
        assert!(pooled(&probe(&[1.0, 0.0], &[&[0.0, 1.0]]), ID, &frames).is_none());
        assert!(pooled(&probe(&[0.0, 1.0], &[&[1.0, 0.0]]), ID, &frames).is_some());
    }

    #[test]
    fn parts_of_one_moment_are_one_frame_that_shows_what_any_of_them_shows() {
        let asked = probe(&[1.0, 0.0, 0.0], &[]);
        let at_the_edge = pooled(&asked, ID, &scene(&[(100, &[0.0, 1.0, 0.0]), (100, &[1.0, 0.2, 0.0])])).unwrap();
        let alone = pooled(&asked, ID, &scene(&[(100, &[1.0, 0.2, 0.0])])).unwrap();
        assert_eq!(at_the_edge, alone, "the part that shows nothing of it takes nothing away");
        // Unwanted content counts wherever it is in the frame.
        let unwanted = probe(&[1.0, 0.2, 0.0], &[&[0.0, 1.0, 0.0]]);
        let both = scene(&[(100, &[0.0, 1.0, 0.0]), (100, &[0.9, 0.3, 0.3])]);
        assert_eq!(pooled(&unwanted, ID, &both), None);
    }

    #[test]
    fn what_no_part_shows_alone_is_looked_for_in_all_of_them_together() {
        let parts = scene(&[(0, &[1.0, 0.0, 0.1]), (0, &[0.0, 1.0, 0.1])]);
        let found = pooled(&probe(&[1.0, 1.0, 0.0], &[]), ID, &parts).unwrap();
        let mean = Embedding::mean(parts.frames.iter().map(|(_, part)| part)).unwrap();
        assert!((found.score - mean.cosine(&vector(&[1.0, 1.0, 0.0]))).abs() < 1e-6, "{found:?}");
        // Parts that cancel out have no mean.
        let opposite = scene(&[(0, &[1.0, 0.0, 0.0]), (0, &[-1.0, 0.0, 0.0])]);
        let found = pooled(&probe(&[0.0, 1.0, 0.0], &[]), ID, &opposite).unwrap();
        assert!(found.score.abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn a_picture_in_parts_finds_itself_before_what_shares_one_of_them() {
        let parts = vec![vector(&[1.0, 0.0, 0.0]), vector(&[0.0, 1.0, 0.0])];
        let asked = Probe::of(parts).unwrap();
        let itself = pooled(&asked, ID, &scene(&[(0, &[1.0, 0.0, 0.0]), (0, &[0.0, 1.0, 0.0])])).unwrap();
        let half = pooled(&asked, ID, &scene(&[(0, &[1.0, 0.0, 0.0]), (0, &[0.0, 0.0, 1.0])])).unwrap();
        assert!(itself.score > 0.999 && half.score < 0.6, "{itself:?} {half:?}");
    }

    #[test]
    fn a_scene_without_frames_scores_nothing() {
        assert_eq!(pooled(&probe(&[1.0, 0.0], &[]), ID, &scene(&[])), None);
    }
}
