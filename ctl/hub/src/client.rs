//! The hub's URLs, headers, redirects and refusals.
//!
//! **Invariants**: the token is sent to the hub's own origin only, never to a host that a redirect names. A request that began with https
//! is never redirected to http.
//!
//! **Source** of the headers: `huggingface_hub/file_download.py` (`X-Linked-Etag`, `X-Linked-Size`, `X-Repo-Commit`, `X-Error-Code`).

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use scened_shared::stop::Stop;
use ureq::http::{HeaderMap, Method, Request, Response, Uri, header};
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, Body};

use crate::Watcher;
use crate::digest::Expected;
use crate::error::HubError;
use crate::pace::{SILENCE_LIMIT, Steady};
use crate::reference::Repository;
use crate::retry::{LONGEST_PAUSE, Retries, Trouble};
use crate::settings::Settings;

const CONNECT_LIMIT: Duration = Duration::from_secs(20);
const MAX_REDIRECTS: usize = 8;
/// An installation takes a few dozen; each broken connection adds one.
const MAX_REQUESTS: u32 = 4_000;
/// All requests before the first byte of a file must finish within this time.
const QUESTIONS_LIMIT: Duration = Duration::from_mins(5);
/// The longest error message accepted from a server. Bytes.
const MAX_SAID_BYTES: usize = 300;

/// Characters that one path segment of a URL may contain unescaped: the unreserved ones of RFC 3986.
const IN_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// The same for a path of several segments.
const IN_PATH: &AsciiSet = &IN_SEGMENT.remove(b'/');

/// One file of a repository at one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remote {
    pub(crate) repository: Repository,
    pub(crate) revision: String,
    pub(crate) path: String,
}

/// What the hub reports about a file before it is fetched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) size_bytes: Option<u64>,
    pub(crate) hash: Option<Expected>,
    pub(crate) commit: Option<String>,
}

/// Talks to one hub for one installation; its limits on requests and time count from its creation.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
    pub(crate) settings: Settings,
    pub(crate) stop: Stop,
    n_requests: AtomicU32,
    /// Deadline for requests that precede the files.
    questions_until: Instant,
}

impl Client {
    /// Makes a client without opening a connection. `stop` interrupts all its waits.
    pub fn new(settings: Settings, stop: Stop) -> Self {
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .root_certs(RootCerts::Specific(Arc::new(certificates())))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .user_agent(concat!("scenectl/", env!("CARGO_PKG_VERSION")))
            // Redirects are followed in `send`: the token must not be sent to another host.
            .max_redirects(0)
            .http_status_as_error(false)
            .timeout_resolve(Some(CONNECT_LIMIT))
            .timeout_connect(Some(CONNECT_LIMIT))
            .timeout_per_read(Some(SILENCE_LIMIT))
            .timeout_per_write(Some(SILENCE_LIMIT))
            // Limits the whole response head: one byte at a time is no answer either.
            .timeout_recv_response(Some(SILENCE_LIMIT))
            .build()
            .new_agent();
        Self {
            agent,
            settings,
            stop,
            n_requests: AtomicU32::new(0),
            questions_until: Instant::now() + QUESTIONS_LIMIT,
        }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.is_asked()
    }

    /// Returns the page for a person to open.
    pub(crate) fn page(&self, repository: &Repository) -> String {
        format!("{}/{repository}", self.settings.endpoint)
    }

    pub(crate) fn host(&self) -> String {
        host(&self.settings.endpoint)
    }

    fn file_url(&self, file: &Remote) -> String {
        format!(
            "{}/{}/resolve/{}/{}",
            self.settings.endpoint,
            file.repository,
            utf8_percent_encode(&file.revision, IN_SEGMENT),
            utf8_percent_encode(&file.path, IN_PATH)
        )
    }

