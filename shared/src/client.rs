//! A blocking client: one connection, one request at a time, or a stream of events.
//!
//! Owns the socket; knows no method but `hello` and `subscribe`. Starts no thread. Every wait has a limit unless the caller removes it.
//! After any error but [`ClientError::Rpc`] and [`ClientError::RequestTooLarge`] the connection cannot be used any more.

use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use interprocess::ConnectWaitMode;
use interprocess::local_socket::traits::{Stream as _, StreamCommon as _};
use interprocess::local_socket::{ConnectOptions, Stream};
use serde_json::Value;

use crate::endpoint::Endpoint;
use crate::frame::{self, EVENT_METHOD, Id, Incoming, MAX_ANSWER_BYTES, MAX_REQUEST_BYTES, ReadLineError, RpcError};
use crate::hello::{self, ProtocolMismatch};
use crate::message::{ErrorKind, Event, HelloAnswer, NoParams, Status};
use crate::method::{self, Method};

/// Why nothing answers at the socket.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    /// No socket exists at the path: the daemon is not running.
    #[error("there is no socket")]
    NoSocket,
    /// The socket is left over from a daemon that ended.
    #[error("nothing listens there")]
    Refused,
    /// The system does not let this user connect.
    #[error("permission was denied")]
    Permission,
    /// Something other than a socket is at the path.
    #[error("it is not a socket")]
    NotASocket,
    /// Connecting, or the answer to `hello`, took longer than [`ClientOptions::connect_limit`].
    #[error("it did not answer within {} s", .0.as_secs_f32())]
    TimedOut(Duration),
    /// The daemon closed the connection before it answered `hello`.
    #[error("it closed the connection")]
    Closed,
    /// The queue of connections is full.
    #[error("too many clients are waiting for it")]
    Busy,
    /// Any other error of the system.
    #[error("{0}")]
    Io(io::Error),
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No daemon answers at the socket.
    #[error("the daemon cannot be reached at {}", path.display())]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// Why not.
        source: Unreachable,
    },
    /// The socket, its folder or the program behind it belongs to another user, who could read every query.
    #[error("{what} {} belongs to another user (uid {uid})", path.display())]
    NotOurs {
        /// Path of the socket or folder.
        path: PathBuf,
        /// What belongs to the other user, in words.
        what: &'static str,
        /// The other user.
        uid: u32,
    },
    /// The daemon speaks another protocol.
    #[error(transparent)]
    Mismatch(#[from] ProtocolMismatch),
    /// The daemon answered with an error.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// The answer does not follow this protocol.
    #[error("the daemon's answer to `{method}` cannot be understood: {what}")]
    Broken {
        /// The method that was called.
        method: &'static str,
        /// What is wrong with the answer.
        what: String,
    },
    /// The daemon closed the connection before it answered.
    #[error("the connection to the daemon ended before it answered `{method}`")]
    Lost {
        /// The method that was called.
        method: &'static str,
    },
    /// The daemon closed a connection that was open for events. It ended, or the client read too slowly.
    #[error("the daemon closed the connection")]
    Ended,
    /// The answer took longer than [`ClientOptions::answer_limit`].
    #[error("the daemon did not answer `{method}` within {} s", limit.as_secs_f32())]
    TimedOut {
        /// The method that was called.
        method: &'static str,
        /// How long the client waited.
        limit: Duration,
    },
    /// The request exceeds the limit, so it was not sent: the daemon would close the connection.
    #[error("the request has {length} bytes; the limit is {MAX_REQUEST_BYTES}")]
    RequestTooLarge {
        /// Length of the request. Bytes.
        length: usize,
    },
    /// The system reported an error.
    #[error("the connection to the daemon failed")]
    Io(#[from] io::Error),
}

/// The client's name and version, and how long it waits.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Name of the program, for the daemon's log.
    pub client: String,
    /// The program's version.
    pub version: String,
    /// Limit for connecting, and again for the answer to `hello`.
    pub connect_limit: Duration,
    /// Limit for every other answer; `None` waits for ever.
    pub answer_limit: Option<Duration>,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            client: "scened-shared".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            connect_limit: Duration::from_secs(10),
            answer_limit: Some(Duration::from_mins(2)),
        }
    }
}

