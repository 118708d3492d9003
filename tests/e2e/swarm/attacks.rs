//! What one hostile client does, repeatedly. Every attack ends by itself within about a second, so that it can be stopped.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// One round of an attack: the socket, a folder of odd files, and the number of the round.
type Attack = fn(&Path, &Path, u64);

pub(super) const ATTACKS: [(&str, Attack); 16] = [
    ("garbage", garbage),
    ("half lines", half_lines),
    ("never reads its answers", never_reads),
    ("a byte now and then", slow_writer),
    ("bytes without a line end", no_line_end),
    ("a flood of requests", flood),
    ("connects and leaves", connects_and_leaves),
    ("leaves in the middle", leaves_in_the_middle),
    ("deep nesting", deep_nesting),
    ("huge values", huge_values),
    ("ids twice and no UTF-8", odd_ids),
    ("subscribes", subscribes),
    ("waits", waits),
    ("odd files", odd_files),
    ("expensive questions", expensive),
    ("every other verb", other_verbs),
];

/// How long an attack holds its resources.
const HOLD: Duration = Duration::from_millis(700);

fn connect(socket: &Path) -> Option<UnixStream> {
    let stream = UnixStream::connect(socket).ok()?;
    stream.set_write_timeout(Some(HOLD)).ok()?;
    stream.set_read_timeout(Some(HOLD)).ok()?;
    Some(stream)
}

fn greeted(socket: &Path) -> Option<UnixStream> {
    let mut stream = connect(socket)?;
    let hello = request(&json!(0), "hello", &json!({"protocol": 1, "client": "hostile", "version": "0"}));
    stream.write_all(&hello).ok()?;
    Some(stream)
}

fn request(id: &Value, method: &str, params: &Value) -> Vec<u8> {
    format!("{}\n", json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})).into_bytes()
}

/// Writes the same bytes until the daemon accepts no more, or for as long as an attack lasts.
fn pour(stream: &mut UnixStream, bytes: &[u8]) {
    let deadline = Instant::now() + HOLD;
    while Instant::now() < deadline && stream.write_all(bytes).is_ok() {}
}

/// Reads and drops everything, for as long as an attack lasts.
fn drain(stream: &mut UnixStream) {
    let deadline = Instant::now() + HOLD;
    let mut piece = [0; 8192];
    while Instant::now() < deadline && stream.read(&mut piece).is_ok_and(|n| n > 0) {}
}

/// Sends requests, then drops the answers until none arrives, or for as long as an attack lasts.
fn ask(socket: &Path, requests: &[Vec<u8>]) {
    let Some(mut stream) = greeted(socket) else { return };
    for request in requests {
        if stream.write_all(request).is_err() {
            break;
        }
    }
    drain(&mut stream);
}

fn garbage(socket: &Path, _: &Path, round: u64) {
    let Some(mut stream) = (if round.is_multiple_of(2) {
        greeted(socket)
    } else {
        connect(socket)
    }) else {
        return;
    };
    let mut seed = round.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = vec![0_u8; 60_000];
    for byte in &mut bytes {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        *byte = if seed.is_multiple_of(40) { b'\n' } else { (seed >> 32) as u8 };
    }
    pour(&mut stream, &bytes);
    drain(&mut stream);
}

fn half_lines(socket: &Path, _: &Path, round: u64) {
    let mut held = Vec::new();
    for size in [1, 100, 10_000, 1_000_000] {
        let Some(mut stream) = greeted(socket) else { continue };
        let text = format!("{{\"jsonrpc\":\"2.0\",\"id\":{round},\"method\":\"search\",\"params\":{{\"query\":\"");
        if stream.write_all(text.as_bytes()).is_ok() && stream.write_all(&vec![b'x'; size]).is_ok() {
            held.push(stream);
        }
    }
    testkit::pause(HOLD);
}

fn never_reads(socket: &Path, _: &Path, round: u64) {
    let Some(mut stream) = greeted(socket) else { return };
    for id in 0..1000 {
        let question = request(&id.into(), "search", &json!({"query": format!("red {round}"), "n": 1000}));
        if stream.write_all(&question).is_err() {
            break;
        }
    }
    testkit::pause(HOLD);
}

