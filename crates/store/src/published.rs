//! Everything that generations rely on, for whoever deletes objects.

use std::collections::HashSet;

use futures::TryStreamExt as _;
use futures::stream::BoxStream;
use landbridge_core::Digest;
use landbridge_core::digest::Algorithm;
use landbridge_core::generation::MAX_DOCUMENT_BYTES;

use crate::bucket::Bucket;
use crate::error::StoreError;
use crate::generations::{AnyDocument, ENDING, any_document, document_key};
use crate::repositories::{Listed, names};

impl Bucket {
    /// Every document of any generation that lies here, in no order.
    pub fn documents(&self) -> BoxStream<'static, Result<Listed<Digest>, StoreError>> {
        let parse = |name: &str| {
            let hex = name.strip_suffix(ENDING)?;
            Digest::parse(&format!("{}:{hex}", Algorithm::Sha256.name())).ok()
        };
        let directory = format!("generations/{}", Algorithm::Sha256.name());
        names(self, &directory, None, parse)
    }

    /// Reads a document of which it is not known what it is, verified by its digest.
    pub async fn get_any_document(&self, digest: &Digest) -> Result<AnyDocument, StoreError> {
        let bytes = self.get_document_bytes(digest, MAX_DOCUMENT_BYTES as u64).await?;
        any_document(&bytes).map_err(|error| self.malformed(&document_key(digest), error))
    }

    /// Deletes a document, whatever names it. That there is none is no error.
    pub async fn delete_document(&self, digest: &Digest) -> Result<(), StoreError> {
        self.remove_key(&document_key(digest)).await.map(drop)
    }

    /// Every manifest and object that any generation in the bucket lists, whether or not a pointer
    /// names it: a rollback may name it again, and a document is written before its pointer.
    ///
    /// A document that cannot be read is an error, since what it lists is not known.
    pub async fn published_objects(&self) -> Result<HashSet<Digest>, StoreError> {
        let mut listed = self.documents();
        let mut published = HashSet::new();
        while let Some(document) = listed.try_next().await? {
            // A part of a repository is a repository.
            let read = self.get_any_document(&document.item).await?;
            let AnyDocument::Repository(repository) = read else { continue };
            published.extend(repository.manifests.iter().map(|entry| entry.digest));
            published.extend(repository.objects.iter().map(|entry| entry.digest));
        }
        Ok(published)
    }
}
