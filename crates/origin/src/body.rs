//! What clients send, as a stream with limits.
//!
//! A body is read where it is needed and nowhere else. What nobody needed is thrown away before
//! the answer ends the request, within limits: a client that is still writing would otherwise
//! lose the answer together with the connection.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use http::HeaderMap;
use http::header::EXPECT;
use http_body::Body as _;
use hyper::body::Incoming;

use crate::stall::Stall;

/// The most bytes of an unwanted body that are thrown away.
const MOST_UNWANTED_BYTES: usize = 4 << 20;
/// The longest time for which an unwanted body is thrown away.
const MOST_UNWANTED_TIME: Duration = Duration::from_secs(5);

/// Why a body could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// More came than is wanted.
    #[error("the request's body is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// Nothing came for too long.
    #[error("the client sent nothing for {0:?}")]
    Stalled(Duration),
    /// The connection or its framing broke.
    #[error("the request's body broke off")]
    Broken(#[from] hyper::Error),
}

/// The bytes of a request's body.
pub(crate) struct RequestBody {
    incoming: Incoming,
    limit: Duration,
    stall: Stall,
    /// The client waits to be asked for it.
    is_unasked: bool,
}

impl RequestBody {
    /// A body of which something must come within `stall`, again and again.
    pub(crate) fn new(incoming: Incoming, headers: &HeaderMap, stall: Duration) -> Self {
        let is_unasked = headers.contains_key(EXPECT);
        Self { incoming, limit: stall, stall: Stall::new(stall), is_unasked }
    }

    /// How many bytes are still to come, if the client announced it.
    pub(crate) fn size(&self) -> Option<u64> {
        self.incoming.size_hint().exact()
    }

    /// True if no byte is to come.
    pub(crate) fn is_empty(&self) -> bool {
        self.incoming.is_end_stream()
    }

    /// The whole body, of at most `limit` bytes.
    pub(crate) async fn collect(&mut self, limit: usize) -> Result<Bytes, BodyError> {
        let too_large = BodyError::TooLarge { limit };
        let announced = usize::try_from(self.size().unwrap_or_default());
        if announced.map_or(true, |announced| announced > limit) {
            return Err(too_large);
        }
        let mut bytes = Vec::with_capacity(announced.unwrap_or_default());
        while let Some(piece) = self.next().await.transpose()? {
            if bytes.len() + piece.len() > limit {
                return Err(too_large);
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.into())
    }

    /// Throws away what nobody read. A body that the client was not asked for is not asked for here.
    pub(crate) async fn discard(mut self) {
        if self.is_unasked {
            return;
        }
        let mut left = MOST_UNWANTED_BYTES;
        let discarding = async {
            while let Some(Ok(piece)) = self.next().await {
                left = left.saturating_sub(piece.len());
                if left == 0 {
                    break;
                }
            }
        };
        // What was not thrown away in time is cut off with the connection.
        let _ = tokio::time::timeout(MOST_UNWANTED_TIME, discarding).await;
    }
}

impl Stream for RequestBody {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        self.is_unasked = false;
        loop {
            match Pin::new(&mut self.incoming).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.stall.moved();
                    // Trailers mean nothing here.
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error.into()))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => {
                    let limit = self.limit;
                    return (self.stall.poll_expired(context))
                        .map(|()| Some(Err(BodyError::Stalled(limit))));
                }
            }
        }
    }
}
