//! A connection that ends when nothing moves on it, or when a head takes too long.
//!
//! Until it has greeted (sent as many bytes as HTTP/2's preface has, or been answered) a connection
//! has one deadline that nothing renews, afterwards another that every byte in either direction
//! does. A head of HTTP/1 that has begun must end in its own time, however steadily it trickles.
//! A renewal only notes the moment; the timer is set again when it fires, so that a busy
//! connection costs no timer.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// Bytes of HTTP/2's connection preface (RFC 9113, section 3.4); no useful request is shorter.
const GREETING_BYTES: usize = 24;

/// How long a connection may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// For the greeting.
    pub(crate) greeting: Duration,
    /// For a head, from its first byte.
    pub(crate) head: Duration,
    /// Between two bytes.
    pub(crate) idle: Duration,
}

/// Counts the heads that were read whole: told by who serves, asked by who watches the time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heads(Arc<AtomicU32>);

impl Heads {
    /// One more head was read whole.
    pub(crate) fn complete(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A stream with limits.
#[derive(Debug)]
pub(crate) struct TimedIo<S> {
    stream: S,
    timer: Pin<Box<Sleep>>,
    moved: Instant,
    limits: Limits,
    /// Bytes that the greeting still lacks.
    greeting_left: usize,
    /// HTTP/2 has no head that could trickle: its frames have limits of their own.
    is_http2: bool,
    heads: Heads,
    /// How many heads there were when the present one began.
    heads_before: u32,
    /// When the head began that is not whole yet.
    head_began: Option<Instant>,
}

impl<S> TimedIo<S> {
    /// A stream within `limits`, whose whole heads are told to `heads`.
    pub(crate) fn new(stream: S, limits: Limits, heads: Heads) -> Self {
        let moved = Instant::now();
        Self {
            stream,
            timer: Box::pin(tokio::time::sleep_until(moved + limits.greeting)),
            moved,
            limits,
            greeting_left: GREETING_BYTES,
            is_http2: false,
            heads,
            heads_before: 0,
            head_began: None,
        }
    }

    fn note_read(&mut self, bytes: &[u8]) {
        let now = Instant::now();
        if self.greeting_left == GREETING_BYTES {
            self.is_http2 = bytes.starts_with(b"PRI");
        }
        self.greeting_left = self.greeting_left.saturating_sub(bytes.len());
        if self.greeting_left == 0 {
            self.moved = now;
        }
        self.forget_whole_head();
        if self.head_began.is_none() && !self.is_http2 {
            self.head_began = Some(now);
        }
    }

    fn note_written(&mut self) {
        self.greeting_left = 0;
        self.moved = Instant::now();
    }

    fn forget_whole_head(&mut self) {
        let heads = self.heads.count();
        if heads != self.heads_before {
            self.heads_before = heads;
            self.head_began = None;
        }
    }

    fn deadline(&self) -> Instant {
        let limit = if self.greeting_left > 0 { self.limits.greeting } else { self.limits.idle };
        let deadline = self.moved + limit;
        self.head_began.map_or(deadline, |began| deadline.min(began + self.limits.head))
    }

    /// Ready when nothing has moved for too long.
    fn poll_limit(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        self.forget_whole_head();
        let deadline = self.deadline();
        // Only a head that came in pieces makes the deadline nearer.
        if deadline < self.timer.deadline() {
            self.timer.as_mut().reset(deadline);
        }
        loop {
            std::task::ready!(self.timer.as_mut().poll(context));
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
                self.note_read(&buffer.filled()[before..]);
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
                self.note_written();
                ready
            }
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // A head alone is one slice, for which the plain call is cheaper.
        if let [slice] = slices {
            return self.poll_write(context, slice);
        }
        match Pin::new(&mut self.stream).poll_write_vectored(context, slices) {
            Poll::Pending => self.poll_limit(context).map(Err),
            ready @ Poll::Ready(_) => {
                self.note_written();
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

    const LIMITS: Limits = Limits {
        greeting: Duration::from_secs(1),
        head: Duration::from_secs(5),
        idle: Duration::from_secs(10),
    };

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_ends_and_a_slow_one_lives() {
        let heads = Heads::default();
        let (near, mut far) = tokio::io::duplex(64);
        let mut near = TimedIo::new(near, LIMITS, heads.clone());
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
            heads.complete();
        }
        let error = near.read_exact(&mut byte).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(start.elapsed().as_millis(), 3_600 + 10_000);
        drop(slow.await.unwrap());

        let (near, mut far) = tokio::io::duplex(64);
        let mut near = TimedIo::new(near, LIMITS, heads.clone());
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

    #[tokio::test(start_paused = true)]
    async fn a_head_that_trickles_ends_in_its_own_time() {
        let heads = Heads::default();
        let (near, mut far) = tokio::io::duplex(256);
        let mut near = TimedIo::new(near, LIMITS, heads.clone());
        far.write_all(&[b'x'; GREETING_BYTES]).await.unwrap();
        let trickle = tokio::spawn(async move {
            while far.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let start = Instant::now();
        let mut byte = [0];
        let error = loop {
            match near.read_exact(&mut byte).await {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(start.elapsed().as_secs(), 5);
        drop(near);
        trickle.await.unwrap();
    }
}
