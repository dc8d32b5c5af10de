//! A bucket: objects under the names that their digests give them.
//!
//! A directory, memory or a cloud's store, all with the same promises. Reading verifies what is
//! read whole; what is streamed to a client is verified by the client.
//!
//! Invariant: nothing that is written here is visible under its key before it is whole and right.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use landbridge_core::Digest;
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, GetResult, GetResultPayload, ObjectMeta, ObjectStore, ObjectStoreExt as _,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

use crate::error::{OpenError, Place, StoreError};
use crate::layout::BucketLayout;
use crate::open;
use crate::write::Signed;

/// A bucket. Cloning it is cheap; clones share their connections.
#[derive(Clone)]
pub struct Bucket(Arc<Inner>);

/// Parts that are being written at once, of all objects together: what many clients send at the same
/// time waits in their connections, not in memory.
const PARTS_BEING_WRITTEN: usize = 16;

struct Inner {
    address: Url,
    name: Box<str>,
    store: Arc<dyn ObjectStore>,
    scratch: Arc<dyn ObjectStore>,
    prefix: Path,
    layout: BucketLayout,
    keeps_attributes: bool,
    /// Room for parts that are being written.
    parts: Arc<Semaphore>,
    /// Requests that are signed beside `store`, where it is S3.
    signed: Option<Signed>,
}

/// When a copy within the store is made.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Copies {
    /// Before the store answers, in one step.
    AtOnce,
    /// Perhaps after it.
    Later,
}

/// An object on its way to a client.
pub struct ObjectBody {
    /// The whole object's size in bytes.
    pub size: u64,
    /// The bytes that `stream` gives.
    pub range: Range<u64>,
    /// When the store says that it was written.
    pub last_modified: Option<Timestamp>,
    /// The store's own tag, quoted as in HTTP.
    pub etag: Option<String>,
    /// The bytes, as stored and not verified.
    pub stream: BoxStream<'static, Result<Bytes, StoreError>>,
}

impl Bucket {
    /// Opens `file:///DIR` (made if absent), `memory:///` (each time a new, empty one), or
    /// `s3://`, `gs://`, `az://` with a name and perhaps a prefix.
    ///
    /// A cloud's credentials are those in the environment variables that its own tools read
    /// (`AWS_…`, `GOOGLE_…`, `AZURE_…`); without any, requests are anonymous. Nothing is asked
    /// over the network.
    pub fn open(url: &Url, layout: BucketLayout) -> Result<Self, OpenError> {
        Self::open_with(url, layout, &open::environment())
    }

    /// Opens a bucket with these options instead of the environment's, named as there but in
    /// lower case: `aws_endpoint`, `aws_region`, `google_service_account`, …
    pub fn open_with(
        url: &Url,
        layout: BucketLayout,
        options: &[(String, String)],
    ) -> Result<Self, OpenError> {
        let opened = open::open(url, options)?;
        Ok(Self(Arc::new(Inner {
            address: url.clone(),
            name: open::display(url).into(),
            store: opened.store,
            scratch: opened.scratch,
            prefix: opened.prefix,
            layout,
            keeps_attributes: opened.keeps_attributes,
            parts: Arc::new(Semaphore::new(PARTS_BEING_WRITTEN)),
            signed: opened.signed,
        })))
    }

    /// An empty bucket in memory that messages call `name`.
    pub(crate) fn in_memory(name: &str) -> Result<Self, OpenError> {
        let unknown = |_| OpenError::Unknown(name.to_owned());
        let address = Url::parse("memory:///").map_err(unknown)?;
        let opened = open::open(&address, &[])?;
        Ok(Self(Arc::new(Inner {
            address,
            name: name.into(),
            store: opened.store,
            scratch: opened.scratch,
            prefix: opened.prefix,
            layout: BucketLayout::Blobs,
            keeps_attributes: opened.keeps_attributes,
            parts: Arc::new(Semaphore::new(PARTS_BEING_WRITTEN)),
            signed: None,
        })))
    }

