//! Asking a copy as clients do, to find out how it answers.
//!
//! The rest of [`PublicFace`] refuses what is not right; here it is told, so that whoever checks a
//! copy can name everything that is wrong with an answer. Absence is `None`. What cannot be told
//! at all, since the copy does not answer, is an error as elsewhere.

use futures::TryStreamExt as _;
use http::header::{
    AsHeaderName, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    RANGE,
};
use http::{Method, StatusCode};
use landbridge_core::Digest;
use landbridge_core::digest::Hasher;
use reqwest::Response;

use super::{FaceError, PublicFace, content_range, failing};

/// What the head of an answer says of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FaceHead {
    /// `Content-Length`, if it is told and a number: the object's size in bytes.
    pub size: Option<u64>,
    /// `Content-Type`, as it is written.
    pub media_type: Option<String>,
    /// `Cache-Control`, as it is written.
    pub cache_control: Option<String>,
    /// `Content-Encoding`, as it is written.
    pub encoding: Option<String>,
}

/// How a copy answers who asks for a part of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RangeAnswer {
    /// It gives that part and says so.
    Honoured,
    /// It gives the whole object.
    Ignored,
    /// It gives something else: a sentence.
    Wrong(String),
}

/// What a copy gives when it is asked for a whole object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaceWhole {
    /// What the head of the answer said.
    pub head: FaceHead,
    /// How many bytes came; one too many at most are counted.
    pub size: u64,
    /// The digest of the bytes that came, by the algorithm of the one that was asked for.
    pub digest: Digest,
    /// Why the body ended before its time, if it did.
    pub broke_off: Option<String>,
}

impl PublicFace {
    /// What the copy says of the object (`HEAD`).
    pub async fn look(&self, digest: &Digest) -> Result<Option<FaceHead>, FaceError> {
        let url = self.url(digest);
        let answer = present(self.send(&url, self.request(Method::HEAD, &url)).await)?;
        Ok(answer.map(|response| head(&response)))
    }

    /// Asks for the last byte of an object of `size` bytes, of which it must have one.
    pub async fn try_range(
        &self,
        digest: &Digest,
        size: u64,
    ) -> Result<Option<RangeAnswer>, FaceError> {
        let url = self.url(digest);
        let last = size.saturating_sub(1);
        let request = self.request(Method::GET, &url).header(RANGE, format!("bytes={last}-"));
        let Some(response) = present(self.send(&url, request).await)? else { return Ok(None) };
        let told = header(&response, CONTENT_RANGE);
        Ok(Some(match response.status() {
            StatusCode::OK => RangeAnswer::Ignored,
            StatusCode::PARTIAL_CONTENT => match told.as_deref().map(content_range) {
                Some(Some((range, whole))) if range == (last..size) && whole == size => {
                    RangeAnswer::Honoured
                }
                _ => RangeAnswer::Wrong(format!(
                    "asked for byte {last} of {size} it gives `{}`",
                    told.unwrap_or_else(|| "no Content-Range".to_owned())
                )),
            },
            status => RangeAnswer::Wrong(format!("asked for a range it answers {status}")),
        }))
    }

    /// Reads the whole object and hashes it; `size` is what it should have, beyond which nothing is
    /// read. In memory is one piece at a time.
    pub async fn read_whole(
        &self,
        digest: &Digest,
        size: u64,
    ) -> Result<Option<FaceWhole>, FaceError> {
        let url = self.url(digest);
        let answer = present(self.send(&url, self.request(Method::GET, &url)).await)?;
        let Some(response) = answer else { return Ok(None) };
        let head = head(&response);
        let mut hasher = Hasher::new(digest.algorithm());
        let (mut seen, mut broke_off) = (0, None);
        let mut body = response.bytes_stream();
        while seen <= size {
            match body.try_next().await {
                Ok(Some(chunk)) => {
                    seen = (seen + chunk.len() as u64).min(size.saturating_add(1));
                    hasher.update(&chunk);
                }
                Ok(None) => break,
                Err(error) => {
                    broke_off = Some(failing(&url, &error).to_string());
                    break;
                }
            }
        }
        Ok(Some(FaceWhole { head, size: seen, digest: hasher.finish(), broke_off }))
    }
}

fn present(answer: Result<Response, FaceError>) -> Result<Option<Response>, FaceError> {
    match answer {
        Ok(response) => Ok(Some(response)),
        Err(FaceError::Absent { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn head(response: &Response) -> FaceHead {
    FaceHead {
        // `content_length()` is that of the body, which an answer to HEAD has not got.
        size: header(response, CONTENT_LENGTH).and_then(|text| text.parse().ok()),
        media_type: header(response, CONTENT_TYPE),
        cache_control: header(response, CACHE_CONTROL),
        encoding: header(response, CONTENT_ENCODING),
    }
}

fn header(response: &Response, name: impl AsHeaderName) -> Option<String> {
    Some(response.headers().get(name)?.to_str().ok()?.to_owned())
}
