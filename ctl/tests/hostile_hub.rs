//! The real `scenectl model install` against servers that are not hubs, or are malicious. It ends soon with a message, and leaves nothing
//! that fills a disk.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "what helpers of tests unwrap fails the test")]

use std::fs;
use std::io::{BufRead as _, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;
use testkit::Ran;

/// Long enough for a busy machine; without its limits an installation would continue forever.
const SOON: Duration = Duration::from_mins(2);

const FILES: [&str; 5] = [
    "config.json",
    "preprocessor_config.json",
    "tokenizer.json",
    "onnx/vision_model.onnx",
    "onnx/text_model.onnx",
];

type Answer = dyn Fn(&str, &str, &mut TcpStream) -> std::io::Result<()> + Send + Sync;

/// A server that answers each request by its method and path, as the test says, and closes the connection.
struct Hostile {
    address: String,
    n_requests: Arc<AtomicU32>,
    home: TempDir,
}

impl Hostile {
    fn new(answer: impl Fn(&str, &str, &mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let n_requests = Arc::new(AtomicU32::new(0));
        let (answer, counter): (Arc<Answer>, _) = (Arc::new(answer), Arc::clone(&n_requests));
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let answer = Arc::clone(&answer);
                counter.fetch_add(1, Ordering::Relaxed);
                std::thread::spawn(move || {
                    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                    let first = lines.next().and_then(Result::ok).unwrap_or_default();
                    while lines.next().and_then(Result::ok).is_some_and(|line| !line.is_empty()) {}
                    let mut words = first.split(' ');
                    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
                    // A client that has had enough disconnects.
                    answer(method, path, &mut stream).unwrap_or_default();
                });
            }
        });
        Self {
            address,
            n_requests,
            home: tempfile::tempdir().unwrap(),
        }
    }

    /// Makes a hub whose listing has these files; `answer` serves their content.
    fn with_files(
        names: &[&str],
        size: Option<u64>,
        answer: impl Fn(&str, &str, &mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let siblings: Vec<_> = names
            .iter()
            .map(|name| match size {
                Some(size) => json!({"rfilename": name, "size": size}),
                None => json!({"rfilename": name}),
            })
            .collect();
        let listing = json!({"sha": "a".repeat(40), "siblings": siblings}).to_string();
        Self::new(move |method, path, stream| {
            if path.starts_with("/api/") {
                send(stream, &[], listing.as_bytes())
            } else {
                answer(method, path, stream)
            }
        })
    }

    /// Installs; fails the test if that does not end.
    fn install(&self) -> Ran {
        self.install_within(SOON)
    }

    fn install_within(&self, limit: Duration) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_scenectl"));
        command.args(["model", "install", "evil/repo"]).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy().to_ascii_uppercase();
            if text.starts_with("HF_") || text.starts_with("HUGGING") || text.ends_with("_PROXY") {
                command.env_remove(&name);
            }
        }
        let home = self.home.path();
        fs::write(home.join("config.toml"), "min-free-mib = 0").unwrap();
        command
            .env("HF_ENDPOINT", &self.address)
            .env("HF_HOME", home.join("hf"))
            .env("HOME", home)
            .env("SCENED_CONFIG", home.join("config.toml"))
            .env("SCENED_DATA_DIR", home.join("data"))
            .env("SCENED_SOCKET", home.join("no.sock"));
        let start = Instant::now();
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let pid = child.id();
        let (done, ended) = std::sync::mpsc::sync_channel(1);
        std::thread::spawn(move || drop(done.send(child.wait_with_output())));
        let Ok(output) = ended.recv_timeout(limit) else {
            testkit::processes::signal(pid, "KILL");
            panic!("still running after {:?} and {} requests", start.elapsed(), self.n_requests());
        };
        Ran::from(&output.unwrap())
    }

    fn n_requests(&self) -> u32 {
        self.n_requests.load(Ordering::Relaxed)
    }

    fn left_bytes(&self) -> u64 {
        fn below(folder: &Path) -> u64 {
            let entries = fs::read_dir(folder)
                .map(|entries| entries.flatten().collect::<Vec<_>>())
                .unwrap_or_default();
            let sizes = entries.iter().map(|entry| {
                if entry.path().is_dir() {
                    below(&entry.path())
                } else {
                    entry.metadata().map_or(0, |found| found.len())
                }
            });
            sizes.sum()
        }
        below(&self.home.path().join("data"))
    }
}

