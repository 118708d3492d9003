//! The thread that owns the worker: takes requests, keeps a worker for them, checks its answers, ends it when idle.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use scened_common::domain::Embedding;
use scened_common::embed::protocol::{self, FramesRequest, LoadRequest, MAX_BATCH, TextsRequest, Vectors};
use scened_common::embed::runtime::{HOW_TO_GET_IT, find_onnxruntime};
use scened_common::pipe::RawFrame;

use super::connection::{Connection, RequestError, unexpected};
use super::model_files::Unchanged;
use super::queue::{Item, Lane, Work};
use super::{EmbedConfig, Shared, Step};
use crate::embed::EmbedError;
use crate::supervise::caught;
use crate::worker::find_worker;

/// A batch of frames is as large as fits into this time. So no text waits longer, unless a single frame takes longer. On a CPU small
/// batches are as fast as large ones.
pub(super) const BATCH_TIME: Duration = Duration::from_millis(250);

/// Frames of the first batch: with a large model on a slow machine, 16 may take many seconds.
const FIRST_BATCH: usize = 2;

/// The length of a worker's vectors may differ from 1 by this much. Otherwise the worker is broken.
const NORM_TOLERANCE: f64 = 1e-3;

struct Owner<'a> {
    shared: &'a Shared,
    config: &'a EmbedConfig,
    wake: BorrowedFd<'a>,
    connection: Option<Connection>,
    files: Unchanged,
    /// Number of frames that fit into [`BATCH_TIME`], according to the last batch.
    frames_at_once: usize,
}

pub(super) fn run(shared: &Shared, config: &EmbedConfig, wake: BorrowedFd<'_>) {
    // A former owner that died took its worker with it.
    {
        let mut state = shared.state();
        (state.worker, state.at_work) = (None, None);
    }
    let mut owner = Owner {
        shared,
        files: Unchanged::new(config.model.clone(), &config.data_dir),
        config,
        wake,
        connection: None,
        frames_at_once: FIRST_BATCH,
    };
    loop {
        let deadline = owner.connection.as_ref().map(|_| Instant::now() + owner.config.idle);
        match shared.queue.next(deadline, owner.frames_at_once) {
            Work::Embed(lane, items) => {
                crate::failpoint::panic_here("embed-owner");
                // A panic costs only this batch: dropping its items fails their calls.
                if let Err(panic) = caught(|| owner.embed(lane, items)) {
                    tracing::error!(panic, "embedding failed (a bug: please report it)");
                    owner.end_worker();
                }
                shared.state().at_work = None;
            }
            Work::Idle => {
                tracing::debug!(idle = ?owner.config.idle, "ending the idle embed worker");
                owner.end_worker();
            }
            Work::Stop => break,
        }
    }
    owner.end_worker();
}

