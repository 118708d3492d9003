//! `scened-worker embed`: owns ONNX Runtime, the two sessions of one model, and its tokenizer.
//!
//! One thread reads a request, answers it, and reads the next. ONNX Runtime's own threads sleep between requests. The worker ends when
//! standard input does. Standard output carries only the protocol ([`scened_common::embed::protocol`]). The vision and the text model are
//! loaded separately, each when first needed, because a query must not wait for the picture model.

mod card;
mod cleaning;
mod confine;
#[cfg(test)]
mod golden;
mod graph;
mod graphs;
mod model;
mod pixels;
mod providers;
mod runtime;
mod session;
mod tokens;

use std::io::{self, BufWriter, Write};

use anyhow::{Context as _, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use scened_common::embed::protocol::{
    Failed, FramesRequest, KIND_DONE, KIND_FAILED, KIND_FRAMES, KIND_LOAD, KIND_TEXTS, KIND_VECTORS, LoadRequest, Loaded, MAX_BATCH,
    MAX_TEXT_BYTES, ROLE, TextsRequest, VERSION, Vectors,
};
use scened_common::pipe::{MAX_FRAME_BYTES, RawFrame, read_frame, read_hello, write_frame, write_hello};

use model::{Answer, Model};
use providers::{Provider, plan};

/// An error that the user must see. Every other error is a bug or a broken pipe, and ends the worker.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct Refusal {
    reason: String,
    hint: Option<String>,
}

impl Refusal {
    fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            hint: None,
        }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Serves the daemon until standard input ends.
///
/// **Errors**: a broken pipe, or a request that the protocol does not allow. The daemon then starts another worker.
pub(crate) fn run() -> anyhow::Result<()> {
    crate::priority::follow_parent();
    log_to_standard_error();
    let mut input = io::stdin().lock();
    let mut output = BufWriter::new(io::stdout().lock());
    write_hello(&mut output, ROLE, VERSION)?;
    read_hello(&mut input, ROLE, VERSION)?;
    let Some(first) = read_frame(&mut input, MAX_FRAME_BYTES)? else {
        return Ok(());
    };
    if first.kind != KIND_LOAD {
        bail!("the first request was of kind {}", first.kind);
    }
    let mut model = match load(first.header()?) {
        Ok((model, loaded)) => {
            write_frame(&mut output, KIND_DONE, &loaded, &[])?;
            model
        }
        Err(refusal) => return refuse(&mut output, refusal),
    };
    loop {
        if model.is_on_nvidia() && !wait_beside_others(&model)? {
            tracing::warn!("the graphics card is short of memory, and the idle model leaves it");
            return Ok(());
        }
        let Some(frame) = read_frame(&mut input, MAX_FRAME_BYTES)? else {
            break;
        };
        match answer(&mut model, &frame)? {
            Ok(answer) => send(&mut output, answer)?,
            Err(refusal) => refuse(&mut output, refusal)?,
        }
    }
    Ok(())
}

/// How often an idle worker on a graphics card checks whether other programs need its memory.
const CARD_INTERVAL: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

