//! Damages one file of the data folder, in 300 ways.
//!
//! For each: the daemon starts, settles and ends. Its answers are those of the undamaged data folder. It reports whatever it indexed again.
//! It quarantines only what was damaged. The next start finds nothing left to repair.

use std::fs;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use scened::store::Store;
use scened_shared::message::{NoParams, ScopeRequest};
use scened_shared::method::{Retry, Status};
use serde::{Deserialize, Serialize};

use crate::random::Random;
use crate::world::{Answers, N_VIDEOS, World, answers, call, settle};

const N_CASES: usize = 300;
const N_LONG: usize = 5_000;
/// Cases run side by side, because a case waits for threads and timers more than it computes.
const N_THREADS: usize = 4;
/// A slower case is reported: something in it waits without need.
const SLOW: Duration = Duration::from_secs(5);
/// Starts that the storage library may kill outright before the store is quarantined.
const MOST_DEATHS: usize = 1;
const SECTOR: u64 = 512;

/// A data folder as a daemon left it, and that daemon's answers.
struct Pristine {
    data: PathBuf,
    answers: Answers,
    files: Vec<PathBuf>,
}

/// Indexes the videos into `place/data`. With `in_tables` most of the store is in tables, otherwise all of it is in the journal.
fn prepare(world: &World, place: &Path, in_tables: bool) -> Pristine {
    fs::create_dir_all(place).unwrap();
    let live = |retry: bool| {
        let life = world.begin(place);
        let mut client = life.client().unwrap();
        settle(&mut client).unwrap();
        if retry {
            call::<Retry>(&mut client, &ScopeRequest::default()).unwrap();
            settle(&mut client).unwrap();
        }
        let answers = answers(&mut client).unwrap();
        drop(client);
        life.end().unwrap();
        answers
    };
    let data = place.join("data");
    let mut answers = live(false);
    if in_tables {
        let (store, _) = Store::open(&data).unwrap();
        store.write_tables().unwrap();
        drop(store);
        // The journal gets something newer as well.
        answers = live(true);
    }
    let model = testkit::repository().join("tests/data/models/tiny-hf");
    testkit::copy_tree(&model, &data.join("models/another"), &|file| {
        file.extension().is_some_and(|e| e == "json")
    });
    fs::write(data.join("models/another/scened-source.json"), "{\"format\": 1}").unwrap();
    fs::create_dir_all(data.join("cache/graphs")).unwrap();
    fs::write(data.join("cache/graphs/entry.json"), vec![7; 3_000]).unwrap();
    let trimmed = place.join("trimmed");
    copy(&data, &trimmed);
    let files = files_below(&trimmed);
    Pristine {
        data: trimmed,
        answers,
        files,
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Copies a data folder without the zeros that preallocate journals: fjall does not need them, and they are most of the bytes.
fn copy(from: &Path, to: &Path) {
    for path in files_below(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        if path.extension().is_some_and(|extension| extension == "jnl") {
            let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            bytes.truncate(used);
        }
        fs::write(target, bytes).unwrap();
    }
}

/// Damages `file` in one of the ways, and says which.
fn damage(file: &Path, others: &[PathBuf], random: &mut Random) -> String {
    let length = fs::metadata(file).unwrap().len();
    let open = || fs::File::options().read(true).write(true).open(file).unwrap();
    let flip = |at: u64, bit: u64| {
        let mut byte = [0];
        open().read_exact_at(&mut byte, at).unwrap();
        byte[0] ^= 1 << bit;
        open().write_all_at(&byte, at).unwrap();
    };
    match random.below(10) {
        0..=2 if length > 0 => {
            let (at, bit) = (random.below(length), random.below(8));
            flip(at, bit);
            format!("bit {bit} of byte {at} flipped")
        }
        3 if length > 0 => {
            for _ in 0..8 {
                let (at, bit) = (random.below(length), random.below(8));
                flip(at, bit);
            }
            "eight bits flipped".to_owned()
        }
        kind @ (4 | 5) if length > 0 => {
            let size = if kind == 4 { SECTOR } else { 8 * SECTOR };
            let at = random.below(length.div_ceil(size)) * size;
            let zeros = vec![0; size.min(length - at) as usize];
            open().write_all_at(&zeros, at).unwrap();
            format!("{} bytes from {at} zeroed", zeros.len())
        }
        6 if length > 0 => {
            let to = random.below(length);
            open().set_len(to).unwrap();
            format!("cut to {to} of {length} bytes")
        }
        7 => {
            let other = &others[random.below(others.len() as u64) as usize];
            fs::write(file, fs::read(other).unwrap()).unwrap();
            format!("overwritten with {}", other.display())
        }
        8 => {
            fs::remove_file(file).unwrap();
            fs::create_dir(file).unwrap();
            "turned into a folder".to_owned()
        }
        _ => {
            fs::remove_file(file).unwrap();
            "deleted".to_owned()
        }
    }
}

/// The outcome of one start over `place/data`.
#[derive(Debug, Serialize, Deserialize)]
struct Seen {
    /// The first answers, and those after the work that the first queries triggered.
    answers: [Answers; 2],
    n_indexed: u64,
    n_failed: u64,
    warnings: Vec<String>,
    n_decoded: usize,
}

fn look(world: &World, place: &Path) -> Result<Seen, String> {
    let life = world.begin(place);
    let looked = life.client().and_then(|mut client| {
        settle(&mut client)?;
        let first = answers(&mut client)?;
        // The queries may have found more damage and caused videos to be indexed again.
        settle(&mut client)?;
        let second = answers(&mut client)?;
        let status = call::<Status>(&mut client, &NoParams {})?;
        Ok(([first, second], status))
    });
    let source = life.source.clone();
    let ended = life.end();
    match (looked, ended) {
        (Ok((answers, status)), Ok(())) => Ok(Seen {
            answers,
            n_indexed: status.videos.indexed,
            n_failed: status.videos.failed,
            warnings: status.warnings,
            n_decoded: source.calls().len(),
        }),
        (_, Err(ended)) => Err(ended),
        (Err(failed), Ok(())) => Err(failed),
    }
}

/// Environment variables with the world and the place of a process of [`a_life`], and the file that it leaves there.
const WORLD: &str = "SCENED_FAULTS_WORLD";
const PLACE: &str = "SCENED_FAULTS_PLACE";
const OUTCOME: &str = "outcome.json";

#[test]
#[ignore = "one start of a daemon, in a process that may die of it; the tests below start it"]
fn a_life() {
    let (Some(world), Some(place)) = (std::env::var_os(WORLD), std::env::var_os(PLACE)) else {
        return;
    };
    let place = PathBuf::from(place);
    let outcome = look(&World::at(Path::new(&world)), &place);
    fs::write(place.join(OUTCOME), serde_json::to_vec(&outcome).unwrap()).unwrap();
}

/// Runs one start over `place/data` in a process of its own, and another one if that died. Also returns the number of deaths.
fn live(world: &World, place: &Path, expected: &Answers) -> Result<(Seen, usize), String> {
    for n_deaths in 0..=MOST_DEATHS {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "damage::a_life", "--ignored"])
            .env(WORLD, &world.home)
            .env(PLACE, place)
            .env("RUST_BACKTRACE", "0")
            .output()
            .unwrap();
        let Ok(bytes) = fs::read(place.join(OUTCOME)) else {
            eprintln!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
            continue;
        };
        fs::remove_file(place.join(OUTCOME)).unwrap();
        let seen = serde_json::from_slice::<Result<Seen, String>>(&bytes).unwrap()?;
        if (seen.n_indexed, seen.n_failed) != (N_VIDEOS, 1) {
            return Err(format!("{seen:?}"));
        }
        if seen.answers[1] != *expected {
            return Err(format!("instead of {expected:#?}\nit answered {seen:#?}"));
        }
        if seen.answers[0] != *expected && seen.warnings.is_empty() {
            return Err(format!("it answered otherwise at first and said nothing: {seen:#?}"));
        }
        return Ok((seen, n_deaths));
    }
    Err(format!("{} starts died", MOST_DEATHS + 1))
}