impl Owner<'_> {
    fn embed(&mut self, lane: Lane, items: Vec<Item>) {
        crate::failpoint::panic_here("embed-batch");
        let started = Instant::now();
        let n = items.len();
        let payloads: Vec<&[u8]> = items.iter().map(|item| item.payload.0.as_slice()).collect();
        let answer = self.vectors(lane, &payloads);
        match answer {
            Ok(vectors) => {
                for (item, vector) in items.into_iter().zip(vectors) {
                    let what = || match lane {
                        Lane::Texts => format!("text {}", item.index() + 1),
                        Lane::Frames => format!("frame {}", item.index() + 1),
                    };
                    let result = vector.ok_or_else(|| EmbedError::Degenerate { what: what() });
                    item.finish(result);
                }
            }
            Err(error) => {
                // Without a model or a runtime, every waiting request would fail in the same way, each after another start.
                if self.connection.is_none() && matches!(error, EmbedError::Unavailable { .. }) {
                    self.shared.queue.fail_all(&error);
                }
                for item in items {
                    item.finish(Err(error.clone()));
                }
                return;
            }
        }
        if lane == Lane::Frames {
            self.frames_at_once = adapted(self.frames_at_once, n, started.elapsed());
        }
    }

    /// Returns the checked vectors of one batch. `None` stands for a vector without direction.
    fn vectors(&mut self, lane: Lane, payloads: &[&[u8]]) -> Result<Vec<Option<Embedding>>, EmbedError> {
        let frame = self.request(lane, payloads)?;
        let checked = self.check(&frame, payloads.len());
        checked.map_err(|detail| {
            self.end_worker();
            EmbedError::Protocol { detail }
        })
    }

    /// Sends one batch. Starts a worker if there is none, and tries once more on a new one if it died.
    fn request(&mut self, lane: Lane, payloads: &[&[u8]]) -> Result<RawFrame, EmbedError> {
        let body = payloads.concat();
        let mut already_died = false;
        loop {
            match self.try_request(lane, payloads, &body) {
                Ok(frame) => return Ok(frame),
                Err(RequestError::Refused(failed)) => {
                    return Err(EmbedError::Unavailable {
                        reason: failed.reason,
                        hint: failed.hint,
                    });
                }
                Err(RequestError::Died { detail, is_from_outside }) => {
                    self.end_worker();
                    tracing::warn!(%detail, again = !already_died, "the embed worker died");
                    if already_died {
                        return Err(if is_from_outside {
                            EmbedError::Killed { detail }
                        } else {
                            EmbedError::WorkerDied { detail }
                        });
                    }
                    already_died = true;
                }
                Err(RequestError::Broken(error)) => {
                    self.end_worker();
                    return Err(error);
                }
            }
        }
    }

    fn try_request(&mut self, lane: Lane, payloads: &[&[u8]], body: &[u8]) -> Result<RawFrame, RequestError> {
        // This is needed even while a worker lives, because it reads a tower only at the first use.
        self.check_files()?;
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.start_worker()?,
        };
        self.shared.state().at_work = Some((Step::Vectors, Instant::now()));
        let wake = self.wake;
        let throttled = self.config.background.then(|| self.config.throttle.keep(connection.pid()));
        let answer = match lane {
            Lane::Texts => {
                let lengths = payloads.iter().map(|payload| payload.len() as u32).collect();
                connection.request(protocol::KIND_TEXTS, &TextsRequest { lengths }, body, wake)
            }
            Lane::Frames => {
                let image = self.config.model.image;
                let request = FramesRequest {
                    n_frames: payloads.len() as u32,
                    width_px: image.width_px,
                    height_px: image.height_px,
                };
                connection.request(protocol::KIND_FRAMES, &request, body, wake)
            }
        };
        drop(throttled);
        self.connection = Some(connection);
        match answer? {
            frame if frame.kind == protocol::KIND_VECTORS => {
                self.check_files()?;
                Ok(frame)
            }
            frame => Err(unexpected(frame.kind)),
        }
    }

    /// Refuses files that no longer belong to the model.
    fn check_files(&mut self) -> Result<(), RequestError> {
        let checked = self.files.check();
        let changed = checked.as_ref().err().map(ToString::to_string);
        let mut state = self.shared.state();
        if changed.is_some() && state.changed != changed {
            tracing::error!(reason = changed.as_deref(), "the model is not used any more");
        }
        state.changed = changed;
        drop(state);
        checked.map_err(RequestError::Broken)
    }

    fn start_worker(&self) -> Result<Connection, RequestError> {
        let unavailable = |reason: String, hint: Option<&str>| {
            RequestError::Broken(EmbedError::Unavailable {
                reason,
                hint: hint.map(str::to_owned),
            })
        };
        let program = match &self.config.worker {
            Some(program) => program.clone(),
            None => find_worker().map_err(|error| unavailable(error.to_string(), None))?,
        };
        let own = scened_shared::program::own();
        let onnxruntime = find_onnxruntime(self.config.onnxruntime.as_deref(), &self.config.data_dir, own.as_deref())
            .map_err(|error| unavailable(error.to_string(), Some(HOW_TO_GET_IT)))?;
        let request = LoadRequest {
            model: self.config.model.clone(),
            providers: self.config.providers.clone(),
            threads: self.config.threads,
            onnxruntime,
            graph_cache: self.config.graph_cache.clone(),
            gpu_memory_reserve_bytes: self.config.gpu_memory_reserve_bytes,
            background: self.config.background,
            allow_unsandboxed: self.config.allow_unsandboxed,
        };
        let started = Instant::now();
        self.shared.state().at_work = Some((Step::Start, started));
        let tell_pid = |pid| self.shared.state().worker = Some(pid);
        let opened = Connection::open(&program, &request, self.wake, tell_pid);
        if opened.is_err() {
            self.shared.state().worker = None;
        }
        let (connection, loaded) = opened.map_err(|error| match error {
            // It has seen neither a text nor a picture, so the system or the installation is at fault.
            RequestError::Died { detail, .. } => unavailable(
                format!("the embed worker cannot work: {detail}"),
                Some("scened tries again; scenectl doctor says what is missing"),
            ),
            error => error,
        })?;
        tracing::info!(
            pid = connection.pid(),
            model = %self.config.model.id,
            onnxruntime = loaded.onnxruntime,
            milliseconds = started.elapsed().as_millis() as u64,
            "embed worker started"
        );
        Ok(connection)
    }

    fn end_worker(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.close();
        }
        self.shared.state().worker = None;
    }

    /// Checks an answer to `n` inputs as if the worker were hostile. `None` stands for a vector without direction.
    fn check(&self, frame: &RawFrame, n: usize) -> Result<Vec<Option<Embedding>>, String> {
        let header: Vectors = frame.header().map_err(|error| error.to_string())?;
        let header = header.cleaned();
        let mut state = self.shared.state();
        let vectors = check_vectors(&header, &frame.body, n, state.info.dimensions)?;
        state.info.dimensions = Some(header.dimensions as usize);
        state.provider = Some(header.provider);
        Ok(vectors)
    }
}