    /// Requests `path` below the endpoint and returns an answer of at most `max_bytes`.
    pub(crate) fn get_path(&self, path: &str, about: &Remote, max_bytes: u64) -> Result<Vec<u8>, Trouble> {
        self.still_asking()?;
        let url = format!("{}/{path}", self.settings.endpoint);
        let mut response = self.send(&Method::GET, &url, &[], about, |_| false)?;
        let mut bytes = Vec::new();
        let mut reader = Steady::new(response.body_mut().with_config().limit(u64::MAX).reader().take(max_bytes + 1));
        reader.read_to_end(&mut bytes).map_err(|error| Trouble::Passing {
            error: HubError::Unreachable {
                host: self.host(),
                cause: error.to_string(),
            },
            pause: None,
        })?;
        if bytes.len() as u64 > max_bytes {
            return Err(self.strange(format!("a list of over {max_bytes} bytes")).into());
        }
        Ok(bytes)
    }

    /// Makes the error for an answer that no real hub gives.
    pub(crate) fn strange(&self, what: impl Into<String>) -> HubError {
        HubError::Strange {
            host: self.host(),
            what: what.into(),
        }
    }

    fn still_asking(&self) -> Result<(), HubError> {
        if Instant::now() < self.questions_until {
            return Ok(());
        }
        Err(HubError::Unreachable {
            host: self.host(),
            cause: format!("it did not list its files within {} minutes", QUESTIONS_LIMIT.as_secs() / 60),
        })
    }

    /// Returns the size and hash of a file; `None` if the hub has no such file.
    pub(crate) fn head(&self, file: &Remote, watcher: &dyn Watcher) -> Result<Option<Head>, HubError> {
        // If the file is in another store, the hub describes it in its own answer, which is a redirect to that store.
        let told = |headers: &HeaderMap| headers.contains_key("x-linked-etag");
        self.still_asking()?;
        self.persist(watcher, || match self.send(&Method::HEAD, &self.file_url(file), &[], file, told) {
            Ok(response) => Ok(Some(head(response.headers()))),
            Err(Trouble::Final(HubError::NoFile { .. })) => Ok(None),
            Err(trouble) => Err(trouble),
        })
    }

    /// Starts fetching a file. `range` is the first byte wanted, and the tag that must still match for the rest to fit.
    pub(crate) fn get(&self, file: &Remote, range: Option<(u64, Option<&str>)>) -> Result<Response<Body>, Trouble> {
        let mut headers = Vec::new();
        if let Some((first, tag)) = range {
            headers.push((header::RANGE, format!("bytes={first}-")));
            headers.extend(tag.map(|tag| (header::IF_RANGE, tag.to_owned())));
        }
        self.send(&Method::GET, &self.file_url(file), &headers, file, |_| false)
    }

    /// Retries until the attempt succeeds, or has failed too often.
    pub(crate) fn persist<T>(&self, watcher: &dyn Watcher, mut attempt: impl FnMut() -> Result<T, Trouble>) -> Result<T, HubError> {
        let mut retries = Retries::new(&self.stop, watcher);
        loop {
            match attempt() {
                Ok(done) => return Ok(done),
                Err(trouble) => retries.failed(trouble)?,
            }
        }
    }

    /// Sends a request and follows its redirects, up to an answer whose headers `suffice` or that is no redirect.
    fn send(
        &self,
        method: &Method,
        url: &str,
        headers: &[(header::HeaderName, String)],
        about: &Remote,
        suffice: impl Fn(&HeaderMap) -> bool,
    ) -> Result<Response<Body>, Trouble> {
        let mut url = url.to_owned();
        for _ in 0..MAX_REDIRECTS {
            if self.stop.is_asked() {
                return Err(HubError::Interrupted.into());
            }
            if self.n_requests.fetch_add(1, Ordering::Relaxed) >= MAX_REQUESTS {
                return Err(self
                    .strange(format!("the model is not complete after {MAX_REQUESTS} requests"))
                    .into());
            }
            let is_hub = origin(&url) == origin(&self.settings.endpoint);
            // Sizes, ranges and hashes refer to the plain content, not to a compressed form.
            let mut request = Request::builder()
                .method(method)
                .uri(&url)
                .header(header::ACCEPT_ENCODING, "identity");
            if let Some(token) = self.settings.token.as_ref().filter(|_| is_hub) {
                request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
            }
            for (name, value) in headers {
                request = request.header(name, value);
            }
            let strange = |what: String| HubError::Strange { host: host(&url), what };
            let request = request.body(()).map_err(|error| strange(error.to_string()))?;
            let response = self.agent.run(request).map_err(|error| unreachable(&url, &error))?;
            let status = response.status();
            if status.is_success() || suffice(response.headers()) && status.is_redirection() {
                // A compressed body has neither the file's size nor its hash, and may expand without limit.
                let coding = response.headers().get(header::CONTENT_ENCODING).filter(|_| *method == Method::GET);
                if coding.is_some_and(|coding| coding != "identity" && !coding.is_empty()) {
                    return Err(strange("with a compressed file, which was not requested".to_owned()).into());
                }
                return Ok(response);
            }
            let Some(target) = response.headers().get(header::LOCATION).filter(|_| status.is_redirection()) else {
                return Err(self.refusal(&response, &url, is_hub, about));
            };
            let next = target.to_str().ok().and_then(|target| join(&url, target));
            url = match next {
                Some(next) if next.starts_with("https://") || !url.starts_with("https://") => next,
                _ => return Err(strange("a redirect to an unsafe address".to_owned()).into()),
            };
        }
        Err(HubError::Strange {
            host: host(&url),
            what: "redirects without end".to_owned(),
        }
        .into())
    }