/// A stream with a deadline for the whole answer. A limit on silence would not do: a daemon that sends a byte a second is slow as well.
#[derive(Debug)]
struct TimedStream {
    stream: Stream,
    deadline: Option<Instant>,
}

impl Read for TimedStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = match self.deadline {
            None => None,
            Some(deadline) => match deadline.checked_duration_since(Instant::now()) {
                Some(left) if !left.is_zero() => Some(left),
                _ => return Err(io::ErrorKind::TimedOut.into()),
            },
        };
        self.stream.set_recv_timeout(left)?;
        self.stream.read(buffer).map_err(|e| match e.kind() {
            io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
            _ => e,
        })
    }
}

/// A connection after a successful `hello`.
#[derive(Debug)]
pub struct Client {
    reader: BufReader<TimedStream>,
    next_id: u64,
    answer_limit: Option<Duration>,
    server: HelloAnswer,
}

impl Client {
    /// Connects and says hello, with the default options.
    pub fn connect(endpoint: &Endpoint) -> Result<Self, ClientError> {
        Self::connect_with(endpoint, &ClientOptions::default())
    }

    /// Connects and says hello.
    ///
    /// **Errors**: [`ClientError::Unreachable`] if no daemon answers, [`ClientError::NotOurs`] if the socket belongs to another user,
    /// [`ClientError::Mismatch`] if the daemon speaks another protocol, [`ClientError::Broken`] if the answer follows none.
    pub fn connect_with(endpoint: &Endpoint, options: &ClientOptions) -> Result<Self, ClientError> {
        let path = endpoint.path();
        let unreachable = |source| ClientError::Unreachable {
            path: path.to_path_buf(),
            source,
        };
        check_owner(endpoint)?;
        let stream = ConnectOptions::new()
            .name(endpoint.name().map_err(|e| unreachable(Unreachable::Io(e)))?)
            .wait_mode(ConnectWaitMode::Timeout(options.connect_limit))
            .connect_sync()
            .map_err(|e| unreachable(reason(e, options.connect_limit)))?;
        check_peer(&stream, path)?;

        let mut client = Self {
            reader: BufReader::new(TimedStream { stream, deadline: None }),
            next_id: 1,
            answer_limit: Some(options.connect_limit),
            server: hello::welcome(""),
        };
        let greeting = hello::greeting(&options.client, &options.version);
        client.server = client.call::<method::Hello>(&greeting).map_err(|e| match e {
            ClientError::Lost { .. } => unreachable(Unreachable::Closed),
            ClientError::TimedOut { limit, .. } => unreachable(Unreachable::TimedOut(limit)),
            ClientError::Rpc(e) if e.kind() == ErrorKind::ProtocolMismatch => ProtocolMismatch {
                ours: crate::PROTOCOL,
                theirs: e.data.and_then(|data| data.protocol).unwrap_or(0),
                version: "unknown".to_owned(),
            }
            .into(),
            other => other,
        })?;
        hello::check_server(&client.server)?;
        client.answer_limit = options.answer_limit;
        Ok(client)
    }

    /// Returns what the daemon said about itself.
    pub fn server(&self) -> &HelloAnswer {
        &self.server
    }

    /// Decides whether the daemon has a capability; see [`hello::CAPABILITIES`].
    pub fn can(&self, capability: &str) -> bool {
        self.server.capabilities.iter().any(|name| name == capability)
    }

    /// Sets the limit for the answers that follow; `None` waits for ever.
    pub fn set_answer_limit(&mut self, limit: Option<Duration>) {
        self.answer_limit = limit;
    }

