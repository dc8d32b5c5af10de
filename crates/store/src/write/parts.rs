//! Writing in parts: several on their way at once, each checked by the store where it can.

use bytes::Bytes;
use object_store::{Attributes, MultipartUpload, PutMultipartOptions, PutPayload, PutResult};
use tokio::task::JoinSet;

use crate::bucket::Bucket;
use crate::error::{PutError, StoreError};
use crate::facts::Keep;

/// The size of a part, and the largest object that is written by one request.
const PART_BYTES: u64 = 8 << 20;
/// The same in a directory, where a request costs little.
const DIRECTORY_PART_BYTES: u64 = 256 << 10;
/// A store takes 10,000 parts: huge objects get larger ones.
const MOST_PARTS: u64 = 9_000;
/// Parts that are under way at once, but for huge ones.
const PARTS_IN_FLIGHT: u64 = 3;
/// Parts under way may have so many bytes together.
const BYTES_IN_FLIGHT: u64 = PARTS_IN_FLIGHT * PART_BYTES;

/// Bytes on their way into a store.
pub(crate) trait Pieces {
    /// The next ones; `None` at an end that is right.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, PutError>> + Send;
}

impl Bucket {
    /// The largest object that is written by one request, in bytes.
    pub(crate) fn part_bytes(&self) -> u64 {
        if self.file("").is_some() { DIRECTORY_PART_BYTES } else { PART_BYTES }
    }

    /// The size of the parts of something that has `size` bytes at most.
    pub(crate) fn part_bytes_of(&self, size: u64) -> u64 {
        self.part_bytes().max(size.div_ceil(MOST_PARTS))
    }

    /// How many bytes of an object of `size` bytes are in memory while it is written in parts.
    pub(super) fn bytes_in_parts(&self, size: u64) -> u64 {
        let part_bytes = self.part_bytes_of(size);
        size.min(part_bytes * (parts_in_flight(part_bytes) as u64 + 1))
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
        let most = parts_in_flight(part_bytes);
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
                    self.wait_for(&mut sending, key, most - 1).await?;
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

fn parts_in_flight(part_bytes: u64) -> usize {
    let most = (BYTES_IN_FLIGHT / part_bytes.max(1)).clamp(1, PARTS_IN_FLIGHT);
    usize::try_from(most).unwrap_or(1)
}
