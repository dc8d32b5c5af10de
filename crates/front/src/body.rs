//! The bodies of answers: nothing, bytes in memory, or a stream from a copy.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use http_body::{Body as HttpBody, Frame, SizeHint};

/// Why a streamed body ended early. The connection is cut, so that the client notices.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// No copy could go on.
    #[error("the object could not be read to its end: {0}")]
    Interrupted(String),
    /// The bytes were not the object's.
    #[error("the object's bytes do not have its digest")]
    WrongBytes,
}

impl From<Infallible> for BodyError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// A stream of a body's bytes.
pub(crate) type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, BodyError>> + Send>>;

/// The body of an answer.
pub(crate) enum Body {
    /// No bytes; hyper writes `Content-Length: 0` unless the head says otherwise.
    Empty,
    /// Bytes in memory.
    Full(Bytes),
    /// As many bytes as the head announced.
    Stream {
        /// Where they come from.
        bytes: ByteStream,
        /// How many are still to come.
        left: u64,
    },
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Full(bytes.into())
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        match this {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *this = Self::Empty;
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Self::Stream { bytes, left } => {
                let next = std::task::ready!(bytes.as_mut().poll_next(context));
                if let Some(Ok(chunk)) = &next {
                    *left = left.saturating_sub(chunk.len() as u64);
                }
                Poll::Ready(next.map(|chunk| chunk.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Empty)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Self::Empty => 0,
            Self::Full(bytes) => bytes.len() as u64,
            Self::Stream { left, .. } => *left,
        })
    }
}
