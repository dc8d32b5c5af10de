//! Writing an object: streamed in constant memory, and visible only when it is right.
//!
//! The bytes are hashed as they pass by. Small objects are one request; large ones are an upload
//! in parts that is completed only after the digest was right, and aborted otherwise. In a
//! directory that is a file beside the final one, which is renamed.
//!
//! After [`Bucket::put_object`] or [`Bucket::confirm`] returned, an object in a directory survives
//! a power loss: file, directory and every directory above it were synced, as far as the file
//! system and the disk keep their word. A cloud's store promises the same by answering.
//! A process that is killed leaves at most a file `KEY#N`, or an upload that the store's
//! lifecycle rules remove; neither is visible as an object.

mod adopt;
mod checked;
mod everywhere;
mod parts;
mod streamed;

use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, TryStreamExt as _};
use landbridge_core::Digest;
use landbridge_core::digest::Hasher;
use object_store::{Attribute, Attributes, ObjectStoreExt as _, PutOptions, PutPayload};

use crate::bucket::Bucket;
use crate::error::{Cause, PutError, StoreError};
use crate::facts::Keep;

use checked::Checked;
pub use everywhere::{EverywhereError, Object, put_everywhere};
pub(crate) use parts::Pieces;
pub(crate) use streamed::Signed;

/// A store that failed to write is asked so long what lies under the key now.
const LAST_LOOK: Duration = Duration::from_secs(30);

/// Objects never change: whoever has one may keep it.
pub(crate) const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// Evidence that a bucket holds an object whole and right. Only this module makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmed {
    bucket: Box<str>,
    digest: Digest,
    size: u64,
}

impl Confirmed {
    /// The bucket's name.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The object.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl Bucket {
    /// Writes an object from `source`, unless the bucket has it already and it is confirmed.
    ///
    /// The source must give exactly `size` bytes with this digest. On any error nothing is visible
    /// under the key that was not there before. Where the store keeps attributes, the object gets
    /// its media type and may be cached for ever; it never has a content encoding. Memory stays
    /// below four parts: 32 MiB for objects up to 70 GiB, 1 MiB in a directory.
    pub async fn put_object<E: Into<Cause>>(
        &self,
        digest: &Digest,
        size: u64,
        media_type: &str,
        source: impl Stream<Item = Result<Bytes, E>> + Send,
    ) -> Result<Confirmed, PutError> {
        if self.size_of(digest).await? == Some(size) {
            match self.confirm(digest, size).await {
                Err(StoreError::WrongBytes { .. } | StoreError::NotFound(_)) => {}
                confirmed => return Ok(confirmed?),
            }
        }
        self.write_object(digest, size, media_type, source).await
    }

    /// As [`Bucket::put_object`], but the source is read and written even if the object is there:
    /// whoever gets it for having sent it must have sent it.
    pub(crate) async fn write_object<E: Into<Cause>>(
        &self,
        digest: &Digest,
        size: u64,
        media_type: &str,
        source: impl Stream<Item = Result<Bytes, E>> + Send,
    ) -> Result<Confirmed, PutError> {
        let mut source = Checked::new(self, digest, size, source);
        let written = self.write_pieces(digest, size, media_type, &mut source).await;
        self.confirm_written(digest, size, written).await
    }

    /// Writes what was checked, by one request or in parts, and gives the tag that it got.
    async fn write_pieces(
        &self,
        digest: &Digest,
        size: u64,
        media_type: &str,
        source: &mut impl Pieces,
    ) -> Result<Option<String>, PutError> {
        let key = self.object_key(digest);
        let attributes = self.attributes(media_type, IMMUTABLE);
        let written = if size <= self.part_bytes() {
            let mut chunks = Vec::new();
            while let Some(chunk) = source.next().await? {
                chunks.push(chunk);
            }
            let options = PutOptions { attributes, ..PutOptions::default() };
            let payload = PutPayload::from_iter(chunks);
            let result = self.store().put_opts(&self.path(&key)?, payload, options).await;
            result.map_err(|error| self.failed(&key, error))?
        } else {
            let part_bytes = self.part_bytes_of(size);
            self.put_parts(Keep::Durable, &key, attributes, part_bytes, source).await?
        };
        Ok(written.e_tag)
    }

    /// Makes sure that the bucket holds the object whole and right, by reading all of it; in a
    /// directory also that it survives a power loss.
    pub async fn confirm(&self, digest: &Digest, size: u64) -> Result<Confirmed, StoreError> {
        let key = self.object_key(digest);
        let mut body = self.read(digest, None).await?;
        let wrong = |what| StoreError::WrongBytes { place: self.place(&key), what };
        if body.size != size {
            return Err(wrong(format!("it has {} bytes instead of {size}", body.size)));
        }
        let mut hasher = Hasher::new(digest.algorithm());
        while let Some(chunk) = body.stream.try_next().await? {
            hasher.update(&chunk);
        }
        let found = hasher.finish();
        if found != *digest {
            return Err(wrong(format!("its {size} bytes have the digest {found}")));
        }
        self.sync_object(&key).await?;
        Ok(self.evidence(digest, size))
    }

