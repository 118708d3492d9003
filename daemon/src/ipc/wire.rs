//! Receives and sends lines, each within its limits.

use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use scened_shared::frame::{Id, LineSplitter, MAX_REQUEST_BYTES, RpcError, encode_error, encode_response};
use scened_shared::message::ErrorKind;
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::ipc::limits::{Held, LONG_LINE_BYTES, Limits};

/// A client that does not read its answer for this long is disconnected.
const WRITE_LIMIT: Duration = Duration::from_secs(20);
/// A line must be complete this long after it was begun, or its connection is closed.
const LINE_LIMIT: Duration = Duration::from_secs(30);
/// Interval of checks whether a client that sends no more still waits for its answer.
const HANG_UP_TICK: Duration = Duration::from_millis(200);
/// Time limit for sending the reason why a connection ends.
const GOODBYE_LIMIT: Duration = Duration::from_millis(500);

/// One line of a client, and its permit while it is processed.
pub(super) struct Line {
    pub(super) bytes: Vec<u8>,
    _held: Option<Held>,
}

pub(super) struct Wire {
    stream: UnixStream,
    lines: LineSplitter,
    limits: Arc<Limits>,
    /// Since when the current line is unfinished.
    line_begun: Option<Instant>,
    /// The permit of an unfinished line that is long.
    long: Option<Held>,
    /// Whether only a part of a line has been sent.
    is_mid_send: bool,
    has_ended: bool,
}

impl Wire {
    pub(super) fn new(stream: UnixStream, limits: Arc<Limits>) -> Self {
        Self {
            stream,
            lines: LineSplitter::new(MAX_REQUEST_BYTES),
            limits,
            line_begun: None,
            long: None,
            is_mid_send: false,
            has_ended: false,
        }
    }

    pub(super) async fn send(&mut self, line: &[u8]) -> io::Result<()> {
        self.is_mid_send = true;
        let written = timeout(WRITE_LIMIT, self.stream.write_all(line)).await;
        let written = written.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read its answers")));
        self.is_mid_send = written.is_err();
        written
    }

    /// Sends an answer. A large one is replaced by an error if too many large ones are being sent.
    pub(super) async fn answer<R: Serialize>(&mut self, id: &Id, outcome: Result<R, RpcError>) -> io::Result<()> {
        let line = encode_response(id, &outcome);
        // The line contains it now, and large answers are not kept twice.
        drop(outcome);
        if let Ok(_held) = self.limits.answer(line.len()) {
            return self.send(&line).await;
        }
        drop(line);
        let error = RpcError::new(ErrorKind::Overloaded, "too many large answers are being sent").hint("try again in a moment");
        self.send(&encode_error(Some(id), &error)).await
    }

    /// Says why the connection ends, unless a line is only partly sent.
    pub(super) async fn farewell(&mut self, error: &RpcError) {
        if !self.is_mid_send {
            // It does not matter whether the client still receives it.
            let _told = timeout(GOODBYE_LIMIT, self.stream.write_all(&encode_error(None, error))).await;
        }
    }

    /// Returns the next line; `None` if the client has left, or was told why it must leave.
    ///
    /// The future may be dropped and the call repeated: nothing that was read is lost.
    pub(super) async fn line(&mut self) -> io::Result<Option<Line>> {
        loop {
            match self.lines.next_line() {
                Some(Ok(bytes)) => {
                    self.line_begun = None;
                    let line = Line {
                        bytes,
                        _held: self.long.take(),
                    };
                    return Ok(Some(line));
                }
                Some(Err(too_long)) => return self.refuse(&too_long.to_rpc()).await,
                None if self.has_ended => return Ok(None),
                None => {}
            }
            if self.lines.n_buffered_bytes() > LONG_LINE_BYTES && self.long.is_none() {
                self.long = self.limits.long_line();
                if self.long.is_none() {
                    let error = RpcError::new(ErrorKind::Overloaded, "too many long requests are being received")
                        .hint("try again in a moment; the connection is closed now");
                    return self.refuse(&error).await;
                }
            }
            if self.lines.is_mid_line() {
                let begun = *self.line_begun.get_or_insert_with(Instant::now);
                if let Ok(filled) = timeout_at(begun + LINE_LIMIT, self.fill()).await {
                    filled?;
                } else {
                    let message = format!("a request was not finished within {} s", LINE_LIMIT.as_secs());
                    let error = RpcError::new(ErrorKind::TimedOut, message).hint("the connection is closed now");
                    return self.refuse(&error).await;
                }
            } else {
                self.line_begun = None;
                self.fill().await?;
            }
        }
    }

    async fn refuse(&mut self, error: &RpcError) -> io::Result<Option<Line>> {
        self.send(&encode_error(None, error)).await?;
        Ok(None)
    }

    /// Reads once.
    async fn fill(&mut self) -> io::Result<()> {
        let mut piece = [0_u8; 8192];
        let n = self.stream.read(&mut piece).await?;
        self.lines.push(&piece[..n]);
        self.has_ended = n == 0;
        Ok(())
    }

