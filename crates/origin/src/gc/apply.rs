//! Carries a plan out. Whatever stops it, the next collection goes on where this one ended.

use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select};
use landbridge_core::Digest;
use landbridge_store::{Collector, CollectorError, Repositories, StoreError, SweepError};

use super::plan::{Plan, reachable};
use super::report::Report;
use super::retention::Retired;
use super::{Collection, GcError, gather};

/// Objects that are judged together. All markers of a batch are turned before the world is read
/// again, so that a larger one reads it less often and keeps clients waiting for longer.
const BATCH: usize = 10_000;

/// Waits for another collector double each time, and end before one this long.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// What a collection is doing now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Reading names, manifests and objects.
    Gathering,
    /// Marking objects that nothing refers to.
    Condemning {
        /// How many there are.
        objects: usize,
    },
    /// Making sure that nobody relies on what is due, and deleting it.
    Sweeping {
        /// How many objects are due.
        objects: usize,
        /// How many of them have been looked at.
        done: usize,
    },
}

/// Collects: condemns what nothing refers to, deletes what has been condemned for long enough.
///
/// One collection of a bucket runs at a time; [`GcError::Collector`] says if another does. A
/// collection that fails makes way for the next one at once, as far as the store lets it; one whose
/// process is killed does when it was silent for [`Collection::stale_after`].
pub async fn collect(
    repositories: &Repositories,
    collection: &Collection,
    listener: &(dyn Fn(Progress) + Sync),
) -> Result<(Plan, Report), GcError> {
    collect_until(repositories, collection, listener, std::future::pending()).await
}

/// As [`collect`], but when `stop` comes to its end this does too, with [`GcError::Stopped`].
pub async fn collect_until(
    repositories: &Repositories,
    collection: &Collection,
    listener: &(dyn Fn(Progress) + Sync),
    stop: impl Future<Output = ()>,
) -> Result<(Plan, Report), GcError> {
    let mut collector = begin(repositories, collection.stale_after).await?;
    let collected = {
        let work = carry_out(repositories, collection, listener, &mut collector);
        match select(pin!(work), pin!(stop)).await {
            Either::Left((collected, _)) => collected,
            Either::Right(_) => Err(GcError::Stopped),
        }
    };
    let released = collector.release().await;
    let collected = collected?;
    released?;
    Ok(collected)
}

async fn carry_out(
    repositories: &Repositories,
    collection: &Collection,
    listener: &(dyn Fn(Progress) + Sync),
    collector: &mut Collector,
) -> Result<(Plan, Report), GcError> {
    listener(Progress::Gathering);
    let plan = super::prepare(repositories, collection).await?;
    let mut report = Report::of(&plan);
    retire(repositories, &plan).await?;

    listener(Progress::Condemning { objects: plan.condemn.len() });
    for digest in &plan.withdraw {
        collector.withdraw(digest).await?;
    }
    for object in &plan.condemn {
        collector.condemn(&object.digest).await?;
    }
    for batch in plan.due.chunks(BATCH) {
        let done = report.looked_at();
        listener(Progress::Sweeping { objects: plan.due.len(), done });
        let digests: Vec<Digest> = batch.iter().map(|object| object.digest).collect();
        let mark = async || {
            let names = gather::names(repositories).await?;
            let reachable = reachable(&names, &Retired::default(), &collection.kept);
            Ok::<_, GcError>(move |digest: &Digest| reachable.contains(digest))
        };
        let unlink = async |digest: &Digest| {
            for repository in plan.linked_in.get(digest).into_iter().flatten() {
                repositories.unlink_blob(repository, digest).await?;
            }
            Ok(())
        };
        let swept = collector.sweep(&digests, collection.grace, mark, unlink).await;
        for (_, swept) in swept.map_err(ended)? {
            report.count(swept);
        }
    }
    for digest in &plan.leases {
        collector.delete_lease(digest).await?;
    }
    for id in &plan.uploads {
        report.uploads += u64::from(repositories.uploads().cancel(id).await?);
    }
    Ok((plan, report))
}

/// Becomes the collector. A client that clears a dead collector's marker away takes the place for a
/// moment, which is not worth a failure.
async fn begin(
    repositories: &Repositories,
    stale_after: Duration,
) -> Result<Collector, CollectorError> {
    let mut wait = Duration::from_millis(25);
    loop {
        match repositories.leases().collector(stale_after).await {
            Err(CollectorError::Busy { .. }) if wait < LONGEST_WAIT => {
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
            begun => return begun,
        }
    }
}

/// Names go before the objects that only they lead to are condemned. A tag that was moved since
/// the plan was made stays.
async fn retire(repositories: &Repositories, plan: &Plan) -> Result<(), StoreError> {
    for name in &plan.untag {
        let link = repositories.tag(&name.repository, &name.tag).await?;
        if link.is_some_and(|link| link.digest == name.digest) {
            repositories.delete_tag(&name.repository, &name.tag).await?;
        }
    }
    for link in &plan.unlink {
        repositories.unlink_manifest(&link.repository, &link.digest).await?;
        if let Some(subject) = &link.subject {
            repositories.delete_referrer(&link.repository, subject, &link.digest).await?;
        }
    }
    Ok(())
}

fn ended(error: SweepError<GcError>) -> GcError {
    match error {
        SweepError::Collector(error) => error.into(),
        SweepError::Caller(error) => error,
    }
}
