//! Uploading blobs: all at once, in chunks, or from another repository.
//!
//! <https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-blobs>

use std::fmt;

use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use http::header::{CONTENT_RANGE, LOCATION, RANGE};
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode};
use jiff::Timestamp;
use landbridge_core::oci_error::Code;
use landbridge_core::request::push::{ChunkRange, UploadStart};
use landbridge_core::{Digest, RepositoryName};
use landbridge_store::{Chunk, StoreError, UploadId, UploadStatus};

use crate::access::{Action, Caller};
use crate::answer::Answer;
use crate::body::RequestBody;
use crate::events::EventAction;
use crate::failure::Failure;
use crate::registry::{self, About, Registry, look_up};

const CHUNK_MIN_LENGTH: HeaderName = HeaderName::from_static("oci-chunk-min-length");
const UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// An upload that is under way.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    repository: RepositoryName,
    id: UploadId,
}

/// Where its next request goes.
impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/v2/{}/blobs/uploads/{}", self.repository, self.id)
    }
}

impl Session {
    /// Finds an upload of this repository, and how far it is.
    pub(crate) async fn open(
        registry: &Registry,
        repository: RepositoryName,
        id: &str,
    ) -> Result<(Self, UploadStatus), Failure> {
        let unknown =
            || Failure::new(Code::BlobUploadUnknown, "there is no such upload in this repository");
        let id: UploadId = id.parse().map_err(|_| unknown())?;
        let status = registry.uploads().status(&id).await?;
        let status = status.filter(|status| *status.repository() == repository);
        Ok((Self { repository, id }, status.ok_or_else(unknown)?))
    }

    /// Says in an answer which upload it is, and how far.
    pub(crate) fn describe(&self, answer: Answer, offset: u64) -> Answer {
        answer
            .text(LOCATION, &self.to_string())
            // The specification has no way to say "nothing yet".
            .text(RANGE, &format!("0-{}", offset.saturating_sub(1)))
            .text(UPLOAD_UUID, &self.id.to_string())
    }
}

/// `POST /v2/<name>/blobs/uploads/`
pub(crate) async fn start(
    registry: &Registry,
    caller: &Caller,
    repository: &RepositoryName,
    start: UploadStart<'_>,
    body: &mut RequestBody,
) -> Result<Answer, Failure> {
    match start {
        UploadStart::Session { algorithm: _ } => begin(registry, repository).await,
        UploadStart::Whole(digest) => whole(registry, caller, repository, digest, body).await,
        UploadStart::Mount { digest, from } => {
            match mount(registry, caller, repository, digest, from.as_deref()).await? {
                Some(answer) => Ok(answer),
                // What cannot be mounted may be uploaded; that tells nothing of other repositories.
                None => begin(registry, repository).await,
            }
        }
    }
}

async fn begin(registry: &Registry, repository: &RepositoryName) -> Result<Answer, Failure> {
    let id = registry.uploads().begin(repository, Timestamp::now()).await?;
    let session = Session { repository: repository.clone(), id };
    let answer = session.describe(Answer::empty(StatusCode::ACCEPTED), 0);
    Ok(match registry.rules.chunk_min_bytes {
        0 => answer,
        least => answer.header(CHUNK_MIN_LENGTH, HeaderValue::from(least)),
    })
}

/// A blob that comes with the request that announces it.
async fn whole(
    registry: &Registry,
    caller: &Caller,
    repository: &RepositoryName,
    digest: Digest,
    body: &mut RequestBody,
) -> Result<Answer, Failure> {
    let rules = &registry.rules;
    let Some(size) = body.size() else {
        let text = "a blob that is sent at once needs a `Content-Length`";
        return Err(Failure::new(Code::SizeInvalid, text));
    };
    if size > rules.blob_bytes {
        let text = format!("the blob is larger than {} bytes", rules.blob_bytes);
        return Err(Failure::with(Code::BodyTooLarge, text));
    }
    let put = registry.uploads().put_whole(&digest, size, body, rules.patience);
    put.await.map_err(Failure::of_whole)?;
    link(registry, caller, repository, digest, size, EventAction::PushBlob).await
}

/// A blob that another repository has, if the caller may read it there.
async fn mount(
    registry: &Registry,
    caller: &Caller,
    repository: &RepositoryName,
    digest: Digest,
    from: Option<&str>,
) -> Result<Option<Answer>, Failure> {
    let source = match from {
        Some(from) => {
            let from = registry::repository(from)?;
            let may_read = registry.allows(caller, Action::Pull(from.as_str()));
            may_read.then_some(from)
        }
        None => search(registry, caller, repository, &digest).await?,
    };
    let Some(source) = source else { return Ok(None) };
    let Some(size) = registry.report_blob(&source, &digest).await? else { return Ok(None) };
    link(registry, caller, repository, digest, size, EventAction::MountBlob).await.map(Some)
}

