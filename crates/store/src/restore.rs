//! Publishing again what was published before: a rollback is a new pointer to an old generation.

use std::collections::BTreeSet;

use futures::{StreamExt as _, TryStreamExt as _, future, stream};
use landbridge_core::Digest;
use landbridge_core::generation::{Repository, Root};

use crate::bucket::Bucket;
use crate::evidence::Evidence;
use crate::mirrors;
use crate::publish::{Base, Checked, Publication, PublishError};

/// Questions for sizes that are under way at once.
const AT_ONCE: usize = 16;

impl Publication {
    /// Checks a generation that was published before, for [`Publication::publish`]: its documents
    /// are read, and every object must be in the authority with its size. Their bytes were
    /// confirmed when it was published. What is `withdrawn` need not be there, since nobody gets it.
    /// Mirrors count as far as their holdings name it.
    pub async fn check_again(
        &self,
        base: Base,
        generation: Digest,
        withdrawn: &BTreeSet<Digest>,
    ) -> Result<Checked, PublishError> {
        let root: Root = self.authority.get_document(&generation).await?;
        let mut mirrors = mirrors::begin(&self.mirrors);
        mirrors::read_holdings(&mut mirrors, &self.catalog, Some(&generation)).await;
        mirrors::rely_on_base(&mut mirrors);
        let nothing_new = Evidence::default();
        for entry in &root.repositories {
            let repository: Repository = self.authority.get_document(&entry.digest).await?;
            let sizes: Vec<_> = stream::iter(repository.listed())
                .filter(|(digest, _)| future::ready(!withdrawn.contains(digest)))
                .map(|(digest, size)| Box::pin(found(&self.authority, digest, size)))
                .buffered(AT_ONCE)
                .try_collect()
                .await?;
            for (digest, size, is_there) in sizes {
                if !is_there {
                    return Err(PublishError::Unconfirmed {
                        repository: repository.name.clone(),
                        digest,
                        size,
                        bucket: self.authority.name().to_owned(),
                    });
                }
                mirrors::note(&mut mirrors, &nothing_new, &digest, size, true);
            }
        }
        Ok(Checked { base, generation, mirrors })
    }
}

async fn found(
    bucket: &Bucket,
    digest: Digest,
    size: u64,
) -> Result<(Digest, u64, bool), PublishError> {
    Ok((digest, size, bucket.size_of(&digest).await? == Some(size)))
}
