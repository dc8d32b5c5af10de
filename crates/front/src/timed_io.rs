//! A connection that ends when nothing moves on it.
//!
//! Until it has greeted (sent as many bytes as HTTP/2's preface has, or been answered) a connection
//! has one deadline that nothing renews, afterwards another that every byte in either direction
//! does. A renewal only notes
//! the moment; the timer is set again when it fires, so that a busy connection costs no timer.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// Bytes of HTTP/2's connection preface (RFC 9113, section 3.4); no useful request is shorter.
const GREETING_BYTES: usize = 24;

/// A stream with an idle limit.
#[derive(Debug)]
pub(crate) struct TimedIo<S> {
    stream: S,
    timer: Pin<Box<Sleep>>,
    moved: Instant,
    limit: Duration,
    /// The limit after the greeting.
    idle: Duration,
    /// Bytes that the greeting still lacks.
    greeting_left: usize,
}

impl<S> TimedIo<S> {
    /// A stream that must greet within `greeting`, and then move a byte at least every `idle`.
    pub(crate) fn new(stream: S, greeting: Duration, idle: Duration) -> Self {
        let moved = Instant::now();
        let timer = Box::pin(tokio::time::sleep_until(moved + greeting));
        Self { stream, timer, moved, limit: greeting, idle, greeting_left: GREETING_BYTES }
    }

    fn note(&mut self, bytes: usize) {
        self.greeting_left = self.greeting_left.saturating_sub(bytes);
        if self.greeting_left == 0 {
            self.moved = Instant::now();
            self.limit = self.idle;
        }
    }

    /// Ready when nothing has moved for too long.
    fn poll_limit(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            std::task::ready!(self.timer.as_mut().poll(context));
            let deadline = self.moved + self.limit;
            if Instant::now() >= deadline {
                return Poll::Ready(io::ErrorKind::TimedOut.into());
            }
            self.timer.as_mut().reset(deadline);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TimedIo<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Pending => self.poll_limit(context).map(Err),
            ready @ Poll::Ready(_) => {
                self.note(buffer.filled().len() - before);
                ready
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TimedIo<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(context, bytes) {
            Poll::Pending => self.poll_limit(context).map(Err),
            ready @ Poll::Ready(_) => {
                self.note(GREETING_BYTES);
                ready
            }
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write_vectored(context, slices) {
            Poll::Pending => self.poll_limit(context).map(Err),
            ready @ Poll::Ready(_) => {
                self.note(GREETING_BYTES);
                ready
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_shutdown(context) {
            Poll::Pending => self.poll_limit(context).map(Err),
            ready @ Poll::Ready(_) => ready,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_ends_and_a_slow_one_lives() {
        let (near, mut far) = tokio::io::duplex(64);
        let mut near = TimedIo::new(near, Duration::from_secs(1), Duration::from_secs(10));
        let slow = tokio::spawn(async move {
            far.write_all(&[b'x'; GREETING_BYTES]).await.unwrap();
            for _ in 0..4 {
                tokio::time::sleep(Duration::from_millis(900)).await;
                far.write_all(b"x").await.unwrap();
            }
            far
        });
        let start = Instant::now();
        let mut byte = [0];
        for _ in 0..GREETING_BYTES + 4 {
            near.read_exact(&mut byte).await.unwrap();
        }
        let error = near.read_exact(&mut byte).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(start.elapsed().as_millis(), 3_600 + 10_000);
        drop(slow.await.unwrap());

        let (near, mut far) = tokio::io::duplex(64);
        let mut near = TimedIo::new(near, Duration::from_secs(1), Duration::from_secs(10));
        far.write_all(b"PRI * HTTP/2.0").await.unwrap();
        let start = Instant::now();
        for _ in 0..14 {
            near.read_exact(&mut byte).await.unwrap();
        }
        let error = near.read_exact(&mut byte).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(start.elapsed().as_secs(), 1, "half a greeting renews nothing");
        drop(far);
    }
}