/// Returns the size of the next batch after `n` frames took `elapsed`: as many as fit into [`BATCH_TIME`], at most doubling. The first runs
/// of a session are slower, and a few frames say little about many.
fn adapted(frames_at_once: usize, n: usize, elapsed: Duration) -> usize {
    let fitting = BATCH_TIME.as_secs_f64() * n as f64 / elapsed.as_secs_f64();
    (fitting as usize).clamp(1, (frames_at_once * 2).min(MAX_BATCH))
}

fn check_vectors(header: &Vectors, body: &[u8], n: usize, dimensions: Option<usize>) -> Result<Vec<Option<Embedding>>, String> {
    let given = header.dimensions as usize;
    if header.n as usize != n {
        return Err(format!("{} vectors for {n} inputs", header.n));
    }
    if header.degenerate.len() > n || header.degenerate.iter().any(|row| *row as usize >= n) {
        return Err(format!("{} vectors without direction among {n}", header.degenerate.len()));
    }
    if given == 0 || dimensions.is_some_and(|expected| expected != given) {
        return Err(format!("vectors of {given} components, {dimensions:?} expected"));
    }
    if body.len() != n * given * 4 {
        return Err(format!("{} bytes for {n} vectors of {given} components", body.len()));
    }
    let rows = body.chunks_exact(given * 4).enumerate();
    rows.map(|(row, bytes)| {
        if header.degenerate.contains(&(row as u32)) {
            return Ok(None);
        }
        let values: Vec<f32> = bytes
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect();
        let norm = values.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>().sqrt();
        if !norm.is_finite() || (norm - 1.0).abs() > NORM_TOLERANCE {
            return Err(format!("vector {row} has the length {norm}, not 1"));
        }
        Embedding::normalised(values)
            .map(Some)
            .map_err(|error| format!("vector {row}: {error}"))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embed::ProviderReport;

    fn header(n: u32, dimensions: u32, degenerate: Vec<u32>) -> Vectors {
        Vectors {
            n,
            dimensions,
            degenerate,
            provider: ProviderReport::default(),
        }
    }

    #[test]
    fn batches_shrink_until_a_text_waits_no_longer_than_it_should() {
        for (before, n, milliseconds, expected) in [
            (2, 2, 10, 4),
            (16, 16, 10, 16),
            (16, 16, 500, 8),
            (16, 2, 9000, 1),
            (4, 1, 100, 2),
            (1, 1, 0, 2),
        ] {
            let next = adapted(before, n, Duration::from_millis(milliseconds));
            assert_eq!(next, expected, "{n} frames in {milliseconds} ms, {before} at once before");
        }
    }

    fn bytes(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    #[test]
    fn only_as_many_finite_unit_vectors_as_asked_for_are_taken() {
        let good = bytes(&[1.0, 0.0, 0.0, -1.0]);
        let taken = check_vectors(&header(2, 2, vec![]), &good, 2, Some(2)).unwrap();
        assert_eq!(taken[1].as_ref().unwrap().as_slice(), [0.0, -1.0]);
        assert_eq!(check_vectors(&header(2, 2, vec![0]), &good, 2, None).unwrap()[0], None);
        for (header, body, n, dimensions, reason) in [
            (header(1, 2, vec![]), &good, 2, None, "1 vectors for 2 inputs"),
            (header(2, 3, vec![]), &good, 2, Some(2), "vectors of 3 components, Some(2) expected"),
            (header(2, 0, vec![]), &vec![], 2, None, "vectors of 0 components, None expected"),
            (header(2, 3, vec![]), &good, 2, None, "16 bytes for 2 vectors of 3 components"),
            (
                header(1, 2, vec![]),
                &bytes(&[1.0, f32::NAN]),
                1,
                None,
                "vector 0 has the length NaN, not 1",
            ),
            (
                header(1, 2, vec![1]),
                &bytes(&[1.0, 0.0]),
                1,
                None,
                "1 vectors without direction among 1",
            ),
            (
                header(1, 2, vec![0, 0]),
                &bytes(&[1.0, 0.0]),
                1,
                None,
                "2 vectors without direction among 1",
            ),
            (
                header(1, 2, vec![]),
                &bytes(&[1.0, 1.0]),
                1,
                None,
                "vector 0 has the length 1.4142135623730951, not 1",
            ),
        ] {
            assert_eq!(check_vectors(&header, body, n, dimensions).unwrap_err(), reason);
        }
    }
}
