//! Reads the world: names, links, manifests, objects, leases, condemnations, uploads.
//!
//! Every manifest is read once, however many names lead to it. What is kept of the world is
//! digests and numbers: about 200 bytes for each object.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use landbridge_core::Digest;
use landbridge_core::manifest::{MAX_MANIFEST_BYTES, Manifest};
use landbridge_core::reference::{RepositoryName, Tag};
use landbridge_store::{Listed, Repositories, StoreError, UploadId};

use super::{Collection, GcError};

/// Small documents that are read at once.
const READ_TOGETHER: usize = 16;

/// The world as one collection sees it.
#[derive(Debug)]
pub(crate) struct Inventory {
    /// The moment, by the store's clock.
    pub(crate) now: Timestamp,
    pub(crate) names: Names,
    pub(crate) objects: Vec<Listed<Digest>>,
    /// When somebody was last told that an object is there.
    pub(crate) leases: HashMap<Digest, Timestamp>,
    /// Since when an object is condemned.
    pub(crate) condemned: BTreeMap<Digest, Timestamp>,
    pub(crate) uploads: Vec<UploadId>,
}

/// What leads to objects.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) repositories: Vec<Repository>,
    /// What each manifest needs, by its digest; one that is not there is not in here.
    pub(crate) needs: HashMap<Digest, Needs>,
    /// What the bucket's generations list, all of it.
    pub(crate) published: HashSet<Digest>,
}

/// The names of one repository.
#[derive(Debug)]
pub(crate) struct Repository {
    pub(crate) name: RepositoryName,
    pub(crate) tags: Vec<TagSeen>,
    pub(crate) manifests: Vec<Listed<Digest>>,
    /// Subjects and the referrers that name them.
    pub(crate) referrers: Vec<(Digest, Digest)>,
    pub(crate) blob_links: Vec<Digest>,
}

/// A tag and what it means.
#[derive(Debug, Clone)]
pub(crate) struct TagSeen {
    pub(crate) tag: Tag,
    pub(crate) digest: Digest,
    pub(crate) pushed: Timestamp,
}

/// What a manifest needs.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    /// Configuration, layers, the manifests of an index.
    pub(crate) references: Vec<Digest>,
    pub(crate) subject: Option<Digest>,
}

/// Everything.
pub(crate) async fn inventory(
    repositories: &Repositories,
    collection: &Collection,
) -> Result<Inventory, GcError> {
    let leases = repositories.leases();
    // Before anything is read, so that what happens meanwhile counts as young.
    let now = leases.store_now().await?;
    let objects: Vec<_> = repositories.objects().try_collect().await?;
    let leased = leases.all().map_ok(|lease| (lease.item, lease.modified));
    let condemned = leases.all_condemned().map_ok(|marker| (marker.item, marker.modified));
    let expired = now.checked_sub(collection.upload_expiry).unwrap_or(Timestamp::MIN);
    Ok(Inventory {
        now,
        leases: leased.try_collect().await?,
        condemned: condemned.try_collect().await?,
        uploads: repositories.uploads().expired(expired).try_collect().await?,
        objects,
        names: names(repositories).await?,
    })
}

/// All names, and what the manifests behind them need.
pub(crate) async fn names(repositories: &Repositories) -> Result<Names, GcError> {
    let published = repositories.bucket().published_objects().await?;
    let mut found = Names { published, ..Names::default() };
    let mut all = repositories.repositories();
    while let Some(name) = all.try_next().await? {
        let repository = repository(repositories, name).await?;
        let linked = repository.manifests.iter().map(|listed| listed.item);
        let tagged = repository.tags.iter().map(|tag| tag.digest);
        let mut unread: Vec<Digest> = linked.chain(tagged).collect();
        // An index may list manifests that have no link of their own.
        while !unread.is_empty() {
            unread.retain(|digest| !found.needs.contains_key(digest));
            unread.sort_unstable();
            unread.dedup();
            let read = futures::stream::iter(std::mem::take(&mut unread))
                .map(|digest| needs(repositories, &repository.name, digest).boxed())
                .buffer_unordered(READ_TOGETHER);
            let read: Vec<_> = read.try_collect().await?;
            for (digest, needs, children) in read.into_iter().flatten() {
                found.needs.insert(digest, needs);
                unread.extend(children);
            }
        }
        found.repositories.push(repository);
    }
    Ok(found)
}

async fn repository(
    repositories: &Repositories,
    name: RepositoryName,
) -> Result<Repository, StoreError> {
    let tags = repositories.tags(&name).map_ok(|listed| {
        let name = &name;
        async move {
            let tag = listed.item;
            let link = repositories.tag(name, &tag).await?;
            Ok(link.map(|link| TagSeen { tag, digest: link.digest, pushed: link.pushed }))
        }
        .boxed()
    });
    let tags: Vec<Option<TagSeen>> = tags.try_buffer_unordered(READ_TOGETHER).try_collect().await?;
    Ok(Repository {
        tags: tags.into_iter().flatten().collect(),
        manifests: repositories.manifests(&name).try_collect().await?,
        referrers: (repositories.referrer_subjects(&name).map_ok(|listed| listed.item))
            .try_collect()
            .await?,
        blob_links: (repositories.blob_links(&name).map_ok(|listed| listed.item))
            .try_collect()
            .await?,
        name,
    })
}

/// What a manifest needs, and which of it are manifests; nothing of one that is not there.
async fn needs(
    repositories: &Repositories,
    repository: &RepositoryName,
    digest: Digest,
) -> Result<Option<(Digest, Needs, Vec<Digest>)>, GcError> {
    let bytes = match repositories.bucket().get(&digest, MAX_MANIFEST_BYTES as u64).await {
        Ok(bytes) => bytes,
        Err(StoreError::NotFound(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let Some(manifest) = understood(repositories, repository, digest, &bytes).await? else {
        return Ok(Some((digest, Needs::default(), Vec::new())));
    };
    let children = manifest.children.iter().map(|child| child.digest).collect();
    // Foreign layers too: if somebody pushed them, somebody wants them.
    let references = manifest.blobs.iter().chain(&manifest.children);
    let references = references.map(|reference| reference.digest).collect();
    let subject = manifest.subject.map(|subject| subject.digest);
    Ok(Some((digest, Needs { references, subject }, children)))
}

/// The manifest, by the type that its link names if it has one; `None` for what only an index
/// lists and is no manifest.
async fn understood(
    repositories: &Repositories,
    repository: &RepositoryName,
    digest: Digest,
    bytes: &[u8],
) -> Result<Option<Manifest>, GcError> {
    if let Ok(manifest) = Manifest::parse(bytes, None) {
        return Ok(Some(manifest));
    }
    let Some(link) = repositories.manifest(repository, &digest).await? else { return Ok(None) };
    let repository = repository.clone();
    let manifest = Manifest::parse(bytes, Some(&link.media_type));
    manifest.map(Some).map_err(|source| GcError::Manifest { repository, digest, source })
}
