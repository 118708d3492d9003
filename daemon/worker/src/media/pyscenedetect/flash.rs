//! PySceneDetect's `FlashFilter` in its default mode, merge. Cuts nearer than the shortest scene become one, at the last of them.

/// Turns "this frame differs from the one before" into cuts that are not too close together.
#[derive(Debug)]
pub(crate) struct FlashFilter {
    length_us: i64,
    /// Last frame that differed; initially the very first frame.
    last_above_us: Option<i64>,
    /// Set once a first cut was reported: merging begins only then.
    merge_enabled: bool,
    /// Start of the current merging.
    merge_start_us: Option<i64>,
    now_us: i64,
}

impl FlashFilter {
    pub(crate) fn new(length_us: i64) -> Self {
        Self {
            length_us,
            last_above_us: None,
            merge_enabled: false,
            merge_start_us: None,
            now_us: i64::MIN,
        }
    }

    /// Adds the next frame. Returns the time of a cut once it is certain.
    pub(crate) fn push(&mut self, time_us: i64, above: bool) -> Option<i64> {
        self.now_us = time_us;
        let last_above = *self.last_above_us.get_or_insert(time_us);
        let met = time_us - last_above >= self.length_us;
        if above {
            self.last_above_us = Some(time_us);
        }
        if let Some(start) = self.merge_start_us {
            // `above` moves the end of the merging. So only a quiet frame ends it, and `last_above` is still the last one.
            if met && !above && last_above - start >= self.length_us {
                self.merge_start_us = None;
                return Some(last_above);
            }
            return None;
        }
        if !above {
            return None;
        }
        if met {
            self.merge_enabled = true;
            return Some(time_us);
        }
        if self.merge_enabled {
            self.merge_start_us = Some(time_us);
        }
        None
    }

    /// Returns a time before which no more cuts will be reported.
    pub(crate) fn settled_us(&self) -> i64 {
        self.doubtful_us().unwrap_or(self.now_us.saturating_add(1))
    }

    /// Returns a past frame that may still turn out to be a cut. A merging shorter than the filter's length can only end at a later frame
    /// than its current last one.
    pub(crate) fn doubtful_us(&self) -> Option<i64> {
        let (start, last_above) = (self.merge_start_us?, self.last_above_us?);
        (last_above - start >= self.length_us).then_some(last_above)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds one character per frame at 10 frames a second; `#` differs. Expects (cut, reported at) as frame numbers.
    fn check(frames: &str, expected: &[(i64, i64)]) {
        let mut filter = FlashFilter::new(600_000);
        let mut told = Vec::new();
        for (n, c) in frames.chars().enumerate() {
            let settled = filter.settled_us();
            if let Some(cut) = filter.push(n as i64 * 100_000, c == '#') {
                assert!(
                    n == 0 || cut >= settled,
                    "{frames}: a cut at {cut} in the settled past before {settled}"
                );
                told.push((cut / 100_000, n as i64));
            }
        }
        assert_eq!(told, expected, "{frames}");
    }

    #[test]
    fn cuts_far_apart_are_told_at_once() {
        check("......#......#...", &[(6, 6), (13, 13)]);
    }

    #[test]
    fn a_cut_before_the_shortest_scene_is_lost() {
        check("...#......", &[]);
        // The frame that differed counts as the beginning of the wait.
        check("...#.....#", &[(9, 9)]);
        check("...#....#.", &[]);
    }

    #[test]
    fn a_pair_of_cuts_too_close_is_one_cut_and_the_second_merges_away() {
        // The merging starts and ends at the same frame. It does not reach its length until another cut follows.
        check("......#..#...........", &[(6, 6)]);
        check("......#..#......#......", &[(6, 6), (16, 22)]);
    }

    #[test]
    fn a_strobe_is_told_once_it_has_ended() {
        check("......#.#.#.#.#.#......", &[(6, 6), (16, 22)]);
        // Merged from 8 to 12 only: shorter than the shortest scene.
        check("......#.#.#.#..........", &[(6, 6)]);
    }
}
