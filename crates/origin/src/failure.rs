//! The one place that turns errors into answers.
//!
//! A client sees a code of the specification and a text that is safe to show. What only the
//! operator may know goes to the log, with its chain of causes, once.

use std::error::Error;

use http::header::{ALLOW, CONNECTION, CONTENT_RANGE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use landbridge_core::cause::chain;
use landbridge_core::oci_error::{Code, OciError};
use landbridge_core::request::push::Refusal;
use landbridge_store::{AppendError, FinishError, PrepareError, PutError, StoreError};
use tracing::{debug, error, warn};

use crate::access::Refused;
use crate::answer::Answer;
use crate::body::BodyError;
use crate::limits::{TooMany, TooMuch};
use crate::uploads::Session;

/// Seconds after which a client may ask again for what was not to be had.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("5");

/// Why a request was not carried out.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The client's fault, or simply not there.
    Refused(OciError),
    /// The path does not know the method.
    Method {
        /// Those that it knows.
        allow: &'static str,
    },
    /// The caller may not.
    Access(Refused),
    /// The client asks for too much.
    TooMany(TooMany),
    /// A range that begins beyond the object's end.
    BeyondEnd {
        /// The object's size in bytes.
        size: u64,
    },
    /// A chunk that is not the next one of its upload.
    OutOfOrder {
        /// The upload.
        session: Session,
        /// Where the next chunk begins.
        offset: u64,
    },
    /// The store did not do what it should.
    Store(StoreError),
}

impl Failure {
    /// A refusal with a fixed text.
    pub(crate) const fn new(code: Code, message: &'static str) -> Self {
        Self::Refused(OciError::new(code, message))
    }

    /// A refusal whose text repeats a part of the request.
    pub(crate) fn with(code: Code, message: String) -> Self {
        Self::Refused(OciError::with(code, message))
    }

    /// What an upload's chunk could not be taken for.
    pub(crate) fn of_append(session: Session, error: AppendError) -> Self {
        match error {
            AppendError::Unknown => upload_unknown(),
            AppendError::OutOfOrder { offset } => Self::OutOfOrder { session, offset },
            AppendError::TooLarge { limit } => blob_too_large(limit),
            AppendError::Source { offset, source } => {
                debug!(%session, offset, error = chain(&*source), "a chunk broke off");
                incomplete(&*source)
            }
            AppendError::Store(error) => Self::Store(error),
        }
    }

    /// Why an upload could not be ended.
    pub(crate) fn of_finish(session: Session, error: FinishError) -> Self {
        match error {
            FinishError::Append(error) => Self::of_append(session, error),
            error => Self::of_whole(error),
        }
    }

    /// Why a blob that came all at once was not taken.
    pub(crate) fn of_whole(error: FinishError) -> Self {
        match error {
            FinishError::Append(AppendError::Unknown | AppendError::OutOfOrder { .. }) => {
                upload_unknown()
            }
            FinishError::Append(AppendError::TooLarge { limit }) => blob_too_large(limit),
            FinishError::Append(AppendError::Source { source, .. }) => incomplete(&*source),
            FinishError::Append(AppendError::Store(error)) | FinishError::Store(error) => {
                Self::Store(error)
            }
            FinishError::WrongDigest { what } => {
                Self::with(Code::DigestInvalid, format!("what was sent does not match: {what}"))
            }
            FinishError::BeingDeleted(_) => being_deleted(),
        }
    }

    /// The failure as a client sees it.
    pub(crate) fn into_answer(self) -> Answer {
        match self {
            Self::Refused(error) => answer(&error),
            Self::Method { allow } => answer(&Refusal::Method { allow }.to_error())
                .header(ALLOW, HeaderValue::from_static(allow)),
            Self::Access(Refused { error, challenge }) => match challenge {
                Some(challenge) => answer(&error).header(WWW_AUTHENTICATE, challenge),
                None => answer(&error),
            },
            Self::TooMany(TooMany { retry_after_seconds, what }) => {
                let text = match what {
                    TooMuch::Requests => "too many requests: ask again later",
                    TooMuch::Uploads => "too many uploads at once: wait until one has ended",
                };
                answer(&OciError::new(Code::TooManyRequests, text))
                    .header(RETRY_AFTER, retry_after_seconds.into())
            }
            Self::BeyondEnd { size } => {
                let text = "the range lies beyond the end of the object";
                answer(&OciError::new(Code::RangeInvalid, text))
                    .text(CONTENT_RANGE, &format!("bytes */{size}"))
            }
            Self::OutOfOrder { session, offset } => {
                let text = format!("the next chunk begins at byte {offset}");
                session.describe(answer(&OciError::with(Code::RangeInvalid, text)), offset)
            }
            Self::Store(error) => answer(&of_store(&error)),
        }
    }
}

