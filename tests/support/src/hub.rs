//! A small Hugging Face hub that can fail in every way a network does. Like the real one it has a store, on another port.
//!
//! It speaks `/api/models/{repository}/revision/{revision}`, and HEAD and GET of `/{repository}/resolve/{revision}/{file}`. Files "in git"
//! are sent at once, large ones by a redirect to the store. The headers are those that the hub's own clients read.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use serde_json::json;
use sha1::{Digest as _, Sha1};
use sha2::Sha256;

/// How one answer about one file fails.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The connection is cut after so many bytes of the answer.
    Cut(usize),
    /// After so many bytes comes silence, until the hub is dropped or [`Hub::release`]d.
    Silence(usize),
    /// Content of the right length with a wrong byte in it.
    Wrong,
    /// A complete answer that is shorter than the file and declares its own length.
    Short,
    /// Status and headers instead of the file.
    Status(u16, Vec<(&'static str, String)>),
    /// The whole file, whatever range was requested.
    NoRange,
    /// Another range than the one requested.
    OtherRange,
    /// An ETag other than before, as if the store's file had been uploaded again.
    Retagged,
    /// No sizes and no hashes in any header; the end of the connection ends the file.
    Mute,
}

/// The server that was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    Hub,
    Store,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Seen {
    pub at: At,
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
}

#[derive(Default)]
struct Repository {
    commit: String,
    files: BTreeMap<String, Vec<u8>>,
    licence: Option<String>,
    gated: bool,
    moved_to: Option<String>,
}

#[derive(Default)]
struct State {
    repositories: BTreeMap<String, Repository>,
    seen: Vec<Seen>,
    /// By file; each applies to one answer that carries the file's content.
    faults: BTreeMap<String, VecDeque<Fault>>,
    /// By file; each applies to every answer.
    constant: BTreeMap<String, Fault>,
    token: Option<String>,
    has_no_api: bool,
    is_released: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread of the hub panics while it holds the state")
    }
}

/// Files of at least this size are in the store.
const LARGE_BYTES: usize = 10_000;

pub struct Hub {
    shared: Arc<Shared>,
    hub: String,
}

impl Default for Hub {
    fn default() -> Self {
        Self::new()
    }
}

impl Hub {
    pub fn new() -> Self {
        let shared = Arc::<Shared>::default();
        let bind = || TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let (hub, store) = (bind(), bind());
        let address = |listener: &TcpListener| format!("http://{}", listener.local_addr().expect("it is bound"));
        let (hub_address, store_address) = (address(&hub), address(&store));
        for (listener, at) in [(hub, At::Hub), (store, At::Store)] {
            let (shared, store_address) = (Arc::clone(&shared), store_address.clone());
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let (shared, store_address) = (Arc::clone(&shared), store_address.clone());
                    // Some tests have the client disconnect in the middle.
                    std::thread::spawn(move || answer(&shared, stream, at, &store_address).ok());
                }
            });
        }
        Self { shared, hub: hub_address }
    }

    /// Returns the value for `HF_ENDPOINT`.
    pub fn endpoint(&self) -> &str {
        &self.hub
    }

    /// Puts a file into a repository, which is created if needed.
    pub fn put(&self, repository: &str, file: &str, content: &[u8]) {
        let mut state = self.shared.state();
        let entry = state.repositories.entry(repository.to_owned()).or_default();
        entry.files.insert(file.to_owned(), content.to_vec());
        let all: Vec<u8> = entry
            .files
            .iter()
            .flat_map(|(name, content)| [name.as_bytes(), content].concat())
            .collect();
        entry.commit = hex::encode(Sha1::digest(&all));
    }

    /// Puts those files of a folder into a repository that `keep` accepts.
    pub fn put_folder(&self, repository: &str, folder: &Path, keep: &dyn Fn(&str) -> bool) {
        let mut folders = vec![(folder.to_path_buf(), String::new())];
        while let Some((folder, prefix)) = folders.pop() {
            for entry in std::fs::read_dir(&folder).expect("the folder can be read").flatten() {
                let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
                if entry.path().is_dir() {
                    folders.push((entry.path(), format!("{name}/")));
                } else if keep(&name) {
                    self.put(repository, &name, &std::fs::read(entry.path()).expect("the file can be read"));
                }
            }
        }
    }

    /// Returns the commit that `main` points to.
    pub fn commit(&self, repository: &str) -> String {
        self.shared.state().repositories[repository].commit.clone()
    }

    pub fn set_licence(&self, repository: &str, licence: &str) {
        let mut state = self.shared.state();
        state.repositories.entry(repository.to_owned()).or_default().licence = Some(licence.to_owned());
    }

    /// Restricts a repository to clients with this token from now on.
    pub fn gate(&self, repository: &str, token: &str) {
        let mut state = self.shared.state();
        state.token = Some(token.to_owned());
        state.repositories.entry(repository.to_owned()).or_default().gated = true;
    }

    /// Redirects requests for `old` to the path of `new`.
    pub fn rename(&self, old: &str, new: &str) {
        let mut state = self.shared.state();
        state.repositories.entry(old.to_owned()).or_default().moved_to = Some(new.to_owned());
    }

    /// Answers only requests for files from now on, like a plain mirror.
    pub fn drop_api(&self) {
        self.shared.state().has_no_api = true;
    }

    /// Makes the next answer that carries this file's content fail. Several faults apply one after the other.
    pub fn fail(&self, file: &str, fault: Fault) {
        self.shared.state().faults.entry(file.to_owned()).or_default().push_back(fault);
    }

    /// Makes every answer about this file fail.
    pub fn fail_always(&self, file: &str, fault: Fault) {
        self.shared.state().constant.insert(file.to_owned(), fault);
    }

    /// Ends every silence.
    pub fn release(&self) {
        self.shared.state().is_released = true;
        self.shared.changed.notify_all();
    }

    /// Returns all requests since the last call.
    pub fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.shared.state().seen)
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.release();
    }
}

