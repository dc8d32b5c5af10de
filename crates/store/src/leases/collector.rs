//! Who collects, and how.
//!
//! One collector for each bucket: it creates the next number under `collector/`, which only one
//! can, and writes it again while it works. Once it has been silent for as long as it said itself
//! it may be replaced; it stops at half that time. A number is never used twice.

mod pruning;

use std::time::{Duration, Instant};

use futures::TryStreamExt as _;
use futures::future::{Either, select};
use jiff::Timestamp;
use landbridge_core::Digest;
use serde::{Deserialize, Serialize};

pub use pruning::Collections;

use super::protocol::{Steps as _, begin_deleting};
use super::{Condemned, Leases};
use crate::error::StoreError;
use crate::facts::{Keep, MAX_FACT_BYTES};
use crate::repositories::{create, names};

const DIRECTORY: &str = "collector";

/// The one who may condemn and delete. Say [`Collector::release`] at the end, or the next one has
/// to wait until this one counts as dead.
#[derive(Debug)]
pub struct Collector {
    leases: Leases,
    sequence: u64,
    run: String,
    stale_after: Duration,
    prunes: bool,
    renewed: Instant,
}

/// Why nothing can be collected.
#[derive(Debug, thiserror::Error)]
pub enum CollectorError {
    /// Another collector is at work, or died: it is taken for dead if it stays silent.
    #[error(
        "another garbage collection or prune of this bucket was at work at {heard}: wait for it, or until it has been silent for {stale_after:?}"
    )]
    Busy {
        /// When it was heard of last, by the store's clock.
        heard: Timestamp,
        /// How long it must be silent.
        stale_after: Duration,
    },
    /// This collector was too slow and may have been replaced: begin anew.
    #[error("this collection was silent for too long and may have been replaced: start it again")]
    Lost,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a sweep ended early. Markers that it turned stay; the next sweep goes on with them.
#[derive(Debug, thiserror::Error)]
pub enum SweepError<E> {
    /// This collector cannot go on.
    #[error(transparent)]
    Collector(#[from] CollectorError),
    /// What the caller was to do failed.
    #[error(transparent)]
    Caller(E),
}

impl<E> From<StoreError> for SweepError<E> {
    fn from(error: StoreError) -> Self {
        Self::Collector(error.into())
    }
}

/// What became of a condemned object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swept {
    /// It was deleted.
    Deleted {
        /// Its size in bytes.
        size: u64,
    },
    /// It was no longer there; what was left of it was deleted.
    Gone,
    /// It stays, for this reason, and is no longer condemned.
    Reprieved(Reprieve),
    /// Its grace period is not over.
    TooEarly,
    /// It is not condemned.
    NotCondemned,
}

/// Why a condemned object stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reprieve {
    /// Somebody was told that it is there.
    Leased,
    /// It was written again.
    Written,
    /// Something refers to it again.
    Reachable,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sign {
    /// Like no other collector's.
    run: String,
    released: bool,
    /// It is taken for dead when it has been silent for this long.
    stale_after_seconds: u64,
    /// It deletes what no kept generation lists, so that nothing may be published meanwhile.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    prunes: bool,
}

impl Leases {
    /// Becomes the bucket's collector, unless there is one. The next may take its place once it
    /// was silent for `stale_after` (full seconds, at least one), which must be far longer than
    /// the worst pause of network and process.
    pub async fn collector(&self, stale_after: Duration) -> Result<Collector, CollectorError> {
        self.begin(stale_after, false).await
    }

    async fn begin(
        &self,
        stale_after: Duration,
        prunes: bool,
    ) -> Result<Collector, CollectorError> {
        let highest = self.highest_sign().await?;
        if let Some((sequence, heard)) = highest {
            let found = self.bucket.get_json::<Sign>(&key(sequence), MAX_FACT_BYTES).await?;
            let sign = found.map(|found| found.value).filter(|sign| !sign.released);
            let silent = self.store_now().await?.duration_since(heard);
            let silent = Duration::try_from(silent).unwrap_or_default();
            if let Some(sign) = sign {
                let stale_after = Duration::from_secs(sign.stale_after_seconds);
                if silent < stale_after {
                    return Err(CollectorError::Busy { heard, stale_after });
                }
            }
        }
        let sequence = highest.map_or(0, |(sequence, _)| sequence) + 1;
        let stale_after = Duration::from_secs(stale_after.as_secs().max(1));
        let run = crate::uploads::random_hex(&self.bucket, DIRECTORY)?;
        let renewed = Instant::now();
        let leases = self.clone();
        let collector = Collector { leases, sequence, run, stale_after, prunes, renewed };
        let sign = crate::facts::encode(&collector.sign(false));
        let is_ours =
            create(&self.bucket, self.creation, &key(sequence), sign, MAX_FACT_BYTES).await?;
        if !is_ours {
            return Err(CollectorError::Busy { heard: self.store_now().await?, stale_after });
        }
        if let Some((before, _)) = highest {
            self.bucket.remove_key(&key(before)).await?;
        }
        Ok(collector)
    }

