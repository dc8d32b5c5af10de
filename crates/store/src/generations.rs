//! Documents of generations in a bucket: `generations/<algorithm>/<hex>.zst`.
//!
//! They never change. A document is named by the digest of its canonical bytes and stored
//! compressed; a large repository is stored in parts and the list that names them.
//!
//! Invariant: whatever lies in a bucket, reading a document takes no more memory than the size
//! that its list announces, or [`MAX_DOCUMENT_BYTES`].

use bytes::Bytes;
use landbridge_core::Digest;
use landbridge_core::generation::{
    Document, MAX_DOCUMENT_BYTES, PartEntry, Parts, Repository, Root,
};
use object_store::PutOptions;

use crate::bucket::Bucket;
use crate::error::{Malformed, Place, StoreError};
use crate::write::IMMUTABLE;

const ZSTD: &str = "application/zstd";
/// Digests do not compress, and the rest does at any level.
const LEVEL: i32 = 3;
/// The ending of a document's key.
pub(crate) const ENDING: &str = ".zst";

/// Any document of a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnyDocument {
    /// A generation's root.
    Root(Root),
    /// A repository, or a part of one.
    Repository(Repository),
    /// The list of a repository's parts.
    Parts(Parts),
}

impl Bucket {
    /// Writes a document of a generation, in parts if it is large, and returns its digest. Writing
    /// it again does no harm.
    pub async fn put_document<D: Document + Sync>(
        &self,
        document: &D,
    ) -> Result<Digest, StoreError> {
        let mut digest = Digest::sha256_of(b"");
        for bytes in document.documents() {
            digest = Digest::sha256_of(&bytes);
            self.put_document_bytes(&digest, &bytes).await?;
        }
        Ok(digest)
    }

    /// Reads a document whole, verified by its digest and its canonical form.
    pub async fn get_document<D: Document>(&self, digest: &Digest) -> Result<D, StoreError> {
        let key = document_key(digest);
        let bytes = self.get_document_bytes(digest, MAX_DOCUMENT_BYTES as u64).await?;
        if !Parts::claims(&bytes) {
            return D::decode(&bytes).map_err(|error| self.malformed(&key, error));
        }
        let list = Parts::decode(&bytes).map_err(|error| self.malformed(&key, error))?;
        let mut parts = Vec::with_capacity(list.parts.len());
        for PartEntry { digest, size } in &list.parts {
            let bytes = self.get_document_bytes(digest, *size).await?;
            let part = D::decode(&bytes);
            parts.push(part.map_err(|error| self.malformed(&document_key(digest), error))?);
        }
        D::join(parts).map_err(|error| self.malformed(&key, error))
    }

    /// Writes the canonical bytes of one document, compressed.
    pub(crate) async fn put_document_bytes(
        &self,
        digest: &Digest,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let key = document_key(digest);
        let packed = zstd::bulk::compress(bytes, LEVEL)
            .map_err(|error| StoreError::from_cause(self.place(&key), error.into()))?;
        let options =
            PutOptions { attributes: self.attributes(ZSTD, IMMUTABLE), ..PutOptions::default() };
        self.put_bytes(&key, packed, options).await
    }

    /// The canonical bytes of one document, of at most `limit`, verified by their digest.
    pub(crate) async fn get_document_bytes(
        &self,
        digest: &Digest,
        limit: u64,
    ) -> Result<Vec<u8>, StoreError> {
        self.packed_document(digest, limit).await?.open()
    }

    /// One document as it is stored, of at most `limit` bytes when it is unpacked. Not verified.
    pub(crate) async fn packed_document(
        &self,
        digest: &Digest,
        limit: u64,
    ) -> Result<Packed, StoreError> {
        let key = document_key(digest);
        let bytes = self.get_bytes(&key, packed_limit(limit)).await?;
        Ok(Packed { place: self.place(&key), bytes, digest: *digest, limit })
    }

