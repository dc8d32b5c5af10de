//! Lists of facts: pages for clients, streams for whoever must see all.
//!
//! Memory is bounded by a page, or by what the store lists at once, however much there is. Names
//! that are none, such as drafts, are passed over.

use std::collections::BTreeSet;

use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use landbridge_core::manifest::Descriptor;
use landbridge_core::reference::Tag;
use landbridge_core::{Digest, RepositoryName};

use super::{Repositories, keys, walk};
use crate::bucket::Bucket;
use crate::error::StoreError;

/// Documents of a page that are read at once.
const READS_IN_FLIGHT: usize = 16;

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items, in the order of their bytes.
    pub items: Vec<T>,
    /// Whether others follow.
    pub has_more: bool,
}

/// Something that a listing found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed<T> {
    /// What it is.
    pub item: T,
    /// When the store took it, by the store's own clock.
    pub modified: Timestamp,
    /// The size in bytes of the object that was listed.
    pub size: u64,
}

impl Repositories {
    /// At most `n` tags that come after `last`, which may be any text.
    pub async fn tags_after(
        &self,
        repository: &RepositoryName,
        last: Option<&str>,
        n: usize,
    ) -> Result<Page<Tag>, StoreError> {
        let directory = keys::tags(repository);
        let after = last.and_then(keys::parse_tag).map(|last| keys::tag(repository, &last));
        let listed = names(self.bucket(), &directory, after.as_deref(), keys::parse_tag);
        let wanted = |tag: &Tag| last.is_none_or(|last| tag.as_str() > last);
        self.smallest(listed, wanted, n).await
    }

    /// At most `n` descriptors of what is about `subject`, by their digests after `last`.
    pub async fn referrers_after(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        last: Option<&Digest>,
        n: usize,
    ) -> Result<Page<Descriptor>, StoreError> {
        let directory = keys::referrers(repository, subject);
        let after = last.map(|last| keys::referrer(repository, subject, last));
        let parse = |name: &str| Digest::parse(name).ok();
        let listed = names(self.bucket(), &directory, after.as_deref(), parse);
        let wanted = |digest: &Digest| last.is_none_or(|last| digest > last);
        let page = self.smallest(listed, wanted, n).await?;
        let read = futures::stream::iter(page.items)
            .map(async |digest| self.referrer(repository, subject, &digest).await)
            .buffered(READS_IN_FLIGHT);
        let items = read.try_filter_map(async |found| Ok(found)).try_collect().await?;
        Ok(Page { items, has_more: page.has_more })
    }

    /// At most `n` repositories that come after `last`, which may be any text: those that have a
    /// tag or a manifest.
    ///
    /// Costs the store one listing for each name that is passed.
    pub async fn repositories_after(
        &self,
        last: Option<&str>,
        n: usize,
    ) -> Result<Page<RepositoryName>, StoreError> {
        let mut found = walk::repositories(self.bucket().clone(), last);
        let mut page = Page { items: Vec::new(), has_more: false };
        while let Some(found) = found.try_next().await? {
            if !found.has_names() || !self.is_inhabited(&found.name).await? {
                continue;
            }
            if page.items.len() == n {
                page.has_more = true;
                break;
            }
            page.items.push(found.name);
        }
        Ok(page)
    }

    /// A directory keeps the empty directories of what was deleted.
    async fn is_inhabited(&self, repository: &RepositoryName) -> Result<bool, StoreError> {
        if self.bucket().file("").is_none() {
            return Ok(true);
        }
        let has_tag = self.tags(repository).try_next().await?.is_some();
        Ok(has_tag || self.manifests(repository).try_next().await?.is_some())
    }

    /// Every repository of which there is anything, in the order of their names. Memory holds the
    /// names of a few levels of the tree.
    pub fn repositories(&self) -> BoxStream<'static, Result<RepositoryName, StoreError>> {
        walk::repositories(self.bucket().clone(), None).map_ok(|found| found.name).boxed()
    }

    /// The repository's tags, in no order.
    pub fn tags(
        &self,
        repository: &RepositoryName,
    ) -> BoxStream<'static, Result<Listed<Tag>, StoreError>> {
        names(self.bucket(), &keys::tags(repository), None, keys::parse_tag)
    }

    /// The repository's manifests, in no order.
    pub fn manifests(
        &self,
        repository: &RepositoryName,
    ) -> BoxStream<'static, Result<Listed<Digest>, StoreError>> {
        names(self.bucket(), &keys::manifests(repository), None, keys::parse_path)
    }

    /// The repository's blobs, in no order.
    pub fn blob_links(
        &self,
        repository: &RepositoryName,
    ) -> BoxStream<'static, Result<Listed<Digest>, StoreError>> {
        names(self.bucket(), &keys::blobs(repository), None, keys::parse_path)
    }

    /// The repository's subjects, each with one of its referrers, in no order.
    pub fn referrer_subjects(
        &self,
        repository: &RepositoryName,
    ) -> BoxStream<'static, Result<Listed<(Digest, Digest)>, StoreError>> {
        names(self.bucket(), &keys::all_referrers(repository), None, keys::parse_referrer)
    }

    /// Every object of the bucket, in no order.
    pub fn objects(&self) -> BoxStream<'static, Result<Listed<Digest>, StoreError>> {
        names(self.bucket(), "blobs", None, keys::parse_path)
    }

    async fn smallest<T: Ord>(
        &self,
        mut listed: BoxStream<'static, Result<Listed<T>, StoreError>>,
        wanted: impl Fn(&T) -> bool,
        n: usize,
    ) -> Result<Page<T>, StoreError> {
        let mut found = BTreeSet::new();
        while let Some(listed) = listed.try_next().await? {
            if !wanted(&listed.item) {
                continue;
            }
            found.insert(listed.item);
            if found.len() > n {
                if self.bucket().lists_in_order() {
                    break;
                }
                if found.len() > n + 1 {
                    found.pop_last();
                }
            }
        }
        let has_more = found.len() > n;
        Ok(Page { items: found.into_iter().take(n).collect(), has_more })
    }
}

/// What lies in `directory` under a name that `parse` knows.
pub(crate) fn names<T: Send + 'static>(
    bucket: &Bucket,
    directory: &str,
    after: Option<&str>,
    parse: impl Fn(&str) -> Option<T> + Send + 'static,
) -> BoxStream<'static, Result<Listed<T>, StoreError>> {
    let below = format!("{directory}/");
    bucket
        .list(directory, after)
        .try_filter_map(move |entry| {
            let item = entry.key.strip_prefix(&below).and_then(&parse);
            let (modified, size) = (entry.modified, entry.size);
            futures::future::ready(Ok(item.map(|item| Listed { item, modified, size })))
        })
        .boxed()
}
