//! Live origins: registries that are asked while clients wait.

use std::sync::Arc;

use bytes::Bytes;
use landbridge_core::request::ManifestReference;
use landbridge_core::topology::CopyId;
use landbridge_core::{Digest, RepositoryName};
use landbridge_registry::client::{
    CatalogPage, ClientError, FetchedManifest, RegistryClient, TagPage,
};

use crate::health::Health;
use crate::settings::CacheSettings;

pub(crate) type LiveError = ClientError;

/// A registry that names come from.
#[derive(Debug)]
pub(crate) struct LiveOrigin {
    client: Arc<RegistryClient>,
}

impl LiveOrigin {
    pub(crate) fn new(client: Arc<RegistryClient>, _caches: &CacheSettings) -> Self {
        Self { client }
    }

    pub(crate) fn wants_token(&self) -> bool {
        let Self { client: _ } = self;
        false
    }

    pub(crate) async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: ManifestReference<'_>,
    ) -> Result<Option<FetchedManifest>, LiveError> {
        self.client.manifest(repository, reference).await
    }

    pub(crate) async fn tags(
        &self,
        repository: &RepositoryName,
        n: Option<usize>,
        last: &str,
    ) -> Result<Option<TagPage>, LiveError> {
        self.client.tags(repository, n, last).await
    }

    pub(crate) async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
    ) -> Result<Option<Bytes>, LiveError> {
        Ok(self.client.referrers(repository, subject).await?.map(|found| found.index))
    }

    pub(crate) async fn catalog(
        &self,
        n: Option<usize>,
        last: &str,
    ) -> Result<CatalogPage, LiveError> {
        let page = self.client.catalog(n, last).await?;
        Ok(page.unwrap_or(CatalogPage { repositories: Vec::new(), has_more: false }))
    }
}

/// What a mirror said of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    Present(u64),
    Absent,
    Failing,
}

/// Which mirrors of a live origin hold an object.
#[derive(Debug)]
pub(crate) struct LivePresence {
    health: Arc<Health>,
}

impl LivePresence {
    pub(crate) fn new(_caches: &CacheSettings, health: Arc<Health>) -> Self {
        Self { health }
    }

    pub(crate) async fn holds(
        &self,
        copy: CopyId,
        reader: &crate::reader::Reader,
        repository: &str,
        digest: &Digest,
    ) -> Known {
        match reader.size(repository, digest).await {
            Ok(Some(size)) => Known::Present(size),
            Ok(None) => Known::Absent,
            Err(_) => {
                self.health.fail(copy, std::time::Instant::now());
                Known::Failing
            }
        }
    }
}
