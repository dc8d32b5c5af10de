//! What is published, and what each copy has of it: the second half of looking at the world.

use std::collections::{BTreeMap, BTreeSet};

use landbridge_core::generation::Repository;
use landbridge_core::topology::CopySet;
use landbridge_core::{Digest, RepositoryName};
use landbridge_store::publish::{Base, Publication};
use landbridge_store::{Bucket, Inventory, MOST_AHEAD};

use crate::copies::Copies;
use crate::error::ImportError;
use crate::gather::Content;
use crate::plan::{CopyState, Current};

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
///
/// Mirrors know of each pointer that there was: an authority without the newest one lost it, or
/// shows an old state, and a pointer with the same number would be believed by nobody.
pub(crate) async fn gather_holdings(
    copies: &Copies<'_>,
    publication: &Publication,
    base: &Base,
) -> Result<Vec<Option<BTreeSet<Digest>>>, ImportError> {
    let generation = base.pointer().map(|pointer| pointer.content().generation);
    let mut all = Vec::new();
    for (id, _, bucket) in copies.all() {
        if id.index() == 0 {
            // The authority has what it published; a mirror has what it says.
            all.push(generation.map(|_| BTreeSet::new()));
            continue;
        }
        let holding = match bucket.get_holding().await {
            Ok(holding) => holding.filter(|holding| holding.catalog == publication.catalog),
            Err(error) => {
                copies.fail(id, error)?;
                None
            }
        };
        if let Some(sequence) = holding.as_ref().and_then(|holding| holding.pointer) {
            refuse_lost_pointer(publication, base, bucket, sequence).await?;
        }
        let vouches = holding.filter(|holding| {
            generation.is_some_and(|generation| holding.generations.contains(&generation))
        });
        all.push(vouches.map(|holding| holding.lacks.into_iter().collect()));
    }
    Ok(all)
}

/// Fails if a mirror has a newer pointer than the authority, signed as it should be.
async fn refuse_lost_pointer(
    publication: &Publication,
    base: &Base,
    mirror: &Bucket,
    sequence: u64,
) -> Result<(), ImportError> {
    let Publication { authority, keys, catalog, .. } = publication;
    let last = base.pointer().map_or(0, |pointer| pointer.content().sequence);
    // What is too far ahead is believed by nobody, wherever it lies.
    if sequence <= last || (last > 0 && sequence - last > MOST_AHEAD) {
        return Ok(());
    }
    // A mirror that fails here has nothing to say, and its word alone is nothing either.
    let Ok(Some(newer)) = mirror.pointer_at(sequence, keys, catalog).await else {
        return Ok(());
    };
    // It may have been published since we looked: then ours comes second, and begins again.
    if authority.pointer_at(sequence, keys, catalog).await?.as_ref() == Some(&newer) {
        return Ok(());
    }
    let (authority, mirror) = (authority.name().to_owned(), mirror.name().to_owned());
    Err(ImportError::LostPointer { authority, mirror, sequence, last })
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
            let inventory = match state.lacks {
                Some(_) => Inventory::Questions,
                // Empty, or full of what somebody else put there.
                None => Inventory::Pages,
            };
            match bucket.sizes_of(&open.into_keys().collect(), inventory).await {
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
