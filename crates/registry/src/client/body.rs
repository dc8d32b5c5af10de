//! Bodies: small ones in whole with a limit, blobs as a stream that checks its own length.

use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{BoxStream, Stream, StreamExt as _};
use tokio::sync::OwnedSemaphorePermit;

use super::ClientError;

/// Reads a body of at most `limit` bytes within `timeout`.
pub(super) async fn read_bounded(
    what: &str,
    mut response: reqwest::Response,
    limit: usize,
    timeout: Duration,
) -> Result<Bytes, ClientError> {
    let too_large =
        || ClientError::malformed(what, format!("it is larger than the limit of {limit} bytes"));
    let read = async {
        if response.content_length().is_some_and(|length| length > limit as u64) {
            return Err(too_large());
        }
        let mut body = Vec::new();
        loop {
            let chunk = response.chunk().await;
            match chunk.map_err(|error| ClientError::transport(what, error))? {
                None => return Ok(Bytes::from(body)),
                Some(chunk) if body.len() + chunk.len() > limit => return Err(too_large()),
                Some(chunk) => body.extend_from_slice(&chunk),
            }
        }
    };
    tokio::time::timeout(timeout, read).await.map_err(|_| ClientError::too_slow(what, timeout))?
}

/// A blob, or a part of it, on its way.
///
/// A stream of bytes that ends with an error if there are fewer or more of them than promised, or
/// if the registry sends nothing for longer than the client's `answer_timeout`. The digest is not
/// checked here: a part has none. Counts as a request under way until it is dropped.
pub struct BlobBody {
    what: String,
    range: Range<u64>,
    size_bytes: u64,
    left: u64,
    chunks: BoxStream<'static, reqwest::Result<Bytes>>,
    is_over: bool,
    _permit: OwnedSemaphorePermit,
}

impl BlobBody {
    pub(super) fn new(
        what: String,
        range: Range<u64>,
        size_bytes: u64,
        response: reqwest::Response,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        let left = range.end - range.start;
        let chunks = response.bytes_stream().boxed();
        Self { what, range, size_bytes, left, chunks, is_over: false, _permit: permit }
    }

    /// The size of the whole blob.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Which bytes of the blob the stream brings.
    pub fn range(&self) -> Range<u64> {
        self.range.clone()
    }

    fn check(
        &mut self,
        chunk: Option<reqwest::Result<Bytes>>,
    ) -> Option<Result<Bytes, ClientError>> {
        match chunk {
            Some(Ok(chunk)) => {
                if let Some(left) = self.left.checked_sub(chunk.len() as u64) {
                    self.left = left;
                    return Some(Ok(chunk));
                }
                self.is_over = true;
                Some(Err(ClientError::malformed(&self.what, "there are more bytes than promised")))
            }
            Some(Err(error)) => {
                self.is_over = true;
                Some(Err(ClientError::transport(&self.what, error)))
            }
            None => {
                self.is_over = true;
                (self.left > 0)
                    .then(|| ClientError::Unavailable {
                        what: self.what.clone(),
                        reason: format!("the body ended {} bytes early", self.left),
                        retry_after: None,
                        source: None,
                    })
                    .map(Err)
            }
        }
    }
}

impl Stream for BlobBody {
    type Item = Result<Bytes, ClientError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let chunk = std::task::ready!(self.chunks.poll_next_unpin(context));
        Poll::Ready(self.check(chunk))
    }
}

impl std::fmt::Debug for BlobBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlobBody")
            .field("what", &self.what)
            .field("range", &self.range)
            .field("size_bytes", &self.size_bytes)
            .finish_non_exhaustive()
    }
}
