//! Leases and condemnations: what keeps garbage collection from taking what somebody relies on.
//!
//! ```text
//! leases/ALGORITHM/HEX       somebody was told that this object is there; when is the store's time
//! condemned/ALGORITHM/HEX    this object is to go; since when, and whether it is being deleted
//! collector/SEQUENCE         who collects: the highest one
//! clock                      written to learn the store's time
//! ```
//!
//! Invariants: only a [`Collector`] deletes an object or condemns one. Times are compared only if
//! the store gave both, and in the same way.

mod collector;
mod protocol;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::stream::BoxStream;
use jiff::Timestamp;
use landbridge_core::Digest;
use serde::{Deserialize, Serialize};

pub use collector::{Collections, Collector, CollectorError, Reprieve, SweepError, Swept};

use crate::bucket::Bucket;
use crate::error::StoreError;
use crate::facts::{Keep, MAX_FACT_BYTES};
use crate::repositories::{Creation, Listed, names, parse_path, path};
use protocol::{Freshness, Seen, Steps};

const LEASES: &str = "leases";
const CONDEMNED: &str = "condemned";
const CLOCK: &str = "clock";

/// The store's clock is asked again after this.
const CLOCK_LASTS: Duration = Duration::from_mins(5);
/// Stores tell times to the second, and clocks drift.
const CLOCK_SLACK: Duration = Duration::from_secs(2);
/// How long a writer that clears up after a dead collector may be silent itself.
const CLEARING: Duration = Duration::from_mins(1);
/// How long a writer waits before it looks again whether a deletion is over.
const FIRST_WAIT: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// Leases and condemnations of a bucket. Cloning it is cheap.
#[derive(Debug, Clone)]
pub struct Leases {
    bucket: Bucket,
    creation: Creation,
    clock: Arc<Mutex<Option<(Instant, Timestamp)>>>,
}

/// Whether an object is there for somebody to rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It is, for at least half of the grace period.
    Present {
        /// Its size in bytes.
        size: u64,
    },
    /// It is not.
    Absent,
    /// It is being deleted: to a client it is absent, and may be uploaded again.
    Deleting,
}

/// What the marker of a condemned object says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condemned {
    /// Since when, by the store's clock.
    pub since: Timestamp,
    /// Whether it is being deleted: nobody may be told that it is there.
    pub deleting: bool,
}

/// Why nothing can be written under a digest now.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The object is being deleted and that did not end in time: try again later.
    #[error("{0} is being deleted by garbage collection: try again in a minute")]
    BeingDeleted(Digest),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A marker's document. Until the object is being deleted, the marker's own time is since when.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Marker {
    /// Present in a marker that says `deleting`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deleting_since: Option<Timestamp>,
}

impl Leases {
    pub(crate) fn new(bucket: Bucket, creation: Creation) -> Self {
        Self { bucket, creation, clock: Arc::default() }
    }

    /// Whether one may tell a client that the object is there: before a `HEAD`, a mount and a
    /// manifest's push say so. [`Presence::Present`] holds for at least half of `grace`, which
    /// must not be longer than the collector's. A manifest's push asks again after its link was
    /// written.
    ///
    /// Two to five small requests; a lease is written at most once in half of `grace`.
    pub async fn report_present(
        &self,
        digest: &Digest,
        grace: Duration,
    ) -> Result<Presence, StoreError> {
        let freshness = Freshness { now: self.now_at_most().await?, enough: grace / 2 };
        protocol::report_present(self, digest, &freshness).await
    }

