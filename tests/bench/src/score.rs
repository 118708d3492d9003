//! Counts a detector's hits, misses and false alarms, over all videos and by category.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::detections::{Answer, Detector, Kind};
use crate::manifest::{BenchVideo, Half, Manifest};
use crate::matching::{Window, pair};

/// Hits, misses and false alarms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Counts {
    pub n_hits: usize,
    pub n_misses: usize,
    pub n_false: usize,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.n_hits += other.n_hits;
        self.n_misses += other.n_misses;
        self.n_false += other.n_false;
    }

    /// Returns the share of the reports that were right; 1 if there were none.
    pub fn precision(&self) -> f64 {
        share(self.n_hits, self.n_hits + self.n_false)
    }

    /// Returns the share of the boundaries that were found; 1 if there were none.
    pub fn recall(&self) -> f64 {
        share(self.n_hits, self.n_hits + self.n_misses)
    }

    pub fn f1(&self) -> f64 {
        share(2 * self.n_hits, 2 * self.n_hits + self.n_misses + self.n_false)
    }
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

/// How a detector handled one kind of trap: how many there were, and how many drew at least one false alarm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Trapped {
    pub n_traps: usize,
    pub n_fooled: usize,
    pub n_false: usize,
}

/// Everything that is reported about one detector at one tolerance.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Score {
    pub name: String,
    pub tolerance: usize,
    /// Cuts. A false alarm is a report that matches nothing, unless the detector called it gradual.
    pub cuts: Counts,
    /// Graduals. A false alarm is a second report of one, or a report called gradual that matches nothing.
    pub graduals: Counts,
    /// Both. Every false alarm counts once.
    pub all: Counts,
    /// Videos that contain something that looks like an edit.
    pub trap_videos: Counts,
    /// Each class of cut and gradual. Hits and misses only, because no false alarm belongs to a class.
    pub by_class: BTreeMap<String, Counts>,
    pub by_trap: BTreeMap<String, Trapped>,
    /// False alarms outside every trap and gradual.
    pub n_false_in_calm: usize,
    pub by_codec: BTreeMap<String, Counts>,
    pub by_size: BTreeMap<String, Counts>,
    pub by_half: BTreeMap<String, Counts>,
    /// The median distance of a hit from the place of a gradual's one boundary, by kind. **Units** milliseconds.
    pub middle_off_ms: BTreeMap<String, f64>,
    /// Videos without an answer, with the reason.
    pub failed: Vec<(String, String)>,
    pub n_videos: usize,
    pub n_frames: usize,
    pub wall_s: f64,
    pub cpu_s: f64,
    pub micros_per_frame: Option<f64>,
}

/// Returns the name under which answers about a video are stored.
pub fn key(half: Half, path: &str) -> String {
    let folder = match half {
        Half::Tuning => "tuning",
        Half::HeldOut => "held-out",
        Half::Real => "real",
    };
    format!("{folder}/{path}")
}

/// How the reports about one video were judged.
struct Verdict {
    /// For each cut, then each gradual, the report that found it.
    found: Vec<Option<usize>>,
    /// Reports that found nothing, outside the ranges that are ignored.
    stray: Vec<usize>,
}

fn judge(video: &BenchVideo, answer: &Answer, tolerance: usize) -> Verdict {
    let windows = video
        .cuts
        .iter()
        .map(|cut| (Window::of_cut(video, cut, tolerance.cast_signed()), cut.time_ms, false));
    let graduals = video.graduals.iter().map(|gradual| {
        (
            Window::of_gradual(video, gradual),
            f64::midpoint(gradual.start_ms, gradual.end_ms),
            true,
        )
    });
    let fits: Vec<Vec<usize>> = windows
        .chain(graduals)
        .map(|(window, best_ms, is_gradual)| {
            let mut fitting: Vec<usize> = (0..answer.reports.len())
                .filter(|n| window.accepts(&answer.reports[*n], is_gradual))
                .collect();
            fitting.sort_by(|a, b| {
                (answer.reports[*a].time_ms - best_ms)
                    .abs()
                    .total_cmp(&(answer.reports[*b].time_ms - best_ms).abs())
            });
            fitting
        })
        .collect();
    let found = pair(&fits, answer.reports.len());
    let frame_ms = video.mean_frame_ms();
    let is_overlooked = |time_ms: f64| {
        video
            .dont_care
            .iter()
            .any(|s| time_ms >= s.start_ms - frame_ms && time_ms <= s.end_ms + frame_ms)
    };
    let stray = (0..answer.reports.len())
        .filter(|n| !found.contains(&Some(*n)) && !is_overlooked(answer.reports[*n].time_ms))
        .collect();
    Verdict { found, stray }
}

