//! Clients that are broken, hostile, many or slow.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::{Sandbox, Wire, processes, wait_until};

use crate::SOON;

fn kind(answer: &Value) -> &str {
    answer["error"]["data"]["kind"]
        .as_str()
        .unwrap_or_else(|| panic!("no error: {answer}"))
}

fn still_answers(sandbox: &Sandbox) {
    let answer = Wire::greeted(&sandbox.socket()).call("status", &json!({}));
    assert!(answer["result"]["state"].is_string(), "{answer}");
}

#[test]
fn garbage_is_answered_and_the_connection_goes_on() {
    let sandbox = Sandbox::new();
    let _daemon = sandbox.start();
    let mut wire = Wire::greeted(&sandbox.socket());
    for (line, expected) in [
        (&b"hello?\n"[..], "parse"),
        (b"\xff\xfe\xfd\n", "parse"),
        (b"{\n", "parse"),
        (b"[]\n", "invalid-request"),
        (b"{}\n", "invalid-request"),
        (
            b"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"search\",\"params\":[1]}\n",
            "invalid-request",
        ),
        (
            b"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"search\",\"params\":{}}\n",
            "invalid-params",
        ),
        (
            b"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"search\",\"params\":{\"query\":5}}\n",
            "invalid-params",
        ),
    ] {
        wire.send(line).unwrap();
        let answer = wire.line().expect("an answer");
        assert_eq!(kind(&answer), expected, "{}", String::from_utf8_lossy(line));
    }
    wire.send("[".repeat(60_000).as_bytes()).unwrap();
    wire.send(b"\n\n\r\n").unwrap();
    assert_eq!(kind(&wire.line().expect("an answer")), "parse");
    assert_eq!(kind(&wire.call("sing", &json!({}))), "unknown-method");
    assert!(wire.call("status", &json!({"more": [1, 2]}))["result"].is_object());
}

#[test]
fn half_a_line_waits_for_its_other_half() {
    let sandbox = Sandbox::new();
    let _daemon = sandbox.start();
    let mut wire = Wire::greeted(&sandbox.socket());
    wire.send(b"{\"jsonrpc\":\"2.0\",\"id\":77,\"met").unwrap();
    still_answers(&sandbox);
    wire.send(b"hod\":\"status\"}\n").unwrap();
    assert_eq!(wire.line().unwrap()["id"], 77);

    let mut gone = Wire::greeted(&sandbox.socket());
    gone.send(b"{\"jsonrpc\":\"2.0\",\"id\":78,").unwrap();
    drop(gone);
    let mut ended = Wire::greeted(&sandbox.socket());
    ended.send(b"{\"jsonrpc\"").unwrap();
    ended.close_sending();
    assert_eq!(ended.line(), None);
    still_answers(&sandbox);
}

#[test]
fn a_gigabyte_without_a_line_end_costs_no_memory() {
    const MIB: usize = 1 << 20;
    let sandbox = Sandbox::new();
    let daemon = sandbox.start();
    still_answers(&sandbox);
    let before = processes::resident_kib(daemon.pid());
    let mut largest = before;
    let zeros = vec![0_u8; MIB];
    // Before hello, after it, and while the same client is subscribed to events.
    for stage in ["fresh", "greeted", "subscribed"] {
        let mut wire = match stage {
            "fresh" => Wire::connect(&sandbox.socket()),
            _ => Wire::greeted(&sandbox.socket()),
        };
        if stage == "subscribed" {
            wire.call("subscribe", &json!({}));
        }
        for _ in 0..1024 {
            if wire.send(&zeros).is_err() {
                break;
            }
            largest = largest.max(processes::resident_kib(daemon.pid()));
        }
        if stage != "subscribed"
            && let Some(answer) = wire.line()
        {
            assert_eq!(kind(&answer), "too-large", "{stage}");
        }
    }
    let grown = largest - before;
    assert!(grown < 20 * 1024, "the daemon grew by {grown} KiB");
    still_answers(&sandbox);
}

#[test]
fn hello_comes_first_and_speaks_this_protocol() {
    let sandbox = Sandbox::new();
    let _daemon = sandbox.start();
    let mut wire = Wire::connect(&sandbox.socket());
    assert_eq!(kind(&wire.call("status", &json!({}))), "hello-required");
    let refused = wire.call("hello", &json!({"protocol": 99, "client": "future", "version": "9"}));
    assert_eq!(
        (kind(&refused), &refused["error"]["data"]["protocol"]),
        ("protocol-mismatch", &1.into())
    );
    still_answers(&sandbox);
}

