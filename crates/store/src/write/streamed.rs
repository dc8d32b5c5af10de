//! One streamed PUT into S3, whose SHA-256 the store itself checks.
//!
//! `object_store` hashes what it sends, for which it must have it in memory. Here the digest is
//! known before: a signed address allows exactly one request, with exactly this checksum, and bytes
//! go out as they come in. The store keeps the checksum, and tells it whoever asks, so that what
//! lies there is known by one question.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html>

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures::stream;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use landbridge_core::Digest;
use landbridge_core::digest::Algorithm;
use object_store::aws::AmazonS3;
use object_store::signer::{SignedUrlOptions, Signer as _};
use url::Url;

use super::IMMUTABLE;
use super::everywhere::Object;
use super::parts::Pieces;
use crate::bucket::Bucket;
use crate::error::{Cause, Place, PutError, StoreError};
use crate::polite::Gate;

const CHECKSUM: HeaderName = HeaderName::from_static("x-amz-checksum-sha256");
const CHECKSUM_MODE: HeaderName = HeaderName::from_static("x-amz-checksum-mode");
/// What is smaller is in memory anyway, and is repeated there if the store is busy.
const LEAST_BYTES: u64 = 256 << 10;
/// What S3 takes by one request.
const MOST_BYTES: u64 = 5 << 30;
/// A signed address is used at once, but a large object takes its time.
const VALID: Duration = Duration::from_hours(12);
/// A question is answered within this time.
const ANSWER: Duration = Duration::from_secs(30);
/// Of an answer that refuses, what a message shows.
const SHOWN: usize = 300;

/// Requests that are signed here.
#[derive(Debug)]
pub(crate) struct Signed {
    store: Arc<AmazonS3>,
    http: reqwest::Client,
    gate: Arc<Gate>,
}

/// What a store says of an object.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) size: u64,
    pub(super) e_tag: Option<String>,
    /// Its own checksum of all bytes is the digest. It may keep none.
    pub(super) is_right: bool,
}

impl Signed {
    /// Requests to the same store as `store`'s, and limited with those.
    pub(crate) fn new(store: Arc<AmazonS3>, http: reqwest::Client, gate: Arc<Gate>) -> Self {
        Self { store, http, gate }
    }

    /// Whether S3 has a checksum that is this digest.
    pub(super) fn knows(digest: &Digest) -> bool {
        checksum(digest).is_some()
    }

    /// Whether such an object is written here.
    pub(super) fn takes(digest: &Digest, size: u64) -> bool {
        Self::knows(digest) && (LEAST_BYTES..=MOST_BYTES).contains(&size)
    }

    /// Writes an object and gives the tag that it got.
    pub(super) async fn put(
        &self,
        bucket: &Bucket,
        object: Object<'_>,
        pieces: impl Pieces + Send + 'static,
    ) -> Result<Option<String>, PutError> {
        let key = bucket.object_key(object.digest);
        let failed = |source| StoreError::from_cause(bucket.place(&key), source);
        let text = |value: &str| HeaderValue::try_from(value).map_err(|error| failed(error.into()));
        let mut headers = HeaderMap::new();
        if let Some(checksum) = checksum(object.digest) {
            headers.insert(CHECKSUM, text(&checksum)?);
        }
        headers.insert(CONTENT_TYPE, text(object.media_type)?);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(IMMUTABLE));
        let url = self.sign(bucket, &key, Method::PUT, &headers).await?;
        headers.insert(CONTENT_LENGTH, object.size.into());
        let body = stream::try_unfold(pieces, |mut pieces| async move {
            let next: Option<Bytes> = pieces.next().await?;
            Ok::<_, PutError>(next.map(|chunk| (chunk, pieces)))
        });
        let _place = self.gate.enter().await;
        let body = reqwest::Body::wrap_stream(body);
        let sent = self.http.put(url).headers(headers).body(body).send().await;
        let answer = sent.map_err(|error| failed(error.without_url().into()))?;
        self.gate.heed(answer.status(), answer.headers());
        if answer.status().is_success() {
            return Ok(header(answer.headers(), &ETAG));
        }
        let status = answer.status();
        let mut said = answer.text().await.unwrap_or_default();
        said.truncate(said.floor_char_boundary(SHOWN));
        let source: Cause = format!("the store answered {status}: {said}").into();
        Err(refused(bucket.place(&key), status, source).into())
    }

    /// What the store says of what lies under an object's key; `None` if there is nothing.
    pub(super) async fn look(
        &self,
        bucket: &Bucket,
        digest: &Digest,
    ) -> Result<Option<Told>, StoreError> {
        let key = bucket.object_key(digest);
        let failed = |source| StoreError::from_cause(bucket.place(&key), source);
        let mut headers = HeaderMap::new();
        headers.insert(CHECKSUM_MODE, HeaderValue::from_static("ENABLED"));
        let url = self.sign(bucket, &key, Method::HEAD, &headers).await?;
        let _place = self.gate.enter().await;
        let asked = self.http.head(url).headers(headers).timeout(ANSWER).send().await;
        let answer = asked.map_err(|error| failed(error.without_url().into()))?;
        let status = answer.status();
        self.gate.heed(status, answer.headers());
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let told = |name: HeaderName| header(answer.headers(), &name);
        let size = told(CONTENT_LENGTH).and_then(|size| size.parse().ok());
        let Some(size) = size.filter(|_| status.is_success()) else {
            let source = format!("the store answered {status}").into();
            return Err(refused(bucket.place(&key), status, source));
        };
        let is_right = told(CHECKSUM).is_some_and(|told| Some(told) == checksum(digest));
        Ok(Some(Told { size, e_tag: told(ETAG), is_right }))
    }

    async fn sign(
        &self,
        bucket: &Bucket,
        key: &str,
        method: Method,
        headers: &HeaderMap,
    ) -> Result<Url, StoreError> {
        let options = headers.iter().fold(SignedUrlOptions::new(), |options, (name, value)| {
            options.with_signed_header(name.clone(), value.clone())
        });
        let path = bucket.path(key)?;
        let signed = self.store.signed_url_opts(method, &path, VALID, &options).await;
        signed.map_err(|error| bucket.failed(key, error))
    }
}

fn refused(place: Place, status: StatusCode, source: Cause) -> StoreError {
    match status {
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => StoreError::Denied { place, source },
        StatusCode::INSUFFICIENT_STORAGE => StoreError::Full { place, source },
        _ => StoreError::Unavailable { place, source },
    }
}

fn header(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

/// As S3 writes it; of other algorithms it keeps none.
fn checksum(digest: &Digest) -> Option<String> {
    match digest.algorithm() {
        Algorithm::Sha256 => Some(BASE64.encode(digest.hash())),
        Algorithm::Sha512 => None,
    }
}
