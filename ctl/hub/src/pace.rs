//! Reading at a minimum pace: a trickle counts as silence.

use std::io::{self, Read};
use std::time::{Duration, Instant};

/// A connection that delivers nothing for this long is dropped and opened again.
pub(crate) const SILENCE_LIMIT: Duration = Duration::from_secs(30);

/// A reader that enforces a minimum pace. Each read has its own timeout, but trickling bytes never trigger it.
pub(crate) struct Steady<R> {
    inner: R,
    window: Duration,
    began_at: Instant,
    n_bytes: u64,
}

/// Fewer bytes than this within [`SILENCE_LIMIT`] count as none: a modem of 1998 delivered ten times as many.
const SLOWEST_BYTES: u64 = 16 << 10;

impl<R: Read> Steady<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self::within(inner, SILENCE_LIMIT)
    }

    fn within(inner: R, window: Duration) -> Self {
        Self {
            inner,
            window,
            began_at: Instant::now(),
            n_bytes: 0,
        }
    }
}

impl<R: Read> Read for Steady<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.n_bytes += n as u64;
        if n > 0 && self.began_at.elapsed() >= self.window {
            if self.n_bytes < SLOWEST_BYTES {
                let why = format!("only {} bytes came in {} s", self.n_bytes, self.began_at.elapsed().as_secs());
                return Err(io::Error::new(io::ErrorKind::TimedOut, why));
            }
            (self.began_at, self.n_bytes) = (Instant::now(), 0);
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_trickle_are_silence() {
        struct Trickle(u32);
        impl Read for Trickle {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let Some(left) = self.0.checked_sub(1) else { return Ok(0) };
                self.0 = left;
                buffer[0] = b'x';
                Ok(1)
            }
        }
        let mut out = Vec::new();
        let refused = Steady::within(Trickle(1_000), Duration::ZERO).read_to_end(&mut out).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
        Steady::within(Trickle(1_000), Duration::from_mins(10))
            .read_to_end(&mut out)
            .unwrap();
        let plenty = io::repeat(0).take(1 << 20);
        let mut steady = Steady::within(plenty, Duration::ZERO);
        let mut chunk = vec![0; SLOWEST_BYTES as usize];
        while steady.read(&mut chunk).unwrap() > 0 {}
    }
}