    /// Makes it safe to write the object: leases it, and waits until no deletion of it is under
    /// way. What is written and confirmed after this stays for the grace period.
    ///
    /// Waits for `patience` at most, then fails with [`PrepareError::BeingDeleted`]. A deletion
    /// whose collector has died is withdrawn.
    pub async fn prepare_write(
        &self,
        digest: &Digest,
        patience: Duration,
    ) -> Result<(), PrepareError> {
        let begun = tokio::time::Instant::now();
        let mut wait = FIRST_WAIT;
        while !protocol::may_write(self, digest).await? {
            if self.withdraw_abandoned(digest).await? {
                continue;
            }
            if begun.elapsed() >= patience {
                return Err(PrepareError::BeingDeleted(*digest));
            }
            tokio::time::sleep(wait.min(patience)).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
        Ok(())
    }

    /// Withdraws the marker in the place of a collector that is no more; false if one is at work.
    async fn withdraw_abandoned(&self, digest: &Digest) -> Result<bool, StoreError> {
        let collected = async {
            let mut collector = self.collector(CLEARING).await?;
            collector.withdraw(digest).await?;
            collector.release().await
        };
        match collected.await {
            Ok(()) => Ok(true),
            Err(CollectorError::Busy { .. } | CollectorError::Lost) => Ok(false),
            Err(CollectorError::Store(error)) => Err(error),
        }
    }

    /// Writes a lease, whether or not there is such an object.
    pub async fn lease(&self, digest: &Digest) -> Result<(), StoreError> {
        let key = lease_key(digest);
        self.bucket.put_json(Keep::Scratch, &key, &serde_json::Map::new()).await
    }

    /// When the object was leased last, by the store's clock; `None` if it was not.
    pub async fn leased_at(&self, digest: &Digest) -> Result<Option<Timestamp>, StoreError> {
        let found = self.bucket.head_key(&lease_key(digest)).await?;
        Ok(found.map(|found| found.modified))
    }

    /// What the object's marker says; `None` if it is not condemned.
    pub async fn condemned(&self, digest: &Digest) -> Result<Option<Condemned>, StoreError> {
        let found = self.bucket.get_json::<Marker>(&marker_key(digest), MAX_FACT_BYTES).await?;
        Ok(found.map(|found| match found.value.deleting_since {
            Some(since) => Condemned { since, deleting: true },
            None => Condemned { since: found.modified, deleting: false },
        }))
    }

    /// The time by the store's own clock, no later than it is there. Writes a small object.
    pub async fn store_now(&self) -> Result<Timestamp, StoreError> {
        let before = Instant::now();
        self.bucket.put_json(Keep::Scratch, CLOCK, &serde_json::Map::new()).await?;
        let found = self.bucket.head_key(CLOCK).await?;
        let found = found.ok_or_else(|| StoreError::NotFound(self.bucket.place(CLOCK)))?;
        let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        *clock = Some((before, found.modified));
        Ok(found.modified)
    }

    /// A time that the store's clock has not passed, from a recent look at it.
    async fn now_at_most(&self) -> Result<Timestamp, StoreError> {
        let known = *self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        let now = match known {
            Some((measured, time)) if measured.elapsed() < CLOCK_LASTS => {
                time.saturating_add(measured.elapsed()).unwrap_or(Timestamp::MAX)
            }
            _ => self.store_now().await?,
        };
        Ok(now.saturating_add(CLOCK_SLACK).unwrap_or(Timestamp::MAX))
    }

    /// All leases, in no order.
    pub fn all(&self) -> BoxStream<'static, Result<Listed<Digest>, StoreError>> {
        names(&self.bucket, LEASES, None, parse_path)
    }

    /// All objects that are condemned or being deleted, in no order. The time is that of the
    /// marker's last change.
    pub fn all_condemned(&self) -> BoxStream<'static, Result<Listed<Digest>, StoreError>> {
        names(&self.bucket, CONDEMNED, None, parse_path)
    }

    async fn put_marker(
        &self,
        digest: &Digest,
        deleting_since: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let marker = Marker { deleting_since };
        self.bucket.put_json(Keep::Scratch, &marker_key(digest), &marker).await
    }
}

impl Steps for Leases {
    async fn object(&self, digest: &Digest) -> Result<Option<Seen>, StoreError> {
        let found = self.bucket.head_key(&self.bucket.object_key(digest)).await?;
        Ok(found.map(|found| Seen { size: found.size, modified: found.modified }))
    }

    async fn leased_at(&self, digest: &Digest) -> Result<Option<Timestamp>, StoreError> {
        Self::leased_at(self, digest).await
    }

    async fn lease(&self, digest: &Digest) -> Result<(), StoreError> {
        Self::lease(self, digest).await
    }

    async fn condemned(&self, digest: &Digest) -> Result<Option<Condemned>, StoreError> {
        Self::condemned(self, digest).await
    }

    async fn mark_deleting(&self, digest: &Digest, since: Timestamp) -> Result<(), StoreError> {
        self.put_marker(digest, Some(since)).await
    }

    async fn withdraw(&self, digest: &Digest) -> Result<(), StoreError> {
        self.bucket.remove_key(&marker_key(digest)).await.map(drop)
    }

    async fn delete_object(&self, digest: &Digest) -> Result<(), StoreError> {
        self.bucket.remove_key(&self.bucket.object_key(digest)).await.map(drop)
    }

    async fn delete_lease(&self, digest: &Digest) -> Result<(), StoreError> {
        self.bucket.remove_key(&lease_key(digest)).await.map(drop)
    }
}

fn lease_key(digest: &Digest) -> String {
    format!("{LEASES}/{}", path(digest))
}

fn marker_key(digest: &Digest) -> String {
    format!("{CONDEMNED}/{}", path(digest))
}
