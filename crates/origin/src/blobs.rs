//! Reading blobs.
//!
//! A repository shows only what it links, even if the bucket has more.

use http::HeaderMap;
use landbridge_core::condition::Wanted;
use landbridge_core::oci_error::Code;
use landbridge_core::{Digest, RepositoryName};
use landbridge_store::StoreError;

use crate::answer::{Answer, By, is_known, wanted};
use crate::failure::Failure;
use crate::registry::Registry;
use crate::service::Want;

/// No such blob in this repository.
pub(crate) fn unknown() -> Failure {
    Failure::new(Code::BlobUnknown, "this repository has no such blob")
}

/// `GET` or `HEAD /v2/<name>/blobs/<digest>`
pub(crate) async fn get(
    registry: &Registry,
    repository: &RepositoryName,
    digest: &Digest,
    headers: &HeaderMap,
    want: Want,
) -> Result<Answer, Failure> {
    if want == Want::Head {
        // Who is told that a blob is there may build on it.
        let size = registry.report_blob(repository, digest).await?.ok_or_else(unknown)?;
        return Ok(Answer::blob(digest, size, None, None));
    }
    let linked = registry.repositories.blob_link(repository, digest).await?;
    let size = linked.ok_or_else(unknown)?;
    if is_known(headers, digest) {
        return Ok(Answer::not_modified(digest, By::Digest));
    }
    let part = match wanted(headers, digest, size) {
        Wanted::Whole => None,
        Wanted::Part(from, to) => Some((from, to)),
        Wanted::Unsatisfiable => return Err(Failure::BeyondEnd { size }),
    };
    match registry.bucket().read(digest, part.map(|(from, to)| from..to)).await {
        Ok(body) => Ok(Answer::blob(digest, body.size, part, Some(body.stream))),
        // Garbage collection takes the bytes before the link.
        Err(StoreError::NotFound(_)) => Err(unknown()),
        Err(error) => Err(error.into()),
    }
}