#[test]
fn a_client_of_another_protocol_ends_with_status_4() {
    use std::io::{BufRead as _, BufReader, Write as _};
    // Plays a future daemon, as far as a client talks to it; the test above shows that the real one refuses in the same words.
    let sandbox = Sandbox::new();
    let folder = sandbox.socket().parent().unwrap().to_owned();
    std::fs::create_dir(&folder).unwrap();
    let listener = std::os::unix::net::UnixListener::bind(sandbox.socket()).unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut line = String::new();
        BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).unwrap();
        let error = json!({"code": -32010, "message": "this daemon speaks protocol 99, the client 1",
                           "data": {"kind": "protocol-mismatch", "protocol": 99}});
        writeln!(stream, "{}", json!({"jsonrpc": "2.0", "id": 1, "error": error})).unwrap();
    });
    sandbox.say("status").expect(4).complains("protocol");
    server.join().unwrap();
}

#[test]
fn twenty_clients_at_once_are_all_answered() {
    let sandbox = Sandbox::new();
    sandbox.video("red.mp4", &[("red", 1.0)]);
    sandbox.video("green.mp4", &[("green", 1.0)]);
    let _daemon = sandbox.start();
    sandbox.settle();
    let socket = sandbox.socket();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..20)
            .map(|client| {
                let socket = &socket;
                scope.spawn(move || {
                    let mut wire = Wire::greeted(socket);
                    for round in 0..5 {
                        let query = format!("a red background {client} {round}");
                        let answer = wire.call("search", &json!({"query": query, "n": 5}));
                        let hits = answer["result"]["hits"].as_array().unwrap_or_else(|| panic!("{answer}"));
                        assert_eq!((hits.len(), &answer["result"]["query"]), (2, &query.into()));
                    }
                })
            })
            .collect();
        for client in clients {
            client.join().unwrap();
        }
    });
}

#[test]
fn more_clients_than_there_is_room_for_are_told_so() {
    let sandbox = Sandbox::new();
    let _daemon = sandbox.start();
    let mut held: Vec<Wire> = Vec::new();
    let refused = loop {
        assert!(held.len() < 1000, "there is no limit");
        let mut wire = Wire::connect(&sandbox.socket());
        // The daemon may have closed the connection already.
        let _sent = wire
            .send(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hello\",\"params\":{\"protocol\":1,\"client\":\"x\",\"version\":\"0\"}}\n");
        let answer = wire.line().expect("an answer, even that there is no room");
        if answer["error"].is_object() {
            break answer;
        }
        held.push(wire);
    };
    assert_eq!(kind(&refused), "overloaded");
    assert!(held.len() >= 20, "only {} clients", held.len());
    assert!(held[0].call("status", &json!({}))["result"].is_object(), "the others go on");
    drop(held);
    wait_until("room for a new client", SOON, || {
        let ran = sandbox.say("status");
        if ran.status == 0 { Ok(()) } else { Err(ran.stderr) }
    });
}

#[test]
fn a_program_that_takes_every_place_makes_room_for_another() {
    let sandbox = Sandbox::new();
    let _daemon = sandbox.start();
    let mut held: Vec<Wire> = Vec::new();
    loop {
        let mut wire = Wire::connect(&sandbox.socket());
        let hello = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hello\",\"params\":{\"protocol\":1,\"client\":\"x\",\"version\":\"0\"}}\n";
        if wire.send(hello).is_err() || wire.line().expect("an answer")["error"].is_object() {
            break;
        }
        held.push(wire);
        assert!(held.len() < 1000, "there is no limit");
    }
    // Another process gets in at once, as often as it likes. A connection that loses its slot gets the reason.
    for _ in 0..3 {
        sandbox.say("status").expect(0);
    }
    let answer = held[0].line().expect("a word before the end");
    assert_eq!((kind(&answer), &answer["id"]), ("overloaded", &Value::Null));
    assert_eq!(held[0].line(), None);
    let last = held.last_mut().unwrap();
    assert!(last.call("status", &json!({}))["result"].is_object(), "the others go on");
}

