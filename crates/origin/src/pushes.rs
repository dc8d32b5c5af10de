//! Pushing manifests.
//!
//! A manifest is stored only when all that it refers to is there, and every such blob is leased,
//! so that garbage collection leaves it. Then bytes, link, referrer and tags are written in this
//! order: whatever a crash leaves, no name points at what is missing. The link makes the manifest a
//! root; after it the references are looked at again, and a manifest one of whose references went
//! meanwhile is taken back before any tag names it.

use std::time::Instant;

use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderName, HeaderValue};
use jiff::Timestamp;
use landbridge_core::manifest::Descriptor;
use landbridge_core::oci_error::Code;
use landbridge_core::request::ManifestReference;
use landbridge_core::{Digest, RepositoryName, Tag};
use landbridge_store::{Presence, StoreError, TagLink};

use crate::access::Caller;
use crate::answer::Answer;
use crate::body::{BodyError, RequestBody};
use crate::candidate::{Candidate, Requirements, lacking};
use crate::events::EventAction;
use crate::failure::Failure;
use crate::registry::{self, About, LOOKED_UP_AT_ONCE, Registry};

const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");

/// How often a manifest is linked again that is deleted while it is tagged.
const TAG_ATTEMPTS: usize = 5;

/// A push of a manifest.
#[derive(Debug)]
pub(crate) struct Push<'a> {
    /// Where to.
    pub(crate) repository: RepositoryName,
    /// The name to give it.
    pub(crate) reference: ManifestReference<'a>,
    /// Further tags.
    pub(crate) tags: Vec<Tag>,
}

/// `PUT /v2/<name>/manifests/<reference>`
pub(crate) async fn put_manifest(
    registry: &Registry,
    caller: &Caller,
    push: Push<'_>,
    head: &Parts,
    body: &mut RequestBody,
) -> Result<Answer, Failure> {
    let bytes = read(registry, body).await?;
    let content_type = head.headers.get(CONTENT_TYPE).map(|it| it.to_str().unwrap_or("invalid"));
    let candidate = Candidate::new(&bytes, content_type, push.reference)?;
    let repository = &push.repository;
    store(registry, repository, &candidate, bytes).await?;
    let mut tags = push.tags.clone();
    if let ManifestReference::Tag(text) = push.reference {
        tags.push(registry::tag(text)?);
    }
    for tag in &tags {
        set_tag(registry, repository, tag, &candidate).await?;
    }
    tell(registry, caller, repository, &candidate, &tags);
    Ok(created(&push, &candidate, &tags))
}

async fn read(registry: &Registry, body: &mut RequestBody) -> Result<Bytes, Failure> {
    let limit = registry.rules.manifest_bytes;
    body.collect(limit).await.map_err(|error| match error {
        BodyError::TooLarge { limit } => Failure::with(
            Code::BodyTooLarge,
            format!("the manifest is larger than {limit} bytes, the most that this registry takes"),
        ),
        BodyError::Stalled(_) | BodyError::Broken(_) => {
            Failure::new(Code::SizeInvalid, "the manifest broke off")
        }
    })
}

/// Writes bytes, link and referrer, if all that the manifest refers to is there and stays.
async fn store(
    registry: &Registry,
    repository: &RepositoryName,
    candidate: &Candidate,
    bytes: Bytes,
) -> Result<(), Failure> {
    let repositories = &registry.repositories;
    let began = Instant::now();
    let required = candidate.requirements(registry.rules.sparse);
    let missing_before = missing(registry, repository, &required, Look::Lease).await?;
    if !required.blobs_may_be_missing {
        refuse_lacking(&missing_before)?;
    }
    let Candidate { digest, size, manifest } = candidate;
    registry.leases().prepare_write(digest, registry.rules.patience).await?;
    let source = futures::stream::iter([Ok::<_, StoreError>(bytes)]);
    registry.bucket().put_object(digest, *size, &manifest.media_type, source).await?;
    let is_new = repositories.manifest(repository, digest).await?.is_none();
    link(registry, repository, candidate).await?;
    // A lease that was good a moment ago holds; one that may have run out is renewed.
    let look = if began.elapsed() < registry.grace / 4 { Look::Links } else { Look::Lease };
    let mut gone = missing(registry, repository, &required, look).await?;
    gone.retain(|digest| !missing_before.contains(digest));
    if !gone.is_empty() && is_new {
        withdraw(registry, repository, candidate).await?;
    }
    refuse_lacking(&gone)
}

async fn link(
    registry: &Registry,
    repository: &RepositoryName,
    candidate: &Candidate,
) -> Result<(), StoreError> {
    let repositories = &registry.repositories;
    repositories.link_manifest(repository, &candidate.digest, &candidate.link()).await?;
    if let Some(subject) = candidate.subject() {
        repositories.put_referrer(repository, &subject, &candidate.referrer()).await?;
    }
    Ok(())
}

/// How thoroughly references are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// Linked, there, and leased from now on.
    Lease,
    /// Still linked; a lease holds.
    Links,
}

fn refuse_lacking(missing: &[Digest]) -> Result<(), Failure> {
    if missing.is_empty() { Ok(()) } else { Err(lacking(missing).into()) }
}

