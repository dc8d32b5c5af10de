//! Blobs: whether a registry has one, and its bytes as a stream.

use std::ops::Range;

use http::{HeaderMap, Method, StatusCode, header};
use landbridge_core::digest::Digest;
use landbridge_core::reference::RepositoryName;

use super::body::BlobBody;
use super::manifest::content_length;
use super::{ClientError, RegistryClient};

/// Which part of a blob is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobRange {
    /// The first byte.
    pub first: u64,
    /// The last byte, itself included; `None` is the blob's.
    pub last: Option<u64>,
}

impl RegistryClient {
    /// The size of a blob as the registry tells it; `None` if it has no such blob.
    ///
    /// A redirect is followed, so that the answer is the one of the store behind the registry.
    pub async fn head_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<u64>, ClientError> {
        let what = format!("blob `{repository}@{digest}`");
        let path = ["blobs", &digest.to_string()];
        let question = self.question(Method::HEAD, what, repository, &path);
        let answer = self.send(&question).await?;
        let headers = answer.response.headers();
        match answer.response.status() {
            StatusCode::OK => content_length(headers)
                .map(Some)
                .ok_or_else(|| ClientError::malformed(&question.what, "its size is not told")),
            StatusCode::NOT_FOUND => Ok(None),
            status => Err(ClientError::status(&question.what, status, headers)),
        }
    }

    /// The bytes of a blob, or of a part of it; `None` if the registry has no such blob.
    ///
    /// That the right part comes, and all of it, is checked; the digest is for the caller to check
    /// over a whole blob. A registry that does not serve ranges is [`ClientError::Malformed`]
    /// unless the range is the whole blob.
    pub async fn blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        range: Option<BlobRange>,
    ) -> Result<Option<BlobBody>, ClientError> {
        let what = format!("blob `{repository}@{digest}`");
        let path = ["blobs", &digest.to_string()];
        let mut question = self.question(Method::GET, what, repository, &path);
        question.range = range.map(|range| match range.last {
            // Beyond this a registry that counts in signed numbers refuses the range.
            Some(last) if last < i64::MAX.cast_unsigned() => {
                format!("bytes={}-{last}", range.first)
            }
            Some(_) | None => format!("bytes={}-", range.first),
        });
        let answer = self.send(&question).await?;
        let (what, headers) = (question.what, answer.response.headers());
        let (part, size_bytes) = match answer.response.status() {
            StatusCode::OK => whole(&what, range, headers)?,
            StatusCode::PARTIAL_CONTENT => part(&what, range, headers)?,
            StatusCode::RANGE_NOT_SATISFIABLE => {
                let size_bytes = content_range(headers).and_then(|(_, size)| size);
                return Err(ClientError::OutOfRange { what, size_bytes });
            }
            StatusCode::NOT_FOUND => return Ok(None),
            status => return Err(ClientError::status(&what, status, headers)),
        };
        Ok(Some(BlobBody::new(what, part, size_bytes, answer.response, answer.permit)))
    }
}

fn whole(
    what: &str,
    range: Option<BlobRange>,
    headers: &HeaderMap,
) -> Result<(Range<u64>, u64), ClientError> {
    let size = content_length(headers)
        .ok_or_else(|| ClientError::malformed(what, "its size is not told"))?;
    match range {
        Some(BlobRange { first, last })
            if first > 0 || last.is_some_and(|last| last.saturating_add(1) < size) =>
        {
            Err(ClientError::malformed(what, "a range was asked for and the whole blob came"))
        }
        _ => Ok((0..size, size)),
    }
}

fn part(
    what: &str,
    range: Option<BlobRange>,
    headers: &HeaderMap,
) -> Result<(Range<u64>, u64), ClientError> {
    let malformed = |problem: &str| ClientError::malformed(what, problem);
    let asked = range.ok_or_else(|| malformed("a part came and no range was asked for"))?;
    let (Some(got), Some(size)) =
        content_range(headers).ok_or_else(|| malformed("`Content-Range` cannot be read"))?
    else {
        return Err(malformed("`Content-Range` does not tell the part and the size"));
    };
    let end = asked.last.map_or(size, |last| last.saturating_add(1).min(size));
    if got != (asked.first..end) {
        return Err(malformed("`Content-Range` is not the range that was asked for"));
    }
    if content_length(headers).is_some_and(|length| length != got.end - got.start) {
        return Err(malformed("`Content-Length` contradicts `Content-Range`"));
    }
    Ok((got, size))
}

/// `bytes 0-9/100`, `bytes 0-9/*` or `bytes */100` (RFC 9110, 14.4).
fn content_range(headers: &HeaderMap) -> Option<(Option<Range<u64>>, Option<u64>)> {
    let text = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    let (range, size) = text.strip_prefix("bytes ")?.trim().split_once('/')?;
    let size: Option<u64> = if size == "*" { None } else { Some(size.parse().ok()?) };
    if range == "*" {
        return Some((None, size));
    }
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    let end = last.checked_add(1)?;
    let is_inside = first < end && size.is_none_or(|size| end <= size);
    is_inside.then_some((Some(first..end), size))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Option<(Option<Range<u64>>, Option<u64>)> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_RANGE, HeaderValue::from_str(text).ok()?);
        content_range(&headers)
    }

    #[test]
    fn a_content_range_is_read_or_refused() {
        assert_eq!(read("bytes 2-9/10"), Some((Some(2..10), Some(10))));
        assert_eq!(read("bytes 2-9/*"), Some((Some(2..10), None)));
        assert_eq!(read("bytes */10"), Some((None, Some(10))));
        for bad in [
            "",
            "bytes",
            "bytes 1-2",
            "bytes 2-1/10",
            "bytes 0-10/10",
            "bytes -1-2/10",
            "lines 0-1/2",
            "bytes 0-18446744073709551615/*",
            "bytes a-b/c",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn strangers_cannot_make_it_panic(text in "(bytes )?[ -~]{0,60}") {
            let _ = read(&text);
        }
    }
}
