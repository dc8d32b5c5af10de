//! Answers: heads and bodies as the specification wants them, in one place.
//!
//! What may be stored where is decided here: redirects, errors and lists never; manifests by tag
//! only to be asked again; manifests by digest by the client itself, for a while.

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    ETAG, IF_NONE_MATCH, LINK, LOCATION, RANGE, REFERRER_POLICY, RETRY_AFTER, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use landbridge_core::Digest;
use landbridge_core::catalog::ManifestInfo;
use landbridge_core::condition::{self, Wanted};
use landbridge_core::oci_error::{Code, OciError};
use landbridge_core::topology::CopyId;

use crate::body::Body;
use crate::status::Form;

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");
const PRIVATE: HeaderValue = HeaderValue::from_static("private, max-age=3600, immutable");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
/// What a browser may do with the one page that is meant for it.
const NOTHING_BUT_STYLE: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Seconds after which a client may come back if nobody knows better.
const RETRY_SOON: u64 = 5;
const OCI_FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// A response, and what the record says of it.
pub(crate) struct Answer {
    /// What the client gets.
    pub(crate) response: Response<Body>,
    /// The object that is answered or pointed at.
    pub(crate) digest: Option<Digest>,
    /// The copy that serves the bytes.
    pub(crate) copy: Option<CopyId>,
    /// Bytes handed out, here or by the copy.
    pub(crate) bytes: u64,
}

impl Answer {
    fn new(status: StatusCode, body: Body) -> Self {
        let mut response = Response::new(body);
        *response.status_mut() = status;
        Self { response, digest: None, copy: None, bytes: 0 }
    }

    fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.response.headers_mut().insert(name, value);
        self
    }

    /// `/v2/`: yes, this is a registry.
    pub(crate) fn ping() -> Self {
        Self::new(StatusCode::OK, Body::Full(Bytes::from_static(b"{}")))
            .header(CONTENT_TYPE, JSON)
            .header(CACHE_CONTROL, NO_STORE)
            .header(API_VERSION, HeaderValue::from_static("registry/2.0"))
    }

    /// One of the specification's errors, as its JSON.
    pub(crate) fn error(error: &OciError) -> Self {
        let status =
            StatusCode::from_u16(error.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let answer = Self::new(status, error.to_json().into())
            .header(CONTENT_TYPE, JSON)
            .header(CACHE_CONTROL, NO_STORE);
        match error.code {
            Code::Unsupported => answer.header(ALLOW, HeaderValue::from_static("GET, HEAD")),
            Code::Unavailable | Code::TooManyRequests => {
                let seconds = error.retry_after.unwrap_or(RETRY_SOON);
                answer.header(RETRY_AFTER, HeaderValue::from(seconds))
            }
            // Gone for a while, as a rehearsal of being gone for good.
            Code::Gone => match error.retry_after {
                Some(seconds) => answer.header(RETRY_AFTER, HeaderValue::from(seconds)),
                None => answer,
            },
            _ => answer,
        }
    }

    /// 307 to a copy. `location` is made of configured text, checked names and digests.
    pub(crate) fn redirect(location: Vec<u8>) -> Self {
        match HeaderValue::from_maybe_shared(Bytes::from(location)) {
            Ok(location) => Self::new(StatusCode::TEMPORARY_REDIRECT, Body::Empty)
                .header(LOCATION, location)
                .header(CACHE_CONTROL, NO_STORE),
            // A configured address with control characters does not pass validation.
            Err(_) => Self::error(&OciError::new(Code::Unknown, "the redirect cannot be written")),
        }
    }

    /// A manifest as it is stored. By tag it must be asked for again, by digest it may be kept.
    /// Without bytes only the head is meant.
    pub(crate) fn manifest(info: &ManifestInfo<'_>, by: By, bytes: Option<Bytes>) -> Self {
        let size = info.size;
        let is_whole = bytes.is_some();
        let mut answer = Self::new(StatusCode::OK, bytes.map_or(Body::Empty, Body::Full))
            .header(CONTENT_TYPE, text(info.media_type))
            .header(CONTENT_LENGTH, HeaderValue::from(size));
        answer.bytes = if is_whole { size } else { 0 };
        answer.with_validators(&info.digest, by)
    }

    /// 304: the client has it already.
    pub(crate) fn not_modified(digest: &Digest, by: By) -> Self {
        Self::new(StatusCode::NOT_MODIFIED, Body::Empty).with_validators(digest, by)
    }

    fn with_validators(mut self, digest: &Digest, by: By) -> Self {
        let mut name = Vec::with_capacity(138);
        name.push(b'"');
        digest.append_to(b':', &mut name);
        name.push(b'"');
        let etag = Bytes::from(name);
        let digest_text = etag.slice(1..etag.len() - 1);
        self.digest = Some(*digest);
        self.header(ETAG, shared(etag)).header(DOCKER_CONTENT_DIGEST, shared(digest_text)).header(
            CACHE_CONTROL,
            match by {
                By::Tag => NO_CACHE,
                By::Digest => PRIVATE,
            },
        )
    }

    /// A list, with the address of its next page if there is one.
    pub(crate) fn list(json: Vec<u8>, next: Option<String>) -> Self {
        let bytes = json.len() as u64;
        let mut answer = Self::new(StatusCode::OK, json.into())
            .header(CONTENT_TYPE, JSON)
            .header(CACHE_CONTROL, NO_STORE);
        answer.bytes = bytes;
        match next.and_then(|next| HeaderValue::try_from(format!("<{next}>; rel=\"next\"")).ok()) {
            Some(link) => answer.header(LINK, link),
            None => answer,
        }
    }

    /// An index of referrers.
    pub(crate) fn referrers(json: Vec<u8>, is_filtered: bool) -> Self {
        let answer = Self::list(json, None)
            .header(CONTENT_TYPE, HeaderValue::from_static(landbridge_core::media_type::OCI_INDEX));
        if is_filtered {
            answer.header(OCI_FILTERS_APPLIED, HeaderValue::from_static("artifactType"))
        } else {
            answer
        }
    }

    /// One of a site's own pages.
    pub(crate) fn page(page: &str) -> Self {
        let mut answer =
            Self::new(StatusCode::OK, Body::Full(Bytes::copy_from_slice(page.as_bytes())))
                .header(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"))
                .header(CACHE_CONTROL, NO_STORE);
        answer.bytes = page.len() as u64;
        answer
    }

    /// What a site's users may know of it. Nothing on it may load or run anything.
    pub(crate) fn status(form: Form, body: Bytes) -> Self {
        let content_type = match form {
            Form::Html => HeaderValue::from_static("text/html; charset=utf-8"),
            Form::Json => JSON,
        };
        let bytes = body.len() as u64;
        let mut answer = Self::new(StatusCode::OK, Body::Full(body))
            .header(CONTENT_TYPE, content_type)
            .header(CACHE_CONTROL, NO_STORE)
            .header(VARY, HeaderValue::from_static("Accept"))
            .header(CONTENT_SECURITY_POLICY, HeaderValue::from_static(NOTHING_BUT_STYLE))
            .header(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))
            .header(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        answer.bytes = bytes;
        answer
    }

    /// An object's bytes: all of it, or one range of it.
    pub(crate) fn object(
        digest: &Digest,
        size: u64,
        range: Option<(u64, u64)>,
        body: Body,
    ) -> Self {
        let (status, length) = match range {
            None => (StatusCode::OK, size),
            Some((from, to)) => (StatusCode::PARTIAL_CONTENT, to - from),
        };
        let mut answer = Self::new(status, body)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))
            .header(CONTENT_LENGTH, HeaderValue::from(length))
            .header(ACCEPT_RANGES, HeaderValue::from_static("bytes"))
            .with_validators(digest, By::Digest);
        answer.bytes = length;
        match range {
            None => answer,
            Some((from, to)) => {
                answer.content_range(&format!("bytes {from}-{}/{size}", to.saturating_sub(1)))
            }
        }
    }

    /// 416: the range lies beyond the object.
    pub(crate) fn range_not_satisfiable(size: u64) -> Self {
        let error =
            OciError::new(Code::RequestInvalid, "the range lies beyond the end of the object");
        let mut answer = Self::error(&error).content_range(&format!("bytes */{size}"));
        *answer.response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
        answer
    }

    fn content_range(self, value: &str) -> Self {
        self.header(http::header::CONTENT_RANGE, text(value))
    }

    /// The answer with only its head: `HEAD` hands out nothing.
    pub(crate) fn without_body(mut self) -> Self {
        let body = std::mem::replace(self.response.body_mut(), Body::Empty);
        let size = http_body::Body::size_hint(&body).exact();
        if let (Some(size), false) = (size, self.response.headers().contains_key(CONTENT_LENGTH)) {
            self = self.header(CONTENT_LENGTH, HeaderValue::from(size));
        }
        self.bytes = 0;
        self
    }
}

/// How a client named what it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// By a name that may move.
    Tag,
    /// By its own digest.
    Digest,
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
    condition::wanted(text(RANGE), text(http::header::IF_RANGE), digest, size)
}

fn shared(bytes: Bytes) -> HeaderValue {
    HeaderValue::from_maybe_shared(bytes).unwrap_or(HeaderValue::from_static(""))
}

fn text(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("application/octet-stream"))
}

/// True for the two methods that read.
pub(crate) fn is_read(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_from_every_header_of_their_name() {
        let digest = Digest::sha256_of(b"x");
        let name = HeaderValue::try_from(format!("\"{digest}\"")).unwrap();
        let mut headers = HeaderMap::new();
        headers.append(IF_NONE_MATCH, HeaderValue::from_static("\"other\""));
        assert!(!is_known(&headers, &digest));
        headers.append(IF_NONE_MATCH, name.clone());
        assert!(is_known(&headers, &digest));
        headers.insert(RANGE, HeaderValue::from_static("bytes=1-2"));
        assert_eq!(wanted(&headers, &digest, 9), Wanted::Part(1, 3));
        headers.insert(http::header::IF_RANGE, name);
        assert_eq!(wanted(&headers, &digest, 9), Wanted::Part(1, 3));
        headers.insert(http::header::IF_RANGE, HeaderValue::from_static("\"other\""));
        assert_eq!(wanted(&headers, &digest, 9), Wanted::Whole);
    }
}