/// Returns the requests for the content of a file.
pub fn gets<'a>(seen: &'a [Seen], file: &str) -> Vec<&'a Seen> {
    let sender = |s: &&Seen| s.method == "GET" && s.path.split('?').next().is_some_and(|path| path.ends_with(file));
    let sent_by_store = seen.iter().filter(sender).any(|s| s.at == At::Store);
    seen.iter().filter(sender).filter(|s| !sent_by_store || s.at == At::Store).collect()
}

/// Returns the SHA-256 as the hub writes it.
pub fn sha256(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}

/// Returns the ETag by which the hub names a content: a SHA-256 in the store, a git blob's SHA-1 otherwise.
fn etag(content: &[u8]) -> String {
    if content.len() >= LARGE_BYTES {
        return sha256(content);
    }
    let mut hash = Sha1::new();
    hash.update(format!("blob {}\0", content.len()));
    hash.update(content);
    hex::encode(hash.finalize())
}

struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

fn answer(shared: &Shared, mut stream: TcpStream, at: At, store: &str) -> std::io::Result<()> {
    let Some(request) = read_request(&stream, at)? else { return Ok(()) };
    shared.state().seen.push(request.clone());
    let (answer, fault) = decide(shared, &request, store);
    let is_mute = matches!(fault, Some(Fault::Mute));
    let mut head = format!("HTTP/1.1 {} x\r\nConnection: close\r\n", answer.status);
    for (name, value) in &answer.headers {
        write!(head, "{name}: {value}\r\n").expect("a string takes any text");
    }
    let tells_length = answer.headers.iter().any(|(name, _)| name == "Content-Length");
    if !is_mute && !tells_length {
        write!(head, "Content-Length: {}\r\n", answer.body.len()).expect("a string takes any text");
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    if request.method == "HEAD" {
        return Ok(());
    }
    match fault {
        Some(Fault::Cut(n)) => {
            stream.write_all(&answer.body[..n.min(answer.body.len())])?;
            stream.shutdown(Shutdown::Both)
        }
        Some(Fault::Silence(n)) => {
            stream.write_all(&answer.body[..n.min(answer.body.len())])?;
            stream.flush()?;
            let mut state = shared.state();
            while !state.is_released {
                state = shared
                    .changed
                    .wait(state)
                    .expect("no thread of the hub panics while it holds the state");
            }
            Ok(())
        }
        _ => stream.write_all(&answer.body),
    }
}

fn read_request(stream: &TcpStream, at: At) -> std::io::Result<Option<Seen>> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let Some(first) = lines.next().transpose()? else { return Ok(None) };
    let mut words = first.split(' ');
    let (Some(method), Some(path)) = (words.next(), words.next()) else {
        return Ok(None);
    };
    let mut headers = BTreeMap::new();
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    Ok(Some(Seen {
        at,
        method: method.to_owned(),
        path: path.to_owned(),
        headers,
    }))
}

