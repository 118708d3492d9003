//! A few videos, a data folder that has them indexed, and daemons over copies of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use scened::app::{self, Paths, TestDoubles};
use scened::config::Config;
use scened::embed::{EmbedError, Embedder, ModelInfo, ProviderReport};
use scened::fatal::Fatal;
use scened::media::MediaError;
use scened::testing::embedder::FakeEmbedder;
use scened::testing::frames::{Script, ScriptedFrames, ScriptedScene};
use scened_common::domain::{Boundary, Embedding, Frame};
use scened_shared::client::Client;
use scened_shared::endpoint::Endpoint;
use scened_shared::message::{Filters, GroupBy, NoParams, Queue, SearchRequest, Status};
use scened_shared::method::{Incidents, Method, Search, Status as StatusMethod};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::sync::watch;

/// For conditions that come about by themselves. Generous, because the machine may be busy.
pub(crate) const SOON: Duration = Duration::from_mins(1);

const RED: [u8; 3] = [255, 0, 0];
const GREEN: [u8; 3] = [0, 160, 0];
const BLUE: [u8; 3] = [0, 0, 255];
const YELLOW: [u8; 3] = [255, 255, 0];

/// The colours of each video's scenes. A video's name selects its script.
const VIDEOS: [(&str, &[[u8; 3]]); 6] = [
    ("one", &[RED, BLUE]),
    ("two", &[GREEN]),
    ("three", &[YELLOW, RED, GREEN, BLUE]),
    ("four", &[BLUE, YELLOW]),
    ("five", &[RED]),
    ("six", &[GREEN, RED, YELLOW]),
];
pub(crate) const N_VIDEOS: u64 = VIDEOS.len() as u64;
const QUERIES: [&str; 3] = ["red", "blue", "a yellow thing"];

/// Videos and configuration. Many daemons may use them at once, because none changes anything.
pub(crate) struct World {
    pub(crate) home: PathBuf,
    _temporary: Option<TempDir>,
}

/// A daemon's answers: for each query path, start, end, best moment and score; then the incidents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Answers {
    hits: Vec<Vec<Hit>>,
    incidents: Vec<(String, String)>,
}

type Hit = (String, u64, u64, u64, f32);

/// A daemon on a thread of its own.
pub(crate) struct Life {
    stop: watch::Sender<bool>,
    thread: JoinHandle<Result<(), Fatal>>,
    socket: PathBuf,
    pub(crate) source: Arc<ScriptedFrames>,
}

impl World {
    pub(crate) fn new() -> Self {
        // In memory if possible: every case writes a store, and the behaviour of a disk's sync is not tested here.
        let base = Some(Path::new("/dev/shm")).filter(|shm| shm.is_dir());
        let mut builder = tempfile::Builder::new();
        builder.prefix("scened-faults-");
        let home = base.map_or_else(|| builder.tempdir(), |base| builder.tempdir_in(base)).unwrap();
        let videos = home.path().join("films");
        fs::create_dir(&videos).unwrap();
        let then = std::time::SystemTime::now() - Duration::from_hours(1);
        for name in VIDEOS.iter().map(|(name, _)| *name).chain(["broken"]) {
            let path = videos.join(format!("{name}.mp4"));
            fs::write(&path, format!("{name}\nthe video {name}")).unwrap();
            fs::File::options().write(true).open(&path).unwrap().set_modified(then).unwrap();
        }
        Self {
            home: home.path().to_owned(),
            _temporary: Some(home),
        }
    }

    /// Opens the world that another process created at `home`.
    pub(crate) fn at(home: &Path) -> Self {
        Self {
            home: home.to_owned(),
            _temporary: None,
        }
    }

    fn config(&self, socket_folder: &Path, more: &str) -> Config {
        let file = socket_folder.join("config.toml");
        if !file.is_file() {
            let videos = self.home.join("films");
            let text = format!(
                "{more}\nsettle-seconds = 1\non-battery = \"run\"\nmodel = \"tiny-hf\"\ncrop = \"reference\"\nfolders = [\"{}\"]\n",
                videos.display()
            );
            fs::write(&file, text).unwrap();
        }
        Config::load(&file).unwrap().0
    }

    /// Starts a daemon over `place/data`.
    pub(crate) fn begin(&self, place: &Path) -> Life {
        let socket = place.join("scened.sock");
        let config = self.config(place, "");
        let paths = Paths {
            data_dir: place.join("data"),
            socket: socket.clone(),
            model_dirs: vec![testkit::repository().join("tests/data/models")],
            program: Some(testkit::program("scened")),
        };
        let source = Arc::new(scripts());
        let doubles = TestDoubles {
            source: Some(source.clone()),
            make_embedder: Some(Arc::new(|folder| Ok(Arc::new(Colours::of(folder.info())) as Arc<dyn Embedder>))),
        };
        let (stop, stopping) = watch::channel(false);
        let thread = std::thread::spawn(move || app::run(&config, Vec::new(), &paths, doubles, stopping));
        Life {
            stop,
            thread,
            socket,
            source,
        }
    }
}

