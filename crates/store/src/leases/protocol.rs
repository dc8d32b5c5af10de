//! Who may believe that an object stays, against who deletes it.
//!
//! Both sides write first and read then, so that of any two that meet at least one sees the other
//! (Dekker's idea); nobody ever waits for a lock.
//!
//! - Whoever reports an object present **leases** it, **then reads** the marker, then looks at the
//!   object. A marker that says `deleting` means absent; a merely condemned object is saved by the
//!   lease.
//! - The collector turns the marker to **`deleting`, then reads** the lease, the object's own time
//!   and the roots. Anything newer than the condemnation, or a root, withdraws the marker; else
//!   the object goes, its links go, and the marker goes last.
//!
//! All times are the store's. A lease lives on for at least the grace period, which lies between a
//! condemnation and a deletion; so one that is younger than half of it need not be written again,
//! and a report holds for the other half. A manifest's push does not even rely on that: it checks
//! its references once more after its link is written, and a collector that did not see the link
//! had by then turned the marker.
//!
//! Invariant: every step is one request to the store, so that a test can try all the orders.

use std::time::Duration;

use jiff::Timestamp;
use landbridge_core::Digest;

use super::{Condemned, Presence, Reprieve, Swept};
use crate::error::StoreError;

/// What the protocol asks of a store: one request each.
pub(crate) trait Steps: Sync {
    fn object(
        &self,
        digest: &Digest,
    ) -> impl Future<Output = Result<Option<Seen>, StoreError>> + Send;
    fn leased_at(
        &self,
        digest: &Digest,
    ) -> impl Future<Output = Result<Option<Timestamp>, StoreError>> + Send;
    fn lease(&self, digest: &Digest) -> impl Future<Output = Result<(), StoreError>> + Send;
    fn condemned(
        &self,
        digest: &Digest,
    ) -> impl Future<Output = Result<Option<Condemned>, StoreError>> + Send;
    fn mark_deleting(
        &self,
        digest: &Digest,
        since: Timestamp,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
    fn withdraw(&self, digest: &Digest) -> impl Future<Output = Result<(), StoreError>> + Send;
    fn delete_object(&self, digest: &Digest)
    -> impl Future<Output = Result<(), StoreError>> + Send;
    fn delete_lease(&self, digest: &Digest) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// An object as the store tells of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) size: u64,
    pub(crate) modified: Timestamp,
}

/// What makes another lease unnecessary.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Freshness {
    /// No earlier than the store's clock is now.
    pub(crate) now: Timestamp,
    /// The age below which a lease, or the object itself, is as good as a new lease.
    pub(crate) enough: Duration,
}

impl Freshness {
    fn covers(&self, time: Timestamp) -> bool {
        let enough = i128::try_from(self.enough.as_nanos()).unwrap_or(i128::MAX);
        self.now.as_nanosecond().saturating_sub(time.as_nanosecond()) < enough
    }
}

/// Whether one may say that the object is there.
pub(crate) async fn report_present(
    steps: &impl Steps,
    digest: &Digest,
    freshness: &Freshness,
) -> Result<Presence, StoreError> {
    // A first look, so that nobody can fill the bucket with leases of what is not there.
    let Some(seen) = steps.object(digest).await? else { return Ok(Presence::Absent) };
    let is_fresh = freshness.covers(seen.modified)
        || steps.leased_at(digest).await?.is_some_and(|time| freshness.covers(time));
    if !is_fresh {
        steps.lease(digest).await?;
    }
    if steps.condemned(digest).await?.is_some_and(|marker| marker.deleting) {
        return Ok(Presence::Deleting);
    }
    // A collector that was done before the marker was read has taken the object with it.
    let seen = steps.object(digest).await?;
    Ok(seen.map_or(Presence::Absent, |seen| Presence::Present { size: seen.size }))
}

/// Leases what is about to be written. False while a deletion is under way: what was written now
/// might be deleted; true if it will stay for the grace period.
pub(crate) async fn may_write(steps: &impl Steps, digest: &Digest) -> Result<bool, StoreError> {
    steps.lease(digest).await?;
    Ok(steps.condemned(digest).await?.is_none_or(|marker| !marker.deleting))
}

/// A marker that says `deleting`: only with it can an object be deleted.
#[derive(Debug)]
pub(crate) struct Deleting {
    digest: Digest,
    since: Timestamp,
}

/// Turns the marker to `deleting`, if the grace period is over at `now`, which is no later than
/// the store's clock.
pub(crate) async fn begin_deleting(
    steps: &impl Steps,
    digest: &Digest,
    now: Timestamp,
    grace: Duration,
) -> Result<Result<Deleting, Swept>, StoreError> {
    let Some(marker) = steps.condemned(digest).await? else { return Ok(Err(Swept::NotCondemned)) };
    let is_early = (Freshness { now, enough: grace }).covers(marker.since);
    if is_early && !marker.deleting {
        return Ok(Err(Swept::TooEarly));
    }
    steps.mark_deleting(digest, marker.since).await?;
    Ok(Ok(Deleting { digest: *digest, since: marker.since }))
}

impl Deleting {
    /// The object.
    pub(crate) fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Deletes the object, or withdraws the marker. `is_reachable` was found out after the marker
    /// was turned. `unlink` deletes what points at the object; if it fails, the marker stays and
    /// the next collector goes on.
    pub(crate) async fn settle<E: From<StoreError>>(
        self,
        steps: &impl Steps,
        is_reachable: bool,
        unlink: impl Future<Output = Result<(), E>>,
    ) -> Result<Swept, E> {
        let Self { digest, since } = self;
        let leased_at = steps.leased_at(&digest).await?;
        let seen = steps.object(&digest).await?;
        // Stores tell times to the second: the same one may be later.
        let reprieve = if is_reachable {
            Some(Reprieve::Reachable)
        } else if leased_at.is_some_and(|time| time >= since) {
            Some(Reprieve::Leased)
        } else if seen.is_some_and(|seen| seen.modified >= since) {
            Some(Reprieve::Written)
        } else {
            None
        };
        if let Some(reprieve) = reprieve {
            steps.withdraw(&digest).await?;
            return Ok(Swept::Reprieved(reprieve));
        }
        if seen.is_some() {
            steps.delete_object(&digest).await?;
        }
        unlink.await?;
        if leased_at.is_some() {
            steps.delete_lease(&digest).await?;
        }
        steps.withdraw(&digest).await?;
        Ok(seen.map_or(Swept::Gone, |seen| Swept::Deleted { size: seen.size }))
    }
}

#[cfg(test)]
mod explore;
