//! A copy's public face: what clients reach over HTTP, as a client.
//!
//! Absence and failure are told apart: a store that answers 404, or 403 as those do that forbid
//! listing, has not got the object; whoever times out, answers 5xx or 429, or breaks TLS is
//! failing. Nothing is repeated here: whoever asks knows what a wait is worth.

mod look;

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_NONE_MATCH, RANGE};
use http::{Method, StatusCode};
use landbridge_core::Digest;
use landbridge_core::holding::{Holding, HoldingError, MAX_HOLDING_BYTES};
use landbridge_core::pointer::MAX_ENVELOPE_BYTES;
use reqwest::{Client, RequestBuilder, Response};
use url::Url;

use crate::documents::{HOLDING_KEY, HoldingRead, ReadHolding, pointer_key};
use crate::error::{Place, StoreError};
use crate::generations::{Packed, document_key, packed_limit};
use crate::layout::BucketLayout;

pub use self::look::{FaceHead, FaceWhole, RangeAnswer};

/// Redirects that are followed, such as those of a CDN.
const MOST_REDIRECTS: usize = 5;

/// How long a copy may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaceTimeouts {
    /// To take a connection.
    pub connect: Duration,
    /// To begin its answer, redirects included.
    pub head: Duration,
    /// Between two pieces of a body.
    pub idle: Duration,
}

/// A copy as clients see it. Cloning it is cheap; clones share their connections.
#[derive(Debug, Clone)]
pub struct PublicFace {
    client: Client,
    base: String,
    layout: BucketLayout,
    timeouts: FaceTimeouts,
}

/// Why a copy did not give what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum FaceError {
    /// It has not got it.
    #[error("{url} is absent")]
    Absent {
        /// The address.
        url: String,
    },
    /// It does not work as it should: leave it alone for a while.
    #[error("{url} fails: {what}")]
    Failing {
        /// The address.
        url: String,
        /// What happened.
        what: String,
        /// How long it wants to be left alone, if it said so in seconds.
        retry_after: Option<Duration>,
    },
    /// It served bytes that are not the object's: do not use them, and repair the copy.
    #[error("{url} serves wrong bytes: {what}")]
    WrongBytes {
        /// The address.
        url: String,
        /// What was found.
        what: String,
    },
    /// Larger than the caller wants to have in memory.
    #[error("{url} has more than {limit} bytes")]
    TooLarge {
        /// The address.
        url: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// A holding that cannot be read.
    #[error("{url} cannot be read")]
    Malformed {
        /// The address.
        url: String,
        /// What is wrong with it.
        #[source]
        source: HoldingError,
    },
}

/// A part of an object on its way.
pub struct FaceBody {
    /// The whole object's size in bytes.
    pub size: u64,
    /// The bytes that `stream` gives; it fails if it gives fewer or more.
    pub range: Range<u64>,
    /// The bytes, not verified.
    pub stream: BoxStream<'static, Result<Bytes, FaceError>>,
}

impl FaceError {
    fn failing(url: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Failing { url: url.into(), what: what.into(), retry_after: None }
    }
}

impl PublicFace {
    /// The copy below `base`, which stands for the bucket's root.
    pub fn new(
        base: &Url,
        layout: BucketLayout,
        timeouts: FaceTimeouts,
    ) -> Result<Self, FaceError> {
        Self::with(base, layout, timeouts, |client| client)
    }

    /// The same, with a connection of its own for each request: names, routes and certificates are
    /// met as whoever comes for the first time meets them.
    pub fn fresh(
        base: &Url,
        layout: BucketLayout,
        timeouts: FaceTimeouts,
    ) -> Result<Self, FaceError> {
        Self::with(base, layout, timeouts, |client| client.pool_max_idle_per_host(0))
    }

