//! Making an object of bytes that the bucket has already, under another key.
//!
//! In a directory the file gets a second name, a cloud copies by itself; neither moves a byte
//! through this process. What a store cannot copy is read, hashed and written.
//!
//! Azure may take a copy on and make it later. Until then an empty blob is in its place, and
//! nothing else can be written there: so there it is waited for, and what is in place already is
//! not copied over.

use std::time::Duration;

use futures::TryStreamExt as _;
use landbridge_core::Digest;
use object_store::ObjectStoreExt as _;

use super::Confirmed;
use crate::bucket::{Bucket, Copies};
use crate::error::{PutError, StoreError};

#[cfg(test)]
mod tests;

/// What S3 copies by one request. <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html>
const MOST_COPIED_BYTES: u64 = 5 << 30;

/// A copy that is made later is waited for this long.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long after another look, at first and at last.
const LOOKS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

impl Bucket {
    /// Makes the object of the bytes under `from`, which had this digest, size and tag when they
    /// were written. As after [`Bucket::put_object`] the object survives a power loss, and on any
    /// error nothing is visible that was not there before; only where the store copies later, an
    /// empty object may be. An object that is there already is kept if it is right, or replaced in
    /// one step.
    pub(crate) async fn adopt(
        &self,
        from: &str,
        etag: Option<&str>,
        digest: &Digest,
        size: u64,
        media_type: &str,
    ) -> Result<Confirmed, PutError> {
        let meta = self.store().head(&self.path(from)?).await;
        let meta = meta.map_err(|error| self.failed(from, error))?;
        // Without its tag nothing says that these are still the bytes that were hashed.
        let is_unchanged = meta.size == size && etag.is_some() && meta.e_tag.as_deref() == etag;
        if is_unchanged && self.copy_object(from, digest, size).await? {
            return Ok(self.evidence(digest, size));
        }
        let source = self.stream(from).await?.into_stream();
        let written = self.put_object(digest, size, media_type, source).await;
        written.map_err(|error| match error {
            // Nothing else is ever told so when it overwrites.
            PutError::Store(StoreError::Taken(place)) => {
                StoreError::Unavailable { place, source: "the store is still copying it".into() }
                    .into()
            }
            other => other,
        })
    }

    /// False if the store cannot copy this.
    async fn copy_object(
        &self,
        from: &str,
        digest: &Digest,
        size: u64,
    ) -> Result<bool, StoreError> {
        let to = self.object_key(digest);
        let is_later = match self.copies() {
            Copies::AtOnce => false,
            Copies::Later => true,
        };
        if is_later && self.size_of(digest).await? == Some(size) {
            return Ok(false);
        }
        // Whatever the reason why it cannot: reading and writing tells it, or succeeds.
        let is_copied = match (self.file(from), self.file(&to)) {
            (Some(from), Some(to)) => crate::file::link(from, to).await.is_ok(),
            _ if size > MOST_COPIED_BYTES => false,
            _ => self.store().copy(&self.path(from)?, &self.path(&to)?).await.is_ok(),
        };
        if is_copied && is_later {
            return self.grows_to(digest, size).await;
        }
        Ok(is_copied && self.size_of(digest).await? == Some(size))
    }

    /// Waits until a copy has its size; false if it does not get it in time.
    async fn grows_to(&self, digest: &Digest, size: u64) -> Result<bool, StoreError> {
        let (mut pause, longest) = LOOKS;
        let mut waited = Duration::ZERO;
        while self.size_of(digest).await? != Some(size) {
            if waited >= PATIENCE {
                return Ok(false);
            }
            tokio::time::sleep(pause).await;
            waited += pause;
            pause = longest.min(pause * 2);
        }
        Ok(true)
    }
}
