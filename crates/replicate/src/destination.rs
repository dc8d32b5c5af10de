//! What is published, and what each copy has of it: the second half of looking at the world.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, TryStreamExt as _, future, stream};
use landbridge_core::generation::Repository;
use landbridge_core::topology::CopySet;
use landbridge_core::{Digest, RepositoryName};
use landbridge_store::publish::{Base, Publication};
use landbridge_store::{Bucket, StoreError};

use crate::copies::Copies;
use crate::error::ImportError;
use crate::gather::Content;
use crate::plan::{CopyState, Current};

/// Questions for sizes that are under way at once.
const PARALLEL_QUESTIONS: usize = 16;

/// What is published, unless it cannot be believed.
pub(crate) async fn gather_base(publication: &Publication) -> Result<Base, ImportError> {
    let base = publication.base().await?;
    if let (None, Some(why)) = (base.pointer(), base.refused().first()) {
        let authority = publication.authority.name().to_owned();
        return Err(ImportError::NoTrustedPointer { authority, why: why.clone() });
    }
    Ok(base)
}

/// The published state, as far as it concerns `names`.
pub(crate) async fn gather_current(
    publication: &Publication,
    base: &Base,
    names: impl Iterator<Item = RepositoryName>,
) -> Result<Current, ImportError> {
    let mut repositories = BTreeMap::new();
    for name in names {
        if !repositories.contains_key(&name)
            && let Some(repository) = publication.repository(base, &name).await?
        {
            repositories.insert(name, repository);
        }
    }
    let generation = base.pointer().map(|pointer| pointer.content().generation);
    Ok(Current { generation, root: base.root().clone(), repositories })
}

/// What each copy vouches for: what it lacks of the current generation, whose other objects were
/// confirmed there when it was published. `None` if it does not say that it holds it. One request
/// for each mirror.
pub(crate) async fn gather_holdings(
    copies: &Copies<'_>,
    catalog: &str,
    generation: Option<Digest>,
) -> Result<Vec<Option<BTreeSet<Digest>>>, ImportError> {
    let mut all = Vec::new();
    for (id, _, bucket) in copies.all() {
        let vouched = match id.index() {
            // The authority has what it published; a mirror has what it says.
            0 => Ok(Some(BTreeSet::new())),
            _ => lacks(bucket, catalog, generation).await,
        };
        let vouched = vouched.or_else(|error| copies.fail(id, error).map(|()| None))?;
        all.push(vouched.filter(|_| generation.is_some()));
    }
    Ok(all)
}

/// Whether what a copy vouches for is looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// It is taken for granted, so that a run without news costs nothing. Whether it is true is an
    /// audit's question.
    Holdings,
    /// Everything is looked at, so that importing again heals.
    Nothing,
}

/// What every copy has of `content`, of which it vouches for some.
pub(crate) async fn gather_copies(
    copies: &Copies<'_>,
    content: &Content,
    current: &Current,
    holdings: Vec<Option<BTreeSet<Digest>>>,
    trust: Trust,
) -> Result<Vec<CopyState>, ImportError> {
    let manifests = content.manifests.values().map(|held| (held.entry.digest, held.entry.size));
    let blobs = content.blobs.values().map(|entry| (entry.digest, entry.size));
    let needed: BTreeMap<Digest, u64> = manifests.chain(blobs).collect();
    let listed: BTreeSet<Digest> = current.repositories.values().flat_map(listed).collect();
    let mut states = Vec::new();
    for ((id, name, bucket), lacks) in copies.all().zip(holdings) {
        let mut state = CopyState { name: name.to_owned(), lacks, ..CopyState::default() };
        let is_certain = |digest: &Digest| {
            trust == Trust::Holdings
                && listed.contains(digest)
                && state.lacks.as_ref().is_some_and(|lacks| !lacks.contains(digest))
        };
        let (certain, open): (BTreeMap<_, _>, BTreeMap<_, _>) =
            needed.iter().partition(|(digest, _)| is_certain(digest));
        if copies.working(CopySet::EMPTY.with(id)).is_empty() {
            state.is_failed = true;
        } else {
            match sizes(bucket, open.into_keys()).await {
                Ok(sizes) => {
                    state.sizes = sizes;
                    state.sizes.extend(certain);
                }
                Err(error) => {
                    copies.fail(id, error)?;
                    state.is_failed = true;
                }
            }
        }
        states.push(state);
    }
    Ok(states)
}

/// Everything that a repository's document lists.
pub(crate) fn listed(repository: &Repository) -> impl Iterator<Item = Digest> {
    repository.listed().map(|(digest, _)| digest)
}

/// What a mirror's holding says that it lacks of the current generation; `None` if it does not name
/// that generation.
async fn lacks(
    bucket: &Bucket,
    catalog: &str,
    generation: Option<Digest>,
) -> Result<Option<BTreeSet<Digest>>, StoreError> {
    let holding = bucket.get_holding().await?.filter(|holding| {
        let names_it = |generation| holding.generations.contains(&generation);
        holding.catalog == catalog && generation.is_some_and(names_it)
    });
    Ok(holding.map(|holding| holding.lacks.into_iter().collect()))
}

async fn sizes(
    bucket: &Bucket,
    digests: impl Iterator<Item = Digest>,
) -> Result<BTreeMap<Digest, u64>, StoreError> {
    stream::iter(digests)
        .map(|digest| size(bucket, digest))
        .buffer_unordered(PARALLEL_QUESTIONS)
        .try_fold(BTreeMap::new(), |mut sizes, answer| {
            sizes.extend(answer);
            future::ready(Ok(sizes))
        })
        .await
}

async fn size(bucket: &Bucket, digest: Digest) -> Result<Option<(Digest, u64)>, StoreError> {
    Ok(bucket.size_of(&digest).await?.map(|size| (digest, size)))
}
