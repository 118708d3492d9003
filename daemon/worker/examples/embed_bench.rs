//! Times the embedder as the daemon uses it: `embed_bench MODEL_FOLDER DATA_FOLDER [COMMAND...]`.
//!
//! The commands come from the command line or, one a line, from standard input, so that another program can take turns with it
//! (`tests/bench/embed.py`). Each prints one line of JSON:
//!
//! - `model`: what the daemon read from the folder;
//! - `cold`: embeds a text with no worker running before; `restart` ends the workers first;
//! - `texts N`, `frames N`: embeds this many, texts one by one;
//! - `loaded N`: embeds this many texts while frames are being embedded;
//! - `memory`: memory of both workers together, in KiB, with shared memory counted once;
//! - `idle S`: processor time of the workers in this many seconds without a request.
//!
//! As in the daemon, texts have one worker, and frames have another one of idle priority.
//!
//! Graphs are kept in the data folder; if it does not exist, none are kept. A built `scened-worker` must be beside this program
//! (`cargo build --release -p scened-worker` first). `SCENED_BENCH_THREADS` and `SCENED_BENCH_PROVIDERS` (with commas) are as in the
//! config.

#![expect(clippy::print_stdout, reason = "a benchmark's result is what it prints")]

use std::io::{BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use scened::embed::Embedder as _;
use scened::embed::process::{EmbedConfig, EmbedProcess};
use scened::worker::throttle::Throttle;
use scened_common::domain::Frame;
use scened_common::embed::model::ModelFolder;
use serde_json::{Value, json};

/// Number of different frames; larger numbers repeat them.
const N_FRAMES: usize = 97;

struct Bench {
    config: EmbedConfig,
    queries: EmbedProcess,
    indexing: EmbedProcess,
    n_texts: usize,
    frames: Vec<Frame>,
}

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let model = ModelFolder::open(Path::new(&arguments.next().context("the first argument is a model folder")?))?;
    let data_dir = PathBuf::from(arguments.next().context("the second argument is a folder for optimised graphs")?);
    let own = std::env::current_exe()?;
    let worker = own
        .ancestors()
        .nth(2)
        .map(|above| above.join("scened-worker"))
        .filter(|path| path.is_file());
    let variable = |name: &str| std::env::var(name).ok();
    let config = EmbedConfig {
        providers: variable("SCENED_BENCH_PROVIDERS")
            .unwrap_or_else(|| "auto".to_owned())
            .split(',')
            .map(str::to_owned)
            .collect(),
        threads: variable("SCENED_BENCH_THREADS").map_or(Ok(0), |threads| threads.parse())?,
        idle: Duration::from_mins(10),
        onnxruntime: None,
        graph_cache: data_dir.is_dir().then(|| data_dir.clone()),
        gpu_memory_reserve_bytes: 0,
        background: false,
        throttle: Throttle::default(),
        allow_unsandboxed: false,
        data_dir,
        worker,
        model,
    };
    let mut bench = Bench {
        queries: EmbedProcess::new(config.clone())?,
        indexing: EmbedProcess::new(in_background(&config))?,
        frames: (0..N_FRAMES).map(|k| frame(&config.model, k)).collect(),
        n_texts: 0,
        config,
    };
    let given: Vec<String> = arguments.collect();
    if given.is_empty() {
        for line in std::io::stdin().lock().lines() {
            bench.answer(&line?)?;
        }
    }
    for command in given {
        bench.answer(&command)?;
    }
    Ok(())
}

fn in_background(config: &EmbedConfig) -> EmbedConfig {
    EmbedConfig {
        background: true,
        ..config.clone()
    }
}

fn frame(model: &ModelFolder, k: usize) -> Frame {
    let (width_px, height_px) = (model.image.width_px, model.image.height_px);
    Frame {
        time_ms: 0,
        width_px,
        height_px,
        rgb: testkit::golden::picture(k as u64, width_px, height_px),
    }
}

impl Bench {
    fn answer(&mut self, command: &str) -> anyhow::Result<()> {
        let (verb, number) = command.split_once(' ').unwrap_or((command, "1"));
        let n: usize = number.parse().with_context(|| format!("{number:?} is no number"))?;
        let answer = match verb {
            "model" => serde_json::to_value(&self.config.model)?,
            "cold" => {
                let started = Instant::now();
                let first_ms = self.text()?;
                json!({ "cold_text_ms": first_ms, "with_start_ms": started.elapsed().as_millis() as u64, "provider": self.queries.provider() })
            }
            "restart" => {
                self.queries.stop();
                self.indexing.stop();
                self.queries = EmbedProcess::new(self.config.clone())?;
                self.indexing = EmbedProcess::new(in_background(&self.config))?;
                json!({})
            }
            "texts" => quantiles(&self.texts(n)?),
            "frames" => {
                let started = Instant::now();
                self.embed(n)?;
                json!({ "frames_per_second": n as f64 / started.elapsed().as_secs_f64(), "n_frames": n })
            }
            "loaded" => self.loaded(n)?,
            "memory" => json!({ "workers_kb": self.memory_kb() }),
            "idle" => self.idle(n)?,
            _ => bail!("{verb:?} is no command"),
        };
        println!("{answer}");
        Ok(std::io::stdout().flush()?)
    }