fn send(stream: &mut TcpStream, headers: &[(&str, &str)], body: &[u8]) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        head += name;
        head += ": ";
        head += value;
        head += "\r\n";
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    stream.write_all(body)
}

/// Starts an answer without a length.
fn begin(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
}

fn without_end(stream: &mut TcpStream) -> std::io::Result<()> {
    let chunk = vec![b'x'; 1 << 20];
    loop {
        stream.write_all(&chunk)?;
    }
}

#[test]
fn a_server_that_has_everything_is_no_hub() {
    let answers: [&[u8]; 4] = [
        b"<html>log in, please</html>",
        b"[",
        b"",
        &[
            b"{\"sha\":\"x\",\"cardData\":".as_slice(),
            &vec![b'['; 200_000],
            &vec![b']'; 200_000],
            b",\"siblings\":[]}",
        ]
        .concat(),
    ];
    for body in answers {
        let body = body.to_vec();
        let hub = Hostile::new(move |method, _, stream| send(stream, &[], if method == "HEAD" { &[] } else { body.as_slice() }));
        hub.install().expect(2).complains("it has every file").complains("login");
        assert!(hub.n_requests() < 10, "{}", hub.n_requests());
    }
    // The same, through a login page.
    let hub = Hostile::new(|_, path, stream| match path {
        "/login" => send(stream, &[], b"<html>"),
        _ => stream.write_all(b"HTTP/1.1 302 Found\r\nConnection: close\r\nContent-Length: 0\r\nLocation: /login\r\n\r\n"),
    });
    hub.install().expect(2).complains("it has every file");
    // A server that has every other name claims endless weights.
    let hub = Hostile::new(|_, path, stream| {
        if path.contains(".onnx") || path.contains(".json") {
            send(stream, &[], b"{}")
        } else {
            stream.write_all(b"HTTP/1.1 404 x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        }
    });
    hub.install().expect(2).complains("files beside onnx/vision_model.onnx");
    assert!(hub.n_requests() < 200, "{}", hub.n_requests());
}

#[test]
fn a_listing_is_of_a_bearable_size_and_its_names_are_names() {
    let odd = [
        "onnx/vision_model.onnx_data\n\u{1b}[31m",
        "onnx/text_model.onnx_data\0",
        "onnx/vision_model.onnx_data/../../../../../evil",
        "../evil",
        "/etc/evil",
        "a//b",
        "onnx/vision_model.onnx_data\u{202e}",
        "README.md\u{7}",
    ];
    for name in odd {
        let names = [FILES.as_slice(), &[name]].concat();
        let hub = Hostile::with_files(&names, None, |_, _, stream| send(stream, &[], b"{}"));
        let ran = hub.install().expect(2).complains("unsafe file name");
        assert!(!ran.stderr.contains('\u{1b}') && !ran.stderr.contains('\u{7}'), "{}", ran.stderr);
        assert_eq!(hub.left_bytes(), 0);
    }
    let long = format!("onnx/text_model.onnx_data{}", "x".repeat(300));
    let hub = Hostile::with_files(&[FILES.as_slice(), &[&long]].concat(), None, |_, _, stream| {
        send(stream, &[], b"{}")
    });
    hub.install().expect(2).complains("unsafe file name");

    let parts: Vec<String> = (0..500).map(|n| format!("onnx/vision_model.onnx_data_{n}")).collect();
    let names: Vec<&str> = FILES.into_iter().chain(parts.iter().map(String::as_str)).collect();
    let hub = Hostile::with_files(&names, None, |_, _, stream| send(stream, &[], b"{}"));
    hub.install().expect(2).complains("its weights are in 500 files");
    assert!(hub.n_requests() < 10, "{}", hub.n_requests());

    let hub = Hostile::new(|_, _, stream| {
        begin(stream)?;
        stream.write_all(b"{\"siblings\":[")?;
        without_end(stream)
    });
    hub.install().expect(2).complains("a list of over");
    assert!(hub.n_requests() < 10, "{}", hub.n_requests());
}

#[test]
fn a_file_without_an_end_does_not_fill_the_disk() {
    let hub = Hostile::with_files(&FILES, None, |method, _, stream| {
        begin(stream)?;
        if method == "HEAD" { Ok(()) } else { without_end(stream) }
    });
    hub.install()
        .expect(2)
        .complains("config.json is too large for a file of its kind")
        .complains("HF_ENDPOINT");
    assert!(hub.left_bytes() < 1 << 20, "{}", hub.left_bytes());

    // A file whose announced size is too large is not fetched at all.
    for size in [1 << 40, 10_u64.pow(15), u64::MAX] {
        let hub = Hostile::with_files(&FILES, Some(size), |_, _, stream| begin(stream));
        hub.install().expect(2).complains("too large for a file of its kind");
    }
}

#[test]
fn bytes_that_come_again_and_again_bring_nothing() {
    // Each attempt delivers two mebibytes, and the next one starts over.
    let hub = Hostile::with_files(&FILES, Some(20 << 20), |method, _, stream| {
        stream.write_all(format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", 20 << 20).as_bytes())?;
        if method == "HEAD" {
            Ok(())
        } else {
            stream.write_all(&vec![b'x'; 2 << 20])
        }
    });
    hub.install().expect(2).complains("trying again");
    assert!(hub.n_requests() < 30, "{}", hub.n_requests());
}

#[test]
fn more_than_was_told_is_refused_in_the_end() {
    let hub = Hostile::with_files(&FILES, Some(3 << 20), |method, _, stream| {
        begin(stream)?;
        if method == "HEAD" {
            Ok(())
        } else {
            stream.write_all(&vec![b'x'; 4 << 20])
        }
    });
    hub.install().expect(2);
    assert!(hub.n_requests() < 30, "{}", hub.n_requests());
}

#[test]
fn compressed_files_long_heads_and_circles_are_refused() {
    let hub = Hostile::with_files(&FILES, None, |_, _, stream| {
        send(stream, &[("Content-Encoding", "gzip")], &[0x1f, 0x8b, 8, 0])
    });
    hub.install().expect(2).complains("compressed");
    let hub = Hostile::new(|_, _, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
        (0..5_000).try_for_each(|n| stream.write_all(format!("X-{n}: {}\r\n", "y".repeat(1_000)).as_bytes()))
    });
    hub.install().expect(2);
    let hub = Hostile::new(|_, path, stream| {
        let next = format!("HTTP/1.1 302 Found\r\nConnection: close\r\nContent-Length: 0\r\nLocation: {path}x\r\n\r\n");
        stream.write_all(next.as_bytes())
    });
    hub.install().expect(2).complains("redirects without end");
    assert!(hub.n_requests() < 20, "{}", hub.n_requests());
}

#[test]
#[ignore = "takes minutes: a byte at a time is waited for as long as silence is"]
fn bytes_that_trickle_are_given_up() {
    let hub = Hostile::with_files(&FILES, None, |method, _, stream| {
        begin(stream)?;
        if method == "HEAD" {
            return Ok(());
        }
        loop {
            stream.write_all(b"x")?;
            testkit::pause(Duration::from_millis(50));
        }
    });
    hub.install_within(Duration::from_mins(10))
        .expect(2)
        .complains("bytes came in")
        .complains("to continue where it stopped");
}
