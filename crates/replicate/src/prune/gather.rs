//! What lies in the authority and the mirrors, as far as a prune is concerned.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::pin::pin;

use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use landbridge_core::Digest;
use landbridge_core::cause::chain;
use landbridge_core::generation::Root;
use landbridge_core::holding::Holding;
use landbridge_store::publish::{Mirror, Publication};
use landbridge_store::{AnyDocument, Bucket, BucketLayout, Repositories, StoreError};

use super::Keep;
use super::plan::{KeptGeneration, PrunePlan, Why, kept, without};
use crate::error::ImportError;
use crate::history::releases;

/// Documents that are read at once.
const AT_ONCE: usize = 16;

/// A plan and all that it is carried out with.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) plan: PrunePlan,
    /// Documents of kept generations.
    pub(super) needed: HashSet<Digest>,
    /// Documents that go from the authority.
    pub(super) documents: Vec<Digest>,
    /// Objects that go.
    pub(super) objects: Vec<Digest>,
    /// Holdings that have to say less, by the mirrors' places.
    pub(super) holdings: BTreeMap<usize, Holding>,
    /// Mirrors that could not be asked, and why.
    pub(super) failed: BTreeMap<usize, String>,
    /// Whether the authority's objects are an origin's.
    pub(super) is_origin: bool,
    /// What was written after this is younger than anything that goes.
    pub(super) before: Timestamp,
}

/// What documents list: objects with their sizes.
type Objects = BTreeMap<Digest, u64>;

pub(super) async fn gather(
    publication: &Publication,
    keep: &Keep,
    now: Timestamp,
) -> Result<Found, ImportError> {
    let authority = &publication.authority;
    let releases = releases(publication).await?;
    let pins: Vec<Digest> = authority.pins().await?.into_iter().map(|(pin, _)| pin).collect();
    let (held, failed) = holdings(publication).await;
    let named: Vec<(String, Holding)> = held
        .iter()
        .filter_map(|(at, holding)| {
            Some((publication.mirrors.get(*at)?.name.clone(), holding.clone()))
        })
        .collect();
    let kept = kept(&releases, &pins, &named, keep, now);
    if !kept.values().any(|why| why.contains(&Why::InForce)) {
        let authority = authority.name().to_owned();
        return Err(ImportError::NothingPublished { authority });
    }

    let listed: Vec<_> = authority.documents().try_collect().await?;
    let there: HashSet<Digest> = listed.iter().map(|document| document.item).collect();
    // What an earlier prune took with less patience than this one is gone already.
    let is_there =
        |why: &BTreeSet<Why>, root: &Digest| why.contains(&Why::InForce) || there.contains(root);
    let roots: Vec<Digest> =
        kept.iter().filter(|(root, why)| is_there(why, root)).map(|(root, _)| *root).collect();
    let (needed, needed_objects) = trees(authority, &roots).await?;

    let age = SignedDuration::try_from(keep.time).unwrap_or(SignedDuration::MAX);
    let before = now.checked_sub(age).unwrap_or(Timestamp::MIN);
    let documents: Vec<Digest> = listed
        .iter()
        .filter(|document| !needed.contains(&document.item) && document.modified < before)
        .map(|document| document.item)
        .collect();
    let (generations, mut objects) = condemned(authority, &documents).await?;
    objects.retain(|digest, _| !needed_objects.contains_key(digest));

    let is_origin = is_origin(authority).await?;
    let (mut notes, mut copies) = (Vec::new(), Vec::new());
    if is_origin {
        let name = authority.name();
        notes.push(format!(
            "{name} is an origin's bucket: `landbridge gc` deletes the objects there"
        ));
    } else {
        copies.push("the authority".to_owned());
    }
    for (at, mirror) in publication.mirrors.iter().enumerate() {
        match failed.get(&at) {
            None => copies.push(format!("`{}`", mirror.name)),
            Some(why) => notes.push(format!(
                "mirror `{}` cannot be asked, so no document goes before it can: {why}",
                mirror.name
            )),
        }
    }
    let is_needed = |object: &Digest| needed_objects.contains_key(object);
    let holdings = held
        .into_iter()
        .filter_map(|(at, holding)| Some((at, without(&holding, &kept, is_needed)?)))
        .collect();
    let plan = PrunePlan {
        kept: kept
            .into_iter()
            .map(|(generation, why)| KeptGeneration { generation, why })
            .collect(),
        generations,
        documents: documents.len(),
        objects: objects.len(),
        bytes: objects.values().sum(),
        copies,
        notes,
    };
    let objects = objects.into_keys().collect();
    Ok(Found { plan, needed, documents, objects, holdings, failed, is_origin, before })
}

