//! Deleting an object because somebody said so, not because nothing needs it: that is a collection.

use landbridge_core::Digest;

use crate::bucket::Bucket;
use crate::error::StoreError;

impl Bucket {
    /// Deletes an object, whoever refers to it. That there is none is no error.
    pub async fn delete_object(&self, digest: &Digest) -> Result<(), StoreError> {
        self.remove_key(&self.object_key(digest)).await.map(drop)
    }
}
