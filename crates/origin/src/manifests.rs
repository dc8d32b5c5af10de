//! Reading manifests.

use http::HeaderMap;
use landbridge_core::manifest::MAX_MANIFEST_BYTES;
use landbridge_core::oci_error::Code;
use landbridge_core::request::ManifestReference;
use landbridge_core::{Digest, RepositoryName};
use landbridge_store::StoreError;

use crate::answer::{Answer, By, is_known};
use crate::failure::Failure;
use crate::registry::{Registry, tag};
use crate::service::Want;

/// No such manifest in this repository.
pub(crate) fn unknown() -> Failure {
    Failure::new(Code::ManifestUnknown, "this repository has no such manifest")
}

/// A manifest that a repository has.
struct Found {
    digest: Digest,
    media_type: String,
    size: u64,
    by: By,
}

/// `GET` or `HEAD /v2/<name>/manifests/<reference>`
pub(crate) async fn get(
    registry: &Registry,
    repository: &RepositoryName,
    reference: ManifestReference<'_>,
    headers: &HeaderMap,
    want: Want,
) -> Result<Answer, Failure> {
    let found = find(registry, repository, reference).await?.ok_or_else(unknown)?;
    let Found { digest, media_type, size, by } = found;
    if is_known(headers, &digest) {
        return Ok(Answer::not_modified(&digest, by));
    }
    if want == Want::Head {
        return Ok(Answer::manifest(&media_type, &digest, size, by, None));
    }
    match registry.bucket().get(&digest, MAX_MANIFEST_BYTES as u64).await {
        Ok(bytes) => Ok(Answer::manifest(&media_type, &digest, size, by, Some(bytes))),
        // Deleted between the two looks.
        Err(StoreError::NotFound(_)) => Err(unknown()),
        Err(error) => Err(error.into()),
    }
}

async fn find(
    registry: &Registry,
    repository: &RepositoryName,
    reference: ManifestReference<'_>,
) -> Result<Option<Found>, Failure> {
    Ok(match reference {
        ManifestReference::Tag(text) => {
            let link = registry.repositories.tag(repository, &tag(text)?).await?;
            link.map(|link| Found {
                digest: link.digest,
                media_type: link.media_type,
                size: link.size,
                by: By::Tag,
            })
        }
        ManifestReference::Digest(digest) => {
            let link = registry.repositories.manifest(repository, &digest).await?;
            link.map(|link| Found {
                digest,
                media_type: link.media_type,
                size: link.size,
                by: By::Digest,
            })
        }
    })
}
