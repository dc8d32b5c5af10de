//! All repositories of a bucket, in the order of their names.
//!
//! The bucket's tree is listed level by level. A repository `a/b` lies below `a`, but `a-b` comes
//! between the two: names wait in a sorted set until all that is smaller has been listed.

use std::collections::BTreeMap;

use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use landbridge_core::RepositoryName;

use super::keys;
use crate::bucket::Bucket;
use crate::error::StoreError;

/// Levels that are listed at once, ahead of the reader.
const AHEAD: usize = 8;

/// A repository of which something is kept.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) name: RepositoryName,
    kinds: Vec<String>,
}

impl Found {
    /// Whether there may be a tag or a manifest.
    pub(super) fn has_names(&self) -> bool {
        self.kinds.iter().any(|kind| kind == keys::TAGS || kind == keys::MANIFESTS)
    }
}

struct Walk {
    bucket: Bucket,
    last: Option<String>,
    /// Names that wait, and what was found directly below them once they were listed.
    waiting: BTreeMap<String, Option<Vec<String>>>,
}

/// Every repository after `last`.
pub(super) fn repositories(
    bucket: Bucket,
    last: Option<&str>,
) -> BoxStream<'static, Result<Found, StoreError>> {
    let walk = Walk { bucket, last: last.map(str::to_owned), waiting: BTreeMap::new() };
    futures::stream::once(async move {
        let mut walk = walk;
        let components = walk.bucket.list_level(keys::ROOT).await?;
        walk.expect(None, components);
        Ok(futures::stream::try_unfold(walk, async |mut walk| {
            Ok(walk.next().await?.map(|found| (found, walk)))
        }))
    })
    .try_flatten()
    .boxed()
}

impl Walk {
    async fn next(&mut self) -> Result<Option<Found>, StoreError> {
        loop {
            if matches!(self.waiting.first_key_value(), Some((_, None))) {
                self.list_ahead().await?;
            }
            let Some((name, kinds)) = self.waiting.pop_first() else { return Ok(None) };
            let kinds = kinds.unwrap_or_default();
            let is_wanted = self.last.as_ref().is_none_or(|last| name > *last);
            if is_wanted
                && !kinds.is_empty()
                && let Ok(name) = RepositoryName::parse(&name)
            {
                return Ok(Some(Found { name, kinds }));
            }
        }
    }

    /// Lists the first names that wait for it. What is found below them is greater than they are,
    /// and so the first one of all is always listed before it is taken.
    async fn list_ahead(&mut self) -> Result<(), StoreError> {
        let unlisted = self.waiting.iter().filter(|(_, kinds)| kinds.is_none());
        let names: Vec<String> = unlisted.map(|(name, _)| name.clone()).take(AHEAD).collect();
        let bucket = &self.bucket;
        let listed: Vec<_> = futures::stream::iter(names)
            .map(async |name| {
                let below = bucket.list_level(&format!("{}/{name}", keys::ROOT)).await?;
                Ok::<_, StoreError>((name, below))
            })
            .buffer_unordered(AHEAD)
            .try_collect()
            .await?;
        for (name, below) in listed {
            let (kinds, components) = below.into_iter().partition(|part| part.starts_with('_'));
            self.expect(Some(&name), components);
            self.waiting.insert(name, Some(kinds));
        }
        Ok(())
    }

    fn expect(&mut self, parent: Option<&str>, components: Vec<String>) {
        let names = components.into_iter().map(|component| match parent {
            Some(parent) => format!("{parent}/{component}"),
            None => component,
        });
        for name in names {
            // A name that is none has no repositories below it either.
            if RepositoryName::parse(&name).is_ok() && !self.is_passed(&name) {
                self.waiting.insert(name, None);
            }
        }
    }

    /// Whether neither the name nor anything below it comes after `last`.
    fn is_passed(&self, name: &str) -> bool {
        let below = format!("{name}/");
        self.last.as_ref().is_some_and(|last| *last > below && !last.starts_with(&below))
    }
}
