//! The repository-in-a-bucket: tags, links and referrers, one object for each.
//!
//! A writable registry keeps everything in one bucket, so that it has no other state. Each fact is
//! an object of its own that is written whole: two processes on one bucket overwrite each other's
//! tags, as two pushes to one tag do, and never lose anything else.
//!
//! Invariant: no operation here writes what it derived from something that it read.

mod keys;
mod links;
mod list;
mod walk;

pub(crate) use keys::{parse_path, path};
pub use links::{ManifestLink, TagLink};
pub(crate) use list::names;
pub use list::{Listed, Page};

use object_store::PutMode;

use crate::bucket::Bucket;
use crate::error::StoreError;
use crate::facts::Keep;
use crate::layout::BucketLayout;
use crate::leases::Leases;
use crate::uploads::Uploads;

/// A bucket as a registry's only state. Cloning it is cheap.
///
/// Facts are durable once their call returned. Reading a document that is there but cannot be
/// understood is [`StoreError::Malformed`], which names bucket and key.
#[derive(Debug, Clone)]
pub struct Repositories {
    bucket: Bucket,
    creation: Creation,
    uploads: Uploads,
    leases: Leases,
}

/// How the store lets one of several writers win.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creation {
    /// It creates a key only if there is none.
    Conditional,
    /// It overwrites, whatever is asked. A writer looks whether the key is free, writes, and reads
    /// back who is there. Two that do so in the same moment may both believe that they won: then
    /// one upload that two clients feed at once ends in a refused digest, and two collectors may
    /// run at once. What is served is checked by its digest and never corrupt.
    ReadBack,
}

impl Repositories {
    /// Opens a bucket whose objects lie under `blobs/`; another layout is
    /// [`StoreError::Unsupported`]. Asks the store once whether it honours create-if-absent, which
    /// leaves an object `probe`.
    pub async fn open(bucket: Bucket) -> Result<Self, StoreError> {
        match bucket.layout() {
            BucketLayout::Blobs => {}
            BucketLayout::ContainersImages => {
                return Err(StoreError::Unsupported {
                    place: bucket.place(""),
                    source: "a registry's bucket has the layout `blobs`, not `containers-images`"
                        .into(),
                });
            }
        }
        let creation = match bucket.probe_create().await {
            Ok(()) => Creation::Conditional,
            Err(StoreError::Unsupported { .. }) => Creation::ReadBack,
            Err(error) => return Err(error),
        };
        let leases = Leases::new(bucket.clone(), creation);
        let uploads = Uploads::new(bucket.clone(), creation, leases.clone());
        Ok(Self { bucket, creation, uploads, leases })
    }

    /// The bucket, for the objects themselves.
    pub fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    /// How the store lets one of several writers win, as it showed when it was opened.
    pub fn creation(&self) -> Creation {
        self.creation
    }

    /// Uploads under way.
    pub fn uploads(&self) -> &Uploads {
        &self.uploads
    }

    /// Who was told that an object is there, and which objects are to go.
    pub fn leases(&self) -> &Leases {
        &self.leases
    }
}

/// Creates a key that nobody else has created; false if somebody has. The bytes must be like no
/// other writer's.
pub(crate) async fn create(
    bucket: &Bucket,
    creation: Creation,
    key: &str,
    bytes: Vec<u8>,
    limit: u64,
) -> Result<bool, StoreError> {
    let (keep, bytes) = (Keep::Scratch, bytes::Bytes::from(bytes));
    let is_ours = async || match bucket.get_fact(key, limit).await {
        Ok(found) => Ok(found.is_some_and(|found| found.value == bytes)),
        Err(StoreError::TooLarge { .. }) => Ok(false),
        Err(error) => Err(error),
    };
    match creation {
        Creation::Conditional => {
            match bucket.put_fact(keep, key, PutMode::Create, bytes.clone()).await {
                Ok(()) => Ok(true),
                // An answer that was lost makes the store's client ask again and meet itself.
                Err(StoreError::Taken(_)) => is_ours().await,
                Err(error) => Err(error),
            }
        }
        Creation::ReadBack => {
            if bucket.head_key(key).await?.is_some() {
                return Ok(false);
            }
            bucket.put_fact(keep, key, PutMode::Overwrite, bytes.clone()).await?;
            is_ours().await
        }
    }
}