    /// Sends a request and waits for the answer.
    pub fn call<M: Method>(&mut self, params: &M::Params) -> Result<M::Answer, ClientError> {
        let result = self.exchange::<M>(params)?;
        serde_json::from_value(result).map_err(|e| ClientError::Broken {
            method: M::NAME,
            what: e.to_string(),
        })
    }

    /// Turns the connection into a stream of events that starts with the current status.
    pub fn subscribe(mut self) -> Result<Subscription, ClientError> {
        let status = self.call::<method::Subscribe>(&NoParams {})?;
        self.reader.get_mut().deadline = None;
        Ok(Subscription { status, client: self })
    }

    fn exchange<M: Method>(&mut self, params: &M::Params) -> Result<Value, ClientError> {
        let id = Id::from(self.next_id);
        self.next_id += 1;
        let request = frame::encode_request(&id, M::NAME, params);
        if request.len() > MAX_REQUEST_BYTES {
            return Err(ClientError::RequestTooLarge { length: request.len() });
        }
        let limit = self.answer_limit;
        let failed = |e: io::Error| match (e.kind(), limit) {
            (io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock, Some(limit)) => ClientError::TimedOut { method: M::NAME, limit },
            (io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof, _) => {
                ClientError::Lost { method: M::NAME }
            }
            _ => ClientError::Io(e),
        };
        let stream = self.reader.get_mut();
        stream.deadline = limit.map(|limit| Instant::now() + limit);
        stream.stream.set_send_timeout(limit)?;
        // A daemon that refuses a request sends the reason before it closes. That reason is read even if the request could not be sent.
        let sent = (&stream.stream).write_all(&request).map_err(failed);
        if let Err(error @ (ClientError::TimedOut { .. } | ClientError::Io(_))) = sent {
            return Err(error);
        }
        loop {
            let broken = |what: String| ClientError::Broken { method: M::NAME, what };
            let line = match frame::read_line(&mut self.reader, MAX_ANSWER_BYTES) {
                Ok(Some(line)) => line,
                Ok(None) | Err(ReadLineError::Truncated) => return Err(ClientError::Lost { method: M::NAME }),
                Err(ReadLineError::Io(e)) => return Err(failed(e)),
                Err(e @ ReadLineError::TooLong(_)) => return Err(broken(e.to_string())),
            };
            match frame::parse_incoming(&line).map_err(broken)? {
                Incoming::Response { id: Some(other), .. } if other != id => {
                    return Err(broken("it answers another request".to_owned()));
                }
                Incoming::Response { id: Some(_), outcome } => return Ok(outcome?),
                // Errors without an id are about the connection, such as a daemon that is shutting down.
                Incoming::Response {
                    id: None,
                    outcome: Err(error),
                } => return Err(error.into()),
                Incoming::Response { id: None, .. } => return Err(broken("it has no id".to_owned())),
                Incoming::Notification { .. } => {}
            }
        }
    }
}

/// Events as they arrive. The iterator ends when the daemon closes the connection.
#[derive(Debug)]
pub struct Subscription {
    status: Status,
    client: Client,
}

impl Subscription {
    /// Returns the status at the start of the subscription: the events continue from there.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// Returns what the daemon said about itself.
    pub fn server(&self) -> &HelloAnswer {
        &self.client.server
    }

    /// Waits for the next event until `deadline`; `None` if none arrived or the connection ended.
    pub fn next_before(&mut self, deadline: Instant) -> Option<Result<Event, ClientError>> {
        self.client.reader.get_mut().deadline = Some(deadline);
        let ready = match self.client.reader.fill_buf() {
            Ok(bytes) => !bytes.is_empty(),
            Err(e) if e.kind() == io::ErrorKind::TimedOut => false,
            Err(_) => true,
        };
        self.client.reader.get_mut().deadline = None;
        if ready { self.next() } else { None }
    }
}

