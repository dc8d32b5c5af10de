//! Facts: one small object for each, written whole and never read to be written again.
//!
//! Whether a key exists, what its few bytes say and when the store took them are all that the
//! repository-in-a-bucket is made of. Nothing here takes a lock or needs one.
//!
//! Invariant: a document that cannot be read is an error that names bucket and key, never an
//! absent one.

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use object_store::{
    GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bucket::{self, Bucket};
use crate::error::{Malformed, StoreError};

/// The largest small document that is read, in bytes.
pub(crate) const MAX_FACT_BYTES: u64 = 64 << 10;

/// What a fact's loss in a power failure would do. Only a directory tells the two apart.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Keep {
    /// It was promised to somebody.
    Durable,
    /// Whoever wrote it begins anew: uploads, leases, marks.
    Scratch,
}

/// A key that a listing found.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) modified: Timestamp,
    pub(crate) size: u64,
}

/// A small object as it was read.
#[derive(Debug, Clone)]
pub(crate) struct Stored<T> {
    pub(crate) value: T,
    pub(crate) modified: Timestamp,
}

impl Bucket {
    pub(crate) async fn put_json(
        &self,
        keep: Keep,
        key: &str,
        value: &impl Serialize,
    ) -> Result<(), StoreError> {
        self.put_fact(keep, key, PutMode::Overwrite, encode(value).into()).await
    }

    pub(crate) async fn put_fact(
        &self,
        keep: Keep,
        key: &str,
        mode: PutMode,
        bytes: Bytes,
    ) -> Result<(), StoreError> {
        let attributes = self.attributes("application/json", "no-store");
        let options = PutOptions { mode, attributes, ..PutOptions::default() };
        let payload = PutPayload::from_bytes(bytes);
        let written = self.store_for(keep).put_opts(&self.path(key)?, payload, options).await;
        written.map(drop).map_err(|error| self.failed(key, error))
    }

    pub(crate) fn store_for(&self, keep: Keep) -> &dyn ObjectStore {
        match keep {
            Keep::Durable => self.store(),
            Keep::Scratch => self.scratch(),
        }
    }

    /// The bytes under a key, as they come and not verified.
    pub(crate) async fn stream(
        &self,
        key: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, StoreError>>, StoreError> {
        let result = self.store().get(&self.path(key)?).await;
        Ok(self.body(key, result.map_err(|error| self.failed(key, error))?).stream)
    }

    /// A JSON document of at most `limit` bytes; `None` if there is none.
    pub(crate) async fn get_json<T: DeserializeOwned>(
        &self,
        key: &str,
        limit: u64,
    ) -> Result<Option<Stored<T>>, StoreError> {
        let Some(stored) = self.get_fact(key, limit).await? else { return Ok(None) };
        let value = serde_json::from_slice(&stored.value)
            .map_err(|error| self.malformed(key, Malformed::Json(error)))?;
        Ok(Some(Stored { value, modified: stored.modified }))
    }

    pub(crate) async fn get_fact(
        &self,
        key: &str,
        limit: u64,
    ) -> Result<Option<Stored<Bytes>>, StoreError> {
        let result = match self.store().get_opts(&self.path(key)?, GetOptions::default()).await {
            Ok(result) => result,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(self.failed(key, error)),
        };
        let modified = self.time_of(key, &result.meta)?;
        let value = self.collect(key, limit, result).await?;
        Ok(Some(Stored { value, modified }))
    }

    /// When the store took the key, and its size in bytes; `None` if there is none.
    ///
    /// Times of two keys may be compared only if both are from here or from a read: listings are
    /// told finer times by some stores.
    pub(crate) async fn head_key(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        match self.store().head(&self.path(key)?).await {
            Ok(meta) => Ok(Some(Entry {
                key: key.to_owned(),
                modified: self.time_of(key, &meta)?,
                size: meta.size,
            })),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(key, error)),
        }
    }

    /// Deletes a key; false if there was none. Of several that delete it at once each may be told
    /// true. In a directory the deletion survives a power loss.
    pub(crate) async fn delete_fact(&self, key: &str) -> Result<bool, StoreError> {
        // Clouds answer alike whether or not there was something.
        if self.head_key(key).await?.is_none() {
            return Ok(false);
        }
        let existed = self.remove_key(key).await?;
        if let Some(directory) = self.file(key).as_deref().and_then(std::path::Path::parent) {
            let synced = crate::file::sync_directory(directory.to_owned()).await;
            synced.map_err(|error| StoreError::from_cause(self.place(key), error.into()))?;
        }
        Ok(existed)
    }

    /// Deletes a key if it is there; false if the store says that it was not.
    pub(crate) async fn remove_key(&self, key: &str) -> Result<bool, StoreError> {
        match self.scratch().delete(&self.path(key)?).await {
            Ok(()) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(self.failed(key, error)),
        }
    }

    /// The keys below `directory`, those greater than `after` only. A directory lists them in no
    /// order, most clouds in that of their bytes: see [`Bucket::lists_in_order`].
    pub(crate) fn list(
        &self,
        directory: &str,
        after: Option<&str>,
    ) -> BoxStream<'static, Result<Entry, StoreError>> {
        let listed = self.path(directory).and_then(|prefix| {
            Ok(match after {
                Some(after) => self.store().list_with_offset(Some(&prefix), &self.path(after)?),
                None => self.store().list(Some(&prefix)),
            })
        });
        let listed = match listed {
            Ok(listed) => listed,
            Err(error) => return futures::stream::once(async { Err(error) }).boxed(),
        };
        let (bucket, directory) = (self.clone(), directory.to_owned());
        let after = after.map(str::to_owned);
        listed
            .map(move |meta| {
                let meta = meta.map_err(|error| bucket.failed(&directory, error))?;
                let Some(key) = bucket.key_of(&meta.location) else { return Ok(None) };
                // Some servers take where to begin for a hint, or do not know it.
                if after.as_deref().is_some_and(|after| key <= after) {
                    return Ok(None);
                }
                let modified = bucket.time_of(key, &meta)?;
                Ok(Some(Entry { key: key.to_owned(), modified, size: meta.size }))
            })
            .try_filter_map(async |entry| Ok(entry))
            .boxed()
    }

    /// The names of the directories in a directory.
    pub(crate) async fn list_level(&self, directory: &str) -> Result<Vec<String>, StoreError> {
        let listed = self.store().list_with_delimiter(Some(&self.path(directory)?)).await;
        let listed = listed.map_err(|error| self.failed(directory, error))?;
        let names = listed.common_prefixes.iter().filter_map(|path| path.filename());
        Ok(names.map(str::to_owned).collect())
    }

    fn time_of(&self, key: &str, meta: &ObjectMeta) -> Result<Timestamp, StoreError> {
        let what = || Malformed::Contradiction("the store's time of it is no time".to_owned());
        bucket::modified(meta).ok_or_else(|| self.malformed(key, what()))
    }

    pub(crate) fn malformed(&self, key: &str, error: impl Into<Malformed>) -> StoreError {
        StoreError::Malformed { place: self.place(key), source: error.into() }
    }
}

/// The bytes of a small document of ours.
pub(crate) fn encode(value: &impl Serialize) -> Vec<u8> {
    // What is encoded here are structs of text, numbers and times, which always have a JSON form.
    serde_json::to_vec(value).unwrap_or_default()
}
