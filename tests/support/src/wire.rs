//! Speaks the protocol by hand, as a client of another kind, a broken one or a hostile one may.

use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

const ANSWER_LIMIT: Duration = Duration::from_mins(1);

/// One connection, which sends only what the test sends.
pub struct Wire {
    stream: UnixStream,
    reader: BufReader<UnixStream>,
    n_sent: u64,
}

impl Wire {
    pub fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).expect("the daemon accepts");
        stream.set_read_timeout(Some(ANSWER_LIMIT)).expect("a socket takes a time limit");
        stream.set_write_timeout(Some(ANSWER_LIMIT)).expect("a socket takes a time limit");
        let reader = BufReader::new(stream.try_clone().expect("a descriptor is free"));
        Self { stream, reader, n_sent: 0 }
    }

    /// Connects and says hello.
    pub fn greeted(socket: &Path) -> Self {
        let mut wire = Self::connect(socket);
        let answer = wire.call("hello", &json!({"protocol": 1, "client": "testkit", "version": "0"}));
        assert_eq!(answer["result"]["protocol"], 1, "{answer}");
        wire
    }

    /// Sends bytes unchanged; an error if the daemon has closed the connection.
    pub fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Limits how long [`Wire::send`] waits for a daemon that does not read.
    pub fn limit_sending(&self, limit: Duration) {
        self.stream.set_write_timeout(Some(limit)).expect("a socket takes a time limit");
    }

    /// Sends one request and returns the next line as its answer.
    pub fn call(&mut self, method: &str, params: &Value) -> Value {
        let id = self.request(method, params);
        let answer = self.line().unwrap_or_else(|| panic!("{method}: the daemon hung up"));
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }

    /// Sends a request without waiting, and returns its id.
    pub fn request(&mut self, method: &str, params: &Value) -> u64 {
        self.n_sent += 1;
        let request = json!({"jsonrpc": "2.0", "id": self.n_sent, "method": method, "params": params});
        self.send(format!("{request}\n").as_bytes()).expect("the daemon reads");
        self.n_sent
    }

    /// Returns the next line; `None` if the daemon has closed the connection.
    pub fn line(&mut self) -> Option<Value> {
        let mut line = Vec::new();
        match self.reader.read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(_) => Some(serde_json::from_slice(&line).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&line)))),
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => None,
            Err(error) => panic!("no line came: {error}"),
        }
    }

    /// Ends the sending; answers can still be read.
    pub fn close_sending(&self) {
        self.stream.shutdown(std::net::Shutdown::Write).expect("the connection was open");
    }
}
