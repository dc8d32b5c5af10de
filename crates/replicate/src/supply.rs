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

/// Bytes on their way, not verified: every copy hashes what it gets.
pub(crate) type Bytestream = BoxStream<'static, Result<Bytes, ImportError>>;

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
    ) -> Result<Bytestream, ImportError> {
        match self {
            Self::Source(source) => {
                let blob = source.read(digest).await?;
                Ok(blob.into_stream().map_err(ImportError::from).boxed())
            }
            Self::Registry(supply) => supply.read(digest, lacking).await,
            Self::Copy(bucket) => {
                let body = bucket.read(digest, None).await?;
                Ok(body.stream.map_err(ImportError::from).boxed())
            }
        }
    }

    /// What a message calls the place of the object.
    pub(crate) fn place(&self, digest: &Digest) -> String {
        match self {
            Self::Source(source) => source.file_of(digest),
            Self::Registry(supply) => supply.place(digest),
            Self::Copy(bucket) => bucket.name().to_owned(),
        }
    }
}

impl RegistrySupply<'_> {
    async fn read(&self, digest: &Digest, lacking: CopySet) -> Result<Bytestream, ImportError> {
        if let Some(bytes) = self.manifests.get(digest) {
            return Ok(stream::iter([Ok(bytes.clone())]).boxed());
        }
        let authority = CopyId::new(0);
        if authority.is_some_and(|authority| !lacking.contains(authority)) {
            let body = self.authority.read(digest, None).await?;
            return Ok(body.stream.map_err(ImportError::from).boxed());
        }
        let gone = || ImportError::Gone { what: format!("{digest} in {}", self.place(digest)) };
        let home = self.homes.get(digest).ok_or_else(gone)?;
        if let Some(body) = self.client.blob(home, digest, None).await? {
            return Ok(body.map_err(ImportError::from).boxed());
        }
        // Manifests beyond those that are kept are no blobs to every registry.
        let manifest = self.client.manifest(home, ManifestReference::Digest(*digest)).await?;
        let bytes = manifest.ok_or_else(gone)?.bytes;
        Ok(stream::iter([Ok(bytes)]).boxed())
    }

    fn place(&self, digest: &Digest) -> String {
        match self.homes.get(digest) {
            Some(repository) => format!("the registry's `{repository}`"),
            None => self.authority.name().to_owned(),
        }
    }
}
