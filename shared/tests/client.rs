//! Tests the client against a server thread that plays every kind of daemon, over a real socket.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "what helpers of tests unwrap fails the test")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use scened_shared::client::{Client, ClientError, ClientOptions, Unreachable};
use scened_shared::endpoint::Endpoint;
use scened_shared::frame::{self, MAX_ANSWER_BYTES, RpcError};
use scened_shared::hello;
use scened_shared::message::{ErrorKind, Event, NoParams, Status, WaitRequest};
use scened_shared::method;
use tempfile::TempDir;

struct Server {
    folder: TempDir,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn endpoint(&self) -> Endpoint {
        Endpoint::new(&self.folder.path().join("s")).unwrap()
    }

    fn connect(&self) -> Result<Client, ClientError> {
        let options = ClientOptions {
            connect_limit: Duration::from_secs(5),
            answer_limit: Some(Duration::from_secs(5)),
            ..ClientOptions::default()
        };
        Client::connect_with(&self.endpoint(), &options)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take()
            && !std::thread::panicking()
        {
            thread.join().unwrap();
        }
    }
}

/// Starts a server that says hello correctly and then runs `then` on the one connection that it accepts.
fn polite(then: impl FnOnce(&mut BufReader<UnixStream>) + Send + 'static) -> Server {
    raw(|stream| {
        let id = read_request(stream).id;
        answer(stream, &frame::encode_response(&id, &Ok(hello::welcome("0.1.0"))));
        then(stream);
    })
}

fn raw(then: impl FnOnce(&mut BufReader<UnixStream>) + Send + 'static) -> Server {
    let folder = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(folder.path().join("s")).unwrap();
    let thread = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        then(&mut BufReader::new(stream));
    });
    let thread = Some(thread);
    Server { folder, thread }
}

fn read_request(stream: &mut BufReader<UnixStream>) -> frame::Request {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line).unwrap();
    frame::parse_request(&line).unwrap()
}

fn answer(stream: &mut BufReader<UnixStream>, bytes: &[u8]) {
    // The client may have left; some tests are about that.
    stream.get_mut().write_all(bytes).unwrap_or_default();
}

fn wait_for_end(stream: &mut BufReader<UnixStream>) {
    std::io::copy(stream, &mut std::io::sink()).unwrap_or_default();
}

#[test]
fn a_call_is_answered() {
    let server = polite(|stream| {
        let request = read_request(stream);
        assert_eq!(request.method, "status");
        let status = Status {
            scenes: 7,
            ..Status::default()
        };
        answer(stream, &frame::encode_response(&request.id, &Ok(status)));
        wait_for_end(stream);
    });
    let mut client = server.connect().unwrap();
    assert!(client.can("search") && !client.can("dance"));
    assert_eq!(client.call::<method::Status>(&NoParams {}).unwrap().scenes, 7);
}

#[test]
fn nobody_there_is_told_apart() {
    let check = |path: &Path, expected: &str| match Client::connect(&Endpoint::new(path).unwrap()) {
        Err(ClientError::Unreachable { source, .. }) => assert_eq!(source.to_string(), expected, "{}", path.display()),
        other => panic!("{}: {other:?}", path.display()),
    };
    let folder = tempfile::tempdir().unwrap();
    check(&folder.path().join("none"), "there is no socket");
    check(&folder.path().join("no/folder"), "there is no socket");
    std::fs::write(folder.path().join("file"), "").unwrap();
    check(&folder.path().join("file"), "it is not a socket");
    check(&folder.path().join("file/s"), "there is no socket");
    drop(UnixListener::bind(folder.path().join("stale")).unwrap());
    check(&folder.path().join("stale"), "nothing listens there");
    std::os::unix::fs::symlink("stale", folder.path().join("link")).unwrap();
    check(&folder.path().join("link"), "it is not a socket");
}

#[test]
fn a_folder_of_somebody_else_is_refused() {
    // A folder that is not ours: for a user, one of root's; for root, one given away.
    let folder = tempfile::tempdir().unwrap();
    let path = if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(folder.path(), Some(65534), None).unwrap();
        folder.path().join("s")
    } else {
        Path::new("/").join("s")
    };
    let error = Client::connect(&Endpoint::new(&path).unwrap()).unwrap_err();
    assert!(matches!(error, ClientError::NotOurs { .. }), "{error:?}");
    assert!(error.to_string().contains("belongs to another user"), "{error}");
}

