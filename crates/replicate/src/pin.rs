//! Pinning: a generation that is kept until somebody says otherwise.

use jiff::Timestamp;
use landbridge_core::Digest;
use landbridge_store::Pin;
use landbridge_store::publish::{Publication, PublishError};

use crate::error::ImportError;
use crate::show::show;

/// Keeps a generation from being pruned. It must be there as a whole; while somebody prunes it cannot
/// be known what will be there afterwards, and nothing is pinned. If it is pinned already, the reason
/// changes.
pub async fn pin(
    publication: &Publication,
    generation: &Digest,
    reason: &str,
    now: Timestamp,
) -> Result<(), ImportError> {
    let authority = &publication.authority;
    let pin = Pin { reason: reason.to_owned(), since: now };
    if authority.pins().await?.iter().any(|(pinned, _)| pinned == generation) {
        return Ok(authority.put_pin(generation, &pin).await?);
    }
    // First the pin, then the look: whoever begins to prune after the look finds the pin.
    authority.put_pin(generation, &pin).await?;
    let whole = async {
        if let Some(heard) = authority.collections().await?.pruning {
            let bucket = authority.name().to_owned();
            return Err(ImportError::Publish(PublishError::BeingPruned { bucket, heard }));
        }
        show(publication, generation).await.map(drop)
    };
    let found = whole.await;
    if found.is_err() {
        authority.delete_pin(generation).await?;
    }
    found
}

/// Lets a generation go the way of all others; false if it was not pinned.
pub async fn unpin(publication: &Publication, generation: &Digest) -> Result<bool, ImportError> {
    Ok(publication.authority.delete_pin(generation).await?)
}
