//! Everything that generations rely on, for whoever deletes objects.

use std::collections::HashSet;

use futures::TryStreamExt as _;
use landbridge_core::Digest;
use landbridge_core::digest::Algorithm;
use landbridge_core::generation::MAX_DOCUMENT_BYTES;

use crate::bucket::Bucket;
use crate::error::StoreError;
use crate::generations::{AnyDocument, ENDING, any_document, document_key};
use crate::repositories::names;

impl Bucket {
    /// Every manifest and object that any generation in the bucket lists, whether or not a pointer
    /// names it: a rollback may name it again, and a document is written before its pointer.
    ///
    /// A document that cannot be read is an error, since what it lists is not known.
    pub async fn published_objects(&self) -> Result<HashSet<Digest>, StoreError> {
        let parse = |name: &str| {
            let hex = name.strip_suffix(ENDING)?;
            Digest::parse(&format!("{}:{hex}", Algorithm::Sha256.name())).ok()
        };
        let directory = format!("generations/{}", Algorithm::Sha256.name());
        let mut listed = names(self, &directory, None, parse);
        let mut published = HashSet::new();
        while let Some(document) = listed.try_next().await? {
            let bytes = self.get_document_bytes(&document.item, MAX_DOCUMENT_BYTES as u64).await?;
            let read = any_document(&bytes)
                .map_err(|error| self.malformed(&document_key(&document.item), error))?;
            // A part of a repository is a repository.
            let AnyDocument::Repository(repository) = read else { continue };
            published.extend(repository.manifests.iter().map(|entry| entry.digest));
            published.extend(repository.objects.iter().map(|entry| entry.digest));
        }
        Ok(published)
    }
}
