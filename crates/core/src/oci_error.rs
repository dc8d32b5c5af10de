//! The distribution specification's errors: one table of codes, statuses and safe texts.
//!
//! Every refusal that a client sees is one of these. What went wrong inside stays in the log; the
//! detail here holds only what the client itself sent or may know.
//!
//! <https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#error-codes>

use std::borrow::Cow;

use serde::Serialize;

/// A code of the specification's table, or one of the widely used additions to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// `BLOB_UNKNOWN`
    BlobUnknown,
    /// `BLOB_UPLOAD_INVALID`: what was sent to an upload cannot be a part of it.
    BlobUploadInvalid,
    /// `BLOB_UPLOAD_UNKNOWN`: no such upload is under way.
    BlobUploadUnknown,
    /// `DIGEST_INVALID`
    DigestInvalid,
    /// `MANIFEST_BLOB_UNKNOWN`: a manifest refers to what the repository does not have.
    ManifestBlobUnknown,
    /// `MANIFEST_INVALID`
    ManifestInvalid,
    /// `MANIFEST_UNKNOWN`
    ManifestUnknown,
    /// `NAME_INVALID`
    NameInvalid,
    /// `NAME_UNKNOWN`
    NameUnknown,
    /// `TAG_INVALID`, as the reference implementation names a malformed tag.
    TagInvalid,
    /// `PAGINATION_NUMBER_INVALID`, as the reference implementation names a malformed `n`.
    PaginationNumberInvalid,
    /// `RANGE_INVALID`, as the reference implementation names a chunk that is not the next one and
    /// a range that lies beyond the object.
    RangeInvalid,
    /// `SIZE_INVALID`: more or fewer bytes came than were announced.
    SizeInvalid,
    /// `UNAUTHORIZED`: who asks must say who they are.
    Unauthorized,
    /// `UNSUPPORTED`: the operation is not offered here.
    Unsupported,
    /// `DENIED`
    Denied,
    /// `TOOMANYREQUESTS`
    TooManyRequests,
    /// `UNAVAILABLE`: nothing that could answer is reachable now.
    Unavailable,
    /// `NOT_FOUND`: outside of the specification's paths.
    NotFound,
    /// `REQUEST_INVALID`: not a request that HTTP or the specification knows.
    RequestInvalid,
    /// `BODY_TOO_LARGE`: more was sent with a request than is read.
    BodyTooLarge,
    /// `NAME_UNKNOWN` with status 410: it was here, and will not be again.
    Gone,
    /// `UNKNOWN`: a fault of our own.
    Unknown,
}

impl Code {
    /// The code as it stands in the JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::BlobUploadInvalid => "BLOB_UPLOAD_INVALID",
            Self::BlobUploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::ManifestBlobUnknown => "MANIFEST_BLOB_UNKNOWN",
            Self::ManifestInvalid => "MANIFEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::NameInvalid => "NAME_INVALID",
            // The specification has no word of its own for what is gone.
            Self::NameUnknown | Self::Gone => "NAME_UNKNOWN",
            Self::TagInvalid => "TAG_INVALID",
            Self::PaginationNumberInvalid => "PAGINATION_NUMBER_INVALID",
            Self::RangeInvalid => "RANGE_INVALID",
            Self::SizeInvalid => "SIZE_INVALID",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Unsupported => "UNSUPPORTED",
            Self::Denied => "DENIED",
            Self::TooManyRequests => "TOOMANYREQUESTS",
            Self::Unavailable => "UNAVAILABLE",
            Self::NotFound => "NOT_FOUND",
            Self::RequestInvalid => "REQUEST_INVALID",
            Self::BodyTooLarge => "BODY_TOO_LARGE",
            Self::Unknown => "UNKNOWN",
        }
    }

    /// The HTTP status that goes with the code.
    pub const fn status(self) -> u16 {
        match self {
            Self::BlobUnknown
            | Self::BlobUploadUnknown
            | Self::ManifestUnknown
            | Self::NameUnknown
            | Self::NotFound => 404,
            // Not 404 for a manifest's references: to clients that would be the repository.
            Self::BlobUploadInvalid
            | Self::DigestInvalid
            | Self::ManifestBlobUnknown
            | Self::ManifestInvalid
            | Self::SizeInvalid
            | Self::NameInvalid
            | Self::TagInvalid
            | Self::PaginationNumberInvalid
            | Self::RequestInvalid => 400,
            Self::Unauthorized => 401,
            Self::Unsupported => 405,
            Self::Gone => 410,
            Self::RangeInvalid => 416,
            Self::BodyTooLarge => 413,
            Self::Denied => 403,
            Self::TooManyRequests => 429,
            Self::Unavailable => 503,
            Self::Unknown => 500,
        }
    }
}

/// An error as a client sees it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", code.name())]
pub struct OciError {
    /// The code, which decides the status.
    pub code: Code,
    /// One sentence for a person; never holds what only the operator may know.
    pub message: Cow<'static, str>,
    /// When to come back, in seconds, if that is known (RFC 9110, section 10.2.3).
    pub retry_after: Option<u64>,
}

impl OciError {
    /// An error with a fixed text.
    pub const fn new(code: Code, message: &'static str) -> Self {
        Self { code, message: Cow::Borrowed(message), retry_after: None }
    }

    /// An error whose text repeats a part of the request.
    pub fn with(code: Code, message: String) -> Self {
        Self { code, message: Cow::Owned(message), retry_after: None }
    }

    /// The error with the seconds after which the client should come back.
    #[must_use]
    pub const fn after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The body: `{"errors":[{"code":…,"message":…}]}`.
    pub fn to_json(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Body<'a> {
            errors: [Entry<'a>; 1],
        }
        #[derive(Serialize)]
        struct Entry<'a> {
            code: &'a str,
            message: &'a str,
        }
        let body = Body { errors: [Entry { code: self.code.name(), message: &self.message }] };
        serde_json::to_vec(&body).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_the_specifications() {
        let error = OciError::new(Code::BlobUnknown, "no such \"blob\"");
        assert_eq!(
            String::from_utf8(error.to_json()).unwrap(),
            r#"{"errors":[{"code":"BLOB_UNKNOWN","message":"no such \"blob\""}]}"#
        );
        assert_eq!(error.code.status(), 404);
    }
}