    fn with(
        base: &Url,
        layout: BucketLayout,
        timeouts: FaceTimeouts,
        change: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Result<Self, FaceError> {
        let base = base.as_str().trim_end_matches('/').to_owned();
        install_tls();
        let redirects = reqwest::redirect::Policy::limited(MOST_REDIRECTS);
        let client = Client::builder()
            .connect_timeout(timeouts.connect)
            .read_timeout(timeouts.idle)
            .redirect(redirects)
            .referer(false);
        let client = change(client).build().map_err(|error| failing(&base, &error))?;
        Ok(Self { client, base, layout, timeouts })
    }

    /// The address that stands for the bucket's root, without a trailing slash.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The object's address.
    pub fn url(&self, digest: &Digest) -> String {
        format!("{}/{}", self.base, self.layout.key(digest))
    }

    /// The object's size in bytes as the copy tells it; `None` if it has not got it.
    pub async fn head(&self, digest: &Digest) -> Result<Option<u64>, FaceError> {
        let url = self.url(digest);
        let response = match self.send(&url, self.request(Method::HEAD, &url)).await {
            Ok(response) => response,
            Err(FaceError::Absent { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        // `content_length()` is that of the body, which an answer to HEAD has not got.
        let length =
            response.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
        length.map(Some).ok_or_else(|| FaceError::failing(url, "it tells no size"))
    }

    /// The whole object, of at most `limit` bytes, verified by its digest.
    pub async fn get_verified(&self, digest: &Digest, limit: u64) -> Result<Bytes, FaceError> {
        let url = self.url(digest);
        let response = self.send(&url, self.request(Method::GET, &url)).await?;
        let bytes = collect(&url, limit, response).await?;
        let found = Digest::of(digest.algorithm(), &bytes);
        if found != *digest {
            let what = format!("its {} bytes have the digest {found}", bytes.len());
            return Err(FaceError::WrongBytes { url, what });
        }
        Ok(bytes)
    }

    /// The object's bytes from `from` on, to its end. The answer must say that it is that part.
    pub async fn get_range(&self, digest: &Digest, from: u64) -> Result<FaceBody, FaceError> {
        let url = self.url(digest);
        let mut request = self.request(Method::GET, &url);
        if from > 0 {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        let response = self.send(&url, request).await?;
        let wrong = |what: &str| FaceError::failing(&url, what);
        let (size, range) = match (response.status(), from) {
            (StatusCode::OK, 0) => {
                let size = response.content_length().ok_or_else(|| wrong("it tells no size"))?;
                (size, 0..size)
            }
            (StatusCode::PARTIAL_CONTENT, _) => {
                let told = response.headers().get(CONTENT_RANGE);
                let told = told.and_then(|value| content_range(value.to_str().ok()?));
                match told {
                    Some((range, size)) if range == (from..size) => (size, range),
                    _ => return Err(wrong("it gives another part than the one asked for")),
                }
            }
            (StatusCode::OK, _) => return Err(wrong("it ignores ranges")),
            (status, _) => return Err(wrong(&format!("it answers {status}"))),
        };
        let expected = range.end - range.start;
        let body = response.bytes_stream();
        let stream = exactly(url, expected, body.map_err(|error| error.to_string()).boxed());
        Ok(FaceBody { size, range, stream })
    }

    /// The copy's holding, unless it still has this tag.
    pub async fn holding_unless(&self, etag: Option<&str>) -> Result<HoldingRead, FaceError> {
        let url = format!("{}/{HOLDING_KEY}", self.base);
        let mut request = self.request(Method::GET, &url);
        if let Some(etag) = etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let response = match self.send(&url, request).await {
            Ok(response) => response,
            Err(FaceError::Absent { .. }) => return Ok(HoldingRead::Absent),
            Err(error) => return Err(error),
        };
        if response.status() == StatusCode::NOT_MODIFIED {
            return Ok(HoldingRead::Unchanged);
        }
        let etag =
            response.headers().get(ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        let bytes = collect(&url, MAX_HOLDING_BYTES as u64, response).await?;
        let holding =
            Holding::decode(&bytes).map_err(|source| FaceError::Malformed { url, source })?;
        Ok(HoldingRead::Found(ReadHolding { holding, etag, digest: Digest::sha256_of(&bytes) }))
    }

    /// The bytes of the pointer with this sequence, unchecked.
    pub(crate) async fn pointer_bytes(&self, sequence: u64) -> Result<Bytes, FaceError> {
        let url = format!("{}/{}", self.base, pointer_key(sequence));
        let response = self.send(&url, self.request(Method::GET, &url)).await?;
        collect(&url, MAX_ENVELOPE_BYTES as u64, response).await
    }

    /// A document of a generation as it is stored, of at most `limit` bytes when unpacked.
    pub(crate) async fn packed_document(
        &self,
        digest: &Digest,
        limit: u64,
    ) -> Result<Packed, StoreError> {
        let key = document_key(digest);
        let place = Place { bucket: self.base.clone(), key: key.clone() };
        let url = format!("{}/{key}", self.base);
        let reading = async {
            let response = self.send(&url, self.request(Method::GET, &url)).await?;
            collect(&url, packed_limit(limit), response).await
        };
        match reading.await {
            Ok(bytes) => Ok(Packed::new(place, bytes, *digest, limit)),
            Err(FaceError::Absent { .. }) => Err(StoreError::NotFound(place)),
            Err(error) => Err(StoreError::from_cause(place, error.into())),
        }
    }

    /// The copy's holding, if it has one.
    pub async fn holding(&self) -> Result<Option<Holding>, FaceError> {
        match self.holding_unless(None).await? {
            HoldingRead::Found(read) => Ok(Some(read.holding)),
            HoldingRead::Absent | HoldingRead::Unchanged => Ok(None),
        }
    }

    fn request(&self, method: Method, url: &str) -> RequestBuilder {
        // Objects are named by the digest of their bytes: no encoding may come in between.
        self.client.request(method, url).header(ACCEPT_ENCODING, "identity")
    }

    /// An answer of 2xx or 304.
    async fn send(&self, url: &str, request: RequestBuilder) -> Result<Response, FaceError> {
        let failed = |what: String| FaceError::failing(url, what);
        let response = tokio::time::timeout(self.timeouts.head, request.send())
            .await
            .map_err(|_| failed(format!("no answer within {:?}", self.timeouts.head)))?
            .map_err(|error| failing(url, &error))?;
        match response.status() {
            StatusCode::NOT_FOUND | StatusCode::FORBIDDEN | StatusCode::GONE => {
                Err(FaceError::Absent { url: url.to_owned() })
            }
            StatusCode::NOT_MODIFIED => Ok(response),
            status if status.is_success() => Ok(response),
            status => Err(FaceError::Failing {
                url: url.to_owned(),
                what: format!("it answers {status}"),
                retry_after: retry_after(&response),
            }),
        }
    }
}

/// Chooses the TLS implementation, unless the program already has.
pub(crate) fn install_tls() {
    // Fails only if there is one, which is then used.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// The error with its causes, in which alone the system's own words are; without the address,
/// which the caller adds.
fn failing(url: &str, error: &reqwest::Error) -> FaceError {
    let mut what = String::new();
    let mut next: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(error);
    while let Some(cause) = next {
        if !what.is_empty() {
            what.push_str(": ");
        }
        what.push_str(&cause.to_string());
        next = cause.source();
    }
    if what.is_empty() {
        what = error.to_string();
    }
    FaceError::failing(url, what)
}

/// Seconds only: a date needs a clock.
fn retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers().get(http::header::RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

async fn collect(url: &str, limit: u64, response: Response) -> Result<Bytes, FaceError> {
    let mut bytes = Vec::new();
    let mut body = response.bytes_stream();
    while let Some(chunk) = body.try_next().await.map_err(|error| failing(url, &error))? {
        if (bytes.len() + chunk.len()) as u64 > limit {
            return Err(FaceError::TooLarge { url: url.to_owned(), limit });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.into())
}

/// `body`, failing where it ends too early or goes on for too long.
fn exactly(
    url: String,
    expected: u64,
    body: BoxStream<'static, Result<Bytes, String>>,
) -> BoxStream<'static, Result<Bytes, FaceError>> {
    futures::stream::try_unfold((body, expected), move |(mut body, rest)| {
        let failed = |what: String| FaceError::failing(&url, what);
        let too_short = failed(format!("its body ends {rest} bytes too early"));
        let too_long = failed("its body is longer than it said".to_owned());
        let broken = url.clone();
        async move {
            match body.try_next().await {
                Ok(Some(chunk)) => match rest.checked_sub(chunk.len() as u64) {
                    Some(rest) => Ok(Some((chunk, (body, rest)))),
                    None => Err(too_long),
                },
                Ok(None) if rest > 0 => Err(too_short),
                Ok(None) => Ok(None),
                Err(what) => Err(FaceError::failing(broken, what)),
            }
        }
    })
    .boxed()
}

/// `bytes FIRST-LAST/SIZE` (RFC 9110, section 14.4), as a range and the whole size.
fn content_range(text: &str) -> Option<(Range<u64>, u64)> {
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last, size) = (first.parse().ok()?, last.parse::<u64>().ok()?, size.parse().ok()?);
    let end = last.checked_add(1)?;
    (first < end && end <= size).then_some((first..end, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_read_exactly() {
        assert_eq!(content_range("bytes 0-0/1"), Some((0..1, 1)));
        assert_eq!(content_range("bytes 5-9/10"), Some((5..10, 10)));
        for bad in ["", "bytes */10", "bytes 5-9/*", "bytes 9-5/10", "bytes 0-10/10", "0-0/1"] {
            assert_eq!(content_range(bad), None, "{bad}");
        }
        assert_eq!(content_range("bytes 0-18446744073709551615/1"), None);
    }
}