fn decide(shared: &Shared, request: &Seen, store: &str) -> (Answer, Option<Fault>) {
    let mut state = shared.state();
    let path = request
        .path
        .split('?')
        .next()
        .unwrap_or_default()
        .trim_start_matches('/')
        .to_owned();
    let is_api = path.starts_with("api/models/");
    let words: Vec<&str> = path.trim_start_matches("api/models/").splitn(5, '/').collect();
    let [owner, name, _, revision, ..] = words[..] else {
        return (Answer::new(404), None);
    };
    let (id, file) = (format!("{owner}/{name}"), words.get(4).copied().unwrap_or_default().to_owned());
    let refuse = |code: u16, why: &str| (Answer::new(code).header("X-Error-Code", why).header("X-Error-Message", why), None);
    if is_api && state.has_no_api {
        return (Answer::new(404), None);
    }
    let Some(repository) = state.repositories.get(&id) else {
        return if state.has_no_api {
            (Answer::new(404), None)
        } else {
            refuse(401, "RepoNotFound")
        };
    };
    if let Some(new) = &repository.moved_to {
        return (Answer::new(307).header("Location", request.path.replace(&id, new)), None);
    }
    let token = state.token.as_ref().map(|token| format!("Bearer {token}"));
    if request.at == At::Hub && repository.gated && request.headers.get("authorization") != token.as_ref() {
        let code = if request.headers.contains_key("authorization") { 403 } else { 401 };
        return refuse(code, "GatedRepo");
    }
    let commit = repository.commit.clone();
    if revision != "main" && revision != commit {
        return refuse(404, "RevisionNotFound");
    }
    if is_api {
        return (
            listing(repository, state.constant.values().any(|fault| matches!(fault, Fault::Mute))),
            None,
        );
    }
    let Some(content) = repository.files.get(&file).cloned() else {
        return refuse(404, "EntryNotFound");
    };
    let is_large = content.len() >= LARGE_BYTES;
    let sends = request.method == "GET" && (request.at == At::Store || !is_large);
    let constant = state.constant.get(&file).cloned();
    let fault = if sends {
        state.faults.get_mut(&file).and_then(VecDeque::pop_front).or(constant)
    } else {
        constant
    };
    drop(state);
    if let Some(Fault::Status(code, headers)) = fault.as_ref().filter(|_| sends) {
        let refused = headers
            .iter()
            .fold(Answer::new(*code), |answer, (name, value)| answer.header(name, value));
        return (refused, None);
    }
    let is_mute = matches!(fault, Some(Fault::Mute));
    if request.at == At::Hub && is_large {
        let mut found = Answer::new(302)
            .header("Location", format!("{store}/{path}?signature=1"))
            .header("X-Repo-Commit", commit);
        if !is_mute {
            found = found
                .header("X-Linked-Size", content.len().to_string())
                .header("X-Linked-Etag", format!("\"{}\"", etag(&content)));
        }
        return (found, None);
    }
    let tag = match fault {
        Some(Fault::Retagged) => "anew".to_owned(),
        _ if request.at == At::Hub => etag(&content),
        _ => format!("store-{}", &etag(&content)[..8]),
    };
    let mut found = send(&content, request, &format!("\"{tag}\""), fault.as_ref()).header("X-Repo-Commit", commit);
    if is_mute {
        found.headers.clear();
    }
    (found, fault)
}

fn listing(repository: &Repository, is_mute: bool) -> Answer {
    let sibling = |(name, content): (&String, &Vec<u8>)| {
        if is_mute {
            json!({"rfilename": name})
        } else if content.len() >= LARGE_BYTES {
            json!({"rfilename": name, "size": content.len(), "blobId": "0".repeat(40), "lfs": {"sha256": etag(content), "size": content.len()}})
        } else {
            json!({"rfilename": name, "size": content.len(), "blobId": etag(content)})
        }
    };
    let siblings: Vec<_> = repository.files.iter().map(sibling).collect();
    let card = json!({"license": repository.licence});
    let mut answer = Answer::new(200).header("Content-Type", "application/json");
    answer.body = json!({"sha": repository.commit, "siblings": siblings, "cardData": card})
        .to_string()
        .into_bytes();
    answer
}

/// Answers with the content, or with the range that was requested.
fn send(content: &[u8], request: &Seen, tag: &str, fault: Option<&Fault>) -> Answer {
    let range = request
        .headers
        .get("range")
        .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    let still_holds = request.headers.get("if-range").is_none_or(|wanted| wanted == tag);
    let mut content = content.to_vec();
    let all = content.len();
    match fault {
        Some(Fault::Wrong) => content[all / 2] ^= 1,
        Some(Fault::Short) => content.truncate(all / 2),
        _ => {}
    }
    let answer = match range {
        Some(first) if first >= all => return Answer::new(416).header("Content-Range", format!("bytes */{all}")),
        Some(first) if still_holds && !matches!(fault, Some(Fault::NoRange)) => {
            let first = if matches!(fault, Some(Fault::OtherRange)) {
                first / 2
            } else {
                first
            };
            content.drain(..first);
            Answer::new(206).header("Content-Range", format!("bytes {first}-{}/{all}", all - 1))
        }
        _ => Answer::new(200),
    };
    Answer {
        body: content,
        ..answer.header("ETag", tag)
    }
}