/// Waits for a request; returns `false` if the card has become short of memory. Only the end of a process frees its memory on a card. The
/// daemon sends no request before the previous one is answered, so none can be waiting in a buffer.
fn wait_beside_others(model: &Model) -> io::Result<bool> {
    let input = io::stdin();
    loop {
        match poll(&mut [PollFd::new(&input, PollFlags::IN)], Some(&CARD_INTERVAL)) {
            Ok(0) if model.leaves_card() => return Ok(false),
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Writes warnings of this process and of ONNX Runtime (through ort) as lines that the daemon logs.
fn log_to_standard_error() {
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        // An internal error would be reported with a print that panics.
        .log_internal_errors(false)
        .with_max_level(tracing::Level::WARN)
        .with_ansi(false)
        .without_time()
        .init();
}

fn load(request: LoadRequest) -> Result<(Model, Loaded), Refusal> {
    // This must come before ONNX Runtime starts threads, because they inherit the priority.
    if request.background {
        crate::priority::stay_in_background();
    }
    let environment = runtime::load(&request.onnxruntime)?;
    let loaded = Loaded {
        onnxruntime: runtime::version(),
    };
    let (providers, mut report) = plan(&request.providers);
    #[cfg(all(feature = "malice", target_os = "linux"))]
    if let Some(plan) = crate::media::sandbox::malice::Plan::from_environment() {
        if !plan.is_outside() {
            let confinement = confine::enter(&request, &providers);
            tracing::warn!(?confinement);
        }
        return Err(Refusal::new(plan.attempt().to_string()));
    }
    let confinement = confine::enter(&request, &providers);
    let on_processor = providers == [Provider::Cpu];
    if !confinement.stands && on_processor && !request.allow_unsandboxed && cfg!(target_os = "linux") {
        return Err(Refusal::new(format!("no model is run without a sandbox: {}", confinement.words))
            .hint("use a kernel with Landlock and seccomp (in a container: allow them), or set allow-unsandboxed = true in config.toml"));
    }
    (report.is_sandboxed, report.sandbox) = (confinement.stands, confinement.words);
    Ok((Model::new(environment, request, providers, report), loaded))
}

fn answer(model: &mut Model, frame: &RawFrame) -> anyhow::Result<Result<Answer, Refusal>> {
    match frame.kind {
        KIND_TEXTS => {
            let request: TextsRequest = frame.header()?;
            let texts = split(&request, &frame.body).context("a request with texts that contradicts itself")?;
            Ok(model.texts(&texts))
        }
        KIND_FRAMES => {
            let request: FramesRequest = frame.header()?;
            let n_bytes = request.n_frames as usize * request.width_px as usize * request.height_px as usize * 3;
            if !(1..=MAX_BATCH as u32).contains(&request.n_frames) || frame.body.len() != n_bytes {
                bail!("a request for {request:?} with {} bytes", frame.body.len());
            }
            Ok(model.frames(&request, &frame.body))
        }
        kind => bail!("a request of kind {kind}"),
    }
}

/// Returns the texts in a body; `None` if the lengths do not match the body.
fn split<'b>(request: &TextsRequest, mut body: &'b [u8]) -> Option<Vec<&'b str>> {
    if request.lengths.is_empty() || request.lengths.len() > MAX_BATCH {
        return None;
    }
    let mut texts = Vec::with_capacity(request.lengths.len());
    for length in &request.lengths {
        let (text, rest) = body
            .split_at_checked(*length as usize)
            .filter(|(text, _)| text.len() <= MAX_TEXT_BYTES)?;
        texts.push(std::str::from_utf8(text).ok()?);
        body = rest;
    }
    body.is_empty().then_some(texts)
}

fn send(output: &mut impl Write, answer: Answer) -> anyhow::Result<()> {
    let mut body = Vec::with_capacity(answer.vectors.len() * 4);
    body.extend(answer.vectors.iter().flat_map(|value| value.to_le_bytes()));
    let header = Vectors {
        n: answer.n as u32,
        dimensions: answer.dimensions as u32,
        degenerate: answer.degenerate,
        provider: answer.provider,
    };
    Ok(write_frame(output, KIND_VECTORS, &header, &body)?)
}

fn refuse(output: &mut impl Write, refusal: Refusal) -> anyhow::Result<()> {
    let failed = Failed {
        reason: refusal.reason,
        hint: refusal.hint,
    };
    Ok(write_frame(output, KIND_FAILED, &failed, &[])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_split_by_their_lengths_and_nothing_else_passes() {
        let split_at = |lengths: &[u32], body: &str| {
            let request = TextsRequest { lengths: lengths.to_vec() };
            split(&request, body.as_bytes()).map(|texts| texts.into_iter().map(str::to_owned).collect::<Vec<_>>())
        };
        assert_eq!(split_at(&[1, 0, 3], "aäb"), Some(vec!["a".into(), String::new(), "äb".into()]));
        for (lengths, body) in [
            (&[][..], ""),
            (&[2], "a"),
            (&[1], "ab"),
            (&[1, 1], "ä"),
            (&[0; MAX_BATCH + 1], ""),
            (&[u32::MAX], "a"),
        ] {
            assert_eq!(split_at(lengths, body), None, "{lengths:?} of {body:?}");
        }
    }
}
