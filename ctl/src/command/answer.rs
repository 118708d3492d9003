//! Remarks about an answer, for people: the confidence of hits, and what is missing.

use scened_shared::message::{Coverage, Hit};

use crate::render::text;

/// Returns the score to show: the video's if rows are videos, else the hit's confidence if known, else its raw score.
pub(super) fn shown_score(hit: &Hit) -> f32 {
    hit.video_score.or(hit.confidence).unwrap_or(hit.score)
}

/// A hit below this is more likely wrong than right.
const SURE: f32 = 0.5;

/// Returns whether every hit is more likely wrong than right.
pub(super) fn is_doubtful(hits: &[Hit]) -> bool {
    let surest = hits.iter().filter_map(|hit| hit.confidence).max_by(f32::total_cmp);
    surest.is_some_and(|confidence| confidence < SURE)
}

/// Describes what an empty or incomplete answer lacks.
pub(super) fn completeness(coverage: &Coverage, is_empty: bool) -> Option<String> {
    let mut parts = Vec::new();
    if is_empty {
        parts.push(format!("nothing found in {}", text::count(coverage.indexed, "indexed video")));
    }
    let missing = [
        (coverage.pending, "pending"),
        (coverage.failed, "failed"),
        (coverage.offline, "offline"),
    ];
    for (n, what) in missing.into_iter().filter(|(n, _)| *n > 0) {
        let first = parts.len() == usize::from(is_empty);
        parts.push(if first {
            format!("{} {what}", text::count(n, "video"))
        } else {
            format!("{} {what}", text::number(n))
        });
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incomplete_answer_says_so() {
        let check = |numbers: [u64; 4], is_empty: bool, expected: Option<&str>| {
            let [indexed, pending, failed, offline] = numbers;
            let coverage = Coverage {
                indexed,
                pending,
                failed,
                offline,
            };
            assert_eq!(completeness(&coverage, is_empty).as_deref(), expected);
        };
        check([97, 0, 0, 0], false, None);
        check([97, 2, 0, 1], false, Some("2 videos pending, 1 offline"));
        check([97, 0, 1, 0], false, Some("1 video failed"));
        check([97, 0, 0, 0], true, Some("nothing found in 97 indexed videos"));
        check([1, 2, 0, 0], true, Some("nothing found in 1 indexed video, 2 videos pending"));
    }
}
