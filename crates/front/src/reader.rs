//! How the front itself reads a copy: as a bucket, through a public address, or as a registry.
//!
//! Whatever the copy is, what goes wrong is one of three things that a caller can act on.

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt as _;
use landbridge_core::cause::chain;
use landbridge_core::manifest::MAX_MANIFEST_BYTES;
use landbridge_core::request::ManifestReference;
use landbridge_core::{Digest, RepositoryName};
use landbridge_registry::client::{BlobRange, ClientError, RegistryClient};
use landbridge_store::{Bucket, FaceError, PublicFace, StoreError};

use crate::body::{BodyError, ByteStream};

/// How the front itself reads a copy.
#[derive(Debug, Clone)]
pub(crate) enum Reader {
    /// As a bucket that it may open.
    Bucket(Bucket),
    /// Through its public address.
    Public(PublicFace),
    /// Through its registry interface.
    Registry(Arc<RegistryClient>),
}

/// Why a copy did not give an object.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// It has no such object.
    Absent,
    /// It has something else under the object's name.
    WrongBytes(String),
    /// It does not answer as a working copy does.
    Failing(String),
}

/// An object on its way.
pub(crate) struct Opened {
    /// The size of the whole object in bytes.
    pub(crate) size: u64,
    /// Its bytes from where it was opened.
    pub(crate) bytes: ByteStream,
}

impl Reader {
    /// A manifest's bytes, verified by its digest.
    pub(crate) async fn manifest(
        &self,
        repository: &str,
        digest: &Digest,
    ) -> Result<Bytes, ReadError> {
        let limit = MAX_MANIFEST_BYTES as u64;
        match self {
            Self::Bucket(bucket) => Ok(bucket.get(digest, limit).await?),
            Self::Public(face) => Ok(face.get_verified(digest, limit).await?),
            Self::Registry(client) => {
                let name = name(repository)?;
                let found = client.manifest(&name, ManifestReference::Digest(*digest)).await?;
                Ok(found.ok_or(ReadError::Absent)?.bytes)
            }
        }
    }

    /// A blob's bytes from `from` on. They are not verified: whoever reads the whole of it can.
    pub(crate) async fn open(
        &self,
        repository: &str,
        digest: &Digest,
        from: u64,
    ) -> Result<Opened, ReadError> {
        match self {
            Self::Bucket(bucket) => {
                let body = bucket.read(digest, (from > 0).then_some(from..u64::MAX)).await?;
                let bytes = body.stream.map_err(|error| BodyError::Interrupted(chain(&error)));
                Ok(Opened { size: body.size, bytes: Box::pin(bytes) })
            }
            Self::Public(face) => {
                let body = face.get_range(digest, from).await?;
                let bytes = body.stream.map_err(|error| BodyError::Interrupted(chain(&error)));
                Ok(Opened { size: body.size, bytes: Box::pin(bytes) })
            }
            Self::Registry(client) => {
                let range = (from > 0).then_some(BlobRange { first: from, last: None });
                let body = client
                    .blob(&name(repository)?, digest, range)
                    .await?
                    .ok_or(ReadError::Absent)?;
                let size = body.size_bytes();
                let bytes = body.map_err(|error| BodyError::Interrupted(chain(&error)));
                Ok(Opened { size, bytes: Box::pin(bytes) })
            }
        }
    }

    /// The size of a blob; `None` if the copy has no such blob.
    pub(crate) async fn size(
        &self,
        repository: &str,
        digest: &Digest,
    ) -> Result<Option<u64>, ReadError> {
        match self {
            Self::Bucket(bucket) => Ok(bucket.size_of(digest).await?),
            Self::Public(face) => Ok(face.head(digest).await?),
            Self::Registry(client) => Ok(client.head_blob(&name(repository)?, digest).await?),
        }
    }
}

/// Requests were checked by the same grammar, so that this does not fail in practice.
fn name(repository: &str) -> Result<RepositoryName, ReadError> {
    RepositoryName::parse(repository).map_err(|_| ReadError::Absent)
}

impl From<StoreError> for ReadError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound(_) => Self::Absent,
            StoreError::WrongBytes { .. } | StoreError::TooLarge { .. } => {
                Self::WrongBytes(chain(&error))
            }
            error => Self::Failing(chain(&error)),
        }
    }
}

impl From<FaceError> for ReadError {
    fn from(error: FaceError) -> Self {
        match error {
            FaceError::Absent { .. } => Self::Absent,
            FaceError::WrongBytes { .. } => Self::WrongBytes(chain(&error)),
            error => Self::Failing(chain(&error)),
        }
    }
}

impl From<ClientError> for ReadError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::WrongBytes { .. } => Self::WrongBytes(chain(&error)),
            error => Self::Failing(chain(&error)),
        }
    }
}