    /// Returns when the client has closed the connection. A client that only stops sending (`socat` at the end of its input) still waits
    /// for its answer.
    async fn gone(&mut self) -> io::Result<()> {
        loop {
            // Data that the client sends ahead is kept up to a bound; the rest stays in the socket.
            if !self.has_ended && self.lines.n_buffered_bytes() <= LONG_LINE_BYTES {
                self.fill().await?;
            } else if self.has_hung_up() {
                return Ok(());
            } else {
                sleep(HANG_UP_TICK).await;
            }
        }
    }

    fn has_hung_up(&self) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut asked = [PollFd::from_borrowed_fd(self.stream.as_fd(), PollFlags::empty())];
        poll(&mut asked, Some(&now)).is_err() || asked[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
    }

    /// Runs `work`. Returns `None` if the client closed the connection first.
    pub(super) async fn unless_gone<T>(&mut self, work: impl Future<Output = T>) -> io::Result<Option<T>> {
        tokio::select! {
            biased;
            done = work => Ok(Some(done)),
            gone = self.gone() => gone.map(|()| None),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Returns the daemon's end and the client's end of a connection.
    fn pair() -> (Wire, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Wire::new(ours, Arc::new(Limits::of_system())), theirs)
    }

    async fn kind_of_the_last(client: &mut UnixStream) -> String {
        let mut heard = vec![0; 4096];
        let n = client.read(&mut heard).await.unwrap();
        let answer: Value = serde_json::from_slice(&heard[..n]).unwrap();
        answer["error"]["data"]["kind"].as_str().unwrap().to_owned()
    }

    #[tokio::test(start_paused = true)]
    async fn a_byte_a_second_is_cut_off_with_an_answer() {
        let (mut wire, mut client) = pair();
        let begun = Instant::now();
        let writes = async {
            while client.write_all(b"x").await.is_ok() {
                sleep(Duration::from_secs(1)).await;
                if begun.elapsed() > LINE_LIMIT * 2 {
                    break;
                }
            }
        };
        tokio::select! {
            line = wire.line() => assert!(line.unwrap().is_none()),
            () = writes => panic!("it may go on for ever"),
        }
        assert_eq!(begun.elapsed().as_secs(), LINE_LIMIT.as_secs());
        assert_eq!(kind_of_the_last(&mut client).await, "timed-out");
    }

    #[tokio::test(start_paused = true)]
    async fn time_between_lines_does_not_count() {
        let (mut wire, mut client) = pair();
        for _ in 0..3 {
            let writes = async {
                sleep(LINE_LIMIT * 10).await;
                client.write_all(b"one\n").await.unwrap();
            };
            let (line, ()) = tokio::join!(wire.line(), writes);
            assert_eq!(line.unwrap().unwrap().bytes, b"one");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_is_cut_off() {
        let (mut wire, _client) = pair();
        let begun = Instant::now();
        let error = wire.send(&vec![b'x'; 16 << 20]).await.unwrap_err();
        assert_eq!(
            (error.kind(), begun.elapsed().as_secs()),
            (io::ErrorKind::TimedOut, WRITE_LIMIT.as_secs())
        );
        // In the middle of a line nothing else may be sent.
        wire.farewell(&RpcError::new(ErrorKind::Overloaded, "x")).await;
        assert_eq!(begun.elapsed().as_secs(), WRITE_LIMIT.as_secs());
    }

    #[tokio::test]
    async fn a_long_line_beyond_the_bound_is_refused() {
        let (mut wire, mut client) = pair();
        let held: Vec<_> = std::iter::from_fn(|| wire.limits.long_line()).collect();
        client.write_all(&vec![b'x'; LONG_LINE_BYTES * 2]).await.unwrap();
        assert!(wire.line().await.unwrap().is_none());
        assert_eq!(kind_of_the_last(&mut client).await, "overloaded");
        drop(held);
        let (mut wire, mut client) = pair();
        client.write_all(&vec![b'x'; LONG_LINE_BYTES * 2]).await.unwrap();
        client.write_all(b"\n").await.unwrap();
        assert_eq!(wire.line().await.unwrap().unwrap().bytes.len(), LONG_LINE_BYTES * 2);
    }

    #[tokio::test]
    async fn a_large_answer_beyond_the_bound_is_replaced_by_an_error() {
        let (mut wire, mut client) = pair();
        let mut held = Vec::new();
        while let Ok(answer) = wire.limits.answer(1 << 20) {
            held.push(answer);
        }
        wire.answer(&1.into(), Ok("x".repeat(1 << 20))).await.unwrap();
        assert_eq!(kind_of_the_last(&mut client).await, "overloaded");
    }

    #[tokio::test]
    async fn only_who_closes_has_gone() {
        let (mut wire, mut client) = pair();
        client.write_all(b"more\n").await.unwrap();
        client.shutdown().await.unwrap();
        let work = sleep(HANG_UP_TICK * 3);
        assert_eq!(wire.unless_gone(work).await.unwrap(), Some(()), "it may still read");
        assert_eq!(wire.line().await.unwrap().unwrap().bytes, b"more");
        drop(client);
        assert_eq!(wire.unless_gone(std::future::pending::<()>()).await.unwrap(), None);
    }
}
