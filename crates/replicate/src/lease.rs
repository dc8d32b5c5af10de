//! Leasing what an import found in place, so that no collection takes it before it is published.

use std::collections::BTreeMap;
use std::time::Duration;

use landbridge_core::Digest;
use landbridge_core::topology::CopyId;
use landbridge_store::{
    Bucket, BucketLayout, Leases, Place, PrepareError, Repositories, StoreError,
};
use tokio::sync::Mutex;

/// How long a deletion that is under way is waited for.
const PATIENCE: Duration = Duration::from_mins(1);

/// The leases of those copies that may be an origin's bucket, each opened when it is needed first.
#[derive(Debug, Default)]
pub(crate) struct Leased(Mutex<BTreeMap<CopyId, Leases>>);

impl Leased {
    /// Makes sure that the object, if it is there once this returns, stays for the time of grace.
    pub(crate) async fn lease(
        &self,
        id: CopyId,
        copy: &Bucket,
        digest: &Digest,
    ) -> Result<(), StoreError> {
        match copy.layout() {
            BucketLayout::Blobs => {}
            // Never an origin's.
            BucketLayout::ContainersImages => return Ok(()),
        }
        let leases = self.of(id, copy).await?;
        leases.prepare_write(digest, PATIENCE).await.map_err(|error| match error {
            PrepareError::Store(error) => error,
            PrepareError::BeingDeleted(_) => StoreError::Unavailable {
                place: Place { bucket: copy.name().to_owned(), key: digest.to_string() },
                source: error.into(),
            },
        })
    }

    async fn of(&self, id: CopyId, copy: &Bucket) -> Result<Leases, StoreError> {
        let known = self.0.lock().await.get(&id).cloned();
        if let Some(leases) = known {
            return Ok(leases);
        }
        // Opening it twice does no harm.
        let leases = Repositories::open(copy.clone()).await?.leases().clone();
        Ok(self.0.lock().await.entry(id).or_insert(leases).clone())
    }
}
