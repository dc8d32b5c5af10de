//! A live origin: any registry, asked for names while clients wait, and remembered.
//!
//! By digest the answer cannot change, but the origin may withdraw it; so it too is asked for
//! again, after the longer time. What came by tag is known by its digest as well, since clients
//! ask for it so next.

use std::sync::Arc;

use bytes::Bytes;
use landbridge_core::digest::Digest;
use landbridge_core::reference::RepositoryName;
use landbridge_core::request::ManifestReference;
use landbridge_core::topology::CopyId;
use landbridge_registry::client::{CatalogPage, FetchedManifest, RegistryClient, TagPage};
use tracing::warn;

use super::memory::{Asked, Bounds, Lifetimes, Live, LiveError, Memory};
use crate::health::Health;
use crate::settings::CacheSettings;

/// A registry that is asked while clients wait.
#[derive(Debug)]
pub(crate) struct LiveOrigin {
    client: Arc<RegistryClient>,
    by_tag: Memory<(RepositoryName, Box<str>), Arc<FetchedManifest>>,
    by_digest: Memory<(RepositoryName, Digest), Arc<FetchedManifest>>,
    tags: Memory<(RepositoryName, Option<usize>, Box<str>), Arc<TagPage>>,
    catalog: Memory<(Option<usize>, Box<str>), Arc<CatalogPage>>,
    referrers: Memory<(RepositoryName, Digest), Bytes>,
}

impl LiveOrigin {
    /// The registry behind `client`, which is the copy `copy`; how it answers is told to `health`.
    pub(crate) fn new(
        client: Arc<RegistryClient>,
        copy: CopyId,
        health: Arc<Health>,
        caches: &CacheSettings,
    ) -> Self {
        let asked = Asked { copy, health };
        let (fresh, stale, absent) = (caches.tag_fresh, caches.tag_stale, caches.absent);
        let named = Lifetimes { fresh, stale, absent };
        // Stale for as long again, so that an outage just after the fresh time is bridged too.
        let immutable = Lifetimes { fresh: stale, stale: stale * 2, absent };
        // Manifests are most of what is asked for and most of the bytes.
        let part = |of: u64| Bounds {
            entries: caches.live_entries / of,
            bytes: caches.manifest_bytes / of,
        };
        let manifest = |found: &Arc<FetchedManifest>| found.bytes.len();
        Self {
            client,
            by_tag: Memory::new(asked.clone(), named, part(4), manifest),
            by_digest: Memory::new(asked.clone(), immutable, part(2), manifest),
            tags: Memory::new(asked.clone(), named, part(12), |page| {
                page.tags.iter().map(|tag| size_of_val(tag) + tag.as_str().len()).sum()
            }),
            catalog: Memory::new(asked.clone(), named, part(12), |page| {
                page.repositories.iter().map(|name| size_of_val(name) + name.as_str().len()).sum()
            }),
            referrers: Memory::new(asked, named, part(12), Bytes::len),
        }
    }

    /// True unless the registry is known to serve blobs to whoever asks: clients can then not be
    /// sent to it.
    pub(crate) fn wants_token(&self) -> bool {
        self.client.wants_authorization()
    }

    /// A manifest, verified by its digest; `None` if the origin has no such manifest or repository.
    pub(crate) async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: ManifestReference<'_>,
    ) -> Result<Option<Live<Arc<FetchedManifest>>>, LiveError> {
        match reference {
            ManifestReference::Tag(tag) => self.manifest_by_tag(repository, tag).await,
            ManifestReference::Digest(digest) => self.manifest_by_digest(repository, digest).await,
        }
    }

    async fn manifest_by_tag(
        &self,
        repository: &RepositoryName,
        tag: &str,
    ) -> Result<Option<Live<Arc<FetchedManifest>>>, LiveError> {
        let key = (repository.clone(), Box::from(tag));
        let fetch = || {
            let (client, (repository, tag)) = (Arc::clone(&self.client), key.clone());
            async move {
                let found = client.manifest(&repository, ManifestReference::Tag(&tag)).await;
                found.map(|found| found.map(Arc::new))
            }
        };
        let found = self.by_tag.get(key.clone(), fetch).await?;
        if let Some(Live { value, is_stale: false }) = &found {
            let key = (repository.clone(), value.digest);
            self.by_digest.insert(key, value);
        }
        Ok(found)
    }

    async fn manifest_by_digest(
        &self,
        repository: &RepositoryName,
        digest: Digest,
    ) -> Result<Option<Live<Arc<FetchedManifest>>>, LiveError> {
        let key = (repository.clone(), digest);
        let fetch = || {
            let (client, repository) = (Arc::clone(&self.client), repository.clone());
            async move {
                let found = client.manifest(&repository, ManifestReference::Digest(digest)).await;
                found.map(|found| found.map(Arc::new))
            }
        };
        self.by_digest.get(key, fetch).await
    }

    /// A page of tags as [`RegistryClient::tags`] gives it; `None` if there is no such repository.
    pub(crate) async fn tags(
        &self,
        repository: &RepositoryName,
        n: Option<usize>,
        last: &str,
    ) -> Result<Option<Live<Arc<TagPage>>>, LiveError> {
        let key = (repository.clone(), n, Box::from(last));
        let fetch = || {
            let (client, (repository, n, last)) = (Arc::clone(&self.client), key.clone());
            async move { Ok(client.tags(&repository, n, &last).await?.map(Arc::new)) }
        };
        self.tags.get(key.clone(), fetch).await
    }

    /// A page of repositories as [`RegistryClient::catalog`] gives it; an empty one if the origin
    /// has no catalog.
    pub(crate) async fn catalog(
        &self,
        n: Option<usize>,
        last: &str,
    ) -> Result<Live<Arc<CatalogPage>>, LiveError> {
        let key = (n, Box::from(last));
        let fetch = || {
            let (client, (n, last)) = (Arc::clone(&self.client), key.clone());
            async move { Ok(client.catalog(n, &last).await?.map(Arc::new)) }
        };
        let none = || Arc::new(CatalogPage { repositories: Vec::new(), has_more: false });
        let found = self.catalog.get(key.clone(), fetch).await?;
        Ok(found.unwrap_or_else(|| Live { value: none(), is_stale: false }))
    }

    /// The index of what refers to `subject`, as the origin sent it; `None` if nothing does.
    pub(crate) async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
    ) -> Result<Option<Live<Bytes>>, LiveError> {
        let key = (repository.clone(), *subject);
        let fetch = || {
            let (client, (repository, subject)) = (Arc::clone(&self.client), key.clone());
            async move {
                let Some(found) = client.referrers(&repository, &subject).await? else {
                    return Ok(None);
                };
                if !found.is_complete {
                    warn!(%repository, %subject, "the origin lists referrers in pages; only the first is served");
                }
                Ok(Some(found.index))
            }
        };
        self.referrers.get(key.clone(), fetch).await
    }
}
