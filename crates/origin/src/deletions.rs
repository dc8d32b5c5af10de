//! Deleting tags, manifests and a repository's blobs.
//!
//! Only names and links go; bytes are garbage collection's.

use futures::{FutureExt as _, TryStreamExt as _};
use http::StatusCode;
use landbridge_core::request::ManifestReference;
use landbridge_core::{Digest, RepositoryName, Tag};
use landbridge_store::StoreError;

use crate::access::Caller;
use crate::answer::Answer;
use crate::events::EventAction;
use crate::failure::Failure;
use crate::registry::{self, About, Registry, look_up};
use crate::{blobs, manifests};

/// Tags that are listed before they are read.
const READ_TOGETHER: usize = 256;

/// `DELETE /v2/<name>/manifests/<reference>`
pub(crate) async fn manifest(
    registry: &Registry,
    caller: &Caller,
    repository: &RepositoryName,
    reference: ManifestReference<'_>,
) -> Result<Answer, Failure> {
    match reference {
        ManifestReference::Tag(text) => {
            let tag = registry::tag(text)?;
            if !registry.repositories.delete_tag(repository, &tag).await? {
                return Err(manifests::unknown());
            }
            let about = About { tag: Some(&tag), ..About::repository(repository) };
            registry.tell(caller, EventAction::DeleteTag, about);
        }
        ManifestReference::Digest(digest) => {
            delete_manifest(registry, repository, &digest).await?;
            let about = About { digest: Some(digest), ..About::repository(repository) };
            registry.tell(caller, EventAction::DeleteManifest, about);
        }
    }
    Ok(Answer::empty(StatusCode::ACCEPTED))
}

/// Tags go first, so that a crash leaves none that points at nothing; and again after the link, for
/// a push that names the manifest in the same moment. One that has linked it again by then keeps
/// its tag: it looks for the link after it has set the tag, and here it is the other way round.
async fn delete_manifest(
    registry: &Registry,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<(), Failure> {
    let repositories = &registry.repositories;
    let Some(link) = repositories.manifest(repository, digest).await? else {
        return Err(manifests::unknown());
    };
    for tag in tags_of(registry, repository, digest).await? {
        repositories.delete_tag(repository, &tag).await?;
    }
    repositories.unlink_manifest(repository, digest).await?;
    if let Some(subject) = link.subject {
        repositories.delete_referrer(repository, &subject, digest).await?;
    }
    for tag in tags_of(registry, repository, digest).await? {
        if repositories.manifest(repository, digest).await?.is_none() {
            repositories.delete_tag(repository, &tag).await?;
        }
    }
    Ok(())
}

/// The tags that point at a manifest.
async fn tags_of(
    registry: &Registry,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<Vec<Tag>, StoreError> {
    let repositories = &registry.repositories;
    let mut pointing = Vec::new();
    let mut tags = repositories.tags(repository).try_chunks(READ_TOGETHER);
    while let Some(listed) = tags.try_next().await.map_err(|error| error.1)? {
        let looks = listed.into_iter().map(|listed| {
            async move {
                let tag: Tag = listed.item;
                let link = repositories.tag(repository, &tag).await?;
                Ok(link.filter(|link| link.digest == *digest).map(|_link| tag))
            }
            .boxed()
        });
        pointing.extend(look_up(looks.collect()).await?.into_iter().flatten());
    }
    Ok(pointing)
}

/// `DELETE /v2/<name>/blobs/<digest>`
pub(crate) async fn blob(
    registry: &Registry,
    caller: &Caller,
    repository: &RepositoryName,
    digest: Digest,
) -> Result<Answer, Failure> {
    if !registry.repositories.unlink_blob(repository, &digest).await? {
        return Err(blobs::unknown());
    }
    registry.tell(caller, EventAction::DeleteBlob, About::blob(repository, digest, None));
    Ok(Answer::empty(StatusCode::ACCEPTED))
}
