//! Bytes that are counted and hashed as they pass by.
//!
//! Invariant: the last of them passes only after all were right. So a request that promises their
//! number is never complete with wrong ones, whatever the store checks by itself.

use std::pin::Pin;

use bytes::Bytes;
use futures::stream::{Fuse, Stream, StreamExt as _};
use landbridge_core::Digest;
use landbridge_core::digest::Hasher;

use super::parts::Pieces;
use crate::bucket::Bucket;
use crate::error::{Cause, PutError};

/// What has come of an object so far.
pub(super) struct Passing {
    digest: Digest,
    size: u64,
    seen: u64,
    hasher: Hasher,
    held: Option<Bytes>,
}

impl Passing {
    pub(super) fn new(digest: &Digest, size: u64) -> Self {
        let hasher = Hasher::new(digest.algorithm());
        Self { digest: *digest, size, seen: 0, hasher, held: None }
    }

    /// Takes the next bytes and gives those before them; an error says what is wrong.
    pub(super) fn next(&mut self, chunk: Bytes) -> Result<Option<Bytes>, String> {
        self.seen += chunk.len() as u64;
        if self.seen > self.size {
            return Err(format!("more than the expected {} bytes", self.size));
        }
        self.hasher.update(&chunk);
        Ok(self.held.replace(chunk))
    }

    /// The last bytes, once all were right; an error says what is wrong.
    pub(super) fn end(self) -> Result<Option<Bytes>, String> {
        if self.seen < self.size {
            return Err(format!("{} bytes instead of {}", self.seen, self.size));
        }
        match self.hasher.finish() {
            found if found == self.digest => Ok(self.held),
            found => Err(format!("bytes with the digest {found}")),
        }
    }
}

/// A source whose end is an error unless all was right.
pub(super) struct Checked<'a, S> {
    bucket: &'a Bucket,
    digest: &'a Digest,
    passing: Option<Passing>,
    source: Fuse<Pin<Box<S>>>,
}

impl<'a, S: Stream<Item = Result<Bytes, E>>, E: Into<Cause>> Checked<'a, S> {
    pub(super) fn new(bucket: &'a Bucket, digest: &'a Digest, size: u64, source: S) -> Self {
        let passing = Some(Passing::new(digest, size));
        Self { bucket, digest, passing, source: Box::pin(source).fuse() }
    }
}

impl<S: Stream<Item = Result<Bytes, E>> + Send, E: Into<Cause>> Pieces for Checked<'_, S> {
    async fn next(&mut self) -> Result<Option<Bytes>, PutError> {
        let place = || self.bucket.place(&self.bucket.object_key(self.digest));
        let wrong = |what| PutError::WrongSource { place: place(), what };
        while let Some(mut passing) = self.passing.take() {
            match self.source.next().await {
                Some(Ok(chunk)) => {
                    let ready = passing.next(chunk).map_err(wrong)?;
                    self.passing = Some(passing);
                    if ready.is_some() {
                        return Ok(ready);
                    }
                }
                Some(Err(error)) => {
                    return Err(PutError::Source { place: place(), source: error.into() });
                }
                None => return passing.end().map_err(wrong),
            }
        }
        Ok(None)
    }
}
