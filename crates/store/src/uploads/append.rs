//! Taking a chunk: streamed, hashed on the way, and committed by creating its record.
//!
//! A body that breaks off is committed as far as it came: what has arrived over a bad line need
//! not be sent again, and status tells the new offset. A body that is too large commits nothing,
//! since its upload cannot end well.

use std::pin::Pin;

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use landbridge_core::Digest;
use landbridge_core::digest::{Algorithm, Hasher};
use object_store::{PutOptions, PutPayload};

use super::Uploads;
use super::session::{
    ChunkBytes, INLINE_BYTES, MAX_RECORD_BYTES, Name, Record, UploadId, UploadStatus,
};
use crate::error::{Cause, PutError, StoreError};
use crate::facts::Keep;
use crate::repositories::create;
use crate::write::{IMMUTABLE, Pieces};

pub(super) const BLOB_TYPE: &str = "application/octet-stream";
/// A store takes no more parts than this; what is longer must say so before, to get larger ones.
const MOST_PARTS: u64 = 9_000;

/// A chunk as a client sends it.
#[derive(Debug)]
pub struct Chunk<S> {
    /// Where the client says that it begins (`Content-Range`).
    pub from: Option<u64>,
    /// How many bytes the client says that it has (`Content-Length`).
    pub size: Option<u64>,
    /// The bytes.
    pub source: S,
}

/// Why a chunk was not taken, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// There is no such upload, or it ended meanwhile.
    #[error("there is no such upload: begin another")]
    Unknown,
    /// The chunk does not begin where the upload has come to, or another writer was first.
    #[error(
        "the chunk does not begin at the upload's offset, {offset}: ask for it and go on from there"
    )]
    OutOfOrder {
        /// Where the next chunk must begin.
        offset: u64,
    },
    /// The upload would be larger than it may be. Nothing of the chunk was kept.
    #[error("the upload is larger than the limit of {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The body broke off. What had arrived counts.
    #[error("the chunk's body broke off; the upload has come to {offset}")]
    Source {
        /// Where the next chunk must begin.
        offset: u64,
        /// Why it broke off.
        #[source]
        source: Cause,
    },
    /// The store failed. Nothing of the chunk was kept, unless the answer to the last write was
    /// lost: the status tells.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Uploads {
    /// Takes a chunk at the upload's offset and returns the new one. The upload with it must not be
    /// larger than `limit` bytes.
    ///
    /// Of several writers at one offset exactly one wins; the others are told
    /// [`AppendError::OutOfOrder`]. Memory stays below four parts, as for an object. A chunk of
    /// unknown length may have 70 GiB.
    ///
    /// Dropping the future keeps nothing of the chunk. A server that drops it when the client goes
    /// away should run it in a task of its own, so that what arrived is kept.
    pub async fn append<E: Into<Cause>>(
        &self,
        upload: &UploadStatus,
        chunk: Chunk<impl Stream<Item = Result<Bytes, E>> + Send>,
        limit: u64,
    ) -> Result<u64, AppendError> {
        Ok(self.append_chunk(upload, chunk, limit).await?.offset())
    }

    /// As [`Uploads::append`]; returns the upload as it is then.
    pub(super) async fn append_chunk<E: Into<Cause>>(
        &self,
        upload: &UploadStatus,
        chunk: Chunk<impl Stream<Item = Result<Bytes, E>> + Send>,
        limit: u64,
    ) -> Result<UploadStatus, AppendError> {
        let offset = upload.offset();
        let most = check(upload, chunk.from, chunk.size, limit)?;
        let mut incoming = Incoming::new(chunk.source, most);
        let chunk_id = UploadId::random().map_err(|error| StoreError::Unavailable {
            place: self.bucket.place(&upload.id().directory()),
            source: error.into(),
        })?;
        let bytes = self.take(upload.id(), chunk_id, chunk.size.unwrap_or(0), &mut incoming).await;
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(_) if incoming.is_too_large => return Err(AppendError::TooLarge { limit }),
            // A session that was cancelled meanwhile takes its directory with it.
            Err(PutError::Store(StoreError::NotFound(_))) => return Err(AppendError::Unknown),
            Err(PutError::Store(error)) => return Err(error.into()),
            // Only a source that knows its digest can be wrong, and a broken one just ends.
            Err(PutError::Source { place, source }) => {
                return Err(StoreError::Unavailable { place, source }.into());
            }
            Err(PutError::WrongSource { place, what }) => {
                return Err(StoreError::Unavailable { place, source: what.into() }.into());
            }
        };
        let broken = incoming.broken.take();
        let (size, sha256) = incoming.finish();
        let after = if size == 0 {
            upload.clone()
        } else {
            let record = Record { sha256, size, bytes };
            self.commit(upload, &record, chunk_id).await?;
            upload.with(offset, record)
        };
        match broken {
            Some(source) => Err(AppendError::Source { offset: after.offset(), source }),
            None => Ok(after),
        }
    }

    /// Puts the bytes where the record will say that they are.
    async fn take<S: Stream<Item = Result<Bytes, E>> + Send, E: Into<Cause>>(
        &self,
        id: &UploadId,
        chunk: UploadId,
        size: u64,
        incoming: &mut Incoming<S>,
    ) -> Result<ChunkBytes, PutError> {
        let part_bytes = self.bucket.part_bytes_of(size);
        let mut head = Vec::new();
        while incoming.size <= part_bytes
            && let Some(piece) = incoming.next().await?
        {
            head.push(piece);
        }
        if incoming.is_ended && incoming.size <= INLINE_BYTES {
            return Ok(ChunkBytes::Inline(head.concat().into()));
        }
        let key = id.key(&Name::Data(chunk));
        let attributes = self.bucket.attributes(BLOB_TYPE, IMMUTABLE);
        let written = if incoming.is_ended {
            let options = PutOptions { attributes, ..PutOptions::default() };
            let payload = PutPayload::from_iter(head);
            let path = self.bucket.path(&key)?;
            let put = self.bucket.scratch().put_opts(&path, payload, options).await;
            put.map_err(|error| self.bucket.failed(&key, error))?
        } else {
            incoming.give_back(head);
            if self.bucket.file("").is_none() {
                incoming.most = incoming.most.min(part_bytes.saturating_mul(MOST_PARTS));
            }
            self.bucket.put_parts(Keep::Scratch, &key, attributes, part_bytes, incoming).await?
        };
        Ok(ChunkBytes::Data { name: chunk, etag: written.e_tag })
    }

    async fn commit(
        &self,
        upload: &UploadStatus,
        record: &Record,
        chunk: UploadId,
    ) -> Result<(), AppendError> {
        let id = upload.id();
        let key = id.key(&Name::Record(upload.offset()));
        let bytes = record.encode(chunk);
        let is_ours = create(&self.bucket, self.creation, &key, bytes, MAX_RECORD_BYTES).await?;
        if !is_ours {
            if let ChunkBytes::Data { name, .. } = &record.bytes {
                // What stays costs a little space until the session ends.
                let _ = self.bucket.remove_key(&id.key(&Name::Data(*name))).await;
            }
            let status = self.status(id).await?.ok_or(AppendError::Unknown)?;
            return Err(AppendError::OutOfOrder { offset: status.offset() });
        }
        if self.bucket.head_key(&id.key(&Name::Session)).await?.is_none() {
            self.cancel(id).await?;
            return Err(AppendError::Unknown);
        }
        Ok(())
    }
}

