//! What is published, and what each copy has of it: the second half of looking at the world.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, TryStreamExt as _, future, stream};
use landbridge_core::Digest;
use landbridge_core::topology::CopySet;
use landbridge_store::publish::{Base, Publication};
use landbridge_store::{Bucket, StoreError};

use crate::copies::Copies;
use crate::error::ImportError;
use crate::gather::Content;
use crate::naming::Target;
use crate::plan::{CopyState, Current};

/// Questions for sizes that are under way at once.
const PARALLEL_QUESTIONS: usize = 16;

/// The published state, as far as `targets` touch it.
pub(crate) async fn gather_current(
    publication: &Publication,
    targets: &[Target],
) -> Result<(Base, Current), ImportError> {
    let base = publication.base().await?;
    if let (None, Some(why)) = (base.pointer(), base.refused().first()) {
        let authority = publication.authority.name().to_owned();
        return Err(ImportError::NoTrustedPointer { authority, why: why.clone() });
    }
    let mut repositories = BTreeMap::new();
    for target in targets {
        let name = &target.repository;
        if !repositories.contains_key(name)
            && let Some(repository) = publication.repository(&base, name).await?
        {
            repositories.insert(name.clone(), repository);
        }
    }
    let generation = base.pointer().map(|pointer| pointer.content().generation);
    let current = Current { generation, root: base.root().clone(), repositories };
    Ok((base, current))
}

/// What every copy has of the source's content.
pub(crate) async fn gather_copies(
    copies: &Copies<'_>,
    catalog: &str,
    content: &Content,
    current: &Current,
) -> Result<Vec<CopyState>, ImportError> {
    let needed: BTreeSet<Digest> =
        content.manifests.keys().chain(content.blobs.keys()).copied().collect();
    let mut states = Vec::new();
    for (id, name, bucket) in copies.all() {
        let works = !copies.working(CopySet::EMPTY.with(id)).is_empty();
        let mut state = CopyState { name: name.to_owned(), ..CopyState::default() };
        if works {
            // The authority has what it published; a mirror has what it says.
            let asked = match id.index() {
                0 => Ok(Some(BTreeSet::new())),
                _ => lacks(bucket, catalog, current).await,
            };
            let sizes = sizes(bucket, &needed).await;
            match asked.and_then(|lacks| Ok((lacks, sizes?))) {
                Ok((lacks, sizes)) => {
                    state.sizes = sizes;
                    state.lacks = lacks.filter(|_| current.generation.is_some());
                }
                Err(error) => {
                    copies.fail(id, error)?;
                    state.is_failed = true;
                }
            }
        } else {
            state.is_failed = true;
        }
        states.push(state);
    }
    Ok(states)
}

/// What a mirror's holding says that it lacks of the current generation; `None` if it does not name
/// that generation.
async fn lacks(
    bucket: &Bucket,
    catalog: &str,
    current: &Current,
) -> Result<Option<BTreeSet<Digest>>, StoreError> {
    let holding = bucket.get_holding().await?.filter(|holding| {
        let names_it = |generation| holding.generations.contains(&generation);
        holding.catalog == catalog && current.generation.is_some_and(names_it)
    });
    Ok(holding.map(|holding| holding.lacks.into_iter().collect()))
}

async fn sizes(
    bucket: &Bucket,
    digests: &BTreeSet<Digest>,
) -> Result<BTreeMap<Digest, u64>, StoreError> {
    stream::iter(digests.iter().copied())
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
