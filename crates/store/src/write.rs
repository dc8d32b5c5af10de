//! Writing an object: streamed in constant memory, and visible only when it is right.
//!
//! The bytes are hashed as they pass by. Small objects are one request; large ones are an upload
//! in parts that is completed only after the digest was right, and aborted otherwise. In a
//! directory that is a file beside the final one, which is renamed.
//!
//! After [`Bucket::put_object`] or [`Bucket::confirm`] returned, an object in a directory survives
//! a power loss: file, directory and every directory above it were synced, as far as the file
//! system and the disk keep their word. A cloud's store promises the same by answering.
//! A process that is killed leaves at most a file `KEY#N`, or an upload that the store's
//! lifecycle rules remove; neither is visible as an object.

mod adopt;

use std::pin::Pin;

use bytes::Bytes;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use landbridge_core::Digest;
use landbridge_core::digest::Hasher;
use object_store::{
    Attribute, Attributes, MultipartUpload, ObjectStoreExt as _, PutMultipartOptions, PutOptions,
    PutPayload, PutResult,
};
use tokio::task::JoinSet;

use crate::bucket::Bucket;
use crate::error::{Cause, PutError, StoreError};
use crate::facts::Keep;

/// The size of a part, and the largest object that is written by one request.
const PART_BYTES: u64 = 8 << 20;
/// The same in a directory, where a request costs little.
const DIRECTORY_PART_BYTES: u64 = 256 << 10;
/// A store takes 10,000 parts: huge objects get larger ones.
const MOST_PARTS: u64 = 9_000;
/// Parts that are under way at once.
const PARTS_IN_FLIGHT: usize = 3;

/// Objects never change: whoever has one may keep it.
pub(crate) const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// Evidence that a bucket holds an object whole and right. Only this module makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmed {
    bucket: Box<str>,
    digest: Digest,
    size: u64,
}

impl Confirmed {
    /// The bucket's name.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The object.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl Bucket {
    /// Writes an object from `source`, unless the bucket has it already and it is confirmed.
    ///
    /// The source must give exactly `size` bytes with this digest. On any error nothing is visible
    /// under the key that was not there before. Where the store keeps attributes, the object gets
    /// its media type and may be cached for ever; it never has a content encoding. Memory stays
    /// below four parts: 32 MiB for objects up to 70 GiB, 1 MiB in a directory.
    pub async fn put_object<E: Into<Cause>>(
        &self,
        digest: &Digest,
        size: u64,
        media_type: &str,
        source: impl Stream<Item = Result<Bytes, E>> + Send,
    ) -> Result<Confirmed, PutError> {
        if self.size_of(digest).await? == Some(size) {
            match self.confirm(digest, size).await {
                Err(StoreError::WrongBytes { .. } | StoreError::NotFound(_)) => {}
                confirmed => return Ok(confirmed?),
            }
        }
        self.write_object(digest, size, media_type, source).await
    }

    /// As [`Bucket::put_object`], but the source is read and written even if the object is there:
    /// whoever gets it for having sent it must have sent it.
    pub(crate) async fn write_object<E: Into<Cause>>(
        &self,
        digest: &Digest,
        size: u64,
        media_type: &str,
        source: impl Stream<Item = Result<Bytes, E>> + Send,
    ) -> Result<Confirmed, PutError> {
        let key = self.object_key(digest);
        let mut source = Checked::new(self, digest, size, source);
        let attributes = self.attributes(media_type, IMMUTABLE);
        let written = if size <= self.part_bytes() {
            let mut chunks = Vec::new();
            while let Some(chunk) = source.next().await? {
                chunks.push(chunk);
            }
            let options = PutOptions { attributes, ..PutOptions::default() };
            let payload = PutPayload::from_iter(chunks);
            let result = self.store().put_opts(&self.path(&key)?, payload, options).await;
            result.map_err(|error| self.failed(&key, error))?
        } else {
            let part_bytes = self.part_bytes_of(size);
            self.put_parts(Keep::Durable, &key, attributes, part_bytes, &mut source).await?
        };
        Ok(self.confirm_written(digest, size, &written).await?)
    }

