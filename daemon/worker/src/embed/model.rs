//! One model: two towers, each loaded when first needed, on the first provider that really runs it.

use std::path::Path;

use ort::environment::Environment;
use ort::session::Session;
use scened_common::embed::model::Padding;
use scened_common::embed::protocol::{FramesRequest, LoadRequest};
use scened_common::embed::report::ProviderReport;

use super::Refusal;
use super::card;
use super::graph::{self, TextGraph, VisionGraph};
use super::graphs::Graphs;
use super::pixels::Normaliser;
use super::providers::Provider;
use super::runtime;
use super::session::{self, Beside, Numbers, Output, Settings, Tower};
use super::tokens::TextTokenizer;

/// The vectors of one request, ready to send.
#[derive(Debug)]
pub(super) struct Answer {
    /// **Shape**: `[n, dimensions]`; a row has unit length, or is all zeros if degenerate.
    pub(super) vectors: Vec<f32>,
    pub(super) n: usize,
    pub(super) dimensions: usize,
    pub(super) degenerate: Vec<u32>,
    pub(super) provider: ProviderReport,
}

pub(super) struct Model {
    environment: Environment,
    graphs: Graphs,
    request: LoadRequest,
    /// Providers that have not failed, best first.
    providers: Vec<Provider>,
    report: ProviderReport,
    vision: Option<Vision>,
    text: Option<Text>,
}

struct Vision {
    session: Session,
    graph: VisionGraph,
    normaliser: Normaliser,
    /// Reused by every batch.
    tensor: Vec<f32>,
}

struct Text {
    session: Session,
    graph: TextGraph,
    tokenizer: TextTokenizer,
}

impl Model {
    pub(super) fn new(environment: Environment, request: LoadRequest, providers: Vec<Provider>, report: ProviderReport) -> Self {
        let graphs = Graphs::new(request.graph_cache.clone(), &request.onnxruntime, &runtime::version());
        Self {
            environment,
            graphs,
            request,
            providers,
            report,
            vision: None,
            text: None,
        }
    }

    /// Embeds pictures.
    ///
    /// **Shape**: `rgb` is `[n_frames, height_px, width_px, 3]` u8.
    pub(super) fn frames(&mut self, request: &FramesRequest, rgb: &[u8]) -> Result<Answer, Refusal> {
        let image = self.request.model.image;
        if (request.width_px, request.height_px) != (image.width_px, image.height_px) {
            return Err(Refusal::new(format!(
                "frames of {}×{} px for {image:?}",
                request.width_px, request.height_px
            )));
        }
        let mut vision = match self.vision.take() {
            Some(vision) => vision,
            None => self.load_vision()?,
        };
        let output = vision.run(rgb, request.n_frames as usize, image.width_px as usize, image.height_px as usize);
        self.vision = Some(vision);
        let output = output.map_err(|error| self.failed(&self.request.model.files.vision, &error))?;
        self.answer(output, request.n_frames as usize)
    }

    pub(super) fn texts(&mut self, texts: &[&str]) -> Result<Answer, Refusal> {
        let mut text = match self.text.take() {
            Some(text) => text,
            None => self.load_text()?,
        };
        let output = text.run(texts);
        self.text = Some(text);
        let output = output?.map_err(|error| self.failed(&self.request.model.files.text, &error))?;
        self.answer(output, texts.len())
    }

    fn failed(&self, file: &Path, error: &ort::Error) -> Refusal {
        Refusal::new(format!(
            "{} failed on {}: {}",
            file.display(),
            self.report.active,
            session::in_words(error.message())
        ))
    }

    fn load_vision(&mut self) -> Result<Vision, Refusal> {
        let file = self.request.model.files.vision.clone();
        let (image, head) = (self.request.model.image, self.request.model.head);
        let (width, height) = (image.width_px as usize, image.height_px as usize);
        let normaliser = Normaliser::new(&self.request.model.pixels);
        let blank = vec![0_u8; width * height * 3];
        let (session, graph) = self.open_tower(
            Tower::Vision,
            &file,
            |session| {
                let (inputs, outputs) = (graph::inputs(session), graph::outputs(session));
                graph::vision(&inputs, &outputs, head, image.width_px, image.height_px)
            },
            |session, graph| {
                let mut tensor = Vec::new();
                run_vision(session, graph, &normaliser, &mut tensor, &blank, 1, width, height)
            },
        )?;
        Ok(Vision {
            session,
            graph,
            normaliser,
            tensor: Vec::new(),
        })
    }