#[test]
fn one_that_sends_no_more_still_hears_its_answers() {
    let sandbox = Sandbox::new();
    sandbox.video("red.mp4", &[("red", 1.0)]);
    let _daemon = sandbox.start();
    sandbox.settle();
    let mut wire = Wire::greeted(&sandbox.socket());
    let first = wire.request("search", &json!({"query": "a question that has to be embedded"}));
    let second = wire.request("wait", &json!({}));
    wire.close_sending();
    for id in [first, second] {
        let answer = wire.line().expect("an answer");
        assert_eq!(answer["id"], id);
        assert!(answer["result"].is_object(), "{answer}");
    }
    assert_eq!(wire.line(), None);
}

#[test]
fn a_stream_of_events_answers_who_asks_there() {
    let sandbox = Sandbox::new();
    let _daemon = sandbox.start();
    sandbox.settle();
    let mut wire = Wire::greeted(&sandbox.socket());
    assert!(wire.call("subscribe", &json!({}))["result"].is_object());
    let id = wire.request("status", &json!({}));
    let answer = std::iter::from_fn(|| wire.line()).find(|line| line["method"].is_null()).unwrap();
    assert_eq!((kind(&answer), &answer["id"]), ("invalid-request", &id.into()));
}

#[test]
fn requests_that_ask_for_too_much_are_told_so() {
    let sandbox = Sandbox::new();
    let _daemon = sandbox.start();
    let mut wire = Wire::greeted(&sandbox.socket());
    let paths: Vec<Value> = (0..257).map(|n| json!({"path": format!("/{n}")})).collect();
    let long = "x".repeat(17_000);
    for (method, params, expected) in [
        ("search", json!({"query": "red", "in": paths}), "invalid-params"),
        ("search", json!({"query": "red", "not": vec!["blue"; 17]}), "invalid-params"),
        (
            "search",
            json!({"query": "red", "in": [{"path": format!("/{long}")}]}),
            "invalid-params",
        ),
        ("scenes", json!({"path": format!("/{long}")}), "invalid-params"),
        ("scenes", json!({"path": "/a", "path_bytes": long}), "invalid-params"),
        (&long, json!({}), "unknown-method"),
    ] {
        let answer = wire.call(method, &params);
        assert_eq!(kind(&answer), expected, "{method}");
        assert!(answer.to_string().len() < 6000, "it repeats too much of {method}");
    }
    for line in [
        json!({"jsonrpc": "2.0", "id": "x".repeat(1025), "method": "status"}),
        json!({"jsonrpc": "2.0", "id": 1, "method": "status", "params": {"x": vec![0; 20_000]}}),
    ] {
        wire.send(format!("{line}\n").as_bytes()).unwrap();
        assert_eq!(kind(&wire.line().unwrap()), "invalid-request");
    }
    still_answers(&sandbox);
}

#[test]
fn nothing_hangs_on_a_file_that_has_no_end_or_no_beginning() {
    let sandbox = Sandbox::new();
    let _daemon = sandbox.start();
    let model = sandbox.path().join("model");
    std::fs::create_dir(&model).unwrap();
    let pipe = model.join("config.json");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut wire = Wire::greeted(&sandbox.socket());
    // More often than there are threads.
    for _ in 0..12 {
        assert_eq!(kind(&wire.call("model_info", &json!({"model": model}))), "not-found");
        for path in [pipe.to_str().unwrap(), "/dev/zero", "/", sandbox.socket().to_str().unwrap()] {
            let answer = wire.call("similar", &json!({"path": path}));
            assert_eq!(kind(&answer), "not-found", "{path}: {answer}");
        }
    }
}

#[test]
fn a_client_that_does_not_read_slows_nobody() {
    let sandbox = Sandbox::new();
    for colour in ["red", "green", "blue"] {
        sandbox.video(format!("{colour}.mp4"), &[(colour, 1.0)]);
    }
    let _daemon = sandbox.start();
    sandbox.settle();
    // Sends requests and reads nothing, until the daemon accepts no more.
    let mut deaf = Wire::greeted(&sandbox.socket());
    deaf.limit_sending(Duration::from_millis(500));
    let request = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\"}\n".repeat(100);
    let mut n_sent = 0;
    while deaf.send(&request).is_ok() {
        n_sent += 100;
        assert!(n_sent < 1_000_000, "the daemon takes everything");
    }
    let mut wire = Wire::greeted(&sandbox.socket());
    for _ in 0..10 {
        let asked = Instant::now();
        let answer = wire.call("search", &json!({"query": "a red background", "n": 5}));
        assert_eq!(answer["result"]["hits"].as_array().unwrap().len(), 3);
        assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    }
}

