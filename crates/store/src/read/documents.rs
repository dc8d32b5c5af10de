//! Where a front reads documents: in its cache, in the authority, and if that fails in any mirror
//! that has them.
//!
//! Mirrors are not trusted and need not be: a document is named by its digest. Unpacking, hashing
//! and parsing take most of the time, so several documents go through them at once.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use landbridge_core::Digest;
use landbridge_core::cause::chain;
use landbridge_core::generation::{
    Document as _, DocumentError, MAX_DOCUMENT_BYTES, PartEntry, Parts, Repository, RepositoryEntry,
};
use landbridge_core::topology::CopySet;

use super::{CatalogReader, HoldingSource};
use crate::bucket::Bucket;
use crate::error::{Malformed, Place, StoreError};
use crate::generations::{Packed, document_key};

/// Reads a document from its canonical bytes.
pub(super) type Decode<T> = fn(&[u8]) -> Result<T, DocumentError>;

/// How far is gone for a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Not beyond the cache.
    Cache,
    /// To every store.
    Stores,
}

impl Reach {
    /// Documents that are read at once: as many as processors can do something for if they lie here,
    /// more if they are far away. Each takes a few MiB until it is in the catalog.
    pub(super) fn at_once(self) -> usize {
        match self {
            Self::Cache => 4,
            Self::Stores => 8,
        }
    }
}

/// A document that is wanted, and what its objects are then said of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) digest: Digest,
    /// It has no more bytes than this.
    pub(super) limit: u64,
    pub(super) copies: CopySet,
    pub(super) is_current: bool,
}

impl Wanted {
    pub(super) fn new(entry: &RepositoryEntry) -> Self {
        let (digest, limit) = (entry.digest, entry.size);
        Self { digest, limit, copies: CopySet::EMPTY, is_current: false }
    }

    pub(super) fn root(digest: Digest) -> Self {
        let (limit, copies) = (MAX_DOCUMENT_BYTES as u64, CopySet::EMPTY);
        Self { digest, limit, copies, is_current: false }
    }

    /// A part of what was wanted.
    pub(super) fn part(self, part: &PartEntry) -> Self {
        Self { digest: part.digest, limit: part.size, ..self }
    }
}

/// What stands under a repository's digest.
pub(super) enum Listing {
    Whole(Box<Repository>),
    Parts(Parts),
}

/// A repository, or the list of its parts.
pub(super) fn read_listing(bytes: &[u8]) -> Result<Listing, DocumentError> {
    if Parts::claims(bytes) {
        Ok(Listing::Parts(Parts::decode(bytes)?))
    } else {
        read_repository(bytes)
    }
}

/// A repository, or one part of it.
pub(super) fn read_repository(bytes: &[u8]) -> Result<Listing, DocumentError> {
    Ok(Listing::Whole(Box::new(Repository::decode(bytes)?)))
}

/// How reading a document went.
pub(super) struct Read<T> {
    /// It, or how the authority failed.
    pub(super) document: Result<T, StoreError>,
    /// What is wrong with the cache.
    pub(super) of_cache: Option<String>,
}

impl CatalogReader {
    /// A document, from wherever it is to be had.
    pub(super) fn read<T: Send + 'static>(
        &self,
        wanted: Wanted,
        reach: Reach,
        decode: Decode<T>,
    ) -> BoxFuture<'_, (Wanted, Read<T>)> {
        self.find(wanted, reach, decode).map(move |read| (wanted, read)).boxed()
    }

    async fn find<T: Send + 'static>(
        &self,
        wanted: Wanted,
        reach: Reach,
        decode: Decode<T>,
    ) -> Read<T> {
        let mut of_cache = None;
        if let Some(cache) = &self.cache {
            match (open_in(cache, wanted, decode).await, reach) {
                (Ok((document, _)), _) => return Read { document: Ok(document), of_cache },
                (Err(error), Reach::Cache) => return Read { document: Err(error), of_cache },
                (Err(StoreError::NotFound(_)), Reach::Stores) => {}
                (Err(error), Reach::Stores) => {
                    of_cache = Some(format!("the cache is damaged: {}", chain(&error)));
                }
            }
        }
        let fetched = match self.fetch(&self.authority_source(), wanted, decode).await {
            Ok(fetched) => Ok(fetched),
            Err(error) => self.fetch_from_mirrors(wanted, decode).await.ok_or(error),
        };
        let document = match (fetched, &self.cache) {
            (Ok((document, packed)), Some(cache)) => {
                // The cache is disposable: without it the next start takes longer.
                if let Err(error) = cache.put_packed_document(packed).await {
                    of_cache = Some(format!("the cache takes nothing more: {}", chain(&error)));
                }
                Ok(document)
            }
            (fetched, _) => fetched.map(|(document, _)| document),
        };
        Read { document, of_cache }
    }

    async fn fetch_from_mirrors<T: Send + 'static>(
        &self,
        wanted: Wanted,
        decode: Decode<T>,
    ) -> Option<(T, Packed)> {
        for copy in &self.copies {
            if let Ok(fetched) = self.fetch(&copy.source, wanted, decode).await {
                return Some(fetched);
            }
        }
        None
    }

    fn authority_source(&self) -> HoldingSource {
        HoldingSource::Bucket(self.authority.clone())
    }

    /// A document from one place.
    async fn fetch<T: Send + 'static>(
        &self,
        source: &HoldingSource,
        wanted: Wanted,
        decode: Decode<T>,
    ) -> Result<(T, Packed), StoreError> {
        let Wanted { digest, limit, .. } = wanted;
        let reading = async {
            match source {
                HoldingSource::Bucket(bucket) => bucket.packed_document(&digest, limit).await,
                HoldingSource::Face(face) => face.packed_document(&digest, limit).await,
            }
        };
        let packed = tokio::time::timeout(self.holding_timeout, reading).await;
        open(packed.unwrap_or_else(|_| Err(source.too_slow(&digest)))?, decode).await
    }
}

impl HoldingSource {
    fn too_slow(&self, document: &Digest) -> StoreError {
        let place = Place { bucket: self.name().to_owned(), key: document_key(document) };
        StoreError::Unavailable { place, source: "it did not come in time".into() }
    }
}

async fn open_in<T: Send + 'static>(
    cache: &Bucket,
    wanted: Wanted,
    decode: Decode<T>,
) -> Result<(T, Packed), StoreError> {
    open(cache.packed_document(&wanted.digest, wanted.limit).await?, decode).await
}

/// Unpacks, verifies and parses a document, on a thread that may take its time.
async fn open<T: Send + 'static>(
    packed: Packed,
    decode: Decode<T>,
) -> Result<(T, Packed), StoreError> {
    let place = packed.place().clone();
    let opened = tokio::task::spawn_blocking(move || {
        let malformed = |error: DocumentError| StoreError::Malformed {
            place: packed.place().clone(),
            source: Malformed::Document(error),
        };
        let document = decode(&packed.open()?).map_err(malformed)?;
        Ok((document, packed))
    });
    opened.await.unwrap_or_else(|error| Err(StoreError::from_cause(place, error.into())))
}