    /// A bucket that says it is at this address and keeps what it has in `store`.
    #[cfg(test)]
    pub(crate) fn over(address: &str, store: Arc<dyn ObjectStore>) -> Self {
        Self(Arc::new(Inner {
            address: address.parse().unwrap(),
            name: address.into(),
            scratch: Arc::clone(&store),
            store,
            prefix: Path::default(),
            layout: BucketLayout::Blobs,
            keeps_attributes: true,
            parts: Arc::new(Semaphore::new(PARTS_BEING_WRITTEN)),
            signed: None,
        }))
    }

    /// The bucket's address without credentials.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// How objects are named in it.
    pub fn layout(&self) -> BucketLayout {
        self.0.layout
    }

    /// The object's size in bytes as the store tells it; `None` if there is no such object.
    pub async fn size_of(&self, digest: &Digest) -> Result<Option<u64>, StoreError> {
        let key = self.object_key(digest);
        match self.store().head(&self.path(&key)?).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(&key, error)),
        }
    }

    /// The whole object, of at most `limit` bytes, verified by its digest.
    pub async fn get(&self, digest: &Digest, limit: u64) -> Result<Bytes, StoreError> {
        let key = self.object_key(digest);
        let bytes = self.get_bytes(&key, limit).await?;
        self.check_digest(&key, digest, &bytes)?;
        Ok(bytes)
    }

    /// The object, or the part of it in `range`, as a stream for a client. A range that ends
    /// beyond the object is cut; one that begins there is [`StoreError::BadRange`].
    pub async fn read(
        &self,
        digest: &Digest,
        range: Option<Range<u64>>,
    ) -> Result<ObjectBody, StoreError> {
        let key = self.object_key(digest);
        let start = range.as_ref().map(|range| range.start);
        // Some stores refuse an end that no object can have.
        let range = range.map(|range| match i64::try_from(range.end) {
            Ok(_) => GetRange::Bounded(range),
            Err(_) => GetRange::Offset(range.start),
        });
        let options = GetOptions { range, ..GetOptions::default() };
        match self.store().get_opts(&self.path(&key)?, options).await {
            Ok(result) => Ok(self.body(&key, result)),
            Err(error) => {
                // Stores say "416" in many ways: only the size tells.
                if let (Some(start), Ok(meta)) = (start, self.store().head(&self.path(&key)?).await)
                    && start >= meta.size
                {
                    return Err(StoreError::BadRange { place: self.place(&key), size: meta.size });
                }
                Err(self.failed(&key, error))
            }
        }
    }

    pub(crate) fn body(&self, key: &str, result: GetResult) -> ObjectBody {
        let meta = &result.meta;
        let (size, etag) = (meta.size, meta.e_tag.as_ref());
        let body = ObjectBody {
            size,
            range: result.range.clone(),
            last_modified: modified(meta),
            etag: etag
                .map(|tag| if tag.contains('"') { tag.clone() } else { format!("\"{tag}\"") }),
            stream: futures::stream::empty().boxed(),
        };
        let place = self.place(key);
        let stream = match result.payload {
            GetResultPayload::File(file, _) => crate::file::stream(file, result.range)
                .map_err(move |error| StoreError::from_cause(place.clone(), error.into()))
                .boxed(),
            GetResultPayload::Stream(stream) => {
                stream.map_err(move |error| StoreError::new(place.clone(), error)).boxed()
            }
        };
        ObjectBody { stream, ..body }
    }

    pub(crate) fn object_key(&self, digest: &Digest) -> String {
        self.0.layout.key(digest)
    }

    pub(crate) fn store(&self) -> &dyn ObjectStore {
        &*self.0.store
    }

    /// The store for what need not survive a power loss: in a directory it is not synced.
    pub(crate) fn scratch(&self) -> &dyn ObjectStore {
        &*self.0.scratch
    }

    /// A place among the parts that are being written, once there is one.
    pub(crate) async fn place_for_part(&self) -> Option<OwnedSemaphorePermit> {
        // Never closed.
        Arc::clone(&self.0.parts).acquire_owned().await.ok()
    }

    /// What can sign requests to this store.
    pub(crate) fn signed(&self) -> Option<&Signed> {
        self.0.signed.as_ref()
    }

    pub(crate) fn keeps_attributes(&self) -> bool {
        self.0.keeps_attributes
    }

    /// The file in which a directory's bucket keeps `key`.
    pub(crate) fn file(&self, key: &str) -> Option<std::path::PathBuf> {
        let directory = (self.0.address.scheme() == "file").then(|| self.0.address.to_file_path());
        Some(directory?.ok()?.join(key))
    }

    pub(crate) fn path(&self, key: &str) -> Result<Path, StoreError> {
        let prefix = self.0.prefix.as_ref();
        let slash = if prefix.is_empty() { "" } else { "/" };
        Path::parse(format!("{prefix}{slash}{key}")).map_err(|error| StoreError::Unsupported {
            place: self.place(key),
            source: error.into(),
        })
    }

    /// The key of what a listing found; `None` if it is not of this bucket.
    pub(crate) fn key_of<'a>(&self, path: &'a Path) -> Option<&'a str> {
        let prefix = self.0.prefix.as_ref();
        let rest = path.as_ref().strip_prefix(prefix)?;
        if prefix.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
    }

    /// When a copy within the store is made.
    pub(crate) fn copies(&self) -> Copies {
        match self.0.address.scheme() {
            "az" => Copies::Later,
            _ => Copies::AtOnce,
        }
    }

    /// Whether the store lists keys in the order of their bytes.
    pub(crate) fn lists_in_order(&self) -> bool {
        matches!(self.0.address.scheme(), "memory" | "s3" | "gs")
    }

    pub(crate) fn place(&self, key: &str) -> Place {
        Place { bucket: self.name().to_owned(), key: key.to_owned() }
    }

    pub(crate) fn failed(&self, key: &str, error: object_store::Error) -> StoreError {
        StoreError::new(self.place(key), error)
    }

    pub(crate) fn check_digest(
        &self,
        key: &str,
        digest: &Digest,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let found = Digest::of(digest.algorithm(), bytes);
        if found == *digest {
            return Ok(());
        }
        let what = format!("its {} bytes have the digest {found}", bytes.len());
        Err(StoreError::WrongBytes { place: self.place(key), what })
    }

    /// Everything under `key`, of at most `limit` bytes.
    pub(crate) async fn get_bytes(&self, key: &str, limit: u64) -> Result<Bytes, StoreError> {
        let result = self.store().get(&self.path(key)?).await;
        self.collect(key, limit, result.map_err(|error| self.failed(key, error))?).await
    }

    pub(crate) async fn collect(
        &self,
        key: &str,
        limit: u64,
        result: GetResult,
    ) -> Result<Bytes, StoreError> {
        let size = result.meta.size;
        let too_large = |size| StoreError::TooLarge { place: self.place(key), size, limit };
        if size > limit {
            return Err(too_large(size));
        }
        // The store's word for the size is good for a first look, not for trusting the stream.
        let mut body = self.body(key, result);
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
        while let Some(chunk) = body.stream.try_next().await? {
            let total = (bytes.len() + chunk.len()) as u64;
            if total > limit {
                return Err(too_large(total));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.into())
    }
}

/// When the store says that it was written; `None` if that is no time.
pub(crate) fn modified(meta: &ObjectMeta) -> Option<Timestamp> {
    let time = &meta.last_modified;
    let nanos = i32::try_from(time.timestamp_subsec_nanos()).ok()?;
    Timestamp::new(time.timestamp(), nanos).ok()
}

impl std::fmt::Debug for Bucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bucket({}, {})", self.name(), self.layout())
    }
}
