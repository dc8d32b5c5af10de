//! Answers: heads and bodies as the specification wants them.
//!
//! What may be stored is decided here: manifests by tag only to be asked again, objects by digest
//! by the client itself, everything else never.

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    IF_RANGE, LINK, LOCATION, RANGE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body::{Body as _, Frame};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use landbridge_core::Digest;
use landbridge_core::condition::{self, Wanted};
use landbridge_core::media_type::{OCI_INDEX, OCTET_STREAM};
use landbridge_store::StoreError;
use serde::Serialize;

pub(crate) const DOCKER_CONTENT_DIGEST: HeaderName =
    HeaderName::from_static("docker-content-digest");
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
const OCI_FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// The body of an answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, StoreError>;

/// An answer that is being put together.
#[derive(Debug)]
pub(crate) struct Answer(Response<Body>);

/// How a client named what it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// By a name that may move.
    Tag,
    /// By its own digest.
    Digest,
}

fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

impl Answer {
    fn new(status: StatusCode, body: Body) -> Self {
        let mut response = Response::new(body);
        *response.status_mut() = status;
        Self(response)
            .header(CACHE_CONTROL, HeaderValue::from_static("no-store"))
            .header(API_VERSION, HeaderValue::from_static("registry/2.0"))
            .header(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))
    }

    /// A status without content.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self::new(status, full(Bytes::new()))
    }

    /// 201: it is there now, and can be read at `location`.
    pub(crate) fn created(location: &str, digest: &Digest) -> Self {
        Self::empty(StatusCode::CREATED).text(LOCATION, location).digest(digest)
    }

    /// JSON of this type.
    pub(crate) fn json(status: StatusCode, content_type: &'static str, json: Vec<u8>) -> Self {
        Self::new(status, full(json)).header(CONTENT_TYPE, HeaderValue::from_static(content_type))
    }

    /// A page of a list, with the address of the next one if there is one.
    pub(crate) fn list(list: &impl Serialize, next: Option<String>) -> Self {
        Self::list_of("application/json", list, next)
    }

    /// A page of referrers.
    pub(crate) fn referrers(
        index: &impl Serialize,
        next: Option<String>,
        filter: Option<&'static str>,
    ) -> Self {
        let answer = Self::list_of(OCI_INDEX, index, next);
        match filter {
            Some(filter) => answer.header(OCI_FILTERS_APPLIED, HeaderValue::from_static(filter)),
            None => answer,
        }
    }

    fn list_of(content_type: &'static str, list: &impl Serialize, next: Option<String>) -> Self {
        let json = serde_json::to_vec(list).unwrap_or_default();
        let answer = Self::json(StatusCode::OK, content_type, json);
        match next {
            Some(next) => answer.text(LINK, &format!("<{next}>; rel=\"next\"")),
            None => answer,
        }
    }

    /// A manifest as it is stored. Without bytes only the head is meant.
    pub(crate) fn manifest(
        media_type: &str,
        digest: &Digest,
        size: u64,
        by: By,
        bytes: Option<Bytes>,
    ) -> Self {
        Self::new(StatusCode::OK, full(bytes.unwrap_or_default()))
            .text(CONTENT_TYPE, media_type)
            .header(CONTENT_LENGTH, HeaderValue::from(size))
            .validators(digest, by)
    }

    /// A blob: the bytes of `part`, or of all. Without a stream only the head is meant.
    pub(crate) fn blob(
        digest: &Digest,
        size: u64,
        part: Option<(u64, u64)>,
        bytes: Option<BoxStream<'static, Result<Bytes, StoreError>>>,
    ) -> Self {
        let body = match bytes {
            Some(bytes) => StreamBody::new(bytes.map_ok(Frame::data).boxed()).boxed_unsync(),
            None => full(Bytes::new()),
        };
        let (status, length) = match part {
            None => (StatusCode::OK, size),
            Some((from, to)) => (StatusCode::PARTIAL_CONTENT, to.saturating_sub(from)),
        };
        let answer = Self::new(status, body)
            .header(CONTENT_TYPE, HeaderValue::from_static(OCTET_STREAM))
            .header(CONTENT_LENGTH, HeaderValue::from(length))
            .header(ACCEPT_RANGES, HeaderValue::from_static("bytes"))
            .validators(digest, By::Digest);
        match part {
            None => answer,
            Some((from, to)) => {
                let range = format!("bytes {from}-{}/{size}", to.saturating_sub(1));
                answer.text(CONTENT_RANGE, &range)
            }
        }
    }

    /// 304: the client has it already.
    pub(crate) fn not_modified(digest: &Digest, by: By) -> Self {
        Self::empty(StatusCode::NOT_MODIFIED).validators(digest, by)
    }

    fn validators(self, digest: &Digest, by: By) -> Self {
        let keep = match by {
            By::Tag => "no-cache",
            By::Digest => "private, max-age=3600, immutable",
        };
        self.digest(digest)
            .text(ETAG, &format!("\"{digest}\""))
            .header(CACHE_CONTROL, HeaderValue::from_static(keep))
    }

    /// Names the object that the answer is about.
    pub(crate) fn digest(self, digest: &Digest) -> Self {
        self.text(DOCKER_CONTENT_DIGEST, &digest.to_string())
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers_mut().insert(name, value);
        self
    }

    /// Adds a header whose value is made of what was checked: names, digests, media types.
    pub(crate) fn text(self, name: HeaderName, value: &str) -> Self {
        match HeaderValue::from_str(value) {
            Ok(value) => self.header(name, value),
            // Nothing that passed the checks holds what a header cannot.
            Err(_) => self,
        }
    }

    /// The answer to `GET`.
    pub(crate) fn into_response(self) -> Response<Body> {
        self.0
    }

    /// The answer to `HEAD`: the same without its bytes.
    pub(crate) fn into_head(mut self) -> Response<Body> {
        let body = std::mem::replace(self.0.body_mut(), full(Bytes::new()));
        let size = body.size_hint().exact();
        let has_content =
            ![StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&self.0.status());
        let is_told = self.0.headers().contains_key(CONTENT_LENGTH);
        if let (Some(size), true, false) = (size, has_content, is_told) {
            self.0.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(size));
        }
        self.0
    }
}

/// True if `If-None-Match` names this object.
pub(crate) fn is_known(headers: &HeaderMap, digest: &Digest) -> bool {
    let values = headers.get_all(IF_NONE_MATCH).iter();
    condition::is_known(values.filter_map(|value| value.to_str().ok()), digest)
}

/// What a `Range` header asks of an object of `size` bytes.
pub(crate) fn wanted(headers: &HeaderMap, digest: &Digest, size: u64) -> Wanted {
    // What is no text is malformed, and no condition that could hold.
    let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or(""));
    condition::wanted(text(RANGE), text(IF_RANGE), digest, size)
}
