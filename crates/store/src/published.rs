//! Everything that generations rely on, for whoever deletes objects.

use std::collections::HashSet;

use futures::TryStreamExt as _;
use landbridge_core::Digest;
use landbridge_core::digest::Algorithm;
use landbridge_core::generation::{Document as _, MAX_DOCUMENT_BYTES, Repository, Root};

use crate::bucket::Bucket;
use crate::documents::document_key;
use crate::error::StoreError;
use crate::repositories::names;

impl Bucket {
    /// Every manifest and object that any generation in the bucket lists, whether or not a pointer
    /// names it: a rollback may name it again, and a document is written before its pointer.
    ///
    /// A document that cannot be read is an error, since what it lists is not known.
    pub async fn published_objects(&self) -> Result<HashSet<Digest>, StoreError> {
        let parse =
            |name: &str| Digest::parse(&format!("{}:{name}", Algorithm::Sha256.name())).ok();
        let directory = format!("generations/{}", Algorithm::Sha256.name());
        let mut listed = names(self, &directory, None, parse);
        let mut published = HashSet::new();
        while let Some(document) = listed.try_next().await? {
            let key = document_key(&document.item);
            let bytes = self.get_bytes(&key, MAX_DOCUMENT_BYTES as u64).await?;
            self.check_digest(&key, &document.item, &bytes)?;
            if Root::decode(&bytes).is_ok() {
                continue;
            }
            let repository =
                Repository::decode(&bytes).map_err(|error| self.malformed(&key, error))?;
            published.extend(repository.manifests.iter().map(|entry| entry.digest));
            published.extend(repository.objects.iter().map(|entry| entry.digest));
        }
        Ok(published)
    }
}