/// The references that the repository lacks.
async fn missing(
    registry: &Registry,
    repository: &RepositoryName,
    required: &Requirements<'_>,
    look: Look,
) -> Result<Vec<Digest>, Failure> {
    let blobs = required.blobs.iter().map(|blob| (*blob, Is::Blob));
    let manifests = required.manifests.iter().map(|manifest| (*manifest, Is::Manifest));
    let looks = blobs.chain(manifests).map(|(entry, is)| {
        async move {
            let size = size_of(registry, repository, entry, is, look).await?;
            Ok::<_, Failure>((entry, size))
        }
        .boxed()
    });
    let looks: Vec<_> = looks.collect();
    let sizes = futures::stream::iter(looks).buffered(LOOKED_UP_AT_ONCE);
    let sizes: Vec<_> = sizes.try_collect().await?;
    let mut missing = Vec::new();
    for (entry, size) in sizes {
        match size {
            None => missing.push(entry.digest),
            Some(size) if required.sizes_count && size != entry.size => {
                let (digest, said) = (entry.digest, entry.size);
                let text = format!("{digest} has {size} bytes, not {said} as the manifest says");
                return Err(Failure::with(Code::ManifestInvalid, text));
            }
            Some(_) => {}
        }
    }
    Ok(missing)
}

#[derive(Debug, Clone, Copy)]
enum Is {
    Blob,
    Manifest,
}

/// The size of what a manifest refers to, if the repository has it.
async fn size_of(
    registry: &Registry,
    repository: &RepositoryName,
    entry: &Descriptor,
    is: Is,
    look: Look,
) -> Result<Option<u64>, Failure> {
    let repositories = &registry.repositories;
    match (is, look) {
        (Is::Blob, Look::Lease) => leased(registry, repository, &entry.digest).await,
        (Is::Blob, Look::Links) => Ok(repositories.blob_link(repository, &entry.digest).await?),
        // A linked manifest is a root: it needs no lease.
        (Is::Manifest, Look::Lease | Look::Links) => {
            let link = repositories.manifest(repository, &entry.digest).await?;
            Ok(link.map(|link| link.size))
        }
    }
}

/// The size of a blob that the repository has and that is leased now. One that a collection is
/// about to judge may have been reported present a moment ago, and then it stays: that is waited
/// for, since most clients give a push up whose manifest is refused.
async fn leased(
    registry: &Registry,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<Option<u64>, Failure> {
    loop {
        if registry.repositories.blob_link(repository, digest).await?.is_none() {
            return Ok(None);
        }
        match registry.leases().report_present(digest, registry.grace).await? {
            Presence::Present { size } => return Ok(Some(size)),
            Presence::Absent => return Ok(None),
            Presence::Deleting => {
                registry.leases().prepare_write(digest, registry.rules.patience).await?;
            }
        }
    }
}

/// Takes a manifest back that no tag names yet.
async fn withdraw(
    registry: &Registry,
    repository: &RepositoryName,
    candidate: &Candidate,
) -> Result<(), StoreError> {
    registry.repositories.unlink_manifest(repository, &candidate.digest).await?;
    if let Some(subject) = candidate.subject() {
        registry.repositories.delete_referrer(repository, &subject, &candidate.digest).await?;
    }
    Ok(())
}

/// Names a stored manifest. Whoever deletes it meanwhile removes its link first and then looks for
/// tags; here it is the other way round, so that one of the two sees the other. Then the push, which
/// is not yet acknowledged, comes after the deletion: it links the manifest again.
async fn set_tag(
    registry: &Registry,
    repository: &RepositoryName,
    tag: &Tag,
    candidate: &Candidate,
) -> Result<(), Failure> {
    let repositories = &registry.repositories;
    let target = TagLink {
        digest: candidate.digest,
        media_type: candidate.manifest.media_type.clone(),
        size: candidate.size,
        pushed: Timestamp::now(),
    };
    for _ in 0..TAG_ATTEMPTS {
        repositories.put_tag(repository, tag, &target).await?;
        if repositories.manifest(repository, &candidate.digest).await?.is_some() {
            return Ok(());
        }
        link(registry, repository, candidate).await?;
    }
    // The last link may stay; the tag is whoever's set it last.
    Err(Failure::new(Code::Unavailable, "the manifest is being deleted again and again"))
}

fn tell(
    registry: &Registry,
    caller: &Caller,
    repository: &RepositoryName,
    candidate: &Candidate,
    tags: &[Tag],
) {
    let about = About {
        digest: Some(candidate.digest),
        media_type: Some(&candidate.manifest.media_type),
        size_bytes: Some(candidate.size),
        ..About::repository(repository)
    };
    if tags.is_empty() {
        registry.tell(caller, EventAction::PushManifest, about);
    }
    for tag in tags {
        registry.tell(caller, EventAction::PushManifest, About { tag: Some(tag), ..about });
    }
}

fn created(push: &Push<'_>, candidate: &Candidate, tags: &[Tag]) -> Answer {
    let digest = &candidate.digest;
    let location = format!("/v2/{}/manifests/{digest}", push.repository);
    let mut answer = Answer::created(&location, digest);
    if let Some(subject) = candidate.subject() {
        answer = answer.text(OCI_SUBJECT, &subject.to_string());
    }
    if matches!(push.reference, ManifestReference::Digest(_)) && !tags.is_empty() {
        let names: Vec<_> = tags.iter().map(Tag::as_str).collect();
        if let Ok(names) = HeaderValue::try_from(names.join(", ")) {
            answer = answer.header(OCI_TAG, names);
        }
    }
    answer
}
