//! Uploads under way: sessions, chunks, and making an object of them.
//!
//! ```text
//! uploads/ID/session                 repository, started
//! uploads/ID/OFFSET, 20 digits       a chunk: size, SHA-256, where its bytes lie
//! uploads/ID/data-RANDOM             a chunk's bytes, if they are not in its record
//! ```
//!
//! A chunk counts once its record was created, which of several writers at one offset only one
//! can. The records are a chain without gaps: the last one's end is the upload's offset. Nothing
//! of a session is synced in a directory: what a power loss takes, the client sends again.
//!
//! Invariant: an object becomes visible only if its bytes have its digest; a session never does.

mod append;
mod finish;
mod session;

use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use landbridge_core::RepositoryName;

pub use append::{AppendError, Chunk};
pub use finish::FinishError;
pub use session::{UnknownUpload, UploadId, UploadStatus};

use crate::bucket::Bucket;
use crate::error::StoreError;
use crate::facts::{Keep, MAX_FACT_BYTES};
use crate::leases::Leases;
use crate::repositories::{Creation, names};
use session::{DIRECTORY, MAX_RECORD_BYTES, Name, Record, Session};

/// Uploads of a bucket. Cloning it is cheap.
#[derive(Debug, Clone)]
pub struct Uploads {
    bucket: Bucket,
    creation: Creation,
    leases: Leases,
}

impl Uploads {
    pub(crate) fn new(bucket: Bucket, creation: Creation, leases: Leases) -> Self {
        Self { bucket, creation, leases }
    }

    /// Begins an upload into a repository.
    pub async fn begin(
        &self,
        repository: &RepositoryName,
        now: Timestamp,
    ) -> Result<UploadId, StoreError> {
        let id = UploadId::random().map_err(|error| StoreError::Unavailable {
            place: self.bucket.place(DIRECTORY),
            source: error.into(),
        })?;
        let session = Session { repository: repository.clone(), started: now };
        self.bucket.put_json(Keep::Scratch, &id.key(&Name::Session), &session).await?;
        Ok(id)
    }

    /// How far an upload has come; `None` if there is none of this id.
    pub async fn status(&self, id: &UploadId) -> Result<Option<UploadStatus>, StoreError> {
        let key = id.key(&Name::Session);
        let session = self.bucket.get_json::<Session>(&key, MAX_FACT_BYTES).await?;
        let Some(session) = session.map(|session| session.value) else { return Ok(None) };
        let chain = self.chain(id).await?;
        Ok(Some(UploadStatus::new(*id, session, chain)))
    }

    /// The upload's last record with its offset, and whether it is the only one.
    async fn chain(&self, id: &UploadId) -> Result<Option<(u64, Record)>, StoreError> {
        let mut listed = self.names(id);
        let mut last = None;
        while let Some(name) = listed.try_next().await? {
            if let Name::Record(offset) = name {
                last = last.max(Some(offset));
            }
        }
        match last {
            Some(offset) => Ok(self.record(id, offset).await?.map(|record| (offset, record))),
            None => Ok(None),
        }
    }

    async fn record(&self, id: &UploadId, offset: u64) -> Result<Option<Record>, StoreError> {
        let key = id.key(&Name::Record(offset));
        let Some(stored) = self.bucket.get_fact(&key, MAX_RECORD_BYTES).await? else {
            return Ok(None);
        };
        let record = Record::decode(&stored.value);
        Ok(Some(record.map_err(|error| self.bucket.malformed(&key, error))?))
    }

    fn names(&self, id: &UploadId) -> BoxStream<'static, Result<Name, StoreError>> {
        names(&self.bucket, &id.directory(), None, Name::parse).map_ok(|listed| listed.item).boxed()
    }

    /// Ends an upload and removes all of it, be it that its client gave up or that the object is
    /// complete; false if there was none.
    pub async fn cancel(&self, id: &UploadId) -> Result<bool, StoreError> {
        // First the session: a chunk that is committed meanwhile looks for it, and removes itself.
        let key = id.key(&Name::Session);
        let existed = match self.bucket.file(&key) {
            // A directory tells by itself whether there was something.
            Some(_) => self.bucket.remove_key(&key).await?,
            None => {
                self.bucket.head_key(&key).await?.is_some() && self.bucket.remove_key(&key).await?
            }
        };
        let directory = id.directory();
        if let Some(path) = self.bucket.file(&directory) {
            let removed = crate::file::remove_directory(path).await;
            removed.map_err(|error| {
                StoreError::from_cause(self.bucket.place(&directory), error.into())
            })?;
            return Ok(existed);
        }
        let names: Vec<Name> = self.names(id).try_collect().await?;
        for name in names {
            self.bucket.remove_key(&id.key(&name)).await?;
        }
        Ok(existed)
    }

    /// Uploads of which nothing was written since `before`, by the store's clock. What is left of
    /// one that is being cancelled is among them.
    pub fn expired(&self, before: Timestamp) -> BoxStream<'static, Result<UploadId, StoreError>> {
        let uploads = self.clone();
        let ids = names(&self.bucket, DIRECTORY, None, session::parse_owner);
        let mut last = None;
        ids.try_filter_map(move |listed| {
            // Stores list what lies together together; what is said twice is cancelled twice.
            let is_new = last.replace(listed.item) != Some(listed.item);
            futures::future::ready(Ok(is_new.then_some(listed.item)))
        })
        .try_filter_map(move |id| {
            let uploads = uploads.clone();
            async move { Ok(uploads.is_older(&id, before).await?.then_some(id)) }
        })
        .boxed()
    }

    async fn is_older(&self, id: &UploadId, before: Timestamp) -> Result<bool, StoreError> {
        let mut listed = self.bucket.list(&id.directory(), None);
        while let Some(entry) = listed.try_next().await? {
            if entry.modified >= before {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// 128 random bits as hex, for a name that nobody else has.
pub(crate) fn random_hex(bucket: &Bucket, purpose: &str) -> Result<String, StoreError> {
    UploadId::random().map(|id| id.to_string()).map_err(|error| StoreError::Unavailable {
        place: bucket.place(purpose),
        source: error.into(),
    })
}