#[test]
fn another_protocol_is_a_mismatch_whoever_notices() {
    let refuses = raw(|stream| {
        let id = read_request(stream).id;
        let error = RpcError::new(ErrorKind::ProtocolMismatch, "other").protocol(9);
        answer(stream, &frame::encode_error(Some(&id), &error));
    });
    let answers = raw(|stream| {
        let id = read_request(stream).id;
        let mut welcome = hello::welcome("9.0");
        welcome.protocol = 9;
        answer(stream, &frame::encode_response(&id, &Ok(welcome)));
    });
    for server in [refuses, answers] {
        match server.connect() {
            Err(ClientError::Mismatch(mismatch)) => assert_eq!((mismatch.ours, mismatch.theirs), (1, 9)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_error_keeps_its_kind_causes_and_hint() {
    let sent = RpcError::new(ErrorKind::NotFound, "no such video").cause("why").hint("try");
    let error = sent.clone();
    let server = polite(move |stream| {
        let id = read_request(stream).id;
        answer(stream, &frame::encode_error(Some(&id), &error));
    });
    match server.connect().unwrap().call::<method::Status>(&NoParams {}) {
        Err(ClientError::Rpc(error)) => assert_eq!(error, sent),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_no_answer_is_broken() {
    let check = |line: &'static [u8], what: &str| {
        let server = polite(move |stream| {
            read_request(stream);
            answer(stream, line);
            answer(stream, b"\n");
        });
        match server.connect().unwrap().call::<method::Status>(&NoParams {}) {
            Err(error @ ClientError::Broken { .. }) => assert!(error.to_string().contains(what), "{error}"),
            other => panic!("{}: {other:?}", String::from_utf8_lossy(line)),
        }
    };
    check(b"\xff\x00 HTTP/1.1 200 OK", "not JSON");
    check(b"[1]", "no JSON object");
    check(br#"{"jsonrpc":"2.0","id":2}"#, "neither");
    check(br#"{"jsonrpc":"2.0","id":99,"result":{}}"#, "another request");
    check(br#"{"jsonrpc":"2.0","id":2,"result":{}}"#, "missing field");
}

#[test]
fn a_daemon_that_goes_away_is_lost() {
    let server = polite(|stream| {
        read_request(stream);
        answer(stream, b"{\"jsonrpc\":\"2.0\",");
    });
    let error = server.connect().unwrap().call::<method::Status>(&NoParams {}).unwrap_err();
    assert!(matches!(error, ClientError::Lost { method: "status" }), "{error:?}");
    let error = raw(|stream| {
        read_request(stream);
    })
    .connect()
    .unwrap_err();
    assert!(
        matches!(
            error,
            ClientError::Unreachable {
                source: Unreachable::Closed,
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn a_huge_answer_is_given_up_at_the_limit() {
    let server = polite(|stream| {
        read_request(stream);
        let piece = vec![b'x'; 1 << 20];
        let mut sent = 0;
        while stream.get_mut().write_all(&piece).is_ok() {
            sent += piece.len();
            assert!(sent < 2 * MAX_ANSWER_BYTES, "the client reads on");
        }
    });
    let mut client = server.connect().unwrap();
    client.set_answer_limit(None);
    let error = client.call::<method::Status>(&NoParams {}).unwrap_err();
    assert!(
        matches!(error, ClientError::Broken { .. }) && error.to_string().contains("67108864"),
        "{error:?}"
    );
    drop(client);
}

#[test]
fn a_request_that_is_too_large_is_not_sent() {
    let server = polite(wait_for_end);
    let mut client = server.connect().unwrap();
    let request = scened_shared::message::ModelRequest {
        reindex: false,
        model: "x".repeat(1 << 20),
    };
    let error = client.call::<method::ModelInfo>(&request).unwrap_err();
    assert!(matches!(error, ClientError::RequestTooLarge { .. }), "{error:?}");
}

#[test]
fn a_slow_daemon_has_a_limit_even_where_it_dribbles() {
    let (stop, stopped) = mpsc::sync_channel::<()>(1);
    let server = polite(move |stream| {
        read_request(stream);
        // A blank every 20 ms ends the silence, but is not an answer.
        while stopped.recv_timeout(Duration::from_millis(20)).is_err() {
            answer(stream, b" ");
        }
    });
    let mut client = server.connect().unwrap();
    let start = Instant::now();
    client.set_answer_limit(Some(Duration::from_millis(200)));
    let error = client.call::<method::Wait>(&WaitRequest::default()).unwrap_err();
    stop.send(()).unwrap();
    assert!(matches!(error, ClientError::TimedOut { method: "wait", .. }), "{error:?}");
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}

#[test]
fn a_silent_daemon_is_unreachable() {
    let server = raw(wait_for_end);
    let options = ClientOptions {
        connect_limit: Duration::from_millis(100),
        ..ClientOptions::default()
    };
    let error = Client::connect_with(&server.endpoint(), &options).unwrap_err();
    assert!(
        matches!(
            error,
            ClientError::Unreachable {
                source: Unreachable::TimedOut(_),
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn a_subscription_replays_then_streams_and_passes_over_the_unknown() {
    let server = polite(|stream| {
        let id = read_request(stream).id;
        let status = Status {
            scenes: 1,
            ..Status::default()
        };
        answer(stream, &frame::encode_response(&id, &Ok(status)));
        answer(
            stream,
            &frame::encode_notification("event", &serde_json::json!({"event": "from_the_future"})),
        );
        answer(stream, &frame::encode_notification("other", &1));
        let status = Box::new(Status {
            scenes: 2,
            ..Status::default()
        });
        answer(stream, &frame::encode_event(&Event::Status { status }));
    });
    let mut events = server.connect().unwrap().subscribe().unwrap();
    assert_eq!(events.status().scenes, 1);
    match events.next() {
        Some(Ok(Event::Status { status })) => assert_eq!(status.scenes, 2),
        other => panic!("{other:?}"),
    }
    assert!(events.next().is_none());
}

#[test]
fn a_subscription_can_be_waited_on_for_a_while() {
    let (go, gone) = mpsc::sync_channel::<()>(1);
    let server = polite(move |stream| {
        let id = read_request(stream).id;
        answer(stream, &frame::encode_response(&id, &Ok(Status::default())));
        gone.recv().unwrap();
        let file = scened_shared::wire_path::WirePath::new(Path::new("/a"));
        answer(stream, &frame::encode_event(&Event::VideoRemoved { file }));
    });
    let mut events = server.connect().unwrap().subscribe().unwrap();
    assert!(events.next_before(Instant::now() + Duration::from_millis(50)).is_none());
    go.send(()).unwrap();
    let event = events.next_before(Instant::now() + Duration::from_secs(5));
    assert!(matches!(event, Some(Ok(Event::VideoRemoved { .. }))), "{event:?}");
}