#[test]
fn odd_queries_are_answered() {
    let sandbox = Sandbox::new();
    sandbox.video("red.mp4", &[("red", 1.0)]);
    let _daemon = sandbox.start();
    sandbox.settle();
    let mut wire = Wire::greeted(&sandbox.socket());
    for query in ["", " ", "\u{0}"] {
        let answer = wire.call("search", &json!({"query": query}));
        assert!(answer["error"].is_object() || answer["result"].is_object(), "{answer}");
        if query.trim().is_empty() {
            assert_eq!(kind(&answer), "invalid-params");
        }
    }
    let answer = wire.call("search", &json!({"query": "x".repeat(100_000)}));
    assert!(["invalid-params", "too-large"].contains(&kind(&answer)), "{answer}");
    for n in [0, 1001, u64::from(u32::MAX)] {
        assert_eq!(kind(&wire.call("search", &json!({"query": "red", "n": n}))), "invalid-params");
    }
    let mut fresh = Wire::greeted(&sandbox.socket());
    for (method, params) in [
        ("scenes", json!({"path": "/nowhere.mp4"})),
        ("thumbnail", json!({"scene": "nonsense"})),
        ("thumbnail", json!({"scene": "999999/999"})),
        ("model_use", json!({"model": ""})),
        ("model_use", json!({"model": "../../etc"})),
        ("why", json!({"path": "relative.mp4"})),
        ("add", json!({"path": "relative"})),
        ("add", json!({"path": "/a\u{0}b"})),
        ("similar", json!({"path": "/dev/null"})),
        ("remove", json!({"path": "/"})),
        ("retry", json!({"scope": {"path": "/nowhere"}})),
        ("wait", json!({"timeout_ms": -1})),
        ("pause", json!({"for_ms": "long"})),
    ] {
        let answer = fresh.call(method, &params);
        assert!(answer["error"]["message"].is_string(), "{method} {params}: {answer}");
        assert_ne!(kind(&answer), "internal", "{method} {params}: {answer}");
    }
    still_answers(&sandbox);
}

#[test]
fn a_scene_has_a_picture() {
    use base64::Engine as _;
    let sandbox = Sandbox::new();
    sandbox.video("red.mp4", &[("red", 1.0)]);
    let _daemon = sandbox.start();
    sandbox.settle();
    let hits = sandbox.search("red");
    let answer = Wire::greeted(&sandbox.socket()).call("thumbnail", &json!({"scene": hits[0]["scene"]}));
    let jpeg = base64::engine::general_purpose::STANDARD
        .decode(answer["result"]["jpeg"].as_str().unwrap_or_else(|| panic!("{answer}")))
        .unwrap();
    assert!(jpeg.starts_with(&[0xff, 0xd8]) && jpeg.ends_with(&[0xff, 0xd9]));
}

#[test]
fn subscribers_hear_state_first_and_then_what_happens() {
    let sandbox = Sandbox::new();
    let _daemon = sandbox.start();
    sandbox.settle();
    let mut wire = Wire::greeted(&sandbox.socket());
    let state = wire.call("subscribe", &json!({}));
    assert_eq!(state["result"]["videos"]["indexed"], 0, "{state}");
    let path = sandbox.video("red.mp4", &[("red", 1.0)]);
    let mut wait_for = |wanted: &str| {
        let deadline = Instant::now() + SOON;
        let mut heard = Vec::new();
        while Instant::now() < deadline {
            let event = wire.line().expect("the stream goes on");
            if event["params"]["event"] == wanted {
                return event;
            }
            heard.push(event["params"]["event"].clone());
        }
        panic!("no {wanted}, but {heard:?}");
    };
    assert_eq!(wait_for("video_indexed")["params"]["path"], path.to_str().unwrap());
    let moved = sandbox.videos().join("moved.mp4");
    std::fs::rename(&path, &moved).unwrap();
    let event = wait_for("video_moved");
    assert_eq!(
        (&event["params"]["path"], &event["params"]["from"]["path"]),
        (&moved.to_str().unwrap().into(), &path.to_str().unwrap().into())
    );
    std::fs::remove_file(&moved).unwrap();
    wait_for("video_removed");
    std::fs::write(sandbox.videos().join("bad.mp4"), "no video").unwrap();
    assert!(wait_for("video_failed")["params"]["reason"].is_string());
}