/// Lists what was quarantined but neither is nor contains the damaged file.
fn wrongly_set_aside(data: &Path, damaged: &Path) -> Vec<PathBuf> {
    let is_wrong = |path: &PathBuf| {
        let text = path.to_string_lossy();
        let Some((original, _)) = text.split_once(".damaged-") else {
            return false;
        };
        // The two halves of a snapshot belong together.
        let of_one_index = original.contains("/index/") && damaged.starts_with(data.join("index"));
        !(damaged.starts_with(original) || damaged.starts_with(path) || of_one_index)
    };
    files_below(data).into_iter().filter(is_wrong).collect()
}

fn run_case(world: &World, pristine: &Pristine, number: usize, place: &Path) -> Result<String, String> {
    let mut random = Random::new(number as u64);
    let data = place.join("data");
    copy(&pristine.data, &data);
    let relative = pristine.files[number / 2 % pristine.files.len()]
        .strip_prefix(&pristine.data)
        .unwrap();
    let victim = data.join(relative);
    let what = format!(
        "case {number}: {} {}",
        relative.display(),
        damage(&victim, &pristine.files, &mut random)
    );
    let failed = |error: String| format!("{what}: {error}");
    let (Seen { warnings, n_decoded, .. }, n_deaths) = live(world, place, &pristine.answers).map_err(failed)?;
    if n_decoded > 0 && warnings.is_empty() {
        return Err(failed(format!("{n_decoded} videos were decoded again, and nobody was told")));
    }
    let wrong = wrongly_set_aside(&data, &victim);
    if !wrong.is_empty() {
        return Err(failed(format!("these were good, and were set aside: {wrong:?}")));
    }
    for path in warnings.iter().filter_map(|warning| warning.split("set aside as ").nth(1)) {
        let path = path.split(" and ").next().unwrap_or(path);
        if fs::symlink_metadata(path).is_err() {
            return Err(failed(format!("{path} is not there")));
        }
    }
    if number.is_multiple_of(3) {
        let next = live(world, place, &pristine.answers).map_err(|error| failed(format!("the next start: {error}")))?;
        let n_decoded = next.0.n_decoded;
        if n_decoded > 0 {
            return Err(failed(format!("the next start decoded {n_decoded} videos once more")));
        }
    }
    Ok(format!(
        "{what}: {n_decoded} decoded, {} warnings, {n_deaths} deaths",
        warnings.len()
    ))
}