    /// Makes sure that the bucket holds the object whole and right, by reading all of it; in a
    /// directory also that it survives a power loss.
    pub async fn confirm(&self, digest: &Digest, size: u64) -> Result<Confirmed, StoreError> {
        let key = self.object_key(digest);
        let mut body = self.read(digest, None).await?;
        let wrong = |what| StoreError::WrongBytes { place: self.place(&key), what };
        if body.size != size {
            return Err(wrong(format!("it has {} bytes instead of {size}", body.size)));
        }
        let mut hasher = Hasher::new(digest.algorithm());
        while let Some(chunk) = body.stream.try_next().await? {
            hasher.update(&chunk);
        }
        let found = hasher.finish();
        if found != *digest {
            return Err(wrong(format!("its {size} bytes have the digest {found}")));
        }
        if let Some(file) = self.file(&key) {
            let synced = crate::file::sync(file).await;
            synced.map_err(|error| StoreError::from_cause(self.place(&key), error.into()))?;
        }
        Ok(self.evidence(digest, size))
    }

    /// The store's own size and tag prove that what lies there is what was just written; if they
    /// do not, reading it does.
    async fn confirm_written(
        &self,
        digest: &Digest,
        size: u64,
        written: &PutResult,
    ) -> Result<Confirmed, StoreError> {
        let key = self.object_key(digest);
        let head = self.store().head(&self.path(&key)?).await;
        let head = head.map_err(|error| self.failed(&key, error))?;
        if head.size == size && head.e_tag.is_some() && head.e_tag == written.e_tag {
            return Ok(self.evidence(digest, size));
        }
        self.confirm(digest, size).await
    }

    fn evidence(&self, digest: &Digest, size: u64) -> Confirmed {
        Confirmed { bucket: self.name().into(), digest: *digest, size }
    }

    pub(crate) fn attributes(&self, media_type: &str, cache_control: &'static str) -> Attributes {
        let mut attributes = Attributes::new();
        if self.keeps_attributes() {
            attributes.insert(Attribute::ContentType, media_type.to_owned().into());
            attributes.insert(Attribute::CacheControl, cache_control.into());
        }
        attributes
    }

    /// The largest object that is written by one request, in bytes.
    pub(crate) fn part_bytes(&self) -> u64 {
        if self.file("").is_some() { DIRECTORY_PART_BYTES } else { PART_BYTES }
    }

    /// The size of the parts of something that has `size` bytes at most.
    pub(crate) fn part_bytes_of(&self, size: u64) -> u64 {
        self.part_bytes().max(size.div_ceil(MOST_PARTS))
    }

    /// Writes what `source` gives in parts, under a key that it gets once all was right.
    pub(crate) async fn put_parts(
        &self,
        keep: Keep,
        key: &str,
        attributes: Attributes,
        part_bytes: u64,
        source: &mut impl Pieces,
    ) -> Result<PutResult, PutError> {
        let options = PutMultipartOptions { attributes, ..PutMultipartOptions::default() };
        let upload = self.store_for(keep).put_multipart_opts(&self.path(key)?, options).await;
        let mut upload = upload.map_err(|error| self.failed(key, error))?;
        let sent = self.send_parts(key, &mut *upload, part_bytes, source).await;
        if let Err(error) = sent {
            // What remains costs the store's owner a little space; the first error says more.
            let _ = upload.abort().await;
            return Err(error);
        }
        Ok(upload.complete().await.map_err(|error| self.failed(key, error))?)
    }