/// A repository that has the blob and that the caller may read: its own, else the first of a
/// limited number.
async fn search(
    registry: &Registry,
    caller: &Caller,
    own: &RepositoryName,
    digest: &Digest,
) -> Result<Option<RepositoryName>, StoreError> {
    let repositories = &registry.repositories;
    if repositories.blob_link(own, digest).await?.is_some() {
        return Ok(Some(own.clone()));
    }
    let names = repositories.repositories().take(registry.rules.mount_search);
    let names: Vec<RepositoryName> = names.try_collect().await?;
    let looks = names
        .into_iter()
        .filter(|name| registry.allows(caller, Action::Pull(name.as_str())))
        .map(|name| {
            async move {
                let link = repositories.blob_link(&name, digest).await?;
                Ok(link.map(|_size| name))
            }
            .boxed()
        });
    Ok(look_up(looks.collect()).await?.into_iter().flatten().next())
}

/// `GET /v2/<name>/blobs/uploads/<id>`
pub(crate) fn status(session: &Session, status: &UploadStatus) -> Answer {
    session.describe(Answer::empty(StatusCode::NO_CONTENT), status.offset())
}

/// `PATCH /v2/<name>/blobs/uploads/<id>`
pub(crate) async fn append(
    registry: &Registry,
    (session, status): (Session, UploadStatus),
    head: &Parts,
    body: &mut RequestBody,
) -> Result<Answer, Failure> {
    let chunk = chunk(head, body)?;
    let appended = registry.uploads().append(&status, chunk, registry.rules.blob_bytes).await;
    let offset = appended.map_err(|error| Failure::of_append(session.clone(), error))?;
    Ok(session.describe(Answer::empty(StatusCode::ACCEPTED), offset))
}

/// `PUT /v2/<name>/blobs/uploads/<id>?digest=<digest>`
pub(crate) async fn finish(
    registry: &Registry,
    caller: &Caller,
    (session, status): (Session, UploadStatus),
    digest: Digest,
    head: &Parts,
    body: &mut RequestBody,
) -> Result<Answer, Failure> {
    let last = if body.is_empty() { None } else { Some(chunk(head, body)?) };
    let (limit, patience) = (registry.rules.blob_bytes, registry.rules.patience);
    let finished = registry.uploads().finish(&status, &digest, last, limit, patience).await;
    let confirmed = finished.map_err(|error| Failure::of_finish(session.clone(), error))?;
    let (repository, size) = (&session.repository, confirmed.size());
    let answer = link(registry, caller, repository, digest, size, EventAction::PushBlob).await?;
    forget(registry, &session).await;
    Ok(answer)
}

/// `DELETE /v2/<name>/blobs/uploads/<id>`
pub(crate) async fn cancel(registry: &Registry, session: &Session) -> Result<Answer, Failure> {
    registry.uploads().cancel(&session.id).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

/// The blob is there; what is left of its upload is swept by garbage collection if not now.
async fn forget(registry: &Registry, session: &Session) {
    if let Err(error) = registry.uploads().cancel(&session.id).await {
        let error = landbridge_core::cause::chain(&error);
        tracing::warn!(%session, error, "the rest of a finished upload was not deleted");
    }
}

/// Gives the repository a blob that the bucket has.
async fn link(
    registry: &Registry,
    caller: &Caller,
    repository: &RepositoryName,
    digest: Digest,
    size: u64,
    action: EventAction,
) -> Result<Answer, Failure> {
    registry.repositories.link_blob(repository, &digest, size).await?;
    registry.tell(caller, action, About::blob(repository, digest, Some(size)));
    Ok(Answer::created(&format!("/v2/{repository}/blobs/{digest}"), &digest))
}

/// What a request says of the bytes that it brings.
fn chunk<'a>(
    head: &Parts,
    body: &'a mut RequestBody,
) -> Result<Chunk<&'a mut RequestBody>, Failure> {
    let range = match head.headers.get(CONTENT_RANGE) {
        Some(value) => Some(ChunkRange::parse(value.to_str().unwrap_or_default())?),
        None => None,
    };
    let size = match (range.map(ChunkRange::size_bytes), body.size()) {
        (Some(range), Some(length)) if range != length => {
            let text = "`Content-Range` and `Content-Length` contradict each other";
            return Err(Failure::new(Code::SizeInvalid, text));
        }
        (range, length) => range.or(length),
    };
    Ok(Chunk { from: range.map(ChunkRange::first), size, source: body })
}
