//! What can go wrong with a registry, named by what the caller can do about it.
//!
//! Absence is no error: it is `None` of the call. Messages name the configured address only, never
//! where a redirect led, since that may be a signed URL.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use landbridge_core::Digest;

/// Why a registry did not answer a question.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// It does not let us in. Asking again with the same credentials is of no use.
    #[error("{what} is refused: {reason}")]
    Denied {
        /// What was asked for.
        what: String,
        /// Why, as far as we know.
        reason: String,
    },
    /// It did not answer, or said that it cannot now: a time-out, a failing connection or
    /// handshake, a 429 or a 5xx. Ask later, or somebody else.
    #[error("{what} is not available: {reason}")]
    Unavailable {
        /// What was asked for.
        what: String,
        /// Why.
        reason: String,
        /// How long the registry wants to be left alone, if it said so in seconds.
        retry_after: Option<Duration>,
        /// The cause below, if there is one.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// It sent bytes that are not those of the digest. Do not use it for this object.
    #[error("{what} has the wrong bytes: expected {expected}, got {got}")]
    WrongBytes {
        /// What was asked for.
        what: String,
        /// The digest that was asked for or promised.
        expected: Box<Digest>,
        /// The digest of what came.
        got: Box<Digest>,
    },
    /// The range begins beyond the end of the blob (416).
    #[error("{what} has no bytes in the range that was asked for")]
    OutOfRange {
        /// What was asked for.
        what: String,
        /// The blob's size, if the registry told it.
        size_bytes: Option<u64>,
    },
    /// It answered what no registry answers. Somebody must look at it.
    #[error("{what}: the registry's answer makes no sense: {problem}")]
    Malformed {
        /// What was asked for.
        what: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl ClientError {
    pub(super) fn malformed(what: &str, problem: impl Into<String>) -> Self {
        Self::Malformed { what: what.to_owned(), problem: problem.into() }
    }

    pub(super) fn denied(what: &str, reason: impl Into<String>) -> Self {
        Self::Denied { what: what.to_owned(), reason: reason.into() }
    }

    pub(super) fn too_slow(what: &str, limit: Duration) -> Self {
        Self::Unavailable {
            what: what.to_owned(),
            reason: format!("no answer within {limit:?}"),
            retry_after: None,
            source: None,
        }
    }

    /// A failure below HTTP.
    pub(super) fn transport(what: &str, error: reqwest::Error) -> Self {
        if error.is_redirect() {
            return Self::malformed(what, "it redirects too often, or from HTTPS to plain HTTP");
        }
        let reason = if error.is_timeout() {
            "it is too slow"
        } else if error.is_connect() {
            "no connection"
        } else {
            "the connection broke"
        };
        Self::Unavailable {
            what: what.to_owned(),
            reason: reason.to_owned(),
            retry_after: None,
            source: Some(Box::new(error.without_url())),
        }
    }

    /// The meaning of a status that is neither success nor absence.
    pub(super) fn status(what: &str, status: StatusCode, headers: &HeaderMap) -> Self {
        match status.as_u16() {
            401 | 403 => Self::denied(what, format!("status {status}: check the credentials")),
            429 | 500..=599 => Self::Unavailable {
                what: what.to_owned(),
                reason: format!("status {status}"),
                retry_after: retry_after(headers),
                source: None,
            },
            _ => Self::malformed(what, format!("status {status}")),
        }
    }
}

/// Seconds only: a date needs a clock, and no registry is known to send one.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_status_says_what_the_caller_can_do() {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("7"));
        let error = |status: u16| {
            ClientError::status("a blob", StatusCode::from_u16(status).unwrap(), &headers)
        };
        for status in [401, 403] {
            assert!(matches!(error(status), ClientError::Denied { .. }), "{status}");
        }
        for status in [429, 500, 502, 503, 599] {
            let ClientError::Unavailable { retry_after, .. } = error(status) else {
                panic!("{status}");
            };
            assert_eq!(retry_after, Some(Duration::from_secs(7)));
        }
        for status in [204, 304, 400, 418] {
            assert!(matches!(error(status), ClientError::Malformed { .. }), "{status}");
        }
    }
}
