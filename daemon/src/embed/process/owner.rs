//! The thread that owns the worker: takes work, keeps a worker for it, checks what comes back, ends it when idle.

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use super::connection::{Connection, RequestError, unexpected};
use super::queue::{Item, Lane, Work};
use super::{EmbedConfig, Shared};
use crate::domain::Embedding;
use crate::embed::EmbedError;
use crate::embed::protocol::{self, FramesRequest, LoadRequest, MAX_BATCH, TextsRequest, Vectors};
use crate::embed::runtime::{HOW_TO_GET_IT, find_onnxruntime};
use crate::worker::find_worker;
use crate::worker::pipe::RawFrame;

/// A batch of frames is made as large as fits into this, so that a text never waits longer (or for one frame, if that alone
/// takes longer). On a CPU small batches are as fast as large ones.
pub(super) const BATCH_TIME: Duration = Duration::from_millis(250);

/// A worker's vectors are of unit length to within this, or it is broken.
const NORM_TOLERANCE: f64 = 1e-3;

struct Owner<'a> {
    shared: &'a Shared,
    config: EmbedConfig,
    wake: OwnedFd,
    connection: Option<Connection>,
    /// How many frames fit into [`BATCH_TIME`], by the last batch.
    frames_at_once: usize,
}

pub(super) fn run(shared: &Shared, config: EmbedConfig, wake: OwnedFd) {
    let mut owner = Owner {
        shared,
        config,
        wake,
        connection: None,
        frames_at_once: MAX_BATCH,
    };
    loop {
        let deadline = owner.connection.as_ref().map(|_| Instant::now() + owner.config.idle);
        match shared.queue.next(deadline, owner.frames_at_once) {
            Work::Embed(lane, items) => owner.embed(lane, items),
            Work::Prewarm => owner.prewarm(),
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
        let started = Instant::now();
        let was_running = self.connection.is_some();
        let answer = self
            .request(lane, items.iter().map(|item| item.payload.0.as_slice()))
            .and_then(|frame| {
                self.check(&frame, items.len())
                    .map_err(|detail| EmbedError::Protocol { detail })
                    .inspect_err(|_| self.end_worker())
            });
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
                // Without a model or a runtime, whatever waits would fail in the same way, each after another start.
                if self.connection.is_none() && matches!(error, EmbedError::Unavailable { .. }) {
                    self.shared.queue.fail_all(&error);
                }
                for item in items {
                    item.finish(Err(error.clone()));
                }
                return;
            }
        }
        if lane == Lane::Frames && was_running {
            self.adapt(n_taken(started.elapsed(), self.frames_at_once));
        }
    }

    /// Halves the batch when it took too long, doubles it when twice as many would have fitted.
    fn adapt(&mut self, verdict: std::cmp::Ordering) {
        self.frames_at_once = match verdict {
            std::cmp::Ordering::Greater => (self.frames_at_once / 2).max(1),
            std::cmp::Ordering::Less => (self.frames_at_once * 2).min(MAX_BATCH),
            std::cmp::Ordering::Equal => self.frames_at_once,
        };
    }

    /// Starts the worker and loads the text model by embedding a word; a failure is met again, and told, by the next request.
    fn prewarm(&mut self) {
        if let Err(error) = self.request(Lane::Texts, [b"a".as_slice()].into_iter()) {
            tracing::debug!(%error, "cannot warm up the embed worker");
        }
    }

    /// Sends one batch; starts a worker if there is none, and tries once more on a new one if it died.
    fn request<'b>(&mut self, lane: Lane, payloads: impl Iterator<Item = &'b [u8]> + Clone) -> Result<RawFrame, EmbedError> {
        let body = payloads.clone().flatten().copied().collect::<Vec<u8>>();
        let lengths: Vec<u32> = payloads.map(|payload| payload.len() as u32).collect();
        let mut already_died = false;
        loop {
            self.ensure_worker()?;
            let Some(connection) = &mut self.connection else { continue };
            let wake = self.wake.as_fd();
            let answer = match lane {
                Lane::Texts => connection.request(protocol::KIND_TEXTS, &TextsRequest { lengths: lengths.clone() }, &body, wake),
                Lane::Frames => {
                    let image = self.config.model.image;
                    let (width_px, height_px) = (image.width_px, image.height_px);
                    let request = FramesRequest {
                        n_frames: lengths.len() as u32,
                        width_px,
                        height_px,
                    };
                    connection.request(protocol::KIND_FRAMES, &request, &body, wake)
                }
            };
            let error = match answer {
                Ok(frame) if frame.kind == protocol::KIND_VECTORS => return Ok(frame),
                Ok(frame) => unexpected(frame.kind),
                Err(error) => error,
            };
            match error {
                RequestError::Refused(failed) => {
                    return Err(EmbedError::Unavailable {
                        reason: failed.reason,
                        hint: failed.hint,
                    });
                }
                RequestError::Died { detail } => {
                    self.end_worker();
                    tracing::warn!(%detail, again = !already_died, "the embed worker died");
                    if already_died {
                        return Err(EmbedError::WorkerDied { detail });
                    }
                    already_died = true;
                }
                RequestError::Broken(error) => {
                    self.end_worker();
                    return Err(error);
                }
            }
        }
    }

    fn ensure_worker(&mut self) -> Result<(), EmbedError> {
        if self.connection.is_some() {
            return Ok(());
        }
        let program = match &self.config.worker {
            Some(program) => program.clone(),
            None => find_worker().map_err(|error| EmbedError::Unavailable {
                reason: error.to_string(),
                hint: None,
            })?,
        };
        let onnxruntime =
            find_onnxruntime(self.config.onnxruntime.as_deref(), &self.config.data_dir).map_err(|error| EmbedError::Unavailable {
                reason: error.to_string(),
                hint: Some(HOW_TO_GET_IT.to_owned()),
            })?;
        let request = LoadRequest {
            model: self.config.model.clone(),
            providers: self.config.providers.clone(),
            threads: self.config.threads,
            onnxruntime,
        };
        let started = Instant::now();
        let opened = Connection::open(&program, &request, self.wake.as_fd());
        let (connection, loaded) = opened.map_err(|error| match error {
            RequestError::Died { detail } => EmbedError::WorkerDied { detail },
            RequestError::Refused(failed) => EmbedError::Unavailable {
                reason: failed.reason,
                hint: failed.hint,
            },
            RequestError::Broken(error) => error,
        })?;
        tracing::info!(
            pid = connection.pid(),
            model = %self.config.model.id,
            onnxruntime = loaded.onnxruntime,
            milliseconds = started.elapsed().as_millis() as u64,
            "embed worker started"
        );
        self.shared.state().worker = Some(connection.pid());
        self.connection = Some(connection);
        Ok(())
    }

    fn end_worker(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.close();
        }
        self.shared.state().worker = None;
    }

    /// Checks an answer to `n` things as if the worker were hostile; `None` stands for a vector without direction.
    fn check(&self, frame: &RawFrame, n: usize) -> Result<Vec<Option<Embedding>>, String> {
        let header: Vectors = frame.header().map_err(|error| error.to_string())?;
        let mut state = self.shared.state();
        let vectors = check_vectors(&header, &frame.body, n, state.info.dimensions)?;
        state.info.dimensions = Some(header.dimensions as usize);
        state.provider = Some(header.provider);
        Ok(vectors)
    }
}

/// Whether a batch of `n` that took `elapsed` was too large (`Greater`) or could be doubled (`Less`).
fn n_taken(elapsed: Duration, _n: usize) -> std::cmp::Ordering {
    if elapsed > BATCH_TIME {
        std::cmp::Ordering::Greater
    } else if elapsed * 2 < BATCH_TIME {
        std::cmp::Ordering::Less
    } else {
        std::cmp::Ordering::Equal
    }
}

fn check_vectors(header: &Vectors, body: &[u8], n: usize, dimensions: Option<usize>) -> Result<Vec<Option<Embedding>>, String> {
    let given = header.dimensions as usize;
    if header.n as usize != n {
        return Err(format!("{} vectors for {n} inputs", header.n));
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