fn answer(error: &OciError) -> Answer {
    let status = StatusCode::from_u16(error.code.status());
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let answer = Answer::json(status, "application/json", error.to_json());
    match error.code {
        Code::Unavailable | Code::TooManyRequests => answer.header(RETRY_AFTER, RETRY_SECONDS),
        // The rest of the body is not worth its transfer.
        Code::BodyTooLarge => answer.header(CONNECTION, HeaderValue::from_static("close")),
        _ => answer,
    }
}

/// What a client may know of the store's trouble; the rest is logged here.
fn of_store(error: &StoreError) -> OciError {
    let (code, text) = match error {
        StoreError::Unavailable { .. } | StoreError::Stalled { .. } | StoreError::Denied { .. } => {
            (Code::Unavailable, "the registry's storage is out of reach now: try again later")
        }
        StoreError::Full { .. } => {
            (Code::Unavailable, "the registry's storage is full: tell its operator")
        }
        StoreError::ReadOnly { .. } => {
            (Code::Unavailable, "the registry's storage takes no writes: tell its operator")
        }
        StoreError::NotFound(_)
        | StoreError::WrongBytes { .. }
        | StoreError::TooLarge { .. }
        | StoreError::TooMany { .. }
        | StoreError::BadRange { .. }
        | StoreError::Malformed { .. }
        | StoreError::Taken(_)
        | StoreError::Unsupported { .. } => {
            (Code::Unknown, "something is wrong with the registry's storage: tell its operator")
        }
    };
    if code == Code::Unavailable {
        warn!(error = chain(error), "the store does not do what it is asked");
    } else {
        error!(error = chain(error), "the store holds what it should not");
    }
    OciError::new(code, text)
}

fn upload_unknown() -> Failure {
    Failure::new(Code::BlobUploadUnknown, "there is no such upload in this repository")
}

fn blob_too_large(limit: u64) -> Failure {
    let text = format!("the blob is larger than {limit} bytes, the most that this registry takes");
    Failure::with(Code::BodyTooLarge, text)
}

fn being_deleted() -> Failure {
    let text = "this very blob is being deleted as unused: try again in a moment";
    Failure::new(Code::Unavailable, text)
}

/// A body that ended before its time; mostly nobody is left who could read this.
fn incomplete(source: &(dyn Error + 'static)) -> Failure {
    match source.downcast_ref::<BodyError>() {
        Some(BodyError::Stalled(_)) => {
            Failure::new(Code::BlobUploadInvalid, "nothing was sent for too long")
        }
        Some(BodyError::TooLarge { .. } | BodyError::Broken(_)) | None => {
            Failure::new(Code::SizeInvalid, "the body does not have the announced size")
        }
    }
}

impl From<OciError> for Failure {
    fn from(error: OciError) -> Self {
        Self::Refused(error)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Method { allow } => Self::Method { allow },
            Refusal::Invalid(error) => Self::Refused(error),
        }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::Access(refused)
    }
}

impl From<TooMany> for Failure {
    fn from(over: TooMany) -> Self {
        Self::TooMany(over)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<PutError> for Failure {
    fn from(error: PutError) -> Self {
        match error {
            PutError::Store(error) => Self::Store(error),
            PutError::Source { .. } | PutError::WrongSource { .. } => {
                Self::with(Code::DigestInvalid, "what was sent does not match its digest".into())
            }
        }
    }
}

impl From<PrepareError> for Failure {
    fn from(error: PrepareError) -> Self {
        match error {
            PrepareError::BeingDeleted(_) => being_deleted(),
            PrepareError::Store(error) => Self::Store(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use landbridge_store::Place;

    use super::*;

    #[test]
    fn what_only_the_operator_may_know_is_not_in_the_answer() {
        let place = Place { bucket: "s3://secret-bucket".into(), key: "secret-key".into() };
        let error = StoreError::Unavailable { place, source: "10.0.0.7 refused".into() };
        let shown = of_store(&error).message;
        assert!(!shown.contains("secret") && !shown.contains("10.0"), "{shown}");
        assert!(chain(&error).ends_with("10.0.0.7 refused"));
    }
}