impl Life {
    /// Connects; an error if the daemon ended first.
    pub(crate) fn client(&self) -> Result<Client, String> {
        let endpoint = Endpoint::new(&self.socket).unwrap();
        let deadline = Instant::now() + SOON;
        loop {
            match Client::connect(&endpoint) {
                Ok(client) => return Ok(client),
                Err(_) if self.thread.is_finished() => return Err("it ended before it answered".to_owned()),
                Err(error) if Instant::now() > deadline => return Err(format!("it hangs: {error}")),
                Err(_) => testkit::pause(Duration::from_millis(5)),
            }
        }
    }

    /// Stops the daemon, and returns how it ended.
    pub(crate) fn end(self) -> Result<(), String> {
        self.stop.send_replace(true);
        self.outcome()
    }

    /// Waits for the daemon's end.
    pub(crate) fn outcome(self) -> Result<(), String> {
        let deadline = Instant::now() + SOON;
        while !self.thread.is_finished() {
            if Instant::now() > deadline {
                return Err("it does not end".to_owned());
            }
            testkit::pause(Duration::from_millis(2));
        }
        match self.thread.join() {
            Ok(Ok(())) => Ok(()),
            Ok(Err(fatal)) => Err(format!("it ended with status {}: {fatal}", fatal.exit_code())),
            Err(_) => Err("it panicked".to_owned()),
        }
    }
}

pub(crate) fn call<M: Method>(client: &mut Client, params: &M::Params) -> Result<M::Answer, String> {
    client.call::<M>(params).map_err(|error| format!("{}: {error}", M::NAME))
}

/// Waits until nothing is left to do.
pub(crate) fn settle(client: &mut Client) -> Result<Status, String> {
    let deadline = Instant::now() + SOON;
    loop {
        let status = call::<StatusMethod>(client, &NoParams {})?;
        if status.queue == Queue::default() {
            return Ok(status);
        }
        if Instant::now() > deadline {
            return Err(format!("it does not come to rest: {status:?}"));
        }
        testkit::pause(Duration::from_millis(5));
    }
}

/// Asks every daemon the same queries.
pub(crate) fn answers(client: &mut Client) -> Result<Answers, String> {
    let mut hits = Vec::new();
    for query in QUERIES {
        let answer = call::<Search>(client, &search(query))?;
        let mut found: Vec<_> = answer
            .hits
            .iter()
            .map(|hit| {
                let score = (hit.score * 1e4).round() / 1e4;
                (
                    hit.file.to_path().unwrap().display().to_string(),
                    hit.start_ms,
                    hit.end_ms,
                    hit.best_ms,
                    score,
                )
            })
            .collect();
        found.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        hits.push(found);
    }
    let incidents = call::<Incidents>(client, &NoParams {})?.incidents;
    let mut incidents: Vec<_> = incidents
        .into_iter()
        .map(|incident| (incident.file.to_path().unwrap().display().to_string(), incident.reason))
        .collect();
    incidents.sort();
    Ok(Answers { hits, incidents })
}

fn search(query: &str) -> SearchRequest {
    SearchRequest {
        query: query.to_owned(),
        n: 100,
        not: Vec::new(),
        by: GroupBy::default(),
        min_confidence: None,
        filters: Filters::default(),
    }
}

/// Scripts two seconds per scene.
fn scripts() -> ScriptedFrames {
    let unusable = MediaError::Unusable {
        reason: "no picture".to_owned(),
    };
    let scenes = |colours: &[[u8; 3]]| {
        let boundary = |index| if index == 0 { Boundary::Start } else { Boundary::Cut };
        let scene = |(index, colour): (usize, &[u8; 3])| ScriptedScene::plain(2_000, boundary(index), *colour);
        colours.iter().enumerate().map(scene).collect()
    };
    VIDEOS.iter().fold(
        ScriptedFrames::default().with("broken", [Script::FailsAfter(Vec::new(), unusable)]),
        |frames, (name, colours)| frames.with(name, [Script::Scenes(scenes(colours))]),
    )
}

/// The fake model with the name and the dimensions of a model folder.
struct Colours {
    info: ModelInfo,
    fake: FakeEmbedder,
}

impl Colours {
    fn of(info: ModelInfo) -> Self {
        let fake = FakeEmbedder::with_image("colours", info.image);
        Self { info, fake }
    }

    fn fit(&self, vectors: Vec<Embedding>) -> Vec<Embedding> {
        let n = self.info.dimensions.expect("the folder says how long its vectors are");
        let longer = |vector: Embedding| {
            let mut values = vector.as_slice().to_vec();
            values.resize(n, 0.0);
            Embedding::normalised(values).expect("it had a direction before")
        };
        vectors.into_iter().map(longer).collect()
    }
}

impl Embedder for Colours {
    fn model(&self) -> ModelInfo {
        self.info.clone()
    }

    fn embed_texts(&self, texts: &[String]) -> Result<Vec<Embedding>, EmbedError> {
        self.fake.embed_texts(texts).map(|vectors| self.fit(vectors))
    }

    fn embed_pictures(&self, pictures: &[Frame]) -> Result<Vec<Embedding>, EmbedError> {
        self.embed_frames(pictures)
    }

    fn embed_frames(&self, frames: &[Frame]) -> Result<Vec<Embedding>, EmbedError> {
        self.fake.embed_frames(frames).map(|vectors| self.fit(vectors))
    }

    fn provider(&self) -> Option<ProviderReport> {
        self.fake.provider()
    }
}