fn slow_writer(socket: &Path, _: &Path, _: u64) {
    let Some(mut stream) = connect(socket) else { return };
    let hello = request(&json!(0), "hello", &json!({"protocol": 1, "client": "slow", "version": "0"}));
    for byte in hello.chunks(1).take(14) {
        if stream.write_all(byte).is_err() {
            return;
        }
        testkit::pause(HOLD / 10);
    }
}

fn no_line_end(socket: &Path, _: &Path, round: u64) {
    let Some(mut stream) = (if round.is_multiple_of(2) {
        greeted(socket)
    } else {
        connect(socket)
    }) else {
        return;
    };
    pour(&mut stream, &vec![b'x'; 1 << 20]);
}

fn flood(socket: &Path, _: &Path, _: u64) {
    let Some(mut stream) = greeted(socket) else { return };
    pour(&mut stream, &request(&json!(1), "status", &json!({})).repeat(100));
}

fn connects_and_leaves(socket: &Path, _: &Path, _: u64) {
    let deadline = Instant::now() + HOLD;
    while Instant::now() < deadline {
        let many: Vec<_> = (0..8).filter_map(|_| connect(socket)).collect();
        drop(many);
    }
}

fn leaves_in_the_middle(socket: &Path, _: &Path, round: u64) {
    let deadline = Instant::now() + HOLD;
    let mut n = round;
    while Instant::now() < deadline {
        n += 1;
        let Some(mut stream) = greeted(socket) else { return };
        let question = request(&n.into(), "search", &json!({"query": format!("leaving {n}"), "n": 1000}));
        let sent = match n % 4 {
            // Leaves in the middle of the request, of the answer, of a stream, and half closed.
            0 => stream.write_all(&question[..question.len() / 2]),
            1 => stream.write_all(&question).and_then(|()| stream.read(&mut [0; 300]).map(|_| ())),
            2 => stream.write_all(&request(&n.into(), "subscribe", &json!({}))),
            _ => stream.write_all(&question).and_then(|()| stream.shutdown(Shutdown::Write)),
        };
        drop(sent);
    }
}

fn deep_nesting(socket: &Path, _: &Path, round: u64) {
    let depth = 100_000;
    let deep = match round % 3 {
        0 => "[".repeat(depth) + &"]".repeat(depth),
        1 => "{\"a\":".repeat(depth) + "1" + &"}".repeat(depth),
        _ => "[".repeat(depth * 9),
    };
    let inside = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"search\",\"params\":{{\"query\":\"a\",\"x\":{deep}}}}}\n");
    ask(socket, &[format!("{deep}\n").into_bytes(), inside.into_bytes()]);
}

fn huge_values(socket: &Path, _: &Path, _: u64) {
    let long = "\u{1}".repeat(150_000);
    let digits = "9".repeat(900_000);
    ask(
        socket,
        &[
            request(&json!(long), "status", &json!({})),
            request(&json!(1), &long, &json!({})),
            request(&json!(2), "search", &json!({"query": long})),
            request(&json!(3), "scenes", &json!({"path": format!("/{long}")})),
            request(
                &json!(4),
                "why",
                &json!({"path": format!("/{}", "a/".repeat(400_000)), "query": "red"}),
            ),
            request(&json!(5), "search", &json!({"query": "red", "n": u64::MAX})),
            request(&json!(6), "wait", &json!({"timeout_ms": u64::MAX})),
            format!("{{\"jsonrpc\":\"2.0\",\"id\":{digits},\"method\":\"status\"}}\n").into_bytes(),
            format!("{{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"pause\",\"params\":{{\"for_ms\":1e{digits}}}}}\n").into_bytes(),
            request(&json!(8), "status", &json!({"many": vec![0; 400_000]})),
        ],
    );
}