impl Iterator for Subscription {
    type Item = Result<Event, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        const METHOD: &str = method::Subscribe::NAME;
        loop {
            let broken = |what: String| Some(Err(ClientError::Broken { method: METHOD, what }));
            let line = match frame::read_line(&mut self.client.reader, MAX_ANSWER_BYTES) {
                Ok(Some(line)) => line,
                Ok(None) => return None,
                Err(ReadLineError::Truncated) => return Some(Err(ClientError::Lost { method: METHOD })),
                Err(ReadLineError::Io(e)) if e.kind() == io::ErrorKind::ConnectionReset => return None,
                Err(ReadLineError::Io(e)) => return Some(Err(e.into())),
                Err(e @ ReadLineError::TooLong(_)) => return broken(e.to_string()),
            };
            match frame::parse_incoming(&line) {
                Ok(Incoming::Notification { method, params }) if method == EVENT_METHOD => {
                    // Events of a later version are skipped.
                    if let Ok(event) = serde_json::from_value(params) {
                        return Some(Ok(event));
                    }
                }
                Ok(Incoming::Notification { .. }) => {}
                Ok(Incoming::Response { outcome: Err(error), .. }) => return Some(Err(error.into())),
                Ok(Incoming::Response { .. }) => return broken("it answers no request".to_owned()),
                Err(what) => return broken(what),
            }
        }
    }
}

fn reason(error: io::Error, limit: Duration) -> Unreachable {
    match error.kind() {
        io::ErrorKind::NotFound => Unreachable::NoSocket,
        io::ErrorKind::ConnectionRefused => Unreachable::Refused,
        io::ErrorKind::PermissionDenied => Unreachable::Permission,
        io::ErrorKind::TimedOut => Unreachable::TimedOut(limit),
        io::ErrorKind::WouldBlock => Unreachable::Busy,
        _ => Unreachable::Io(error),
    }
}

/// Refuses a folder or socket of another user before anything is sent. A socket that another user put there would get every query and path.
#[cfg(unix)]
fn check_owner(endpoint: &Endpoint) -> Result<(), ClientError> {
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};

    let unreachable = |source| ClientError::Unreachable {
        path: endpoint.path().to_path_buf(),
        source,
    };
    let looked = |result: io::Result<std::fs::Metadata>| {
        result.map_err(|e| {
            unreachable(match e.kind() {
                io::ErrorKind::NotADirectory => Unreachable::NoSocket,
                _ => reason(e, Duration::ZERO),
            })
        })
    };
    let us = rustix::process::geteuid().as_raw();
    let folder = looked(std::fs::metadata(endpoint.folder()))?;
    if folder.uid() != us {
        let (path, uid) = (endpoint.folder().to_path_buf(), folder.uid());
        let what = "the socket's folder";
        return Err(ClientError::NotOurs { path, what, uid });
    }
    let socket = looked(std::fs::symlink_metadata(endpoint.path()))?;
    if !socket.file_type().is_socket() {
        return Err(unreachable(Unreachable::NotASocket));
    }
    if socket.uid() != us {
        let (path, uid) = (endpoint.path().to_path_buf(), socket.uid());
        let what = "the socket";
        return Err(ClientError::NotOurs { path, what, uid });
    }
    Ok(())
}

#[cfg(unix)]
fn check_peer(stream: &Stream, path: &Path) -> Result<(), ClientError> {
    let us = rustix::process::geteuid().as_raw();
    match stream.peer_creds().ok().and_then(|creds| creds.euid()) {
        Some(uid) if uid == us => Ok(()),
        Some(uid) => Err(ClientError::NotOurs {
            path: path.to_path_buf(),
            what: "the program that listens at",
            uid,
        }),
        // A peer whose user is unknown is not trusted.
        None => Err(ClientError::Unreachable {
            path: path.to_path_buf(),
            source: Unreachable::Io(io::Error::other("the system does not say who listens there")),
        }),
    }
}

#[cfg(not(unix))]
fn check_owner(_endpoint: &Endpoint) -> Result<(), ClientError> {
    Ok(())
}

#[cfg(not(unix))]
fn check_peer(_stream: &Stream, _path: &Path) -> Result<(), ClientError> {
    Ok(())
}