#[test]
fn three_hundred_damaged_files_give_no_wrong_answer_and_no_silence() {
    eprintln!("{N_CASES} cases; {N_LONG} of them: make check-long; one: SCENED_TEST_CASE=number");
    let only = std::env::var("SCENED_TEST_CASE").ok().and_then(|text| text.parse().ok());
    check(only.map_or(0..N_CASES, |only| only..only + 1));
}

#[test]
#[ignore = "takes minutes: make check-long"]
fn five_thousand_damaged_files_give_no_wrong_answer_and_no_silence() {
    check(N_CASES..N_CASES + N_LONG);
}

fn check(cases: Range<usize>) {
    let world = World::new();
    let pristine = [
        prepare(&world, &world.home.join("journal"), false),
        prepare(&world, &world.home.join("tables"), true),
    ];
    assert_eq!(pristine[0].answers, pristine[1].answers);
    let next = AtomicUsize::new(cases.start);
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..N_THREADS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= cases.end {
                        return;
                    }
                    let place = world.home.join(format!("case-{number}"));
                    fs::create_dir(&place).unwrap();
                    let began = Instant::now();
                    let outcome = run_case(&world, &pristine[number % 2], number, &place);
                    if began.elapsed() > SLOW {
                        eprintln!("{:?} took {:?}", outcome, began.elapsed());
                    }
                    fs::remove_dir_all(&place).unwrap();
                    outcomes.lock().unwrap_or_else(PoisonError::into_inner).push(outcome);
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
    let failures: Vec<&String> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    let texts = failures.iter().map(|text| text.as_str()).collect::<Vec<_>>().join("\n\n");
    assert!(failures.is_empty(), "{} of {} cases:\n{texts}", failures.len(), outcomes.len());
    let n_decoding = outcomes.iter().flatten().filter(|text| !text.contains(" 0 decoded")).count();
    let n_told = outcomes.iter().flatten().filter(|text| !text.contains(" 0 warnings")).count();
    let n_deaths = outcomes.iter().flatten().filter(|text| !text.contains(" 0 deaths")).count();
    eprintln!(
        "{} damaged files: {n_told} told of, {n_decoding} led to videos being decoded again, {n_deaths} killed the first start, no wrong answer",
        outcomes.len()
    );
}