    async fn send_parts(
        &self,
        key: &str,
        upload: &mut dyn MultipartUpload,
        part_bytes: u64,
        source: &mut impl Pieces,
    ) -> Result<(), PutError> {
        let mut sending = JoinSet::new();
        let (mut part, mut part_size) = (Vec::new(), 0);
        loop {
            let chunk = source.next().await?;
            let is_last = chunk.is_none();
            if let Some(mut chunk) = chunk {
                // Every part but the last must have the same size.
                while part_size + chunk.len() as u64 >= part_bytes {
                    let room = usize::try_from(part_bytes - part_size).unwrap_or(usize::MAX);
                    part.push(chunk.split_to(room));
                    let whole = PutPayload::from_iter(std::mem::take(&mut part));
                    self.send_part(&mut sending, upload, whole).await;
                    part_size = 0;
                    self.wait_for(&mut sending, key, PARTS_IN_FLIGHT - 1).await?;
                }
                part_size += chunk.len() as u64;
                part.push(chunk);
            }
            if is_last {
                if part_size > 0 {
                    self.send_part(&mut sending, upload, PutPayload::from_iter(part)).await;
                }
                return Ok(self.wait_for(&mut sending, key, 0).await?);
            }
        }
    }

    async fn send_part(
        &self,
        sending: &mut JoinSet<object_store::Result<()>>,
        upload: &mut dyn MultipartUpload,
        part: PutPayload,
    ) {
        let place = self.place_for_part().await;
        let sent = upload.put_part(part);
        sending.spawn(async move {
            let _place = place;
            sent.await
        });
    }

    async fn wait_for(
        &self,
        sending: &mut JoinSet<object_store::Result<()>>,
        key: &str,
        most: usize,
    ) -> Result<(), StoreError> {
        while sending.len() > most
            && let Some(part) = sending.join_next().await
        {
            let part = part.unwrap_or_else(|source| Err(object_store::Error::JoinError { source }));
            part.map_err(|error| self.failed(key, error))?;
        }
        Ok(())
    }
}

/// Bytes on their way into a store.
pub(crate) trait Pieces {
    /// The next ones; `None` at an end that is right.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, PutError>> + Send;
}

/// A source that is counted and hashed as it passes by. Its end is an error unless all was right.
struct Checked<'a, S> {
    bucket: &'a Bucket,
    digest: &'a Digest,
    size: u64,
    seen: u64,
    hasher: Option<Hasher>,
    source: Pin<Box<S>>,
}

impl<'a, S: Stream<Item = Result<Bytes, E>>, E: Into<Cause>> Checked<'a, S> {
    fn new(bucket: &'a Bucket, digest: &'a Digest, size: u64, source: S) -> Self {
        let hasher = Some(Hasher::new(digest.algorithm()));
        Self { bucket, digest, size, seen: 0, hasher, source: Box::pin(source) }
    }
}

impl<S: Stream<Item = Result<Bytes, E>> + Send, E: Into<Cause>> Pieces for Checked<'_, S> {
    async fn next(&mut self) -> Result<Option<Bytes>, PutError> {
        let place = || self.bucket.place(&self.bucket.object_key(self.digest));
        let wrong = |what| PutError::WrongSource { place: place(), what };
        match self.source.next().await {
            Some(Ok(chunk)) => {
                self.seen += chunk.len() as u64;
                if self.seen > self.size {
                    return Err(wrong(format!("more than the expected {} bytes", self.size)));
                }
                if let Some(hasher) = &mut self.hasher {
                    hasher.update(&chunk);
                }
                Ok(Some(chunk))
            }
            Some(Err(error)) => Err(PutError::Source { place: place(), source: error.into() }),
            None if self.seen < self.size => {
                Err(wrong(format!("{} bytes instead of {}", self.seen, self.size)))
            }
            None => match self.hasher.take().map(Hasher::finish) {
                Some(found) if found != *self.digest => {
                    Err(wrong(format!("bytes with the digest {found}")))
                }
                _ => Ok(None),
            },
        }
    }
}
