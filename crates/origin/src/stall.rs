//! Time that passes while nothing moves.
//!
//! A transfer may take as long as it likes, as long as it goes on. The timer is set only while
//! something is waited for, so that a busy connection costs none.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// Watches one direction of a transfer.
#[derive(Debug)]
pub(crate) struct Stall {
    limit: Duration,
    timer: Pin<Box<Sleep>>,
    is_waiting: bool,
}

impl Stall {
    /// Nothing is waited for yet.
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, timer: Box::pin(tokio::time::sleep(limit)), is_waiting: false }
    }

    /// Something moved.
    pub(crate) fn moved(&mut self) {
        self.is_waiting = false;
    }

    /// Ready when nothing has moved for too long; to be asked whenever something is waited for.
    pub(crate) fn poll_expired(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if !self.is_waiting {
            self.is_waiting = true;
            self.timer.as_mut().reset(Instant::now() + self.limit);
        }
        self.timer.as_mut().poll(context)
    }
}

/// A stream whose other end must take what is written to it.
#[derive(Debug)]
pub(crate) struct WriteStall<S> {
    stream: S,
    stall: Stall,
}

impl<S> WriteStall<S> {
    /// A stream that breaks when a write waits for `limit`.
    pub(crate) fn new(stream: S, limit: Duration) -> Self {
        Self { stream, stall: Stall::new(limit) }
    }

    fn watch<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stall.moved();
            return written;
        }
        self.stall.poll_expired(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteStall<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteStall<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.watch(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.watch(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = Pin::new(&mut self.stream).poll_shutdown(context);
        self.watch(context, closed)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_write_that_nobody_takes_ends_and_a_slow_one_does_not() {
        let limit = Duration::from_secs(10);
        let (near, mut far) = tokio::io::duplex(4);
        let mut near = WriteStall::new(near, limit);
        let reader = tokio::spawn(async move {
            let mut buffer = [0; 4];
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_secs(9)).await;
                far.read_exact(&mut buffer).await.unwrap();
            }
            far
        });
        near.write_all(&[0; 20]).await.unwrap();
        let _far = reader.await.unwrap();
        let began = Instant::now();
        let error = near.write_all(&[0; 20]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed(), limit);
    }
}