/// The mirrors' holdings, and which mirrors cannot be asked.
async fn holdings(
    publication: &Publication,
) -> (BTreeMap<usize, Holding>, BTreeMap<usize, String>) {
    let (mut held, mut failed) = (BTreeMap::new(), BTreeMap::new());
    for (at, Mirror { bucket, .. }) in publication.mirrors.iter().enumerate() {
        match bucket.get_holding().await {
            Ok(Some(holding)) if holding.catalog == publication.catalog => {
                held.insert(at, holding);
            }
            Ok(_) => {}
            Err(error) => {
                failed.insert(at, chain(&error));
            }
        }
    }
    (held, failed)
}

/// All documents of these generations, and what they list.
async fn trees(
    authority: &Bucket,
    roots: &[Digest],
) -> Result<(HashSet<Digest>, Objects), ImportError> {
    let (mut documents, mut objects) = (HashSet::new(), Objects::new());
    for root in roots {
        let Root { repositories, .. } = authority.get_document(root).await?;
        documents.insert(*root);
        let mut level: Vec<Digest> = repositories.iter().map(|entry| entry.digest).collect();
        while !level.is_empty() {
            level.retain(|digest| documents.insert(*digest));
            let mut below = Vec::new();
            let these = std::mem::take(&mut level);
            let mut read = pin!(read_all(authority, &these));
            while let Some((_, document)) = read.try_next().await? {
                match document {
                    AnyDocument::Repository(repository) => objects.extend(repository.listed()),
                    AnyDocument::Parts(parts) => {
                        below.extend(parts.parts.iter().map(|part| part.digest));
                    }
                    AnyDocument::Root(_) => {}
                }
            }
            level = below;
        }
    }
    Ok((documents, objects))
}

/// The generations among these documents, and what all of them list.
async fn condemned(
    authority: &Bucket,
    documents: &[Digest],
) -> Result<(Vec<Digest>, Objects), ImportError> {
    let (mut generations, mut objects) = (Vec::new(), Objects::new());
    let mut read = pin!(read_all(authority, documents));
    while let Some((digest, document)) = read.try_next().await? {
        match document {
            AnyDocument::Root(_) => generations.push(digest),
            AnyDocument::Repository(repository) => objects.extend(repository.listed()),
            AnyDocument::Parts(_) => {}
        }
    }
    generations.sort();
    Ok((generations, objects))
}

/// Documents as they come, a few of them in memory.
fn read_all<'a>(
    authority: &'a Bucket,
    documents: &'a [Digest],
) -> impl Stream<Item = Result<(Digest, AnyDocument), StoreError>> + Send + 'a {
    let read: Vec<_> = documents.iter().map(|digest| read_one(authority, *digest)).collect();
    stream::iter(read).buffer_unordered(AT_ONCE)
}

async fn read_one(authority: &Bucket, digest: Digest) -> Result<(Digest, AnyDocument), StoreError> {
    Ok((digest, authority.get_any_document(&digest).await?))
}

/// Whether somebody pushes here: then objects may be needed that no generation lists.
async fn is_origin(authority: &Bucket) -> Result<bool, StoreError> {
    match authority.layout() {
        BucketLayout::ContainersImages => Ok(false),
        BucketLayout::Blobs => {
            let repositories = Repositories::open(authority.clone()).await?;
            let first = repositories.repositories().next().await;
            Ok(first.transpose()?.is_some())
        }
    }
}