    /// Embeds a text that was not used before, and returns the milliseconds it took.
    fn text(&mut self) -> anyhow::Result<f64> {
        self.n_texts += 1;
        let text = format!("a photo of number {} in the snow", self.n_texts);
        let started = Instant::now();
        self.queries.embed_texts(&[text])?;
        Ok(started.elapsed().as_secs_f64() * 1000.0)
    }

    fn texts(&mut self, n: usize) -> anyhow::Result<Vec<f64>> {
        (0..n).map(|_| self.text()).collect()
    }

    fn embed(&self, n: usize) -> anyhow::Result<()> {
        let mut left = n;
        while left > 0 {
            let lot = left.min(self.frames.len());
            self.indexing.embed_frames(&self.frames[..lot])?;
            left -= lot;
        }
        Ok(())
    }

    /// Embeds texts while two callers keep the lane of frames full.
    fn loaded(&mut self, n: usize) -> anyhow::Result<Value> {
        let texts: Vec<String> = (0..n).map(|k| format!("a drawing of number {k} at night")).collect();
        let is_over = AtomicBool::new(false);
        let this = &*self;
        let waits_ms = std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    loop {
                        if is_over.load(Ordering::Relaxed) || this.embed(32).is_err() {
                            break;
                        }
                    }
                });
            }
            let asked = texts.iter().map(|text| {
                // People ask at any time during a batch, and not right after the last answer.
                pause(Duration::from_millis(60 + text.len() as u64 * 7 % 40));
                let started = Instant::now();
                this.queries.embed_texts(std::slice::from_ref(text))?;
                Ok(started.elapsed().as_secs_f64() * 1000.0)
            });
            let waits_ms = asked.collect::<anyhow::Result<Vec<f64>>>();
            is_over.store(true, Ordering::Relaxed);
            waits_ms
        })?;
        Ok(quantiles(&waits_ms))
    }

    fn workers(&self) -> impl Iterator<Item = u32> {
        [self.queries.worker_pid(), self.indexing.worker_pid()].into_iter().flatten()
    }

    /// Measures the processor time of the workers without requests.
    fn idle(&self, seconds: usize) -> anyhow::Result<Value> {
        let ticks = || self.workers().map(cpu_ticks).sum::<anyhow::Result<u64>>();
        let before = ticks()?;
        pause(Duration::from_secs(seconds as u64));
        Ok(json!({ "idle_cpu_ticks": ticks()? - before, "seconds": seconds }))
    }

    /// Returns the proportional memory of the workers, and the part that no file backs; `None` if /proc does not say.
    fn memory_kb(&self) -> Option<Value> {
        let (mut pss, mut anonymous) = (0, 0);
        for pid in self.workers() {
            let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
            let field = |name: &str| -> Option<u64> {
                let line = rollup.lines().find(|line| line.starts_with(name))?;
                line.split_whitespace().nth(1)?.parse().ok()
            };
            pss += field("Pss:")?;
            anonymous += field("Anonymous:")?;
        }
        Some(json!({ "pss": pss, "anonymous": anonymous }))
    }
}

fn pause(time: Duration) {
    let (nobody, never) = (std::sync::Mutex::new(()), std::sync::Condvar::new());
    let guard = nobody.lock().expect("no other thread has it");
    drop(never.wait_timeout_while(guard, time, |()| true));
}

fn quantiles(values_ms: &[f64]) -> Value {
    let mut sorted = values_ms.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| sorted.get(((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1)));
    json!({ "text_p50_ms": at(0.5), "text_p99_ms": at(0.99), "n_texts": sorted.len() })
}

/// Returns the user and system time of all threads, in ticks of 10 ms.
fn cpu_ticks(pid: u32) -> anyhow::Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit_once(')').context("no name")?.1.split_whitespace().collect();
    let field = |k: usize| -> anyhow::Result<u64> { Ok(fields.get(k).context("too few fields")?.parse()?) };
    Ok(field(11)? + field(12)?)
}
