//! Videos damaged on purpose, from a seed. Whatever happens to them, our own code neither panics nor makes a forbidden call, and the daemon
//! always understands what it receives.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use scened_common::media::request::PosterRequest;

use super::*;

/// Containers and codecs to mutate.
const SEEDS: [(&str, &str); 26] = [
    ("h264.mp4", "libx264 -preset ultrafast -g 10"),
    (
        "h264-moving.mp4",
        "libx264 -preset veryfast -bf 3 -movflags frag_keyframe+empty_moov",
    ),
    ("h264.mov", "libx264 -preset ultrafast -movflags faststart"),
    ("h264.mkv", "libx264 -preset ultrafast -g 10"),
    ("h264.flv", "libx264 -preset ultrafast"),
    ("h264.ts", "libx264 -preset ultrafast -g 10"),
    ("h264.avi", "libx264 -preset ultrafast -bf 0"),
    ("h264.h264", "libx264 -preset ultrafast"),
    ("hevc.mp4", "libx265 -preset ultrafast -x265-params log-level=error"),
    (
        "hevc.mkv",
        "libx265 -preset ultrafast -x265-params log-level=error:keyint=10 -pix_fmt yuv420p10le",
    ),
    ("vp8.webm", "libvpx -deadline realtime -cpu-used 8"),
    ("vp9.webm", "libvpx-vp9 -deadline realtime -cpu-used 8"),
    ("vp9.mp4", "libvpx-vp9 -deadline realtime -cpu-used 8"),
    ("av1.mkv", "libsvtav1 -preset 12"),
    ("av1.mp4", "libsvtav1 -preset 12"),
    ("mpeg2.mpg", "mpeg2video -g 10"),
    ("mpeg2.mxf", "mpeg2video -g 10"),
    ("mpeg2.ts", "mpeg2video -bf 2"),
    ("mpeg4.avi", "mpeg4 -g 10"),
    ("mpeg4.m4v", "mpeg4 -g 10"),
    ("h263.3gp", "h263 -s 176x144"),
    ("mjpeg.avi", "mjpeg -pix_fmt yuvj420p"),
    ("prores.mov", "prores_ks -pix_fmt yuv422p10le"),
    ("theora.ogv", "libtheora"),
    ("wmv2.wmv", "wmv2"),
    ("flv1.flv", "flv"),
];

/// Random numbers that are the same on every machine (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    /// Returns a position in a video. Half of the positions are near its ends, where headers and indexes are.
    fn place(&mut self, length: usize) -> usize {
        match self.below(4) {
            0 => self.below(length.min(2048)),
            1 => length - 1 - self.below(length.min(4096)),
            _ => self.below(length),
        }
    }
}

/// Extreme values for sizes and counts.
const EXTREMES: [u32; 8] = [0, 1, 0x7f, 0xff, 0xffff, 0x7fff_ffff, 0x8000_0000, u32::MAX];

/// Damages a video in one to four ways, and returns which.
fn mutate(video: &mut Vec<u8>, other: &[u8], random: &mut Random) -> String {
    let mut ways = Vec::new();
    for _ in 0..=random.below(4) {
        let length = video.len();
        if length < 64 {
            break;
        }
        let way = random.below(8);
        ways.push(["bits", "swap", "cut", "splice", "extreme", "zero", "twice", "tiny extreme"][way]);
        match way {
            0 => {
                for _ in 0..=random.below(60) {
                    let at = random.place(length);
                    video[at] ^= 1 << random.below(8);
                }
            }
            1 => {
                let size = 1 + random.below(length / 4);
                let (from, to) = (random.below(length - size), random.below(length - size));
                for i in 0..size {
                    video.swap(from + i, to + i);
                }
            }
            2 => video.truncate(64 + random.below(length - 63)),
            3 => {
                let size = random.below(other.len().min(length).min(4096));
                video[..size].copy_from_slice(&other[..size]);
            }
            4 => {
                for _ in 0..=random.below(8) {
                    let at = random.place(length - 4);
                    let value = EXTREMES[random.below(EXTREMES.len())];
                    video[at..at + 4].copy_from_slice(&if random.below(2) == 0 {
                        value.to_be_bytes()
                    } else {
                        value.to_le_bytes()
                    });
                }
            }
            5 => {
                let from = random.place(length);
                let to = (from + random.below(4096)).min(length);
                video[from..to].fill(0);
            }
            6 => {
                let size = random.below(length.min(8192));
                let from = random.below(length - size);
                let part = video[from..from + size].to_vec();
                let at = random.place(length);
                video.splice(at..at, part);
            }
            _ => {
                let at = random.place(length);
                video[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)];
            }
        }
    }
    ways.join(", ")
}

fn seeds(folder: &Path) -> Vec<(&'static str, Vec<u8>)> {
    let make = |(name, codec): &(&'static str, &str)| {
        let cuts = "-f lavfi -i testsrc2=s=96x64:r=25:d=0.8 -f lavfi -i color=blue:s=96x64:r=25:d=0.8 \
                    -filter_complex [0][1]concat=n=2 -pix_fmt yuv420p";
        let path = video(folder, name, &format!("{cuts} -c:v {codec}"));
        let whole = analyse(&path).unwrap_or_else(|error| panic!("{name} as it was made: {error}"));
        assert!(!whole.scenes.is_empty(), "{name}");
        (*name, std::fs::read(path).unwrap())
    };
    SEEDS.iter().map(make).collect()
}

