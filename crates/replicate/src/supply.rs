//! Where an object's bytes come from, once for all copies.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};
use landbridge_core::Digest;
use landbridge_core::reference::RepositoryName;
use landbridge_core::request::ManifestReference;
use landbridge_core::topology::{CopyId, CopySet};
use landbridge_registry::Source;
use landbridge_registry::client::RegistryClient;
use landbridge_store::Bucket;

use crate::error::ImportError;

/// An object on its way, not verified.
pub(crate) struct Reading {
    /// What a message calls its place.
    pub(crate) place: String,
    /// It is read in the authority.
    pub(crate) is_authority: bool,
    /// Its bytes.
    pub(crate) chunks: BoxStream<'static, Result<Bytes, ImportError>>,
}

/// Who gives the bytes.
pub(crate) enum Supply<'a> {
    /// A layout or an archive.
    Source(&'a Source),
    /// A registry, for what the authority has not got.
    Registry(Box<RegistrySupply<'a>>),
    /// A copy.
    Copy(&'a Bucket),
}

/// A registry, and what is known of it.
pub(crate) struct RegistrySupply<'a> {
    /// The registry.
    pub(crate) client: &'a RegistryClient,
    /// What the authority has is read there: it costs the registry nothing.
    pub(crate) authority: &'a Bucket,
    /// A repository for each object of the registry.
    pub(crate) homes: BTreeMap<Digest, RepositoryName>,
    /// Manifests that were read already and are kept.
    pub(crate) manifests: BTreeMap<Digest, Bytes>,
}

impl Supply<'_> {
    /// The object's bytes, for copies that lack it.
    pub(crate) async fn read(
        &self,
        digest: &Digest,
        lacking: CopySet,
    ) -> Result<Reading, ImportError> {
        match self {
            Self::Source(source) => {
                let blob = source.read(digest).await?;
                let chunks = blob.into_stream().map_err(ImportError::from).boxed();
                Ok(Reading { place: source.file_of(digest), is_authority: false, chunks })
            }
            Self::Registry(supply) => supply.read(digest, lacking).await,
            Self::Copy(bucket) => {
                let chunks = bucket.read(digest, None).await?.stream;
                let chunks = chunks.map_err(ImportError::from).boxed();
                let place = bucket.name().to_owned();
                Ok(Reading { place, is_authority: false, chunks })
            }
        }
    }

    /// Whether somebody else has the object if the authority has not.
    pub(crate) fn is_elsewhere(&self, digest: &Digest) -> bool {
        match self {
            Self::Source(_) | Self::Copy(_) => true,
            Self::Registry(supply) => {
                supply.manifests.contains_key(digest) || supply.homes.contains_key(digest)
            }
        }
    }
}

impl RegistrySupply<'_> {
    async fn read(&self, digest: &Digest, lacking: CopySet) -> Result<Reading, ImportError> {
        let read = |place, chunks| Ok(Reading { place, is_authority: false, chunks });
        if let Some(bytes) = self.manifests.get(digest) {
            return read(self.place(digest), stream::iter([Ok(bytes.clone())]).boxed());
        }
        let authority = CopyId::new(0);
        if authority.is_some_and(|authority| !lacking.contains(authority)) {
            let body = self.authority.read(digest, None).await?;
            let chunks = body.stream.map_err(ImportError::from).boxed();
            let place = self.authority.name().to_owned();
            return Ok(Reading { place, is_authority: true, chunks });
        }
        let gone = || ImportError::Gone { what: format!("{digest} in {}", self.place(digest)) };
        let home = self.homes.get(digest).ok_or_else(gone)?;
        if let Some(body) = self.client.blob(home, digest, None).await? {
            return read(self.place(digest), body.map_err(ImportError::from).boxed());
        }
        // Manifests beyond those that are kept are no blobs to every registry.
        let manifest = self.client.manifest(home, ManifestReference::Digest(*digest)).await?;
        let bytes = manifest.ok_or_else(gone)?.bytes;
        read(self.place(digest), stream::iter([Ok(bytes)]).boxed())
    }

    fn place(&self, digest: &Digest) -> String {
        match self.homes.get(digest) {
            Some(repository) => format!("the registry's `{repository}`"),
            None => self.authority.name().to_owned(),
        }
    }
}
