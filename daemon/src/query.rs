//! Text, picture or moment → vector → candidate scenes → rescored on their frames → ranked hits.
//!
//! Knows the store's vectors and the ANN index, but not the wire. Everything here blocks and runs on the query pool. It writes only the
//! vectors that `confidence` keeps for its measure.

mod confidence;
mod picture;
mod rank;
mod scope;
#[cfg(test)]
mod tests;
mod text;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use scened_common::domain::{Embedding, ModelId, SceneId, Span, VideoId};

use crate::ann::AnnError;
use crate::embed::EmbedError;
use crate::media::{FrameSource, MediaError};
use crate::models::serving::{ModelSlot, NoModel, Serving};
use crate::query::confidence::{Measure, Measures, TIMEOUT};
pub use crate::query::picture::{PictureQuery, SimilarTo};
use crate::query::rank::{Scored, pooled};
pub use crate::query::scope::{Coverage, Filters};
use crate::query::scope::{Scope, scenes_of};
use crate::query::text::TextVectors;
use crate::store::{Store, StoreError, VideoRecord};

/// A query longer than this is a mistake (a file on standard input, say). Bytes.
pub const MAX_QUERY_BYTES: usize = 4_096;
/// Maximum number of hits in one answer.
pub const MAX_HITS: usize = 1_000;
/// Time that a query waits for the model.
pub const MODEL_TIMEOUT: Duration = Duration::from_secs(20);
/// Up to this many scenes in scope are compared exactly. Above, the graph finds the candidates.
const EXACT_UP_TO: usize = 20_000;
/// If a filter leaves less than this share of a large library, the scenes left are compared exactly: a filtered graph search degrades
/// there.
const EXACT_BELOW_SELECTIVITY: f64 = 0.10;
/// Scenes rescored on their frames, for each requested hit, and at least.
const CANDIDATES_PER_HIT: usize = 5;
const MIN_CANDIDATES: usize = 100;
/// And at most: reading this many vectors takes a tenth of a second.
const MAX_CANDIDATES: usize = 20_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupBy {
    Scene,
    Video,
}

/// The request besides the query itself.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub n: usize,
    pub by: GroupBy,
    /// Hits with a lower confidence are left out. Has no effect if hits have no confidence.
    pub min_confidence: Option<f32>,
    pub filters: Filters,
}

impl Wanted {
    /// Checks whether the request is valid.
    pub fn check(&self) -> Result<(), QueryError> {
        check_count(self.n)
    }
}

#[derive(Clone, Debug)]
pub struct Hit {
    pub record: Arc<VideoRecord>,
    pub scene: SceneId,
    pub span: Span,
    pub best_ms: u64,
    /// Cosine of the query and the frame at `best_ms`. If the model gets a frame in parts: of the best part, or of their mean. For a
    /// picture: the mean over its own parts.
    pub score: f32,
    /// Probability that the hit shows what the text says, in [0, 1]. `None` for pictures, and while the measure is not ready.
    pub confidence: Option<f32>,
    /// Mean over the video's scenes of the cosine of query and scene vector; only if grouped by video.
    pub video_score: Option<f32>,
}

#[derive(Clone, Debug)]
pub struct Answer {
    pub model: String,
    pub hits: Vec<Hit>,
    /// Whether hits have a confidence, so that [`Wanted::min_confidence`] was applied.
    pub is_measured: bool,
    pub coverage: Coverage,
}

