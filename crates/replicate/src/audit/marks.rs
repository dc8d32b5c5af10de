//! What an audit found, into the mirror's holding: at once, but not for each object.
//!
//! A holding is read, changed and written back, and another publisher may do the same: it is read
//! anew for each batch, and a batch only adds. What is lost in a race is found again by the next
//! audit.

use std::collections::BTreeSet;
use std::time::Duration;

use landbridge_core::Digest;
use landbridge_store::{Bucket, StoreError};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

/// What was found waits this long for more of its kind.
const WAIT: Duration = Duration::from_secs(2);
/// So much of it waits no longer.
const BATCH: usize = 1_000;
/// A mirror that lacks more than this does not hold a generation in any useful sense.
pub(super) const MOST_LACKS: usize = 10_000;

/// What became of the marks for one mirror.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Marked {
    /// Objects that its holding says it lacks, and did not before.
    pub(super) added: u64,
    /// It lacks so much that it does not name any generation any more.
    pub(super) is_disowned: bool,
    /// Why its holding could not be written, if so.
    pub(super) failed: Option<String>,
}

/// Writes what comes through `found` into the holding, until the other end is dropped.
pub(super) async fn mark(
    bucket: &Bucket,
    catalog: &str,
    mut found: mpsc::Receiver<Digest>,
) -> Marked {
    let mut marked = Marked::default();
    while let Some(first) = found.recv().await {
        let mut batch = BTreeSet::from([first]);
        let until = Instant::now() + WAIT;
        while batch.len() < BATCH
            && let Ok(Some(next)) = timeout_at(until, found.recv()).await
        {
            batch.insert(next);
        }
        match note_lacking(bucket, catalog, batch).await {
            Ok(Noted::Lacks(count)) => marked.added += count,
            Ok(Noted::TooMany) => marked.is_disowned = true,
            Err(error) => marked.failed = Some(landbridge_core::cause::chain(&error)),
        }
    }
    marked
}

/// What became of a holding.
pub(crate) enum Noted {
    /// It lacks so many objects more.
    Lacks(u64),
    /// It names no generation any more.
    TooMany,
}

/// Lets a holding say that the mirror lacks these objects, unless it holds nothing anyway.
pub(crate) async fn note_lacking(
    bucket: &Bucket,
    catalog: &str,
    batch: BTreeSet<Digest>,
) -> Result<Noted, StoreError> {
    let holding = bucket.get_holding().await?;
    // A mirror that says nothing is not asked by anybody.
    let Some(mut holding) =
        holding.filter(|it| it.catalog == catalog && !it.generations.is_empty())
    else {
        return Ok(Noted::Lacks(0));
    };
    let mut lacks: BTreeSet<Digest> = holding.lacks.iter().copied().collect();
    let before = lacks.len();
    lacks.extend(batch);
    let added = (lacks.len() - before) as u64;
    if added == 0 {
        return Ok(Noted::Lacks(0));
    }
    if lacks.len() > MOST_LACKS {
        holding.generations.clear();
        lacks.clear();
    }
    let is_disowned = holding.generations.is_empty();
    holding.lacks = lacks.into_iter().collect();
    bucket.put_holding(&holding).await?;
    Ok(if is_disowned { Noted::TooMany } else { Noted::Lacks(added) })
}

#[cfg(test)]
mod tests {
    use landbridge_core::holding::Holding;
    use landbridge_store::BucketLayout;

    use super::*;

    async fn marked(bucket: &Bucket, count: usize) -> Marked {
        let (sender, receiver) = mpsc::channel(count.max(1));
        for number in 0..count {
            sender.send(Digest::sha256_of(&number.to_be_bytes())).await.unwrap();
        }
        drop(sender);
        mark(bucket, "demo", receiver).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_mirror_that_lacks_too_much_names_no_generation_any_more() {
        let bucket = Bucket::open(&"memory:///".parse().unwrap(), BucketLayout::Blobs).unwrap();
        assert_eq!(marked(&bucket, 3).await, Marked::default());
        let generations = vec![Digest::sha256_of(b"g")];
        let holding = Holding { generations, ..Holding::empty("demo") };
        bucket.put_holding(&holding).await.unwrap();

        assert_eq!(marked(&bucket, MOST_LACKS).await.added, MOST_LACKS as u64);
        assert_eq!(marked(&bucket, MOST_LACKS).await.added, 0);
        let now = bucket.get_holding().await.unwrap().unwrap();
        assert_eq!((now.generations.len(), now.lacks.len()), (1, MOST_LACKS));

        assert!(marked(&bucket, MOST_LACKS + 1).await.is_disowned);
        let now = bucket.get_holding().await.unwrap().unwrap();
        assert_eq!((now.generations, now.lacks), (Vec::new(), Vec::new()));
    }
}
