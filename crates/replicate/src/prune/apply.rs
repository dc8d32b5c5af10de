//! Deleting, in the order that makes it safe.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use landbridge_core::Digest;
use landbridge_core::cause::chain;
use landbridge_store::publish::{Changes, Mirror, Publication, PublishError};
use landbridge_store::{Bucket, Collector, CollectorError, Evidence, Place, StoreError};

use super::gather::Found;
use crate::error::ImportError;
use crate::publishing::Publishing;

/// Deletions that are under way at once.
const AT_ONCE: usize = 16;
/// Deletions between two looks whether nobody else prunes by now.
const IN_A_ROW: usize = 64;
/// A store that takes longer than this for one of them stands still.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many times what is in force is published again because somebody was faster.
const MAX_ATTEMPTS: u32 = 64;

/// Publishes what is in force once more: whoever is about to publish has to look again.
pub(super) async fn fence(publishing: &Publishing<'_>) -> Result<u64, ImportError> {
    let publication = publishing.publication;
    for _ in 0..MAX_ATTEMPTS {
        let base = publication.base_of_pruner().await?;
        if base.pointer().is_none() {
            let authority = publication.authority.name().to_owned();
            return Err(match base.refused().first() {
                Some(why) => ImportError::NoTrustedPointer { authority, why: why.clone() },
                None => ImportError::NothingPublished { authority },
            });
        }
        let written = publication.write(base, Changes::default(), Evidence::default()).await?;
        let checked = publication.check(written).await?;
        match publishing.put_in_force(checked, "prune").await {
            Ok(published) => return Ok(published.pointer.content().sequence),
            Err(ImportError::Publish(PublishError::Conflict { .. })) => {}
            Err(error) => return Err(error),
        }
    }
    Err(ImportError::AlwaysOvertaken { attempts: MAX_ATTEMPTS })
}

/// Carries the plan out. Gives a sentence for each copy that something could not be deleted from.
pub(super) async fn delete(
    publishing: &Publishing<'_>,
    found: &Found,
    collector: &mut Collector,
) -> Result<Vec<String>, CollectorError> {
    let Publishing { publication, stop, .. } = publishing;
    let stopped = || vec!["it was asked to stop: the next prune goes on from here".to_owned()];
    let mut failed = found.failed.clone();
    for (at, holding) in &found.holdings {
        collector.hold().await?;
        let Some(Mirror { bucket, .. }) = publication.mirrors.get(*at) else { continue };
        if let Err(error) = bucket.put_holding(holding).await {
            failed.insert(*at, chain(&error));
        }
    }
    for objects in found.objects.chunks(IN_A_ROW) {
        if stop.is_asked() {
            return Ok(stopped());
        }
        if !found.is_origin {
            collector.hold().await?;
            delete_all(&publication.authority, objects, Kind::Objects).await?;
        }
        for (at, Mirror { bucket, .. }) in publication.mirrors.iter().enumerate() {
            if failed.contains_key(&at) {
                continue;
            }
            collector.hold().await?;
            if let Err(error) = delete_all(bucket, objects, Kind::Objects).await {
                failed.insert(at, chain(&error));
            }
        }
    }
    // Without its documents nobody would know what is left there.
    if failed.is_empty() {
        for documents in found.documents.chunks(IN_A_ROW) {
            collector.hold().await?;
            delete_all(&publication.authority, documents, Kind::Documents).await?;
        }
        for (at, Mirror { bucket, .. }) in publication.mirrors.iter().enumerate() {
            if let Err(error) = delete_documents(bucket, found, collector).await? {
                failed.insert(at, chain(&error));
            }
        }
    }
    Ok(sentences(publication, &failed))
}

/// Deletes the documents of no kept generation from a mirror, which may have others than the
/// authority.
async fn delete_documents(
    mirror: &Bucket,
    found: &Found,
    collector: &mut Collector,
) -> Result<Result<(), StoreError>, CollectorError> {
    let listed: Vec<_> = match mirror.documents().try_collect().await {
        Ok(listed) => listed,
        Err(error) => return Ok(Err(error)),
    };
    let goes = |document: &&landbridge_store::Listed<Digest>| {
        !found.needed.contains(&document.item) && document.modified < found.before
    };
    let documents: Vec<Digest> = listed.iter().filter(goes).map(|found| found.item).collect();
    for documents in documents.chunks(IN_A_ROW) {
        collector.hold().await?;
        if let Err(error) = delete_all(mirror, documents, Kind::Documents).await {
            return Ok(Err(error));
        }
    }
    Ok(Ok(()))
}

#[derive(Clone, Copy)]
enum Kind {
    Objects,
    Documents,
}

async fn delete_all(bucket: &Bucket, digests: &[Digest], kind: Kind) -> Result<(), StoreError> {
    let deletions: Vec<_> = digests.iter().map(|digest| delete_one(bucket, digest, kind)).collect();
    stream::iter(deletions).buffer_unordered(AT_ONCE).try_collect().await
}

async fn delete_one(bucket: &Bucket, digest: &Digest, kind: Kind) -> Result<(), StoreError> {
    let deleting = async {
        match kind {
            Kind::Objects => bucket.delete_object(digest).await,
            Kind::Documents => bucket.delete_document(digest).await,
        }
    };
    tokio::time::timeout(PATIENCE, deleting).await.unwrap_or_else(|_| {
        let place = Place { bucket: bucket.name().to_owned(), key: digest.to_string() };
        Err(StoreError::Stalled { place, patience: PATIENCE })
    })
}

fn sentences(publication: &Publication, failed: &BTreeMap<usize, String>) -> Vec<String> {
    let named = failed.iter().filter_map(|(at, why)| Some((publication.mirrors.get(*at)?, why)));
    named
        .map(|(mirror, why)| {
            format!("mirror `{}` keeps what goes elsewhere, for the next prune: {why}", mirror.name)
        })
        .collect()
}