/// How many bytes the chunk may have, if it begins where it must and is not too large.
pub(super) fn check(
    upload: &UploadStatus,
    from: Option<u64>,
    size: Option<u64>,
    limit: u64,
) -> Result<u64, AppendError> {
    let offset = upload.offset();
    if from.is_some_and(|from| from != offset) {
        return Err(AppendError::OutOfOrder { offset });
    }
    let most = limit.checked_sub(offset).ok_or(AppendError::TooLarge { limit })?;
    if size.is_some_and(|size| size > most) {
        return Err(AppendError::TooLarge { limit });
    }
    Ok(most)
}

/// A chunk's body, counted and hashed as it arrives. Where it breaks off is its end.
struct Incoming<S> {
    source: Pin<Box<S>>,
    /// Pieces that were taken and given back, the first one last.
    again: Vec<Bytes>,
    hasher: Hasher,
    size: u64,
    most: u64,
    is_ended: bool,
    is_too_large: bool,
    broken: Option<Cause>,
}

impl<S> Incoming<S> {
    fn new(source: S, most: u64) -> Self {
        Self {
            source: Box::pin(source),
            again: Vec::new(),
            hasher: Hasher::new(Algorithm::Sha256),
            size: 0,
            most,
            is_ended: false,
            is_too_large: false,
            broken: None,
        }
    }

    fn give_back(&mut self, pieces: Vec<Bytes>) {
        self.again = pieces;
        self.again.reverse();
    }

    fn finish(self) -> (u64, Digest) {
        (self.size, self.hasher.finish())
    }
}

impl<S: Stream<Item = Result<Bytes, E>> + Send, E: Into<Cause>> Pieces for Incoming<S> {
    async fn next(&mut self) -> Result<Option<Bytes>, PutError> {
        if let Some(piece) = self.again.pop() {
            return Ok(Some(piece));
        }
        if self.is_ended {
            return Ok(None);
        }
        match self.source.next().await {
            Some(Ok(piece)) => {
                self.size += piece.len() as u64;
                if self.size > self.most {
                    self.is_too_large = true;
                    let place = crate::error::Place { bucket: String::new(), key: String::new() };
                    return Err(PutError::WrongSource { place, what: "too many bytes".to_owned() });
                }
                self.hasher.update(&piece);
                Ok(Some(piece))
            }
            Some(Err(error)) => {
                self.broken = Some(error.into());
                self.is_ended = true;
                Ok(None)
            }
            None => {
                self.is_ended = true;
                Ok(None)
            }
        }
    }
}