    fn refusal(&self, response: &Response<Body>, url: &str, is_hub: bool, about: &Remote) -> Trouble {
        let text = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let status = response.status().as_u16();
        let said = text("x-error-message").map(|said| shortened(&said, MAX_SAID_BYTES));
        let (repository, page) = (about.repository.clone(), self.page(&about.repository));
        match (status, text("x-error-code").as_deref()) {
            // The hub hides private repositories from strangers: it answers 401 for missing ones as well.
            (401 | 404, Some("RepoNotFound")) if is_hub => HubError::NoRepository { repository, page }.into(),
            (401 | 403, _) if is_hub => HubError::Denied {
                repository,
                page,
                had_token: self.settings.token.is_some(),
                said,
            }
            .into(),
            (404, Some("RevisionNotFound")) if is_hub => HubError::NoRevision {
                repository,
                page: format!("{page}/tree/main"),
                revision: about.revision.clone(),
            }
            .into(),
            (404, _) if is_hub => HubError::NoFile {
                repository,
                file: about.path.clone(),
            }
            .into(),
            _ => {
                let pause = text("retry-after").and_then(|value| retry_after(&value));
                let error = HubError::Status {
                    host: host(url),
                    status,
                    said,
                    wait: pause.filter(|pause| *pause > LONGEST_PAUSE),
                };
                // The signed URL of a store may have expired (403): the hub issues a new one.
                if matches!(status, 408 | 429 | 500..) || !is_hub {
                    Trouble::Passing { error, pause }
                } else {
                    error.into()
                }
            }
        }
    }
}

/// Truncates a text received from outside.
pub(crate) fn shortened(text: &str, max_bytes: usize) -> String {
    let end = text.floor_char_boundary(max_bytes);
    if end == text.len() {
        text.to_owned()
    } else {
        format!("{}…", &text[..end])
    }
}

/// Returns the certificate authorities that this system trusts; `SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured. Unreadable ones do not
/// affect the others. Without any, no certificate is accepted.
fn certificates() -> Vec<Certificate<'static>> {
    let found = rustls_native_certs::load_native_certs();
    found.certs.iter().map(|der| Certificate::from_der(der).to_owned()).collect()
}

/// Classifies a request's error: connection errors are worth a retry, our own mistakes are not.
fn unreachable(url: &str, error: &ureq::Error) -> Trouble {
    let unreachable = HubError::Unreachable {
        host: host(url),
        cause: error.to_string(),
    };
    match error {
        ureq::Error::BadUri(_)
        | ureq::Error::Http(_)
        | ureq::Error::InvalidProxyUrl
        | ureq::Error::Rustls(_)
        | ureq::Error::Tls(_)
        | ureq::Error::LargeResponseHeader(..) => Trouble::Final(unreachable),
        // rustls reports certificates that it rejects as this kind of error.
        ureq::Error::Io(cause) if cause.kind() == std::io::ErrorKind::InvalidData => Trouble::Final(unreachable),
        _ => Trouble::Passing {
            error: unreachable,
            pause: None,
        },
    }
}

