//! `landbridge generation prune`: deletes generations that nobody needs any more, and what only they
//! list.
//!
//! A generation stays while it is in force, while fronts answer its digests, while a pull that began
//! on it may last, while it is pinned, and while it is the newest one that some mirror holds. Only
//! what documents of generations list is ever deleted: a bucket may have other things in it, which
//! are none of our business. The objects of an origin's bucket are its collection's.
//!
//! Order: whoever prunes takes the authority for itself, publishes what is in force once more, so that
//! whoever is publishing begins again, and only then looks at what can go. Mirrors stop to claim a
//! generation before its objects go; documents go last, and only when everything that they list is
//! gone, since without them it would never be found again.
//!
//! Invariant: nothing is deleted that a kept generation lists, or one that is published meanwhile.

mod apply;
mod gather;
mod plan;
mod report;

use std::time::Duration;

use jiff::Timestamp;
use landbridge_core::Digest;
use landbridge_store::publish::Publication;

use crate::error::ImportError;
use crate::publishing::Publishing;
use apply::{delete, fence};
use gather::gather;
pub use plan::{KeptGeneration, PrunePlan, Why};
pub use report::PruneReport;

/// Somebody who prunes and says nothing for this long is dead.
const STALE_AFTER: Duration = Duration::from_mins(20);

/// Which generations stay beside the one in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keep {
    /// So many different ones before it.
    pub releases: usize,
    /// Those that were in force within this time: longer than fronts answer for digests of a
    /// generation that was replaced, and the longest pull on top.
    pub time: Duration,
    /// Those that something else relies on, such as a site that is pinned.
    pub pinned: Vec<Digest>,
}

/// What [`prune`] would do. Writes nothing.
pub async fn prepare_prune(
    publication: &Publication,
    keep: &Keep,
    now: Timestamp,
) -> Result<PrunePlan, ImportError> {
    Ok(gather(publication, keep, now).await?.plan)
}

/// Deletes what no kept generation lists, from all copies.
///
/// What could not be deleted is reported, and tried again by the next run; so is what is left when it
/// is asked to stop.
pub async fn prune(publishing: &Publishing<'_>, keep: &Keep) -> Result<PruneReport, ImportError> {
    let publication = publishing.publication;
    let mut collector = publication.authority.pruner(STALE_AFTER).await?;
    let pruned = async {
        let sequence = fence(publishing).await?;
        let found = gather(publication, keep, publishing.now).await?;
        let failed = delete(publishing, &found, &mut collector).await?;
        Ok(PruneReport { sequence, plan: found.plan, failed })
    };
    let pruned: Result<PruneReport, ImportError> = pruned.await;
    // Whatever became of it, the next one need not wait.
    let released = collector.release().await;
    let report = pruned?;
    released?;
    Ok(report)
}