    fn load_text(&mut self) -> Result<Text, Refusal> {
        let (model, head) = (self.request.model.clone(), self.request.model.head);
        // Reading a large vocabulary takes as long as reading the model, and there is usually a second core.
        let (opened, tokenizer) = std::thread::scope(|scope| {
            let reading = scope.spawn(|| TextTokenizer::load(&model.files.tokenizer, &model.text));
            let always_full = model.text.padding == Padding::ToContext;
            let context_length = model.text.context_length;
            let opened = self.open_tower(
                Tower::Text,
                &model.files.text,
                |session| {
                    let (inputs, outputs) = (graph::inputs(session), graph::outputs(session));
                    graph::text(&inputs, &outputs, head, context_length, always_full)
                },
                |session, graph| {
                    let ids = vec![0; context_length];
                    run_text(session, graph, 1, context_length, &ids, &ids)
                },
            );
            (opened, reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        // An error of the tokenizer comes first, whether or not the session was opened.
        let tokenizer = tokenizer?;
        let (session, graph) = opened?;
        Ok(Text { session, graph, tokenizer })
    }

    /// Opens `file` on the first provider that loads it. A provider other than the CPU must also run it once, on blank input: a GPU
    /// provider may register and load, and still be unable to run. The report keeps the failures.
    fn open_tower<G>(
        &mut self,
        tower: Tower,
        file: &Path,
        discover: impl Fn(&Session) -> Result<G, String>,
        probe: impl Fn(&mut Session, &G) -> ort::Result<Output>,
    ) -> Result<(Session, G), Refusal> {
        let beside = Beside::of(&self.request.model.path, file)?;
        loop {
            let provider = self.providers.first().copied().unwrap_or(Provider::Cpu);
            let settings = Settings {
                tower,
                beside: &beside,
                threads: self.request.threads,
            };
            let opened = match (provider, self.card_memory(provider)) {
                (_, Err(why)) => Err(ort::Error::new(why)),
                (Provider::Cpu, Ok(_)) => self.graphs.open(&self.environment, file, settings),
                (_, Ok(limit_bytes)) => session::open(&self.environment, file, provider, limit_bytes, settings),
            };
            let error = match opened {
                Ok(mut session) => {
                    let graph = discover(&session).map_err(|why| {
                        Refusal::new(format!("the model file {} is not understood: {why}", file.display()))
                            .hint("scened needs the two-file export of a CLIP-family model")
                    })?;
                    let probed = if provider == Provider::Cpu {
                        Ok(())
                    } else {
                        probe(&mut session, &graph).map(drop)
                    };
                    match probed {
                        Ok(()) => {
                            provider.name().clone_into(&mut self.report.active);
                            return Ok((session, graph));
                        }
                        Err(error) => error,
                    }
                }
                Err(error) => error,
            };
            if provider == Provider::Cpu {
                return Err(session::unloadable(file, &error));
            }
            let why = format!("{}; {}", session::in_words(error.message()), provider.needs());
            tracing::warn!(provider = provider.name(), why, "execution provider failed; the next one is tried");
            self.report.failed.push((provider.name().to_owned(), why));
            self.providers.retain(|other| *other != provider);
        }
    }

    /// Returns how much of its card's memory a provider may take; `None` if there is no limit.
    fn card_memory(&self, provider: Provider) -> Result<Option<usize>, String> {
        if !provider.is_nvidia() {
            return Ok(None);
        }
        // When the second tower is loaded, the first one already has its share.
        let n_missing = u64::from(self.vision.is_none()) + u64::from(self.text.is_none());
        let model_bytes = self.request.model.size_bytes * n_missing / 2;
        card::limit(card::free_bytes(), self.request.gpu_memory_reserve_bytes, model_bytes)
    }

    /// Returns whether the model has memory on an NVIDIA card.
    pub(super) fn is_on_nvidia(&self) -> bool {
        let is_loaded = self.vision.is_some() || self.text.is_some();
        is_loaded && self.providers.first().is_some_and(|provider| provider.is_nvidia())
    }

    /// Returns whether other programs need that memory.
    pub(super) fn leaves_card(&self) -> bool {
        card::is_short(card::free_bytes(), self.request.gpu_memory_reserve_bytes)
    }

    /// Scales the rows to unit length and checks their number of components.
    fn answer(&self, output: Output, n: usize) -> Result<Answer, Refusal> {
        let Output { mut values, dimensions } = output;
        if let Some(expected) = self.request.model.dimensions.filter(|expected| *expected != dimensions) {
            let path = self.request.model.path.display();
            return Err(Refusal::new(format!(
                "the model in {path} gives {dimensions} components, but its config.json says {expected}"
            ))
            .hint("the folder mixes files of different models; download the model again"));
        }
        let mut degenerate = Vec::new();
        for (row, vector) in values.chunks_exact_mut(dimensions).enumerate() {
            let norm = vector.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>().sqrt();
            if norm.is_finite() && norm > 1e-12 {
                for value in vector {
                    *value = (f64::from(*value) / norm) as f32;
                }
            } else {
                vector.fill(0.0);
                degenerate.push(row as u32);
            }
        }
        Ok(Answer {
            vectors: values,
            n,
            dimensions,
            degenerate,
            provider: self.report.clone(),
        })
    }
}

impl Vision {
    fn run(&mut self, rgb: &[u8], n: usize, width: usize, height: usize) -> ort::Result<Output> {
        let Self {
            session,
            graph,
            normaliser,
            tensor,
        } = self;
        run_vision(session, graph, normaliser, tensor, rgb, n, width, height)
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "the probe has no Vision yet, and both must run the same code"
)]
fn run_vision(
    session: &mut Session,
    graph: &VisionGraph,
    normaliser: &Normaliser,
    tensor: &mut Vec<f32>,
    rgb: &[u8],
    n: usize,
    width: usize,
    height: usize,
) -> ort::Result<Output> {
    let frame_bytes = width * height * 3;
    in_batches(n, graph.batch, |at, n, batch| {
        tensor.clear();
        for frame in rgb[at * frame_bytes..(at + n) * frame_bytes].chunks_exact(frame_bytes) {
            normaliser.append(frame, tensor);
        }
        tensor.resize(batch * frame_bytes, 0.0);
        session::run(
            session,
            batch,
            &[(&graph.pixels, &[batch, 3, height, width], Numbers::Floats(tensor))],
            &graph.output,
        )
    })
}

impl Text {
    fn run(&mut self, texts: &[&str]) -> Result<ort::Result<Output>, Refusal> {
        let tokens = self.tokenizer.tokenize(texts, self.graph.may_be_short)?;
        Ok(run_text(
            &mut self.session,
            &self.graph,
            texts.len(),
            tokens.length,
            &tokens.ids,
            &tokens.mask,
        ))
    }
}

fn run_text(session: &mut Session, graph: &TextGraph, n: usize, length: usize, ids: &[u32], mask: &[u32]) -> ort::Result<Output> {
    in_batches(n, graph.batch, |at, n, batch| {
        // Rows that only fill a fixed batch repeat the first row of this piece, because a row of token 0 may not be a valid text.
        let rows = |numbers: &[u32]| -> Vec<u32> {
            let mut rows = numbers[at * length..(at + n) * length].to_vec();
            for _ in n..batch {
                rows.extend_from_slice(&numbers[at * length..(at + 1) * length]);
            }
            rows
        };
        let (ids, mask) = (rows(ids), rows(mask));
        let shape = [batch, length];
        let mut inputs = vec![(&graph.ids, &shape[..], Numbers::Integers(&ids))];
        if let Some(slot) = &graph.mask {
            inputs.push((slot, &shape[..], Numbers::Integers(&mask)));
        }
        session::run(session, batch, &inputs, &graph.output)
    })
}

/// Calls `run(first, n, rows)` for `n` inputs at once, or in pieces if the file fixes the batch. Drops the output of the rows that only
/// fill the last piece.
fn in_batches(n: usize, fixed: Option<usize>, mut run: impl FnMut(usize, usize, usize) -> ort::Result<Output>) -> ort::Result<Output> {
    let size = fixed.unwrap_or(n).max(1);
    let mut all: Option<Output> = None;
    for at in (0..n).step_by(size) {
        let in_this = size.min(n - at);
        let mut output = run(at, in_this, size)?;
        output.values.truncate(in_this * output.dimensions);
        match &mut all {
            None => all = Some(output),
            Some(all) => all.values.append(&mut output.values),
        }
    }
    all.ok_or_else(|| ort::Error::new("nothing to embed"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use scened_common::embed::model::{ModelFolder, Precision};
    use scened_common::embed::runtime::find_onnxruntime;

    use super::*;
    use crate::embed::golden;
    use crate::embed::session::Form;

    fn cosine(a: &[f32], b: &[f32]) -> f64 {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    }

    fn open(environment: &Environment, model: &ModelFolder) -> Text {
        let tokenizer = TextTokenizer::load(&model.files.tokenizer, &model.text).unwrap();
        let settings = Settings {
            tower: Tower::Text,
            beside: &Beside::default(),
            threads: 1,
        };
        let session = session::open_on_cpu(environment, &model.files.text, &Form::Exported, settings).unwrap();
        let (inputs, outputs) = (graph::inputs(&session), graph::outputs(&session));
        let always_full = model.text.padding == Padding::ToContext;
        let graph = graph::text(&inputs, &outputs, model.head, model.text.context_length, always_full).unwrap();
        Text { session, graph, tokenizer }
    }

    /// Cuts rows of `[n, from]` to `[n, to]`.
    fn cut(rows: &[u32], from: usize, to: usize) -> Vec<u32> {
        rows.chunks_exact(from).flat_map(|row| &row[..to]).copied().collect()
    }

    #[test]
    fn padding_is_cut_where_that_changes_nothing_and_nowhere_else() {
        let own = std::env::current_exe().ok();
        let library = find_onnxruntime(None, Path::new("/nonexistent"), own.as_deref())
            .expect("this test needs ONNX Runtime: run `make setup` first");
        let environment = super::super::runtime::load(&library).unwrap();
        let mut seen = Vec::new();
        for (model, golden) in golden::tiny() {
            let mut text = open(&environment, &model);
            let texts = ["a red circle", "A Dog  digging in the GARDEN", "", golden.texts[8].as_str()];
            let context = model.text.context_length;
            let given = text
                .tokenizer
                .tokenize(&texts, text.graph.may_be_short && model.text.padding == Padding::RealLength)
                .unwrap();
            let full = text.tokenizer.tokenize(&texts, false).unwrap();
            assert_eq!(full.length, context);
            let n = texts.len();
            let mut run = |ids: &[u32], mask: &[u32], length: usize| run_text(&mut text.session, &text.graph, n, length, ids, mask);
            let reference = run(&full.ids, &full.mask, context).unwrap();
            let least = |output: &Output| {
                let rows = output.values.chunks_exact(output.dimensions);
                let cosines = rows
                    .zip(reference.values.chunks_exact(reference.dimensions))
                    .map(|(a, b)| cosine(a, b));
                cosines.fold(1.0, f64::min)
            };
            let is_cut = given.length < context;
            if is_cut {
                let ours = run(&given.ids, &given.mask, given.length).unwrap();
                // Dynamic int8 scales by the largest number in the whole tensor, including the padding, so the result changes a little.
                let same = if model.precision == Precision::Int8 { 0.999 } else { 1.0 - 1e-6 };
                assert!(least(&ours) >= same, "{}: {}", model.name, least(&ours));
            } else {
                // With a cut, the file would refuse the fewer tokens, or the vectors would differ.
                let (ids, mask) = (cut(&full.ids, context, context - 40), cut(&full.mask, context, context - 40));
                if let Ok(shortened) = run(&ids, &mask, context - 40) {
                    assert!(least(&shortened) < 0.99, "{}: {}", model.name, least(&shortened));
                }
            }
            seen.push((model.name, is_cut));
        }
        let expected = [
            ("clip-hf", true),
            ("clip-hf-fixed", false),
            ("clip-hf-fp16", true),
            ("clip-hf-int8", true),
            ("clip-hf-no-mask", true),
            ("clip-immich", false),
            ("siglip-hf", false),
            ("siglip2-hf", false),
            ("siglip2-immich", false),
        ];
        assert_eq!(seen, expected.map(|(name, is_cut)| (name.to_owned(), is_cut)));
    }
}