fn head(headers: &HeaderMap) -> Head {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    let number = |name: &str| text(name).and_then(|v| v.parse().ok());
    // A redirect's own length is that of its page, not of the file.
    let own_size = if headers.contains_key(header::LOCATION) {
        None
    } else {
        number("content-length")
    };
    Head {
        size_bytes: number("x-linked-size").or(own_size),
        hash: text("x-linked-etag").or_else(|| text("etag")).and_then(Expected::from_etag),
        commit: text("x-repo-commit").filter(|commit| is_commit(commit)).map(str::to_owned),
    }
}

/// Returns whether a text is a commit id, which names one state of a repository permanently.
pub(crate) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Parses a number of seconds, or a date.
fn retry_after(value: &str) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let then = jiff::fmt::rfc2822::parse(value.trim()).ok()?.timestamp();
    Some(then.duration_since(jiff::Timestamp::now()).try_into().unwrap_or_default())
}

/// Escapes a revision as one path segment of a URL, including its slashes.
pub(crate) fn escape_revision(revision: &str) -> String {
    utf8_percent_encode(revision, IN_SEGMENT).to_string()
}

/// Scheme, host and port; `None` if the text is not a URL, which equals nothing else of use.
fn origin(url: &str) -> Option<(String, String, Option<u16>)> {
    let uri: Uri = url.parse().ok()?;
    let host = uri.host()?.to_ascii_lowercase();
    Some((uri.scheme_str()?.to_ascii_lowercase(), host, uri.port_u16()))
}

fn host(url: &str) -> String {
    let uri: Option<Uri> = url.parse().ok();
    uri.and_then(|uri| uri.authority().map(ToString::to_string))
        .unwrap_or_else(|| url.to_owned())
}

/// Resolves a redirect's target: a full URL, or another path on the same host.
fn join(base: &str, target: &str) -> Option<String> {
    let base: Uri = base.parse().ok()?;
    let (scheme, authority) = (base.scheme_str()?, base.authority()?);
    if target.starts_with("http://") || target.starts_with("https://") {
        Some(target.to_owned())
    } else if target.starts_with("//") {
        Some(format!("{scheme}:{target}"))
    } else if target.starts_with('/') {
        Some(format!("{scheme}://{authority}{target}"))
    } else {
        let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        Some(format!("{scheme}://{authority}{folder}/{target}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_lead_where_they_say() {
        let check = |target: &str, expected: &str| {
            assert_eq!(
                join("https://hub:8/a/resolve/main/x.onnx?y", target).as_deref(),
                Some(expected),
                "{target}"
            );
        };
        check("https://cdn/x?sig=1", "https://cdn/x?sig=1");
        check("//cdn/x", "https://cdn/x");
        check("/b/resolve/main/x", "https://hub:8/b/resolve/main/x");
        check("z", "https://hub:8/a/resolve/main/z");
    }

    #[test]
    fn another_port_or_scheme_is_another_origin() {
        assert_eq!(origin("https://Hub/a"), origin("https://hub/b?c"));
        for other in [
            "http://hub/a",
            "https://hub:444/a",
            "https://hub.evil/a",
            "https://evil/https://hub/",
        ] {
            assert_ne!(origin("https://hub/a"), origin(other), "{other}");
        }
    }

    #[test]
    fn a_pause_is_seconds_or_a_date() {
        assert_eq!(retry_after("7"), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        let then = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(100);
        let date = then.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let pause = retry_after(&date).unwrap();
        assert!((90..=100).contains(&pause.as_secs()), "{date}: {pause:?}");
        assert_eq!(retry_after("soon"), None);
    }

    #[test]
    fn names_are_escaped_for_addresses() {
        assert_eq!(escape_revision("refs/pr/1"), "refs%2Fpr%2F1");
        assert_eq!(
            utf8_percent_encode("onnx/a b?~-_ü.onnx", IN_PATH).to_string(),
            "onnx/a%20b%3F~-_%C3%BC.onnx"
        );
    }
}