    async fn highest_sign(&self) -> Result<Option<(u64, Timestamp)>, StoreError> {
        let parse = |name: &str| {
            let digits = name.len() == 20 && name.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| name.parse::<u64>().ok()).flatten()
        };
        let mut listed = names(&self.bucket, DIRECTORY, None, parse);
        let mut highest = None;
        while let Some(found) = listed.try_next().await? {
            highest = highest.max(Some((found.item, found.modified)));
        }
        Ok(highest)
    }
}

impl Collector {
    /// Marks an object as one that is to go, unless it is marked already. It can be deleted once
    /// the grace period has passed.
    pub async fn condemn(&mut self, digest: &Digest) -> Result<Condemned, CollectorError> {
        self.hold().await?;
        if let Some(condemned) = self.leases.condemned(digest).await? {
            return Ok(condemned);
        }
        self.leases.put_marker(digest, None).await?;
        let condemned = self.leases.condemned(digest).await?;
        condemned.ok_or(CollectorError::Lost)
    }

    /// Takes a condemnation back.
    pub async fn withdraw(&mut self, digest: &Digest) -> Result<(), CollectorError> {
        self.hold().await?;
        Ok(super::protocol::Steps::withdraw(&self.leases, digest).await?)
    }

    /// Deletes a lease that is old and protects nothing: of an object that is not there. A lease
    /// that somebody wrote meanwhile may go with it, which is a promise broken only if the object
    /// is there: look before.
    pub async fn delete_lease(&mut self, digest: &Digest) -> Result<(), CollectorError> {
        self.hold().await?;
        Ok(self.leases.delete_lease(digest).await?)
    }

    /// Deletes those of `digests` whose grace period is over and on which nobody relies, in the
    /// order that makes it safe: all markers say `deleting`, then `mark` finds out what is
    /// reachable, then each is deleted or reprieved. `unlink` deletes what points at an object
    /// that was deleted. Says what became of each.
    pub async fn sweep<R: Fn(&Digest) -> bool, E>(
        &mut self,
        digests: &[Digest],
        grace: Duration,
        mark: impl AsyncFnOnce() -> Result<R, E>,
        unlink: impl AsyncFn(&Digest) -> Result<(), E>,
    ) -> Result<Vec<(Digest, Swept)>, SweepError<E>> {
        let now = self.leases.store_now().await?;
        let (mut swept, mut turned) = (Vec::with_capacity(digests.len()), Vec::new());
        for digest in digests {
            self.hold().await?;
            match begin_deleting(&self.leases, digest, now, grace).await? {
                Ok(deleting) => turned.push(deleting),
                Err(why) => swept.push((*digest, why)),
            }
        }
        if turned.is_empty() {
            return Ok(swept);
        }
        let is_reachable = self.while_held(mark()).await?.map_err(SweepError::Caller)?;
        for deleting in turned {
            self.hold().await?;
            let digest = *deleting.digest();
            let unlinked = async { unlink(&digest).await.map_err(SweepError::Caller) };
            let reachable = is_reachable(&digest);
            swept.push((digest, deleting.settle(&self.leases, reachable, unlinked).await?));
        }
        Ok(swept)
    }

    /// Lets the next collector begin at once.
    pub async fn release(self) -> Result<(), CollectorError> {
        if self.renewed.elapsed() < self.stale_after / 2 {
            self.put_sign(true).await?;
        }
        Ok(())
    }

    /// Does some long work while this collector is heard of.
    async fn while_held<T>(&mut self, work: impl Future<Output = T>) -> Result<T, CollectorError> {
        let mut work = std::pin::pin!(work);
        loop {
            let pause = std::pin::pin!(tokio::time::sleep(self.stale_after / 8));
            match select(work.as_mut(), pause).await {
                Either::Left((done, _)) => {
                    self.hold().await?;
                    return Ok(done);
                }
                Either::Right(_) => self.hold().await?,
            }
        }
    }

    /// Makes sure that nobody has taken this collector's place. What it does until it asks again must
    /// take far less than half of the time after which it counts as dead.
    pub async fn hold(&mut self) -> Result<(), CollectorError> {
        let silent = self.renewed.elapsed();
        if silent >= self.stale_after / 2 {
            return Err(CollectorError::Lost);
        }
        if silent >= self.stale_after / 10 {
            let renewed = Instant::now();
            self.put_sign(false).await?;
            let highest = self.leases.highest_sign().await?;
            if highest.is_none_or(|(sequence, _)| sequence != self.sequence) {
                return Err(CollectorError::Lost);
            }
            self.renewed = renewed;
        }
        Ok(())
    }

    async fn put_sign(&self, released: bool) -> Result<(), StoreError> {
        let sign = self.sign(released);
        self.leases.bucket.put_json(Keep::Scratch, &key(self.sequence), &sign).await
    }

    fn sign(&self, released: bool) -> Sign {
        let stale_after_seconds = self.stale_after.as_secs();
        Sign { run: self.run.clone(), released, stale_after_seconds, prunes: self.prunes }
    }
}

fn key(sequence: u64) -> String {
    format!("{DIRECTORY}/{sequence:020}")
}