/// Every mutation with a multiple of this number is also asked for its poster frame.
const POSTER_EVERY: usize = 3;

/// The outcomes of all mutations.
#[derive(Debug, Default)]
struct Tally {
    indexed: usize,
    unusable: usize,
    died: Vec<String>,
    timed_out: Vec<String>,
    wrong: Vec<String>,
    /// Number of mutations with a poster frame or a reason why there is none.
    posters: usize,
    /// Workers that died or hung while they looked for one.
    posters_lost: Vec<String>,
}

fn run(n_mutations: usize) -> Tally {
    let folder = tempfile::tempdir().unwrap();
    let seeds = seeds(folder.path());
    let tally = Mutex::new(Tally::default());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (seeds, tally, next, folder) = (&seeds, &tally, &next, folder.path());
            scope.spawn(move || {
                let path = folder.join(format!("mutated {thread}"));
                loop {
                    let n = next.fetch_add(1, Ordering::SeqCst);
                    if n >= n_mutations {
                        return;
                    }
                    one(n, seeds, &path, tally);
                }
            });
        }
    });
    tally.into_inner().unwrap()
}

fn one(n: usize, seeds: &[(&str, Vec<u8>)], path: &Path, shared: &Mutex<Tally>) {
    let mut random = Random(n as u64);
    let (name, whole) = &seeds[n % seeds.len()];
    let other = &seeds[random.below(seeds.len())].1;
    let mut bytes = whole.clone();
    let ways = mutate(&mut bytes, other, &mut random);
    std::fs::write(path, &bytes).unwrap();
    let (mode, threads, detector) = [
        (SceneMode::Exact, 2, Detector::Shot),
        (SceneMode::Exact, 1, Detector::Shot),
        (SceneMode::Fast, 2, Detector::Shot),
        (SceneMode::Exact, 1, Detector::Content),
    ][random.below(4)];
    let request = AnalyseRequest {
        mode,
        threads,
        detector,
        keyframes_only: random.below(8) == 0,
        keyframe_px: 96,
        ..request()
    };
    let ended = analyse_with(&worker().with_silence(Duration::from_secs(20)), path, &request);
    let line = |error: &MediaError| format!("mutation {n} of {name} ({ways}; {mode:?}, {threads} threads): {error}");
    let mut tally = shared.lock().unwrap();
    match &ended {
        Ok(_) => tally.indexed += 1,
        Err(MediaError::Unusable { .. }) => tally.unusable += 1,
        Err(error @ MediaError::WorkerDied { detail }) if !detail.contains("panicked") && !detail.contains("SIGSYS") => {
            tally.died.push(line(error));
        }
        Err(error @ MediaError::TimedOut { .. }) => tally.timed_out.push(line(error)),
        Err(error) => tally.wrong.push(line(error)),
    }
    drop(tally);
    if n.is_multiple_of(POSTER_EVERY) {
        poster(&format!("poster of mutation {n} of {name} ({ways})"), path, shared);
    }
}

/// Requests a poster frame, which the worker finds by seeking and with a decoder that sees only keyframes.
fn poster(what: &str, path: &Path, tally: &Mutex<Tally>) {
    let request = PosterRequest {
        longer_px: 64,
        label: "test".to_owned(),
    };
    let source = worker().with_silence(Duration::from_secs(20));
    let ended = source.poster(File::open(path).unwrap(), &request, &Cancel::default());
    let mut tally = tally.lock().unwrap();
    match ended {
        Ok(_) | Err(MediaError::Unusable { .. }) => tally.posters += 1,
        Err(MediaError::WorkerDied { detail }) if !detail.contains("panicked") && !detail.contains("SIGSYS") => {
            tally.posters_lost.push(format!("{what}: {detail}"));
        }
        Err(error @ MediaError::TimedOut { .. }) => tally.posters_lost.push(format!("{what}: {error}")),
        Err(error) => tally.wrong.push(format!("{what}: {error}")),
    }
}

#[expect(clippy::print_stderr, reason = "figures are told to who runs the tests")]
fn check(n_mutations: usize) {
    let tally = run(n_mutations);
    eprintln!(
        "{n_mutations} mutated videos of {} kinds: {} indexed, {} said to be unusable, {} workers died, {} timed out; {} posters, {} lost",
        SEEDS.len(),
        tally.indexed,
        tally.unusable,
        tally.died.len(),
        tally.timed_out.len(),
        tally.posters,
        tally.posters_lost.len()
    );
    for line in tally.died.iter().chain(&tally.timed_out).chain(&tally.posters_lost) {
        eprintln!("{line}");
    }
    assert!(tally.wrong.is_empty(), "{:#?}", tally.wrong);
    assert_eq!(
        tally.indexed + tally.unusable + tally.died.len() + tally.timed_out.len(),
        n_mutations
    );
    assert_eq!(tally.posters + tally.posters_lost.len(), n_mutations.div_ceil(POSTER_EVERY));
}

#[test]
fn two_hundred_mutated_videos_end_in_scenes_or_in_words() {
    check(200);
}

#[test]
#[ignore = "two thousand videos take minutes: make check-long"]
fn two_thousand_mutated_videos_end_in_scenes_or_in_words() {
    check(2000);
}