/// The best scene of one video for a query, and its rank among all scenes.
#[derive(Clone, Debug)]
pub struct RankOfVideo {
    pub hit: Hit,
    pub rank: u64,
    pub of_scenes: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    #[error("the query is empty")]
    Empty,
    /// The query's vectors belong to a model that no longer answers; the client must ask again.
    #[error("the model was changed while this was asked")]
    OtherModel,
    #[error("the query is {bytes} bytes long; at most {MAX_QUERY_BYTES} are allowed")]
    TooLong { bytes: usize },
    #[error("{0} is not a number of hits; ask for 1 to {MAX_HITS}")]
    BadCount(usize),
    #[error(transparent)]
    NoModel(#[from] NoModel),
    #[error(transparent)]
    Embed(#[from] EmbedError),
    #[error("cannot read {path}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("{path} gives no picture")]
    Media { path: PathBuf, source: MediaError },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Index(#[from] AnnError),
}

/// The texts of a query as vectors of one model.
#[derive(Clone, Debug)]
pub struct TextQuery {
    model: ModelId,
    wanted: Embedding,
    unwanted: Vec<Embedding>,
}

/// A query has three steps, because only the second one waits for the model. The first finds what is known already ([`Searcher::recall`],
/// [`Searcher::decode_picture`]). The second makes the vectors of the rest ([`Searcher::word`], [`Searcher::show`]). The third is the
/// answer.
pub struct Searcher {
    store: Store,
    serving: Arc<Serving>,
    source: Arc<dyn FrameSource>,
    texts: TextVectors,
    measures: Measures,
}

impl Searcher {
    /// `cache`: a folder for data that can be made again.
    pub fn new(store: Store, serving: Arc<Serving>, source: Arc<dyn FrameSource>, cache: Option<PathBuf>) -> Self {
        Self {
            store,
            serving,
            source,
            texts: TextVectors::default(),
            measures: Measures::new(cache),
        }
    }

    /// Returns the texts as vectors if all of them were used recently. Never waits for the model.
    pub fn recall(&self, query: &str, not: &[String]) -> Result<Option<TextQuery>, QueryError> {
        let texts = checked(query, not)?;
        let slot = self.serving.current()?;
        let known: Option<Vec<Embedding>> = texts.iter().map(|text| self.texts.recall(&slot.info.id, text)).collect();
        Ok(known.and_then(|vectors| TextQuery::of(&slot, vectors)))
    }

    /// Returns the texts as vectors. Waits for the model until `deadline`.
    pub fn word(&self, query: &str, not: &[String], deadline: Instant) -> Result<TextQuery, QueryError> {
        let texts = checked(query, not)?;
        self.with_current(|slot| {
            let vectors = texts
                .iter()
                .map(|text| self.texts.get(slot, text, deadline))
                .collect::<Result<_, _>>()?;
            // The very first query starts making these and waits for them up to [`TIMEOUT`]. The answer itself never waits.
            let timeout = TIMEOUT.min(deadline.saturating_duration_since(Instant::now()));
            let _made = self.measures.of(slot, timeout);
            TextQuery::of(slot, vectors).ok_or(QueryError::Empty)
        })
    }

    /// Returns scenes that match the query and are less similar to each unwanted text. Never waits for the model.
    ///
    /// **Errors**: [`QueryError::OtherModel`] if another model answers by now.
    pub fn answer_texts(&self, text_query: &TextQuery, wanted: &Wanted) -> Result<Answer, QueryError> {
        check_count(wanted.n)?;
        let slot = self.slot_of(&text_query.model)?;
        self.answer(&slot, &text_query.probe(), wanted, &|_| true)
    }

    /// Runs all steps at once.
    #[cfg(any(test, feature = "testing"))]
    pub fn search(&self, query: &str, not: &[String], wanted: &Wanted) -> Result<Answer, QueryError> {
        check_count(wanted.n)?;
        self.answer_texts(&self.word(query, not, Instant::now() + MODEL_TIMEOUT)?, wanted)
    }

    fn slot_of(&self, model: &ModelId) -> Result<Arc<ModelSlot>, QueryError> {
        let slot = self.serving.current()?;
        if slot.info.id == *model {
            Ok(slot)
        } else {
            Err(QueryError::OtherModel)
        }
    }

    /// Asks the current model. If that was retired during the query, asks the one that took its place.
    fn with_current<T>(&self, ask: impl Fn(&ModelSlot) -> Result<T, QueryError>) -> Result<T, QueryError> {
        let slot = self.serving.current()?;
        let answer = ask(&slot);
        if matches!(answer, Err(QueryError::Embed(EmbedError::ShuttingDown))) {
            let now = self.serving.current()?;
            if !Arc::ptr_eq(&now, &slot) {
                return ask(&now);
            }
        }
        answer
    }

    /// Describes what the model is waiting for, in words for the user, if known.
    pub fn model_at_work(&self) -> Option<String> {
        self.serving.current().ok()?.embedder.at_work()
    }

    /// Returns the rank of the best scene of the video at `record` for a query. Never waits for the model.
    ///
    /// **Errors**: [`QueryError::OtherModel`] if another model answers by now.
    pub fn rank_of_video(&self, record: &Arc<VideoRecord>, text_query: &TextQuery) -> Result<Option<RankOfVideo>, QueryError> {
        let slot = self.slot_of(&text_query.model)?;
        self.rank_in(&slot, record, &text_query.probe())
    }

    /// Runs all steps at once.
    #[cfg(any(test, feature = "testing"))]
    pub fn rank_of(&self, record: &Arc<VideoRecord>, query: &str) -> Result<Option<RankOfVideo>, QueryError> {
        self.rank_of_video(record, &self.word(query, &[], Instant::now() + MODEL_TIMEOUT)?)
    }

    fn rank_in(&self, slot: &ModelSlot, record: &Arc<VideoRecord>, probe: &Probe) -> Result<Option<RankOfVideo>, QueryError> {
        let scenes = scenes_of(record).collect();
        let Some(best) = self.rescore(slot, probe, scenes)?.into_iter().next() else {
            return Ok(None);
        };
        let everything = Scope::of(&self.store, &slot.info.id, &Filters::default());
        let ids: Vec<SceneId> = everything.scenes().collect();
        let of_scenes = ids.len() as u64;
        // Exact over the whole library, by the scene vectors that also choose the candidates.
        let own = slot
            .ann
            .exact(&probe.wanted, 1, std::iter::once(best.scene))?
            .first()
            .map_or(best.score, |(_, score)| *score);
        let better = slot
            .ann
            .exact(&probe.wanted, ids.len(), ids.into_iter())?
            .into_iter()
            .take_while(|(_, score)| *score > own)
            .count();
        let hit = self.hit(slot, &best, Arc::clone(record), self.measure(slot, probe).as_ref())?;
        Ok(hit.map(|hit| RankOfVideo {
            hit,
            rank: better as u64 + 1,
            of_scenes,
        }))
    }

    fn answer(&self, slot: &ModelSlot, probe: &Probe, wanted: &Wanted, admits: &dyn Fn(SceneId) -> bool) -> Result<Answer, QueryError> {
        let scope = Scope::of(&self.store, &slot.info.id, &wanted.filters);
        let question = Question {
            slot,
            probe,
            n: wanted.n,
            measure: self.measure(slot, probe),
            min_confidence: wanted.min_confidence,
            scope: &scope,
            admits,
        };
        let hits = match wanted.by {
            GroupBy::Scene => self.by_scene(&question)?,
            GroupBy::Video => self.by_video(&question)?,
        };
        Ok(Answer {
            model: slot.info.name.clone(),
            hits,
            is_measured: question.measure.is_some(),
            coverage: scope.coverage,
        })
    }

    fn by_scene(&self, question: &Question) -> Result<Vec<Hit>, QueryError> {
        let &Question { slot, probe, n, scope, .. } = question;
        // Unwanted texts may reject candidates later, so more of them are examined.
        let n_candidates = ((n * CANDIDATES_PER_HIT).max(MIN_CANDIDATES) * (1 + probe.unwanted.len())).min(MAX_CANDIDATES);
        let candidates = question.candidates(n_candidates)?;
        let mut hits = Vec::with_capacity(n);
        // Hits with enough confidence are near the front.
        for scored in self.rescore(slot, probe, candidates)?.iter().take(n + MIN_CANDIDATES) {
            if hits.len() == n {
                break;
            }
            if let Some(record) = scope.record(scored.scene.video)
                && let Some(hit) = self.hit(slot, scored, Arc::clone(record), question.measure.as_ref())?
                && question.takes(&hit)
            {
                hits.push(hit);
            }
        }
        Ok(hits)
    }

    /// Ranks videos by the mean over *all* their scenes of the cosine between query and scene vector (the article's rule), with the best
    /// scene of each. In a library of more than [`EXACT_UP_TO`] scenes, only videos with a scene among the candidates are ranked.
    fn by_video(&self, question: &Question) -> Result<Vec<Hit>, QueryError> {
        let &Question {
            slot,
            probe,
            n,
            scope,
            admits,
            ..
        } = question;
        let scenes: Vec<SceneId> = if scope.n_scenes() <= EXACT_UP_TO {
            scope.scenes().filter(|scene| admits(*scene)).collect()
        } else {
            let near = question.candidates((n * CANDIDATES_PER_HIT).max(MIN_CANDIDATES) * 4)?;
            let mut videos: Vec<VideoId> = near.iter().map(|scene| scene.video).collect();
            videos.sort_unstable();
            videos.dedup();
            videos
                .iter()
                .flat_map(|video| scope.scenes_of(*video))
                .filter(|scene| admits(*scene))
                .collect()
        };
        let mut sums: HashMap<VideoId, (f32, u32)> = HashMap::new();
        for (scene, score) in slot.ann.exact(&probe.wanted, scenes.len(), scenes.iter().copied())? {
            let (sum, n_scenes) = sums.entry(scene.video).or_default();
            *sum += score;
            *n_scenes += 1;
        }
        let mut ranked: Vec<(VideoId, f32)> = sums
            .into_iter()
            .map(|(video, (sum, n_scenes))| (video, sum / n_scenes as f32))
            .collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let mut hits = Vec::with_capacity(n);
        // If no video shows what the query asks for, reading the rest would be in vain.
        for (video, mean) in ranked.into_iter().take(n + MIN_CANDIDATES) {
            if hits.len() == n {
                break;
            }
            let Some(record) = scope.record(video) else { continue };
            let own: Vec<SceneId> = scope.scenes_of(video).filter(|scene| admits(*scene)).collect();
            if let Some(best) = self.rescore(slot, probe, own)?.first()
                && let Some(hit) = self.hit(slot, best, Arc::clone(record), question.measure.as_ref())?
                && question.takes(&hit)
            {
                hits.push(Hit {
                    video_score: Some(mean),
                    ..hit
                });
            }
        }
        Ok(hits)
    }

    /// Scores scenes on their frames' vectors, best first. Drops those that are more similar to something unwanted.
    fn rescore(&self, slot: &ModelSlot, probe: &Probe, scenes: Vec<SceneId>) -> Result<Vec<Scored>, QueryError> {
        let mut scored = Vec::with_capacity(scenes.len());
        for scene in scenes {
            let Some(vectors) = self.store.vectors(&slot.info.id, scene)? else {
                continue;
            };
            scored.extend(pooled(probe, scene, &vectors));
        }
        scored.sort_by(|a, b| b.rank.total_cmp(&a.rank).then(a.scene.cmp(&b.scene)));
        Ok(scored)
    }

    fn hit(
        &self,
        slot: &ModelSlot,
        scored: &Scored,
        record: Arc<VideoRecord>,
        measure: Option<&Measure>,
    ) -> Result<Option<Hit>, QueryError> {
        let scenes = self.store.scenes(scored.scene.video)?;
        let Some(scene) = scenes.get(scored.scene.index as usize) else {
            return Ok(None);
        };
        let vectors = measure
            .map(|_| self.store.vectors(&slot.info.id, scored.scene))
            .transpose()?
            .flatten();
        let confidence = measure
            .zip(vectors)
            .and_then(|(measure, vectors)| measure.confidence(scored, &vectors));
        Ok(Some(Hit {
            record,
            scene: scored.scene,
            span: scene.span,
            best_ms: scored.best_ms,
            score: scored.score,
            confidence,
            video_score: None,
        }))
    }

    /// Returns the measure of the confidence of a text's hits. Pictures have no such measure.
    fn measure(&self, slot: &ModelSlot, probe: &Probe) -> Option<Measure> {
        probe.is_text.then(|| self.measures.of(slot, Duration::ZERO)).flatten()
    }
}

/// Returns the texts of a query, trimmed.
fn checked<'a>(query: &'a str, not: &'a [String]) -> Result<Vec<&'a str>, QueryError> {
    let texts = std::iter::once(query).chain(not.iter().map(String::as_str)).map(str::trim);
    texts
        .map(|text| match text.len() {
            0 => Err(QueryError::Empty),
            bytes if bytes > MAX_QUERY_BYTES => Err(QueryError::TooLong { bytes }),
            _ => Ok(text),
        })
        .collect()
}

impl TextQuery {
    fn of(slot: &ModelSlot, vectors: Vec<Embedding>) -> Option<Self> {
        let mut vectors = vectors.into_iter();
        Some(Self {
            model: slot.info.id.clone(),
            wanted: vectors.next()?,
            unwanted: vectors.collect(),
        })
    }

    fn probe(&self) -> Probe {
        Probe {
            parts: vec![self.wanted.clone()],
            wanted: self.wanted.clone(),
            unwanted: self.unwanted.clone(),
            is_text: true,
        }
    }
}

/// The wanted and unwanted vectors of a search.
pub(crate) struct Probe {
    /// The mean of `parts`, which chooses the candidates.
    pub(crate) wanted: Embedding,
    /// A text; or a picture in the parts that the model gets, all of which a frame should match. Never empty.
    pub(crate) parts: Vec<Embedding>,
    pub(crate) unwanted: Vec<Embedding>,
    pub(crate) is_text: bool,
}

impl Probe {
    /// Returns `None` if there are no parts, or if they cancel out.
    fn of(parts: Vec<Embedding>) -> Option<Self> {
        Some(Self {
            wanted: Embedding::mean(&parts)?,
            parts,
            unwanted: Vec::new(),
            is_text: false,
        })
    }
}

/// One search: the query, its limits and its scope.
struct Question<'a> {
    slot: &'a ModelSlot,
    probe: &'a Probe,
    /// Number of requested hits.
    n: usize,
    measure: Option<Measure>,
    min_confidence: Option<f32>,
    scope: &'a Scope,
    /// Decides which scenes within the scope are admitted.
    admits: &'a dyn Fn(SceneId) -> bool,
}

impl Question<'_> {
    /// Returns the `k` scenes whose vectors are nearest to the wanted one: exactly, or by the graph in a large scope.
    fn candidates(&self, k: usize) -> Result<Vec<SceneId>, AnnError> {
        let &Self { slot, scope, admits, .. } = self;
        let wanted = &self.probe.wanted;
        let selectivity = scope.n_scenes() as f64 / slot.ann.len().max(1) as f64;
        let found = if scope.n_scenes() <= EXACT_UP_TO || selectivity < EXACT_BELOW_SELECTIVITY {
            slot.ann.exact(wanted, k, scope.scenes().filter(|scene| admits(*scene)))?
        } else {
            slot.ann
                .search_filtered(wanted, k, &|scene| scope.record(scene.video).is_some() && admits(scene))?
        };
        Ok(found.into_iter().map(|(scene, _)| scene).collect())
    }

    fn takes(&self, hit: &Hit) -> bool {
        match (self.min_confidence, hit.confidence) {
            (Some(least), Some(confidence)) => confidence >= least,
            _ => true,
        }
    }
}

fn check_count(n: usize) -> Result<(), QueryError> {
    if (1..=MAX_HITS).contains(&n) {
        Ok(())
    } else {
        Err(QueryError::BadCount(n))
    }
}
