//! Making an object of an upload.
//!
//! One chunk with the right SHA-256 becomes the object by the store's own copy. Several chunks, or
//! a SHA-512, are read once more and checked while they are written. A body whose size and digest
//! are known before anything was sent goes straight to its place.
//!
//! That the object is there already spares nobody the proof: who names a digest without having its
//! bytes must not be given them.
//!
//! Before anything is written the object is leased and a deletion that is under way is waited for;
//! so what is confirmed here stays long enough for its link and its manifest to follow.

use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use landbridge_core::Digest;
use landbridge_core::digest::Algorithm;

use super::Uploads;
use super::append::{AppendError, BLOB_TYPE, Chunk, check};
use super::session::{ChunkBytes, Name, Record, UploadStatus};
use crate::error::{Cause, PutError, StoreError};
use crate::leases::PrepareError;
use crate::write::Confirmed;

/// Why an upload did not become an object. The session is still there.
#[derive(Debug, thiserror::Error)]
pub enum FinishError {
    /// The last chunk was not taken.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The bytes do not have this digest. Nothing is visible that was not there before.
    #[error("the upload is not what its digest says: {what}")]
    WrongDigest {
        /// What was found.
        what: String,
    },
    /// An object of this name is being deleted: try again later.
    #[error(transparent)]
    BeingDeleted(PrepareError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<PrepareError> for FinishError {
    fn from(error: PrepareError) -> Self {
        match error {
            PrepareError::BeingDeleted(_) => Self::BeingDeleted(error),
            PrepareError::Store(error) => Self::Store(error),
        }
    }
}

impl Uploads {
    /// Makes the object `digest` of all chunks and, if there is one, a last chunk, which is taken
    /// as by [`Uploads::append`]. The whole must not have more than `limit` bytes.
    ///
    /// The session stays: link the object, then [`Uploads::cancel`]. Repeating a call whose answer
    /// was lost does no harm. Waits for `patience` while the object is being deleted.
    pub async fn finish<E: Into<Cause>>(
        &self,
        upload: &UploadStatus,
        digest: &Digest,
        last: Option<Chunk<impl Stream<Item = Result<Bytes, E>> + Send>>,
        limit: u64,
        patience: Duration,
    ) -> Result<Confirmed, FinishError> {
        let Some(chunk) = last else { return self.assemble(upload, digest, patience).await };
        match chunk.size {
            Some(size) if upload.offset() == 0 => {
                check(upload, chunk.from, Some(size), limit)?;
                self.put_whole(digest, size, chunk.source, patience).await
            }
            _ => {
                let upload = self.append_chunk(upload, chunk, limit).await?;
                self.assemble(&upload, digest, patience).await
            }
        }
    }

    /// Makes an object of a body of which size and digest are known, without a session. Nothing of
    /// a body that breaks off is kept.
    pub async fn put_whole<E: Into<Cause>>(
        &self,
        digest: &Digest,
        size: u64,
        source: impl Stream<Item = Result<Bytes, E>> + Send,
        patience: Duration,
    ) -> Result<Confirmed, FinishError> {
        self.leases.prepare_write(digest, patience).await?;
        match self.bucket.write_object(digest, size, BLOB_TYPE, source).await {
            Ok(confirmed) => Ok(confirmed),
            Err(PutError::Source { source, .. }) => {
                Err(AppendError::Source { offset: 0, source }.into())
            }
            Err(PutError::WrongSource { what, .. }) => Err(FinishError::WrongDigest { what }),
            Err(PutError::Store(error)) => Err(error.into()),
        }
    }

    async fn assemble(
        &self,
        upload: &UploadStatus,
        digest: &Digest,
        patience: Duration,
    ) -> Result<Confirmed, FinishError> {
        let only = upload.only_record().filter(|_| digest.algorithm() == Algorithm::Sha256);
        if let Some(record) = only.filter(|record| record.sha256 != *digest) {
            let what = format!("its {} bytes have the digest {}", record.size, record.sha256);
            return Err(FinishError::WrongDigest { what });
        }
        self.leases.prepare_write(digest, patience).await?;
        let written =
            if let Some(Record { size, bytes: ChunkBytes::Data { name, etag }, .. }) = only {
                let key = upload.id().key(&Name::Data(*name));
                self.bucket.adopt(&key, etag.as_deref(), digest, *size, BLOB_TYPE).await
            } else {
                let size = upload.offset();
                self.bucket.write_object(digest, size, BLOB_TYPE, self.chunks(upload)).await
            };
        written.map_err(|error| match error {
            PutError::WrongSource { what, .. } => FinishError::WrongDigest { what },
            PutError::Store(error) => FinishError::Store(error),
            PutError::Source { place, source } => {
                FinishError::Store(source.downcast::<StoreError>().map_or_else(
                    |source| StoreError::Unavailable { place, source },
                    |error| *error,
                ))
            }
        })
    }

    /// All bytes of an upload, in order.
    fn chunks(&self, upload: &UploadStatus) -> BoxStream<'static, Result<Bytes, StoreError>> {
        let (uploads, id, end) = (self.clone(), *upload.id(), upload.offset());
        futures::stream::try_unfold(0, move |offset| {
            let uploads = uploads.clone();
            async move {
                if offset >= end {
                    return Ok(None);
                }
                let record = uploads.record(&id, offset).await?;
                let record = record.ok_or_else(|| {
                    StoreError::NotFound(uploads.bucket.place(&id.key(&Name::Record(offset))))
                })?;
                let bytes = match record.bytes {
                    ChunkBytes::Inline(bytes) => futures::stream::once(async { Ok(bytes) }).boxed(),
                    ChunkBytes::Data { name, .. } => {
                        uploads.bucket.stream(&id.key(&Name::Data(name))).await?
                    }
                };
                Ok(Some((bytes, offset.saturating_add(record.size))))
            }
        })
        .try_flatten()
        .boxed()
    }
}
