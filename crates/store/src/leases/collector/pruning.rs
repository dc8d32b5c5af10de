//! A collector that prunes, as those see it who publish.
//!
//! What prunes an authority publishes a pointer once it is the collector and before it looks at what
//! can go. So whoever publishes either meets that pointer and begins again, or read a base that is
//! newer, and then sees the collector: [`Bucket::collections`] is asked after the pointers.
//!
//! Invariant: whoever publishes has not relied on what a prune took.

use std::time::Duration;

use jiff::Timestamp;

use super::{Collector, CollectorError, Sign, key};
use crate::bucket::Bucket;
use crate::error::StoreError;
use crate::facts::MAX_FACT_BYTES;
use crate::leases::Leases;
use crate::repositories::Creation;

/// What was deleted in a bucket, and by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Collections {
    /// How many were begun. If it grew, what was confirmed before may be gone.
    pub begun: u64,
    /// When the one that prunes now was heard of, by the store's clock, if one does.
    pub pruning: Option<Timestamp>,
}

impl Leases {
    /// Those of an authority, where only one can create a key.
    pub(crate) fn of_authority(authority: &Bucket) -> Self {
        Self::new(authority.clone(), Creation::Conditional)
    }

    async fn pruning(&self, sequence: u64, heard: Timestamp) -> Result<bool, StoreError> {
        let found = self.bucket.get_json::<Sign>(&key(sequence), MAX_FACT_BYTES).await?;
        let sign = found.map(|found| found.value).filter(|sign| sign.prunes && !sign.released);
        let Some(sign) = sign else { return Ok(false) };
        let silent = self.store_now().await?.duration_since(heard);
        Ok(silent.as_secs() < i64::try_from(sign.stale_after_seconds).unwrap_or(i64::MAX))
    }
}

impl Bucket {
    /// What was collected in this authority, and whether it is being pruned. One list, and two
    /// requests more unless the last collection ended well.
    pub async fn collections(&self) -> Result<Collections, StoreError> {
        let leases = Leases::of_authority(self);
        let Some((begun, heard)) = leases.highest_sign().await? else {
            return Ok(Collections { begun: 0, pruning: None });
        };
        let is_pruning = leases.pruning(begun, heard).await?;
        Ok(Collections { begun, pruning: is_pruning.then_some(heard) })
    }

    /// Becomes the one that prunes this authority, and the only collector; nothing is published
    /// until [`Collector::release`], or until it was silent for `stale_after`.
    pub async fn pruner(&self, stale_after: Duration) -> Result<Collector, CollectorError> {
        Leases::of_authority(self).begin(stale_after, true).await
    }
}