fn odd_ids(socket: &Path, _: &Path, _: u64) {
    let mut requests = vec![request(&json!(1), "status", &json!({})); 20];
    requests.push(b"{\"jsonrpc\":\"2.0\",\"id\":\"\xff\xfe\",\"method\":\"status\"}\n".to_vec());
    requests.push(b"{\"id\":1,\"id\":2,\"jsonrpc\":\"2.0\",\"method\":\"status\",\"method\":\"search\"}\n".to_vec());
    requests.push(b"{\"jsonrpc\":\"2.0\",\"id\":\"\\ud800\",\"method\":\"status\"}\n".to_vec());
    requests.push(vec![b'\n'; 900_000]);
    requests.push(b"\x00\x00\x00\n\r\n\r\r\n".to_vec());
    ask(socket, &requests);
}

fn subscribes(socket: &Path, _: &Path, _: u64) {
    let mut held = Vec::new();
    for id in 0..4 {
        let Some(mut stream) = greeted(socket) else { continue };
        // Keeps sending requests on a subscribed connection, and reads none of the events.
        if stream.write_all(&request(&json!(id), "subscribe", &json!({})).repeat(50)).is_ok() {
            held.push(stream);
        }
    }
    testkit::pause(HOLD);
}

fn waits(socket: &Path, _: &Path, _: u64) {
    let mut held = Vec::new();
    for id in 0..4 {
        let Some(mut stream) = greeted(socket) else { continue };
        if stream
            .write_all(&request(&json!(id), "wait", &json!({"timeout_ms": id})).repeat(200))
            .is_ok()
        {
            held.push(stream);
        }
    }
    testkit::pause(HOLD);
}

fn odd_files(socket: &Path, odd: &Path, round: u64) {
    let names = [
        "fifo",
        "zero",
        "socket",
        "folder",
        "sparse.mp4",
        "noise.mp4",
        "link in a circle",
        "tty",
        "missing",
    ];
    let path = odd.join(names[round as usize % names.len()]);
    let file = json!({"path": path});
    ask(
        socket,
        &[
            request(&json!(1), "similar", &file),
            request(&json!(2), "similar", &json!({"path": path, "at_ms": u64::MAX})),
            request(&json!(3), "scenes", &file),
            request(&json!(4), "why", &file),
            request(&json!(5), "add", &json!({"path": path.join("below")})),
            request(&json!(6), "rescan", &json!({"scope": file})),
            request(&json!(7), "model_info", &json!({"model": path})),
            request(&json!(8), "model_info", &json!({"model": odd.join("model of pipes")})),
            request(&json!(9), "model_use", &json!({"model": odd.join("model of pipes")})),
            request(&json!(10), "model_info", &json!({"model": odd.join("model of zeros")})),
        ],
    );
}

fn expensive(socket: &Path, _: &Path, round: u64) {
    let many: Vec<Value> = (0..20_000).map(|n| json!({"path": format!("/nowhere/{n}")})).collect();
    let not: Vec<String> = (0..2000).map(|n| format!("thing {n}")).collect();
    ask(
        socket,
        &[
            request(
                &json!(1),
                "search",
                &json!({"query": format!("a {round}"), "n": 1000, "by": "video"}),
            ),
            request(&json!(2), "search", &json!({"query": "red", "n": 1000, "in": many})),
            request(&json!(3), "search", &json!({"query": "red", "n": 1000, "not": not})),
            request(&json!(4), "doctor", &json!({})),
        ],
    );
}

fn other_verbs(socket: &Path, odd: &Path, _: u64) {
    ask(
        socket,
        &[
            request(&json!(1), "doctor", &json!({})),
            request(&json!(2), "model_list", &json!({})),
            request(&json!(3), "model_use", &json!({"model": "starter"})),
            request(&json!(4), "rescan", &json!({})),
            request(&json!(5), "retry", &json!({})),
            request(&json!(6), "incidents", &json!({})),
            request(&json!(7), "folders", &json!({})),
            request(&json!(8), "remove", &json!({"path": odd, "dry_run": true})),
            request(&json!(9), "pause", &json!({})),
            request(&json!(10), "resume", &json!({})),
            request(&json!(11), "thumbnail", &json!({"scene": "0000000000-0"})),
        ],
    );
}
