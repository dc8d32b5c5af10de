//! A bounded memory of what an origin said, which outlives the origin's failures for a while.
//!
//! An answer is fresh for a time, then asked for again; when the origin cannot answer, the last
//! answer is given instead for a longer time and says so. Absence is kept for its own, short time
//! and is never given in place of an answer. Failures are not kept: all who waited for one share
//! it, and the origin's breaker keeps the next ones from waiting.
//!
//! Entries and bytes are bounded by one number: an entry weighs its bytes, but at least its share.

use std::hash::Hash;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use landbridge_core::topology::CopyId;
use landbridge_registry::client::ClientError;
use tokio::time::Instant;
use tracing::warn;

use super::flight::Flights;
use crate::health::Health;

/// An answer of an origin, perhaps from before it failed. Reads as the answer itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Live<T> {
    /// The answer.
    pub(crate) value: T,
    /// True if the origin could not be asked now, and this is what it last said.
    pub(crate) is_stale: bool,
}

impl<T> Deref for Live<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// Why a live origin gave no answer. Shared by all who waited for it.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum LiveError {
    /// The origin does not let us in: the operator must look at the credentials.
    #[error("the origin does not let the front in")]
    Denied(#[source] Arc<ClientError>),
    /// The origin cannot answer, or what it answers cannot be used; there is nothing older.
    #[error("the origin has no usable answer")]
    Failed(#[source] Arc<ClientError>),
    /// The origin failed so often that it is left alone for a while; there is nothing older.
    #[error("the origin is left alone for a while, since it kept failing")]
    LeftAlone,
}

/// How long answers are good.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lifetimes {
    pub(super) fresh: Duration,
    /// Counted from when the answer was given.
    pub(super) stale: Duration,
    pub(super) absent: Duration,
}

/// Who is asked, and whose health it is.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) copy: CopyId,
    pub(super) health: Arc<Health>,
}

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) entries: u64,
    pub(super) bytes: u64,
}

#[derive(Debug, Clone)]
struct Kept<V> {
    /// `None` is absence.
    value: Option<V>,
    at: Instant,
}

#[derive(Debug)]
pub(super) struct Memory<K, V>
where
    K: Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    kept: moka::sync::Cache<K, Kept<V>>,
    flights: Flights<K, Result<Option<V>, LiveError>>,
    lifetimes: Lifetimes,
    asked: Asked,
}

impl<K, V> Memory<K, V>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// An empty memory; `weigh` tells an answer's bytes.
    pub(super) fn new(
        asked: Asked,
        lifetimes: Lifetimes,
        bounds: Bounds,
        weigh: fn(&V) -> usize,
    ) -> Self {
        let share = (bounds.bytes / bounds.entries.max(1)).max(1);
        let weigher = move |_: &K, kept: &Kept<V>| {
            let bytes = kept.value.as_ref().map_or(0, weigh) as u64;
            u32::try_from(bytes.max(share)).unwrap_or(u32::MAX)
        };
        let kept = moka::sync::Cache::builder().max_capacity(bounds.bytes).weigher(weigher).build();
        Self { kept, flights: Flights::new(), lifetimes, asked }
    }

    /// The answer to `key`: the one that is kept if it is fresh, else what `fetch` gives, else, if
    /// the origin fails, the one that is kept if it may be served stale.
    pub(super) async fn get<F>(
        &self,
        key: K,
        fetch: impl FnOnce() -> F,
    ) -> Result<Option<Live<V>>, LiveError>
    where
        F: Future<Output = Result<Option<V>, ClientError>> + Send + 'static,
    {
        let kept = self.kept.get(&key);
        if let Some(kept) = &kept
            && kept.at.elapsed() < self.fresh_for(kept)
        {
            return Ok(kept.value.clone().map(fresh));
        }
        let error = match self.flights.join(&key, || self.ask(&key, fetch)).await {
            Ok(value) => return Ok(value.map(fresh)),
            Err(error) => error,
        };
        match (kept, &error) {
            (
                Some(Kept { value: Some(value), at }),
                LiveError::Failed(_) | LiveError::LeftAlone,
            ) if at.elapsed() < self.lifetimes.stale => Ok(Some(Live { value, is_stale: true })),
            _ => Err(error),
        }
    }

    /// Keeps an answer that came with another one, unless one is kept that is still fresh.
    pub(super) fn insert(&self, key: K, value: &V) {
        let is_known = self
            .kept
            .get(&key)
            .is_some_and(|kept| kept.value.is_some() && kept.at.elapsed() < self.lifetimes.fresh);
        if !is_known {
            self.kept.insert(key, Kept { value: Some(value.clone()), at: Instant::now() });
        }
    }

    fn fresh_for(&self, kept: &Kept<V>) -> Duration {
        if kept.value.is_some() { self.lifetimes.fresh } else { self.lifetimes.absent }
    }

    /// Asks the origin, tells its health how it went, keeps the answer.
    fn ask<F>(
        &self,
        key: &K,
        fetch: impl FnOnce() -> F,
    ) -> BoxFuture<'static, Result<Option<V>, LiveError>>
    where
        F: Future<Output = Result<Option<V>, ClientError>> + Send + 'static,
    {
        let Asked { copy, health } = self.asked.clone();
        if !health.allows(copy, Instant::now().into_std()) {
            return std::future::ready(Err(LiveError::LeftAlone)).boxed();
        }
        let (key, kept, fetch) = (key.clone(), self.kept.clone(), fetch());
        async move {
            match fetch.await {
                Ok(value) => {
                    health.succeed(copy);
                    kept.insert(key, Kept { value: value.clone(), at: Instant::now() });
                    Ok(value)
                }
                Err(error @ ClientError::Unavailable { .. }) => {
                    if health.fail(copy, Instant::now().into_std()) {
                        warn!(copy = copy.index(), %error, "an origin keeps failing and is left alone for a while");
                    }
                    Err(LiveError::Failed(Arc::new(error)))
                }
                Err(error) => {
                    // It does answer; what it says of this one thing is of no use.
                    health.succeed(copy);
                    let is_denied = matches!(error, ClientError::Denied { .. });
                    let error = Arc::new(error);
                    Err(if is_denied { LiveError::Denied(error) } else { LiveError::Failed(error) })
                }
            }
        }
        .boxed()
    }
}

fn fresh<V>(value: V) -> Live<V> {
    Live { value, is_stale: false }
}
