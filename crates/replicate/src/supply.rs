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

use crate::costs::{ReadAt, Ways};
use crate::error::ImportError;
use crate::plan::PlannedObject;

/// An object on its way, not verified.
pub(crate) struct Reading {
    /// What a message calls its place.
    pub(crate) place: String,
    /// The copy in which it is read, if it is one.
    pub(crate) copy: Option<CopyId>,
    /// Its bytes.
    pub(crate) chunks: BoxStream<'static, Result<Bytes, ImportError>>,
}

/// Who gives the bytes.
pub(crate) enum Supply<'a> {
    /// A layout or an archive.
    Source(&'a Source),
    /// A registry, for what no copy has.
    Registry(Box<RegistrySupply<'a>>),
    /// A copy.
    Copy(&'a Bucket),
}

/// A registry, and what is known of it.
pub(crate) struct RegistrySupply<'a> {
    /// The registry.
    pub(crate) client: &'a RegistryClient,
    /// What a copy has is read there, in the first of them: it costs the registry nothing.
    pub(crate) copies: Vec<(CopyId, &'a Bucket)>,
    /// A repository for each object of the registry.
    pub(crate) homes: BTreeMap<Digest, RepositoryName>,
    /// Manifests that were read already and are kept.
    pub(crate) manifests: BTreeMap<Digest, Bytes>,
}

impl Supply<'_> {
    /// The object's bytes, while the copies of `held` are said to have it.
    pub(crate) async fn read(&self, digest: &Digest, held: CopySet) -> Result<Reading, Unread> {
        match self {
            Self::Source(source) => {
                let blob = source.read(digest).await.map_err(ImportError::from)?;
                let chunks = blob.into_stream().map_err(ImportError::from).boxed();
                Ok(Reading { place: source.file_of(digest), copy: None, chunks })
            }
            Self::Registry(supply) => supply.read(digest, held).await,
            Self::Copy(bucket) => Ok(read_in(bucket, None, digest).await?),
        }
    }

    /// Whether somebody beside the copies has the object.
    pub(crate) fn is_elsewhere(&self, digest: &Digest) -> bool {
        match self {
            Self::Source(_) | Self::Copy(_) => true,
            Self::Registry(supply) => {
                supply.manifests.contains_key(digest) || supply.homes.contains_key(digest)
            }
        }
    }
}

impl Ways for Supply<'_> {
    fn read_at(&self, object: &PlannedObject) -> ReadAt {
        match self {
            Self::Source(_) | Self::Copy(_) => ReadAt::Source,
            Self::Registry(supply) => supply.read_at(&object.digest, object.held),
        }
    }

    fn copied_from(&self, _object: &PlannedObject, _to: CopyId) -> Option<CopyId> {
        None
    }
}

/// Why an object could not be read, and in which copy, if that was one.
pub(crate) struct Unread {
    pub(crate) copy: Option<CopyId>,
    pub(crate) error: ImportError,
}

impl From<ImportError> for Unread {
    fn from(error: ImportError) -> Self {
        Self { copy: None, error }
    }
}

impl RegistrySupply<'_> {
    fn read_at(&self, digest: &Digest, held: CopySet) -> ReadAt {
        if self.manifests.contains_key(digest) {
            return ReadAt::Memory;
        }
        let holder = self.copies.iter().find(|(id, _)| held.contains(*id));
        holder.map_or(ReadAt::Source, |(id, _)| ReadAt::Copy(*id))
    }

    async fn read(&self, digest: &Digest, held: CopySet) -> Result<Reading, Unread> {
        let read = |place, chunks| Ok(Reading { place, copy: None, chunks });
        if let Some(bytes) = self.manifests.get(digest) {
            return read(self.place(digest), stream::iter([Ok(bytes.clone())]).boxed());
        }
        if let Some((id, bucket)) = self.copies.iter().find(|(id, _)| held.contains(*id)) {
            let reading = read_in(bucket, Some(*id), digest).await;
            return reading.map_err(|error| Unread { copy: Some(*id), error });
        }
        let gone = || ImportError::Gone { what: format!("{digest} in {}", self.place(digest)) };
        let home = self.homes.get(digest).ok_or_else(gone)?;
        let body = self.client.blob(home, digest, None).await.map_err(ImportError::from)?;
        if let Some(body) = body {
            return read(self.place(digest), body.map_err(ImportError::from).boxed());
        }
        // Manifests beyond those that are kept are no blobs to every registry.
        let manifest = self.client.manifest(home, ManifestReference::Digest(*digest)).await;
        let bytes = manifest.map_err(ImportError::from)?.ok_or_else(gone)?.bytes;
        read(self.place(digest), stream::iter([Ok(bytes)]).boxed())
    }

    fn place(&self, digest: &Digest) -> String {
        match (self.homes.get(digest), self.copies.first()) {
            (Some(repository), _) => format!("the registry's `{repository}`"),
            (None, Some((_, bucket))) => bucket.name().to_owned(),
            (None, None) => "any copy".to_owned(),
        }
    }
}

async fn read_in(
    bucket: &Bucket,
    copy: Option<CopyId>,
    digest: &Digest,
) -> Result<Reading, ImportError> {
    let chunks = bucket.read(digest, None).await?.stream;
    let chunks = chunks.map_err(ImportError::from).boxed();
    Ok(Reading { place: bucket.name().to_owned(), copy, chunks })
}
