//! Garbage collection: what no name leads to goes, slowly and never from under a client.
//!
//! gather → plan → apply → report. An object that nothing refers to is condemned; after the grace
//! period, if nobody was told meanwhile that it is there and nothing refers to it again, it is
//! deleted. So a collection runs at least twice before anything is lost, and a push that finds an
//! old blob in place is safe at any moment: who reports it present leases it, and the collector
//! looks at leases after it said what it is about to delete. The steps of that are the store's.

mod apply;
mod gather;
mod plan;
mod report;
mod retention;

use std::collections::HashSet;
use std::time::Duration;

use landbridge_core::Digest;
use landbridge_core::manifest::ManifestError;
use landbridge_core::reference::RepositoryName;
use landbridge_store::{CollectorError, Repositories, StoreError};

pub use self::apply::{Progress, collect, collect_until};
pub use self::plan::{Object, Plan};
pub use self::report::Report;
pub use self::retention::{Order, Retention, TagRule};

/// What is collected, and how carefully.
#[derive(Debug, Clone)]
pub struct Collection {
    /// How long an object must have been unreferenced and unreported before it is condemned, and
    /// how long it is condemned before it is deleted. Longer than any push takes.
    pub grace: Duration,
    /// An upload of which nothing was heard for this long is given up.
    pub upload_expiry: Duration,
    /// Names that may go.
    pub retention: Retention,
    /// Objects that others rely on, each with all that it needs, such as those of promotion
    /// manifests. They are kept whatever the registry's own names say, as is everything that the
    /// bucket's own generations list.
    pub kept: HashSet<Digest>,
    /// A collector that was silent for this long is taken for dead.
    pub stale_after: Duration,
}

/// Why nothing was collected, or not all.
#[derive(Debug, thiserror::Error)]
pub enum GcError {
    /// A manifest cannot be understood, so that what it needs is not known.
    #[error(
        "{repository}@{digest} cannot be understood, so what it needs is not known: delete it, or push it again"
    )]
    Manifest {
        /// Where it is linked.
        repository: RepositoryName,
        /// The manifest.
        digest: Digest,
        /// What is wrong.
        source: ManifestError,
    },
    /// Another collection is under way, or this one lost its place.
    #[error(transparent)]
    Collector(#[from] CollectorError),
    /// It was told to stop.
    #[error("the collection was stopped: the next one goes on where it ended")]
    Stopped,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What [`collect`] would do now. Writes nothing but the small object by which the store's clock is
/// read.
pub async fn prepare(
    repositories: &Repositories,
    collection: &Collection,
) -> Result<Plan, GcError> {
    let inventory = gather::inventory(repositories, collection).await?;
    Ok(plan::plan(&inventory, collection))
}