impl Score {
    fn count(&mut self, video: &BenchVideo, answer: &Answer) {
        let verdict = judge(video, answer, self.tolerance);
        let mut cuts = Counts::default();
        let mut graduals = Counts::default();
        let classes = video.cuts.iter().map(|cut| (false, format!("cut: {}", cut.class)));
        let kinds = video.graduals.iter().map(|gradual| (true, format!("gradual: {}", gradual.kind)));
        for ((is_gradual, class), found) in classes.chain(kinds).zip(&verdict.found) {
            let one = Counts {
                n_hits: usize::from(found.is_some()),
                n_misses: usize::from(found.is_none()),
                n_false: 0,
            };
            self.by_class.entry(class).or_default().add(one);
            if is_gradual { &mut graduals } else { &mut cuts }.add(one);
        }
        let mut n_false_of_trap = vec![0; video.traps.len()];
        for &stray in &verdict.stray {
            let report = &answer.reports[stray];
            let is_second = video
                .graduals
                .iter()
                .any(|gradual| Window::of_gradual(video, gradual).accepts(report, true));
            if is_second || report.kind == Some(Kind::Gradual) {
                graduals.n_false += 1;
            } else {
                cuts.n_false += 1;
            }
            let trap = video
                .traps
                .iter()
                .position(|trap| report.time_ms >= trap.start_ms - 0.51 && report.time_ms <= trap.end_ms + 0.51);
            match trap {
                Some(trap) => n_false_of_trap[trap] += 1,
                None if !is_second => self.n_false_in_calm += 1,
                None => {}
            }
        }
        for (trap, n_false) in video.traps.iter().zip(&n_false_of_trap) {
            let met = self.by_trap.entry(trap.kind.clone()).or_default();
            met.n_traps += 1;
            met.n_fooled += usize::from(*n_false > 0);
            met.n_false += n_false;
        }
        let mut all = cuts;
        all.add(graduals);
        self.cuts.add(cuts);
        self.graduals.add(graduals);
        self.all.add(all);
        if !video.traps.is_empty() {
            self.trap_videos.add(all);
        }
        self.by_codec.entry(video.codec.clone()).or_default().add(all);
        self.by_size.entry(video.size.clone()).or_default().add(all);
        let half = key(video.half, "");
        self.by_half.entry(half.trim_end_matches('/').to_owned()).or_default().add(all);
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// Returns how far hits were from the places of graduals' boundaries, by kind.
fn middles(videos: &[(&BenchVideo, &Answer)], tolerance: usize) -> BTreeMap<String, f64> {
    let mut off_ms: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (video, answer) in videos {
        let found = judge(video, answer, tolerance).found;
        for (gradual, hit) in video.graduals.iter().zip(&found[video.cuts.len()..]) {
            if let (Some(middle_ms), Some(hit)) = (gradual.middle_ms, hit) {
                off_ms
                    .entry(gradual.kind.clone())
                    .or_default()
                    .push((answer.reports[*hit].time_ms - middle_ms).abs());
            }
        }
    }
    off_ms
        .into_iter()
        .filter_map(|(kind, values)| Some((kind, median(values)?)))
        .collect()
}

/// Returns the videos about which every detector has an answer.
pub fn opened_by_all(manifests: &[Manifest], detectors: &[Detector]) -> Vec<Manifest> {
    let is_answered = |video: &BenchVideo| {
        let key = key(video.half, &video.path);
        detectors
            .iter()
            .all(|detector| detector.answers.get(&key).is_some_and(|answer| answer.failed.is_none()))
    };
    let kept = |manifest: &Manifest| Manifest {
        half: manifest.half,
        files: manifest.files.iter().filter(|video| is_answered(video)).cloned().collect(),
    };
    manifests.iter().map(kept).collect()
}

/// Scores one detector over some sets of videos, with a tolerance in frames for cuts.
pub fn score(manifests: &[Manifest], detector: &Detector, tolerance: usize) -> Score {
    let mut score = Score {
        name: detector.name.clone(),
        tolerance,
        ..Score::default()
    };
    let silent = Answer {
        failed: Some("was not asked".into()),
        ..Answer::default()
    };
    let videos: Vec<(&BenchVideo, &Answer)> = manifests
        .iter()
        .flat_map(|manifest| &manifest.files)
        .map(|video| (video, detector.answers.get(&key(video.half, &video.path)).unwrap_or(&silent)))
        .collect();
    let mut scoring_ms = 0.0;
    for (video, answer) in &videos {
        score.count(video, answer);
        if let Some(reason) = &answer.failed {
            score.failed.push((video.path.clone(), reason.clone()));
        }
        score.n_videos += 1;
        score.n_frames += video.n_frames;
        score.wall_s += answer.wall_s;
        score.cpu_s += answer.cpu_s;
        scoring_ms += answer.times.get("detect_ms").copied().unwrap_or(0.0);
    }
    if scoring_ms > 0.0 {
        score.micros_per_frame = Some(scoring_ms * 1000.0 / score.n_frames as f64);
    }
    score.middle_off_ms = middles(&videos, tolerance);
    score
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detections::Report;

    fn video(text: &str) -> BenchVideo {
        let head = r#""path": "a.mp4", "half": "real", "codec": "x264", "size": "240p", "fps": 25, "n_frames": 250"#;
        serde_json::from_str(&format!("{{{head}, {text}}}")).unwrap()
    }

    const EDIT: &str = r#""cuts": [{"frame": 50, "time_ms": 2000, "class": "cut"}, {"frame": 100, "time_ms": 4000, "class": "jump"}],
        "graduals": [{"start_ms": 6000, "end_ms": 7000, "middle_ms": 6500, "kind": "dissolve"}],
        "traps": [{"start_ms": 1000, "end_ms": 1200, "kind": "flash"}], "dont_care": [{"start_ms": 9000, "end_ms": 10000}]"#;

    fn scored(video: &BenchVideo, reports: Vec<Report>, tolerance: usize) -> Score {
        let answer = Answer {
            reports,
            ..Answer::default()
        };
        let detector = Detector {
            name: "it".into(),
            answers: BTreeMap::from([(key(video.half, &video.path), answer)]),
        };
        score(
            &[Manifest {
                half: video.half,
                files: vec![video.clone()],
            }],
            &detector,
            tolerance,
        )
    }

    fn at(times_ms: &[f64]) -> Vec<Report> {
        times_ms
            .iter()
            .map(|time_ms| Report {
                time_ms: *time_ms,
                range_ms: None,
                kind: None,
            })
            .collect()
    }

    /// Checks (hits, misses, false alarms) of cuts and of graduals.
    #[track_caller]
    fn check(times_ms: &[f64], tolerance: usize, cuts: (usize, usize, usize), graduals: (usize, usize, usize)) {
        let score = scored(&video(EDIT), at(times_ms), tolerance);
        let told = |c: Counts| (c.n_hits, c.n_misses, c.n_false);
        assert_eq!(
            (told(score.cuts), told(score.graduals)),
            (cuts, graduals),
            "{times_ms:?} at {tolerance}"
        );
    }

    #[test]
    fn a_cut_is_hit_within_the_tolerance_and_no_farther() {
        check(&[2000.0, 4000.0, 6500.0], 0, (2, 0, 0), (1, 0, 0));
        check(&[2019.0, 3981.0, 6500.0], 0, (2, 0, 0), (1, 0, 0));
        check(&[2040.0, 3960.0, 6500.0], 0, (0, 2, 2), (1, 0, 0));
        check(&[2040.0, 3960.0, 6500.0], 1, (2, 0, 0), (1, 0, 0));
        check(&[2080.0, 3920.0, 6500.0], 1, (0, 2, 2), (1, 0, 0));
    }

    #[test]
    fn a_second_report_of_anything_is_a_false_alarm() {
        check(&[2000.0, 2040.0, 4000.0, 6200.0, 6800.0], 1, (2, 0, 1), (1, 0, 1));
    }

    #[test]
    fn a_gradual_is_hit_a_frame_beside_it_and_no_farther() {
        for (time_ms, hit) in [(5960.0, true), (5900.0, false), (6000.0, true), (7040.0, true), (7100.0, false)] {
            let expected = if hit { ((2, 0, 0), (1, 0, 0)) } else { ((2, 0, 1), (0, 1, 0)) };
            check(&[2000.0, 4000.0, time_ms], 1, expected.0, expected.1);
        }
    }

    #[test]
    fn a_range_hits_a_gradual_that_it_overlaps_and_no_cut() {
        let range = |start_ms, end_ms| Report {
            time_ms: start_ms,
            range_ms: Some((start_ms, end_ms)),
            kind: Some(Kind::Gradual),
        };
        let score = scored(&video(EDIT), vec![range(5000.0, 6100.0), range(3500.0, 4500.0)], 1);
        assert_eq!(
            score.graduals,
            Counts {
                n_hits: 1,
                n_misses: 0,
                n_false: 1
            }
        );
        assert_eq!(
            score.cuts,
            Counts {
                n_hits: 0,
                n_misses: 2,
                n_false: 0
            }
        );
    }

    #[test]
    fn what_need_not_be_told_is_neither_right_nor_wrong() {
        check(&[2000.0, 4000.0, 6500.0, 9500.0, 9040.0], 1, (2, 0, 0), (1, 0, 0));
        check(&[2000.0, 4000.0, 6500.0, 8900.0], 1, (2, 0, 1), (1, 0, 0));
    }

    #[test]
    fn a_false_alarm_is_blamed_on_the_trap_it_is_in() {
        let score = scored(&video(EDIT), at(&[1040.0, 1080.0, 3000.0, 2000.0]), 1);
        assert_eq!(
            score.by_trap["flash"],
            Trapped {
                n_traps: 1,
                n_fooled: 1,
                n_false: 2
            }
        );
        assert_eq!((score.n_false_in_calm, score.trap_videos.n_false), (1, 3));
    }

    #[test]
    fn classes_tell_what_was_missed() {
        let score = scored(&video(EDIT), at(&[2000.0]), 1);
        assert_eq!(score.by_class["cut: cut"].n_hits, 1);
        assert_eq!(score.by_class["cut: jump"].n_misses, 1);
        assert_eq!(score.by_class["gradual: dissolve"].n_misses, 1);
        assert!((score.all.f1() - 0.5).abs() < 1e-9, "{:?}", score.all);
    }

    #[test]
    fn a_video_of_varying_rate_counts_its_own_frames() {
        let mut video = video(EDIT);
        video.times_ms = Some((0..250).map(|n| f64::from(n) * 40.0 + if n > 50 { 400.0 } else { 0.0 }).collect());
        // The frame after the cut at 2000 is at 2440. That is one frame late, and 2300 is nearer to it than to the cut.
        assert_eq!(scored(&video, at(&[2440.0]), 1).cuts.n_hits, 1);
        assert_eq!(scored(&video, at(&[2300.0]), 0).cuts.n_hits, 0);
        assert_eq!(scored(&video, at(&[2180.0]), 0).cuts.n_hits, 1);
    }

    #[test]
    fn a_detector_without_an_answer_misses_everything_and_says_why() {
        let video = video(EDIT);
        let score = score(
            &[Manifest {
                half: video.half,
                files: vec![video],
            }],
            &Detector {
                name: "it".into(),
                answers: BTreeMap::new(),
            },
            1,
        );
        assert_eq!(
            score.all,
            Counts {
                n_hits: 0,
                n_misses: 3,
                n_false: 0
            }
        );
        assert_eq!(score.failed, [("a.mp4".to_owned(), "was not asked".to_owned())]);
    }

    #[test]
    fn videos_that_one_detector_cannot_open_are_left_out_of_the_common_ones() {
        let video = video(EDIT);
        let manifest = [Manifest {
            half: video.half,
            files: vec![video.clone()],
        }];
        let detector = |failed: Option<&str>| Detector {
            name: "it".into(),
            answers: BTreeMap::from([(
                key(video.half, &video.path),
                Answer {
                    failed: failed.map(str::to_owned),
                    ..Answer::default()
                },
            )]),
        };
        assert_eq!(opened_by_all(&manifest, &[detector(None), detector(None)])[0].files.len(), 1);
        assert_eq!(opened_by_all(&manifest, &[detector(None), detector(Some("no"))])[0].files.len(), 0);
    }

    #[test]
    fn the_distance_from_the_middle_is_told() {
        assert!((scored(&video(EDIT), at(&[6420.0]), 1).middle_off_ms["dissolve"] - 80.0).abs() < 1e-9);
    }
}
