//! Making an object of bytes that the bucket has already, under another key.
//!
//! In a directory the file gets a second name, a cloud copies by itself; neither moves a byte
//! through this process. What a store cannot copy is read, hashed and written.

use futures::TryStreamExt as _;
use landbridge_core::Digest;
use object_store::ObjectStoreExt as _;

use super::Confirmed;
use crate::bucket::Bucket;
use crate::error::{PutError, StoreError};

/// What S3 copies by one request. <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html>
const MOST_COPIED_BYTES: u64 = 5 << 30;

impl Bucket {
    /// Makes the object of the bytes under `from`, which had this digest, size and tag when they
    /// were written. As after [`Bucket::put_object`] the object survives a power loss, and on any
    /// error nothing is visible that was not there before. An object that is there already is
    /// replaced in one step, right or not.
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
        self.put_object(digest, size, media_type, self.stream(from).await?.into_stream()).await
    }

    /// False if the store cannot copy this.
    async fn copy_object(
        &self,
        from: &str,
        digest: &Digest,
        size: u64,
    ) -> Result<bool, StoreError> {
        let to = self.object_key(digest);
        // Whatever the reason why it cannot: reading and writing tells it, or succeeds.
        let is_copied = match (self.file(from), self.file(&to)) {
            (Some(from), Some(to)) => crate::file::link(from, to).await.is_ok(),
            _ if size > MOST_COPIED_BYTES => false,
            _ => self.store().copy(&self.path(from)?, &self.path(&to)?).await.is_ok(),
        };
        Ok(is_copied && self.size_of(digest).await? == Some(size))
    }
}