    /// As [`Bucket::confirm`], without reading it if the store tells its SHA-256 of all of it.
    pub(crate) async fn confirm_checksum(
        &self,
        digest: &Digest,
        size: u64,
    ) -> Result<Confirmed, StoreError> {
        if let Some(signed) = self.signed()
            && let Some(told) = signed.look(self, digest).await?
            && told.is_right
            && told.size == size
        {
            return Ok(self.evidence(digest, size));
        }
        self.confirm(digest, size).await
    }

    /// Whether the store can tell the object's SHA-256 of all of it.
    pub(crate) fn tells_checksum_of(&self, digest: &Digest) -> bool {
        self.signed().is_some() && Signed::knows(digest)
    }

    /// Makes sure that the bucket has something of this size where the object belongs.
    pub(crate) async fn confirm_size(
        &self,
        digest: &Digest,
        size: u64,
    ) -> Result<Confirmed, StoreError> {
        let key = self.object_key(digest);
        match self.size_of(digest).await? {
            Some(found) if found == size => {
                self.sync_object(&key).await?;
                Ok(self.evidence(digest, size))
            }
            Some(found) => {
                let what = format!("it has {found} bytes instead of {size}");
                Err(StoreError::WrongBytes { place: self.place(&key), what })
            }
            None => Err(StoreError::NotFound(self.place(&key))),
        }
    }

    /// In a directory, makes the object survive a power loss.
    async fn sync_object(&self, key: &str) -> Result<(), StoreError> {
        let Some(file) = self.file(key) else { return Ok(()) };
        let synced = crate::file::sync(file).await;
        synced.map_err(|error| StoreError::from_cause(self.place(key), error.into()))
    }

    /// What was written is only there if the store says so itself: its checksum, or its size and
    /// tag, prove that what lies there is what was just written; if they do not, reading it does.
    /// Wrong bytes are removed: some stores keep what they refused.
    async fn confirm_written(
        &self,
        digest: &Digest,
        size: u64,
        written: Result<Option<String>, PutError>,
    ) -> Result<Confirmed, PutError> {
        match written {
            Ok(e_tag) => {
                let confirmed = self.confirm_tag(digest, size, e_tag).await;
                if let Err(StoreError::WrongBytes { .. }) = confirmed {
                    self.remove_wrong(digest, size).await;
                }
                Ok(confirmed?)
            }
            Err(error) => {
                // In a directory nothing gets its name before it is right.
                if matches!(error, PutError::Store(_)) && self.file("").is_none() {
                    self.remove_wrong(digest, size).await;
                }
                Err(error)
            }
        }
    }

    async fn confirm_tag(
        &self,
        digest: &Digest,
        size: u64,
        e_tag: Option<String>,
    ) -> Result<Confirmed, StoreError> {
        let is_right = if let Some(signed) = self.signed() {
            signed.look(self, digest).await?.is_some_and(|told| {
                let is_tag = told.e_tag.is_some() && told.e_tag == e_tag;
                told.size == size && (told.is_right || is_tag)
            })
        } else {
            let key = self.object_key(digest);
            let head = self.store().head(&self.path(&key)?).await;
            let head = head.map_err(|error| self.failed(&key, error))?;
            head.size == size && head.e_tag.is_some() && head.e_tag == e_tag
        };
        if is_right {
            return Ok(self.evidence(digest, size));
        }
        self.confirm(digest, size).await
    }

    /// Removes what lies under an object's key if it is not the object. Whatever fails here has
    /// failed before, and the first error says more.
    async fn remove_wrong(&self, digest: &Digest, size: u64) {
        let look = async {
            // Who else may write here writes the same bytes, and confirms them after it.
            if self.size_of(digest).await?.is_some()
                && let Err(StoreError::WrongBytes { .. }) = self.confirm(digest, size).await
            {
                let key = self.object_key(digest);
                let removed = self.store().delete(&self.path(&key)?).await;
                removed.map_err(|error| self.failed(&key, error))?;
            }
            Ok::<(), StoreError>(())
        };
        let _ = tokio::time::timeout(LAST_LOOK, look).await;
    }

    fn evidence(&self, digest: &Digest, size: u64) -> Confirmed {
        Confirmed { bucket: self.name().into(), digest: *digest, size }
    }

    pub(crate) fn attributes(&self, media_type: &str, cache_control: &'static str) -> Attributes {
        let mut attributes = Attributes::new();
        if self.keeps_attributes() {
            attributes.insert(Attribute::ContentType, media_type.to_owned().into());
            attributes.insert(Attribute::CacheControl, cache_control.into());
        }
        attributes
    }
}
