//! A connection that ends when nothing moves on it, or when a head takes too long.
//!
//! Until it has greeted (sent as many bytes as HTTP/2's preface has, or been answered) a connection
//! has one deadline that nothing renews, afterwards another that every byte in either direction
//! does. A head of HTTP/1 that has begun must end in its own time, however steadily it trickles, and
//! an answer must be taken at a least pace (`pace`).
//! A renewal only notes the moment; the timer is set again when it fires, so that a busy
//! connection costs no timer.

mod activity;
mod pace;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

pub(crate) use self::activity::Activity;
pub(crate) use self::pace::Least;
use self::pace::Pace;

/// Bytes of HTTP/2's connection preface (RFC 9113, section 3.4); no useful request is shorter.
const GREETING_BYTES: usize = 24;
/// No answer is shorter, and no frame of HTTP/2 that only keeps a connection alive is longer.
const ANSWER_BYTES: usize = 64;

/// How long a connection may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// For the greeting.
    pub(crate) greeting: Duration,
    /// For a head, from its first byte.
    pub(crate) head: Duration,
    /// Between two bytes.
    pub(crate) idle: Duration,
    /// What an answer is taken at.
    pub(crate) least: Least,
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
    activity: Activity,
    /// How many heads there were when the present one began.
    heads_before: u32,
    /// When the head began that is not whole yet.
    head_began: Option<Instant>,
    pace: Pace,
}

impl<S> TimedIo<S> {
    /// A stream within `limits`; whole heads are told to `activity`.
    pub(crate) fn new(stream: S, limits: Limits, activity: Activity) -> Self {
        let moved = Instant::now();
        Self {
            stream,
            timer: Box::pin(tokio::time::sleep_until(moved + limits.greeting)),
            moved,
            limits,
            greeting_left: GREETING_BYTES,
            is_http2: false,
            activity,
            heads_before: 0,
            head_began: None,
            pace: Pace::default(),
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

    fn note_written(&mut self, written: &io::Result<usize>) {
        let now = Instant::now();
        (self.greeting_left, self.moved) = (0, now);
        let bytes = written.as_ref().map_or(0, |bytes| *bytes);
        self.pace.take(bytes, now, self.limits.least);
        if bytes >= ANSWER_BYTES {
            self.activity.answer(now);
        }
    }

    fn forget_whole_head(&mut self) {
        let heads = self.activity.heads();
        if heads != self.heads_before {
            self.heads_before = heads;
            self.head_began = None;
        }
    }

    fn deadline(&self) -> Instant {
        let limit = if self.greeting_left > 0 { self.limits.greeting } else { self.limits.idle };
        let head = self.head_began.map(|began| began + self.limits.head);
        let taken = self.pace.deadline(self.limits.least);
        [head, taken].into_iter().flatten().fold(self.moved + limit, Instant::min)
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

    /// The same where bytes wait for the client.
    fn poll_blocked(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        self.pace.wait(Instant::now());
        self.poll_limit(context)
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
            Poll::Pending => self.poll_blocked(context).map(Err),
            Poll::Ready(written) => {
                self.note_written(&written);
                Poll::Ready(written)
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
            Poll::Pending => self.poll_blocked(context).map(Err),
            Poll::Ready(written) => {
                self.note_written(&written);
                Poll::Ready(written)
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_flush(context) {
            Poll::Pending => self.poll_blocked(context).map(Err),
            ready @ Poll::Ready(_) => ready,
        }
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
        least: Least { stall: Duration::from_secs(3), bytes: 300 },
    };

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_ends_and_a_slow_one_lives() {
        let heads = Activity::new();
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
            heads.head();
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
        let heads = Activity::new();
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

    /// Writes `answers` of 100 bytes, each after `copy` has kept it waiting, while the client takes
    /// `taken` bytes a second; after how many seconds it is cut off, if it is.
    async fn cut_off(answers: usize, copy: Duration, taken: usize) -> Option<u64> {
        let (near, mut far) = tokio::io::duplex(100);
        let mut near = TimedIo::new(near, LIMITS, Activity::new());
        let client = tokio::spawn(async move {
            let mut bytes = vec![0; taken];
            while far.read_exact(&mut bytes).await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let start = Instant::now();
        let mut cut_off = None;
        for _ in 0..answers {
            tokio::time::sleep(copy).await;
            if let Err(error) = near.write_all(&[b'x'; 100]).await {
                assert_eq!(error.kind(), io::ErrorKind::TimedOut);
                cut_off = Some(start.elapsed().as_secs());
                break;
            }
        }
        drop(near);
        client.await.unwrap();
        cut_off
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_too_little_is_cut_off_and_a_slow_copy_is_not_its_fault() {
        let none = Duration::ZERO;
        assert_eq!(cut_off(100, none, 1).await, Some(3));
        assert_eq!(cut_off(100, none, 90).await, Some(3));
        assert_eq!(cut_off(100, none, 200).await, None);
        assert_eq!(cut_off(30, Duration::from_secs(8), 20).await, None);
    }
}
