//! A model's vectors of three hundred plain descriptions of what videos show. They measure how much a score means.
//!
//! Cosines mean something different in every model and for every picture: a picture that shows much is similar to many texts. So a score is
//! compared with those of unrelated texts.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use scened_common::domain::{Embedding, ModelId};
use tempfile::NamedTempFile;
use xxhash_rust::xxh3::xxh3_128;

use crate::embed::{EmbedError, Embedder};
use crate::models::serving::ModelSlot;
use crate::supervise::{Supervised, caught};

/// One description per line, written for this project: people, occasions, places, weather, animals, vehicles, things, food, pictures.
const TEXTS: &str = include_str!("background.txt");
/// Number of texts embedded at a time. A query asked meanwhile waits only for these.
const CHUNK: usize = 8;
/// Maximum time that a search waits for vectors being made; after that it answers without confidence. They are made once and then read from
/// the disk. The very first query to ViT-B/32 takes 2.4 s on two cores, its start included, and later ones 10 ms.
pub(in crate::query) const TIMEOUT: Duration = Duration::from_secs(2);

/// Unit vectors of [`TEXTS`] by one model. **Shape** `[300][dimensions]`.
#[derive(Debug, PartialEq)]
pub(super) struct Background {
    pub(super) vectors: Vec<Embedding>,
}

/// The background of the most recently used model, and the folder that keeps those of all models.
#[derive(Clone)]
pub(super) struct Backgrounds {
    /// Everything in it can be made again.
    folder: Option<Arc<Path>>,
    shared: Arc<(Mutex<State>, Condvar)>,
    supervised: Arc<Supervised>,
}

#[derive(Default)]
struct State {
    ready: Option<(ModelId, Arc<Background>)>,
    /// The model whose background a thread is making.
    making: Option<ModelId>,
}

impl Backgrounds {
    /// `folder`: keeps the vectors across restarts.
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        Self {
            folder: folder.map(Arc::from),
            shared: Arc::default(),
            supervised: Supervised::new("background", "hits have no confidence"),
        }
    }

    /// Returns the background of the slot's model, or `None` if it is not ready within `timeout` or could not be made.
    pub(super) fn get(&self, slot: &ModelSlot, timeout: Duration) -> Option<Arc<Background>> {
        let id = &slot.info.id;
        let (state, changed) = &*self.shared;
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.has(id) && state.making.is_none() && self.supervised.is_given_up().is_none() {
            state.making = Some(id.clone());
            let maker = self.clone();
            let (id, embedder) = (id.clone(), Arc::clone(&slot.embedder));
            let thread = std::thread::Builder::new().name("background".to_owned());
            if thread.spawn(move || maker.make_or_give_up(&id, &*embedder)).is_err() {
                state.making = None;
            }
        }
        let is_made = |state: &mut State| state.making.as_ref() == Some(id);
        let (state, _) = changed
            .wait_timeout_while(state, timeout, is_made)
            .unwrap_or_else(PoisonError::into_inner);
        state
            .ready
            .as_ref()
            .filter(|(known, _)| known == id)
            .map(|(_, background)| Arc::clone(background))
    }

    fn make_or_give_up(&self, id: &ModelId, embedder: &dyn Embedder) {
        if let Err(panic) = caught(|| self.make(id, embedder)) {
            self.supervised.died(&panic);
            let (state, changed) = &*self.shared;
            state.lock().unwrap_or_else(PoisonError::into_inner).making = None;
            changed.notify_all();
        }
    }

    fn make(&self, id: &ModelId, embedder: &dyn Embedder) {
        crate::failpoint::panic_here("background");
        let file = self.folder.as_ref().map(|folder| folder.join(file_name(id)));
        let made = match file.as_deref().and_then(|file| read(file, id)) {
            Some(background) => Some(background),
            None => match embed(embedder) {
                Ok(background) => {
                    if let Some(Err(error)) = file.as_deref().map(|file| write(file, id, &background)) {
                        tracing::warn!(%error, "the background vectors cannot be saved; they are computed again at the next start");
                    }
                    Some(background)
                }
                Err(EmbedError::ShuttingDown) => None,
                Err(error) => {
                    tracing::warn!(%error, "no confidence can be computed");
                    None
                }
            },
        };
        let (state, changed) = &*self.shared;
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(background) = made {
            state.ready = Some((id.clone(), Arc::new(background)));
        }
        state.making = None;
        drop(state);
        changed.notify_all();
    }
}

impl State {
    fn has(&self, id: &ModelId) -> bool {
        self.ready.as_ref().is_some_and(|(known, _)| known == id)
    }
}

fn texts() -> Vec<String> {
    TEXTS.lines().map(str::to_owned).collect()
}

fn embed(embedder: &dyn Embedder) -> Result<Background, EmbedError> {
    let mut vectors = Vec::new();
    for chunk in texts().chunks(CHUNK) {
        vectors.extend(embedder.embed_texts(chunk)?);
    }
    Ok(Background { vectors })
}

// --- The file -------------------------------------------------------------------------------------------------------------------
// Layout: subject (hash of the model's id and the texts), dimensions (u32), numbers (f32), hash of all that; little-endian.

fn file_name(id: &ModelId) -> String {
    format!("{:032x}.vectors", xxh3_128(id.0.as_bytes()))
}

/// Identifies the content of a file: other texts give another subject.
fn subject(id: &ModelId) -> [u8; 16] {
    xxh3_128([id.0.as_bytes(), b"\0", TEXTS.as_bytes()].concat().as_slice()).to_le_bytes()
}

/// Returns `None` if the file is missing, has another subject, or is damaged. The vectors are then made again.
fn read(file: &Path, id: &ModelId) -> Option<Background> {
    let bytes = fs::read(file).ok()?;
    let (content, hash) = bytes.split_last_chunk::<16>()?;
    if xxh3_128(content).to_le_bytes() != *hash {
        return None;
    }
    let (of, content) = content.split_first_chunk::<16>()?;
    let (dimensions, numbers) = content.split_first_chunk::<4>()?;
    let dimensions = u32::from_le_bytes(*dimensions) as usize;
    if *of != subject(id) || dimensions == 0 || numbers.len() != dimensions.checked_mul(4 * TEXTS.lines().count())? {
        return None;
    }
    let vectors = numbers.chunks_exact(4 * dimensions).map(|row| {
        let values = row.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
        Embedding::normalised(values.collect()).ok()
    });
    Some(Background {
        vectors: vectors.collect::<Option<_>>()?,
    })
}

fn write(file: &Path, id: &ModelId, background: &Background) -> io::Result<()> {
    let folder = file.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::create_dir_all(folder)?;
    let dimensions = background.vectors.first().map_or(0, |vector| vector.as_slice().len());
    let mut bytes = subject(id).to_vec();
    bytes.extend(u32::try_from(dimensions).map_err(io::Error::other)?.to_le_bytes());
    let numbers = background.vectors.iter().flat_map(Embedding::as_slice);
    bytes.extend(numbers.flat_map(|number| number.to_le_bytes()));
    bytes.extend(xxh3_128(&bytes).to_le_bytes());
    let mut temporary = NamedTempFile::new_in(folder)?;
    temporary.write_all(&bytes)?;
    temporary.persist(file).map_err(|error| error.error)?;
    Ok(())
}