    /// Stores a document as it was stored elsewhere.
    pub(crate) async fn put_packed_document(&self, packed: Packed) -> Result<(), StoreError> {
        let options =
            PutOptions { attributes: self.attributes(ZSTD, IMMUTABLE), ..PutOptions::default() };
        self.put_bytes(&document_key(&packed.digest), packed.bytes.into(), options).await
    }
}

/// A document as it is stored.
#[derive(Debug)]
pub(crate) struct Packed {
    place: Place,
    bytes: Bytes,
    digest: Digest,
    limit: u64,
}

impl Packed {
    /// What lies at `place` and should be the document `digest`, of at most `limit` bytes.
    pub(crate) fn new(place: Place, bytes: Bytes, digest: Digest, limit: u64) -> Self {
        Self { place, bytes, digest, limit }
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// The canonical bytes, verified by their digest.
    pub(crate) fn open(&self) -> Result<Vec<u8>, StoreError> {
        let wrong = |what| StoreError::WrongBytes { place: self.place.clone(), what };
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX).min(MAX_DOCUMENT_BYTES);
        let bytes = unpack(&self.bytes, limit).map_err(|error| match error {
            Unpack::TooLarge(size) => {
                StoreError::TooLarge { place: self.place.clone(), size, limit: limit as u64 }
            }
            Unpack::Damaged(what) => wrong(what),
        })?;
        let found = Digest::of(self.digest.algorithm(), &bytes);
        if found != self.digest {
            return Err(wrong(format!("its {} bytes have the digest {found}", bytes.len())));
        }
        Ok(bytes)
    }
}

/// The most bytes that a document takes when it is stored.
pub(crate) fn packed_limit(limit: u64) -> u64 {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX).min(MAX_DOCUMENT_BYTES);
    zstd::compress_bound(limit) as u64
}

/// Reads any document of a generation from its canonical bytes.
pub(crate) fn any_document(bytes: &[u8]) -> Result<AnyDocument, Malformed> {
    if Parts::claims(bytes) {
        return Ok(AnyDocument::Parts(Parts::decode(bytes)?));
    }
    match Root::decode(bytes) {
        Ok(root) => Ok(AnyDocument::Root(root)),
        Err(_) => Ok(AnyDocument::Repository(Repository::decode(bytes)?)),
    }
}

pub(crate) fn document_key(digest: &Digest) -> String {
    format!("generations/{}/{}{ENDING}", digest.algorithm().name(), digest.hex())
}

/// Why bytes cannot be unpacked.
#[derive(Debug)]
enum Unpack {
    TooLarge(u64),
    Damaged(String),
}

/// Never takes more than `limit` bytes, nor more than the frame announces: what the writer makes
/// is one frame that tells its size.
fn unpack(packed: &[u8], limit: usize) -> Result<Vec<u8>, Unpack> {
    let Ok(Some(told)) = zstd::zstd_safe::get_frame_content_size(packed) else {
        return Err(Unpack::Damaged("it is no zstd frame that tells its size".to_owned()));
    };
    let size = usize::try_from(told).ok().filter(|size| *size <= limit);
    let size = size.ok_or(Unpack::TooLarge(told))?;
    zstd::bulk::decompress(packed, size)
        .map_err(|error| Unpack::Damaged(format!("it cannot be unpacked: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_unpacked_beyond_the_limit() {
        let zeros = vec![0; 1 << 20];
        let packed = zstd::bulk::compress(&zeros, LEVEL).unwrap();
        assert!(packed.len() < 1000);
        assert_eq!(unpack(&packed, 1 << 20).unwrap(), zeros);
        assert!(matches!(unpack(&packed, (1 << 20) - 1), Err(Unpack::TooLarge(1_048_576))));
        let twice = [packed.clone(), packed.clone()].concat();
        assert!(matches!(unpack(&twice, 4 << 20), Err(Unpack::Damaged(_))));
        for at in 0..packed.len() {
            assert!(unpack(&packed[..at], 1 << 20).is_err(), "{at}");
            let mut changed = packed.clone();
            changed[at] ^= 0x10;
            if let Ok(bytes) = unpack(&changed, 1 << 20) {
                assert!(bytes.len() <= 1 << 20);
            }
        }
    }
}
